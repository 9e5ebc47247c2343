# SPDX-License-Identifier: Apache-2.0
"""Outputs and gradients of random layers against what Keras 3 computed for them (float32)."""

from __future__ import annotations

import numpy as np
import pytest

import elman
from elman._backend import core
from keras_cases import FAMILIES, kind_of, load, load_all, reference_gradients, reference_outputs
from tolerance import assert_close

CASES = load_all()
RELATIVE = 1e-5  # of the largest magnitude in the array that is compared


def compare(case, actual, expected, what):
    scale = float(np.abs(expected).max(initial=0.0))
    assert_close(actual, expected, RELATIVE * max(scale, 1e-3), f"{case} {what}")


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


def make_layer(spec):
    config = dict(spec["config"])
    if "cell" in config:
        config["cell"] = [make_layer(cell) for cell in config["cell"]]
    return getattr(elman.layers, spec["class"])(**config)


def run_layers(case, arrays):
    """(outputs, gradients by name) of the case through elman's layers."""
    layers = [make_layer(spec) for spec in case.layers]
    variables = {"x": elman.Variable(arrays["x"])} if "gx" in arrays else {}
    variables |= {f"s{k}": elman.Variable(s) for k, s in enumerate(case.all("s", case.states))}
    first = {"mask": arrays["mask"]} if "mask" in arrays else {}
    if case.states:
        first["initial_state"] = [variables[f"s{k}"] for k in range(case.states)]
    x = variables.get("x", arrays["x"])

    def call():
        value = x
        for k, layer in enumerate(layers):
            value = layer(value, **(first if k == 0 else {}))
        return list(value) if isinstance(value, (list, tuple)) else [value]

    call()  # builds the weights
    weights = iter(case.all("w", case.weights))
    for layer in layers:
        layer.set_weights([next(weights) for _ in layer.weights])
    with elman.GradientTape() as tape:
        outputs = call()
        loss = 0.0
        for k, output in enumerate(outputs):
            loss = loss + elman.backend.sum(output * arrays[f"p{k}"])
    for layer in layers:
        for weight in layer.weights:
            variables[f"w{len(variables)}"] = weight
    names = [n for n in variables if n[0] != "w"] + [f"w{k}" for k in range(case.weights)]
    found = tape.gradient(loss, list(variables.values()))
    return outputs, dict(zip(names, found, strict=True))


def run_fused(case, arrays):
    """The same through the fused kernel, which takes the dropout masks as operands."""
    config = case.config
    names = [f"w{k}" for k in range(case.weights)]
    variables = {n: core.Variable(arrays[n]) for n in ["x", *names]}
    variables |= {f"s{k}": core.Variable(s) for k, s in enumerate(case.all("s", case.states))}
    cell = core.FusedCell(
        kind_of(case.layers[0]),
        config["units"],
        config["activation"],
        config.get("recurrent_activation", "linear"),
    )
    with core.Tape() as tape:
        output, states = cell.forward(
            variables["x"],
            variables["w0"],
            variables["w1"],
            variables.get("w2"),
            initial_state=[variables[f"s{k}"] for k in range(case.states)] or None,
            mask=core.Tensor(arrays["mask"]) if "mask" in arrays else None,
            input_dropout=core.Tensor(arrays["di"]),
            recurrent_dropout=core.Tensor(arrays["dr"]),
            return_sequences=config["return_sequences"],
            go_backwards=config["go_backwards"],
            zero_output_for_mask=config["zero_output_for_mask"],
        )
        outputs = [output, *states] if config["return_state"] else [output]
        loss = core.sum(outputs[0] * arrays["p0"])
        for k, output in enumerate(outputs[1:], 1):
            loss = loss + core.sum(output * arrays[f"p{k}"])
    found = tape.gradient(loss, list(variables.values()))
    return outputs, dict(zip(variables, found, strict=True))


def check(case, arrays, outputs, found):
    assert len(outputs) == case.outputs
    for k, output in enumerate(outputs):
        assert output.dtype == "float32"
        compare(case, output, arrays[f"o{k}"], f"output {k}")
    for name in case.sources():
        expected = arrays["g" + name]
        value = np.zeros_like(expected) if found[name] is None else found[name]
        compare(case, value, expected, f"d_{name}")


@every([case for case in CASES if not case.dropout])
def test_layers_agree_with_keras(case):
    check(case, case.arrays, *run_layers(case, case.arrays))


@every([case for case in CASES if case.dropout])
def test_dropout_agrees_with_keras(case):
    check(case, case.arrays, *run_fused(case, case.arrays))


@every([case for case in CASES if "mask" in case.arrays])
def test_nan_in_the_padding_changes_nothing(case):
    """What a masked step holds must not matter, not even as 0 * NaN in a gradient."""
    arrays = dict(case.arrays)
    arrays["x"] = np.where(arrays["mask"][..., None], arrays["x"], np.float32("nan"))
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
