# SPDX-License-Identifier: Apache-2.0
"""Checks of option values, and ready-made options for what many layers share."""

from __future__ import annotations

import numbers
import operator
from collections.abc import Callable, Iterable, Mapping
from typing import Any

import numpy as np

from elman import _settings, activations, constraints, initializers, regularizers
from elman._errors import fail_text, is_one_of
from elman._tensors import as_shape
from elman.layers._options import REQUIRED, Option


def positive_int(where: str, name: str, value: Any) -> int:
    """An int > 0 of any integer type, not a bool."""
    try:
        number = operator.index(value)
    except TypeError:
        number = 0
    if number <= 0 or isinstance(value, bool):
        raise ValueError(fail_text(where, name, "a positive int", repr(value)))
    return number


def integer(where: str, name: str, value: Any) -> int:
    """An int of any integer type, not a bool."""
    try:
        number = None if isinstance(value, bool) else operator.index(value)
    except TypeError:
        number = None
    if number is None:
        raise ValueError(fail_text(where, name, "an int", repr(value)))
    return number


def optional_int(where: str, name: str, value: Any) -> int | None:
    """An int >= 0 or None."""
    try:
        number = None if value is None else operator.index(value)
    except TypeError:
        number = -1
    if number is not None and (number < 0 or isinstance(value, bool)):
        raise ValueError(fail_text(where, name, "a non-negative int or None", repr(value)))
    return number


def flag(where: str, name: str, value: Any) -> bool:
    """True or False; 0, 1 and numpy's booleans count."""
    if isinstance(value, (bool, np.bool_)) or (isinstance(value, int) and value in (0, 1)):
        return bool(value)
    raise ValueError(fail_text(where, name, "True or False", repr(value)))


def number(where: str, name: str, value: Any) -> float:
    """A real number, not NaN."""
    if not isinstance(value, numbers.Real) or isinstance(value, bool) or value != value:
        raise ValueError(fail_text(where, name, "a number", repr(value)))
    return float(value)


def clipped_rate(where: str, name: str, value: Any) -> float:
    """A dropout rate; values outside [0, 1] are clipped, as in Keras."""
    return min(1.0, max(0.0, number(where, name, value)))


def implementation(where: str, name: str, value: Any) -> int:
    """0, 1 or 2; 0 reads back as 1."""
    if isinstance(value, bool) or not is_one_of(value, (0, 1, 2)):
        raise ValueError(fail_text(where, name, "0, 1 or 2", repr(value)))
    return max(1, int(value))


def arrays(where: str, name: str, value: Any) -> Any:
    """A list of arrays, or None; what is in it is checked when there are weights to set."""
    if value is None or isinstance(value, (list, tuple, np.ndarray)):
        return value
    if isinstance(value, (str, bytes, Mapping)) or not isinstance(value, Iterable):
        raise ValueError(fail_text(where, name, "a list of arrays", repr(value)))
    return list(value)


def layer_name(where: str, name: str, value: Any) -> str | None:
    """A non-empty string or None."""
    if value is None or (isinstance(value, str) and value):
        return value
    raise ValueError(fail_text(where, name, "a non-empty string or None", repr(value)))


def any_dtype(where: str, name: str, value: Any) -> str | None:
    """The name of a dtype that tensors have; takes names, numpy types and Keras 3 policies."""
    if isinstance(value, dict):  # {"class_name": "DTypePolicy", "config": {"name": "float32"}}
        value = value.get("config", {}).get("name")
    text = getattr(value, "name", None) or getattr(value, "__name__", None) or value
    text = "bool" if is_one_of(text, ("bool_",)) else text
    if value is None or is_one_of(text, ("float32", "float64", "int32", "int64", "bool")):
        return None if value is None else str(text)
    raise ValueError(fail_text(where, name, "'float32' or 'float64'", repr(value)))


def float_dtype(where: str, name: str, value: Any) -> str | None:
    """'float32', 'float64' or None."""
    text = any_dtype(where, name, value)
    return text if text is None else _settings.check_floatx(text, where, name)


def shape(where: str, name: str, value: Any) -> tuple[int | None, ...] | None:
    """A tuple of sizes, None for unknown ones; or None for no shape at all."""
    if value is None:
        return None
    try:
        sizes = as_shape(value)
    except (TypeError, ValueError):
        sizes = (-1,)
    if any(size is not None and size < 0 for size in sizes):
        raise ValueError(fail_text(where, name, "a tuple of sizes such as (10, 8)", repr(value)))
    return sizes


def data_format(where: str, name: str, value: Any) -> str:
    """'channels_last' or 'channels_first'; None takes the package's setting."""
    if value is None:
        return _settings.image_data_format()
    return _settings.check_data_format(value, where, name)


def _looked_up(get: Callable[[Any], Any]) -> Callable[[str, str, Any], Any]:
    """A check that finds an object by name and words the error for the layer."""

    def check(where: str, name: str, value: Any) -> Any:
        try:
            return get(value)
        except ValueError as error:
            text = str(error)
            text = text.split("] ", 1)[1] if text.startswith("[") else text
            raise ValueError(f"[{where}] {name}: {text}") from None

    return check


_activation = _looked_up(activations.get)
_initializer = _looked_up(initializers.get)
_regularizer = _looked_up(regularizers.get)
_constraint = _looked_up(constraints.get)


def units(doc: str = "size of the output") -> Option:
    """The number of units, required."""
    return Option(REQUIRED, positive_int, doc=doc)


def boolean(default: bool, doc: str, *, keyword: bool = False) -> Option:
    """A switch."""
    return Option(default, flag, keyword=keyword, doc=doc)


def activation(default: Any, doc: str = "function of the output") -> Option:
    """An activation: a name, a callable, or None for none."""
    return Option(default, _activation, activations.serialize, doc=doc)


def initializer(default: Any, doc: str) -> Option:
    """An initializer: a name, a config, an object or a callable(shape, dtype)."""
    return Option(default, _initializer, initializers.serialize, doc=doc)


def regularizer(doc: str) -> Option:
    """A penalty that is added to the loss, or None."""
    return Option(None, _regularizer, regularizers.serialize, doc=doc)


def constraint(doc: str) -> Option:
    """What an optimizer step may make of a weight, or None."""
    return Option(None, _constraint, constraints.serialize, doc=doc)


def rate(doc: str) -> Option:
    """A dropout rate, 0 by default."""
    return Option(0.0, clipped_rate, doc=doc)


def seed() -> Option:
    """The seed of the layer's own random numbers."""
    return Option(
        None, optional_int, keyword=True, doc="seed of the layer's own dropout masks, or None"
    )
