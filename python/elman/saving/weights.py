# SPDX-License-Identifier: Apache-2.0
"""Names for the weights of a model, and the files that hold them."""

from __future__ import annotations

import contextlib
import io
import os
from collections.abc import Callable, Container, Iterable, Mapping
from typing import Any, BinaryIO

import numpy as np

from elman._errors import fail_text
from elman._names import snake_case
from elman.saving import archive, hdf5, keras2, keras3
from elman.saving.npz import load_npz, save_npz
from elman.saving.safetensors import load_safetensors, save_safetensors
from elman.saving.stored import WHERE, Stored, assign, check_names, check_size, mismatch


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


# -- safetensors and .npz -------------------------------------------------------------------------


def _save_npz(model: Any, path: str) -> None:
    save_npz(path, _arrays(model))


def _save_safetensors(model: Any, path: str) -> None:
    save_safetensors(path, _arrays(model), {"format": "elman-weights-1"})


def _arrays(model: Any) -> dict[str, np.ndarray]:
    return {name: weight.numpy() for name, weight in named_weights(model).items()}


def _load_npz(model: Any, path: str) -> None:
    named: dict[str, Any] = {}

    def check(shapes: dict[str, tuple[int, ...]]) -> None:
        named.update(_matched(model, path, shapes))
        for name, weight in named.items():
            check_size(path, weight, name, shapes[name])

    _assign_named(model, path, named, load_npz(path, check))


def _load_safetensors(model: Any, path: str) -> None:
    found = load_safetensors(path)
    _assign_named(model, path, _matched(model, path, found), found)


def _assign_named(
    model: Any, path: str, named: dict[str, Any], found: dict[str, np.ndarray]
) -> None:
    pairs = [
        (weight, Stored(name, found[name].shape, found[name].dtype, lambda n=name: found[n]))
        for name, weight in named.items()
    ]
    assign(model, path, pairs)


def _names_as_in(model: Any, found: Container[str]) -> dict[str, Any]:
    """The names that a file with those of `found` has for the weights of the model."""
    names = named_weights(model)
    if all(name in found for name in names):
        return names
    before = named_weights(model, _class_name)
    return before if all(name in found for name in before) else names


def _matched(model: Any, path: str, found: Mapping[str, Any]) -> dict[str, Any]:
    """The weights by the names of the file. Errors: ValueError for one that only one side has."""
    named = _names_as_in(model, found)
    missing = [name for name in named if name not in found]
    check_names(path, missing, [name for name in found if name not in named])
    return named


# -- HDF5 -----------------------------------------------------------------------------------------


def _save_keras2(model: Any, path: str) -> None:
    hdf5.write(path, lambda root: keras2.write(root, model))


def _save_keras3(model: Any, path: str) -> None:
    hdf5.write(path, lambda root: keras3.write(root, model))


def _load_hdf5(model: Any, path: str, by_name: bool = False) -> None:
    with open(path, "rb") as file:
        load_hdf5(model, path, file, by_name)


def load_hdf5(model: Any, path: str, file: BinaryIO, by_name: bool = False) -> None:
    """Assign the weights of an opened HDF5 file of either layout."""
    with contextlib.closing(hdf5.Tree(path, file)) as tree:
        root = keras2.root_of(tree)
        if root is not None:
            pairs = keras2.pairs(model, tree, root, by_name)
        elif by_name:
            raise mismatch(path, _NO_NAMES)
        elif keras3.is_layout_of(tree):
            pairs = keras3.pairs(model, tree)
        else:
            raise mismatch(path, "expected weights of Keras, got an HDF5 file of other content")
        assign(model, path, pairs)


def _load_archive(model: Any, path: str) -> None:
    with archive.Archive(path) as whole:
        load_hdf5(model, path, io.BytesIO(whole.read(archive.WEIGHTS)))


# -- formats --------------------------------------------------------------------------------------

_NO_NAMES = "by_name=True is for the .h5 layout of Keras 2, whose layers have names"
# How a file ends -> who writes it; the first that fits.
_WRITERS: dict[str, Callable[[Any, str], None]] = {
    ".safetensors": _save_safetensors,
    ".npz": _save_npz,
    ".weights.h5": _save_keras3,
    ".h5": _save_keras2,
    ".hdf5": _save_keras2,
}
_WHOLE = (".keras",)


def checked_path(path: Any, where: str, suffixes: Iterable[str] = tuple(_WRITERS)) -> str:
    """The path of a file as a string.

    Errors: TypeError for something that is no path, ValueError for another suffix.
    """
    try:
        name = os.fsdecode(path)
    except TypeError:
        got = type(path).__name__
        raise TypeError(fail_text(where, "filepath", "a path", got)) from None
    if not name.lower().endswith(tuple(suffixes)):
        *some, last = suffixes
        expected = f"a name that ends in {', '.join(some)} or {last}"
        raise ValueError(fail_text(where, "filepath", expected, repr(name)))
    return name


def save_weights(model: Any, path: str | os.PathLike[str]) -> None:
    """Write all weights of a built model; the suffix chooses the format."""
    path = checked_path(path, "Model.save_weights")
    next(write for end, write in _WRITERS.items() if path.lower().endswith(end))(model, path)


def load_weights(model: Any, path: str | os.PathLike[str], by_name: bool = False) -> None:
    """Assign all weights of a file to a built model, or none of them.

    The content of the file tells its format. Weights in the layout of CuDNN are converted to that
    of the plain layer, and the other way.

    Errors: ValueError that names every weight that is missing, left over or of another shape.
    """
    path = checked_path(path, WHERE, (*_WRITERS, *_WHOLE))
    kind = _content(path)
    if by_name and kind != "hdf5":
        raise mismatch(path, _NO_NAMES)
    if kind == "hdf5":
        _load_hdf5(model, path, by_name)
    elif kind == "archive":
        _load_archive(model, path)
    elif kind == "npz":
        _load_npz(model, path)
    else:
        _load_safetensors(model, path)


def _content(path: str) -> str:
    """The format of a file: what its first bytes say, else its suffix."""
    with open(path, "rb") as file:
        start = file.read(8)
    if start == hdf5.SIGNATURE:
        return "hdf5"
    if start.startswith(b"PK"):
        return "archive" if archive.is_one(path) else "npz"
    end = os.path.splitext(path)[1].lower()
    return {".npz": "npz", ".safetensors": "safetensors", ".keras": "archive"}.get(end, "hdf5")
