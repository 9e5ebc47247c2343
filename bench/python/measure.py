# SPDX-License-Identifier: Apache-2.0
"""Interleaved timing, and what a result has to say about the machine it comes from."""

from __future__ import annotations

import datetime
import os
import platform
import statistics
import time
from collections.abc import Callable, Mapping
from pathlib import Path
from typing import Any, TypeVar

Call = Callable[[], Any]
Name = TypeVar("Name")

# Between two libraries: idle threads of the last one have stopped spinning by then (those of ONNX
# Runtime 1.32 take 50 ms, and slow down whoever runs with two threads meanwhile).
_PAUSE = 0.08
# Calls of a burst take about this long together, so that the clock's grain does not matter.
_BURST = 0.02
_MOST_ROUNDS = 41


def least_rounds(round_time: float) -> int:
    """Three where a turn of all libraries and numbers of threads takes long, else five."""
    return 3 if round_time > 4.0 else 5


def interleaved(
    calls: Mapping[Name, Call], seconds: float, before: Callable[[Name], None] = lambda _: None
) -> dict[Name, dict[str, float]]:
    """Time several functions in turns; each turn starts with another one.

    `before(name)` comes before the calls of a function and is not timed. Returns for each name
    `median` and `spread` (middle half, as a share of the median) of the seconds per call, and
    `rounds`. A drift of the machine hits all of them alike.
    """
    sizes, round_time = {}, 0.0
    for name, call in calls.items():
        before(name)
        call()  # packs weights, fills caches, compiles
        once = max(_timed(call, 1), 1e-7)
        sizes[name] = max(1, int(_BURST / once))
        round_time += sizes[name] * once + _PAUSE
    rounds = int(min(max(seconds / round_time, least_rounds(round_time)), _MOST_ROUNDS))
    samples: dict[Name, list[float]] = {name: [] for name in calls}
    names = list(calls)
    for turn in range(rounds):
        first = turn % len(names)
        for name in names[first:] + names[:first]:
            time.sleep(_PAUSE)
            before(name)
            if sizes[name] > 1:
                calls[name]()  # not timed: the other library has emptied the caches
            samples[name].append(_timed(calls[name], sizes[name]) / sizes[name])
    return {name: _summary(values) for name, values in samples.items()}


def _timed(call: Call, count: int) -> float:
    begin = time.perf_counter()
    for _ in range(count):
        call()
    return time.perf_counter() - begin


def _summary(values: list[float]) -> dict[str, float]:
    low, median, high = statistics.quantiles(values, n=4)
    return {"median": median, "spread": (high - low) / median, "rounds": len(values)}


class OtherLoad:
    """How many processors other processes have used since this object was made (Linux)."""

    def __init__(self) -> None:
        self._begin = self._now()

    def share(self) -> float | None:
        """1.0 means: one processor, all the time. None where the system does not tell."""
        if self._begin is None or (now := self._now()) is None:
            return None
        wall, busy, own = (b - a for a, b in zip(self._begin, now, strict=True))
        return max(0.0, busy - own) / wall

    @staticmethod
    def _now() -> tuple[float, float, float] | None:
        stat = Path("/proc/stat")
        if not stat.is_file():
            return None
        user, nice, system, _, _, irq, softirq, *_ = map(
            int, stat.read_text(encoding="utf-8").split("\n", 1)[0].split()[1:]
        )
        busy = (user + nice + system + irq + softirq) / os.sysconf("SC_CLK_TCK")
        return time.perf_counter(), busy, time.process_time()


def machine() -> dict[str, Any]:
    """Processor, system, date and load."""
    model = platform.processor()
    cpuinfo = Path("/proc/cpuinfo")
    if cpuinfo.is_file():
        for line in cpuinfo.read_text(encoding="utf-8").splitlines():
            if line.startswith("model name"):
                model = line.split(":", 1)[1].strip()
                break
    return {
        "processor": model,
        "processors": os.cpu_count(),
        "system": platform.platform(),
        "python": platform.python_version(),
        "date": datetime.datetime.now(datetime.timezone.utc).isoformat(timespec="minutes"),
        "load": os.getloadavg()[0] if hasattr(os, "getloadavg") else None,
    }
