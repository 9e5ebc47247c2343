# SPDX-License-Identifier: Apache-2.0
"""Merge layers, and arithmetic and slices of symbolic tensors: shapes, masks, types, errors."""

from __future__ import annotations

import json

import numpy as np
import pytest

import elman
from elman import layers
from elman.layers import Add, Arithmetic, Concatenate, Dot, GetItem, Subtract

RNG = np.random.default_rng(13)
SAME = [layers.Add, layers.Multiply, layers.Average, layers.Maximum, layers.Minimum]
MADE = [
    *(cls() for cls in SAME),
    Subtract(),
    Concatenate(axis=1),
    Dot([2, 1], normalize=True),
    Dot(-1),
    Arithmetic("power", left=2.0),
    Arithmetic("add", right=np.array([[0.5], [1.5]])),
    Arithmetic("divide"),
    GetItem((slice(None), Ellipsis, -1, None)),
]


def random(*shape):
    return RNG.normal(size=shape).astype("float32")


def through_json(config):
    return json.loads(json.dumps(config))


@pytest.mark.parametrize("layer", MADE, ids=lambda layer: layer.name)
def test_round_trip(layer):
    config = through_json(layers.serialize(layer))
    again = layers.deserialize(config)
    assert through_json(layers.serialize(again)) == config
    assert type(again) is type(layer)
    value = np.abs(random(2, 2, 3)) + 1
    single = isinstance(layer, GetItem) or layer.__dict__.get("_value") is not None
    x = value if single else [value, value.transpose(0, 2, 1) if layer.name == "dot" else 2 * value]
    np.testing.assert_array_equal(again(x), layer(x))


@pytest.mark.parametrize("dtype", ["float32", "float64"])
def test_values(dtype):
    a, b, c = (random(2, 3, 5).astype(dtype) for _ in range(3))
    expected = {
        "Add": a + b + c, "Multiply": a * b * c, "Maximum": np.maximum(np.maximum(a, b), c),
        "Average": (a + b + c) / 3, "Minimum": np.minimum(np.minimum(a, b), c),
        "Concatenate": np.concatenate([a, b, c], -1),
    }  # fmt: skip
    for name, value in expected.items():
        found = getattr(layers, name)(dtype=dtype)([a, b, c])
        assert found.dtype == dtype
        np.testing.assert_allclose(found, value, rtol=4 * np.finfo(dtype).eps, atol=0)
        function = getattr(layers, name.lower())
        np.testing.assert_array_equal(function([a, b, c], dtype=dtype), found)
    np.testing.assert_array_equal(layers.subtract([a, b], dtype=dtype), a - b)
    found = layers.dot([a, b], axes=2, normalize=True, dtype=dtype)
    unit = [x / np.sqrt((x.astype("float64") ** 2).sum(-1, keepdims=True)) for x in (a, b)]
    expected = np.einsum("nif,njf->nij", *unit)
    np.testing.assert_allclose(found, expected, rtol=0, atol=10 * np.finfo(dtype).eps)


def test_broadcasting_is_by_sample():
    """A vector of each sample goes to every step: not numpy's rule, which would mix axes."""
    steps, vector = random(5, 3, 5), random(5, 5)
    np.testing.assert_array_equal(Add()([steps, vector]), steps + vector[:, None])
    np.testing.assert_array_equal(Add()([vector, steps]), steps + vector[:, None])
    images, column = random(5, 2, 3, 5), random(5, 3, 1)
    np.testing.assert_array_equal(layers.multiply([images, column]), images * column[:, None])


