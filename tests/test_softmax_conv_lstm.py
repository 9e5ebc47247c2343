# SPDX-License-Identifier: Apache-2.0
"""Softmax over the filters of a pixel in the compiled ConvLSTM loop: reference, steps, threads."""

from __future__ import annotations

from dataclasses import replace
from functools import partial

import numpy as np
import pytest

import elman
from conv_lstm_problems import WINDOWS, ConvProblem, option_problems
from elman.layers import RNN, ConvLSTM1D, ConvLSTM2D, ConvLSTM3D, Dense, Flatten
from problems import MASKS, RESETS
from reference import ACTIVATIONS, ROW_ACTIVATIONS
from test_conv_lstm_kernel import check_gradients
from test_conv_lstm_steps import SMALL
from test_determinism import same_kernel_with_all_threads
from test_recurrent_reference import check as check_forward
from test_recurrent_steps import grid
from test_softmax_cells import PAIRS, by_steps, losses_both_ways, pair

WINDOW_NAMES = ["x".join(map(str, w["images"])) for w in WINDOWS]
every_window = pytest.mark.parametrize("window", WINDOWS, ids=WINDOW_NAMES)
every_mask = pytest.mark.parametrize("mask", MASKS)
both = pytest.mark.parametrize("dtype", ["float64", "float32"])
RANKS = {1: ConvLSTM1D, 2: ConvLSTM2D, 3: ConvLSTM3D}
every_rank = pytest.mark.parametrize("rank", RANKS)
FORMATS = ("channels_last", "channels_first")
every_format = pytest.mark.parametrize("data_format", FORMATS)


# --- the kernel ----------------------------------------------------------------------------------


@pytest.mark.parametrize("activation", ROW_ACTIVATIONS)
def test_beside_every_other_activation(activation):
    for k, other in enumerate([*ACTIVATIONS, *ROW_ACTIVATIONS]):
        # logarithms are below -1 here, and a state that they multiply grows from step to step
        steps = 1 if "log_softmax" in (activation, other) else 3
        problem = ConvProblem(
            n=1, t=steps, f=5, gain=0.25, initial_state=True, activation=activation,
            recurrent_activation=other,
        )  # fmt: skip
        turned = replace(problem, activation=other, recurrent_activation=activation, seed=k)
        for one in (problem, turned):
            check_forward(one, "float64")
            check_forward(one, "float32")
            check_gradients(one, count=4)


@every_mask
@every_window
def test_options(window, mask):
    for k, problem in enumerate(option_problems(mask, window)[MASKS.index(mask) % 2 :: 2]):
        check_forward(replace(problem, **pair(k)), ("float64", "float32")[k % 3 == 2])


@every_mask
@every_window
def test_gradients_of_options(window, mask):
    for k, problem in enumerate(option_problems(mask, window)[MASKS.index(mask) % 4 :: 4]):
        used = [(), (True, False, False), (False, True, False)][k % 3]
        check_gradients(replace(problem, **pair(k + MASKS.index(mask))), 4, used)


@pytest.mark.parametrize("resets", RESETS)
def test_resets_lengths_and_states_of_all_steps(resets):
    for k, problem in enumerate(grid(partial(ConvProblem, **{**SMALL, "n": 3, "t": 5}), resets)):
        problem = replace(problem, **pair(k))
        check_forward(problem, "float32")
        check_gradients(problem, 4)


@both
@pytest.mark.parametrize("filters", [1, 2, 3, 4, 5, 7, 8, 9, 13, 16, 17, 31, 37])
def test_filters(filters, dtype):
    """Padding beside the filters must not enter a sum over them, in patches and in tiles."""
    for k, options in enumerate(PAIRS):
        dropout = ("none", "shared", "gate")[k % 3]
        problem = ConvProblem(
            (7, 11), (3, 3), f=filters, c=2, mask="holes", initial_state=True,
            input_dropout=dropout, recurrent_dropout=dropout, **options, seed=k,
        )  # fmt: skip
        check_forward(problem, dtype)
        if dtype == "float64":
            check_gradients(problem, 4)


@both
@pytest.mark.parametrize(
    "options",
    [
        {},
        {"mask": "holes", "recurrent_dropout": "gate", "go_backwards": True},
        {"input_dropout": "gate", "initial_state": True, "return_sequences": False},
        {"resets": "some", "lengths": True, "state_sequences": True, "recurrent_dropout": "shared"},
        {"stride": 2},
    ],
)
def test_threads_change_no_bit(options, dtype):
    large = {"images": (61, 67), "n": 1, "t": 2, "f": 11}  # masks per gate: not in tiles
    for k, sizes in enumerate(({"images": (23, 19), "n": 3, "f": 21}, large)):
        problem = ConvProblem(**sizes, kernel=(3, 3), c=2, **options, **pair(k))
        same_kernel_with_all_threads(problem, dtype)


# --- layers --------------------------------------------------------------------------------------

SOFTMAX = {"activation": "softmax", "recurrent_activation": "softmax"}
SLOW = {name: by_steps(elman.activations.softmax) for name in SOFTMAX}
SIZES = {1: (7,), 2: (5, 7), 3: (4, 5, 3)}
OPTIONS = {
    "plain": {},
    "backwards": {"go_backwards": True, "return_sequences": True},
    "dropout": {"dropout": 0.3, "recurrent_dropout": 0.4, "seed": 5, "strides": 2},
    "stateful": {"stateful": True, "return_sequences": True},
    "zero output": {"zero_output_for_mask": True, "return_sequences": True},
}


