# SPDX-License-Identifier: Apache-2.0
"""Moving digits: a ConvLSTM2D that predicts the next frame from the frames before it.

Two of scikit-learn's handwritten digits (8 x 8 pixels) fly through a frame of 20 x 20 pixels, pass
through each other and bounce off its edges. From 7 frames the network predicts the 8th; what it
has to find out is where each digit goes, and which way when it meets an edge. The digits of the
test are drawn by hands that the network has not seen.

    python -m elman.examples.next_frame

The squared error on the held-out sequences is at most a third of that of repeating the last frame,
else the exit code is 1. The picture shows input, truth and prediction side by side.
"""

from __future__ import annotations

import argparse
import sys
import time
from collections.abc import Sequence
from pathlib import Path
from typing import NamedTuple

import numpy as np

import elman
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

MARGIN = 2 / 3  # promised: so much less squared error than the last frame repeated
SIZE = 20  # rows and columns of a frame
GIVEN = 7  # frames that a prediction sees
BATCH = 16


class Movies(NamedTuple):
    """Frames as float32 [N, GIVEN, SIZE, SIZE, 1] in [0, 1], and the one after them."""

    x: np.ndarray
    y: np.ndarray


def bounce(start: np.ndarray, speed: np.ndarray, steps: int, room: int) -> np.ndarray:
    """Whole places in [0, room] at each step, for an object that is reflected at both ends.

    Shapes: start and speed [...] -> [..., steps].
    """
    free = start[..., None] + speed[..., None] * np.arange(steps)
    folded = np.mod(free, 2 * room)
    return np.rint(np.minimum(folded, 2 * room - folded)).astype(int)


def make_movies(images: np.ndarray, count: int, rng: np.random.Generator) -> Movies:
    """Sequences of two random images [8, 8] each, with random places and velocities."""
    room, steps, width = SIZE - images.shape[-1], GIVEN + 1, images.shape[-1]
    start = rng.uniform(0, room, (count, 2, 2))
    speed = rng.uniform(1.0, 3.0, start.shape) * rng.choice([-1.0, 1.0], start.shape)
    places = bounce(start, speed, steps, room)
    chosen = images[rng.integers(0, len(images), (count, 2))]
    frames = np.zeros((count, steps, SIZE, SIZE, 1), "float32")
    for n, digit, t in np.ndindex(count, 2, steps):
        row, column = places[n, digit, :, t]
        part = frames[n, t, row : row + width, column : column + width, 0]
        np.maximum(part, chosen[n, digit], out=part)
    return Movies(frames[:, :GIVEN], frames[:, GIVEN])


def load_movies(seed: int, count: int, held_out: int) -> tuple[Movies, Movies]:
    """Sequences to learn from and for the test; no image is in both."""
    images = (require("sklearn.datasets", "scikit-learn").load_digits().images / 16).astype("f4")
    rng = np.random.default_rng(seed)
    cut = len(images) * 4 // 5
    return make_movies(images[:cut], count, rng), make_movies(images[cut:], held_out, rng)


def make_model(filters: int, steps: int) -> elman.Sequential:
    """ConvLSTM2D -> Conv2D with one value per pixel, to be trained for that many steps."""
    model = elman.Sequential([
        elman.layers.ConvLSTM2D(
            filters, 5, padding="same", recurrent_activation="sigmoid",
            input_shape=(GIVEN, SIZE, SIZE, 1),
        ),
        elman.layers.Conv2D(1, 3, padding="same", activation="sigmoid"),
    ])  # fmt: skip
    rate = elman.optimizers.schedules.CosineDecay(5e-3, steps)
    model.compile(elman.optimizers.Adam(rate), loss="binary_crossentropy")
    return model


def plot(movies: Movies, prediction: np.ndarray, path: Path, rows: int = 5) -> Path:
    """For some sequences the last frames, the truth, the prediction, and both errors."""
    plt = pyplot()
    shown = 4
    titles = [f"frame {GIVEN - shown + 1 + k}" for k in range(shown)]
    titles += [f"truth: frame {GIVEN + 1}", "prediction", "its error", "error of the last frame"]
    figure, grid = plt.subplots(rows, len(titles), figsize=(1.75 * len(titles), 1.85 * rows))
    for n, line in enumerate(grid):
        truth, found, last = movies.y[n, ..., 0], prediction[n, ..., 0], movies.x[n, -1, ..., 0]
        pictures = [*movies.x[n, -shown:, ..., 0], truth, found]
        for axes, picture in zip(line, pictures, strict=False):
            axes.imshow(picture, cmap="gray", vmin=0, vmax=1)
        for axes, error in zip(line[-2:], (found - truth, last - truth), strict=True):
            axes.imshow(error, cmap="RdBu", vmin=-1, vmax=1)
        for axes, title in zip(line, titles, strict=True):
            axes.set(xticks=[], yticks=[])
            axes.grid(False)
            for spine in axes.spines.values():
                spine.set_visible(True)
            colour = {"prediction": OURS, "error of the last frame": OTHER}.get(title, "black")
            if n == 0:
                axes.set_title(title, fontsize=10, color=colour)
    figure.suptitle("Held-out sequences: which frame comes next?")
    return save_picture(plt, figure, path)


def parse(argv: Sequence[str] | None) -> argparse.Namespace:
    """The options of the command line."""
    parser = options("Predict the next frame of moving digits.", "elman-next-frame")
    parser.add_argument("--epochs", type=positive, default=8, help="passes over the sequences")
    parser.add_argument("--filters", type=positive, default=16, help="filters of the ConvLSTM2D")
    parser.add_argument("--sequences", type=positive, default=1000, help="to learn from")
    return parser.parse_args(argv)


def main(argv: Sequence[str] | None = None) -> int:
    """Train, predict, compare, draw; returns the exit code."""
    given = parse(argv)
    if not given.no_plot:
        require("matplotlib", "matplotlib")  # now, not after the training
    train, test = load_movies(given.seed, given.sequences, 200)
    elman.utils.set_random_seed(given.seed)
    model = make_model(given.filters, given.epochs * -(-given.sequences // BATCH))
    model.summary()
    print(f"{len(train.x)} sequences to learn from, {len(test.x)} of unseen digits held out")
    begin = time.perf_counter()
    model.fit(train.x, train.y, BATCH, given.epochs, verbose=given.verbose)
    seconds = time.perf_counter() - begin
    prediction = np.asarray(model.predict(test.x, verbose=0))

    ours = float(np.mean(np.square(prediction - test.y)))
    last = float(np.mean(np.square(test.x[:, -1] - test.y)))
    print(f"\nTrained in {seconds:.1f} s with {elman.get_num_threads()} threads.")
    print("Mean squared error of a pixel on the held-out sequences:")
    print(f"  {ours:.4f}  ConvLSTM2D\n  {last:.4f}  the last frame repeated")
    promises = Promises()
    less = f"{1 - ours / last:.0%} less error than the last frame (promised: {MARGIN:.0%})"
    promises.check(ours <= (1 - MARGIN) * last, less)
    if not given.no_plot:
        given.output_dir.mkdir(parents=True, exist_ok=True)
        print(f"  picture: {plot(test, prediction, given.output_dir / 'next_frame.png')}")
    return promises.exit_code


if __name__ == "__main__":
    sys.exit(main())
