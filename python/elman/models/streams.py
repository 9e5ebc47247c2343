# SPDX-License-Identifier: Apache-2.0
"""`StreamData`: batches that the user's generator or data loader makes."""

from __future__ import annotations

from collections.abc import Callable, Iterator
from typing import Any

import numpy as np

from elman import _random
from elman._backend import core
from elman._errors import fail_text
from elman.gradient import flatten
from elman.models.batches import Batch, check_counts, standardized


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
        check_counts(self._where, size, y, weight)
        if size == 0:
            raise ValueError(
                fail_text(self._where, "x", "batches of at least one sample", "0 samples")
            )
        return Batch(x, y, weight, size)
