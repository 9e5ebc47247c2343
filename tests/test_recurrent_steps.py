# SPDX-License-Identifier: Apache-2.0
"""Resets, lengths and the states of all steps: the fused kernel against the float64 reference."""

from __future__ import annotations

import itertools
from dataclasses import replace
from functools import partial

import numpy as np
import pytest

from problems import (
    KINDS,
    RESETS,
    Problem,
    differentiable,
    kernel_gradients,
    solve_kernel,
)
from test_determinism import same_with_all_threads
from test_recurrent_gradients import check as check_gradients
from test_recurrent_reference import check as check_forward

MASKS = ("none", "right", "holes", "empty_rows", "all")


def grid(make, resets):
    """Every mask x lengths x direction x state, and the other options in turn."""
    flags = (False, True)
    for k, (mask, lengths, back, state) in enumerate(itertools.product(MASKS, flags, flags, flags)):
        yield make(
            mask=mask,
            lengths=lengths,
            go_backwards=back,
            initial_state=state,
            resets=resets,
            state_sequences=k % 7 != 3,
            return_sequences=k % 3 != 1,
            zero_output_for_mask=k % 5 in (1, 3),
            use_bias=k % 4 != 2,
            input_dropout=("none", "shared", "gate")[k % 3],
            recurrent_dropout=("gate", "none", "shared", "none")[k % 4],
            seed=k,
        )


@pytest.mark.parametrize("dtype", ["float64", "float32"])
@pytest.mark.parametrize("resets", RESETS)
@pytest.mark.parametrize("kind", KINDS)
def test_forward(kind, resets, dtype):
    for problem in grid(partial(Problem, kind, n=5, t=7, f=3, h=11), resets):
        check_forward(problem, dtype)


@pytest.mark.parametrize("resets", RESETS)
@pytest.mark.parametrize("kind", KINDS)
def test_gradients(kind, resets):
    """Of every operand, from the output, the last states and the states of all steps."""
    for problem in grid(partial(Problem, kind, n=3, t=5, f=2, h=7), resets):
        check_gradients(problem)


SIZES = [(1, 13, 5, 17), (2, 7, 41, 13), (7, 3, 1, 16), (17, 5, 3, 37), (67, 3, 2, 8)]


@pytest.mark.parametrize("size", SIZES, ids=lambda s: "x".join(map(str, s)))
@pytest.mark.parametrize("kind", KINDS)
def test_sizes(kind, size):
    """Few rows and many, above and below the widths of registers and tiles."""
    for k, resets in enumerate(RESETS):
        problem = Problem(
            kind, *size, lengths=True, resets=resets, initial_state=True, state_sequences=True
        )
        check_forward(problem, "float32")
        check_gradients(replace(problem, go_backwards=k % 2 == 1, seed=k), count=25)


@pytest.mark.parametrize("kind", KINDS)
def test_the_states_alone(kind):
    """Gradients that enter through the states of all steps and nothing else."""
    count = 2 if kind == "lstm" else 1
    for mask, resets in itertools.product(("none", "holes"), RESETS):
        problem = Problem(kind, mask=mask, resets=resets, initial_state=True, state_sequences=True)
        for k in range(count):
            used = [False] * (1 + 2 * count)
            used[1 + count + k] = True
            check_gradients(problem, used)
            check_gradients(replace(problem, return_sequences=False), used)


@pytest.mark.parametrize("kind", KINDS)
def test_thread_counts(kind):
    """Bit-equal at 1, 2, 3 and 5 threads, whether they share rows or units."""
    sizes = [(29, 23, 31, 61), (3, 9, 31, 261)]
    options = {"initial_state": True, "state_sequences": True, "lengths": True}
    for size, resets in itertools.product(sizes, RESETS):
        problem = Problem(kind, *size, **options, mask="holes", resets=resets)
        same_with_all_threads(partial(everything, problem))


def everything(problem):
    """All outputs and gradients."""
    operands = problem.operands()
    names = differentiable(operands)
    outputs, found = kernel_gradients(problem, operands, problem.projections(), "float32", names)
    return [*outputs, *found.values()]


def check_output_is_h(problem, place):
    """The output equals the result at `place`, also with a mask that skips nothing."""
    operands = problem.operands()
    outputs = solve_kernel(problem, operands, "float32")
    np.testing.assert_array_equal(outputs[0], outputs[place])
    masked = {**operands, "mask": np.ones((problem.n, problem.t), bool)}
    again = solve_kernel(replace(problem, mask="holes"), masked, "float32")
    for a, b in zip(outputs, again, strict=True):
        np.testing.assert_array_equal(a, b)


@pytest.mark.parametrize("kind", KINDS)
def test_an_output_without_skipped_steps_is_h(kind):
    """Then the states of all steps cost no second array, but stay a result of their own."""
    problem = Problem(kind, state_sequences=True, resets="some", initial_state=True)
    check_output_is_h(problem, 3 if kind == "lstm" else 2)
