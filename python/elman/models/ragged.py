# SPDX-License-Identifier: Apache-2.0
"""Lists of sequences of different lengths as data of `fit`, `evaluate` and `predict`.

Sequences of similar length share a batch. Where every layer is known to leave padding alone (see
`elman.models.padding`) they are padded and carry a mask; for all other models the batch is called
in pieces of one length each. So results are those of the sequences one by one, and what comes out
is put back into the order of the list.
"""

from __future__ import annotations

from collections.abc import Iterator
from typing import Any

import numpy as np

from elman import _random
from elman._backend import core
from elman._errors import fail_text
from elman.gradient import flatten, map_structure
from elman.layers import BatchNormalization, Flatten
from elman.models.batches import Batch, standardize
from elman.models.compiled import Compiled
from elman.models.data import ArrayData, taken
from elman.models.lists import Sequences, each, listed, sequences_in
from elman.models.output_steps import TargetSteps, fixed_steps, with_steps
from elman.models.padding import SeesPaddingError, Steps, sources
from elman.models.pieces import Pieces

# Shuffled batches are made of so many batches' worth of random sequences, sorted by length: more
# would pad less and mix less.
_POOL = 8


class RaggedData(ArrayData):
    """Batches of N samples of which some inputs are lists of sequences [T_i, ...].

    Shapes: y an array [N, ...], or a list of [T_i, ...], one target per step; sample_weight [N],
    or a list of [T_i]; lists or dicts of these for several outputs.

    Errors: ValueError for sequences that differ in more than their length, targets or weights
    that do not fit them, and models that need one array.
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
        training: bool = False,
        ordered: bool = True,
        predicting: bool = False,
    ) -> None:
        self._where = where
        self._ordered = ordered  # False: the order of the batches does not matter
        rank = _rank(model)
        inputs = each(
            lambda what, item, _: self._input(what, item, rank, predicting),
            "x",
            x,
            not model._one_input,
        )
        self._lists = [leaf for leaf in flatten(inputs) if isinstance(leaf, Sequences)]
        # Of each output the list whose padding it has; None: there is to be no padding.
        self._cuts = _checked(model, where, inputs, self._lists, training)
        self._steps = TargetSteps(model, where, inputs, self._cuts)
        count = len(model.output_names or ())
        self._lengths = np.zeros((0, 0), int)
        if len({len(item) for item in self._lists}) == 1:
            self._lengths = np.stack([item.lengths for item in self._lists], 1)
        self._by_row = self._outputs_by_row(model, inputs) if predicting else []
        targets, weights = (
            each(self._target, what, value, _is_several(value, count))
            for what, value in (("y", y), ("sample_weight", sample_weight))
        )
        super().__init__(where, inputs, targets, weights, batch_size, shuffle)

    def _input(self, what: str, value: Any, rank: int | None, predicting: bool) -> Any:
        found = (listed if predicting else sequences_in)(value, rank)
        if found is not None:
            return Sequences(self._where, what, found)
        return standardize(self._where, what, value, True)

    def _outputs_by_row(self, model: Any, inputs: Any) -> list[Any]:
        """For each output whether it is a list: None, True, or the list whose steps it has."""
        if self._cuts is None:
            return [True if found else None for found in with_steps(model, inputs)]
        equal = (self._lengths == self._lengths[:1]).all(0)
        fixed = equal & [n is not None for n in fixed_steps(model, inputs)]
        return [None if i is None or fixed[i] else i for i in self._cuts]

    def _target(self, what: str, value: Any, key: Any) -> Any:
        """A list with one array per sequence and step, or one array for all sequences."""
        found, number = sequences_in(value), len(self._lengths)
        if found is None or not number:
            target = standardize(self._where, what, value, True)
        else:
            target = Sequences(self._where, what, found)
        if target is not None and len(target) == number:  # another number is reported later
            self._steps.check(what, key, target)
        return target

    def epoch(self) -> Iterator[Batch]:
        """The batches of one epoch, in a new order if they are shuffled."""
        for rows in self._plan():
            yield self._batch(rows, len(rows))

    def _plan(self) -> list[np.ndarray]:
        """The rows of each batch."""
        size, count = self.batch_size, self.samples
        rows = np.arange(self.first, self.last)
        if self.shuffle is True:
            rows = rows[_permutation(count)]
            pools = range(0, count, _POOL * size)
            rows = np.concatenate([self._sorted(rows[i : i + _POOL * size]) for i in pools])
        elif not self._ordered:
            rows = self._sorted(rows)
        batches = [rows[i : i + size] for i in range(0, count, size)]
        if self.shuffle:  # a short last batch stays last, as in Keras
            whole = count // size
            batches[:whole] = [batches[i] for i in _permutation(whole)]
        return batches

    def _sorted(self, rows: np.ndarray) -> np.ndarray:
        """Shorter ones first; those whose lengths are all equal are next to each other."""
        return rows[np.lexsort(self._lengths[rows].T[::-1])]

    def _batch(self, rows: Any, size: int) -> Batch:
        """A batch with targets per step counts its steps."""
        if self._cuts is None:
            rows = self._sorted(rows)
            lengths = self._lengths[rows]
            borders = np.flatnonzero((lengths[1:] != lengths[:-1]).any(1)) + 1
            pieces = [self._inputs(part, False) for part in np.split(rows, borders)]
            x = Pieces(pieces) if len(pieces) > 1 else pieces[0]
        else:
            x = self._inputs(rows, True)
        cuts = [i if i is None or i is True else self._lengths[rows, i] for i in self._by_row]
        y, weight = (
            None if part is None else map_structure(lambda leaf: _chosen(leaf, rows), part)
            for part in (self._y, self._weight)
        )
        steps = [leaf.lengths[rows].sum() for leaf in flatten(self._y) if _is_steps(leaf)]
        if steps and len(steps) == len(flatten(self._y)):
            size = int(np.mean(steps))
        return Batch(x, y, weight, max(size, 1), rows, cuts)

    def _inputs(self, rows: np.ndarray, masked: bool) -> Any:
        def one(leaf: Any) -> Any:
            return leaf.masked(rows) if masked and _is_steps(leaf) else _chosen(leaf, rows)

        return map_structure(one, self._x)

    def all_rows(self) -> Batch:
        """Everything as one batch."""
        return self._batch(np.arange(self.first, self.last), self.samples)


def _is_steps(leaf: Any) -> bool:
    return isinstance(leaf, Sequences)


def _chosen(leaf: Any, rows: np.ndarray) -> Any:
    if leaf is None:
        return None
    return leaf.padded(rows) if isinstance(leaf, Sequences) else taken(leaf, rows)


def _is_several(value: Any, count: int) -> bool:
    """Whether a list is one of targets or weights for each of several outputs."""
    return count > 1 and isinstance(value, (list, tuple)) and len(value) == count


def _permutation(count: int) -> np.ndarray:
    return np.asarray(core.permutation(count, *_random.next_key()))


def _rank(model: Any) -> int | None:
    """The number of axes of a model's one input, if it is known."""
    shape = model.__dict__.get("_input_shape")
    return len(shape) if isinstance(shape, tuple) else None


