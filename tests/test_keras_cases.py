# SPDX-License-Identifier: Apache-2.0
"""Outputs and gradients of random layers against what Keras 3 computed for them (float32)."""

from __future__ import annotations

import numpy as np
import pytest

from keras_cases import FAMILIES, load, load_all, reference_gradients, reference_outputs
from keras_replay import RELATIVE, check, compare, run_fused, run_layers, with_nan
from tolerance import assert_close

CASES = load_all()


def every(cases):
    return pytest.mark.parametrize("case", cases, ids=str)


def test_there_are_enough_cases():
    assert len(CASES) >= 60
    for case in CASES:
        if case.family != "models":
            n, t, f = case.arrays["x"].shape
            sizes = (n, t, f, case.config["units"])
            assert len(set(sizes)) == 4, f"{case}: a swapped axis would go unnoticed"


@every(CASES)
def test_reference_agrees_with_keras(case):
    """The reference against Keras: neither elman's outputs nor its equations are involved."""
    for k, output in enumerate(reference_outputs(case, case.arrays)):
        compare(case, output, case.arrays[f"o{k}"], f"output {k}")
    rng = np.random.default_rng(case.index)
    sizes = {name: case.arrays[name].size for name in case.sources()}
    elements = {name: rng.permutation(size)[:20] for name, size in sizes.items()}
    for name, found in reference_gradients(case, elements).items():
        expected = case.arrays["g" + name]
        scale = max(float(np.abs(expected).max()), 1e-3)
        assert_close(found, expected.ravel()[elements[name]], RELATIVE * scale, f"{case} d_{name}")


@every([case for case in CASES if not case.dropout])
def test_layers_agree_with_keras(case):
    check(case, case.arrays, *run_layers(case, case.arrays))


@every([case for case in CASES if case.dropout])
def test_dropout_agrees_with_keras(case):
    check(case, case.arrays, *run_fused(case, case.arrays))


@every([case for case in CASES if "mask" in case.arrays])
def test_nan_in_the_padding_changes_nothing(case):
    """What a masked step holds must not matter, not even as 0 * NaN in a gradient."""
    arrays = with_nan(case.arrays)
    run = run_fused if case.dropout else run_layers
    check(case, arrays, *run(case, arrays))


@pytest.mark.parametrize("family", FAMILIES[:4])
def test_the_cases_reach_every_option(family):
    """A generator that stopped drawing an option would leave it untested."""
    cases = load(family)
    for option in ("go_backwards", "return_sequences", "return_state", "zero_output_for_mask"):
        assert {case.config[option] for case in cases} == {False, True}, option
    assert {case.config["use_bias"] for case in cases} == {False, True}
    assert {case.dropout for case in cases} == {False, True}
    assert len({case.config["activation"] for case in cases}) == 16
    leading = [case for case in cases if "mask" in case.arrays and case.states]
    assert any(not case.arrays["mask"][:, 0].all() for case in leading)
    assert any(not case.arrays["mask"].any(axis=1).all() for case in leading)
