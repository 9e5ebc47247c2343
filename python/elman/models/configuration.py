# SPDX-License-Identifier: Apache-2.0
"""Functional models as plain configurations and JSON, and back.

A configuration has "layers", each with "class_name", "config" and "inbound_nodes" (its calls),
then "input_layers" and "output_layers". A call is written as Keras 3 does, {"args": [...],
"kwargs": {...}} with each tensor as {"class_name": "__keras_tensor__", "config":
{"keras_history": [layer, call, output]}}; the calls of Keras 2, lists of [layer, call, output,
kwargs], are read as well. Names in a configuration are looked up, never evaluated.
"""

from __future__ import annotations

import json
from collections.abc import Callable, Mapping, Sequence
from typing import Any, NamedTuple

import numpy as np

from elman import _serialization
from elman._errors import fail_text
from elman._signatures import parameters_of, takes_any_keyword
from elman._symbolic import SymbolicTensor
from elman._tensors import Tensor
from elman.layers._serialize import deserialize, serialize
from elman.layers.input_layer import InputLayer
from elman.layers.layer import BASE_KEYWORDS, Layer
from elman.models.graph import Graph

_TENSOR, _VALUES = "__keras_tensor__", "__tensor__"
Place = tuple[str, int, int]


# -- writing --------------------------------------------------------------------------------------


def of_graph(model: Any, graph: Graph) -> dict[str, Any]:
    """The configuration of a functional model."""
    layers = []
    for layer in graph.layers:
        calls = [
            {"args": _written(graph, list(node.args)), "kwargs": _written(graph, node.kwargs)}
            for node in graph.calls_of(layer)
            if node.args
        ]
        entry = serialize(layer)
        entry["name"], entry["inbound_nodes"] = layer.name, calls
        layers.append(entry)
    ends = {"input_layers": (graph.input_keys, graph.inputs)}
    ends["output_layers"] = (graph.output_keys, graph.outputs)
    config: dict[str, Any] = {"name": model.name, "trainable": model.trainable, "layers": layers}
    for what, (keys, tensors) in ends.items():
        places = [list(graph.place_of(tensor)) for tensor in tensors]
        config[what] = places if keys is None else dict(zip(map(str, keys), places, strict=True))
    return config


def _written(graph: Graph, value: Any) -> Any:
    """Arguments of a call in plain types."""
    if isinstance(value, SymbolicTensor):
        history = list(graph.place_of(value))
        config = {"shape": list(value.shape), "dtype": value.dtype, "keras_history": history}
        return {"class_name": _TENSOR, "config": config}
    if isinstance(value, (list, tuple)):
        return [_written(graph, item) for item in value]
    if isinstance(value, dict):
        return {key: _written(graph, item) for key, item in value.items()}
    if isinstance(value, (np.ndarray, np.generic, Tensor)):
        array = np.asarray(value)
        config = {"value": array.tolist(), "dtype": array.dtype.name}
        return {"class_name": _VALUES, "config": config}
    return value


def to_json(model: Any, options: Mapping[str, Any]) -> str:
    """The JSON text of any model."""
    from elman import __version__

    with _serialization.one_configuration():
        whole = {**_serialization.serialize_object(model), "elman_version": __version__}
    try:
        return json.dumps(whole, **options)
    except TypeError as error:
        where = f"{type(model).__name__}.to_json"
        hint = "a layer with its own get_config has to return plain Python types"
        raise TypeError(f"[{where}] {error}; {hint}") from None


def for_init(init: Any, config: Mapping[str, Any]) -> tuple[dict[str, Any], dict[str, Any]]:
    """The arguments for a subclass' `__init__`, and the name if that does not take one."""
    names = parameters_of(init)
    if takes_any_keyword(init):
        return dict(config), {}
    taken = {key: item for key, item in config.items() if key in names or key not in BASE_KEYWORDS}
    return taken, {key: config[key] for key in ("name",) if key in config and key not in taken}


# -- reading --------------------------------------------------------------------------------------


def bad(text: str) -> ValueError:
    """The error for a configuration that is damaged."""
    return ValueError(f"[Model.from_config] config: {text}")


def graph_ends(
    config: Any, custom_objects: Mapping[str, Any] | None
) -> tuple[Any, Any, dict[str, Any]]:
    """Input tensors, output tensors and the other arguments of the model of a configuration."""
    layers, entries = {}, _part(config, "layers", list)
    for entry in entries:
        inner = entry.get("config") if isinstance(entry, Mapping) else None
        name = _part(entry, "name", str, inner)
        if name in layers:
            raise bad(f"expected different layer names, got {name!r} twice")
        layer = deserialize(entry, custom_objects)
        if not isinstance(layer, Layer):
            raise bad(f"expected a layer named {name!r}, got {layer!r:.60}")
        layers[name] = layer
    tensors: dict[Place, SymbolicTensor] = {
        (name, 0, 0): layer.output
        for name, layer in layers.items()
        if isinstance(layer, InputLayer)
    }
    calls = [
        (entry.get("name") or entry["config"]["name"], number, call)
        for entry in entries
        for number, call in enumerate(_part(entry, "inbound_nodes", list, default=[]))
    ]
    _make_calls(layers, calls, tensors)
    ends = []
    for what in ("input_layers", "output_layers"):
        places = _part(config, what, (list, dict))
        ends.append(_packed(places, lambda place: _at(tensors, place)))
    rest = {key: config[key] for key in ("name", "trainable") if config.get(key) is not None}
    return ends[0], ends[1], rest


