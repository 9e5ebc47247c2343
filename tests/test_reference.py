# SPDX-License-Identifier: Apache-2.0
"""The reference against numbers that were worked out and published independently of it."""

from __future__ import annotations

import numpy as np
import pytest

from reference import Cell, gradients, recurrent


def seq(shape, s):
    """The specification's reproducible arrays: (((7 i + 3 s) mod 11) - 5) / 10."""
    n = int(np.prod(shape))
    return ((((np.arange(n) * 7 + 3 * s) % 11) - 5) / 10.0).reshape(shape)


def close(actual, expected):
    np.testing.assert_allclose(actual, expected, rtol=0, atol=1.5e-6)


X = seq((2, 3, 2), 1)
GRU = {"kernel": seq((2, 6), 2), "recurrent_kernel": seq((2, 6), 3)}
LSTM = Cell("lstm", seq((2, 8), 2), seq((2, 8), 3), seq((8,), 4))
SCALAR = Cell("simple_rnn", np.ones((1, 1)), np.full((1, 1), 0.5), np.zeros(1), "linear")
COUNT = np.array([1.0, 2.0, 3.0]).reshape(1, 3, 1)


def test_the_array_rule():
    np.testing.assert_allclose(seq((2, 3), 1), [[-0.2, 0.5, 0.1], [-0.3, 0.4, 0.0]])


def mask(*steps):
    return np.array([steps], bool)


@pytest.mark.parametrize(
    ("options", "expected", "state"),
    [
        ({}, [1, 2.5, 4.25], 4.25),
        ({"go_backwards": True}, [3, 3.5, 2.75], 2.75),
        ({"mask": mask(1, 0, 1)}, [1, 1, 3.5], 3.5),
        ({"mask": mask(0, 1, 0)}, [0, 2, 2], 2),
        ({"mask": mask(1, 0, 1), "go_backwards": True}, [3, 3, 2.5], 2.5),
        ({"mask": mask(1, 0, 1), "zero_output_for_mask": True}, [1, 0, 3.5], 3.5),
        ({"mask": mask(0, 1, 0), "initial_state": [np.full((1, 1), 10.0)]}, [0, 7, 7], 7),
        ({"mask": mask(0, 0, 0), "initial_state": [np.full((1, 1), 10.0)]}, [0, 0, 0], 10),
        ({"initial_state": [np.full((1, 1), 10.0)]}, [6, 5, 5.5], 5.5),
    ],
)
def test_counting_simple_rnn(options, expected, state):
    sequence, states = recurrent(SCALAR, COUNT, **options)
    assert sequence[0, :, 0].tolist() == expected
    assert states[0].item() == state


def test_simple_rnn_sequence():
    cell = Cell("simple_rnn", seq((3, 2), 2), seq((2, 2), 3), seq((2,), 4))
    x = seq((2, 3, 3), 1)
    expected = [
        [[-0.254296, 0.371360], [-0.477902, 0.463224], [-0.575996, 0.484591]],
        [[-0.282135, 0.371360], [-0.423047, 0.169749], [-0.411253, 0.110472]],
    ]
    close(recurrent(cell, x)[0], expected)
    used = np.array([[1, 0, 1], [0, 1, 0]], bool)
    expected = [
        [[-0.254296, 0.371360], [-0.254296, 0.371360], [-0.485582, 0.463224]],
        [[0, 0], [-0.187746, 0.059928], [-0.187746, 0.059928]],
    ]
    sequence, states = recurrent(cell, x, mask=used)
    close(sequence, expected)
    close(states[0], sequence[:, -1])


@pytest.mark.parametrize(
    ("kind", "recurrent_activation", "expected"),
    [
        (
            "gru",
            "sigmoid",
            [
                [[0.298696, -0.097797], [0.135264, -0.166433], [0.086978, -0.153346]],
                [[0.289197, -0.122138], [0.121813, -0.200315], [0.072629, -0.206356]],
            ],
        ),
        (
            "gru",
            "hard_sigmoid",
            [
                [[0.288316, -0.098930], [0.134387, -0.170912], [0.088827, -0.156453]],
                [[0.279147, -0.125832], [0.121391, -0.208994], [0.075060, -0.213041]],
            ],
        ),
        (
            "gru_reset_after",
            "sigmoid",
            [
                [[0.239050, -0.166281], [0.140215, -0.272920], [0.106009, -0.302084]],
                [[0.231448, -0.180352], [0.127111, -0.293073], [0.089865, -0.339560]],
            ],
        ),
        (
            "gru_reset_after",
            "hard_sigmoid",
            [
                [[0.239778, -0.171660], [0.138954, -0.283465], [0.106033, -0.310688]],
                [[0.232153, -0.189143], [0.126001, -0.308506], [0.090385, -0.352831]],
            ],
        ),
    ],
)
def test_gru_sequences(kind, recurrent_activation, expected):
    bias = seq((2, 6) if kind == "gru_reset_after" else (6,), 4)
    cell = Cell(kind, **GRU, bias=bias, recurrent_activation=recurrent_activation)
    close(recurrent(cell, X)[0], expected)


