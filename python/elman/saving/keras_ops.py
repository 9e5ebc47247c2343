# SPDX-License-Identifier: Apache-2.0
"""Arithmetic on symbolic tensors: a layer in elman, an operation of `keras.ops` in Keras 3."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any

# Class of the operation -> function of the layer `Arithmetic`; the first is the one to write.
_FUNCTIONS = {
    "Add": "add",
    "Subtract": "subtract",
    "Multiply": "multiply",
    "TrueDivide": "divide",
    "Divide": "divide",
    "Power": "power",
}
_MODULE = "keras.src.ops.numpy"


def read(entry: Mapping[str, Any]) -> Mapping[str, Any]:
    """The layer of an entry that is such an operation; another entry as it is.

    An operation takes two arguments, where the merging layers of the same names take one list.
    """
    calls, function = entry.get("inbound_nodes"), _FUNCTIONS.get(str(entry.get("class_name")))
    call = calls[0] if isinstance(calls, list) and len(calls) == 1 else None
    args = call.get("args") if isinstance(call, Mapping) else None
    if function is None or not isinstance(args, list) or len(args) != 2:
        return entry
    numbers = [isinstance(arg, (int, float)) for arg in args]
    config = {"name": entry.get("name"), "function": function}
    if numbers == [False, False]:
        inputs: Any = args
    elif numbers == [True, True]:
        return entry
    else:
        config["left" if numbers[0] else "right"] = args[numbers.index(True)]
        inputs = args[numbers.index(False)]
    calls = [{"args": [inputs], "kwargs": {}}]
    return {**entry, "class_name": "Arithmetic", "config": config, "inbound_nodes": calls}


def written(entry: Mapping[str, Any]) -> Mapping[str, Any]:
    """The operation of an entry that is such a layer with numbers; another entry as it is."""
    config, calls = entry.get("config"), entry.get("inbound_nodes")
    if entry.get("class_name") != "Arithmetic" or not isinstance(config, Mapping) or not calls:
        return entry
    left, right = config.get("left"), config.get("right")
    if len(calls) != 1 or not all(isinstance(c, (int, float, type(None))) for c in (left, right)):
        return entry
    (inputs,) = calls[0]["args"]
    args = [inputs, right] if left is None else [left, inputs]
    args = inputs if isinstance(inputs, list) else args
    name = next(name for name, function in _FUNCTIONS.items() if function == config["function"])
    return {
        "module": _MODULE,
        "class_name": name,
        "config": {"name": config["name"]},
        "registered_name": name,
        "name": entry.get("name"),
        "inbound_nodes": [{"args": args, "kwargs": {}}],
    }
