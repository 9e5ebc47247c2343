# SPDX-License-Identifier: Apache-2.0
"""Arrays that are not plain: strided, read-only, byte-swapped, misaligned, empty."""

from __future__ import annotations

import numpy as np
import pytest

import elman
from elman import layers
from elman._backend import core
from problems import KINDS, Problem, kernel_gradients, solve_kernel

RECURRENT = ["SimpleRNN", "GRU", "LSTM"]
RNG = np.random.default_rng(8)


def misaligned(a: np.ndarray) -> np.ndarray:
    """The same values one byte off every alignment."""
    raw = np.zeros(a.nbytes + 1, np.uint8)
    view = raw[1:].view(a.dtype).reshape(a.shape)
    view[...] = a
    assert not view.flags.aligned or a.itemsize == 1
    return view


def read_only(a: np.ndarray) -> np.ndarray:
    copy = a.copy()
    copy.flags.writeable = False
    return copy


def strided(a: np.ndarray) -> np.ndarray:
    wide = np.full((*a.shape[:-1], 2 * a.shape[-1]), 77, a.dtype)
    wide[..., ::2] = a
    return wide[..., ::2]


def reversed_axes(a: np.ndarray) -> np.ndarray:
    """Negative strides on every axis."""
    flip = (slice(None, None, -1),) * a.ndim
    return a[flip].copy()[flip]


class Foreign:
    """An object that is an array only through __array__."""

    def __init__(self, a: np.ndarray) -> None:
        self.a = a

    def __array__(self, dtype=None, copy=None):
        return self.a if dtype is None else self.a.astype(dtype)


LAYOUTS = {
    "fortran": np.asfortranarray,
    "strided": strided,
    "reversed": reversed_axes,
    "transposed": lambda a: np.ascontiguousarray(a.T).T,
    "read_only": read_only,
    "byte_swapped": lambda a: a.astype(a.dtype.newbyteorder(">")),
    "misaligned": misaligned,
    "memoryview": lambda a: memoryview(np.ascontiguousarray(a)),
    "nested_list": lambda a: a.tolist(),
    "foreign": Foreign,
    "slice_of_more": lambda a: np.concatenate([a, a])[: len(a)],
    "tensor": core.Tensor,
    "variable": core.Variable,
}


@pytest.mark.parametrize("layout", LAYOUTS)
@pytest.mark.parametrize("name", RECURRENT)
def test_recurrent_input(name, layout):
    """x, mask and initial state in any layout give the bits of the contiguous arrays."""
    change = LAYOUTS[layout]
    layer = getattr(layers, name)(5, return_sequences=True)
    x = RNG.normal(size=(3, 7, 2)).astype(np.float32)
    mask = RNG.random((3, 7)) < 0.7
    states = [RNG.normal(size=(3, 5)).astype(np.float32) for _ in range(1 + (name == "LSTM"))]
    expected = np.asarray(layer(x, mask=mask, initial_state=states))
    changed = [change(s) for s in states]
    output = layer(change(x), mask=change(mask), initial_state=changed)
    np.testing.assert_array_equal(output, expected)


@pytest.mark.parametrize("layout", LAYOUTS)
def test_indices(layout):
    layer = layers.Embedding(11, 3, mask_zero=True)
    ids = RNG.integers(0, 11, (3, 7))
    expected = np.asarray(layer(ids))
    np.testing.assert_array_equal(layer(LAYOUTS[layout](ids)), expected)


@pytest.mark.parametrize("layout", LAYOUTS)
def test_weights(layout):
    layer, x = layers.LSTM(5), RNG.normal(size=(3, 7, 2)).astype(np.float32)
    layer(x)
    weights = [RNG.normal(size=w.shape).astype(np.float32) for w in layer.get_weights()]
    layer.set_weights(weights)
    expected = np.asarray(layer(x))
    layer.set_weights([np.zeros_like(w) for w in weights])
    layer.set_weights([LAYOUTS[layout](w) for w in weights])
    for got, want in zip(layer.get_weights(), weights, strict=True):
        np.testing.assert_array_equal(got, want)
    np.testing.assert_array_equal(layer(x), expected)


