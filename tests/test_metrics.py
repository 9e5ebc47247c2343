# SPDX-License-Identifier: Apache-2.0
"""Metrics against numpy and scikit-learn, over several batches, with weights and masks."""

from __future__ import annotations

import numpy as np
import pytest
from sklearn import metrics as sk

import elman
from elman import metrics

RNG = np.random.default_rng(3)
N, C = 97, 4
SCORES = RNG.dirichlet(np.ones(C), N)
IDS = RNG.integers(0, C, N)
HOT = np.eye(C)[IDS]
BITS = RNG.integers(0, 2, N)
CHANCE = np.clip(0.2 * BITS + RNG.uniform(0, 0.7, N), 0, 1)
WEIGHT = RNG.uniform(0, 2, N)
REAL, GUESS = RNG.normal(size=(N, C)), RNG.normal(size=(N, C))


def over_batches(metric, y, p, weight=None, sizes=(10, 1, 40)):
    """The result after batches of several sizes."""
    begin = 0
    for size in (*sizes, N - sum(sizes)):
        rows = slice(begin, begin + size)
        begin += size
        metric.update_state(y[rows], p[rows], None if weight is None else weight[rows])
    return metric.result()


def top_k(k):
    order = np.argsort(-SCORES, axis=1)[:, :k]
    return (order == IDS[:, None]).any(1)


# metric, targets, predictions, value per sample
MEANS = [
    ("MeanSquaredError", {}, REAL, GUESS, ((REAL - GUESS) ** 2).mean(1)),
    ("MeanSquaredError", {}, REAL[:, 0], GUESS[:, 0], (REAL - GUESS)[:, 0] ** 2),
    ("BinaryAccuracy", {}, BITS, CHANCE, (CHANCE > 0.5) == BITS),
    ("MeanAbsoluteError", {}, REAL, GUESS, np.abs(REAL - GUESS).mean(1)),
    ("Accuracy", {}, IDS, SCORES.argmax(1), SCORES.argmax(1) == IDS),
    ("BinaryAccuracy", {}, BITS, CHANCE[:, None], (CHANCE > 0.5) == BITS),
    ("BinaryAccuracy", {"threshold": 0.3}, BITS[:, None], CHANCE[:, None], (CHANCE > 0.3) == BITS),
    ("CategoricalAccuracy", {}, HOT, SCORES, SCORES.argmax(1) == IDS),
    ("SparseCategoricalAccuracy", {}, IDS, SCORES, SCORES.argmax(1) == IDS),
    ("SparseCategoricalAccuracy", {}, IDS[:, None], SCORES, SCORES.argmax(1) == IDS),
    ("TopKCategoricalAccuracy", {"k": 2}, HOT, SCORES, top_k(2)),
    ("SparseTopKCategoricalAccuracy", {"k": 3}, IDS, SCORES, top_k(3)),
]


@pytest.mark.parametrize(("name", "options", "y", "p", "values"), MEANS, ids=lambda v: str(v)[:30])
@pytest.mark.parametrize("form", [np.asarray, elman.Tensor], ids=["array", "tensor"])
def test_means(name, options, y, p, values, form):
    metric = getattr(metrics, name)(**options)
    found = over_batches(metric, y, form(p))
    assert isinstance(found, float)
    assert found == pytest.approx(values.mean(), rel=1e-12)
    metric.reset_state()
    assert metric.result() == 0.0
    found = over_batches(metric, y, form(p), WEIGHT)
    assert found == pytest.approx((values * WEIGHT).sum() / WEIGHT.sum(), rel=1e-12)
    assert 0.02 < values.mean() < 0.98 or name.startswith("Mean")  # neither trivial value


def test_root_mean_squared_error():
    expected = sk.root_mean_squared_error(REAL, GUESS)
    found = over_batches(metrics.RootMeanSquaredError(), REAL, GUESS)
    # scikit-learn averages the roots of the columns; one column has no such difference
    column = sk.root_mean_squared_error(REAL[:, 0], GUESS[:, 0])
    single = over_batches(metrics.RootMeanSquaredError(), REAL[:, :1], GUESS[:, :1])
    assert single == pytest.approx(column, rel=1e-12)
    assert found == pytest.approx(np.sqrt(((REAL - GUESS) ** 2).mean()), rel=1e-12)
    assert found != pytest.approx(expected, rel=1e-9)


