# SPDX-License-Identifier: Apache-2.0
"""Adagrad and Adadelta: step lengths from the sum or the running mean of squared gradients."""

from __future__ import annotations

from typing import Any

from elman._backend import core
from elman._errors import fail_text
from elman.optimizers.base import Optimizer


class Adagrad(Optimizer):
    """a += g^2; w -= lr g / sqrt(a + epsilon), with a = `initial_accumulator_value` at the start.

    Source: Duchi et al. 2011; keras/src/optimizers/adagrad.py.
    """

    slot_names = ("accumulator",)

    def __init__(
        self,
        learning_rate: Any = 0.001,
        initial_accumulator_value: float = 0.1,
        epsilon: float = 1e-7,
        weight_decay: float | None = None,
        clipnorm: float | None = None,
        clipvalue: float | None = None,
        global_clipnorm: float | None = None,
        name: str = "adagrad",
    ) -> None:
        super().__init__(learning_rate, weight_decay, clipnorm, clipvalue, global_clipnorm, name)
        if not initial_accumulator_value >= 0:
            expected, got = "at least 0", initial_accumulator_value
            raise ValueError(fail_text("Adagrad", "initial_accumulator_value", expected, got))
        self.initial_accumulator_value, self.epsilon = initial_accumulator_value, epsilon
        self.slot_start = initial_accumulator_value

    def update_step(self, gradient: Any, variable: Any, learning_rate: float) -> None:
        """Composed of tensor operations."""
        (accumulator,) = self._slots[id(variable)]
        accumulator.assign_add(core.square(gradient))
        variable.assign_sub(gradient * learning_rate / core.sqrt(accumulator + self.epsilon))

    def get_config(self) -> dict[str, Any]:
        """The constructor arguments."""
        own = {"initial_accumulator_value": self.initial_accumulator_value}
        return {**super().get_config(), **own, "epsilon": self.epsilon}


class Adadelta(Optimizer):
    """Steps in the unit of the weights: the ratio of two running root mean squares.

    a = rho a + (1 - rho) g^2; d = -g sqrt(b + epsilon) / sqrt(a + epsilon);
    b = rho b + (1 - rho) d^2; w += lr d.

    Source: Zeiler 2012, arXiv 1212.5701; keras/src/optimizers/adadelta.py.
    """

    slot_names = ("accumulated_grad", "accumulated_delta_var")

    def __init__(
        self,
        learning_rate: Any = 0.001,
        rho: float = 0.95,
        epsilon: float = 1e-7,
        weight_decay: float | None = None,
        clipnorm: float | None = None,
        clipvalue: float | None = None,
        global_clipnorm: float | None = None,
        name: str = "adadelta",
    ) -> None:
        super().__init__(learning_rate, weight_decay, clipnorm, clipvalue, global_clipnorm, name)
        self.rho, self.epsilon = rho, epsilon

    def update_step(self, gradient: Any, variable: Any, learning_rate: float) -> None:
        """Composed of tensor operations."""
        squares, steps = self._slots[id(variable)]
        keep, take = self.rho, 1.0 - self.rho
        squares.assign(squares * keep + core.square(gradient) * take)
        scale = core.sqrt(steps + self.epsilon) / core.sqrt(squares + self.epsilon)
        step = scale * gradient
        steps.assign(steps * keep + core.square(step) * take)
        variable.assign_sub(step * learning_rate)

    def get_config(self) -> dict[str, Any]:
        """The constructor arguments."""
        return {**super().get_config(), "rho": self.rho, "epsilon": self.epsilon}
