# SPDX-License-Identifier: Apache-2.0
"""Padding of ragged sequences, windows over time series, and batches made on demand."""

from __future__ import annotations

from collections.abc import Iterator
from collections.abc import Sequence as Seq
from typing import Any

import numpy as np

from elman import _random
from elman._backend import core
from elman._errors import fail_text


def pad_sequences(
    sequences: Seq[Any],
    maxlen: int | None = None,
    dtype: Any = "int32",
    padding: str = "pre",
    truncating: str = "pre",
    value: Any = 0.0,
) -> np.ndarray:
    """Sequences of different lengths as one array.

    Args:
        sequences: N sequences of shape (T_i, ...), equal after the first axis.
        maxlen: T of the result; default the longest.
        dtype: of the result.
        padding: 'pre' or 'post': where the padding goes.
        truncating: 'pre' or 'post': which end of a longer sequence is cut off.
        value: the padding.

    Shapes: -> (N, T, ...).

    Example:
        >>> import elman
        >>> elman.utils.pad_sequences([[1], [2, 3]])
        array([[0, 1],
               [2, 3]], dtype=int32)
    """
    for what, given in (("padding", padding), ("truncating", truncating)):
        if given not in ("pre", "post"):
            raise ValueError(fail_text("pad_sequences", what, "'pre' or 'post'", repr(given)))
    arrays = []
    for i, sequence in enumerate(sequences):
        if not hasattr(sequence, "__len__"):
            raise ValueError(
                fail_text("pad_sequences", f"sequences[{i}]", "a sequence", repr(sequence))
            )
        arrays.append(np.asarray(sequence))
    steps = max((len(a) for a in arrays), default=0) if maxlen is None else maxlen
    tail = next((a.shape[1:] for a in arrays if len(a)), ())
    out = np.full((len(arrays), steps, *tail), value, dtype)
    for i, array in enumerate(arrays):
        if not len(array) or steps == 0:
            continue
        if array.shape[1:] != tail:
            expected = f"(T, {', '.join(map(str, tail))})" if tail else "(T,)"
            raise ValueError(fail_text("pad_sequences", f"sequences[{i}]", expected, array.shape))
        kept = array[-steps:] if truncating == "pre" else array[:steps]
        if padding == "pre":
            out[i, steps - len(kept) :] = kept
        else:
            out[i, : len(kept)] = kept
    return out


class Sequence:
    """Base class of data that makes its batches on demand (Keras' `Sequence` and `PyDataset`).

    A subclass writes `__len__` (batches per epoch) and `__getitem__(i)` (batch i: x, (x, y) or
    (x, y, sample_weight)); `on_epoch_end` is called after each epoch. Any object with these
    methods works in `fit`; deriving from this class is not needed.

    Example:
        >>> import elman, numpy as np
        >>> class Ones(elman.utils.Sequence):
        ...     def __len__(self):
        ...         return 3
        ...     def __getitem__(self, i):
        ...         return np.ones((4, 2)), np.ones((4, 1))
        >>> len(list(Ones()))
        3
    """

    def __len__(self) -> int:
        raise TypeError(f"[{type(self).__name__}] __len__ must return the batches per epoch")

    def __getitem__(self, index: int) -> Any:
        raise TypeError(f"[{type(self).__name__}] __getitem__(i) must return batch i")

    def __iter__(self) -> Iterator[Any]:
        for i in range(len(self)):
            yield self[i]

    def on_epoch_end(self) -> None:
        """Called after every epoch of `fit`."""


PyDataset = Sequence


class TimeseriesDataset(Sequence):
    """Batches of windows over a time series; see `timeseries_dataset_from_array`."""

    def __init__(
        self,
        data: np.ndarray,
        targets: np.ndarray | None,
        starts: np.ndarray,
        steps: np.ndarray,
        batch_size: int | None,
    ) -> None:
        self._data, self._targets, self._starts = data, targets, starts
        self._steps, self._batch = steps, batch_size

    def __len__(self) -> int:
        return len(self._starts) if self._batch is None else -(-len(self._starts) // self._batch)

    def __getitem__(self, index: int) -> Any:
        if not 0 <= index < len(self):
            raise IndexError(f"[TimeseriesDataset] index: expected below {len(self)}, got {index}")
        if self._batch is None:
            starts: Any = self._starts[index]
            rows = starts + self._steps
        else:
            starts = self._starts[index * self._batch : (index + 1) * self._batch]
            rows = starts[:, None] + self._steps
        windows = self._data[rows]
        return windows if self._targets is None else (windows, self._targets[starts])


def timeseries_dataset_from_array(
    data: Any,
    targets: Any,
    sequence_length: int,
    sequence_stride: int = 1,
    sampling_rate: int = 1,
    batch_size: int | None = 128,
    shuffle: bool = False,
    seed: int | None = None,
    start_index: int | None = None,
    end_index: int | None = None,
) -> TimeseriesDataset:
    """Windows over a time series, gathered batch by batch without copies of the data.

    Args:
        data: shape (T, ...), consecutive time steps.
        targets: None, or targets[i] for the window that starts at data[i].
        sequence_length: time steps in a window.
        sequence_stride: distance between the starts of two windows.
        sampling_rate: distance between two time steps of a window.
        batch_size: windows per batch; None for single windows.
        shuffle: windows in random order.
        seed: of that order; default the global one.
        start_index: use data from here on.
        end_index: use data up to here, exclusive.

    Shapes: batches (N, sequence_length, ...) or (windows, targets).

    Example:
        >>> import elman, numpy as np
        >>> windows = elman.utils.timeseries_dataset_from_array(
        ...     np.arange(6), np.arange(6) + 3, sequence_length=3, batch_size=2)
        >>> windows[0]
        (array([[0, 1, 2],
               [1, 2, 3]]), array([3, 4]))
    """
    where = "timeseries_dataset_from_array"
    data = np.asarray(data)
    positive = {
        "sequence_length": sequence_length,
        "sequence_stride": sequence_stride,
        "sampling_rate": sampling_rate,
        "batch_size": 1 if batch_size is None else batch_size,
    }
    for what, value in positive.items():
        if value < 1:
            raise ValueError(fail_text(where, what, "at least 1", value))
    first = start_index or 0
    last = len(data) if end_index is None else end_index
    if not 0 <= first < last <= len(data):
        expected = f"0 <= start_index < end_index <= {len(data)}"
        raise ValueError(fail_text(where, "start_index, end_index", expected, (first, last)))
    reach = (sequence_length - 1) * sampling_rate
    end = last - reach
    if targets is not None:
        targets = np.asarray(targets)
        end = min(end, len(targets))
    starts = np.arange(first, max(end, first), sequence_stride)
    if shuffle:
        key = _random.next_key() if seed is None else (seed, 0)
        starts = starts[np.asarray(core.permutation(len(starts), *key))]
    steps = np.arange(0, reach + 1, sampling_rate)
    return TimeseriesDataset(data, targets, starts, steps, batch_size)
