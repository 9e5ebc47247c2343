# SPDX-License-Identifier: Apache-2.0
"""What users hand to `fit`, `evaluate` and `predict`, turned into batches.

Arrays are never copied as a whole: a batch is a slice, or is gathered by index. A batch is a tuple
(x, y, sample_weight, number of samples); x and y may be lists or dicts for several inputs/outputs.
"""

from __future__ import annotations

from collections.abc import Callable, Iterator
from typing import Any, NamedTuple

import numpy as np

from elman import _random
from elman._backend import core
from elman._errors import fail_text
from elman._tensors import Tensor, is_array, is_masked
from elman.gradient import flatten, map_structure

# Libraries whose arrays live in files: they are read batch by batch.
_LAZY = ("h5py", "zarr")
_PER_INPUT = "a list has one array, or one list of sequences, for each input of the model"
_RAGGED = "sequences of different lengths: give a list of arrays, or use utils.pad_sequences"


class Batch(NamedTuple):
    """One batch. The last two are for lists of sequences."""

    x: Any
    y: Any
    sample_weight: Any
    size: int
    rows: Any = None  # places of the samples in the list, where they are not in its order
    cuts: Any = None  # for each output None, or how many steps of each sample are no padding


def _is_lazy(value: Any) -> bool:
    return type(value).__module__.split(".", 1)[0] in _LAZY


def standardize(where: str, what: str, value: Any, single: bool) -> Any:
    """Arrays of numbers in the user's structure.

    Args:
        where: for the error text.
        what: for the error text.
        value: an array, a (nested) list of numbers, or a list or dict of arrays.
        single: the model has one input (or output): a list of arrays is stacked.
    """
    if value is None or _is_lazy(value):
        return value
    if isinstance(value, np.ndarray) and value.dtype == object and value.ndim == 1:
        value = list(value)  # of arrays, or of numbers
    if isinstance(value, dict):
        return {key: standardize(where, f"{what}[{key!r}]", v, True) for key, v in value.items()}
    if isinstance(value, (list, tuple)) and value and all(map(is_array, value)):
        if not single:
            items = enumerate(value)
            return [standardize(where, f"{what}[{i}]", item, True) for i, item in items]
        if len(value) == 1 and np.ndim(value[0]) > 1:
            value = value[0]
    return _as_array(where, what, value)


def standardized(
    where: str, x: Any, y: Any, sample_weight: Any, single: tuple[bool, bool]
) -> tuple[Any, Any, Any]:
    """`standardize` for x, y and sample_weight of a model with one input, one output, or not."""
    one_input, one_output = single
    return (
        standardize(where, "x", x, one_input),
        standardize(where, "y", y, one_output),
        standardize(where, "sample_weight", sample_weight, one_output),
    )


def _as_array(where: str, what: str, value: Any) -> np.ndarray:
    if isinstance(value, Tensor):
        return np.asarray(value)
    if hasattr(value, "to_numpy"):  # data frames
        value = value.to_numpy()
    if is_masked(value):
        got, hint = "a masked array", "use its .filled(value)"
        raise TypeError(fail_text(where, what, "an array of numbers", got, hint))
    try:
        array = np.asarray(value)
    except (TypeError, ValueError) as error:
        ragged = "inhomogeneous" in str(error)
        hint = _RAGGED if ragged else str(error)
        got = f"a {type(value).__name__}"
        raise ValueError(fail_text(where, what, "an array of numbers", got, hint)) from None
    if array.dtype.kind not in "fiub":
        hint = _RAGGED if array.dtype.kind == "O" else ""
        got = f"dtype {array.dtype}"
        raise ValueError(fail_text(where, what, "an array of numbers", got, hint))
    if array.ndim == 0:
        raise ValueError(fail_text(where, what, "an array with a sample axis", "a single number"))
    return array


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
        if not isinstance(batch_size, (int, np.integer)) or batch_size < 1:
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
                raise ValueError(fail_text(where, what, expected, count, _PER_INPUT))
        for what, value in (("y", self._y), ("sample_weight", self._weight)):
            for leaf in flatten(value) if value is not None else ():
                if leaf is not None and len(leaf) != number:
                    expected = f"{number} samples as in x"
                    raise ValueError(fail_text(where, what, expected, len(leaf)))
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
        if not 0 < fraction < 1:
            expected = "a number between 0 and 1"
            raise ValueError(fail_text(where, "validation_split", expected, fraction))
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
    if isinstance(rows, slice) or not _is_lazy(arrays):
        return np.asarray(arrays[rows])
    # Files want rising indices.
    ordered = np.sort(rows)
    return np.asarray(arrays[ordered])[np.searchsorted(ordered, rows)]


