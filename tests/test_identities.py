# SPDX-License-Identifier: Apache-2.0
"""Two ways to compute the same thing must agree: no reference is involved."""

from __future__ import annotations

from dataclasses import replace

import numpy as np
import pytest

import elman
from problems import (
    DROPOUTS,
    KINDS,
    MASKS,
    Problem,
    differentiable,
    kernel_gradients,
    kernel_input,
    solve_kernel,
)
from tolerance import assert_close, tolerance

DTYPES = ("float64", "float32")
BASE = {"n": 5, "t": 11, "f": 3, "h": 13, "initial_state": True}
NAMES = ["h0", "c0"]


def close(problem, actual, expected, what=""):
    scale = float(np.abs(expected).max(initial=0.0))
    allowed = tolerance(problem_dtype(actual), problem.terms, problem.t, scale)
    return assert_close(actual, expected, allowed, f"{problem} {what}")


def problem_dtype(array):
    return str(array.dtype)


def with_states(operands, states):
    return {**operands, **dict(zip(NAMES, states, strict=False))}


def steps(operands, part):
    """The operands of some of the steps."""
    cut = {key: operands[key][:, part] for key in ("x", "mask") if key in operands}
    return {**operands, **cut}


@pytest.mark.parametrize("dtype", DTYPES)
@pytest.mark.parametrize("mask", MASKS)
@pytest.mark.parametrize("kind", KINDS)
def test_split_in_time(kind, mask, dtype):
    """T steps at once are the first steps, then the others from the state they left."""
    for cut in (1, 4, 10):
        problem = Problem(kind, **BASE, mask=mask, zero_output_for_mask=True)
        operands = problem.operands()
        whole = solve_kernel(problem, operands, dtype)
        first = solve_kernel(problem, steps(operands, slice(cut)), dtype)
        rest = steps(with_states(operands, first[1:]), slice(cut, None))
        second = solve_kernel(problem, rest, dtype)
        close(problem, np.concatenate([first[0], second[0]], axis=1), whole[0], "sequence")
        for got, want in zip(second[1:], whole[1:], strict=True):
            close(problem, got, want, "state")


@pytest.mark.parametrize("kind", KINDS)
def test_step_by_step(kind):
    """A stream of single steps is the sequence."""
    problem = Problem(kind, **BASE, input_dropout="gate", recurrent_dropout="gate")
    operands = problem.operands()
    whole = solve_kernel(problem, operands, "float64")
    state = [operands[name] for name in problem.state_names]
    for t in range(problem.t):
        one = steps(with_states(operands, state), slice(t, t + 1))
        output, *state = solve_kernel(problem, one, "float64")
        close(problem, output[:, 0], whole[0][:, t], f"step {t}")


@pytest.mark.parametrize("dtype", DTYPES)
@pytest.mark.parametrize("mask", MASKS)
@pytest.mark.parametrize("kind", KINDS)
def test_go_backwards_is_the_reversed_input(kind, mask, dtype):
    backwards = Problem(kind, **BASE, mask=mask, go_backwards=True)
    operands, losses = backwards.operands(), backwards.projections()
    forwards, reversed_ = replace(backwards, go_backwards=False), steps(operands, np.s_[::-1])
    names = differentiable(operands)
    outputs, found = kernel_gradients(backwards, operands, losses, dtype, names)
    expected, wanted = kernel_gradients(forwards, reversed_, losses, dtype, names)
    wanted["x"] = wanted["x"][:, ::-1]
    for got, want in zip(outputs, expected, strict=True):
        close(backwards, got, want, "output")
    for name in names:
        # the sums over N*T rows are taken in another order
        close(replace(backwards, t=backwards.n * backwards.t), found[name], wanted[name], name)


@pytest.mark.parametrize("dtype", DTYPES)
@pytest.mark.parametrize("mask", ["right", "left", "holes", "empty_rows"])
@pytest.mark.parametrize("kind", KINDS)
def test_a_masked_row_is_its_shorter_sequence(kind, mask, dtype):
    """Row by row, the result equals that of the used steps alone, and so do the gradients."""
    problem = Problem(kind, **BASE, mask=mask, recurrent_dropout="gate")
    operands, losses = problem.operands(), problem.projections()
    given = kernel_input(operands, dtype)
    assert np.isnan(given["x"]).any()
    outputs, found = kernel_gradients(problem, operands, losses, dtype, ["x", "h0"])
    rows = {"h0": 0, "c0": 0, "x": 0, "mask": 0, "recurrent_dropout": 1}
    for n in range(problem.n):
        used = operands["mask"][n]
        one = {k: v.take([n], rows[k]) if k in rows else v for k, v in operands.items()}
        one = steps(one, used)
        del one["mask"]
        if not used.any():
            assert (outputs[0][n] == 0).all()
            assert (outputs[1][n] == operands["h0"][n].astype(dtype)).all()
            assert (found["x"][n] == 0).all()
            # h0 reaches the loss through the final state alone, with slope one
            assert (found["h0"][n] == losses[1][n].astype(dtype)).all()
            continue
        short = replace(problem, n=1, t=int(used.sum()), mask="none")
        # every repeated output adds its loss weight to the step that it repeats
        owner = np.maximum.accumulate(np.where(used, np.cumsum(used) - 1, -1))
        weight = np.zeros((short.t, problem.h))
        np.add.at(weight, owner[owner >= 0], losses[0][n][owner >= 0])
        parts = [weight[None], *[p[n : n + 1] for p in losses[1:]]]
        expected, wanted = kernel_gradients(short, one, parts, dtype, ["x", "h0"])
        close(problem, outputs[0][n][used], expected[0][0], f"row {n}")
        repeated = np.where(owner[:, None] >= 0, expected[0][0][owner], 0)
        close(problem, outputs[0][n], repeated, f"row {n} repeated")
        for got, want in zip(outputs[1:], expected[1:], strict=True):
            close(problem, got[n], want[0], f"row {n} state")
        close(problem, found["x"][n][used], wanted["x"][0], f"row {n} d_x")
        assert (found["x"][n][~used] == 0).all()
        close(problem, found["h0"][n], wanted["h0"][0], f"row {n} d_h0")


