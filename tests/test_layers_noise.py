# SPDX-License-Identifier: Apache-2.0
"""Layers that are random in training: where, how much, by which seed, at any thread count."""

from __future__ import annotations

import copy

import numpy as np
import pytest

import elman
from elman.layers import (
    Dropout,
    GaussianDropout,
    GaussianNoise,
    SpatialDropout1D,
    SpatialDropout2D,
)
from test_determinism import same_with_all_threads

K = elman.backend
MADE = {
    "Dropout": lambda seed: Dropout(0.25, seed=seed),
    "SpatialDropout1D": lambda seed: SpatialDropout1D(0.25, seed),
    "GaussianNoise": lambda seed: GaussianNoise(0.25, seed),
    "GaussianDropout": lambda seed: GaussianDropout(0.25, seed),
}
X = np.random.default_rng(0).normal(size=(31, 5, 37)).astype("float32")


@pytest.mark.parametrize("name", MADE)
def test_training_only(name):
    layer = MADE[name](3)
    np.testing.assert_array_equal(layer(X), X)
    first, second = np.asarray(layer(X, training=True)), np.asarray(layer(X, training=True))
    assert (first != X).any()
    assert (first != second).any()
    np.testing.assert_array_equal(MADE[name](3)(X, training=True), first)
    assert (np.asarray(MADE[name](4)(X, training=True)) != first).any()
    continued = copy.deepcopy(layer)
    np.testing.assert_array_equal(layer(X, training=True), continued(X, training=True))
    assert layer(X.astype("float64"), training=True).dtype == "float32"
    assert type(layer)(0.25, seed=1, dtype="float64")(X, training=True).dtype == "float64"
    assert layer(X, training=True, mask=np.ones((31, 5), bool))._keras_mask is not None
    assert layer(elman.Input((None, 37))).shape == (None, None, 37)


@pytest.mark.parametrize("name", MADE)
def test_any_number_of_threads(name):
    def compute():
        layer, x = MADE[name](7), elman.Variable(np.tile(X, (1, 3, 7)))
        with elman.GradientTape() as tape:
            y = layer(x, training=True)
            loss = K.sum(y * y)
        return [y.numpy(), tape.gradient(loss, x).numpy()]

    same_with_all_threads(compute)


@pytest.mark.parametrize("name", MADE)
def test_the_gradient_is_that_of_the_noise_that_was_drawn(name):
    layer, x = MADE[name](5), elman.Variable(X)
    with elman.GradientTape() as tape:
        y = layer(x, training=True)
        loss = K.sum(y)
    slope = np.asarray(tape.gradient(loss, x))
    if name == "GaussianNoise":
        np.testing.assert_array_equal(slope, np.ones_like(X))
    else:
        np.testing.assert_allclose(slope * X, y, rtol=1e-6, atol=1e-7)


def test_distributions():
    """Mean and deviation within five standard errors of a sample of that size."""
    x = np.full((401, 1009), 2.0, "float64")
    n = x.size
    y = np.asarray(GaussianNoise(0.5, 1, dtype="float64")(x, training=True)) - x
    assert abs(y.mean()) < 5 * 0.5 / np.sqrt(n)
    assert abs(y.std() - 0.5) < 5 * 0.5 / np.sqrt(2 * n)
    y = np.asarray(GaussianDropout(0.2, 1, dtype="float64")(x, training=True)) / x
    deviation = np.sqrt(0.2 / 0.8)
    assert abs(y.mean() - 1) < 5 * deviation / np.sqrt(n)
    assert abs(y.std() - deviation) < 5 * deviation / np.sqrt(2 * n)


def test_whole_features_are_dropped():
    y = np.asarray(SpatialDropout1D(0.5, seed=1)(np.ones((401, 3, 101)), training=True))
    assert (y == y[:, :1]).all()
    assert set(np.unique(y)) == {0.0, 2.0}
    share = (y[:, 0] == 0).mean()
    assert abs(share - 0.5) < 5 * 0.5 / np.sqrt(401 * 101)
    last = np.asarray(SpatialDropout2D(0.5, seed=1)(np.ones((7, 3, 5, 11)), training=True))
    assert (last == last[:, :1, :1]).all()
    assert set(np.unique(last)) == {0.0, 2.0}
    layer = SpatialDropout2D(0.5, "channels_first", seed=1)
    first = np.asarray(layer(np.ones((7, 11, 3, 5)), training=True))
    np.testing.assert_array_equal(first.transpose(0, 2, 3, 1), last)


@pytest.mark.parametrize("rate", [0.0, 1.0])
def test_nothing_happens_at_the_ends(rate):
    x = np.ones((2, 3, 5), "float32")
    for layer in (Dropout(rate), SpatialDropout1D(rate), GaussianDropout(rate), GaussianNoise(0)):
        np.testing.assert_array_equal(layer(x, training=True), x)


def test_errors():
    for cls in (SpatialDropout1D, SpatialDropout2D, GaussianDropout):
        with pytest.raises(ValueError, match=rf"\[{cls.__name__}\] rate: expected a number from 0"):
            cls(1.5)
    with pytest.raises(
        ValueError, match=r"\[GaussianNoise\] stddev: expected a finite number of at"
    ):
        GaussianNoise(-1)
    with pytest.raises(ValueError, match=r"\[SpatialDropout1D.call\] x: expected \(N, T, F\), got"):
        SpatialDropout1D(0.5)(np.ones((2, 3)))
    with pytest.raises(ValueError, match=r"\[SpatialDropout2D.call\] x: expected \(N, H, W, F\)"):
        SpatialDropout2D(0.5)(np.ones((2, 3, 5)))
