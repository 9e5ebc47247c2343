# SPDX-License-Identifier: Apache-2.0
"""The text of `Model.summary`, in the format of Keras 2 (keras/utils/layer_utils.py)."""

from __future__ import annotations

import math
from collections.abc import Callable, Sequence
from typing import Any

_WIDTH = 65
# Column ends as shares of the width: 29, 55 and 65 of 65.
_SHARES = (0.45, 0.85, 1.0)


def format_row(fields: Sequence[object], ends: Sequence[int]) -> str:
    """Fields cut and padded to the column ends, with a space between two fields."""
    line = ""
    for i, (field, end) in enumerate(zip(fields, ends, strict=True)):
        if i > 0:
            line = line[:-1] + " "
        line += str(field)
        line = line[:end]
        line += " " * (end - len(line))
    return line


def _shape(layer: Any) -> str:
    try:
        return str(layer.output_shape)
    except AttributeError:  # a layer of a subclassed model that has not been called
        return "?"


def _count(weights: Sequence[Any]) -> int:
    return sum(math.prod(weight.shape) for weight in weights)


def print_summary(
    model: Any,
    line_length: int | None = None,
    positions: Sequence[float] | None = None,
    print_fn: Callable[[str], Any] | None = None,
) -> None:
    """Print one line per layer, then the totals."""
    show = print if print_fn is None else print_fn
    width = _WIDTH if line_length is None else line_length
    shares = _SHARES if positions is None else tuple(positions)
    ends = [int(width * share) for share in shares] if shares[-1] <= 1 else [int(p) for p in shares]
    show(f'Model: "{model.name}"')
    show("_" * width)
    show(format_row(("Layer (type)", "Output Shape", "Param #"), ends))
    show("=" * width)
    layers = model.layers
    for i, layer in enumerate(layers):
        title = f"{layer.name} ({type(layer).__name__})"
        show(format_row((title, _shape(layer), _count(layer.weights)), ends))
        show(("=" if i == len(layers) - 1 else "_") * width)
    trainable = _count(model.trainable_weights)
    total = _count(model.weights)
    show(f"Total params: {total:,}")
    show(f"Trainable params: {trainable:,}")
    show(f"Non-trainable params: {total - trainable:,}")
    show("_" * width)
