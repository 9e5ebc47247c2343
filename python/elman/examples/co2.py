# SPDX-License-Identifier: Apache-2.0
"""Carbon dioxide in the air, forecast a year ahead: a GRU that beats the seasonal-naive forecast.

The data are the weekly means of Mauna Loa, 1958 to 2001 (ppm), that statsmodels ships. From the
two years before it, the network forecasts the 52 weeks after each week. The last five years are
held out: neither weights nor scales have seen them. 59 weeks were never measured. They stay gaps:
such a step is masked in the input, and such a target does not count.

    python -m elman.examples.co2

The error (root mean square over all horizons) is at most half of that of the seasonal-naive
forecast, "as in the same week a year before", and lower than with drift on top, "plus what the
last year has added". Otherwise the exit code is 1.
"""

from __future__ import annotations

import argparse
import sys
from collections.abc import Sequence
from pathlib import Path
from typing import Any, NamedTuple

import numpy as np

import elman
from elman import backend as K  # noqa: N812 - the name that Keras programs use
from elman.examples._common import (
    OTHER,
    OURS,
    TRUTH,
    Promises,
    options,
    positive,
    pyplot,
    require,
    save_picture,
)

MARGIN = 0.50  # promised: so much less error than the seasonal-naive forecast
HORIZON = 52  # weeks that are forecast
WINDOW = 104  # weeks that a forecast sees
HELD_OUT = np.datetime64("1997-01-01")  # data from here on are for the test alone


class Series(NamedTuple):
    """Weekly values in ppm, NaN where nothing was measured, and their dates."""

    values: np.ndarray
    dates: np.ndarray


def load_series() -> Series:
    """The series of statsmodels."""
    table = require("statsmodels.datasets.co2", "statsmodels").load().data["co2"]
    return Series(table.to_numpy("float64"), table.index.to_numpy("datetime64[D]"))


class Windows(NamedTuple):
    """What is known at each origin week, and what comes after it."""

    x: np.ndarray  # [N, WINDOW, 3]: ppm relative to the origin, sine and cosine of the season
    y: np.ndarray  # [N, HORIZON]: ppm relative to the origin
    level: np.ndarray  # [N, 1]: ppm at the origin
    origins: np.ndarray  # [N]: index of the last known week


def make_windows(series: Series, first: int, last: int) -> Windows:
    """Windows for all measured origins from `first` to `last`, both included."""
    origins = np.arange(first, last + 1)
    origins = origins[np.isfinite(series.values[origins])]
    past = origins[:, None] + np.arange(1 - WINDOW, 1)
    future = origins[:, None] + np.arange(1, HORIZON + 1)
    level = series.values[origins, None]
    days = series.dates - series.dates.astype("datetime64[Y]")
    season = days.astype("int64") * (2 * np.pi / 365.25)
    x = np.stack([series.values[past] - level, np.sin(season[past]), np.cos(season[past])], axis=-1)
    return Windows(x, series.values[future] - level, level, origins)


def split(series: Series) -> tuple[Windows, Windows]:
    """Windows to learn from, whose targets end before HELD_OUT, and those of the test."""
    cut = int(np.searchsorted(series.dates, HELD_OUT))
    train = make_windows(series, WINDOW - 1, cut - 1 - HORIZON)
    test = make_windows(series, cut - 1, len(series.values) - 1 - HORIZON)
    return train, test


class Scale(NamedTuple):
    """ppm <-> numbers of size one, measured on the training windows alone."""

    mean: float
    deviation: float

    @classmethod
    def of(cls, values: np.ndarray) -> Scale:
        """The scale of an array with gaps."""
        return cls(float(np.nanmean(values)), float(np.nanstd(values)))

    def down(self, values: np.ndarray) -> np.ndarray:
        """From ppm."""
        return ((values - self.mean) / self.deviation).astype("float32")

    def up(self, values: np.ndarray) -> np.ndarray:
        """To ppm."""
        return values * self.deviation + self.mean


class SkipGaps(elman.layers.Layer):
    """Masks the steps with a NaN, so that recurrent layers after it step over them."""

    def call(self, inputs: Any) -> Any:
        """The inputs with zeros for NaN, which a masked step does not read."""
        return K.where(K.equal(inputs, inputs), inputs, K.zeros_like(inputs))

    def compute_mask(self, inputs: Any, mask: Any = None) -> Any:
        """True for steps without NaN."""
        return K.all(K.equal(inputs, inputs), axis=-1)


def measured_mse(truth: Any, forecast: Any) -> Any:
    """Mean squared error in which targets that are NaN count nothing."""
    error = K.where(K.equal(truth, truth), truth - forecast, K.zeros_like(forecast))
    return K.mean(K.square(error), axis=-1)


def make_model(units: int, steps: int) -> elman.Sequential:
    """GRU -> Dense with one output per horizon, to be trained for that many steps."""
    model = elman.Sequential([
        SkipGaps(input_shape=(WINDOW, 3)),
        elman.layers.GRU(units),
        elman.layers.Dense(HORIZON),
    ])  # fmt: skip
    rate = elman.optimizers.schedules.CosineDecay(1e-2, steps)
    model.compile(elman.optimizers.Adam(rate), loss=measured_mse)
    return model


