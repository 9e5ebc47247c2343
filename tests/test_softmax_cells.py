# SPDX-License-Identifier: Apache-2.0
"""Activations of all units of a row in the compiled time loop, against the float64 reference."""

from __future__ import annotations

import itertools
from dataclasses import replace
from functools import partial

import numpy as np
import pytest

import elman
from elman._backend import core
from elman.layers import GRU, LSTM, RNN, Bidirectional, GRUCell, LSTMCell, SimpleRNN
from problems import KINDS, MASKS, Problem, differentiable, kernel_gradients, option_grid
from reference import ACTIVATIONS, ROW_ACTIVATIONS
from test_determinism import same_with_all_threads
from test_recurrent_gradients import check as check_gradients
from test_recurrent_reference import SIZES
from test_recurrent_reference import check as check_forward
from test_recurrent_steps import RESETS, grid

# Every way to have one: in place of the first activation, of the gates', of both.
PAIRS = [
    {"activation": "softmax"},
    {"recurrent_activation": "softmax"},
    {"activation": "log_softmax", "recurrent_activation": "softmax"},
    {"activation": "softmax", "recurrent_activation": "hard_sigmoid"},
    {"activation": "gelu", "recurrent_activation": "softmax"},
]
both = pytest.mark.parametrize("dtype", ["float64", "float32"])
kinds = pytest.mark.parametrize("kind", KINDS)


def pair(k: int) -> dict[str, str]:
    return PAIRS[k % len(PAIRS)]


@both
@pytest.mark.parametrize("activation", ROW_ACTIVATIONS)
@kinds
def test_beside_every_other_activation(kind, activation, dtype):
    for k, other in enumerate([*ACTIVATIONS, *ROW_ACTIVATIONS]):
        # logarithms are below -1 here, and a state that they multiply grows from step to step
        steps = 1 if "log_softmax" in (activation, other) else 3
        problem = Problem(
            kind,
            n=3,
            t=steps,
            f=2,
            h=11,
            gain=0.25,
            initial_state=True,
            activation=activation,
            recurrent_activation=other,
        )
        check_forward(problem, dtype)
        turned = replace(problem, activation=other, recurrent_activation=activation, seed=k)
        check_forward(turned, dtype)
        if dtype == "float64":
            check_gradients(problem)
            check_gradients(replace(turned, h=7))


@both
@pytest.mark.parametrize("mask", MASKS)
@kinds
def test_options(kind, mask, dtype):
    for k, problem in enumerate(option_grid(kind, mask, n=5, t=7, f=3, h=11)):
        check_forward(replace(problem, **pair(k)), dtype)


@pytest.mark.parametrize("mask", MASKS)
@kinds
def test_gradients_of_options(kind, mask):
    for k, problem in enumerate(option_grid(kind, mask, n=3, t=5, f=2, h=7)):
        used = [(), (True, False, False), (False, True, False)][k % 3]
        check_gradients(replace(problem, **pair(k)), used)


@pytest.mark.parametrize("resets", RESETS)
@kinds
def test_resets_lengths_and_states_of_all_steps(kind, resets):
    for k, problem in enumerate(grid(partial(Problem, kind, n=3, t=5, f=2, h=7), resets)):
        problem = replace(problem, **pair(k))
        check_forward(problem, "float32")
        check_gradients(problem)


@pytest.mark.parametrize("size", SIZES, ids=lambda s: "x".join(map(str, s)))
@kinds
def test_sizes(kind, size):
    """Padding beside the units must not enter a sum over them."""
    n, t, f, h = size
    for k, dtype in enumerate(["float64", "float32"] * 2):
        options = {"initial_state": True, **pair(k + (k > 1)), "seed": k}
        mask = ("none", "holes", "left", "none")[k]
        check_forward(Problem(kind, n, t, f, h, mask=mask, **options), dtype)
        if dtype == "float64" and t < 100:
            check_gradients(Problem(kind, n, t, f, h, mask=mask, **options), count=10)


@both
@pytest.mark.parametrize("options", [{}, {"mask": "holes", "recurrent_dropout": "gate"}])
@kinds
def test_thread_counts(kind, options, dtype):
    """The same bits whether threads share the rows or the units of the products."""
    for size, k in itertools.product(
        [(67, 11, 31, 61), (1, 13, 37, 307), (3, 17, 29, 131)], (0, 2)
    ):
        problem = Problem(kind, *size, initial_state=True, **options, **pair(k))
        given, losses = problem.operands(), problem.projections()
        names = differentiable(given)

        def compute(problem=problem, given=given, losses=losses, names=names):
            outputs, found = kernel_gradients(problem, given, losses, dtype, names)
            return [*outputs, *found.values()]

        same_with_all_threads(compute)
