# SPDX-License-Identifier: Apache-2.0
"""Published examples of convolution and pooling layers, in both data formats."""

from __future__ import annotations

import numpy as np
import pytest

from acceptance import F, close
from elman.layers import (
    AveragePooling1D,
    AveragePooling2D,
    AveragePooling3D,
    Conv1D,
    Conv2D,
    Conv3D,
    GlobalMaxPooling1D,
    MaxPooling1D,
    MaxPooling2D,
    MaxPooling3D,
)

LINE = np.arange(1.0, 6).reshape(1, 5, 1)
SQUARE = np.arange(1.0, 10).reshape(1, 3, 3, 1)
CUBE = np.arange(1.0, 28).reshape(1, 3, 3, 3, 1)


def conv(kind, kernel, bias=None, **options):
    """A layer with these weights, whose kernel is [taps] or [taps, C, F]."""
    kernel = np.asarray(kernel, float)
    rank = {Conv1D: 1, Conv2D: 2, Conv3D: 3}[kind]
    kernel = kernel if kernel.ndim == rank + 2 else kernel[..., None, None]
    options = {"use_bias": bias is not None, "weights": [kernel] + [bias] * (bias is not None)} | (
        options
    )
    return kind(kernel.shape[-1], kernel.shape[:-2], **options)


def both_formats(make, x, expected):
    """The layer gives `expected`, and with its axes moved the same moved (V8)."""
    x, expected = np.asarray(x, float), np.asarray(expected, float)
    close(make(data_format="channels_last")(x), expected)
    moved = make(data_format="channels_first")(np.moveaxis(x, -1, 1))
    close(moved, np.moveaxis(expected, -1, 1) if expected.ndim == x.ndim else expected)


# -- published examples ---------------------------------------------------------------------------


@pytest.mark.parametrize(
    ("kernel", "options", "expected"),
    [
        ([1, 10, 100], {}, [321, 432, 543]),
        ([1, 10, 100], {"padding": "same"}, [210, 321, 432, 543, 54]),
        ([1, 10, 100], {"padding": "causal"}, [100, 210, 321, 432, 543]),
        ([1, 10, 100], {"padding": "causal", "dilation_rate": 2}, [100, 200, 310, 420, 531]),
        ([1, 10, 100], {"padding": "same", "strides": 2}, [210, 432, 54]),
        ([1, 10], {"padding": "same"}, [21, 32, 43, 54, 5]),
        ([1, 10], {"padding": "SAME", "strides": 2}, [21, 43, 5]),
    ],
)
def test_v1_conv1d_of_one_channel(kernel, options, expected):
    expected = np.reshape(expected, (1, -1, 1))
    both_formats(lambda **more: conv(Conv1D, kernel, **options, **more), LINE, expected)


V2 = [[0.57, 0.24], [0.13, 0.09], [0.57, -0.39], [0.57, 0.34]]


@pytest.mark.parametrize(
    ("options", "expected"),
    [
        ({}, V2),
        ({"padding": "same"}, [*V2, [0.19, 0.03]]),
        ({"padding": "causal"}, [[0.43, -0.31], *V2]),
        (
            {"padding": "same", "dilation_rate": 2},
            [[0.39, 0.18], [0.42, 0.18], [0.42, -0.3], [0.53, 0.1], [0.48, 0.12]],
        ),
    ],
)
def test_v2_conv1d_of_two_channels(options, expected):
    def make(**more):
        return conv(Conv1D, F((2, 2, 2), 2), F((2,), 3), **options, **more)

    both_formats(make, F((1, 5, 2), 1), [expected])


@pytest.mark.parametrize(
    ("options", "expected"),
    [
        ({}, [[5421, 6532], [8754, 9865]]),
        ({"padding": "same"}, [[5421, 6532, 603], [8754, 9865, 906], [87, 98, 9]]),
        ({"padding": "same", "strides": 2}, [[5421, 603], [87, 9]]),
        ({"padding": "valid", "dilation_rate": 2}, [[9731]]),
    ],
)
def test_v3_conv2d(options, expected):
    def make(**more):
        return conv(Conv2D, [[1, 10], [100, 1000]], **options, **more)

    both_formats(make, SQUARE, np.asarray(expected)[None, ..., None])


