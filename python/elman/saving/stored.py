# SPDX-License-Identifier: Apache-2.0
"""Arrays in a file that are not read yet, and the weights that take them: all, or none."""

from __future__ import annotations

import math
from collections.abc import Callable, Sequence
from typing import Any, NamedTuple

import numpy as np

from elman._tensors import as_tensor

WHERE = "Model.load_weights"


class Stored(NamedTuple):
    """An array in a file: what errors call it, its shape and type, and how to read it."""

    name: str
    shape: tuple[int, ...]
    dtype: np.dtype
    read: Callable[[], np.ndarray]


Pairs = Sequence[tuple[Any, Stored]]


def trained_first(weights: Sequence[Any]) -> list[Any]:
    """The weights of a layer in the order of Keras: those that are trained come first."""
    return sorted(weights, key=lambda weight: not weight.trainable)


def from_bfloat16(bits: np.ndarray) -> np.ndarray:
    """float32 of the same shape from the bits of bfloat16, which numpy does not have."""
    return (bits.astype("<u4") << 16).view("<f4")


def mismatch(path: str, text: str) -> ValueError:
    """The error for a file that does not belong to the model."""
    return ValueError(f"[{WHERE}] {path!r}: {text}")


def some(names: Sequence[str], limit: int = 6) -> str:
    """The first few names, quoted."""
    shown = ", ".join(repr(name) for name in names[:limit])
    return shown if len(names) <= limit else f"{shown} and {len(names) - limit} more"


def check_names(path: str, missing: Sequence[str], extra: Sequence[str]) -> None:
    """ValueError that names the weights which only the model, or only the file has."""
    if missing or extra:
        parts = []
        if missing:
            parts.append(f"missing from the file: {some(missing)}")
        if extra:
            parts.append(f"left over in the file: {some(extra)}")
        raise mismatch(path, "; ".join(parts) + "; the file belongs to another architecture")


def assign(model: Any, path: str, pairs: Pairs) -> None:
    """Give each weight its array; weights of the model without one keep their values.

    Weights in the layout of CuDNN are converted to that of the plain layer, and the other way.
    Nothing is read before all shapes are known to be possible, nothing changes unless all fit.

    Errors: ValueError that names the first array of another shape or kind.
    """
    for weight, stored in pairs:
        check_size(path, weight, stored.name, stored.shape)
        if stored.dtype.kind != np.dtype(weight.dtype).kind:
            raise mismatch(
                path, f"{stored.name!r}: expected {weight.dtype} values, got {stored.dtype}"
            )
    # Private copies: a mapped file may change or vanish later.
    values = {
        id(weight): as_tensor(np.array(stored.read(), dtype=np.dtype(weight.dtype), order="C"))
        for weight, stored in pairs
    }
    weights = model.weights
    try:
        adapted = model._adapted(WHERE, [values.get(id(weight), weight) for weight in weights])
    except ValueError as error:
        raise mismatch(path, str(error).removeprefix(f"[{WHERE}] ")) from None
    values.update((id(w), v) for w, v in zip(weights, adapted, strict=True) if id(w) in values)
    for weight, stored in pairs:
        if tuple(values[id(weight)].shape) != tuple(weight.shape):
            raise _misfit(path, weight, stored.name, stored.shape)
    for weight, _ in pairs:
        weight.assign(values[id(weight)])


def check_size(path: str, weight: Any, name: str, shape: tuple[int, ...]) -> None:
    """ValueError for an array that is larger than any layout of the weight."""
    # CuDNN has two biases where the plain layer may have their sum.
    if math.prod(shape) > 2 * math.prod(weight.shape):
        raise _misfit(path, weight, name, shape)


def _misfit(path: str, weight: Any, name: str, got: tuple[int, ...]) -> ValueError:
    return mismatch(path, f"{name!r}: expected shape {tuple(weight.shape)}, got {got}")
