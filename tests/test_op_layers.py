# SPDX-License-Identifier: Apache-2.0
"""dense, embedding, dropout, the cross-entropies and the optimizer kernels of the core."""

from __future__ import annotations

import numpy as np
import pytest

from elman._backend import core
from test_op_gradients import ACTIVATIONS, check_gradient

RNG = np.random.default_rng(5)
POINTWISE = [name for name in ACTIVATIONS if "softmax" not in name]


def draw(*shape: int, low: float = -2.0, high: float = 2.0) -> np.ndarray:
    return np.asarray(RNG.uniform(low, high, size=shape))


# --- dense ---------------------------------------------------------------------------------------


@pytest.mark.parametrize("shape", [(5, 3), (2, 5, 3), (2, 1, 5, 3), (0, 3), (5, 0)], ids=str)
@pytest.mark.parametrize("bias", [True, False])
def test_dense(shape, bias):
    x, kernel, b = draw(*shape), draw(shape[-1], 7), draw(7)
    args = (x, kernel, b) if bias else (x, kernel)
    expected = x @ kernel + (b if bias else 0)
    np.testing.assert_allclose(core.dense(*args), expected, atol=1e-13)
    check_gradient(core.dense, *args)
    check_gradient(lambda *a: core.dense(*a, *([] if bias else [None]), "tanh"), *args)


@pytest.mark.parametrize("activation", POINTWISE)
def test_dense_with_every_activation(activation):
    x, kernel, bias = draw(4, 3) + 0.011, draw(3, 5), draw(5)
    out = core.dense(x, kernel, bias, activation)
    np.testing.assert_allclose(out, core.activation(x @ kernel + bias, activation), atol=1e-13)
    check_gradient(lambda *a: core.dense(*a, activation), x, kernel, bias)


def test_dense_shares_one_gradient_over_time_steps():
    kernel, bias, x = core.Variable(draw(3, 3)), core.Variable(draw(3)), draw(2, 3)
    with core.Tape() as tape:
        h = core.Tensor(x)
        for _ in range(5):
            h = core.dense(h, kernel, bias, "tanh")
    with core.Tape() as other:
        g = core.Tensor(x)
        for _ in range(5):
            g = core.activation(core.matmul(g, kernel) + bias, "tanh")
    for a, b in zip(
        tape.gradient(h, [kernel, bias]), other.gradient(g, [kernel, bias]), strict=True
    ):
        np.testing.assert_allclose(a, b, atol=1e-12)


def test_dense_errors():
    x, kernel = np.ones((2, 3)), np.ones((3, 4))
    with pytest.raises(ValueError, match=r"\[dense\] x: expected at least \(N, F\), got \(3,\)"):
        core.dense(x[0], kernel)
    with pytest.raises(ValueError, match=r"kernel: expected \(3, 4\).*got \(5, 4\).*features of x"):
        core.dense(x, np.ones((5, 4)))
    with pytest.raises(ValueError, match=r"bias: expected \(4,\)"):
        core.dense(x, kernel, np.ones(3))
    with pytest.raises(ValueError, match=r"got .* float32"):
        core.dense(x, kernel.astype("float32"))
    with pytest.raises(ValueError, match="unknown name 'rleu'"):
        core.dense(x, kernel, None, "rleu")
    assert core.dense(np.ones((2, 3), np.int32), kernel).dtype == "float64"


# --- embedding -----------------------------------------------------------------------------------


@pytest.mark.parametrize("dtype", ["int32", "int64", "float32", "uint8"])
@pytest.mark.parametrize("shape", [(), (4,), (2, 3), (0,), (2, 0, 3)], ids=str)
def test_embedding(dtype, shape):
    table = draw(6, 5)
    ids = np.asarray(RNG.integers(0, 6, size=shape)).astype(dtype)
    np.testing.assert_array_equal(core.embedding(ids, table), table[ids.astype(int)])
    check_gradient(lambda t: core.embedding(ids, t), table)


@pytest.mark.parametrize(
    ("ids", "error", "text"),
    [
        ([[1, 2], [3, 6]], IndexError, r"id 6 at position \(1, 1\).*0 <= id < 6"),
        ([-1], IndexError, r"id -1 at position \(0,\)"),
        ([1.0, float("nan")], ValueError, r"whole numbers, got nan at position \(1,\)"),
        ([0.5], ValueError, "whole numbers, got 0.5"),
        ([float("inf")], ValueError, "whole numbers, got inf"),
        ([1e30], IndexError, "outside of the table"),
        ([True], ValueError, "got bool"),
        (["a"], TypeError, "expected an array of numbers"),
    ],
)
def test_embedding_errors(ids, error, text):
    with pytest.raises(error, match=rf"\[embedding\] ids: .*{text}"):
        core.embedding(ids, np.ones((6, 2)))


