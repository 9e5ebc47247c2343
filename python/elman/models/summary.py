# SPDX-License-Identifier: Apache-2.0
"""The text of `Model.summary`, in the format of Keras 2 (keras/utils/layer_utils.py)."""

from __future__ import annotations

import math
from collections import Counter
from collections.abc import Callable, Sequence
from typing import Any

from elman.layers.input_layer import InputLayer
from elman.models.graph import Graph

# Width, column ends as shares of it (29, 55 and 65 of 65), titles.
_PLAIN = (65, (0.45, 0.85, 1.0), ("Layer (type)", "Output Shape", "Param #"))
_CONNECTED = (98, (0.33, 0.55, 0.67, 1.0), (*_PLAIN[2], "Connected to"))


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


def _shape(layer: Any, graph: Graph | None) -> str:
    if isinstance(layer, InputLayer):
        return str([layer.output_shape])
    if graph is not None:  # the calls of a shared layer may differ in their shapes
        shapes = {tuple(t.shape for t in node.outputs): node for node in graph.calls_of(layer)}
        if len(shapes) > 1:
            return "multiple"
        for node in shapes.values():
            packed = node.packed()
            if isinstance(packed, dict):
                return str({key: tensor.shape for key, tensor in packed.items()})
            return str([t.shape for t in packed] if isinstance(packed, list) else packed.shape)
    try:
        return str(layer.output_shape)
    except AttributeError:  # a layer of a subclassed model that has not been called
        return "?"


def _count(weights: Sequence[Any]) -> int:
    return sum(math.prod(weight.shape) for weight in weights)


def _is_chain(graph: Graph) -> bool:
    """Whether the layers just follow one another: then a fourth column would say nothing new."""
    apart = max(Counter(graph.depths).values()) == 1
    sources = max(len(node.inputs) for node in graph.nodes)
    return apart and sources <= 1 and len(graph.nodes) == len(graph.layers)


def _connections(graph: Graph, layer: Any) -> list[str]:
    """What the layer takes: 'name[call][output]'."""
    places = [graph.place_of(t) for node in graph.calls_of(layer) for t in node.inputs]
    return [f"{name}[{call}][{output}]" for name, call, output in places]


def print_summary(
    model: Any,
    line_length: int | None = None,
    positions: Sequence[float] | None = None,
    print_fn: Callable[[str], Any] | None = None,
) -> None:
    """Print one line per layer and further connection, then the totals."""
    show = print if print_fn is None else print_fn
    graph = model._graph
    connected = None if graph is None or _is_chain(graph) else graph
    usual_width, usual_shares, titles = _CONNECTED if connected is not None else _PLAIN
    width = usual_width if line_length is None else line_length
    shares = usual_shares if positions is None else tuple(positions)
    ends = [int(width * share) for share in shares] if shares[-1] <= 1 else [int(p) for p in shares]
    show(f'Model: "{model.name}"')
    show("_" * width)
    show(format_row(titles, ends))
    show("=" * width)
    layers = model.layers
    for i, layer in enumerate(layers):
        title = f"{layer.name} ({type(layer).__name__})"
        fields = [title, _shape(layer, graph), _count(layer.weights)]
        more = [] if connected is None else _connections(connected, layer) or [""]
        show(format_row([*fields, *more[:1]], ends))
        for connection in more[1:]:
            show(format_row(["", "", "", connection], ends))
        show(("=" if i == len(layers) - 1 else "_") * width)
    trainable = _count(model.trainable_weights)
    total = _count(model.weights)
    show(f"Total params: {total:,}")
    show(f"Trainable params: {trainable:,}")
    show(f"Non-trainable params: {total - trainable:,}")
    show("_" * width)
