# SPDX-License-Identifier: Apache-2.0
"""Dropout in cells and layers: where the zeros are, when they change, how they are seeded."""

from __future__ import annotations

import numpy as np
import pytest

import elman
from acceptance import with_weights
from elman.layers import GRU, LSTM, RNN, Dropout, GRUCell, LSTMCell, SimpleRNN, StackedRNNCells

K = elman.backend

X = np.random.default_rng(3).normal(size=(5, 7, 3)).astype(np.float32)
RECURRENT = [SimpleRNN, GRU, LSTM]


def test_input_dropout_is_the_same_at_every_step():
    layer = SimpleRNN(4, activation=None, dropout=0.5, return_sequences=True)
    layer = with_weights(layer, 4, [np.eye(4), np.zeros((4, 4)), np.zeros(4)])
    x = np.ones((6, 5, 4))
    first, second = (np.asarray(layer(x, training=True)) for _ in range(2))
    assert (first == first[:, :1]).all()
    assert set(np.unique(first)) == {0.0, 2.0}
    assert (first != second).any()
    assert (np.asarray(layer(x)) == 1).all()
    assert (np.asarray(layer(x, training=False)) == 1).all()


def test_state_dropout_is_the_same_at_every_step():
    layer = SimpleRNN(1, activation=None, recurrent_dropout=0.5, return_sequences=True)
    layer = with_weights(layer, 1, [[[0]], [[1]], [1]])
    found = np.asarray(layer(np.zeros((50, 3, 1)), training=True))[..., 0]
    assert {tuple(row) for row in found.tolist()} == {(1.0, 1.0, 1.0), (1.0, 3.0, 7.0)}


@pytest.mark.parametrize(("implementation", "share"), [(2, 0.5), (1, 0.125), (0, 0.125)])
@pytest.mark.parametrize("python", [False, True], ids=["kernel", "python"])
def test_masks_are_shared_by_the_gates_or_one_for_each(implementation, share, python):
    linear = (lambda x: x) if python else None
    layer = LSTM(
        1,
        activation=linear,
        recurrent_activation=linear,
        dropout=0.5,
        implementation=implementation,
        recurrent_dropout=0.5,  # does not change how masks are shared
    )
    layer = with_weights(layer, 1, [np.ones((1, 4)), np.zeros((1, 4)), np.zeros(4)])
    found = np.asarray(layer(np.ones((20000, 1, 1)), training=True))
    assert set(np.unique(found)) == {0.0, 8.0}
    assert abs((found == 8).mean() - share) < 0.02


@pytest.mark.parametrize("cls", RECURRENT)
@pytest.mark.parametrize("rate", [0.0, 1.0])
def test_a_rate_of_zero_or_one_drops_nothing(cls, rate):
    layer = cls(4, dropout=rate, recurrent_dropout=rate)
    np.testing.assert_array_equal(layer(X, training=True), layer(X))


@pytest.mark.parametrize("cls", RECURRENT)
@pytest.mark.parametrize("implementation", [1, 2])
def test_kernel_and_python_draw_the_same_masks(cls, implementation):
    kwargs = {
        "dropout": 0.3,
        "recurrent_dropout": 0.4,
        "implementation": implementation,
        "return_sequences": True,
        "seed": 5,
        "dtype": "float64",
    }
    fused = cls(4, **kwargs)
    slow = cls(4, activation=lambda x: K.tanh(x), **kwargs)
    fused(X), slow(X)
    slow.set_weights(fused.get_weights())
    assert "step by step" in slow.explain(X)
    for _ in range(2):
        np.testing.assert_allclose(
            slow(X, training=True), fused(X, training=True), rtol=0, atol=1e-14
        )


@pytest.mark.parametrize("cls", RECURRENT)
def test_seeds(cls):
    layers = [cls(4, dropout=0.5, seed=seed) for seed in (1, 1, 2)]
    for layer in layers:
        layer(X)
        layer.set_weights(layers[0].get_weights())
    a, b, c = (np.asarray(layer(X, training=True)) for layer in layers)
    np.testing.assert_array_equal(a, b)
    assert (a != c).any()


