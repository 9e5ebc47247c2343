# SPDX-License-Identifier: Apache-2.0
"""What LayerNormalization and BatchNormalization share: gamma and beta, and axes."""

from __future__ import annotations

from typing import Any

from elman._backend import core
from elman._errors import fail_text
from elman.layers import _checks
from elman.layers._elementwise import Elementwise


def axes(where: str, name: str, value: Any) -> int | tuple[int, ...]:
    """One axis, or several different ones as a tuple."""
    if not isinstance(value, (list, tuple)):
        return _checks.integer(where, name, value)
    several = tuple(_checks.integer(where, name, axis) for axis in value)
    if not several or len(set(several)) < len(several):
        raise ValueError(fail_text(where, name, "an axis, or different axes", repr(value)))
    return several


def positive(where: str, name: str, value: Any) -> float:
    """A number above 0."""
    number = _checks.number(where, name, value)
    if number <= 0:
        raise ValueError(fail_text(where, name, "a number above 0", value))
    return number


def as_listed(axis: int | tuple[int, ...]) -> int | list[int]:
    """An axis option as a configuration holds it."""
    return axis if isinstance(axis, int) else list(axis)


class Normalization(Elementwise):
    """Base: the normalized axes are moved to the end and made one, which the kernel then runs over.

    A subclass has the options axis, center, scale and those of gamma and beta.
    """

    _leaf = True

    axis: Any
    center: Any
    scale: Any
    gamma: Any = None
    beta: Any = None
    _places: tuple[int, ...] = ()
    _sizes: tuple[int, ...] = ()
    _rank = 0

    def _find_axes(self, input_shape: Any) -> None:
        """The axes as positive numbers, and their sizes."""
        rank, given = len(input_shape), self.axis
        given = (given,) if isinstance(given, int) else given
        if any(not -rank <= axis < rank or axis in (0, -rank) for axis in given):
            hint = f"axis is {self.axis}; axis 0 is the batch"
            self._fail("x", "an input with that axis", input_shape, hint)
        places = tuple(sorted({axis % rank for axis in given}))
        sizes = tuple(input_shape[axis] for axis in places)
        if None in sizes:
            self._fail("x", f"a known size of axis {self.axis}", input_shape, "")
        self._places, self._sizes, self._rank = places, sizes, rank

    def _add_affine(self) -> None:
        for name, wanted in (("gamma", self.scale), ("beta", self.center)):
            if wanted:
                weight = self.add_weight(
                    name=name,
                    shape=self._sizes,
                    initializer=getattr(self, f"{name}_initializer"),
                    regularizer=getattr(self, f"{name}_regularizer"),
                    constraint=getattr(self, f"{name}_constraint"),
                )
                setattr(self, name, weight)

    def _check_input(self, x: Any) -> None:
        shape = tuple(x.shape)
        if len(shape) != self._rank or tuple(shape[axis] for axis in self._places) != self._sizes:
            expected = ["N"] + ["?"] * (self._rank - 1)
            for axis, size in zip(self._places, self._sizes, strict=True):
                expected[axis] = str(size)
            hint = "as when the layer was built"
            self._fail("x", f"({', '.join(expected)})", shape, hint)

    def _order(self) -> tuple[int, ...] | None:
        """The axes with the normalized ones last; None when they are there already."""
        order = (*(axis for axis in range(self._rank) if axis not in self._places), *self._places)
        return None if order == tuple(range(self._rank)) else order

    def _to_last(self, x: Any) -> Any:
        """x [..., F] with the normalized axes as the last one."""
        order = self._order()
        x = x if order is None else core.transpose(x, order)
        if len(self._places) == 1:
            return x
        return core.reshape(x, (*x.shape[: -len(self._places)], -1))

    def _from_last(self, y: Any, like: Any) -> Any:
        """The inverse of `_to_last`."""
        order = self._order()
        if order is None:
            return y if len(self._places) == 1 else core.reshape(y, tuple(like.shape))
        y = core.reshape(y, tuple(like.shape[axis] for axis in order))
        return core.transpose(y, tuple(order.index(axis) for axis in range(self._rank)))

    def _flat(self, weight: Any) -> Any:
        if weight is None or len(self._places) == 1:
            return weight
        return core.reshape(weight, (-1,))
