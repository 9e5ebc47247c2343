# SPDX-License-Identifier: Apache-2.0
"""Times convolution and pooling of elman and PyTorch, one layer at a time.

    python bench/python/layers.py --threads 1 --json result.json
    python bench/python/layers.py --only Conv2D --isa v3

A training step is the layer and its gradients, of the input too, as inside of a network. elman
has channels last; PyTorch runs with its usual channels first and with its channels_last memory
format. Before anything is timed, outputs and gradients of both are compared.
"""

from __future__ import annotations

import argparse
import json
import math
import sys
from collections.abc import Callable
from pathlib import Path
from typing import Any, NamedTuple

import compare
import environment
import measure
import numpy as np
import report
from tqdm import tqdm

TOLERANCE = 1e-4  # of the largest value, sums of up to 10^5 products in another order


class Case(NamedTuple):
    """One layer on one input [N, spatial axes, C]."""

    layer: str
    shape: tuple[int, ...]
    filters: int = 0
    window: int = 2
    strides: int = 1
    padding: str = "valid"
    activation: str | None = None

    def __str__(self) -> str:
        sizes = "x".join(map(str, self.shape))
        filters = f" -> {self.filters}" if self.filters else ""
        more = [self.padding] + [f"stride {self.strides}"] * (self.strides > 1)
        more += [self.activation] * (self.activation is not None)
        return f"{self.layer} {sizes}{filters}, {self.window}, {', '.join(map(str, more))}"


CASES = (
    Case("Conv1D", (32, 128, 1), 32, 5, padding="same", activation="relu"),
    Case("Conv1D", (32, 128, 64), 64, 3, padding="causal", activation="relu"),
    Case("Conv1D", (1, 256, 64), 128, 5, padding="same"),
    Case("Conv1D", (32, 128, 128), 128, 1),
    Case("Conv2D", (32, 28, 28, 1), 32, 3, activation="relu"),
    Case("Conv2D", (32, 32, 32, 3), 32, 3, padding="same", activation="relu"),
    Case("Conv2D", (32, 26, 26, 32), 64, 3, activation="relu"),
    Case("Conv2D", (16, 28, 28, 64), 64, 3, padding="same"),
    Case("Conv2D", (4, 14, 14, 256), 256, 3, padding="same"),
    Case("Conv2D", (16, 32, 32, 32), 64, 3, strides=2, padding="same"),
    Case("Conv2D", (1, 32, 32, 3), 16, 3, padding="same"),
    Case("MaxPooling2D", (32, 26, 26, 32), strides=2),
    Case("MaxPooling2D", (32, 28, 28, 64), window=3, strides=2, padding="valid"),
    Case("AveragePooling2D", (32, 26, 26, 32), strides=2),
    Case("AveragePooling2D", (32, 28, 28, 64), window=3, strides=1),
    Case("MaxPooling1D", (32, 128, 64), strides=2),
)


class Problem:
    """A case with its random numbers."""

    def __init__(self, case: Case) -> None:
        rng = np.random.default_rng(0)
        self.case, rank = case, len(case.shape) - 2
        self.x = rng.standard_normal(case.shape, "float32")
        channels = case.shape[-1]
        taps = (case.window,) * rank
        scale = 1 / math.sqrt(channels * case.window**rank)
        kernel = rng.standard_normal((*taps, channels, case.filters), "float32")
        self.kernel = kernel * np.float32(scale)
        self.bias = rng.standard_normal(case.filters, "float32")
        self.d_y = np.zeros(0)  # set once the output's shape is known


class Ours:
    """elman."""

    def __init__(self, elman: Any, problem: Problem) -> None:
        case = problem.case
        if case.filters:
            layer = getattr(elman.layers, case.layer)(
                case.filters, case.window, case.strides, case.padding, activation=case.activation
            )
        else:
            layer = getattr(elman.layers, case.layer)(case.window, case.strides, case.padding)
        self.tape, self.layer = elman.GradientTape, layer
        self.x = elman.Variable(problem.x)
        self.input = elman.Tensor(problem.x)
        y = layer(self.input)
        if case.filters:
            layer.set_weights([problem.kernel, problem.bias])
        problem.d_y = np.random.default_rng(1).standard_normal(y.shape, "float32")
        self.d_y = elman.Tensor(problem.d_y)

    def forward(self) -> Any:
        """The output."""
        return self.layer(self.input)

    def training(self) -> Any:
        """The gradients of x and the weights."""
        with self.tape() as tape:
            y = self.layer(self.x)
        sources = [self.x, *self.layer.trainable_weights]
        return tape.gradient(y, sources, output_gradients=self.d_y)


