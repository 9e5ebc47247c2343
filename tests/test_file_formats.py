# SPDX-License-Identifier: Apache-2.0
"""safetensors and .npz files: round trips, files that lie, writes that fail half-way."""

from __future__ import annotations

import json
import os
import stat
import struct
import subprocess
import sys
import zipfile

import numpy as np
import pytest
from safetensors.numpy import load_file, save_file

import elman
from elman import saving

ARRAYS = {
    "dense/kernel": np.arange(6, dtype="float32").reshape(2, 3),
    "scalar": np.float64(3.5),
    "empty": np.zeros((0, 4), "int32"),
    "flags": np.array([True, False, True]),
    "half": np.array([1.5], "float16"),
    "ids": np.array([[1], [-2]], "int64"),
    "naïve 名": np.array([7], "uint8"),
}


def same(found, expected):
    assert set(found) == set(expected)
    for name, array in expected.items():
        assert found[name].dtype == array.dtype
        assert found[name].shape == array.shape
        np.testing.assert_array_equal(found[name], array)


# --- the formats ---------------------------------------------------------------------------------


def test_safetensors_and_the_reference_implementation(tmp_path):
    ours, theirs = tmp_path / "ours.safetensors", tmp_path / "theirs.safetensors"
    saving.save_safetensors(ours, ARRAYS, {"note": "größe"})
    same(load_file(ours), ARRAYS)
    same(saving.load_safetensors(ours), ARRAYS)
    assert saving.load_metadata(ours) == {"note": "größe"}
    save_file({name: np.asarray(a) for name, a in ARRAYS.items()}, theirs)
    same(saving.load_safetensors(theirs), ARRAYS)
    assert saving.load_metadata(theirs) == {}


def test_a_mapped_file_is_not_copied(tmp_path):
    path = tmp_path / "w.safetensors"
    saving.save_safetensors(path, {"a": np.arange(64.0), "b": np.arange(8, dtype="float32")})
    found = saving.load_safetensors(path)
    for array in found.values():
        assert not array.flags.owndata
        assert not array.flags.writeable
        assert array.flags.aligned
    (length,) = struct.unpack("<Q", path.read_bytes()[:8])
    assert (8 + length) % 64 == 0


def test_other_layouts_and_byte_orders(tmp_path):
    path = tmp_path / "w.safetensors"
    given = {
        "fortran": np.asfortranarray(ARRAYS["dense/kernel"]),
        "big": np.arange(4).astype(">f8"),
        "strided": np.arange(10.0)[::-3],
        "tensor": elman.Tensor(np.ones((2, 2), "float32")),
    }
    saving.save_safetensors(path, given)
    found = load_file(path)
    for name, array in given.items():
        np.testing.assert_array_equal(found[name], np.asarray(array))
    with pytest.raises(ValueError, match=r"'text'.*dtype"):
        saving.save_safetensors(path, {"text": np.array(["a"])})
    np.testing.assert_array_equal(load_file(path)["strided"], given["strided"])  # still there


def test_bfloat16_is_read_as_float32(tmp_path):
    path = tmp_path / "w.safetensors"
    values = np.array([1.0, -2.5, 0.15625], "float32")
    data = (values.view("uint32") >> 16).astype("<u2").tobytes()
    path.write_bytes(raw({"a": entry("BF16", [3], 0, 6)}, data))
    np.testing.assert_array_equal(saving.load_safetensors(path)["a"], values)


def test_npz_and_numpy(tmp_path):
    path = tmp_path / "w.npz"
    arrays = {name: np.asarray(a) for name, a in ARRAYS.items()}
    saving.save_npz(path, arrays)
    with np.load(path) as file:
        same(dict(file), arrays)
    same(saving.load_npz(path), arrays)
    np.savez_compressed(path, a=np.asfortranarray(np.arange(6.0).reshape(2, 3)))
    np.testing.assert_array_equal(saving.load_npz(path)["a"], np.arange(6.0).reshape(2, 3))


# --- hostile files -------------------------------------------------------------------------------


def entry(dtype, shape, begin, end):
    return {"dtype": dtype, "shape": shape, "data_offsets": [begin, end]}


def raw(header, data=b"", length=None):
    text = header if isinstance(header, bytes) else json.dumps(header).encode()
    return struct.pack("<Q", len(text) if length is None else length) + text + data


