# SPDX-License-Identifier: Apache-2.0
"""elman.backend: Keras' functions on tensors, arrays and numbers, against numpy."""

from __future__ import annotations

import numpy as np
import pytest

import elman
from acceptance import F

K = elman.backend
X, Y = F((3, 4), 1), F((3, 4), 2)
CUBE = F((2, 3, 4), 3)
POSITIVE = X + 1.1


def check(got, expected, dtype="float64"):
    got = np.asarray(got)
    assert got.shape == np.shape(expected)
    assert got.dtype == dtype
    np.testing.assert_allclose(got, expected, rtol=1e-12, atol=1e-12)


ELEMENTWISE = {
    "add": (K.add, np.add),
    "subtract": (K.subtract, np.subtract),
    "multiply": (K.multiply, np.multiply),
    "divide": (K.divide, np.divide),
    "pow": (K.pow, np.power),
    "maximum": (K.maximum, np.maximum),
    "minimum": (K.minimum, np.minimum),
}


@pytest.mark.parametrize("name", ELEMENTWISE)
def test_two_operands(name):
    function, expected = ELEMENTWISE[name]
    check(function(POSITIVE, Y + 2), expected(POSITIVE, Y + 2))
    check(function(elman.Tensor(POSITIVE), 2.0), expected(POSITIVE, 2.0))
    check(function(POSITIVE, elman.Tensor(Y[0] + 2)), expected(POSITIVE, Y[0] + 2))
    check(function(2.0, elman.Tensor(POSITIVE)), expected(2.0, POSITIVE))


@pytest.mark.parametrize(
    ("function", "expected"),
    [
        (K.abs, np.abs),
        (K.sign, np.sign),
        (K.exp, np.exp),
        (K.square, np.square),
        (K.sin, np.sin),
        (K.cos, np.cos),
        (K.transpose, np.transpose),
        (K.flatten, np.ravel),
        (K.zeros_like, np.zeros_like),
        (K.ones_like, np.ones_like),
        (K.identity, np.array),
        (K.stop_gradient, np.array),
        (K.std, np.std),
        (K.var, np.var),
    ],
    ids=lambda f: f.__name__,
)
def test_one_operand(function, expected):
    check(function(X), expected(X))


def test_logarithm_and_root():
    check(K.log(POSITIVE), np.log(POSITIVE))
    check(K.sqrt(X), np.sqrt(np.maximum(X, 0)))
    check(K.clip(X, -0.2, 0.3), np.clip(X, -0.2, 0.3))


@pytest.mark.parametrize(
    ("name", "expected"),
    [
        ("equal", np.equal),
        ("not_equal", np.not_equal),
        ("greater", np.greater),
        ("greater_equal", np.greater_equal),
        ("less", np.less),
        ("less_equal", np.less_equal),
    ],
)
def test_comparisons(name, expected):
    for a, b in ((X, Y), (X, 0.1)):
        got = np.asarray(getattr(K, name)(elman.Tensor(a), b))
        np.testing.assert_array_equal(got, expected(a, b))
        assert got.dtype == bool


@pytest.mark.parametrize("name", ["sum", "mean", "prod", "max", "min"])
@pytest.mark.parametrize("axis", [None, 0, -1, (0, 2), [1]])
@pytest.mark.parametrize("keepdims", [False, True])
def test_reductions(name, axis, keepdims):
    along = tuple(axis) if isinstance(axis, list) else axis
    expected = getattr(np, name)(CUBE, axis=along, keepdims=keepdims)
    check(getattr(K, name)(CUBE, axis, keepdims), expected)


def test_other_reductions():
    check(K.logsumexp(X, axis=1), np.log(np.exp(X).sum(1)))
    check(K.cumsum(X, axis=1), np.cumsum(X, 1))
    np.testing.assert_array_equal(K.argmax(X), X.argmax(-1))
    np.testing.assert_array_equal(K.argmin(X, axis=0), X.argmin(0))
    np.testing.assert_array_equal(K.any(X > 0.4, axis=1), (X > 0.4).any(1))
    np.testing.assert_array_equal(K.all(X > -0.4, axis=1), (X > -0.4).all(1))
    check(K.mean(np.array([1, 2])), 1.5, K.floatx())
    norm = np.sqrt((X**2).sum(1, keepdims=True))
    check(K.l2_normalize(X, axis=1), X / norm)


def test_products():
    check(K.dot(X, Y.T), X @ Y.T)
    check(K.dot(CUBE, F((4, 5), 1)), CUBE @ F((4, 5), 1))
    check(K.dot(CUBE, F((5, 4, 2), 1)), np.dot(CUBE, F((5, 4, 2), 1)))
    check(K.batch_dot(CUBE, F((2, 4, 5), 1)), CUBE @ F((2, 4, 5), 1))
    check(
        K.batch_dot(CUBE, F((2, 3, 5), 1), axes=1), np.einsum("ntf,ntg->nfg", CUBE, F((2, 3, 5), 1))
    )
    check(K.batch_dot(CUBE, F((2, 5, 4), 1), axes=(2, 2)), CUBE @ F((2, 5, 4), 1).swapaxes(1, 2))
    check(K.bias_add(CUBE, X[0]), CUBE + X[0])
    check(K.bias_add(CUBE, X[0, :3], "channels_first"), CUBE + X[0, :3, None])


