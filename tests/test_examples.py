# SPDX-License-Identifier: Apache-2.0
"""The example programs: small runs, what they write, and what they do when something is wrong."""

import datetime
import importlib.util
import itertools
import json
import os
import random
import subprocess
import sys
from pathlib import Path

import numpy as np
import pytest

import elman
from elman import saving
from elman.examples import _common, co2, dates, digits

HAS_STATSMODELS = importlib.util.find_spec("statsmodels") is not None
HAS_MATPLOTLIB = importlib.util.find_spec("matplotlib") is not None
PNG = b"\x89PNG\r\n\x1a\n"


@pytest.fixture
def ramp():
    """A made-up series: growth, a yearly cycle, and two gaps."""
    weeks = np.arange(24 * 52)
    dates = np.datetime64("1980-01-05") + 7 * weeks
    values = 340 + weeks / 40 + 3 * np.sin(weeks * (2 * np.pi * 7 / 365.25))
    values[[130, 300]] = np.nan
    return co2.Series(values, dates)


def test_digits_are_split_by_class():
    data = digits.load_data(seed=0)
    assert data.train_x.shape == (1437, 8, 8)
    assert data.test_x.shape == (360, 8, 8)
    assert data.train_x.dtype == np.float32
    assert 0 <= data.train_x.min() < data.train_x.max() == 1
    counts = np.bincount(data.test_y)
    assert counts.min() >= 35
    assert counts.max() <= 37
    rows = {row.tobytes() for row in data.train_x}
    assert sum(row.tobytes() in rows for row in data.test_x) == 0, "an image is in both parts"


@pytest.mark.skipif(not HAS_MATPLOTLIB, reason="matplotlib is not installed")
def test_the_bars_of_the_dates_start_at_zero():
    data = dates.make_data(64, 0)
    written = ["2000-01-01", *data.answers[1:]]
    plt = _common.pyplot()
    figure, axes = plt.subplots()
    dates._by_form(axes, dates.Result(data, written, np.zeros((64, 10, 1))))
    wrong = [bar.get_width() for bar in axes.patches]
    assert (axes.get_xlim()[0], axes.get_legend()) == (0, None)
    assert [bar.get_x() for bar in axes.patches] == [0] * len(dates.FORMS)
    assert (len(wrong), sorted(wrong)[-2:]) == (16, [0, 25])
    plt.close(figure)


def test_pixel_noise_is_for_training_only():
    layer, x = digits.PixelNoise(0.5), np.zeros((2, 8, 8), "float32")
    assert not np.asarray(layer(x)).any()
    noisy = np.asarray(layer(x, training=True))
    assert 0.3 < noisy.std() < 0.7


def test_the_digits_example_keeps_its_promises(tmp_path, capsys):
    """The whole program with fewer epochs: still above 97 %, and all files are there."""
    elman.backend.clear_session()
    arguments = ["--epochs", "20", "--verbose", "0", "--output-dir", str(tmp_path)]
    code = digits.main(arguments if HAS_MATPLOTLIB else [*arguments, "--no-plot"])
    text = capsys.readouterr().out
    assert code == 0, text
    assert "bit by bit" in text
    assert "lstm (LSTM)" in text
    assert str(tmp_path / "digits.safetensors") in text
    assert (tmp_path / "digits.safetensors").stat().st_size > 4 * 41_290
    if HAS_MATPLOTLIB:
        assert (tmp_path / "digits.png").read_bytes().startswith(PNG)


def test_digits_reports_a_broken_promise(tmp_path, capsys):
    """One epoch with two units learns next to nothing."""
    small = ["--epochs", "1", "--units", "2", "--verbose", "0", "--no-plot"]
    assert digits.main([*small, "--output-dir", str(tmp_path)]) == 1
    lines = [line for line in capsys.readouterr().out.splitlines() if "promised" in line]
    assert len(lines) == 1
    assert lines[0].startswith("  NOT")
    assert not list(tmp_path.glob("*.png"))


def test_digits_reports_weights_that_do_not_come_back(tmp_path, capsys, monkeypatch):
    monkeypatch.setattr(saving, "load_weights", lambda *_: None)
    small = ["--epochs", "1", "--verbose", "0", "--no-plot", "--output-dir", str(tmp_path)]
    assert digits.main(small) == 1
    assert "NOT a new model" in capsys.readouterr().out


