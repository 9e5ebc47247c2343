# SPDX-License-Identifier: Apache-2.0
"""Callbacks that write files: weights and a table of the epochs."""

from __future__ import annotations

import csv
import os
import string
from typing import Any

from elman._errors import fail_text
from elman.callbacks.base import Callback, Logs
from elman.callbacks.monitor import Monitor
from elman.saving import WHOLE_SUFFIXES, checked_path


class ModelCheckpoint(Monitor):
    """Saves the weights or the whole model during training; each file is written atomically.

    Args:
        filepath: ends as `Model.save_weights` takes it, or with save_weights_only=False
            `Model.save`: '.keras' or '.h5'; may hold fields, such as
            'w-{epoch:02d}-{val_loss:.3f}.npz', with epochs counted from one.
        monitor: name in the logs for `save_best_only`.
        verbose: 1 prints a line per file.
        save_best_only: only when the monitored value is the best so far.
        save_weights_only: False saves the whole model by `Model.save`.
        mode: 'auto', 'min' or 'max'.
        save_freq: 'epoch', or every so many batches.
        initial_value_threshold: value that has to be beaten for the first file.
    """

    def __init__(
        self,
        filepath: str | os.PathLike[str],
        monitor: str = "val_loss",
        verbose: int = 0,
        save_best_only: bool = False,
        save_weights_only: bool = True,
        mode: str = "auto",
        save_freq: str | int = "epoch",
        initial_value_threshold: float | None = None,
    ) -> None:
        super().__init__(monitor, mode)
        self.filepath, self.verbose = _template(filepath, save_weights_only), verbose
        self.save_best_only, self.save_weights_only = save_best_only, save_weights_only
        if save_freq != "epoch" and not (isinstance(save_freq, int) and save_freq > 0):
            expected = "'epoch' or a positive whole number"
            raise ValueError(fail_text("ModelCheckpoint", "save_freq", expected, repr(save_freq)))
        self.save_freq = save_freq
        if initial_value_threshold is not None:
            self.best = initial_value_threshold
        self._epoch = self._batches = 0
        if isinstance(save_freq, int):
            # Set only when needed: the list of callbacks skips batch hooks nobody has.
            self.on_train_batch_end = self._after_batch

    def set_model(self, model: Any) -> None:
        """Take the model; whole models need a model that can be saved whole."""
        super().set_model(model)
        if not self.save_weights_only and not callable(getattr(model, "save", None)):
            hint = "this model writes weights only"
            where, what = "ModelCheckpoint", "save_weights_only"
            raise ValueError(fail_text(where, what, "True", False, hint))

    def on_epoch_begin(self, epoch: int, logs: Logs | None = None) -> None:
        """Remember the epoch for file names."""
        self._epoch = epoch

    def _after_batch(self, batch: int, logs: Logs | None = None) -> None:
        self._batches += 1
        if self._batches % int(self.save_freq) == 0:
            self._save(logs or {})

    def on_epoch_end(self, epoch: int, logs: Logs | None = None) -> None:
        """Save, if epochs decide."""
        if self.save_freq == "epoch":
            self._save(logs or {})

    def _save(self, logs: Logs) -> None:
        if self.save_best_only:
            value = self.value_in(logs)
            if value is None or not self.is_better(value, self.best):
                return
            self.best = value
        try:
            path = self.filepath.format(epoch=self._epoch + 1, **logs)
        except KeyError as error:
            known = ", ".join(["epoch", *logs])
            where, got = "ModelCheckpoint", f"the field {error}"
            raise KeyError(fail_text(where, "filepath", f"fields out of {known}", got)) from None
        folder = os.path.dirname(path)
        if folder:
            os.makedirs(folder, exist_ok=True)
        if self.save_weights_only:
            self.model.save_weights(path)
        else:
            self.model.save(path)
        if self.verbose:
            print(f"Epoch {self._epoch + 1}: saved {path}")


def _template(filepath: Any, weights: bool) -> str:
    """A path with named fields; what can be wrong with it is told before the training."""
    where = "ModelCheckpoint"
    try:
        path = os.fsdecode(filepath)
    except TypeError:
        got = type(filepath).__name__
        raise TypeError(fail_text(where, "filepath", "a path", got)) from None
    try:
        fields = [field for _, field, _, _ in string.Formatter().parse(path) if field is not None]
    except ValueError as error:
        raise ValueError(f"[{where}] filepath: {error} in {path!r}") from None
    for field in fields:
        if not field[:1].isidentifier():
            expected, got = "named fields such as {epoch:02d}", f"the field '{{{field}}}'"
            raise ValueError(fail_text(where, "filepath", expected, got))
    if "}" not in os.path.splitext(path)[1]:
        checked_path(path, where, *(() if weights else (WHOLE_SUFFIXES,)))
    return path


class CSVLogger(Callback):
    """Writes one row per epoch: its number, counted from zero, and the logged values.

    Args:
        filename: the file.
        separator: between the columns.
        append: continue an existing file.
    """

    def __init__(
        self, filename: str | os.PathLike[str], separator: str = ",", append: bool = False
    ) -> None:
        super().__init__()
        self.filename, self.separator, self.append = os.fspath(filename), separator, append
        self._columns: list[str] | None = None
        self._file: Any = None

    def on_train_begin(self, logs: Logs | None = None) -> None:
        """Open the file."""
        self._columns = None
        if self.append and os.path.exists(self.filename):
            with open(self.filename, newline="", encoding="utf-8") as file:
                header = next(csv.reader(file, delimiter=self.separator), None)
            self._columns = header[1:] if header else None
        mode = "a" if self.append else "w"
        self._file = open(self.filename, mode, newline="", encoding="utf-8")  # noqa: SIM115

    def on_epoch_end(self, epoch: int, logs: Logs | None = None) -> None:
        """Write a row; the first one fixes the columns."""
        logs = logs or {}
        writer = csv.writer(self._file, delimiter=self.separator)
        if self._columns is None:
            self._columns = list(logs)
            writer.writerow(["epoch", *self._columns])
        values = [logs.get(name, "NA") for name in self._columns]
        writer.writerow([epoch, *values])
        self._file.flush()

    def on_train_end(self, logs: Logs | None = None) -> None:
        """Close the file."""
        self.close()

    def close(self) -> None:
        """Close the file, also after an error."""
        if self._file is not None:
            self._file.close()
            self._file = None
