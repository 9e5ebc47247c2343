# SPDX-License-Identifier: Apache-2.0
"""Runs stored Keras cases through elman and compares outputs and all gradients (float32)."""

from __future__ import annotations

import numpy as np

import elman
from elman._backend import core
from keras_cases import kind_of
from tolerance import assert_close

RELATIVE = 1e-5  # of the largest magnitude in the array that is compared


def compare(case, actual, expected, what):
    scale = float(np.abs(expected).max(initial=0.0))
    assert_close(actual, expected, RELATIVE * max(scale, 1e-3), f"{case} {what}")


def make_layer(spec, **more):
    config = {**spec["config"], **more}
    if "cell" in config:
        config["cell"] = [make_layer(cell) for cell in config["cell"]]
    for key in ("layer", "backward_layer"):
        if key in config:
            config[key] = make_layer(config[key])
    return getattr(elman.layers, spec["class"])(**config)


def run_layers(case, arrays, dtype="float32", **given):
    """(outputs, gradients by name) of the case through elman's layers.

    `given` are further arguments of the first layer's call. The weights afterwards go under their
    names "w0", ... with "after " in front.
    """
    layers = [make_layer(spec, dtype=dtype) for spec in case.layers]
    variables = {"x": elman.Variable(arrays["x"])} if "gx" in arrays else {}
    variables |= {f"s{k}": elman.Variable(arrays[f"s{k}"]) for k in range(case.states)}
    first = {"mask": arrays["mask"]} if "mask" in arrays else {}
    first |= given
    if case.states:
        first["initial_state"] = [variables[f"s{k}"] for k in range(case.states)]
    x = variables.get("x", arrays["x"])

    def call():
        value = x
        for k, layer in enumerate(layers):
            value = layer(value, training=case.training, **(first if k == 0 else {}))
        return list(value) if isinstance(value, (list, tuple)) else [value]

    call()  # builds the weights
    weights = iter([arrays[f"w{k}"] for k in range(case.weights)])
    for layer in layers:
        layer.set_weights([next(weights) for _ in layer.weights])
    with elman.GradientTape() as tape:
        outputs = call()
        loss = 0.0
        for k, output in enumerate(outputs):
            loss = loss + elman.backend.sum(output * arrays[f"p{k}"])
        if case.penalties:
            for layer in layers:
                for penalty in layer.losses:
                    loss = loss + penalty
            compare(case, np.asarray(loss).reshape(1), arrays["loss"], "loss")
    for layer in layers:
        for weight in layer.weights:
            variables[f"w{len(variables)}"] = weight
    names = [n for n in variables if n[0] != "w"] + [f"w{k}" for k in range(case.weights)]
    found = tape.gradient(loss, list(variables.values()))
    after = {f"after {n}": v for n, v in zip(names, variables.values(), strict=True) if n[0] == "w"}
    return outputs, dict(zip(names, found, strict=True)) | after


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


def with_nan(arrays):
    """NaN in x wherever the mask says padding."""
    x = np.where(arrays["mask"][..., None], arrays["x"], np.nan)
    return {**arrays, "x": x.astype(arrays["x"].dtype)}


def check(case, arrays, outputs, found):
    assert len(outputs) == case.outputs
    for k, output in enumerate(outputs):
        assert output.dtype == "float32"
        compare(case, output, arrays[f"o{k}"], f"output {k}")
    for name in case.sources():
        expected = arrays["g" + name]
        value = np.zeros_like(expected) if found[name] is None else found[name]
        compare(case, value, expected, f"d_{name}")
    for name in arrays:
        if name.startswith("a"):
            compare(case, found[f"after w{name[1:]}"], arrays[name], f"w{name[1:]} afterwards")
