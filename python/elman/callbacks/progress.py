# SPDX-License-Identifier: Apache-2.0
"""What `fit` and `evaluate` show: a bar on a terminal or in a notebook, else a line per epoch."""

from __future__ import annotations

import os
import sys
import time
from collections.abc import Callable
from typing import Any

from elman.callbacks.base import Callback, Logs

# Seconds between two drawings of the bar.
_INTERVAL = 0.1


def format_logs(logs: Logs) -> str:
    """`loss: 0.1234 - accuracy: 0.9500`; numbers below 0.001 in exponent form."""
    return " - ".join(f"{name}: {_number(value)}" for name, value in logs.items())


def _number(value: Any) -> str:
    try:
        number = float(value)
    except (TypeError, ValueError):
        return str(value)
    small = number != 0 and abs(number) < 1e-3
    return f"{number:.4e}" if small else f"{number:.4f}"


def in_notebook() -> bool:
    """Whether the program runs in a Jupyter kernel."""
    if "ipykernel" not in sys.modules:
        return False
    shell: Any = getattr(sys.modules.get("IPython"), "get_ipython", lambda: None)()
    return getattr(shell, "kernel", None) is not None


def _is_terminal(stream: Any) -> bool:
    try:
        return bool(stream.isatty())
    except (AttributeError, ValueError):  # no stream, or a closed one
        return False


class Progress:
    """One bar or one line of text.

    With standard output on a terminal (or in a notebook) the bar stays and ends with the results.
    When only standard error is on one, the bar is drawn there, removed at the end, and the results
    go to standard output as a line of text. Otherwise there is only that line.

    Args:
        title: in front of the bar or the line.
        total: number of steps, None when unknown.
        lines_only: never draw a bar.
        quiet_end: without a bar that stays, print nothing at all.
        delay: seconds before the bar appears.
    """

    def __init__(
        self,
        title: str,
        total: int | None,
        lines_only: bool,
        quiet_end: bool,
        delay: float = 0.0,
    ) -> None:
        self._title, self._total, self._quiet_end = title, total, quiet_end
        self._begin = self._shown = time.perf_counter()
        self._delay = delay
        self._step = 0
        self._bar: Any = None
        self._keeps = in_notebook() or _is_terminal(sys.stdout)
        self._has_bar = not lines_only and (self._keeps or _is_terminal(sys.stderr))
        if self._has_bar and not delay:
            self._open()

    def _open(self) -> None:
        stream = sys.stdout if self._keeps else sys.stderr
        self._bar = _bar(self._title, self._total, stream, self._keeps)

    def tick(self, step: int, make_logs: Callable[[], Logs]) -> None:
        """After step number `step`; draws at most ten times a second."""
        self._step = step
        if not self._has_bar:
            return
        now = time.perf_counter()
        if now - self._shown >= _INTERVAL and now - self._begin >= self._delay:
            if self._bar is None:
                self._open()
            self._shown = now
            self._draw(make_logs())

    def _draw(self, logs: Logs) -> None:
        self._bar.n = self._step
        self._bar.set_postfix_str(format_logs(logs), refresh=False)
        self._bar.refresh()

    def end(self, logs: Logs) -> None:
        """Show the results."""
        seconds = time.perf_counter() - self._begin
        stays = self._bar is not None and self._keeps and self._finish_bar(logs)
        self.close()
        if not stays and not self._quiet_end:
            tail = f" - {format_logs(logs)}" if logs else ""
            print(f"{self._title} - {seconds:.1f}s{tail}", flush=True)

    def _finish_bar(self, logs: Logs) -> bool:
        """Draw the results beside the bar, or remove it when the line is too long for both."""
        bar = self._bar
        bar.total = self._step if bar.total is None else bar.total
        bar.set_postfix_str(format_logs(logs), refresh=False)
        bar.n = self._step
        whole = bar.format_meter(**{**bar.format_dict, "ncols": None})
        bar.leave = bar.ncols is None or len(whole) <= bar.ncols
        if bar.leave:
            bar.refresh()
        return bar.leave

    def close(self) -> None:
        """Finish drawing, also after an error."""
        self._has_bar = False
        if self._bar is not None:
            self._bar.close()
            self._bar = None


def _width(stream: Any) -> int | None:
    """Columns of a terminal, one left free; None (no limit) for what only resembles one."""
    try:
        columns = os.get_terminal_size(stream.fileno()).columns
    except (AttributeError, OSError, ValueError):
        return None
    return (columns or 80) - 1  # some terminals say 0


def _bar(title: str, total: int | None, stream: Any, keeps: bool) -> Any:
    notebook = in_notebook()
    if notebook:
        from tqdm.auto import tqdm
    else:
        from tqdm import tqdm

    class Bar(tqdm):  # type: ignore[misc, valid-type]
        # No watching thread: bars are short-lived and a program that forks should not have one.
        monitor_interval = 0

    known = "{desc}: {percentage:3.0f}%|{bar:20}| {n_fmt}/{total_fmt} [{elapsed}]{postfix}"
    form = known if total is not None else "{desc}: {n_fmt} [{elapsed}]{postfix}"
    return Bar(
        desc=title,
        total=total,
        file=stream,
        leave=keeps,
        ncols=None if notebook else _width(stream),
        nrows=20,
        bar_format=None if notebook else form,
    )


class ProgbarLogger(Callback):
    """Shows a bar per epoch, or a line per epoch when the output is not a terminal.

    `fit` adds one by itself; `verbose=0` shows nothing, `verbose=2` lines only.
    """

    def __init__(self) -> None:
        super().__init__()
        self._progress: Progress | None = None

    def on_epoch_begin(self, epoch: int, logs: Logs | None = None) -> None:
        """Start a bar."""
        epochs = self.params.get("epochs", 1)
        title = f"Epoch {epoch + 1}/{epochs}"
        lines_only = self.params.get("verbose") == 2
        self._progress = Progress(title, self.params.get("steps"), lines_only, quiet_end=False)

    def on_tick(self, step: int, make_logs: Callable[[], Logs]) -> None:
        """Draw now and then."""
        if self._progress is not None:
            self._progress.tick(step, make_logs)

    def on_epoch_end(self, epoch: int, logs: Logs | None = None) -> None:
        """Show the results of the epoch."""
        if self._progress is not None:
            self._progress.end(logs or {})
            self._progress = None

    def close(self) -> None:
        """Remove an unfinished bar."""
        if self._progress is not None:
            self._progress.close()
            self._progress = None