@pytest.mark.parametrize(
    ("layer", "shapes", "expected"),
    [
        (Add(), [(None, None, 3), (None, 3)], (None, None, 3)),
        (Add(), [(None, 7, 3), (None, None, 1)], (None, 7, 3)),
        (Add(), [(None, 1), (4, None)], (4, None)),
        (Subtract(), [(None, 2, 3), (None, 1, 3)], (None, 2, 3)),
        (Concatenate(), [(None, None, 3), (None, 7, 2)], (None, 7, 5)),
        (Concatenate(axis=1), [(None, None, 3), (4, 7, 3)], (4, None, 3)),
        (Concatenate(axis=0), [(2, 3), (5, 3)], (7, 3)),
        (Dot(1), [(None, 3), (None, 3)], (None, 1)),
        (Dot((2, 1)), [(None, None, 3), (None, 3, 5)], (None, None, 5)),
        (Dot(-1), [(None, 2, 3), (4, 5, 3)], (4, 2, 5)),
        (Dot((3, 1)), [(None, 2, 5, 3), (None, 3)], (None, 2, 5)),
        (Arithmetic("add", right=1), (None, None, 3), (None, None, 3)),
        (Arithmetic("add", right=[1.0, 2.0]), (None, 5, 1), (None, 5, 2)),
        (GetItem((slice(None), -1)), (None, None, 3), (None, 3)),
        (GetItem((slice(None), slice(1, None), None)), (None, None, 3), (None, None, 1, 3)),
        (GetItem((Ellipsis, slice(0, 2))), (None, 7, 3), (None, 7, 2)),
        (GetItem((slice(None), slice(-4, None))), (None, 7), (None, 4)),
    ],
    ids=str,
)
def test_output_shapes(layer, shapes, expected):
    assert layer.compute_output_shape(shapes) == expected
    tensors = [elman.Input(batch_shape=s) for s in (shapes if type(shapes) is list else [shapes])]
    assert layer(tensors if type(shapes) is list else tensors[0]).shape == expected


# --- masks ---------------------------------------------------------------------------------------

M1, M2 = np.array([[1, 1, 0], [1, 0, 0]], bool), np.array([[1, 0, 0], [1, 1, 0]], bool)


def masked(x, mask):
    tensor = elman.Tensor(x)
    tensor._keras_mask = elman.Tensor(mask)
    return tensor


@pytest.mark.parametrize("cls", [*SAME, Subtract])
def test_masks_of_elementwise_layers(cls):
    """A step counts where every input that has a mask uses it."""
    x, y = random(2, 3, 5), random(2, 3, 5)
    found = cls()([masked(x, M1), masked(y, M2)])._keras_mask
    np.testing.assert_array_equal(found, M1 & M2)
    found = cls()([masked(x, M1), y])._keras_mask
    np.testing.assert_array_equal(found, M1)
    assert getattr(cls()([x, y]), "_keras_mask", None) is None
    given = cls()([x, y], mask=[elman.Tensor(M1), None])
    np.testing.assert_array_equal(given._keras_mask, M1)


def test_masks_of_concatenate():
    x, y = random(2, 3, 5), random(2, 3, 2)
    features = Concatenate()([masked(x, M1), masked(y, M2)])
    np.testing.assert_array_equal(features._keras_mask, M1 & M2)
    half = Concatenate()([masked(x, M1), y])
    np.testing.assert_array_equal(half._keras_mask, M1)
    steps = Concatenate(axis=1)([masked(x, M1), random(2, 4, 5)])
    np.testing.assert_array_equal(steps._keras_mask, np.hstack([M1, np.ones((2, 4), bool)]))
    flat = Concatenate(axis=0)([masked(x, M1), masked(x, M2)])
    np.testing.assert_array_equal(flat._keras_mask, np.vstack([M1, M2]))


def test_masks_of_the_others():
    x = masked(random(2, 3, 5), M1)
    assert getattr(Dot(2)([x, x]), "_keras_mask", None) is None
    np.testing.assert_array_equal(Arithmetic("add", right=1)(x)._keras_mask, M1)
    for index, expected in (
        ((slice(None), slice(1, None)), M1[:, 1:]),
        ((Ellipsis, slice(0, 2)), M1),
        ((slice(None), slice(None, None, -1)), M1[:, ::-1]),
        ((slice(0, 1),), M1[:1]),
        ((slice(None), -1), None),
        ((slice(None), None), None),
    ):
        found = getattr(GetItem(index)(x), "_keras_mask", None)
        if expected is None:
            assert found is None
        else:
            np.testing.assert_array_equal(found, expected)


