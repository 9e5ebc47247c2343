# SPDX-License-Identifier: Apache-2.0
"""Times elman against PyTorch and ONNX Runtime, as far as they are installed, in one process.

    python bench/python/compare.py --cells LSTM --modes inference --threads 1 --json lstm.json

The libraries take turns, so that a drift of the machine hits all of them; figures are medians of
time per call. Compare ratios, not microseconds of different runs. Before anything is timed, the
outputs of all libraries are compared.
"""

from __future__ import annotations

import argparse
import functools
import itertools
import json
import sys
from pathlib import Path
from typing import Any

import contestants
import measure
import numpy as np
from contestants import GATES, Elman, Problem, Workload
from tqdm import tqdm

import elman

WORKLOADS = [
    Workload(*sizes)
    for sizes in (
        (1, 1, 32, 32),
        (1, 1, 128, 128),
        (1, 1, 512, 512),
        (1, 100, 128, 128),
        (1, 100, 512, 512),
        (32, 100, 64, 128),
        (64, 50, 256, 256),
        (64, 100, 512, 512),
        (128, 50, 1024, 1024),
    )
]
MODES = ("inference", "training")
# Both sum up to 2048 rounded products in another order; 1e-3 would still show a wrong gate.
TOLERANCE = 1e-3


def parse() -> argparse.Namespace:
    """The command line."""
    parser = argparse.ArgumentParser(
        description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter
    )
    parser.add_argument("--cells", nargs="+", choices=list(GATES), default=["LSTM", "GRU"])
    parser.add_argument("--modes", nargs="+", choices=MODES, default=list(MODES))
    parser.add_argument("--threads", nargs="+", type=int, default=[1])
    parser.add_argument(
        "--workloads", nargs="+", type=workload, default=WORKLOADS,
        help="each N,T,F,H without spaces (default: the nine of the table)",
    )  # fmt: skip
    parser.add_argument("--seconds", type=float, default=2.0, help="for one line of the table")
    parser.add_argument("--without", nargs="+", default=[], help="names of libraries to leave out")
    parser.add_argument("--json", type=Path, help="file for the results")
    return parser.parse_args()


def workload(text: str) -> Workload:
    """'32,100,64,128' as a Workload."""
    sizes = [int(part) for part in text.replace("x", ",").split(",")]
    if len(sizes) != 4 or min(sizes) < 1:
        raise argparse.ArgumentTypeError(f"expected N,T,F,H, got {text!r}")
    return Workload(*sizes)


def check_outputs(libraries: list[Any], problem: Problem) -> None:
    """Stop unless all libraries compute the same."""
    found = {lib.name: lib.output(lib.inference(problem, 1)()) for lib in libraries}
    ours = found["elman"]
    for name, theirs in found.items():
        difference = float(np.abs(ours - theirs).max())
        if not difference < TOLERANCE:
            where = f"{problem.cell} ({problem.workload})"
            sys.exit(f"{where}: elman and {name} differ by {difference:.2g}; nothing was timed")


def sgemm_rates(libraries: list[Any], threads: list[int], seconds: float) -> dict[int, float]:
    """GFLOP/s of a large float32 product, the fastest of the libraries, by number of threads."""
    size = 2048
    a = np.random.default_rng(0).standard_normal((size, size)).astype("float32")
    calls = {}
    tensor = elman.Tensor(a)
    calls["elman"] = lambda: elman.backend.dot(tensor, tensor)
    for lib in libraries:
        if lib.name == "PyTorch":
            theirs = lib.torch.from_numpy(a)
            calls["PyTorch"] = functools.partial(lib.torch.mm, theirs, theirs)
    rates = {}
    for count in threads:
        for lib in libraries:
            lib.set_threads(count)
        found = measure.interleaved(calls, seconds)
        rates[count] = 2 * size**3 / min(one["median"] for one in found.values()) / 1e9
    return rates


def run_line(libraries: list[Any], cell: str, work: Workload, mode: str, threads: int,
             seconds: float) -> dict[str, Any]:  # fmt: skip
    """One line of the table as a dictionary."""
    problem = Problem(cell, work)
    check_outputs(libraries, problem)
    calls = {}
    for lib in libraries:
        lib.set_threads(threads)
        make = getattr(lib, mode)
        if make is not None:
            calls[lib.name] = make(problem, threads)
    load = measure.OtherLoad()
    times = measure.interleaved(calls, seconds)
    flops = work.flops(cell) * (3 if mode == "training" else 1)
    return {
        "cell": cell, "workload": list(work), "mode": mode, "threads": threads,
        "times": times, "gflops": flops / times["elman"]["median"] / 1e9,
        "others": load.share(),
    }  # fmt: skip


def print_table(lines: list[dict[str, Any]], rates: dict[int, float], peers: list[Any]) -> None:
    """The results as a Markdown table."""
    names = [lib.name for lib in peers]
    head = ["cell", "N, T, F, H", "mode", "threads", "elman us", "GFLOP/s (of sgemm)"]
    head += [f"{name} us (ratio)" for name in names]
    rows = []
    for line in lines:
        ours, rate = line["times"]["elman"], rates[line["threads"]]
        row = [
            line["cell"], ", ".join(map(str, line["workload"])), line["mode"],
            str(line["threads"]), f"{ours['median'] * 1e6:.1f} ±{ours['spread'] / 2:.0%}",
            f"{line['gflops']:.1f} ({line['gflops'] / rate:.0%})",
        ]  # fmt: skip
        for name in names:
            theirs = line["times"].get(name)
            row.append("" if theirs is None else (
                f"{theirs['median'] * 1e6:.1f} ({theirs['median'] / ours['median']:.2f})"
            ))  # fmt: skip
        rows.append(row)
    widths = [max(len(row[i]) for row in [head, *rows]) for i in range(len(head))]
    for row in [head, ["-" * width for width in widths], *rows]:
        print("| " + " | ".join(map(str.ljust, row, widths)) + " |")


def main() -> None:
    """Measure, print, write."""
    given = parse()
    about = measure.machine()
    peers = [lib for lib in contestants.peers() if lib.name not in given.without]
    libraries = [Elman(), *peers]
    about["libraries"] = {lib.name: lib.version() for lib in libraries}
    rates = sgemm_rates(libraries, given.threads, given.seconds)
    lines = []
    plan = list(itertools.product(given.threads, given.modes, given.cells, given.workloads))
    with tqdm(plan, unit="line", disable=None) as bar:
        for threads, mode, cell, work in bar:
            bar.set_postfix_str(f"{cell} {work}, {mode}, {threads} threads")
            lines.append(run_line(libraries, cell, work, mode, threads, given.seconds))
    print(f"{about['processor']}, {about['processors']} processors, {about['date']}")
    print(", ".join(f"{name} {version}" for name, version in about["libraries"].items()))
    for count, rate in rates.items():
        print(f"sgemm of 2048 x 2048 with {count} threads: {rate:.0f} GFLOP/s")
    others = max((line["others"] or 0.0 for line in lines), default=0.0)
    if others > 0.1:
        print(f"WARNING: other processes used up to {others:.1f} processors; repeat when idle")
    print("ratio: time of the other library / time of elman; above 1 elman is faster\n")
    print_table(lines, rates, peers)
    if given.json:
        result = {"machine": about, "sgemm_gflops": rates, "lines": lines}
        given.json.write_text(json.dumps(result, indent=1) + "\n", encoding="utf-8")


if __name__ == "__main__":
    main()