def test_windows_show_the_past_and_ask_for_the_future(ramp):
    origins = np.array([110, 129, 131, 140])
    windows = co2.make_windows(ramp, 110, 140)
    assert 130 not in windows.origins, "a gap has no level to forecast from"
    for origin in origins:
        row = int(np.flatnonzero(windows.origins == origin)[0])
        level = ramp.values[origin]
        known = ramp.values[origin + 1 - co2.WINDOW : origin + 1]
        wanted = ramp.values[origin + 1 : origin + 1 + co2.HORIZON]
        assert windows.level[row] == level
        np.testing.assert_array_equal(windows.x[row, :, 0], known - level)
        np.testing.assert_array_equal(windows.y[row], wanted - level)
        season = np.hypot(windows.x[row, :, 1], windows.x[row, :, 2])
        np.testing.assert_allclose(season, 1)


def test_nothing_of_the_held_out_years_is_trained_on(ramp):
    cut = int(np.searchsorted(ramp.dates, co2.HELD_OUT))
    train, test = co2.split(ramp)
    assert ramp.dates[train.origins.max() + co2.HORIZON] < co2.HELD_OUT
    assert ramp.dates[test.origins.min() + 1] >= co2.HELD_OUT
    changed = ramp.values.copy()
    changed[cut:] += 1000
    again, _ = co2.split(co2.Series(changed, ramp.dates))
    np.testing.assert_array_equal(train.x, again.x)
    np.testing.assert_array_equal(train.y, again.y)


def test_the_naive_forecasts(ramp):
    _, test = co2.split(ramp)
    seasonal, drift = co2.naive_forecasts(ramp, test)
    truth = test.y + test.level
    # 52 weeks are 1.25 days short of a year, in which the cycle changes by up to 0.065; the drift
    # adds such an error of its own.
    assert np.abs(truth - seasonal - 52 / 40).max() < 0.07
    assert np.abs(truth - drift).max() < 0.14


def test_gaps_are_masked_and_do_not_count():
    x = np.ones((2, 4, 3), "float32")
    x[0, 1, 0] = x[1, 3, 2] = np.nan
    layer = co2.SkipGaps()
    expected = [[True, False, True, True], [True, True, True, False]]
    np.testing.assert_array_equal(np.asarray(layer.compute_mask(elman.Tensor(x))), expected)
    np.testing.assert_array_equal(np.asarray(layer(x)), np.nan_to_num(x))
    truth = np.array([[1.0, np.nan], [2.0, 5.0]], "float32")
    forecast = np.array([[4.0, 7.0], [2.0, 3.0]], "float32")
    losses = co2.measured_mse(elman.Tensor(truth), elman.Tensor(forecast))
    np.testing.assert_array_equal(np.asarray(losses), [4.5, 2.0])


@pytest.mark.skipif(not HAS_STATSMODELS, reason="needs statsmodels")
def test_the_co2_example_keeps_its_promises(tmp_path, capsys):
    arguments = ["--epochs", "4", "--units", "16", "--verbose", "0", "--output-dir", str(tmp_path)]
    code = co2.main(arguments if HAS_MATPLOTLIB else [*arguments, "--no-plot"])
    text = capsys.readouterr().out
    assert code == 0, text
    assert "59 of them gaps" in text
    if HAS_MATPLOTLIB:
        assert (tmp_path / "co2.png").read_bytes().startswith(PNG)


def test_every_text_means_its_date():
    """Each form of each date is another text, and what is written is what is meant."""
    data = dates.make_data(3000, seed=3)
    assert len(set(data.texts)) == 3000
    assert {data.forms.count(name) for name in dates.FORMS} == {187, 188}
    assert max(map(len, data.texts)) < 32
    day = datetime.date(1998, 5, 3)
    for name, form in dates.FORMS.items():
        # the names are the forms of this day, but for the name of its weekday
        assert form(day).replace("Sunday", "Tuesday").replace("Sun", "Tue") == name
    assert dates.FORMS["May 3rd, 98"](datetime.date(2011, 12, 11)) == "December 11th, 11"
    x = dates.encode(data.texts)
    back = ["".join(dates.CHARACTERS[i - 1] for i in row if i) for row in x]
    assert back == data.texts
    assert dates.spelled(dates.targets(data.answers)) == data.answers
    seen = dates.shifted(dates.targets(["1998-05-03"]))
    assert dates.spelled(seen) == ["<1998-05-0"]


def test_typing_errors_are_in_words():
    rng = random.Random(1)
    texts = {dates.mistyped("3 May 1998", rng) for _ in range(100)}
    wrong = {"My", "ay", "MMay", "Maay", "aMy", "Mya", "May"}
    assert {text.split()[1] for text in texts} <= wrong
    assert len(texts) == 6
    for text in ("3.5.98", "19980503", "3.IV.1998"):
        assert dates.mistyped(text, rng) == text


