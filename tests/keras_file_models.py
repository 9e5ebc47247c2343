# SPDX-License-Identifier: Apache-2.0
"""The models of the stored Keras files, written once for Keras 2, Keras 3 and elman.

Each function takes the package (`keras`, `tf_keras` or `elman`) and returns a model of it. All
sizes differ, so that no transposed array fits. `INPUTS` are the shapes without the batch.
"""

from __future__ import annotations

import numpy as np

BATCH = 3
INPUTS = {
    "recurrent": [(5, 4)],
    "wrapped": [(5, 4)],
    "images": [(7, 6, 2)],
    "conv_lstm": [(4, 6, 5, 2)],
    "functional": [(5,), (4,)],
    "hard_sigmoid": [(5, 4)],
    "cudnn": [(5, 4)],
    "nested": [(5, 4)],
    "masking": [(5, 4)],
    "arithmetic": [(5, 4)],
}
VOCABULARY = 11
# Models that only tf-keras has the layers for, and one that it writes as parts of TensorFlow.
KERAS_2_ONLY = frozenset({"cudnn"})
KERAS_3_ONLY = frozenset({"arithmetic"})


def recurrent(k):
    return k.Sequential(
        [
            k.Input((5, 4)),
            k.layers.LSTM(3, return_sequences=True),
            k.layers.GRU(5, return_sequences=True, dropout=0.25),
            k.layers.GRU(2, return_sequences=True, reset_after=False),
            k.layers.Dropout(0.5),
            k.layers.SimpleRNN(6, return_sequences=True, use_bias=False),
            k.layers.LSTM(4, go_backwards=True, unit_forget_bias=False),
            k.layers.Dense(2, activation="softmax"),
        ]
    )


def wrapped(k):
    return k.Sequential(
        [
            k.Input((5, 4)),
            k.layers.Bidirectional(k.layers.LSTM(3, return_sequences=True)),
            k.layers.TimeDistributed(k.layers.Dense(5, activation="tanh")),
            k.layers.BatchNormalization(),
            k.layers.RNN([k.layers.LSTMCell(2), k.layers.LSTMCell(7)], return_sequences=True),
            k.layers.Bidirectional(k.layers.GRU(4), merge_mode="sum"),
        ]
    )


def images(k):
    return k.Sequential(
        [
            k.Input((7, 6, 2)),
            k.layers.Conv2D(3, (2, 3), padding="same", activation="relu"),
            k.layers.BatchNormalization(),
            k.layers.MaxPooling2D(2),
            k.layers.Conv2D(5, 2, use_bias=False),
            k.layers.BatchNormalization(scale=False),
            k.layers.Flatten(),
            k.layers.Dense(4, activation="elu"),
        ]
    )


def conv_lstm(k):
    return k.Sequential(
        [
            k.Input((4, 6, 5, 2)),
            k.layers.ConvLSTM2D(3, (2, 3), padding="same", recurrent_activation="hard_sigmoid"),
            k.layers.Flatten(),
            k.layers.Dense(2),
        ]
    )


def functional(k):
    """Two inputs, one of words with padding; two outputs; a layer that is called twice."""
    words, numbers = k.Input((5,), name="words"), k.Input((4,), name="numbers")
    x = k.layers.Embedding(VOCABULARY, 3, mask_zero=True)(words)
    x = k.layers.LSTM(4)(x)
    shared = k.layers.Dense(6, activation="tanh", name="shared")
    both = k.layers.Concatenate()([shared(x), shared(numbers)])
    product = k.layers.Multiply()([x, numbers])
    first, second = k.layers.Dense(2, name="first")(both), k.layers.Dense(1)(product)
    return k.Model([words, numbers], [first, second])


def hard_sigmoid(k):
    return k.Sequential(
        [
            k.Input((5, 4)),
            k.layers.LSTM(3, recurrent_activation="hard_sigmoid", return_sequences=True),
            k.layers.GRU(2, recurrent_activation="hard_sigmoid", return_sequences=True),
            k.layers.Dense(5, activation="hard_sigmoid"),
            k.layers.Activation("hard_sigmoid"),
        ]
    )


def cudnn(k, plain=False):
    """With `plain`, the layers that compute the same where there is no GPU."""
    lstm, gru = ("LSTM", "GRU") if plain else ("CuDNNLSTM", "CuDNNGRU")
    return k.Sequential(
        [
            k.Input((5, 4)),
            getattr(k.layers, lstm)(3, return_sequences=True),
            k.layers.Bidirectional(getattr(k.layers, gru)(6)),
            k.layers.Dense(2),
        ]
    )


def nested(k):
    inner = k.Sequential(
        [
            k.Input((5, 3)),
            k.layers.BatchNormalization(),
            k.layers.Dense(6),
            k.layers.BatchNormalization(center=False),
        ]
    )
    x = k.Input((5, 4))
    y = inner(k.layers.Dense(3)(x))
    ends = k.Input((5, 6))
    tail = k.Model(ends, k.layers.GRU(2)(ends))
    return k.Model(x, tail(y))


def masking(k):
    """The mask reaches all layers; Keras 3 writes it as operations."""
    x = k.Input((5, 4))
    y = k.layers.LSTM(3, return_sequences=True, dropout=0.25)(k.layers.Masking(0.25)(x))
    last, state = k.layers.GRU(2, return_state=True)(y)
    return k.Model(x, [k.layers.Bidirectional(k.layers.SimpleRNN(5))(y), last, state])


def arithmetic(k):
    x = k.Input((5, 4))
    y, z = k.layers.LSTM(3)(x), k.layers.GRU(3)(x)
    return k.Model(x, (2.0 - y * 3.0) / (z**2.0 + 1.5) + y - z)


def model_of(name, package, **options):
    return globals()[name](package, **options)


def inputs_of(name):
    """The same random inputs everywhere; words for inputs of rank one that are called so."""
    rng = np.random.default_rng(list(INPUTS).index(name))
    arrays = [rng.normal(size=(BATCH, *shape)).astype("float32") for shape in INPUTS[name]]
    if name == "functional":
        words = rng.integers(1, VOCABULARY, size=(BATCH, 5))
        words[:, 3:] = [[4, 0], [0, 0], [5, 6]]
        arrays[0] = words.astype("int32")
    if name == "masking":
        arrays[0][:, 3:] = 0.25
        arrays[0][1, 1] = 0.25
    return arrays if len(arrays) > 1 else arrays[0]