A = entry("F32", [2], 0, 8)
DATA = bytes(8)
HOSTILE = {
    "nothing": (b"", "at least 8 bytes"),
    "short": (b"1234567", "at least 8 bytes"),
    "header longer than the file": (raw({"a": A}, DATA, 10_000), "header length"),
    "huge header": (raw({"a": A}, DATA, 2**63), "header length"),
    "no text": (raw(b"\xff\xfe", DATA), "header"),
    "no JSON": (raw(b"{", DATA), "header"),
    "deep JSON": (raw(b"[" * 200_000, DATA), "header"),
    "a list": (raw([1], DATA), "expected an object"),
    "a name twice": (raw(b'{"a":%s,"a":%s}' % ((json.dumps(A).encode(),) * 2), DATA), "'a' occurs"),
    "metadata of numbers": (raw({"__metadata__": {"a": 1}}), "__metadata__"),
    "entry of text": (raw({"a": "b"}, DATA), "dtype, shape and data_offsets"),
    "entry with more": (raw({"a": {**A, "x": 1}}, DATA), "dtype, shape and data_offsets"),
    "unknown dtype": (raw({"a": entry("F33", [2], 0, 8)}, DATA), "dtype"),
    "dtype of a list": (raw({"a": entry(["F32"], [2], 0, 8)}, DATA), "dtype"),
    "shape of text": (raw({"a": entry("F32", "2", 0, 8)}, DATA), "shape"),
    "negative shape": (raw({"a": entry("F32", [-2], 0, 8)}, DATA), "shape"),
    "shape of bool": (raw({"a": entry("F32", [True, 2], 0, 8)}, DATA), "shape"),
    "shape of floats": (raw({"a": entry("F32", [2.0], 0, 8)}, DATA), "shape"),
    "overflowing shape": (raw({"a": entry("F32", [2**62, 8], 0, 8)}, DATA), "needs"),
    "wrapping shape": (raw({"a": entry("F32", [2**62, 4, 2], 0, 8)}, DATA), "needs"),
    "wrong size": (raw({"a": entry("F32", [3], 0, 8)}, DATA), "needs 12 bytes"),
    "behind the end": (raw({"a": entry("F32", [2], 8, 16)}, DATA), "data_offsets"),
    "backwards": (raw({"a": entry("F32", [2], 8, 0)}, DATA), "data_offsets"),
    "negative offset": (raw({"a": entry("F32", [2], -8, 0)}, DATA), "data_offsets"),
    "three offsets": (raw({"a": {**A, "data_offsets": [0, 4, 8]}}, DATA), "data_offsets"),
    "overlap": (raw({"a": A, "b": entry("F32", [1], 4, 8)}, DATA), "overlaps"),
    "gap": (raw({"a": entry("F32", [1], 0, 4), "b": entry("F32", [1], 8, 12)}, bytes(12)), "gap"),
    "hidden bytes": (raw({"a": A}, bytes(9)), "expected 8 bytes of tensors, got 9"),
    "cut off": (raw({"a": A}, bytes(7)), "data_offsets"),
}


@pytest.mark.parametrize("kind", HOSTILE)
def test_hostile_safetensors(kind, tmp_path):
    content, text = HOSTILE[kind]
    path = tmp_path / "bad.safetensors"
    path.write_bytes(content)
    with pytest.raises(ValueError, match=r"bad\.safetensors") as error:
        saving.load_safetensors(path)
    assert text in str(error.value)


def test_every_prefix_of_a_file_is_refused(tmp_path):
    path = tmp_path / "w.safetensors"
    saving.save_safetensors(path, {"a": np.arange(3.0)})
    content = path.read_bytes()
    for length in range(len(content)):
        path.write_bytes(content[:length])
        with pytest.raises(ValueError, match="load_safetensors"):
            saving.load_safetensors(path)


def npz(path, entries):
    with zipfile.ZipFile(path, "w") as archive:
        for name, content in entries:
            archive.writestr(name, content)


def npy(header, data=b"", version=b"\x01\x00"):
    text = header.encode() + b"\n"
    return b"\x93NUMPY" + version + struct.pack("<H", len(text)) + text + data


def npy_header(descr, shape, fortran=False):
    return f"{{'descr': {descr!r}, 'fortran_order': {fortran}, 'shape': {shape}, }}"


