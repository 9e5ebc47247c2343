# SPDX-License-Identifier: Apache-2.0
"""Activations of all units of a row in the compiled time loop, against the float64 reference."""

from __future__ import annotations

import itertools
from dataclasses import replace
from functools import partial

import numpy as np
import pytest

import elman
from elman.layers import LSTM, RNN, Bidirectional, Dense, GRUCell, LSTMCell, SimpleRNN
from problems import KINDS, MASKS, Problem, option_grid
from reference import ACTIVATIONS, ROW_ACTIVATIONS
from test_determinism import same_kernel_with_all_threads
from test_recurrent_gradients import check as check_gradients
from test_recurrent_reference import SIZES
from test_recurrent_reference import check as check_forward
from test_recurrent_steps import RESETS, grid
from test_stream import CELLS, randomize, run

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
        same_kernel_with_all_threads(problem, dtype)


# --- layers --------------------------------------------------------------------------------------

cells = pytest.mark.parametrize("name", CELLS)


def random(*shape: int, dtype: str = "float32") -> np.ndarray:
    return np.random.default_rng(shape).standard_normal(shape).astype(dtype)


def built(name: str, units: int, features: int, dtype: str = "float32", **options):
    layer = CELLS[name](units, return_sequences=True, dtype=dtype, **options)
    layer.build((None, None, features))
    randomize(layer)
    return layer


def of(name: str, k: int) -> dict[str, str]:
    return {"activation": ("softmax", "log_softmax")[k % 2]} if name == "simple_rnn" else pair(k)


@both
@cells
def test_streams(name, dtype):
    """The bits of the whole sequence: one row, more rows than a tile, threads that share units."""
    for k, (n, units, threads) in enumerate([(1, 11, 1), (3, 16, 1), (37, 7, 3), (2, 601, 3)] * 2):
        elman.set_num_threads(threads)
        layer, x = built(name, units, 5, dtype, **of(name, k)), random(n, 4, 5, dtype=dtype)
        whole, stream = layer(x).numpy(), layer.stream(n)
        np.testing.assert_array_equal(run(stream, x), whole)
        stream.reset()
        np.testing.assert_array_equal(run(stream, x), whole)


def test_streams_of_many_rows():
    """Weights that a step reads in several groups of rows."""
    for name in CELLS:
        layer, x = built(name, 67, 1500, activation="softmax"), random(29, 2, 1500)
        np.testing.assert_array_equal(run(layer.stream(29), x), layer(x))


@cells
def test_a_row_of_nan_stays_alone(name):
    for k in range(2):
        layer, x = built(name, 13, 5, **of(name, k)), random(7, 4, 5)
        expected = layer(x).numpy()
        for bad in (np.nan, np.inf, -np.inf):
            given = x.copy()
            given[2, 1, 3] = bad
            found = layer(given).numpy()
            np.testing.assert_array_equal(np.delete(found, 2, 0), np.delete(expected, 2, 0))
            np.testing.assert_array_equal(found[2, 0], expected[2, 0])
            if np.isnan(bad):
                assert np.isnan(found[2, 1:]).all()
            variable = elman.Variable(given)
            with elman.GradientTape() as tape:
                loss = elman.backend.sum(elman.backend.square(layer(variable)))
            gradient = np.asarray(tape.gradient(loss, variable))
            assert np.isfinite(np.delete(gradient, 2, 0)).all()


@cells
def test_one_step_of_one_row(name):
    """Training reads the weights where they are; the numbers are those of packed ones."""
    layer, x = built(name, 13, 5, "float64", **of(name, 0)), random(1, 1, 5, dtype="float64")
    weights = [np.asarray(w) for w in layer.weights]
    for given in (x, random(2, 3, 5, dtype="float64")):
        given[0, 0] = x[0, 0]
        fresh = built(name, 13, 5, "float64", **of(name, 0))
        fresh.set_weights(weights)
        variable = elman.Variable(given)
        with elman.GradientTape() as tape:
            output = fresh(variable)
            loss = elman.backend.sum(elman.backend.square(output[0, 0]))
        found = np.asarray(output)[0, 0], np.asarray(tape.gradient(loss, variable))[0, 0]
        if given is x:
            expected = found
    for a, b in zip(found, expected, strict=True):
        np.testing.assert_allclose(a, b, rtol=0, atol=1e-14)


