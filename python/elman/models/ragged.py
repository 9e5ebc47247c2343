# SPDX-License-Identifier: Apache-2.0
"""Lists of sequences of different lengths as data of `fit`, `evaluate` and `predict`.

Sequences of similar length share a batch, so that there is little padding; what is padded carries
a mask, so that the results are those of the sequences one by one, and what comes out is put back
into the order of the list.
"""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from typing import Any

import numpy as np

from elman import _random
from elman._backend import core
from elman._errors import fail_text
from elman._tensors import as_tensor, is_array, mask_of, with_mask
from elman.gradient import flatten, map_structure
from elman.layers import Embedding
from elman.models.data import ArrayData, Batch, standardize

# Shuffled batches are made of so many batches' worth of random sequences, sorted by length: more
# would pad less and mix less.
_POOL = 8


def is_ragged(x: Any, single: bool, rank: int | None = None) -> bool:
    """Whether x is a list of sequences that do not make an array, for a model with one input.

    rank: of that input, if known; it tells a list of one sequence from a list of one input.
    """
    if not single or not isinstance(x, (list, tuple)) or not x or not all(map(is_array, x)):
        return False
    shapes = [np.shape(item) for item in x]
    if len(x) == 1:
        return len(shapes[0]) > 1 and rank == len(shapes[0]) + 1
    return all(shapes) and len({shape[0] for shape in shapes}) > 1


class RaggedData(ArrayData):
    """Batches of a list of N sequences [T_i, ...]; epochs of `fit` and of the others.

    Shapes: y an array [N, ...], or a list of [T_i, ...], one target per step; sample_weight [N],
    or a list of [T_i].

    Errors: ValueError for sequences that differ in more than their length, targets or weights
    that do not fit them, and models that cannot do without the padding being seen.
    """

    def __init__(
        self,
        model: Any,
        where: str,
        x: Any,
        y: Any,
        sample_weight: Any,
        batch_size: int,
        shuffle: bool | str = False,
        *,
        ordered: bool = True,
    ) -> None:
        _check_model(model, where)
        self._where = where
        self._ordered = ordered  # False: the order of the batches does not matter
        self._current: Any = None  # the rows of the batch that was made last
        rows = _sequences(where, "x", x)
        self._lengths = np.array([len(row) for row in rows])
        targets = self._per_sequence("y", y)
        weights = self._per_sequence("sample_weight", sample_weight)
        super().__init__(where, rows, targets, weights, batch_size, shuffle)

    def _per_sequence(self, what: str, value: Any) -> Any:
        """A list with one array per sequence and step, or one array for all sequences."""
        number = len(self._lengths)
        if not isinstance(value, (list, tuple)) or not value or not all(map(is_array, value)):
            return standardize(self._where, what, value, True)
        if len(value) != number:
            expected = f"{number} samples as in x"
            raise ValueError(fail_text(self._where, what, expected, len(value)))
        shapes = [np.shape(item) for item in value]
        wrong = [i for i, n in enumerate(self._lengths) if shapes[i][:1] != (n,)]
        if not wrong:
            return _sequences(self._where, what, value)
        if len(set(shapes)) > 1:
            i, tail = wrong[0], ", ".join(["", *map(str, shapes[wrong[0]][1:])])
            expected, hint = f"({self._lengths[i]}{tail or ','})", f"as many steps as x[{i}]"
            raise ValueError(fail_text(self._where, f"{what}[{i}]", expected, shapes[i], hint))
        return standardize(self._where, what, value, True)

    def _count(self, where: str) -> int:
        number = len(self._x)
        for what, value in (("y", self._y), ("sample_weight", self._weight)):
            if value is not None and len(value) != number:
                raise ValueError(fail_text(where, what, f"{number} samples as in x", len(value)))
        return number

    def epoch(self) -> Iterator[Batch]:
        """The batches of one epoch, in a new order if they are shuffled."""
        for rows in self._plan():
            yield self._batch(rows, len(rows))

    def _plan(self) -> list[np.ndarray]:
        """The rows of each batch."""
        size, count = self.batch_size, self.samples
        rows = np.arange(count)
        if self.shuffle is True:
            rows = _permutation(count)
            pools = range(0, count, _POOL * size)
            rows = np.concatenate([self._sorted(rows[i : i + _POOL * size]) for i in pools])
        elif not self._ordered:
            rows = self._sorted(rows)
        batches = [self.first + rows[i : i + size] for i in range(0, count, size)]
        if self.shuffle:  # a short last batch stays last, as in Keras
            whole = count // size
            batches[:whole] = [batches[i] for i in _permutation(whole)]
        return batches

    def _sorted(self, rows: np.ndarray) -> np.ndarray:
        return rows[np.argsort(self._lengths[self.first + rows], kind="stable")]

    def _batch(self, rows: Any, size: int) -> Batch:
        """Padded arrays; x carries the mask. A batch with targets per step counts its steps."""
        self._current = rows
        lengths = self._lengths[rows]
        longest = int(lengths.max(initial=0))
        x = with_mask(
            as_tensor(_padded(self._x, rows, longest)),
            core.Tensor(np.arange(longest) < lengths[:, None]),
        )
        y, weight = (
            _padded(part, rows, longest) if isinstance(part, list) else _taken(part, rows)
            for part in (self._y, self._weight)
        )
        steps = int(lengths.sum()) if isinstance(self._y, list) else size
        return Batch(x, y, weight, max(steps, 1))

    def all_rows(self) -> Batch:
        """Everything as one batch."""
        return self._batch(np.arange(self.first, self.last), self.samples)

    def cut(self, output: Any) -> Any:
        """The output of the last batch without its padding: a list where there is one per step."""
        lengths = self._lengths[self._current]

        def one(leaf: Any) -> Any:
            values = np.asarray(leaf)
            if mask_of(leaf) is None:
                return np.array(values)
            return [np.array(row[:n]) for row, n in zip(values, lengths, strict=True)]

        return map_structure(one, output)

    def collected(self) -> Collected:
        """What takes the outputs of `predict`."""
        return Collected(self)


