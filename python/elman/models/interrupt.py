# SPDX-License-Identifier: Apache-2.0
"""Ctrl-C between two steps and never in the middle of an update of the weights."""

from __future__ import annotations

import signal
import threading
from types import FrameType
from typing import Any


class StepGuard:
    """Within its block, Ctrl-C during a step takes effect at the end of the step.

    Set `busy` to True before a step and call `done()` after it. A second Ctrl-C during the same
    step is not delayed. Another handler than Python's own is left alone.
    """

    def __init__(self) -> None:
        self.busy = False
        self._pending = False
        self._old: Any = None

    def __enter__(self) -> StepGuard:
        is_main = threading.current_thread() is threading.main_thread()
        if is_main and signal.getsignal(signal.SIGINT) is signal.default_int_handler:
            self._old = signal.signal(signal.SIGINT, self._handle)
        return self

    def __exit__(self, *error: Any) -> None:
        if self._old is not None:
            signal.signal(signal.SIGINT, self._old)
            self._old = None

    def _handle(self, number: int, frame: FrameType | None) -> None:
        if self.busy and not self._pending:
            self._pending = True
            return
        raise KeyboardInterrupt

    def done(self) -> None:
        """The weights are consistent again."""
        self.busy = False
        if self._pending:
            self._pending = False
            raise KeyboardInterrupt
