# SPDX-License-Identifier: Apache-2.0
"""Learning-rate schedules: `schedule(step)` is the rate of that step, counted from zero.

Formulas and arguments as in Keras (keras/src/optimizers/schedules/learning_rate_schedule.py).
"""

from __future__ import annotations

import math
from collections.abc import Sequence
from typing import Any

from elman._errors import fail_text
from elman._keywords import NamedKeywords
from elman._lookup import lookup


class LearningRateSchedule(NamedKeywords):
    """Base class; a subclass writes `__call__(step)` and `get_config`.

    Example:
        >>> import elman
        >>> schedule = elman.optimizers.schedules.ExponentialDecay(0.1, 10, 0.5)
        >>> schedule(0), schedule(10)
        (0.1, 0.05)
    """

    def __call__(self, step: int) -> float:
        """The learning rate of step `step`."""
        raise TypeError(f"[{type(self).__name__}] a subclass must define __call__(step)")

    def get_config(self) -> dict[str, Any]:
        """The constructor arguments."""
        raise TypeError(f"[{type(self).__name__}] a subclass must define get_config")

    @classmethod
    def from_config(cls, config: dict[str, Any]) -> Any:
        """The inverse of `get_config`."""
        return cls(**config)


class _Stored(LearningRateSchedule):
    """Keeps its arguments as attributes and writes them back."""

    def _store(self, name: str | None, **arguments: Any) -> None:
        self.name = name or type(self).__name__
        self._arguments = arguments
        for key, value in arguments.items():
            setattr(self, key, value)

    def get_config(self) -> dict[str, Any]:
        """The constructor arguments."""
        return {**self._arguments, "name": self.name}


def _positive(where: str, what: str, value: float) -> float:
    if not value > 0:
        raise ValueError(fail_text(where, what, "a positive number", value))
    return value


class _RateDecay(_Stored):
    """A decay by `decay_rate` every `decay_steps` steps; `staircase`: whole numbers of times."""

    def __init__(
        self,
        initial_learning_rate: float,
        decay_steps: int,
        decay_rate: float,
        staircase: bool = False,
        name: str | None = None,
    ) -> None:
        self._store(
            name,
            initial_learning_rate=initial_learning_rate,
            decay_steps=_positive(type(self).__name__, "decay_steps", decay_steps),
            decay_rate=decay_rate,
            staircase=staircase,
        )

    def _times(self, step: int) -> float:
        times = step / self._arguments["decay_steps"]
        return math.floor(times) if self._arguments["staircase"] else times


class ExponentialDecay(_RateDecay):
    """initial * decay_rate ^ (step / decay_steps); `staircase` rounds the exponent down."""

    def __call__(self, step: int) -> float:
        """The learning rate of step `step`."""
        given = self._arguments
        return given["initial_learning_rate"] * given["decay_rate"] ** self._times(step)


class InverseTimeDecay(_RateDecay):
    """initial / (1 + decay_rate * step / decay_steps); `staircase` rounds the quotient down."""

    def __call__(self, step: int) -> float:
        """The learning rate of step `step`."""
        given = self._arguments
        return given["initial_learning_rate"] / (1.0 + given["decay_rate"] * self._times(step))


class PiecewiseConstantDecay(_Stored):
    """values[i] while step <= boundaries[i]; the last value after the last boundary."""

    def __init__(
        self, boundaries: Sequence[float], values: Sequence[float], name: str | None = None
    ) -> None:
        if len(values) != len(boundaries) + 1:
            expected = f"{len(boundaries) + 1} values for {len(boundaries)} boundaries"
            raise ValueError(fail_text("PiecewiseConstantDecay", "values", expected, len(values)))
        if list(boundaries) != sorted(boundaries):
            raise ValueError(
                fail_text("PiecewiseConstantDecay", "boundaries", "rising numbers", boundaries)
            )
        self._store(name, boundaries=list(boundaries), values=list(values))

    def __call__(self, step: int) -> float:
        """The learning rate of step `step`."""
        given = self._arguments
        for boundary, value in zip(given["boundaries"], given["values"], strict=False):
            if step <= boundary:
                return value
        return given["values"][-1]


