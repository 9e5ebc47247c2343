# SPDX-License-Identifier: Apache-2.0
"""Times ConvLSTM2D of elman and of Keras on each back end that is installed.

    python bench/python/conv_lstm.py --json result.json
    python bench/python/conv_lstm.py --keras-backends jax --threads 1

Forward pass, and a training step (forward, backward, update of the weights), on 8 sequences of 10
images of 40 x 40 pixels with 40 filters of 3 x 3. A process can have one back end of Keras only, so
that each one meets elman in a process of its own, where the two take turns. All are held to AVX2
and start from the same weights; before anything is timed, their outputs are compared.
"""

from __future__ import annotations

import argparse
import json
import subprocess
import sys
import tempfile
from collections.abc import Callable
from pathlib import Path
from typing import Any, NamedTuple

import environment
import measure
import numpy as np
import report
from contestants import KERAS_BACKENDS, Elman, installed

TOLERANCE = 1e-4
ISA = "v3"


class Sizes(NamedTuple):
    """N sequences of T images, rows x columns with C channels; F filters of k x k."""

    n: int = 8
    t: int = 10
    rows: int = 40
    columns: int = 40
    c: int = 1
    f: int = 40
    k: int = 3

    def flops(self, mode: str) -> float:
        """Of one call: the products; in training without the gradient of the input."""
        widths = 2 * self.c + 3 * self.f if mode == "training" else self.c + self.f
        pixels = self.n * self.t * self.rows * self.columns
        return 2.0 * pixels * 4 * self.f * self.k**2 * widths


class Problem:
    """Input, weights and the gradient of the output."""

    def __init__(self, sizes: Sizes) -> None:
        n, t, rows, columns, c, f, k = sizes
        rng = np.random.default_rng(0)

        def normal(*shape: int, scale: float = 1.0) -> np.ndarray:
            return (scale * rng.standard_normal(shape)).astype("float32")

        self.x = normal(n, t, rows, columns, c)
        self.d_output = normal(n, t, rows, columns, f)
        self.weights = [
            normal(k, k, c, 4 * f, scale=(k * k * c) ** -0.5),
            normal(k, k, f, 4 * f, scale=0.5 * (k * k * f) ** -0.5),
            normal(4 * f, scale=0.1),
        ]


def layer_of(library: Any, sizes: Sizes) -> Any:
    """The layer, not built; the names of elman and Keras are the same."""
    return library.layers.ConvLSTM2D(
        sizes.f, sizes.k, padding="same", recurrent_activation="sigmoid", return_sequences=True,
        recurrent_initializer="zeros",
    )  # fmt: skip


def of_elman(elman: Any, problem: Problem, sizes: Sizes) -> dict[str, Callable[[], Any]]:
    """What is timed, by mode."""
    layer, x = layer_of(elman, sizes), elman.Tensor(problem.x)
    layer(x)
    layer.set_weights(problem.weights)
    d_output, weights = elman.Tensor(problem.d_output), layer.trainable_weights
    optimizer = elman.optimizers.SGD(1e-9)

    def step() -> None:
        with elman.GradientTape() as tape:
            y = layer(x, training=True)
        gradients = tape.gradient(y, weights, output_gradients=d_output)
        optimizer.apply(gradients, weights)

    return {"inference": lambda: layer(x), "training": step}


def of_keras(keras: Any, problem: Problem, sizes: Sizes) -> dict[str, Callable[[], Any]]:
    """The same, compiled as far as the back end does that."""
    layer = layer_of(keras, sizes)
    model = keras.Sequential([keras.Input(problem.x.shape[1:], batch_size=sizes.n), layer])
    layer.set_weights(problem.weights)
    model.compile(keras.optimizers.SGD(1e-9), lambda given, y: keras.ops.sum(given * y))
    return {
        "inference": lambda: model.predict_on_batch(problem.x),
        "training": lambda: model.train_on_batch(problem.x, problem.d_output),
    }