@pytest.mark.parametrize(
    ("kind", "options", "expected"),
    [
        (MaxPooling1D, {}, [2, 4]),
        (MaxPooling1D, {"padding": "same"}, [2, 4, 5]),
        (AveragePooling1D, {}, [1.5, 3.5]),
        (AveragePooling1D, {"padding": "same"}, [1.5, 3.5, 5]),
        (MaxPooling1D, {"pool_size": 3, "strides": 1, "padding": "same"}, [2, 3, 4, 5, 5]),
        (AveragePooling1D, {"pool_size": 3, "strides": 1, "padding": "same"}, [1.5, 2, 3, 4, 4.5]),
        (MaxPooling1D, {"pool_size": 3, "strides": 2, "padding": "same"}, [2, 4, 5]),
        (AveragePooling1D, {"pool_size": 3, "strides": 2, "padding": "same"}, [1.5, 3, 4.5]),
    ],
)
def test_v4_pooling_of_steps(kind, options, expected):
    both_formats(lambda **more: kind(**options, **more), LINE, np.reshape(expected, (1, -1, 1)))


@pytest.mark.parametrize(
    ("kind", "options", "expected"),
    [
        (MaxPooling2D, {}, [[5]]),
        (MaxPooling2D, {"padding": "same"}, [[5, 6], [8, 9]]),
        (AveragePooling2D, {}, [[3]]),
        (AveragePooling2D, {"padding": "same"}, [[3, 4.5], [7.5, 9]]),
        (
            AveragePooling2D,
            {"strides": 1, "padding": "same"},
            [[3, 4, 4.5], [6, 7, 7.5], [7.5, 8.5, 9]],
        ),
    ],
)
def test_v5_pooling_of_images(kind, options, expected):
    expected = np.asarray(expected, float)[None, ..., None]
    both_formats(lambda **more: kind(**options, **more), SQUARE, expected)


@pytest.mark.parametrize(
    ("kind", "padding", "expected"),
    [
        (MaxPooling3D, "valid", [[[14]]]),
        (MaxPooling3D, "same", [[[14, 15], [17, 18]], [[23, 24], [26, 27]]]),
        (AveragePooling3D, "valid", [[[7.5]]]),
        (AveragePooling3D, "same", [[[7.5, 9], [12, 13.5]], [[21, 22.5], [25.5, 27]]]),
    ],
)
def test_v6_pooling_of_volumes(kind, padding, expected):
    expected = np.asarray(expected, float)[None, ..., None]
    both_formats(lambda **more: kind(padding=padding, **more), CUBE, expected)


def test_v7_global_max_pooling():
    x = F((2, 4, 3), 1)
    close(GlobalMaxPooling1D()(x), [[-0.2, 0.5, 0.1], [0.5, 0.1, 0.5]])
    first = GlobalMaxPooling1D(data_format="channels_first")
    close(first(x), [[0.5, 0.4, 0.3, 0.2], [0.5, 0.4, 0.3, 0.5]])


def test_v8_errors():
    for make, text in (
        (lambda: Conv1D(1, 2, strides=2, dilation_rate=2), r"\[Conv1D\] strides: expected 1, got"),
        (lambda: Conv2D(1, 2, strides=(1, 2), dilation_rate=(2, 1)), r"\[Conv2D\] strides"),
        (lambda: Conv1D(1, 2, padding="full"), "padding: expected 'valid' or 'same' or 'causal'"),
        (lambda: Conv2D(1, 2, padding="causal"), "padding: expected 'valid' or 'same', got"),
        (lambda: MaxPooling1D(padding="causal"), r"\[MaxPooling1D\] padding"),
        (lambda: MaxPooling1D(6)(LINE), r"\[MaxPooling1D.call\] x: expected more steps.*0 steps"),
        (lambda: Conv2D(1, (1, 4))(SQUARE), r"\[Conv2D.call\] x: expected more cols"),
    ):
        with pytest.raises(ValueError, match=text):
            make()


def test_i1_glorot_limit():
    layer = Conv1D(4, 3)
    layer.build((None, None, 2))
    (kernel, bias) = layer.get_weights()
    assert kernel.shape == (3, 2, 4)
    assert 0.5 < np.abs(kernel).max() <= 0.577351
    np.testing.assert_array_equal(bias, np.zeros(4))
