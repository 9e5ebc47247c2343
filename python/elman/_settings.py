# SPDX-License-Identifier: Apache-2.0
"""Settings of the package: floatx, epsilon and the image data format.

Start values come from ``~/.elman/elman.json`` if it exists, else from ``~/.keras/keras.json``
(the directory from KERAS_HOME if set). Neither file is ever written.
"""

from __future__ import annotations

import json
import math
import os
import warnings
from pathlib import Path
from typing import Any

from elman._errors import fail_text, is_one_of

FLOATS = ("float32", "float64")
DATA_FORMATS = ("channels_last", "channels_first")


def check_floatx(value: object, where: str = "backend.set_floatx", what: str = "value") -> str:
    """A float type that the core computes in, or ValueError."""
    if not is_one_of(value, FLOATS):
        raise ValueError(fail_text(where, what, "'float32' or 'float64'", repr(value)))
    return str(value)


def check_data_format(
    value: object, where: str = "backend.set_image_data_format", what: str = "data_format"
) -> str:
    """'channels_last' or 'channels_first', or ValueError."""
    if not is_one_of(value, DATA_FORMATS):
        expected = "'channels_last' or 'channels_first'"
        raise ValueError(fail_text(where, what, expected, repr(value)))
    return str(value)


def check_epsilon(value: object, where: str = "backend.set_epsilon") -> float:
    """A positive number, or ValueError."""
    ok = isinstance(value, (int, float)) and not isinstance(value, bool)
    if not ok or not math.isfinite(value) or value <= 0:  # type: ignore[operator]
        raise ValueError(fail_text(where, "value", "a positive number", repr(value)))
    return float(value)  # type: ignore[arg-type]


def _file() -> Path:
    own = Path("~/.elman/elman.json").expanduser()
    if own.is_file():
        return own
    return Path(os.environ.get("KERAS_HOME") or "~/.keras").expanduser() / "keras.json"


def _read() -> dict[str, Any]:
    """The settings file; absent or unparsable is an empty configuration, as in Keras."""
    try:
        content = json.loads(_file().read_text(encoding="utf-8"))
    except (OSError, ValueError):
        return {}
    return content if isinstance(content, dict) else {}


def _start_value(file: dict[str, Any], key: str, default: Any, check: Any) -> Any:
    try:
        return check(file.get(key, default), str(_file()), key)
    except ValueError as error:
        warnings.warn(f"{error}; using {default!r}", stacklevel=2)
        return default


def _start_values() -> dict[str, Any]:
    file = _read()
    return {
        "floatx": _start_value(file, "floatx", "float32", check_floatx),
        "epsilon": _start_value(file, "epsilon", 1e-7, lambda v, where, _: check_epsilon(v, where)),
        "image_data_format": _start_value(
            file, "image_data_format", "channels_last", check_data_format
        ),
    }


_values = _start_values()


def floatx() -> str:
    """The float type of layers made without ``dtype=``."""
    return _values["floatx"]


def set_floatx(value: str) -> None:
    """Change the float type of layers made afterwards: 'float32' or 'float64'."""
    _values["floatx"] = check_floatx(value)


def epsilon() -> float:
    """The small number that keeps divisions and logarithms finite (1e-7)."""
    return _values["epsilon"]


def set_epsilon(value: float) -> None:
    """Change `epsilon`."""
    _values["epsilon"] = check_epsilon(value)


def image_data_format() -> str:
    """The data format of two- and three-dimensional layers made without ``data_format=``."""
    return _values["image_data_format"]


def set_image_data_format(data_format: str) -> None:
    """Change `image_data_format` for layers made afterwards."""
    _values["image_data_format"] = check_data_format(data_format)
