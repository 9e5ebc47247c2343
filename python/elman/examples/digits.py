# SPDX-License-Identifier: Apache-2.0
"""Handwritten digits, read row by row: an LSTM that gets at least 97 % of them right.

The data are the 1,797 images of 8 x 8 pixels that scikit-learn ships. Each one is a sequence of
8 rows with 8 pixels. A fifth, with the same share of every digit, is held out of training.

    python -m elman.examples.digits

writes learning curves and confusion matrix as a picture, saves the weights, loads them into a new
model and checks that it predicts the same bits. The exit code is 1 if a promise is not kept.
"""

from __future__ import annotations

import argparse
import sys
import time
from collections.abc import Sequence
from pathlib import Path
from typing import Any, NamedTuple

import numpy as np

import elman
from elman import backend as K  # noqa: N812 - the name that Keras programs use
from elman.examples._common import (
    OTHER,
    OURS,
    Promises,
    options,
    positive,
    pyplot,
    require,
    save_picture,
)

ACCURACY = 0.97  # promised on the held-out images
BATCH = 64


class Data(NamedTuple):
    """Images as float32 [N, 8, 8] in [0, 1], and the digits 0 to 9 that they show."""

    train_x: np.ndarray
    train_y: np.ndarray
    test_x: np.ndarray
    test_y: np.ndarray


def load_data(seed: int) -> Data:
    """The images of scikit-learn, with a stratified fifth held out."""
    digits = require("sklearn.datasets", "scikit-learn").load_digits()
    split = require("sklearn.model_selection", "scikit-learn").train_test_split
    images = (digits.images / 16).astype("float32")
    train_x, test_x, train_y, test_y = split(
        images, digits.target, test_size=0.2, stratify=digits.target, random_state=seed
    )
    return Data(train_x, train_y, test_x, test_y)


class PixelNoise(elman.layers.Layer):
    """Adds normal noise in training, so that the network cannot learn single images by heart."""

    def __init__(self, stddev: float, **kwargs: Any) -> None:
        super().__init__(**kwargs)
        self.stddev = stddev

    def call(self, x: Any, training: bool = False) -> Any:
        """x, in training with noise."""
        return x + K.random_normal(x.shape, stddev=self.stddev) if training else x


def make_model(units: int, steps: int) -> elman.Sequential:
    """LSTM -> Dense, to be trained for that many steps (batches)."""
    model = elman.Sequential([
        PixelNoise(0.2, input_shape=(8, 8)),
        elman.layers.LSTM(units),
        elman.layers.Dropout(0.3),
        elman.layers.Dense(10, activation="softmax"),
    ])  # fmt: skip
    rate = elman.optimizers.schedules.CosineDecay(1e-2, steps)
    model.compile(
        optimizer=elman.optimizers.Adam(rate),
        loss="sparse_categorical_crossentropy",
        metrics=["accuracy"],
    )
    return model


def plot(history: dict[str, list[float]], truth: Any, found: Any, path: Path) -> Path:
    """Learning curves and confusion matrix as one picture."""
    plt = pyplot()
    figure, (loss, accuracy, matrix) = plt.subplots(1, 3, figsize=(14, 4.3))
    epochs = np.arange(1, len(history["loss"]) + 1)
    for axes, name in ((loss, "loss"), (accuracy, "accuracy")):
        axes.plot(epochs, history[name], color=OTHER, label="training (with noise and dropout)")
        axes.plot(epochs, history[f"val_{name}"], color=OURS, label="held out")
        axes.set(xlabel="epoch", title=name.capitalize())
    loss.set_yscale("log")
    loss.set_ylabel("cross-entropy (nats, log scale)")
    loss.legend()
    accuracy.set_ylabel("share of right answers")
    accuracy.axhline(ACCURACY, color="grey", linestyle=":", label=f"promised: {ACCURACY:.0%}")
    accuracy.set_ylim(min(0.8, *history["val_accuracy"][-1:]), 1.003)
    accuracy.legend(loc="lower right")
    counts = np.zeros((10, 10), int)
    np.add.at(counts, (truth, found), 1)
    matrix.imshow(np.sqrt(counts), cmap="Blues")  # the root, so that single errors show
    for (row, column), count in np.ndenumerate(counts):
        if count:
            colour = "white" if row == column else "firebrick"
            matrix.text(column, row, count, ha="center", va="center", color=colour, fontsize=9)
    wrong = int((truth != found).sum())
    title = f"Held out: {wrong} of {len(truth)} wrong"
    matrix.set(xlabel="predicted digit", ylabel="true digit", title=title)
    matrix.set(xticks=range(10), yticks=range(10))
    matrix.grid(False)
    return save_picture(plt, figure, path)


def parse(argv: Sequence[str] | None) -> argparse.Namespace:
    """The options of the command line."""
    parser = options("Train an LSTM on handwritten digits.", "elman-digits")
    parser.add_argument("--epochs", type=positive, default=30, help="passes over the images")
    parser.add_argument("--units", type=positive, default=96, help="units of the LSTM")
    return parser.parse_args(argv)


def main(argv: Sequence[str] | None = None) -> int:
    """Train, draw, save, load, compare; returns the exit code."""
    given = parse(argv)
    data = load_data(given.seed)
    if not given.no_plot:
        require("matplotlib", "matplotlib")  # now, not after the training
    elman.utils.set_random_seed(given.seed)
    steps = given.epochs * -(-len(data.train_x) // BATCH)
    model = make_model(given.units, steps)
    model.summary()
    print(f"{len(data.train_x)} images to learn from, {len(data.test_x)} held out")
    begin = time.perf_counter()
    record = model.fit(
        data.train_x,
        data.train_y,
        batch_size=BATCH,
        epochs=given.epochs,
        validation_data=(data.test_x, data.test_y),
        verbose=given.verbose,
    )
    seconds = time.perf_counter() - begin

    probabilities = model.predict(data.test_x, verbose=0)
    found = probabilities.argmax(axis=1)
    accuracy = float(np.mean(found == data.test_y))

    given.output_dir.mkdir(parents=True, exist_ok=True)
    weights = given.output_dir / "digits.safetensors"
    model.save_weights(weights)
    other = make_model(given.units, steps)  # new, with other random weights
    other.load_weights(weights)
    same = np.array_equal(probabilities, other.predict(data.test_x, verbose=0))

    print(f"\nTrained in {seconds:.1f} s with {elman.get_num_threads()} threads.")
    promises = Promises()
    right = f"{accuracy:.2%} of the held-out digits are right (promised: {ACCURACY:.0%})"
    promises.check(accuracy >= ACCURACY, right)
    promises.check(same, "a new model with the saved weights predicts the same, bit by bit")
    print(f"  weights: {weights}")
    if not given.no_plot:
        picture = plot(record.history, data.test_y, found, given.output_dir / "digits.png")
        print(f"  picture: {picture}")
    return promises.exit_code


if __name__ == "__main__":
    sys.exit(main())
