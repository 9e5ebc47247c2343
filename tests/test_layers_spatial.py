# SPDX-License-Identifier: Apache-2.0
"""Convolution, pooling, padding and up-sampling layers: numbers, options, errors."""

from __future__ import annotations

import json

import numpy as np
import pytest

import elman
import spatial_reference as reference
from acceptance import F
from elman import layers
from elman.layers import (
    AveragePooling1D,
    AveragePooling2D,
    AveragePooling3D,
    Conv1D,
    Conv2D,
    Conv3D,
    GlobalAveragePooling1D,
    GlobalMaxPooling1D,
    MaxPooling1D,
    MaxPooling2D,
    MaxPooling3D,
)

RNG = np.random.default_rng(9)


# -- numbers --------------------------------------------------------------------------------------


@pytest.mark.parametrize("dtype", ["float32", "float64"])
def test_against_loops(dtype):
    x, kernel, bias = RNG.normal(size=(3, 11, 7, 5)), RNG.normal(size=(3, 2, 5, 13)), F((13,), 1)
    layer = Conv2D(13, (3, 2), (2, 1), "same", weights=[kernel, bias], dtype=dtype)
    y = layer(x)
    assert y.dtype == dtype
    expected = reference.conv(x, kernel, bias, (2, 1), "same")
    # 31 products of size ~1 in another order, once rounded each
    np.testing.assert_allclose(y, expected, rtol=0, atol=64 * np.finfo(dtype).eps)


def test_any_activation():
    x = RNG.normal(size=(2, 5, 3)).astype("float32")
    for name in ("softmax", lambda v: v * v):
        layer = Conv1D(4, 2, activation=name)
        plain = Conv1D(4, 2)
        plain(x)
        layer(x)
        layer.set_weights(plain.get_weights())
        np.testing.assert_allclose(layer(x), layer.activation(plain(x)), rtol=0, atol=1e-6)
        first = Conv1D(4, 2, activation=name, data_format="channels_first")
        first(np.swapaxes(x, 1, 2))
        first.set_weights(plain.get_weights())
        np.testing.assert_array_equal(np.swapaxes(first(np.swapaxes(x, 1, 2)), 1, 2), layer(x))


def test_causal_steps_see_no_later_ones():
    x = RNG.normal(size=(2, 13, 3)).astype("float32")
    layer = Conv1D(5, 3, padding="causal", dilation_rate=2)
    whole = np.asarray(layer(x))
    x[:, 7:] = np.nan
    np.testing.assert_array_equal(np.asarray(layer(x))[:, :7], whole[:, :7])


def test_global_average_with_a_mask():
    x = RNG.normal(size=(3, 5, 2)).astype("float32")
    mask = np.array([[1, 1, 0, 0, 1], [0, 0, 0, 0, 0], [1, 1, 1, 1, 1]], bool)
    x[~mask] = np.nan
    assert GlobalAveragePooling1D.supports_masking
    assert getattr(GlobalAveragePooling1D()(x, mask=mask), "_keras_mask", None) is None
    y = np.asarray(GlobalAveragePooling1D()(x, mask=mask))
    np.testing.assert_allclose(y[0], x[0][mask[0]].mean(0), rtol=1e-6)
    np.testing.assert_array_equal(y[1], [0, 0])
    np.testing.assert_allclose(y[2], x[2].mean(0), rtol=1e-6)
    with pytest.raises(
        ValueError, match=r"\[GlobalAveragePooling1D.call\] mask: expected \(N, T\)"
    ):
        GlobalAveragePooling1D()(x, mask=mask[:, 1:])


def test_masks_end_at_layers_without_mask_support():
    x = layers.Embedding(9, 3, mask_zero=True)(np.array([[1, 2, 0, 4, 0]]))
    for layer in (Conv1D(2, 2), MaxPooling1D(), layers.ZeroPadding1D(), layers.UpSampling1D()):
        assert getattr(layer(x), "_keras_mask", None) is None
    pooled = GlobalAveragePooling1D()(x)
    assert getattr(pooled, "_keras_mask", None) is None
    np.testing.assert_allclose(pooled, np.asarray(x)[:, [0, 1, 3]].mean(1), rtol=1e-6)


def test_bilinear_against_its_definition():
    x = RNG.normal(size=(2, 3, 4, 5))
    y = layers.UpSampling2D((3, 2), interpolation="bilinear", dtype="float64")(x)
    for axis, factor in ((1, 3), (2, 2)):
        size = x.shape[axis]
        at = np.clip((np.arange(size * factor) + 0.5) / factor - 0.5, 0, size - 1)
        columns = np.moveaxis(x, axis, 0).reshape(size, -1)
        blended = [np.interp(at, np.arange(size), column) for column in columns.T]
        shape = (*np.moveaxis(x, axis, 0).shape[1:], size * factor)
        x = np.moveaxis(np.reshape(blended, shape), -1, axis)
    np.testing.assert_allclose(y, x, rtol=0, atol=1e-12)


# -- as layers ------------------------------------------------------------------------------------

