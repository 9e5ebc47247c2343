# SPDX-License-Identifier: Apache-2.0
"""The operations of the core against numpy: values, element types, broadcasting, errors."""

from __future__ import annotations

import math

import numpy as np
import pytest

from elman._backend import core

FLOATS = ("float32", "float64")
RNG = np.random.default_rng(7)


def close(actual, expected, ulps: float = 8.0) -> None:
    """Equal to a few units in the last place; NaN and infinities in the same places."""
    actual, expected = np.asarray(actual), np.asarray(expected)
    assert actual.shape == expected.shape
    tolerance = ulps * np.finfo(actual.dtype).eps if actual.dtype.kind == "f" else 0.0
    np.testing.assert_allclose(actual, expected, rtol=tolerance, atol=tolerance)


def draw(shape, dtype="float64", low=-3.0, high=3.0) -> np.ndarray:
    return np.asarray(RNG.uniform(low, high, size=shape)).astype(dtype)


# --- arithmetic ----------------------------------------------------------------------------------

BINARY = {
    "add": np.add,
    "subtract": np.subtract,
    "multiply": np.multiply,
    "divide": np.divide,
    "floor_divide": np.floor_divide,
    "mod": np.mod,
    "power": np.power,
    "maximum": np.maximum,
    "minimum": np.minimum,
}
SHAPES = [
    ((3, 4), (3, 4)),
    ((3, 4), (4,)),
    ((3, 4), ()),
    ((), (3, 4)),
    ((3, 1), (1, 4)),
    ((2, 3, 4), (3, 1)),
    ((1, 3, 1, 2), (5, 1, 4, 1)),
    ((0,), (1,)),
    ((2, 0), (1, 1)),
    ((), ()),
    ((257,), (257,)),
    ((300, 700), (700,)),
]


@pytest.mark.parametrize("name", BINARY)
@pytest.mark.parametrize("shapes", SHAPES, ids=str)
@pytest.mark.parametrize("dtype", FLOATS)
def test_arithmetic_with_broadcasting(name, shapes, dtype):
    a, b = draw(shapes[0], dtype), draw(shapes[1], dtype)
    if name == "power":
        a = np.abs(a)
    out = getattr(core, name)(a, b)
    assert out.dtype == dtype
    close(out, BINARY[name](a, b))


@pytest.mark.parametrize("name", BINARY)
@pytest.mark.parametrize("dtype", ["int32", "int64"])
@pytest.mark.filterwarnings("ignore::RuntimeWarning")
def test_integer_arithmetic(name, dtype):
    a, b = np.meshgrid(np.arange(-4, 5), np.arange(-4, 5))
    a, b = a.astype(dtype), b.astype(dtype)
    if name == "power":
        b = np.abs(b)
    expected = BINARY[name](a, b)
    if name == "divide":
        expected = (a.astype("float32") / b.astype("float32")).astype("float32")
    out = core.__dict__[name](a, b)
    assert out.dtype == ("float32" if name == "divide" else dtype)
    np.testing.assert_array_equal(out, expected)


def test_integers_that_overflow_wrap_and_do_not_trap():
    low = np.array([np.iinfo(np.int32).min, 5, 0], np.int32)
    np.testing.assert_array_equal(
        core.floor_divide(low, np.array([-1, 0, 0], np.int32))[1:], [0, 0]
    )
    np.testing.assert_array_equal(core.mod(low, np.array([-1, 0, 0], np.int32)), [0, 0, 0])
    np.testing.assert_array_equal(core.negative(low)[:1], low[:1])
    np.testing.assert_array_equal(core.abs(low)[:1], low[:1])
    with np.errstate(over="ignore"):
        np.testing.assert_array_equal(core.square(low), low * low)
    np.testing.assert_array_equal(core.power(np.array([2, 1, -1]), -1), [0, 1, -1])


@pytest.mark.parametrize("dtype", FLOATS)
@pytest.mark.parametrize("name", [*BINARY, "equal", "less", "less_equal", "not_equal"])
@pytest.mark.filterwarnings("ignore::RuntimeWarning")
def test_special_values_follow_ieee(name, dtype):
    special = np.array([0.0, -0.0, 1.0, -1.0, 2.5, np.inf, -np.inf, np.nan], dtype)
    a, b = np.meshgrid(special, special)
    with np.errstate(all="ignore"):
        expected = getattr(np, name)(a, b)
    out = np.asarray(getattr(core, name)(a, b))
    np.testing.assert_allclose(out, expected, rtol=1e-15 if dtype == "float64" else 1e-7)


COMPARE = ["equal", "not_equal", "less", "less_equal", "greater", "greater_equal"]


