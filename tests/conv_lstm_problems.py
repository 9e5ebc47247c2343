# SPDX-License-Identifier: Apache-2.0
"""Random ConvLSTM problems for the fused kernel and the float64 reference (see problems.py)."""

from __future__ import annotations

from dataclasses import dataclass
from typing import Any

import numpy as np

from elman._backend import core
from problems import DROPOUTS, Call, Operands
from reference_conv_lstm import ConvCell, conv


@dataclass(frozen=True)
class ConvProblem(Call):
    """One call of the fused kernel, channels last."""

    images: tuple[int, ...] = (5, 7)
    kernel: tuple[int, ...] = (3, 2)
    n: int = 2
    t: int = 3
    c: int = 1
    f: int = 4
    padding: str = "same"
    stride: int = 1
    dilation: int = 1

    @property
    def window(self) -> tuple[int, ...]:
        return self.kernel

    @property
    def strides(self) -> list[int]:
        return [self.stride] * len(self.images)

    @property
    def dilations(self) -> list[int]:
        return [self.dilation] * len(self.images)

    @property
    def step_shape(self) -> tuple[int, ...]:
        return (*self.images, self.c)

    @property
    def state_shape(self) -> tuple[int, ...]:
        kernel, image = np.zeros((*self.kernel, 1, self.f)), np.zeros((1, *self.images, 1))
        return conv(image, kernel, self.strides, self.padding, self.dilations).shape[1:]

    def fused(self) -> Any:
        window = list(self.kernel), self.strides, self.padding, self.dilations
        return core.conv_lstm(self.f, *window, self.activation, self.recurrent_activation)

    def cell(self, o: Operands) -> ConvCell:
        return ConvCell(
            o["kernel"],
            o["recurrent_kernel"],
            o.get("bias"),
            self.strides,
            self.padding,
            self.dilations,
            self.activation,
            self.recurrent_activation,
            o.get("input_dropout"),
            o.get("recurrent_dropout"),
        )


# Windows over one, two and three axes: even and odd kernels, strides and dilations, sizes at and
# beside the widths of the vector registers, more rows than are taken at once.
WINDOWS = (
    {"images": (11,), "kernel": (3,), "f": 5, "c": 2},
    {"images": (13,), "kernel": (4,), "f": 3, "c": 7, "stride": 2},
    {"images": (17,), "kernel": (2,), "f": 8, "c": 1, "padding": "valid", "dilation": 3},
    {"images": (5, 7), "kernel": (3, 2), "f": 4, "c": 1},
    {"images": (7, 5), "kernel": (2, 3), "f": 9, "c": 3, "padding": "valid"},
    {"images": (7, 11), "kernel": (3, 3), "f": 2, "c": 5, "stride": 2},
    {"images": (8, 7), "kernel": (2, 2), "f": 3, "c": 2, "stride": 3, "padding": "valid"},
    {"images": (7, 9), "kernel": (3, 2), "f": 5, "c": 1, "dilation": 2},
    {"images": (13, 11), "kernel": (1, 1), "f": 16, "c": 3},
    {"images": (9, 11), "kernel": (3, 3), "f": 13, "c": 3},  # in tiles but for masks per gate
    {"images": (7, 9), "kernel": (3, 3), "f": 19, "c": 2},  # in tiles, as the next
    {"images": (7, 8), "kernel": (3, 3), "f": 37, "c": 29, "padding": "valid"},
    {"images": (3, 4, 5), "kernel": (2, 3, 1), "f": 2, "c": 1},
    {"images": (5, 4, 3), "kernel": (2, 2, 2), "f": 3, "c": 2, "stride": 2},
)


def option_problems(mask: str, window: dict) -> list[ConvProblem]:
    """Initial state x dropouts x direction x bias; the output flags alternate."""
    found = []
    for k in range(12):
        found.append(
            ConvProblem(
                **window,
                mask=mask,
                initial_state=k % 2 == 1,
                input_dropout=DROPOUTS[k % 3],
                recurrent_dropout=DROPOUTS[(k // 3) % 3],
                go_backwards=k % 4 >= 2,
                use_bias=k % 5 != 2,
                return_sequences=k % 3 != 1,
                zero_output_for_mask=mask != "none" and k % 5 in (1, 3),
                seed=k,
            )
        )
    return found
