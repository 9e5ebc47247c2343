# SPDX-License-Identifier: Apache-2.0
"""Softmax and log_softmax inside of recurrent layers, against what Keras 3 computed (float32)."""

from __future__ import annotations

import pytest

from keras_cases import load, reference_outputs
from keras_replay import check, compare, run_fused, run_layers, with_nan

CASES = load("softmax")
every = pytest.mark.parametrize("case", CASES, ids=str)


def run(case, arrays):
    return run_fused(case, arrays) if case.dropout else run_layers(case, arrays)


def test_the_cases_reach_every_option():
    assert len(CASES) >= 30
    for option in ("go_backwards", "return_sequences", "return_state", "zero_output_for_mask"):
        assert {case.config[option] for case in CASES} == {False, True}, option
    assert {case.dropout for case in CASES} == {False, True}
    assert {bool(case.states) for case in CASES} == {False, True}
    gated = [case for case in CASES if case.layers[0]["class"] != "SimpleRNN"]
    for option, cases in (("activation", CASES), ("recurrent_activation", gated)):
        assert {"softmax", "log_softmax"} < {case.config[option] for case in cases}
    for case in CASES:
        n, t, f = case.arrays["x"].shape
        assert len({n, t, f, case.config["units"]}) == 4, f"{case}: a swapped axis goes unnoticed"


@every
def test_reference_agrees_with_keras(case):
    for k, output in enumerate(reference_outputs(case, case.arrays)):
        compare(case, output, case.arrays[f"o{k}"], f"output {k}")


@every
def test_layers_agree_with_keras(case):
    check(case, case.arrays, *run(case, case.arrays))


@every
def test_nan_in_the_padding_changes_nothing(case):
    if "mask" in case.arrays:
        arrays = with_nan(case.arrays)
        check(case, arrays, *run(case, arrays))
