# SPDX-License-Identifier: Apache-2.0
"""Published gradients of the recurrent layers, and penalties that training adds."""

from __future__ import annotations

import numpy as np
import pytest

import elman
from acceptance import F, close, column, counter, gru, lstm, simple_rnn
from elman.layers import GRU, LSTM, Dense, SimpleRNN

K = elman.backend


def gradients(layer, x):
    """d(sum of the output) / d(x, weights)."""
    x = elman.Variable(np.asarray(x, layer.dtype))
    with elman.GradientTape() as tape:
        total = K.sum(layer(x))
    return tape.gradient(total, [x, *layer.trainable_weights])


def test_counter():
    dx, kernel, recurrent, bias = gradients(counter(), column(1, 2, 3))
    close(dx, column(0.25, 0.5, 1))
    close(kernel, [[4.25]])
    close(recurrent, [[3.0]])
    close(bias, [1.75])


def test_simple_rnn():
    _, kernel, recurrent, bias = gradients(simple_rnn(return_sequences=False), F((2, 3, 3), 1))
    close(kernel, [[0.073956, 0.147784], [0.368926, 0.154176], [-0.493407, -0.448395]])
    close(recurrent, [[-0.800278, -0.766157], [0.628502, 0.498128]])
    close(bias, [2.155834, 1.506427])


def test_gru():
    x = F((2, 3, 2), 1)
    _, _, recurrent, bias = gradients(gru(False, return_sequences=False), x)
    close(bias, [0.062126, 0.093295, -0.033073, -0.000347, 1.603055, 1.517201])
    close(
        recurrent,
        [
            [0.017981, 0.014925, -0.006932, -0.000270, 0.111404, 0.096321],
            [-0.012220, -0.005390, 0.004840, -0.000052, -0.098758, -0.075712],
        ],
    )
    _, _, _, bias = gradients(gru(True, return_sequences=False), x)
    close(
        bias,
        [
            [0.040781, 0.215469, 0.018046, -0.174681, 1.453233, 1.293830],
            [0.040781, 0.215469, 0.018046, -0.174681, 0.537589, 0.624557],
        ],
    )


def test_lstm():
    _, kernel, recurrent, bias = gradients(lstm(return_sequences=False), F((2, 3, 2), 1))
    close(
        bias,
        [0.063236, -0.056894, 0.052606, -0.057627, 0.664362, 0.683382, 0.041056, -0.069463],
    )
    close(
        recurrent,
        [
            [0.004515, -0.004552, 0.004718, -0.005421, 0.049907, 0.054534, 0.004641, -0.007440],
            [-0.005649, 0.005945, -0.006553, 0.007708, -0.066579, -0.073965, -0.007108, 0.011224],
        ],
    )
    close(
        kernel,
        [
            [0.004436, -0.007495, 0.012341, -0.014410, 0.130982, 0.143362, 0.014780, -0.022435],
            [-0.014528, 0.012998, -0.008701, 0.008641, -0.078831, -0.089054, -0.003175, 0.006307],
        ],
    )


@pytest.mark.parametrize("make", [simple_rnn, lambda: gru(False), lambda: gru(True), lstm])
def test_a_trained_initial_state(make):
    layer = make()
    x = F((2, 3, 3 if isinstance(layer, SimpleRNN) else 2), 1)
    state = elman.Variable(F((2, 2), 5).astype(np.float32))
    given = [state, state] if isinstance(layer, LSTM) else state
    with elman.GradientTape() as tape:
        total = K.sum(layer(x, initial_state=given))
    assert np.abs(tape.gradient(total, state)).min() > 0


# --- penalties ---------------------------------------------------------------------------------


def test_penalties_on_weights():
    layer = Dense(3, kernel_regularizer="l1", bias_regularizer="l2")
    layer(np.ones((1, 2)))
    layer.set_weights([[[1, 0, -1], [2, 1, 0]], [0.5, 0, -0.5]])
    close([float(loss) for loss in layer.losses], [0.05, 0.005])
    layer.trainable = False
    assert layer.losses == []
    layer = Dense(3, kernel_regularizer=elman.regularizers.l2(0.01))
    layer(np.ones((1, 2)))
    layer.set_weights([[[1, 0, -1], [2, 1, 0]], np.zeros(3)])
    with elman.GradientTape() as tape:
        (loss,) = layer.losses
    close(float(loss), 0.07)
    close(tape.gradient(loss, layer.kernel), [[0.02, 0, -0.02], [0.04, 0.02, 0]])


def test_penalty_on_the_output_is_divided_by_the_batch_size():
    layer = Dense(3, activity_regularizer=elman.regularizers.l2(0.01))
    x = np.array([[1, 2], [3, 4]])
    layer(x)
    layer.set_weights([[[1, 0, -1], [2, 1, 0]], [0.5, 0, -0.5]])
    for _ in range(2):  # one call, one penalty
        layer(x)
        close([float(loss) for loss in layer.losses], [0.985])


@pytest.mark.parametrize("cls", [SimpleRNN, GRU, LSTM])
def test_penalties_of_recurrent_layers(cls):
    layer = cls(
        2,
        kernel_regularizer="l2",
        recurrent_regularizer="l2",
        bias_regularizer="l2",
        activity_regularizer="l1",
        return_state=True,
    )
    outputs = layer(F((4, 3, 2), 1))
    assert len(layer.losses) == 3 + len(outputs)
    weights = [0.01 * float((w.astype(float) ** 2).sum()) for w in layer.get_weights()]
    expected = weights + [0.01 * float(np.abs(np.asarray(o)).sum()) / 4 for o in outputs]
    close([float(loss) for loss in layer.losses], expected)


def test_added_losses_last_for_one_call():
    class Mine(elman.layers.Layer):
        def call(self, inputs):
            self.add_loss(K.sum(inputs))
            return inputs

    layer = Mine()
    for _ in range(2):
        layer(np.ones((2, 3)))
        close([float(loss) for loss in layer.losses], [6])


def test_constraints_are_kept_with_the_variables():
    layer = LSTM(2, kernel_constraint="max_norm", bias_constraint=elman.constraints.NonNeg())
    layer(F((2, 3, 2), 1))
    kernel, recurrent, bias = layer.weights
    assert kernel.constraint.get_config() == {"max_value": 2, "axis": 0}
    assert recurrent.constraint is None
    close(bias.constraint(elman.Tensor(np.float32([-1, 2]))), [0, 2])
