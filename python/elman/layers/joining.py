# SPDX-License-Identifier: Apache-2.0
"""Concatenate and Dot: several tensors side by side, or as a product."""

from __future__ import annotations

import functools
from collections.abc import Sequence
from typing import Any

from elman._backend import core
from elman._errors import fail_text
from elman._tensors import as_mask
from elman.layers import _checks
from elman.layers._merging import Merge, Shape
from elman.layers._options import Option


class Concatenate(Merge):
    """Its inputs one after the other along an axis.

    Shapes: a list of tensors that are equal but for the size of `axis` -> that size is the sum.
    The masks are joined like the inputs; one that lacks the last axis counts for all features,
    an input without one as used, and a step is used if all its features are.

    Errors: ValueError for a single tensor, or shapes that differ elsewhere.

    Source: Keras `Concatenate`; the mask is that of Keras 2.

    Example:
        >>> import elman, numpy as np
        >>> elman.layers.Concatenate()([np.float32([[1, 2]]), np.float32([[3]])]).numpy()
        array([[1., 2., 3.]], dtype=float32)
    """

    axis = Option(-1, _checks.integer, doc="the axis; negative ones count from the end")

    def _axis(self, shapes: Sequence[Any]) -> int:
        rank = len(shapes[0])
        if any(len(shape) != rank for shape in shapes) or not -rank <= self.axis < rank:
            self._misfit(shapes, f"tensors of one rank with an axis {self.axis}")
        return self.axis % rank

    def _merged(self, shapes: list[Any]) -> Shape:
        axis = self._axis(shapes)
        found = list(shapes[0])
        for shape in shapes[1:]:
            for place, (m, n) in enumerate(zip(found, shape, strict=True)):
                if place == axis:
                    found[place] = None if m is None or n is None else m + n
                elif m is not None and n is not None and m != n:
                    self._misfit(shapes, f"shapes that are equal but for axis {axis}")
                else:
                    found[place] = n if m is None else m
        return tuple(found)

    def call(self, inputs: Any) -> Any:
        """The inputs joined."""
        return core.concatenate(list(inputs), self.axis)

    def compute_mask(self, inputs: Any, mask: Any = None) -> Any:
        """The masks joined like the inputs; None when no input has one."""
        masks = mask if isinstance(mask, (list, tuple)) else [mask] * len(inputs)
        if all(item is None for item in masks):
            return None
        where = f"{type(self).__name__}.compute_mask"
        masks = [None if item is None else as_mask(item, where) for item in masks]
        shapes = [tuple(x.shape) for x in inputs]
        axis = self._axis(shapes)
        given = zip(masks, shapes, strict=True)
        steps = [_of_steps(item, shape) if item is not None else None for item, shape in given]
        known = [item for item in steps if item is not None]
        rank = max(item.ndim for item in known)
        if axis >= rank:  # each part has all steps, and one is used if it is in all of them
            return functools.reduce(core.logical_and, known)
        for place, shape in enumerate(shapes):
            if steps[place] is None:
                sizes = [known[0].shape[n] if m is None else m for n, m in enumerate(shape[:rank])]
                sizes[axis] = shape[axis]
                if None in sizes:
                    self._misfit(shapes, "a mask for every input, or known sizes")
                steps[place] = core.ones(tuple(sizes), "bool")
        return core.concatenate(steps, axis)


def _of_steps(mask: Any, shape: Shape) -> Any:
    """The mask of an input of that shape as one value per step, without the axis of features."""
    rank = len(shape)
    return core.all(mask, rank - 1) if mask.ndim == rank else mask


def _axes(where: str, name: str, value: Any) -> int | tuple[int, int]:
    """One axis of both inputs, or an axis of each."""
    if isinstance(value, (list, tuple)):
        if len(value) != 2:
            expected = "an int or two ints"
            raise ValueError(fail_text(where, name, expected, f"{len(value)} of them"))
        first, second = (_checks.integer(where, name, item) for item in value)
        return first, second
    return _checks.integer(where, name, value)


class Dot(Merge):
    """The products of two inputs, sample by sample, summed over an axis of each.

    Shapes: a list of [N, ...] and [N, ...] -> [N, the other axes of the first, those of the
    second]; [N, 1] when none is left. The output has no mask.

    Errors: ValueError for another number of inputs, axes that differ in size, or the batch axis.

    Source: Keras `Dot`.

    Example:
        >>> import elman, numpy as np
        >>> elman.layers.Dot(1)([np.float32([[1, 2]]), np.float32([[3, 4]])]).numpy()
        array([[11.]], dtype=float32)
    """

    _counts = (2, "a list of 2 tensors")

    axes = Option(check=_axes, doc="an axis of both inputs, or an axis of each")
    normalize = _checks.boolean(False, "whether to divide each vector by its length before")

    def _pair(self, shapes: Sequence[Any]) -> tuple[int, int]:
        both = self.axes if isinstance(self.axes, tuple) else (self.axes, self.axes)
        found = []
        for axis, shape in zip(both, shapes, strict=True):
            rank = len(shape)
            if rank < 2 or not -rank <= axis < rank or axis % rank == 0:
                self._misfit(shapes, f"tensors with an axis {axis} that is not the batch axis")
            found.append(axis % rank)
        return found[0], found[1]

    def _merged(self, shapes: list[Any]) -> Shape:
        a, b = self._pair(shapes)
        batch, (first, second) = self._batch(shapes), shapes
        if first[a] is not None and second[b] is not None and first[a] != second[b]:
            self._misfit(shapes, f"equal sizes of axis {a} of the first and {b} of the second")
        rest = [size for axis, size in enumerate(first) if axis not in (0, a)]
        rest += [size for axis, size in enumerate(second) if axis not in (0, b)]
        return (batch, *(rest or [1]))

    def call(self, inputs: Any) -> Any:
        """The products."""
        first, second = inputs
        a, b = self._pair([first.shape, second.shape])
        if self.normalize:
            first, second = _unit(first, a), _unit(second, b)
        product = core.batch_dot(first, second, (a, b))
        return core.expand_dims(product, -1) if product.ndim == 1 else product

    def compute_mask(self, inputs: Any, mask: Any = None) -> Any:
        """None."""
        return None


def _unit(x: Any, axis: int) -> Any:
    from elman.backend import l2_normalize

    return l2_normalize(x, axis)
