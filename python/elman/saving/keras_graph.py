# SPDX-License-Identifier: Apache-2.0
"""The calls in the configuration of a functional model, between elman's form and Keras'.

Keras counts the calls of a model within a model from one: the zeroth is its own making. Keras 3
writes the masks that travel from layer to layer as calls of `keras.ops`, and whether a layer
trains; here both are found anew at each call.
"""

from __future__ import annotations

from collections.abc import Iterator, Mapping
from typing import Any

from elman._errors import fail_text
from elman.saving import keras_ops

TENSOR = "__keras_tensor__"
_OPS = "keras.src.ops"
# Operations that .h5 files, which have no modules, hold for masks.
_OF_MASKS = frozenset({"NotEqual", "Any"})
Config = dict[str, Any]


def is_graph(config: Any) -> bool:
    """Whether it is the configuration of a functional model."""
    return isinstance(config, Mapping) and {"layers", "input_layers"} <= set(config)


def counted_from_zero(config: Config) -> Config:
    """The calls of all layers counted from zero, as in elman."""
    calls = {name: len(_calls(entry)) for name, entry in _nested(config).items()}
    used = [place for place in _every_place(config) if place[0] in calls]
    last = {
        name: max((place[1] for place in used if place[0] == name), default=0) for name in calls
    }
    return _moved(config, {name: -1 for name in calls if last[name] == calls[name] > 0})


def counted_as_in_keras(config: Config, version: int) -> Config:
    """The calls of models within the model counted from one; not those of a chain in Keras 3."""
    nested = _nested(config).items()
    return _moved(
        config, {n: 1 for n, e in nested if version == 2 or e["class_name"] != "Sequential"}
    )


def _nested(config: Config) -> dict[Any, Any]:
    """The entries of the models within the model."""
    inner = {_name(entry): entry for entry in _entries(config)}
    return {
        name: entry
        for name, entry in inner.items()
        if isinstance(entry.get("config"), Mapping) and "layers" in entry["config"]
    }


def _moved(config: Config, offsets: Mapping[Any, int]) -> Config:
    """With the numbers of the calls of some layers moved."""
    if not offsets:
        return config

    def visit(value: Any) -> Any:
        if _is_place(value):
            name, call, *rest = value
            return [name, call + offsets.get(name, 0), *(visit(item) for item in rest)]
        if isinstance(value, list):
            return [visit(item) for item in value]
        if not isinstance(value, Mapping):
            return value
        return {key: visit(item) for key, item in value.items()}

    entries = [
        {**entry, "inbound_nodes": visit(entry["inbound_nodes"])} if _calls(entry) else entry
        for entry in _entries(config)
    ]
    ends = {end: visit(config.get(end)) for end in ("input_layers", "output_layers")}
    return {**config, "layers": entries, **ends}


def _is_place(value: Any) -> bool:
    """[layer, call, output] or, in Keras 2, [layer, call, output, keyword arguments]."""
    kinds = [type(item) for item in value[:3]] if isinstance(value, list) else []
    return kinds == [str, int, int] and len(value) <= 4


def _entries(config: Config) -> list[Any]:
    found = config.get("layers")
    return [e for e in found if isinstance(e, Mapping)] if isinstance(found, list) else []


def _name(entry: Mapping[str, Any]) -> Any:
    inner = entry.get("config")
    return entry.get("name") or (inner.get("name") if isinstance(inner, Mapping) else None)


def _calls(entry: Mapping[str, Any]) -> list[Any]:
    calls = entry.get("inbound_nodes")
    return calls if isinstance(calls, list) else []


# -- masks of Keras 3 -----------------------------------------------------------------------------


def without_operations(config: Config) -> Config:
    """Arithmetic as layers, and without the operations that only make the masks between layers.

    Errors: ValueError for an operation that does anything else.
    """
    entries = [keras_ops.read(entry) for entry in _entries(config)]
    ops = {_name(entry): entry for entry in entries if _is_operation(entry)}
    if _places(config.get("output_layers"), ops):
        raise _no_operation(next(iter(ops.values())))
    for entry in entries:
        if _name(entry) not in ops:
            for call in _calls(entry):
                used = _places(_without(call, "mask"), ops)
                if used:
                    raise _no_operation(ops[used[0]])
    made = [_made_masks(entry) for entry in entries]
    sources = {source for found in made for source in found}
    for entry in ops.values():
        if entry["class_name"] == "NotEqual" and _comparison(entry) not in sources:
            raise _no_operation(entry)
    if ops and not any(entry["class_name"] == "NotEqual" for entry in ops.values()):
        raise _no_operation(next(iter(ops.values())))
    kept = []
    for entry in entries:
        if _name(entry) in ops:
            continue
        calls = [
            _without(_without(call, "training"), "mask" if _places(_mask(call), ops) else None)
            for call in _calls(entry)
        ]
        kept.append({**entry, "inbound_nodes": calls} if calls else entry)
    return {**config, "layers": kept}


def _is_operation(entry: Mapping[str, Any]) -> bool:
    if entry.get("class_name") == "Arithmetic":
        return False
    return str(entry.get("module")).startswith(_OPS) or entry.get("class_name") in _OF_MASKS


def _no_operation(entry: Mapping[str, Any]) -> ValueError:
    got = f"the operation {entry.get('class_name')} of keras.ops"
    hint = "put it into a layer of your own, which custom_objects names"
    return ValueError(fail_text("models.load_model", "layers", "layers", got, hint))


def _mask(call: Any) -> Any:
    kwargs = call.get("kwargs") if isinstance(call, Mapping) else None
    return kwargs.get("mask") if isinstance(kwargs, Mapping) else None


def _without(call: Any, key: str | None) -> Any:
    """A call without that keyword argument."""
    if not isinstance(call, Mapping) or not isinstance(call.get("kwargs"), Mapping):
        return call
    return {**call, "kwargs": {k: v for k, v in call["kwargs"].items() if k != key}}


def _places(value: Any, names: Mapping[Any, Any]) -> list[str]:
    """Which of the layers a part of a configuration refers to."""
    return [place[0] for place in _every_place(value) if place[0] in names]


def _every_place(value: Any) -> Iterator[list[Any]]:
    if _is_place(value):
        yield value
        return
    items = value.values() if isinstance(value, Mapping) else value
    if isinstance(items, (list, tuple)) or isinstance(value, Mapping):
        for item in items:
            yield from _every_place(item)


def _made_masks(entry: Mapping[str, Any]) -> set[tuple[Any, ...]]:
    """What the masks that a layer makes compare: (layer, call, output, value)."""
    config, kind = entry.get("config"), entry.get("class_name")
    if not isinstance(config, Mapping):
        return set()
    if kind == "Embedding" and config.get("mask_zero"):
        value: Any = 0
    elif kind == "Masking":
        value = config.get("mask_value")
    else:
        return set()
    return {(*place[:3], value) for call in _calls(entry) for place in _every_place(call)}


def _comparison(entry: Mapping[str, Any]) -> tuple[Any, ...] | None:
    """What an operation NotEqual compares, in the same form."""
    calls = _calls(entry)
    args = calls[0].get("args") if len(calls) == 1 and isinstance(calls[0], Mapping) else None
    if not isinstance(args, list) or len(args) != 2 or isinstance(args[1], (list, dict)):
        return None
    places = list(_every_place(args[0]))
    return (*places[0][:3], args[1]) if len(places) == 1 else None