def _make_calls(
    layers: Mapping[str, Any], calls: Sequence[tuple[str, int, Any]], tensors: dict[Place, Any]
) -> None:
    """Call the layers in an order in which every tensor is there before it is needed."""
    read = [(name, number, *_arguments(call)) for name, number, call in calls]
    made: dict[str, int] = {}
    while read:
        waiting = []
        for item in read:
            name, number, args, kwargs = item
            ready = number == made.get(name, 0) and _all_there((args, kwargs), tensors)
            if not ready:
                waiting.append(item)
                continue
            args, kwargs = (_filled(part, tensors) for part in (args, kwargs))
            _note(tensors, name, number, layers[name](*args, **kwargs))
            made[name] = number + 1
        if len(waiting) == len(read):
            names = ", ".join(sorted({repr(item[0]) for item in waiting})[:6])
            raise bad(
                f"expected calls that can be made one after the other, got gaps before {names}"
            )
        read = waiting


def _note(tensors: dict[Place, Any], name: str, number: int, output: Any) -> None:
    items = output.values() if isinstance(output, dict) else output
    items = items if isinstance(output, (list, tuple, dict)) else [output]
    for index, tensor in enumerate(items):
        tensors[name, number, index] = tensor


class _Ref(NamedTuple):
    """A tensor that a call takes."""

    layer: str
    call: int
    output: int


def _arguments(call: Any) -> tuple[list[Any], dict[str, Any]]:
    """args and kwargs of one call in the form of Keras 3 or of Keras 2, tensors as `_Ref`."""
    if isinstance(call, Mapping):
        args, kwargs = _part(call, "args", list), _part(call, "kwargs", dict, default={})
        if not args:
            raise bad("expected a call with at least one argument, got none")
        return _read(args), _read(kwargs)
    if isinstance(call, list) and call and isinstance(call[0], str):
        call = [call]  # one tensor
    if not isinstance(call, list) or not call:
        raise bad(f"expected a call with args and kwargs, got {call!r:.60}")
    sources, kwargs = [], {}
    for source in call:
        if not isinstance(source, list) or len(source) < 3:
            raise bad(f"expected [layer, call, output, kwargs], got {source!r:.60}")
        sources.append(_Ref(*_place(source)))
        kwargs.update({} if len(source) == 3 else source[3])
    kwargs = {key: _read_2(value) for key, value in kwargs.items()}
    return ([sources[0]] if len(sources) == 1 else [sources]), kwargs


def _read(value: Any) -> Any:
    if isinstance(value, list):
        return [_read(item) for item in value]
    if not isinstance(value, Mapping):
        return value
    kind, config = value.get("class_name"), value.get("config")
    if kind == _TENSOR:
        return _Ref(*_place(_part(config, "keras_history", list)))
    if kind in (_VALUES, "__numpy__"):
        try:
            values = _part(config, "value", (list, int, float))
            return np.asarray(values, _part(config, "dtype", str, default="float32"))
        except (TypeError, ValueError) as error:
            raise bad(f"a constant: {error}") from None
    return {key: _read(item) for key, item in value.items()}


def _read_2(value: Any) -> Any:
    """A keyword argument of a Keras 2 call: [layer, call, output] is a tensor."""
    if isinstance(value, list):
        if len(value) == 3 and isinstance(value[0], str) and isinstance(value[1], int):
            return _Ref(*_place(value))
        return [_read_2(item) for item in value]
    return value


def _place(given: Any) -> Place:
    items = given if isinstance(given, list) else []
    kinds = [type(item) for item in items[:3]]
    if kinds != [str, int, int]:
        raise bad(f"expected [layer, call, output], got {given!r:.60}")
    return items[0], items[1], items[2]


def _all_there(value: Any, tensors: Mapping[Place, Any]) -> bool:
    if isinstance(value, _Ref):
        return value in tensors
    items = value.values() if isinstance(value, dict) else value
    return not isinstance(value, (list, tuple, dict)) or all(_all_there(v, tensors) for v in items)


def _filled(value: Any, tensors: Mapping[Place, Any]) -> Any:
    if isinstance(value, _Ref):
        return tensors[value]
    if isinstance(value, list):
        return [_filled(item, tensors) for item in value]
    if isinstance(value, dict):
        return {key: _filled(item, tensors) for key, item in value.items()}
    return value


def _packed(places: Any, tensor_at: Callable[[Any], Any]) -> Any:
    if isinstance(places, dict):
        return {key: tensor_at(place) for key, place in places.items()}
    if places and isinstance(places[0], str):  # Keras 3, for a single one
        return tensor_at(places)
    return [tensor_at(place) for place in places]


def _at(tensors: Mapping[Place, Any], given: Any) -> Any:
    place = _place(given)
    if place not in tensors:
        raise bad(f"expected a tensor of the layers, got {list(place)}")
    return tensors[place]


_MISSING: Any = object()


def _part(config: Any, key: str, kind: Any, other: Any = None, default: Any = _MISSING) -> Any:
    """An entry of a configuration, from `other` if it is not there; ValueError for another type."""
    if not isinstance(config, Mapping):
        raise bad(f"expected a dict with {key!r}, got {type(config).__name__}")
    value = config.get(key, default)
    if value is _MISSING and isinstance(other, Mapping):
        value = other.get(key, _MISSING)
    if not isinstance(value, kind):
        kinds = kind if isinstance(kind, tuple) else (kind,)
        expected = " or ".join(k.__name__ for k in kinds)
        got = "nothing" if value is _MISSING else type(value).__name__
        raise ValueError(fail_text("Model.from_config", f"config[{key!r}]", expected, got))
    return value