class Collected:
    """Outputs of batches in any order, put back into the order of the list."""

    def __init__(self, data: RaggedData) -> None:
        self._data = data
        self._parts: list[list[Any]] = []
        self._rows: list[np.ndarray] = []
        self._structure: Any = None

    def add(self, output: Any, size: int) -> None:
        """Take the output of the batch that the data has made last."""
        leaves = [self._data.cut(leaf) for leaf in flatten(output)]
        if not self._parts:
            self._structure = map_structure(lambda leaf: None, output)
            self._parts = [[] for _ in leaves]
        for part, leaf in zip(self._parts, leaves, strict=True):
            part.append(leaf)
        self._rows.append(self._data._current)

    def result(self) -> Any:
        """An array for outputs per sequence, a list of arrays for outputs per step."""
        order = np.argsort(np.concatenate(self._rows), kind="stable")
        ordered = iter([_reordered(part, order) for part in self._parts])
        return map_structure(lambda _: next(ordered), self._structure)


def _reordered(parts: list[Any], order: np.ndarray) -> Any:
    if isinstance(parts[0], list):
        rows = [row for part in parts for row in part]
        return [rows[i] for i in order]
    return np.concatenate(parts)[order]


def _permutation(count: int) -> np.ndarray:
    return np.asarray(core.permutation(count, *_random.next_key()))


def _sequences(where: str, what: str, value: Sequence[Any]) -> list[np.ndarray]:
    """Arrays of numbers which differ in their first axis alone, of one type."""
    rows = [np.asarray(item) for item in value]
    for i, row in enumerate(rows):
        if row.dtype.kind not in "fiub":
            expected = "arrays of numbers"
            raise ValueError(fail_text(where, f"{what}[{i}]", expected, f"dtype {row.dtype}"))
        if row.shape[1:] != rows[0].shape[1:] or row.ndim != rows[0].ndim:
            tail = ", ".join(["T", *map(str, rows[0].shape[1:])])
            hint = f"like {what}[0]"
            raise ValueError(fail_text(where, f"{what}[{i}]", f"({tail})", row.shape, hint))
    kind = np.result_type(*{row.dtype for row in rows})
    return [row.astype(kind, copy=False) for row in rows]


def _padded(rows: list[np.ndarray], chosen: np.ndarray, length: int) -> np.ndarray:
    """The chosen rows as one array, zeros behind each."""
    out = np.zeros((len(chosen), length, *rows[0].shape[1:]), rows[0].dtype)
    for i, row in enumerate(chosen):
        out[i, : len(rows[row])] = rows[row]
    return out


def _taken(values: Any, chosen: np.ndarray) -> Any:
    if values is None:
        return None
    return map_structure(lambda leaf: None if leaf is None else np.asarray(leaf)[chosen], values)


def _check_model(model: Any, where: str) -> None:
    """ValueError for a model that would carry states over, or see the padding."""
    if model.structure.stateful:
        expected, got = "one array for a stateful model", "a list of sequences"
        hint = "its rows continue from batch to batch, and a list is sorted by length"
        raise ValueError(fail_text(where, "x", expected, got, hint))
    if not model._is_chain:
        return
    for layer in model.layers:
        sequences = getattr(layer, "return_sequences", None)
        if sequences is False:
            return
        turned = bool(sequences) and getattr(layer, "go_backwards", False)
        if turned or not (layer.supports_masking or isinstance(layer, Embedding)):
            why = "returns its steps from the last to the first" if turned else "sees the padding"
            hint = f"layer {layer.name!r} {why}; pad the sequences yourself"
            raise ValueError(fail_text(where, "x", "one array", "a list of sequences", hint))
