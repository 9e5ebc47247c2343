# SPDX-License-Identifier: Apache-2.0
"""TimeDistributed: the layer on every step, masks folded with the input and back."""

from __future__ import annotations

import numpy as np
import pytest

import elman
from acceptance import F
from elman.layers import (
    GRU,
    LSTM,
    BatchNormalization,
    Bidirectional,
    Conv2D,
    ConvLSTM2D,
    Dense,
    Dropout,
    Embedding,
    Flatten,
    Lambda,
    Masking,
    MaxPooling2D,
    SimpleRNN,
    TimeDistributed,
)

K = elman.backend
X = F((2, 3, 5, 7), 1)
MASK = np.array([[1, 0, 1], [0, 1, 1]], bool)


@pytest.mark.parametrize(
    ("inner", "shape"),
    [
        (Dense(2, activation="tanh"), (2, 3, 5, 2)),
        (LSTM(4), (2, 3, 4)),
        (GRU(4, return_sequences=True), (2, 3, 5, 4)),
        (Flatten(), (2, 3, 35)),
        (elman.layers.Permute((2, 1)), (2, 3, 7, 5)),
        (elman.Sequential([LSTM(4), Dense(2)]), (2, 3, 2)),
        (Lambda(lambda x: x[:, 0] * 2.0), (2, 3, 7)),
        (elman.layers.Conv1D(4, 2), (2, 3, 4, 4)),
        (elman.layers.MaxPooling1D(2), (2, 3, 2, 7)),
    ],
    ids=lambda value: type(value).__name__,
)
def test_it_is_the_layer_on_every_step(inner, shape):
    layer = TimeDistributed(inner, dtype="float64")
    got = layer(X)
    assert (tuple(got.shape), got.dtype) == (shape, "float64")
    steps = [np.asarray(inner(X[:, t])) for t in range(3)]
    np.testing.assert_allclose(got, np.stack(steps, 1), rtol=0, atol=1e-15)
    assert layer.compute_output_shape((None, None, 5, 7)) == (None, None, *shape[2:])
    assert layer(elman.Input((None, 5, 7))).shape == (None, None, *shape[2:])
    assert layer.weights == inner.weights


def test_several_outputs():
    layer = TimeDistributed(LSTM(4, return_state=True))
    outputs = layer(X)
    assert [tuple(o.shape) for o in outputs] == [(2, 3, 4)] * 3
    assert layer.compute_output_shape((2, None, 5, 7)) == [(2, None, 4)] * 3
    np.testing.assert_array_equal(outputs[0], outputs[1])


def test_ids():
    layer = TimeDistributed(Embedding(7, 4, mask_zero=True))
    ids = np.array([[[1, 0], [2, 3]]])
    output = layer(ids)
    assert tuple(output.shape) == (1, 2, 2, 4)
    np.testing.assert_array_equal(output._keras_mask, ids != 0)
    with pytest.raises(IndexError, match=r"\[Embedding.call\] x: expected ids in \[0, 7\), got 7"):
        layer(ids + 6)


def test_sizes_of_zero():
    layer = TimeDistributed(Dense(4))
    for shape in ((0, 3, 5), (2, 0, 5)):
        assert tuple(layer(np.zeros(shape)).shape) == (*shape[:2], 4)


def test_a_mask_of_steps_is_passed_on():
    for inner, x in ((Dense(4), X[:, :, 0]), (Dense(4), X), (Flatten(), X), (LSTM(4), X)):
        layer = TimeDistributed(inner)
        np.testing.assert_array_equal(layer(x, mask=MASK)._keras_mask, MASK)
        assert getattr(layer(x), "_keras_mask", None) is None
    # A masked step leaves a recurrent layer nothing to read.
    layer = TimeDistributed(SimpleRNN(4, bias_initializer="ones"))
    outputs = np.asarray(layer(X, mask=MASK))
    np.testing.assert_array_equal(outputs[~MASK], np.zeros((2, 4)))
    assert (outputs[MASK] != 0).all()
    norm = TimeDistributed(BatchNormalization(momentum=0.0))
    norm(np.where(MASK[..., None], X[:, :, 0], 99), mask=MASK, training=True)
    np.testing.assert_allclose(norm.layer.moving_mean, X[:, :, 0][MASK].mean(0), atol=1e-6)


def test_a_mask_of_what_is_in_a_step():
    deep = np.random.default_rng(1).random((2, 3, 5)) < 0.5
    deep[0, 1] = False
    inner = LSTM(4, dtype="float64")
    layer = TimeDistributed(inner)
    output = layer(X, mask=deep)
    for t in range(3):
        expected = inner(X[:, t], mask=deep[:, t])
        np.testing.assert_allclose(np.asarray(output)[:, t], expected, rtol=0, atol=1e-15)
    np.testing.assert_array_equal(output._keras_mask, deep.any(-1))
    many = TimeDistributed(GRU(4, return_sequences=True))
    np.testing.assert_array_equal(many(X, mask=deep)._keras_mask, deep)
    masking = TimeDistributed(Masking(0.5))
    x = np.where(deep[..., None], X, 0.5)
    np.testing.assert_array_equal(masking(x)._keras_mask, deep)


