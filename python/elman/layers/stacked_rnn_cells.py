# SPDX-License-Identifier: Apache-2.0
"""StackedRNNCells: several cells as one."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from typing import Any

from elman._backend import core
from elman._errors import list_text
from elman._signatures import accepted
from elman._tensors import is_array, shape_of
from elman.layers import _checks
from elman.layers._loop import Loop, flatten, lengths_mask
from elman.layers._options import REQUIRED, Option
from elman.layers._run import (
    check_cell,
    describe,
    output_shape,
    reset_masks,
    run_cell,
    state_shapes,
    takes_constants,
    zero_states,
)
from elman.layers._serialize import deserialize, serialize
from elman.layers.layer import Layer


def _check_cells(where: str, name: str, cells: Any) -> list[Any]:
    """A non-empty list of cells."""
    if not isinstance(cells, (list, tuple)) or not cells:
        got = "an empty list" if isinstance(cells, (list, tuple)) else type(cells).__name__
        raise ValueError(f"[{where}] {name}: expected a non-empty list of cells, got {got}")
    return [check_cell(where, f"{name}[{index}]", cell) for index, cell in enumerate(cells)]


class StackedRNNCells(Layer):
    """Cells one after the other: the output of each is the input of the next.

    Shapes: one step, inputs [N, F] -> output of the last cell [N, H]. States are one flat list in
    the order of the cells, e.g. [h1, c1, h2, c2]; nested lists are understood.

    Errors: ValueError for an empty list or an object that is no cell.

    Source: Keras `StackedRNNCells`. Over a sequence the cells run one after the other over all
    steps, which gives the same numbers as all cells in each step.

    Example:
        >>> import elman, numpy as np
        >>> stack = elman.layers.StackedRNNCells([elman.layers.LSTMCell(4) for _ in range(2)])
        >>> elman.layers.RNN(stack)(np.ones((2, 5, 3), "float32")).shape
        (2, 4)
    """

    _casts_integers = True

    cells = Option(
        REQUIRED, _check_cells, lambda cells: [serialize(cell) for cell in cells], doc="the cells"
    )
    reverse_state_order = _checks.boolean(
        False, "whether the state list starts with the last cell's, as in Keras 2.2", keyword=True
    )

    # -- states ---------------------------------------------------------------------------------

    def _in_state_order(self) -> list[Any]:
        return list(reversed(self.cells)) if self.reverse_state_order else list(self.cells)

    @property
    def state_size(self) -> tuple[Any, ...]:
        """The state_size of each cell, in the order of the state list."""
        return tuple(cell.state_size for cell in self._in_state_order())

    @property
    def output_size(self) -> Any:
        """Size of the last cell's output."""
        shape = output_shape(self.cells[-1])
        return shape[0] if len(shape) == 1 else shape

    def _state_shapes(self) -> list[tuple[int, ...]]:
        return [shape for cell in self._in_state_order() for shape in state_shapes(cell)]

    def _per_cell(self, states: Sequence[Any] | None) -> list[Any]:
        """The flat state list as one list per cell, in the order of the cells."""
        if states is None:
            return [None] * len(self.cells)
        parts, start = [], 0
        for cell in self._in_state_order():
            count = len(state_shapes(cell))
            parts.append(list(states[start : start + count]))
            start += count
        return parts[::-1] if self.reverse_state_order else parts

    def _flat(self, per_cell: list[list[Any]]) -> list[Any]:
        order = per_cell[::-1] if self.reverse_state_order else per_cell
        return [state for states in order for state in states]

    def get_initial_state(
        self, inputs: Any = None, batch_size: int | None = None, dtype: str | None = None
    ) -> list[Any]:
        """The initial states of all cells as one flat list."""
        batch = inputs.shape[0] if batch_size is None else batch_size
        name = type(self).__name__
        return self._flat(
            [zero_states(cell, batch, dtype or self.dtype, name) for cell in self.cells]
        )

    # -- weights --------------------------------------------------------------------------------

    def build(self, input_shape: Any) -> None:
        """Build each cell for the output of the one before it."""
        self._check_rank(input_shape)
        shape = input_shape
        for cell in self.cells:
            if hasattr(cell, "build") and not getattr(cell, "built", False):
                cell.build(shape)
                cell.built = True
            shape = (shape[0], *output_shape(cell))

    @property
    def weights(self) -> list[Any]:
        """The weights of the cells, cell after cell."""
        return [weight for cell in self.cells for weight in getattr(cell, "weights", [])]

    def compute_output_shape(self, input_shape: Any) -> Any:
        """Output and states of one step."""
        batch = input_shape[0]
        states = [(batch, *shape) for shape in self._state_shapes()]
        return [(batch, *output_shape(self.cells[-1])), *states]

    # -- running --------------------------------------------------------------------------------

    def call(
        self, inputs: Any, states: Any, constants: Any = None, training: Any = None
    ) -> tuple[Any, list[Any]]:
        """One step through all cells."""
        per_cell, new_states = self._per_cell(flatten(states)), []
        for cell, own in zip(self.cells, per_cell, strict=True):
            extras = accepted(cell.call, training=training)
            if constants is not None and takes_constants(cell):
                extras["constants"] = constants
            inputs, new = cell.call(inputs, own, **extras)
            new_states.append(flatten(new))
        return inputs, self._flat(new_states)

    def _run(
        self,
        x: Any,
        states: Sequence[Any] | None,
        mask: Any,
        constants: Any,
        training: bool,
        loop: Loop,
    ) -> tuple[Any, list[Any]] | None:
        """Each cell over the whole sequence; None when a subclass has its own `call`."""
        cls = type(self)
        if cls.call is not StackedRNNCells.call:
            return None
        if states is None and cls.get_initial_state is not StackedRNNCells.get_initial_state:
            states = zero_states(self, x.shape[0], x.dtype, cls.__name__)
        per_cell, last = self._per_cell(states), len(self.cells) - 1
        lasts, sequences = [], []
        for index, (cell, own) in enumerate(zip(self.cells, per_cell, strict=True)):
            own_loop = loop
            if index < last:
                own_loop = loop._replace(return_sequences=True, zero_output_for_mask=False)
            given = constants if takes_constants(cell) else None
            length = x.shape[1]
            x, new = run_cell(cell, x, own, mask, given, training, own_loop)
            count = len(state_shapes(cell))
            lasts.append(list(new[:count]))
            sequences.append(list(new[count:]))
            if index == 0 and loop.go_backwards and last:
                mask, loop = _forwards(mask, loop, length)
        return x, self._flat(lasts) + self._flat(sequences)

    def _describe(self, x_shape: tuple[int, ...], training: bool, **form: Any) -> str | None:
        if type(self).call is not StackedRNNCells.call:
            return None
        texts, shape, last = [], x_shape, self.cells[-1]
        for cell in self.cells:
            own = form if cell is last else {**form, "return_sequences": True}
            text = describe(cell, shape, training, **own).replace("\n", "\n    ")
            texts.append(f"{type(cell).__name__}: {text}")
            shape = (*x_shape[:2], *output_shape(cell))
            form.pop("x", None)  # that of the first cell
        return "cell after cell over the sequence\n  " + "\n  ".join(texts)

    def reset_dropout_mask(self) -> None:
        """Let all cells draw new masks at the next direct training call."""
        for cell in self.cells:
            reset_masks(cell)

    def _cast(self, x: Any) -> Any:
        if isinstance(x, (list, tuple, dict)) and any(map(is_array, x)):
            hint = "a stack of cells takes one time step; its states are the second argument"
            self._fail("x", "(N, F)", list_text([shape_of(item) for item in x]), hint)
        return super()._cast(x)

    def _check_input(self, x: Any) -> None:
        self._check_rank(x.shape)

    def _check_rank(self, shape: Any) -> None:
        if len(shape) != 2 and all(len(state) == 1 for state in self._state_shapes()):
            hint = "a stack of cells takes one time step; put it into RNN(cells) for sequences"
            self._fail("x", "(N, F)", shape, hint)

    @classmethod
    def from_config(
        cls, config: Mapping[str, Any], custom_objects: Mapping[str, Any] | None = None
    ) -> Any:
        """A stack from `get_config`'s dictionary."""
        cells = [
            deserialize(cell, custom_objects) if isinstance(cell, Mapping) else cell
            for cell in config["cells"]
        ]
        return super().from_config({**config, "cells": cells}, custom_objects)


def _forwards(mask: Any, loop: Loop, length: int) -> tuple[Any, Loop]:
    """What the cells after the first one see: its outputs are in the order of processing."""
    if loop.lengths is not None:
        mask = lengths_mask(loop.lengths, length)
    mask, resets = (m if m is None else core.reverse(m, 1) for m in (mask, loop.reset_mask))
    return mask, loop._replace(go_backwards=False, reset_mask=resets, lengths=None)
