# SPDX-License-Identifier: Apache-2.0
"""Times a whole model: Embedding -> LSTM -> Dense on token sequences, against PyTorch.

    python bench/python/epoch.py --threads 1 2

An epoch of training (Adam, shuffled), `predict` over the same data, and one call on a single
sequence. PyTorch, if it is installed, is used as one writes it by hand: no data loader, no metrics
but the loss. elman goes through `fit` and `predict`.
"""

from __future__ import annotations

import argparse
import functools
from collections.abc import Callable
from typing import Any

import contestants
import measure
import numpy as np

import elman

SEQUENCES, STEPS, BATCH = 1024, 100, 64
WORDS, WIDTH, UNITS, CLASSES = 1000, 64, 128, 10
RATE = 1e-6  # small, so that every epoch does the same work on the same numbers

Calls = dict[str, Callable[[], Any]]


def data() -> tuple[np.ndarray, np.ndarray]:
    """Random words and classes."""
    rng = np.random.default_rng(0)
    words = rng.integers(0, WORDS, (SEQUENCES, STEPS))
    return words, rng.integers(0, CLASSES, SEQUENCES)


def of_elman(x: np.ndarray, y: np.ndarray) -> Calls:
    """The three jobs with this library."""
    model = elman.Sequential([
        elman.layers.Embedding(WORDS, WIDTH, input_length=STEPS),
        elman.layers.LSTM(UNITS),
        elman.layers.Dense(CLASSES, activation="softmax"),
    ])  # fmt: skip
    model.compile(elman.optimizers.Adam(RATE), "sparse_categorical_crossentropy")
    return {
        "epoch": functools.partial(model.fit, x, y, BATCH, 1, verbose=0),
        "predict": functools.partial(model.predict, x, BATCH, verbose=0),
        "one sequence": functools.partial(model, x[:1]),
    }


def of_torch(torch: Any, x_array: np.ndarray, y_array: np.ndarray) -> Calls:
    """The three jobs with PyTorch."""

    class Network(torch.nn.Module):
        def __init__(self) -> None:
            super().__init__()
            self.embedding = torch.nn.Embedding(WORDS, WIDTH)
            self.lstm = torch.nn.LSTM(WIDTH, UNITS, batch_first=True)
            self.dense = torch.nn.Linear(UNITS, CLASSES)

        def forward(self, words: Any) -> Any:
            return self.dense(self.lstm(self.embedding(words))[1][0][-1])

    network = Network()
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


def main() -> None:
    """Measure and print."""
    parser = argparse.ArgumentParser(
        description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter
    )
    parser.add_argument("--threads", nargs="+", type=int, default=[1])
    parser.add_argument("--seconds", type=float, default=15.0, help="for one line of the table")
    given = parser.parse_args()
    about, x_y = measure.machine(), data()
    jobs = {"elman": of_elman(*x_y)}
    libraries = [contestants.Elman()]
    for peer in contestants.peers():
        if peer.name == "PyTorch":
            jobs[peer.name] = of_torch(peer.torch, *x_y)
            libraries.append(peer)
    print(f"{about['processor']}, {about['processors']} processors, {about['date']}")
    print(", ".join(f"{lib.name} {lib.version()}" for lib in libraries), "\n")
    print("| job | threads | elman ms | PyTorch ms (ratio) |\n| --- | --- | --- | --- |")
    load = measure.OtherLoad()
    for threads in given.threads:
        for lib in libraries:
            lib.set_threads(threads)
        for job in jobs["elman"]:
            calls = {name: own[job] for name, own in jobs.items()}
            times = measure.interleaved(calls, given.seconds)
            ours, theirs = times["elman"], times.get("PyTorch")
            other = "" if theirs is None else (
                f"{theirs['median'] * 1e3:.2f} ({theirs['median'] / ours['median']:.2f})"
            )  # fmt: skip
            text = f"{ours['median'] * 1e3:.2f} ±{ours['spread'] / 2:.0%}"
            print(f"| {job} | {threads} | {text} | {other} |", flush=True)
    if (load.share() or 0.0) > 0.1:
        print(f"WARNING: other processes used {load.share():.1f} processors; repeat when idle")


if __name__ == "__main__":
    main()