@pytest.mark.parametrize("weight", [None, WEIGHT], ids=["plain", "weighted"])
@pytest.mark.parametrize("threshold", [None, 0.3, 0.6])
def test_precision_and_recall(weight, threshold):
    positive = (0.5 if threshold is None else threshold) < CHANCE
    for ours, theirs in (("Precision", sk.precision_score), ("Recall", sk.recall_score)):
        metric = getattr(metrics, ours)(thresholds=threshold)
        expected = theirs(BITS, positive, sample_weight=weight)
        found = over_batches(metric, BITS, CHANCE[:, None], weight)
        assert found == pytest.approx(expected, rel=1e-12)
        assert 0.1 < found < 1.0
        metric.reset_state()
        assert metric.result() == 0.0


def test_several_thresholds():
    found = over_batches(metrics.Recall([0.2, 0.5, 0.8]), BITS, CHANCE)
    expected = [sk.recall_score(BITS, t < CHANCE) for t in (0.2, 0.5, 0.8)]
    np.testing.assert_allclose(found, expected, rtol=1e-12)


def test_precision_of_the_best_and_of_one_class():
    metric = metrics.Precision(top_k=1)
    assert over_batches(metric, HOT, SCORES) == pytest.approx((SCORES.argmax(1) == IDS).mean())
    metric = metrics.Recall(top_k=2)
    assert over_batches(metric, HOT, SCORES) == pytest.approx(top_k(2).mean())
    metric = metrics.Recall(class_id=2, thresholds=0.3)
    expected = sk.recall_score(IDS == 2, SCORES[:, 2] > 0.3)
    assert over_batches(metric, HOT, SCORES) == pytest.approx(expected)
    metric = metrics.Precision(class_id=1, top_k=2, thresholds=0.1)
    order = np.argsort(-SCORES, axis=1)[:, :2]
    positive = (order == 1).any(1) & (SCORES[:, 1] > 0.1)
    assert over_batches(metric, HOT, SCORES) == pytest.approx(
        sk.precision_score(IDS == 1, positive)
    )


@pytest.mark.parametrize("weight", [None, WEIGHT], ids=["plain", "weighted"])
def test_area_under_the_roc_curve(weight):
    """Scores on the thresholds' own grid: the curve through them is scikit-learn's exactly."""
    scores = np.round(CHANCE * 50) / 50 + 1e-9
    metric = metrics.AUC(num_thresholds=51)
    found = over_batches(metric, BITS, np.minimum(scores, 1.0), weight)
    assert found == pytest.approx(sk.roc_auc_score(BITS, scores, sample_weight=weight), abs=1e-12)
    assert 0.6 < found < 0.95
    fine = over_batches(metrics.AUC(num_thresholds=5000), BITS, CHANCE, weight)
    exact = sk.roc_auc_score(BITS, CHANCE, sample_weight=weight)
    assert fine == pytest.approx(exact, abs=2e-4)


def test_area_under_the_precision_recall_curve():
    fine = over_batches(metrics.AUC(5000, curve="PR"), BITS, CHANCE)
    precision, recall, _ = sk.precision_recall_curve(BITS, CHANCE)
    assert fine == pytest.approx(sk.auc(recall, precision), abs=0.01)
    low = over_batches(metrics.AUC(50, "PR", "minoring"), BITS, CHANCE)
    high = over_batches(metrics.AUC(50, "PR", "majoring"), BITS, CHANCE)
    assert low < over_batches(metrics.AUC(50, curve="PR"), BITS, CHANCE) < high


def test_examples_of_keras():
    """The docstring of keras.metrics.AUC; `interpolation` of PR is checked by hand.

    Thresholds -1e-7, 0.5, 1: tp 2 1 0, fp 2 0 0. From 0.5 to all: slope dtp/dp = 1/3, intercept
    1 - 1/3 = 2/3, area (1/3) (1 + 2/3 log 4) / 2; from 1 to 0.5: slope 1, dtp 1, area 1/2.
    """
    y, p = [0, 0, 1, 1], [0, 0.5, 0.3, 0.9]
    assert metrics.AUC(num_thresholds=3)(y, p) == 0.75
    assert metrics.AUC(num_thresholds=3)(y, p, [1, 0, 0, 1]) == 1.0
    by_hand = (1 + 2 / 3 * np.log(4)) / 6 + 0.5
    assert metrics.AUC(num_thresholds=3, curve="PR")(y, p) == pytest.approx(by_hand, rel=1e-12)


def test_labels_with_an_area_each():
    y, p = np.stack([BITS, 1 - BITS], 1), np.stack([CHANCE, CHANCE], 1)
    one = metrics.AUC()(BITS, CHANCE)
    assert metrics.AUC(multi_label=True)(y, p) == pytest.approx(0.5, abs=0.02)
    weighted = metrics.AUC(multi_label=True, label_weights=[3.0, 1.0])(y, p)
    assert weighted == pytest.approx(0.75 * one + 0.25 * (1 - one), abs=0.02)
    logits = np.log(CHANCE / (1 - CHANCE + 1e-12) + 1e-12)
    assert metrics.AUC(from_logits=True)(BITS, logits) == pytest.approx(one, abs=1e-9)


