# SPDX-License-Identifier: Apache-2.0
"""`.keras` archives and whole `.h5` files as untrusted input."""

from __future__ import annotations

import json
import zipfile

import numpy as np
import pytest

import elman
import keras_file_models as models
from elman.models import load_model
from test_keras_files import ARCHIVE
from test_keras_files_errors import make


def archived(tmp_path, compression=zipfile.ZIP_STORED, **replaced):
    """A .keras file with other content in some entries; None leaves one out."""
    path = tmp_path / "m.keras"
    make().save(path)
    with zipfile.ZipFile(path) as archive:
        entries = {name: archive.read(name) for name in archive.namelist()}
    names = {"config": "config.json", "metadata": "metadata.json", "weights": "model.weights.h5"}
    for key, value in replaced.items():
        entries[names.get(key, key)] = value
    with zipfile.ZipFile(path, "w", compression) as archive:
        for name, value in entries.items():
            if value is not None:
                archive.writestr(name, value)
    return path


def config_of(path):
    with zipfile.ZipFile(path) as archive:
        return json.loads(archive.read("config.json"))


@pytest.mark.parametrize(
    ("replaced", "text"),
    [
        ({"config": None}, "expected an entry 'config.json'"),
        ({"metadata": None}, "expected an entry 'metadata.json'"),
        ({"weights": None}, "expected an entry 'model.weights.h5'"),
        ({"config": b"{"}, "damaged: config.json"),
        ({"config": b"[" * 100_000}, "damaged: config.json"),
        ({"config": b"[1]"}, "expected a configuration, got list"),
        ({"config": b'{"class_name": "Sequential"}'}, "Sequential"),
        ({"config": b'{"class_name": "Sequential", "config": {"layers": 5}}'}, "a list of layers"),
        ({"config": b'{"class_name": "Dense", "config": {"units": 2}}'}, "one of a model"),
        ({"config": b'{"class_name": "Nothing", "config": {}}'}, "unknown layer 'Nothing'"),
        ({"weights": b"hello"}, "damaged"),
        ({"weights": bytes(2**25)}, "damaged"),
    ],
)
def test_damaged_archives(replaced, text, tmp_path):
    with pytest.raises(ValueError, match=r"\[") as error:
        load_model(archived(tmp_path, **replaced))
    assert text in str(error.value)


def test_bombs(tmp_path):
    """Compressed entries that grow out of all proportion are refused before they do."""
    for entry in ("config", "weights"):
        path = archived(tmp_path, zipfile.ZIP_DEFLATED, **{entry: bytes(2**27)})
        assert path.stat().st_size < 2**20
        with pytest.raises(ValueError, match=f"{entry}.*expected .*got 134217728 bytes out of"):
            load_model(path)
    honest = archived(tmp_path, zipfile.ZIP_DEFLATED)
    load_model(honest)


def test_a_model_that_is_larger_than_its_file(tmp_path):
    """No memory is taken for weights that the file cannot hold."""
    path = archived(tmp_path)
    config = config_of(path)
    config["config"]["layers"][1]["config"]["units"] = 10_000
    with pytest.raises(ValueError, match="a weight that fits the file, which has fewer bytes"):
        load_model(archived(tmp_path, config=json.dumps(config).encode()))


@pytest.mark.parametrize("suffix", [".h5", ".keras"])
def test_loading_draws_no_start_values(suffix, tmp_path, monkeypatch):
    """An orthogonal start of a large layer takes longer than reading its values."""
    make().save(tmp_path / f"m{suffix}")
    monkeypatch.setattr(elman.initializers.Orthogonal, "__call__", None)
    load_model(tmp_path / f"m{suffix}")


def test_names_in_archives_are_no_paths(tmp_path):
    path = archived(tmp_path, **{"../outside.txt": b"x", "/etc/x": b"x", "assets/a": b"x"})
    load_model(path)
    assert not (tmp_path.parent / "outside.txt").exists()


def test_stored_code_is_not_run(tmp_path):
    """Lambda layers of Keras hold code: it is refused, whatever it would do."""
    path = archived(tmp_path)
    for function in (
        {"class_name": "__lambda__", "config": {"code": "4wAAAA==", "defaults": None}},
        ["4wAAAA==\n", None, None],
        {"module": "os", "class_name": "function", "config": "system"},
        "system",
    ):
        config = config_of(path)
        entry = {"class_name": "Lambda", "config": {"name": "x", "function": function}}
        config["config"]["layers"].append(entry)
        with pytest.raises(ValueError, match=r"function: expected a (known )?function"):
            load_model(archived(tmp_path, config=json.dumps(config).encode()))


def test_deep_configurations(tmp_path):
    config = {"class_name": "Dense", "config": {"units": 2}}
    for _ in range(300):
        config = {"class_name": "TimeDistributed", "config": {"layer": config}}
    whole = {"class_name": "Sequential", "config": {"layers": [config]}}
    with pytest.raises(ValueError, match="nested a few levels deep"):
        load_model(archived(tmp_path, config=json.dumps(whole).encode()))


# -- random damage --------------------------------------------------------------------------------


@pytest.mark.parametrize(
    "file",
    [
        "keras_3/wrapped.keras",
        "tf_keras/functional.h5",
        "keras_3/nested.weights.h5",
        "tf_keras/cudnn.only.h5",
    ],
)
def test_random_damage(file, tmp_path):
    """Bytes changed or cut off: a ValueError, or weights that are still complete."""
    with zipfile.ZipFile(ARCHIVE) as archive:
        whole = archive.read(file)
    name = file.split("/")[1]
    path = tmp_path / name
    model = models.model_of(name.split(".")[0], elman)
    before, refusals = model.get_weights(), 0
    for seed in range(60):
        rng = np.random.default_rng(seed)
        data = bytearray(whole[: rng.integers(len(whole))] if seed % 3 == 0 else whole)
        for place in rng.integers(len(data), size=0 if seed % 3 == 0 else 1 + seed):
            data[place] = rng.integers(256)
        path.write_bytes(data)
        try:
            model.load_weights(path)
            model.set_weights(before)
        except ValueError:
            refusals += 1
            for now, old in zip(model.get_weights(), before, strict=True):
                np.testing.assert_array_equal(now, old)
        if name.count(".") == 1:
            try:
                load_model(path, compile=False)
            except ValueError:
                refusals += 1
    assert refusals > 20