def test_embedding_gradients_are_the_same_at_any_thread_count():
    table = core.Variable(np.zeros((30, 300), np.float32))
    ids = RNG.integers(0, 30, size=5000)
    weights = draw(5000, 300).astype("float32")
    found = set()
    for threads in (1, 2, 3, 5):
        core.set_num_threads(threads)
        with core.Tape() as tape:
            y = core.embedding(ids, table) * weights
        found.add(np.asarray(tape.gradient(y, table)).tobytes())
    assert len(found) == 1


# --- dropout -------------------------------------------------------------------------------------


@pytest.mark.parametrize("dtype", ["float32", "float64"])
def test_dropout_and_its_gradient_use_one_mask(dtype):
    x = core.Variable(np.ones((200, 50), dtype))
    with core.Tape() as tape:
        y = core.dropout(x, 0.4, seed=3, counter=9)
    mask = np.asarray(core.dropout_mask((200, 50), 0.4, dtype, 3, 9))
    np.testing.assert_array_equal(y, mask)
    np.testing.assert_array_equal(tape.gradient(y, x), mask)
    assert abs(float((mask == 0).mean()) - 0.4) < 0.03
    np.testing.assert_allclose(mask[mask > 0], 1 / 0.6, rtol=1e-6)
    other = np.asarray(core.dropout(x, 0.4, seed=3, counter=10))
    assert (other != mask).any()
    np.testing.assert_array_equal(core.dropout(x, 0.0, 1, 1), x)
    with pytest.raises(ValueError, match="rate"):
        core.dropout(x, 1.0, 1, 1)


# --- cross-entropies -----------------------------------------------------------------------------


def softmax(x: np.ndarray) -> np.ndarray:
    e = np.exp(x - x.max(-1, keepdims=True))
    return e / e.sum(-1, keepdims=True)


@pytest.mark.parametrize("shape", [(4, 3), (2, 5, 7), (3, 1), (0, 3)], ids=str)
@pytest.mark.parametrize("logits", [False, True])
def test_categorical(shape, logits):
    x = draw(*shape) if logits else draw(*shape, low=0.05, high=1.0)
    y = softmax(draw(*shape))
    p = softmax(x) if logits else x / x.sum(-1, keepdims=True)
    clipped = p if logits else np.clip(p, 1e-7, 1 - 1e-7)
    expected = -(y * np.log(clipped)).sum(-1)
    out = core.categorical_crossentropy(y, x, logits)
    np.testing.assert_allclose(out, expected, atol=1e-12)
    check_gradient(lambda x: core.categorical_crossentropy(y, x, logits), x)
    ids = np.asarray(RNG.integers(0, shape[-1], size=shape[:-1]))
    rows = np.eye(shape[-1])[ids]
    for labels in (ids, ids[..., None], ids.astype("float32")):
        np.testing.assert_allclose(
            core.sparse_categorical_crossentropy(labels, x, logits),
            core.categorical_crossentropy(rows, x, logits),
            atol=1e-12,
        )
    check_gradient(lambda x: core.sparse_categorical_crossentropy(ids, x, logits), x)


@pytest.mark.parametrize("logits", [False, True])
def test_binary(logits):
    x = draw(4, 5, low=-4, high=4) if logits else draw(4, 5, low=0.01, high=0.99)
    y = draw(4, 5, low=0.0, high=1.0)
    p = 1 / (1 + np.exp(-x)) if logits else x
    expected = -(y * np.log(p) + (1 - y) * np.log(1 - p))
    np.testing.assert_allclose(core.binary_crossentropy(y, x, logits), expected, atol=1e-12)
    check_gradient(lambda x: core.binary_crossentropy(y, x, logits), x)


@pytest.mark.parametrize("dtype", ["float32", "float64"])
def test_extreme_predictions_give_finite_losses(dtype):
    one = np.array([[1.0, 0.0]], dtype)
    worst = -np.log(1e-7)
    for loss in (core.categorical_crossentropy, core.binary_crossentropy):
        out = np.asarray(loss(one, one[:, ::-1]))
        np.testing.assert_allclose(out, np.full(out.shape, worst), rtol=0.02)
        assert np.isfinite(np.asarray(loss(one, 1e4 * one, True))).all()
    far = np.array([[1000.0, -1000.0]], dtype)
    np.testing.assert_allclose(core.categorical_crossentropy(one, far, True), [0.0], atol=1e-6)
    np.testing.assert_allclose(core.categorical_crossentropy(one, -far, True), [2000.0])
    np.testing.assert_allclose(core.binary_crossentropy(one, -far, True), [[1000.0, 1000.0]])
    assert np.isnan(np.asarray(core.categorical_crossentropy(one, one * np.nan))).all()


