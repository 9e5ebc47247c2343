# SPDX-License-Identifier: Apache-2.0
"""Settings files, automatic names, and what importing elman loads."""

from __future__ import annotations

import json

import pytest

import elman
from elman._names import snake_case

K = elman.backend
READ = "import elman; K = elman.backend; print(K.floatx(), K.epsilon(), K.image_data_format())"


def write(path, **settings):
    path.parent.mkdir(parents=True, exist_ok=True)
    path.write_text(json.dumps(settings))


def settings_in(python, home, **environment):
    done = python(READ, HOME=str(home), **environment)
    assert done.returncode == 0, done.stderr
    return done.stdout.split()


def test_no_file(python, tmp_path):
    environment = {"KERAS_HOME": ""}
    assert settings_in(python, tmp_path, **environment) == ["float32", "1e-07", "channels_last"]
    assert list(tmp_path.iterdir()) == [], "nothing is written"


def test_files_in_order(python, tmp_path):
    none = {"KERAS_HOME": ""}
    write(tmp_path / ".keras" / "keras.json", floatx="float64", image_data_format="channels_first")
    assert settings_in(python, tmp_path, **none) == ["float64", "1e-07", "channels_first"]
    write(tmp_path / "other" / "keras.json", epsilon=1e-5)
    other = {"KERAS_HOME": str(tmp_path / "other")}
    assert settings_in(python, tmp_path, **other) == ["float32", "1e-05", "channels_last"]
    write(tmp_path / ".elman" / "elman.json", floatx="float64")
    assert settings_in(python, tmp_path, **other) == ["float64", "1e-07", "channels_last"]


def test_broken_files(python, tmp_path):
    path = tmp_path / ".keras" / "keras.json"
    write(path)
    none = {"KERAS_HOME": ""}
    for text in ("{", "[]", "3", ""):
        path.write_text(text)
        assert settings_in(python, tmp_path, **none) == ["float32", "1e-07", "channels_last"]
    write(path, floatx="float16")
    code = f"import warnings; warnings.simplefilter('default'); {READ}"
    done = python(code, HOME=str(tmp_path), **none)
    assert done.stdout.split() == ["float32", "1e-07", "channels_last"]
    assert "floatx: expected 'float32' or 'float64', got 'float16'; using 'float32'" in done.stderr


@pytest.mark.parametrize(
    ("setter", "bad", "text"),
    [
        (K.set_floatx, "float16", "expected 'float32' or 'float64', got 'float16'"),
        (K.set_epsilon, -1, "expected a positive number, got -1"),
        (K.set_epsilon, float("nan"), "expected a positive number, got nan"),
        (K.set_image_data_format, "first", "expected 'channels_last' or 'channels_first'"),
    ],
)
def test_bad_values(setter, bad, text):
    before = (K.floatx(), K.epsilon(), K.image_data_format())
    with pytest.raises(ValueError, match=text):
        setter(bad)
    assert (K.floatx(), K.epsilon(), K.image_data_format()) == before


@pytest.mark.parametrize(
    ("name", "snake"),
    [
        ("LSTM", "lstm"),
        ("SimpleRNN", "simple_rnn"),
        ("ConvLSTM2D", "conv_lstm2d"),
        ("MaxPooling1D", "max_pooling1d"),
        ("CuDNNGRU", "cu_dnngru"),
        ("CuDNNLSTM", "cu_dnnlstm"),
        ("StackedRNNCells", "stacked_rnn_cells"),
        ("Sequential", "sequential"),
        ("MinimalRNNCell", "minimal_rnn_cell"),
        ("_Private", "private"),
    ],
)
def test_snake_case(name, snake):
    assert snake_case(name) == snake


def test_importing_elman_loads_little(python):
    code = """
import sys, numpy
before = set(sys.modules)
import elman
extra = {name.split(".")[0] for name in set(sys.modules) - before}
own = sorted(name for name in sys.modules if name.startswith("elman."))
print(len(own), sorted(extra & {"tqdm", "scipy", "matplotlib", "h5py", "onnx", "sklearn"}))
assert not [n for n in own if n.startswith(("elman.layers", "elman.models", "elman.optimizers"))]
elman.layers.LSTM, elman.Sequential, elman.GradientTape, elman.Input
"""
    done = python(code)
    assert done.returncode == 0, done.stderr
    count, extra = done.stdout.split(maxsplit=1)
    assert int(count) <= 5
    assert extra.strip() == "[]"


def test_names_of_the_package():
    assert set(elman.__all__) <= set(dir(elman))
    for name in elman.__all__:
        assert getattr(elman, name) is not None
    with pytest.raises(AttributeError, match="has no attribute 'nope'"):
        elman.nope  # noqa: B018
    assert elman.__version__
