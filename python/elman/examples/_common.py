# SPDX-License-Identifier: Apache-2.0
"""What the examples share: options, data packages, promises, pictures."""

from __future__ import annotations

import argparse
import importlib
import sys
import warnings
from pathlib import Path
from typing import Any

# One colour, one meaning, in all pictures: what elman gives, what it is compared with.
OURS, OTHER, TRUTH = "#0b62a4", "#d9822b", "#333333"


def require(module: str, package: str) -> Any:
    """Import a module of an optional package, or leave with the command that installs it."""
    try:
        with warnings.catch_warnings():
            # What these packages say about each other's versions is no concern of the example.
            warnings.simplefilter("ignore")
            return importlib.import_module(module)
    except ModuleNotFoundError as error:
        if error.name is None or not module.startswith(error.name):
            raise
        sys.exit(f"This example needs {package}: pip install 'elman[examples]'")


def options(description: str, folder: str) -> argparse.ArgumentParser:
    """The options that every example has."""
    parser = argparse.ArgumentParser(
        description=description, formatter_class=argparse.ArgumentDefaultsHelpFormatter
    )
    parser.add_argument("--output-dir", type=Path, default=Path(folder), help="where files go")
    parser.add_argument("--seed", type=int, default=0, help="of weights, noise and order")
    parser.add_argument("--no-plot", action="store_true", help="draw no picture")
    parser.add_argument(
        "--verbose", type=int, choices=(0, 1, 2), default=1, help="0 quiet, 1 bar, 2 line per epoch"
    )
    return parser


def positive(text: str) -> int:
    """An argument that has to be a whole number above zero."""
    value = int(text)
    if value < 1:
        raise argparse.ArgumentTypeError(f"expected at least 1, got {value}")
    return value


class Promises:
    """What an example says it can do; `exit_code` is 1 if one of them was not kept."""

    def __init__(self) -> None:
        self._broken = 0

    def check(self, kept: bool, text: str) -> None:
        """Print whether a promise was kept."""
        print(f"  {'ok ' if kept else 'NOT'} {text}")
        self._broken += not kept

    @property
    def exit_code(self) -> int:
        """0 when all promises were kept."""
        return int(self._broken > 0)


def pyplot() -> Any:
    """matplotlib.pyplot, drawing into files, with the style of the examples."""
    require("matplotlib", "matplotlib").use("Agg")
    plt = require("matplotlib.pyplot", "matplotlib")
    plt.rcParams.update({
        "axes.grid": True,
        "axes.spines.right": False,
        "axes.spines.top": False,
        "figure.constrained_layout.use": True,
        "font.size": 11,
        "grid.alpha": 0.3,
        "legend.frameon": False,
    })  # fmt: skip
    return plt


def save_picture(plt: Any, figure: Any, path: Path) -> Path:
    """Write a figure as PNG and forget it."""
    figure.savefig(path, dpi=110)
    plt.close(figure)
    return path
