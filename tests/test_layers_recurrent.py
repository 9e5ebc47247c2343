# SPDX-License-Identifier: Apache-2.0
"""Published numbers of SimpleRNN, GRU and LSTM: outputs, states, flags, shapes, counts."""

from __future__ import annotations

import numpy as np
import pytest

import elman
from acceptance import F, close, column, counter, gru, lstm, simple_rnn, with_weights
from elman.layers import GRU, LSTM, RNN, GRUCell, LSTMCell, SimpleRNN, SimpleRNNCell

X3, X2 = F((2, 3, 3), 1), F((2, 3, 2), 1)
MASK = np.array([[1, 0, 1], [0, 1, 0]], bool)

S6 = [
    [[-0.254296, 0.371360], [-0.477902, 0.463224], [-0.575996, 0.484591]],
    [[-0.282135, 0.371360], [-0.423047, 0.169749], [-0.411253, 0.110472]],
]
S6_BACKWARDS = [
    [[-0.272905, 0.371360], [-0.483626, 0.463224], [-0.564041, 0.484591]],
    [[-0.197375, 0.059928], [-0.284821, 0.077821], [-0.409539, 0.391310]],
]
S6_MASKED = [
    [[-0.254296, 0.371360], [-0.254296, 0.371360], [-0.485582, 0.463224]],
    [[0, 0], [-0.187746, 0.059928], [-0.187746, 0.059928]],
]
G1 = [
    [[0.298696, -0.097797], [0.135264, -0.166433], [0.086978, -0.153346]],
    [[0.289197, -0.122138], [0.121813, -0.200315], [0.072629, -0.206356]],
]
G2 = [
    [[0.288316, -0.098930], [0.134387, -0.170912], [0.088827, -0.156453]],
    [[0.279147, -0.125832], [0.121391, -0.208994], [0.075060, -0.213041]],
]
G3 = [
    [[0.239050, -0.166281], [0.140215, -0.272920], [0.106009, -0.302084]],
    [[0.231448, -0.180352], [0.127111, -0.293073], [0.089865, -0.339560]],
]
G4 = [
    [[0.239778, -0.171660], [0.138954, -0.283465], [0.106033, -0.310688]],
    [[0.232153, -0.189143], [0.126001, -0.308506], [0.090385, -0.352831]],
]
G6 = [
    [[0.239050, -0.166281], [0.239050, -0.166281], [0.154177, -0.244238]],
    [[0, 0], [-0.004650, -0.150054], [-0.004650, -0.150054]],
]
L1 = [
    [[0.034072, -0.016912], [0.073276, -0.097445], [0.045247, -0.051934]],
    [[0.067388, -0.063065], [0.110901, -0.165889], [0.090731, -0.113782]],
]
L1_C = [[0.074367, -0.110054], [0.149549, -0.223031]]
L2 = [
    [[0.034007, -0.016534], [0.074456, -0.093903], [0.045769, -0.053952]],
    [[0.067679, -0.060258], [0.114139, -0.158148], [0.093729, -0.115296]],
]
L2_C = [[0.077817, -0.113138], [0.159924, -0.227918]]


# --- SimpleRNN ---------------------------------------------------------------------------------


def test_a_counter():
    x = column(1, 2, 3)
    close(counter(return_sequences=True)(x), column(1, 2.5, 4.25))
    close(counter()(x), [[4.25]])
    close(counter(return_sequences=True, go_backwards=True)(x), column(3, 3.5, 2.75))


@pytest.mark.parametrize("unroll", [False, True])
def test_simple_rnn(unroll):
    close(simple_rnn(unroll=unroll)(X3), S6)
    close(simple_rnn(unroll=unroll, go_backwards=True)(X3), S6_BACKWARDS)
    output, state = simple_rnn(unroll=unroll, return_state=True)(X3, mask=MASK)
    close(output, S6_MASKED)
    close(state, np.array(S6_MASKED)[:, -1])


def test_simple_rnn_counts():
    layer = SimpleRNN(128)
    layer.build((None, None, 256))
    assert layer.count_params() == 49280


