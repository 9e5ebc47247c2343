# SPDX-License-Identifier: Apache-2.0
"""Layers of every kind, data with segments, lengths and masks, and what holds for all of them."""

from __future__ import annotations

import numpy as np
import pytest

import elman
from elman.layers import (
    GRU,
    LSTM,
    RNN,
    ConvLSTM1D,
    ConvLSTM2D,
    GRUCell,
    Layer,
    LSTMCell,
    SimpleRNN,
    SimpleRNNCell,
    StackedRNNCells,
)

N, T, FEATURES = 5, 11, 3
MASKS = (None, "right", "holes")


class Minimal(Layer):
    """A cell that is Python code, with two states."""

    def __init__(self, units, **kwargs):
        self.units, self.state_size = units, (units, units)
        super().__init__(**kwargs)

    def build(self, input_shape):
        self.kernel = self.add_weight("kernel", (input_shape[-1], self.units))
        self.inner = self.add_weight("inner", (self.units, self.units))

    def call(self, inputs, states):
        h, c = states
        k = elman.backend
        new = k.tanh(k.dot(inputs, self.kernel) + k.dot(h, self.inner) + 0.5 * c)
        return new, [new, 0.7 * c + new]


def stack(units, **flags):
    cells = [LSTMCell(4), GRUCell(6, reset_after=False), SimpleRNNCell(units)]
    return RNN(StackedRNNCells(cells), **flags)


def plain(units, **flags):
    return RNN(Minimal(units, dtype=flags["dtype"]), **flags)


MAKERS = {
    "SimpleRNN": SimpleRNN,
    "GRU": GRU,
    "GRU reset before": lambda units, **flags: GRU(units, reset_after=False, **flags),
    "LSTM": LSTM,
    "stack": stack,
    "Python cell": plain,
    "ConvLSTM1D": lambda units, **flags: ConvLSTM1D(units, 2, padding="same", **flags),
    "ConvLSTM2D": lambda units, **flags: ConvLSTM2D(
        units, 2, strides=(1, 2), data_format="channels_first", **flags
    ),
    "ConvLSTM2D in Python": lambda units, **flags: ConvLSTM2D(
        units, 2, activation=lambda x: elman.activations.tanh(x), **flags
    ),
}
STEPS = {"ConvLSTM1D": (4, 3), "ConvLSTM2D": (3, 2, 5), "ConvLSTM2D in Python": (2, 3, 1)}
every_layer = pytest.mark.parametrize("name", MAKERS)


def make(name, **flags):
    elman.utils.set_random_seed(3)
    layer = MAKERS[name](7, dtype="float64", **flags)
    layer(np.zeros((2, 2, *STEPS.get(name, (FEATURES,)))))
    return layer


def data(name="LSTM"):
    rng = np.random.default_rng(0)
    x = rng.uniform(-1, 1, (N, T, *STEPS.get(name, (FEATURES,))))
    resets = rng.random((N, T)) < 0.25
    lengths = np.array([11, 0, 4, 7, 1])
    masks = {"right": np.arange(T) < lengths[:, None], "holes": rng.random((N, T)) < 0.6}
    return x, resets, lengths, masks


def states_of(layer, seed=1):
    rng = np.random.default_rng(seed)
    return [rng.uniform(-1, 1, s.shape) for s in layer.get_initial_state(batch_size=N)]


def over(condition, like):
    """A condition per sample, or per sample and step, that broadcasts over the rest."""
    return condition.reshape(*condition.shape, *[1] * (like.ndim - condition.ndim))


def close(actual, expected):
    np.testing.assert_allclose(np.asarray(actual), expected, rtol=0, atol=1e-14)


def twins(make, x):
    """A layer that carries its states, and one that does not, of the same weights."""
    layer, fresh = make(stateful=True), make()
    layer(x), fresh(x)
    fresh.set_weights(layer.get_weights())
    layer.reset_states()
    return layer, fresh


def check_resets_of_carried_states(layer, fresh, x, resets, cut):
    """The carried states are those of the first piece alone: an episode ends at a reset."""
    layer(x[:, :cut], reset_mask=resets[:, :cut])
    parts = layer(x[:, cut:], reset_mask=resets[:, cut:])
    close(parts, np.asarray(fresh(x, reset_mask=resets))[:, cut:])


def check_explained(layer, x, kernel):
    """`explain` counts the steps that are computed; the text with lengths and resets."""
    _, resets, lengths, masks = data()
    plain = layer.explain(x, training=True)
    assert f"compiled kernel {kernel}" in plain
    assert "resets" not in plain
    for given, used in (
        ({"lengths": lengths}, 23),
        ({"mask": masks["right"]}, 23),
        ({"reset_mask": resets}, 55),
        ({"reset_mask": resets, "lengths": lengths}, 23),
    ):
        text = layer.explain(x, training=True, **given)
        assert f"compiled kernel {kernel}" in text
        assert "mask, lengths and resets in the kernel" in text
        assert f"{used} of 55 steps are computed" in text
    return plain, text


def kept_mebibytes(layer, shape):
    """What a training step on that shape keeps for the way back."""
    text = layer.explain(shape, training=True)
    return int(text.split("kept for the backward pass: ")[1].split(" MiB")[0])
