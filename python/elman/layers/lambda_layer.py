# SPDX-License-Identifier: Apache-2.0
"""Lambda: any function as a layer."""

from __future__ import annotations

import functools
from collections.abc import Callable, Mapping
from typing import Any

from elman import _serialization
from elman._errors import fail_text
from elman._signatures import accepted
from elman._tensors import Tensor, as_mask, as_shape
from elman.layers import _checks
from elman.layers._options import REQUIRED, Option, declared, named
from elman.layers.layer import Layer

# What Keras 2 writes besides the arguments: how it stored each function, and in which module.
_OF_KERAS_2 = frozenset({"function_type", "module", "output_shape_type", "output_shape_module"})


def _named_function(where: str, name: str, value: Any) -> Callable[..., Any]:
    """A function, or the name of one that custom_objects knows."""
    if isinstance(value, Mapping) and value.get("class_name") == "function":  # Keras 3
        value = str(value.get("registered_name") or value.get("config"))
    found = _serialization.find(value, {}) if isinstance(value, str) else value
    if callable(found):
        return found
    if isinstance(value, str):
        hint = f"name it: custom_objects={{{value!r}: the function}}"
        raise ValueError(fail_text(where, name, "a known function", repr(value), hint))
    hint = "code that is stored in a file is not run"
    raise ValueError(fail_text(where, name, "a function", type(value).__name__, hint))


def _optional_function(where: str, name: str, value: Any) -> Any:
    """A function, the name of one; None for anything else."""
    named = isinstance(value, (str, Mapping)) or callable(value)
    return _named_function(where, name, value) if named else None


def _shape(where: str, name: str, value: Any) -> Any:
    """A function of the input's shape, or a shape without the batch axis."""
    function = _optional_function(where, name, value)
    return _checks.shape(where, name, value) if function is None else function


def _mask(where: str, name: str, value: Any) -> Any:
    """A function(inputs, mask), or a mask, or None."""
    function = _optional_function(where, name, value)
    if function is not None or value is None:
        return function
    mask = as_mask(value, where, name)
    if isinstance(mask, Tensor) and mask.ndim == 0:
        raise ValueError(fail_text(where, name, "a function or an array (N, T)", repr(value)))
    return value


def _arguments(where: str, name: str, value: Any) -> dict[str, Any]:
    if value is None:
        return {}
    if isinstance(value, Mapping) and all(isinstance(key, str) for key in value):
        return dict(value)
    raise ValueError(fail_text(where, name, "a dict of keyword arguments", repr(value)))


def _name_of(what: str, value: Any) -> Any:
    """What a configuration holds of a function: its name."""
    if _serialization.keeps(value):
        return value
    if not callable(value):
        return list(value) if isinstance(value, tuple) else value
    text = getattr(value, "__qualname__", "<lambda>")
    if "<lambda>" in text or not hasattr(value, "__name__"):
        hint = "write it with def, and name it in custom_objects to load it"
        raise ValueError(fail_text("Lambda.get_config", what, "a named function", text, hint))
    return value.__name__


class Lambda(Layer):
    """function(x, **arguments), made of operations on tensors such as those of elman.backend.

    A function that has the parameters `mask` or `training` is given them. output_shape, without the
    batch axis or as a function of the input's shape, is found by trying when it is None. A mask
    is passed on only where `mask` says so: an array, or a function(inputs, mask).

    A configuration holds the name of the function and never its code: loading it takes
    custom_objects={name: function}.

    Shapes: whatever the function takes and returns.

    Errors: ValueError for something that is no function, or at get_config for a lambda expression.

    Source: Keras `Lambda`.

    Example:
        >>> import elman, numpy as np
        >>> elman.layers.Lambda(lambda x: x * 2.0)(np.float32([[1, 2]])).numpy()
        array([[2., 4.]], dtype=float32)
    """

    function = Option(
        REQUIRED, _named_function, functools.partial(_name_of, "function"), doc="of x"
    )
    mask = Option(None, _mask, functools.partial(_name_of, "mask"), doc="mask of the output")
    arguments = Option(None, _arguments, doc="keyword arguments of the function")

    @classmethod
    def _collect_options(cls) -> dict[str, Option]:
        # Not an attribute like the others: output_shape is what every layer has when it is built.
        save, doc = functools.partial(_name_of, "output_shape"), "shape of the output"
        shape = named("output_shape", Option(None, _shape, save, doc=doc))
        found = declared(cls)
        return {"function": found["function"], "output_shape": shape, **found}

    def _start(self, values: dict[str, Any], base: dict[str, Any]) -> None:
        self._given_shape = values.pop("output_shape")
        self.supports_masking = values["mask"] is not None
        super()._start(values, base)

    def call(self, inputs: Any, mask: Any = None, training: Any = None) -> Any:
        """The function of the input."""
        extras = accepted(self.function, mask=mask, training=training)
        return self.function(inputs, **{**extras, **self.arguments})

    def compute_mask(self, inputs: Any, mask: Any = None) -> Any:
        """What the option `mask` says, else None."""
        if callable(self.mask):
            return self.mask(inputs, mask)
        return None if self.mask is None else as_mask(self.mask, f"{type(self).__name__}.call")

    def compute_output_shape(self, input_shape: Any) -> Any:
        """What output_shape says, else what the function returns for zeros."""
        given = self._given_shape
        if given is None:
            return super().compute_output_shape(input_shape)
        if callable(given):
            return as_shape(given(input_shape))
        batch = input_shape[0][0] if isinstance(input_shape, list) else input_shape[0]
        return (batch, *given)

    def _option_value(self, name: str) -> Any:
        return self._given_shape if name == "output_shape" else super()._option_value(name)

    @classmethod
    def from_config(
        cls, config: Mapping[str, Any], custom_objects: Mapping[str, Any] | None = None
    ) -> Any:
        """A layer from `get_config`'s dictionary; functions are found in `custom_objects`."""
        config = {key: value for key, value in config.items() if key not in _OF_KERAS_2}
        return super().from_config(config, custom_objects)
