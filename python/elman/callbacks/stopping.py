# SPDX-License-Identifier: Apache-2.0
"""Callbacks that end the training."""

from __future__ import annotations

import math
from typing import Any

from elman.callbacks.base import Callback, Logs
from elman.callbacks.monitor import Monitor


class EarlyStopping(Monitor):
    """Stops when a value has not become better for `patience` epochs.

    Args:
        monitor: name in the logs.
        min_delta: smallest change that counts as better.
        patience: epochs without progress to wait for.
        verbose: 1 prints a line when it stops or restores.
        mode: 'auto', 'min' or 'max'.
        baseline: value that has to be beaten at all.
        restore_best_weights: give the model the weights of its best epoch at the end.
        start_from_epoch: epochs at the start that are not watched.

    `stopped_epoch` is the epoch it stopped at (0: it did not), `best_epoch` the best one.
    """

    def __init__(
        self,
        monitor: str = "val_loss",
        min_delta: float = 0,
        patience: int = 0,
        verbose: int = 0,
        mode: str = "auto",
        baseline: float | None = None,
        restore_best_weights: bool = False,
        start_from_epoch: int = 0,
    ) -> None:
        super().__init__(monitor, mode, min_delta)
        self.patience, self.verbose, self.baseline = patience, verbose, baseline
        self.restore_best_weights = restore_best_weights
        self.start_from_epoch = start_from_epoch
        self.wait = self.stopped_epoch = self.best_epoch = 0
        self.best_weights: list[Any] | None = None

    def on_train_begin(self, logs: Logs | None = None) -> None:
        """Forget an earlier training."""
        self.wait = self.stopped_epoch = self.best_epoch = 0
        self.best, self.best_weights = self.worst, None

    def on_epoch_end(self, epoch: int, logs: Logs | None = None) -> None:
        """Compare, and stop when patience is over."""
        value = self.value_in(logs)
        if value is None or epoch < self.start_from_epoch:
            return
        if self.restore_best_weights and self.best_weights is None:
            # If no epoch ever beats the baseline or is finite, the first weights are the best.
            self.best_weights, self.best_epoch = self.model.get_weights(), epoch
        self.wait += 1
        if self.is_better(value, self.best):
            self.best, self.best_epoch = value, epoch
            if self.restore_best_weights:
                self.best_weights = self.model.get_weights()
            if self.baseline is None or self.is_better(value, self.baseline):
                self.wait = 0
            return
        if self.wait >= self.patience and epoch > 0:
            self.stopped_epoch = epoch
            self.model.stop_training = True

    def on_train_end(self, logs: Logs | None = None) -> None:
        """Restore the best weights."""
        if self.verbose and self.stopped_epoch:
            print(f"Epoch {self.stopped_epoch + 1}: early stopping")
        if self.restore_best_weights and self.best_weights is not None:
            if self.verbose:
                print(f"Restoring the weights of the best epoch: {self.best_epoch + 1}")
            self.model.set_weights(self.best_weights)


class TerminateOnNaN(Callback):
    """Stops after the first batch whose loss is NaN or infinite.

    The weights are those before that batch: `fit` does not apply an update from such a loss.
    """

    def on_train_batch_end(self, batch: int, logs: Logs | None = None) -> None:
        """Look at the loss."""
        loss = (logs or {}).get("loss")
        if loss is not None and not math.isfinite(loss):
            print(f"Batch {batch + 1}: the loss is {loss}, training stops")
            self.model.stop_training = True
