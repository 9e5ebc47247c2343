# SPDX-License-Identifier: Apache-2.0
"""The layers that `a + 1`, `a / b` and `a[:, -1]` on symbolic tensors are recorded as."""

from __future__ import annotations

import numbers
import operator
from collections.abc import Callable, Sequence
from types import EllipsisType
from typing import Any

import numpy as np

from elman import _names
from elman._backend import core
from elman._errors import fail_text, unknown_text
from elman._symbolic import SymbolicTensor
from elman._tensors import Tensor, is_array
from elman.layers._merging import Merge, Shape, broadcast, cast_all
from elman.layers._options import Option
from elman.layers.layer import Layer
from elman.layers.merge import Add, Multiply, Subtract

_FUNCTIONS: dict[str, Callable[[Any, Any], Any]] = {
    "add": core.add,
    "subtract": core.subtract,
    "multiply": core.multiply,
    "divide": core.divide,
    "power": core.power,
}
_LAYERS = {"add": Add, "subtract": Subtract, "multiply": Multiply}


def _function(where: str, name: str, value: Any) -> str:
    if value not in _FUNCTIONS:
        raise ValueError(unknown_text(where, "function", value, _FUNCTIONS))
    return str(value)


def _constant(where: str, name: str, value: Any) -> Any:
    """None, a number, or an array that broadcasts with the samples."""
    if value is None or (isinstance(value, numbers.Real) and not isinstance(value, np.generic)):
        return value
    if isinstance(value, (list, tuple)) or is_array(value):
        array = np.asarray(value)
        if array.dtype.kind in "fiu":
            return array.item() if array.ndim == 0 else array
    raise ValueError(fail_text(where, name, "a number or an array of numbers", repr(value)))


def _plain(value: Any) -> Any:
    return value.tolist() if isinstance(value, np.ndarray) else value


class Arithmetic(Merge):
    """Two tensors, or a tensor and a constant, element by element; what operators record.

    Shapes: x [N, ...] with a constant that broadcasts as in numpy, or a list of two tensors that
    broadcast as for `Add`.

    Errors: ValueError for an unknown function, two constants, or shapes that do not fit.

    Source: the operators of Keras' symbolic tensors.

    Example:
        >>> import elman, numpy as np
        >>> elman.layers.Arithmetic("divide", left=1.0)(np.float32([[2, 4]])).numpy()
        array([[0.5 , 0.25]], dtype=float32)
    """

    _counts = (2, "a list of 2 tensors, or one tensor with a constant")

    function = Option(check=_function, doc="'add', 'subtract', 'multiply', 'divide' or 'power'")
    left = Option(None, _constant, _plain, doc="the constant first operand, or None")
    right = Option(None, _constant, _plain, doc="the constant second operand, or None")

    def _setup(self) -> None:
        if self.left is not None and self.right is not None:
            where = type(self).__name__
            raise ValueError(fail_text(where, "left, right", "at most one constant", "two"))
        constant = self.right if self.left is None else self.left
        if isinstance(constant, np.ndarray):
            kind = self.dtype if constant.dtype.kind == "f" else "int64"
            constant = Tensor(np.ascontiguousarray(constant, kind))
        self._value = constant

    def _automatic_name(self) -> str:
        return _names.unique_name(self.function)

    def _cast(self, x: Any) -> Any:
        if self._value is None:
            return super()._cast(x)
        (x,) = cast_all(self, [x])
        return x

    def _check(self, shapes: Any) -> Shape:
        if self._value is None:
            return super()._check(shapes)
        if isinstance(shapes, list):
            return self._fail_list(f"a list of {len(shapes)} and a constant")
        both = broadcast(shapes, getattr(self._value, "shape", ()))
        if both is None or len(both) > len(shapes):
            expected = f"sizes that broadcast with the constant's {tuple(self._value.shape)}"
            return self._misfit([shapes], expected)
        return both

    def _check_input(self, x: Any) -> None:
        if self._value is None:
            super()._check_input(x)
        else:
            self._check([item.shape for item in x] if isinstance(x, list) else tuple(x.shape))

    def call(self, inputs: Any) -> Any:
        """The function of the operands."""
        function = _FUNCTIONS[self.function]
        if self._value is None:
            return super().call(inputs)
        if self.left is None:
            return function(inputs, self._value)
        return function(self._value, inputs)

    def _combine(self, inputs: list[Any]) -> Any:
        return _FUNCTIONS[self.function](*inputs)