class StreamData:
    """Batches from a generator, an iterable (a data loader) or a `Sequence`-like object."""

    def __init__(
        self,
        where: str,
        source: Any,
        single: tuple[bool, bool],
        shuffle: bool | str,
        steps: int | None,
        listed: Callable[[Any, Any, Any], Batch | None],
    ) -> None:
        self._where, self._source, self._single = where, source, single
        self._listed = listed  # the batch of lists of sequences
        self._indexed = hasattr(source, "__len__") and hasattr(source, "__getitem__")
        if not self._indexed and not hasattr(source, "__iter__"):
            expected = "arrays, a generator, an iterable or a Sequence"
            raise ValueError(fail_text(where, "x", expected, type(source).__name__))
        self._once = not self._indexed and iter(source) is source
        self._shuffle = bool(shuffle) and self._indexed
        self._limit = steps
        self._seen = 0  # samples
        self._current: Iterator[Any] | None = None
        self.rows: int | None = None  # samples in one epoch, unknown

    @property
    def steps(self) -> int | None:
        """Batches per epoch, None when unknown."""
        if self._limit is not None:
            return self._limit
        return len(self._source) if hasattr(self._source, "__len__") else None

    def _items(self) -> Iterator[Any]:
        if not self._indexed:
            yield from self._source
            return
        order = np.arange(len(self._source))
        if self._shuffle:
            order = np.asarray(core.permutation(len(order), *_random.next_key()))
        for index in order.tolist():
            yield self._source[index]

    def epoch(self) -> Iterator[Batch]:
        """The batches of one epoch; with a number of steps the stream goes on where it stopped."""
        if self._limit is None:
            for item in self._items():
                yield self._numbered(item)
            self._finished()
            return
        for _ in range(self._limit):
            item = self._next()
            if item is None:
                return
            yield self._numbered(item[0])

    def restart(self) -> None:
        """Let the next epoch start from the beginning, where the source allows it."""
        if not self._once:
            self._current = None

    def _next(self) -> tuple[Any] | None:
        """The next item; what can be started again is started again at its end."""
        for _ in range(2):
            if self._current is None:
                self._current = self._items()
            for item in self._current:
                return (item,)
            self._finished()
            if self._once:
                return None
            self._current = None
        return None

    def _finished(self) -> None:
        end = getattr(self._source, "on_epoch_end", None)
        if callable(end):
            end()

    def _numbered(self, item: Any) -> Batch:
        """A batch; the places of its samples, if it has them, are those in the stream."""
        batch = self._batch(item)
        if batch.rows is None:
            self._seen += batch.size
            return batch
        batch = batch._replace(rows=batch.rows + self._seen)
        self._seen += len(batch.rows)
        return batch

    def _batch(self, item: Any) -> Batch:
        if isinstance(item, list):
            item = tuple(item)
        if not isinstance(item, tuple):
            item = (item,)
        if not 1 <= len(item) <= 3:
            expected = "batches (x,), (x, y) or (x, y, sample_weight)"
            raise ValueError(fail_text(self._where, "x", expected, f"a tuple of {len(item)}"))
        x, y, weight = (*item, None, None)[:3]
        batch = self._listed(x, y, weight)
        if batch is not None:
            return batch
        x, y, weight = standardized(self._where, x, y, weight, self._single)
        size = len(flatten(x)[0])
        for what, value in (("y", y), ("sample_weight", weight)):
            for leaf in flatten(value) if value is not None else ():
                if leaf is not None and len(leaf) != size:
                    expected = f"{size} samples as in x"
                    raise ValueError(fail_text(self._where, what, expected, len(leaf)))
        if size == 0:
            raise ValueError(
                fail_text(self._where, "x", "batches of at least one sample", "0 samples")
            )
        return Batch(x, y, weight, size)


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
    if steps is not None and (not isinstance(steps, (int, np.integer)) or steps < 1):
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
    if isinstance(x, (list, tuple, dict)) or is_array(x) or _is_lazy(x):
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
