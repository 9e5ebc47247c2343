# SPDX-License-Identifier: Apache-2.0
"""Metric functions: (y_true, y_pred) -> one value per sample, in numpy. Names as in Keras."""

from __future__ import annotations

from typing import Any

import numpy as np

from elman._errors import fail_text


def _pair(where: str, y_true: Any, y_pred: Any) -> tuple[np.ndarray, np.ndarray]:
    """Two arrays of one shape; (N,) meets (N, 1)."""
    y_true, y_pred = np.asarray(y_true), np.asarray(y_pred)
    if y_true.ndim + 1 == y_pred.ndim and y_pred.shape[-1] == 1:
        y_true = y_true[..., None]
    elif y_pred.ndim + 1 == y_true.ndim and y_true.shape[-1] == 1:
        y_true = y_true[..., 0]
    if y_true.shape != y_pred.shape:
        raise ValueError(fail_text(where, "y_true", str(y_pred.shape), y_true.shape))
    return y_true, y_pred


def _difference(where: str, y_true: Any, y_pred: Any) -> np.ndarray:
    y_true, y_pred = _pair(where, y_true, y_pred)
    if y_pred.dtype.kind != "f":
        y_pred = y_pred.astype(np.float64)
    return y_pred - y_true.astype(y_pred.dtype, copy=False)


def mean_squared_error(y_true: Any, y_pred: Any) -> np.ndarray:
    """mean((y_true - y_pred)^2) over the last axis. Shapes: (..., K) -> (...)."""
    return np.square(_difference("mean_squared_error", y_true, y_pred)).mean(axis=-1)


def mean_absolute_error(y_true: Any, y_pred: Any) -> np.ndarray:
    """mean(|y_true - y_pred|) over the last axis. Shapes: (..., K) -> (...)."""
    return np.abs(_difference("mean_absolute_error", y_true, y_pred)).mean(axis=-1)


def accuracy(y_true: Any, y_pred: Any) -> np.ndarray:
    """Where `y_true` equals `y_pred`. Shapes: (...) -> (...)."""
    y_true, y_pred = _pair("accuracy", y_true, y_pred)
    return y_true == y_pred


def binary_accuracy(y_true: Any, y_pred: Any, threshold: float = 0.5) -> np.ndarray:
    """Share of labels 0/1 that `y_pred > threshold` meets, over the last axis."""
    y_true, y_pred = _pair("binary_accuracy", y_true, y_pred)
    return ((y_pred > threshold) == y_true).mean(axis=-1)


def categorical_accuracy(y_true: Any, y_pred: Any) -> np.ndarray:
    """Where the largest prediction is the one-hot label's class. Shapes: (..., C) -> (...)."""
    y_true, y_pred = _pair("categorical_accuracy", y_true, y_pred)
    return y_true.argmax(axis=-1) == y_pred.argmax(axis=-1)


def _ids(where: str, y_true: Any, y_pred: np.ndarray) -> np.ndarray:
    y_true = np.asarray(y_true)
    if y_true.ndim == y_pred.ndim and y_true.shape[-1] == 1:
        y_true = y_true[..., 0]
    if y_true.shape != y_pred.shape[:-1]:
        raise ValueError(fail_text(where, "y_true", str(y_pred.shape[:-1]), y_true.shape))
    return y_true


def sparse_categorical_accuracy(y_true: Any, y_pred: Any) -> np.ndarray:
    """Where the largest prediction is the class id. Shapes: (...), (..., C) -> (...)."""
    y_pred = np.asarray(y_pred)
    return _ids("sparse_categorical_accuracy", y_true, y_pred) == y_pred.argmax(axis=-1)


def top_k_categorical_accuracy(y_true: Any, y_pred: Any, k: int = 5) -> np.ndarray:
    """Where the one-hot label's class is among the k largest predictions: (..., C) -> (...)."""
    y_true, y_pred = _pair("top_k_categorical_accuracy", y_true, y_pred)
    return sparse_top_k_categorical_accuracy(y_true.argmax(axis=-1), y_pred, k)


def sparse_top_k_categorical_accuracy(y_true: Any, y_pred: Any, k: int = 5) -> np.ndarray:
    """Where the class id is among the k largest predictions. Shapes: (...), (..., C) -> (...).

    A tie counts for the class; NaN is never among the largest.
    """
    y_pred = np.asarray(y_pred)
    ids = _ids("sparse_top_k_categorical_accuracy", y_true, y_pred).astype(np.int64)
    own = np.take_along_axis(y_pred, ids[..., None], axis=-1)
    return np.isfinite(own[..., 0]) & (np.count_nonzero(y_pred > own, axis=-1) < k)
