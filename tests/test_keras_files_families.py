# SPDX-License-Identifier: Apache-2.0
"""Every family of layers through every file of Keras: weights and outputs bit for bit."""

from __future__ import annotations

import numpy as np
import pytest

import elman
from elman import layers as L  # noqa: N812 - as in the table
from elman.models import load_model

SEQUENCE, ROWS, IMAGES, VOLUMES = (5, 4), (4, 5, 3), (6, 5, 3), (4, 5, 6, 2)
FAMILIES = {
    "SimpleRNN": (SEQUENCE, lambda: L.SimpleRNN(3, activation="relu")),
    "GRU": (SEQUENCE, lambda: L.GRU(3)),
    "GRU v1": (SEQUENCE, lambda: L.GRU(3, reset_after=False, use_bias=False)),
    "LSTM": (SEQUENCE, lambda: L.LSTM(3, dropout=0.5, go_backwards=True)),
    "CuDNNGRU": (SEQUENCE, lambda: L.CuDNNGRU(3)),
    "CuDNNLSTM": (SEQUENCE, lambda: L.Bidirectional(L.CuDNNLSTM(3))),
    "RNN": (SEQUENCE, lambda: L.RNN(L.GRUCell(3), return_sequences=True)),
    "stack": (SEQUENCE, lambda: L.RNN([L.LSTMCell(3), L.LSTMCell(2), L.SimpleRNNCell(4)])),
    "stack in two directions": (
        SEQUENCE,
        lambda: L.Bidirectional(L.RNN([L.GRUCell(3), L.GRUCell(2)]), merge_mode="mul"),
    ),
    "other way back": (
        SEQUENCE,
        lambda: L.Bidirectional(
            L.LSTM(3), backward_layer=L.LSTM(3, go_backwards=True, activation="relu")
        ),
    ),
    "TimeDistributed": (SEQUENCE, lambda: L.TimeDistributed(L.Dense(3, activation="gelu"))),
    "ConvLSTM1D": (ROWS, lambda: L.ConvLSTM1D(2, 3)),
    "ConvLSTM2D": (VOLUMES, lambda: L.ConvLSTM2D(2, (3, 2), strides=2)),
    "ConvLSTM3D": (
        (3, *VOLUMES),
        lambda: L.ConvLSTM3D(2, 2, recurrent_activation="sigmoid", padding="same"),
    ),
    "Conv1D": (SEQUENCE, lambda: L.Conv1D(3, 2, padding="causal")),
    "Conv2D": (IMAGES, lambda: L.Conv2D(2, (3, 2), data_format="channels_first")),
    "Conv3D": (VOLUMES, lambda: L.Conv3D(3, 2)),
    "BatchNormalization": (IMAGES, lambda: L.BatchNormalization(axis=1, scale=False)),
    "frozen": (SEQUENCE, lambda: L.BatchNormalization(trainable=False)),
    "LayerNormalization": (SEQUENCE, lambda: L.LayerNormalization()),
    "PReLU": (SEQUENCE, lambda: L.PReLU(shared_axes=[1])),
    "options": (
        SEQUENCE,
        lambda: L.GRU(
            3,
            kernel_initializer=elman.initializers.RandomNormal(stddev=0.5),
            recurrent_regularizer=elman.regularizers.L1L2(0.25, 0.5),
            bias_constraint="non_neg",
            activity_regularizer="l2",
        ),
    ),
    "no weights": (SEQUENCE, lambda: L.ZeroPadding1D(1)),
    "shapes": (SEQUENCE, lambda: L.Cropping1D((1, 2))),
    "sizes": (SEQUENCE, lambda: L.UpSampling1D(3)),
}


def made(name):
    shape, layer = FAMILIES[name]
    model = elman.Sequential([elman.Input(shape), layer(), L.Dropout(0.5)])
    rng = np.random.default_rng(8)
    model.set_weights([rng.random(weight.shape) for weight in model.weights])
    return model, rng.normal(size=(2, *shape)).astype("float32")


def check_equal(found, model, x):
    for a, b in zip(found.get_weights(), model.get_weights(), strict=True):
        assert a.dtype == b.dtype
        np.testing.assert_array_equal(a, b)
    np.testing.assert_array_equal(found.predict(x, verbose=0), model.predict(x, verbose=0))


@pytest.mark.parametrize("suffix", [".h5", ".keras"])
@pytest.mark.parametrize("name", FAMILIES)
def test_whole_models(name, suffix, tmp_path):
    model, x = made(name)
    model.save(tmp_path / f"m{suffix}")
    found = load_model(tmp_path / f"m{suffix}")
    assert found.to_json() == model.to_json()
    check_equal(found, model, x)


@pytest.mark.parametrize("suffix", [".h5", ".weights.h5", ".keras", "whole .h5"])
@pytest.mark.parametrize("name", FAMILIES)
def test_weights(name, suffix, tmp_path):
    model, x = made(name)
    whole = suffix.endswith(("keras", "whole .h5"))
    path = tmp_path / f"w{suffix.removeprefix('whole ')}"
    (model.save if whole else model.save_weights)(path)
    found, _ = made(name)
    found.set_weights([weight * 0 for weight in found.get_weights()])
    found.load_weights(path)
    check_equal(found, model, x)


def test_the_same_model_makes_the_same_file(tmp_path):
    """Nothing in the layouts depends on when they are written."""
    model, _ = made("LSTM")
    for suffix in (".h5", ".weights.h5"):
        for name in ("a", "b"):
            model.save_weights(tmp_path / f"{name}{suffix}")
        files = [(tmp_path / f"{name}{suffix}").read_bytes() for name in ("a", "b")]
        assert files[0] == files[1]
