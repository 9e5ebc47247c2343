# SPDX-License-Identifier: Apache-2.0
"""Names for the weights of a model, and the files that hold them."""

from __future__ import annotations

import math
import os
from collections.abc import Callable, Container
from typing import Any

import numpy as np

from elman._errors import fail_text
from elman._names import snake_case
from elman._tensors import as_tensor
from elman.saving.npz import load_npz, save_npz
from elman.saving.safetensors import load_safetensors, save_safetensors

SUFFIXES = (".safetensors", ".npz")
_WHERE = "Model.load_weights"


def _numbered(base: str, seen: dict[str, int]) -> str:
    count = seen.get(base, 0)
    seen[base] = count + 1
    return base if count == 0 else f"{base}_{count}"


def _kind_name(layer: Any) -> str:
    return layer._file_name()


def _class_name(layer: Any) -> str:
    """What files were written with before LSTM, CuDNNLSTM and RNN(LSTMCell) had one name."""
    return snake_case(type(layer).__name__)


def named_weights(model: Any, name_of: Callable[[Any], str] = _kind_name) -> dict[str, Any]:
    """Stable names for all weights of a model, in the order of `model.weights`.

    The part before the slash is the layer's kind, counted within the model (`lstm`, `lstm_1`), so
    it does not depend on layer names or on how many models were made before; after the slash comes
    the weight's own name, numbered when a layer of several cells repeats it. Layers that have the
    same weights in whatever layout are of one kind: LSTM, CuDNNLSTM and RNN(LSTMCell).
    """
    out: dict[str, Any] = {}
    known: set[int] = set()
    seen: dict[str, int] = {}
    for layer in model.layers:
        prefix = _numbered(name_of(layer), seen)
        if hasattr(layer, "layers") and hasattr(layer, "fit"):
            inner = named_weights(layer, name_of)
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

    Weights in the layout of CuDNN are converted to that of the plain layer, and the other way.

    Errors: ValueError that names every weight that is missing, left over or of another shape.
    """
    path = checked_path(path, _WHERE)
    named: dict[str, Any] = {}

    def check(shapes: dict[str, tuple[int, ...]]) -> None:
        named.update(_names_as_in(model, shapes))
        _check(path, named, shapes)

    if _suffix(path) == ".npz":
        found = load_npz(path, check)
    else:
        found = load_safetensors(path)
        check({name: array.shape for name, array in found.items()})
    for name, weight in named.items():
        dtype = np.dtype(weight.dtype)
        if found[name].dtype.kind != dtype.kind:
            got = found[name].dtype
            raise _mismatch(path, f"{name!r}: expected {dtype} values, got {got}")
    for name, value in _in_layout(model, path, named, found).items():
        named[name].assign(value)


def _names_as_in(model: Any, found: Container[str]) -> dict[str, Any]:
    """The names that a file with those of `found` has for the weights of the model."""
    names = named_weights(model)
    if all(name in found for name in names):
        return names
    before = named_weights(model, _class_name)
    return before if all(name in found for name in before) else names


def _in_layout(
    model: Any, path: str, named: dict[str, Any], found: dict[str, np.ndarray]
) -> dict[str, Any]:
    """The arrays of the file as tensors for the weights of those names.

    Errors: ValueError for a shape that is no layout of the weight.
    """
    # A private copy: the mapped file may change or vanish later.
    tensors = {
        id(weight): as_tensor(np.array(found[name], dtype=np.dtype(weight.dtype), order="C"))
        for name, weight in named.items()
    }
    weights = model.weights
    try:
        values = model._adapted(_WHERE, [tensors[id(weight)] for weight in weights])
    except ValueError as error:
        raise _mismatch(path, str(error).removeprefix(f"[{_WHERE}] ")) from None
    tensors.update((id(weight), value) for weight, value in zip(weights, values, strict=True))
    for name, weight in named.items():
        if tuple(tensors[id(weight)].shape) != tuple(weight.shape):
            raise _misfit(path, name, tuple(weight.shape), found[name].shape)
    return {name: tensors[id(weight)] for name, weight in named.items()}


def _mismatch(path: str, text: str) -> ValueError:
    return ValueError(f"[{_WHERE}] {path!r}: {text}")


def _misfit(path: str, name: str, expected: tuple[int, ...], got: tuple[int, ...]) -> ValueError:
    return _mismatch(path, f"{name!r}: expected shape {expected}, got {got}")


def _check(path: str, weights: dict[str, Any], found: dict[str, tuple[int, ...]]) -> None:
    """Names, and that nothing is larger than a layout of the weights is, before data is read."""
    missing = [name for name in weights if name not in found]
    extra = [name for name in found if name not in weights]
    if missing or extra:
        parts = []
        if missing:
            parts.append(f"missing from the file: {_some(missing)}")
        if extra:
            parts.append(f"left over in the file: {_some(extra)}")
        raise _mismatch(path, "; ".join(parts) + "; the file belongs to another architecture")
    for name, weight in weights.items():
        shape = tuple(weight.shape)
        # CuDNN has two biases where the plain layer may have their sum.
        if math.prod(found[name]) > 2 * math.prod(shape):
            raise _misfit(path, name, shape, found[name])


def _some(names: list[str], limit: int = 6) -> str:
    shown = ", ".join(repr(name) for name in names[:limit])
    return shown if len(names) <= limit else f"{shown} and {len(names) - limit} more"
