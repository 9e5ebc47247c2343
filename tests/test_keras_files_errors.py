# SPDX-License-Identifier: Apache-2.0
"""Keras files as untrusted input: damaged, hostile, or of another model; nothing changes then."""

from __future__ import annotations

import sys

import h5py
import numpy as np
import pytest

import elman
from elman import layers
from elman.models import load_model


def make(units=4):
    return elman.Sequential(
        [
            elman.Input((5, 3)),
            layers.LSTM(units, return_sequences=True),
            layers.Dropout(0.5),
            layers.Dense(2),
        ]
    )


def refused(model, path, *texts, **options):
    """ValueError with the texts, and no weight has changed."""
    before = model.get_weights()
    with pytest.raises(ValueError, match=r"\[Model.load_weights\]") as error:
        model.load_weights(path, **options)
    assert str(path) in str(error.value)
    for text in texts:  # not found in the name of the folder, which is that of the test
        assert text in str(error.value).replace(str(path), "")
    for now, old in zip(model.get_weights(), before, strict=True):
        np.testing.assert_array_equal(now, old)


def changed(tmp_path, suffix, change):
    """A file of weights in which `change(h5 file)` has changed something."""
    path = tmp_path / f"w{suffix}"
    make().save_weights(path)
    with h5py.File(path, "a") as file:
        change(file)
    return path


def bias_of(file, suffix):
    if suffix == ".weights.h5":
        return "layers/dense/vars/1"
    names = [name.decode() for name in file.attrs["layer_names"]]
    group = file[names[-1]]
    return f"{names[-1]}/{group.attrs['weight_names'][1].decode()}"


BOTH = pytest.mark.parametrize("suffix", [".h5", ".weights.h5"])


# -- of another model -----------------------------------------------------------------------------


def test_another_model(tmp_path):
    for suffix in (".h5", ".weights.h5"):
        make().save_weights(tmp_path / f"w{suffix}")
        refused(make(5), tmp_path / f"w{suffix}", "expected shape (3, 20), got (3, 16)")
    small = elman.Sequential([elman.Input((5, 3)), layers.LSTM(4)])
    refused(
        small, tmp_path / "w.h5", "expected 1 layers with weights (lstm", "got 2 (lstm", "dense"
    )
    refused(small, tmp_path / "w.weights.h5", "left over in the file: 'layers/dense/vars/0'")
    three = elman.Sequential(
        [elman.Input((5, 3)), layers.LSTM(4), layers.Dense(2), layers.Dense(2)]
    )
    refused(three, tmp_path / "w.h5", "expected 3 layers with weights")
    refused(three, tmp_path / "w.weights.h5", "missing from the file: 'layers/dense_1/vars/0'")
    plain = elman.Sequential([elman.Input((5, 3)), layers.LSTM(4, use_bias=False), layers.Dense(2)])
    refused(plain, tmp_path / "w.h5", "expected 2 arrays", "kernel (3, 16)", "got 3")
    refused(plain, tmp_path / "w.weights.h5", "left over in the file: 'layers/lstm/cell/vars/2'")


@BOTH
def test_arrays_that_nobody_asked_for(suffix, tmp_path):
    path = changed(tmp_path, suffix, lambda f: f.create_dataset("layers/more/vars/0", data=[1.0]))
    refused(make(), path, "left over in the file", "layers/more/vars/0")


def test_what_is_not_a_weight_is_left_alone(tmp_path):
    """State of optimizers, metrics and random numbers."""

    def more(file):
        for place in ("optimizer/vars/0", "metrics/mean/vars/0"):
            file[place] = np.zeros(3)
        file["layers/dropout/seed_generator/vars/0"] = np.zeros(2, "uint32")

    make().load_weights(changed(tmp_path, ".weights.h5", more))


# -- links and storage ----------------------------------------------------------------------------


