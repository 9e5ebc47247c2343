# SPDX-License-Identifier: Apache-2.0
"""Running any cell over a sequence, and what is known about a cell without running it."""

from __future__ import annotations

from collections.abc import Callable, Sequence
from typing import Any

from elman import _context
from elman._backend import core
from elman._errors import fail_text
from elman._signatures import accepted, parameters_of, takes_any_keyword
from elman._tensors import as_tensor
from elman.layers._loop import Loop, as_sizes, checked_states, flatten, step_loop


def check_cell(where: str, name: str, cell: Any) -> Any:
    """A cell: an object with `call` and `state_size`; ValueError for anything else."""
    for attribute in ("call", "state_size"):
        if not hasattr(cell, attribute) or isinstance(cell, type):
            got = cell if isinstance(cell, type) else f"{type(cell).__name__} without it"
            expected = f"an object with {attribute!r}"
            hint = "a cell has call(inputs, states) and state_size"
            raise ValueError(fail_text(where, name, expected, got, hint))
    return cell


def state_shapes(cell: Any) -> list[tuple[int, ...]]:
    """One shape per state, without the batch axis, in the order of the layer's state list."""
    flat = getattr(cell, "_state_shapes", None)
    return as_sizes(cell.state_size, type(cell).__name__) if flat is None else flat()


def output_shape(cell: Any) -> tuple[int, ...]:
    """Shape of one step's output without the batch axis: output_size, else the first state."""
    size = getattr(cell, "output_size", None)
    if size is None:
        return state_shapes(cell)[0]
    return as_sizes([size], type(cell).__name__, "output_size")[0]


def step_shapes(cell: Any, step: tuple[Any, ...]) -> tuple[tuple[Any, ...], list[Any]]:
    """Shapes of output and states for one step's input, all without the batch axis.

    Only cells on images have states whose sizes depend on the input's.
    """
    own = getattr(cell, "_step_shapes", None)
    return (output_shape(cell), [*state_shapes(cell)]) if own is None else own(step)


def zero_states(cell: Any, batch: int, dtype: str, where: str) -> list[Any]:
    """What the cell's own get_initial_state gives, else zeros [N, size]."""
    shapes = state_shapes(cell)
    own = getattr(cell, "get_initial_state", None)
    if own is None:
        return [core.zeros((batch, *shape), dtype) for shape in shapes]
    states = own(**accepted(own, inputs=None, batch_size=batch, dtype=dtype))
    return checked_states(states, shapes, batch, dtype, where, "get_initial_state")


def run_cell(
    cell: Any,
    x: Any,
    states: Sequence[Any] | None,
    mask: Any,
    constants: Sequence[Any] | None,
    training: bool,
    loop: Loop,
) -> tuple[Any, list[Any]]:
    """Run a cell over x [N, T, F]; `states` None starts from the cell's initial state."""
    run = getattr(cell, "_run", None)
    if run is not None:
        done = run(x, states, mask, constants, training, loop)
        if done is not None:
            return done
    where = type(cell).__name__
    if states is None:
        states = zero_states(cell, x.shape[0], x.dtype, where)
    reset_masks(cell)
    with _context.scope(training):
        step = _step_of(cell, x, constants, training)
        return step_loop(step, x, states, mask, loop, output_shape(cell))


def _step_of(
    cell: Any, x: Any, constants: Sequence[Any] | None, training: bool
) -> Callable[[Any, list[Any]], tuple[Any, list[Any]]]:
    """The cell's `call` with what it takes, its result in one form.

    Shapes and types are checked in the first step only: the next ones come from the same code.
    """
    extras = accepted(cell.call, training=training)
    if constants is not None and "constants" in parameters_of(cell.call):
        extras["constants"] = list(constants)
    sizes, where = state_shapes(cell), f"{type(cell).__name__}.call"
    samples, size, dtype = x.shape[0], output_shape(cell), x.dtype
    count, checked = len(sizes), False

    def step(x: Any, states: list[Any]) -> tuple[Any, list[Any]]:
        nonlocal checked
        result = cell.call(x, states, **extras)
        if not isinstance(result, (list, tuple)) or len(result) != 2:
            expected = "(output, list of new states)"
            raise ValueError(fail_text(where, "result", expected, type(result).__name__))
        output, new_states = result
        new_states = flatten(new_states)
        if len(new_states) != count:
            raise ValueError(
                fail_text(where, "new states", f"{count} as state_size says", len(new_states))
            )
        output, new_states = as_tensor(output), [as_tensor(state) for state in new_states]
        if not checked:
            _check_result(where, "output", output, (samples, *size), dtype)
            for index, (state, shape) in enumerate(zip(new_states, sizes, strict=True)):
                _check_result(where, f"new states[{index}]", state, (samples, *shape), dtype)
            checked = True
        return output, new_states

    return step


def _check_result(where: str, what: str, value: Any, shape: tuple[int, ...], dtype: str) -> None:
    """ValueError for an output or a state that is not what the cell's sizes say."""
    if tuple(value.shape) != shape:
        hint = "the sizes are those of the cell's output_size and state_size"
        raise ValueError(fail_text(where, what, str(shape), tuple(value.shape), hint))
    if value.dtype != dtype:
        raise ValueError(fail_text(where, what, dtype, value.dtype, "the type of the input"))


def takes_constants(cell: Any) -> bool:
    """True if the cell, or one of a stack, has `constants` in its call."""
    inner = getattr(cell, "cells", None)
    if isinstance(inner, (list, tuple)) and hasattr(cell, "_run"):
        return any(map(takes_constants, inner))
    return "constants" in parameters_of(cell.call)


def reset_masks(cell: Any) -> None:
    """Let cells that keep dropout masks between direct calls draw new ones."""
    for name in ("reset_dropout_mask", "reset_recurrent_dropout_mask"):
        reset = getattr(cell, name, None)
        if reset is not None:
            reset()


def describe(cell: Any, x_shape: tuple[int, ...], training: bool, **form: Any) -> str:
    """Which code runs the cell over a sequence of that shape, and why.

    `form` is what `FusedCell.explain` wants to know of the call besides.
    """
    own = getattr(cell, "_describe", None)
    if own is not None and not takes_any_keyword(own):
        form = {}
    text = own(x_shape, training, **form) if own is not None else None
    if text is not None:
        return text
    steps = f"{x_shape[1]} steps of {type(cell).__name__}.call"
    return f"step by step: {steps}, recorded on the tape; the cell is Python code"
