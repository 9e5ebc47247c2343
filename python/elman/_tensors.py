# SPDX-License-Identifier: Apache-2.0
"""From anything array-like to `elman.Tensor`, without a copy where type and order fit."""

from __future__ import annotations

import operator
from typing import Any

import numpy as np

from elman import _settings
from elman._backend import core
from elman._errors import fail_text

Tensor = core.Tensor
Variable = core.Variable

_SUPPORTED = ("float32", "float64", "int32", "int64", "bool")
# By numpy's type object: asking one for its name takes longer than a small operation.
_NAME_OF = {np.dtype(name): name for name in _SUPPORTED}


def is_masked(x: Any) -> bool:
    """True for a numpy.ma array that hides some of its elements."""
    return type(x) is not np.ndarray and isinstance(x, np.ma.MaskedArray) and np.ma.is_masked(x)


def as_tensor(x: Any, dtype: str | None = None) -> Any:
    """x as a Tensor of `dtype` (its own type when None, floatx for Python floats)."""
    if isinstance(x, Tensor):
        return x if dtype is None or x.dtype == dtype else core.cast(x, dtype)
    given = x
    if not hasattr(x, "dtype"):
        x = np.asarray(x)
        if dtype is None and x.dtype == np.float64:
            dtype = _settings.floatx()
    if isinstance(x, np.ndarray):
        kind = x.dtype
        if kind in _NAME_OF:
            return Tensor(x, None if _NAME_OF[kind] == dtype else dtype)
        if kind.kind not in "biuf":
            if isinstance(given, int):  # numpy makes an object of a large one
                raise ValueError(
                    f"expected a number within int64, got one of {given.bit_length()} bits"
                )
            got = "None" if given is None else f"dtype {kind}"
            raise TypeError(f"expected an array of numbers, got {got}")
        if kind == np.uint64 and x.size and x.max() > np.iinfo(np.int64).max:
            raise ValueError(f"expected integers within int64, got {x.max()}")
        near = _NAME_OF.get(kind.newbyteorder("="))
        x = x.astype(near or (_settings.floatx() if kind.kind == "f" else "int64"))
    return Tensor(x, dtype)


def named_tensor(x: Any, dtype: str | None, where: str, what: str) -> Any:
    """`as_tensor` whose errors say what was given where: ``[LSTM.call] x: ...``."""
    try:
        return as_tensor(x, dtype)
    except (TypeError, ValueError) as error:
        raise type(error)(f"[{where}] {what}: {unplaced(error)}") from None


def unplaced(error: Exception) -> str:
    """The text of an error without the function and argument that it names."""
    text = str(error)
    return text.split(": ", 1)[-1] if text.startswith("[") else text


def as_float(x: Any) -> Any:
    """x as a Tensor of a float type; integers and Python numbers become floatx."""
    x = as_tensor(x)
    return x if x.dtype in _settings.FLOATS else core.cast(x, _settings.floatx())


def is_array(x: Any) -> bool:
    """True for tensors and arrays of any library, not for Python numbers and sequences."""
    return isinstance(x, (Tensor, np.ndarray, memoryview)) or hasattr(x, "__array__")


def shape_of(x: Any) -> tuple[int, ...]:
    """The shape of an array-like as a tuple."""
    return tuple(x.shape) if hasattr(x, "shape") else np.shape(x)


def as_shape(shape: Any) -> tuple[int | None, ...]:
    """A shape as a tuple of int or None; takes tuples, lists and TensorShape-like objects.

    Raises:
        TypeError: something else, or sizes that are no integers.
    """
    given = shape
    if hasattr(shape, "as_list"):
        shape = shape.as_list()
    try:
        if isinstance(shape, (str, bytes)):  # the bytes of a text are integers
            raise TypeError
        return tuple(None if size is None else operator.index(size) for size in shape)
    except TypeError:
        raise TypeError(f"expected a tuple of sizes such as (10, 8), got {given!r}") from None


def as_mask(mask: Any, where: str, what: str = "mask") -> Any:
    """A mask as a bool tensor; numbers count as True unless zero.

    A list that holds arrays, one per input, stays a list.

    Raises:
        TypeError, ValueError: not an array of numbers.
    """
    if isinstance(mask, (list, tuple)) and any(map(is_array, mask)):
        return [None if item is None else as_mask(item, where, what) for item in mask]
    try:
        mask = as_tensor(mask)
    except (TypeError, ValueError) as error:
        got = type(mask).__name__
        text = fail_text(where, what, "a boolean (N, T) array", got, str(error))
        raise type(error)(text) from None
    return mask if mask.dtype == "bool" else core.not_equal(mask, 0)


def mask_of(x: Any) -> Any:
    """The mask that travels with a tensor (a list of them for a list), or None."""
    if isinstance(x, (list, tuple)):
        masks = [mask_of(item) for item in x]
        return masks if any(mask is not None for mask in masks) else None
    return getattr(x, "_keras_mask", None)


def with_mask(x: Any, mask: Any, source: Any = None) -> Any:
    """x carrying `mask`. A tensor that the caller also holds (`source`) is not written to."""
    if mask is None and getattr(x, "_keras_mask", None) is None:
        return x
    if x is source or isinstance(x, Variable):
        if getattr(x, "_keras_mask", None) is mask:
            return x
        x = core.identity(x)
    x._keras_mask = mask
    return x
