# SPDX-License-Identifier: Apache-2.0
"""CuDNNGRU and CuDNNLSTM against Keras 2: its conversion of their weights, and what they give."""

from __future__ import annotations

import numpy as np
import pytest

import elman
from keras_cases import load
from keras_replay import check, run_layers

every = pytest.mark.parametrize("case", load("cudnn"), ids=str)


@every
def test_layers_agree_with_keras(case):
    check(case, case.arrays, *run_layers(case, case.arrays))


@every
def test_weights_are_converted_as_keras_does(case):
    """From stored to plain to the last bit; back as well, but for the two halves of a bias."""
    (spec,) = case.layers
    plain = getattr(elman.layers, spec["class"].removeprefix("CuDNN"))(spec["config"]["units"])
    stored = getattr(elman.layers, spec["class"])(spec["config"]["units"])
    given, expected = case.all("w", 3), case.all("q", 3)
    for layer in (plain, stored):
        layer.build(case.arrays["x"].shape)
    plain.set_weights(given)
    for found, wanted in zip(plain.get_weights(), expected, strict=True):
        np.testing.assert_array_equal(found, wanted)
    stored.set_weights(expected)
    *kernels, bias = stored.get_weights()
    for found, wanted in zip(kernels, given[:2], strict=True):
        np.testing.assert_array_equal(found, wanted)
    whole = np.concatenate([expected[2] / 2] * 2) if expected[2].ndim == 1 else given[2]
    np.testing.assert_array_equal(bias, whole)