def test_sequences_of_images_in_every_step():
    """ConvLSTM on 6 axes: a mask of steps hides all frames of one, a deeper one its own."""
    rng = np.random.default_rng(1)
    x, deep = rng.normal(size=(2, 3, 5, 4, 6, 1)), rng.random((2, 3, 5)) < 0.6
    deep[0, 1] = False
    inner = ConvLSTM2D(3, 2, return_sequences=True, bias_initializer="ones", dtype="float64")
    layer = TimeDistributed(inner)
    for mask, used in ((MASK, np.repeat(MASK[..., None], 5, -1)), (deep, deep)):
        padded = np.where(used[..., None, None, None], x, np.nan)
        output = layer(padded, mask=mask)
        assert output.shape == layer.compute_output_shape(x.shape) == (2, 3, 5, 3, 5, 3)
        for t in range(3):
            expected = np.asarray(inner(padded[:, t], mask=used[:, t]))
            np.testing.assert_array_equal(np.asarray(output)[:, t], expected)
        np.testing.assert_array_equal(output._keras_mask, mask)
    assert layer.compute_output_shape((None, None, 5, 4, 6, 1)) == (None, None, 5, 3, 5, 3)


def test_a_model_of_clips():
    """Convolution and pooling of every frame, then ConvLSTM in both directions."""
    elman.utils.set_random_seed(1)
    model = elman.Sequential([
        TimeDistributed(Conv2D(3, 2, activation="relu"), input_shape=(None, 7, 7, 1)),
        TimeDistributed(MaxPooling2D(2)),
        Bidirectional(ConvLSTM2D(2, 2, padding="same")),
        Flatten(),
        Dense(1),
    ])  # fmt: skip
    assert model.layers[2].output_shape == (None, 3, 3, 4)
    rng = np.random.default_rng(0)
    x = rng.normal(size=(32, 4, 7, 7, 1)).astype("float32")
    y = x[:, :, 2:5, 2:5].mean((1, 2, 3))
    model.compile(elman.optimizers.Adam(0.02), "mse")
    history = model.fit(x, y, epochs=30, verbose=0).history["loss"]
    assert history[-1] < history[0] / 2
    again = elman.Sequential.from_config(model.get_config())
    again.set_weights(model.get_weights())
    np.testing.assert_array_equal(again.predict(x, verbose=0), model.predict(x, verbose=0))


def test_training_reaches_the_layer():
    layer = TimeDistributed(Dropout(0.5, seed=1))
    x = np.ones((2, 3, 31), "float32")
    np.testing.assert_array_equal(layer(x), x)
    y = np.asarray(layer(x, training=True))
    assert set(np.unique(y)) == {0.0, 2.0}
    assert (y[:, 0] != y[:, 1]).any()


def test_a_model():
    elman.utils.set_random_seed(1)
    inner = TimeDistributed(Dense(8, activation="tanh"), input_shape=(None, 5))
    model = elman.Sequential([inner, LSTM(4), Dense(1)])
    assert model.layers[0].output_shape == (None, None, 8)
    rng = np.random.default_rng(0)
    x = rng.normal(size=(32, 6, 5)).astype("float32")
    y = x[:, :, 0].mean(1)
    model.compile(elman.optimizers.Adam(0.03), "mse")
    history = model.fit(x, y, epochs=20, verbose=0).history["loss"]
    assert history[-1] < history[0] / 3
    again = elman.Sequential.from_config(model.get_config())
    again.set_weights(model.get_weights())
    np.testing.assert_array_equal(again.predict(x, verbose=0), model.predict(x, verbose=0))


def test_types():
    assert TimeDistributed(Dense(2, dtype="float64")).dtype == "float64"
    layer = TimeDistributed(TimeDistributed(GRU(2)), dtype="float64")
    layer(np.zeros((2, 1, 3, 5, 7)))
    assert {w.dtype for w in layer.weights} == {"float64"}
    with pytest.raises(
        ValueError, match=r"\[TimeDistributed\] dtype: expected one type, got float"
    ):
        TimeDistributed(Dense(2, dtype="float32"), dtype="float64")


def test_errors():
    with pytest.raises(
        ValueError, match=r"\[TimeDistributed.call\] x: expected \(N, T, ...\) with"
    ):
        TimeDistributed(Dense(2))(np.zeros((2, 3)))
    with pytest.raises(ValueError, match=r"\[TimeDistributed\] layer: expected a layer, got 3"):
        TimeDistributed(3)
    with pytest.raises(TypeError, match=r"\[TimeDistributed\] missing argument 'layer'"):
        TimeDistributed()
    layer = TimeDistributed(Dense(2))
    layer(np.zeros((2, 3, 5)))
    text = r"\[TimeDistributed\(Dense\).call\] x: expected \(N, ..., 5\), got \(6, 4\)"
    with pytest.raises(ValueError, match=text):
        layer(np.zeros((2, 3, 4)))
