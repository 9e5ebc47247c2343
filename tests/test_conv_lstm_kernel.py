# SPDX-License-Identifier: Apache-2.0
"""The fused ConvLSTM kernel: reference, central differences, identities, threads."""

from __future__ import annotations

from dataclasses import replace

import numpy as np
import pytest

from conv_lstm_problems import WINDOWS, ConvProblem, option_problems
from elman._backend import core
from problems import (
    MASKS,
    call_kernel,
    differentiable,
    kernel_gradients,
    kernel_input,
    solve_kernel,
)
from reference import ACTIVATIONS
from test_determinism import same_with_all_threads
from test_recurrent_gradients import check as check_gradients_of
from test_recurrent_reference import check as check_outputs
from tolerance import assert_close, tolerance

WINDOW_NAMES = ["x".join(map(str, w["images"])) for w in WINDOWS]
every_window = pytest.mark.parametrize("window", WINDOWS, ids=WINDOW_NAMES)
every_mask = pytest.mark.parametrize("mask", MASKS)


def check_gradients(problem: ConvProblem, count: int = 6, used=()) -> None:
    """Some elements of every operand: all of them would take minutes."""
    check_gradients_of(problem, used, count)


@every_mask
@every_window
def test_outputs(window, mask):
    for problem in option_problems(mask, window):
        check_outputs(problem, "float64")
    for problem in option_problems(mask, window)[::4]:
        check_outputs(problem, "float32")


@every_mask
@every_window
def test_gradients(window, mask):
    """Whatever the window, each option once; the loss reads the outputs or the states."""
    for k, problem in enumerate(option_problems(mask, window)[:: 1 if window["c"] == 1 else 3]):
        used = [(), (True, False, False), (False, True, False)][k % 3]
        check_gradients(problem, used=used)


@pytest.mark.parametrize("activation", ACTIVATIONS)
def test_activations(activation):
    more = {"n": 1, "initial_state": True, "mask": "holes"}
    for options in ({"activation": activation}, {"recurrent_activation": activation, "seed": 1}):
        problem = ConvProblem(**more, **options)
        check_outputs(problem, "float64")
        check_outputs(problem, "float32")
        check_gradients(problem, count=4)


def test_only_the_cell_state_is_used():
    for mask in MASKS:
        problem = ConvProblem(mask=mask, initial_state=True, t=4)
        check_gradients(problem, used=(False, False, True))


def test_float32_gradients_agree_with_float64():
    for mask in ("none", "left"):
        problem = ConvProblem((9, 11), (3, 3), f=13, c=2, mask=mask, initial_state=True)
        operands, losses = problem.operands(), problem.projections()
        names = differentiable(operands)
        _, single = kernel_gradients(problem, operands, losses, "float32", names)
        _, double = kernel_gradients(problem, operands, losses, "float64", names)
        for name in names:
            assert single[name].dtype == np.float32
            scale = float(np.abs(double[name]).max())
            rows = problem.n * problem.t * 99  # a weight's gradient sums over all pixels
            allowed = tolerance("float32", 4 * problem.terms, rows, scale)
            assert_close(single[name], double[name], allowed, f"{problem} d_{name}")


def test_each_source_alone():
    """What is not differentiated may be skipped, but must not change what is."""
    dropout = {"input_dropout": "gate", "recurrent_dropout": "gate"}
    problem = ConvProblem(mask="holes", initial_state=True, **dropout)
    operands, losses = problem.operands(), problem.projections()
    names = differentiable(operands)
    _, together = kernel_gradients(problem, operands, losses, "float64", names)
    for name in names:
        _, alone = kernel_gradients(problem, operands, losses, "float64", [name])
        np.testing.assert_array_equal(alone[name], together[name], err_msg=name)


def test_a_persistent_tape_may_ask_twice():
    problem = ConvProblem(mask="holes")
    given = kernel_input(problem.operands(), "float64")
    tensors = {name: core.Tensor(value) for name, value in given.items()}
    kernel = core.Variable(given["kernel"])
    with core.Tape(persistent=True) as tape:
        output = call_kernel(problem, {**tensors, "kernel": kernel})[0]
        loss = core.sum(output * output)
    first, second = (tape.gradient(loss, kernel).numpy() for _ in range(2))
    np.testing.assert_array_equal(first, second)
    assert np.abs(first).max() > 0


# --- identities ---------------------------------------------------------------------------------


def steps(operands, part):
    cut = {key: operands[key][:, part] for key in ("x", "mask") if key in operands}
    return {**operands, **cut}


