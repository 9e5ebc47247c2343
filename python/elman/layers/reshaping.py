# SPDX-License-Identifier: Apache-2.0
"""Reshape, Permute and RepeatVector: the same values in another form."""

from __future__ import annotations

import math
from typing import Any

from elman._backend import core
from elman._errors import fail_text
from elman.layers import _checks
from elman.layers._options import REQUIRED, Option
from elman.layers.layer import Layer


def _target_shape(where: str, name: str, value: Any) -> tuple[int, ...]:
    """Sizes of at least 0, at most one of them -1 (or None)."""
    if value is None:
        raise ValueError(fail_text(where, name, "a tuple of sizes", value))
    sizes: Any = value if isinstance(value, (list, tuple)) else (value,)
    sizes = tuple(-1 if size is None else _checks.integer(where, name, size) for size in sizes)
    if any(size < -1 for size in sizes) or sizes.count(-1) > 1:
        expected = "sizes of which at most one is -1"
        raise ValueError(fail_text(where, name, expected, repr(value)))
    return sizes


def _dims(where: str, name: str, value: Any) -> tuple[int, ...]:
    """1 ... n in any order."""
    dims = tuple(value) if isinstance(value, (list, tuple)) else (value,)
    if sorted(map(repr, dims)) != sorted(map(repr, range(1, len(dims) + 1))):
        expected = f"the numbers 1 to {len(dims)} in some order"
        hint = "axis 0, the batch, stays where it is"
        raise ValueError(fail_text(where, name, expected, repr(value), hint))
    return dims


class Reshape(Layer):
    """The values of each sample in another shape, in C order.

    Shapes: x [N, ...] -> [N, *target_shape]; one size of target_shape may be -1, which is found
    from the others.

    Errors: ValueError for a target_shape with two unknown sizes, or of another number of values.

    Source: Keras `Reshape`.

    Example:
        >>> import elman, numpy as np
        >>> elman.layers.Reshape((-1, 2))(np.ones((3, 4), "float32")).shape
        (3, 2, 2)
    """

    _leaf = True

    target_shape = Option(REQUIRED, _target_shape, list, doc="shape without the batch axis")

    def _sizes(self, sizes: Any) -> tuple[int | None, ...]:
        """target_shape with -1 found from the sizes of the input; None where they are unknown."""
        target, known = self.target_shape, [size for size in sizes if size is not None]
        fixed = math.prod(size for size in target if size != -1)
        if len(known) < len(sizes):
            return tuple(None if size == -1 else size for size in target)
        count = math.prod(known)
        found = count // fixed if fixed else 0
        if fixed * (found if -1 in target else 1) != count:
            hint = f"target_shape {target} holds another number of values"
            self._fail("x", f"samples that fit {target}", ("N", *sizes), hint)
        return tuple(found if size == -1 else size for size in target)

    def _check_input(self, x: Any) -> None:
        if len(x.shape) == 0:
            self._fail("x", "(N, ...)", x.shape, "the first axis is the batch axis")

    def call(self, inputs: Any) -> Any:
        """The input in its new shape."""
        shape = tuple(inputs.shape)
        return core.reshape(inputs, (shape[0], *self._sizes(shape[1:])))

    def compute_output_shape(self, input_shape: Any) -> Any:
        """(N, *target_shape)."""
        return (input_shape[0], *self._sizes(input_shape[1:]))


class Permute(Layer):
    """The axes of each sample in another order.

    Shapes: x [N, ...] -> axis i of the output is axis dims[i - 1] of x; the axes count from 1.

    Errors: ValueError for dims that are not the numbers from 1 on, or for an input with another
    number of axes.

    Source: Keras `Permute`.

    Example:
        >>> import elman, numpy as np
        >>> elman.layers.Permute((2, 1))(np.ones((3, 4, 5), "float32")).shape
        (3, 5, 4)
    """

    _leaf = True

    dims = Option(REQUIRED, _dims, list, doc="the axes in their new order, without the batch axis")

    def _check_input(self, x: Any) -> None:
        self._check_rank(x.shape)

    def _check_rank(self, shape: Any, method: str = "call") -> None:
        if len(shape) != len(self.dims) + 1:
            self._fail("x", f"{len(self.dims) + 1} axes", shape, f"dims is {self.dims}", method)

    def call(self, inputs: Any) -> Any:
        """The input with its axes in the new order."""
        return core.transpose(inputs, (0, *self.dims))

    def compute_output_shape(self, input_shape: Any) -> Any:
        """The input's sizes in the new order."""
        self._check_rank(input_shape, "compute_output_shape")
        return (input_shape[0], *(input_shape[axis] for axis in self.dims))


class RepeatVector(Layer):
    """Each sample n times, one after the other: a vector as a sequence.

    Shapes: x [N, F] -> [N, n, F].

    Errors: ValueError for an input that is not [N, F], or an n that is not positive.

    Source: Keras `RepeatVector`.

    Example:
        >>> import elman, numpy as np
        >>> elman.layers.RepeatVector(3)(np.ones((2, 4), "float32")).shape
        (2, 3, 4)
    """

    _leaf = True

    n = Option(REQUIRED, _checks.positive_int, doc="number of repetitions")

    def _check_input(self, x: Any) -> None:
        self._check_rank(x.shape)

    def _check_rank(self, shape: Any, method: str = "call") -> None:
        if len(shape) != 2:
            hint = "a recurrent layer before it returns its last step"
            self._fail("x", "(N, F)", shape, hint, method)

    def call(self, inputs: Any) -> Any:
        """The repetitions."""
        return core.repeat(core.expand_dims(inputs, 1), self.n, 1)

    def compute_output_shape(self, input_shape: Any) -> Any:
        """(N, n, F)."""
        self._check_rank(input_shape, "compute_output_shape")
        return (input_shape[0], self.n, input_shape[1])
