# SPDX-License-Identifier: Apache-2.0
"""What users hand to `fit`, `evaluate` and `predict`, turned into batches.

Arrays are never copied as a whole: a batch is a slice, or is gathered by index.
"""

from __future__ import annotations

import numbers
from collections.abc import Callable, Iterator
from typing import Any

import numpy as np

from elman import _random
from elman._backend import core
from elman._errors import fail_text, is_whole
from elman._tensors import is_array
from elman.gradient import flatten, map_structure
from elman.models.batches import PER_INPUT, Batch, check_counts, is_lazy, standardized
from elman.models.streams import StreamData


class ArrayData:
    """Batches of arrays that are in memory, or in a file that is read piece by piece."""

    def __init__(
        self,
        where: str,
        x: Any,
        y: Any,
        sample_weight: Any,
        batch_size: int,
        shuffle: bool | str = False,
    ) -> None:
        if not is_whole(batch_size) or batch_size < 1:
            expected = "a positive whole number"
            raise ValueError(fail_text(where, "batch_size", expected, repr(batch_size)))
        self._x, self._y, self._weight = x, y, sample_weight
        self.batch_size, self.shuffle = int(batch_size), shuffle
        self.first, self.last = 0, self._count(where)

    def _count(self, where: str) -> int:
        names: Any = self._x if isinstance(self._x, dict) else range(len(flatten(self._x)))
        inputs = [(f"x[{name!r}]", len(x)) for name, x in zip(names, flatten(self._x), strict=True)]
        first, number = inputs[0]
        for what, count in inputs:
            if count != number:
                expected = f"{number} samples as in {first}"
                raise ValueError(fail_text(where, what, expected, count, PER_INPUT))
        check_counts(where, number, self._y, self._weight)
        if number == 0:
            raise ValueError(fail_text(where, "x", "at least one sample", "0 samples"))
        return number

    @property
    def samples(self) -> int:
        """Number of samples."""
        return self.last - self.first

    @property
    def rows(self) -> int:
        """Samples in one epoch."""
        return self.samples

    @property
    def steps(self) -> int:
        """Batches per epoch."""
        return -(-self.samples // self.batch_size)

    def restart(self) -> None:
        """Every epoch starts from the beginning anyway."""

    def split(self, where: str, fraction: float) -> tuple[ArrayData, ArrayData]:
        """The first samples, and the last `fraction` of them; both share the arrays."""
        if not isinstance(fraction, numbers.Real) or not 0 < fraction < 1:
            expected = "a number between 0 and 1"
            raise ValueError(fail_text(where, "validation_split", expected, repr(fraction)))
        border = int(self.samples * (1.0 - fraction))
        if border in (0, self.samples):
            expected = f"both parts of {self.samples} samples to be non-empty"
            raise ValueError(fail_text(where, "validation_split", expected, fraction))
        parts = []
        for first, last in ((0, border), (border, self.samples)):
            part = object.__new__(type(self))
            part.__dict__.update(self.__dict__)
            part.first, part.last = first, last
            parts.append(part)
        parts[1].shuffle = False
        return parts[0], parts[1]

    def epoch(self) -> Iterator[Batch]:
        """The batches of one epoch, in a new order if they are shuffled."""
        size, first, last = self.batch_size, self.first, self.last
        if self.shuffle and self.shuffle != "batch":
            order = np.asarray(core.permutation(last - first, *_random.next_key()))
            if first:
                order = order + first
            for begin in range(0, last - first, size):
                rows = order[begin : begin + size]
                yield self._batch(rows, len(rows))
            return
        begins = np.arange(first, last, size)
        if self.shuffle == "batch":
            # A short last batch stays last, as in Keras.
            whole = (last - first) // size
            begins[:whole] = begins[np.asarray(core.permutation(whole, *_random.next_key()))]
        for begin in begins.tolist():
            end = min(begin + size, last)
            yield self._batch(slice(begin, end), end - begin)

    def _batch(self, rows: Any, size: int) -> Batch:
        x, y, weight = self._x, self._y, self._weight
        return Batch(
            taken(x, rows),
            None if y is None else taken(y, rows),
            None if weight is None else taken(weight, rows),
            size,
        )


def taken(arrays: Any, rows: Any) -> Any:
    """The rows, a slice or indices, of an array or of each one of a list or dict."""
    if type(arrays) is np.ndarray:
        return arrays[rows] if type(rows) is slice else arrays.take(rows, axis=0)
    if isinstance(arrays, (list, dict)):
        return map_structure(lambda leaf: None if leaf is None else taken(leaf, rows), arrays)
    if isinstance(rows, slice) or not is_lazy(arrays):
        return np.asarray(arrays[rows])
    # Files want rising indices.
    ordered = np.sort(rows)
    return np.asarray(arrays[ordered])[np.searchsorted(ordered, rows)]


def make_data(
    where: str,
    x: Any,
    y: Any,
    sample_weight: Any,
    batch_size: int | None,
    default_batch_size: Callable[[], int],
    single: tuple[bool, bool],
    listed: Callable[[Any, Any, Any], Batch | None],
    shuffle: bool | str = False,
    steps: int | None = None,
) -> Any:
    """`ArrayData` or `StreamData` for what the user gave.

    Args:
        where: for error texts.
        x: arrays, or the source of batches.
        y: targets; None when x makes whole batches.
        sample_weight: weights per sample; None when x makes whole batches.
        batch_size: for arrays.
        default_batch_size: called when none is given.
        single: whether the model has one input, and one output.
        listed: from x, y, sample_weight of one batch the batch of lists of sequences, if they are.
        shuffle: True, False or 'batch'.
        steps: batches per epoch, at most, for arrays; exactly, for streams.
    """
    if shuffle not in (True, False, "batch"):
        raise ValueError(fail_text(where, "shuffle", "True, False or 'batch'", repr(shuffle)))
    if steps is not None and (not is_whole(steps) or steps < 1):
        raise ValueError(fail_text(where, "steps", "a positive whole number", repr(steps)))
    if x is None:
        raise ValueError(fail_text(where, "x", "arrays or a source of batches", None))
    if not holds_arrays(x):
        for what, value in (("y", y), ("sample_weight", sample_weight)):
            if value is not None:
                hint = "the source of batches yields (x, y, sample_weight)"
                raise ValueError(fail_text(where, what, "None", type(value).__name__, hint))
        if batch_size is not None:
            hint = "the source of batches decides"
            raise ValueError(fail_text(where, "batch_size", "None", batch_size, hint))
        return StreamData(where, x, single, shuffle, steps, listed)
    data = ArrayData(
        where,
        *standardized(where, x, y, sample_weight, single),
        default_batch_size() if batch_size is None else batch_size,
        shuffle,
    )
    return data if steps is None else _Continued(data, steps)


def holds_arrays(x: Any) -> bool:
    """True for arrays and lists or dicts of them, False for a source of batches."""
    if isinstance(x, (list, tuple, dict)) or is_array(x) or is_lazy(x):
        return True
    return hasattr(x, "to_numpy")


class _Continued:
    """Array batches cut into epochs of a given number of steps."""

    def __init__(self, data: ArrayData, steps: int) -> None:
        self._data, self.steps = data, int(steps)
        self.samples, self.batch_size = data.samples, data.batch_size
        self.rows: int | None = None
        self._current: Iterator[Batch] = iter(())

    def restart(self) -> None:
        """Let the next epoch start from the beginning."""
        self._current = iter(())

    def epoch(self) -> Iterator[Batch]:
        """The next `steps` batches; after the last one the data starts again."""
        for _ in range(self.steps):
            batch = next(self._current, None)
            if batch is None:
                self._current = self._data.epoch()
                batch = next(self._current)
            yield batch
