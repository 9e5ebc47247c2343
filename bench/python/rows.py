# SPDX-License-Identifier: Apache-2.0
"""Sweeps over the rows of a batch and the units of a layer, to find sizes that are slow.

    python bench/python/rows.py --cells LSTM --json rows.json
    python bench/python/rows.py --modes training --rows 1 2 3 --units 64 128

The workloads of compare.py are few and round; between them lie three rows, or 50 units. Prints for
each cell and mode how many times as long as elman each library takes, and elman's GFLOP/s, with the
units downwards and the rows to the right. Layers have as many features as units. As in compare.py
the libraries take turns, and their outputs are compared first.
"""

from __future__ import annotations

import argparse
import json
from collections.abc import Callable
from pathlib import Path

import compare
import environment
import measure
import report
from problem import GATES, Workload

ROWS = [1, 2, 3, 4, 5, 6, 7, 8, 12, 32, 64]
UNITS = [10, 20, 32, 50, 64, 100, 128, 200, 256, 384]


def parse() -> argparse.Namespace:
    """The command line."""
    parser = argparse.ArgumentParser(
        description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter
    )
    parser.add_argument("--cells", nargs="+", choices=list(GATES), default=list(GATES))
    parser.add_argument("--modes", nargs="+", choices=compare.MODES[:2], default=["inference"])
    parser.add_argument("--rows", nargs="+", type=int, default=ROWS)
    parser.add_argument("--units", nargs="+", type=int, default=UNITS)
    parser.add_argument("--steps", type=int, default=30)
    parser.add_argument("--json", type=Path, help="file for the results")
    compare.add_common_options(parser, seconds=0.2)
    parser.set_defaults(threads=[1], keras_backend="none")
    return parser.parse_args()


def grid(lines: list[report.Line], value: Callable[[report.Line], str]) -> str:
    """One number of each line; units downwards, rows to the right."""
    cells = {(line["workload"][3], line["workload"][0]): value(line) for line in lines}
    rows, units = (sorted({key[i] for key in cells}) for i in (1, 0))
    head = ["units", *(f"{n} rows" for n in rows)]
    body = [[str(h), *(cells.get((h, n), "") for n in rows)] for h in units]
    return report.markdown(head, body)


def show(lines: list[report.Line]) -> None:
    """The tables of one cell, mode and number of threads."""
    for name in report.peer_names(lines):
        print(f"\n{name}, time relative to elman\n")
        print(grid(lines, lambda line, name=name: f"{report.ratio(line, name) or 0:.2f}"))
    print("\nelman, GFLOP/s\n")
    print(grid(lines, lambda line: f"{line['gflops']:.1f}"))


def main() -> None:
    """Measure, print, write."""
    given = parse()
    environment.restrict(given.isa)
    about = measure.machine() | {"isa": given.isa}
    libraries = compare.Libraries(given)
    about["libraries"] = {one.name: one.version() for one in libraries.all}
    print(report.heading(about), flush=True)
    jobs = [
        compare.Job(given.threads, mode, cell, Workload(n, given.steps, h, h))
        for mode in given.modes
        for cell in given.cells
        for h in given.units
        for n in given.rows
    ]
    rates = compare.sgemm_rates(libraries, given.threads)
    lines = compare.run_all(jobs, libraries, given.seconds, rates)
    report.warn_of_others(lines)
    for threads in given.threads:
        for mode in given.modes:
            for cell in given.cells:
                key = cell, mode, threads
                some = [x for x in lines if (x["cell"], x["mode"], x["threads"]) == key]
                print(f"\n{cell}, {mode}, {threads} threads")
                show(some)
    if given.json:
        result = {"machine": about, "sgemm_gflops": rates, "lines": lines}
        given.json.write_text(json.dumps(result, indent=1) + "\n", encoding="utf-8")


if __name__ == "__main__":
    main()