def test_wrong_input():
    with pytest.raises(ValueError, match=r"\[AUC\] y_pred: expected values in \[0, 1\], got 1.5"):
        metrics.AUC()([0, 1], [0.5, 1.5])
    for bad in (np.nan, -0.1):
        with pytest.raises(ValueError, match="from_logits"):
            metrics.AUC()([0, 1], [0.5, bad])
    for kwargs in ({"curve": "X"}, {"summation_method": "x"}, {"num_thresholds": 1}):
        with pytest.raises(ValueError, match=rf"\[AUC\] {next(iter(kwargs))}"):
            metrics.AUC(**kwargs)
    for bad in ([], 1.5, [0.5, -1]):
        with pytest.raises(ValueError, match=r"\[Recall\] thresholds"):
            metrics.Recall(bad)
    with pytest.raises(ValueError, match="y_true"):
        metrics.MeanSquaredError()(np.zeros((3, 2)), np.zeros((3, 1)))


def test_masks_take_steps_out():
    """Also when the padded steps hold NaN."""
    y, p = REAL[:6].reshape(2, 3, 4), GUESS[:6].reshape(2, 3, 4).copy()
    mask = np.array([[1, 1, 0], [1, 0, 0]], bool)
    expected = ((y - p) ** 2).mean(-1)[mask].mean()
    p[~mask] = np.nan
    pred = elman.Tensor(p)
    pred._keras_mask = elman.Tensor(mask)
    assert metrics.MeanSquaredError()(y, pred) == pytest.approx(expected, rel=1e-12)
    bits, chance = BITS[:6].reshape(2, 3, 1), CHANCE[:6].reshape(2, 3, 1)
    pred = elman.Tensor(chance)
    pred._keras_mask = elman.Tensor(mask)
    expected = sk.recall_score(bits[mask], chance[mask] > 0.5)
    assert metrics.Recall()(bits, pred) == pytest.approx(expected)


def test_mean_and_sum():
    mean, total = metrics.Mean(), metrics.Sum()
    for values, weight in (([1.0, 3.0], None), (5.0, None), ([[2.0, 4.0]], [0.5])):
        mean.update_state(values, weight)
        total.update_state(values, weight)
    assert total.result() == 12.0
    assert mean.result() == 12.0 / 4.0
    assert mean([10.0]) == 22.0 / 5.0


def test_means_of_a_function():
    def twice(y_true, y_pred):
        return elman.backend.sum(elman.backend.abs(y_true - y_pred), axis=-1)

    metric = metrics.get(twice)
    assert metric.name == "twice"
    expected = np.abs(REAL - GUESS).sum(-1).mean()
    assert over_batches(metric, REAL, GUESS) == pytest.approx(expected, rel=1e-12)


def test_names():
    for name in ("mse", "mae", "auc", "AUC", "acc", "Precision", "recall", "huber"):
        assert isinstance(metrics.get(name), metrics.Metric)
    with pytest.raises(ValueError, match="did you mean 'precision'"):
        metrics.get("precison")
    metric = metrics.AUC(num_thresholds=7, curve="PR", name="area")
    copy = metrics.get(metrics.serialize(metric))
    assert copy.get_config() == metric.get_config()
    assert copy(BITS, CHANCE) == metric(BITS, CHANCE)


LOGITS = elman.losses.BinaryCrossentropy(from_logits=True)


@pytest.mark.parametrize(
    ("loss", "y", "p", "kind", "threshold"),
    [
        ("mse", (5,), (5, 1), "BinaryAccuracy", 0.5),
        ("binary_crossentropy", (5, 3), (5, 3), "BinaryAccuracy", 0.5),
        (LOGITS, (5, 1), (5, 1), "BinaryAccuracy", 0.0),
        ("categorical_crossentropy", (5, 3), (5, 3), "CategoricalAccuracy", None),
        ("mse", (5, 3), (5, 3), "CategoricalAccuracy", None),
        ("sparse_categorical_crossentropy", (5, 1), (5, 3), "SparseCategoricalAccuracy", None),
        ("mse", (5,), (5, 3), "SparseCategoricalAccuracy", None),
        ("sparse_categorical_crossentropy", (5, 7), (5, 7, 3), "SparseCategoricalAccuracy", None),
    ],
)
def test_what_accuracy_means(loss, y, p, kind, threshold):
    found = metrics.choose_accuracy(elman.losses.as_loss(loss), np.zeros(y), np.zeros(p), "acc")
    assert type(found).__name__ == kind
    assert found.name == "acc"
    assert found.options.get("threshold") == threshold
