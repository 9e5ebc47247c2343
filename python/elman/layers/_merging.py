# SPDX-License-Identifier: Apache-2.0
"""Merge, the base of layers of several inputs: broadcast shapes, and masks that are combined."""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any, ClassVar

from elman import _settings
from elman._backend import core
from elman._errors import fail_text
from elman._tensors import mask_of, named_tensor, with_mask
from elman.layers.layer import Layer

Shape = tuple[int | None, ...]


def broadcast(a: Sequence[int | None], b: Sequence[int | None]) -> Shape | None:
    """The shape of an elementwise result, aligned at the end; None where the two do not fit."""
    if len(a) < len(b):
        a, b = b, a
    ahead = len(a) - len(b)
    sizes = list(a[:ahead])
    for m, n in zip(a[ahead:], b, strict=True):
        if m == 1 or n == 1:
            sizes.append(n if m == 1 else m)
        elif m is None or n is None:
            sizes.append(n if m is None else m)
        elif m != n:
            return None
        else:
            sizes.append(m)
    return tuple(sizes)


def cast_all(layer: Any, inputs: Sequence[Any]) -> list[Any]:
    """Tensors of one type: integers stay integers only among themselves."""
    where, kept = f"{type(layer).__name__}.call", layer.dtype
    items = [named_tensor(x, None, where, f"inputs[{i}]") for i, x in enumerate(inputs)]
    if all(x.dtype not in _settings.FLOATS for x in items):
        return items
    return [x if x.dtype == kept else with_mask(core.cast(x, kept), mask_of(x)) for x in items]


def common_mask(masks: Any) -> Any:
    """True where every mask is True; inputs without a mask do not count."""
    if not isinstance(masks, (list, tuple)):
        return masks
    found = None
    for mask in masks:
        if mask is not None:
            found = mask if found is None else core.logical_and(found, mask)
    return found


class Merge(Layer):
    """A layer called on a list of tensors; subclasses say how many and what they make of them."""

    _leaf = True
    _counts: ClassVar[tuple[int, str]] = (0, "a list of tensors")
    supports_masking = True

    def _cast(self, x: Any) -> Any:
        if not isinstance(x, (list, tuple)):
            return self._fail_list("one tensor")
        if not x:
            return self._fail_list("a list of 0")
        return cast_all(self, x)

    def build(self, input_shape: Any) -> None:
        """Only checks the shapes; there are no weights."""
        self._check(input_shape)

    def _check_input(self, x: Any) -> None:
        if not isinstance(x, (list, tuple)):
            self._fail_list("one tensor")
        self._check([tuple(item.shape) for item in x])

    def _check(self, shapes: Any) -> Shape:
        """The output shape; ValueError for inputs that do not go together."""
        count = self._counts[0]
        if not isinstance(shapes, list):
            return self._fail_list("one tensor")
        if len(shapes) == 0 or (count and len(shapes) != count):
            return self._fail_list(f"a list of {len(shapes)}")
        if any(len(shape) == 0 for shape in shapes):
            self._misfit(shapes, "tensors with a batch axis")
        return self._merged(shapes)

    def _fail_list(self, got: str) -> Any:
        where, expected = f"{type(self).__name__}.call", self._counts[1]
        text = fail_text(where, "inputs", expected, got, "write layer([a, b])")
        raise ValueError(f"{text} (layer {self.name!r})")

    def _misfit(self, shapes: Sequence[Any], expected: str) -> Any:
        got = ", ".join(str(tuple(shape)) for shape in shapes)
        text = fail_text(f"{type(self).__name__}.call", "inputs", expected, got)
        raise ValueError(f"{text} (layer {self.name!r})")

    def _batch(self, shapes: Sequence[Any]) -> int | None:
        sizes = {shape[0] for shape in shapes} - {None}
        if len(sizes) > 1:
            self._misfit(shapes, "tensors of one batch size")
        return next(iter(sizes), None)

    def _merged(self, shapes: list[Any]) -> Shape:
        """The output shape of an elementwise layer."""
        batch, sizes = self._batch(shapes), tuple(shapes[0][1:])
        for shape in shapes[1:]:
            both = broadcast(sizes, shape[1:])
            sizes = self._misfit(shapes, "sizes that are equal or 1") if both is None else both
        return (batch, *sizes)

    def compute_output_shape(self, input_shape: Any) -> Any:
        """The broadcast shape of the inputs."""
        return self._check(input_shape)

    def compute_mask(self, inputs: Any, mask: Any = None) -> Any:
        """True where the masks of all inputs that have one are True."""
        return common_mask(mask)

    def call(self, inputs: Any) -> Any:
        """The inputs combined; those of fewer axes get new ones after the batch axis."""
        rank = max(x.ndim for x in inputs)
        aligned = []
        for x in inputs:
            if x.ndim < rank:
                new = (1,) * (rank - x.ndim)
                x = core.reshape(x, (x.shape[0], *new, *x.shape[1:]))
            aligned.append(x)
        return self._combine(aligned)

    def _combine(self, inputs: list[Any]) -> Any:
        raise NotImplementedError
