# SPDX-License-Identifier: Apache-2.0
"""`Collected`: the outputs of the batches of `predict` as one."""

from __future__ import annotations

from typing import Any

import numpy as np

from elman.gradient import flatten, map_structure
from elman.models.batches import Batch


class Collected:
    """Outputs of batches; those of a list of sequences are put back into its order.

    Args:
        samples: number of all samples, if it is known and their order is that of the batches: then
            the outputs are written into arrays made once.
    """

    def __init__(self, samples: int | None = None) -> None:
        self._samples, self._filled = samples, 0
        self._arrays: list[np.ndarray] = []
        self._parts: list[list[Any]] = []  # for each output: an array, or a list of rows, per batch
        self._rows: list[np.ndarray] = []
        self._structure: Any = None
        self._started = False

    def add(self, output: Any, batch: Batch) -> None:
        """Take the output of one batch."""
        leaves = [np.asarray(leaf) for leaf in flatten(output)]
        if not self._started:
            self._start(output, leaves, batch.size)
        size = batch.size
        for array, leaf in zip(self._arrays, leaves, strict=False):
            array[self._filled : self._filled + size] = leaf
        cuts = batch.cuts or [None] * len(leaves)
        for part, leaf, cut in zip(self._parts, leaves, cuts, strict=False):
            if cut is None:
                part.append(np.array(np.atleast_1d(leaf)))
            else:
                ends = [None] * len(leaf) if cut is True else cut
                part.append([np.array(row[:n]) for row, n in zip(leaf, ends, strict=True)])
        if self._parts:
            order = np.arange(self._filled, self._filled + size)
            self._rows.append(order if batch.rows is None else batch.rows)
        self._filled += size

    def _start(self, output: Any, leaves: list[np.ndarray], size: int) -> None:
        self._started = True
        self._structure = map_structure(lambda leaf: None, output)
        fits = all(leaf.ndim > 0 and len(leaf) == size for leaf in leaves)
        if self._samples is None or not fits:
            self._parts = [[] for _ in leaves]
        else:
            shapes = [(self._samples, *leaf.shape[1:]) for leaf in leaves]
            self._arrays = [
                np.empty(shape, leaf.dtype) for shape, leaf in zip(shapes, leaves, strict=True)
            ]

    def result(self) -> Any:
        """An array for each output; a list of arrays where they differ from sample to sample."""
        if not self._started:
            raise ValueError("[Model.predict] x: the data is empty; a generator is read only once")
        places = np.concatenate(self._rows) if self._rows else np.arange(0)
        order = np.argsort(places, kind="stable")
        ordered = iter(self._arrays or [_ordered(part, order) for part in self._parts])
        return map_structure(lambda _: next(ordered), self._structure)


def _ordered(parts: list[Any], order: np.ndarray) -> Any:
    lists = any(isinstance(part, list) for part in parts)
    if lists or len({part.shape[1:] for part in parts}) > 1:
        rows = [np.array(row) for part in parts for row in part]
        return [rows[i] for i in order]
    values = np.concatenate(parts)
    return values[order] if len(values) == len(order) and (np.diff(order) != 1).any() else values
