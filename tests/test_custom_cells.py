# SPDX-License-Identifier: Apache-2.0
"""What a user's cell returns is checked in its first step, and its sizes before that."""

from __future__ import annotations

import numpy as np
import pytest

import elman
from elman import backend as K  # noqa: N812 - its name in Keras
from elman import layers

X = np.random.default_rng(7).standard_normal((2, 5, 4)).astype("float32")
MASK = np.array([[True, False, True, True, False], [False] * 5])


class Cell:
    """`step(x, states)` as a cell."""

    def __init__(self, step, state_size=3, output_size=None):
        self.state_size = state_size
        if output_size is not None:
            self.output_size = output_size
        self.call = lambda inputs, states: step(inputs, states)


def cut(x):
    return x[:, :3]


# What a step returns, and what is said about it.
WRONG = {
    "a state of another size": (
        lambda x, s: (cut(x), [x]),
        r"new states\[0\]: expected \(2, 3\), got \(2, 4\); the sizes are those of",
    ),
    "an output of another size": (
        lambda x, s: (x, [s[0]]),
        r"output: expected \(2, 3\), got \(2, 4\); the sizes are those of",
    ),
    "a number as output": (lambda x, s: (1.0, [s[0]]), r"output: expected \(2, 3\), got \(\)"),
    "a number as state": (
        lambda x, s: (cut(x), [0.0]),
        r"new states\[0\]: expected \(2, 3\), got \(\)",
    ),
    "fewer rows": (
        lambda x, s: (cut(x)[:1], [s[0]]),
        r"output: expected \(2, 3\), got \(1, 3\)",
    ),
    "another type of state": (
        lambda x, s: (cut(x), [K.cast(s[0], "float64")]),
        r"new states\[0\]: expected float32, got float64; the type of the input",
    ),
    "another type of output": (
        lambda x, s: (K.cast(cut(x), "int32"), [s[0]]),
        "output: expected float32, got int32; the type of the input",
    ),
}


@pytest.mark.parametrize("name", WRONG)
@pytest.mark.parametrize("mask", [None, MASK])
def test_wrong_results(name, mask):
    step, text = WRONG[name]
    with pytest.raises(ValueError, match=rf"^\[Cell.call\] {text}"):
        layers.RNN(Cell(step), return_sequences=True)(X, mask=mask)


@pytest.mark.parametrize("size", [2.5, 0, -1, "a", None, [], [4, -1], [3, None], [3, "a"], {}])
def test_wrong_sizes(size):
    for sizes, what in (((size,), "state_size"), ((3, size), "output_size")):
        if what == "output_size" and (size is None or size == [] or isinstance(size, list)):
            continue  # None: the size of the state; a list: a shape
        with pytest.raises(ValueError, match=rf"^\[Cell\] {what}: expected a positive int"):
            layers.RNN(Cell(lambda x, s: (x, s), *sizes))(X)


def test_an_output_size_of_its_own():
    cell = Cell(lambda x, s: (x, [s[0] + cut(x)]), 3, 4)
    assert layers.RNN(cell)(X).shape == (2, 4)
    with pytest.raises(ValueError, match=r"\[Cell.call\] output: expected \(2, 3\), got \(2, 4\)"):
        layers.RNN(Cell(lambda x, s: (x, [s[0]]), 3, 3))(X)


def test_numpy_results_and_bare_states():
    for step in (
        lambda x, s: (np.asarray(cut(x)), [np.asarray(cut(x))]),
        lambda x, s: (cut(x), cut(x)),
        lambda x, s: (cut(x), (cut(x),)),
    ):
        np.testing.assert_array_equal(layers.RNN(Cell(step))(X).numpy(), X[:, -1, :3])


def test_only_the_first_step_is_checked(monkeypatch):
    from elman.layers import _run

    seen = []
    check = _run._check_result
    monkeypatch.setattr(_run, "_check_result", lambda *a: (seen.append(a[1]), check(*a)))
    layers.RNN(Cell(lambda x, s: (cut(x), [s[0]])))(X)
    assert seen == ["output", "new states[0]"]


def test_initial_states_that_are_no_numbers():
    layer = layers.LSTM(3)
    for bad in (np.array([["a"] * 3] * 2), np.array([[None] * 3] * 2)):
        with pytest.raises(TypeError, match=r"\[LSTM.call\] initial_state\[1\]: expected an array"):
            layer(X, initial_state=[np.zeros((2, 3)), bad])


def test_explain_names_the_layer():
    layer = layers.LSTM(3, name="reader")
    with pytest.raises(ValueError, match=r"\[LSTM.explain\] x: .*got \(-1, 5, 4\).*'reader'"):
        layer.explain((-1, 5, 4))
    text = r"\[LSTM.explain\] x: expected known sizes, got \(None, 5, 4\); give an array .*'reader'"
    for unknown in (elman.Input((5, 4)), (None, 5, 4)):
        with pytest.raises(ValueError, match=text):
            layer.explain(unknown)
    for bad in (None, "abc", (2, 5.5, 4)):
        with pytest.raises(ValueError, match=r"\[LSTM.explain\] x: expected an array or a shape"):
            layer.explain(bad)
    assert "(2, 5, 4) float32" in layer.explain((2, np.int64(5), 4))


@pytest.mark.parametrize(
    ("units", "error"), [(2**62, ValueError), (2**50, MemoryError)], ids=["2**62", "2**50"]
)
def test_units_that_no_memory_holds(units, error):
    text = rf"\[LSTM.add_weight\] kernel: .*units={units}, layer 'wide_lstm'"
    with pytest.raises(error, match=text):
        layers.LSTM(units, name="wide_lstm")(X)
    with pytest.raises(error, match=rf"\[Dense.add_weight\] kernel: .*units={units}, layer 'wide'"):
        layers.Dense(units, name="wide")(X)
    with pytest.raises(ValueError, match=r"\[Embedding.add_weight\] embeddings: .*'table'"):
        layers.Embedding(2**50, 2**20, name="table")(np.zeros((1, 1), "int64"))


def test_models_of_inputs_and_outputs():
    inputs = elman.Input((5, 4))
    outputs = layers.LSTM(3)(inputs)
    for model in (elman.Model(inputs, outputs), elman.Model(inputs=inputs, outputs=outputs)):
        assert model.output_shape == (None, 3)
