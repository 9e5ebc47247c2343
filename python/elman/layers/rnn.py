# SPDX-License-Identifier: Apache-2.0
"""RNN: any cell over a sequence, with masks, states and the flags of all recurrent layers."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any

import numpy as np

from elman._backend import core
from elman._tensors import Tensor, as_shape
from elman.layers import _checks
from elman.layers._call_states import TakesStates
from elman.layers._loop import LOOPS, step_lengths, step_mask
from elman.layers._options import REQUIRED, Option, named
from elman.layers._run import (
    check_cell,
    describe,
    run_cell,
    state_shapes,
    step_shapes,
    takes_constants,
)
from elman.layers._serialize import deserialize, serialize
from elman.layers._states import CarriedStates
from elman.layers.layer import BASE_KEYWORDS, Layer, Shape

RECURRENT_KEYWORDS = {
    **BASE_KEYWORDS,
    "input_dim": named(
        "input_dim", Option(None, _checks.optional_int, keyword=True, doc="F of the input")
    ),
    "input_length": named(
        "input_length", Option(None, _checks.optional_int, keyword=True, doc="T of the input")
    ),
}


def _check_cell(where: str, name: str, cell: Any) -> Any:
    """A cell, or a stack made of a list of cells."""
    if isinstance(cell, (list, tuple)):
        from elman.layers.stacked_rnn_cells import StackedRNNCells

        return StackedRNNCells(cell)
    return check_cell(where, name, cell)


class RNN(TakesStates, CarriedStates):
    """A cell over a sequence.

    A cell has `call(inputs, states)`, returning the output and the list of new states, and
    `state_size`; `call` may also take `constants` and `training`. A list of cells is a stack.

    Shapes: x [N, T, F], mask [N, T] (True: use the step) -> [N, H], or [N, T, H] with
    return_sequences; with return_state a list [output, state, ...], each state [N, size]; with
    return_state_sequences the states after every step follow, each [N, T, size].

    `layer(x, lengths=n)` with n [N] reads the first n steps of a row, like a mask that is True
    there. `layer(x, reset_mask=r)` with r [N, T] starts a row anew before every step where r is
    True, from initial_state, or from zeros: what separate calls on the pieces between two resets
    would give. A stateful layer without initial_state carries its states into the first piece
    alone, all others start from zeros.

    Errors: TypeError without a cell; ValueError for an object that is no cell, an input that is
    not [N, T, F], or states, masks or lengths that do not fit.

    Source: Keras `RNN`; lengths, reset_mask and return_state_sequences are not Keras'. A masked
    step keeps the states and repeats the output; the output is zero before a row's first used
    step, and after a reset before the next one. Steps are in the order of processing in what is
    returned, by input time in masks.

    Example:
        >>> import elman, numpy as np
        >>> cells = [elman.layers.LSTMCell(4), elman.layers.GRUCell(3)]
        >>> elman.layers.RNN(cells)(np.ones((2, 5, 8), "float32")).shape
        (2, 3)
    """

    _base_keywords = RECURRENT_KEYWORDS
    _leaf = True
    _makes_mask = False
    _casts_integers = True
    supports_masking = True

    cell = Option(REQUIRED, _check_cell, serialize, doc="the cell, or a list of cells")
    return_sequences = _checks.boolean(False, "whether to return the outputs of all steps")
    return_state = _checks.boolean(False, "whether to return the last states as well")
    go_backwards = _checks.boolean(False, "whether to read the sequence from its end")
    stateful = _checks.boolean(  # type: ignore[assignment]
        False, "whether the next call continues from the last states"
    )
    unroll = _checks.boolean(False, "accepted; gives the same numbers, and needs a known T")
    zero_output_for_mask = _checks.boolean(
        False, "whether a masked step outputs zeros, not the output before it", keyword=True
    )

    return_state_sequences = _checks.boolean(
        False, "whether to return the states after every step as well", keyword=True
    )

    def _setup(self) -> None:
        self._features: int | None = None
        self._step: Shape | None = None  # the shape of one step, where the cell fixes all of it
        self._rank: int | None = None
        self._carried: list[Any] | None = None
        self._batch_fixed = False  # until the layer is built, and from reset_states() to a call
        self._share_dtype()

    def _share_dtype(self) -> None:
        """One type for the layer and its cells: the one that was given to either."""
        cells = [cell for cell in _cells(self.cell) if isinstance(cell, Layer)]
        given = {item.dtype for item in (self, *cells) if item._dtype_given}
        if len(given) > 1:
            name, types = type(self).__name__, " and ".join(sorted(given))
            raise ValueError(f"[{name}] dtype: expected one type, got {types} on layer and cells")
        for item in (self, *cells):
            if given and not item.built:
                (item.dtype,) = given

    def _default_input_shape(self, base: Mapping[str, Any]) -> Shape | None:
        size = base["input_dim"]
        return None if size is None else (base["input_length"], size)

    # -- building and shapes --------------------------------------------------------------------

    def build(self, input_shape: Any) -> None:
        """Build the cell for one step, (N, F)."""
        shape = _first(input_shape)
        self._check_rank(shape)
        form = getattr(self.cell, "_step_form", None)
        if None in shape[2:]:
            expected = f"(N, T, {form or 'F'}) with known sizes after the time axis"
            self._fail("x", expected, shape, "give the input a shape")
        self._check_static(shape)
        cell = self.cell
        if hasattr(cell, "build") and not getattr(cell, "built", False):
            cell.build((shape[0], *shape[2:]))
            cell.built = True
        self._features, self._rank = shape[-1], len(shape)
        self._step = None if form is None else tuple(shape[2:])
        if self.stateful and shape[0] is not None:
            self._start_states(shape[0])

    def _check_rank(self, shape: Shape, method: str = "call") -> None:
        form, rank = getattr(self.cell, "_step_form", None), len(shape)
        if form is not None and rank != 3 + form.count(","):
            hint = "the layer reads sequences of images with a channel axis"
            self._fail("x", f"(N, T, {form})", shape, hint, method)
        images = form is not None or any(len(size) > 1 for size in state_shapes(self.cell))
        if rank != 3 and (rank < 3 or not images):
            hint = "a recurrent layer reads sequences: add the missing axis, or set "
            hint += "return_sequences=True on the recurrent layer before it"
            self._fail("x", "(N, T, F)", shape, hint, method)
        if any(size is not None and size < 0 for size in shape):
            self._fail("x", "sizes of at least 0", shape, "", method)

    def _check_static(self, shape: Shape) -> None:
        """What stateful and unroll ask of the shape of a model's input."""
        if self.stateful and shape[0] is None:
            hint = "a stateful layer needs a known batch size: give batch_input_shape or batch_size"
            self._fail("x", "(batch size, T, F)", shape, hint)
        if self.unroll and shape[1] is None:
            self._fail("x", "(N, length, F)", shape, "unroll=True needs a known length")

    def _check_input(self, x: Any) -> None:
        shape = x.shape
        if len(shape) != self._rank:
            self._check_rank(shape)
            self._fail("x", f"{self._rank} axes", shape, "as when the layer was built")
        if self._step not in (None, tuple(shape[2:])):
            form = ", ".join(map(str, self._step))
            self._fail("x", f"(N, T, {form})", shape, "as when the layer was built")
        if shape[-1] != self._features:
            hint = "the last axis is the feature axis"
            self._fail("x", f"(N, T, {self._features})", shape, hint)
        if not isinstance(x, Tensor):
            self._check_static(shape)

    def compute_output_shape(self, input_shape: Any) -> Any:
        """(N, T, H) or (N, H); a list with the shapes of the states that are returned."""
        shape = _first(input_shape)
        self._check_rank(shape, "compute_output_shape")
        batch, length, *step = shape
        size, states = step_shapes(self.cell, tuple(step))
        out: Shape = (batch, length, *size) if self.return_sequences else (batch, *size)
        last = [(batch, *state) for state in states] if self.return_state else []
        every = [(batch, length, *state) for state in states] if self.return_state_sequences else []
        return [out, *last, *every] if last or every else out

    def compute_mask(self, inputs: Any, mask: Any = None) -> Any:
        """The input's mask with return_sequences, else None; states have none."""
        mask = mask[0] if isinstance(mask, list) else mask
        mask = mask if self.return_sequences else None
        times = self.return_state + self.return_state_sequences
        return [mask, *[None] * (times * len(state_shapes(self.cell)))] if times else mask

    # -- calling --------------------------------------------------------------------------------

    def _count_states(self) -> int:
        return len(state_shapes(self.cell))

    def _state_sizes(self) -> list[Any]:
        return state_shapes(self.cell)

    def _takes_constants(self) -> bool:
        return takes_constants(self.cell)

    def _cell_name(self) -> str:
        return type(self.cell).__name__

    def call(
        self,
        inputs: Any,
        mask: Any = None,
        training: Any = None,
        initial_state: Any = None,
        constants: Any = None,
        reset_mask: Any = None,
        lengths: Any = None,
    ) -> Any:
        """The computation on tensors."""
        where = f"{type(self).__name__}.call"
        flags = self.return_sequences, self.go_backwards, self.zero_output_for_mask
        loop = LOOPS[(*flags, self.return_state_sequences)]
        if lengths is not None:  # they are more than a mask that came with x
            loop, mask = loop._replace(lengths=step_lengths(lengths, inputs, where)), None
        if mask is not None:
            mask = step_mask(mask, inputs, where)
        if reset_mask is not None:
            resets, zeros = step_mask(reset_mask, inputs, where, "reset_mask"), self.stateful
            zeros = zeros and initial_state is None
            loop = loop._replace(reset_mask=resets, reset_to_zeros=zeros)
        if constants is not None:
            constants = [self._cast(constant) for constant in constants]
        states = self._continued(inputs.shape) if self.stateful else None
        if initial_state is not None:
            states = self._checked(initial_state, inputs.shape[0], "call", "initial_state")
        output, states = run_cell(self.cell, inputs, states, mask, constants, bool(training), loop)
        count = len(state_shapes(self.cell))
        if self.stateful:
            self._carried = [core.stop_gradient(state) for state in states[:count]]
            self._batch_fixed = True
        returned = states if self.return_state else states[count:]
        return [output, *returned] if returned else output

    def _explain(self, x: Any, training: bool, given: Mapping[str, Any]) -> str:
        try:
            shape: Any = as_shape(getattr(x, "shape", x))
        except TypeError:
            shape = self._fail("x", "an array or a shape", repr(x), "", "explain")
        self._check_rank(shape, "explain")
        if None in shape:
            hint = "give an array or a shape such as (32, 100, 8)"
            self._fail("x", "known sizes", shape, hint, "explain")
        form: dict[str, Any] = {"return_sequences": self.return_sequences}
        form["scheduled"] = bool(given)
        counted = given.get("lengths", given.get("mask"))
        if given and counted is None:
            form["used_steps"] = shape[0] * shape[1]
        elif given and counted is not True:
            form["used_steps"] = int(np.asarray(counted).astype(np.int64).sum())
        if isinstance(x, core.Tensor) and x.dtype == self.dtype:
            form["x"] = x
        text = describe(self.cell, shape, training, **form).replace("\n", "\n  ")
        where = f"{shape} {self.dtype}, {core.config()['isa']}"
        return f"{type(self).__name__} {self.name!r} on {where}: {text}"

    def stream(self, batch_size: int = 1) -> Any:
        """The layer one time step at a time, for data that arrives so.

        Shapes: `stream.step(x)` takes x [N, F] -> [N, H] with N = batch_size; for N = 1 also
        [F] -> [H]. Starts from zero states; `reset()`, `states`, `step(x, out)`: see
        `elman.streaming`. The outputs are, to the last bit, those of return_sequences=True.

        Raises:
            ValueError: the layer is not built, reads backwards, or its cell or activation is
                Python code.

        Example:
            >>> import elman, numpy as np
            >>> layer = elman.layers.GRU(4)
            >>> layer.build((None, None, 2))
            >>> layer.stream().step(np.zeros(2, "float32"))
            array([0., 0., 0., 0.], dtype=float32)
        """
        from elman import streaming

        return streaming.of_layer(self, batch_size)

    def _file_name(self) -> str:
        """RNN(LSTMCell(3)) has the weights of LSTM(3), and that name."""
        of_cell = getattr(self.cell, "_layer_file_name", None)
        own = super()._file_name()
        return own if of_cell is None or type(self) is not RNN else of_cell() or own

    # -- configuration --------------------------------------------------------------------------

    def get_config(self) -> dict[str, Any]:
        """The arguments that make an equal layer, the cell as a config of its own."""
        config = super().get_config()
        if self._constants_count is not None:
            config["num_constants"] = self._constants_count
        return config

    @classmethod
    def from_config(
        cls, config: Mapping[str, Any], custom_objects: Mapping[str, Any] | None = None
    ) -> Any:
        """A layer from `get_config`'s dictionary; own cells are named in `custom_objects`."""
        config = dict(config)
        count = config.pop("num_constants", None)
        if isinstance(config.get("cell"), Mapping):
            config["cell"] = deserialize(config["cell"], custom_objects)
        layer = super().from_config(config, custom_objects)
        layer._constants_count = count
        return layer


def _first(shape: Any) -> Any:
    """The input's shape from a shape, or from a list of shapes of input and states."""
    return shape[0] if shape and isinstance(shape[0], (list, tuple)) else shape


def _cells(cell: Any) -> list[Any]:
    """The cell and, for a stack, the cells in it."""
    return [cell, *(inner for item in getattr(cell, "cells", ()) for inner in _cells(item))]
