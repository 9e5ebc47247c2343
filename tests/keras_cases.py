# SPDX-License-Identifier: Apache-2.0
"""Reads the stored Keras cases (tests/data) and replays them with the float64 reference."""

from __future__ import annotations

import json
import math
from dataclasses import dataclass
from pathlib import Path

import numpy as np

from reference import ACTIVATIONS, Cell, gradients, recurrent

DATA = Path(__file__).parent / "data"
FAMILIES = ("simple_rnn", "gru", "gru_reset_after", "lstm", "models")
KINDS = {"SimpleRNN": "simple_rnn", "GRU": "gru_reset_after", "LSTM": "lstm"}


@dataclass(frozen=True)
class KerasCase:
    family: str
    index: int
    layers: list[dict]  # {"class": ..., "config": ...} in elman's spelling
    states: int
    weights: int
    outputs: int
    dropout: bool
    arrays: dict[str, np.ndarray]
    training: bool = False
    penalties: bool = False  # whether the layers' losses are part of the loss

    def __str__(self) -> str:
        return f"{self.family}-{self.index}"

    @property
    def config(self) -> dict:
        return self.layers[0]["config"]

    def sources(self) -> list[str]:
        """Names of the operands whose gradients are stored."""
        return [name[1:] for name in self.arrays if name.startswith("g")]

    def all(self, letter: str, count: int) -> list[np.ndarray]:
        return [self.arrays[f"{letter}{k}"] for k in range(count)]


def load(family: str) -> list[KerasCase]:
    with np.load(DATA / f"keras_{family}.npz") as stored:
        found, taken = [], 0
        data = stored["data"] if "data" in stored.files else None
        for k, case in enumerate(json.loads(stored["cases"].item())):
            names = [name for name in stored.files if name.startswith(f"{k}/")]
            arrays = {name.split("/")[1]: stored[name] for name in names}
            for name, (dtype, shape) in case.pop("packed", {}).items():
                size = math.prod(shape)
                arrays[name] = data[taken : taken + size].reshape(shape).astype(dtype)
                taken += size
            case["states"] = sum(case.pop("state_groups"))
            found.append(KerasCase(family, k, arrays=arrays, **case))
    return found


def load_all() -> list[KerasCase]:
    return [case for family in FAMILIES for case in load(family)]


def kind_of(spec: dict) -> str:
    kind = KINDS[spec["class"].removesuffix("Cell")]
    return "gru" if spec["config"].get("reset_after") is False else kind


def _softmax(x):
    e = np.exp(x - x.max(axis=-1, keepdims=True))
    return e / e.sum(axis=-1, keepdims=True)


def _dense(config, x, weights):
    name = config.get("activation", "linear")
    kernel = weights.pop(0)  # [F, U], or [P, F, U] when it is the perturbed operand
    product = x @ kernel.reshape(*kernel.shape[:-2], *[1] * (x.ndim - 2), *kernel.shape[-2:])
    if config.get("use_bias", True):
        bias = weights.pop(0)
        product = product + bias.reshape(*bias.shape[:-1], *[1] * (x.ndim - 1), bias.shape[-1])
    return _softmax(product) if name == "softmax" else ACTIVATIONS[name](product)


def _cell(spec, weights, operands):
    config = spec["config"]
    names = ("activation", "recurrent_activation")
    return Cell(
        kind_of(spec),
        weights.pop(0),
        weights.pop(0),
        weights.pop(0) if config.get("use_bias", True) else None,
        **{name: config[name] for name in names if name in config},
        input_dropout=operands.get("di"),
        recurrent_dropout=operands.get("dr"),
    )


def reference_outputs(case: KerasCase, operands: dict[str, np.ndarray]) -> list[np.ndarray]:
    """The outputs of the case, in float64, from its equations."""
    weights = [operands[f"w{k}"] for k in range(case.weights)]
    states = [operands[f"s{k}"] for k in range(case.states)] or None
    value, mask, extra = operands["x"], operands.get("mask"), []
    for spec in case.layers:
        config = spec["config"]
        if spec["class"] == "Dense":
            value = _dense(config, value, weights)
        elif spec["class"] == "Embedding":
            ids, table = value.astype(int), weights.pop(0)
            value, mask = table[..., ids, :], ids != 0 if config.get("mask_zero") else None
        else:
            cells = [_cell(c, weights, operands) for c in config.get("cell", [spec])]
            backwards = config.get("go_backwards", False)
            zero = config.get("zero_output_for_mask", False)
            sequence, final = recurrent(
                cells,
                value,
                initial_state=states,
                mask=mask,
                go_backwards=backwards,
                zero_output_for_mask=zero,
            )
            keep = config.get("return_sequences", False)
            value, mask = (sequence, mask) if keep else (sequence[..., -1, :], None)
            extra = final if config.get("return_state") else []
    return [value, *extra]


def reference_gradients(case: KerasCase, elements: dict[str, np.ndarray]) -> dict[str, np.ndarray]:
    operands = {
        name: value if name == "mask" else value.astype(np.float64)
        for name, value in case.arrays.items()
    }
    weights = [p.astype(np.float64) for p in case.all("p", case.outputs)]
    return gradients(lambda o: reference_outputs(case, o), operands, weights, elements)
