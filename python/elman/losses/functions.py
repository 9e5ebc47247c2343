# SPDX-License-Identifier: Apache-2.0
"""Loss functions: (y_true, y_pred) -> one value per sample. Formulas and names as in Keras.

All take arrays or Tensors, return a Tensor without the last axis, and are differentiable with
respect to `y_pred`. A target without the last axis of size one gets it: (N,) meets (N, 1).
"""

from __future__ import annotations

from typing import Any

import numpy as np

from elman import _settings
from elman._backend import core
from elman._errors import fail_text
from elman._tensors import as_float, as_tensor


def _pair(where: str, y_true: Any, y_pred: Any) -> tuple[Any, Any]:
    """Tensors of one float dtype and one shape."""
    y_pred = as_float(y_pred)
    y_true = as_tensor(y_true, y_pred.dtype)
    if y_true.ndim + 1 == y_pred.ndim and y_pred.shape[-1] == 1:
        y_true = core.expand_dims(y_true, -1)
    elif y_pred.ndim + 1 == y_true.ndim and y_true.shape[-1] == 1:
        y_true = core.squeeze(y_true, -1)
    if tuple(y_true.shape) != tuple(y_pred.shape):
        hint = "the targets must have the shape of the model's output"
        expected, got = tuple(y_pred.shape), tuple(y_true.shape)
        raise ValueError(fail_text(where, "y_true", str(expected), got, hint))
    return y_true, y_pred


def mean_squared_error(y_true: Any, y_pred: Any) -> Any:
    """mean((y_true - y_pred)^2) over the last axis.

    Shapes: y_true, y_pred (..., K) -> (...).

    Example:
        >>> import elman
        >>> elman.losses.mean_squared_error([[0.0, 1.0]], [[1.0, 1.0]]).numpy()
        array([0.5], dtype=float32)
    """
    y_true, y_pred = _pair("mean_squared_error", y_true, y_pred)
    return core.mean(core.square(y_pred - y_true), axis=-1)


def mean_absolute_error(y_true: Any, y_pred: Any) -> Any:
    """mean(|y_true - y_pred|) over the last axis. Shapes: (..., K) -> (...)."""
    y_true, y_pred = _pair("mean_absolute_error", y_true, y_pred)
    return core.mean(core.abs(y_pred - y_true), axis=-1)


def huber(y_true: Any, y_pred: Any, delta: float = 1.0) -> Any:
    """0.5 e^2 for errors up to `delta`, delta |e| - 0.5 delta^2 beyond; mean over the last axis.

    Shapes: (..., K) -> (...).
    """
    y_true, y_pred = _pair("huber", y_true, y_pred)
    size = core.abs(y_pred - y_true)
    # m = min(|e|, delta) makes both branches one formula: m (|e| - m / 2).
    inner = core.minimum(size, float(delta))
    return core.mean(inner * (size - inner * 0.5), axis=-1)


def kl_divergence(y_true: Any, y_pred: Any) -> Any:
    """sum(y_true log(y_true / y_pred)) over the last axis, both clipped to [epsilon, 1]."""
    y_true, y_pred = _pair("kl_divergence", y_true, y_pred)
    y_true = core.clip(y_true, _settings.epsilon(), 1.0)
    y_pred = core.clip(y_pred, _settings.epsilon(), 1.0)
    return core.sum(y_true * core.log(y_true / y_pred), axis=-1)


def poisson(y_true: Any, y_pred: Any) -> Any:
    """mean(y_pred - y_true log(y_pred + epsilon)) over the last axis. Shapes: (..., K) -> (...)."""
    y_true, y_pred = _pair("poisson", y_true, y_pred)
    return core.mean(y_pred - y_true * core.log(y_pred + _settings.epsilon()), axis=-1)


def cosine_similarity(y_true: Any, y_pred: Any, axis: int = -1) -> Any:
    """-cos(angle between y_true and y_pred) along `axis`: -1 equal direction, 1 opposite."""
    y_true, y_pred = _pair("cosine_similarity", y_true, y_pred)
    return core.sum(_unit(y_true, axis) * _unit(y_pred, axis), axis=axis) * -1.0


def _unit(x: Any, axis: int) -> Any:
    power = core.sum(core.square(x), axis=axis, keepdims=True)
    return x / core.sqrt(core.maximum(power, _settings.epsilon()))