def measure_one(backend: str, given: argparse.Namespace) -> dict[str, Any]:
    """elman against one back end, in this process."""
    from contestant_keras import Keras

    environment.restrict(ISA)
    elman, keras = Elman(), Keras(backend)
    if backend == "torch":
        import torch
    problem = Problem(given.sizes)
    calls = {"elman": of_elman(elman.elman, problem, given.sizes)}
    calls[keras.name] = of_keras(keras.keras, problem, given.sizes)
    outputs = [np.asarray(one["inference"]()) for one in calls.values()]
    difference = float(np.abs(outputs[0] - outputs[1]).max())
    if not difference < TOLERANCE:
        sys.exit(f"outputs of elman and {keras.name} differ by {difference:.2g}")
    lines = []
    for threads in given.threads:
        elman.set_threads(threads)
        keras.set_threads(threads)
        if backend == "torch":
            torch.set_num_threads(threads)
        for mode in given.modes:
            load = measure.OtherLoad()
            some = {name: one[mode] for name, one in calls.items()}
            times = measure.interleaved(some, given.seconds)
            lines.append({"mode": mode, "threads": threads, "times": times, "others": load.share()})
    return {"lines": lines, "libraries": {"elman": elman.version(), keras.name: keras.version()}}


def table(lines: list[report.Line], sizes: Sizes) -> str:
    """All lines; elman was measured again beside each back end."""
    head = ["mode", "threads", "elman ms", "GFLOP/s", "against", "ms (ratio)"]
    rows = []
    for line in lines:
        (name,) = report.peer_names([line])
        seconds = line["times"]["elman"]["median"]
        rows.append([
            line["mode"], str(line["threads"]), report.duration(line["times"]["elman"], 1e3),
            f"{sizes.flops(line['mode']) / seconds / 1e9:.1f}", name,
            report.against(line, name, 1e3),
        ])  # fmt: skip
    return report.markdown(head, rows)


def parse() -> argparse.Namespace:
    """The command line."""
    parser = argparse.ArgumentParser(
        description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter
    )
    parser.add_argument("--keras-backends", nargs="+", choices=KERAS_BACKENDS)
    parser.add_argument("--threads", nargs="+", type=int, default=[1, 2])
    parser.add_argument(
        "--modes", nargs="+", choices=["inference", "training"], default=["inference", "training"]
    )
    parser.add_argument("--sizes", nargs=7, type=int, default=Sizes(), metavar="SIZE")
    parser.add_argument("--seconds", type=float, default=20.0, help="about, for one line")
    parser.add_argument("--json", type=Path, help="file for the results")
    parser.add_argument("--one", choices=KERAS_BACKENDS, help=argparse.SUPPRESS)
    given = parser.parse_args()
    given.sizes = Sizes(*given.sizes)
    return given


def main() -> None:
    """Measure, print, write."""
    given = parse()
    if given.one:
        result = measure_one(given.one, given)
        given.json.write_text(json.dumps(result), encoding="utf-8")
        return
    backends = given.keras_backends or [b for b in KERAS_BACKENDS if installed("keras", b)]
    about = {**measure.machine(), "isa": ISA, "libraries": {}}
    lines: list[report.Line] = []
    arguments = ["--seconds", str(given.seconds), "--threads", *map(str, given.threads)]
    arguments += ["--modes", *given.modes, "--sizes", *map(str, given.sizes)]
    for backend in backends:
        print(f"Keras on {backend} ...", file=sys.stderr, flush=True)
        with tempfile.TemporaryDirectory() as folder:
            path = Path(folder) / "result.json"
            command = [sys.executable, __file__, *arguments, "--one", backend, "--json", str(path)]
            subprocess.run(command, check=True)
            found = json.loads(path.read_text(encoding="utf-8"))
        lines += found["lines"]
        about["libraries"] |= found["libraries"]
    print(report.heading(about))
    print(f"ConvLSTM2D, {given.sizes}")
    report.warn_of_others(lines)
    print("ratio: time of the other library / time of elman; above 1 elman is faster\n")
    print(table(lines, given.sizes))
    if given.json:
        result = {"machine": about, "sizes": given.sizes._asdict(), "lines": lines}
        given.json.write_text(json.dumps(result, indent=1) + "\n", encoding="utf-8")


if __name__ == "__main__":
    main()
