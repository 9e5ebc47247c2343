# SPDX-License-Identifier: Apache-2.0
"""Layers that make one tensor of several element by element, and functions for all that do so."""

from __future__ import annotations

from collections.abc import Callable, Sequence
from typing import Any

from elman._backend import core
from elman.layers._merging import Merge
from elman.layers.joining import Concatenate, Dot


def _folded(function: Callable[[Any, Any], Any], inputs: list[Any]) -> Any:
    result = inputs[0]
    for x in inputs[1:]:
        result = function(result, x)
    return result


class Add(Merge):
    """The sum of its inputs.

    Shapes: a list of tensors [N, ...] whose sizes are equal or 1 -> the broadcast shape; an input
    of fewer axes gets new ones after the batch axis, so [N, F] goes with [N, T, F]. The mask is
    True where the masks of all inputs that have one are.

    Errors: ValueError for a single tensor, or shapes that do not go together.

    Source: Keras `Add`; the mask is that of Keras 2.

    Example:
        >>> import elman, numpy as np
        >>> elman.layers.Add()([np.float32([[1, 2]]), np.float32([[3, 4]])]).numpy()
        array([[4., 6.]], dtype=float32)
    """

    def _combine(self, inputs: list[Any]) -> Any:
        return _folded(core.add, inputs)


class Subtract(Merge):
    """The first input minus the second.

    Shapes: a list of two tensors, as for `Add`.

    Errors: ValueError for another number of inputs, or shapes that do not go together.

    Source: Keras `Subtract`.

    Example:
        >>> import elman, numpy as np
        >>> elman.layers.Subtract()([np.float32([[1, 2]]), np.float32([[3, 5]])]).numpy()
        array([[-2., -3.]], dtype=float32)
    """

    _counts = (2, "a list of 2 tensors")

    def _combine(self, inputs: list[Any]) -> Any:
        return core.subtract(*inputs)


class Multiply(Merge):
    """The product of its inputs, element by element.

    Shapes, errors: as for `Add`.

    Source: Keras `Multiply`.

    Example:
        >>> import elman, numpy as np
        >>> elman.layers.Multiply()([np.float32([[1, 2]]), np.float32([[3, 4]])]).numpy()
        array([[3., 8.]], dtype=float32)
    """

    def _combine(self, inputs: list[Any]) -> Any:
        return _folded(core.multiply, inputs)


class Average(Merge):
    """The mean of its inputs, element by element.

    Shapes, errors: as for `Add`.

    Source: Keras `Average`.

    Example:
        >>> import elman, numpy as np
        >>> elman.layers.Average()([np.float32([[1, 2]]), np.float32([[3, 4]])]).numpy()
        array([[2., 3.]], dtype=float32)
    """

    def _combine(self, inputs: list[Any]) -> Any:
        return core.divide(_folded(core.add, inputs), float(len(inputs)))


class Maximum(Merge):
    """The largest of its inputs, element by element.

    Shapes, errors: as for `Add`.

    Source: Keras `Maximum`.

    Example:
        >>> import elman, numpy as np
        >>> elman.layers.Maximum()([np.float32([[1, 4]]), np.float32([[3, 2]])]).numpy()
        array([[3., 4.]], dtype=float32)
    """

    def _combine(self, inputs: list[Any]) -> Any:
        return _folded(core.maximum, inputs)


class Minimum(Merge):
    """The smallest of its inputs, element by element.

    Shapes, errors: as for `Add`.

    Source: Keras `Minimum`.

    Example:
        >>> import elman, numpy as np
        >>> elman.layers.Minimum()([np.float32([[1, 4]]), np.float32([[3, 2]])]).numpy()
        array([[1., 2.]], dtype=float32)
    """

    def _combine(self, inputs: list[Any]) -> Any:
        return _folded(core.minimum, inputs)


# -- the same as functions, on tensors of elman.Input ---------------------------------------------


def add(inputs: Sequence[Any], **kwargs: Any) -> Any:
    """`Add(**kwargs)(inputs)`."""
    return Add(**kwargs)(inputs)


def subtract(inputs: Sequence[Any], **kwargs: Any) -> Any:
    """`Subtract(**kwargs)(inputs)`."""
    return Subtract(**kwargs)(inputs)


def multiply(inputs: Sequence[Any], **kwargs: Any) -> Any:
    """`Multiply(**kwargs)(inputs)`."""
    return Multiply(**kwargs)(inputs)


def average(inputs: Sequence[Any], **kwargs: Any) -> Any:
    """`Average(**kwargs)(inputs)`."""
    return Average(**kwargs)(inputs)


def maximum(inputs: Sequence[Any], **kwargs: Any) -> Any:
    """`Maximum(**kwargs)(inputs)`."""
    return Maximum(**kwargs)(inputs)


def minimum(inputs: Sequence[Any], **kwargs: Any) -> Any:
    """`Minimum(**kwargs)(inputs)`."""
    return Minimum(**kwargs)(inputs)


def concatenate(inputs: Sequence[Any], axis: int = -1, **kwargs: Any) -> Any:
    """`Concatenate(axis, **kwargs)(inputs)`."""
    return Concatenate(axis=axis, **kwargs)(inputs)


def dot(inputs: Sequence[Any], axes: Any, normalize: bool = False, **kwargs: Any) -> Any:
    """`Dot(axes, normalize, **kwargs)(inputs)`."""
    return Dot(axes=axes, normalize=normalize, **kwargs)(inputs)
