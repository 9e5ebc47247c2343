# SPDX-License-Identifier: Apache-2.0
"""What all optimizers share: learning rate, clipping, weight decay, slots, constraints."""

from __future__ import annotations

import math
import numbers
from collections.abc import Iterable, Sequence
from typing import Any

import numpy as np

from elman._backend import core
from elman._errors import fail_text
from elman._keywords import NamedKeywords
from elman._names import snake_case
from elman._tensors import Tensor, named_tensor
from elman.optimizers.schedules import LearningRateSchedule


class Optimizer(NamedKeywords):
    """Base class. A subclass names its slots and writes `update_step`.

    Args:
        learning_rate: a number or a `LearningRateSchedule`.
        weight_decay: each step first takes away learning_rate * weight_decay * weight.
        clipnorm: longest gradient of one weight (Euclidean norm).
        clipvalue: largest absolute value of a gradient entry.
        global_clipnorm: longest gradient of all weights together.
        name: default the class name in snake case.

    Only one of the three clipping arguments can be given. A gradient is clipped before the weight
    decay and the update; constraints of the weights come last.

    Example:
        >>> import elman
        >>> w = elman.Variable([1.0])
        >>> elman.optimizers.SGD(0.1).apply_gradients([(elman.Tensor([2.0], "float32"), w)])
        1
        >>> round(float(w[0]), 4)
        0.8
    """

    #: names of the arrays kept per weight, each of the weight's shape and type
    slot_names: tuple[str, ...] = ()
    #: start value of the slots
    slot_start: float = 0.0

    def __init__(
        self,
        learning_rate: Any = 0.01,
        weight_decay: float | None = None,
        clipnorm: float | None = None,
        clipvalue: float | None = None,
        global_clipnorm: float | None = None,
        name: str | None = None,
    ) -> None:
        where = type(self).__name__
        self.name = name or snake_case(where)
        given = {"clipnorm": clipnorm, "clipvalue": clipvalue, "global_clipnorm": global_clipnorm}
        used = {key: value for key, value in given.items() if value is not None}
        if len(used) > 1:
            raise ValueError(fail_text(where, "clipping", "at most one of the three", list(used)))
        for key, value in used.items():
            if not value > 0:
                raise ValueError(fail_text(where, key, "a positive number", value))
        self.clipnorm, self.clipvalue, self.global_clipnorm = clipnorm, clipvalue, global_clipnorm
        if weight_decay is not None and not weight_decay >= 0:
            raise ValueError(fail_text(where, "weight_decay", "at least 0", weight_decay))
        self.weight_decay = weight_decay
        self.iterations = 0
        self._schedule: LearningRateSchedule | None = None
        self._rate: Any = None
        self._start_rate(learning_rate)
        self._known: dict[int, Any] = {}  # keeps the variables alive, so that ids stay unique
        self._slots: dict[int, tuple[Any, ...]] = {}
        self._extra: list[Any] = []
        self._no_decay: dict[int, Any] = {}
        self._no_decay_names: tuple[str, ...] = ()

    def _start_rate(self, value: Any) -> None:
        if isinstance(value, LearningRateSchedule):
            self._schedule = value
            return
        # A float64 variable: `optimizer.learning_rate.assign(x)` and K.set_value work, and a
        # float64 model is trained with exactly the number that was given.
        rate = np.asarray(_checked_rate(type(self).__name__, value), np.float64)
        self._rate = core.Variable(rate, trainable=False, name="learning_rate")

    @property
    def learning_rate(self) -> Any:
        """The learning rate of the next step; assign a number to change it."""
        return self._rate if self._schedule is None else self._schedule(self.iterations)

    @learning_rate.setter
    def learning_rate(self, value: Any) -> None:
        if isinstance(value, LearningRateSchedule):
            self._schedule = value
            return
        rate = _checked_rate(type(self).__name__, value)
        if self._schedule is not None:
            raise TypeError(
                f"[{type(self).__name__}] learning_rate: this optimizer follows a "
                f"{type(self._schedule).__name__}; assign another schedule instead of {rate}"
            )
        self._rate.assign(np.asarray(rate, np.float64))

    lr = learning_rate

    def current_learning_rate(self) -> float:
        """The learning rate of the next step as a number."""
        return float(self._rate if self._schedule is None else self._schedule(self.iterations))

    @property
    def variables(self) -> list[Any]:
        """The slots of all weights seen so far."""
        return [*(slot for slots in self._slots.values() for slot in slots), *self._extra]

    def exclude_from_weight_decay(
        self, var_list: Sequence[Any] | None = None, var_names: Sequence[str] | None = None
    ) -> None:
        """No weight decay for these variables, and for those whose name contains such a text."""
        self._no_decay.update({id(variable): variable for variable in var_list or ()})
        self._no_decay_names += tuple(var_names or ())

    def __getstate__(self) -> dict[str, Any]:
        """For copies and pickles: what is filed under the id of a variable, without the ids."""
        state = dict(self.__dict__)
        state["_slots"] = [self._slots.get(key) for key in self._known]
        for name in ("_known", "_no_decay"):
            state[name] = list(state[name].values())
        return state

    def __setstate__(self, state: dict[str, Any]) -> None:
        self.__dict__.update(state)
        slots = zip(state["_known"], state["_slots"], strict=True)
        self._slots = {id(variable): kept for variable, kept in slots if kept is not None}
        for name in ("_known", "_no_decay"):
            setattr(self, name, {id(variable): variable for variable in state[name]})

    def build(self, variables: Iterable[Any]) -> None:
        """Make the slots of variables not seen before; `apply` calls it."""
        for variable in variables:
            if id(variable) in self._known:
                continue
            if not isinstance(variable, core.Variable):
                where, got = f"{type(self).__name__}.build", type(variable).__name__
                raise TypeError(fail_text(where, "variables", "Variables", got))
            self._known[id(variable)] = variable
            self._slots[id(variable)] = tuple(
                self._new_slot(variable, name) for name in self.slot_names
            )

    def _new_slot(self, variable: Any, name: str, start: float | None = None) -> Any:
        shape, dtype = tuple(variable.shape), np.dtype(variable.dtype)
        value = np.full(shape, self.slot_start if start is None else start, dtype)
        return core.Variable(value, trainable=False, name=f"{variable.name}_{name}")

    def add_variable_from_reference(
        self, reference_variable: Any, name: str = "var", initializer: str = "zeros"
    ) -> Any:
        """A slot like `reference_variable`, for optimizers that write their own `build`."""
        if initializer not in ("zeros", "ones"):
            where = f"{type(self).__name__}.add_variable_from_reference"
            raise ValueError(fail_text(where, "initializer", "'zeros' or 'ones'", initializer))
        slot = self._new_slot(reference_variable, name, float(initializer == "ones"))
        self._extra.append(slot)
        return slot

    def apply_gradients(self, grads_and_vars: Iterable[tuple[Any, Any]]) -> int:
        """One step from pairs (gradient, variable); returns the number of steps so far."""
        pairs = list(grads_and_vars)
        self.apply([grad for grad, _ in pairs], [variable for _, variable in pairs])
        return self.iterations

    def apply(self, grads: Sequence[Any], trainable_variables: Sequence[Any] | None = None) -> None:
        """One step.

        Args:
            grads: a gradient (tensor or array) per variable; a variable with gradient None is left
                alone.
            trainable_variables: default the variables of the last `build`.

        Errors: ValueError when the lengths differ, every gradient is None, or a gradient has
        another shape than its variable; TypeError for something that is no array of numbers.
        """
        variables = self._known.values() if trainable_variables is None else trainable_variables
        where = type(self).__name__
        if len(grads) != len(variables):
            expected = f"one gradient for each of {len(variables)} variables"
            raise ValueError(fail_text(f"{where}.apply", "grads", expected, len(grads)))
        pairs = [
            (g if isinstance(g, Tensor) else _gradient(where, index, g, v), v)
            for index, (g, v) in enumerate(zip(grads, variables, strict=True))
            if g is not None
        ]
        if not pairs:
            if not grads:
                return
            raise ValueError(
                f"[{where}.apply] grads: expected a gradient for at least one variable, got None "
                "for all; the loss does not depend on them"
            )
        if not self._known.keys() >= {id(variable) for _, variable in pairs}:
            self.build([variable for _, variable in pairs])
        rate = self.current_learning_rate()
        clipped = self._clip([grad for grad, _ in pairs])
        self._begin_step()
        decays = self.weight_decay and not self._decays_itself
        for grad, (_, variable) in zip(clipped, pairs, strict=True):
            if decays and (decay := self._decay_of(variable)):
                variable.assign(variable * (1.0 - rate * decay))
            self.update_step(grad, variable, rate)
        for _, variable in pairs:
            constraint = getattr(variable, "constraint", None)
            if constraint is not None:
                variable.assign(constraint(variable))
        self.iterations += 1

    #: True when `update_step` takes the weight decay into its own kernel
    _decays_itself = False

    def _decay_of(self, variable: Any) -> float:
        if not self.weight_decay or id(variable) in self._no_decay:
            return 0.0
        name = str(variable.name)
        return 0.0 if any(text in name for text in self._no_decay_names) else self.weight_decay

    def _begin_step(self) -> None:
        """Numbers that all weights of one step share."""

    def update_step(self, gradient: Any, variable: Any, learning_rate: float) -> None:
        """Change one variable by its gradient."""
        raise TypeError(f"[{type(self).__name__}] a subclass of Optimizer must define update_step")

    def _clip(self, grads: list[Any]) -> list[Any]:
        if self.clipvalue is not None:
            return [core.clip(grad, -self.clipvalue, self.clipvalue) for grad in grads]
        if self.clipnorm is not None:
            return [_shorten([grad], self.clipnorm)[0] for grad in grads]
        if self.global_clipnorm is not None:
            return _shorten(grads, self.global_clipnorm)
        return grads

    def get_config(self) -> dict[str, Any]:
        """The constructor arguments, with the learning rate of now."""
        rate: Any = self._schedule
        if isinstance(rate, LearningRateSchedule):
            rate = {"class_name": type(rate).__name__, "config": rate.get_config()}
        else:
            rate = float(self._rate)
        return {
            "name": self.name,
            "learning_rate": rate,
            "weight_decay": self.weight_decay,
            "clipnorm": self.clipnorm,
            "clipvalue": self.clipvalue,
            "global_clipnorm": self.global_clipnorm,
        }

    @classmethod
    def from_config(cls, config: dict[str, Any]) -> Any:
        """The inverse of `get_config`."""
        from elman.optimizers import schedules

        config = dict(config)
        rate = config.get("learning_rate")
        if isinstance(rate, dict):
            config["learning_rate"] = schedules.deserialize(rate)
        return cls(**config)


