# SPDX-License-Identifier: Apache-2.0
"""The steps of a model's outputs for lists of sequences: which have them, and how many."""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any

import numpy as np

from elman._errors import fail_text
from elman.gradient import flatten
from elman.models.compiled import Compiled
from elman.models.lists import Sequences, each, listed


def output_shapes(model: Any, inputs: Any, steps: dict[int, int | None]) -> list[Any]:
    """The shape of each output of a functional or Sequential model.

    Args:
        model: it need not be built.
        inputs: `Sequences` and arrays, in the form that the model takes.
        steps: number of steps by id of the `Sequences`; None for any.
    """
    graph = model._graph
    items = [inputs] if graph is None else model._arguments.in_order("Model", "x", inputs)
    shapes = []
    for i, item in enumerate(items):
        if isinstance(item, Sequences):
            shape = (None, steps[id(item)], *item.rows[0].shape[1:])
        else:
            shape = (None, *np.shape(item)[1:])
        if graph is not None and len(shape) < len(graph.inputs[i].shape):
            shape = (*shape, 1)  # the model adds a missing last axis
        shapes.append(shape)
    if graph is None:
        return [model.compute_output_shape(shapes[0])]
    return graph.output_shapes(shapes)


def with_steps(model: Any, inputs: Any) -> list[bool]:
    """For each output whether its shape depends on the number of steps of a list in `inputs`.

    Not if the model takes one number of steps alone.
    """
    if model._graph is None and not model._is_chain:
        return []  # the user's own `call` is not tried out
    lists = [item for item in flatten(inputs) if isinstance(item, Sequences)]
    fixed = dict(zip(map(id, lists), fixed_steps(model, inputs), strict=True))
    try:
        shapes = output_shapes(model, inputs, fixed)
    except (TypeError, ValueError):
        return []  # a layer that must know the number
    return [None in shape[1:] for shape in shapes]


def fixed_steps(model: Any, inputs: Any) -> list[int | None]:
    """For each list in `inputs` the number of steps that a functional model has, if it is fixed."""
    graph = model._graph
    if graph is None:  # Sequential takes other numbers than the one that built it
        return [None for item in flatten(inputs) if isinstance(item, Sequences)]
    pairs = zip(model._arguments.in_order("Model", "x", inputs), graph.inputs, strict=True)
    return [tensor.shape[1] for item, tensor in pairs if isinstance(item, Sequences)]


def keeps_list(model: Any, x: Any, rank: int | None) -> bool:
    """Whether x holds a list of sequences, also of one length, and an output has its steps."""

    def first(what: str, value: Any, _: Any) -> Any:
        """The first sequence stands for all."""
        found = listed(value, rank) or ()
        fits = any(rank in (None, np.ndim(row) + 1, np.ndim(row) + 2) for row in found[:1])
        return Sequences("Model.predict", what, list(found[:1])) if fits else value

    inputs = each(first, "x", x, not model._one_input)
    lists = any(isinstance(item, Sequences) for item in flatten(inputs))
    return lists and any(with_steps(model, inputs))


class TargetSteps:
    """The number of steps that the target of each sample must have.

    Args:
        model: the compiled model.
        where: for error texts.
        inputs: its inputs, `Sequences` and arrays.
        cuts: for each output the list whose steps it has, None for none; None: not known.
    """

    def __init__(
        self, model: Any, where: str, inputs: Any, cuts: Sequence[int | None] | None
    ) -> None:
        self._model, self._where, self._inputs, self._cuts = model, where, inputs, cuts
        self._lists = [item for item in flatten(inputs) if isinstance(item, Sequences)]

    def check(self, what: str, key: Any, target: Any) -> None:
        """ValueError for the first row that has not the steps of its sample's output.

        Args:
            what: 'y' or 'sample_weight', with the output if there are several.
            key: index or name of that output; None for a single one.
            target: `Sequences`, or an array [N, ...].
        """
        listed, number = isinstance(target, Sequences), self._number(key)
        if listed:
            given = target.lengths
        elif np.ndim(target) < 2 or number is None or not self._compared(number):
            return
        elif what.startswith("sample_weight") and target.shape[1] == 1:
            return  # one weight for all steps
        else:
            given = np.full(len(target), target.shape[1])
        as_given = listed and any((given == x.lengths).all() for x in self._lists)
        if as_given and (self._cuts is None or number is None):
            return
        expected = None if number is None else self._steps(number)
        if expected is None and listed and not as_given:
            expected = self._lists[0].lengths
        if expected is not None and (given != expected).any():
            self._fail(what, int(np.flatnonzero(given != expected)[0]), target, expected)

    def _fail(self, what: str, i: int, target: Any, expected: Any) -> None:
        row = np.asarray(target.rows[i] if isinstance(target, Sequences) else target[i])
        like = [x.what for x in self._lists if x.lengths[i] == expected[i]]
        hint = f"as many steps as {f'{like[0]}[{i}]' if like else 'the output'}"
        tail = ", ".join(["", *map(str, row.shape[1:])]) or ","
        shape = f"({expected[i]}{tail})"
        raise ValueError(fail_text(self._where, f"{what}[{i}]", shape, row.shape, hint))

    def _compared(self, number: int) -> bool:
        """Whether a loss of elman compares the output with its target step by step."""
        kind = type(self._model)
        own = (kind.compute_loss, kind.train_step, kind.test_step)
        if own != (Compiled.compute_loss, Compiled.train_step, Compiled.test_step):
            return False
        objective = self._model.objective
        return objective is not None and objective.known(self._model.output_names)[number]

    def _number(self, key: Any) -> int | None:
        """The place of an output among all; None for what is meant for all of several."""
        names = self._model.output_names or ()
        if isinstance(key, str):
            return names.index(key) if key in names else None
        return (0 if len(names) < 2 else None) if key is None else key

    def _steps(self, number: int) -> Any:
        """For each sample the length of the second axis of its output; None if it has none."""
        if self._cuts is not None:
            place = self._cuts[number]
            return None if place is None else self._lists[place].lengths
        if self._model._graph is None and not self._model._is_chain:
            return None
        lengths = np.stack([item.lengths for item in self._lists], 1)
        found: dict[tuple[int, ...], Any] = {}
        for row in map(tuple, lengths.tolist()):
            if row not in found:
                steps = dict(zip(map(id, self._lists), row, strict=True))
                shape = output_shapes(self._model, self._inputs, steps)[number]
                if len(shape) < 3:
                    return None
                found[row] = shape[1]
        return np.array([found[row] for row in map(tuple, lengths.tolist())])
