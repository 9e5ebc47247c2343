# SPDX-License-Identifier: Apache-2.0
"""Stateful layers, initial states, resets."""

from __future__ import annotations

import numpy as np
import pytest

import elman
from acceptance import F, close, column, counter, lstm
from elman.layers import GRU, LSTM, RNN, LSTMCell, SimpleRNN, StackedRNNCells

X = column(1, 2, 3)
RECURRENT = [SimpleRNN, GRU, LSTM]


def test_a_stateful_counter():
    layer = counter(return_sequences=True, stateful=True)
    close(layer(X), column(1, 2.5, 4.25))
    close(layer(X), column(3.125, 3.5625, 4.78125))
    layer.reset_states()
    close(layer(X), column(1, 2.5, 4.25))
    layer.reset_states(states=[[10]])
    close(layer(X), column(6, 5, 5.5))


def test_a_stateful_lstm():
    layer = lstm(stateful=True, batch_size=2, return_sequences=False)
    layer.built = False
    layer.build((2, None, 2))
    layer.set_weights(lstm().get_weights())
    x = F((2, 3, 2), 1)
    layer(x)
    close(layer(x), [[0.049722, -0.055177], [0.097148, -0.119381]])


@pytest.mark.parametrize("cls", RECURRENT)
def test_two_calls_are_one_long_call(cls):
    whole, parts = cls(3, dtype="float64"), cls(3, stateful=True, dtype="float64")
    x = F((2, 7, 4), 2)
    whole(x), parts(x)
    parts.set_weights(whole.get_weights())
    parts.reset_states()
    parts(x[:, :5])
    np.testing.assert_allclose(parts(x[:, 5:]), whole(x), rtol=0, atol=1e-15)


@pytest.mark.parametrize("cls", RECURRENT)
def test_states_can_be_read_copied_and_set(cls):
    layer = cls(3, stateful=True)
    x = F((2, 5, 4), 2).astype(np.float32)
    layer(x)
    kept = [np.array(state) for state in layer.states]
    assert [s.shape for s in kept] == [(2, 3)] * (2 if cls is LSTM else 1)
    after = np.asarray(layer(x))
    layer.states = kept
    np.testing.assert_array_equal(layer(x), after)
    layer.reset_states(states=kept if cls is LSTM else kept[0])
    np.testing.assert_array_equal(layer(x), after)
    layer.reset_states()
    assert all((np.asarray(s) == 0).all() for s in layer.states)


def test_states_before_the_first_call():
    assert LSTM(3).states == [None, None]
    layer = GRU(3, stateful=True)
    layer.build((2, None, 4))
    close(layer.states[0], np.zeros((2, 3)))


def test_batch_size_may_change_after_a_reset():
    layer = GRU(3, stateful=True)
    layer(np.zeros((2, 5, 4)))
    with pytest.raises(ValueError, match=r"\[GRU.call\] x: expected \(2, 5, 4\), got \(3, 5, 4\)"):
        layer(np.zeros((3, 5, 4)))
    layer.reset_states()
    assert layer(np.zeros((3, 5, 4))).shape == (3, 3)
    assert layer.states[0].shape == (3, 3)


def test_an_explicit_initial_state_is_used_by_a_stateful_layer():
    layer = counter(return_sequences=True, stateful=True)
    layer(X)
    close(layer(X, initial_state=np.float32([[10]])), column(6, 5, 5.5))
    close(layer.states[0], [[5.5]])


def test_no_gradient_passes_from_call_to_call():
    layer = counter(stateful=True)
    layer(X)
    x = elman.Variable(X)
    with elman.GradientTape() as tape:
        layer(x)
        second = layer(X)
    assert tape.gradient(second, x) is None


def test_errors():
    for cls in RECURRENT:
        with pytest.raises(ValueError, match="needs a known batch size"):
            cls(3, stateful=True)(elman.Input((4, 3)))
        with pytest.raises(AttributeError, match=rf"\[{cls.__name__}.reset_states\] .*stateful"):
            cls(3).reset_states()
        with pytest.raises(AttributeError, match="not stateful"):
            cls(3).states = [np.zeros((1, 3))]
        with pytest.raises(ValueError, match="batch size is not known yet"):
            cls(3, stateful=True).reset_states()
    layer = LSTM(3, stateful=True)
    layer(np.zeros((2, 5, 4)))
    good = np.zeros((2, 3))
    for bad in ([good], [good] * 3):
        with pytest.raises(ValueError, match=r"states: expected 2 states of shapes \(2, 3\)"):
            layer.reset_states(bad)
    for shape in ((2, 4), (1, 3), (3,)):
        with pytest.raises(ValueError, match=r"reset_states\] states\[1\]: expected \(2, 3\), got"):
            layer.reset_states([good, np.zeros(shape)])


def test_reset_before_the_first_call_with_a_declared_batch():
    layer = LSTM(3, stateful=True, batch_input_shape=(2, 5, 4))
    layer.reset_states()
    assert [tuple(s.shape) for s in layer.states] == [(2, 3)] * 2


@pytest.mark.parametrize("cls", RECURRENT)
def test_initial_state_forms(cls):
    layer, x = cls(3), F((2, 5, 4), 2)
    states = [F((2, 3), 5 + k).astype(np.float32) for k in range(2 if cls is LSTM else 1)]
    expected = np.asarray(layer(x, initial_state=states))
    forms = [tuple(states), [s.tolist() for s in states], [elman.Tensor(s) for s in states]]
    forms += [[states], np.stack(states)] if cls is LSTM else [states[0], states[0].tolist()]
    for form in forms:
        np.testing.assert_array_equal(layer(x, initial_state=form), expected)
    np.testing.assert_array_equal(layer([x, *states]), expected)


def test_stateful_stack():
    cells = StackedRNNCells([LSTMCell(2), LSTMCell(3)])
    layer = RNN(cells, stateful=True)
    x = F((2, 6, 4), 1)
    layer(x[:, :4])
    parts = np.asarray(layer(x[:, 4:]))
    assert [s.shape[1] for s in layer.states] == [2, 2, 3, 3]
    layer.reset_states()
    np.testing.assert_allclose(layer(x), parts, rtol=0, atol=1e-6)


def test_get_initial_state():
    for states in (LSTM(3).get_initial_state(4), LSTM(3).get_initial_state(np.zeros((4, 2, 1)))):
        assert [tuple(s.shape) for s in states] == [(4, 3), (4, 3)]
