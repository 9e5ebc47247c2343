# SPDX-License-Identifier: Apache-2.0
"""Activation functions: values, names, gradients."""

from __future__ import annotations

import math

import numpy as np
import pytest

import elman
from acceptance import close
from elman import activations

K = elman.backend
A1 = [-3, -2.5, -1, 0, 1, 2.5, 3]
A2 = [-2, -0.5, 0, 1.5]
VALUES = {
    "linear": A2,
    "relu": [0, 0, 0, 1.5],
    "sigmoid": [0.119203, 0.377541, 0.5, 0.817574],
    "tanh": [-0.964028, -0.462117, 0, 0.905148],
    "softplus": [0.126928, 0.474077, 0.693147, 1.701413],
    "softsign": [-0.666667, -0.333333, 0, 0.6],
    "elu": [-0.864665, -0.393469, 0, 1.5],
    "selu": [-1.520166, -0.691758, 0, 1.576051],
    "exponential": [0.135335, 0.606531, 1, 4.481689],
    "softmax": [0.021746, 0.097457, 0.160680, 0.720117],
    "log_softmax": np.log([0.021746, 0.097457, 0.160680, 0.720117]),
    "silu": [x / (1 + math.exp(-x)) for x in A2],
    "swish": [x / (1 + math.exp(-x)) for x in A2],
    "gelu": [x * (1 + math.erf(x / math.sqrt(2))) / 2 for x in A2],
    "mish": [x * math.tanh(math.log1p(math.exp(x))) for x in A2],
    "relu6": [0, 0, 0, 1.5],
    "leaky_relu": [-0.4, -0.1, 0, 1.5],
}


@pytest.mark.parametrize("name", VALUES)
def test_values(name):
    tolerance = 1e-4 if name == "log_softmax" else 1e-5
    got = np.asarray(activations.get(name)(np.array(A2)))
    np.testing.assert_allclose(got, VALUES[name], rtol=0, atol=tolerance)
    assert got.dtype == "float64"
    assert np.asarray(activations.get(name)(np.float32(A2))).dtype == "float32"


def test_hard_sigmoids():
    close(activations.get("hard_sigmoid")(A1), [0, 0, 0.3, 0.5, 0.7, 1, 1])
    third = [0, 0.083333, 0.333333, 0.5, 0.666667, 0.916667, 1]
    close(activations.get("hard_sigmoid_v3")(A1), third)


def test_get():
    assert activations.get(None) is activations.linear
    assert activations.get(activations.tanh) is activations.tanh
    with pytest.raises(ValueError, match="unknown activation 'nope'; there are linear, relu"):
        activations.get("nope")
    with pytest.raises(ValueError, match="expected a name, a callable or None, got 3"):
        activations.get(3)
    for name in VALUES:
        kept = activations.serialize(activations.get(name))
        assert activations.get(kept) is activations.get(name)


def test_parameters():
    x = np.array(A2)
    close(activations.relu(x, negative_slope=0.5, max_value=1.0), [-1, -0.25, 0, 1])
    close(activations.elu(x, alpha=2.0), [2 * -0.864665, 2 * -0.393469, 0, 1.5])
    close(activations.leaky_relu(x, negative_slope=0.5), [-1, -0.25, 0, 1.5])
    inner = [math.sqrt(2 / math.pi) * (v + 0.044715 * v**3) for v in A2]
    approximate = [v * (1 + math.tanh(z)) / 2 for v, z in zip(A2, inner, strict=True)]
    close(activations.gelu(x, approximate=True), approximate)
    columns = activations.softmax(np.array([[1.0, 2.0], [3.0, 4.0]]), axis=0)
    np.testing.assert_allclose(np.asarray(columns).sum(0), 1)


@pytest.mark.parametrize("alpha", [0.0, 0.25, -0.5])
@pytest.mark.parametrize("max_value", [None, 1.75])
@pytest.mark.parametrize("threshold", [0.0, 0.5, -0.5])
def test_relu_with_all_its_arguments(alpha, max_value, threshold):
    """By Keras' own three cases, and the slope of each."""
    x = np.array([-2.0, -0.75, -0.25, 0.25, 0.75, 1.5, 3.0])
    expected, slopes = [], []
    for value in x:
        if max_value is not None and value >= max_value:
            expected.append(max_value), slopes.append(0.0)
        elif value >= threshold:
            expected.append(value), slopes.append(1.0)
        else:
            expected.append(alpha * (value - threshold)), slopes.append(alpha)
    source = elman.Variable(x)
    with elman.GradientTape() as tape:
        y = activations.relu(source, alpha, max_value, threshold)
        loss = K.sum(y * np.arange(1.0, 8.0))
    np.testing.assert_array_equal(y, expected)
    np.testing.assert_array_equal(tape.gradient(loss, source), slopes * np.arange(1.0, 8.0))
    named = K.relu(x, negative_slope=alpha, max_value=max_value, threshold=threshold)
    np.testing.assert_array_equal(named, expected)
    np.testing.assert_array_equal(K.relu(x, alpha=alpha, threshold=threshold).numpy()[:2], y[:2])


def test_relu_starts_at_its_threshold():
    close(activations.relu([0.5, 0.4999], threshold=0.5), [0.5, 0])
    with pytest.raises(ValueError, match=r"\[activations.relu\] alpha: expected one name"):
        activations.relu([1.0], alpha=0.5, negative_slope=0.25)


@pytest.mark.parametrize("name", [name for name in VALUES if name not in ("relu", "relu6")])
def test_gradients(name):
    function = activations.get(name)
    values, weights = np.array([-2.1, -0.4, 0.3, 1.7]), np.array([0.3, -1.2, 0.7, 2.0])
    x = elman.Variable(values)
    with elman.GradientTape() as tape:
        total = K.sum(function(x) * weights)
    step, numeric = 1e-6, []
    for k in range(4):
        sides = [values + sign * step * np.eye(4)[k] for sign in (1, -1)]
        high, low = (float(K.sum(function(side) * weights)) for side in sides)
        numeric.append((high - low) / (2 * step))
    np.testing.assert_allclose(tape.gradient(total, x), numeric, rtol=1e-6, atol=1e-8)


@pytest.mark.parametrize("name", VALUES)
def test_nan_stays_visible(name):
    assert np.isnan(np.asarray(activations.get(name)(np.array([0.5, np.nan])))).any()