def test_cross_entropy_errors():
    p = np.full((2, 3), 1 / 3)
    with pytest.raises(IndexError, match=r"id 3 at position \(1,\)"):
        core.sparse_categorical_crossentropy([0, 3], p)
    with pytest.raises(ValueError, match=r"y_true: expected ids of shape \(2,\), got \(3,\)"):
        core.sparse_categorical_crossentropy([0, 1, 2], p)
    with pytest.raises(ValueError, match=r"y_true: expected \(2, 3\).*got \(2, 2\)"):
        core.categorical_crossentropy(p[:, :2], p)
    with pytest.raises(ValueError, match="y_true"):
        core.binary_crossentropy(p[:1], p)
    with pytest.raises(ValueError, match="y_pred"):
        core.categorical_crossentropy(1.0, 1.0)


# --- optimizers ----------------------------------------------------------------------------------


def variables(count: int, dtype: str = "float64") -> list[core.Variable]:
    return [core.Variable(np.zeros(1000, dtype)) for _ in range(count)]


@pytest.mark.parametrize("momentum", [0.0, 0.9])
@pytest.mark.parametrize("nesterov", [False, True])
def test_sgd(momentum, nesterov):
    w, velocity = variables(2)
    a, v = np.zeros(1000), np.zeros(1000)
    for _ in range(3):
        g = draw(1000)
        core.sgd_update(w, core.Tensor(g), velocity if momentum else None, 0.1, momentum, nesterov)
        v = momentum * v - 0.1 * g
        a = a + (momentum * v - 0.1 * g if nesterov and momentum else v)
        np.testing.assert_allclose(w, a, rtol=1e-13, atol=1e-14)


@pytest.mark.parametrize("momentum", [0.0, 0.9])
@pytest.mark.parametrize("centered", [False, True])
def test_rmsprop(momentum, centered):
    w, squares, mean, last = variables(4)
    a, r, m, u = (np.zeros(1000) for _ in range(4))
    for _ in range(3):
        g = draw(1000)
        core.rmsprop_update(
            w, core.Tensor(g), squares, mean if centered else None, last if momentum else None,
            0.01, 0.9, momentum, 1e-7, centered,
        )  # fmt: skip
        r = 0.9 * r + 0.1 * g * g
        m = 0.9 * m + 0.1 * g
        step = 0.01 * g / np.sqrt(r - (m * m if centered else 0) + 1e-7)
        u = momentum * u + step
        a = a - u
        np.testing.assert_allclose(w, a, rtol=1e-11, atol=1e-12)


@pytest.mark.parametrize("amsgrad", [False, True])
@pytest.mark.parametrize("decay", [0.0, 0.1])
@pytest.mark.parametrize("dtype", ["float32", "float64"])
def test_adam(amsgrad, decay, dtype):
    w, mean, squares, largest = variables(4, dtype)
    w.assign(1.0)
    a, m, v, top = np.ones(1000), np.zeros(1000), np.zeros(1000), np.zeros(1000)
    for t in range(1, 4):
        g = draw(1000)
        core.adam_update(
            w, core.Tensor(g.astype(dtype)), mean, squares, largest if amsgrad else None,
            0.01, 0.9, 0.999, 1e-7, t, decay,
        )  # fmt: skip
        a = a - 0.01 * decay * a
        m = m + (g - m) * 0.1
        v = v + (g * g - v) * 0.001
        top = np.maximum(top, v)
        alpha = 0.01 * np.sqrt(1 - 0.999**t) / (1 - 0.9**t)
        a = a - alpha * m / (np.sqrt(top if amsgrad else v) + 1e-7)
        np.testing.assert_allclose(w, a, rtol=1e-12 if dtype == "float64" else 1e-5)


def test_updates_leave_views_alone_and_check_their_operands():
    w, slot = variables(2)
    view = np.asarray(w)
    core.sgd_update(w, core.Tensor(np.ones(1000)), slot, 1.0, 0.0, False)
    np.testing.assert_array_equal(view, np.zeros(1000))
    np.testing.assert_array_equal(w, -np.ones(1000))
    with pytest.raises(ValueError, match=r"gradient: expected \(1000,\) float64.*\(2,\)"):
        core.sgd_update(w, core.Tensor(np.ones(2)), slot, 1.0, 0.0, False)
    with pytest.raises(ValueError, match="slot: expected a variable of its own"):
        core.sgd_update(w, core.Tensor(np.ones(1000)), w, 1.0, 0.0, False)
    with pytest.raises(ValueError, match="float32"):
        core.sgd_update(w, core.Tensor(np.ones(1000, "float32")), slot, 1.0, 0.0, False)


def test_squared_norm_is_the_same_at_any_thread_count():
    parts = [draw(100_003), draw(5), draw(3, 0), draw(7, 9).astype("float32")]
    found = set()
    for threads in (1, 2, 3):
        core.set_num_threads(threads)
        found.add(core.squared_norm(parts))
    assert len(found) == 1
    exact = sum(float((p.astype("float64") ** 2).sum()) for p in parts)
    np.testing.assert_allclose(found.pop(), exact, rtol=1e-13)
