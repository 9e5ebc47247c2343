# SPDX-License-Identifier: Apache-2.0
"""Penalties on weights and outputs: l1 * sum |w| + l2 * sum w^2, differentiable.

>>> import elman
>>> float(elman.regularizers.l2(0.5)([1.0, 2.0]))
2.5

Source: Keras 2 `regularizers` ('l1_l2' has both factors 0.01, the class L1L2 has 0).
"""

from __future__ import annotations

from collections.abc import Callable, Mapping
from typing import Any

from elman import _serialization
from elman._backend import core
from elman._errors import fail_text
from elman._lookup import lookup
from elman._tensors import as_float


class Regularizer:
    """Base: `__call__(x)` returns a scalar tensor; `get_config` the arguments."""

    def __call__(self, x: Any) -> Any:
        raise TypeError(f"[{type(self).__name__}] __call__(x) is not defined")

    def get_config(self) -> dict[str, Any]:
        """The arguments that make an equal regularizer."""
        return {}

    @classmethod
    def from_config(cls, config: Mapping[str, Any]) -> Regularizer:
        """A regularizer from `get_config`'s dictionary."""
        return cls(**config)


def _factor(name: str, value: Any) -> float:
    ok = isinstance(value, (int, float)) or hasattr(value, "__float__")
    if not ok or isinstance(value, bool) or not abs(float(value)) < float("inf"):
        raise ValueError(fail_text("regularizers", name, "a finite number", repr(value)))
    return float(value)


class L1L2(Regularizer):
    """l1 * sum |x| + l2 * sum x^2."""

    def __init__(self, l1: float = 0.0, l2: float = 0.0) -> None:
        self.l1, self.l2 = _factor("l1", l1 or 0.0), _factor("l2", l2 or 0.0)

    def __call__(self, x: Any) -> Any:
        x = as_float(x)
        terms: list[Any] = []
        if self.l1:
            terms.append(core.multiply(core.sum(core.abs(x)), self.l1))
        if self.l2:
            terms.append(core.multiply(core.sum(core.square(x)), self.l2))
        if not terms:
            return core.zeros((), x.dtype)
        return terms[0] if len(terms) == 1 else core.add(*terms)

    def get_config(self) -> dict[str, Any]:
        return {"l1": self.l1, "l2": self.l2}


class L1(L1L2):
    """l1 * sum |x|."""

    def __init__(self, l1: float = 0.01) -> None:
        super().__init__(l1=l1)

    def get_config(self) -> dict[str, Any]:
        return {"l1": self.l1}


class L2(L1L2):
    """l2 * sum x^2."""

    def __init__(self, l2: float = 0.01) -> None:
        super().__init__(l2=l2)

    def get_config(self) -> dict[str, Any]:
        return {"l2": self.l2}


def l1(l1: float = 0.01) -> L1:
    """An L1 penalty."""
    return L1(l1)


def l2(l2: float = 0.01) -> L2:
    """An L2 penalty."""
    return L2(l2)


def l1_l2(l1: float = 0.01, l2: float = 0.01) -> L1L2:
    """Both penalties."""
    return L1L2(l1, l2)


_BY_NAME: dict[str, Any] = {
    "l1": L1,
    "l2": L2,
    "L1": L1,
    "L2": L2,
    "L1L2": L1L2,
    "l1_l2": L1L2(0.01, 0.01),
}


def get(
    identifier: Any, custom_objects: Mapping[str, Any] | None = None
) -> Callable[[Any], Any] | None:
    """The regularizer of a name, a config, an instance or a callable; None stays None.

    Errors: ValueError for an unknown name or anything else.
    """
    if identifier is None:
        return None
    return lookup(identifier, _BY_NAME, "regularizers.get", "regularizer", custom_objects)


serialize = _serialization.serialize_or_name
deserialize = get
