# SPDX-License-Identifier: Apache-2.0
"""Products, reductions and losses."""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any

from elman import _settings
from elman._backend import core
from elman._tensors import as_float, as_tensor
from elman.backend.arithmetic import pair

Axis = int | Sequence[int] | None


def dot(x: Any, y: Any) -> Any:
    """The last axis of x with the second last of y: [..., K] and [..., K, M] -> [..., ..., M]."""
    return core.dot(*pair(x, y))


def batch_dot(x: Any, y: Any, axes: Any = None) -> Any:
    """Products of the samples: contracts axis axes[0] of x with axes[1] of y for each row."""
    x, y = as_tensor(x), as_tensor(y)
    if axes is None:
        axes = (x.ndim - 1, 1 if y.ndim == 2 else y.ndim - 2)
    pair = (axes, axes) if isinstance(axes, int) else tuple(axes)
    return core.batch_dot(x, y, pair)


def bias_add(x: Any, bias: Any, data_format: str | None = None) -> Any:
    """x + bias along the last axis, or along axis 1 for 'channels_first'."""
    x, bias = as_tensor(x), as_tensor(bias)
    first = _settings.check_data_format(data_format or "channels_last", "backend.bias_add")
    if first == "channels_first" and x.ndim > 2:
        return core.add(x, core.reshape(bias, (*bias.shape, *(1,) * (x.ndim - 2))))
    return core.bias_add(x, bias)


def _along(axis: Axis) -> Any:
    return tuple(axis) if isinstance(axis, (list, tuple)) else axis


def sum(x: Any, axis: Axis = None, keepdims: bool = False) -> Any:  # noqa: A001 - Keras' name
    """The sum over `axis` (all axes for None)."""
    return core.sum(as_tensor(x), _along(axis), keepdims)


def mean(x: Any, axis: Axis = None, keepdims: bool = False) -> Any:
    """The mean over `axis`."""
    x = as_tensor(x)
    x = core.cast(x, _settings.floatx()) if x.dtype not in _settings.FLOATS else x
    return core.mean(x, _along(axis), keepdims)


def prod(x: Any, axis: Axis = None, keepdims: bool = False) -> Any:
    """The product over `axis`."""
    return core.prod(as_tensor(x), _along(axis), keepdims)


def max(x: Any, axis: Axis = None, keepdims: bool = False) -> Any:  # noqa: A001 - Keras' name
    """The largest value over `axis`."""
    return core.max(as_tensor(x), _along(axis), keepdims)


def min(x: Any, axis: Axis = None, keepdims: bool = False) -> Any:  # noqa: A001 - Keras' name
    """The smallest value over `axis`."""
    return core.min(as_tensor(x), _along(axis), keepdims)


def var(x: Any, axis: Axis = None, keepdims: bool = False) -> Any:
    """The variance over `axis`."""
    x = as_float(x)
    return mean(core.square(core.subtract(x, mean(x, axis, True))), axis, keepdims)


def std(x: Any, axis: Axis = None, keepdims: bool = False) -> Any:
    """The standard deviation over `axis`."""
    return core.sqrt(var(x, axis, keepdims))


def logsumexp(x: Any, axis: Axis = None, keepdims: bool = False) -> Any:
    """log(sum(exp(x))) without overflow."""
    return core.logsumexp(as_float(x), _along(axis), keepdims)


def cumsum(x: Any, axis: int = 0) -> Any:
    """Sums of the elements up to each one."""
    return core.cumsum(as_tensor(x), axis)


def argmax(x: Any, axis: int = -1) -> Any:
    """Index of the largest value."""
    return core.argmax(as_tensor(x), axis)


def argmin(x: Any, axis: int = -1) -> Any:
    """Index of the smallest value."""
    return core.argmin(as_tensor(x), axis)


def any(x: Any, axis: Axis = None, keepdims: bool = False) -> Any:  # noqa: A001 - Keras' name
    """True where some element is not zero."""
    return core.any(as_tensor(x, "bool"), _along(axis), keepdims)


def all(x: Any, axis: Axis = None, keepdims: bool = False) -> Any:  # noqa: A001 - Keras' name
    """True where no element is zero."""
    return core.all(as_tensor(x, "bool"), _along(axis), keepdims)


def categorical_crossentropy(target: Any, output: Any, from_logits: bool = False) -> Any:
    """-sum(target * log(output)) over the last axis."""
    return core.categorical_crossentropy(as_float(target), as_float(output), from_logits)


def sparse_categorical_crossentropy(target: Any, output: Any, from_logits: bool = False) -> Any:
    """-log(output) at the integer class of each row."""
    return core.sparse_categorical_crossentropy(as_tensor(target), as_float(output), from_logits)


def binary_crossentropy(target: Any, output: Any, from_logits: bool = False) -> Any:
    """-log(output) or -log(1 - output), element by element."""
    return core.binary_crossentropy(as_float(target), as_float(output), from_logits)


def l2_normalize(x: Any, axis: Axis = None) -> Any:
    """x / sqrt(max(sum x^2, 1e-12)) along `axis`."""
    x = as_float(x)
    norm = core.sum(core.square(x), _along(axis), True)
    return core.divide(x, core.sqrt(core.maximum(norm, 1e-12)))
