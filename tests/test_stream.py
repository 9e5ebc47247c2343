# SPDX-License-Identifier: Apache-2.0
"""Layers and models step by step: the bits of the whole sequence, states, errors."""

from __future__ import annotations

import itertools
import re

import numpy as np
import pytest

import elman
from elman.layers import (
    GRU,
    LSTM,
    RNN,
    Activation,
    Dense,
    Dropout,
    Embedding,
    Flatten,
    GRUCell,
    LSTMCell,
    SimpleRNN,
    SimpleRNNCell,
    StackedRNNCells,
)

T, F, H = 7, 5, 19
CELLS = {
    "simple_rnn": SimpleRNN,
    "gru": lambda *a, **k: GRU(*a, reset_after=False, **k),
    "gru_reset_after": lambda *a, **k: GRU(*a, reset_after=True, **k),
    "lstm": LSTM,
}


def data(n, dtype="float32", features=F):
    return np.random.default_rng(n).standard_normal((n, T, features)).astype(dtype)


def randomize(layer, seed=0):
    """Weights that are all different, biases included."""
    rng = np.random.default_rng(seed)
    layer.set_weights([rng.normal(0, 0.4, w.shape).astype(w.dtype) for w in layer.get_weights()])


def built(name, dtype="float32", **options):
    layer = CELLS[name](H, return_sequences=True, dtype=dtype, **options)
    layer.build((None, None, F))
    randomize(layer)
    return layer


def run(stream, x):
    return np.stack([stream.step(np.ascontiguousarray(x[:, t])) for t in range(x.shape[1])], 1)


def fails(text, error=ValueError):
    return pytest.raises(error, match=re.escape(text))


@pytest.mark.parametrize(
    ("name", "dtype", "bias", "n", "options"),
    list(
        itertools.product(
            CELLS, ["float32", "float64"], [True, False], [1, 3], [{}, {"activation": "relu"}]
        )
    ),
)
def test_steps_are_the_sequence(name, dtype, bias, n, options):
    layer, x = built(name, dtype, use_bias=bias, **options), data(n, dtype)
    whole = layer(x).numpy()
    stream = layer.stream(batch_size=n)
    steps = run(stream, x)
    assert steps.dtype == dtype
    np.testing.assert_array_equal(steps, whole)
    stream.reset()
    np.testing.assert_array_equal(run(stream, x), whole)


@pytest.mark.parametrize("name", CELLS)
@pytest.mark.parametrize("n", [1, 3])
def test_states_are_those_of_the_layer(name, n):
    layer, x = built(name, return_state=True), data(n)
    stream = layer.stream(n)
    assert all(not state.any() for state in stream.states)
    _, *states = layer(x[:, :4])
    run(stream, x[:, :4])
    kept = stream.states
    for own, state in zip(kept, states, strict=True):
        np.testing.assert_array_equal(own, state)
    after = run(stream, x[:, 4:])
    np.testing.assert_array_equal(after, layer(x[:, 4:], initial_state=states)[0])
    other = layer.stream(n)
    other.states = kept
    np.testing.assert_array_equal(run(other, x[:, 4:]), after)
    for state in other.states:
        state[...] = 7  # copies
    assert all((state != 7).all() for state in other.states)


@pytest.mark.parametrize("name", CELLS)
def test_some_rows_start_anew(name):
    """What a reset mask is over a sequence; the other rows go on."""
    layer, x = built(name), data(3)
    resets = np.random.default_rng(5).random((3, T)) < 0.4
    whole = layer(x, reset_mask=resets).numpy()
    stream = layer.stream(3)
    for t in range(T):
        stream.reset(resets[:, t])
        np.testing.assert_array_equal(stream.step(x[:, t].copy()), whole[:, t])
    stream.reset([True, False, True])
    kept = stream.states
    assert all(not state[[0, 2]].any() and state[1].all() for state in kept)
    for wrong in ([True, False], np.array([1, 0, 1]), [[True], [False], [True]]):
        with fails("[Stream.reset] rows: expected (3,) bool, got"):
            stream.reset(wrong)
    for before, after in zip(kept, stream.states, strict=True):
        np.testing.assert_array_equal(before, after)


@pytest.mark.parametrize("name", CELLS)
def test_new_weights_count_from_the_next_step(name):
    layer, x = built(name), data(1)
    stream = layer.stream()
    run(stream, x)
    randomize(layer, seed=1)
    stream.reset()
    np.testing.assert_array_equal(run(stream, x), layer(x))


