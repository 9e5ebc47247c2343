# SPDX-License-Identifier: Apache-2.0
"""The time loop over a cell: fused where the cell allows it, else step by step on the tape."""

from __future__ import annotations

import itertools
import numbers
import operator
from collections.abc import Callable, Sequence
from typing import Any, NamedTuple

import numpy as np

from elman._backend import core
from elman._errors import fail_text
from elman._tensors import as_mask, is_array, named_tensor

Step = Callable[[Any, list[Any]], tuple[Any, list[Any]]]


class Loop(NamedTuple):
    """How a recurrent layer walks over time; in the order of `FusedCell.forward`."""

    return_sequences: bool = False
    go_backwards: bool = False
    zero_output_for_mask: bool = False
    return_state_sequences: bool = False  # the states after every step follow the last ones
    reset_mask: Any = None  # bool [N, T]: the row starts anew before that step ...
    lengths: Any = None  # int64 [N]: steps from there on are skipped
    reset_to_zeros: bool = False  # ... from zeros, not from the initial states


# All of them, by their flags: making one takes longer than finding one.
LOOPS = {flags: Loop(*flags) for flags in itertools.product((False, True), repeat=4)}


def flatten(states: Any) -> list[Any]:
    """Nested lists and tuples of states as one flat list; lists of numbers are states."""
    if isinstance(states, (list, tuple)):
        return [leaf for item in states for leaf in (flatten(item) if _nested(item) else [item])]
    return [states]


def _nested(item: Any) -> bool:
    """True for a list that holds states, as opposed to the numbers of one state."""
    if not isinstance(item, (list, tuple)):
        return False
    return any(_nested(i) if isinstance(i, (list, tuple)) else not _number(i) for i in item)


def _number(item: Any) -> bool:
    return isinstance(item, numbers.Number)


def as_sizes(size: Any, where: str, what: str = "state_size") -> list[tuple[int, ...]]:
    """A cell's state_size as one shape per state: 3 -> [(3,)], (3, 4) -> [(3,), (4,)].

    Raises:
        ValueError: no sizes, or something else than positive integers in them.
    """
    try:
        if hasattr(size, "as_list"):
            size = size.as_list()
        sizes = list(size) if isinstance(size, (list, tuple)) else [size]
        shapes = [tuple(_axes(item)) for item in sizes]
    except (TypeError, ValueError):
        shapes = []
    if not shapes or any(axis < 1 for shape in shapes for axis in shape):
        expected = "a positive int, a shape, or a list of them with one entry per state"
        raise ValueError(fail_text(where, what, expected, repr(size)))
    return shapes


def _axes(size: Any) -> list[int]:
    """The sizes of one state; unknown ones are left out."""
    if hasattr(size, "as_list"):
        size = size.as_list()
    axes: list[Any] = list(size) if isinstance(size, (list, tuple)) else [size]
    known = [axis for axis in axes if axis is not None] or axes
    return [operator.index(axis) for axis in known]


def _column(condition: Any, like: Any) -> Any:
    """A condition [N] that broadcasts over a tensor [N, ...]."""
    return core.reshape(condition, (condition.shape[0],) + (1,) * (like.ndim - 1))


def _select(condition: Any, new: Any, old: Any) -> Any:
    return core.where(_column(condition, new), new, old)


def step_loop(
    step: Step,
    x: Any,
    states: Sequence[Any],
    mask: Any,
    loop: Loop,
    output_size: tuple[int, ...],
) -> tuple[Any, list[Any]]:
    """Run `step(x_t, states) -> (output, new states)` over time.

    Shapes: x [N, T, ...], states [N, size], mask [N, T] bool or None -> output [N, size], or
    [N, T, size] with return_sequences, and the last states, then with return_state_sequences the
    states after every step [N, T, size]. Where the mask is False a row keeps its states and
    repeats its output (zeros before the first used step, also after a reset).
    """
    samples, length = x.shape[0], x.shape[1]
    states = list(states)
    if length == 0:
        shape = (samples, 0, *output_size) if loop.return_sequences else (samples, *output_size)
        if loop.return_state_sequences:
            states += [core.zeros((samples, 0, *s.shape[1:]), x.dtype) for s in states]
        return core.zeros(shape, x.dtype), states
    if loop.lengths is not None:
        mask = lengths_mask(loop.lengths, length)
    if mask is not None:  # padding may hold NaN, which a product would carry into the gradients
        whole = core.reshape(mask, (samples, length) + (1,) * (x.ndim - 2))
        x = core.where(whole, x, 0.0)
    inputs = core.unstack(x, 1)
    used = None if mask is None else core.unstack(mask, 1)
    resets = None if loop.reset_mask is None else core.unstack(loop.reset_mask, 1)
    start = [core.zeros_like(state) for state in states] if loop.reset_to_zeros else states
    outputs, every, previous = [], [], None
    for t in range(length - 1, -1, -1) if loop.go_backwards else range(length):
        if resets is not None:
            states = [_select(resets[t], a, b) for a, b in zip(start, states, strict=True)]
            if previous is not None:
                previous = _select(resets[t], core.zeros_like(previous), previous)
        output, new_states = step(inputs[t], states)
        if used is not None:
            zero = core.zeros_like(output)
            kept = zero if previous is None or loop.zero_output_for_mask else previous
            output = _select(used[t], output, kept)
            new_states = [
                _select(used[t], new, old) for new, old in zip(new_states, states, strict=True)
            ]
        states, previous = list(new_states), output
        if loop.return_sequences:
            outputs.append(output)
        if loop.return_state_sequences:
            every.append(states)
    if loop.return_state_sequences:
        states = [*states, *(core.stack(steps, 1) for steps in zip(*every, strict=True))]
    return (core.stack(outputs, 1) if loop.return_sequences else previous), states