class Theirs:
    """PyTorch, with its usual layout or with channels last in memory."""

    def __init__(self, torch: Any, problem: Problem, *, last: bool = False) -> None:
        case, rank = problem.case, len(problem.case.shape) - 2
        self.torch, functional, self.last = torch, torch.nn.functional, last
        self.x = self._first(problem.x).requires_grad_()
        self.d_y = self._first(problem.d_y)
        self.weights = []
        pads = self._pads(case, rank)
        if case.filters:
            kernel = np.moveaxis(problem.kernel, (-1, -2), (0, 1))
            self.weights = [self._laid_out(kernel), torch.tensor(problem.bias)]
            for weight in self.weights:
                weight.requires_grad_()
            conv = getattr(functional, f"conv{rank}d")
            # Symmetric padding belongs to the convolution, other needs an operation of its own.
            plain = all(before == after for before, after in pads)
            own: Any = tuple(before for before, _ in pads) if plain else 0
            flat = [size for pair in reversed(pads) for size in pair]

            def run(x: Any) -> Any:
                x = x if plain else functional.pad(x, flat)
                y = conv(x, *self.weights, stride=case.strides, padding=own)
                return torch.relu(y) if case.activation else y

        else:
            kind = "max" if case.layer.startswith("Max") else "avg"
            pool = getattr(functional, f"{kind}_pool{rank}d")

            def run(x: Any) -> Any:
                return pool(x, case.window, case.strides)

        self.run = run

    def _first(self, x: np.ndarray) -> Any:
        return self._laid_out(np.moveaxis(x, -1, 1))

    def _laid_out(self, x: np.ndarray) -> Any:
        tensor = self.torch.tensor(np.ascontiguousarray(x))
        return tensor.to(memory_format=self.torch.channels_last) if self.last else tensor

    @staticmethod
    def _pads(case: Case, rank: int) -> list[tuple[int, int]]:
        pads = []
        for size in case.shape[1 : rank + 1]:
            total = max((-(-size // case.strides) - 1) * case.strides + case.window - size, 0)
            if case.padding == "valid":
                total = 0
            before = case.window - 1 if case.padding == "causal" else total // 2
            pads.append((before, 0 if case.padding == "causal" else total - before))
        return pads

    def forward(self) -> Any:
        """The output."""
        with self.torch.inference_mode():
            return self.run(self.x)

    def training(self) -> Any:
        """The gradients of x and the weights."""
        return self.torch.autograd.grad(self.run(self.x), [self.x, *self.weights], self.d_y)


def check(case: Case, ours: Ours, theirs: Theirs) -> None:
    """Stop unless both compute the same."""

    def last(value: Any, rank: int) -> np.ndarray:
        value = value.detach().numpy()
        return np.moveaxis(value, 1, -1) if value.ndim == rank else value

    rank = len(case.shape)
    pairs = [(np.asarray(ours.forward()), last(theirs.forward(), rank))]
    got, expected = ours.training(), theirs.training()
    pairs.append((np.asarray(got[0]), last(expected[0], rank)))
    if case.filters:
        kernel = np.moveaxis(expected[1].numpy(), (0, 1), (-1, -2))
        pairs += [(np.asarray(got[1]), kernel), (np.asarray(got[2]), expected[2].numpy())]
    for mine, other in pairs:
        difference = float(np.abs(mine - other).max() / np.abs(other).max())
        if not difference < TOLERANCE:
            sys.exit(f"{case}: elman and PyTorch differ by {difference:.2g}")


def run_all(
    libraries: compare.Libraries, cases: list[Case], threads: list[int], seconds: float
) -> list[report.Line]:
    """One line for each case, mode and number of threads."""
    lines = []
    for count, case in tqdm([(t, c) for t in threads for c in cases], disable=None):
        libraries.set_threads(count)
        problem = Problem(case)
        ours = Ours(libraries.elman.elman, problem)
        sides: dict[str, Any] = {"elman": ours}
        for peer in libraries.peers:
            sides[peer.name] = Theirs(peer.torch, problem)
            check(case, ours, sides[peer.name])
            if len(case.shape) == 4:  # of images alone
                sides[f"{peer.name}, channels last"] = Theirs(peer.torch, problem, last=True)
        for mode in ("forward", "training"):
            load = measure.OtherLoad()
            calls: dict[str, Callable[[], Any]] = {k: getattr(v, mode) for k, v in sides.items()}
            times = measure.interleaved(calls, seconds)
            lines.append({
                "case": str(case), "mode": mode, "threads": count, "times": times,
                "others": load.share(),
            })  # fmt: skip
    return lines


def table(lines: list[report.Line]) -> str:
    """All lines."""
    names = report.peer_names(lines)
    head = ["layer", "mode", "threads", "elman us", *(f"{name} us (ratio)" for name in names)]
    rows = []
    for line in lines:
        row = [line["case"], line["mode"], str(line["threads"])]
        row.append(report.duration(line["times"]["elman"]))
        rows.append(row + [report.against(line, name) for name in names])
    return report.markdown(head, rows)


def main() -> None:
    """Measure, print, write."""
    parser = argparse.ArgumentParser(
        description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter
    )
    parser.add_argument("--only", nargs="+", help="names of layers (default: all)")
    parser.add_argument("--json", type=Path, help="file for the results")
    compare.add_common_options(parser, seconds=1.0)
    given = parser.parse_args()
    environment.restrict(given.isa)
    given.without += ["ONNX Runtime", "Keras"]
    libraries = compare.Libraries(given)
    about = measure.machine() | {"isa": given.isa}
    about["libraries"] = {one.name: one.version() for one in libraries.all}
    print(report.heading(about), flush=True)
    cases = [case for case in CASES if not given.only or case.layer in given.only]
    lines = run_all(libraries, cases, given.threads, given.seconds)
    report.warn_of_others(lines)
    print("ratio: time of the other library / time of elman; above 1 elman is faster\n")
    print(table(lines))
    if libraries.peers:
        print("", report.of_summary(report.summary(lines)), sep="\n")
    if given.json:
        result = {"machine": about, "lines": lines}
        given.json.write_text(json.dumps(result, indent=1) + "\n", encoding="utf-8")


if __name__ == "__main__":
    main()
