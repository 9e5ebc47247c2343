# SPDX-License-Identifier: Apache-2.0
"""Gradient descent, with momentum and Nesterov's form of it, and RMSprop."""

from __future__ import annotations

from typing import Any

from elman._backend import core
from elman._errors import fail_text
from elman.optimizers.base import Optimizer


class SGD(Optimizer):
    """w -= lr g; with momentum m: v = m v - lr g, w += v; Nesterov: w += m v - lr g.

    Args:
        learning_rate: a number or a schedule.
        momentum: share of the last step that is kept, in [0, 1].
        nesterov: look ahead along the momentum.
        weight_decay, clipnorm, clipvalue, global_clipnorm, name: see `Optimizer`.
    """

    def __init__(
        self,
        learning_rate: Any = 0.01,
        momentum: float = 0.0,
        nesterov: bool = False,
        weight_decay: float | None = None,
        clipnorm: float | None = None,
        clipvalue: float | None = None,
        global_clipnorm: float | None = None,
        name: str = "SGD",
    ) -> None:
        super().__init__(learning_rate, weight_decay, clipnorm, clipvalue, global_clipnorm, name)
        if not 0 <= momentum <= 1:
            raise ValueError(fail_text("SGD", "momentum", "a number in [0, 1]", momentum))
        self.momentum, self.nesterov = momentum, nesterov
        self.slot_names = ("momentum",) if momentum else ()

    def update_step(self, gradient: Any, variable: Any, learning_rate: float) -> None:
        """One kernel per weight."""
        slots = self._slots[id(variable)]
        velocity = slots[0] if slots else None
        core.sgd_update(variable, gradient, velocity, learning_rate, self.momentum, self.nesterov)

    def get_config(self) -> dict[str, Any]:
        """The constructor arguments."""
        return {**super().get_config(), "momentum": self.momentum, "nesterov": self.nesterov}


class RMSprop(Optimizer):
    """Divides the gradient by a running root mean square of itself.

    v = rho v + (1 - rho) g^2; step = lr g / sqrt(v + epsilon), with `centered` v minus the square
    of the running mean of g; with momentum the steps are summed: u = momentum u + step; w -= u.

    Args:
        learning_rate: a number or a schedule.
        rho: decay of the running means.
        momentum: share of the last step that is kept.
        epsilon: keeps the root away from zero.
        centered: use the variance instead of the mean square.
        weight_decay, clipnorm, clipvalue, global_clipnorm, name: see `Optimizer`.
    """

    def __init__(
        self,
        learning_rate: Any = 0.001,
        rho: float = 0.9,
        momentum: float = 0.0,
        epsilon: float = 1e-7,
        centered: bool = False,
        weight_decay: float | None = None,
        clipnorm: float | None = None,
        clipvalue: float | None = None,
        global_clipnorm: float | None = None,
        name: str = "rmsprop",
    ) -> None:
        super().__init__(learning_rate, weight_decay, clipnorm, clipvalue, global_clipnorm, name)
        self.rho, self.momentum, self.epsilon, self.centered = rho, momentum, epsilon, centered
        names = ["velocity"]
        names += ["average_gradient"] if centered else []
        names += ["momentum"] if momentum else []
        self.slot_names = tuple(names)

    def update_step(self, gradient: Any, variable: Any, learning_rate: float) -> None:
        """One kernel per weight."""
        velocity, *rest = self._slots[id(variable)]
        average = rest.pop(0) if self.centered else None
        last = rest.pop(0) if self.momentum else None
        core.rmsprop_update(
            variable,
            gradient,
            velocity,
            average,
            last,
            learning_rate,
            self.rho,
            self.momentum,
            self.epsilon,
            self.centered,
        )

    def get_config(self) -> dict[str, Any]:
        """The constructor arguments."""
        own = {"rho": self.rho, "momentum": self.momentum}
        return {**super().get_config(), **own, "epsilon": self.epsilon, "centered": self.centered}
