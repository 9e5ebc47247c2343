# SPDX-License-Identifier: Apache-2.0
"""Wrong input raises an error that says where, what was expected and what came."""

from __future__ import annotations

import re

import numpy as np
import pytest

import elman
from elman import layers

RECURRENT = ["SimpleRNN", "GRU", "LSTM"]
X = np.linspace(-1, 1, 30, dtype=np.float32).reshape(2, 5, 3)


def make(name: str, *args, **kwargs):
    return getattr(layers, name)(*args, **kwargs)


def built(name: str, **kwargs):
    layer = make(name, 4, **kwargs)
    layer(X)
    return layer


def raises(*parts: str, kind=ValueError):
    """An error whose text has the parts in this order."""
    return pytest.raises(kind, match=".*".join(re.escape(p) for p in parts))


# --- shapes ------------------------------------------------------------------------------------


@pytest.mark.parametrize("shape", [(), (3,), (2, 3), (2, 5, 3, 1)], ids=str)
@pytest.mark.parametrize("name", RECURRENT)
def test_recurrent_rank(name, shape):
    for layer in (make(name, 4), built(name)):
        with raises(f"[{name}.call]", "x", "(N, T,", str(shape)):
            layer(np.zeros(shape, np.float32))


@pytest.mark.parametrize("name", RECURRENT)
def test_feature_count_after_build(name):
    layer = built(name)
    with raises(f"[{name}.call]", "expected (N, T, 3)", "got (4, 10, 5)", "feature"):
        layer(np.zeros((4, 10, 5), np.float32))
    assert np.isfinite(layer(X)).all()  # the failure left the layer as it was


def test_generic_rnn():
    layer = layers.RNN(layers.LSTMCell(4))
    layer(X)
    with raises("[RNN.call]", "(N, T, 3)", "(2, 5, 4)"):
        layer(np.zeros((2, 5, 4), np.float32))
    for cell in (None, object(), 3, []):
        with pytest.raises((TypeError, ValueError), match=r"\[(RNN|StackedRNNCells)"):
            layers.RNN(cell)


def test_dense_and_embedding_shapes():
    with raises("[Dense.call]", "(3,)"):
        layers.Dense(4)(np.zeros(3, np.float32))
    dense = layers.Dense(4)
    dense(np.zeros((2, 3), np.float32))
    with raises("[Dense.call]", "3", "(2, 7)"):
        dense(np.zeros((2, 7), np.float32))
    with raises("[Embedding.call]", "5", "(2, 7)"):
        layers.Embedding(9, 4, input_length=5)(np.zeros((2, 7), np.int32))


@pytest.mark.parametrize("name", RECURRENT)
@pytest.mark.parametrize("shape", [(2, 6), (3, 5), (5,), (2, 5, 3), ()], ids=str)
def test_mask_shape(name, shape):
    with raises(f"[{name}.call]", "mask", "(2, 5)", str(shape)):
        make(name, 4)(X, mask=np.ones(shape, bool))


NO_MASKS = [
    ("abc", TypeError, "str"),
    (object(), TypeError, "object"),
    ({"a": 1}, TypeError, "dict"),
    ([[1], [1, 2]], ValueError, "list"),
    (np.array([["a"] * 5] * 2), TypeError, "ndarray"),
    (np.ones((2, 5), complex), TypeError, "complex128"),
]


@pytest.mark.parametrize(("mask", "kind", "got"), NO_MASKS, ids=lambda v: type(v).__name__)
@pytest.mark.parametrize("name", [*RECURRENT, "Dense"])
def test_mask_type(name, mask, kind, got):
    for x in (X, elman.Input((5, 3))):
        with raises(f"[{name}.call] mask: expected a boolean (N, T) array, got", got, kind=kind):
            make(name, 4)(x, mask=mask)


@pytest.mark.parametrize("name", RECURRENT)
def test_masks_of_several_inputs(name):
    """Of a list of masks the first is the one of x; None stands for no mask."""
    layer, mask = make(name, 4), np.array([[1, 0, 1, 1, 0]] * 2, bool)
    np.testing.assert_array_equal(layer(X, mask=[mask, None]), layer(X, mask=mask))
    np.testing.assert_array_equal(layer(X, mask=[None, mask]), layer(X))


