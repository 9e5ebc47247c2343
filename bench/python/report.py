# SPDX-License-Identifier: Apache-2.0
"""Tables of what was measured. A ratio is the other library's time divided by elman's."""

from __future__ import annotations

import math
from typing import Any

Line = dict[str, Any]


def ratio(line: Line, name: str) -> float | None:
    """Above 1 elman is faster; None where the library did not take part."""
    times = line["times"]
    return times[name]["median"] / times["elman"]["median"] if name in times else None


def peer_names(lines: list[Line]) -> list[str]:
    """All but elman, in the order of their first line."""
    return list(dict.fromkeys(n for line in lines for n in line["times"] if n != "elman"))


def markdown(head: list[str], rows: list[list[str]]) -> str:
    """A table whose columns are aligned."""
    widths = [max(len(row[i]) for row in [head, *rows]) for i in range(len(head))]
    return "\n".join(
        "| " + " | ".join(map(str.ljust, row, widths)) + " |"
        for row in [head, ["-" * width for width in widths], *rows]
    )


def duration(time: dict[str, float], unit: float = 1e6) -> str:
    """Median, in microseconds unless told, and half of the middle half."""
    return f"{time['median'] * unit:.1f} ±{time['spread'] / 2:.0%}"


def against(line: Line, name: str, unit: float = 1e6) -> str:
    """Time of another library and its ratio."""
    quotient = ratio(line, name)
    return "" if quotient is None else f"{duration(line['times'][name], unit)} ({quotient:.2f})"


def speedup(line: Line, lines: list[Line]) -> float | None:
    """elman's time with the fewest threads that were measured over that of the line.

    None where the line has no more threads than those.
    """
    key = line["cell"], line["workload"], line["mode"]
    same = [one for one in lines if (one["cell"], one["workload"], one["mode"]) == key]
    least = min(same, key=lambda one: one["threads"])
    if least["threads"] == line["threads"]:
        return None
    return least["times"]["elman"]["median"] / line["times"]["elman"]["median"]


def of_layers(lines: list[Line], rates: dict[int, float]) -> str:
    """All lines of compare.py; in brackets behind the threads what they give elman."""
    names = peer_names(lines)
    head = ["cell", "N, T, F, H", "mode", "threads", "elman us", "GFLOP/s (of sgemm)"]
    head += [f"{name} us (ratio)" for name in names]
    rows = []
    for line in lines:
        share = line["gflops"] / rates[line["threads"]]
        row = [line["cell"], ", ".join(map(str, line["workload"])), line["mode"]]
        gives = speedup(line, lines)
        threads = f"{line['threads']}" if gives is None else f"{line['threads']} ({gives:.2f})"
        row += [threads, duration(line["times"]["elman"])]
        row += [f"{line['gflops']:.1f} ({share:.0%})"]
        rows.append(row + [against(line, name) for name in names])
    return markdown(head, rows)


def summary(lines: list[Line]) -> list[Line]:
    """Per mode, number of threads and library: geometric mean and how many ratios are below 1."""
    found = []
    for mode, threads in dict.fromkeys((line["mode"], line["threads"]) for line in lines):
        chosen = [line for line in lines if (line["mode"], line["threads"]) == (mode, threads)]
        for name in peer_names(chosen):
            ratios = [r for line in chosen if (r := ratio(line, name)) is not None]
            found.append({
                "mode": mode, "threads": threads, "library": name, "lines": len(ratios),
                "geometric_mean": math.exp(math.fsum(map(math.log, ratios)) / len(ratios)),
                "least": min(ratios), "below_1": sum(r < 1.0 for r in ratios),
            })  # fmt: skip
    return found


def of_summary(summaries: list[Line]) -> str:
    """The same as a table."""
    head = ["mode", "threads", "against", "geometric mean", "least", "below 1"]
    rows = [
        [one["mode"], str(one["threads"]), one["library"], f"{one['geometric_mean']:.2f}",
         f"{one['least']:.2f}", f"{one['below_1']} of {one['lines']}"]
        for one in summaries
    ]  # fmt: skip
    below = sum(one["below_1"] for one in summaries)
    everything = sum(one["lines"] for one in summaries)
    text = f"\n\nBelow 1 in all: {below} of {everything} comparisons"
    return markdown(head, rows) + text


def scaling(lines: list[Line]) -> list[Line]:
    """Per mode and number of threads what they give elman over the fewest that were measured."""
    found = []
    for mode, threads in dict.fromkeys((line["mode"], line["threads"]) for line in lines):
        chosen = [line for line in lines if (line["mode"], line["threads"]) == (mode, threads)]
        gives = [given for line in chosen if (given := speedup(line, lines)) is not None]
        if gives:
            found.append({
                "mode": mode, "threads": threads, "lines": len(gives),
                "geometric_mean": math.exp(math.fsum(map(math.log, gives)) / len(gives)),
                "least": min(gives), "below_0.95": sum(given < 0.95 for given in gives),
            })  # fmt: skip
    return found


def of_scaling(found: list[Line]) -> str:
    """The same as a table."""
    head = ["mode", "threads", "geometric mean over fewest threads", "least", "below 0.95"]
    rows = [
        [one["mode"], str(one["threads"]), f"{one['geometric_mean']:.2f}", f"{one['least']:.2f}",
         f"{one['below_0.95']} of {one['lines']}"]
        for one in found
    ]  # fmt: skip
    return markdown(head, rows)


def heading(about: dict[str, Any]) -> str:
    """Machine, date and versions."""
    versions = ", ".join(f"{name} {version}" for name, version in about["libraries"].items())
    isa = f", all held to {about['isa']}" if about["isa"] else ""
    where = f"{about['processor']}, {about['processors']} processors{isa}, {about['date']}"
    return f"{where}\n{versions}"


def warn_of_others(lines: list[Line]) -> None:
    """Say how many processors other processes used at worst, if that spoils the figures."""
    worst = max((line["others"] or 0.0 for line in lines), default=0.0)
    if worst > 0.1:
        print(f"WARNING: other processes used up to {worst:.1f} processors; repeat when idle")
