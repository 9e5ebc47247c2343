# SPDX-License-Identifier: Apache-2.0
"""A cell with an activation that only Python knows computes the same, step by step."""

from __future__ import annotations

import numpy as np
import pytest

import elman
from acceptance import F
from elman._backend import core
from elman.layers import GRU, LSTM, SimpleRNN

K = elman.backend

CASES = {
    "SimpleRNN": (SimpleRNN, {}),
    "GRU": (GRU, {"reset_after": False}),
    "GRU reset_after": (GRU, {"reset_after": True}),
    "LSTM": (LSTM, {}),
}
X = F((3, 5, 4), 1)
MASK = np.array([[1, 0, 1, 1, 0], [0, 0, 1, 0, 1], [0, 0, 0, 0, 0]], bool)
FLAGS = [
    {},
    {"return_sequences": True},
    {"go_backwards": True, "return_sequences": True},
    {"zero_output_for_mask": True, "return_sequences": True},
    {"go_backwards": True, "zero_output_for_mask": True},
    {"use_bias": False},
]


def pair(name, activation="tanh", **flags):
    """The layer in the kernel and the same layer with its activation as a Python function."""
    cls, kwargs = CASES[name]
    kwargs = {**kwargs, **flags, "dtype": "float64", "return_state": True}
    fused = cls(7, activation=activation, **kwargs)
    function = elman.activations.get(activation)
    slow = cls(7, activation=lambda x: function(x), **kwargs)
    fused(X), slow(X)
    weights = [F(w.shape, k + 2) for k, w in enumerate(fused.get_weights())]
    fused.set_weights(weights)
    slow.set_weights(weights)
    return fused, slow


@pytest.mark.parametrize("flags", FLAGS, ids=lambda flags: " ".join(flags) or "plain")
@pytest.mark.parametrize("mask", [None, MASK], ids=["whole", "masked"])
@pytest.mark.parametrize("state", [False, True], ids=["zeros", "given"])
@pytest.mark.parametrize("activation", ["tanh", "softmax"])
@pytest.mark.parametrize("name", CASES)
def test_outputs_and_gradients(name, activation, flags, mask, state):
    fused, slow = pair(name, activation, **flags)
    values = X.copy()
    if mask is not None:
        values[~mask] = np.nan
    found = []
    for layer in (fused, slow):
        x = elman.Variable(values)
        states = [elman.Variable(F((3, 7), 5 + k)) for k in range(2 if name == "LSTM" else 1)]
        with elman.GradientTape() as tape:
            outputs = layer(x, mask=mask, initial_state=states if state else None)
            total = sum(K.sum(o * (k + 1.0) * o) for k, o in enumerate(outputs))
        sources = [x, *layer.trainable_weights, *(states if state else [])]
        found.append([*outputs, *tape.gradient(total, sources)])
    for got, want in zip(*found, strict=True):
        np.testing.assert_allclose(got, want, rtol=0, atol=1e-12)


@pytest.mark.parametrize("name", CASES)
def test_explain_names_the_kernel(name):
    cls, kwargs = CASES[name]
    text = cls(7, name="mine", **kwargs).explain(X)
    isa = core.config()["isa"]
    assert text.startswith(f"{cls.__name__} 'mine' on (3, 5, 4) float32, {isa}: ")
    assert "GFLOP/s to expect" in text
    assert "step by step" not in text
    assert "on (0, 5, 4) float32" in cls(7).explain(X[:0])


def test_a_stateful_layer_in_python():
    fused, slow = pair("LSTM", stateful=True)
    for layer in (fused, slow):
        layer.reset_states()
    for _ in range(2):
        for got, want in zip(slow(X), fused(X), strict=True):
            np.testing.assert_allclose(got, want, rtol=0, atol=1e-12)


@pytest.mark.parametrize("sequences", [False, True])
@pytest.mark.parametrize("name", CASES)
def test_sequences_without_steps(name, sequences):
    fused, slow = pair(name, return_sequences=sequences)
    for layer in (fused, slow):
        output, *states = layer(np.zeros((2, 0, 4)))
        assert tuple(output.shape) == ((2, 0, 7) if sequences else (2, 7))
        assert all((np.asarray(state) == 0).all() for state in states)
