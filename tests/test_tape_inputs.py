# SPDX-License-Identifier: Apache-2.0
"""An array may be overwritten between the forward pass and the gradient."""

from __future__ import annotations

import array

import numpy as np
import pytest

import elman
from elman import backend as K  # noqa: N812 - its name in Keras
from elman import layers
from elman._backend import core

RNG = np.random.default_rng(5)
X = RNG.standard_normal((2, 7, 3)).astype("float32")
LAYERS = [layers.LSTM, layers.GRU, layers.SimpleRNN, layers.Dense]


def gradients(layer, x, spoil):
    layer(X)
    with elman.GradientTape() as tape:
        loss = K.sum(K.square(layer(x)))
    if spoil:
        x[...] = np.nan
    return [g.numpy() for g in tape.gradient(loss, layer.trainable_weights)]


@pytest.mark.parametrize("cls", LAYERS)
@pytest.mark.parametrize("dtype", ["float32", "float64"])
def test_layers(cls, dtype):
    layer, x = cls(4), X.astype(dtype)
    expected = gradients(layer, x, spoil=False)
    for got, right in zip(gradients(layer, x, spoil=True), expected, strict=True):
        np.testing.assert_array_equal(got, right)


@pytest.mark.parametrize("operation", [core.multiply, core.add, core.divide, core.maximum])
def test_operations(operation):
    w = elman.Variable([1.0, 2.0, 3.0])
    x = np.array([4.0, 5.0, 0.5], "float32")
    found = []
    for spoil in (False, True):
        with elman.GradientTape() as tape:
            loss = K.sum(operation(w, x) * x)
        if spoil:
            x[:] = np.nan
        found.append(tape.gradient(loss, w).numpy())
    np.testing.assert_array_equal(*found)


def test_other_memory():
    w = elman.Variable([1.0, 2.0])
    floats = array.array("f", [3.0, 4.0])
    with elman.GradientTape() as tape:
        loss = K.sum(w * core.Tensor(memoryview(floats)))
    floats[0] = np.nan
    assert tape.gradient(loss, w).numpy().tolist() == [3.0, 4.0]

    class Shared:
        """Memory that the consumer sees as read-only, though its owner writes to it."""

        def __init__(self):
            self.values = np.array([3.0, 4.0], "float32")

        def __dlpack__(self, **options):
            return self.values.__dlpack__(**options)

        def __dlpack_device__(self):
            return self.values.__dlpack_device__()

    shared = Shared()
    with elman.GradientTape() as tape:
        loss = K.sum(w * core.Tensor(shared))
    shared.values[:] = np.nan
    assert tape.gradient(loss, w).numpy().tolist() == [3.0, 4.0]


def test_memory_is_shared_where_nothing_can_go_wrong():
    x = np.ones(3, "float32")
    fixed = np.ones(3, "float32")
    fixed.setflags(write=False)
    with core.Tape():
        assert not np.shares_memory(core.Tensor(x).numpy(), x)
        assert np.shares_memory(core.Tensor(fixed).numpy(), fixed)
        with core.no_recording():
            assert np.shares_memory(core.Tensor(x).numpy(), x)
    assert np.shares_memory(core.Tensor(x).numpy(), x)


class Rows(np.ndarray):
    pass


def test_a_stream_writes_into_the_array_that_was_given():
    layer = layers.LSTM(4)
    layer(X)
    stream, other = layer.stream(), layer.stream()
    out = np.zeros(4, "float32").view(Rows)
    expected = other.step(X[0, 0])
    with elman.GradientTape():
        assert stream.step(X[0, 0], out=out) is out
    np.testing.assert_array_equal(out, expected)
