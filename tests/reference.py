# SPDX-License-Identifier: Apache-2.0
"""Slow float64 reference of the recurrent layers, written from their equations.

It shares no code with the library: numpy products, one step at a time, one gate at a time.
Every operand may carry extra leading axes (they broadcast), which is how `gradients` evaluates
all perturbations of one operand in a single pass.

Shapes   x [..., N, T, F]   kernel [..., F, G*H]   recurrent_kernel [..., H, G*H]
         states [..., N, H]   mask [N, T] (True = use)   dropout masks [1 or G, N, F or H]
"""

from __future__ import annotations

import math
from collections.abc import Callable, Sequence
from dataclasses import dataclass
from typing import Any

import numpy as np

Array = np.ndarray

GATES = {"simple_rnn": 1, "gru": 3, "gru_reset_after": 3, "lstm": 4}
STATES = {"simple_rnn": 1, "gru": 1, "gru_reset_after": 1, "lstm": 2}


# --- activations ----------------------------------------------------------------------------

_SELU_SCALE = 1.0507009873554805
_SELU_ALPHA = 1.6732632423543772
_erf = np.vectorize(math.erf, otypes=[np.float64])


def _sigmoid(x: Array) -> Array:
    e = np.exp(-np.abs(x))
    return np.where(x >= 0, 1.0 / (1.0 + e), e / (1.0 + e))


def _softplus(x: Array) -> Array:
    return np.maximum(x, 0.0) + np.log1p(np.exp(-np.abs(x)))


def _elu(x: Array) -> Array:
    return np.where(x > 0, x, np.expm1(np.minimum(x, 0.0)))


ACTIVATIONS: dict[str, Callable[[Array], Array]] = {
    "linear": lambda x: x,
    "relu": lambda x: np.maximum(x, 0.0),
    "sigmoid": _sigmoid,
    "tanh": np.tanh,
    "hard_sigmoid": lambda x: np.clip(0.2 * x + 0.5, 0.0, 1.0),
    "hard_sigmoid_v3": lambda x: np.clip(x + 3.0, 0.0, 6.0) / 6.0,
    "softplus": _softplus,
    "softsign": lambda x: x / (1.0 + np.abs(x)),
    "elu": _elu,
    "exponential": np.exp,
    "selu": lambda x: _SELU_SCALE * np.where(x > 0, x, _SELU_ALPHA * np.expm1(np.minimum(x, 0.0))),
    "silu": lambda x: x * _sigmoid(x),
    "gelu": lambda x: 0.5 * x * (1.0 + _erf(x / math.sqrt(2.0))),
    "mish": lambda x: x * np.tanh(_softplus(x)),
    "relu6": lambda x: np.clip(x, 0.0, 6.0),
    "leaky_relu": lambda x: np.where(x > 0, x, 0.2 * x),
}


def _log_softmax(x: Array) -> Array:
    below = x - x.max(axis=-1, keepdims=True)
    return below - np.log(np.exp(below).sum(axis=-1, keepdims=True))


# Those of all units of a row, or of all filters of a pixel.
ROW_ACTIVATIONS: dict[str, Callable[[Array], Array]] = {
    "softmax": lambda x: np.exp(_log_softmax(x)),
    "log_softmax": _log_softmax,
}
FUNCTIONS = ACTIVATIONS | ROW_ACTIVATIONS

# Activations whose slope jumps somewhere: a difference quotient across the jump is meaningless.
KINKED = {"relu", "hard_sigmoid", "hard_sigmoid_v3", "relu6", "leaky_relu", "selu"}


# --- one step of each cell --------------------------------------------------------------------


