# SPDX-License-Identifier: Apache-2.0
"""Resets, lengths and the states of all steps of the fused ConvLSTM kernel."""

from __future__ import annotations

import itertools
from dataclasses import replace
from functools import partial

import numpy as np
import pytest

import elman
from conv_lstm_problems import WINDOWS, ConvProblem
from elman.layers import ConvLSTM2D
from layer_steps import check_explained, check_resets_of_carried_states, kept_mebibytes, twins
from problems import RESETS, kernel_gradients, solve_kernel, used_steps
from test_determinism import same_with_all_threads
from test_recurrent_gradients import check as check_gradients
from test_recurrent_reference import check as check_forward
from test_recurrent_steps import check_output_is_h, everything, grid

WINDOW_NAMES = ["x".join(map(str, w["images"])) for w in WINDOWS]
every_window = pytest.mark.parametrize("window", WINDOWS, ids=WINDOW_NAMES)
every_resets = pytest.mark.parametrize("resets", RESETS)
SMALL = {"images": (3, 2), "kernel": (2, 3), "n": 5, "t": 7, "f": 3, "c": 2}


@every_resets
def test_forward(resets):
    for problem in grid(partial(ConvProblem, **SMALL), resets):
        check_forward(problem, "float64")
        check_forward(problem, "float32")


@every_resets
def test_gradients(resets):
    """Of every operand, from the output, the last states and the states of all steps."""
    for problem in grid(partial(ConvProblem, **{**SMALL, "n": 3, "t": 5}), resets):
        check_gradients(problem, count=8)


@every_window
@every_resets
def test_windows(window, resets):
    """Of one to three axes; more rows than are taken at once, samples that end within them."""
    more = {"n": 4, "t": 5, "initial_state": True, "state_sequences": True}
    for k, mask in enumerate(("none", "holes")):
        options = {"lengths": k == 0, "go_backwards": k == 1, "return_sequences": k == 1}
        problem = ConvProblem(**{**window, **more, **options}, mask=mask, resets=resets, seed=k)
        check_forward(problem, "float32")
        check_gradients(problem, count=4)


def test_the_states_alone():
    """Gradients that enter through the states of all steps and nothing else."""
    for mask, resets in itertools.product(("none", "holes"), RESETS):
        options = {"mask": mask, "resets": resets, "initial_state": True, "state_sequences": True}
        problem = ConvProblem(**SMALL, **options)
        for k in (3, 4):
            used = [k == i for i in range(5)]
            check_gradients(problem, used, count=8)
            check_gradients(replace(problem, return_sequences=False), used, count=8)


@every_resets
@pytest.mark.parametrize("images", [(3, 2), (23, 19)])
def test_thread_counts(images, resets):
    """Bit-equal at any number of threads, for small images and for large ones."""
    options = {"initial_state": True, "state_sequences": True, "lengths": True, "mask": "holes"}
    n = 31 if images[0] < 9 else 3
    problem = ConvProblem(images, (3, 3), n=n, t=5, c=2, f=11, **options, resets=resets)
    same_with_all_threads(partial(everything, problem))


@every_resets
def test_skipped_frames_do_not_exist(resets):
    """A sample equals its used frames alone, bit by bit, and the others have no gradient."""
    options = {"mask": "holes", "lengths": True, "initial_state": True, "resets": resets}
    problem = ConvProblem((4, 5), n=5, t=11, c=2, **options)
    operands, losses = problem.operands(), problem.projections()
    outputs, found = kernel_gradients(problem, operands, losses, "float64", ["x"])
    used = used_steps(operands)
    assert (found["x"][~used] == 0).all()
    for n in np.flatnonzero(used.sum(1) > 1):
        one = {k: v[n : n + 1] if k in ("x", "h0", "c0") else v for k, v in operands.items()}
        steps = np.flatnonzero(used[n])
        one["x"] = one["x"][:, steps]
        if resets != "none":  # a reset in a skipped stretch takes place before the next used step
            counts = np.cumsum(operands["reset_mask"][n])[steps]
            one["reset_mask"] = (np.diff(counts, prepend=0) > 0)[None]
        del one["mask"], one["lengths"]
        short = replace(problem, n=1, t=len(steps), mask="none", lengths=False)
        expected = solve_kernel(short, one, "float64")
        np.testing.assert_array_equal(outputs[0][n][steps], expected[0][0])


def test_an_output_without_skipped_steps_is_h():
    """Then the states of all steps cost no second array, but stay a result of their own."""
    problem = ConvProblem(state_sequences=True, resets="some", initial_state=True)
    check_output_is_h(problem, 3)


def test_explain_names_masks_resets_and_lengths():
    x = np.zeros((5, 11, 12, 10, 1))
    layer = ConvLSTM2D(4, 3)
    layer(x)
    plain, text = check_explained(layer, x, "conv_lstm")
    flops = [float(t.split(" MFLOP")[0].split()[-1]) for t in (text, plain)]
    assert abs(flops[0] / flops[1] - 23 / 55) < 0.01
    kept = {}
    for sequences in (False, True):
        one = ConvLSTM2D(32, 3, return_sequences=sequences)
        kept[sequences] = kept_mebibytes(one, (8, 10, 34, 34, 1))
    pixels = 8 * 10 * 32 * 32 * 32 * 4 / 2**20
    assert kept == {True: round(5 * pixels), False: round(6 * pixels)}


def test_a_stateful_layer_starts_anew_from_zeros():
    rng = np.random.default_rng(3)
    x, resets = rng.normal(size=(3, 7, 4, 5, 1)), rng.random((3, 7)) < 0.4
    flags = {"return_sequences": True, "dtype": "float64"}
    layer, fresh = twins(lambda **more: ConvLSTM2D(2, 2, **flags, **more), x)
    check_resets_of_carried_states(layer, fresh, x, resets, 4)


def test_a_model_learns_from_sequences_of_different_lengths():
    """Lengths reach the layer as the mask that a model carries; skipped frames hold NaN."""
    elman.utils.set_random_seed(1)
    rng = np.random.default_rng(5)
    x = rng.normal(size=(24, 6, 5, 4, 1)).astype("float32")
    lengths = rng.integers(1, 7, 24)
    y = np.array([row[:n].mean() for row, n in zip(x, lengths, strict=True)], "float32")[:, None]
    layer, dense = ConvLSTM2D(3, 2), elman.layers.Dense(1)
    optimizer = elman.optimizers.Adam(0.02)
    used = (np.arange(6) < lengths[:, None])[..., None, None, None]
    padded = np.where(used, x, np.nan).astype("float32")
    losses = []
    for _ in range(25):
        with elman.GradientTape() as tape:
            image = layer(padded, lengths=lengths)
            guess = dense(elman.backend.reshape(image, (24, -1)))
            loss = elman.backend.mean(elman.backend.square(guess - y))
        weights = [*layer.weights, *dense.weights]
        optimizer.apply_gradients(zip(tape.gradient(loss, weights), weights, strict=True))
        losses.append(float(loss))
    assert losses[-1] < losses[0] / 2