@cells
def test_values_of_a_row(name):
    if name == "simple_rnn":
        layer = built(name, 11, 5, activation="softmax")
        output = layer(random(3, 7, 5)).numpy()
        assert (output > 0).all()
        np.testing.assert_allclose(output.sum(-1), 1, rtol=1e-6)
    # one unit: a sum over it is all there is
    alone = built(name, 1, 5, activation="softmax", return_state=True)
    _, *states = alone(random(3, 1, 5))
    if name == "simple_rnn":
        np.testing.assert_array_equal(states[0], np.ones((3, 1)))
    if name == "lstm":
        assert (np.asarray(states[0]) < 1).all(), "h = o softmax(c) = o"


def by_steps(function):
    """The same function as Python code, which no kernel knows."""
    return lambda x: function(x)


SOFTMAX = {"activation": "softmax", "recurrent_activation": "softmax"}
SLOW = {name: by_steps(elman.activations.softmax) for name in SOFTMAX}


@pytest.mark.parametrize(
    "make",
    [
        lambda o: Bidirectional(LSTM(7, return_sequences=True, dtype="float64", **o)),
        lambda o: RNN([LSTMCell(5, **o), GRUCell(3, **o)], return_sequences=True, dtype="float64"),
        lambda o: LSTM(7, recurrent_dropout=0.3, dropout=0.2, seed=3, dtype="float64", **o),
        lambda o: LSTM(7, recurrent_dropout=0.3, implementation=1, seed=3, dtype="float64", **o),
    ],
    ids=["bidirectional", "stack", "dropout", "dropout per gate"],
)
def test_wrapped_layers_are_those_by_steps(make):
    x, mask = random(3, 5, 4, dtype="float64"), np.random.default_rng(0).random((3, 5)) < 0.7
    found, weights = [], None
    for options in (SOFTMAX, SLOW):
        layer = make(options)
        layer.build((None, None, 4))
        assert ("step by step" in layer.explain(x)) == (options is SLOW)
        if weights is None:
            randomize(layer)
            weights = layer.get_weights()
        layer.set_weights(weights)
        with elman.GradientTape() as tape:
            output = layer(x, mask=mask, training=True)
            loss = elman.backend.sum(elman.backend.square(output))
        found.append([output, *tape.gradient(loss, layer.trainable_weights)])
    for a, b in zip(*found, strict=True):
        np.testing.assert_allclose(a, b, rtol=0, atol=1e-13)


def losses_both_ways(make, x, epochs):
    """The losses of `fit` in the kernel and step by step, from equal weights.

    make: the layers of a model, given the activation; they tell sequences of positive sums.
    """
    y = (x.reshape(len(x), -1).sum(1) > 0).astype(int)
    losses, weights = [], None
    for activation in ("softmax", by_steps(elman.activations.softmax)):
        model = elman.Sequential(make(activation))
        model.build((None, *x.shape[1:]))
        weights = model.get_weights() if weights is None else weights
        model.set_weights(weights)
        model.compile(elman.optimizers.Adam(0.05), "sparse_categorical_crossentropy")
        history = model.fit(x, y, batch_size=8, epochs=epochs, shuffle=False, verbose=0)
        losses.append(history.history["loss"])
    return losses


def test_fit_learns():
    """Training goes down as it does step by step, in the same numbers."""

    def make(activation):
        return [SimpleRNN(5, activation=activation), Dense(2, "softmax")]

    losses = losses_both_ways(make, random(24, 6, 3), 8)
    np.testing.assert_allclose(*losses, rtol=1e-4)
    assert losses[0][-1] < 0.8 * losses[0][0]