def lengths_mask(lengths: Any, length: int) -> Any:
    """The mask [N, T] that lengths [N] stand for."""
    return core.less(core.Tensor(np.arange(length)), core.expand_dims(lengths, 1))


def checked_states(
    states: Any, shapes: Sequence[tuple[int, ...]], batch: int, dtype: str, where: str, what: str
) -> list[Any]:
    """Given states as a flat list of tensors [N, size].

    Takes one tensor, a flat or nested list of them, or numbers in nested lists.

    Raises:
        TypeError: something that is no array of numbers.
        ValueError: wrong number of states or a wrong shape.
    """
    if is_array(states):
        shape = np.shape(states)
        stacked = len(shapes) > 1 and len(shape) == len(shapes[0]) + 2
        flat = [states[index] for index in range(shape[0])] if stacked else [states]
    else:
        flat = flatten(states)
        whole = len(shapes) == 1 and not _nested(states)
        if whole and np.shape(states) == (batch, *shapes[0]):
            flat = [states]  # one state, as numbers in nested lists
    if len(flat) != len(shapes):
        expected = f"{len(shapes)} state{'s' if len(shapes) > 1 else ''} of shapes "
        expected += ", ".join(str((batch, *shape)) for shape in shapes)
        raise ValueError(f"[{where}] {what}: expected {expected}, got {len(flat)}")
    tensors = [
        named_tensor(state, dtype, where, f"{what}[{index}]") for index, state in enumerate(flat)
    ]
    for index, (tensor, shape) in enumerate(zip(tensors, shapes, strict=True)):
        if tuple(tensor.shape) != (batch, *shape):
            expected = f"{(batch, *shape)}, got {tuple(tensor.shape)}"
            raise ValueError(
                f"[{where}] {what}[{index}]: expected {expected}; "
                "a state has one row per sample of the batch"
            )
    return tensors


def step_mask(mask: Any, x: Any, where: str, what: str = "mask") -> Any:
    """The mask of x as a bool tensor [N, T], or None; of a list for several inputs, the first.

    Raises:
        ValueError: a shape other than the first two axes of x.
    """
    mask = as_mask(mask, where, what)
    if isinstance(mask, list):
        mask = mask[0]
    if mask is not None and tuple(mask.shape) != tuple(x.shape[:2]):
        expected, got = tuple(x.shape[:2]), tuple(mask.shape)
        raise ValueError(
            f"[{where}] {what}: expected {expected}, got {got}; one value per sample and time step"
        )
    return mask


def step_lengths(lengths: Any, x: Any, where: str) -> Any:
    """The lengths of the rows of x as an int64 tensor [N].

    Raises:
        TypeError: something that is no array of numbers.
        ValueError: no whole numbers, another shape than (N,), or values outside [0, T].
    """
    samples, length = tuple(x.shape[:2])
    expected = f"({samples},) whole numbers from 0 to {length}"
    tensor = named_tensor(lengths, None, where, "lengths")
    hint = "one number of time steps per sample"
    if tensor.dtype not in ("int32", "int64") or tuple(tensor.shape) != (samples,):
        got = f"{tuple(tensor.shape)} {tensor.dtype}"
        raise ValueError(fail_text(where, "lengths", expected, got, hint))
    values = np.asarray(tensor)
    if samples and not 0 <= values.min() <= values.max() <= length:
        row = int(np.flatnonzero((values < 0) | (values > length))[0])
        got = f"{values[row]} for sample {row}"
        raise ValueError(fail_text(where, "lengths", expected, got, hint))
    return tensor if tensor.dtype == "int64" else core.cast(tensor, "int64")
