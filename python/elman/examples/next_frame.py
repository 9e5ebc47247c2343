# SPDX-License-Identifier: Apache-2.0
"""Moving digits: a ConvLSTM2D that predicts the next frame from the frames before it.

Two of scikit-learn's handwritten digits (8 x 8 pixels) fly diagonally through a frame of 16 x 16
pixels, pass through each other and bounce off its edges. After each frame the network predicts the
one that follows: it has to find out what the digits are, where each of them goes, and when it meets
an edge. The images of the test are held out of training.

    python -m elman.examples.next_frame

The squared error of the frame after the seventh is at most a third of that of repeating the
seventh, else the exit code is 1. The picture shows input, truth and prediction side by side.
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
SIZE = 16  # rows and columns of a frame
GIVEN = 7  # frames before the one that is judged
BATCH = 16


class Movies(NamedTuple):
    """Frames [N, GIVEN, SIZE, SIZE, 1] in [0, 1], and for each of them the one that follows."""

    x: np.ndarray
    y: np.ndarray


def bounce(start: np.ndarray, speed: np.ndarray, steps: int, room: int) -> np.ndarray:
    """Places in [0, room] at each step, for objects that are reflected at both ends.

    Shapes: start and speed [...] whole numbers -> [..., steps].
    """
    free = start[..., None] + speed[..., None] * np.arange(steps)
    folded = np.mod(free, 2 * room)
    return np.minimum(folded, 2 * room - folded)


def make_movies(images: np.ndarray, count: int, rng: np.random.Generator) -> Movies:
    """Sequences of two random images [8, 8] each, with random places and directions."""
    width, steps = images.shape[-1], GIVEN + 1
    start = rng.integers(0, SIZE - width + 1, (count, 2, 2))
    places = bounce(start, rng.choice([-1, 1], start.shape), steps, SIZE - width)
    chosen = images[rng.integers(0, len(images), (count, 2))]
    frames = np.zeros((count, steps, SIZE, SIZE, 1), "float32")
    for n, digit, t in np.ndindex(count, 2, steps):
        row, column = places[n, digit, :, t]
        part = frames[n, t, row : row + width, column : column + width, 0]
        np.maximum(part, chosen[n, digit], out=part)
    return Movies(frames[:, :-1], frames[:, 1:])


def load_movies(seed: int, count: int, held_out: int) -> tuple[Movies, Movies]:
    """Sequences to learn from and for the test; no image is in both."""
    images = (require("sklearn.datasets", "scikit-learn").load_digits().images / 16).astype(
        "float32"
    )
    rng = np.random.default_rng(seed)
    cut = len(images) * 4 // 5
    return make_movies(images[:cut], count, rng), make_movies(images[cut:], held_out, rng)


def make_model(filters: int, steps: int) -> elman.Sequential:
    """ConvLSTM2D -> a convolution of each frame, to be trained for that many steps (batches)."""
    model = elman.Sequential([
        elman.layers.ConvLSTM2D(
            filters, 5, padding="same", recurrent_activation="sigmoid", return_sequences=True,
            input_shape=(GIVEN, SIZE, SIZE, 1),
        ),
        elman.layers.Conv3D(1, (1, 3, 3), padding="same", activation="sigmoid"),
    ])  # fmt: skip
    rate = elman.optimizers.schedules.CosineDecay(1e-2, steps)
    model.compile(elman.optimizers.Adam(rate), loss="binary_crossentropy")
    return model


def plot(movies: Movies, prediction: np.ndarray, path: Path) -> Path:
    """For some sequences the last frames, the truth, the prediction, and both errors."""
    plt, rows, shown = pyplot(), 5, 4
    titles = [f"frame {GIVEN - shown + 1 + k}" for k in range(shown)]
    titles += [f"truth: frame {GIVEN + 1}", "prediction", "its error", "error of the last frame"]
    figure, grid = plt.subplots(rows, len(titles), figsize=(1.75 * len(titles), 1.85 * rows))
    for n, line in enumerate(grid):
        truth, found, last = movies.y[n, -1], prediction[n, -1], movies.x[n, -1]
        pictures = [*movies.x[n, -shown:], truth, found]
        for axes, picture in zip(line, pictures, strict=False):
            axes.imshow(picture, cmap="gray", vmin=0, vmax=1)
        for axes, error in zip(line[-2:], (found - truth, last - truth), strict=True):
            axes.imshow(error, cmap="RdBu_r", vmin=-1, vmax=1)
        for axes, title in zip(line, titles, strict=True):
            axes.set(xticks=[], yticks=[])
            axes.grid(False)
            for spine in axes.spines.values():
                spine.set_visible(True)
            colour = {"prediction": OURS, "error of the last frame": OTHER}.get(title, "black")
            if n == 0:
                axes.set_title(title, fontsize=10, color=colour)
    figure.suptitle("Held-out images: which frame comes next? Errors from -1 (blue) to 1 (red)")
    return save_picture(plt, figure, path)


def parse(argv: Sequence[str] | None) -> argparse.Namespace:
    """The options of the command line."""
    parser = options("Predict the next frame of moving digits.", "elman-next-frame")
    parser.add_argument("--epochs", type=positive, default=12, help="passes over the sequences")
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
    print(f"{len(train.x)} sequences to learn from, {len(test.x)} of held-out images")
    begin = time.perf_counter()
    model.fit(train.x, train.y, BATCH, given.epochs, verbose=given.verbose)
    seconds = time.perf_counter() - begin
    prediction = np.asarray(model.predict(test.x, verbose=0))

    truth = test.y[:, -1]
    ours = float(np.mean(np.square(prediction[:, -1] - truth)))
    last = float(np.mean(np.square(test.x[:, -1] - truth)))
    print(f"\nTrained in {seconds:.1f} s with {elman.get_num_threads()} threads.")
    print(f"Mean squared error of a pixel in frame {GIVEN + 1}, held-out images:")
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
