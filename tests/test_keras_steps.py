# SPDX-License-Identifier: Apache-2.0
"""Masks in stacks of cells and of layers, against what Keras 3 computed (float32)."""

from __future__ import annotations

import numpy as np
import pytest

from keras_cases import load
from keras_replay import check, run_layers, with_nan

CASES = load("masked_stacks") + load("masked_layers")
every = pytest.mark.parametrize("case", CASES, ids=str)


def test_the_cases_reach_every_option():
    assert len(CASES) >= 25
    stacks = [case for case in CASES if "cell" in case.config]
    for option in ("go_backwards", "return_sequences", "return_state", "zero_output_for_mask"):
        assert {case.config[option] for case in stacks} == {False, True}, option
    masked = [case.arrays["mask"] for case in CASES if "mask" in case.arrays]
    assert any(not mask.any() for mask in masked)
    assert sum(not mask[:, 0].all() for mask in masked) > 5
    assert {bool(case.states) for case in CASES} == {False, True}


@every
def test_layers_agree_with_keras(case):
    check(case, case.arrays, *run_layers(case, case.arrays))


@every
def test_nan_in_the_padding_changes_nothing(case):
    if "mask" in case.arrays:
        arrays = with_nan(case.arrays)
        check(case, arrays, *run_layers(case, arrays))


@every
def test_lengths_are_a_right_mask(case):
    """Where Keras' mask is one of lengths, they give the same numbers and gradients."""
    mask = case.arrays.get("mask")
    if mask is None or len(case.layers) > 1:
        return
    lengths = mask.sum(axis=1)
    if not (mask == (np.arange(mask.shape[1]) < lengths[:, None])).all():
        return
    arrays = {name: value for name, value in case.arrays.items() if name != "mask"}
    check(case, arrays, *run_layers(case, arrays, lengths=lengths))
