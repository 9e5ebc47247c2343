# SPDX-License-Identifier: Apache-2.0
"""Precision and Recall at one or several thresholds."""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any

import numpy as np

from elman._errors import fail_text
from elman.losses.reduction import combine_weights
from elman.metrics.base import Metric


def confusion_inputs(
    where: str, y_true: Any, y_pred: Any, sample_weight: Any
) -> tuple[np.ndarray, np.ndarray, np.ndarray | None]:
    """Labels (bool), predictions (float64) and weights of one shape; steps under a mask weigh 0."""
    mask = getattr(y_pred, "_keras_mask", None)
    truth, scores = np.asarray(y_true), np.asarray(y_pred, np.float64)
    if truth.ndim + 1 == scores.ndim and scores.shape[-1] == 1:
        truth = truth[..., None]
    elif scores.ndim + 1 == truth.ndim and truth.shape[-1] == 1:
        truth = truth[..., 0]
    if truth.shape != scores.shape:
        raise ValueError(fail_text(where, "y_true", str(scores.shape), truth.shape))
    weight = None
    if sample_weight is not None or mask is not None:
        # Weights follow the leading axes: one per sample (N,) or per step (N, T).
        weight = combine_weights(where, scores.shape, sample_weight, mask, spread=False)
        weight = np.broadcast_to(np.asarray(weight), scores.shape)
    return truth.astype(bool), scores, weight


class _Confusion(Metric):
    """Counts true positives and one kind of error per threshold."""

    def __init__(
        self,
        thresholds: float | Sequence[float] | None = None,
        top_k: int | None = None,
        class_id: int | None = None,
        name: str | None = None,
        dtype: str | None = None,
    ) -> None:
        super().__init__(name, dtype)
        self.thresholds, self.top_k, self.class_id = thresholds, top_k, class_id
        # With top_k a prediction counts when it is kept at all.
        default = -np.inf if top_k is not None else 0.5
        self._limits = np.atleast_1d(np.asarray(default if thresholds is None else thresholds))
        finite = self._limits[np.isfinite(self._limits)]
        if self._limits.ndim != 1 or np.any((finite < 0) | (finite > 1)) or thresholds == []:
            expected = "one or several numbers in [0, 1]"
            raise ValueError(fail_text(type(self).__name__, "thresholds", expected, thresholds))
        self.reset_state()

    def reset_state(self) -> None:
        """Forget everything."""
        self.true_positives = np.zeros(len(self._limits))
        self._errors = np.zeros(len(self._limits))

    def _is_error(self, truth: np.ndarray, positive: np.ndarray) -> np.ndarray:
        raise TypeError("a subclass says which predictions are its errors")

    def update_state(self, y_true: Any, y_pred: Any, sample_weight: Any = None) -> None:
        """Shapes: y_true, y_pred (...); sample_weight (N,) or like y_pred."""
        where = type(self).__name__
        truth, scores, weight = confusion_inputs(where, y_true, y_pred, sample_weight)
        if self.top_k is not None:
            order = np.argsort(-scores, axis=-1, kind="stable")[..., : self.top_k]
            kept = np.full(scores.shape, -np.inf)
            np.put_along_axis(kept, order, np.take_along_axis(scores, order, -1), -1)
            scores = kept
        if self.class_id is not None:
            truth, scores = truth[..., self.class_id], scores[..., self.class_id]
            weight = None if weight is None else weight[..., self.class_id]
        for i, limit in enumerate(self._limits):
            positive = scores > limit
            for sums, hits in (
                (self.true_positives, truth & positive),
                (self._errors, self._is_error(truth, positive)),
            ):
                sums[i] += np.count_nonzero(hits) if weight is None else weight[hits].sum()

    def result(self) -> float | np.ndarray:
        """True positives / (true positives + errors); one value per threshold when several."""
        total = self.true_positives + self._errors
        zeros = np.zeros_like(total)
        ratio = np.divide(self.true_positives, total, out=zeros, where=total != 0)
        return float(ratio[0]) if len(ratio) == 1 else ratio

    def get_config(self) -> dict[str, Any]:
        """The constructor arguments."""
        own = {"thresholds": self.thresholds, "top_k": self.top_k, "class_id": self.class_id}
        return {**super().get_config(), **own}


class Precision(_Confusion):
    """True positives / predicted positives.

    Args:
        thresholds: a prediction above it is positive; a number or a list; default 0.5.
        top_k: only the k largest predictions of a sample can be positive.
        class_id: look at one class only.

    Example:
        >>> import elman
        >>> metric = elman.metrics.Precision()
        >>> metric.update_state([0, 1, 1, 1], [1, 0, 1, 1])
        >>> round(metric.result(), 4)
        0.6667
    """

    @property
    def false_positives(self) -> np.ndarray:
        """Weighted number of wrong positives per threshold."""
        return self._errors

    def _is_error(self, truth: np.ndarray, positive: np.ndarray) -> np.ndarray:
        return ~truth & positive


class Recall(_Confusion):
    """True positives / actual positives. Arguments as in `Precision`."""

    @property
    def false_negatives(self) -> np.ndarray:
        """Weighted number of missed positives per threshold."""
        return self._errors

    def _is_error(self, truth: np.ndarray, positive: np.ndarray) -> np.ndarray:
        return truth & ~positive