@pytest.mark.parametrize("name", COMPARE)
@pytest.mark.parametrize("dtype", [*FLOATS, "int32", "int64", "bool"])
def test_comparisons(name, dtype):
    a = RNG.integers(0, 2, size=(5, 1, 7)).astype(dtype)
    b = RNG.integers(0, 2, size=(3, 7)).astype(dtype)
    out = getattr(core, name)(a, b)
    assert out.dtype == "bool"
    np.testing.assert_array_equal(out, getattr(np, name)(a, b))


def test_operators_with_numbers_arrays_and_lists():
    x = draw((2, 3), "float32", 0.5, 2.0)
    t = core.Tensor(x)
    cases = [
        (t + 1, x + 1),
        (1 - t, 1 - x),
        (t * 2.0, x * 2),
        (1 / t, 1 / x),
        (t**2, x**2),
        (2**t, 2**x),
        (t**0.5, x**0.5),
        (t // 0.3, x // np.float32(0.3)),
        (1 % t, 1 % x),
        (-t, -x),
        (abs(-t), x),
        (x + t, x + x),
        (x @ t.T, x @ x.T),
        (t @ x.T, x @ x.T),
        (t + [1, 2, 3], x + np.float32([1, 2, 3])),
        ([1.0, 2.0, 3.0] * t, x * np.float32([1, 2, 3])),
        (np.float64(2) * t, x * 2),
        (t * np.float64(2), x * 2),
        (t * True, x),
    ]
    for out, expected in cases:
        assert isinstance(out, core.Tensor)
        assert out.dtype == "float32"
        close(out, expected)
    for out, expected in [
        (t > 1, x > 1),
        (1 >= t, 1 >= x),
        (x < t, x < x),
        ((t > 1) & (t < 1.5), (x > 1) & (x < 1.5)),
        ((t > 1) | (x < 1), (x > 1) | (x < 1)),
        ((t > 1) ^ True, ~(x > 1)),
        (~(t > 1), ~(x > 1)),
    ]:
        assert out.dtype == "bool"
        np.testing.assert_array_equal(out, expected)
    with pytest.raises(TypeError):
        t + "text"
    with pytest.raises(TypeError):
        t + None


@pytest.mark.parametrize(
    ("a", "b", "expected"),
    [
        ("float32", "float64", "float64"),
        ("float32", "int64", "float32"),
        ("float64", "int32", "float64"),
        ("int32", "int64", "int64"),
        ("bool", "float32", "float32"),
        ("bool", "int32", "int32"),
        ("bool", "bool", "int32"),
    ],
)
def test_element_types_of_two_arrays(a, b, expected):
    x, y = np.ones(3, a), np.ones(3, b)
    assert core.add(x, y).dtype == expected
    assert core.add(y, x).dtype == expected


def test_numbers_take_the_type_of_the_array():
    for dtype in FLOATS:
        assert (core.Tensor(np.ones(2, dtype)) * 0.5).dtype == dtype
        assert (core.Tensor(np.ones(2, dtype)) + 1).dtype == dtype
    ints = core.Tensor(np.ones(2, np.int32))
    assert (ints + 1).dtype == "int32"
    assert (ints * 0.5).dtype == "float32"
    assert (ints + 2**40).dtype == "int64"
    assert (core.Tensor([True]) * 0.5).dtype == "float32"


@pytest.mark.parametrize("name", [*BINARY, *COMPARE, "where"])
def test_shapes_that_do_not_broadcast(name):
    a, b = np.ones((2, 3)), np.ones((4, 2))
    args = (a > 0, a, b) if name == "where" else (a, b)
    with pytest.raises(ValueError, match=rf"\[{name}\] y: shape \(4, 2\).*x \(2, 3\); axis -1"):
        getattr(core, name)(*args)


# --- functions of one array ----------------------------------------------------------------------

UNARY = {
    "negative": (np.negative, -5, 5),
    "abs": (np.abs, -5, 5),
    "square": (np.square, -5, 5),
    "sign": (np.sign, -5, 5),
    "floor": (np.floor, -5, 5),
    "ceil": (np.ceil, -5, 5),
    "round": (np.round, -5, 5),
    "exp": (np.exp, -80, 80),
    "expm1": (np.expm1, -2, 2),
    "log": (np.log, 1e-6, 100),
    "log1p": (np.log1p, -0.9, 100),
    "sqrt": (np.sqrt, 0, 100),
    "rsqrt": (lambda x: 1 / np.sqrt(x), 0.1, 100),
    "reciprocal": (lambda x: 1 / x, 0.1, 100),
    "sin": (np.sin, -50, 50),
    "cos": (np.cos, -50, 50),
}


@pytest.mark.parametrize("name", UNARY)
@pytest.mark.parametrize("dtype", FLOATS)
@pytest.mark.parametrize("shape", [(), (0,), (3, 5), (70_001,)], ids=str)
def test_functions_of_one_array(name, dtype, shape):
    reference, low, high = UNARY[name]
    x = draw(shape, dtype, low, high)
    out = getattr(core, name)(x)
    assert out.dtype == dtype
    # The reference in float64: numpy's own float32 functions are off by a few units too.
    close(out, reference(x.astype("float64")).astype(dtype), ulps=4)


@pytest.mark.parametrize("name", UNARY)
@pytest.mark.parametrize("dtype", FLOATS)
def test_special_arguments(name, dtype):
    x = np.array([0.0, -0.0, np.inf, -np.inf, np.nan, -1.0, np.finfo(dtype).tiny / 4], dtype)
    with np.errstate(all="ignore"):
        expected = UNARY[name][0](x)
    out = np.asarray(getattr(core, name)(x))
    np.testing.assert_array_equal(np.isnan(out), np.isnan(expected))
    np.testing.assert_allclose(out, expected, rtol=1e-6)


@pytest.mark.parametrize("name", UNARY)
def test_integers_and_bools_in_functions(name):
    x = np.array([0, 1, 2, 3], np.int32)
    out = getattr(core, name)(x)
    whole = name in ("negative", "abs", "square", "sign", "floor", "ceil", "round")
    assert out.dtype == ("int32" if whole else "float32")
    with np.errstate(all="ignore"):
        close(np.asarray(out, "float64"), UNARY[name][0](x.astype("float32")), ulps=1e9)
    assert getattr(core, name)(np.array([True])).dtype == ("int32" if whole else "float32")


def test_clip():
    x = np.array([-2.0, -1.0, 0.5, 1.0, 3.0, np.nan, np.inf], np.float32)
    np.testing.assert_array_equal(core.clip(x, -1, 1), np.clip(x, -1, 1))
    np.testing.assert_array_equal(core.clip(x, None, 1), np.clip(x, None, 1))
    np.testing.assert_array_equal(core.clip(x, core.Tensor(0.0), None), np.clip(x, 0, None))


def test_tests_for_nan_and_infinities():
    x = np.array([0.0, np.nan, np.inf, -np.inf])
    np.testing.assert_array_equal(core.isnan(x), np.isnan(x))
    np.testing.assert_array_equal(core.isfinite(x), np.isfinite(x))
    np.testing.assert_array_equal(core.isfinite([1, 2]), [True, True])


def test_logic():
    a, b = np.array([0.0, 1.0, 2.0, 0.0]), np.array([True, True, False, False])
    for name in ("logical_and", "logical_or", "logical_xor"):
        np.testing.assert_array_equal(getattr(core, name)(a, b), getattr(np, name)(a, b))
    np.testing.assert_array_equal(core.logical_not(a), np.logical_not(a))


# --- reductions ----------------------------------------------------------------------------------

REDUCE = ["sum", "mean", "prod", "max", "min"]
AXES = [None, 0, 1, -1, (0, 1), (0, 2), (1, 2), (0, 1, 2), ()]


@pytest.mark.parametrize("name", REDUCE)
@pytest.mark.parametrize("axis", AXES, ids=str)
@pytest.mark.parametrize("keepdims", [False, True])
@pytest.mark.parametrize("dtype", [*FLOATS, "int32", "int64"])
def test_reductions(name, axis, keepdims, dtype):
    x = draw((5, 3, 7), "float64", 0.5, 2.0).astype(dtype)
    out = getattr(core, name)(x, axis, keepdims)
    expected = getattr(np, name)(x.astype("float64"), axis=axis, keepdims=keepdims)
    assert out.dtype == ("float32" if name == "mean" and dtype[0] == "i" else dtype)
    close(out, expected.astype(out.dtype), ulps=64)


@pytest.mark.parametrize("shape", [(1,), (100_003,), (7, 10_001), (10_001, 7), (3, 5000, 300)])
@pytest.mark.parametrize("dtype", FLOATS)
def test_sums_of_many_terms_are_accurate_and_the_same_at_any_thread_count(shape, dtype):
    x = draw(shape, dtype, 0.0, 1.0)
    for axis in (None, 0, -1):
        results = []
        for threads in (1, 2, 3, 5):
            core.set_num_threads(threads)
            results.append(np.asarray(core.sum(x, axis)).tobytes())
        assert len(set(results)) == 1
        exact = np.sum(x.astype("longdouble"), axis=axis).astype("float64")
        out = np.asarray(core.sum(x, axis)).astype("float64")
        terms = x.size / max(1, exact.size)
        bound = (8 + math.log2(terms + 1)) * np.finfo(dtype).eps
        np.testing.assert_allclose(out, exact, rtol=bound)


def test_reductions_of_nothing_and_of_nan():
    empty = np.zeros((0, 3))
    np.testing.assert_array_equal(core.sum(empty, 0), np.zeros(3))
    np.testing.assert_array_equal(core.prod(empty, 0), np.ones(3))
    assert core.sum(empty, 1).shape == (0,)
    assert core.max(empty, 1).shape == (0,)
    assert np.isnan(core.mean(empty)).all()
    for name in ("max", "min"):
        with pytest.raises(ValueError, match="no elements"):
            getattr(core, name)(empty, 0)
        x = np.array([[1.0, np.nan], [2.0, 3.0]])
        np.testing.assert_array_equal(getattr(core, name)(x, 1), getattr(np, name)(x, 1))
    assert float(core.sum(np.array([True, True]))) == 2.0


def test_axis_errors():
    x = np.ones((2, 3))
    with pytest.raises(IndexError, match=r"\[sum\] axis.*\(2, 3\), got 2"):
        core.sum(x, 2)
    with pytest.raises(ValueError, match="twice"):
        core.sum(x, (0, -2))
    with pytest.raises(TypeError, match="expected integers"):
        core.sum(x, "0")
    with pytest.raises(TypeError, match="expected integers"):
        core.sum(x, (0, 1.5))


@pytest.mark.parametrize("axis", [0, 1, -1, None])
@pytest.mark.parametrize("dtype", [*FLOATS, "int64"])
def test_argmax_and_argmin(axis, dtype):
    x = RNG.integers(0, 4, size=(6, 9)).astype(dtype)
    np.testing.assert_array_equal(core.argmax(x, axis), np.argmax(x, axis))
    np.testing.assert_array_equal(core.argmin(x, axis), np.argmin(x, axis))
    if dtype == "float64":
        x[2, 3] = x[4, 1] = np.nan
        np.testing.assert_array_equal(core.argmax(x, axis), np.argmax(x, axis))
        np.testing.assert_array_equal(core.argmin(x, axis), np.argmin(x, axis))
    with pytest.raises(ValueError, match="no elements"):
        core.argmax(np.zeros((2, 0)))


def test_any_all_cumsum():
    x = np.array([[0.0, 2.0, np.nan], [0.0, 0.0, 0.0]])
    for axis in (None, 0, 1):
        np.testing.assert_array_equal(core.any(x, axis), np.any(x, axis))
        np.testing.assert_array_equal(core.all(x, axis), np.all(x, axis))
    y = draw((3, 4, 2))
    for axis in (0, 1, -1):
        close(core.cumsum(y, axis), np.cumsum(y, axis))


# --- softmax -------------------------------------------------------------------------------------


@pytest.mark.parametrize("axis", [0, 1, -1])
@pytest.mark.parametrize("dtype", FLOATS)
def test_softmax(axis, dtype):
    x = draw((5, 3, 9), dtype, -20, 20)
    wide = x.astype("float64")
    e = np.exp(wide - wide.max(axis, keepdims=True))
    p = e / e.sum(axis, keepdims=True)
    close(core.softmax(x, axis), p.astype(dtype), ulps=16)
    log = wide - wide.max(axis, keepdims=True) - np.log(e.sum(axis, keepdims=True))
    close(core.log_softmax(x, axis), log.astype(dtype), ulps=64)
    close(core.activation(x, "softmax", axis), p.astype(dtype), ulps=16)
    total = np.log(np.exp(wide).sum(axis))
    close(core.logsumexp(x, axis), total.astype(dtype), ulps=64)
    assert core.logsumexp(x, axis, True).shape == np.max(x, axis, keepdims=True).shape


def test_softmax_of_extreme_rows():
    inf = np.inf
    x = np.array([[1000.0, 1000.0], [-1000.0, 0.0], [-inf, 0.0], [inf, 0.0], [np.nan, 1.0]])
    p = np.asarray(core.softmax(x))
    np.testing.assert_array_equal(p[:3], [[0.5, 0.5], [0.0, 1.0], [0.0, 1.0]])
    assert np.isnan(p[3:]).any(axis=1).all()
    total = np.asarray(core.logsumexp(x, 1))
    np.testing.assert_allclose(total[:4], [1000 + math.log(2), 0, 0, inf])
    assert np.isnan(total[4])
    assert float(core.logsumexp(np.full(3, -inf))) == -inf
    assert core.softmax(np.zeros((2, 0))).shape == (2, 0)
    np.testing.assert_array_equal(core.logsumexp(np.zeros((2, 0)), 1), [-inf, -inf])
    with pytest.raises(IndexError, match="axis"):
        core.softmax(1.0)


def test_unknown_activation_lists_the_names():
    with pytest.raises(ValueError, match=r"'tahn'.*tanh"):
        core.activation([1.0], "tahn")
