# SPDX-License-Identifier: Apache-2.0
"""Slow float64 reference of the ConvLSTM cells, for the time loop of reference.py.

It shares no code with the library: one tap and one gate at a time, channels last.
Every operand may carry one extra leading axis, as in reference.py.

Shapes   x [..., N, T, images, C]   kernel [..., taps, C, 4F]   recurrent_kernel [..., taps, F, 4F]
         states [..., N, outputs, F]   dropout masks [1 or 4, N, images, C or F]
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass

import numpy as np

from reference import FUNCTIONS

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

    states = 2

    @property
    def rank(self) -> int:
        return len(self.strides)

    @property
    def filters(self) -> int:
        return self.recurrent_kernel.shape[-2]

    def zeros(self, x: Array) -> Array:
        """A state of zeros for the images x [N, ..., C]."""
        kernel = np.zeros((*self.kernel.shape[-2 - self.rank : -1], self.filters))
        return conv(
            np.zeros(x.shape[-2 - self.rank :]), kernel, self.strides, self.padding, self.dilation
        )

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

    def step(self, x: Array, states: list[Array]) -> list[Array]:
        """h and c after x."""
        h, c = states
        act, rec = FUNCTIONS[self.activation], FUNCTIONS[self.recurrent_activation]
        i, f = rec(self._gate(x, h, 0)), rec(self._gate(x, h, 1))
        c = f * c + i * act(self._gate(x, h, 2))
        return [rec(self._gate(x, h, 3)) * act(c), c]