def _gradient(where: str, index: int, gradient: Any, variable: Any) -> Any:
    """A gradient that came as an array, in the type of its variable."""
    what = f"grads[{index}]"
    gradient = named_tensor(gradient, getattr(variable, "dtype", None), f"{where}.apply", what)
    shape = tuple(getattr(variable, "shape", gradient.shape))
    if tuple(gradient.shape) != shape:
        hint = f"like {variable.name}"
        got = tuple(gradient.shape)
        raise ValueError(fail_text(f"{where}.apply", what, str(shape), got, hint))
    return gradient


def checked_share(where: str, name: str, value: Any) -> float:
    """The decay of a running mean: a number in [0, 1)."""
    if not isinstance(value, numbers.Real) or not 0 <= float(value) < 1:
        raise ValueError(fail_text(where, name, "a number in [0, 1)", repr(value)))
    return float(value)


def _checked_rate(where: str, value: Any) -> float:
    try:
        rate = float(value)
    except (TypeError, ValueError):
        expected = "a number or a LearningRateSchedule"
        raise TypeError(fail_text(where, "learning_rate", expected, repr(value))) from None
    if not rate >= 0 or math.isinf(rate):
        raise ValueError(fail_text(where, "learning_rate", "a number of at least 0", rate))
    return rate


def _shorten(grads: list[Any], limit: float) -> list[Any]:
    """Scale gradients whose common norm exceeds `limit`; NaN stays visible."""
    norm = math.sqrt(core.squared_norm(grads))
    if norm <= limit:
        return grads
    # Not in place: two variables can share one gradient tensor.
    return [core.multiply(grad, limit / norm) for grad in grads]