def binary(function: str, a: Any, b: Any) -> Any:
    """The symbolic result of an operator; at least one operand is symbolic."""
    if isinstance(a, SymbolicTensor) and isinstance(b, SymbolicTensor):
        layer = _LAYERS.get(function)
        return (Arithmetic(function) if layer is None else layer())([a, b])
    x, constant = (a, b) if isinstance(a, SymbolicTensor) else (b, a)
    if not isinstance(constant, numbers.Real) and not is_array(constant):
        return NotImplemented
    side = "right" if x is a else "left"
    return Arithmetic(function, **{side: constant})(x)


def _index(where: str, name: str, value: Any) -> tuple[Any, ...]:
    """An index as a tuple; slices may come as {"start": ..., "stop": ..., "step": ...}."""
    found = []
    for item in value if isinstance(value, (tuple, list)) else (value,):
        if isinstance(item, dict) and item.keys() <= {"start", "stop", "step"}:
            item = slice(item.get("start"), item.get("stop"), item.get("step"))
        elif item == "...":
            item = Ellipsis
        try:
            found.append(_part(item))
        except TypeError:
            expected = "ints, slices, None and ... (use layers for anything else)"
            raise TypeError(fail_text(where, name, expected, repr(item))) from None
    if sum(item is Ellipsis for item in found) > 1:
        raise ValueError(fail_text(where, name, "at most one ...", "several"))
    return tuple(found)


def _part(item: Any) -> int | slice | EllipsisType | None:
    if item is None or item is Ellipsis:
        return item
    if isinstance(item, slice):
        ends = (item.start, item.stop, item.step)
        return slice(*(None if end is None else operator.index(end) for end in ends))
    if isinstance(item, bool):
        raise TypeError
    return operator.index(item)


def _plain_index(index: Sequence[Any]) -> list[Any]:
    found: list[Any] = []
    for item in index:
        if isinstance(item, slice):
            item = {"start": item.start, "stop": item.stop, "step": item.step}
        found.append("..." if item is Ellipsis else item)
    return found


class GetItem(Layer):
    """A part of a tensor, `x[index]`; what `a[:, -1]` on a symbolic tensor records.

    Shapes: x [N, ...] -> as in numpy; the index starts with the batch axis. The mask [N, T] is
    cut likewise when the first two entries are slices, otherwise there is none.

    Errors: TypeError for an index of anything but ints, slices, None and `...`; ValueError or
    IndexError for one that does not fit.

    Source: numpy's basic indexing.

    Example:
        >>> import elman, numpy as np
        >>> elman.layers.GetItem((slice(None), -1))(np.float32([[1, 2], [3, 4]])).numpy()
        array([2., 4.], dtype=float32)
    """

    _leaf = True

    index = Option(check=_index, save=_plain_index, doc="int, slice, None, ..., or a tuple of them")

    def _cast(self, x: Any) -> Any:
        (x,) = cast_all(self, [x])
        return x

    def call(self, inputs: Any) -> Any:
        """The part."""
        return core.getitem(inputs, self.index)

    def compute_output_shape(self, input_shape: Any) -> Any:
        """The shape of the part; None where it depends on a size that is not known."""
        tries = []
        for size in (1009, 2003):  # primes, larger than an index is likely to be
            sizes = [size if axis is None else axis for axis in input_shape]
            try:
                tries.append(np.broadcast_to(np.int8(0), sizes)[self.index].shape)
            except IndexError as error:
                self._fail("x", f"a shape for the index: {error}", input_shape, "")
        return tuple(m if m == n else None for m, n in zip(*tries, strict=True))

    def compute_mask(self, inputs: Any, mask: Any = None) -> Any:
        """The mask of the steps that are left, if steps are what is left."""
        if mask is None or mask.ndim != 2:
            return None
        entries = list(self.index)
        if Ellipsis in entries:
            place = entries.index(Ellipsis)
            taken = sum(item is not None and item is not Ellipsis for item in entries)
            entries[place : place + 1] = [slice(None)] * (inputs.ndim - taken)
        entries = [*entries, slice(None), slice(None)][:2]
        if not all(isinstance(item, slice) for item in entries):
            return None
        return core.getitem(mask, tuple(entries))