@every_mask
@pytest.mark.parametrize("dtype", ["float64", "float32"])
def test_split_in_time(mask, dtype):
    """T steps at once are the first steps, then the others from the state they left."""
    problem = ConvProblem(t=7, initial_state=True, mask=mask, zero_output_for_mask=True)
    operands = problem.operands()
    whole = solve_kernel(problem, operands, dtype)
    for cut in (1, 3, 6):
        first = solve_kernel(problem, steps(operands, slice(cut)), dtype)
        states = {"h0": first[1], "c0": first[2]}
        second = solve_kernel(problem, steps({**operands, **states}, slice(cut, None)), dtype)
        np.testing.assert_array_equal(np.concatenate([first[0], second[0]], 1), whole[0])
        for got, want in zip(second[1:], whole[1:], strict=True):
            np.testing.assert_array_equal(got, want)


@every_mask
def test_go_backwards_is_the_reversed_input(mask):
    backwards = ConvProblem(t=5, initial_state=True, mask=mask, go_backwards=True)
    operands, losses = backwards.operands(), backwards.projections()
    forwards, turned = replace(backwards, go_backwards=False), steps(operands, np.s_[::-1])
    names = differentiable(operands)
    outputs, found = kernel_gradients(backwards, operands, losses, "float64", names)
    expected, wanted = kernel_gradients(forwards, turned, losses, "float64", names)
    wanted["x"] = wanted["x"][:, ::-1]
    for got, want in zip(outputs, expected, strict=True):
        np.testing.assert_array_equal(got, want)
    for name in names:  # the sums over all images are taken in another order
        scale = float(np.abs(wanted[name]).max())
        assert_close(found[name], wanted[name], tolerance("float64", 99, 350, scale), name)


@pytest.mark.parametrize("mask", ["right", "left", "holes"])
def test_masked_frames_do_not_exist(mask):
    """A sample equals its used frames alone, and masked frames have no gradient."""
    problem = ConvProblem(n=3, t=5, mask=mask, initial_state=True)
    operands, losses = problem.operands(), problem.projections()
    outputs, found = kernel_gradients(problem, operands, losses, "float64", ["x"])
    assert (found["x"][~operands["mask"]] == 0).all()
    for n, used in enumerate(operands["mask"]):
        if not used.any():
            continue
        one = {k: v[n : n + 1] if k in ("x", "h0", "c0") else v for k, v in operands.items()}
        one = {**one, "x": one["x"][:, used]}
        del one["mask"]
        short = replace(problem, n=1, t=int(used.sum()), mask="none")
        expected = solve_kernel(short, one, "float64")
        np.testing.assert_array_equal(outputs[0][n][used], expected[0][0])
        np.testing.assert_array_equal(outputs[1][n], expected[1][0])
        np.testing.assert_array_equal(outputs[2][n], expected[2][0])


def test_samples_do_not_see_each_other():
    """NaN or huge values in one sample must stay there."""
    problem = ConvProblem((4, 5), n=5, c=2)
    operands = problem.operands()
    expected = solve_kernel(problem, operands, "float32")
    for value in (np.nan, np.inf, 1e30):
        spoiled = {**operands, "x": operands["x"].copy()}
        spoiled["x"][2, 1] = value
        outputs = solve_kernel(problem, spoiled, "float32")
        others = [0, 1, 3, 4]
        np.testing.assert_array_equal(outputs[0][others], expected[0][others])
        np.testing.assert_array_equal(outputs[0][2, 0], expected[0][2, 0])


def test_an_impulse_moves_by_the_windows_reach():
    """With a recurrent kernel of 3 taps the state spreads by one pixel in each step."""
    problem = ConvProblem((15,), (3,), n=1, t=5, f=2, use_bias=False)
    operands = problem.operands()
    operands["x"][:] = 0
    operands["x"][0, 0, 7] = 1
    h = solve_kernel(problem, operands, "float64")[0][0]
    for t in range(5):
        touched = np.flatnonzero(np.abs(h[t]).max(axis=-1))
        assert (touched[0], touched[-1]) == (7 - 1 - t, 7 + 1 + t)


