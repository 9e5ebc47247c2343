# SPDX-License-Identifier: Apache-2.0
"""Gradients of every operation against central differences in float64, and their shapes."""

from __future__ import annotations

from collections.abc import Callable, Sequence

import numpy as np
import pytest

from elman._backend import core

RNG = np.random.default_rng(11)


def draw(*shape: int, low: float = -2.0, high: float = 2.0) -> np.ndarray:
    return np.asarray(RNG.uniform(low, high, size=shape))


def spaced(*shape: int) -> np.ndarray:
    """Distinct numbers at least 0.05 apart and away from 0: no extreme has a tie nearby."""
    n = int(np.prod(shape))
    values = (np.arange(n) - n // 2) * 0.1 + 0.0173
    return np.asarray(RNG.permutation(values).reshape(shape))


def differences(f: Callable[..., float], args: list[np.ndarray], i: int) -> np.ndarray:
    """Central differences of a scalar function by its i-th argument."""
    out, step = np.zeros_like(args[i]), 1e-6
    for at in np.ndindex(args[i].shape):
        ends = []
        for sign in (1, -1):
            moved = [a.copy() for a in args]
            moved[i][at] += sign * step
            ends.append(f(*moved))
        out[at] = (ends[0] - ends[1]) / (2 * step)
    return out


def check_gradient(f: Callable[..., core.Tensor], *args: np.ndarray) -> None:
    """The tape against differences, for every argument and with random output weights."""
    args = tuple(np.asarray(a) for a in args)  # arithmetic makes numbers of scalars
    weights = [None]

    def total(*values) -> core.Tensor:
        out = f(*values)
        outs = out if isinstance(out, list) else [out]
        if weights[0] is None:
            weights[0] = [draw(*o.shape) for o in outs]
        terms = [core.sum(o * w) for o, w in zip(outs, weights[0], strict=True)]
        return core.sum(core.stack(terms))

    sources = [core.Variable(a) for a in args]
    with core.Tape() as tape:
        target = total(*sources)
    found = tape.gradient(target, sources)
    for i, (gradient, arg) in enumerate(zip(found, args, strict=True)):
        assert gradient is not None, f"argument {i} is not connected"
        assert (gradient.shape, gradient.dtype) == (arg.shape, "float64")
        expected = differences(lambda *v: float(total(*v)), list(args), i)
        scale = max(1.0, float(np.abs(expected).max(initial=0.0)))
        np.testing.assert_allclose(gradient, expected, rtol=0, atol=2e-8 * scale)


def ids(case) -> str:
    return str(case)


# --- arithmetic ----------------------------------------------------------------------------------

SHAPES = [
    ((3, 4), (3, 4)),
    ((3, 4), (4,)),
    ((), (2, 3)),
    ((3, 1), (1, 4)),
    ((2, 3, 4), (3, 1)),
    ((1, 3, 1), (2, 1, 4)),
    ((0, 2), (2,)),
    ((1,), (0,)),
]


@pytest.mark.parametrize("name", ["add", "subtract", "multiply", "divide", "power", "mod"])
@pytest.mark.parametrize("shapes", SHAPES, ids=ids)
def test_arithmetic(name, shapes):
    a, b = draw(*shapes[0], low=0.5, high=2.0), draw(*shapes[1], low=0.55, high=2.0)
    if name == "mod":
        a, b = a + 4.0, np.round(b, 1) + 0.013  # away from the jumps
    check_gradient(getattr(core, name), a, b)


@pytest.mark.parametrize("name", ["maximum", "minimum"])
@pytest.mark.parametrize("shapes", SHAPES, ids=ids)
def test_extremes_of_two(name, shapes):
    check_gradient(getattr(core, name), spaced(*shapes[0]), spaced(*shapes[1]) + 0.03)


def test_equal_elements_share_the_gradient():
    a, b = core.Variable([1.0, 2.0, 3.0]), core.Variable([1.0, 5.0, 0.0])
    with core.Tape(persistent=True) as tape:
        high, low = core.maximum(a, b), core.minimum(a, b)
    np.testing.assert_array_equal(tape.gradient(high, a), [0.5, 0, 1])
    np.testing.assert_array_equal(tape.gradient(high, b), [0.5, 1, 0])
    np.testing.assert_array_equal(tape.gradient(low, a), [0.5, 1, 0])


def test_powers_at_zero():
    x = core.Variable([0.0, 0.0, 2.0])
    y = core.Variable([0.0, 2.0, 3.0])
    with core.Tape() as tape:
        target = x**y
    dx, dy = tape.gradient(target, [x, y])
    np.testing.assert_array_equal(dx, [0, 0, 12])
    np.testing.assert_allclose(dy, [0, 0, 8 * np.log(2)], rtol=1e-6)


def test_operators_use_the_same_gradients():
    check_gradient(
        lambda x, y: (2.0 - x) * y / (x + 3.0) - y**2 + 1 / x**0.5,
        *[draw(3, 2, low=0.5, high=2.0), draw(2, low=0.5, high=2.0)],
    )


# --- functions -----------------------------------------------------------------------------------

UNARY = [
    "negative",
    "abs",
    "square",
    "exp",
    "expm1",
    "log",
    "log1p",
    "sqrt",
    "rsqrt",
    "reciprocal",
    "sin",
    "cos",
]
ACTIVATIONS = [
    "linear",
    "relu",
    "sigmoid",
    "tanh",
    "hard_sigmoid",
    "hard_sigmoid_v3",
    "softplus",
    "softsign",
    "elu",
    "exponential",
    "selu",
    "silu",
    "gelu",
    "mish",
    "relu6",
    "leaky_relu",
    "softmax",
    "log_softmax",
]


@pytest.mark.parametrize("name", UNARY)
@pytest.mark.parametrize("shape", [(), (0,), (3, 5), (37,)], ids=ids)
def test_functions(name, shape):
    low = 0.3 if name in ("log", "sqrt", "rsqrt", "reciprocal") else 0.1
    x = draw(*shape, low=low, high=3.0)
    check_gradient(getattr(core, name), x if low == 0.3 else x - 0.05)


@pytest.mark.parametrize("name", ACTIVATIONS)
def test_activations(name):
    check_gradient(lambda x: core.activation(x, name), spaced(7, 11))


@pytest.mark.parametrize("name", ["floor", "ceil", "round", "sign", "argmax", "isnan"])
def test_piecewise_constant_functions_connect_nothing(name):
    x = core.Variable([1.5, 2.5])
    with core.Tape() as tape:
        y = core.cast(getattr(core, name)(x), "float32")
    assert tape.gradient(y, x) is None


def test_clip():
    check_gradient(lambda x: core.clip(x, -0.5, 1.02), spaced(5, 8))
    x = core.Variable([-1.0, 0.0, 1.0, 2.0])
    with core.Tape() as tape:
        y = core.clip(x, 0.0, 1.0)
    np.testing.assert_array_equal(tape.gradient(y, x), [0, 1, 1, 0])


@pytest.mark.parametrize("axis", [0, 1, 2, -1])
def test_softmax(axis):
    x = draw(3, 4, 5)
    check_gradient(lambda x: core.softmax(x, axis), x)
    check_gradient(lambda x: core.log_softmax(x, axis), x)
    check_gradient(lambda x: core.logsumexp(x, axis), x)
    check_gradient(lambda x: core.logsumexp(x, (0, axis) if axis % 3 else (0, 2), True), x)


# --- reductions ----------------------------------------------------------------------------------


@pytest.mark.parametrize("name", ["sum", "mean", "prod", "max", "min"])
@pytest.mark.parametrize("axis", [None, 0, -1, (0, 2), (1, 2), ()], ids=ids)
@pytest.mark.parametrize("keepdims", [False, True])
def test_reductions(name, axis, keepdims):
    check_gradient(lambda x: getattr(core, name)(x, axis, keepdims), spaced(2, 3, 4))


def test_products_with_zeros():
    x = draw(3, 4)
    x[0, 1] = x[1, 2] = x[1, 3] = 0.0
    check_gradient(lambda x: core.prod(x, 1), x)
    check_gradient(lambda x: core.prod(x), x)


def test_extremes_share_the_gradient_among_equals():
    x = core.Variable([[1.0, 3.0, 3.0], [2.0, 2.0, 2.0]])
    with core.Tape() as tape:
        y = core.max(x, 1)
    np.testing.assert_allclose(tape.gradient(y, x), [[0, 0.5, 0.5], [1 / 3] * 3], rtol=1e-7)


@pytest.mark.parametrize("axis", [0, 1, -1])
def test_cumsum(axis):
    check_gradient(lambda x: core.cumsum(x, axis), draw(3, 4, 2))


@pytest.mark.parametrize("name", ["sum", "mean", "prod"])
def test_reductions_of_nothing(name):
    check_gradient(lambda x: getattr(core, name)(x, 0), draw(0, 3))
    check_gradient(lambda x: getattr(core, name)(x, 1), draw(0, 3))


# --- products ------------------------------------------------------------------------------------

MATMUL = [
    ((3, 4), (4, 5)),
    ((4,), (4,)),
    ((4,), (4, 5)),
    ((3, 4), (4,)),
    ((2, 3, 4), (4, 5)),
    ((2, 3, 4), (2, 4, 5)),
    ((2, 1, 3, 4), (5, 4, 2)),
    ((4, 3), (2, 3, 2)),
    ((2, 1, 3), (1, 3, 4)),
    ((0, 3), (3, 2)),
    ((2, 0), (0, 3)),
    ((2, 3), (3, 0)),
    ((0, 2, 3), (0, 3, 2)),
    ((2, 2, 4), (4,)),
    ((4,), (2, 4, 3)),
]


@pytest.mark.parametrize("shapes", MATMUL, ids=ids)
def test_matmul(shapes):
    a, b = draw(*shapes[0]), draw(*shapes[1])
    np.testing.assert_allclose(core.matmul(a, b), a @ b, atol=1e-13)
    check_gradient(core.matmul, a, b)


DOT = [
    ((3, 4), (4, 5)),
    ((2, 3, 4), (4, 5)),
    ((3, 4), (2, 4, 5)),
    ((2, 3, 4), (2, 3, 4, 5)),
    ((3, 4), (4,)),
    ((4,), (4,)),
    ((), (2, 3)),
    ((4,), (4, 2)),
    ((2, 0), (0, 3)),
]


@pytest.mark.parametrize("shapes", DOT, ids=ids)
def test_dot(shapes):
    a, b = draw(*shapes[0]), draw(*shapes[1])
    expected = a * b if a.ndim == 0 else np.tensordot(a, b, (-1, 0 if b.ndim == 1 else -2))
    np.testing.assert_allclose(core.dot(a, b), expected, atol=1e-13)
    check_gradient(core.dot, a, b)


BATCH_DOT: list[tuple[tuple[int, ...], tuple[int, ...], object, str]] = [
    ((2, 3, 4), (2, 4, 5), None, "nij,njk->nik"),
    ((2, 4), (2, 4), None, "nj,nj->n"),
    ((2, 4), (2, 4), 1, "nj,nj->n"),
    ((2, 4), (2, 4, 5), None, "nj,njk->nk"),
    ((2, 3, 4), (2, 4), (2, 1), "nij,nj->ni"),
    ((2, 3, 4), (2, 5, 4), (2, 2), "nij,nkj->nik"),
    ((2, 4, 3), (2, 4, 5), (1, 1), "nji,njk->nik"),
    ((2, 3, 4, 5), (2, 6, 4), (2, -1), "nijk,nlj->nikl"),
]


@pytest.mark.parametrize("case", BATCH_DOT, ids=ids)
def test_batch_dot(case):
    sa, sb, axes, rule = case
    a, b = draw(*sa), draw(*sb)
    expected = np.einsum(rule, a, b)
    out = core.batch_dot(a, b, axes)
    assert out.shape == (expected.shape if expected.ndim > 1 else (*expected.shape, 1))
    np.testing.assert_allclose(np.asarray(out).reshape(expected.shape), expected, atol=1e-13)
    check_gradient(lambda x, y: core.batch_dot(x, y, axes), a, b)


def test_product_errors():
    with pytest.raises(ValueError, match=r"\[matmul\] y: expected 3 rows.*\(2, 3\), got \(4, 2\)"):
        core.matmul(np.ones((2, 3)), np.ones((4, 2)))
    with pytest.raises(ValueError, match=r"\[dot\] y: expected 3 elements"):
        core.dot(np.ones((2, 3)), np.ones((4, 2)))
    with pytest.raises(ValueError, match="batch"):
        core.batch_dot(np.ones((2, 3)), np.ones((2, 3)), 0)
    with pytest.raises(ValueError, match="equal length"):
        core.batch_dot(np.ones((2, 3)), np.ones((3, 3)))
    with pytest.raises(ValueError, match=r"\[bias_add\] bias: expected one value"):
        core.bias_add(np.ones((2, 3)), np.ones(2))


def test_bias_add():
    check_gradient(core.bias_add, draw(2, 3, 4), draw(4))


# --- arrangement ---------------------------------------------------------------------------------

ARRANGE: dict[str, tuple[Callable, Callable]] = {
    "reshape": (lambda x: core.reshape(x, (4, -1)), lambda x: x.reshape(4, -1)),
    "transpose": (core.transpose, np.transpose),
    "transpose_021": (lambda x: core.transpose(x, (0, 2, 1)), lambda x: x.transpose(0, 2, 1)),
    "transpose_120": (lambda x: core.transpose(x, (1, 2, 0)), lambda x: x.transpose(1, 2, 0)),
    "expand_dims": (lambda x: core.expand_dims(x, 1), lambda x: np.expand_dims(x, 1)),
    "squeeze": (lambda x: core.squeeze(x[:, :1], 1), lambda x: x[:, 0]),
    "broadcast_to": (
        lambda x: core.broadcast_to(x[:, :1], (5, 2, 3, 4)),
        lambda x: np.broadcast_to(x[:, :1], (5, 2, 3, 4)),
    ),
    "repeat": (lambda x: core.repeat(x, 3, 1), lambda x: np.repeat(x, 3, 1)),
    "repeat_0": (lambda x: core.repeat(x, 0, -1), lambda x: np.repeat(x, 0, -1)),
    "tile": (lambda x: core.tile(x, (2, 1, 3)), lambda x: np.tile(x, (2, 1, 3))),
    "tile_more": (lambda x: core.tile(x, (2, 1, 1, 2)), lambda x: np.tile(x, (2, 1, 1, 2))),
    "reverse": (lambda x: core.reverse(x, (0, -1)), lambda x: x[::-1, :, ::-1]),
    "slice": (lambda x: core.slice(x, (0, 1, 1), (2, 2, -1)), lambda x: x[:, 1:3, 1:]),
    "steps": (lambda x: x[::-1, ::2, -1:0:-2], lambda x: x[::-1, ::2, -1:0:-2]),
    "column": (lambda x: x[:, 1], lambda x: x[:, 1]),
    "new_axis": (lambda x: x[None, ..., 0], lambda x: x[None, ..., 0]),
    "empty": (lambda x: x[2:], lambda x: x[2:]),
    "array": (lambda x: x[:, [2, 0, 0]], lambda x: x[:, [2, 0, 0]]),
    "pairs": (lambda x: x[[0, 1, 0], [2, 2, 2]], lambda x: x[[0, 1, 0], [2, 2, 2]]),
    "mask": (lambda x: x[np.eye(2, 3) > 0], lambda x: x[np.eye(2, 3) > 0]),
    "gather": (lambda x: core.gather(x, [[1, 0], [1, 1]], 2), lambda x: x[:, :, [[1, 0], [1, 1]]]),
    "astype": (lambda x: core.cast(x, "float64") * 1.0, lambda x: x),
    "identity": (core.identity, lambda x: x),
}


@pytest.mark.parametrize("name", ARRANGE)
def test_arrangement(name):
    f, reference = ARRANGE[name]
    x = draw(2, 3, 4)
    np.testing.assert_array_equal(f(core.Tensor(x)), reference(x))
    check_gradient(lambda x: f(x * 1.0), x)


@pytest.mark.parametrize(
    "shape", [(70, 90), (33, 2, 65), (2, 3, 4, 5), (1, 7, 1), (0, 3, 2)], ids=ids
)
@pytest.mark.parametrize("dtype", ["float64", "int32", "bool"])
def test_transpositions_of_larger_arrays(shape, dtype):
    x = RNG.integers(0, 2, size=shape).astype(dtype)
    for perm in {tuple(RNG.permutation(len(shape))) for _ in range(6)}:
        np.testing.assert_array_equal(core.transpose(x, perm), x.transpose(perm))


@pytest.mark.parametrize("axis", [0, 1, -1])
def test_joining(axis):
    a, b, c = draw(2, 3, 4), draw(2, 3, 4), draw(2, 3, 4)
    stacked = core.stack([a, b, c], axis)
    np.testing.assert_array_equal(stacked, np.stack([a, b, c], axis))
    check_gradient(lambda *x: core.stack(list(x), axis), a, b, c)
    joined = core.concatenate([a, b[..., :0], c] if axis == -1 else [a, b, c], axis)
    assert joined.shape[axis] == a.shape[axis] * (2 if axis == -1 else 3)
    check_gradient(lambda *x: core.concatenate(list(x), axis), a, b, c)
    check_gradient(lambda x: core.unstack(x, axis), a)
    # Only one of the slices is used: the others get zeros.
    check_gradient(lambda x: core.unstack(x, axis)[-1] * 2.0, a)


def test_where():
    condition = RNG.integers(0, 2, size=(3, 4)).astype(bool)
    check_gradient(lambda x, y: core.where(condition, x, y), draw(3, 4), draw(4))
    check_gradient(lambda x, y: core.where(condition[:, :1], x, y), draw(1, 4), draw())


ERRORS: Sequence[tuple[Callable[[np.ndarray], object], type, str]] = [
    (lambda x: core.reshape(x, (5,)), ValueError, r"\[reshape\] shape: cannot make \(5\).*24"),
    (lambda x: core.reshape(x, (-1, -1)), ValueError, "at most one -1"),
    (lambda x: core.reshape(x, (2**40, 2**40)), ValueError, "cannot make"),
    (lambda x: core.transpose(x, (0, 0, 1)), ValueError, "each axis"),
    (lambda x: core.transpose(x, (0, 1)), ValueError, "each axis"),
    (lambda x: core.expand_dims(x, 5), IndexError, r"-4 <= axis < 4"),
    (lambda x: core.squeeze(x, 0), ValueError, "axis of size 1"),
    (lambda x: core.concatenate([x, x[0]]), ValueError, r"got \(3, 4\) at position 1"),
    (lambda x: core.concatenate([x, x[:, :2]], 0), ValueError, r"got \(2, 2, 4\) at position 1"),
    (lambda x: core.concatenate([]), ValueError, "empty list"),
    (lambda x: core.stack([x, x[0]]), ValueError, "position 1"),
    (lambda x: core.stack([x], 7), IndexError, "axis"),
    (lambda x: core.gather(x, [2]), IndexError, r"id 2 at position \(0,\).*0 <= id < 2"),
    (lambda x: core.gather(x, [-1]), IndexError, "id -1"),
    (lambda x: core.gather(x, [np.nan]), ValueError, r"whole numbers, got nan at position \(0,\)"),
    (lambda x: core.gather(x, [True]), ValueError, "got bool"),
    (lambda x: core.one_hot([0], -1), ValueError, "num_classes"),
    (lambda x: core.tile(x, (-1,)), ValueError, "repeats"),
    (lambda x: core.slice(x, (0, 0, 0), (3, 1, 1)), IndexError, "axis 0"),
    (lambda x: core.broadcast_to(x, (3, 3, 4)), ValueError, "broadcast"),
    (lambda x: core.broadcast_to(x, (4,)), ValueError, "broadcast"),
]


@pytest.mark.parametrize("case", range(len(ERRORS)))
def test_errors(case):
    f, error, text = ERRORS[case]
    with pytest.raises(error, match=text):
        f(draw(2, 3, 4))


def test_one_hot():
    np.testing.assert_array_equal(core.one_hot([0, 2], 3), np.eye(3)[[0, 2]])
    np.testing.assert_array_equal(
        core.one_hot(np.array([1.0, 5.0, -1.0]), 2), [[0, 1], [0, 0], [0, 0]]
    )
    assert core.one_hot([[1]], 2, "int32").dtype == "int32"