@BOTH
@pytest.mark.parametrize("kind", ["soft", "external", "whole group"])
def test_links(suffix, kind, tmp_path):
    secret = tmp_path / "secret.h5"
    with h5py.File(secret, "w") as file:
        file["x"] = np.full(2, 7.0, "float32")

    def link(file):
        place = bias_of(file, suffix)
        if kind == "whole group":
            group = "layers" if suffix == ".weights.h5" else place.split("/")[0]
            file.move(group, "elsewhere")
            file[group] = h5py.SoftLink("/elsewhere")
            return
        del file[place]
        file[place] = (
            h5py.ExternalLink(str(secret), "x")
            if kind == "external"
            else (h5py.SoftLink("/somewhere"))
        )

    refused(make(), changed(tmp_path, suffix, link), "expected a part of this file, got a link")


@BOTH
@pytest.mark.parametrize("kind", ["external", "virtual"])
def test_data_of_other_files(suffix, kind, tmp_path):
    (tmp_path / "secret.bin").write_bytes(np.full(2, 7.0, "float32").tobytes())

    def elsewhere(file):
        place = bias_of(file, suffix)
        del file[place]
        if kind == "external":
            external = [(str(tmp_path / "secret.bin"), 0, 8)]
            file.create_dataset(place, (2,), "float32", external=external)
        else:
            layout = h5py.VirtualLayout((2,), "float32")
            layout[:] = h5py.VirtualSource(str(tmp_path / "secret.h5"), "x", (2,))
            file.create_virtual_dataset(place, layout)

    refused(make(), changed(tmp_path, suffix, elsewhere), "expected data in this file")


@BOTH
def test_compressed_data(suffix, tmp_path):
    """Keras writes none, and a few bytes of it can stand for more than the memory holds."""

    def packed(file):
        place = bias_of(file, suffix)
        del file[place]
        file.create_dataset(place, data=np.zeros(2, "float32"), compression="gzip")

    refused(make(), changed(tmp_path, suffix, packed), "compressed data", "h5repack -f NONE")


@BOTH
@pytest.mark.parametrize("chunks", [(2**20,), None])
def test_enormous_arrays(suffix, chunks, tmp_path):
    """The sizes are looked at before anything is read."""

    def enormous(file):
        place = bias_of(file, suffix)
        del file[place]
        if chunks:
            file.create_dataset(place, (2,), "float32", chunks=chunks, maxshape=(None,))
        else:
            file.create_dataset(place, (2**42,), "float32", chunks=(16,))

    text = "a chunk of the file" if chunks else "expected shape (2,), got (4398046511104,)"
    refused(make(), changed(tmp_path, suffix, enormous), text)


@BOTH
def test_groups_in_a_circle(suffix, tmp_path):
    """A group may be a part of itself; each is entered once, and nothing is left over."""

    def circle(file):
        group = file[bias_of(file, suffix).split("/")[0]]
        group["again"] = group
        group["root"] = file["/"]

    make().load_weights(changed(tmp_path, suffix, circle))


@BOTH
@pytest.mark.parametrize("value", [["a", "b"], [1, 2], [1j, 2j], [(1, 2.0)], None])
def test_arrays_that_are_no_floats(suffix, value, tmp_path):
    def wrong(file):
        place = bias_of(file, suffix)
        del file[place]
        if value is None:
            file.create_group(place)
        elif isinstance(value[0], tuple):
            file[place] = np.array(value, [("r", "f4"), ("i", "f4")])
        else:
            file[place] = value

    refused(make(), changed(tmp_path, suffix, wrong), "dense")


# -- attributes -----------------------------------------------------------------------------------


