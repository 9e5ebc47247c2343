# SPDX-License-Identifier: Apache-2.0
"""Draws the ratios that compare.py has written.

python bench/python/chart.py result.json result.png
"""

from __future__ import annotations

import itertools
import json
import sys
from pathlib import Path
from typing import Any

import report

COLORS = ("#d1495b", "#1f6fb2", "#3a8f5c", "#8a5fbf")  # of the libraries
CELLS = {"SimpleRNN": "RNN", "GRU": "GRU", "LSTM": "LSTM"}
MODES = {
    "inference": "Inference: all outputs of N sequences of T steps",
    "training": "Training step: forward, backward to all weights, update",
    "streaming": "Streaming: one step of one sequence, the state carried on",
}
MOST_TICKS = (0.1, 0.2, 0.5, 1, 2, 5, 10, 20, 50, 100)


def draw(result: dict[str, Any], file: Path) -> None:
    """One panel for each mode; a dot for each workload, cell, library and number of threads."""
    import matplotlib

    matplotlib.use("Agg")
    from matplotlib import pyplot

    lines = result["lines"]
    modes = [mode for mode in MODES if any(line["mode"] == mode for line in lines)]
    colors = dict(zip(report.peer_names(lines), itertools.cycle(COLORS), strict=False))
    height = 1.5 + 4.1 * len(modes)  # inches
    figure, panels = pyplot.subplots(len(modes), figsize=(15, height), squeeze=False)
    figure.subplots_adjust(
        left=0.05, right=0.92, top=1 - 1.85 / height, bottom=0.75 / height, hspace=0.34
    )
    for panel, mode in zip(panels[:, 0], modes, strict=True):
        _panel(panel, [line for line in lines if line["mode"] == mode], colors)
        panel.set_title(MODES[mode], loc="left", fontweight="bold", fontsize=11)
    top, *rest = _title(result["machine"]).split("\n")
    figure.text(0.05, 1 - 0.15 / height, top, fontsize=14, fontweight="bold", va="top")
    figure.text(0.05, 1 - 0.50 / height, "\n".join(rest), fontsize=9, va="top", color="#555555")
    figure.legend(
        handles=_legend(colors, sorted({line["threads"] for line in lines})), ncols=8,
        loc="upper left", bbox_to_anchor=(0.045, 1 - 1.08 / height), frameon=False, fontsize=11,
        handletextpad=0.1,
    )  # fmt: skip
    figure.savefig(file, dpi=120)
    pyplot.close(figure)


def _title(about: dict[str, Any]) -> str:
    top = "Time of other libraries relative to elman (float32, CPU, logarithmic axis)"
    key = "2x: the library takes twice as long. N sequences of T steps with F features; H units."
    return f"{top}\n{key}\n{report.heading(about)}"


def _panel(panel: Any, lines: list[report.Line], colors: dict[str, str]) -> None:
    """Workloads side by side, in each the cells, in each the libraries."""
    names = report.peer_names(lines)
    cells = [cell for cell in CELLS if any(line["cell"] == cell for line in lines)]
    workloads = list(dict.fromkeys(tuple(line["workload"]) for line in lines))
    threads = sorted({line["threads"] for line in lines})
    left = {work: i * (len(cells) + 0.8) for i, work in enumerate(workloads)}
    for (work, cell), k in itertools.product(
        itertools.product(workloads, cells), range(len(names))
    ):
        found = {
            line["threads"]: value
            for line in lines
            if (tuple(line["workload"]), line["cell"]) == (work, cell)
            and (value := report.ratio(line, names[k])) is not None
        }
        x = left[work] + cells.index(cell) + 0.25 * (k - (len(names) - 1) / 2)
        color = colors[names[k]]
        panel.plot([x] * len(found), list(found.values()), color=color, linewidth=1.2, zorder=3)
        for count, value in found.items():
            hollow = len(threads) > 1 and count == threads[-1]
            panel.plot(
                x, value, "o", color=color, markersize=5.5, markeredgewidth=1.4, zorder=4,
                markerfacecolor="white" if hollow else color,
            )  # fmt: skip
    _axes(panel, lines, names)
    _names(panel, workloads, cells, left)


def _axes(panel: Any, lines: list[report.Line], names: list[str]) -> None:
    values = [r for line in lines for name in names if (r := report.ratio(line, name)) is not None]
    low, high = min([0.8, *values]) / 1.15, max([1.5, *values]) * 1.15
    panel.set_yscale("log")
    panel.set_ylim(low, high)
    ticks = [tick for tick in MOST_TICKS if low <= tick <= high]
    panel.set_yticks(ticks, [f"{tick:g}x" for tick in ticks])
    panel.minorticks_off()
    panel.grid(axis="y", color="#dddddd", linewidth=0.8)
    panel.axhline(1.0, color="black", linewidth=1.4, zorder=2)
    panel.axhspan(low, 1.0, color="#f6dcdc", zorder=0)
    panel.text(
        1.005, 1.0, "↑ elman is faster\n\n↓ elman is slower",
        transform=panel.get_yaxis_transform(), va="center", fontsize=8,
    )  # fmt: skip
    panel.set_axisbelow(True)
    panel.set_ylabel("library's time / elman's time")
    for side in ("top", "right"):
        panel.spines[side].set_visible(False)


def _names(
    panel: Any, workloads: list[tuple[int, ...]], cells: list[str], left: dict[Any, float]
) -> None:
    """Below the panel: the cells, and under them the workload."""
    places = [left[work] + i for work in workloads for i in range(len(cells))]
    panel.set_xticks(places, [CELLS[cell] for _ in workloads for cell in cells], fontsize=7)
    panel.tick_params(axis="x", length=0)
    panel.set_xlim(-0.9, max(places) + 0.9)
    for work in workloads:
        n, t, f, h = work
        panel.annotate(
            f"N={n}  T={t}\nF={f}  H={h}", (left[work] + (len(cells) - 1) / 2, 0), (0, -20),
            xycoords=panel.get_xaxis_transform(), textcoords="offset points",
            ha="center", va="top", fontsize=9,
        )  # fmt: skip
        if left[work]:
            panel.axvline(left[work] - 0.9, color="#bbbbbb", linewidth=0.8)


def _legend(colors: dict[str, str], threads: list[int]) -> list[Any]:
    from matplotlib.lines import Line2D

    def dot(color: str, label: str, hollow: bool = False) -> Any:
        face = "white" if hollow else color
        return Line2D(
            [], [], marker="o", linestyle="", color=color, markerfacecolor=face,
            markeredgewidth=1.4, label=label,
        )  # fmt: skip

    entries = [dot(color, name) for name, color in colors.items()]
    if len(threads) > 1:
        entries += [dot("#555555", "1 thread" if threads[0] == 1 else f"{threads[0]} threads")]
        entries += [dot("#555555", f"{threads[-1]} threads", hollow=True)]
    return entries


if __name__ == "__main__":
    draw(json.loads(Path(sys.argv[1]).read_text(encoding="utf-8")), Path(sys.argv[2]))