class PolynomialDecay(_Stored):
    """From `initial` to `end` over `decay_steps`, along (1 - step / decay_steps) ^ power.

    With `cycle` the number of steps is stretched to the next multiple once it is over.
    """

    def __init__(
        self,
        initial_learning_rate: float,
        decay_steps: int,
        end_learning_rate: float = 0.0001,
        power: float = 1.0,
        cycle: bool = False,
        name: str | None = None,
    ) -> None:
        self._store(
            name,
            initial_learning_rate=initial_learning_rate,
            decay_steps=_positive("PolynomialDecay", "decay_steps", decay_steps),
            end_learning_rate=end_learning_rate,
            power=power,
            cycle=cycle,
        )

    def __call__(self, step: int) -> float:
        """The learning rate of step `step`."""
        given = self._arguments
        steps: float = given["decay_steps"]
        position: float = step
        if given["cycle"]:
            steps *= 1 if step == 0 else math.ceil(step / steps)
        else:
            position = min(step, steps)
        span = given["initial_learning_rate"] - given["end_learning_rate"]
        return span * (1.0 - position / steps) ** given["power"] + given["end_learning_rate"]


class CosineDecay(_Stored):
    """Half a cosine from the start value down to alpha times it, after an optional linear warm-up.

    Args:
        initial_learning_rate: value at step 0.
        decay_steps: steps of the decay (after the warm-up).
        alpha: final value as a share of the start of the decay.
        name: name of the schedule.
        warmup_target: value reached at the end of the warm-up; None for no warm-up.
        warmup_steps: steps of the warm-up.
    """

    def __init__(
        self,
        initial_learning_rate: float,
        decay_steps: int,
        alpha: float = 0.0,
        name: str | None = None,
        warmup_target: float | None = None,
        warmup_steps: int = 0,
    ) -> None:
        self._store(
            name,
            initial_learning_rate=initial_learning_rate,
            decay_steps=_positive("CosineDecay", "decay_steps", decay_steps),
            alpha=alpha,
            warmup_target=warmup_target,
            warmup_steps=warmup_steps,
        )

    def __call__(self, step: int) -> float:
        """The learning rate of step `step`."""
        given = self._arguments
        start, target = given["initial_learning_rate"], given["warmup_target"]
        warmup = given["warmup_steps"] if target is not None else 0
        if step < warmup:
            return start + (target - start) * step / warmup
        top = start if target is None else target
        done = min(step - warmup, given["decay_steps"]) / given["decay_steps"]
        share = 0.5 * (1.0 + math.cos(math.pi * done))
        return top * ((1.0 - given["alpha"]) * share + given["alpha"])


class CosineDecayRestarts(_Stored):
    """Cosine decay that starts again, each period `t_mul` times as long and `m_mul` times as high.

    Source: Loshchilov & Hutter 2016, arXiv 1608.03983.
    """

    def __init__(
        self,
        initial_learning_rate: float,
        first_decay_steps: int,
        t_mul: float = 2.0,
        m_mul: float = 1.0,
        alpha: float = 0.0,
        name: str | None = None,
    ) -> None:
        self._store(
            name,
            initial_learning_rate=initial_learning_rate,
            first_decay_steps=_positive(
                "CosineDecayRestarts", "first_decay_steps", first_decay_steps
            ),
            t_mul=t_mul,
            m_mul=m_mul,
            alpha=alpha,
        )

    def __call__(self, step: int) -> float:
        """The learning rate of step `step`."""
        given = self._arguments
        done, t_mul = step / given["first_decay_steps"], given["t_mul"]
        if t_mul == 1.0:
            period = math.floor(done)
            done -= period
        else:
            period = math.floor(math.log(1.0 - done * (1.0 - t_mul)) / math.log(t_mul))
            passed = (1.0 - t_mul**period) / (1.0 - t_mul)
            done = (done - passed) / t_mul**period
        share = 0.5 * given["m_mul"] ** period * (1.0 + math.cos(math.pi * done))
        alpha = given["alpha"]
        return given["initial_learning_rate"] * ((1.0 - alpha) * share + alpha)


_KNOWN = {
    cls.__name__: cls
    for cls in (
        ExponentialDecay,
        InverseTimeDecay,
        PiecewiseConstantDecay,
        PolynomialDecay,
        CosineDecay,
        CosineDecayRestarts,
    )
}


def deserialize(config: dict[str, Any]) -> Any:
    """A schedule from `{"class_name": ..., "config": ...}`."""
    return lookup(config, _KNOWN, "schedules.deserialize", "schedule")


def serialize(schedule: LearningRateSchedule) -> dict[str, Any]:
    """The inverse of `deserialize`."""
    return {"class_name": type(schedule).__name__, "config": schedule.get_config()}
