# SPDX-License-Identifier: Apache-2.0
"""BatchNormalization with a mask and features on an axis that the mask covers in part."""

from __future__ import annotations

import math

import numpy as np
import pytest

import elman
from elman.layers import BatchNormalization
from test_normalization import check_gradients

K = elman.backend


def by_axis(x, used, axis, gamma, beta, epsilon=1e-3):
    """Each slice of `axis` normalized by the values of it that count, one at a time."""
    y, means, variances = np.empty_like(x), [], []
    for j in range(x.shape[axis]):
        place = (slice(None),) * axis + (j,)
        values = [v for v, use in zip(x[place].ravel(), used[place].ravel(), strict=True) if use]
        mean = math.fsum(values) / max(1, len(values))
        variance = math.fsum((v - mean) ** 2 for v in values) / max(1, len(values))
        y[place] = (x[place] - mean) / math.sqrt(variance + epsilon) * gamma[j] + beta[j]
        means.append(mean), variances.append(variance)
    return y, np.array(means), np.array(variances)


@pytest.mark.parametrize(("shape", "axis"), [((3, 5, 7), 1), ((3, 5, 2, 7), 1), ((3, 5, 7, 2), 2)])
def test_a_mask_with_features_on_another_axis(shape, axis):
    rng, size = np.random.default_rng(4), shape[axis]
    x, mask = rng.normal(size=shape), rng.random(shape[:2]) < 0.6
    mask[:, 1] = False  # with axis 1, a feature of which nothing counts
    used = np.broadcast_to(mask.reshape(mask.shape + (1,) * (len(shape) - 2)), shape)
    gamma, beta = rng.normal(size=size), rng.normal(size=size)
    layer = BatchNormalization(axis=axis, momentum=0.5, dtype="float64")
    layer.build(shape)
    layer.set_weights([gamma, beta, np.full(size, 2.0), np.full(size, 3.0)])
    y, mean, variance = by_axis(x, used, axis, gamma, beta)
    np.testing.assert_allclose(layer(x, mask=mask, training=True), y, rtol=0, atol=1e-12)
    kept = np.moveaxis(used, axis, 0).reshape(size, -1).any(1)
    expected = np.where(kept, 0.5 * 2 + 0.5 * mean, 2), np.where(kept, 0.5 * (3 + variance), 3)
    np.testing.assert_allclose(layer.moving_mean, expected[0], rtol=0, atol=1e-12)
    np.testing.assert_allclose(layer.moving_variance, expected[1], rtol=0, atol=1e-12)

    def function(x, gamma, beta):
        layer.gamma, layer.beta = gamma, beta
        return layer(x, mask=mask, training=True)

    check_gradients(function, lambda x, g, b: by_axis(x, used, axis, g, b)[0], [x, gamma, beta])
    holes = elman.Variable(np.where(used, x, np.nan))
    with elman.GradientTape() as tape:
        loss = K.sum(K.where(used, layer(holes, mask=mask, training=True), 0.0))
    assert all(
        np.isfinite(np.asarray(g)).all() for g in tape.gradient(loss, [layer.gamma, layer.beta])
    )


def test_a_model_with_a_mask_and_features_on_the_time_axis_trains():
    ids = np.random.default_rng(0).integers(0, 3, (8, 5))
    model = elman.Sequential([elman.layers.Embedding(3, 4, mask_zero=True, input_length=5)])
    model.add(BatchNormalization(axis=1))
    model.add(elman.layers.GRU(2))
    model.compile("sgd", "mse")
    loss = model.fit(ids, np.zeros((8, 2)), epochs=2, verbose=0).history["loss"]
    assert np.isfinite(loss).all()
