# SPDX-License-Identifier: Apache-2.0
"""Wrappers around layers on images against Keras 3 (float32) and float64 formulas."""

from __future__ import annotations

import numpy as np
import pytest

from keras_cases import load
from keras_replay import check, run_layers
from test_keras_layers import check_double, check_reference

CASES = load("wrapped_images")
BIDIRECTIONAL = [case for case in CASES if case.layers[0]["class"] == "Bidirectional"]
every = pytest.mark.parametrize("case", CASES, ids=str)


@every
def test_reference_agrees_with_keras(case):
    """The formulas against Keras: elman is not involved."""
    check_reference(case)


@every
def test_layers_agree_with_keras(case):
    check(case, case.arrays, *run_layers(case, case.arrays))


@every
def test_float64_agrees_with_the_reference(case):
    check_double(case)


@pytest.mark.parametrize("case", [c for c in CASES if "mask" in c.arrays], ids=str)
def test_nan_in_masked_frames_changes_nothing(case):
    arrays, x = case.arrays, case.arrays["x"]
    used = arrays["mask"].reshape(*arrays["mask"].shape, *[1] * (x.ndim - 2))
    arrays = {**arrays, "x": np.where(used, x, np.float32("nan"))}
    check(case, arrays, *run_layers(case, arrays))


def test_the_cases_reach_every_option():
    """A generator that stopped drawing an option would leave it untested."""
    assert len(BIDIRECTIONAL) >= 18
    assert {case.config["merge_mode"] for case in BIDIRECTIONAL} == {
        "concat", "sum", "mul", "ave", None,
    }  # fmt: skip
    inner = [case.config["layer"] for case in BIDIRECTIONAL]
    assert {spec["class"] for spec in inner} == {"ConvLSTM1D", "ConvLSTM2D", "ConvLSTM3D"}
    for flag in ("return_sequences", "return_state", "use_bias"):
        assert {spec["config"][flag] for spec in inner} == {False, True}
    formats = {spec["config"]["data_format"] for spec in inner}
    assert formats == {"channels_first", "channels_last"}
    assert {bool(case.states) for case in BIDIRECTIONAL} == {False, True}
    masks = [case.arrays["mask"] for case in BIDIRECTIONAL if "mask" in case.arrays]
    assert any(not mask[:, 0].all() and mask[:, -1].any() for mask in masks)
    wrapped = {
        spec["config"]["layer"]["class"]
        for case in CASES
        for spec in case.layers
        if spec["class"] == "TimeDistributed"
    }
    assert wrapped >= {
        "Conv1D", "Conv2D", "MaxPooling2D", "AveragePooling2D", "Flatten", "ConvLSTM1D",
        "ConvLSTM2D", "TimeDistributed", "Bidirectional",
    }  # fmt: skip
