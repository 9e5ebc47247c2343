# SPDX-License-Identifier: Apache-2.0
"""Random recurrent problems, solved by the fused kernel and by the float64 reference.

A `Problem` names sizes and options; its operands follow from its seed. Wherever a step is masked,
the kernel gets NaN for x while the reference never reads it: padding must not matter.
"""

from __future__ import annotations

import itertools
from collections.abc import Iterator
from dataclasses import dataclass
from typing import Any, ClassVar

import numpy as np

from elman._backend import core
from reference import GATES, STATES, Cell, gradients, recurrent

KINDS = tuple(GATES)
MASKS = ("none", "right", "left", "holes", "empty_rows", "all")
DROPOUTS = ("none", "shared", "gate")
RESETS = ("none", "some", "all", "to_zeros")
STEPS = ("mask", "reset_mask", "lengths")  # operands that say which steps count
Operands = dict[str, np.ndarray]


@dataclass(frozen=True, kw_only=True)
class Call:
    """The options of one call; a subclass adds the sizes, n and t among them, and the cell."""

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
    resets: str = "none"  # "some", "all", or "to_zeros": some, not to the initial state
    lengths: bool = False
    state_sequences: bool = False
    gain: float = 1.0  # of the weights
    seed: int = 0

    gates: ClassVar[int] = 4
    states: ClassVar[int] = 2
    window: ClassVar[tuple[int, ...]] = ()  # of a convolution

    @property
    def step_shape(self) -> tuple[int, ...]:
        """One step of one sample; the features are the last axis."""
        raise NotImplementedError

    @property
    def state_shape(self) -> tuple[int, ...]:
        """A state of one sample; the units are the last axis."""
        raise NotImplementedError

    def bias_shape(self) -> tuple[int, ...]:
        return (self.gates * self.state_shape[-1],)

    def fused(self) -> Any:
        """The compiled cell."""
        raise NotImplementedError

    def cell(self, o: Operands) -> Any:
        """The reference's cell."""
        raise NotImplementedError

    @property
    def terms(self) -> int:
        """Products in one accumulation: features, units and the biases."""
        taps = int(np.prod(self.window))
        return taps * (self.step_shape[-1] + self.state_shape[-1]) + 2

    @property
    def state_names(self) -> list[str]:
        return ["h0", "c0"][: self.states] if self.initial_state else []

    def operands(self) -> Operands:
        """float64 arrays whose values float32 holds exactly; the mask is bool."""
        n, t, f, h = self.n, self.t, self.step_shape[-1], self.state_shape[-1]
        rng = np.random.default_rng([self.seed, n, t, f, h, *self.step_shape[:-1]])

        def draw(*shape: int, scale: float = 1.0) -> np.ndarray:
            return rng.uniform(-scale, scale, shape).astype(np.float32).astype(np.float64)

        def weight(rows: int) -> np.ndarray:
            shape = (*self.window, rows, self.gates * h)
            return draw(*shape, scale=self.gain * float(np.prod(shape[:-1])) ** -0.5)

        made = {"x": draw(n, t, *self.step_shape), "kernel": weight(f)}
        made["recurrent_kernel"] = weight(h)
        if self.use_bias:
            made["bias"] = draw(*self.bias_shape(), scale=self.gain)
        made |= {name: draw(n, *self.state_shape) for name in self.state_names}
        if self.mask != "none":
            made["mask"] = random_mask(rng, self.mask, n, t)
        if self.resets != "none":
            made["reset_mask"] = rng.random((n, t)) < (1 if self.resets == "all" else 0.3)
        if self.lengths:  # from nothing to everything
            made["lengths"] = rng.permutation(np.linspace(0, t, n).astype(np.int64))
        sizes = {"input_dropout": self.step_shape, "recurrent_dropout": self.state_shape}
        for name, size in sizes.items():
            sharing = getattr(self, name)
            if sharing != "none":
                shape = (self.gates if sharing == "gate" else 1, n, *size)
                made[name] = (rng.random(shape) < 0.75) * float(np.float32(4 / 3))
        return made

    def projections(self) -> list[np.ndarray]:
        """Weights of the scalar loss: per output, final state and sequence of states one array."""
        rng = np.random.default_rng([self.seed, 7])
        last = (self.n, *self.state_shape)
        whole = (self.n, self.t, *self.state_shape)
        shapes = [whole if self.return_sequences else last, *[last] * self.states]
        shapes += [whole] * (self.states if self.state_sequences else 0)
        return [rng.uniform(-1, 1, s).astype(np.float32).astype(np.float64) for s in shapes]


@dataclass(frozen=True)
class Problem(Call):
    """One call of a cell on vectors; the sizes are pairwise different primes unless said."""

    kind: str
    n: int = 2
    t: int = 5
    f: int = 3
    h: int = 7

    @property
    def gates(self) -> int:
        return GATES[self.kind]

    @property
    def states(self) -> int:
        return STATES[self.kind]

    @property
    def step_shape(self) -> tuple[int, ...]:
        return (self.f,)

    @property
    def state_shape(self) -> tuple[int, ...]:
        return (self.h,)

    def bias_shape(self) -> tuple[int, ...]:
        return (2, 3 * self.h) if self.kind == "gru_reset_after" else super().bias_shape()

    def fused(self) -> Any:
        return core.FusedCell(self.kind, self.h, self.activation, self.recurrent_activation)

    def cell(self, o: Operands) -> Cell:
        return Cell(
            self.kind,
            o["kernel"],
            o["recurrent_kernel"],
            o.get("bias"),
            self.activation,
            self.recurrent_activation,
            o.get("input_dropout"),
            o.get("recurrent_dropout"),
        )


