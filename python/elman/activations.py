# SPDX-License-Identifier: Apache-2.0
"""Activation functions by name, as functions and as `get(identifier)`.

>>> import elman
>>> elman.activations.hard_sigmoid([-3.0, 0.0, 1.0]).numpy()
array([0. , 0.5, 0.7], dtype=float32)

Source: Keras `activations`. 'hard_sigmoid' is the form of Keras 1 and 2, clip(0.2 x + 0.5, 0, 1);
Keras 3's relu6(x + 3) / 6 is 'hard_sigmoid_v3'.
"""

from __future__ import annotations

import math
from collections.abc import Callable, Mapping
from typing import Any

from elman import _serialization
from elman._backend import core
from elman._errors import fail_text, unknown_text
from elman._tensors import as_float

Activation = Callable[[Any], Any]


def linear(x: Any) -> Any:
    """y = x."""
    return x


def relu(
    x: Any,
    alpha: float = 0.0,
    max_value: float | None = None,
    threshold: float = 0.0,
    *,
    negative_slope: float | None = None,
) -> Any:
    """y = x from `threshold` on, `alpha` (x - threshold) below, at most `max_value`.

    `negative_slope` is Keras 3's name of alpha.
    """
    if negative_slope is not None:
        if alpha:
            got = f"alpha={alpha} and negative_slope={negative_slope}"
            raise ValueError(fail_text("activations.relu", "alpha", "one name of the slope", got))
        alpha = negative_slope
    x = as_float(x)
    if threshold:
        below = core.multiply(core.subtract(x, threshold), alpha) if alpha else 0.0
        y = core.where(core.greater_equal(x, threshold), x, below)
    else:
        y = core.activation(x, "relu")
        if alpha:
            y = core.subtract(y, core.multiply(core.activation(core.negative(x), "relu"), alpha))
    return y if max_value is None else core.minimum(y, max_value)


def sigmoid(x: Any) -> Any:
    """y = 1 / (1 + exp(-x))."""
    return core.activation(as_float(x), "sigmoid")


def tanh(x: Any) -> Any:
    """y = tanh(x)."""
    return core.activation(as_float(x), "tanh")


def hard_sigmoid(x: Any) -> Any:
    """y = clip(0.2 x + 0.5, 0, 1), the form of Keras 1 and 2."""
    return core.activation(as_float(x), "hard_sigmoid")


def hard_sigmoid_v3(x: Any) -> Any:
    """y = relu6(x + 3) / 6, what Keras 3 calls hard_sigmoid."""
    return core.activation(as_float(x), "hard_sigmoid_v3")


def softplus(x: Any) -> Any:
    """y = log(1 + exp(x))."""
    return core.activation(as_float(x), "softplus")


def softsign(x: Any) -> Any:
    """y = x / (1 + |x|)."""
    return core.activation(as_float(x), "softsign")


def elu(x: Any, alpha: float = 1.0) -> Any:
    """y = x above zero, alpha (exp(x) - 1) below."""
    x = as_float(x)
    if alpha == 1.0:
        return core.activation(x, "elu")
    return core.where(core.greater(x, 0.0), x, core.multiply(core.activation(x, "elu"), alpha))


def exponential(x: Any) -> Any:
    """y = exp(x)."""
    return core.activation(as_float(x), "exponential")


def selu(x: Any) -> Any:
    """y = 1.0507 elu(x) with alpha 1.67326 (self-normalising)."""
    return core.activation(as_float(x), "selu")


def silu(x: Any) -> Any:
    """y = x sigmoid(x), also called swish."""
    return core.activation(as_float(x), "silu")


def gelu(x: Any, approximate: bool = False) -> Any:
    """y = x Phi(x) with the exact normal distribution, or its tanh approximation."""
    x = as_float(x)
    if not approximate:
        return core.activation(x, "gelu")
    cube = core.multiply(core.multiply(x, x), x)
    inner = core.multiply(core.add(x, core.multiply(cube, 0.044715)), math.sqrt(2.0 / math.pi))
    return core.multiply(core.multiply(x, 0.5), core.add(core.activation(inner, "tanh"), 1.0))


def mish(x: Any) -> Any:
    """y = x tanh(softplus(x))."""
    return core.activation(as_float(x), "mish")


def relu6(x: Any) -> Any:
    """y = clip(x, 0, 6)."""
    return core.activation(as_float(x), "relu6")


def leaky_relu(x: Any, negative_slope: float = 0.2) -> Any:
    """y = x above zero, negative_slope x below."""
    if negative_slope == 0.2:
        return core.activation(as_float(x), "leaky_relu")
    return relu(x, negative_slope)


def softmax(x: Any, axis: int = -1) -> Any:
    """y = exp(x - max x) / sum of the same along `axis`."""
    return core.softmax(as_float(x), axis)


def log_softmax(x: Any, axis: int = -1) -> Any:
    """y = log(softmax(x)), computed without overflow."""
    return core.log_softmax(as_float(x), axis)


swish = silu

# The functions that the compiled kernels know, with the kernel's name for them.
_KERNEL_FUNCTIONS: tuple[Activation, ...] = (
    linear, relu, sigmoid, tanh, hard_sigmoid, hard_sigmoid_v3, softplus, softsign, elu,
    exponential, selu, silu, gelu, mish, relu6, leaky_relu,
)  # fmt: skip
_KERNEL_NAMES = {function: function.__name__ for function in _KERNEL_FUNCTIONS}
# Those of all units of a row, which only the kernels of the recurrent layers know.
_ROW_NAMES: dict[Activation, str] = {softmax: "softmax", log_softmax: "log_softmax"}
_BY_NAME: dict[str, Activation] = {
    **{name: function for function, name in _KERNEL_NAMES.items()},
    "swish": silu,
    **{name: function for function, name in _ROW_NAMES.items()},
}


def kernel_name(activation: Any, rows: bool = False) -> str | None:
    """The compiled kernel's name of an activation, or None when only Python can run it.

    With `rows`, of a kernel that also knows those of all units of a row.
    """
    try:
        name = _KERNEL_NAMES.get(activation)
        return _ROW_NAMES.get(activation) if rows and name is None else name
    except TypeError:  # an unhashable callable is the user's own
        return None


def get(identifier: Any, custom_objects: Mapping[str, Any] | None = None) -> Activation:
    """The activation of a name, a config, a callable, or None (linear).

    Errors: ValueError for an unknown name or anything else.
    """
    if identifier is None:
        return linear
    if isinstance(identifier, str):
        found = _serialization.find(identifier, _BY_NAME, custom_objects)
        if not callable(found):
            raise ValueError(unknown_text("activations.get", "activation", identifier, _BY_NAME))
        return found
    if isinstance(identifier, Mapping):
        return get(
            _serialization.deserialize_object(
                identifier, _BY_NAME, custom_objects, "activations.get", "activation"
            )
        )
    if callable(identifier):
        return identifier
    expected = "a name, a callable or None"
    raise ValueError(fail_text("activations.get", "identifier", expected, repr(identifier)))


def serialize(activation: Activation) -> Any:
    """What `get` needs to find the activation again: its name, or the config of a layer."""
    if hasattr(activation, "get_config"):
        return _serialization.serialize_object(activation)
    if _serialization.keeps(activation):
        return activation
    name = getattr(activation, "__name__", None)
    return name if name is not None else type(activation).__name__


def deserialize(config: Any, custom_objects: Mapping[str, Any] | None = None) -> Activation:
    """The activation of a configuration written by `serialize`."""
    return get(config, custom_objects)
