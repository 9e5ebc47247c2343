# SPDX-License-Identifier: Apache-2.0
"""RNN: any cell over a sequence, with masks, states and the flags of all recurrent layers."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from typing import Any

from elman._backend import core
from elman._symbolic import is_symbolic
from elman._tensors import Tensor, is_array
from elman.layers import _checks
from elman.layers._loop import LOOPS, checked_states, flatten, step_mask
from elman.layers._options import REQUIRED, Option, named
from elman.layers._run import (
    check_cell,
    describe,
    run_cell,
    state_shapes,
    step_shapes,
    takes_constants,
    zero_states,
)
from elman.layers._serialize import deserialize, serialize
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


class RNN(Layer):
    """A cell over a sequence.

    A cell has `call(inputs, states)`, returning the output and the list of new states, and
    `state_size`; `call` may also take `constants` and `training`. A list of cells is a stack.

    Shapes: x [N, T, F], mask [N, T] (True: use the step) -> [N, H], or [N, T, H] with
    return_sequences; with return_state a list [output, state, ...], each state [N, size].

    Errors: TypeError without a cell; ValueError for an object that is no cell, an input that is
    not [N, T, F], or states that do not fit.

    Source: Keras `RNN`. A masked step keeps the states and repeats the output; before the first
    used step the output is zero.

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

    def _setup(self) -> None:
        self._features: int | None = None
        self._step: Shape | None = None  # the shape of one step, where the cell fixes all of it
        self._rank: int | None = None
        self._carried: list[Any] | None = None
        self._batch_fixed = False  # True once a call has used the carried states
        self._constants_count: int | None = None
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
            self._carried = self._zeros(shape[0])

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
        """(N, T, H) or (N, H); a list with the shapes of the states for return_state."""
        batch, length, *step = _first(input_shape)
        size, states = step_shapes(self.cell, tuple(step))
        out: Shape = (batch, length, *size) if self.return_sequences else (batch, *size)
        if not self.return_state:
            return out
        return [out, *((batch, *state) for state in states)]

    def compute_mask(self, inputs: Any, mask: Any = None) -> Any:
        """The input's mask with return_sequences, else None; states have none."""
        mask = mask[0] if isinstance(mask, list) else mask
        mask = mask if self.return_sequences else None
        return [mask, *[None] * len(state_shapes(self.cell))] if self.return_state else mask

    # -- calling --------------------------------------------------------------------------------

    def _call_checked(self, inputs: Any, args: Any, kwargs: Any, mask: Any, training: Any) -> Any:
        """`layer(x, initial_state, constants)`, or the states in one list with the input."""
        names = ("initial_state", "constants")
        if len(args) > len(names):
            where = f"{type(self).__name__}.call"
            raise TypeError(
                f"[{where}] expected x, initial_state and constants, got {1 + len(args)}"
            )
        kwargs.update(zip(names, args, strict=False))
        initial_state, constants = (kwargs.pop(name, None) for name in names)
        if isinstance(inputs, (list, tuple)) and any(map(_is_input, inputs)):
            inputs, initial_state, constants = self._split(list(inputs), initial_state, constants)
        if initial_state is not None or constants is not None:
            self._check_mixture(inputs, initial_state, constants)
        if constants is not None:
            kwargs["constants"] = self._checked_constants(constants)
        if initial_state is not None:
            kwargs["initial_state"] = initial_state
        return super()._call_checked(inputs, (), kwargs, mask, training)

    def _checked_constants(self, constants: Any) -> list[Any]:
        constants = list(constants) if isinstance(constants, (list, tuple)) else [constants]
        self._constants_count = len(constants)
        if not takes_constants(self.cell):
            where, name = f"{type(self).__name__}.call", type(self.cell).__name__
            raise ValueError(
                f"[{where}] constants: expected a cell whose call takes constants, "
                f"got {name} without that parameter"
            )
        return constants

    def _split(self, parts: list[Any], initial_state: Any, constants: Any) -> tuple[Any, ...]:
        """[x, state, ..., constant, ...] taken apart; keyword arguments go first."""
        inputs, rest = parts[0], parts[1:]
        count = len(state_shapes(self.cell))
        if self._constants_count is not None and constants is None and rest:
            count = max(0, len(rest) - self._constants_count)
        if initial_state is None and rest:
            initial_state, rest = rest[:count] or None, rest[count:]
        if constants is None and rest:
            constants, rest = rest, []
        if rest:
            where = f"{type(self).__name__}.call"
            raise ValueError(
                f"[{where}] inputs: expected x and at most {count} states, got a list of "
                f"{len(parts)}; give the states there or as initial_state, not both"
            )
        return inputs, initial_state, constants

    def _check_mixture(self, inputs: Any, initial_state: Any, constants: Any) -> None:
        extras = flatten([initial_state, constants])
        kinds = {is_symbolic(item) for item in [inputs, *extras] if item is not None}
        if len(kinds) > 1:
            raise ValueError(
                f"[{type(self).__name__}.call] initial_state and constants: expected all of them "
                "symbolic like the input, or none, got a mixture of symbolic tensors and arrays"
            )

    def call(
        self,
        inputs: Any,
        mask: Any = None,
        training: Any = None,
        initial_state: Any = None,
        constants: Any = None,
    ) -> Any:
        """The computation on tensors."""
        if mask is not None:
            mask = step_mask(mask, inputs, f"{type(self).__name__}.call")
        if constants is not None:
            constants = [self._cast(constant) for constant in constants]
        states = None
        if initial_state is not None:
            states = self._checked(initial_state, inputs.shape[0], "call", "initial_state")
        elif self.stateful:
            states = self._continued(inputs.shape)
        loop = LOOPS[self.return_sequences, self.go_backwards, self.zero_output_for_mask]
        output, states = run_cell(self.cell, inputs, states, mask, constants, bool(training), loop)
        if self.stateful:
            self._carried = [core.stop_gradient(state) for state in states]
            self._batch_fixed = True
        return [output, *states] if self.return_state else output

    def explain(self, x: Any, training: bool = False) -> str:
        """Which kernel and instruction set run this layer on x (an array or a shape), and why."""
        shape = tuple(x.shape) if hasattr(x, "shape") else tuple(x)
        self._check_rank(shape, "explain")
        text = describe(self.cell, shape, training).replace("\n", "\n  ")
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

    # -- states ---------------------------------------------------------------------------------

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
        self._carried = self._checked(states, batch, method, "states")
        self._batch_fixed = True

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


def _is_input(item: Any) -> bool:
    return is_array(item) or is_symbolic(item)
