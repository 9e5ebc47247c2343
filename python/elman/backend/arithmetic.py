# SPDX-License-Identifier: Apache-2.0
"""Element by element: arithmetic, comparisons, choices."""

from __future__ import annotations

from typing import Any

from elman._backend import core
from elman._tensors import Tensor, as_float, as_tensor


def pair(x: Any, y: Any) -> tuple[Any, Any]:
    """Two operands; a number takes the type of the other one."""
    if isinstance(x, Tensor) or isinstance(y, Tensor):
        return x, y
    return as_tensor(x), as_tensor(y)


def add(x: Any, y: Any) -> Any:
    """x + y."""
    return core.add(*pair(x, y))


def subtract(x: Any, y: Any) -> Any:
    """x - y."""
    return core.subtract(*pair(x, y))


def multiply(x: Any, y: Any) -> Any:
    """x * y."""
    return core.multiply(*pair(x, y))


def divide(x: Any, y: Any) -> Any:
    """x / y."""
    return core.divide(*pair(x, y))


def pow(x: Any, a: Any) -> Any:  # noqa: A001 - Keras' name
    """x to the power a."""
    return core.power(*pair(x, a))


def maximum(x: Any, y: Any) -> Any:
    """The larger of x and y, element by element."""
    return core.maximum(*pair(x, y))


def minimum(x: Any, y: Any) -> Any:
    """The smaller of x and y, element by element."""
    return core.minimum(*pair(x, y))


def abs(x: Any) -> Any:  # noqa: A001 - Keras' name
    """The absolute value."""
    return core.abs(as_tensor(x))


def sign(x: Any) -> Any:
    """-1, 0 or 1."""
    return core.sign(as_tensor(x))


def exp(x: Any) -> Any:
    """e to the power x."""
    return core.exp(as_float(x))


def log(x: Any) -> Any:
    """The natural logarithm."""
    return core.log(as_float(x))


def sqrt(x: Any) -> Any:
    """The square root; negative values count as zero, as in Keras."""
    return core.sqrt(core.maximum(as_float(x), 0.0))


def square(x: Any) -> Any:
    """x * x."""
    return core.square(as_tensor(x))


def sin(x: Any) -> Any:
    """The sine."""
    return core.sin(as_float(x))


def cos(x: Any) -> Any:
    """The cosine."""
    return core.cos(as_float(x))


def clip(x: Any, min_value: float, max_value: float) -> Any:
    """x, at least min_value and at most max_value."""
    return core.clip(as_tensor(x), min_value, max_value)


def equal(x: Any, y: Any) -> Any:
    """x == y, element by element."""
    return core.equal(*pair(x, y))


def not_equal(x: Any, y: Any) -> Any:
    """x != y, element by element."""
    return core.not_equal(*pair(x, y))


def greater(x: Any, y: Any) -> Any:
    """x > y, element by element."""
    return core.greater(*pair(x, y))


def greater_equal(x: Any, y: Any) -> Any:
    """x >= y, element by element."""
    return core.greater_equal(*pair(x, y))


def less(x: Any, y: Any) -> Any:
    """x < y, element by element."""
    return core.less(*pair(x, y))


def less_equal(x: Any, y: Any) -> Any:
    """x <= y, element by element."""
    return core.less_equal(*pair(x, y))


def switch(condition: Any, then_expression: Any, else_expression: Any) -> Any:
    """Elements of the first where the condition holds, else of the second; calls functions."""
    then = then_expression() if callable(then_expression) else then_expression
    other = else_expression() if callable(else_expression) else else_expression
    condition, then = as_tensor(condition, "bool"), as_tensor(then)
    if 0 < condition.ndim < then.ndim:  # Keras: a condition per row
        rank = then.ndim - condition.ndim
        condition = core.reshape(condition, tuple(condition.shape) + (1,) * rank)
    return core.where(condition, then, other)


def where(condition: Any, x: Any, y: Any) -> Any:
    """Elements of x where the condition holds, else of y."""
    return core.where(as_tensor(condition, "bool"), *pair(x, y))
