# SPDX-License-Identifier: Apache-2.0
"""`.keras` files: a zip of the configuration and of the weights in the layout of Keras 3."""

from __future__ import annotations

import io
import json
import math
import os
import zipfile
import zlib
from typing import Any, BinaryIO

from elman.saving.atomic import atomic_write
from elman.saving.stored import mismatch

CONFIG, METADATA, WEIGHTS = "config.json", "metadata.json", "model.weights.h5"
# Configurations are text of a few kB per layer.
_MAX_TEXT = 1 << 26
# Optimizers keep up to three arrays per weight in the same file, of at most 8 bytes per number.
_MAX_ARRAYS, _SLACK = 8, 1 << 24
# What zipfile raises for a damaged, encrypted or unsupported archive.
_DAMAGED = (zipfile.BadZipFile, zlib.error, EOFError, RuntimeError, OSError, ValueError)


def is_one(path: str) -> bool:
    """Whether a zip file is a `.keras` file, and not an .npz."""
    try:
        with zipfile.ZipFile(path) as found:
            return CONFIG in found.namelist() or WEIGHTS in found.namelist()
    except _DAMAGED:
        return path.lower().endswith(".keras")


class Archive:
    """An opened `.keras` file; only the three entries that it consists of are ever read."""

    def __init__(self, path: str) -> None:
        self.path = path
        try:
            self._zip = zipfile.ZipFile(path)
        except _DAMAGED as error:
            if isinstance(error, OSError) and error.errno is not None:
                raise  # no such file, no permission
            raise self.bad(error) from None

    def __enter__(self) -> Archive:
        return self

    def __exit__(self, *error: object) -> None:
        self._zip.close()

    def bad(self, error: object) -> ValueError:
        """The error for a damaged file."""
        return mismatch(self.path, f"damaged: {str(error) or type(error).__name__}")

    def json(self, name: str) -> Any:
        """The content of an entry that is JSON."""
        try:
            return json.loads(self._read(name, _MAX_TEXT))
        except (ValueError, RecursionError) as error:
            if str(error).startswith("["):
                raise
            raise self.bad(f"{name}: {error}") from None

    def weights(self, model: Any) -> BinaryIO:
        """The HDF5 file with the weights of a model."""
        numbers = sum(math.prod(weight.shape) for weight in model.weights)
        return io.BytesIO(self._read(WEIGHTS, 8 * _MAX_ARRAYS * numbers + _SLACK))

    def _read(self, name: str, limit: int) -> bytes:
        try:
            info = self._zip.getinfo(name)
        except KeyError:
            raise mismatch(self.path, f"expected an entry {name!r} in the archive") from None
        if info.file_size > limit:
            text = f"{name}: expected at most {limit} bytes, got {info.file_size}"
            raise mismatch(self.path, text)
        try:
            with self._zip.open(info) as file:
                return file.read()
        except _DAMAGED as error:
            raise self.bad(error) from None


def write(path: str | os.PathLike[str], entries: dict[str, bytes]) -> None:
    """Write the entries to a file, atomically."""
    with atomic_write(path) as file, zipfile.ZipFile(file, "w", zipfile.ZIP_STORED) as made:
        for name, data in entries.items():
            # A fixed date: equal models make equal files.
            made.writestr(zipfile.ZipInfo(name, (1980, 1, 1, 0, 0, 0)), data)