def test_gru_initial_state_and_mask():
    cell = Cell("gru", **GRU, bias=seq((6,), 4))
    sequence, _ = recurrent(cell, X, initial_state=[seq((2, 2), 5)])
    close(sequence[:, -1], [[0.106971, -0.275829], [0.096774, -0.275607]])
    cell = Cell("gru_reset_after", **GRU, bias=seq((2, 6), 4))
    sequence, _ = recurrent(cell, X, mask=np.array([[1, 0, 1], [0, 1, 0]], bool))
    expected = [
        [[0.239050, -0.166281], [0.239050, -0.166281], [0.154177, -0.244238]],
        [[0, 0], [-0.004650, -0.150054], [-0.004650, -0.150054]],
    ]
    close(sequence, expected)


@pytest.mark.parametrize(
    ("recurrent_activation", "h", "c"),
    [
        ("sigmoid", [[0.045247, -0.051934], [0.090731, -0.113782]], None),
        (
            "hard_sigmoid",
            [[0.045769, -0.053952], [0.093729, -0.115296]],
            [[0.077817, -0.113138], [0.159924, -0.227918]],
        ),
        (
            "hard_sigmoid_v3",
            [[0.046046, -0.055362], [0.095668, -0.116366]],
            [[0.080309, -0.115283], [0.167573, -0.231314]],
        ),
    ],
)
def test_lstm_last_states(recurrent_activation, h, c):
    cell = Cell(
        "lstm",
        LSTM.kernel,
        LSTM.recurrent_kernel,
        LSTM.bias,
        recurrent_activation=recurrent_activation,
    )
    _, states = recurrent(cell, X)
    close(states[0], h)
    close(states[1], [[0.074367, -0.110054], [0.149549, -0.223031]] if c is None else c)


def test_lstm_options():
    _, states = recurrent(LSTM, X, go_backwards=True)
    close(states[0], [[0.064578, -0.049011], [0.110767, -0.115426]])
    close(states[1], [[0.103968, -0.098486], [0.179099, -0.215496]])
    _, states = recurrent(LSTM, X, initial_state=[seq((2, 2), 5), seq((2, 2), 6)])
    close(states[0], [[0.058968, -0.055358], [0.113740, -0.124108]])
    close(states[1], [[0.096796, -0.117755], [0.187756, -0.245210]])
    _, states = recurrent(LSTM, X, initial_state=recurrent(LSTM, X)[1])
    close(states[0], [[0.049722, -0.055177], [0.097148, -0.119381]])


def test_two_stacked_cells():
    second = Cell("gru_reset_after", seq((2, 9), 5), seq((3, 9), 6), seq((2, 9), 7))
    sequence, states = recurrent([LSTM, second], X)
    expected = [[0.157228, -0.253412, -0.231573], [0.130436, -0.245361, -0.219164]]
    close(sequence[:, -1], expected)
    close(states[2], expected)
    close(states[0], [[0.045247, -0.051934], [0.090731, -0.113782]])


def test_dropout_masks_scale_every_step_alike():
    cell = Cell(
        "simple_rnn",
        np.zeros((1, 1)),
        np.ones((1, 1)),
        np.ones(1),
        "linear",
        recurrent_dropout=np.array([[[0.0], [2.0]]]),
    )
    sequence, _ = recurrent(cell, np.ones((2, 3, 1)))
    assert sequence[..., 0].tolist() == [[1, 1, 1], [1, 3, 7]]


def differences(kind, operands, names):
    def outputs(values):
        cell = Cell(kind, values["kernel"], values["recurrent_kernel"], values["bias"])
        return [recurrent(cell, values["x"])[0][..., -1, :]]

    units = operands["recurrent_kernel"].shape[0]
    elements = {name: np.arange(operands[name].size) for name in names}
    found = gradients(outputs, operands, [np.ones((2, units))], elements)
    return [found[name].reshape(operands[name].shape) for name in names]


def test_central_differences():
    operands = {"x": X, "kernel": LSTM.kernel, "recurrent_kernel": LSTM.recurrent_kernel}
    operands["bias"] = LSTM.bias
    d_bias, d_kernel = differences("lstm", operands, ["bias", "kernel"])
    close(
        d_bias,
        [0.063236, -0.056894, 0.052606, -0.057627, 0.664362, 0.683382, 0.041056, -0.069463],
    )
    close(
        d_kernel[1],
        [-0.014528, 0.012998, -0.008701, 0.008641, -0.078831, -0.089054, -0.003175, 0.006307],
    )
    operands = {"x": X, **GRU, "bias": seq((2, 6), 4)}
    (d_bias,) = differences("gru_reset_after", operands, ["bias"])
    close(d_bias[0], [0.040781, 0.215469, 0.018046, -0.174681, 1.453233, 1.293830])
    close(d_bias[1], [0.040781, 0.215469, 0.018046, -0.174681, 0.537589, 0.624557])
    operands["bias"] = seq((6,), 4)
    (d_recurrent,) = differences("gru", operands, ["recurrent_kernel"])
    close(d_recurrent[1], [-0.012220, -0.005390, 0.004840, -0.000052, -0.098758, -0.075712])
