# SPDX-License-Identifier: Apache-2.0
"""`.keras` files: a zip of the configuration and of the weights in the layout of Keras 3."""

from __future__ import annotations

import json
import os
import zipfile
from typing import Any

from elman.saving import npz
from elman.saving.atomic import atomic_write
from elman.saving.stored import mismatch

CONFIG, METADATA, WEIGHTS = "config.json", "metadata.json", "model.weights.h5"
# Configurations are text of a few kB per layer.
_MAX_TEXT = 1 << 26
# Keras compresses nothing; numbers that something else compressed became a little smaller.
_MAX_RATIO, _SLACK = 100, 1 << 24
_DAMAGED = (*npz.DAMAGED, ValueError)


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
        if self.size(name) > _MAX_TEXT:
            raise mismatch(self.path, f"{name}: expected at most {_MAX_TEXT} bytes of text")
        text = self.read(name)
        try:
            return json.loads(text)
        except (ValueError, RecursionError) as error:
            raise self.bad(f"{name}: {error}") from None

    def size(self, name: str) -> int:
        """The size of an entry. Errors: ValueError when it is missing, or out of all proportion."""
        info = self._info(name)
        if info.file_size > _MAX_RATIO * info.compress_size + _SLACK:
            got = f"{info.file_size} bytes out of {info.compress_size}"
            raise mismatch(self.path, f"{name}: expected the weights of a model, got {got}")
        return info.file_size

    def read(self, name: str) -> bytes:
        """The content of an entry."""
        self.size(name)
        try:
            with self._zip.open(self._info(name)) as file:
                return file.read()
        except _DAMAGED as error:
            raise self.bad(error) from None

    def _info(self, name: str) -> zipfile.ZipInfo:
        try:
            return self._zip.getinfo(name)
        except KeyError:
            raise mismatch(self.path, f"expected an entry {name!r} in the archive") from None


def write(path: str | os.PathLike[str], entries: dict[str, bytes]) -> None:
    """Write the entries to a file, atomically."""
    with atomic_write(path) as file, zipfile.ZipFile(file, "w", zipfile.ZIP_STORED) as made:
        for name, data in entries.items():
            # A fixed date: equal models make equal files.
            made.writestr(zipfile.ZipInfo(name, (1980, 1, 1, 0, 0, 0)), data)