# --- GRU ---------------------------------------------------------------------------------------


@pytest.mark.parametrize(
    ("reset_after", "activation", "expected"),
    [
        (False, "sigmoid", G1),
        (False, "hard_sigmoid", G2),
        (True, "sigmoid", G3),
        (True, "hard_sigmoid", G4),
    ],
)
@pytest.mark.parametrize("implementation", [0, 1, 2])
@pytest.mark.parametrize("unroll", [False, True])
def test_gru(reset_after, activation, expected, implementation, unroll):
    close(gru(reset_after, activation, implementation=implementation, unroll=unroll)(X2), expected)


def test_gru_initial_state_and_mask():
    state = F((2, 2), 5)
    layer = gru(False, return_sequences=False)
    close(layer(X2, initial_state=state), [[0.106971, -0.275829], [0.096774, -0.275607]])
    close(gru(True)(X2, mask=MASK), G6)


@pytest.mark.parametrize(
    ("activation", "reset_after", "bias", "expected"),
    [
        ("sigmoid", False, np.zeros(3), [0.204824, 0.346753]),
        ("sigmoid", True, np.zeros((2, 3)), [0.204824, 0.346753]),
        ("hard_sigmoid", False, np.zeros(3), [0.228478, 0.380022]),
        ("sigmoid", True, [[0, 0, 0], [0, 0, 0.5]], [0.236042, 0.389361]),
    ],
)
def test_gru_of_one_unit(activation, reset_after, bias, expected):
    layer = GRU(1, recurrent_activation=activation, reset_after=reset_after, return_sequences=True)
    layer = with_weights(layer, 1, [np.ones((1, 3)), np.ones((1, 3)), bias])
    close(layer(column(1, 1)), column(*expected))


@pytest.mark.parametrize(("reset_after", "count"), [(True, 247296), (False, 246528)])
def test_gru_counts(reset_after, count):
    layer = GRU(256, reset_after=reset_after)
    layer.build((None, None, 64))
    assert layer.count_params() == count
    assert layer.weights[2].shape == ((2, 768) if reset_after else (768,))


# --- LSTM --------------------------------------------------------------------------------------


@pytest.mark.parametrize(
    ("activation", "expected", "memory"), [("sigmoid", L1, L1_C), ("hard_sigmoid", L2, L2_C)]
)
@pytest.mark.parametrize("implementation", [0, 1, 2])
@pytest.mark.parametrize("unroll", [False, True])
def test_lstm(activation, expected, memory, implementation, unroll):
    layer = lstm(activation, return_state=True, implementation=implementation, unroll=unroll)
    output, h, c = layer(X2)
    close(output, expected)
    close(h, np.array(expected)[:, -1])
    close(c, memory)


def test_lstm_with_the_hard_sigmoid_of_keras_3():
    output, h, c = lstm("hard_sigmoid_v3", return_state=True)(X2)
    close(output[:, -1], [[0.046046, -0.055362], [0.095668, -0.116366]])
    close(h, np.asarray(output)[:, -1])
    close(c, [[0.080309, -0.115283], [0.167573, -0.231314]])


def test_lstm_backwards():
    output, _, c = lstm(return_state=True, go_backwards=True)(X2)
    close(output[:, -1], [[0.064578, -0.049011], [0.110767, -0.115426]])
    close(c, [[0.103968, -0.098486], [0.179099, -0.215496]])


def test_lstm_initial_state():
    states = [F((2, 2), 5), F((2, 2), 6)]
    layer = lstm(return_state=True)
    for output, _, c in (layer(X2, initial_state=states), layer([X2, *states])):
        close(output[:, -1], [[0.058968, -0.055358], [0.113740, -0.124108]])
        close(c, [[0.096796, -0.117755], [0.187756, -0.245210]])


