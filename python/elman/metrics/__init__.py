# SPDX-License-Identifier: Apache-2.0
"""Metrics as objects that accumulate over batches, and as functions per sample."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any

from elman import losses as _losses
from elman._lookup import lookup
from elman._serialization import serialize_or_name
from elman.metrics.auc import AUC as AUC
from elman.metrics.base import Mean as Mean
from elman.metrics.base import MeanMetricWrapper as MeanMetricWrapper
from elman.metrics.base import Metric as Metric
from elman.metrics.base import Sum as Sum
from elman.metrics.confusion import Precision as Precision
from elman.metrics.confusion import Recall as Recall
from elman.metrics.functions import accuracy as accuracy
from elman.metrics.functions import binary_accuracy as binary_accuracy
from elman.metrics.functions import categorical_accuracy as categorical_accuracy
from elman.metrics.functions import mean_absolute_error as mean_absolute_error
from elman.metrics.functions import mean_squared_error as mean_squared_error
from elman.metrics.functions import sparse_categorical_accuracy as sparse_categorical_accuracy
from elman.metrics.functions import (
    sparse_top_k_categorical_accuracy as sparse_top_k_categorical_accuracy,
)
from elman.metrics.functions import top_k_categorical_accuracy as top_k_categorical_accuracy
from elman.metrics.means import Accuracy as Accuracy
from elman.metrics.means import BinaryAccuracy as BinaryAccuracy
from elman.metrics.means import CategoricalAccuracy as CategoricalAccuracy
from elman.metrics.means import MeanAbsoluteError as MeanAbsoluteError
from elman.metrics.means import MeanSquaredError as MeanSquaredError
from elman.metrics.means import RootMeanSquaredError as RootMeanSquaredError
from elman.metrics.means import SparseCategoricalAccuracy as SparseCategoricalAccuracy
from elman.metrics.means import SparseTopKCategoricalAccuracy as SparseTopKCategoricalAccuracy
from elman.metrics.means import TopKCategoricalAccuracy as TopKCategoricalAccuracy
from elman.metrics.means import choose_accuracy as choose_accuracy

mse = MSE = mean_squared_error
mae = MAE = mean_absolute_error

_CLASSES: dict[str, type[Metric]] = {
    "accuracy": Accuracy,
    "binary_accuracy": BinaryAccuracy,
    "categorical_accuracy": CategoricalAccuracy,
    "sparse_categorical_accuracy": SparseCategoricalAccuracy,
    "top_k_categorical_accuracy": TopKCategoricalAccuracy,
    "sparse_top_k_categorical_accuracy": SparseTopKCategoricalAccuracy,
    "mean_squared_error": MeanSquaredError,
    "mse": MeanSquaredError,
    "mean_absolute_error": MeanAbsoluteError,
    "mae": MeanAbsoluteError,
    "root_mean_squared_error": RootMeanSquaredError,
    "rmse": RootMeanSquaredError,
    "auc": AUC,
    "precision": Precision,
    "recall": Recall,
    "mean": Mean,
    "sum": Sum,
}
_LOSSES = (
    "huber",
    "kl_divergence",
    "poisson",
    "binary_crossentropy",
    "categorical_crossentropy",
    "sparse_categorical_crossentropy",
)
_KNOWN: dict[str, Any] = {
    **_CLASSES,
    **{cls.__name__: cls for cls in _CLASSES.values()},
    **{name.upper(): _CLASSES[name] for name in ("mse", "mae", "rmse", "auc")},
    **{name: getattr(_losses, name) for name in _LOSSES},
    "acc": Accuracy,
}


def get(identifier: Any, custom_objects: Mapping[str, Any] | None = None) -> Any:
    """A metric from a name, a configuration, a class, a function or an object; None stays None.

    A loss name gives the mean of that loss. Errors: ValueError for an unknown name.

    Example:
        >>> import elman
        >>> elman.metrics.get("mae")
        <MeanAbsoluteError name='mean_absolute_error'>
    """
    if identifier is None or isinstance(identifier, Metric):
        return identifier
    found = lookup(identifier, _KNOWN, "metrics.get", "metric", custom_objects)
    return found if isinstance(found, Metric) else MeanMetricWrapper(found)


def serialize(metric: Any) -> Any:
    """A configuration from which `get` makes an equal metric."""
    return serialize_or_name(metric)
