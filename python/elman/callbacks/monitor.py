# SPDX-License-Identifier: Apache-2.0
"""What callbacks that watch one logged value share."""

from __future__ import annotations

import math
import warnings
from typing import Any

from elman._errors import closest, fail_text
from elman.callbacks.base import Callback, Logs

# Log names that contain one of these are better when larger, unless they are a loss.
_LARGER_IS_BETTER = ("acc", "auc", "precision", "recall", "f1", "fmeasure")


class Monitor(Callback):
    """A callback with a monitored value and a direction.

    Args:
        monitor: name in the logs, e.g. 'val_loss'.
        mode: 'min', 'max', or 'auto' (by the name: accuracies, auc, precision and recall grow).
        min_delta: smallest change that counts as better.
    """

    def __init__(self, monitor: str, mode: str, min_delta: float = 0.0) -> None:
        super().__init__()
        where = type(self).__name__
        if mode not in ("auto", "min", "max"):
            raise ValueError(fail_text(where, "mode", "'auto', 'min' or 'max'", repr(mode)))
        self.monitor, self.mode, self.min_delta = monitor, mode, abs(min_delta)
        if mode == "auto":
            name = monitor.lower()
            grows = any(part in name for part in _LARGER_IS_BETTER) and "loss" not in name
            mode = "max" if grows else "min"
        self._sign = 1.0 if mode == "max" else -1.0
        self.best = self.worst

    @property
    def worst(self) -> float:
        """The value that everything is better than."""
        return -self._sign * math.inf

    def is_better(self, value: float, than: float) -> bool:
        """Whether a value beats another one by more than `min_delta`; NaN never does."""
        return self._sign * (value - than) > self.min_delta

    def value_in(self, logs: Logs | None) -> float | None:
        """The monitored value, or None with a warning that says what there is instead."""
        value: Any = (logs or {}).get(self.monitor)
        if value is None:
            known = list(logs or {})
            text = f"[{type(self).__name__}] monitor: {self.monitor!r} is not logged"
            near = closest(self.monitor, known, cutoff=0.6)
            hint = f"; there are {', '.join(known)}" if known else ""
            hint += f"; did you mean {near!r}?" if near else ""
            warnings.warn(text + hint, stacklevel=2)
            return None
        return float(value)