def naive_forecasts(series: Series, windows: Windows) -> tuple[np.ndarray, np.ndarray]:
    """The same week a year before; and that plus the growth over the year before the origin."""
    year = 52
    future = windows.origins[:, None] + np.arange(1, HORIZON + 1)
    seasonal = series.values[future - year]
    growth = windows.level - series.values[windows.origins - year, None]
    return seasonal, seasonal + growth


def rms(error: np.ndarray, axis: int | None = None) -> Any:
    """Root mean square, without gaps."""
    return np.sqrt(np.nanmean(np.square(error), axis=axis))


def plot(series: Series, test: Windows, forecasts: dict[str, np.ndarray], path: Path) -> Path:
    """The truth with a forecast for each year, and the error by horizon."""
    plt = pyplot()
    figure, (top, bottom) = plt.subplots(2, 1, figsize=(11, 8), height_ratios=(3, 2))
    shown = slice(int(test.origins[0]) - 52, None)
    top.plot(series.dates[shown], series.values[shown], color=TRUTH, label="measured")
    colours = dict(zip(forecasts, (OURS, OTHER, "#7a9a3a"), strict=True))
    for row in range(0, len(test.origins), HORIZON):
        dates = series.dates[test.origins[row] + 1 + np.arange(HORIZON)]
        for name in list(forecasts)[:2]:
            label = f"{name}, made at the dotted lines" if row == 0 else None
            top.plot(dates, forecasts[name][row], color=colours[name], label=label, linewidth=1.6)
        top.axvline(series.dates[test.origins[row]], color="grey", linestyle=":", linewidth=1)
    top.set(ylabel="CO2 (ppm)", title="Mauna Loa, weekly: the held-out years, forecast once a year")
    top.legend(loc="upper left")
    truth = test.y + test.level
    horizons = np.arange(1, HORIZON + 1)
    for name, forecast in forecasts.items():
        error = rms(forecast - truth, axis=0)
        bottom.plot(horizons, error, color=colours[name], label=name)
    title = f"Error by horizon over {len(truth)} forecasts, one from each held-out week"
    bottom.set(xlabel="weeks ahead", ylabel="root mean square error (ppm)", title=title)
    bottom.set(xlim=(1, HORIZON), ylim=(0, None))
    bottom.legend()
    return save_picture(plt, figure, path)


def parse(argv: Sequence[str] | None) -> argparse.Namespace:
    """The options of the command line."""
    parser = options("Forecast atmospheric CO2 with a GRU.", "elman-co2")
    parser.add_argument("--epochs", type=positive, default=20, help="passes over the windows")
    parser.add_argument("--units", type=positive, default=32, help="units of the GRU")
    return parser.parse_args(argv)


def main(argv: Sequence[str] | None = None) -> int:
    """Train, forecast, compare, draw; returns the exit code."""
    given = parse(argv)
    series = load_series()
    if not given.no_plot:
        require("matplotlib", "matplotlib")  # now, not after the training
    train, test = split(series)
    of_x, of_y = Scale.of(train.x[..., 0]), Scale.of(train.y)
    for windows in (train, test):
        windows.x[..., 0] = of_x.down(windows.x[..., 0])

    elman.utils.set_random_seed(given.seed)
    batch = 64
    model = make_model(given.units, given.epochs * -(-len(train.x) // batch))
    model.summary()
    gaps = int(np.isnan(series.values).sum())
    print(f"{len(series.values)} weeks, {gaps} of them gaps; {len(train.x)} windows to learn from")
    x = train.x.astype("float32")
    model.fit(x, of_y.down(train.y), batch, given.epochs, verbose=given.verbose)
    forecast = of_y.up(model.predict(test.x.astype("float32"), verbose=0)) + test.level

    seasonal, drift = naive_forecasts(series, test)
    forecasts = {"GRU": forecast, "seasonal naive": seasonal, "seasonal naive with drift": drift}
    errors = {name: rms(value - test.y - test.level) for name, value in forecasts.items()}
    print(
        f"\nRoot mean square error of {len(test.x)} forecasts of {HORIZON} weeks, held-out years:"
    )
    for name, error in errors.items():
        print(f"  {error:5.2f} ppm  {name}")
    promises = Promises()
    ours, naive, best = errors.values()
    less = f"{1 - ours / naive:.0%} less error than seasonal naive (promised: {MARGIN:.0%})"
    promises.check(ours <= (1 - MARGIN) * naive, less)
    promises.check(ours < best, f"{1 - ours / best:.0%} less error than seasonal naive with drift")
    if not given.no_plot:
        given.output_dir.mkdir(parents=True, exist_ok=True)
        picture = plot(series, test, forecasts, given.output_dir / "co2.png")
        print(f"  picture: {picture}")
    return promises.exit_code


if __name__ == "__main__":
    sys.exit(main())
