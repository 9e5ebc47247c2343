# SPDX-License-Identifier: Apache-2.0
"""Making tensors and variables, and reading them."""

from __future__ import annotations

from typing import Any

import numpy as np

from elman import _names, _random
from elman._backend import core
from elman._settings import floatx
from elman._tensors import Tensor, Variable, as_float, as_shape, as_tensor, shape_of


def clear_session() -> None:
    """Start the automatic names again from zero."""
    _names.clear()


def constant(value: Any, dtype: str | None = None, shape: Any = None) -> Any:
    """A tensor of the given values, broadcast to `shape`."""
    values = np.asarray(value, dtype or floatx())
    return Tensor(values if shape is None else np.broadcast_to(values, shape).copy())


def variable(value: Any, dtype: str | None = None, name: str | None = None) -> Any:
    """A variable with the given start value."""
    return Variable(as_tensor(value, dtype or floatx()), name=name)


def zeros(shape: Any, dtype: str | None = None) -> Any:
    """All zeros."""
    return core.zeros(as_shape(shape), dtype or floatx())


def ones(shape: Any, dtype: str | None = None) -> Any:
    """All ones."""
    return core.ones(as_shape(shape), dtype or floatx())


def eye(size: int, dtype: str | None = None) -> Any:
    """The identity matrix."""
    return Tensor(np.eye(size, dtype=dtype or floatx()))


def zeros_like(x: Any, dtype: str | None = None) -> Any:
    """Zeros in the shape of x."""
    x = as_tensor(x)
    return core.zeros(tuple(x.shape), dtype or x.dtype)


def ones_like(x: Any, dtype: str | None = None) -> Any:
    """Ones in the shape of x."""
    x = as_tensor(x)
    return core.ones(tuple(x.shape), dtype or x.dtype)


def arange(start: int, stop: int | None = None, step: int = 1, dtype: str = "int32") -> Any:
    """The numbers start, start + step, ... below stop."""
    low, high = (0, start) if stop is None else (start, stop)
    return Tensor(np.arange(low, high, step).astype(dtype))


def random_uniform(
    shape: Any,
    minval: float = 0.0,
    maxval: float = 1.0,
    dtype: str | None = None,
    seed: int | None = None,
) -> Any:
    """Uniform numbers in [minval, maxval)."""
    return core.random_uniform(as_shape(shape), minval, maxval, dtype or floatx(), *_key(seed))


def random_normal(
    shape: Any,
    mean: float = 0.0,
    stddev: float = 1.0,
    dtype: str | None = None,
    seed: int | None = None,
) -> Any:
    """Normal numbers."""
    return core.random_normal(as_shape(shape), mean, stddev, dtype or floatx(), *_key(seed))


def _key(seed: int | None) -> tuple[int, int]:
    return _random.next_key() if seed is None else (seed, 0)


def shape(x: Any) -> tuple[int, ...]:
    """The shape as a tuple."""
    return shape_of(x)


int_shape = shape


def ndim(x: Any) -> int:
    """The number of axes."""
    return len(shape_of(x))


def dtype(x: Any) -> str:
    """The type of the elements, e.g. 'float32'."""
    return as_tensor(x).dtype


def eval(x: Any) -> np.ndarray:  # noqa: A001 - Keras' name
    """The values as an array."""
    return as_tensor(x).numpy()


def get_value(x: Any) -> np.ndarray:
    """A copy of a variable's values."""
    return np.array(as_tensor(x).numpy())


def set_value(x: Any, value: Any) -> None:
    """Assign to a variable."""
    x.assign(as_tensor(value, x.dtype))


def is_tensor(x: Any) -> bool:
    """True for tensors and variables."""
    return isinstance(x, Tensor)


def cast(x: Any, dtype: str) -> Any:
    """x in another type."""
    return core.cast(as_tensor(x), dtype)


def stop_gradient(x: Any) -> Any:
    """x as a constant: gradients do not pass."""
    return core.stop_gradient(as_tensor(x))


def identity(x: Any) -> Any:
    """x as another tensor."""
    return core.identity(as_tensor(x))


def dropout(x: Any, level: float, noise_shape: Any = None, seed: int | None = None) -> Any:
    """x with a random share `level` of its values set to 0, the rest scaled up."""
    x = as_float(x)
    if noise_shape is None:
        return core.dropout(x, level, *_key(seed))
    shape = as_shape(noise_shape)
    return core.multiply(x, core.dropout_mask(shape, level, x.dtype, *_key(seed)))
