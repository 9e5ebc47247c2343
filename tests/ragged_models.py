# SPDX-License-Identifier: Apache-2.0
"""Models for lists of sequences, and random lists."""

from __future__ import annotations

import numpy as np

import elman
from elman import backend, layers

LENGTHS = (7, 3, 11, 3, 13, 5, 2, 17, 4, 11)


def rows(tail=(3,), seed=0, lengths=LENGTHS):
    rng = np.random.default_rng(seed)
    return [rng.uniform(-1, 1, (n, *tail)).astype("float32") for n in lengths]


def close(actual, expected):
    np.testing.assert_allclose(actual, expected, rtol=0, atol=2e-6)


def model_of(*calls, shape=(None, 3)):
    x = elman.Input(shape)
    y = x
    for call in calls:
        y = call(y)
    return elman.Model(x, y)


def attention(pooled):
    x = elman.Input((None, 3))
    h = layers.LSTM(4, return_sequences=True)(x)
    shares = layers.Softmax(axis=1)(layers.Dense(1)(h))
    if pooled:
        return elman.Model(x, layers.Flatten()(layers.Dot((1, 1))([shares, h])))
    scores = layers.Softmax()(layers.Dot((2, 2))([h, h]))
    return elman.Model(x, layers.Dot((2, 1))([scores, h]))


def residual():
    x = elman.Input((None, 3))
    h = layers.Bidirectional(layers.GRU(2, return_sequences=True), merge_mode="sum")(
        layers.Dense(2)(x)
    )
    h = layers.Concatenate()([layers.Add()([h, layers.Dense(2)(x)]), 2 * h])
    return elman.Model(x, [h, layers.LSTM(2)(h)])


def conv():
    return layers.Conv1D(4, 3, padding="same", activation="relu")


PER_SEQUENCE = {
    "conv in a functional model": lambda: model_of(conv(), layers.LSTM(2)),
    "conv": lambda: elman.Sequential([conv(), layers.LSTM(2)]),
    "nested": lambda: elman.Sequential([
        elman.Sequential([conv(), layers.Dense(2)]), layers.GRU(2)
    ]),
    "nested in a functional model": lambda: model_of(elman.Sequential([conv()]), layers.LSTM(2)),
    "mean by Lambda": lambda: model_of(
        layers.Lambda(lambda x: backend.mean(x, 1)), layers.Dense(2)
    ),
    "attention pooling": lambda: attention(True),
    "average": lambda: elman.Sequential([layers.Dense(2), layers.GlobalAveragePooling1D()]),
    "maximum": lambda: elman.Sequential([layers.Dense(2), layers.GlobalMaxPooling1D()]),
    "causal": lambda: elman.Sequential([
        layers.Conv1D(2, 3, padding="causal", dilation_rate=2), layers.GlobalAveragePooling1D()
    ]),
    "last step": lambda: model_of(layers.LSTM(2, return_sequences=True), lambda h: h[:, -1]),
    "masking of another value": lambda: elman.Sequential([layers.Masking(0.5), layers.LSTM(2)]),
    "CuDNN": lambda: elman.Sequential([layers.CuDNNGRU(2)]),
    "backwards": lambda: model_of(layers.LSTM(2, go_backwards=True)),
    "backwards twice": lambda: elman.Sequential([
        layers.LSTM(4, return_sequences=True, go_backwards=True), layers.LSTM(2, go_backwards=True)
    ]),
    "states": lambda: model_of(lambda x: layers.LSTM(2, return_state=True)(x)[2]),
}  # fmt: skip
PER_STEP = {
    "conv": lambda: model_of(conv()),
    "shorter": lambda: model_of(layers.MaxPooling1D(2), layers.Dense(2)),
    "causal": lambda: elman.Sequential([layers.Conv1D(2, 3, padding="causal"), layers.Dense(2)]),
    "backwards": lambda: model_of(layers.LSTM(2, return_sequences=True, go_backwards=True)),
    "both directions": lambda: elman.Sequential([
        layers.Bidirectional(layers.LSTM(2, return_sequences=True)), layers.LayerNormalization()
    ]),
    "softmax over time": lambda: elman.Sequential([layers.Dense(2), layers.Softmax(axis=1)]),
    "attention": lambda: attention(False),
    "images": lambda: elman.Sequential([
        layers.TimeDistributed(layers.Dense(6)), layers.Reshape((-1, 3, 2)),
        layers.TimeDistributed(layers.Flatten()),
    ]),
    "states of all steps": lambda: model_of(
        lambda x: layers.GRU(2, return_state_sequences=True)(x)[1]
    ),
}  # fmt: skip