def test_every_form_of_one_step():
    layer, x = built("gru"), data(1)[:, 0]
    first = layer.stream().step(x)
    assert type(first) is np.ndarray
    assert first.shape == (1, H)
    assert first.flags.writeable
    forms = {
        "flat": x[0],
        "tensor": elman.Variable(x)[:],
        "list": [float(v) for v in x[0]],
        "tuple": tuple(float(v) for v in x[0]),
        "numbers": [np.float32(v) for v in x[0]],
        "rows": [[float(v) for v in x[0]]],
        "strided": np.repeat(x, 2, 1)[:, ::2],
        "read-only": np.frombuffer(x.tobytes(), "float32"),
    }
    for form, value in forms.items():
        out = layer.stream().step(value)
        assert out.shape == ((1, H) if np.ndim(value) == 2 else (H,)), form
        np.testing.assert_array_equal(out.ravel(), first[0], form)
    ints = layer.stream().step([1, 0, 0, 2, 3])
    np.testing.assert_array_equal(ints, layer.stream().step([1.0, 0.0, 0.0, 2.0, 3.0]))


def test_results_are_new_arrays_or_out():
    layer, x = built("lstm"), data(1)
    stream = layer.stream()
    first = stream.step(x[:, 0])
    copy = first.copy()
    second = stream.step(x[:, 1])
    np.testing.assert_array_equal(first, copy)
    stream.reset()
    out, flat = np.empty((1, H), "float32"), np.empty(H, "float32")
    assert stream.step(x[:, 0], out) is out
    assert stream.step(x[0, 1], out=flat) is flat
    np.testing.assert_array_equal(out, copy)
    np.testing.assert_array_equal(flat, second[0])


class Array(np.ndarray):
    """Not known by its type alone."""


def test_subclasses_of_arrays():
    layer, x = built("gru"), data(1)[:, 0]
    expected, out = layer.stream().step(x), np.empty((1, H), "float32").view(Array)
    assert layer.stream().step(x.view(Array), out) is out
    np.testing.assert_array_equal(out, expected)
    with fails("[Stream.step] out: expected a writeable"):
        layer.stream().step(x, np.empty((1, 2 * H), "float32").view(Array)[:, ::2])
    with fails("[Stream.step] out: expected a writeable"):
        layer.stream().step(x, np.empty((1, H)).view(Array))


@pytest.mark.parametrize("cls", [SimpleRNN, LSTM])
def test_out_may_be_the_input(cls):
    layer = cls(H, return_sequences=True)
    layer.build((None, None, H))
    randomize(layer)
    x = data(2, features=H)[:, 0].copy()
    expected = layer.stream(2).step(x)
    np.testing.assert_array_equal(layer.stream(2).step(x, x), expected)


def stacks():
    cells = lambda: [LSTMCell(4), GRUCell(6, reset_after=False), SimpleRNNCell(3)]  # noqa: E731
    yield RNN(cells(), return_sequences=True)
    yield RNN(StackedRNNCells(cells(), reverse_state_order=True), return_sequences=True)
    yield RNN([StackedRNNCells(cells()[:2]), GRUCell(5)], return_sequences=True)
    yield RNN(LSTMCell(3), return_sequences=True)


@pytest.mark.parametrize("layer", list(stacks()))
def test_stacks_of_cells(layer):
    x = data(2)
    whole = layer(x).numpy()
    np.testing.assert_array_equal(run(layer.stream(2), x), whole)


def model(*end, last=True, dtype="float32"):
    options = {"dtype": dtype}
    return elman.Sequential(
        [
            Activation("tanh", input_shape=(None, F), **options),
            LSTM(6, return_sequences=True, **options),
            Dropout(0.5, **options),
            Dense(9, activation="relu", **options),
            GRU(4, return_sequences=last, **options),
            *end,
        ]
    )


@pytest.mark.parametrize("dtype", ["float32", "float64"])
@pytest.mark.parametrize("activation", ["linear", "softmax", "log_softmax", "sigmoid"])
@pytest.mark.parametrize("n", [1, 4])
def test_a_model(dtype, activation, n):
    net = model(Dense(3, activation, dtype=dtype), Activation("softmax", dtype=dtype), dtype=dtype)
    randomize(net)
    x = data(n, dtype)
    np.testing.assert_array_equal(run(net.stream(n), x), net(x))


def test_a_model_that_returns_the_last_step():
    net = model(Dense(2, use_bias=False), last=False)
    x, stream = data(1), net.stream()
    for t in range(T):
        np.testing.assert_array_equal(stream.step(x[:, t]), net(x[:, : t + 1]))
    assert [state.shape for state in stream.states] == [(1, 6), (1, 6), (1, 4)]


