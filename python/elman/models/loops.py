# SPDX-License-Identifier: Apache-2.0
"""The loops of `fit`, `evaluate` and `predict` over batches."""

from __future__ import annotations

import warnings
from collections.abc import Sequence
from typing import Any

from elman._errors import fail_text, is_whole
from elman.callbacks import CallbackList, History, ProgbarLogger
from elman.callbacks.base import Logs, as_callbacks
from elman.callbacks.progress import Progress
from elman.models import step
from elman.models.collected import Collected
from elman.models.interrupt import StepGuard
from elman.models.pieces import pieces_of
from elman.models.ragged import RaggedData

# Seconds before `predict` shows a bar at all.
_PATIENCE = 1.0


def check_verbose(where: str, verbose: Any) -> int:
    """0, 1 or 2; 'auto' is 1."""
    if verbose not in ("auto", 0, 1, 2):
        raise ValueError(fail_text(where, "verbose", "'auto', 0, 1 or 2", repr(verbose)))
    return 1 if verbose == "auto" else int(verbose)


class Fit:
    """One run of `fit`: epochs over the data, with callbacks and validation."""

    def __init__(
        self,
        model: Any,
        data: Any,
        epochs: tuple[int, int],
        class_weight: dict[int, float] | None,
        validation: Any,
        validation_freq: int | Sequence[int],
    ) -> None:
        self._model, self._data = model, data
        self._initial, self._epochs = epochs
        self._class_weight = class_weight
        self._validation = validation
        self._freq: Any = validation_freq
        self._out_of_data = False

    def run(self, callbacks: Any, verbose: int) -> History:
        """Train; History of the finished epochs."""
        model = self._model
        history = History()
        given = as_callbacks(model._where("fit"), callbacks)
        if verbose and not any(isinstance(c, ProgbarLogger) for c in given):
            given.append(ProgbarLogger())  # last, so that it shows what others log
        params = {"epochs": self._epochs, "steps": self._data.steps, "verbose": verbose}
        hooks = CallbackList([*given, history], model, params)
        model.history, model.stop_training = history, False
        try:
            with StepGuard() as guard:
                try:
                    self._train(hooks, guard)
                except KeyboardInterrupt:
                    hooks.close()  # the bar first: what on_train_end prints stays readable
                    hooks.call("on_train_end", {})
                    raise
        finally:
            hooks.close()
        return history

    def _train(self, hooks: CallbackList, guard: StepGuard) -> None:
        hooks.call("on_train_begin", {})
        logs: Logs = {}
        for epoch in range(self._initial, self._epochs):
            if self._model.stop_training or self._out_of_data:
                break
            logs = self._epoch(epoch, hooks, guard)
        hooks.call("on_train_end", logs)

    def _epoch(self, epoch: int, hooks: CallbackList, guard: StepGuard) -> Logs:
        model = self._model
        model.reset_metrics()
        model.structure.refresh()
        hooks.call("on_epoch_begin", epoch, {})
        steps = self._steps(epoch, hooks, guard)
        if steps == 0:
            raise ValueError(
                f"[{model._where('fit')}] x: no batch in epoch {epoch + 1}; a generator is read "
                "only once: give a Sequence, an iterable, or a generator that does not end"
            )
        logs = model.running_logs()
        expected = self._data.steps
        if expected is not None and steps < expected and not model.stop_training:
            self._out_of_data = True
            warnings.warn(
                f"[{model._where('fit')}] x: the data ended after {steps} of {expected} steps of "
                f"epoch {epoch + 1}; training stops here",
                stacklevel=2,
            )
        if self._validation is not None and self._validates(epoch):
            found = evaluate(model, self._validation, hooks, 0)
            logs.update({f"val_{name}": value for name, value in found.items()})
        hooks.call("on_epoch_end", epoch, logs)
        return logs

    def _validates(self, epoch: int) -> bool:
        if is_whole(self._freq):
            return (epoch + 1) % self._freq == 0
        return epoch + 1 in self._freq

    def _steps(self, epoch: int, hooks: CallbackList, guard: StepGuard) -> int:
        model, number = self._model, 0
        wants_batches = bool(hooks.wants_batches["train"])
        for batch in self._data.epoch():
            if wants_batches:
                hooks.batch("train", "begin", number, {})
            if self._class_weight:
                batch = step.weighted(model, batch, self._class_weight)
            guard.busy = True
            model.run_train_step(batch, f"epoch {epoch + 1}, batch {number + 1}")
            guard.done()
            number += 1
            hooks.tick(number, model.running_logs)
            if wants_batches:
                hooks.batch("train", "end", number - 1, model.running_logs())
            if model.stop_training:
                break
        return number


def evaluate(model: Any, data: Any, callbacks: Any, verbose: int) -> Logs:
    """Means of the loss and the metrics over the data."""
    own = not isinstance(callbacks, CallbackList)
    params = {"steps": data.steps, "verbose": verbose}
    hooks = CallbackList(callbacks, model, params) if own else callbacks
    progress = Progress("Evaluate", data.steps, verbose == 2, quiet_end=False) if verbose else None
    model.reset_metrics()
    data.restart()  # every validation sees the same batches
    hooks.call("on_test_begin", {})
    wants_batches = bool(hooks.wants_batches["test"])
    number = 0
    try:
        for batch in data.epoch():
            if wants_batches:
                hooks.batch("test", "begin", number, {})
            model.run_test_step(batch)
            number += 1
            if progress is not None:
                progress.tick(number, model.running_logs)
            if wants_batches:
                hooks.batch("test", "end", number - 1, model.running_logs())
        if number == 0:
            raise ValueError(
                f"[{type(model).__name__}.evaluate] x: the data is empty; a generator is read "
                "only once"
            )
        logs = model.running_logs()
        if progress is not None:
            progress.end(logs)
    finally:
        if progress is not None:
            progress.close()
    hooks.call("on_test_end", logs)
    return logs


def predict(model: Any, data: Any, callbacks: Any, verbose: int) -> Any:
    """The outputs for all samples, in the structure of the model's output."""
    hooks = CallbackList(callbacks, model, {"steps": data.steps, "verbose": verbose})
    hooks.call("on_predict_begin", {})
    wants_batches = bool(hooks.wants_batches["predict"])
    shows = verbose and data.steps != 1
    progress = Progress("Predict", data.steps, False, True, _PATIENCE) if shows else None
    in_order = not isinstance(data, RaggedData)
    collected = Collected(data.rows if in_order else None)
    number = 0
    try:
        for batch in data.epoch():
            if wants_batches:
                hooks.batch("predict", "begin", number, {})
            outputs = []
            for piece in pieces_of(batch):
                outputs.append(model.run_predict_step(piece))
                collected.add(outputs[-1], piece)
            number += 1
            if progress is not None:
                progress.tick(number, dict)
            if wants_batches:
                shown = outputs[0] if len(outputs) == 1 else outputs
                hooks.batch("predict", "end", number - 1, {"outputs": shown})
        if progress is not None:
            progress.end({})
    finally:
        if progress is not None:
            progress.close()
    hooks.call("on_predict_end", {})
    return collected.result()