def test_the_dates_example_keeps_its_promises(tmp_path, capsys):
    arguments = ["--epochs", "4", "--dates", "8000", "--verbose", "0"]
    arguments += ["--output-dir", str(tmp_path)]
    code = dates.main(arguments if HAS_MATPLOTLIB else [*arguments, "--no-plot"])
    text = capsys.readouterr().out
    assert code == 0, text
    assert "Connected to" in text
    assert "writes the same dates" in text
    assert (tmp_path / "dates.safetensors").is_file()
    if HAS_MATPLOTLIB:
        assert (tmp_path / "dates.png").read_bytes().startswith(PNG)


def test_dates_reports_a_broken_promise(tmp_path, capsys):
    small = ["--epochs", "1", "--units", "2", "--dates", "500", "--verbose", "0", "--no-plot"]
    assert dates.main([*small, "--output-dir", str(tmp_path)]) == 1
    text = capsys.readouterr().out
    assert "NOT" in text
    assert "  wrong: " in text


def test_the_decoder_writes_what_training_teaches():
    """Step by step with a state of its own, or at once with the right answer so far: equal."""
    models = dates.make_models(8, 10)
    data = dates.make_data(20, seed=2)
    x = dates.encode(data.texts)
    ids, attention = dates.write(models, x)
    given = models.training.predict([x, dates.shifted(ids)], verbose=0)
    np.testing.assert_array_equal(given.argmax(-1), ids)
    assert attention.shape == (20, dates.LENGTH, x.shape[1])
    np.testing.assert_allclose(attention.sum(-1), 1, rtol=1e-5)


def test_a_missing_package_names_the_command_that_helps():
    with pytest.raises(SystemExit) as stop:
        _common.require("a_package_that_is_not_there.part", "nothing")
    assert "pip install 'elman[examples]'" in str(stop.value)


@pytest.mark.parametrize("arguments", [["--epochs", "0"], ["--units", "-1"], ["--verbose", "5"]])
def test_bad_arguments_are_refused(arguments, capsys):
    with pytest.raises(SystemExit) as stop:
        digits.main(arguments)
    assert stop.value.code == 2
    assert arguments[0] in capsys.readouterr().err


def test_the_benchmark_runs(tmp_path):
    script = Path(__file__).parents[1] / "bench" / "python" / "compare.py"
    arguments = ["--workloads", "2,3,5,7", "--seconds", "0.01", "--cells", "SimpleRNN", "GRU"]
    arguments += ["--threads", "1", "--keras-backend", "none"]
    alone = ["--without", "PyTorch", "ONNX Runtime", "--json", str(tmp_path / "result.json")]
    path = str(Path(elman.__file__).parents[1])
    done = subprocess.run(
        [sys.executable, script, *arguments, *alone],
        env={**os.environ, "PYTHONPATH": path},
        capture_output=True,
        text=True,
        timeout=120,
        check=False,
    )
    assert done.returncode == 0, done.stderr
    result = json.loads((tmp_path / "result.json").read_text(encoding="utf-8"))
    found = {(line["cell"], line["mode"]) for line in result["lines"]}
    modes = ("inference", "training", "streaming")
    assert found == set(itertools.product(("SimpleRNN", "GRU"), modes))
    assert all(line["times"]["elman"]["median"] > 0 for line in result["lines"])
    assert "| SimpleRNN | 2, 3, 5, 7 | inference | 1 " in done.stdout


def test_the_benchmark_of_layers_runs(tmp_path):
    script = Path(__file__).parents[1] / "bench" / "python" / "layers.py"
    arguments = ["--only", "MaxPooling1D", "--seconds", "0.01", "--threads", "1"]
    arguments += ["--without", "PyTorch", "--json", str(tmp_path / "result.json")]
    done = subprocess.run(
        [sys.executable, script, *arguments],
        env={**os.environ, "PYTHONPATH": str(Path(elman.__file__).parents[1])},
        capture_output=True,
        text=True,
        timeout=120,
        check=False,
    )
    assert done.returncode == 0, done.stderr
    result = json.loads((tmp_path / "result.json").read_text(encoding="utf-8"))
    assert [line["mode"] for line in result["lines"]] == ["forward", "training"]
    assert "| MaxPooling1D 32x128x64, 2, valid, stride 2 | forward " in done.stdout
