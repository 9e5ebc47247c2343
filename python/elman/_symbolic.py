# SPDX-License-Identifier: Apache-2.0
"""Symbolic tensors: shapes and types without values, and the layer calls that made them."""

from __future__ import annotations

import weakref
from collections.abc import Callable, Sequence
from typing import Any, NoReturn

from elman import _settings
from elman._errors import fail_text


class Node:
    """One call of a layer on symbolic tensors.

    `args` and `kwargs` are what the layer was called with, `inputs` the symbolic tensors found in
    them in order, `outputs` the tensors that the call returned; `keys` are their names when it
    returned a dict, and `several` tells a list of one from a tensor.
    """

    __slots__ = ("__weakref__", "args", "inputs", "keys", "kwargs", "layer", "outputs", "several")

    def __init__(
        self,
        layer: Any,
        args: tuple[Any, ...],
        kwargs: dict[str, Any],
        inputs: Sequence[SymbolicTensor],
    ) -> None:
        self.layer, self.args, self.kwargs = layer, args, kwargs
        self.inputs = tuple(inputs)
        self.outputs: tuple[SymbolicTensor, ...] = ()
        self.keys: tuple[Any, ...] | None = None
        self.several = False

    def packed(self) -> Any:
        """The outputs in the form in which the call returned them."""
        if self.keys is not None:
            return dict(zip(self.keys, self.outputs, strict=True))
        return list(self.outputs) if self.several else self.outputs[0]


class _Calls(list[weakref.ref[Node]]):
    """The calls of one layer, as long as somebody holds their tensors: a layer does not keep the
    models alive that it was once called in, and a copy of it starts without calls.
    """

    def __reduce__(self) -> Any:
        return _Calls, ()


def remember_node(node: Node) -> None:
    """Note a call for `nodes_of`."""
    calls = node.layer.__dict__.setdefault("_calls", _Calls())
    calls[:] = [ref for ref in calls if ref() is not None]
    calls.append(weakref.ref(node))


def nodes_of(layer: Any) -> list[Node]:
    """The calls of a layer on symbolic tensors, oldest first."""
    return [node for ref in layer.__dict__.get("_calls", ()) if (node := ref()) is not None]


def _recorded(function: str, swapped: bool = False) -> Callable[[Any, Any], Any]:
    """The method of an operator: a layer called on the tensor, with a constant or another one."""

    def operator(self: Any, other: Any) -> Any:
        from elman.layers.arithmetic import binary

        return binary(function, other, self) if swapped else binary(function, self, other)

    return operator


class SymbolicTensor:
    """What `elman.Input` returns and what a layer returns for it; it has no values.

    `a + b`, `2 * a`, `a / b`, `a ** 2` and `a[:, -1]` are recorded as layers, like any other call.

    Attributes:
        shape: tuple with None for sizes that are not known yet.
        dtype: 'float32', ...
        name: name of the tensor.
        history: the `Node` whose output number `index` this is.
    """

    __slots__ = ("dtype", "history", "index", "name", "shape")

    def __init__(
        self, shape: Sequence[int | None], dtype: str, name: str, history: Node, index: int = 0
    ) -> None:
        self.shape, self.dtype, self.name = tuple(shape), dtype, name
        self.history, self.index = history, index

    @property
    def ndim(self) -> int:
        """Number of axes."""
        return len(self.shape)

    def __repr__(self) -> str:
        return f"<SymbolicTensor {self.name}: shape={self.shape}, dtype={self.dtype}>"

    def _no_values(self, *args: Any, **kwargs: Any) -> NoReturn:
        hint = "pass it to a layer, or give the layer an array instead"
        raise TypeError(
            f"{self!r} has no values; {hint}; a function of tensors such as those of "
            "elman.backend becomes a layer by elman.layers.Lambda"
        )

    __array__ = __bool__ = __float__ = __int__ = __iter__ = __len__ = _no_values
    __array_ufunc__ = None  # arrays leave `array * tensor` to the tensor

    def _no_product(self, other: Any) -> NoReturn:
        hint = "use layers.Dot(axes), or layers.Dense"
        raise TypeError(f"{self!r} has no values to multiply as matrices; {hint}")

    __matmul__ = __rmatmul__ = _no_product

    # Arithmetic is recorded as calls of small layers.

    __add__, __radd__ = _recorded("add"), _recorded("add", swapped=True)
    __sub__, __rsub__ = _recorded("subtract"), _recorded("subtract", swapped=True)
    __mul__, __rmul__ = _recorded("multiply"), _recorded("multiply", swapped=True)
    __truediv__, __rtruediv__ = _recorded("divide"), _recorded("divide", swapped=True)
    __pow__, __rpow__ = _recorded("power"), _recorded("power", swapped=True)

    def __neg__(self) -> Any:
        return self * -1

    def __getitem__(self, index: Any) -> Any:
        from elman.layers.arithmetic import GetItem

        return GetItem(index if isinstance(index, tuple) else (index,))(self)