def test_broadcast_array():
    """Zero strides: many elements at one address."""
    layer = layers.GRU(5)
    x = np.broadcast_to(np.float32([1, -2]), (3, 7, 2))
    np.testing.assert_array_equal(layer(x), layer(x.copy()))


def test_input_is_never_written():
    x = RNG.normal(size=(3, 7, 2)).astype(np.float32)
    before = x.copy()
    model = elman.Sequential([layers.LSTM(5, dropout=0.5), layers.Dense(2)])
    model.compile(optimizer="sgd", loss="mse")
    model.fit(x, np.zeros((3, 2), np.float32), epochs=2, verbose=0)
    np.testing.assert_array_equal(x, before)


def test_results_do_not_change_when_the_input_does():
    """A tensor may share memory with the array; what was computed must not."""
    layer = layers.Dense(2)
    x = RNG.normal(size=(3, 4)).astype(np.float32)
    output = layer(x)
    before = np.array(output)
    x[:] = 0
    np.testing.assert_array_equal(output, before)
    weights = layer.get_weights()
    weights[0][:] = 5
    assert not (np.asarray(layer.get_weights()[0]) == 5).any()


# --- zero-length arrays ------------------------------------------------------------------------


@pytest.mark.parametrize("sequences", [False, True])
@pytest.mark.parametrize("name", RECURRENT)
def test_no_rows(name, sequences):
    layer = getattr(layers, name)(5, return_sequences=sequences)
    layer(np.zeros((2, 7, 3), np.float32))
    output = layer(np.zeros((0, 7, 3), np.float32), mask=np.zeros((0, 7), bool))
    assert output.shape == ((0, 7, 5) if sequences else (0, 5))


@pytest.mark.parametrize("kind", KINDS)
def test_no_rows_has_zero_gradients(kind):
    problem = Problem(kind, n=0)
    names = ["x", "kernel", "recurrent_kernel", "bias"]
    operands = problem.operands()
    _, found = kernel_gradients(problem, operands, problem.projections(), "float32", names)
    for name in names:
        assert found[name].shape == operands[name].shape
        assert (found[name] == 0).all()


@pytest.mark.parametrize("sequences", [False, True])
@pytest.mark.parametrize("kind", KINDS)
def test_no_steps(kind, sequences):
    """No step was used: the output is zero and the state is the initial one."""
    problem = Problem(kind, t=0, initial_state=True, return_sequences=sequences)
    operands = problem.operands()
    output, *states = solve_kernel(problem, operands, "float32")
    assert output.shape == ((2, 0, 7) if sequences else (2, 7))
    assert (output == 0).all()
    for name, state in zip(problem.state_names, states, strict=True):
        np.testing.assert_array_equal(state, operands[name])
    # the loss sees the states alone, which are the initial ones
    losses = problem.projections()
    _, found = kernel_gradients(problem, operands, losses, "float64", ["kernel", "h0"])
    assert (found["kernel"] == 0).all()
    np.testing.assert_array_equal(found["h0"], losses[1])


@pytest.mark.parametrize("kind", KINDS)
def test_no_features(kind):
    """An input without features: the recurrence runs on its bias and its state."""
    problem = Problem(kind, f=1, initial_state=True)
    operands = problem.operands()
    operands["x"][:] = 0
    expected = solve_kernel(problem, operands, "float64")
    operands |= {"x": operands["x"][..., :0], "kernel": operands["kernel"][:0]}
    for got, want in zip(solve_kernel(problem, operands, "float64"), expected, strict=True):
        np.testing.assert_array_equal(got, want)


def test_other_layers_without_rows():
    dense, embedding = layers.Dense(3), layers.Embedding(5, 2)
    dense(np.zeros((1, 4), np.float32))
    assert dense(np.zeros((0, 4), np.float32)).shape == (0, 3)
    assert dense(np.zeros((2, 0, 4), np.float32)).shape == (2, 0, 3)
    assert embedding(np.zeros((0, 7), np.int32)).shape == (0, 7, 2)
    assert embedding(np.zeros((2, 0), np.int32)).shape == (2, 0, 2)
