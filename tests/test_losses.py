# SPDX-License-Identifier: Apache-2.0
"""Losses against formulas in numpy: values, gradients, reductions, weights and masks."""

from __future__ import annotations

import numpy as np
import pytest

import elman
from elman import losses

RNG = np.random.default_rng(11)
N, T, C = 5, 3, 4
EPS = 1e-7


def softmax(x):
    e = np.exp(x - x.max(-1, keepdims=True))
    return e / e.sum(-1, keepdims=True)


def sigmoid(x):
    return 1 / (1 + np.exp(-x))


REAL = RNG.normal(size=(N, T, C))
TRUE = RNG.normal(size=(N, T, C))
LOGITS = RNG.normal(0, 3, size=(N, T, C))
PROBS = softmax(RNG.normal(size=(N, T, C)))
IDS = RNG.integers(0, C, (N, T))
HOT = np.eye(C)[IDS]
BITS = RNG.integers(0, 2, (N, T, C)).astype(float)


def np_huber(y, p, delta):
    e = np.abs(y - p)
    return np.where(e <= delta, 0.5 * e**2, delta * e - 0.5 * delta**2).mean(-1)


def np_cosine(y, p):
    unit = [v / np.sqrt(np.maximum((v**2).sum(-1, keepdims=True), EPS)) for v in (y, p)]
    return -(unit[0] * unit[1]).sum(-1)


def np_kl(y, p):
    y, p = np.clip(y, EPS, 1), np.clip(p, EPS, 1)
    return (y * np.log(y / p)).sum(-1)


def np_bce(y, p):
    p = np.clip(p, EPS, 1 - EPS)
    return -(y * np.log(p) + (1 - y) * np.log(1 - p)).mean(-1)


def np_cce(y, p):
    p = np.clip(p / p.sum(-1, keepdims=True), EPS, 1 - EPS)
    return -(y * np.log(p)).sum(-1)


# name, options, y_true, y_pred, expected values
CASES = [
    ("mean_squared_error", {}, TRUE, REAL, ((TRUE - REAL) ** 2).mean(-1)),
    ("mean_absolute_error", {}, TRUE, REAL, np.abs(TRUE - REAL).mean(-1)),
    ("huber", {}, TRUE, 2 * REAL, np_huber(TRUE, 2 * REAL, 1.0)),
    ("huber", {"delta": 0.3}, TRUE, REAL, np_huber(TRUE, REAL, 0.3)),
    ("kl_divergence", {}, PROBS[::-1], PROBS, np_kl(PROBS[::-1], PROBS)),
    ("poisson", {}, BITS, PROBS, (PROBS - BITS * np.log(PROBS + EPS)).mean(-1)),
    ("cosine_similarity", {}, TRUE, REAL, np_cosine(TRUE, REAL)),
    ("binary_crossentropy", {}, BITS, PROBS, np_bce(BITS, PROBS)),
    ("binary_crossentropy", {"from_logits": True}, BITS, LOGITS, np_bce(BITS, sigmoid(LOGITS))),
    (
        "binary_crossentropy",
        {"label_smoothing": 0.2},
        BITS,
        PROBS,
        np_bce(BITS * 0.8 + 0.1, PROBS),
    ),
    ("categorical_crossentropy", {}, HOT, PROBS, np_cce(HOT, PROBS)),
    ("categorical_crossentropy", {}, HOT, 3 * PROBS, np_cce(HOT, PROBS)),
    (
        "categorical_crossentropy",
        {"from_logits": True},
        HOT,
        LOGITS,
        np_cce(HOT, softmax(LOGITS)),
    ),
    (
        "categorical_crossentropy",
        {"label_smoothing": 0.3},
        HOT,
        PROBS,
        np_cce(HOT * 0.7 + 0.3 / C, PROBS),
    ),
    ("sparse_categorical_crossentropy", {}, IDS, PROBS, np_cce(HOT, PROBS)),
    (
        "sparse_categorical_crossentropy",
        {"from_logits": True},
        IDS[..., None],
        LOGITS,
        np_cce(HOT, softmax(LOGITS)),
    ),
]
CLASSES = {
    "mean_squared_error": "MeanSquaredError",
    "mean_absolute_error": "MeanAbsoluteError",
    "huber": "Huber",
    "kl_divergence": "KLDivergence",
    "poisson": "Poisson",
    "cosine_similarity": "CosineSimilarity",
    "binary_crossentropy": "BinaryCrossentropy",
    "categorical_crossentropy": "CategoricalCrossentropy",
    "sparse_categorical_crossentropy": "SparseCategoricalCrossentropy",
}
ids = [f"{name}-{options}" for name, options, *_ in CASES]