@pytest.mark.parametrize(
    ("activation", "h", "c"),
    [
        ("sigmoid", [0.369606, 0.667022], 1.209679),
        ("hard_sigmoid", [0.341432, 0.637206], 1.186167),
        ("hard_sigmoid_v3", [0.312116, 0.567658], 1.071046),
    ],
)
def test_lstm_of_one_unit(activation, h, c):
    layer = LSTM(1, recurrent_activation=activation, return_sequences=True, return_state=True)
    layer = with_weights(layer, 1, [np.ones((1, 4)), np.ones((1, 4)), [0, 1, 0, 0]])
    output, _, memory = layer(column(1, 1))
    close(output, column(*h))
    close(memory, [[c]])


def test_lstm_bias_starts_with_a_one_for_the_forget_gate():
    layer = LSTM(2)
    layer(X2)
    close(layer.get_weights()[2], [0, 0, 1, 1, 0, 0, 0, 0])
    layer = LSTM(2, bias_initializer="ones")
    layer(X2)
    close(layer.get_weights()[2], np.ones(8))
    layer = LSTM(2, bias_initializer=elman.initializers.Constant(3))
    layer(X2)
    close(layer.get_weights()[2], [3, 3, 1, 1, 3, 3, 3, 3])
    layer = LSTM(2, unit_forget_bias=False)
    layer(X2)
    close(layer.get_weights()[2], np.zeros(8))


def test_lstm_counts():
    layer = LSTM(128)
    layer.build((None, None, 64))
    assert layer.count_params() == 98816


# --- what they share ---------------------------------------------------------------------------


@pytest.mark.parametrize("cls", [SimpleRNN, GRU, LSTM])
@pytest.mark.parametrize("sequences", [False, True])
@pytest.mark.parametrize("state", [False, True])
def test_shapes(cls, sequences, state):
    layer = cls(4, return_sequences=sequences, return_state=state)
    shapes = [(32, 10, 4) if sequences else (32, 4)]
    shapes += [(32, 4)] * ((2 if cls is LSTM else 1) if state else 0)
    output = layer(np.zeros((32, 10, 8)))
    assert [tuple(o.shape) for o in (output if state else [output])] == shapes
    symbolic = layer(elman.Input((None, 8)))
    unknown = [(None, None, 4) if sequences else (None, 4)] + [(None, 4)] * (len(shapes) - 1)
    assert [o.shape for o in (symbolic if state else [symbolic])] == unknown


@pytest.mark.parametrize(
    ("cell", "layer", "x"),
    [
        (SimpleRNNCell(2), simple_rnn(), X3),
        (GRUCell(2, reset_after=False), gru(False), X2),
        (GRUCell(2, reset_after=True), gru(True), X2),
        (GRUCell(2, recurrent_activation="hard_sigmoid"), gru(True, "hard_sigmoid"), X2),
        (LSTMCell(2), lstm(), X2),
    ],
)
def test_rnn_around_a_cell_is_the_layer(cell, layer, x):
    other = RNN(cell, return_sequences=True)
    other(x)
    other.set_weights(layer.get_weights())
    np.testing.assert_array_equal(other(x), layer(x))
    np.testing.assert_array_equal(other(x, mask=MASK), layer(x, mask=MASK))


@pytest.mark.parametrize("make", [simple_rnn, lambda: gru(False), lambda: gru(True), lstm])
def test_a_cell_called_step_by_step_is_the_layer(make):
    layer = make()
    x = X3 if isinstance(layer, SimpleRNN) else X2
    states = layer.cell.get_initial_state(batch_size=2)
    for t in range(x.shape[1]):
        output, states = layer.cell(x[:, t], states)
        np.testing.assert_allclose(output, np.asarray(layer(x))[:, t], rtol=0, atol=1e-6)


def test_the_legacy_layers_have_the_old_numbers():
    old = with_weights(
        elman.legacy.layers.GRU(2, return_sequences=True),
        2,
        [F((2, 6), 2), F((2, 6), 3), F((6,), 4)],
    )
    close(old(X2), G2)
    old = with_weights(
        elman.legacy.layers.LSTM(2, return_sequences=True),
        2,
        [F((2, 8), 2), F((2, 8), 3), F((8,), 4)],
    )
    close(old(X2), L2)
