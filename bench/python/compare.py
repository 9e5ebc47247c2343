# SPDX-License-Identifier: Apache-2.0
"""Times the recurrent layers of elman and of the other libraries, as far as they are installed.

    python bench/python/compare.py --json result.json --chart result.png
    python bench/python/compare.py --cells LSTM --modes inference --threads 1

The libraries and numbers of threads take turns in one process, so that a drift of the machine hits
all of them; figures are medians of time per call. Compare ratios, not microseconds of different
runs. Before anything is timed, the outputs of all libraries are compared.
"""

from __future__ import annotations

import argparse
import functools
import json
import sys
from collections.abc import Callable
from pathlib import Path
from typing import Any, NamedTuple

import environment
import measure
import numpy as np
import report
from problem import GATES, WORKLOADS, Problem, Workload
from tqdm import tqdm

MODES = ("inference", "training", "streaming")
# Both sum up to 2048 rounded products in another order; 1e-3 would still show a wrong gate.
TOLERANCE = 1e-3


def parse() -> argparse.Namespace:
    """The command line."""
    parser = argparse.ArgumentParser(
        description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter
    )
    parser.add_argument("--cells", nargs="+", choices=list(GATES), default=list(GATES))
    parser.add_argument("--modes", nargs="+", choices=MODES, default=list(MODES))
    parser.add_argument(
        "--workloads", nargs="+", type=workload, default=WORKLOADS,
        help="each N,T,F,H without spaces (default: the nine of the table)",
    )  # fmt: skip
    parser.add_argument("--json", type=Path, help="file for the results")
    parser.add_argument("--chart", type=Path, help="file for a picture of the ratios (.png, .svg)")
    add_common_options(parser, seconds=2.0)
    return parser.parse_args()


def add_common_options(parser: argparse.ArgumentParser, seconds: float) -> None:
    """Options that epoch.py has as well."""
    parser.add_argument("--threads", nargs="+", type=int, default=[1, 2])
    parser.add_argument(
        "--seconds", type=float, default=seconds, help="about, for one line of the table"
    )
    parser.add_argument("--without", nargs="+", default=[], help="names of libraries to leave out")
    parser.add_argument(
        "--keras-backend", choices=["auto", "none", "tensorflow", "jax", "torch"], default="auto",
        help="auto: the first of the three that is installed",
    )  # fmt: skip
    parser.add_argument("--isa", choices=["v3"], help="hold all libraries to AVX2")


def workload(text: str) -> Workload:
    """'32,100,64,128' as a Workload."""
    sizes = [int(part) for part in text.replace("x", ",").split(",")]
    if len(sizes) != 4 or min(sizes) < 1:
        raise argparse.ArgumentTypeError(f"expected N,T,F,H, got {text!r}")
    return Workload(*sizes)


class Libraries:
    """elman and its peers, loaded after the environment is set."""

    def __init__(self, given: argparse.Namespace) -> None:
        import contestants

        self.elman = contestants.Elman()
        self.peers = contestants.peers(given.without, given.keras_backend)
        if given.isa:
            self.peers = [p for p in self.peers if p.name not in environment.UNRESTRICTED]
        self.all = [self.elman, *self.peers]
        self._checked: set[tuple[str, str, Workload]] = set()

    def set_threads(self, threads: int) -> None:
        """For each by its own means."""
        for one in self.all:
            one.set_threads(threads)

    def calls(self, mode: str, problem: Problem, threads: int) -> dict[str, Callable[[], Any]]:
        """What can be timed, by name of the library."""
        made = {one.name: one.make(mode, problem, threads) for one in self.all}
        return {name: call for name, call in made.items() if call is not None}

    def check(self, mode: str, problem: Problem) -> None:
        """Stop unless all libraries compute the same; three calls show that states are kept."""
        key = mode, problem.cell, problem.workload
        if key in self._checked:
            return
        self._checked.add(key)
        calls, output = self.calls(mode, problem, 1), {one.name: one.output for one in self.all}
        for turn in range(3 if mode == "streaming" else 1):
            found = {name: output[name](call()) for name, call in calls.items()}
            for name, theirs in found.items():
                difference = float(np.abs(found["elman"] - theirs).max())
                if found["elman"].shape != theirs.shape or not difference < TOLERANCE:
                    where = f"{problem.cell} ({problem.workload}), {mode}, call {turn + 1}"
                    sys.exit(f"{where}: elman and {name} differ by {difference:.2g}")


def sgemm_rates(libraries: Libraries, threads: list[int]) -> dict[int, float]:
    """GFLOP/s of a large float32 product, the fastest of the libraries, by number of threads."""
    size, elman = 2048, libraries.elman.elman
    a = np.random.default_rng(0).standard_normal((size, size)).astype("float32")
    tensor = elman.Tensor(a)
    calls: dict[str, Callable[[], Any]] = {"elman": lambda: elman.backend.dot(tensor, tensor)}
    for one in libraries.peers:
        if one.name == "PyTorch":
            torch = one.torch
            theirs = torch.from_numpy(a)
            calls["PyTorch"] = functools.partial(torch.mm, theirs, theirs)
    rates = {}
    for count in threads:
        libraries.set_threads(count)
        found = measure.interleaved(calls, 1.0)
        rates[count] = 2 * size**3 / min(one["median"] for one in found.values()) / 1e9
    return rates


