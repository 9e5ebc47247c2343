# SPDX-License-Identifier: Apache-2.0
"""Random ConvLSTM problems for the fused kernel and the float64 reference (see problems.py)."""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np

from elman._backend import core
from problems import DROPOUTS, Operands, random_mask
from reference_conv_lstm import ConvCell, conv, conv_lstm


@dataclass(frozen=True)
class ConvProblem:
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
    activation: str = "tanh"
    recurrent_activation: str = "sigmoid"
    use_bias: bool = True
    mask: str = "none"
    initial_state: bool = False
    input_dropout: str = "none"
    recurrent_dropout: str = "none"
    return_sequences: bool = True
    go_backwards: bool = False
    zero_output_for_mask: bool = False
    seed: int = 0

    @property
    def rank(self) -> int:
        return len(self.images)

    @property
    def strides(self) -> list[int]:
        return [self.stride] * self.rank

    @property
    def dilations(self) -> list[int]:
        return [self.dilation] * self.rank

    @property
    def terms(self) -> int:
        """Products in one accumulation."""
        return int(np.prod(self.kernel)) * (self.c + self.f) + 1

    @property
    def state_names(self) -> list[str]:
        return ["h0", "c0"] if self.initial_state else []

    def state_shape(self) -> tuple[int, ...]:
        kernel = np.zeros((*self.kernel, 1, self.f))
        return conv(
            np.zeros((self.n, *self.images, 1)), kernel, self.strides, self.padding, self.dilations
        ).shape

    def operands(self) -> Operands:
        """float64 arrays whose values float32 holds exactly; the mask is bool."""
        rng = np.random.default_rng([self.seed, self.n, self.t, self.c, self.f, *self.images])

        def draw(*shape: int, scale: float = 1.0) -> np.ndarray:
            return rng.uniform(-scale, scale, shape).astype(np.float32).astype(np.float64)

        taps, c, f, state = int(np.prod(self.kernel)), self.c, self.f, self.state_shape()
        made = {
            "x": draw(self.n, self.t, *self.images, c),
            "kernel": draw(*self.kernel, c, 4 * f, scale=(taps * c) ** -0.5),
            "recurrent_kernel": draw(*self.kernel, f, 4 * f, scale=(taps * f) ** -0.5),
        }
        if self.use_bias:
            made["bias"] = draw(4 * f)
        made |= {name: draw(*state) for name in self.state_names}
        if self.mask != "none":
            made["mask"] = random_mask(rng, self.mask, self.n, self.t)
        images = {"input_dropout": (self.n, *self.images, c), "recurrent_dropout": state}
        for name, shape in images.items():
            if getattr(self, name) != "none":
                gates = 4 if getattr(self, name) == "gate" else 1
                made[name] = (rng.random((gates, *shape)) < 0.75) * float(np.float32(4 / 3))
        return made

    def projections(self) -> list[np.ndarray]:
        """Weights of the scalar loss: one array per output, then one per final state."""
        rng = np.random.default_rng([self.seed, 7])
        state = self.state_shape()
        output = (state[0], self.t, *state[1:]) if self.return_sequences else state
        shapes = [output, state, state]
        return [rng.uniform(-1, 1, s).astype(np.float32).astype(np.float64) for s in shapes]


def solve_reference(p: ConvProblem, o: Operands) -> list[np.ndarray]:
    """[output, h, c] in float64."""
    cell = ConvCell(
        o["kernel"],
        o["recurrent_kernel"],
        o.get("bias"),
        p.strides,
        p.padding,
        p.dilations,
        p.activation,
        p.recurrent_activation,
        o.get("input_dropout"),
        o.get("recurrent_dropout"),
    )
    sequence, states = conv_lstm(
        cell,
        o["x"],
        initial_state=[o[name] for name in p.state_names] or None,
        mask=o.get("mask"),
        go_backwards=p.go_backwards,
        zero_output_for_mask=p.zero_output_for_mask,
    )
    last = np.take(sequence, -1, sequence.ndim - p.rank - 2)
    return [sequence if p.return_sequences else last, *states]


def kernel_input(o: Operands, dtype: str) -> Operands:
    """What the kernel is given: the dtype asked for, and NaN in x where a step is masked."""
    given = {k: v if k == "mask" else v.astype(dtype) for k, v in o.items()}
    if "mask" in o:
        used = o["mask"].reshape(*o["mask"].shape, *[1] * (o["x"].ndim - 2))
        given["x"] = np.where(used, given["x"], np.nan).astype(dtype)
    return given


def call_kernel(p: ConvProblem, tensors: dict) -> list:
    """[output, h, c] of the fused kernel on tensors, variables or arrays."""
    window = list(p.kernel), p.strides, p.padding, p.dilations
    cell = core.conv_lstm(p.f, *window, p.activation, p.recurrent_activation)
    output, states = cell.forward(
        tensors["x"],
        tensors["kernel"],
        tensors["recurrent_kernel"],
        tensors.get("bias"),
        initial_state=[tensors[name] for name in p.state_names] or None,
        mask=tensors.get("mask"),
        input_dropout=tensors.get("input_dropout"),
        recurrent_dropout=tensors.get("recurrent_dropout"),
        return_sequences=p.return_sequences,
        go_backwards=p.go_backwards,
        zero_output_for_mask=p.zero_output_for_mask,
    )
    return [output, *states]


def solve_kernel(p: ConvProblem, o: Operands, dtype: str) -> list[np.ndarray]:
    tensors = {k: core.Tensor(v) for k, v in kernel_input(o, dtype).items()}
    return [t.numpy() for t in call_kernel(p, tensors)]


def kernel_gradients(
    p: ConvProblem, o: Operands, losses: list[np.ndarray], dtype: str, names: list[str]
) -> tuple[list[np.ndarray], Operands]:
    """(outputs, gradients of sum_k sum(losses[k] * outputs[k]))."""
    given = kernel_input(o, dtype)
    sources = {name: core.Variable(given[name]) for name in names}
    tensors = {k: core.Tensor(v) for k, v in given.items()} | sources
    with core.Tape() as tape:
        outputs = call_kernel(p, tensors)
        total = core.Tensor(np.zeros((), dtype))
        for output, weight in zip(outputs, losses, strict=True):
            total = core.add(total, core.sum(core.multiply(output, weight.astype(dtype))))
    found = tape.gradient(total, list(sources.values()))
    filled = {
        name: np.zeros(o[name].shape, dtype) if g is None else g.numpy()
        for name, g in zip(names, found, strict=True)
    }
    return [t.numpy() for t in outputs], filled


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