@pytest.mark.parametrize("dtype", DTYPES)
@pytest.mark.parametrize("kind", KINDS)
def test_a_mask_of_ones_is_no_mask(kind, dtype):
    problem = Problem(kind, **BASE, mask="holes")
    operands = problem.operands()
    operands["mask"][:] = True
    plain = {k: v for k, v in operands.items() if k != "mask"}
    expected = solve_kernel(replace(problem, mask="none"), plain, dtype)
    for got, want in zip(solve_kernel(problem, operands, dtype), expected, strict=True):
        close(problem, got, want)


@pytest.mark.parametrize("dropout", DROPOUTS)
@pytest.mark.parametrize("kind", KINDS)
def test_permuted_batch(kind, dropout):
    """Rows do not see each other: a permuted batch gives permuted results."""
    problem = Problem(kind, **BASE, mask="holes", input_dropout=dropout, recurrent_dropout=dropout)
    operands, losses = problem.operands(), problem.projections()
    order = np.array([3, 0, 4, 2, 1])
    axis = {"x": 0, "h0": 0, "c0": 0, "mask": 0, "input_dropout": 1, "recurrent_dropout": 1}
    moved = {k: v.take(order, axis[k]) if k in axis else v for k, v in operands.items()}
    names = differentiable(operands)
    outputs, found = kernel_gradients(problem, operands, losses, "float64", names)
    permuted = [p[order] for p in losses]
    expected, wanted = kernel_gradients(problem, moved, permuted, "float64", names)
    for got, want in zip(outputs, expected, strict=True):
        close(problem, got[order], want, "output")
    for name in names:
        got = found[name][order] if name in axis else found[name]
        close(replace(problem, t=problem.n * problem.t), got, wanted[name], name)


@pytest.mark.parametrize("kind", KINDS)
def test_a_row_does_not_depend_on_the_others(kind):
    """NaN or huge values in one row must stay there."""
    problem = Problem(kind, **BASE)
    operands = problem.operands()
    expected = solve_kernel(problem, operands, "float32")
    for value in (np.nan, np.inf, 1e30):
        spoiled = {**operands, "x": operands["x"].copy()}
        spoiled["x"][2, 4] = value
        outputs = solve_kernel(problem, spoiled, "float32")
        others = [0, 1, 3, 4]
        np.testing.assert_array_equal(outputs[0][others], expected[0][others])
        np.testing.assert_array_equal(outputs[0][2, :4], expected[0][2, :4])
        assert np.isfinite(outputs[0][2, 4:]).all() == (value == 1e30)


@pytest.mark.parametrize("name", ["SimpleRNN", "GRU", "LSTM"])
def test_stateful_is_one_long_call(name):
    rng = np.random.default_rng(3)
    x = rng.normal(size=(3, 12, 2))
    layer_class = getattr(elman.layers, name)
    whole = layer_class(5, return_sequences=True, dtype="float64")
    expected = np.asarray(whole(x))
    parts = layer_class(
        5, return_sequences=True, stateful=True, dtype="float64", batch_input_shape=(3, None, 2)
    )
    parts(x[:, :1])
    parts.set_weights(whole.get_weights())
    for _ in range(2):  # after a reset the same again
        parts.reset_states()
        pieces = [np.asarray(parts(x[:, a:b])) for a, b in ((0, 5), (5, 6), (6, 12))]
        assert_close(np.concatenate(pieces, axis=1), expected, tolerance("float64", 8, 12), name)


@pytest.mark.parametrize("name", ["SimpleRNN", "GRU", "LSTM"])
def test_returned_state_continues_the_sequence(name):
    rng = np.random.default_rng(4)
    x = rng.normal(size=(3, 12, 2))
    layer = getattr(elman.layers, name)(
        5, return_sequences=True, return_state=True, dtype="float64"
    )
    expected = np.asarray(layer(x)[0])
    first, *states = layer(x[:, :5])
    second = layer(x[:, 5:], initial_state=states)[0]
    assert_close(
        np.concatenate([first, second], axis=1), expected, tolerance("float64", 8, 12), name
    )