def test_form():
    check(K.reshape(CUBE, (4, -1)), CUBE.reshape(4, -1))
    check(K.permute_dimensions(CUBE, (2, 0, 1)), CUBE.transpose(2, 0, 1))
    check(K.expand_dims(X, 1), X[:, None])
    check(K.squeeze(X[:, None], 1), X)
    check(K.batch_flatten(CUBE), CUBE.reshape(2, 12))
    check(K.concatenate([X, Y], axis=0), np.concatenate([X, Y]))
    check(K.concatenate([X, Y]), np.concatenate([X, Y], -1))
    check(K.stack([X, Y], axis=1), np.stack([X, Y], 1))
    for got, want in zip(K.unstack(CUBE, 1), CUBE.swapaxes(0, 1), strict=True):
        check(got, want)
    check(K.slice(CUBE, (0, 1, 2), (-1, 2, 1)), CUBE[:, 1:3, 2:3])
    check(K.repeat_elements(X, 2, axis=1), np.repeat(X, 2, 1))
    check(K.repeat(X, 3), np.repeat(X[:, None], 3, 1))
    check(K.tile(X, (2, 3)), np.tile(X, (2, 3)))
    check(K.reverse(CUBE, 1), CUBE[:, ::-1])
    check(K.reverse(CUBE, (0, 2)), CUBE[::-1, :, ::-1])


def test_look_ups():
    check(K.gather(X, [2, 0, 2]), X[[2, 0, 2]])
    check(K.gather(X, np.array([[1], [0]])), X[[[1], [0]]])
    check(K.one_hot([1, 0, 2], 3), np.eye(3)[[1, 0, 2]], K.floatx())
    check(K.switch(X > 0, X, Y), np.where(X > 0, X, Y))
    check(K.switch(np.array([True, False, True]), lambda: X, lambda: Y), [X[0], Y[1], X[2]])
    check(K.where(X > 0, X, 0.0), np.where(X > 0, X, 0))


def test_making():
    check(K.zeros((2, 3)), np.zeros((2, 3)), "float32")
    check(K.ones([2], dtype="float64"), np.ones(2))
    check(K.eye(3), np.eye(3), "float32")
    check(K.constant([1, 2]), [1, 2], "float32")
    check(K.constant(3, shape=(2, 2), dtype="float64"), np.full((2, 2), 3.0))
    np.testing.assert_array_equal(K.arange(2, 8, 2), [2, 4, 6])
    check(K.cast(np.array([1, 2]), "float64"), [1, 2])
    draws = K.get_value(K.random_uniform((200, 200), -1.0, 3.0, seed=1))
    assert -1 <= draws.min() < -0.99
    assert 2.99 < draws.max() <= 3
    np.testing.assert_array_equal(draws, K.random_uniform((200, 200), -1.0, 3.0, seed=1))
    assert abs(K.eval(K.random_normal((200, 200), 2.0)).mean() - 2) < 0.05
    kept = K.eval(K.dropout(np.ones((200, 200)), 0.25))
    assert set(np.unique(kept)) == {0.0, 1 / 0.75}


def test_reading():
    variable = K.variable(X, name="v")
    assert (K.shape(X), K.int_shape(variable), K.ndim(CUBE)) == ((3, 4), (3, 4), 3)
    assert (K.dtype(variable), K.dtype(X)) == ("float32", "float64")
    assert K.is_tensor(variable)
    assert not K.is_tensor(X)
    K.set_value(variable, Y)
    np.testing.assert_allclose(K.get_value(variable), Y, rtol=1e-6)
    copy = K.get_value(variable)
    copy[:] = 0
    assert (K.eval(variable) != 0).any()


GRADIENTS = {
    "dot": lambda x: K.dot(x, Y.T),
    "batch_dot": lambda x: K.batch_dot(K.expand_dims(x, 1), F((3, 4, 2), 1)),
    "bias_add": lambda x: K.bias_add(CUBE[0] * 1.0, x[0]),
    "divide": lambda x: K.divide(1.0, x + 2.0),
    "pow": lambda x: K.pow(x + 2.0, 3.0),
    "maximum": lambda x: K.maximum(x, Y),
    "clip": lambda x: K.clip(x, -0.25, 0.25),
    "exp": K.exp,
    "log": lambda x: K.log(x + 2.0),
    "sqrt": lambda x: K.sqrt(x + 2.0),
    "mean": lambda x: K.mean(x, axis=0),
    "max": lambda x: K.max(x, axis=1),
    "std": lambda x: K.std(x, axis=1),
    "reshape": lambda x: K.reshape(x, (2, 6)),
    "permute": lambda x: K.permute_dimensions(x, (1, 0)),
    "concatenate": lambda x: K.concatenate([x, x * 2.0], axis=0),
    "stack": lambda x: K.stack([x, x * x]),
    "slice": lambda x: K.slice(x, (1, 0), (2, 2)),
    "index": lambda x: x[1:, ::2],
    "gather": lambda x: K.gather(x, [2, 2, 0]),
    "switch": lambda x: K.switch(Y > 0, x, x * 3.0),
    "repeat": lambda x: K.repeat(x, 2),
    "tile": lambda x: K.tile(x, (2, 1)),
    "reverse": lambda x: K.reverse(x, 1),
    "softmax": K.softmax,
    "l2_normalize": lambda x: K.l2_normalize(x, axis=1),
}


@pytest.mark.parametrize("name", GRADIENTS)
def test_gradients(name):
    function = GRADIENTS[name]
    values = X + 0.013 * np.arange(12).reshape(3, 4)  # no ties
    x = elman.Variable(values)
    with elman.GradientTape() as tape:
        y = function(x)
        weights = F(tuple(y.shape), 6) + 0.05
        total = K.sum(y * weights)
    numeric = np.zeros_like(values)
    for place in np.ndindex(3, 4):
        sides = []
        for step in (1e-6, -1e-6):
            changed = values.copy()
            changed[place] += step
            sides.append(float(K.sum(function(elman.Tensor(changed)) * weights)))
        numeric[place] = (sides[0] - sides[1]) / 2e-6
    np.testing.assert_allclose(tape.gradient(total, x), numeric, rtol=1e-6, atol=1e-8)