@pytest.mark.parametrize("name", RECURRENT)
def test_initial_state(name):
    count = 2 if name == "LSTM" else 1
    layer = make(name, 4)
    good = np.zeros((2, 4), np.float32)
    for states in ([good] * (count + 1), [good] * (count - 1), [good] * 7):
        with raises(f"[{name}.call]", "initial_state", str(count), str(len(states))):
            layer(X, initial_state=states)
    for shape in ((2, 5), (3, 4), (4,), (2, 4, 1), (1, 4)):
        with raises(f"[{name}.call]", "initial_state", "(2, 4)", str(shape)):
            layer(X, initial_state=[np.zeros(shape, np.float32)] * count)


# --- values ------------------------------------------------------------------------------------


@pytest.mark.parametrize(
    "ids",
    [
        [[0, -1]],
        [[9, 0]],
        [[2**31]],
        [[2**63 - 1]],
        [[-(2**63)]],
        np.array([[2**64 - 1]], np.uint64),
        [[np.nan, 1.0]],
        [[np.inf]],
        [[-np.inf]],
        [[1e30]],
        np.array([[np.nan]], np.float32),
        np.array([[-1]], np.int8),
    ],
    ids=repr,
)
@pytest.mark.parametrize("mask_zero", [False, True])
def test_embedding_indices(ids, mask_zero):
    layer = layers.Embedding(9, 4, mask_zero=mask_zero)
    with pytest.raises((IndexError, ValueError), match=r"\[Embedding.*9"):
        layer(np.asarray(ids))


@pytest.mark.parametrize(
    "dtype", ["int8", "uint8", "int16", "uint16", "int32", "uint32", "int64", "uint64", "float32"]
)
def test_embedding_takes_every_number_type(dtype):
    layer = layers.Embedding(9, 4)
    table = np.asarray(layer(np.arange(9)[None]))[0]
    ids = np.array([[1, 8, 0], [3, 3, 7]])
    np.testing.assert_array_equal(layer(ids.astype(dtype)), table[ids])


@pytest.mark.parametrize("bad", [np.zeros((2, 5, 3), complex), X.astype(str), X.astype(object)])
@pytest.mark.parametrize("name", RECURRENT)
def test_types_that_are_no_numbers(name, bad):
    if bad.dtype == object:
        bad[0, 0, 0] = None
    with pytest.raises((TypeError, ValueError), match=str(bad.dtype)[:6]):
        make(name, 4)(bad)


@pytest.mark.parametrize("name", RECURRENT)
@pytest.mark.parametrize("dtype", ["float64", "float16", "int64", "int8", "uint16", "bool"])
def test_types_that_are_numbers(name, dtype):
    layer = built(name)
    x = (X * 3).astype(dtype)
    np.testing.assert_array_equal(layer(x), layer(x.astype(np.float32)))
    mask = np.array([[1, 1, 0, 1, 0], [0, 1, 1, 1, 1]])
    expected = np.asarray(layer(X, mask=mask.astype(bool)))
    np.testing.assert_array_equal(layer(X, mask=mask.astype(dtype)), expected)


@pytest.mark.parametrize("name", RECURRENT)
def test_nan_and_huge_values(name):
    layer = built(name)
    for value in (1e38, -1e38, 1e-42):
        assert np.isfinite(layer(np.full_like(X, value))).all(), value
    spoiled = X.copy()
    spoiled[1, 2, 0] = np.nan
    output = np.asarray(layer(spoiled))
    assert np.isnan(output[1]).all(), "NaN must not be swallowed"
    np.testing.assert_array_equal(output[0], np.asarray(layer(X))[0])


# --- arguments ---------------------------------------------------------------------------------


@pytest.mark.parametrize("units", [0, -1, -(2**40), 2.5, "3", None, [4], True, np.nan])
@pytest.mark.parametrize("name", [*RECURRENT, "Dense", "LSTMCell", "GRUCell", "SimpleRNNCell"])
def test_units(name, units):
    with raises(f"[{name}", "units", "positive int", repr(units)):
        make(name, units)


@pytest.mark.parametrize("sizes", [(0, 4), (4, 0), (-1, 4), (4, 1.5), (None, 4)], ids=str)
def test_embedding_sizes(sizes):
    with raises("[Embedding", "positive int"):
        layers.Embedding(*sizes)