def twins(rank, options):
    """The layer in the kernel and step by step, with the same weights, and an input of NaN."""
    rng = np.random.default_rng(rank)
    x = rng.normal(size=(2, 6, *SIZES[rank], 3))
    mask = np.array([[1, 0, 1, 1, 0, 1], [0, 1, 1, 1, 0, 0]], bool)
    x[~mask] = np.nan
    if options.get("data_format") == "channels_first":
        x = np.moveaxis(x, -1, 2)
    fast, slow = (
        RANKS[rank](5, 2, padding="same", dtype="float64", return_state=True, **options, **fn)
        for fn in (SOFTMAX, SLOW)
    )
    for layer in (fast, slow):
        layer.build(x.shape)
    fast.set_weights([rng.uniform(-0.5, 0.5, w.shape) for w in fast.weights])
    slow.set_weights(fast.get_weights())
    return fast, slow, x, mask


@every_format
@every_rank
@pytest.mark.parametrize("options", OPTIONS.values(), ids=OPTIONS)
def test_layers_are_those_by_steps(options, rank, data_format):
    fast, slow, x, mask = twins(rank, {"data_format": data_format, **options})
    text = "softmax: the sums of a step first, then its activations pixel by pixel"
    assert text in fast.explain(x.shape, training=True)
    assert "step by step" in slow.explain(x.shape)
    results = []
    for layer in (fast, slow):
        start = [np.full(np.asarray(s).shape, 0.25) for s in layer(x, mask=mask)[1:]]
        variable = elman.Variable(x)
        with elman.GradientTape() as tape:
            given = {} if layer.stateful else {"initial_state": start}
            outputs = layer(variable, mask=mask, training=True, **given)
            loss = sum(elman.backend.sum(elman.backend.square(output)) for output in outputs)
        results.append([*outputs, *tape.gradient(loss, [variable, *layer.weights])])
    for got, want in zip(*results, strict=True):
        np.testing.assert_allclose(got, want, rtol=0, atol=1e-12 * np.abs(np.asarray(want)).max())


@every_rank
def test_lengths_and_resets_are_those_by_steps(rank):
    fast, slow, x, _ = twins(rank, {"return_sequences": True, "return_state_sequences": True})
    x = np.random.default_rng(3).normal(size=x.shape)
    x[1, 4:] = np.nan
    resets = np.array([[0, 0, 1, 0, 0, 1], [0, 1, 0, 0, 1, 0]], bool)
    options = {"lengths": np.array([6, 4]), "reset_mask": resets}
    for got, want in zip(fast(x, **options), slow(x, **options), strict=True):
        np.testing.assert_allclose(got, want, rtol=0, atol=1e-13)


@every_format
@every_rank
def test_cells(rank, data_format):
    """A cell alone, and an RNN around it, have the bits of the layer."""
    layer, _, x, mask = twins(rank, {"return_sequences": True, "data_format": data_format})
    cell = type(layer.cell).from_config(layer.cell.get_config())
    around = RNN(cell, return_sequences=True, return_state=True)
    around.build(x.shape)
    around.set_weights(layer.get_weights())
    for got, want in zip(around(x, mask=mask), layer(x, mask=mask), strict=True):
        np.testing.assert_array_equal(got, want)
    clean = np.random.default_rng(1).normal(size=x.shape)
    states, sequence = cell.get_initial_state(batch_size=2), np.asarray(layer(clean)[0])
    for t in range(x.shape[1]):
        output, states = cell(clean[:, t], states)
        np.testing.assert_array_equal(output, sequence[:, t])


def test_a_sum_runs_over_the_filters():
    """Gates that are linear and open: h = softmax(c), of every pixel by itself."""
    layer = ConvLSTM2D(
        5, 3, activation="softmax", recurrent_activation=None, padding="same", use_bias=True,
        unit_forget_bias=False, bias_initializer="ones",
    )  # fmt: skip
    x = np.random.default_rng(2).normal(size=(3, 1, 4, 7, 2)).astype("float32")
    layer.build(x.shape)
    kernel, recurrent, bias = layer.get_weights()
    kernel[..., 15:] = 0
    layer.set_weights([kernel, recurrent, bias])
    h = np.asarray(layer(x))
    assert (h > 0).all()
    np.testing.assert_allclose(h.sum(-1), 1, rtol=1e-6)
    alone = ConvLSTM2D(1, 3, **SOFTMAX, return_state=True)
    for value in alone(x):  # of one filter
        np.testing.assert_array_equal(value, np.ones(value.shape))


@pytest.mark.parametrize("filters", [5, 37])
def test_a_sample_of_nan_stays_alone(filters):
    layer = ConvLSTM2D(filters, 3, padding="same", return_sequences=True, **SOFTMAX)
    x = np.random.default_rng(2).normal(size=(5, 4, 9, 8, 2)).astype("float32")
    expected = np.asarray(layer(x))
    for bad in (np.nan, np.inf):
        given = x.copy()
        given[2, 1, 3, 4] = bad
        found = np.asarray(layer(given))
        np.testing.assert_array_equal(np.delete(found, 2, 0), np.delete(expected, 2, 0))
        np.testing.assert_array_equal(found[2, 0], expected[2, 0])
        if np.isnan(bad):
            assert np.isnan(found[2, 1, 3, 4]).all()


def test_fit_learns():
    """Training goes down as it does step by step, in the same numbers."""
    x = np.random.default_rng(0).normal(size=(24, 4, 6, 5, 1)).astype("float32")

    def make(activation):
        return [ConvLSTM2D(3, 3, activation=activation), Flatten(), Dense(2, "softmax")]

    losses = losses_both_ways(make, x, 10)
    np.testing.assert_allclose(*losses, rtol=1e-4)
    assert losses[0][-1] < 0.6 * losses[0][0]