def _checked(
    model: Any, where: str, inputs: Any, lists: list[Sequences], training: bool
) -> list[int | None] | None:
    """For padded batches the list whose padding each output has, None for batches in pieces.

    Errors: ValueError for a model that would carry states over, that makes features of the steps,
    or in which samples meet that do not fit into one array.
    """
    if model.structure.stateful:
        expected, got = "one array for a stateful model", "a list of sequences"
        hint = "its rows continue from batch to batch, and a list is sorted by length"
        raise ValueError(fail_text(where, "x", expected, got, hint))
    graph, steps = getattr(model, "_graph", None), {}
    for place, leaf in enumerate(lists):
        steps[id(leaf)] = Steps(place, leaf.rows[0].ndim + 1)
    items = [inputs] if graph is None else model._arguments.in_order(where, "x", inputs)
    given = [steps.get(id(item)) for item in items]
    if graph is not None:  # it adds a missing last axis
        pairs = zip(given, graph.inputs, strict=True)
        given = [None if x is None else x._replace(rank=len(t.shape)) for x, t in pairs]
    if type(model).predict_step is not Compiled.predict_step:
        return None  # it may return anything
    try:
        return sources(model, given)
    except SeesPaddingError as error:
        why, layer = "", error.layer
        if type(layer) is Flatten:
            why = f"layer {layer.name!r} makes features of the steps, whose number differs"
        for other in model.structure.holders if training else ():
            if isinstance(other, BatchNormalization) and other.trainable:
                why = f"layer {other.name!r} needs the whole batch as one array, "
                why += f"and layer {layer.name!r} sees the padding"
        if why:
            hint = f"{why}; pad the sequences yourself"
            raise ValueError(
                fail_text(where, "x", "one array", "a list of sequences", hint)
            ) from None
        return None