@dataclass(frozen=True)
class Cell:
    """One recurrent cell: its equations, its weights and its dropout masks."""

    kind: str
    kernel: Array
    recurrent_kernel: Array
    bias: Array | None = None
    activation: str = "tanh"
    recurrent_activation: str = "sigmoid"
    input_dropout: Array | None = None
    recurrent_dropout: Array | None = None

    rank = 0  # axes of an image

    @property
    def states(self) -> int:
        return STATES[self.kind]

    @property
    def units(self) -> int:
        return self.recurrent_kernel.shape[-2]

    def zeros(self, x: Array) -> Array:
        """A state of zeros for the steps of x [N, ...]."""
        return np.zeros((x.shape[-2], self.units))

    def _block(self, matrix: Array, gate: int) -> Array:
        return matrix[..., gate * self.units : (gate + 1) * self.units]

    def _dropped(self, value: Array, masks: Array | None, gate: int) -> Array:
        if masks is None:
            return value
        shared = masks.shape[-3] == 1
        return value * masks[..., 0 if shared else gate, :, :]

    def _input(self, x: Array, gate: int) -> Array:
        """Dropped x_t times the gate's kernel block, plus the gate's (input) bias."""
        y = self._dropped(x, self.input_dropout, gate) @ self._block(self.kernel, gate)
        if self.bias is None:
            return y
        bias = self.bias[..., 0, :] if self.kind == "gru_reset_after" else self.bias
        return y + self._block(bias, gate)[..., None, :]

    def _recurrent(self, h: Array, gate: int) -> Array:
        """Dropped h times the gate's recurrent block, plus the recurrent bias if there is one."""
        y = self._dropped(h, self.recurrent_dropout, gate)
        y = y @ self._block(self.recurrent_kernel, gate)
        if self.bias is None or self.kind != "gru_reset_after":
            return y
        return y + self._block(self.bias[..., 1, :], gate)[..., None, :]

    def step(self, x: Array, states: list[Array]) -> list[Array]:
        """States after consuming x_t; the first of them is the output."""
        return {
            "simple_rnn": self._simple_rnn,
            "gru": self._gru,
            "gru_reset_after": self._gru,
            "lstm": self._lstm,
        }[self.kind](x, states)

    def _simple_rnn(self, x: Array, states: list[Array]) -> list[Array]:
        act = FUNCTIONS[self.activation]
        return [act(self._input(x, 0) + self._recurrent(states[0], 0))]

    def _gru(self, x: Array, states: list[Array]) -> list[Array]:
        act, rec = FUNCTIONS[self.activation], FUNCTIONS[self.recurrent_activation]
        (h,) = states
        z = rec(self._input(x, 0) + self._recurrent(h, 0))
        r = rec(self._input(x, 1) + self._recurrent(h, 1))
        if self.kind == "gru_reset_after":
            candidate = act(self._input(x, 2) + r * self._recurrent(h, 2))
        else:  # the dropped state is reset before the product
            candidate = act(self._input(x, 2) + self._recurrent(r * h, 2))
        return [z * h + (1.0 - z) * candidate]

    def _lstm(self, x: Array, states: list[Array]) -> list[Array]:
        act, rec = FUNCTIONS[self.activation], FUNCTIONS[self.recurrent_activation]
        h, c = states
        i = rec(self._input(x, 0) + self._recurrent(h, 0))
        f = rec(self._input(x, 1) + self._recurrent(h, 1))
        c = f * c + i * act(self._input(x, 2) + self._recurrent(h, 2))
        o = rec(self._input(x, 3) + self._recurrent(h, 3))
        return [o * act(c), c]


# --- the time loop ------------------------------------------------------------------------------


