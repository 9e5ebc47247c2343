# SPDX-License-Identifier: Apache-2.0
"""What the tests of published example numbers share."""

from __future__ import annotations

from typing import Any

import numpy as np

import elman

TOLERANCE = 1e-5  # the examples are rounded to six digits


def F(shape: tuple[int, ...], s: int) -> np.ndarray:  # noqa: N802 - the name in the examples
    """(((arange(n) * 7 + 3 s) mod 11) - 5) / 10 in C order: small numbers without symmetry."""
    n = int(np.prod(shape))
    return ((((np.arange(n) * 7 + 3 * s) % 11) - 5) / 10).reshape(shape)


def close(got: Any, expected: Any) -> None:
    """Equal within the rounding of the examples, shapes included."""
    expected = np.asarray(expected, np.float64)
    got = np.asarray(got)
    assert got.shape == expected.shape
    np.testing.assert_allclose(got, expected, rtol=0, atol=TOLERANCE)


def with_weights(layer: Any, features: int, weights: list[Any]) -> Any:
    """The layer, built for `features` and with the given weights."""
    layer.build((1 if layer.stateful else None, 3 if layer.unroll else None, features))
    layer.set_weights([np.asarray(w) for w in weights])
    return layer


def counter(**kwargs: Any) -> Any:
    """SimpleRNN(1) that adds up its input and half its state."""
    layer = elman.layers.SimpleRNN(1, activation=None, **kwargs)
    return with_weights(layer, 1, [[[1]], [[0.5]], [0]])


def column(*values: float) -> np.ndarray:
    """A batch of one sequence with one feature, [1, T, 1]."""
    return np.asarray(values, np.float32).reshape(1, -1, 1)


def simple_rnn(**kwargs: Any) -> Any:
    """The SimpleRNN of the examples with two units."""
    weights = [F((3, 2), 2), F((2, 2), 3), F((2,), 4)]
    kwargs = {"return_sequences": True, **kwargs}
    return with_weights(elman.layers.SimpleRNN(2, **kwargs), 3, weights)


def gru(reset_after: bool, activation: str = "sigmoid", **kwargs: Any) -> Any:
    """The GRU of the examples with two units."""
    bias = F((2, 6), 4) if reset_after else F((6,), 4)
    kwargs = {"return_sequences": True, "reset_after": reset_after, **kwargs}
    layer = elman.layers.GRU(2, recurrent_activation=activation, **kwargs)
    return with_weights(layer, 2, [F((2, 6), 2), F((2, 6), 3), bias])


def lstm(activation: str = "sigmoid", **kwargs: Any) -> Any:
    """The LSTM of the examples with two units."""
    kwargs = {"return_sequences": True, **kwargs}
    layer = elman.layers.LSTM(2, recurrent_activation=activation, **kwargs)
    return with_weights(layer, 2, [F((2, 8), 2), F((2, 8), 3), F((8,), 4)])