# --- types and errors ----------------------------------------------------------------------------


def test_types():
    ids, more = np.array([[1, 2]]), np.array([[3, 4]])
    assert Add()([ids, more]).dtype == "int64"
    assert Concatenate()([ids, more]).dtype == "int64"
    assert Add()([ids, random(1, 2)]).dtype == "float32"
    assert Add()([random(1, 2), RNG.normal(size=(1, 2))]).dtype == "float32"
    assert GetItem(0)(ids).dtype == "int64"


@pytest.mark.parametrize(
    ("layer", "shapes", "text"),
    [
        (Add(), [(2, 3), (2, 5)], r"\[Add.call\] inputs: .*equal or 1, got \(2, 3\), \(2, 5\)"),
        (Add(), [(2, 3), (4, 3)], r"one batch size"),
        (Add(), [], r"a list of tensors, got a list of 0"),
        (Subtract(), [(2, 3)], r"a list of 2 tensors, got a list of 1"),
        (Subtract(), [(2, 3)] * 3, r"a list of 2 tensors, got a list of 3"),
        (Concatenate(), [(2, 3, 5), (2, 4, 5)], r"equal but for axis 2, got \(2, 3, 5\)"),
        (Concatenate(), [(2, 3), (2, 4, 3)], r"tensors of one rank"),
        (Concatenate(axis=2), [(2, 3), (2, 3)], r"with an axis 2"),
        (Dot(1), [(2, 3), (2, 5)], r"equal sizes of axis 1 of the first and 1 of the second"),
        (Dot(0), [(2, 3), (2, 3)], r"axis 0 that is not the batch axis"),
        (Dot((1, 3)), [(2, 3), (2, 3)], r"tensors with an axis 3"),
        (Dot(1), [(2, 3), (4, 3)], r"one batch size"),
        (Arithmetic("divide"), [(2, 3)] * 3, r"a list of 2 tensors, or one tensor with"),
    ],
    ids=str,
)
def test_shapes_that_do_not_fit(layer, shapes, text):
    again = type(layer).from_config(layer.get_config())
    with pytest.raises(ValueError, match=text):
        again([np.zeros(shape, "float32") for shape in shapes])
    if shapes:
        with pytest.raises(ValueError, match=text):
            again([elman.Input(batch_shape=shape) for shape in shapes])


def test_one_tensor_is_no_list():
    for layer in (Add(), Concatenate(), Dot(1)):
        with pytest.raises(ValueError, match=r"expected a list of .*; write layer\(\[a, b\]\)"):
            layer(random(2, 3))
        with pytest.raises(ValueError, match=r"expected a list of .*; write layer\(\[a, b\]\)"):
            layer(elman.Input((3,)))
    built = Add()
    built([random(2, 3), random(2, 3)])
    with pytest.raises(ValueError, match="one batch size"):
        built([random(2, 3), random(1, 3)])


def test_bad_options():
    with pytest.raises(ValueError, match=r"\[Dot\] axes: expected an int or two ints, got 3"):
        Dot((1, 2, 3))
    with pytest.raises(ValueError, match=r"\[Dot\] axes: expected an int, got 1.5"):
        Dot(1.5)
    with pytest.raises(ValueError, match=r"\[Concatenate\] axis: expected an int, got 'x'"):
        Concatenate("x")
    with pytest.raises(ValueError, match=r"unknown function 'ad'; did you mean 'add'"):
        Arithmetic("ad")
    with pytest.raises(ValueError, match="at most one constant"):
        Arithmetic("add", left=1, right=2)
    with pytest.raises(ValueError, match="a number or an array of numbers"):
        Arithmetic("add", left="1")
    with pytest.raises(TypeError, match="ints, slices, None"):
        GetItem((slice(None), [1, 2]))
    with pytest.raises(ValueError, match=r"at most one \.\.\."):
        GetItem((Ellipsis, Ellipsis))


