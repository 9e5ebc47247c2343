# SPDX-License-Identifier: Apache-2.0
"""Weights of models in files: round trips, mismatches, nothing half-loaded."""

from __future__ import annotations

import os
import zipfile

import numpy as np
import pytest
from safetensors.numpy import load_file

import elman
from elman import layers, saving


def make(dtype="float32", units=4):
    return elman.Sequential(
        [
            layers.Embedding(7, 3, dtype=dtype),
            layers.LSTM(units, return_sequences=True, dtype=dtype),
            layers.RNN(
                [layers.GRUCell(2, dtype=dtype), layers.LSTMCell(3, dtype=dtype)], dtype=dtype
            ),
            layers.Dense(2, dtype=dtype),
            layers.Dense(2, use_bias=False, dtype=dtype),
        ]
    )


IDS = np.array([[1, 2, 3], [4, 5, 6]])


@pytest.mark.parametrize("suffix", [".safetensors", ".npz"])
@pytest.mark.parametrize("dtype", ["float32", "float64"])
def test_round_trip(suffix, dtype, tmp_path):
    path = tmp_path / f"w{suffix}"
    first, second = make(dtype), make(dtype)  # the second one's layers have other names
    outputs = [model.predict(IDS, verbose=0) for model in (first, second)]
    assert np.abs(outputs[0] - outputs[1]).max() > 1e-6
    first.save_weights(path)
    second.load_weights(path)
    np.testing.assert_array_equal(second.predict(IDS, verbose=0), outputs[0])
    os.unlink(path)  # nothing depends on the file any more
    np.testing.assert_array_equal(second.predict(IDS, verbose=0), outputs[0])


def test_names_in_a_file(tmp_path):
    path = tmp_path / "w.safetensors"
    model = make()
    model.build((None, None))
    model.save_weights(path)
    assert list(saving.named_weights(model)) == [
        "embedding/embeddings",
        "lstm/kernel",
        "lstm/recurrent_kernel",
        "lstm/bias",
        "rnn/kernel",
        "rnn/recurrent_kernel",
        "rnn/bias",
        "rnn/kernel_1",
        "rnn/recurrent_kernel_1",
        "rnn/bias_1",
        "dense/kernel",
        "dense/bias",
        "dense_1/kernel",
    ]
    found = load_file(path)
    for name, weight in saving.named_weights(model).items():
        np.testing.assert_array_equal(found[name], weight.numpy())


def load_into(model, arrays, suffix, tmp_path):
    path = tmp_path / f"changed{suffix}"
    save = saving.save_npz if suffix == ".npz" else saving.save_safetensors
    save(path, arrays)
    model.load_weights(path)


@pytest.mark.parametrize("suffix", [".safetensors", ".npz"])
def test_every_mismatch_is_named_and_changes_nothing(suffix, tmp_path):
    model = make()
    model.build((None, None))
    good = {name: np.asarray(w) + 1 for name, w in saving.named_weights(model).items()}
    before = model.get_weights()

    def refused(arrays, *texts):
        with pytest.raises(ValueError, match="load_weights") as error:
            load_into(model, arrays, suffix, tmp_path)
        for text in texts:
            assert text in str(error.value)
        for now, old in zip(model.get_weights(), before, strict=True):
            np.testing.assert_array_equal(now, old)

    without = {name: a for name, a in good.items() if name != "lstm/bias"}
    refused(without, "missing from the file: 'lstm/bias'")
    refused({**good, "gru/bias": np.zeros(3)}, "left over in the file: 'gru/bias'")
    refused({**without, "x": np.zeros(3)}, "missing", "'lstm/bias'", "left over", "'x'")
    wrong = {**good, "dense_1/kernel": np.zeros((2, 3), "float32")}
    refused(wrong, "'dense_1/kernel': expected shape (2, 2), got (2, 3)")
    refused({**good, "dense/bias": np.zeros(2, "int64")}, "'dense/bias'", "int64")
    load_into(model, good, suffix, tmp_path)
    for now, old in zip(model.get_weights(), before, strict=True):
        np.testing.assert_array_equal(now, old + 1)


def test_a_hostile_file_does_not_fill_memory(tmp_path):
    """Names and shapes are refused before any data is read."""
    path = tmp_path / "bomb.npz"
    with zipfile.ZipFile(path, "w", zipfile.ZIP_DEFLATED) as archive:
        size = 1 << 26
        with archive.open("dense/kernel.npy", "w", force_zip64=True) as file:
            np.lib.format.write_array_header_1_0(
                file, {"descr": "<f4", "fortran_order": False, "shape": (size // 4,)}
            )
            for _ in range(size >> 20):
                file.write(bytes(1 << 20))
    assert path.stat().st_size < 1 << 20
    model = elman.Sequential([layers.Dense(1, use_bias=False, input_shape=(2,))])
    with pytest.raises(
        ValueError, match=r"'dense/kernel': expected shape \(2, 1\), got \(16777216,"
    ):
        model.load_weights(path)


def test_other_precision_is_converted(tmp_path):
    path = tmp_path / "w.safetensors"
    wide, narrow = make("float64"), make("float32")
    for model in (wide, narrow):
        model.build((None, None))
    narrow.save_weights(path)
    wide.load_weights(path)
    for a, b in zip(wide.get_weights(), narrow.get_weights(), strict=True):
        assert a.dtype == np.float64
        np.testing.assert_array_equal(a, b)


def test_wrong_use(tmp_path):
    model = elman.Sequential([layers.Dense(2)])
    with pytest.raises(ValueError, match="not built"):
        model.save_weights(tmp_path / "w.npz")
    with pytest.raises(ValueError, match="not built"):
        model.load_weights(tmp_path / "w.npz")
    model.build((None, 3))
    for name in ("w", "w.bin", "w.pickle"):
        with pytest.raises(ValueError, match="safetensors"):
            model.save_weights(tmp_path / name)
    model.save_weights(tmp_path / "w.npz")
    with pytest.raises(FileExistsError):
        model.save_weights(tmp_path / "w.npz", overwrite=False)