EVERY = [
    (Conv1D(4, 3, padding="causal", activation="relu"), (None, None, 3), (None, None, 4)),
    (Conv1D(4, 3, strides=2, data_format="channels_first"), (2, 3, 9), (2, 4, 4)),
    (Conv2D(4, (3, 2), padding="same", strides=2), (None, None, 7, 3), (None, None, 4, 4)),
    (Conv2D(4, 2, dilation_rate=(1, 3), data_format="channels_first"), (2, 3, 7, 5), (2, 4, 6, 2)),
    (Conv3D(2, 2, use_bias=False, kernel_regularizer="l2"), (None, 4, 5, 6, 1), (None, 3, 4, 5, 2)),
    (MaxPooling1D(3, 2, "same"), (2, None, 3), (2, None, 3)),
    (MaxPooling2D((3, 2), data_format="channels_first"), (2, 3, 7, 5), (2, 3, 2, 2)),
    (MaxPooling3D(2, strides=(1, 2, 3)), (2, 4, 4, 7, 3), (2, 3, 2, 2, 3)),
    (AveragePooling1D(strides=1), (2, 5, 3), (2, 4, 3)),
    (AveragePooling2D(padding="SAME"), (2, 5, None, 3), (2, 3, None, 3)),
    (AveragePooling3D(), (2, 4, 5, 6, 3), (2, 2, 2, 3, 3)),
    (GlobalMaxPooling1D(), (None, None, 3), (None, 3)),
    (layers.GlobalMaxPooling2D(data_format="channels_first"), (2, 3, 7, 5), (2, 3)),
    (layers.GlobalMaxPooling3D(), (2, 4, 5, 6, 3), (2, 3)),
    (GlobalAveragePooling1D("channels_first"), (2, 3, 7), (2, 3)),
    (layers.GlobalAveragePooling2D(), (2, 7, 5, 3), (2, 3)),
    (layers.GlobalAveragePooling3D(), (2, 4, 5, 6, 3), (2, 3)),
    (layers.ZeroPadding1D((1, 2)), (2, None, 3), (2, None, 3)),
    (layers.ZeroPadding2D((2, 1), data_format="channels_first"), (2, 3, 7, 5), (2, 3, 11, 7)),
    (layers.Cropping1D(2), (2, 5, 3), (2, 1, 3)),
    (layers.Cropping2D(((1, 0), (2, 1))), (None, 3, 5, 1), (None, 2, 2, 1)),
    (layers.UpSampling1D(3), (2, 5, 3), (2, 15, 3)),
    (layers.UpSampling2D((1, 3), interpolation="bilinear"), (2, 5, 2, 3), (2, 5, 6, 3)),
]


def draw_for(shape, seed=0):
    """Values for a shape whose unknown sizes become 6."""
    sizes = [6 if size is None else size for size in shape]
    return np.random.default_rng(seed).normal(size=sizes).astype("float32")


@pytest.mark.parametrize(("layer", "shape", "expected"), EVERY, ids=str)
def test_shapes_and_configuration(layer, shape, expected):
    assert layer.compute_output_shape(shape) == expected
    assert layer(elman.Input(batch_shape=shape)).shape == expected
    x = draw_for(shape)
    y = layer(x)
    assert layer.compute_output_shape(x.shape) == y.shape
    again = type(layer).from_config(json.loads(json.dumps(layer.get_config())))
    again(x)
    again.set_weights(layer.get_weights())
    np.testing.assert_array_equal(again(x), y)
    assert again.get_config() == layer.get_config()
    double = type(layer).from_config({**layer.get_config(), "dtype": "float64"})
    double(x)
    double.set_weights(layer.get_weights())
    assert double(x).dtype == "float64"
    # up to 27 products of size 1
    np.testing.assert_allclose(double(x), y, rtol=0, atol=27 * np.finfo("float32").eps)
    assert layer(x[:0]).shape == (0, *y.shape[1:])
    integers = np.arange(x.size, dtype="int32").reshape(x.shape) % 7
    np.testing.assert_array_equal(layer(integers), layer(integers.astype("float32")))


@pytest.mark.parametrize(("layer", "shape", "expected"), EVERY, ids=str)
def test_wrong_ranks(layer, shape, expected):
    for wrong in (shape[:-1], (*shape, 2), ()):
        x = draw_for(wrong)
        name = type(layer).__name__
        with pytest.raises(ValueError, match=rf"\[{name}.call\] x: expected \(N, .*sample has"):
            type(layer).from_config(layer.get_config())(x)
        with pytest.raises(ValueError, match=rf"\[{name}.call\] x: expected \(N"):
            layer(x)
        with pytest.raises(ValueError, match=rf"\[{name}.compute_output_shape\] x"):
            layer.compute_output_shape(wrong)


def test_channels_are_fixed():
    layer = Conv2D(4, 2)
    layer(draw_for((2, 5, 6, 3)))
    with pytest.raises(ValueError, match=r"\[Conv2D.call\] x: expected \(N, rows, cols, 3\), got"):
        layer(draw_for((2, 5, 6, 4)))
    with pytest.raises(ValueError, match=r"\[Conv1D.call\] x: .*channels have to be known"):
        Conv1D(4, 2)(elman.Input((5, None)))
    with pytest.raises(ValueError, match=r"expected more rows in \(N, rows, cols, C\).*0 rows"):
        layer(draw_for((2, 1, 6, 3)))
    for empty in (layers.GlobalMaxPooling2D(), layers.Cropping2D(3), MaxPooling2D(padding="same")):
        with pytest.raises(ValueError, match="expected more rows"):
            empty(np.zeros((2, 0, 5, 3), "float32"))


