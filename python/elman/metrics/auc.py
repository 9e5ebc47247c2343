# SPDX-License-Identifier: Apache-2.0
"""Area under the ROC or the precision-recall curve, by counts at fixed thresholds."""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any

import numpy as np

from elman._errors import fail_text
from elman.metrics.base import Metric
from elman.metrics.confusion import confusion_inputs

_CURVES = ("ROC", "PR")
_SUMS = ("interpolation", "minoring", "majoring")


def _ratio(a: np.ndarray, b: np.ndarray) -> np.ndarray:
    return np.divide(a, b, out=np.zeros(np.broadcast(a, b).shape), where=b != 0)


class AUC(Metric):
    """Area under a curve of a binary classifier.

    Args:
        num_thresholds: points on the curve, spread evenly over [0, 1] when `thresholds` is None.
        curve: 'ROC' or 'PR'.
        summation_method: 'interpolation' (trapezoids; for PR the formula of Davis & Goadrich
            2006), 'minoring' or 'majoring'.
        name: the key in logs.
        dtype: accepted as in Keras.
        thresholds: own thresholds in [0, 1]; 0 and 1 are added.
        multi_label: average the areas of the columns of `y_pred` (N, L) instead of mixing them.
        num_labels: accepted as in Keras; the first batch decides.
        label_weights: weights of the columns.
        from_logits: apply sigmoid to `y_pred`.

    Predictions must lie in [0, 1]; a value outside raises ValueError.

    Example:
        >>> import elman
        >>> metric = elman.metrics.AUC(num_thresholds=3)
        >>> metric.update_state([0, 0, 1, 1], [0, 0.5, 0.3, 0.9])
        >>> metric.result()
        0.75

    Source: keras/src/metrics/confusion_metrics.py, AUC.
    """

    def __init__(
        self,
        num_thresholds: int = 200,
        curve: str = "ROC",
        summation_method: str = "interpolation",
        name: str | None = None,
        dtype: str | None = None,
        thresholds: Sequence[float] | None = None,
        multi_label: bool = False,
        num_labels: int | None = None,
        label_weights: Sequence[float] | None = None,
        from_logits: bool = False,
    ) -> None:
        super().__init__(name, dtype)
        if curve not in _CURVES:
            raise ValueError(fail_text("AUC", "curve", "'ROC' or 'PR'", repr(curve)))
        if summation_method not in _SUMS:
            expected = "one of " + ", ".join(map(repr, _SUMS))
            raise ValueError(fail_text("AUC", "summation_method", expected, repr(summation_method)))
        self.curve, self.summation_method = curve, summation_method
        self.multi_label, self.num_labels = multi_label, num_labels
        self.label_weights = label_weights
        self.from_logits = from_logits
        self._own = None if thresholds is None else sorted(thresholds)
        if self._own is None:
            if num_thresholds <= 1:
                raise ValueError(fail_text("AUC", "num_thresholds", "at least 2", num_thresholds))
            inner = [i / (num_thresholds - 1) for i in range(1, num_thresholds - 1)]
        else:
            inner = list(self._own)
            if any(not 0 <= limit <= 1 for limit in inner):
                raise ValueError(fail_text("AUC", "thresholds", "numbers in [0, 1]", inner))
        # The outer two make everything positive, then nothing.
        self._limits = np.array([-1e-7, *inner, 1.0 + 1e-7])
        self.num_thresholds = len(self._limits)
        self.reset_state()

    @property
    def thresholds(self) -> list[float]:
        """The thresholds in use."""
        return self._limits.tolist()

    def reset_state(self) -> None:
        """Forget everything."""
        # [label, bucket, negative/positive]; predictions in bucket b exceed b thresholds.
        self._counts: np.ndarray | None = None

    def update_state(self, y_true: Any, y_pred: Any, sample_weight: Any = None) -> None:
        """Shapes: y_true, y_pred (...), or (N, L) for `multi_label`; sample_weight (N,)."""
        truth, scores, weight = confusion_inputs("AUC", y_true, y_pred, sample_weight)
        if self.from_logits:
            scores = 0.5 * (1.0 + np.tanh(0.5 * scores))
        wrong = ~((scores >= 0) & (scores <= 1))
        if weight is not None:
            wrong &= weight != 0
        if wrong.any():
            hint = "use from_logits=True for logits"
            got = scores[wrong].flat[0]
            raise ValueError(fail_text("AUC", "y_pred", "values in [0, 1]", got, hint))
        labels = 1
        if self.multi_label:
            if scores.ndim != 2:
                raise ValueError(fail_text("AUC", "y_pred", "shape (N, L)", scores.shape))
            labels = scores.shape[1]
        columns = np.broadcast_to(np.arange(labels), scores.shape) if self.multi_label else 0
        weight = self._label_weighted(scores.shape, weight)
        bucket = np.searchsorted(self._limits, scores, side="left")
        size = self.num_thresholds + 1
        index = ((columns * size + bucket) * 2 + truth).ravel()
        flat = None if weight is None else weight.ravel()
        found = np.bincount(index, flat, minlength=labels * size * 2)
        found = found.reshape(labels, size, 2).astype(np.float64)
        self._counts = found if self._counts is None else self._counts + found

    def _label_weighted(
        self, shape: tuple[int, ...], weight: np.ndarray | None
    ) -> np.ndarray | None:
        if self.label_weights is None or self.multi_label:
            return weight
        own = np.broadcast_to(np.asarray(self.label_weights, np.float64), shape)
        return own if weight is None else weight * own

    def result(self) -> float:
        """The area; 0.0 when nothing was seen."""
        if self._counts is None:
            return 0.0
        # Suffix sums: how many predictions exceed threshold i.
        above = np.cumsum(self._counts[:, ::-1], axis=1)[:, ::-1]
        fp, tp = above[:, 1:, 0], above[:, 1:, 1]
        fn, tn = above[:, :1, 1] - tp, above[:, :1, 0] - fp
        areas = self._areas(tp, fp, fn, tn)
        if self.multi_label and self.label_weights is not None:
            return float(np.average(areas, weights=np.asarray(self.label_weights)))
        return float(areas.mean())

    def _areas(self, tp: np.ndarray, fp: np.ndarray, fn: np.ndarray, tn: np.ndarray) -> np.ndarray:
        if self.curve == "PR" and self.summation_method == "interpolation":
            return _interpolated_pr(tp, fp, fn)
        recall = _ratio(tp, tp + fn)
        if self.curve == "ROC":
            x, y = _ratio(fp, fp + tn), recall
        else:
            x, y = recall, _ratio(tp, tp + fp)
        left, right = y[:, :-1], y[:, 1:]
        if self.summation_method == "interpolation":
            heights = (left + right) / 2
        elif self.summation_method == "minoring":
            heights = np.minimum(left, right)
        else:
            heights = np.maximum(left, right)
        return ((x[:, :-1] - x[:, 1:]) * heights).sum(axis=1)

    def get_config(self) -> dict[str, Any]:
        """The constructor arguments."""
        return {
            **super().get_config(),
            "num_thresholds": self.num_thresholds,
            "curve": self.curve,
            "summation_method": self.summation_method,
            "thresholds": self._own,
            "multi_label": self.multi_label,
            "num_labels": self.num_labels,
            "label_weights": self.label_weights,
            "from_logits": self.from_logits,
        }


def _interpolated_pr(tp: np.ndarray, fp: np.ndarray, fn: np.ndarray) -> np.ndarray:
    """Integral of precision over recall with TP and FP linear between thresholds.

    Source: Davis & Goadrich 2006, section 4; closed form as in Keras' AUC.interpolate_pr_auc.
    """
    positive = tp + fp
    dtp = tp[:, :-1] - tp[:, 1:]
    slope = _ratio(dtp, np.maximum(positive[:, :-1] - positive[:, 1:], 0))
    intercept = tp[:, 1:] - slope * positive[:, 1:]
    both = (positive[:, :-1] > 0) & (positive[:, 1:] > 0)
    ratio = np.where(both, _ratio(positive[:, :-1], positive[:, 1:]), 1.0)
    terms = slope * (dtp + intercept * np.log(ratio))
    return _ratio(terms, np.maximum(tp[:, 1:] + fn[:, 1:], 0)).sum(axis=1)
