# SPDX-License-Identifier: Apache-2.0
"""Merge layers and functional models: against Keras 3 (float32), and against numpy (float64)."""

from __future__ import annotations

import json

import numpy as np
import pytest

import elman
from elman import layers
from keras_cases import load
from keras_graphs import MERGES, build, reference
from keras_replay import check
from tolerance import assert_close

MERGED, GRAPHS = load("merges"), load("graphs")
CASES = MERGED + GRAPHS


class Kit:
    """How elman spells a graph, with layers of one type."""

    def __init__(self, dtype):
        self.dtype = dtype

    Model = staticmethod(elman.Model)

    def Input(self, shape, dtype):  # noqa: N802
        return elman.Input(shape, dtype=self.dtype if dtype == "float32" else dtype)

    def layer(self, step):
        config = dict(step["config"])
        if "cell" in config:
            config["cell"] = [self.layer(cell) for cell in config["cell"]]
        return getattr(layers, step["class"])(**config, dtype=self.dtype)


def count(case):
    return sum(step["class"] == "Input" for step in case.layers)


def run(case, dtype="float32"):
    """(model, outputs, gradients by name) of the case."""
    model, own = build(case.layers, Kit(dtype))
    weights = iter(case.all("w", case.weights))
    for layer in own:
        layer.set_weights([next(weights).astype(dtype) for _ in layer.weights])
    inputs = [
        elman.Variable(x.astype(dtype)) if x.dtype == np.float32 else elman.Tensor(x)
        for x in case.all("x", count(case))
    ]
    with elman.GradientTape() as tape:
        outputs = model(inputs)
        outputs = outputs if isinstance(outputs, list) else [outputs]
        loss = 0.0
        for output, p in zip(outputs, case.all("p", case.outputs), strict=True):
            loss = loss + elman.backend.sum(output * p.astype(dtype))
    sources = {f"x{k}": x for k, x in enumerate(inputs) if isinstance(x, elman.Variable)}
    sources |= {f"w{k}": w for k, w in enumerate(w for layer in own for w in layer.weights)}
    found = tape.gradient(loss, list(sources.values()))
    return model, outputs, dict(zip(sources, found, strict=True))


def every(cases):
    return pytest.mark.parametrize("case", cases, ids=str)


def test_there_are_enough_cases():
    kinds = [step["class"] for case in MERGED for step in case.layers if step["class"] in MERGES]
    assert len(kinds) >= 30
    assert {kind: kinds.count(kind) >= 3 for kind in MERGES} == dict.fromkeys(MERGES, True)
    assert len(GRAPHS) >= 15


@every(CASES)
def test_models_agree_with_keras(case):
    _, outputs, found = run(case)
    check(case, case.arrays, outputs, found)


def exact(case):
    """float64 operands of the case: inputs and weights."""
    names = [f"x{k}" for k in range(count(case))] + [f"w{k}" for k in range(case.weights)]
    arrays = {name: case.arrays[name] for name in names}
    return {n: a.astype(np.float64) if a.dtype == np.float32 else a for n, a in arrays.items()}


def evaluate(case, operands):
    inputs = [operands[f"x{k}"] for k in range(count(case))]
    weights = [operands[f"w{k}"] for k in range(case.weights)]
    return reference(case.layers, inputs, weights)


def projected(case, operands):
    found = evaluate(case, operands)
    return [o * case.arrays[f"p{k}"].astype(np.float64) for k, o in enumerate(found)]


def difference(case, operands, name, place, step=1e-5):
    """The central difference of the projected sum by one element.

    Differences are summed, not sums subtracted: the rounding error is eps * |output| / step.
    """
    sides = []
    for sign in (1, -1):
        value = operands[name].copy()
        value.flat[place] += sign * step
        sides.append(projected(case, {**operands, name: value}))
        sides[-1].append(value.flat[place])
    *plus, high = sides[0]
    *minus, low = sides[1]
    return sum(float((a - b).sum()) for a, b in zip(plus, minus, strict=True)) / (high - low)


@every(CASES)
def test_float64_agrees_with_numpy(case):
    """Outputs to 1e-12 of their size; gradients to 1e-7 of theirs, by central differences."""
    _, outputs, found = run(case, "float64")
    operands = exact(case)
    for k, (got, expected) in enumerate(zip(outputs, evaluate(case, operands), strict=True)):
        assert got.dtype == "float64"
        scale = max(1.0, float(np.abs(expected).max()))
        assert_close(got, expected, 1e-12 * scale, f"{case} output {k}")
    rng = np.random.default_rng(case.index)
    for name, gradient in found.items():
        gradient = np.asarray(gradient)
        places = rng.permutation(gradient.size)[:5]
        expected = [difference(case, operands, name, place) for place in places]
        scale = max(1.0, float(np.abs(gradient).max()))
        assert_close(gradient.flat[places], np.array(expected), 1e-7 * scale, f"{case} d_{name}")


@every(GRAPHS)
def test_a_model_survives_json_cloning_and_files(case, tmp_path):
    """The same bits after JSON, with the weights through a file; also after `clone_model`."""
    model, outputs, _ = run(case)
    inputs = case.all("x", count(case))
    model.save_weights(tmp_path / "w.safetensors")
    again = elman.models.model_from_json(model.to_json())
    assert json.loads(again.to_json()) == json.loads(model.to_json())
    again.load_weights(tmp_path / "w.safetensors")
    clone = elman.models.clone_model(model)
    assert not {id(w) for w in clone.weights} & {id(w) for w in model.weights}
    clone.set_weights(model.get_weights())
    for other in (again, clone):
        found = other(inputs)
        found = found if isinstance(found, list) else [found]
        for a, b in zip(outputs, found, strict=True):
            np.testing.assert_array_equal(a, b)


@every([case for case in GRAPHS if any(s["class"] == "Embedding" for s in case.layers)])
def test_what_is_masked_does_not_matter(case):
    """The table's row of the padding may hold anything: masked steps are not read.

    Outputs whose own step is masked are left out: the layers after it compute them from padding.
    """
    model, outputs, _ = run(case)
    table = next(layer for layer in model.layers if isinstance(layer, layers.Embedding))
    values = table.get_weights()[0]
    values[0] = 1e3
    table.set_weights([values])
    found = model(case.all("x", count(case)))
    found = found if isinstance(found, list) else [found]
    recurrent = (layers.LSTM, layers.GRU, layers.SimpleRNN)
    checked = 0
    for tensor, a, b in zip(model.outputs, outputs, found, strict=True):
        if isinstance(tensor.history.layer, recurrent):
            np.testing.assert_array_equal(a, b)
            checked += 1
    assert checked
