# SPDX-License-Identifier: Apache-2.0
"""Names for the weights of a model, and the files that hold them."""

from __future__ import annotations

import os
from typing import Any

import numpy as np

from elman._errors import fail_text
from elman._names import snake_case
from elman.saving.npz import load_npz, save_npz
from elman.saving.safetensors import load_safetensors, save_safetensors

SUFFIXES = (".safetensors", ".npz")


def _numbered(base: str, seen: dict[str, int]) -> str:
    count = seen.get(base, 0)
    seen[base] = count + 1
    return base if count == 0 else f"{base}_{count}"


def named_weights(model: Any) -> dict[str, Any]:
    """Stable names for all weights of a model, in the order of `model.weights`.

    The part before the slash is the layer's class, counted within the model (`lstm`, `lstm_1`), so
    it does not depend on layer names or on how many models were made before; after the slash comes
    the weight's own name, numbered when a layer of several cells repeats it.
    """
    out: dict[str, Any] = {}
    known: set[int] = set()
    seen: dict[str, int] = {}
    for layer in model.layers:
        prefix = _numbered(snake_case(type(layer).__name__), seen)
        if hasattr(layer, "layers") and hasattr(layer, "fit"):
            inner = named_weights(layer)
        else:
            inner = _own_names(layer.weights)
        for name, weight in inner.items():
            if id(weight) not in known:  # a layer used twice is stored once
                known.add(id(weight))
                out[f"{prefix}/{name}"] = weight
    rest = [weight for weight in model.weights if id(weight) not in known]
    out.update(_own_names(rest))
    return out


def _own_names(weights: list[Any]) -> dict[str, Any]:
    seen: dict[str, int] = {}
    out = {}
    for weight in weights:
        base = str(getattr(weight, "name", None) or "weight").rsplit("/", 1)[-1]
        out[_numbered(base, seen)] = weight
    return out


def checked_path(path: Any, where: str) -> str:
    """The path of a weights file as a string.

    Errors: TypeError for something that is no path, ValueError for another suffix than the formats
    have.
    """
    try:
        name = os.fsdecode(path)
    except TypeError:
        got = type(path).__name__
        raise TypeError(fail_text(where, "filepath", "a path", got)) from None
    if _suffix(name) not in SUFFIXES:
        expected = f"a name that ends in {' or '.join(SUFFIXES)}"
        raise ValueError(fail_text(where, "filepath", expected, repr(name)))
    return name


def _suffix(path: str) -> str:
    return os.path.splitext(path)[1].lower()


def save_weights(model: Any, path: str | os.PathLike[str]) -> None:
    """Write all weights of a built model; the suffix chooses the format."""
    path = checked_path(path, "Model.save_weights")
    weights = {name: weight.numpy() for name, weight in named_weights(model).items()}
    if _suffix(path) == ".npz":
        save_npz(path, weights)
    else:
        save_safetensors(path, weights, {"format": "elman-weights-1"})


def load_weights(model: Any, path: str | os.PathLike[str]) -> None:
    """Assign all weights of a file to a built model, or none of them.

    Errors: ValueError that names every weight that is missing, left over or of another shape.
    """
    path = checked_path(path, "Model.load_weights")
    weights = named_weights(model)
    expected = {name: tuple(weight.shape) for name, weight in weights.items()}
    if _suffix(path) == ".npz":
        found = load_npz(path, lambda shapes: _check(path, expected, shapes))
    else:
        found = load_safetensors(path)
        _check(path, expected, {name: array.shape for name, array in found.items()})
    for name, weight in weights.items():
        dtype = np.dtype(weight.dtype)
        if found[name].dtype.kind != dtype.kind:
            got = found[name].dtype
            raise _mismatch(path, f"{name!r}: expected {dtype} values, got {got}")
    for name, weight in weights.items():
        # A private copy: the mapped file may change or vanish later.
        weight.assign(np.array(found[name], dtype=np.dtype(weight.dtype), order="C"))


def _mismatch(path: str, text: str) -> ValueError:
    return ValueError(f"[Model.load_weights] {path!r}: {text}")


def _check(
    path: str,
    expected: dict[str, tuple[int, ...]],
    found: dict[str, tuple[int, ...]],
) -> None:
    missing = [name for name in expected if name not in found]
    extra = [name for name in found if name not in expected]
    if missing or extra:
        parts = []
        if missing:
            parts.append(f"missing from the file: {_some(missing)}")
        if extra:
            parts.append(f"left over in the file: {_some(extra)}")
        raise _mismatch(path, "; ".join(parts) + "; the file belongs to another architecture")
    for name, shape in expected.items():
        if found[name] != shape:
            raise _mismatch(path, f"{name!r}: expected shape {shape}, got {found[name]}")


def _some(names: list[str], limit: int = 6) -> str:
    shown = ", ".join(repr(name) for name in names[:limit])
    return shown if len(names) <= limit else f"{shown} and {len(names) - limit} more"
