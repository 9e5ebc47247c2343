# SPDX-License-Identifier: Apache-2.0
"""Gradients of the fused kernel against central differences of the float64 reference."""

from __future__ import annotations

from dataclasses import replace

import numpy as np
import pytest

from problems import (
    KINDS,
    MASKS,
    Problem,
    differentiable,
    kernel_gradients,
    option_grid,
    reference_gradients,
    solve_kernel,
)
from reference import ACTIVATIONS
from tolerance import assert_close, tolerance

RELATIVE = 1e-7  # of the largest gradient of the operand


def compare(problem, operands, found, losses, count=None):
    """Every element of every operand, or `count` random ones of each."""
    rng = np.random.default_rng(problem.seed)
    elements = {}
    for name in found:
        index = np.arange(operands[name].size)
        elements[name] = index if count is None else rng.permutation(index)[:count]
    shapes = [p.shape for p in problem.projections()]
    filled = [np.zeros(s) if w is None else w for s, w in zip(shapes, losses, strict=True)]
    expected = reference_gradients(problem, operands, filled, elements)
    for name, want in expected.items():
        # 1e-3: below it the differences' own rounding (1e-11 * sum |loss weights|) would show
        allowed = RELATIVE * max(float(np.abs(want).max(initial=0.0)), 1e-3)
        got = found[name].ravel()[elements[name]]
        assert_close(got, want, allowed, f"{problem} d_{name}")


def check(problem: Problem, used=(), count=None) -> None:
    """`used` tells which outputs enter the loss; by default all of them."""
    operands = problem.operands()
    losses = list(problem.projections())
    losses = [p if u else None for p, u in zip(losses, used or [True] * len(losses), strict=False)]
    names = differentiable(operands)
    outputs, found = kernel_gradients(problem, operands, losses, "float64", names)
    # recording may save more and take other paths, but must not change the result
    for recorded, plain in zip(outputs, solve_kernel(problem, operands, "float64"), strict=True):
        np.testing.assert_array_equal(recorded, plain)
    compare(problem, operands, found, losses, count)


@pytest.mark.parametrize("mask", MASKS)
@pytest.mark.parametrize("kind", KINDS)
def test_options(kind, mask):
    """Every cell x mask x state x dropout x direction x bias x input."""
    for k, problem in enumerate(option_grid(kind, mask, n=3, t=5, f=2, h=7)):
        # all outputs; the sequence or last output alone; the last state alone
        used = [(), (True, False, False), (False, True, False)][k % 3]
        check(problem, used)


@pytest.mark.parametrize("activation", ACTIVATIONS)
@pytest.mark.parametrize("kind", KINDS)
def test_activations(kind, activation):
    more = {"initial_state": True, "gain": 0.25 if activation == "exponential" else 1}
    check(Problem(kind, activation=activation, mask="holes", **more))
    if kind != "simple_rnn":
        check(Problem(kind, recurrent_activation=activation, mask="right", seed=1, **more))


def test_only_the_cell_state_is_used():
    """The gradient enters through c alone: h of the last step has no influence."""
    for mask in MASKS:
        problem = Problem("lstm", mask=mask, initial_state=True)
        check(problem, (False, False, True))


SIZES = [(1, 1, 2, 3), (1, 13, 5, 17), (7, 3, 1, 16), (17, 5, 3, 37), (5, 2, 41, 13), (67, 3, 2, 8)]


@pytest.mark.parametrize("size", SIZES, ids=lambda s: "x".join(map(str, s)))
@pytest.mark.parametrize("kind", KINDS)
def test_sizes(kind, size):
    n, t, f, h = size
    problem = Problem(kind, n, t, f, h, mask="holes" if t > 1 else "none", initial_state=True)
    check(problem, count=25)
    dropout = {"input_dropout": "gate", "recurrent_dropout": "gate"}
    check(replace(problem, **dropout, mask="none", seed=1), count=25)


@pytest.mark.parametrize("size", SIZES, ids=lambda s: "x".join(map(str, s)))
@pytest.mark.parametrize("kind", KINDS)
def test_float32_agrees_with_float64(kind, size):
    n, t, f, h = size
    problem = Problem(kind, n, t, f, h, mask="left" if t > 1 else "none", initial_state=True)
    operands, losses = problem.operands(), problem.projections()
    names = differentiable(operands)
    _, single = kernel_gradients(problem, operands, losses, "float32", names)
    _, double = kernel_gradients(problem, operands, losses, "float64", names)
    for name in names:
        assert single[name].dtype == np.float32
        scale = float(np.abs(double[name]).max())
        # a weight's gradient sums over N*T rows, each an accumulation over the gates
        allowed = tolerance("float32", problem.terms * problem.gates, n * t, scale)
        assert_close(single[name], double[name], allowed, f"{problem} d_{name}")


@pytest.mark.parametrize("kind", KINDS)
def test_each_source_alone(kind):
    """What is not differentiated may be skipped, but must not change what is."""
    problem = Problem(
        kind,
        mask="holes",
        initial_state=True,
        input_dropout="gate",
        recurrent_dropout="gate",
    )
    operands, losses = problem.operands(), problem.projections()
    names = differentiable(operands)
    _, together = kernel_gradients(problem, operands, losses, "float64", names)
    for name in names:
        _, alone = kernel_gradients(problem, operands, losses, "float64", [name])
        np.testing.assert_array_equal(alone[name], together[name], err_msg=name)


@pytest.mark.parametrize("kind", KINDS)
def test_masked_steps_have_no_gradient(kind):
    problem = Problem(kind, n=5, t=7, mask="empty_rows", initial_state=True)
    operands = problem.operands()
    _, found = kernel_gradients(problem, operands, problem.projections(), "float64", ["x"])
    assert (found["x"][~operands["mask"]] == 0.0).all()
    assert (found["x"][operands["mask"]] != 0.0).any()
