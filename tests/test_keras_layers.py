# SPDX-License-Identifier: Apache-2.0
"""Bidirectional and the layers around the recurrent ones against Keras 3 and float64 formulas."""

from __future__ import annotations

import itertools

import numpy as np
import pytest

from keras_cases import load
from keras_replay import RELATIVE, check, compare, run_layers, with_nan
from layer_formulas import differences, run
from tolerance import assert_close

BIDIRECTIONAL, LAYERS = load("bidirectional"), load("layers")
CASES = [*BIDIRECTIONAL, *LAYERS]
SAMPLED = 6  # elements of an operand that are differentiated by


def every(cases):
    return pytest.mark.parametrize("case", cases, ids=str)


def double(case):
    """The case's arrays, real numbers in float64."""
    return {
        name: value.astype(np.float64) if value.dtype == np.float32 else value
        for name, value in case.arrays.items()
    }


def sampled(case, name):
    """Some elements of an operand; no padding, which a small change turns into a used step."""
    array, first = case.arrays[name], case.layers[0]
    free = np.ones(array.shape, bool)
    if name == "x" and first["class"] == "Masking":
        free &= (array != first["config"].get("mask_value", 0.0)).any(-1, keepdims=True)
    rng = np.random.default_rng([case.index, len(name)])
    return rng.permutation(np.flatnonzero(free))[:SAMPLED]


def check_reference(case):
    """The formulas against Keras."""
    operands = double(case)
    outputs, after = run(case, operands)
    assert len(outputs) == case.outputs
    for k, output in enumerate(outputs):
        compare(case, output, case.arrays[f"o{k}"], f"output {k}")
    for name in case.arrays:
        if name[0] == "a":
            compare(case, after[int(name[1:])], case.arrays[name], f"w{name[1:]} afterwards")
    for name in case.sources():
        expected, elements = case.arrays["g" + name], sampled(case, name)
        scale = max(float(np.abs(expected).max()), 1e-3)
        found = differences(case, operands, name, elements)
        assert_close(found, expected.ravel()[elements], RELATIVE * scale, f"{case} d_{name}")


def check_double(case):
    """The layers against the formulas: outputs to 1e-12, gradients to 1e-7 of differences."""
    operands = double(case)
    outputs, found = run_layers(case, operands, "float64")
    expected, after = run(case, operands)
    for k, (output, wanted) in enumerate(zip(outputs, expected, strict=True)):
        assert output.dtype == "float64"
        allowed = 1e-12 * max(1.0, float(np.abs(wanted).max()))
        assert_close(output, wanted, allowed, f"{case} output {k}")
    for name in case.sources():
        gradient = np.zeros_like(operands[name]) if found[name] is None else found[name].numpy()
        assert gradient.dtype == "float64"
        elements = sampled(case, name)
        wanted = differences(case, operands, name, elements)
        scale = max(1.0, float(np.abs(gradient).max()))
        assert_close(gradient.ravel()[elements], wanted, 1e-7 * scale, f"{case} d_{name}")
    for name in operands:
        if name[0] == "a":
            moved = found[f"after w{name[1:]}"]
            assert_close(moved, after[int(name[1:])], 1e-12, f"{case} w{name[1:]} afterwards")


@every(CASES)
def test_reference_agrees_with_keras(case):
    """The formulas against Keras: elman is not involved."""
    check_reference(case)


@every(CASES)
def test_layers_agree_with_keras(case):
    check(case, case.arrays, *run_layers(case, case.arrays))


@every(CASES)
def test_float64_agrees_with_the_reference(case):
    check_double(case)


@every([case for case in BIDIRECTIONAL if "mask" in case.arrays])
def test_nan_in_the_padding_changes_nothing(case):
    arrays = with_nan(case.arrays)
    check(case, arrays, *run_layers(case, arrays))


def test_there_are_enough_cases():
    assert len(BIDIRECTIONAL) >= 50
    assert len(LAYERS) >= 60
    for case in BIDIRECTIONAL:
        n, t, f = case.arrays["x"].shape
        inner = case.config["layer"]["config"]
        units = inner["units"] if "units" in inner else inner["cell"][0]["config"]["units"]
        assert len({n, t, f, units}) == 4, f"{case}: a swapped axis would go unnoticed"


def test_the_cases_reach_every_option():
    """A generator that stopped drawing an option would leave it untested."""
    configs = [case.config for case in BIDIRECTIONAL]
    modes = {config["merge_mode"] for config in configs}
    kinds = {config["layer"]["class"] for config in configs}
    assert modes == {"concat", "sum", "mul", "ave", None}
    assert kinds == {"LSTM", "GRU", "SimpleRNN", "RNN"}
    pairs = {(config["merge_mode"], config["layer"]["class"]) for config in configs}
    assert pairs == set(itertools.product(modes, kinds))
    for flag in ("return_sequences", "return_state"):
        assert {config["layer"]["config"][flag] for config in configs} == {False, True}
    assert {bool(case.states) for case in BIDIRECTIONAL} == {False, True}
    assert any("backward_layer" in config for config in configs)
    masks = [case.arrays["mask"] for case in BIDIRECTIONAL if "mask" in case.arrays]
    assert any(not mask[:, 0].all() and mask[:, -1].any() for mask in masks)
    assert any(not mask.any(axis=1).all() for mask in masks)
    names = {spec["class"] for case in LAYERS for spec in case.layers}
    assert names >= {
        "TimeDistributed", "Masking", "LayerNormalization", "BatchNormalization", "ReLU", "ELU",
        "LeakyReLU", "PReLU", "Softmax", "Reshape", "Permute", "RepeatVector", "Bidirectional",
    }  # fmt: skip
    assert {case.training for case in LAYERS} == {False, True}
