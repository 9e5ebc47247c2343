# SPDX-License-Identifier: Apache-2.0
"""The form of tensors: axes, joining, cutting, looking up."""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any

import numpy as np

from elman._backend import core
from elman._settings import floatx
from elman._tensors import as_tensor


def reshape(x: Any, shape: Any) -> Any:
    """The same elements in another shape; one size may be -1."""
    return core.reshape(as_tensor(x), tuple(shape))


def permute_dimensions(x: Any, pattern: Sequence[int]) -> Any:
    """The axes in another order."""
    return core.transpose(as_tensor(x), tuple(pattern))


def transpose(x: Any) -> Any:
    """The axes in reverse order."""
    x = as_tensor(x)
    return core.transpose(x, tuple(range(x.ndim))[::-1])


def expand_dims(x: Any, axis: int = -1) -> Any:
    """x with a new axis of size 1."""
    return core.expand_dims(as_tensor(x), axis)


def squeeze(x: Any, axis: int) -> Any:
    """x without an axis of size 1."""
    return core.squeeze(as_tensor(x), axis)


def flatten(x: Any) -> Any:
    """x as one axis."""
    return core.reshape(as_tensor(x), (-1,))


def batch_flatten(x: Any) -> Any:
    """x with all axes but the first as one."""
    x = as_tensor(x)
    return core.reshape(x, (x.shape[0], int(np.prod(x.shape[1:]))))


def concatenate(tensors: Sequence[Any], axis: int = -1) -> Any:
    """Tensors one after the other along an axis."""
    return core.concatenate([as_tensor(x) for x in tensors], axis)


def stack(x: Sequence[Any], axis: int = 0) -> Any:
    """Tensors along a new axis."""
    return core.stack([as_tensor(item) for item in x], axis)


def unstack(x: Any, axis: int = 0) -> list[Any]:
    """The slices of x along an axis."""
    return list(core.unstack(as_tensor(x), axis))


def slice(x: Any, start: Sequence[int], size: Sequence[int]) -> Any:  # noqa: A001 - Keras' name
    """The part of x from `start` of the given `size`; size -1 goes to the end."""
    x = as_tensor(x)
    return core.slice(x, tuple(start), tuple(size))


def repeat_elements(x: Any, rep: int, axis: int) -> Any:
    """Each element `rep` times along an axis."""
    return core.repeat(as_tensor(x), rep, axis)


def repeat(x: Any, n: int) -> Any:
    """[N, F] -> [N, n, F]."""
    return core.repeat(core.expand_dims(as_tensor(x), 1), n, 1)


def tile(x: Any, n: Any) -> Any:
    """x repeated as a whole, n times per axis."""
    return core.tile(as_tensor(x), (n,) if isinstance(n, int) else tuple(n))


def reverse(x: Any, axes: Any) -> Any:
    """x backwards along the axes."""
    return core.reverse(as_tensor(x), (axes,) if isinstance(axes, int) else tuple(axes))


def gather(reference: Any, indices: Any) -> Any:
    """Rows of `reference` at integer indices."""
    return core.gather(as_tensor(reference), as_tensor(indices), 0)


def one_hot(indices: Any, num_classes: int) -> Any:
    """[...] -> [..., num_classes] with a one at each index."""
    return core.one_hot(as_tensor(indices), num_classes, floatx())
