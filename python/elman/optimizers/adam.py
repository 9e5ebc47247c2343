# SPDX-License-Identifier: Apache-2.0
"""Adam and its relatives: AdamW, Adamax, Nadam."""

from __future__ import annotations

import math
from typing import Any

from elman._backend import core
from elman.optimizers.base import Optimizer, checked_share


class _TwoMeans(Optimizer):
    """Running means of the gradient and of its size, with decays beta_1 and beta_2."""

    def __init__(
        self,
        learning_rate: Any = 0.001,
        beta_1: float = 0.9,
        beta_2: float = 0.999,
        epsilon: float = 1e-7,
        weight_decay: float | None = None,
        clipnorm: float | None = None,
        clipvalue: float | None = None,
        global_clipnorm: float | None = None,
        name: str | None = None,
    ) -> None:
        super().__init__(learning_rate, weight_decay, clipnorm, clipvalue, global_clipnorm, name)
        where = type(self).__name__
        self.beta_1 = checked_share(where, "beta_1", beta_1)
        self.beta_2 = checked_share(where, "beta_2", beta_2)
        self.epsilon = epsilon

    def get_config(self) -> dict[str, Any]:
        """The constructor arguments."""
        own = {"beta_1": self.beta_1, "beta_2": self.beta_2, "epsilon": self.epsilon}
        return {**super().get_config(), **own}


class Adam(_TwoMeans):
    """Running means of the gradient and of its square, corrected for their start at zero.

    m += (1 - b1)(g - m); v += (1 - b2)(g^2 - v); w -= lr sqrt(1 - b2^t) / (1 - b1^t) m / (sqrt(v)
    + epsilon). With `amsgrad` the largest v so far is used.

    Args:
        learning_rate: a number or a schedule.
        beta_1: decay of the mean gradient.
        beta_2: decay of the mean square.
        epsilon: "epsilon hat" of the paper.
        amsgrad: never let the divisor shrink.
        weight_decay, clipnorm, clipvalue, global_clipnorm, name: see `Optimizer`.

    Source: Kingma & Ba 2014, arXiv 1412.6980; keras/src/optimizers/adam.py.
    """

    _decays_itself = True

    def __init__(
        self,
        learning_rate: Any = 0.001,
        beta_1: float = 0.9,
        beta_2: float = 0.999,
        epsilon: float = 1e-7,
        amsgrad: bool = False,
        weight_decay: float | None = None,
        clipnorm: float | None = None,
        clipvalue: float | None = None,
        global_clipnorm: float | None = None,
        name: str = "adam",
    ) -> None:
        clipping = clipnorm, clipvalue, global_clipnorm
        super().__init__(learning_rate, beta_1, beta_2, epsilon, weight_decay, *clipping, name)
        self.amsgrad = amsgrad
        self.slot_names = ("momentum", "velocity", *(("velocity_hat",) if amsgrad else ()))

    def update_step(self, gradient: Any, variable: Any, learning_rate: float) -> None:
        """One kernel per weight."""
        momentum, velocity, *rest = self._slots[id(variable)]
        core.adam_update(
            variable,
            gradient,
            momentum,
            velocity,
            rest[0] if rest else None,
            learning_rate,
            self.beta_1,
            self.beta_2,
            self.epsilon,
            self.iterations + 1,
            self._decay_of(variable),
        )

    def get_config(self) -> dict[str, Any]:
        """The constructor arguments."""
        return {**super().get_config(), "amsgrad": self.amsgrad}


class AdamW(Adam):
    """Adam with decoupled weight decay, 0.004 by default.

    Source: Loshchilov & Hutter 2017, arXiv 1711.05101.
    """

    def __init__(
        self,
        learning_rate: Any = 0.001,
        weight_decay: float = 0.004,
        beta_1: float = 0.9,
        beta_2: float = 0.999,
        epsilon: float = 1e-7,
        amsgrad: bool = False,
        clipnorm: float | None = None,
        clipvalue: float | None = None,
        global_clipnorm: float | None = None,
        name: str = "adamw",
    ) -> None:
        super().__init__(
            learning_rate,
            beta_1,
            beta_2,
            epsilon,
            amsgrad,
            weight_decay,
            clipnorm,
            clipvalue,
            global_clipnorm,
            name,
        )


class Adamax(_TwoMeans):
    """Adam with the largest decayed |g| in place of the root mean square.

    m += (1 - b1)(g - m); u = max(b2 u, |g|); w -= lr m / ((1 - b1^t)(u + epsilon)).

    Source: Kingma & Ba 2014, section 7.1; keras/src/optimizers/adamax.py.
    """

    slot_names = ("m", "u")

    def update_step(self, gradient: Any, variable: Any, learning_rate: float) -> None:
        """Composed of tensor operations."""
        m, u = self._slots[id(variable)]
        m.assign(m + (gradient - m) * (1.0 - self.beta_1))
        u.assign(core.maximum(u * self.beta_2, core.abs(gradient)))
        scale = learning_rate / (1.0 - self.beta_1 ** (self.iterations + 1))
        variable.assign_sub(m * scale / (u + self.epsilon))


class Nadam(_TwoMeans):
    """Adam with Nesterov's look-ahead along the mean gradient.

    With u_t = b1 (1 - 0.5 * 0.96^t) and P_t the product of u_1 ... u_t:
    s = u_{t+1} m / (1 - P_{t+1}) + (1 - u_t) g / (1 - P_t);
    w -= lr s / (sqrt(v / (1 - b2^t)) + epsilon).

    Source: Dozat 2016, "Incorporating Nesterov momentum into Adam"; keras/src/optimizers/nadam.py.
    """

    slot_names = ("momentum", "velocity")

    # Before the first step.
    _product = 1.0
    _share = _next_share = 0.0

    def _begin_step(self) -> None:
        step = self.iterations + 1
        self._share = self.beta_1 * (1.0 - 0.5 * math.pow(0.96, step))
        self._next_share = self.beta_1 * (1.0 - 0.5 * math.pow(0.96, step + 1))
        self._product *= self._share

    def update_step(self, gradient: Any, variable: Any, learning_rate: float) -> None:
        """Composed of tensor operations."""
        m, v = self._slots[id(variable)]
        m.assign(m + (gradient - m) * (1.0 - self.beta_1))
        v.assign(v + (core.square(gradient) - v) * (1.0 - self.beta_2))
        ahead = m * (self._next_share / (1.0 - self._product * self._next_share))
        now = gradient * ((1.0 - self._share) / (1.0 - self._product))
        square = v * (1.0 / (1.0 - self.beta_2 ** (self.iterations + 1)))
        variable.assign_sub((ahead + now) * learning_rate / (core.sqrt(square) + self.epsilon))