@pytest.mark.parametrize(
    ("make", "text"),
    [
        (lambda: Conv2D(0, 2), "filters: expected a positive int, got 0"),
        (lambda: Conv2D(4), "missing argument 'kernel_size'"),
        (lambda: Conv2D(4, 0), "kernel_size: expected a positive int or 2 of them, got 0"),
        (lambda: Conv2D(4, (1, 2, 3)), r"kernel_size: .*got \(1, 2, 3\)"),
        (lambda: Conv1D(4, (1, 2)), "kernel_size: expected a positive int, got"),
        (lambda: Conv2D(4, 2.0), "kernel_size"),
        (lambda: Conv2D(4, "3"), "kernel_size"),
        (lambda: Conv2D(4, 2, strides=(1, 0)), "strides"),
        (lambda: Conv2D(4, 2, strides=None), "strides"),
        (lambda: Conv2D(4, 2, dilation_rate=-1), "dilation_rate"),
        (lambda: Conv2D(4, 2, padding=None), "padding: expected 'valid' or 'same', got None"),
        (lambda: Conv2D(4, 2, data_format="NHWC"), "data_format"),
        (lambda: Conv2D(4, 2, activation="rleu"), "did you mean 'relu'"),
        (lambda: Conv2D(4, 2, kernel="x"), "unknown argument 'kernel'"),
        (lambda: MaxPooling2D((2, True)), "pool_size"),
        (lambda: MaxPooling2D(2, 0), "strides"),
        (lambda: layers.ZeroPadding1D(-1), "padding: expected an int >= 0 or a pair"),
        (lambda: layers.ZeroPadding2D(((1, 2), (3,))), "padding: expected an int >= 0, 2 of them"),
        (lambda: layers.ZeroPadding2D("same"), "padding"),
        (lambda: layers.Cropping2D((1, 2, 3)), "cropping"),
        (lambda: layers.UpSampling2D(0), "size"),
        (lambda: layers.UpSampling2D(interpolation="cubic"), "'nearest' or 'bilinear'"),
    ],
)
def test_bad_options(make, text):
    with pytest.raises((TypeError, ValueError), match=text):
        make()


def test_data_format_setting():
    elman.backend.set_image_data_format("channels_first")
    try:
        assert Conv2D(1, 2).data_format == "channels_first"
        assert MaxPooling3D().data_format == "channels_first"
        assert Conv1D(1, 2).data_format == "channels_last"
        assert MaxPooling1D().data_format == "channels_last"
    finally:
        elman.backend.set_image_data_format("channels_last")


def network():
    """A small image classifier with most of the layers."""
    return elman.Sequential([
        layers.ZeroPadding2D(1, input_shape=(8, 8, 1)),
        Conv2D(8, 3, activation="relu"),
        MaxPooling2D(),
        Conv2D(8, 2, strides=2, padding="same"),
        layers.UpSampling2D(),
        AveragePooling2D(padding="same"),
        layers.GlobalAveragePooling2D(),
        layers.Dense(2, activation="softmax"),
    ])  # fmt: skip


def test_a_network_learns(tmp_path):
    elman.utils.set_random_seed(1)
    rng = np.random.default_rng(0)
    x = rng.normal(size=(96, 8, 8, 1)).astype("float32")
    y = rng.integers(0, 2, 96)
    x[y == 1, ::2] += 1.0  # stripes
    model = network()
    model.compile(elman.optimizers.Adam(0.02), "sparse_categorical_crossentropy", ["accuracy"])
    history = model.fit(x, y, epochs=12, verbose=0).history
    assert history["accuracy"][-1] > 0.9
    model.save_weights(tmp_path / "weights.safetensors")
    again = network()
    again.load_weights(tmp_path / "weights.safetensors")
    np.testing.assert_array_equal(again.predict(x, verbose=0), model.predict(x, verbose=0))


def test_training_is_bit_equal_at_any_thread_count():
    x = np.random.default_rng(0).normal(size=(64, 24, 24, 8)).astype("float32")
    before, found = elman.get_num_threads(), []
    try:
        for threads in (1, 2, 3, 5):
            elman.set_num_threads(threads)
            layer = Conv2D(32, 3, padding="same", activation="relu", kernel_initializer="ones")
            pool, variable = MaxPooling2D(), elman.Variable(x)
            with elman.GradientTape() as tape:
                y = pool(layer(variable))
            gradients = tape.gradient(y, [variable, *layer.trainable_weights])
            found.append([np.array(g) for g in (y, *gradients)])
    finally:
        elman.set_num_threads(before)
    for other in found[1:]:
        for a, b in zip(found[0], other, strict=True):
            np.testing.assert_array_equal(a, b)
