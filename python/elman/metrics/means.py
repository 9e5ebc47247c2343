# SPDX-License-Identifier: Apache-2.0
"""Metrics that are means of a value per sample: errors and accuracies."""

from __future__ import annotations

import math
from typing import Any

import numpy as np

from elman.metrics import functions
from elman.metrics.base import MeanMetricWrapper


class MeanSquaredError(MeanMetricWrapper):
    """mean((y_true - y_pred)^2)."""

    def __init__(self, name: str = "mean_squared_error", dtype: str | None = None) -> None:
        super().__init__(functions.mean_squared_error, name, dtype)


class RootMeanSquaredError(MeanMetricWrapper):
    """sqrt(mean((y_true - y_pred)^2)), the root taken over everything seen."""

    def __init__(self, name: str = "root_mean_squared_error", dtype: str | None = None) -> None:
        super().__init__(functions.mean_squared_error, name, dtype)

    def result(self) -> float:
        """The root of the mean."""
        return math.sqrt(super().result())


class MeanAbsoluteError(MeanMetricWrapper):
    """mean(|y_true - y_pred|)."""

    def __init__(self, name: str = "mean_absolute_error", dtype: str | None = None) -> None:
        super().__init__(functions.mean_absolute_error, name, dtype)


class Accuracy(MeanMetricWrapper):
    """Share of predictions that equal their label."""

    def __init__(self, name: str = "accuracy", dtype: str | None = None) -> None:
        super().__init__(functions.accuracy, name, dtype)


class BinaryAccuracy(MeanMetricWrapper):
    """Share of labels 0/1 that `y_pred > threshold` meets; for logits use threshold 0."""

    def __init__(
        self,
        name: str = "binary_accuracy",
        dtype: str | None = None,
        threshold: float = 0.5,
    ) -> None:
        super().__init__(functions.binary_accuracy, name, dtype, threshold=threshold)


class CategoricalAccuracy(MeanMetricWrapper):
    """Share of samples whose largest prediction is the one-hot label's class."""

    def __init__(self, name: str = "categorical_accuracy", dtype: str | None = None) -> None:
        super().__init__(functions.categorical_accuracy, name, dtype)


class SparseCategoricalAccuracy(MeanMetricWrapper):
    """Share of samples whose largest prediction is the class id.

    Example:
        >>> import elman
        >>> metric = elman.metrics.SparseCategoricalAccuracy()
        >>> metric.update_state([1, 0], [[0.1, 0.9], [0.2, 0.8]])
        >>> metric.result()
        0.5
    """

    def __init__(self, name: str = "sparse_categorical_accuracy", dtype: str | None = None) -> None:
        super().__init__(functions.sparse_categorical_accuracy, name, dtype)


class TopKCategoricalAccuracy(MeanMetricWrapper):
    """Share of samples whose one-hot label's class is among the k largest predictions."""

    def __init__(
        self, k: int = 5, name: str = "top_k_categorical_accuracy", dtype: str | None = None
    ) -> None:
        super().__init__(functions.top_k_categorical_accuracy, name, dtype, k=k)


class SparseTopKCategoricalAccuracy(MeanMetricWrapper):
    """Share of samples whose class id is among the k largest predictions."""

    def __init__(
        self, k: int = 5, name: str = "sparse_top_k_categorical_accuracy", dtype: str | None = None
    ) -> None:
        super().__init__(functions.sparse_top_k_categorical_accuracy, name, dtype, k=k)


def choose_accuracy(loss: Any, y_true: Any, y_pred: Any, name: str) -> MeanMetricWrapper:
    """What `metrics=['accuracy']` means for a loss and for the shapes of the data.

    The loss decides when it is one of the three crossentropies; otherwise one output unit means
    binary, and a label axis less (or of size one) means class ids. The threshold of a binary
    crossentropy from logits is 0, the logit of one half.
    """
    kind = getattr(getattr(loss, "fn", None), "__name__", "")
    labels, outputs = np.shape(y_true), np.shape(y_pred)
    if kind == "binary_crossentropy" or (kind.find("crossentropy") < 0 and outputs[-1] == 1):
        logits = getattr(loss, "options", {}).get("from_logits", False)
        return BinaryAccuracy(name, threshold=0.0 if logits else 0.5)
    if kind == "categorical_crossentropy":
        return CategoricalAccuracy(name)
    sparse = len(labels) < len(outputs) or (labels[-1] == 1 and outputs[-1] > 1)
    if kind == "sparse_categorical_crossentropy" or sparse:
        return SparseCategoricalAccuracy(name)
    return CategoricalAccuracy(name)
