# SPDX-License-Identifier: Apache-2.0
"""The states that a recurrent layer starts from, and carries between calls if it is stateful."""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any

import numpy as np

from elman._backend import core
from elman._tensors import is_array
from elman.layers._loop import checked_states, flatten
from elman.layers._run import state_shapes, zero_states
from elman.layers.layer import Layer


class CarriedStates(Layer):
    """The part of RNN that knows states. A state is a value: a later call does not change it."""

    cell: Any
    _carried: list[Any] | None
    _batch_fixed: bool

    def get_initial_state(
        self, inputs: Any = None, batch_size: int | None = None, dtype: str | None = None
    ) -> list[Any]:
        """The states that a call without initial_state starts from, for a batch of that size."""
        if batch_size is None:
            batch_size = inputs if isinstance(inputs, int) else inputs.shape[0]
        where = f"{type(self).__name__}.get_initial_state"
        return zero_states(self.cell, int(batch_size or 0), dtype or self.dtype, where)

    def _zeros(self, batch: int) -> list[Any]:
        return [core.zeros((batch, *shape), self.dtype) for shape in state_shapes(self.cell)]

    def _checked(self, states: Any, batch: int, method: str, what: str) -> list[Any]:
        where = f"{type(self).__name__}.{method}"
        return checked_states(states, state_shapes(self.cell), batch, self.dtype, where, what)

    def _start_states(self, batch: int) -> None:
        """Zero states of the declared batch size, or this one; states set before the build stay."""
        declared = self.batch_input_shape[0] if self.batch_input_shape else None
        batch, carried = declared or batch, self._carried
        if carried is None or (self._batch_fixed and carried[0].shape[0] != batch):
            self._carried, self._batch_fixed = self._zeros(batch), True

    def _continued(self, shape: Sequence[int]) -> list[Any]:
        """The carried states for an input of that shape; zeros at first."""
        carried, batch = self._carried, shape[0]
        if carried is None or (carried[0].shape[0] != batch and not self._batch_fixed):
            return self._zeros(batch)
        if carried[0].shape[0] != batch:
            hint = "a stateful layer keeps its batch size until reset_states()"
            self._fail("x", str((carried[0].shape[0], *shape[1:])), shape, hint)
        return carried

    @property
    def states(self) -> list[Any]:
        """The carried states of a stateful layer, [N, size] each; None for each before that."""
        if self._carried is None:
            return [None] * len(state_shapes(self.cell))
        return list(self._carried)

    @states.setter
    def states(self, states: Any) -> None:
        self.reset_states(states)

    def reset_states(self, states: Any = None) -> None:
        """Set the carried states: to zeros, or to arrays [N, size], one per state.

        After a reset to zeros the batch size may change.

        Raises:
            AttributeError: the layer is not stateful.
            ValueError: the batch size is not known yet, or states do not fit.
        """
        if not self.stateful:
            super().reset_states()
        method = "reset_states"
        batch = None if self._carried is None else self._carried[0].shape[0]
        if batch is None:
            batch = self.batch_input_shape[0] if self.batch_input_shape else None
        if batch is None:
            first: Any = next(iter(flatten(states)), None)
            batch = first.shape[0] if is_array(first) and first.ndim else None
        if batch is None:
            where = f"{type(self).__name__}.{method}"
            raise ValueError(
                f"[{where}] the batch size is not known yet; give batch_input_shape, or call the "
                "layer first"
            )
        if None in state_shapes(self.cell)[0]:
            shape = state_shapes(self.cell)[0]
            self._fail("images", "known sizes", shape, "build the layer first", method)
        if states is None:
            self._carried, self._batch_fixed = self._zeros(batch), False
            return
        checked = self._checked(states, batch, method, "states")
        # A tensor of an array shares its memory, which the caller may write to later.
        self._carried = [core.Tensor(np.array(state)) for state in checked]
        self._batch_fixed = True
