# SPDX-License-Identifier: Apache-2.0
"""What a list of sequences is, and how its sequences become arrays of one type."""

from __future__ import annotations

from collections.abc import Callable
from typing import Any

import numpy as np

from elman._backend import core
from elman._errors import fail_text
from elman._tensors import as_tensor, is_array, with_mask


def listed(value: Any, rank: int | None = None) -> list[Any] | None:
    """The sequences of a list, a tuple or an array of objects; None for anything else.

    rank: of the input, if known; it tells a list of one sequence from a list of one input.
    """
    if isinstance(value, np.ndarray) and value.dtype == object and value.ndim == 1:
        value = list(value)
    if not isinstance(value, (list, tuple)) or not value or not all(map(_is_sequence, value)):
        return None
    return list(value) if len(value) > 1 or rank == _axes(value) else None


def sequences_in(value: Any, rank: int | None = None) -> list[Any] | None:
    """`listed`, if these sequences make no array."""
    found = listed(value, rank)
    if found is None or (len(found) > 1 and len({len(item) for item in found}) == 1):
        return None
    alone = len(found) == 1 and not (is_array(found[0]) and len(np.shape(found[0])) > 1)
    return None if alone else found


def _axes(value: Any) -> int:
    """The number of axes of an array, or of the array that a nested list makes."""
    if isinstance(value, (list, tuple)):
        return 1 + (_axes(value[0]) if len(value) else 0)
    return len(np.shape(value)) if is_array(value) else 0


def _is_sequence(item: Any) -> bool:
    return isinstance(item, (list, tuple)) or (is_array(item) and len(np.shape(item)) > 0)


def is_ragged(x: Any, single: bool, rank: int | None = None) -> bool:
    """Whether some input of a model is a list of sequences.

    single: the model has one input; rank: of that input, if known.
    """
    found: list[bool] = []
    each(lambda _, item, __: found.append(sequences_in(item, rank) is not None), "x", x, not single)
    return any(found)


def each(function: Callable[[str, Any, Any], Any], what: str, value: Any, several: bool) -> Any:
    """`function(what, item, key)` of a value, or of each item of a dict or a list of several."""
    if isinstance(value, dict):
        return {key: function(f"{what}[{key!r}]", item, key) for key, item in value.items()}
    if isinstance(value, (list, tuple)):
        if several:
            return [function(f"{what}[{i}]", item, i) for i, item in enumerate(value)]
        if len(value) == 1 and sequences_in(value[0]) is not None:
            value = value[0]  # a list of one input
    return function(what, value, None)


class Sequences:
    """N arrays [T_i, ...] of one type, which differ in their first axis alone."""

    def __init__(self, where: str, what: str, value: list[Any]) -> None:
        self.what = what
        self.rows = _alike(where, what, value)
        self.lengths = np.array([len(row) for row in self.rows])

    def __len__(self) -> int:
        return len(self.rows)

    def padded(self, chosen: np.ndarray) -> np.ndarray:
        """The chosen rows as one array, zeros behind each."""
        longest = int(self.lengths[chosen].max(initial=0))
        first = self.rows[0]
        out = np.zeros((len(chosen), longest, *first.shape[1:]), first.dtype)
        for i, row in enumerate(chosen):
            out[i, : self.lengths[row]] = self.rows[row]
        return out

    def masked(self, chosen: np.ndarray) -> Any:
        """`padded` as a tensor, with its mask if there is padding."""
        values, lengths = self.padded(chosen), self.lengths[chosen]
        if (lengths == values.shape[1]).all():
            return as_tensor(values)
        mask = np.arange(values.shape[1]) < lengths[:, None]
        return with_mask(as_tensor(values), core.Tensor(mask))


def _alike(where: str, what: str, value: list[Any]) -> list[np.ndarray]:
    rows = []
    for i, item in enumerate(value):
        try:
            row = np.asarray(item)
        except ValueError:
            row = np.array(None)
        if not len(item) and not is_array(item):
            row = row.astype(np.int64)  # of whatever type the others are
        if row.dtype.kind not in "fiub":
            got = f"dtype {row.dtype}" if row.ndim else "a list that makes none"
            raise ValueError(fail_text(where, f"{what}[{i}]", "arrays of numbers", got))
        rows.append(row)
    like = next((i for i, row in enumerate(rows) if len(row)), 0)
    for i, row in enumerate(rows):
        if not len(row) and row.ndim == 1:  # an empty Python list has no other axes
            rows[i] = row = row.reshape((0, *rows[like].shape[1:]))
        if row.shape[1:] != rows[like].shape[1:]:
            tail = ", ".join(["T", *map(str, rows[like].shape[1:])])
            hint = f"like {what}[{like}]"
            raise ValueError(fail_text(where, f"{what}[{i}]", f"({tail})", row.shape, hint))
    kind = np.result_type(*{row.dtype for row in rows})
    return [row.astype(kind, copy=False) for row in rows]