def random_mask(rng: np.random.Generator, pattern: str, n: int, t: int) -> np.ndarray:
    """True = use. Every pattern but 'all' keeps some used and some masked steps if it can."""
    steps, cut = np.arange(t), rng.integers(1, max(t, 2), (n, 1))
    if pattern == "right":
        return steps < cut
    if pattern == "left":
        return steps >= cut
    if pattern == "all":
        return np.zeros((n, t), bool)
    mask = rng.random((n, t)) < 0.6
    if pattern == "empty_rows":
        mask[:: max(n // 2, 1)] = False
    return mask


def solve_reference(p: Call, o: Operands) -> list[np.ndarray]:
    """[output, *final states, *sequences of states] in float64."""
    sequence, states = recurrent(
        p.cell(o),
        o["x"],
        initial_state=[o[name] for name in p.state_names] or None,
        mask=o.get("mask"),
        go_backwards=p.go_backwards,
        zero_output_for_mask=p.zero_output_for_mask,
        lengths=o.get("lengths"),
        reset_mask=o.get("reset_mask"),
        reset_to_zeros=p.resets == "to_zeros",
        state_sequences=p.state_sequences,
    )
    last = np.take(sequence, -1, -1 - len(p.state_shape))
    return [sequence if p.return_sequences else last, *states]


def reference_gradients(
    p: Call, o: Operands, losses: list[np.ndarray], elements: dict[str, np.ndarray]
) -> Operands:
    return gradients(lambda changed: solve_reference(p, changed), o, losses, elements)


def used_steps(o: Operands) -> np.ndarray:
    """The steps [N, T] that mask and lengths leave."""
    used = o.get("mask", np.ones(o["x"].shape[:2], bool))
    if "lengths" in o:
        used = used & (np.arange(o["x"].shape[1]) < o["lengths"][:, None])
    return used


def kernel_input(o: Operands, dtype: str) -> Operands:
    """What the kernel is given: the dtype asked for, and NaN in x where a step is masked."""
    given = {k: v if k in STEPS else v.astype(dtype) for k, v in o.items()}
    used = used_steps(o).reshape(*o["x"].shape[:2], *[1] * (o["x"].ndim - 2))
    given["x"] = np.where(used, given["x"], np.nan).astype(dtype)
    return given


def call_kernel(p: Call, tensors: dict) -> list:
    """[output, *final states] of the fused kernel on tensors, variables or arrays."""
    output, states = p.fused().forward(
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
        return_state_sequences=p.state_sequences,
        reset_mask=tensors.get("reset_mask"),
        lengths=tensors.get("lengths"),
        reset_to_zeros=p.resets == "to_zeros",
    )
    return [output, *states]


def solve_kernel(p: Call, o: Operands, dtype: str) -> list[np.ndarray]:
    tensors = {k: core.Tensor(v) for k, v in kernel_input(o, dtype).items()}
    return [t.numpy() for t in call_kernel(p, tensors)]


def kernel_gradients(
    p: Call, o: Operands, losses: list[np.ndarray | None], dtype: str, names: list[str]
) -> tuple[list[np.ndarray], Operands]:
    """(outputs, gradients of sum_k sum(losses[k] * outputs[k])); a loss None leaves k out."""
    given = kernel_input(o, dtype)
    sources = {name: core.Variable(given[name]) for name in names}
    tensors = {k: core.Tensor(v) for k, v in given.items()} | sources
    with core.Tape() as tape:
        outputs = call_kernel(p, tensors)
        terms = [
            core.sum(core.multiply(output, core.Tensor(weight.astype(dtype))))
            for output, weight in zip(outputs, losses, strict=True)
            if weight is not None
        ]
        total = terms[0]
        for term in terms[1:]:
            total = core.add(total, term)
    found = tape.gradient(total, list(sources.values()))
    filled = {
        name: np.zeros(o[name].shape, dtype) if g is None else g.numpy()
        for name, g in zip(names, found, strict=True)
    }
    return [t.numpy() for t in outputs], filled


def differentiable(o: Operands) -> list[str]:
    """Operands with a gradient: all but masks and dropout masks."""
    return [k for k in o if k not in (*STEPS, "input_dropout", "recurrent_dropout")]


def option_grid(kind: str, mask: str, **sizes: int) -> Iterator[Problem]:
    """Every initial state x dropout x direction x bias; the output flags alternate."""
    backwards = states = biases = (False, True)
    grid = itertools.product(states, DROPOUTS, DROPOUTS, backwards, biases)
    for k, (state, inputs, recurrents, back, bias) in enumerate(grid):
        yield Problem(
            kind,
            **sizes,
            mask=mask,
            initial_state=state,
            input_dropout=inputs,
            recurrent_dropout=recurrents,
            go_backwards=back,
            use_bias=bias,
            return_sequences=k % 3 != 1,
            zero_output_for_mask=mask != "none" and k % 5 in (1, 3),
            seed=k,
        )