@pytest.mark.filterwarnings("ignore:Duplicate name")
@pytest.mark.parametrize(
    ("entries", "text"),
    [
        ([("a.txt", b"")], "ends in .npy"),
        ([("a.npy", npy(npy_header("<f4", (1,)), bytes(4)))] * 2, "occurs twice"),
        ([("a.npy", b"no magic")], "'a'"),
        ([("a.npy", npy("print(1)"))], "'a'"),
        ([("a.npy", npy(npy_header("|O", (1,)), bytes(8)))], "dtype object"),
        ([("a.npy", npy(npy_header("<U3", (1,)), bytes(12)))], "expected numbers"),
        ([("a.npy", npy(npy_header("<f4", (2**62,)), bytes(4)))], "does not fill"),
        ([("a.npy", npy(npy_header("<f4", (-1,)), bytes(4)))], "'a'"),
        ([("a.npy", npy(npy_header("<f4", (2,)), bytes(4)))], "does not fill"),
    ],
)
def test_hostile_npz(entries, text, tmp_path):
    path = tmp_path / "bad.npz"
    npz(path, entries)
    with pytest.raises(ValueError, match=r"bad\.npz") as error:
        saving.load_npz(path)
    assert text in str(error.value)


def test_damaged_npz(tmp_path):
    path = tmp_path / "bad.npz"
    saving.save_npz(path, {"a": np.arange(100.0)})
    content = bytearray(path.read_bytes())
    content[300] ^= 1
    path.write_bytes(content)
    with pytest.raises(ValueError, match="CRC"):
        saving.load_npz(path)
    path.write_bytes(b"PK no zip")
    with pytest.raises(ValueError, match="zip"):
        saving.load_npz(path)
    for load in (saving.load_npz, saving.load_safetensors):
        with pytest.raises(FileNotFoundError):
            load(tmp_path / "none")


# --- atomic writing ------------------------------------------------------------------------------


def test_a_failing_write_keeps_the_old_file(tmp_path):
    path = tmp_path / "w.bin"
    path.write_bytes(b"old")

    def fail():
        with saving.atomic_write(path) as file:
            file.write(b"new and longer")
            raise OSError("disk full")

    with pytest.raises(OSError, match="disk full"):
        fail()
    assert path.read_bytes() == b"old"
    assert os.listdir(tmp_path) == ["w.bin"]


def test_a_killed_write_keeps_the_old_file(tmp_path):
    path = tmp_path / "w.bin"
    path.write_bytes(b"old")
    code = (
        "import os, sys; from elman.saving import atomic_write\n"
        "with atomic_write(sys.argv[1]) as f:\n"
        "    f.write(b'x' * 100_000); f.flush(); os._exit(9)\n"
    )
    root = os.path.dirname(os.path.dirname(elman.__file__))
    environment = {**os.environ, "PYTHONPATH": root}
    done = subprocess.run([sys.executable, "-c", code, str(path)], env=environment, check=False)
    assert done.returncode == 9
    assert path.read_bytes() == b"old"


def test_every_step_of_an_atomic_write(tmp_path, monkeypatch):
    """The data is on the disk before the rename, and the folder after it."""
    calls = []
    for name in ("fsync", "replace"):
        original = getattr(os, name)

        def spy(*args, name=name, original=original):
            calls.append(name)
            return original(*args)

        monkeypatch.setattr(os, name, spy)
    path = tmp_path / "w.bin"
    with saving.atomic_write(path) as file:
        file.write(b"1")
        assert not path.exists()
    assert calls == ["fsync", "replace", "fsync"]
    assert path.read_bytes() == b"1"


@pytest.mark.skipif(os.name == "nt", reason="modes and links of POSIX")
def test_modes_and_links(tmp_path):
    real, link, fresh = tmp_path / "real", tmp_path / "link", tmp_path / "fresh"
    real.write_bytes(b"old")
    real.chmod(0o640)
    link.symlink_to(real)
    with saving.atomic_write(link) as file:
        file.write(b"new")
    assert link.is_symlink()
    assert real.read_bytes() == b"new"
    assert stat.S_IMODE(real.stat().st_mode) == 0o640
    old = os.umask(0o027)
    try:
        with saving.atomic_write(fresh) as file:
            file.write(b"1")
    finally:
        os.umask(old)
    assert stat.S_IMODE(fresh.stat().st_mode) == 0o640
