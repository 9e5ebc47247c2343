# SPDX-License-Identifier: Apache-2.0
"""Random recurrent problems, solved by the fused kernel and by the float64 reference.

A `Problem` names sizes and options; its operands follow from its seed. Wherever a step is masked,
the kernel gets NaN for x while the reference never reads it: padding must not matter.
"""

from __future__ import annotations

import itertools
from collections.abc import Iterator
from dataclasses import dataclass

import numpy as np

from elman._backend import core
from reference import GATES, STATES, Cell, gradients, recurrent

KINDS = tuple(GATES)
MASKS = ("none", "right", "left", "holes", "empty_rows", "all")
DROPOUTS = ("none", "shared", "gate")
RESETS = ("none", "some", "all", "to_zeros")
STEPS = ("mask", "reset_mask", "lengths")  # operands that say which steps count
Operands = dict[str, np.ndarray]


@dataclass(frozen=True)
class Problem:
    """One call of the fused kernel; the sizes are pairwise different primes unless said."""

    kind: str
    n: int = 2
    t: int = 5
    f: int = 3
    h: int = 7
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

    @property
    def gates(self) -> int:
        return GATES[self.kind]

    @property
    def state_names(self) -> list[str]:
        return ["h0", "c0"][: STATES[self.kind]] if self.initial_state else []

    @property
    def terms(self) -> int:
        """Products in one accumulation: features, units and the biases."""
        return self.f + self.h + 2

    def operands(self) -> Operands:
        """float64 arrays whose values float32 holds exactly; the mask is bool."""
        rng = np.random.default_rng([self.seed, self.n, self.t, self.f, self.h])

        def draw(*shape: int, scale: float = 1.0) -> np.ndarray:
            return rng.uniform(-scale, scale, shape).astype(np.float32).astype(np.float64)

        g, h = self.gates, self.h
        made = {
            "x": draw(self.n, self.t, self.f),
            "kernel": draw(self.f, g * h, scale=self.gain * self.f**-0.5),
            "recurrent_kernel": draw(h, g * h, scale=self.gain * h**-0.5),
        }
        if self.use_bias:
            shape = (2, 3 * h) if self.kind == "gru_reset_after" else (g * h,)
            made["bias"] = draw(*shape, scale=self.gain)
        made |= {name: draw(self.n, h) for name in self.state_names}
        if self.mask != "none":
            made["mask"] = random_mask(rng, self.mask, self.n, self.t)
        if self.resets != "none":
            made["reset_mask"] = rng.random((self.n, self.t)) < (1 if self.resets == "all" else 0.3)
        if self.lengths:  # from nothing to everything
            made["lengths"] = rng.permutation(np.linspace(0, self.t, self.n).astype(np.int64))
        for name, size in (("input_dropout", self.f), ("recurrent_dropout", h)):
            sharing = getattr(self, name)
            if sharing != "none":
                shape = (g if sharing == "gate" else 1, self.n, size)
                made[name] = (rng.random(shape) < 0.75) * float(np.float32(4 / 3))
        return made

    def projections(self) -> list[np.ndarray]:
        """Weights of the scalar loss: per output, final state and sequence of states one array."""
        rng = np.random.default_rng([self.seed, 7])
        output = (self.n, self.t, self.h) if self.return_sequences else (self.n, self.h)
        states = STATES[self.kind]
        shapes = [output, *[(self.n, self.h)] * states]
        shapes += [(self.n, self.t, self.h)] * (states if self.state_sequences else 0)
        return [rng.uniform(-1, 1, s).astype(np.float32).astype(np.float64) for s in shapes]


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


def solve_reference(p: Problem, o: Operands) -> list[np.ndarray]:
    """[output, *final states] in float64."""
    cell = Cell(
        p.kind,
        o["kernel"],
        o["recurrent_kernel"],
        o.get("bias"),
        p.activation,
        p.recurrent_activation,
        o.get("input_dropout"),
        o.get("recurrent_dropout"),
    )
    sequence, states = recurrent(
        cell,
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
    return [sequence if p.return_sequences else sequence[..., -1, :], *states]


def reference_gradients(
    p: Problem, o: Operands, losses: list[np.ndarray], elements: dict[str, np.ndarray]
) -> Operands:
    return gradients(lambda changed: solve_reference(p, changed), o, losses, elements)


def kernel_input(o: Operands, dtype: str) -> Operands:
    """What the kernel is given: the dtype asked for, and NaN in x where a step is masked."""
    given = {k: v if k in STEPS else v.astype(dtype) for k, v in o.items()}
    used = o.get("mask", np.True_)
    if "lengths" in o:
        used = used & (np.arange(o["x"].shape[1]) < o["lengths"][:, None])
    given["x"] = np.where(used[..., None], given["x"], np.nan).astype(dtype)
    return given


def call_kernel(p: Problem, tensors: dict) -> list:
    """[output, *final states] of the fused kernel on tensors, variables or arrays."""
    cell = core.FusedCell(p.kind, p.h, p.activation, p.recurrent_activation)
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
        return_state_sequences=p.state_sequences,
        reset_mask=tensors.get("reset_mask"),
        lengths=tensors.get("lengths"),
        reset_to_zeros=p.resets == "to_zeros",
    )
    return [output, *states]


def solve_kernel(p: Problem, o: Operands, dtype: str) -> list[np.ndarray]:
    tensors = {k: core.Tensor(v) for k, v in kernel_input(o, dtype).items()}
    return [t.numpy() for t in call_kernel(p, tensors)]


def kernel_gradients(
    p: Problem, o: Operands, losses: list[np.ndarray | None], dtype: str, names: list[str]
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
