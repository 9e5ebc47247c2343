# SPDX-License-Identifier: Apache-2.0
"""Times a whole model: Embedding -> LSTM -> Dense on token sequences, in all libraries.

    python bench/python/epoch.py --keras-backend jax --json result.json

An epoch of training (Adam, shuffled), `predict` over the same data, and one call on a single
sequence. elman and Keras go through `fit` and `predict`; PyTorch is used as one writes it by hand:
no data loader, no metrics but the loss. The single sequence is a plain call of the model, for
Keras `predict_on_batch`, which is compiled. All start from the same weights, and before anything
is timed their predictions are compared.
"""

from __future__ import annotations

import argparse
import functools
import json
import sys
from collections.abc import Callable
from pathlib import Path
from typing import Any

import compare
import environment
import measure
import numpy as np
import report
from tqdm import tqdm

SEQUENCES, STEPS, BATCH = 1024, 100, 64
WORDS, WIDTH, UNITS, CLASSES = 1000, 64, 128, 10
RATE = 1e-6  # small, so that every epoch does the same work on the same numbers
TOLERANCE = 1e-4  # of probabilities

Jobs = dict[str, Callable[[], Any]]


def data() -> tuple[np.ndarray, np.ndarray]:
    """Random words and classes."""
    rng = np.random.default_rng(0)
    words = rng.integers(0, WORDS, (SEQUENCES, STEPS))
    return words, rng.integers(0, CLASSES, SEQUENCES)


def through_fit(library: Any, weights: list[Any], x: np.ndarray, y: np.ndarray) -> tuple[Any, Jobs]:
    """The model and its jobs with elman or Keras, which have the same names."""
    model = library.Sequential([
        library.layers.Embedding(WORDS, WIDTH),
        library.layers.LSTM(UNITS),
        library.layers.Dense(CLASSES, activation="softmax"),
    ])  # fmt: skip
    model.compile(library.optimizers.Adam(RATE), "sparse_categorical_crossentropy")
    model.predict_on_batch(x[:1])  # builds it
    if weights:
        model.set_weights(weights)
    return model, {
        "epoch": functools.partial(model.fit, x, y, BATCH, 1, verbose=0),
        "predict": functools.partial(model.predict, x, BATCH, verbose=0),
        "one sequence": functools.partial(model.predict_on_batch, x[:1]),
    }


def by_hand(peer: Any, weights: list[np.ndarray], x_array: np.ndarray, y_array: np.ndarray) -> Jobs:
    """The jobs with PyTorch."""
    from contestant_torch import load

    torch = peer.torch
    words, kernel, recurrent_kernel, bias, dense, dense_bias = weights

    class Network(torch.nn.Module):
        def __init__(self) -> None:
            super().__init__()
            self.embedding = torch.nn.Embedding.from_pretrained(torch.tensor(words), freeze=False)
            self.lstm = torch.nn.LSTM(WIDTH, UNITS, batch_first=True)
            self.dense = torch.nn.Linear(UNITS, CLASSES)

        def forward(self, words: Any) -> Any:
            return self.dense(self.lstm(self.embedding(words))[1][0][-1])

    network = Network()
    load(network.lstm, kernel, recurrent_kernel, np.stack([bias, np.zeros_like(bias)]))
    network.dense.load_state_dict(
        {"weight": torch.tensor(dense.T.copy()), "bias": torch.tensor(dense_bias)}
    )
    x, y = torch.from_numpy(x_array), torch.from_numpy(y_array)
    optimizer = torch.optim.Adam(network.parameters(), lr=RATE)

    def epoch() -> float:
        total = 0.0
        for rows in torch.randperm(SEQUENCES).split(BATCH):
            optimizer.zero_grad(set_to_none=True)
            loss = torch.nn.functional.cross_entropy(network(x[rows]), y[rows])
            loss.backward()
            optimizer.step()
            total += loss.item() * len(rows)
        return total / SEQUENCES

    @torch.inference_mode()
    def predict(words: Any) -> Any:
        parts = [torch.softmax(network(part), -1) for part in words.split(BATCH)]
        return torch.cat(parts).numpy()

    return {
        "epoch": epoch,
        "predict": functools.partial(predict, x),
        "one sequence": functools.partial(predict, x[:1]),
    }


def make(libraries: compare.Libraries) -> dict[str, Jobs]:
    """The jobs of every library, from the same weights and with the same predictions."""
    x, y = data()
    model, ours = through_fit(libraries.elman.elman, [], x, y)
    weights = [np.array(one) for one in model.get_weights()]
    made = {"elman": ours | {"one sequence": functools.partial(model, x[:1])}}
    for peer in libraries.peers:
        if peer.name == "PyTorch":
            made[peer.name] = by_hand(peer, weights, x, y)
        elif peer.name.startswith("Keras"):
            made[peer.name] = through_fit(peer.keras, weights, x, y)[1]
    expected = np.asarray(made["elman"]["predict"]())
    for name, jobs in made.items():
        difference = float(np.abs(expected - np.asarray(jobs["predict"]())).max())
        if not difference < TOLERANCE:
            sys.exit(f"predictions of elman and {name} differ by {difference:.2g}")
    return made


def run_all(libraries: compare.Libraries, threads: list[int], seconds: float) -> list[report.Line]:
    """One line for each job and number of threads."""
    made = make(libraries)
    plan = [(count, job) for count in threads for job in made["elman"]]
    lines = []
    with tqdm(plan, unit="line", disable=None) as bar:
        for count, job in bar:
            bar.set_postfix_str(f"{job}, {count} threads")
            libraries.set_threads(count)
            load = measure.OtherLoad()
            calls = {name: jobs[job] for name, jobs in made.items()}
            times = measure.interleaved(calls, seconds)
            lines.append({"mode": job, "threads": count, "times": times, "others": load.share()})
    return lines


def table(lines: list[report.Line]) -> str:
    """All lines."""
    names = report.peer_names(lines)
    head = ["job", "threads", "elman ms", *(f"{name} ms (ratio)" for name in names)]
    rows = [
        [line["mode"], str(line["threads"]), report.duration(line["times"]["elman"], 1e3)]
        + [report.against(line, name, 1e3) for name in names]
        for line in lines
    ]
    return report.markdown(head, rows)


def main() -> None:
    """Measure, print, write."""
    parser = argparse.ArgumentParser(
        description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter
    )
    parser.add_argument("--json", type=Path, help="file for the results")
    compare.add_common_options(parser, seconds=15.0)
    given = parser.parse_args()
    environment.restrict(given.isa)
    given.without.append("ONNX Runtime")  # trains nothing
    libraries = compare.Libraries(given)
    about = measure.machine() | {"isa": given.isa}
    about["libraries"] = {one.name: one.version() for one in libraries.all}
    print(report.heading(about), flush=True)
    lines = run_all(libraries, given.threads, given.seconds)
    report.warn_of_others(lines)
    print("ratio: time of the other library / time of elman; above 1 elman is faster\n")
    print(table(lines))
    if given.json:
        result = {"machine": about, "lines": lines}
        given.json.write_text(json.dumps(result, indent=1) + "\n", encoding="utf-8")


if __name__ == "__main__":
    main()