def test_a_model_in_a_model_and_after_training():
    net = elman.Sequential([model(last=False), Dense(1)])
    net.build((None, None, F))
    stream, x = net.stream(), data(8)
    net.compile("adam", "mse")
    net.fit(x, np.ones((8, 1)), epochs=1, verbose=0)
    np.testing.assert_array_equal(run(stream, x[:1])[:, -1], net(x[:1]))


def test_wrong_arguments_of_a_step():
    stream = built("lstm").stream()
    good = np.zeros((1, F), "float32")
    for x, got in [
        (np.zeros((2, F), "float32"), "(2, 5) float32; one time step, the features last"),
        (np.zeros((1, 1, F), "float32"), "(1, 1, 5) float32"),
        (np.zeros(F + 1, "float32"), "(6,) float32"),
        (np.float32(1), "() float32"),
        ([1.0, 2.0], "(2,) float32"),
        (good.astype("float64"), "(1, 5) float64; convert it with astype"),
        (good.astype(int), "(1, 5) int64"),
    ]:
        with fails(f"[Stream.step] x: expected (1, 5) or (5,) float32, got {got}"):
            stream.step(x)
    with fails("[Stream.step] x: expected (3, 5) float32, got (5,) float32"):
        built("gru").stream(3).step(good[0])
    for x in (None, "text"):
        with fails("[Stream.step] x: expected an array of numbers", TypeError):
            stream.step(x)
    read_only = np.zeros((1, H), "float32")
    read_only.flags.writeable = False
    expected = "[Stream.step] out: expected a writeable, C-contiguous numpy.ndarray of shape "
    for out in (np.zeros(H, "float32"), np.zeros((1, H)), read_only, [0.0] * H, "text"):
        with fails(f"{expected}(1, 19) float32"):
            stream.step(good, out)
    with fails(f"{expected}(19,) float32, got ndarray (1, 19) float32"):
        stream.step(good[0], np.zeros((1, H), "float32"))
    np.testing.assert_array_equal(stream.states, np.zeros((2, 1, H)))  # nothing has run


def test_wrong_states():
    stream = built("lstm").stream(2)
    state = np.ones((2, H), "float32")
    with fails("[Stream.states] states: expected 2 arrays, got 1"):
        stream.states = [state]
    with fails("[Stream.states] states[1]: expected (2, 19) float32, got (2, 18) float32"):
        stream.states = [state, state[:, 1:]]
    with fails("[Stream.states] states[0]: expected (2, 19) float32, got (2, 19) float64"):
        stream.states = [state.astype("float64"), state]
    assert all(not own.any() for own in stream.states)


class OwnCell(LSTMCell):
    def call(self, inputs, states, training=None):
        return super().call(inputs, states, training)


class OwnDense(Dense):
    def call(self, inputs):
        return -super().call(inputs)


@pytest.mark.parametrize(
    ("layer", "why"),
    [
        (LSTM(3, go_backwards=True, name="a"), "LSTM 'a': go_backwards=True"),
        (GRU(3, activation=lambda x: x, name="a"), "GRU 'a': only Python knows its activation"),
        (RNN(OwnCell(3), name="a"), "RNN 'a': its cell OwnCell is Python code"),
        (RNN([LSTMCell(2), OwnCell(3)], name="a"), "RNN 'a': its cell OwnCell is Python code"),
        (OwnDense(3, name="a"), "OwnDense 'a': it has a call of its own"),
        (Dense(3, activation=lambda x: x, name="a"), "Dense 'a': only Python knows"),
        (Flatten(name="a"), "Flatten 'a': it is none of them"),
        (Dense(3, dtype="float64", name="a"), "Dense 'a': it computes in float64, not in float32"),
    ],
)
def test_layers_that_do_not_stream(layer, why):
    first = LSTM(4, return_sequences=True, input_shape=(2, F))
    with fails("[Sequential.stream] layer: expected one that runs step by step") as raised:
        elman.Sequential([first, layer]).stream()
    assert f"got {why}" in str(raised.value)
    if isinstance(layer, RNN):
        with fails(f"[{type(layer).__name__}.stream] layer: expected one"):
            layer.stream()


def test_what_has_to_be_known():
    with fails("[LSTM.stream] layer: expected a built layer, got 'a'"):
        LSTM(3, name="a").stream()
    with fails("[Sequential.stream] model: expected a built model"):
        elman.Sequential([LSTM(3)]).stream()
    with fails("[Sequential.stream] model: expected a built model"):
        elman.Sequential().stream()
    with fails("[Sequential.stream] input: expected (N, T, F), got (None, 4)"):
        elman.Sequential([Embedding(9, 3, input_length=4), LSTM(2)]).stream()
    for batch_size in (0, 1.5, "1"):
        with fails("[LSTM.stream] batch_size: expected"):
            built("lstm").stream(batch_size)
