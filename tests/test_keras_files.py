# SPDX-License-Identifier: Apache-2.0
"""Files that Keras 2 and Keras 3 wrote (tests/data/keras_files.zip) give Keras' outputs."""

from __future__ import annotations

import io
import zipfile
from pathlib import Path

import numpy as np
import pytest

import elman
import keras_file_models as models
from tolerance import assert_close, tolerance

ARCHIVE = Path(__file__).parent / "data" / "keras_files.zip"
WRITERS = ("keras_3", "tf_keras")
with zipfile.ZipFile(ARCHIVE) as stored:
    NAMES = sorted(stored.namelist())
WEIGHTS = [name for name in NAMES if not name.endswith(".npz")]


@pytest.fixture(scope="module")
def files(tmp_path_factory):
    folder = tmp_path_factory.mktemp("keras_files")
    with zipfile.ZipFile(ARCHIVE) as archive:
        archive.extractall(folder)
    return folder


def outputs_of(file):
    stem = file.split(".")[0]
    with zipfile.ZipFile(ARCHIVE) as archive:
        found = np.load(io.BytesIO(archive.read(f"{stem}.outputs.npz")))
        return [found[name] for name in found.files]


def kind_of(file):
    return file.split("/")[1].split(".")[0]


def as_keras_3(model, file):
    """Built by hand the layers have Keras 2's hard_sigmoid; those of Keras 3 mean another."""
    if not file.startswith("keras_3"):
        return model
    text = model.to_json().replace('"hard_sigmoid"', '"hard_sigmoid_v3"')
    return elman.models.model_from_json(text)


def check_outputs(model, file):
    """Predictions as Keras made them, in float32.

    At most 60 products and 5 steps (recurrent: 4 + 7, images: 2 * 3 * 2; the flat inputs of the
    last layers: 90) per layer, up to 6 layers, each of which adds its own error; Keras' own sums
    have errors of the same size.
    """
    outputs = model.predict(models.inputs_of(kind_of(file)), verbose=0)
    outputs = outputs if isinstance(outputs, list) else [outputs]
    expected = outputs_of(file)
    assert len(outputs) == len(expected)
    for output, array in zip(outputs, expected, strict=True):
        scale = float(np.abs(array).max())
        assert_close(output, array, 2 * 6 * tolerance("float32", 90, 5, scale), file)


@pytest.mark.parametrize("file", WEIGHTS)
def test_weights(file, files):
    model = as_keras_3(models.model_of(kind_of(file), elman), file)
    before = model.predict(models.inputs_of(kind_of(file)), verbose=0)
    model.load_weights(files / file)
    check_outputs(model, file)
    after = model.predict(models.inputs_of(kind_of(file)), verbose=0)
    for a, b in zip(before, after, strict=True):
        assert np.abs(a - b).max() > 1e-3  # it was the file that made the difference


@pytest.mark.parametrize("suffix", [".h5", ".hdf5", ".weights.h5"])
@pytest.mark.parametrize("dtype", ["float32", "float64"])
@pytest.mark.parametrize("name", models.INPUTS)
def test_round_trip_of_weights(name, dtype, suffix, tmp_path):
    """Bit for bit, whatever the layers are called."""
    elman.backend.set_floatx(dtype)
    try:
        one, other = models.model_of(name, elman), models.model_of(name, elman)
    finally:
        elman.backend.set_floatx("float32")
    x = models.inputs_of(name)
    rng = np.random.default_rng(5)
    one.set_weights([rng.random(weight.shape) for weight in one.weights])
    one.save_weights(tmp_path / f"w{suffix}")
    other.load_weights(tmp_path / f"w{suffix}")
    for a, b in zip(one.get_weights(), other.get_weights(), strict=True):
        assert a.dtype == b.dtype == dtype
        np.testing.assert_array_equal(a, b)
    for a, b in zip(one.predict(x, verbose=0), other.predict(x, verbose=0), strict=True):
        np.testing.assert_array_equal(a, b)


WHOLE = [name for name in WEIGHTS if name.count(".") == 1]


@pytest.mark.parametrize("file", WHOLE)
def test_whole_models(file, files):
    model = elman.models.load_model(files / file)
    check_outputs(model, file)
    assert (model.optimizer is not None) == file.split("/")[1].startswith("functional")


@pytest.mark.parametrize("suffix", [".h5", ".keras"])
@pytest.mark.parametrize("name", models.INPUTS)
def test_round_trip_of_models(name, suffix, tmp_path):
    model, x = models.model_of(name, elman), models.inputs_of(name)
    model.save(tmp_path / f"m{suffix}")
    other = elman.models.load_model(tmp_path / f"m{suffix}")
    assert other.to_json() == model.to_json()
    for a, b in zip(model.get_weights(), other.get_weights(), strict=True):
        np.testing.assert_array_equal(a, b)
    for a, b in zip(model.predict(x, verbose=0), other.predict(x, verbose=0), strict=True):
        np.testing.assert_array_equal(a, b)