@pytest.mark.parametrize(
    ("value", "text"),
    [
        (3, "expected text, got int64"),
        ([1.5, 2.5], "expected text, got float64"),
        (["lstm", "no such layer", "x"], "there is no such group"),
        (["dense"] * 2, "expected different names"),
        ([b"\xff\xfe"], "damaged"),
        ([], "got 0"),
        (h5py.Empty("S4"), "got 0"),
    ],
)
def test_layer_names(value, text, tmp_path):
    def wrong(file):
        names = [name.decode() for name in file.attrs["layer_names"]]
        given = value
        if isinstance(value, list) and value and isinstance(value[0], str):
            given = [names[0] if v == "lstm" else names[-1] if v == "dense" else v for v in value]
        file.attrs["layer_names"] = given

    refused(make(), changed(tmp_path, ".h5", wrong), text)


@pytest.mark.parametrize("value", [2, [b"a", b"b"], 2.5])
def test_keras_version(value, tmp_path):
    def wrong(file):
        file.attrs["keras_version"] = value

    refused(make(), changed(tmp_path, ".h5", wrong), "attribute 'keras_version'")


def test_a_long_text_that_many_names_share(tmp_path):
    """Names of variable length may all point at one text: 4000 times 10 MB is no list of names."""
    path = tmp_path / "w.h5"
    with h5py.File(path, "w") as file:
        file.attrs.create("layer_names", ["x" * 2**20] * 40, dtype=h5py.string_dtype())
        file.attrs["keras_version"] = b"2.0.0"
    with open(path, "ab") as file:
        file.truncate(2**26)  # as large as a file that makes it worthwhile
    refused(make(), path, "layer_names", "expected text, got 40 of up to 67108864 bytes")


# -- files ----------------------------------------------------------------------------------------


def test_files_of_something_else(tmp_path):
    with h5py.File(tmp_path / "w.h5", "w") as file:
        file["x"] = [1.0]
    refused(make(), tmp_path / "w.h5", "an HDF5 file of other content")
    (tmp_path / "empty.h5").write_bytes(b"")
    (tmp_path / "text.h5").write_bytes(b"hello")
    (tmp_path / "text.keras").write_bytes(b"hello")
    for name in ("empty.h5", "text.h5", "text.keras"):
        refused(make(), tmp_path / name, "damaged")
    for call in (make().load_weights, load_model):
        with pytest.raises(FileNotFoundError):
            call(tmp_path / "none.h5")
        with pytest.raises(TypeError, match="filepath: expected a path, got int"):
            call(3)


def test_weights_alone_are_no_model(tmp_path):
    for suffix in (".h5", ".weights.h5"):
        make().save_weights(tmp_path / f"w{suffix}")
        with pytest.raises(ValueError, match=r"weights alone; make the model and call its load_w"):
            load_model(tmp_path / f"w{suffix}")
    with pytest.raises(ValueError, match="is a name for save_weights"):
        make().save(tmp_path / "m.weights.h5")
    with pytest.raises(ValueError, match=r"a name that ends in .keras, .h5 or .hdf5"):
        make().save(tmp_path / "m.npz")
    with pytest.raises(ValueError, match="not built"):
        elman.Sequential([layers.Dense(2)]).save(tmp_path / "m.keras")
    make().save(tmp_path / "m.keras")
    with pytest.raises(FileExistsError):
        make().save(tmp_path / "m.keras", overwrite=False)


def test_without_h5py(tmp_path, monkeypatch):
    make().save_weights(tmp_path / "w.h5")
    monkeypatch.setitem(sys.modules, "h5py", None)
    for call in (make().load_weights, make().save_weights, make().save):
        with pytest.raises(ImportError, match=r'pip install "elman\[h5py\]"'):
            call(tmp_path / "w.h5")


def test_a_failed_save_leaves_the_old_file(tmp_path, monkeypatch):
    path = tmp_path / "m.keras"
    make().save(path)
    before = path.read_bytes()
    model = elman.Sequential([elman.Input((3,)), layers.Lambda(lambda x: x)])
    with pytest.raises(ValueError, match="expected a named function"):
        model.save(path)
    assert path.read_bytes() == before
    assert [entry.name for entry in tmp_path.iterdir()] == ["m.keras"]
