# SPDX-License-Identifier: Apache-2.0
"""What a functional model is called with, as one tensor per input."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from typing import Any

import numpy as np

from elman import _settings
from elman._backend import core
from elman._errors import closest, fail_text
from elman._symbolic import SymbolicTensor
from elman._tensors import Tensor, as_mask, is_array, mask_of, named_tensor, with_mask
from elman.layers.embedding import Embedding

_ARRAYS = (Tensor, np.ndarray)


class Arguments:
    """Inputs of a model: their names, shapes and types, and how given arrays are brought to them.

    Args:
        names: name of each input.
        tensors: the symbolic tensor of each input.
        nodes: the layer calls of the model.
    """

    def __init__(
        self, names: Sequence[str], tensors: Sequence[SymbolicTensor], nodes: Sequence[Any]
    ) -> None:
        self.names = list(names)
        self._layer_names = [tensor.history.layer.name for tensor in tensors]
        self._shapes = [tensor.shape for tensor in tensors]
        users = [[n.layer for n in nodes if any(t is s for s in n.inputs)] for t in tensors]
        self._dtypes = [_dtype(t, found) for t, found in zip(tensors, users, strict=True)]
        # Integers for Embedding alone stay integers, whatever type the Input has.
        self._ids = [
            bool(found) and all(isinstance(layer, Embedding) for layer in found) for found in users
        ]

    def in_order(self, where: str, what: str, given: Any) -> list[Any]:
        """One item per input from a single item, a list, or a dict by name."""
        names = self.names
        if isinstance(given, Mapping):
            given = {str(key): item for key, item in given.items()}
            if not given.keys() & set(names) and given.keys() & set(self._layer_names):
                names = self._layer_names
            for key in given:
                if key not in names:
                    expected = f"the keys {', '.join(map(repr, names))}"
                    hint = f"did you mean {closest(key, names)!r}?"
                    raise ValueError(fail_text(where, what, expected, repr(key), hint))
            missing = [name for name in names if name not in given]
            if missing:
                keys = ", ".join(map(repr, given))
                expected = f"a value for {', '.join(map(repr, missing))}"
                raise ValueError(fail_text(where, what, expected, f"only {keys}"))
            return [given[name] for name in names]
        listed = isinstance(given, (list, tuple)) and (
            len(names) > 1 or (len(given) == 1 and _is_tensor(given[0]))
        )
        items = list(given) if listed else [given]
        if len(items) != len(names):
            expected = f"{len(names)} arrays ({', '.join(names)})"
            got = str(len(items)) if listed else "one"
            raise ValueError(fail_text(where, what, expected, got, "as a list, or a dict by name"))
        return items

    def quick(self, where: str, given: Any) -> list[Any] | None:
        """`tensors` for arrays and tensors in order; None for what takes a closer look."""
        if type(given) is list:
            if len(given) != len(self.names):
                return None
            for item in given:
                if type(item) not in _ARRAYS:
                    return None
            return [self._tensor(where, index, item) for index, item in enumerate(given)]
        if type(given) not in _ARRAYS or len(self.names) != 1:
            return None
        return [self._tensor(where, 0, given)]

    def tensors(self, where: str, given: Any, mask: Any = None) -> list[Any]:
        """Tensors of the right type and shape, with the masks that came along or were given."""
        items = self.in_order(where, "inputs", given)
        found = [self._tensor(where, index, item) for index, item in enumerate(items)]
        if mask is not None:
            masks = self.in_order(where, "mask", mask)
            masks = [None if m is None else as_mask(m, where) for m in masks]
            found = [with_mask(x, m, x) for x, m in zip(found, masks, strict=True)]
        return found

    def _tensor(self, where: str, index: int, item: Any) -> Any:
        shape, dtype = self._shapes[index], self._dtypes[index]
        x = item if type(item) is Tensor else self._as_tensor(where, index, item)
        before = x
        if x.dtype != dtype and (x.dtype in _settings.FLOATS or not self._ids[index]):
            x = core.cast(x, dtype)
        if len(x.shape) != len(shape):
            x = self._adjusted(where, index, x)
        if x is not before:
            x = with_mask(x, mask_of(before))
        given = x.shape
        for known, size in zip(shape[1:], given[1:], strict=True):
            if known is not None and known != size:
                raise ValueError(self._misfit(where, index, x))
        return x

    def _as_tensor(self, where: str, index: int, item: Any) -> Any:
        if isinstance(item, Tensor):
            return item
        return named_tensor(item, None, where, f"inputs[{index}] ({self.names[index]!r})")

    def _adjusted(self, where: str, index: int, x: Any) -> Any:
        """A missing or an additional last axis of size 1 is put right, as in Keras."""
        shape = self._shapes[index]
        if x.ndim == len(shape) - 1 and shape[-1] == 1 and x.ndim > 0:
            return core.expand_dims(x, -1)
        if x.ndim == len(shape) + 1 and x.shape[-1] == 1:
            return core.squeeze(x, -1)
        raise ValueError(self._misfit(where, index, x))

    def _misfit(self, where: str, index: int, x: Any) -> str:
        what = f"inputs[{index}] ({self.names[index]!r})"
        shape = str(tuple(self._shapes[index])).replace("None", "N", 1)
        return fail_text(where, what, shape, tuple(x.shape))

    def check_shapes(self, where: str, given: Any) -> list[tuple[int | None, ...]]:
        """One shape per input of symbolic inputs, or of shapes; ValueError for one that misfits."""
        items = self.in_order(where, "inputs", given)
        shapes = [tuple(getattr(item, "shape", item)) for item in items]
        for index, (known, shape) in enumerate(zip(self._shapes, shapes, strict=True)):
            pairs = zip(known[1:], shape[1:], strict=False)
            if len(known) != len(shape) or any(a and b and a != b for a, b in pairs):
                what = f"inputs[{index}] ({self.names[index]!r})"
                raise ValueError(fail_text(where, what, str(known), shape))
        return shapes


def _is_tensor(item: Any) -> bool:
    return is_array(item) or isinstance(item, SymbolicTensor)


def _dtype(tensor: SymbolicTensor, users: Sequence[Any]) -> str:
    """The type of an input: the one of its layers when its Input does not state one."""
    layer = tensor.history.layer
    types = {getattr(user, "dtype", None) for user in users}
    if not layer._dtype_given and types == {"float64"}:
        return "float64"
    return tensor.dtype
