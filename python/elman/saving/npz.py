# SPDX-License-Identifier: Apache-2.0
"""Named arrays in numpy's .npz format, written atomically and read without pickle."""

from __future__ import annotations

import math
import os
import zipfile
import zlib
from collections.abc import Callable, Mapping
from typing import Any, NamedTuple

import numpy as np

from elman.saving.atomic import atomic_write

_Path = str | os.PathLike[str]


# What zipfile raises for a damaged, encrypted or unsupported archive.
DAMAGED = (zipfile.BadZipFile, zlib.error, EOFError, RuntimeError, OSError)


class _Entry(NamedTuple):
    info: zipfile.ZipInfo
    shape: tuple[int, ...]
    fortran: bool
    dtype: np.dtype
    start: int


def _bad(path: _Path, text: str) -> ValueError:
    return ValueError(f"[load_npz] {os.fspath(path)!r}: {text}")


def save_npz(path: _Path, tensors: Mapping[str, Any]) -> None:
    """Write name -> array; `numpy.load(path)` reads the file.

    Example:
        >>> import os, tempfile, numpy as np
        >>> name = os.path.join(tempfile.mkdtemp(), "w.npz")
        >>> save_npz(name, {"dense/bias": np.zeros(2)})
        >>> load_npz(name)
        {'dense/bias': array([0., 0.])}
    """
    with atomic_write(path) as file, zipfile.ZipFile(file, "w", zipfile.ZIP_STORED) as archive:
        for name, value in tensors.items():
            # force_zip64: the size of an entry is not known when its header is written.
            with archive.open(f"{name}.npy", "w", force_zip64=True) as entry:
                np.lib.format.write_array(entry, np.asarray(value), allow_pickle=False)


def load_npz(
    path: _Path, check: Callable[[dict[str, tuple[int, ...]]], None] | None = None
) -> dict[str, np.ndarray]:
    """Read every array of the file.

    Args:
        path: the file to read.
        check: called with name -> shape before any data is read; what it raises is passed on, so
            a file of unexpected size never fills the memory.

    Errors: ValueError for a file that is no .npz, holds Python objects, or is damaged.
    """
    try:
        with zipfile.ZipFile(path) as archive:
            _check_end(path, archive)
            entries = _entries(path, archive)
            if check is not None:
                check({name: entry.shape for name, entry in entries.items()})
            return {name: _read(archive, entry) for name, entry in entries.items()}
    except DAMAGED as error:
        if isinstance(error, OSError) and error.errno is not None:
            raise  # no such file, no permission
        raise _bad(path, str(error) or type(error).__name__) from None


def _check_end(path: _Path, archive: zipfile.ZipFile) -> None:
    """zipfile overlooks what comes after the archive's end record: 22 bytes and a comment."""
    end = 22 + len(archive.comment)
    with open(path, "rb") as file:
        file.seek(-end, os.SEEK_END)
        if file.read(4) != b"PK\x05\x06":
            raise _bad(path, "there is more data after the end of the archive")


def _entries(path: _Path, archive: zipfile.ZipFile) -> dict[str, _Entry]:
    entries: dict[str, _Entry] = {}
    for info in archive.infolist():
        name = info.filename.removesuffix(".npy")
        if name == info.filename:
            raise _bad(path, f"entry {name!r}: expected a name that ends in .npy")
        if name in entries:
            raise _bad(path, f"entry {name!r} occurs twice")
        with archive.open(info) as file:
            entries[name] = _header(path, name, info, file)
    return entries


def _header(path: _Path, name: str, info: zipfile.ZipInfo, file: Any) -> _Entry:
    try:
        version = np.lib.format.read_magic(file)
        if version == (1, 0):
            shape, fortran, dtype = np.lib.format.read_array_header_1_0(file)
        else:
            shape, fortran, dtype = np.lib.format.read_array_header_2_0(file)
    except ValueError as error:
        raise _bad(path, f"entry {name!r}: {error}") from None
    if dtype.hasobject or dtype.kind not in "fiub":
        raise _bad(path, f"entry {name!r}: expected numbers or bool, got dtype {dtype}")
    left = info.file_size - file.tell()
    if any(extent < 0 for extent in shape) or math.prod(shape) * dtype.itemsize != left:
        raise _bad(path, f"entry {name!r}: shape {shape} of {dtype} does not fill {left} bytes")
    return _Entry(info, shape, fortran, dtype, file.tell())


def _read(archive: zipfile.ZipFile, entry: _Entry) -> np.ndarray:
    with archive.open(entry.info) as file:
        file.read(entry.start)
        array = np.frombuffer(file.read(), dtype=entry.dtype)
    return array.reshape(entry.shape, order="F" if entry.fortran else "C")