def recurrent(
    cells: Any,
    x: Array,
    *,
    initial_state: Sequence[Array] | None = None,
    mask: Array | None = None,
    go_backwards: bool = False,
    zero_output_for_mask: bool = False,
    lengths: Array | None = None,
    reset_mask: Array | None = None,
    reset_to_zeros: bool = False,
    state_sequences: bool = False,
) -> tuple[Array, list[Array]]:
    """All outputs in processing order, [..., N, T, H], and the final states, cell after cell.

    A cell on images (see reference_conv_lstm.py) has its sizes in place of H.

    At a masked step every state keeps its value and the output repeats the previous output, or
    is zero (before the first used step, or always with zero_output_for_mask). Steps from lengths
    [N] on count as masked. Before a step where reset_mask [N, T] is True a row's states become
    the initial ones, or zeros, and its previous output zero. With state_sequences the states
    after every step follow the final ones, [..., N, T, H] each.
    """
    cells = list(cells) if isinstance(cells, (list, tuple)) else [cells]
    rank = cells[0].rank
    at = x.ndim - 2 - rank  # the time axis
    steps = [np.take(x, t, at) for t in range(x.shape[at])]
    zeros = [cell.zeros(np.zeros(np.delete(x.shape, at))) for cell in cells]
    if initial_state is None:
        states = [z for cell, z in zip(cells, zeros, strict=True) for _ in range(cell.states)]
    else:
        states = list(initial_state)
    begin = [np.zeros_like(state) for state in states] if reset_to_zeros else list(states)
    output, sequence, every = zeros[-1], [], []

    def samples(condition: Array) -> Array:
        return condition.reshape(-1, *[1] * (rank + 1))

    for t in reversed(range(len(steps))) if go_backwards else range(len(steps)):
        used = np.ones(x.shape[at - 1], bool) if mask is None else mask[:, t]
        if lengths is not None:
            used = used & (t < lengths)
        used = samples(used)
        if reset_mask is not None:
            reset = samples(reset_mask[:, t])
            states = [np.where(reset, b, s) for b, s in zip(begin, states, strict=True)]
            output = np.where(reset, 0.0, output)
        # the step of a masked row is computed on zeros: padding may hold NaN
        value = np.where(used, steps[t], 0.0)
        first = 0
        for cell in cells:
            old = states[first : first + cell.states]
            new = cell.step(value, old)
            kept = [np.where(used, n, o) for n, o in zip(new, old, strict=True)]
            states[first : first + cell.states] = kept
            value, first = new[0], first + cell.states
        output = np.where(used, value, 0.0 if zero_output_for_mask else output)
        sequence.append(output)
        every.append(list(states))
    if not sequence:
        none = np.arange(0)
        wanted = [zeros[-1], *states] if state_sequences else zeros[-1:]
        empty = [np.take(_stacked([s], rank), none, -2 - rank) for s in wanted]
        return empty[0], states + empty[1:]
    if state_sequences:
        states = states + [_stacked(steps, rank) for steps in zip(*every, strict=True)]
    return _stacked(sequence, rank), states


def _stacked(steps: Sequence[Array], rank: int) -> Array:
    """Steps [..., N, H] as [..., N, T, H]; a perturbed operand may reach only some of them."""
    return np.stack(np.broadcast_arrays(*steps), axis=-2 - rank)


# --- central differences ------------------------------------------------------------------------


def gradients(
    outputs: Callable[[dict[str, Array]], Sequence[Array]],
    operands: dict[str, Array],
    weights: Sequence[Array],
    elements: dict[str, Array],
    step: float = 1e-5,
) -> dict[str, Array]:
    """Central differences of sum_k sum(weights[k] * outputs(operands)[k]).

    `elements` names the operands and, for each, the flat indices to differentiate by; the result
    has one value per index. `outputs` must broadcast over a leading axis of any one operand.
    Differences are taken before the weighted sum, so the rounding error is eps*|output|/step,
    about 1e-11, and the truncation error step**2/6 * f''', also about 1e-11 for the functions
    used here.
    """
    found = {}
    for name, index in elements.items():
        value, count = operands[name], len(index)
        plus = np.repeat(value.reshape(1, -1), count, axis=0)
        minus = plus.copy()
        row = np.arange(count)
        plus[row, index] += step
        minus[row, index] -= step
        width = plus[row, index] - minus[row, index]  # what rounding left of 2*step
        up, down = (
            outputs({**operands, name: p.reshape(count, *value.shape)}) for p in (plus, minus)
        )
        total = np.zeros(count)
        for weight, u, d in zip(weights, up, down, strict=True):
            difference = np.broadcast_to(u - d, (count, *weight.shape))
            total += (difference * weight).reshape(count, -1).sum(axis=1)
        found[name] = total / width
    return found
