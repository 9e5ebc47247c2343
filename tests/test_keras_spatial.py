# SPDX-License-Identifier: Apache-2.0
"""Convolution and pooling layers against what Keras 3 computed for random cases (float32)."""

from __future__ import annotations

import numpy as np
import pytest

import elman
import spatial_reference as reference
from keras_cases import load
from keras_replay import check, compare, run_layers
from reference import ACTIVATIONS

CONV = [case for rank in (1, 2, 3) for case in load(f"conv{rank}d")]
POOLING = load("pooling")


@pytest.mark.parametrize("case", [*CONV, *POOLING], ids=str)
def test_layers_agree_with_keras(case):
    check(case, case.arrays, *run_layers(case, case.arrays))


def as_tuple(value, rank):
    return tuple(value) if isinstance(value, list) else (value,) * rank


@pytest.mark.parametrize("case", CONV, ids=str)
def test_reference_agrees_with_keras(case):
    """The loops against Keras: nothing of elman is involved."""
    config, (x, kernel) = case.config, (case.arrays["x"], case.arrays["w0"])
    first = config["data_format"] == "channels_first"
    rank = kernel.ndim - 2
    steps = [as_tuple(config.get(name, 1), rank) for name in ("strides", "dilation_rate")]
    x = np.moveaxis(x, 1, -1) if first else x
    y = reference.conv(
        x.astype(float), kernel, case.arrays.get("w1"), steps[0], config["padding"], steps[1]
    )
    y = ACTIVATIONS[config["activation"]](y)
    compare(case, np.moveaxis(y, -1, 1) if first else y, case.arrays["o0"], "output")


@pytest.mark.parametrize("case", [c for c in POOLING if "mask" in c.arrays], ids=str)
def test_nan_in_the_padding_changes_nothing(case):
    arrays = dict(case.arrays)
    keep = arrays["mask"][..., None]
    if case.config["data_format"] == "channels_first":
        keep = np.swapaxes(keep, 1, 2)
    arrays["x"] = np.where(keep, arrays["x"], np.float32("nan"))
    check(case, arrays, *run_layers(case, arrays))


@pytest.mark.parametrize("case", CONV, ids=str)
def test_a_window_as_one_says_it(case):
    """An int means the same as a tuple of it, and survives the configuration."""
    layer = getattr(elman.layers, case.layers[0]["class"])(**case.config)
    rank = len(layer.kernel_size)
    for name in ("kernel_size", "strides", "dilation_rate"):
        given = case.config.get(name, 1)
        assert getattr(layer, name) == as_tuple(given, rank)
    again = type(layer).from_config(layer.get_config())
    assert again.get_config() == layer.get_config()


def test_the_cases_reach_every_option():
    """A generator that stopped drawing an option would leave it untested."""
    assert len(CONV) >= 60
    assert len(POOLING) >= 45
    assert all(len(set(case.arrays["x"].shape)) == case.arrays["x"].ndim for case in CONV)
    configs = [case.config for case in CONV]
    assert {c["padding"] for c in configs} == {"valid", "same", "causal"}
    assert {c["use_bias"] for c in configs} == {False, True}
    assert {c["data_format"] for c in configs} == {"channels_first", "channels_last"}
    assert len({c["activation"] for c in configs}) == 16
    assert sum(np.max(c.get("strides", 1)) > 1 for c in configs) >= 10
    assert sum(np.max(c.get("dilation_rate", 1)) > 1 for c in configs) >= 10
    assert len({case.layers[0]["class"] for case in POOLING}) == 18
