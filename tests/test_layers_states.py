# SPDX-License-Identifier: Apache-2.0
"""Stateful layers, initial states, resets."""

from __future__ import annotations

import copy
import pickle
from concurrent.futures import ThreadPoolExecutor

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


@pytest.mark.parametrize("cls", RECURRENT)
def test_the_declared_batch_size_holds_from_the_first_call_on(cls):
    text = r"x: expected \(2, 5, 4\), got \(3, 5, 4\); a stateful layer keeps its batch size"
    three = np.ones((3, 5, 4), "float32")
    declared = cls(3, stateful=True, batch_input_shape=(2, 5, 4))
    with pytest.raises(ValueError, match=text):
        declared(three)
    both = elman.layers.Bidirectional(cls(3, stateful=True), batch_input_shape=(2, 5, 4))
    with pytest.raises(ValueError, match=text):
        elman.Sequential([both])(three)
    x = elman.Input(batch_shape=(2, 5, 4))
    layer = cls(3, stateful=True)
    model = elman.Model(x, layer(x))
    with pytest.raises(ValueError, match=text):
        model.predict(three, batch_size=3, verbose=0)
    states = [np.ones((3, 3), "float32")] * len(layer.states)
    with pytest.raises(ValueError, match=text):
        layer(three, initial_state=states)
    model.reset_states()
    assert model.predict(three, batch_size=3, verbose=0).shape == (3, 3)
    declared.reset_states()
    assert declared(three).shape == (3, 3)


def test_states_set_before_the_first_call_are_those_that_it_starts_from():
    x, start = np.ones((2, 5, 4), "float32"), np.full((2, 3), 0.5, "float32")
    layer = GRU(3, stateful=True, batch_input_shape=(2, 5, 4))
    layer.reset_states(states=start)
    got = np.asarray(layer(x))
    np.testing.assert_array_equal(got, layer(x, initial_state=start))


def test_a_model_with_a_stateful_layer_is_stateful():
    for stateful in (False, True):
        model = elman.Sequential([elman.Sequential([LSTM(3, stateful=stateful)])])
        assert model.stateful is stateful
        x = elman.Input(batch_shape=(2, 5, 4))
        assert elman.Model(x, LSTM(3, stateful=stateful)(x)).stateful is stateful


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


@pytest.mark.parametrize("cls", RECURRENT)
def test_a_state_is_a_value(cls):
    """What was returned or read before does not change under a later call, nor under a reset."""
    layer = cls(3, stateful=True, return_state=True)
    x = F((2, 5, 4), 2).astype(np.float32)
    returned = layer(x)[1:]
    read = layer.states
    kept = [np.array(state) for state in returned]
    for state, value in zip(read, kept, strict=True):
        np.testing.assert_array_equal(state, value)
    given = [np.array(state) for state in kept]
    layer(x)
    layer.reset_states()
    layer.states = given
    for array in given:
        array[:] = 7  # the layer has its own copy
    for states in (returned, read, layer.states):
        for state, value in zip(states, kept, strict=True):
            np.testing.assert_array_equal(state, value)


@pytest.mark.parametrize("cls", RECURRENT)
def test_copies_go_on_from_the_same_state(cls):
    layer = cls(3, stateful=True)
    x = F((2, 5, 4), 2).astype(np.float32)
    layer(x)
    others = [copy.deepcopy(layer), pickle.loads(pickle.dumps(layer))]
    expected = np.asarray(layer(x))
    for other in others:
        np.testing.assert_array_equal(other(x), expected)
        other(x)
    after = np.asarray(layer(x))
    others[0].reset_states()
    assert (np.asarray(layer(x)) != after).any(), "the original went on by itself"


@pytest.mark.parametrize("cls", RECURRENT)
def test_a_layer_serves_many_threads(cls):
    """One built layer, called with masks, lengths, resets and states from several threads."""
    layer = cls(37, return_sequences=True, return_state=True, return_state_sequences=True)
    rng = np.random.default_rng(0)
    problems = []
    for _ in range(16):
        n, t = rng.integers(1, 9), rng.integers(1, 40)
        given = {"reset_mask": rng.random((n, t)) < 0.1}
        if rng.random() < 0.5:
            given["lengths"] = rng.integers(0, t + 1, n)
        else:
            given["mask"] = rng.random((n, t)) < 0.7
        count = 2 if cls is LSTM else 1
        given["initial_state"] = [rng.random((n, 37)).astype("float32") for _ in range(count)]
        problems.append((rng.random((n, t, 5)).astype("float32"), given))
    layer(problems[0][0])

    def solve(problem):
        x, given = problem
        variable = elman.Variable(x)
        with elman.GradientTape() as tape:
            outputs = layer(variable, **given)
            total = sum(elman.backend.sum(out) for out in outputs)
        return [np.asarray(out) for out in [*outputs, tape.gradient(total, variable)]]

    expected = list(map(solve, problems))
    with ThreadPoolExecutor(4) as pool:
        for found in (list(pool.map(solve, problems)) for _ in range(3)):
            for got, want in zip(found, expected, strict=True):
                for a, b in zip(got, want, strict=True):
                    np.testing.assert_array_equal(a, b)