@pytest.mark.parametrize("dtype", ["float32", "float64"])
@pytest.mark.parametrize(
    "options",
    [
        {},
        {"mask": "holes", "recurrent_dropout": "gate", "go_backwards": True},
        {"input_dropout": "gate", "initial_state": True, "return_sequences": False},
        {"input_dropout": "shared", "recurrent_dropout": "shared", "stride": 2},
    ],
)
def test_threads_change_no_bit(options, dtype):
    large = {"images": (61, 67), "n": 1, "t": 2, "f": 11}  # masks per gate: not in tiles
    for sizes in ({"images": (23, 19), "n": 3, "f": 21}, large):
        problem = ConvProblem(**sizes, kernel=(3, 3), c=2, **options)
        operands, losses = problem.operands(), problem.projections()
        names = differentiable(operands)

        def compute(problem=problem, operands=operands, losses=losses, names=names):
            outputs, found = kernel_gradients(problem, operands, losses, dtype, names)
            return [*outputs, *found.values()]

        same_with_all_threads(compute)


# --- empty and wrong -----------------------------------------------------------------------------


@pytest.mark.parametrize(("n", "t"), [(0, 3), (2, 0)])
def test_nothing_to_do(n, t):
    """No samples or no steps: states come through, gradients are zeros."""
    cell = core.conv_lstm(3, [2, 2], [1, 1], "same", [1, 1])
    x = core.Variable(np.zeros((n, t, 4, 5, 2), "float32"))
    weights = [core.Variable(np.ones((2, 2, c, 12), "float32")) for c in (2, 3)]
    states = [core.Variable(np.full((n, 4, 5, 3), v, "float32")) for v in (2, 3)]
    with core.Tape() as tape:
        output, last = cell.forward(x, *weights, None, states, return_sequences=True)
        loss = core.sum(output) + core.sum(last[0]) + core.sum(last[1])
    assert output.shape == (n, t, 4, 5, 3)
    for state, want in zip(last, states, strict=True):
        np.testing.assert_array_equal(state, want)
    found = tape.gradient(loss, [*weights, *states])
    for gradient in found[2:]:
        np.testing.assert_array_equal(gradient, np.ones(gradient.shape))
    for gradient in found[:2]:
        np.testing.assert_array_equal(gradient, np.zeros(gradient.shape))


@pytest.mark.parametrize(
    ("change", "text"),
    [
        ({"x": (2, 3, 4, 5)}, r"\[conv_lstm\] x: expected \(N, T, 2 sizes of the images, C\)"),
        ({"x": (2, 3, 1, 5, 2)}, r"\[conv_lstm\] x: the kernel does not fit"),
        ({"kernel": (2, 2, 3, 12)}, r"\[conv_lstm\] kernel: expected \(2, 2, 2, 12\)"),
        ({"recurrent_kernel": (2, 2, 2, 12)}, r"recurrent_kernel: expected \(2, 2, 3, 12\)"),
        ({"bias": (3,)}, r"\[conv_lstm\] bias: expected \(12,\)"),
        ({"mask": (2, 4)}, r"\[conv_lstm\] mask: expected \(2, 3\) bool"),
        ({"input_dropout": (4, 2, 3, 5, 2)}, r"input_dropout: expected \(4, 2, 4, 5, 2\)"),
        ({"recurrent_dropout": (1, 2, 4, 5, 3)}, r"recurrent_dropout: expected \(1, 2, 3, 4, 3\)"),
        ({"initial_state": [(2, 3, 4, 3)]}, r"initial_state: expected 2 tensors, got 1"),
        ({"initial_state": [(2, 3, 4, 3), (2, 4, 4, 3)]}, r"initial_state: expected \(2, 3, 4, 3"),
    ],
)
def test_wrong_shapes(change, text):
    shapes = {"x": (2, 3, 4, 5, 2), "kernel": (2, 2, 2, 12), "recurrent_kernel": (2, 2, 3, 12)}
    given = {}
    for name, shape in {**shapes, **change}.items():
        dtype = bool if name == "mask" else "float32"
        make = [np.zeros(s, dtype) for s in (shape if isinstance(shape, list) else [shape])]
        tensors = [core.Tensor(a) for a in make]
        given[name] = tensors if isinstance(shape, list) else tensors[0]
    with pytest.raises(ValueError, match=text):
        core.conv_lstm(3, [2, 2], [1, 1], "valid", [1, 1]).forward(**given)


def test_wrong_options():
    for sizes in (([2], [1, 1], [1]), ([], [], []), ([1] * 4, [1] * 4, [1] * 4)):
        with pytest.raises(ValueError, match="expected 1 to 3 sizes each, equally many"):
            core.conv_lstm(3, sizes[0], sizes[1], "same", sizes[2])
    with pytest.raises(ValueError, match="expected valid or same, got causal"):
        core.conv_lstm(3, [2], [1], "causal", [1])
