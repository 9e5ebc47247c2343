# SPDX-License-Identifier: Apache-2.0
"""What building a layer adds to its `build`, and the shapes that it is built for."""

from __future__ import annotations

import functools
from collections.abc import Callable
from typing import Any

from elman import _context
from elman._symbolic import SymbolicTensor
from elman._tensors import Tensor, as_shape


def build_wrapper(build: Callable[[Any, Any], None]) -> Callable[[Any, Any], None]:
    """A `build` that also notes the shape, names the weights and assigns the given ones."""

    def wrapped(self: Any, input_shape: Any) -> None:
        if self.__dict__.get("_building"):  # a subclass' build that calls its base's
            build(self, input_shape)
            return
        shape = _checked_shape(self, "build", input_shape)
        self._building = True
        try:
            with _context.name_scope(self.name):
                build(self, shape)
        finally:
            del self._building
        if self.__dict__.get("_initial_weights") is not None:
            self.set_weights(self._initial_weights)
            self._initial_weights = None
        self._input_shape = shape
        self.built = True  # last: another thread may be waiting to call the layer

    wrapped.__doc__, wrapped.__name__ = build.__doc__, "build"
    wrapped.__wrapped__ = build  # type: ignore[attr-defined]
    return wrapped


def shape_wrapper(compute: Callable[[Any, Any], Any]) -> Callable[[Any, Any], Any]:
    """A `compute_output_shape` that is given a shape, or a list or dict of shapes."""

    @functools.wraps(compute)
    def wrapped(self: Any, input_shape: Any) -> Any:
        return compute(self, _checked_shape(self, "compute_output_shape", input_shape))

    return wrapped


def _checked_shape(layer: Any, method: str, shape: Any) -> Any:
    """A shape as a tuple; TypeError for something that is none."""
    if _is_shape_list(shape):
        return shape
    try:
        return as_shape(shape)
    except TypeError as error:
        where = f"{type(layer).__name__}.{method}"
        raise TypeError(f"[{where}] input_shape: {error} (layer {layer.name!r})") from None


def _is_shape_list(shape: Any) -> bool:
    """True for a list or dict of shapes, as opposed to one shape."""
    if isinstance(shape, dict):
        return True
    return isinstance(shape, (list, tuple)) and any(
        isinstance(item, (list, tuple)) or hasattr(item, "as_list") for item in shape
    )


def open_batch(shape: Any, batch: int | None) -> Any:
    """A shape, or each one of a list or dict, with another batch size."""
    if isinstance(shape, dict):
        return {key: open_batch(item, batch) for key, item in shape.items()}
    if isinstance(shape, list):
        return [open_batch(item, batch) for item in shape]
    return (batch, *shape[1:])


def shapes_of(x: Any) -> Any:
    """The shape of a tensor, or those of a list or dict of tensors in the same form."""
    if isinstance(x, (Tensor, SymbolicTensor)):
        return tuple(x.shape)
    if isinstance(x, dict):
        return {key: shapes_of(item) for key, item in x.items()}
    return [shapes_of(item) for item in x]