@pytest.mark.parametrize(
    ("wrong", "right"),
    [
        ("retrun_sequences", "return_sequences"),
        ("recurent_dropout", "recurrent_dropout"),
        ("go_backward", "go_backwards"),
        ("kernel_initialiser", "kernel_initializer"),
        ("usebias", "use_bias"),
    ],
)
@pytest.mark.parametrize("name", RECURRENT)
def test_unknown_argument_names_the_closest(name, wrong, right):
    with raises(f"[{name}", wrong, right, kind=TypeError):
        make(name, 4, **{wrong: True})


@pytest.mark.parametrize(
    "option",
    [
        "activation",
        "recurrent_activation",
        "kernel_initializer",
        "recurrent_initializer",
        "bias_initializer",
        "kernel_regularizer",
        "bias_constraint",
    ],
)
def test_unknown_names(option):
    for value in ("nope", 3.5, {"class_name": "Nope", "config": {}}):
        with pytest.raises((TypeError, ValueError), match=rf"\[LSTM.*{option}"):
            layers.LSTM(4, **{option: value})


@pytest.mark.parametrize(
    ("option", "value"),
    [
        ("implementation", 3),
        ("implementation", "2"),
        ("dropout", "0.5"),
        ("dropout", np.nan),
        ("return_sequences", "yes"),
        ("return_state", None),
        ("dtype", "int32"),
        ("dtype", "float16"),
        ("input_shape", "abc"),
        ("name", 3),
    ],
)
def test_option_values(option, value):
    with raises("[LSTM", option, repr(value)):
        layers.LSTM(4, **{option: value})


@pytest.mark.parametrize("argument", ["loss", "optimizer", "metrics"])
def test_compile_with_unknown_names(argument):
    model = elman.Sequential([layers.Dense(2)])
    given = {"loss": "mse", "optimizer": "sgd", "metrics": ["mae"]}
    given[argument] = ["nope"] if argument == "metrics" else "nope"
    with raises("nope"):
        model.compile(**given)
        model.fit(np.zeros((4, 3)), np.zeros((4, 2)), verbose=0)


# --- weights -----------------------------------------------------------------------------------


@pytest.mark.parametrize("name", [*RECURRENT, "Dense"])
def test_mismatched_weight_list(name):
    layer = built(name)
    weights = layer.get_weights()
    wrong = [
        weights[:-1],
        [*weights, weights[0]],
        [],
        [weights[0].T.copy(), *weights[1:]],
        [*weights[:-1], weights[-1][..., :-1]],
        [weights[0][None], *weights[1:]],
        [*weights[:-1], np.float32(1)],
    ]
    for bad in wrong:
        with raises(f"[{name}.set_weights]", "expected", "got"):
            layer.set_weights([np.asarray(w) + 1 for w in bad])
        # all or nothing: a list that fails at its end changes no weight
        for kept, old in zip(layer.get_weights(), weights, strict=True):
            np.testing.assert_array_equal(kept, old)


def test_mismatched_weight_list_of_a_model():
    model = elman.Sequential([layers.LSTM(4), layers.Dense(2)])
    model(X)
    weights = model.get_weights()
    for bad in (weights[:3], [*weights, weights[0]], weights[::-1]):
        with raises("set_weights]", "expected", "got"):
            model.set_weights([w + 1 for w in bad])
        for kept, old in zip(model.get_weights(), weights, strict=True):
            np.testing.assert_array_equal(kept, old)


# --- models ------------------------------------------------------------------------------------


def test_model_calls_in_the_wrong_order():
    model = elman.Sequential([layers.Dense(2)])
    with pytest.raises((RuntimeError, ValueError), match="compile"):
        model.fit(np.zeros((4, 3)), np.zeros((4, 2)))
    with pytest.raises(ValueError, match=r"build|shape"):
        elman.Sequential([layers.Dense(2)]).summary()
    with raises("Sequential", kind=TypeError):
        elman.Sequential([layers.Dense(2), "dense"])


def test_sizes_of_x_and_y():
    model = elman.Sequential([layers.Dense(2)])
    model.compile(optimizer="sgd", loss="mse")
    for x, y in ((4, 5), (5, 4), (0, 4), (0, 0)):
        with pytest.raises(ValueError, match=r"\[Sequential.*(samples|empty|length|rows)"):
            model.fit(np.zeros((x, 3)), np.zeros((y, 2)), verbose=0)


def test_a_recurrent_layer_after_one_without_sequences():
    with raises("[LSTM", "(N, T,", "return_sequences"):
        elman.Sequential([layers.LSTM(4, input_shape=(5, 3)), layers.LSTM(2)])
