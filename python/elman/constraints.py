# SPDX-License-Identifier: Apache-2.0
"""Constraints on weights, applied after each optimizer step: `constraint(w)` is the allowed w.

>>> import elman
>>> elman.constraints.non_neg()([-1.0, 2.0]).numpy()
array([0., 2.], dtype=float32)

Source: Keras `constraints`; norms run along `axis` with that axis kept.
"""

from __future__ import annotations

from collections.abc import Callable, Mapping, Sequence
from typing import Any

from elman import _serialization
from elman._backend import core
from elman._lookup import lookup
from elman._names import snake_case
from elman._settings import epsilon
from elman._tensors import as_float

Axis = int | Sequence[int]


class Constraint:
    """Base: `__call__(w)` returns the constrained tensor; `get_config` the arguments."""

    def __call__(self, w: Any) -> Any:
        raise TypeError(f"[{type(self).__name__}] __call__(w) is not defined")

    def get_config(self) -> dict[str, Any]:
        """The arguments that make an equal constraint."""
        return dict(vars(self))

    @classmethod
    def from_config(cls, config: Mapping[str, Any]) -> Constraint:
        """A constraint from `get_config`'s dictionary."""
        return cls(**config)


def _norm(w: Any, axis: Axis) -> Any:
    along = axis if isinstance(axis, int) else tuple(axis)
    return core.sqrt(core.sum(core.square(w), along, True))


class MaxNorm(Constraint):
    """Scales w so that its norms along `axis` are at most `max_value`."""

    def __init__(self, max_value: float = 2, axis: Axis = 0) -> None:
        self.max_value, self.axis = max_value, axis

    def __call__(self, w: Any) -> Any:
        w = as_float(w)
        norms = _norm(w, self.axis)
        desired = core.clip(norms, 0.0, self.max_value)
        return core.multiply(w, core.divide(desired, core.add(norms, epsilon())))


class NonNeg(Constraint):
    """Sets negative weights to zero."""

    def __call__(self, w: Any) -> Any:
        return core.maximum(as_float(w), 0.0)


class UnitNorm(Constraint):
    """Scales w to norm 1 along `axis`."""

    def __init__(self, axis: Axis = 0) -> None:
        self.axis = axis

    def __call__(self, w: Any) -> Any:
        w = as_float(w)
        return core.divide(w, core.add(_norm(w, self.axis), epsilon()))


class MinMaxNorm(Constraint):
    """Moves the norms of w along `axis` towards [min_value, max_value] by the share `rate`."""

    def __init__(
        self,
        min_value: float = 0.0,
        max_value: float = 1.0,
        rate: float = 1.0,
        axis: Axis = 0,
    ) -> None:
        self.min_value, self.max_value, self.rate, self.axis = min_value, max_value, rate, axis

    def __call__(self, w: Any) -> Any:
        w = as_float(w)
        norms = _norm(w, self.axis)
        clipped = core.multiply(core.clip(norms, self.min_value, self.max_value), self.rate)
        desired = core.add(clipped, core.multiply(norms, 1.0 - self.rate))
        return core.multiply(w, core.divide(desired, core.add(norms, epsilon())))


max_norm = maxnorm = MaxNorm
non_neg = nonneg = NonNeg
unit_norm = unitnorm = UnitNorm
min_max_norm = MinMaxNorm

_CLASSES = (MaxNorm, NonNeg, UnitNorm, MinMaxNorm)
_BY_NAME: dict[str, Any] = {
    **{cls.__name__: cls for cls in _CLASSES},
    **{snake_case(cls.__name__): cls for cls in _CLASSES},
    "maxnorm": MaxNorm,
    "nonneg": NonNeg,
    "unitnorm": UnitNorm,
}


def get(
    identifier: Any, custom_objects: Mapping[str, Any] | None = None
) -> Callable[[Any], Any] | None:
    """The constraint of a name, a config, an instance or a callable; None stays None.

    Errors: ValueError for an unknown name or anything else.
    """
    if identifier is None:
        return None
    return lookup(identifier, _BY_NAME, "constraints.get", "constraint", custom_objects)


serialize = _serialization.serialize_or_name
deserialize = get
