# SPDX-License-Identifier: Apache-2.0
"""Callbacks that change the learning rate."""

from __future__ import annotations

import inspect
from collections.abc import Callable
from typing import Any

from elman._errors import fail_text
from elman.callbacks.base import Callback, Logs
from elman.callbacks.monitor import Monitor


class LearningRateScheduler(Callback):
    """Sets the learning rate at the start of each epoch.

    Args:
        schedule: f(epoch, rate of now) or f(epoch), returns the new rate.
        verbose: 1 prints it.
    """

    def __init__(self, schedule: Callable[..., float], verbose: int = 0) -> None:
        super().__init__()
        self.schedule, self.verbose = schedule, verbose
        try:
            inspect.signature(schedule).bind(0, 0.0)
            self._takes_rate = True
        except TypeError:
            self._takes_rate = False

    def on_epoch_begin(self, epoch: int, logs: Logs | None = None) -> None:
        """Ask the schedule."""
        optimizer = self.model.optimizer
        old = optimizer.current_learning_rate()
        rate: Any = self.schedule(epoch, old) if self._takes_rate else self.schedule(epoch)
        if not isinstance(rate, (int, float)) and not hasattr(rate, "__float__"):
            where, expected = "LearningRateScheduler", "a number from schedule"
            raise TypeError(fail_text(where, "learning rate", expected, repr(rate)))
        optimizer.learning_rate = float(rate)
        if self.verbose:
            print(f"Epoch {epoch + 1}: learning rate {float(rate):.6g}")

    def on_epoch_end(self, epoch: int, logs: Logs | None = None) -> None:
        """Log the rate."""
        if logs is not None:
            logs["learning_rate"] = self.model.optimizer.current_learning_rate()


class ReduceLROnPlateau(Monitor):
    """Multiplies the learning rate by `factor` when a value stands still for `patience` epochs.

    Args:
        monitor: name in the logs.
        factor: below 1.
        patience: epochs without progress to wait for.
        verbose: 1 prints the new rate.
        mode: 'auto', 'min' or 'max'.
        min_delta: smallest change that counts as better.
        cooldown: epochs after a reduction that are not watched.
        min_lr: lowest rate.
    """

    def __init__(
        self,
        monitor: str = "val_loss",
        factor: float = 0.1,
        patience: int = 10,
        verbose: int = 0,
        mode: str = "auto",
        min_delta: float = 1e-4,
        cooldown: int = 0,
        min_lr: float = 0.0,
    ) -> None:
        super().__init__(monitor, mode, min_delta)
        if not 0 < factor < 1:
            raise ValueError(
                fail_text("ReduceLROnPlateau", "factor", "a number between 0 and 1", factor)
            )
        self.factor, self.patience, self.verbose = factor, patience, verbose
        self.cooldown, self.min_lr = cooldown, min_lr
        self.wait = self.cooldown_counter = 0

    def on_train_begin(self, logs: Logs | None = None) -> None:
        """Forget an earlier training."""
        self.best, self.wait, self.cooldown_counter = self.worst, 0, 0

    def on_epoch_end(self, epoch: int, logs: Logs | None = None) -> None:
        """Compare, log the rate, and reduce it when patience is over."""
        optimizer = self.model.optimizer
        old = optimizer.current_learning_rate()
        if logs is not None:
            logs["learning_rate"] = old
        value = self.value_in(logs)
        if value is None:
            return
        if self.cooldown_counter > 0:
            self.cooldown_counter -= 1
            self.wait = 0
        if self.is_better(value, self.best):
            self.best, self.wait = value, 0
        elif self.cooldown_counter <= 0:
            self.wait += 1
            if self.wait >= self.patience and old > self.min_lr:
                rate = max(old * self.factor, self.min_lr)
                optimizer.learning_rate = rate
                if self.verbose:
                    print(f"Epoch {epoch + 1}: learning rate reduced to {rate:.6g}")
                self.cooldown_counter, self.wait = self.cooldown, 0