class Job(NamedTuple):
    """Lines of the table to come, one for each number of threads."""

    threads: list[int]
    mode: str
    cell: str
    work: Workload

    def expected(self, seconds: float, rates: dict[int, float], libraries: int) -> float:
        """Roughly how long it will take, for the progress bar."""
        flops = self.work.flops(self.cell, self.mode)
        turn = sum(1.5 * libraries * flops / (rates[count] * 1e9) for count in self.threads)
        return max(seconds * len(self.threads), (2 + measure.least_rounds(turn)) * turn)

    def run(self, libraries: Libraries, seconds: float) -> list[report.Line]:
        """The lines."""
        problem = Problem(self.cell, self.work)
        libraries.set_threads(1)
        libraries.check("streaming" if self.mode == "streaming" else "inference", problem)
        calls = {}
        for threads in self.threads:
            libraries.set_threads(threads)  # a stream decides when it is made
            for name, call in libraries.calls(self.mode, problem, threads).items():
                calls[threads, name] = call
        load = measure.OtherLoad()
        times = measure.interleaved(
            calls, seconds * len(self.threads), before=lambda key: libraries.set_threads(key[0])
        )
        others, flops = load.share(), self.work.flops(self.cell, self.mode)
        return [
            {
                "cell": self.cell, "workload": list(self.work), "mode": self.mode,
                "threads": threads,
                "times": {name: time for (count, name), time in times.items() if count == threads},
                "gflops": flops / times[threads, "elman"]["median"] / 1e9, "others": others,
            }
            for threads in self.threads
        ]  # fmt: skip


def plan(given: argparse.Namespace) -> list[Job]:
    """All jobs; streaming looks at the sizes of a layer alone."""
    steps = list(dict.fromkeys(work.step() for work in given.workloads))
    return [
        Job(given.threads, mode, cell, work)
        for mode in given.modes
        for work in (steps if mode == "streaming" else given.workloads)
        for cell in given.cells
    ]


def run_all(
    jobs: list[Job], libraries: Libraries, seconds: float, rates: dict[int, float]
) -> list[report.Line]:
    """All lines, or those until somebody presses Ctrl-C."""
    count = len(libraries.all)
    expected = [job.expected(seconds, rates, count) for job in jobs]
    lines: list[report.Line] = []
    shape = "{percentage:3.0f} %|{bar}| {elapsed} gone, {remaining} left, {postfix}"
    with tqdm(total=sum(expected), smoothing=0, bar_format=shape, disable=None) as bar:
        try:
            for job, time in zip(jobs, expected, strict=True):
                bar.set_postfix_str(f"{job.cell} {job.work}, {job.mode}")
                lines += job.run(libraries, seconds)
                bar.update(time)
        except KeyboardInterrupt:
            print("interrupted: the table ends early", file=sys.stderr)
    return sorted(lines, key=lambda line: line["threads"])


def main() -> None:
    """Measure, print, write."""
    given = parse()
    environment.restrict(given.isa)
    about = measure.machine() | {"isa": given.isa}
    libraries = Libraries(given)
    about["libraries"] = {one.name: one.version() for one in libraries.all}
    print(report.heading(about), flush=True)
    if given.isa:
        print(f"left out, no switch for that: {', '.join(environment.UNRESTRICTED)}")
    if "streaming" in given.modes and not libraries.elman.streams():
        print("streaming left out: this elman has no layer.stream()")
        given.modes.remove("streaming")
    rates = sgemm_rates(libraries, given.threads)
    lines = run_all(plan(given), libraries, given.seconds, rates)
    for count, rate in sgemm_rates(libraries, given.threads).items():
        rates[count] = max(rates[count], rate)  # the machine may have been slower at first
        print(f"sgemm of 2048 x 2048, {count} threads: {rates[count]:.0f} GFLOP/s")
    report.warn_of_others(lines)
    print("ratio: time of the other library / time of elman; above 1 elman is faster\n")
    summaries, scaling = report.summary(lines), report.scaling(lines)
    print(report.of_layers(lines, rates), report.of_summary(summaries), sep="\n\n")
    if scaling:
        print("\n" + report.of_scaling(scaling))
    result = {
        "machine": about, "sgemm_gflops": rates, "summary": summaries, "scaling": scaling,
        "lines": lines,
    }  # fmt: skip
    if given.json:
        given.json.write_text(json.dumps(result, indent=1) + "\n", encoding="utf-8")
    if given.chart:
        import chart

        chart.draw(result, given.chart)


if __name__ == "__main__":
    main()
