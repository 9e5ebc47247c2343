# SPDX-License-Identifier: Apache-2.0
"""Forward pass of the fused kernel against the slow float64 reference."""

from __future__ import annotations

import numpy as np
import pytest

from problems import KINDS, MASKS, Problem, option_grid, solve_kernel, solve_reference
from reference import ACTIVATIONS
from tolerance import assert_close, tolerance

# (N, T, F, H): one row, one step, one unit; below, at and above the widths of the vector
# registers (2 to 16 lanes) and of the row blocks, alone and together.
SIZES = [
    (1, 1, 1, 1),
    (1, 7, 2, 3),
    (2, 1, 3, 5),
    (3, 5, 1, 7),
    (5, 3, 7, 1),
    (7, 2, 5, 4),
    (4, 3, 5, 8),
    (5, 2, 3, 15),
    (6, 3, 2, 16),
    (7, 3, 5, 17),
    (8, 2, 31, 32),
    (11, 3, 2, 33),
    (13, 2, 67, 19),
    (1, 11, 13, 127),
    (17, 5, 3, 47),
    (3, 2, 5, 64),
    (67, 3, 11, 29),
    (2, 131, 3, 11),
]


def check(problem: Problem, dtype: str) -> None:
    operands = problem.operands()
    expected = solve_reference(problem, operands)
    actual = solve_kernel(problem, operands, dtype)
    assert len(actual) == len(expected)
    for k, (got, want) in enumerate(zip(actual, expected, strict=True)):
        assert got.dtype == dtype
        scale = float(np.abs(want).max(initial=0.0))
        allowed = tolerance(dtype, problem.terms, problem.t, scale)
        if dtype == "float64":
            allowed = min(allowed, 1e-12 * max(scale, 1.0))
        assert_close(got, want, allowed, f"{problem} output {k}")


@pytest.mark.parametrize("dtype", ["float64", "float32"])
@pytest.mark.parametrize("size", SIZES, ids=lambda s: "x".join(map(str, s)))
@pytest.mark.parametrize("kind", KINDS)
def test_sizes(kind, size, dtype):
    n, t, f, h = size
    check(Problem(kind, n, t, f, h, initial_state=True), dtype)
    check(Problem(kind, n, t, f, h, return_sequences=False, mask="holes", seed=1), dtype)
    dropout = {"input_dropout": "gate", "recurrent_dropout": "gate"}
    check(Problem(kind, n, t, f, h, initial_state=True, mask="left", **dropout, seed=2), dtype)


@pytest.mark.parametrize("dtype", ["float64", "float32"])
@pytest.mark.parametrize("activation", ACTIVATIONS)
@pytest.mark.parametrize("kind", KINDS)
def test_activations(kind, activation, dtype):
    # an exponential of an exponential overflows unless the weights are small
    more = {"n": 3, "t": 5, "f": 2, "h": 11, "gain": 0.25 if activation == "exponential" else 1}
    check(Problem(kind, **more, activation=activation), dtype)
    if kind != "simple_rnn":
        check(Problem(kind, **more, recurrent_activation=activation, seed=3), dtype)


@pytest.mark.parametrize("dtype", ["float64", "float32"])
@pytest.mark.parametrize("mask", MASKS)
@pytest.mark.parametrize("kind", KINDS)
def test_options(kind, mask, dtype):
    for problem in option_grid(kind, mask, n=5, t=7, f=3, h=11):
        check(problem, dtype)
