# SPDX-License-Identifier: Apache-2.0
"""Masks: which steps count, what comes out of those that do not, and how masks travel."""

from __future__ import annotations

import numpy as np
import pytest

import elman
from acceptance import F, close, column, counter
from elman.layers import (
    GRU,
    LSTM,
    RNN,
    Activation,
    Dense,
    Dropout,
    Embedding,
    Flatten,
    Layer,
    LSTMCell,
    SimpleRNN,
)

X = column(1, 2, 3)
RECURRENT = [SimpleRNN, GRU, LSTM]


@pytest.mark.parametrize(
    ("mask", "flags", "expected"),
    [
        ([1, 0, 1], {}, [1, 1, 3.5]),
        ([0, 1, 0], {}, [0, 2, 2]),
        ([1, 0, 1], {"go_backwards": True}, [3, 3, 2.5]),
        ([1, 0, 1], {"zero_output_for_mask": True}, [1, 0, 3.5]),
    ],
)
def test_a_masked_counter(mask, flags, expected):
    close(counter(return_sequences=True, **flags)(X, mask=np.array([mask])), column(*expected))
    close(counter(**flags)(X, mask=np.array([mask], bool)), [[expected[-1]]])


def test_leading_masked_steps_output_zeros_and_keep_the_state():
    layer = counter(return_sequences=True, return_state=True)
    for mask, outputs, state in (([0, 1, 0], (0, 7, 7), 7), ([0, 0, 0], (0, 0, 0), 10)):
        output, last = layer(X, mask=np.array([mask]), initial_state=np.float32([[10]]))
        close(output, column(*outputs))
        close(last, [[state]])


def test_zero_output_of_a_masked_last_step():
    layer = counter(zero_output_for_mask=True, return_state=True)
    output, state = layer(X, mask=np.array([[1, 1, 0]]))
    close(output, [[0]])
    close(state, [[2.5]])


@pytest.mark.parametrize("cls", RECURRENT)
def test_a_mask_is_a_shorter_sequence(cls):
    layer = cls(5, dtype="float64", return_state=True)
    x = F((3, 7, 4), 1)
    mask = np.array([[1, 1, 1, 0, 0, 0, 0], [0, 1, 0, 1, 1, 0, 1], [1, 1, 1, 1, 1, 1, 1]], bool)
    padded = np.where(mask[..., None], x, np.nan)
    got = layer(padded, mask=mask)
    for row in range(3):
        alone = layer(x[row : row + 1, mask[row]])
        for a, b in zip(got, alone, strict=True):
            np.testing.assert_allclose(np.asarray(a)[row], np.asarray(b)[0], rtol=0, atol=1e-15)


def test_embedding_makes_a_mask_and_recurrent_layers_pass_it_on():
    embedding = Embedding(4, 2, mask_zero=True, weights=[F((4, 2), 1)])
    x = embedding([[1, 0, 3]])
    np.testing.assert_array_equal(x._keras_mask, [[True, False, True]])
    layer = LSTM(2, return_sequences=True, return_state=True)
    layer(x)
    layer.set_weights([F((2, 8), 2), F((2, 8), 3), F((8,), 4)])
    output, _, c = layer(x)
    rows = [[0.058956, -0.088235], [0.058956, -0.088235], [0.092751, -0.094266]]
    close(output, [rows])
    close(c, [[0.148687, -0.175002]])
    np.testing.assert_array_equal(output._keras_mask, [[True, False, True]])
    assert not hasattr(c, "_keras_mask")
    last = LSTM(2, weights=layer.get_weights())
    assert getattr(last(x), "_keras_mask", None) is None
    bare = Embedding(4, 2, weights=[F((4, 2), 1)])([[1, 0, 3]])
    assert not hasattr(bare, "_keras_mask")
    close(last(bare), [[0.095331, -0.085713]])


def test_which_layers_pass_masks_on():
    x = Embedding(4, 2, mask_zero=True)([[1, 0, 3]])
    for layer in (Dense(3), Activation("relu"), Activation("linear"), Dropout(0.5)):
        assert layer(x)._keras_mask is not None, layer
        assert layer(x, training=True)._keras_mask is not None, layer
    assert getattr(Flatten()(x), "_keras_mask", None) is None

    class Own(Layer):
        def call(self, inputs):
            return inputs * 2.0

    class Supporting(Own):
        supports_masking = True

    class Seeing(Layer):
        def call(self, inputs, mask=None):
            assert mask is not None
            return inputs

    assert getattr(Own()(x), "_keras_mask", None) is None
    assert Supporting()(x)._keras_mask is not None
    assert getattr(Seeing()(x), "_keras_mask", None) is None
    assert x._keras_mask is not None, "the input keeps its mask"


def test_a_mask_argument_overrides():
    x = Embedding(4, 2, mask_zero=True)([[1, 0, 3]])
    layer = GRU(3, return_sequences=True)
    all_steps = np.ones((1, 3), bool)
    plain = elman.Tensor(np.array(x))
    np.testing.assert_array_equal(layer(x, mask=all_steps), layer(plain))
    np.testing.assert_array_equal(layer(x), layer(plain, mask=np.array([[1, 0, 1]])))
    assert (np.asarray(layer(x)) != np.asarray(layer(plain))).any()
    y = Activation("linear")(plain, mask=np.array([[1, 0, 1]]))
    assert y._keras_mask is not None
    assert not hasattr(plain, "_keras_mask"), "the caller's tensor is left alone"


def test_compute_mask():
    mask = elman.Tensor(np.ones((2, 3), bool))
    assert GRU(2).compute_mask(None, mask) is None
    assert GRU(2, return_sequences=True).compute_mask(None, mask) is mask
    layer = LSTM(2, return_sequences=True, return_state=True, go_backwards=True)
    assert layer.compute_mask(None, mask) == [mask, None, None]


@pytest.mark.parametrize("shape", [(1, 2), (2, 3), (3,), (1, 3, 1)])
def test_shape_of_a_mask(shape):
    with pytest.raises(ValueError, match=r"\[RNN.call\] mask: expected \(1, 3\), got"):
        RNN(LSTMCell(2))(X, mask=np.ones(shape, bool))