# --- operators -----------------------------------------------------------------------------------


def test_operators_are_layers():
    a, b = elman.Input((None, 3)), elman.Input((3,))
    c = np.array([1.0, 2.0, 3.0])
    results = {
        "add": (a + b, lambda x, y: x + y[:, None]),
        "radd": (1 + a, lambda x, y: 1 + x),
        "subtract": (b - a, lambda x, y: y[:, None] - x),
        "rsubtract": (c - a, lambda x, y: c - x),
        "multiply": (a * c, lambda x, y: x * c),
        "rmultiply": (np.float64(2) * b, lambda x, y: 2 * y),
        "divide": (a / b, lambda x, y: x / y[:, None]),
        "rdivide": (1 / b, lambda x, y: 1 / y),
        "power": (b**2, lambda x, y: y**2),
        "rpower": (2**b, lambda x, y: 2**y),
        "negative": (-a, lambda x, y: -x),
        "last": (a[:, -1], lambda x, y: x[:, -1]),
        "cut": (a[:, 1::2, None], lambda x, y: x[:, 1::2, None]),
    }
    model = elman.Model([a, b], {name: tensor for name, (tensor, _) in results.items()})
    x, y = RNG.normal(size=(2, 5, 3)), RNG.uniform(1, 2, size=(2, 3))
    found = model([x, y])
    again = elman.models.model_from_json(model.to_json())([x, y])
    for name, (tensor, expected) in results.items():
        value = expected(x, y)
        assert len(tensor.shape) == value.ndim
        np.testing.assert_allclose(found[name], value, rtol=1e-5, atol=1e-5, err_msg=name)
        np.testing.assert_array_equal(again[name], found[name])


def test_gradients_of_operators():
    """Against central differences in float64."""
    elman.backend.set_floatx("float64")
    try:
        a, b = elman.Input((5, 3)), elman.Input((3,))
        model = elman.Model([a, b], ((2 * a + b) / (a**2 + 1) - b**2)[:, 1:, ::2])
        x = elman.Variable(RNG.normal(size=(2, 5, 3)))
        y = elman.Variable(RNG.normal(size=(2, 3)))
        p = RNG.normal(size=(2, 4, 2))
        with elman.GradientTape() as tape:
            loss = elman.backend.sum(model([x, y]) * p)
        for variable, gradient in zip((x, y), tape.gradient(loss, [x, y]), strict=True):
            start = variable.numpy().copy()
            for place in RNG.permutation(start.size)[:10]:
                sides = []
                for step in (1e-5, -1e-5):
                    moved = start.copy()
                    moved.flat[place] += step
                    variable.assign(moved)
                    sides.append(np.asarray(model([x, y])) * p)
                variable.assign(start)
                expected = (sides[0] - sides[1]).sum() / 2e-5
                assert abs(np.asarray(gradient).flat[place] - expected) < 1e-8
    finally:
        elman.backend.set_floatx("float32")


def test_what_symbolic_tensors_cannot_do():
    a, b = elman.Input((3,)), elman.Input((3,))
    with pytest.raises(TypeError, match=r"as matrices; use layers.Dot"):
        _ = a @ b
    with pytest.raises(TypeError, match="has no values; pass it to a layer"):
        elman.backend.sum(a)
    with pytest.raises(TypeError, match="has no values"):
        list(a)
    with pytest.raises(TypeError, match="has no values"):
        bool(a)
    with pytest.raises(TypeError, match="ints, slices, None"):
        _ = a[[0, 1]]
    with pytest.raises(TypeError, match="unsupported operand"):
        _ = a + "x"
    with pytest.raises(ValueError, match="index 3 is out of bounds"):
        _ = a[:, 3]
    with pytest.raises(ValueError, match="equal or 1"):
        _ = a + elman.Input((5,))
    with pytest.raises(ValueError, match="broadcast with the constant"):
        _ = a + np.ones((7, 5))
