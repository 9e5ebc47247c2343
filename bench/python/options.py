# SPDX-License-Identifier: Apache-2.0
"""What the options of a recurrent layer cost: each against the plain layer, in turns.

    python bench/python/options.py --json options.json

Inference and training (forward, backward to all weights and to x) of elman alone. A ratio is the
time with the option divided by the time without it: 1.15 means 15 % more. Where an option skips
steps, the second ratio is per step in use.
"""

from __future__ import annotations

import argparse
import functools
import json
from collections.abc import Callable
from pathlib import Path
from typing import Any, NamedTuple

import measure
import numpy as np
import report
from problem import Problem, Workload
from tqdm import tqdm

import elman

Call = Callable[[], Any]


class Option(NamedTuple):
    """Arguments of the layer and of its call, and which share of the steps they leave."""

    layer: dict[str, Any] = {}  # noqa: RUF012 - not changed
    call: dict[str, Any] = {}  # noqa: RUF012
    used: float = 1.0


def options(cell: str, workload: Workload) -> dict[str, Option]:
    """Every option by name; the plain layer first."""
    n, t, _, h = workload
    rng = np.random.default_rng(1)
    lengths = rng.integers(t // 4, t + 1, n)
    right, holes = np.arange(t) < lengths[:, None], rng.random((n, t)) < 0.7
    resets = rng.random((n, t)) < 0.02
    state = [np.zeros((n, h), "float32") + 0.1 for _ in range(2 if cell == "LSTM" else 1)]
    gates = {"recurrent_activation": "hard_sigmoid"}
    found = {
        "plain": Option(),
        "mask, all steps": Option(call={"mask": np.ones((n, t), bool)}),
        "mask, right": Option(call={"mask": right}, used=right.mean()),
        "mask, holes": Option(call={"mask": holes}, used=holes.mean()),
        "lengths": Option(call={"lengths": lengths}, used=right.mean()),
        "reset_mask": Option(call={"reset_mask": resets}),
        "initial_state": Option(call={"initial_state": state}),
        "state sequences": Option({"return_state_sequences": True}),
        "dropout": Option({"dropout": 0.2}),
        "recurrent_dropout": Option({"recurrent_dropout": 0.2}),
        "dropout per gate": Option({"dropout": 0.2, "recurrent_dropout": 0.2, "implementation": 1}),
        "relu": Option({"activation": "relu"}),
        "hard_sigmoid gates": Option(gates),
        "relu, hard_sigmoid": Option({"activation": "relu", **gates}),
        "go_backwards": Option({"go_backwards": True}),
        "no bias": Option({"use_bias": False}),
    }
    if cell == "SimpleRNN":
        found = {
            name: one
            for name, one in found.items()
            if not {"implementation", "recurrent_activation"} & one.layer.keys()
        }
    return found


def calls(option: Option, problem: Problem) -> dict[str, Call]:
    """Inference and training of one layer on a problem."""
    layer = getattr(elman.layers, problem.cell)(
        problem.workload.h, return_sequences=True, **option.layer
    )
    x, d_output = elman.Variable(problem.x), elman.Tensor(problem.d_output)
    constant, given = elman.Tensor(problem.x), {}
    for name, value in option.call.items():
        is_list = isinstance(value, list)
        given[name] = list(map(elman.Tensor, value)) if is_list else elman.Tensor(value)
    layer(constant)
    weights = [problem.kernel, problem.recurrent_kernel, problem.bias]
    layer.set_weights(weights[: len(layer.weights)])

    def train() -> Any:
        with elman.GradientTape() as tape:
            output = layer(x, training=True, **given)
        first = output[0] if isinstance(output, list) else output
        return tape.gradient(first, [x, *layer.weights], output_gradients=d_output)

    return {"inference": functools.partial(layer, constant, **given), "training": train}


def run(cell: str, workload: Workload, seconds: float, chosen: list[str] | None) -> list[Any]:
    """One line per option: times and ratios to the plain layer, measured next to each other."""
    problem, lines = Problem(cell, workload), []
    every = options(cell, workload)
    plain = calls(every.pop("plain"), problem)
    names = [name for name in every if not chosen or name in chosen]
    for name in tqdm(names, desc=f"{cell} {workload}", unit="option", disable=None):
        made = calls(every[name], problem)
        for mode in ("inference", "training"):
            pair = {"plain": plain[mode], "option": made[mode]}
            times = measure.interleaved(pair, seconds)
            ratio = times["option"]["median"] / times["plain"]["median"]
            lines.append({
                "cell": cell, "workload": list(workload), "option": name, "mode": mode,
                "times": times, "ratio": ratio, "per_step": ratio / every[name].used,
            })  # fmt: skip
    return lines


def table(lines: list[Any]) -> str:
    """All lines, inference and training side by side."""
    head = ["cell", "N, T, F, H", "option", "inference us", "ratio", "per step"]
    head += ["training us", "ratio", "per step"]
    rows = []
    for a, b in zip(lines[::2], lines[1::2], strict=True):
        row = [a["cell"], ", ".join(map(str, a["workload"])), a["option"]]
        for line in (a, b):
            row += [report.duration(line["times"]["option"]), f"{line['ratio']:.2f}"]
            row += [f"{line['per_step']:.2f}"]
        rows.append(row)
    return report.markdown(head, rows)


def main() -> None:
    """Measure, print, write."""
    parser = argparse.ArgumentParser(
        description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter
    )
    parser.add_argument("--json", type=Path, help="file for the results")
    parser.add_argument("--cells", nargs="+", default=["SimpleRNN", "GRU", "LSTM"])
    parser.add_argument("--options", nargs="+", help="some of the options")
    parser.add_argument("--workload", nargs=4, type=int, default=[32, 100, 64, 128])
    parser.add_argument("--threads", type=int, default=1)
    parser.add_argument("--seconds", type=float, default=3.0, help="for one option and mode")
    given = parser.parse_args()
    elman.set_num_threads(given.threads)
    about = measure.machine() | {"isa": None, "libraries": {"elman": elman.__version__}}
    print(report.heading(about), f"\n{given.threads} threads\n", flush=True)
    load, lines = measure.OtherLoad(), []
    for cell in given.cells:
        lines += run(cell, Workload(*given.workload), given.seconds, given.options)
    print(table(lines))
    report.warn_of_others([{"others": load.share()}])
    if given.json:
        result = {"machine": about, "lines": lines}
        given.json.write_text(json.dumps(result, indent=1) + "\n", encoding="utf-8")


if __name__ == "__main__":
    main()
