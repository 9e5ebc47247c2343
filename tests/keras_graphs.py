# SPDX-License-Identifier: Apache-2.0
"""Functional models as plain descriptions: built with any Keras-like package, or run in numpy.

A graph is a list of steps. {"class": "Input", "config": {"shape", "dtype"}} is the next input;
any other class is a layer with "from", the [step, output] pairs that it takes ("listed": as a list
even if it is one), "initial_state" and "mask" in the same form, and "layer", the step whose layer
it shares. "Graph" has steps of its own: a model that is called like a layer. The last step is
{"class": "Outputs", "from": [...]}.
"""

from __future__ import annotations

from typing import Any

import numpy as np

from keras_cases import _cell, _dense, _softmax
from reference import ACTIVATIONS, recurrent

MERGES = (
    "Add", "Subtract", "Multiply", "Average", "Maximum", "Minimum", "Concatenate", "Dot",
)  # fmt: skip


def build(steps: list[dict], kit: Any) -> tuple[Any, list[Any]]:
    """The model of a graph, and its layers in the order of the steps.

    `kit` has Input(shape, dtype), layer(step) and Model(inputs, outputs).
    """
    inputs, layers, made, values = [], [], {}, []
    for number, step in enumerate(steps):
        if step["class"] == "Input":
            inputs.append(kit.Input(**step["config"]))
            values.append([inputs[-1]])
            continue
        taken = [values[i][j] for i, j in step["from"]]
        if step["class"] == "Outputs":
            return kit.Model(inputs, taken), layers
        layer = made.get(step.get("layer"))
        if layer is None:
            layer = build(step["steps"], kit)[0] if step["class"] == "Graph" else kit.layer(step)
            layers.append(layer)
        made[number] = layer
        more = {}
        if "initial_state" in step:
            states = [values[i][j] for i, j in step["initial_state"]]
            more["initial_state"] = states if len(states) > 1 else states[0]
        if "mask" in step:
            i, j = step["mask"]
            more["mask"] = values[i][j]
        listed = step["class"] in MERGES or len(taken) > 1
        output = layer(taken if listed else taken[0], **more)
        values.append(list(output) if isinstance(output, (list, tuple)) else [output])
    raise AssertionError("a graph ends with its outputs")


# -- the same in numpy, float64 ------------------------------------------------------------------


def reference(steps: list[dict], inputs: list, weights: list) -> list[np.ndarray]:
    """The outputs of a graph from its equations; `weights` in the order of the layers."""
    return [value for value, _ in _run(steps, [(x, None) for x in inputs], list(weights), {})]


def _run(steps, inputs, weights, shared):
    values, given = [], iter(inputs)
    for number, step in enumerate(steps):
        if step["class"] == "Input":
            values.append([next(given)])
            continue
        taken = [values[i][j] for i, j in step["from"]]
        if step["class"] == "Outputs":
            return taken
        if "initial_state" in step:
            step = {**step, "states": [values[i][j][0] for i, j in step["initial_state"]]}
        if "mask" in step:
            i, j = step["mask"]
            taken[0] = (taken[0][0], values[i][j][0])
        first = step.get("layer", number)
        if first not in shared:
            shared[first] = weights[:]
            values.append(_layer(step, taken, weights))
            shared[first] = shared[first][: len(shared[first]) - len(weights)]
        else:  # a shared layer: the weights that its first call took
            values.append(_layer(step, taken, shared[first][:]))
    raise AssertionError("a graph ends with its outputs")


def _layer(step, taken, weights):
    kind, config = step["class"], step.get("config", {})
    value, mask = taken[0]
    if kind == "Graph":
        return _run(step["steps"], taken, weights, {})
    if kind in MERGES:
        return [_merge(kind, config, taken)]
    if kind == "Dense":
        return [(_dense(config, value, weights), mask)]
    if kind == "Activation":
        name = config["activation"]
        return [(_softmax(value) if name == "softmax" else ACTIVATIONS[name](value), mask)]
    if kind == "Embedding":
        return [(weights.pop(0)[value], value != 0 if config.get("mask_zero") else None)]
    cells = [_cell(cell, weights, {}) for cell in config.get("cell", [step])]
    backwards = config.get("go_backwards", False)
    states = step.get("states")
    sequence, final = recurrent(
        cells, value, initial_state=states, mask=mask, go_backwards=backwards
    )
    keep = config.get("return_sequences", False)
    first = (sequence, mask) if keep else (sequence[:, -1], None)
    return [first, *((state, None) for state in final if config.get("return_state"))]


def _merge(kind, config, taken):
    arrays, masks = [a for a, _ in taken], [m for _, m in taken]
    if kind == "Dot":
        return _dot(config, *arrays), None
    if kind == "Concatenate":
        full = [_full(a, m) for a, m in taken]
        axis = config.get("axis", -1)
        mask = np.concatenate(full, axis).all(-1) if any(m is not None for m in masks) else None
        return np.concatenate(arrays, axis), mask
    rank = max(a.ndim for a in arrays)
    arrays = [a.reshape(len(a), *[1] * (rank - a.ndim), *a.shape[1:]) for a in arrays]
    known = [m for m in masks if m is not None]
    mask = np.logical_and.reduce(known) if known else None
    if kind == "Average":
        return sum(arrays) / len(arrays), mask
    two = {
        "Add": np.add, "Subtract": np.subtract, "Multiply": np.multiply,
        "Maximum": np.maximum, "Minimum": np.minimum,
    }[kind]  # fmt: skip
    result = arrays[0]
    for a in arrays[1:]:
        result = two(result, a)
    return result, mask


def _full(a, mask):
    if mask is None:
        return np.ones(a.shape, bool)
    return np.broadcast_to(mask[..., None], a.shape) if mask.ndim < a.ndim else mask


def _dot(config, a, b):
    axes = config["axes"]
    i, j = axes if isinstance(axes, (list, tuple)) else (axes, axes)
    i, j = i % a.ndim, j % b.ndim
    if config.get("normalize"):
        a = a / np.sqrt((a * a).sum(i, keepdims=True))
        b = b / np.sqrt((b * b).sum(j, keepdims=True))
    rows = [np.tensordot(x, y, (i - 1, j - 1)) for x, y in zip(a, b, strict=True)]
    product = np.stack(rows)
    return product[:, None] if product.ndim == 1 else product