def test_the_global_seed():
    outputs = []
    for _ in range(2):
        elman.utils.set_random_seed(11)
        layer = LSTM(4, dropout=0.5, recurrent_dropout=0.5)
        outputs.append([np.asarray(layer(X, training=True)) for _ in range(2)])
    np.testing.assert_array_equal(outputs[0], outputs[1])
    assert (outputs[0][0] != outputs[0][1]).any()


@pytest.mark.parametrize("cls", [GRUCell, LSTMCell])
@pytest.mark.parametrize(("implementation", "masks"), [(1, None), (2, 1)])
def test_a_cell_called_in_training_keeps_its_masks(cls, implementation, masks):
    cell = cls(4, dropout=0.5, recurrent_dropout=0.5, implementation=implementation)
    states = [np.ones((5, 4), np.float32)] * (2 if cls is LSTMCell else 1)
    call = lambda: np.asarray(cell(X[:, 0], states, training=True)[0])  # noqa: E731
    first = call()
    np.testing.assert_array_equal(call(), first)
    mask = cell.get_dropout_mask(X[:, 0])
    assert tuple(mask.shape) == (masks or cell.gates, 5, 3)
    assert set(np.unique(mask)) == {0.0, 2.0}
    assert tuple(cell.get_recurrent_dropout_mask(states[0]).shape) == (masks or cell.gates, 5, 4)
    cell.reset_dropout_mask()
    cell.reset_recurrent_dropout_mask()
    assert (call() != first).any()
    assert (np.asarray(cell(X[:, 0], states)[0]) != first).any()


def test_a_subclassed_cell_gets_one_mask_per_call_of_the_layer():
    class Mine(LSTMCell):
        def call(self, inputs, states, training=None):
            return super().call(inputs, states, training)

    def build(cell):
        layer = RNN(cell, return_sequences=True)
        layer(X)
        return layer

    kwargs = {"dropout": 0.5, "recurrent_dropout": 0.5, "seed": 3}
    mine, plain = build(Mine(4, **kwargs)), build(LSTMCell(4, **kwargs))
    mine.set_weights(plain.get_weights())
    for _ in range(2):
        got, want = mine(X, training=True), plain(X, training=True)
        np.testing.assert_allclose(got, want, rtol=0, atol=1e-6)


def test_dropout_in_a_stack():
    cells = [LSTMCell(4, dropout=0.5), GRUCell(3, recurrent_dropout=0.5)]
    layer = RNN(StackedRNNCells(cells))
    a, b = (np.asarray(layer(X, training=True)) for _ in range(2))
    assert (a != b).any()
    np.testing.assert_array_equal(layer(X), layer(X))


# --- the layer ---------------------------------------------------------------------------------


def test_dropout_layer():
    layer, x = Dropout(0.25, seed=3), np.ones((40, 50), np.float32)
    assert (np.asarray(layer(x)) == 1).all()
    a, b = (np.asarray(layer(x, training=True)) for _ in range(2))
    assert set(np.unique(a)) == {0.0, np.float32(1 / 0.75)}
    assert abs((a == 0).mean() - 0.25) < 0.03
    assert (a != b).any()
    np.testing.assert_array_equal(Dropout(0.25, seed=3)(x, training=True), a)
    for rate in (0.0, 1.0):
        np.testing.assert_array_equal(Dropout(rate)(x, training=True), x)


def test_noise_shape():
    x = np.ones((20, 6, 30), np.float32)
    found = np.asarray(Dropout(0.5, noise_shape=(None, 1, None))(x, training=True))
    assert (found == found[:, :1]).all()
    assert set(np.unique(found)) == {0.0, 2.0}
    with pytest.raises(ValueError, match=r"\[Dropout.call\] x: expected 2 axes"):
        Dropout(0.5, noise_shape=(1, 3))(x, training=True)