@pytest.mark.parametrize(("name", "options", "y", "p", "expected"), CASES, ids=ids)
def test_values(name, options, y, p, expected):
    function = getattr(losses, name)
    np.testing.assert_allclose(function(y, p, **options), expected, rtol=1e-12, atol=1e-12)
    single = function(y.astype("float32"), p.astype("float32"), **options)
    assert single.dtype == "float32"
    np.testing.assert_allclose(single, expected, rtol=3e-5, atol=3e-6)
    loss = getattr(losses, CLASSES[name])(**options)
    assert float(loss(y, p)) == pytest.approx(expected.mean(), rel=1e-12)


@pytest.mark.parametrize(("name", "options", "y", "p", "expected"), CASES, ids=ids)
def test_gradients(name, options, y, p, expected):
    """Central differences, step 1e-6: truncation error of order 1e-12, rounding 1e-10."""
    function = getattr(losses, name)
    weight = RNG.normal(size=expected.shape)
    variable = elman.Variable(p)
    with elman.GradientTape() as tape:
        total = elman.backend.sum(function(y, variable, **options) * weight)
    found = tape.gradient(total, variable).numpy()
    for index in [(0, 0, 0), (1, 2, 3), (4, 1, 1), (2, 0, 2)]:
        ends = []
        for sign in (1, -1):
            moved = p.copy()
            moved[index] += sign * 1e-6
            ends.append((np.asarray(function(y, moved, **options)) * weight).sum())
        assert found[index] == pytest.approx((ends[0] - ends[1]) / 2e-6, rel=1e-6, abs=1e-8)


def test_crossentropy_of_certain_mistakes_is_finite():
    y, p = np.array([[0.0, 1.0]]), np.array([[1.0, 0.0]])
    for name in ("binary_crossentropy", "categorical_crossentropy"):
        value = float(getattr(losses, name)(y, p)[0])
        assert 15 < value < 17  # -log(1e-7) = 16.1
    assert 15 < float(losses.sparse_categorical_crossentropy([1], p)[0]) < 17
    huge = float(losses.categorical_crossentropy(y, p * 1e4, from_logits=True)[0])
    assert huge == pytest.approx(1e4)
    assert float(losses.binary_crossentropy([[1.0]], [[-1e4]], from_logits=True)[0]) == 1e4


def test_ignored_classes():
    ids = np.where(IDS == 2, -1, IDS)
    p = LOGITS.copy()
    p[ids == -1] = np.nan
    loss = losses.SparseCategoricalCrossentropy(from_logits=True, ignore_class=-1)
    expected = np_cce(HOT, softmax(LOGITS))[ids != -1].mean()
    variable = elman.Variable(p)
    with elman.GradientTape() as tape:
        value = loss(ids, variable)
    assert float(value) == pytest.approx(expected, rel=1e-12)
    grad = tape.gradient(value, variable).numpy()
    np.testing.assert_array_equal(grad[ids == -1], 0.0)
    assert np.abs(grad[ids != -1]).min(axis=-1).max() > 0


# --- reductions, weights, masks ------------------------------------------------------------------

LOSS = ((TRUE - REAL) ** 2).mean(-1)  # (N, T)
PER_SAMPLE = np.array([1.0, 0.0, 2.0, 0.5, 3.0])
PER_STEP = RNG.uniform(0, 2, (N, T))


@pytest.mark.parametrize("weight", [None, PER_SAMPLE, PER_STEP, PER_SAMPLE[:, None]])
def test_reductions(weight):
    w = np.ones((N, T))
    if weight is not None:
        w = np.broadcast_to(weight if weight.ndim == 2 else weight[:, None], (N, T))
    wanted = {
        "sum_over_batch_size": (w * LOSS).sum() / (N * T),
        "mean": (w * LOSS).sum() / (N * T),
        "sum": (w * LOSS).sum(),
        "mean_with_sample_weight": (w * LOSS).sum() / w.sum(),
    }
    for reduction, expected in wanted.items():
        loss = losses.MeanSquaredError(reduction=reduction)
        assert float(loss(TRUE, REAL, weight)) == pytest.approx(expected, rel=1e-12), reduction
    for reduction in ("none", None):
        values = losses.MeanSquaredError(reduction=reduction)(TRUE, REAL, weight)
        np.testing.assert_allclose(values, w * LOSS, rtol=1e-12)