def binary_crossentropy(
    y_true: Any,
    y_pred: Any,
    from_logits: bool = False,
    label_smoothing: float = 0.0,
    axis: int = -1,
) -> Any:
    """-mean(y log p + (1 - y) log(1 - p)) over `axis`; p is `y_pred` or sigmoid(`y_pred`).

    Args:
        y_true: labels 0 and 1, shape (..., K).
        y_pred: probabilities, clipped to [1e-7, 1 - 1e-7], or logits, shape (..., K).
        from_logits: whether `y_pred` holds logits.
        label_smoothing: s pulls the labels to y (1 - s) + s / 2.
        axis: the axis of the mean.
    """
    y_true, y_pred = _pair("binary_crossentropy", y_true, y_pred)
    if label_smoothing:
        y_true = y_true * (1.0 - label_smoothing) + 0.5 * label_smoothing
    return core.mean(core.binary_crossentropy(y_true, y_pred, from_logits), axis=axis)


def _classes_last(x: Any, axis: int) -> Any:
    axis = axis % x.ndim
    if axis == x.ndim - 1:
        return x
    order = [i for i in range(x.ndim) if i != axis]
    return core.transpose(x, [*order, axis])


def categorical_crossentropy(
    y_true: Any,
    y_pred: Any,
    from_logits: bool = False,
    label_smoothing: float = 0.0,
    axis: int = -1,
) -> Any:
    """-sum(y log p) over the classes; p is `y_pred` scaled to sum 1, or softmax(`y_pred`).

    Args:
        y_true: one-hot or soft labels, shape (..., C).
        y_pred: probabilities or logits, shape (..., C).
        from_logits: whether `y_pred` holds logits.
        label_smoothing: s pulls the labels to y (1 - s) + s / C.
        axis: the axis of the classes.

    Errors: ValueError on a shape mismatch; integer labels belong to the sparse form.
    """
    y_pred = as_float(y_pred)
    y_true = as_tensor(y_true, y_pred.dtype)
    if tuple(y_true.shape) != tuple(y_pred.shape):
        hint = "for integer labels use sparse_categorical_crossentropy or utils.to_categorical"
        expected, got = tuple(y_pred.shape), tuple(y_true.shape)
        where = "categorical_crossentropy"
        raise ValueError(fail_text(where, "y_true", str(expected), got, hint))
    if label_smoothing:
        smoothing = label_smoothing / y_true.shape[axis]
        y_true = y_true * (1.0 - label_smoothing) + smoothing
    y_true, y_pred = _classes_last(y_true, axis), _classes_last(y_pred, axis)
    return core.categorical_crossentropy(y_true, y_pred, from_logits)


def _labels(y_true: Any, shape: tuple[int, ...]) -> np.ndarray:
    """Integer labels (...) for predictions (..., C)."""
    where = "sparse_categorical_crossentropy"
    labels = np.asarray(y_true)
    if labels.ndim == len(shape) and labels.shape[-1] == 1:
        labels = labels[..., 0]
    if labels.shape != shape[:-1]:
        hint = "for one-hot labels use categorical_crossentropy"
        raise ValueError(fail_text(where, "y_true", str(shape[:-1]), labels.shape, hint))
    if labels.dtype.kind in "iub":
        return labels if labels.dtype in (np.int32, np.int64) else labels.astype(np.int64)
    wrong = ~(np.abs(labels) < 2**63) | (labels != np.floor(labels))  # NaN is wrong as well
    if wrong.any():
        bad = labels[wrong].flat[0]
        raise ValueError(fail_text(where, "y_true", "whole numbers", bad, "labels are class ids"))
    return labels.astype(np.int64)


def sparse_categorical_crossentropy(
    y_true: Any,
    y_pred: Any,
    from_logits: bool = False,
    ignore_class: int | None = None,
    axis: int = -1,
) -> Any:
    """-log p[y_true]: crossentropy for integer labels.

    Args:
        y_true: class ids, shape (...) or (..., 1).
        y_pred: probabilities or logits, shape (..., C).
        from_logits: whether `y_pred` holds logits.
        ignore_class: samples with this id have loss 0 and are left out of the mean.
        axis: the axis of the classes.

    Errors: ValueError or IndexError for an id outside [0, C).
    """
    y_pred = _classes_last(as_float(y_pred), axis)
    labels = _labels(y_true, tuple(y_pred.shape))
    if ignore_class is None:
        return core.sparse_categorical_crossentropy(core.Tensor(labels), y_pred, from_logits)
    used = labels != ignore_class
    labels = core.Tensor(np.where(used, labels, 0))
    # Ignored predictions are replaced before the logarithm: a NaN there must not reach the rest.
    clean = core.where(core.Tensor(used[..., None]), y_pred, core.ones_like(y_pred))
    values = core.sparse_categorical_crossentropy(labels, clean, from_logits)
    values = core.where(core.Tensor(used), values, core.zeros_like(values))
    setattr(values, "_keras_mask", core.Tensor(used))  # noqa: B010 - a dynamic attribute
    return values