def is_symbolic(x: Any) -> bool:
    """True if x is a symbolic tensor or a list, tuple or dict that holds one."""
    if isinstance(x, (list, tuple)):
        return any(map(is_symbolic, x))
    if isinstance(x, dict):
        return any(map(is_symbolic, x.values()))
    return isinstance(x, SymbolicTensor)


def symbolic_in(x: Any) -> list[SymbolicTensor]:
    """The symbolic tensors within nested lists, tuples and dicts, in order."""
    if isinstance(x, SymbolicTensor):
        return [x]
    items = x.values() if isinstance(x, dict) else x if isinstance(x, (list, tuple)) else ()
    return [found for item in items for found in symbolic_in(item)]


def replace_symbolic(x: Any, value_of: Callable[[SymbolicTensor], Any]) -> Any:
    """The same nested structure with each symbolic tensor replaced by `value_of(tensor)`."""
    if isinstance(x, SymbolicTensor):
        return value_of(x)
    if isinstance(x, (list, tuple)):
        return type(x)([replace_symbolic(item, value_of) for item in x])
    if isinstance(x, dict):
        return {key: replace_symbolic(item, value_of) for key, item in x.items()}
    return x


def record_call(
    layer: Any, args: tuple[Any, ...], kwargs: dict[str, Any], output_shape: Any, dtype: str
) -> Any:
    """The symbolic output, or list or dict of outputs, of a layer call."""
    node = Node(layer, args, kwargs, symbolic_in([args, kwargs]))
    node.several = isinstance(output_shape, list)
    shapes = output_shape if node.several else [output_shape]
    if isinstance(output_shape, dict):
        node.keys, shapes = tuple(output_shape), output_shape.values()
    node.outputs = tuple(
        SymbolicTensor(shape, dtype, layer.name, node, index) for index, shape in enumerate(shapes)
    )
    remember_node(node)
    return node.packed()


def Input(  # noqa: N802 - Keras' name
    shape: Sequence[int | None] | None = None,
    batch_shape: Sequence[int | None] | None = None,
    name: str | None = None,
    dtype: str | None = None,
    batch_size: int | None = None,
    batch_input_shape: Sequence[int | None] | None = None,
) -> SymbolicTensor:
    """A symbolic tensor to call layers on.

    Args:
        shape: sizes without the batch axis; None for unknown ones.
        batch_shape: sizes with the batch axis, in place of shape.
        name: name of the input, 'input_1' and so on by default.
        dtype: type of the values, floatx by default.
        batch_size: size of the batch axis, together with shape.
        batch_input_shape: other name of batch_shape.

    Raises:
        ValueError: neither or both of shape and batch_shape, or one that is no tuple of sizes.

    Example:
        >>> import elman
        >>> elman.layers.LSTM(4)(elman.Input((None, 8))).shape
        (None, 4)
    """
    from elman.layers import _checks
    from elman.layers.input_layer import InputLayer

    shape = _checks.shape("Input", "shape", shape)
    whole = batch_shape if batch_shape is not None else batch_input_shape
    whole = _checks.shape("Input", "batch_shape", whole)
    if (shape is None) == (whole is None):
        got = "neither" if shape is None else "both"
        raise ValueError(fail_text("Input", "shape", "either shape or batch_shape", got))
    if whole is None:
        assert shape is not None
        whole = (_checks.optional_int("Input", "batch_size", batch_size), *shape)
    layer = InputLayer(batch_input_shape=whole, dtype=dtype, name=name)
    return layer.output


def input_tensor(layer: Any) -> SymbolicTensor:
    """The symbolic tensor of an input layer."""
    node = Node(layer, (), {}, ())
    dtype = layer.dtype or _settings.floatx()
    tensor = SymbolicTensor(layer.batch_input_shape, dtype, layer.name, node)
    node.outputs = (tensor,)
    remember_node(node)
    return tensor