@pytest.mark.parametrize("weight", [None, PER_SAMPLE])
def test_masks_weight_the_loss(weight):
    """Steps under the mask do not count; the rest is a mean over the steps in use."""
    mask = np.array([[1, 1, 0], [1, 0, 0], [1, 1, 1], [0, 0, 0], [0, 1, 1]], bool)
    pred = elman.Tensor(REAL)
    pred._keras_mask = elman.Tensor(mask)
    w = np.ones(N) if weight is None else weight
    expected = (LOSS * w[:, None] * mask).sum() / mask.sum()
    assert float(losses.MeanSquaredError()(TRUE, pred, weight)) == pytest.approx(expected)
    summed = losses.MeanSquaredError(reduction="sum")(TRUE, pred, weight)
    assert float(summed) == pytest.approx((LOSS * w[:, None] * mask).sum())
    pred._keras_mask = elman.Tensor(np.zeros((N, T), bool))
    assert float(losses.MeanSquaredError()(TRUE, pred, weight)) == 0.0


def test_shapes_that_meet():
    column = np.arange(4.0)[:, None]
    for y, p in ((column[:, 0], column + 1), (column, column[:, 0] + 1)):
        assert np.asarray(losses.mean_squared_error(y, p)).mean() == 1.0
    assert losses.mean_squared_error([1, 2], [1.5, 2.5]).dtype == "float32"


def test_wrong_shapes_and_labels():
    with pytest.raises(ValueError, match=r"\[mean_squared_error\] y_true: expected \(5, 1\), got"):
        losses.mean_squared_error(np.zeros((5, 3)), np.zeros((5, 1)))
    with pytest.raises(ValueError, match="sparse_categorical_crossentropy or utils"):
        losses.categorical_crossentropy(np.zeros(5, int), np.full((5, 3), 1 / 3))
    with pytest.raises(ValueError, match="for one-hot labels use categorical_crossentropy"):
        losses.sparse_categorical_crossentropy(np.eye(3), np.full((3, 3), 1 / 3))
    with pytest.raises(ValueError, match=r"whole numbers, got 0\.5"):
        losses.sparse_categorical_crossentropy([0.5], [[0.5, 0.5]])
    for bad in (2, -1):
        with pytest.raises((ValueError, IndexError), match=rf"{bad}"):
            losses.sparse_categorical_crossentropy([bad], [[0.5, 0.5]])
    with pytest.raises(ValueError, match="sample_weight"):
        losses.MeanSquaredError()(TRUE, REAL, np.ones(4))
    with pytest.raises(ValueError, match="reduction: expected one of"):
        losses.Huber(reduction="avg")


def test_axis_of_the_classes():
    first = np.moveaxis(PROBS, -1, 1)
    found = losses.categorical_crossentropy(np.moveaxis(HOT, -1, 1), first, axis=1)
    np.testing.assert_allclose(found, np_cce(HOT, PROBS), rtol=1e-12)
    found = losses.sparse_categorical_crossentropy(IDS, first, axis=1)
    np.testing.assert_allclose(found, np_cce(HOT, PROBS), rtol=1e-12)


def test_names():
    assert losses.get("mse") is losses.mean_squared_error
    assert losses.get("KLD") is losses.kl_divergence
    assert isinstance(losses.get("Huber"), losses.Huber)
    assert losses.get(None) is None
    with pytest.raises(ValueError, match="did you mean 'binary_crossentropy'"):
        losses.get("binary_crosentropy")
    loss = losses.CategoricalCrossentropy(from_logits=True, label_smoothing=0.1)
    copy = losses.get(losses.serialize(loss))
    assert copy.get_config() == loss.get_config()
    assert float(copy(HOT, LOGITS)) == float(loss(HOT, LOGITS))


def test_own_losses():
    class Quartic(losses.Loss):
        def call(self, y_true, y_pred):
            return elman.backend.mean((y_true - y_pred) ** 4, axis=-1)

    expected = ((TRUE - REAL) ** 4).mean()
    assert float(Quartic()(TRUE, REAL)) == pytest.approx(expected, rel=1e-12)
    with pytest.raises(TypeError, match="must define call"):
        losses.Loss()(TRUE, REAL)
