# SPDX-License-Identifier: Apache-2.0
"""Slow float64 reference of the ConvLSTM layers, written from their equations.

It shares no code with the library: one tap, one gate and one step at a time, channels last.
Every operand may carry one extra leading axis, as in reference.py.

Shapes   x [..., N, T, images, C]   kernel [..., taps, C, 4F]   recurrent_kernel [..., taps, F, 4F]
         states [..., N, outputs, F]   mask [N, T]   dropout masks [4, N, images, C or F]
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass

import numpy as np

from reference import ACTIVATIONS

Array = np.ndarray


def conv(
    x: Array, kernel: Array, strides: Sequence[int], padding: str, dilation: Sequence[int]
) -> Array:
    """Cross-correlation of x [..., N, images, C] with kernel [..., taps, C, F]."""
    rank = len(strides)
    taps = kernel.shape[-2 - rank : -2]
    outputs, pads = [], []
    for n, k, s, d in zip(x.shape[-1 - rank : -1], taps, strides, dilation, strict=True):
        span = (k - 1) * d + 1
        out = -(-n // s) if padding == "same" else (n - span) // s + 1
        total = max((out - 1) * s + span - n, 0) if padding == "same" else 0
        outputs.append(out)
        pads.append((total // 2, total - total // 2))
    padded = np.pad(x, [(0, 0)] * (x.ndim - rank - 1) + pads + [(0, 0)])
    result = 0.0
    for tap in np.ndindex(*taps):
        seen = [
            slice(k * d, k * d + (o - 1) * s + 1, s)
            for k, d, o, s in zip(tap, dilation, outputs, strides, strict=True)
        ]
        block = kernel[(Ellipsis, *tap, slice(None), slice(None))]
        block = block.reshape(*block.shape[:-2], *[1] * rank, *block.shape[-2:])
        result = result + padded[(Ellipsis, *seen, slice(None))] @ block
    return result


@dataclass(frozen=True)
class ConvCell:
    """One ConvLSTM cell: its window, its weights and its dropout masks."""

    kernel: Array
    recurrent_kernel: Array
    bias: Array | None
    strides: Sequence[int]
    padding: str
    dilation: Sequence[int]
    activation: str = "tanh"
    recurrent_activation: str = "hard_sigmoid"
    input_dropout: Array | None = None
    recurrent_dropout: Array | None = None

    @property
    def filters(self) -> int:
        return self.recurrent_kernel.shape[-2]

    def _gate(self, x: Array, h: Array, gate: int) -> Array:
        part = np.s_[..., gate * self.filters : (gate + 1) * self.filters]
        ones = [1] * len(self.strides)
        if self.input_dropout is not None:
            x = x * self.input_dropout[gate if len(self.input_dropout) > 1 else 0]
        if self.recurrent_dropout is not None:
            h = h * self.recurrent_dropout[gate if len(self.recurrent_dropout) > 1 else 0]
        z = conv(x, self.kernel[part], self.strides, self.padding, self.dilation)
        z = z + conv(h, self.recurrent_kernel[part], ones, "same", ones)
        if self.bias is None:
            return z
        bias = self.bias[part]
        return z + bias.reshape(*bias.shape[:-1], *[1] * (len(ones) + 1), self.filters)

    def step(self, x: Array, h: Array, c: Array) -> list[Array]:
        """h and c after x."""
        act, rec = ACTIVATIONS[self.activation], ACTIVATIONS[self.recurrent_activation]
        i, f = rec(self._gate(x, h, 0)), rec(self._gate(x, h, 1))
        c = f * c + i * act(self._gate(x, h, 2))
        return [rec(self._gate(x, h, 3)) * act(c), c]


def conv_lstm(
    cell: ConvCell,
    x: Array,
    *,
    initial_state: Sequence[Array] | None = None,
    mask: Array | None = None,
    go_backwards: bool = False,
    zero_output_for_mask: bool = False,
) -> tuple[Array, list[Array]]:
    """All outputs in processing order and the final states; masks as in reference.recurrent."""
    rank = len(cell.strides)
    at = x.ndim - rank - 2  # the time axis
    steps = [np.take(x, t, at) for t in range(x.shape[at])]
    if initial_state is None:
        first = conv(steps[0] * 0.0, cell.kernel * 0.0, cell.strides, cell.padding, cell.dilation)
        zeros = np.zeros((*first.shape[-rank - 2 : -1], cell.filters))
        states = [zeros, zeros]
    else:
        states = list(initial_state)
    output = np.zeros_like(states[0])
    sequence = []
    for t in reversed(range(len(steps))) if go_backwards else range(len(steps)):
        used = np.ones(x.shape[at - 1], bool) if mask is None else mask[:, t]
        used = used.reshape(-1, *[1] * (rank + 1))
        new = cell.step(np.where(used, steps[t], 0.0), *states)
        states = [np.where(used, n, o) for n, o in zip(new, states, strict=True)]
        output = np.where(used, new[0], 0.0 if zero_output_for_mask else output)
        sequence.append(output)
    return np.stack(np.broadcast_arrays(*sequence), axis=-rank - 2), states
