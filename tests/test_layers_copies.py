# SPDX-License-Identifier: Apache-2.0
"""Layers in several threads, in copies and in pickles."""

from __future__ import annotations

import copy
import pickle
from concurrent.futures import ThreadPoolExecutor

import numpy as np
import pytest

import elman
from acceptance import F
from elman.layers import GRU, LSTM, RNN, Dense, Embedding, GRUCell, LSTMCell, SimpleRNN

K = elman.backend
X = F((3, 5, 4), 1).astype(np.float32)


@pytest.mark.parametrize("cls", [SimpleRNN, GRU, LSTM])
def test_one_layer_in_several_threads(cls):
    layer = cls(7, return_sequences=True)
    layer(X)

    def run(number):
        x = X * (1 + number % 3)
        with elman.GradientTape() as tape:
            output = layer(x)
            total = K.sum(output * output)
        return [np.asarray(t) for t in (output, *tape.gradient(total, layer.trainable_weights))]

    expected = [run(number) for number in range(3)]
    with ThreadPoolExecutor(4) as pool:
        found = list(pool.map(run, range(120)))
    for number, arrays in enumerate(found):
        for got, want in zip(arrays, expected[number % 3], strict=True):
            np.testing.assert_array_equal(got, want)


@pytest.mark.parametrize("again", [copy.deepcopy, lambda layer: pickle.loads(pickle.dumps(layer))])
@pytest.mark.parametrize(
    "layer",
    [
        SimpleRNN(3, dropout=0.5, seed=4),
        GRU(3, recurrent_dropout=0.5, seed=4),
        LSTM(3, stateful=True, kernel_constraint="max_norm", kernel_regularizer="l2"),
        RNN([LSTMCell(3), GRUCell(2)]),
        Dense(3, activation="softmax"),
        Embedding(9, 3),
    ],
    ids=lambda layer: type(layer).__name__,
)
def test_copies(layer, again):
    x = np.array([[1, 2], [3, 4]]) if isinstance(layer, Embedding) else X
    layer(x)
    other = again(layer)
    assert other.name == layer.name
    assert [w.path for w in other.weights] == [w.path for w in layer.weights]
    for _ in range(2):
        np.testing.assert_array_equal(other(x, training=True), layer(x, training=True))
    other.set_weights([w + 1 for w in other.get_weights()])
    assert (other.get_weights()[0] != layer.get_weights()[0]).all(), "weights are not shared"
    assert len(other.losses) == len(layer.losses)
