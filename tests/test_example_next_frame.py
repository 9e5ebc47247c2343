# SPDX-License-Identifier: Apache-2.0
"""The moving-digits example: what it is made of, a small run, and a broken promise."""

from __future__ import annotations

import importlib.util

import numpy as np

from elman.examples import next_frame

HAS_MATPLOTLIB = importlib.util.find_spec("matplotlib") is not None
PNG = b"\x89PNG\r\n\x1a\n"


def test_places_are_reflected_at_both_ends():
    places = next_frame.bounce(np.array([1, 9]), np.array([3, -4]), 6, 10)
    np.testing.assert_array_equal(places, [[1, 4, 7, 10, 7, 4], [9, 5, 1, 3, 7, 9]])
    rng = np.random.default_rng(0)
    many = next_frame.bounce(rng.integers(0, 13, 500), rng.choice([-1, 1], 500), 30, 12)
    assert (many.min(), many.max()) == (0, 12)
    assert (np.abs(np.diff(many)) == 1).all()


def test_movies_show_both_digits_moving():
    images = np.zeros((2, 8, 8), "float32")
    images[0, 0, 0], images[1, 7, 7] = 0.5, 1.0
    movies = next_frame.make_movies(images, 50, np.random.default_rng(1))
    size = next_frame.SIZE
    assert movies.x.shape == movies.y.shape == (50, next_frame.GIVEN, size, size, 1)
    np.testing.assert_array_equal(movies.x[:, 1:], movies.y[:, :-1])
    assert movies.x.dtype == movies.y.dtype == np.float32
    frames = np.concatenate([movies.x, movies.y[:, -1:]], axis=1)
    assert set(np.unique(frames)) == {0.0, 0.5, 1.0}
    lit = (frames > 0).sum(axis=(2, 3, 4))
    assert ((lit == 1) | (lit == 2)).all()
    assert (lit == 2).mean() > 0.9  # else they hide each other
    moved = (frames[:, 1:] != frames[:, :-1]).any(axis=(2, 3, 4))
    assert moved.mean() > 0.9  # else two pixels change places


def test_no_image_is_in_both_parts():
    train, test = next_frame.load_movies(0, 40, 30)
    assert (len(train.x), len(test.x)) == (40, 30)
    again, _ = next_frame.load_movies(0, 40, 30)
    np.testing.assert_array_equal(train.x, again.x)
    assert 0 <= train.x.min() < train.x.max() == 1


def test_the_example_runs_and_reports_what_it_finds(tmp_path, capsys):
    """Few sequences and one epoch: the promise is broken, the picture is there."""
    small = ["--epochs", "1", "--filters", "2", "--sequences", "32", "--verbose", "0"]
    small += ["--output-dir", str(tmp_path)]
    assert next_frame.main(small if HAS_MATPLOTLIB else [*small, "--no-plot"]) == 1
    text = capsys.readouterr().out
    assert "(ConvLSTM2D)" in text
    assert "  NOT" in text
    assert "32 sequences to learn from, 200 of held-out images" in text
    if HAS_MATPLOTLIB:
        assert (tmp_path / "next_frame.png").read_bytes().startswith(PNG)


def test_the_example_learns(tmp_path, capsys):
    """A fifth of the training already beats the last frame repeated."""
    small = ["--epochs", "3", "--filters", "8", "--sequences", "400", "--verbose", "0"]
    next_frame.main([*small, "--no-plot", "--output-dir", str(tmp_path)])
    lines = capsys.readouterr().out.splitlines()
    ours, last = (float(line.split()[0]) for line in lines if line.startswith("  0."))
    assert ours < 0.75 * last
