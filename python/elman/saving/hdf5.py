# SPDX-License-Identifier: Apache-2.0
"""HDF5 files as Keras writes them, read as untrusted input through h5py, which is optional.

Only groups and datasets that lie in the file itself are read: links to other files, external and
virtual storage and compressed data, which no Keras writes, are refused.
"""

from __future__ import annotations

import contextlib
import importlib
import io
import math
from collections.abc import Callable, Iterator, Sequence
from typing import Any, BinaryIO

import numpy as np

from elman.saving.atomic import atomic_write
from elman.saving.stored import Stored, from_bfloat16, mismatch

SIGNATURE = b"\x89HDF\r\n\x1a\n"
# HDF5 keeps an attribute in 64 kB; longer lists are split into name0, name1, ... as Keras does.
ATTRIBUTE_LIMIT = 64512
# Names in a list may all refer to the same long text: a bound on what reading them may take.
_MAX_TEXT = 1 << 30
_MAX_DEPTH = 64
# What h5py raises for a damaged file, besides OSError.
_DAMAGED = (KeyError, RuntimeError, TypeError, ValueError, OverflowError, MemoryError)


def h5py() -> Any:
    """The module h5py. Errors: ImportError that says how to install it."""
    try:
        return importlib.import_module("h5py")
    except ImportError as error:
        text = f'[saving] Keras files need h5py ({error}); pip install "elman[h5py]"'
        raise ImportError(text) from None


def image(fill: Callable[[Any], None]) -> bytes:
    """The bytes of a new file that `fill(root group)` fills."""
    memory = io.BytesIO()
    with h5py().File(memory, "w") as root:
        fill(root)
    return memory.getvalue()


def write(path: str, fill: Callable[[Any], None]) -> None:
    """Write a file that `fill(root group)` fills, atomically."""
    data = image(fill)
    with atomic_write(path) as file:
        file.write(data)


def write_names(group: Any, attribute: str, names: Sequence[str]) -> None:
    """A list of names as an attribute, in several of them when it is long."""
    encoded = np.array([name.encode() for name in names] or np.zeros(0, "S1"))
    parts = 1
    while parts < len(names) and -(-len(names) // parts) * encoded.itemsize > ATTRIBUTE_LIMIT:
        parts += 1
    if parts == 1:
        group.attrs[attribute] = encoded
        return
    for number, part in enumerate(np.array_split(encoded, parts)):
        group.attrs[f"{attribute}{number}"] = part


def write_text(group: Any, attribute: str, text: str) -> None:
    """A text as an attribute, of any length; as bytes, which all versions of Keras expect."""
    group.attrs[attribute] = text.encode()


class Tree:
    """The groups, attributes and datasets of a file.

    Args:
        path: what errors call the file.
        file: the opened file.
    """

    def __init__(self, path: str, file: BinaryIO) -> None:
        self.path = path
        self._taken: set[str] = set()
        self.size = file.seek(0, io.SEEK_END)
        file.seek(0)
        self._h5py = h5py()
        with self.guarded():
            self.root = self._h5py.File(file, "r")

    def close(self) -> None:
        """Close the file."""
        self.root.close()

    def bad(self, text: str) -> ValueError:
        """The error for a damaged file."""
        return mismatch(self.path, text)

    @contextlib.contextmanager
    def guarded(self) -> Iterator[None]:
        """Turn what h5py raises within the block into one error that names the file."""
        try:
            yield
        except ValueError as error:
            if error.args and str(error.args[0]).startswith("["):
                raise  # ours
            raise self.bad(f"damaged: {error}") from None
        except OSError as error:
            if error.errno is not None and error.filename is not None:
                raise
            raise self.bad(f"damaged: {error}") from None
        except _DAMAGED as error:
            raise self.bad(f"damaged: {error or type(error).__name__}") from None

    # -- groups -----------------------------------------------------------------------------------

    def find(self, place: str, start: Any = None) -> Any:
        """The group or dataset at a place, e.g. "layers/dense/vars"; None if there is none."""
        found = self.root if start is None else start
        with self.guarded():
            for name in filter(None, place.split("/")):
                if not isinstance(found, self._h5py.Group) or name not in found:
                    return None
                found = self._child(found, name)
        return found

    def group(self, place: str, start: Any = None) -> Any:
        """The group at a place; None if there is none."""
        found = self.find(place, start)
        return found if isinstance(found, self._h5py.Group) else None

    def has_dataset(self, place: str) -> bool:
        """Whether there is a dataset at a place."""
        return isinstance(self.find(place), self._h5py.Dataset)

    def _child(self, group: Any, name: str) -> Any:
        link = group.get(name, getlink=True)
        if not isinstance(link, self._h5py.HardLink):
            raise self.bad(
                f"{group.name.rstrip('/')}/{name}: expected a part of this file, got a link to "
                f"{getattr(link, 'filename', '') + ':' + getattr(link, 'path', '?')}"
            )
        return group[name]

    def _datasets(self, group: Any, seen: set[int], depth: int = 0) -> Iterator[Any]:
        """Every dataset below a group; a group that has several names is entered once."""
        address = self._h5py.h5o.get_info(group.id).addr
        if address in seen or depth > _MAX_DEPTH:
            return
        seen.add(address)
        for name in group:
            child = self._child(group, name)
            if isinstance(child, self._h5py.Group):
                yield from self._datasets(child, seen, depth + 1)
            else:
                yield child

    def left_over(self, group: Any) -> list[str]:
        """The places of the datasets below a group that `stored` did not give."""
        with self.guarded():
            return [d.name for d in self._datasets(group, set()) if d.name not in self._taken]

    # -- attributes -------------------------------------------------------------------------------

    def texts(self, group: Any, attribute: str) -> list[str] | None:
        """A list of texts; from attribute0, attribute1, ... where it is split. None: not there."""
        with self.guarded():
            if attribute in group.attrs:
                return self._texts(group, attribute)
            found: list[str] = []
            number = 0
            while f"{attribute}{number}" in group.attrs:
                found += self._texts(group, f"{attribute}{number}")
                number += 1
            return found if number else None

    def text(self, group: Any, attribute: str) -> str | None:
        """A text; None if there is none."""
        with self.guarded():
            if attribute not in group.attrs:
                return None
            found = self._texts(group, attribute)
            if len(found) != 1:
                raise self._no_text(group, attribute, "one text", f"{len(found)}")
            return found[0]

    def _texts(self, group: Any, attribute: str) -> list[str]:
        entry = group.attrs.get_id(attribute)
        count = 0 if entry.shape is None else math.prod(entry.shape)
        if count == 0:  # h5py stores an empty list as numbers
            return []
        kind = entry.get_type()
        if kind.get_class() != self._h5py.h5t.STRING:
            raise self._no_text(group, attribute, "text", str(entry.dtype))
        own = self.size if kind.is_variable_str() else kind.get_size()
        if count * own > max(self.size, _MAX_TEXT):
            raise self._no_text(group, attribute, "text", f"{count} of up to {own} bytes")
        value = np.asarray(group.attrs[attribute]).reshape(-1).tolist()
        return [item.decode() if isinstance(item, bytes) else str(item) for item in value]

    def _no_text(self, group: Any, attribute: str, expected: str, got: str) -> ValueError:
        return self.bad(f"attribute {attribute!r} of {group.name}: expected {expected}, got {got}")

    # -- datasets ---------------------------------------------------------------------------------

    def stored(self, place: str, start: Any = None) -> Stored | None:
        """The dataset at a place, not yet read; None if there is none.

        Errors: ValueError for data that is not in this file as plain numbers.
        """
        found = self.find(place, start)
        if not isinstance(found, self._h5py.Dataset):
            return None
        with self.guarded():
            self._taken.add(found.name)
            shape, dtype = found.shape, found.dtype
            bfloat16 = dtype.kind == "V" and dtype.itemsize == 2 and not dtype.names
            if shape is None or (dtype.kind not in "fiub" and not bfloat16):
                raise self.bad(f"{found.name}: expected numbers, got {dtype}")
            if bfloat16 and self.text(found, "dtype") != "bfloat16":
                raise self.bad(f"{found.name}: expected numbers, got bytes of unknown meaning")
            self._check_storage(found)
        dtype = np.dtype("float32") if bfloat16 else dtype
        return Stored(found.name, tuple(shape), dtype, lambda: self._read(found, bfloat16))

    def _check_storage(self, dataset: Any) -> None:
        """Refuse what would read other files, or much more than the dataset holds."""
        made = dataset.id.get_create_plist()
        if made.get_layout() == self._h5py.h5d.VIRTUAL or made.get_external_count():
            raise self.bad(f"{dataset.name}: expected data in this file, got that of other files")
        if made.get_nfilters():
            hint = "write it anew with h5repack -f NONE"
            raise self.bad(f"{dataset.name}: expected plain data, got compressed data; {hint}")
        if dataset.chunks and math.prod(dataset.chunks) * dataset.dtype.itemsize > self.size:
            raise self.bad(f"{dataset.name}: expected a chunk of the file, got {dataset.chunks}")

    def _read(self, dataset: Any, bfloat16: bool) -> np.ndarray:
        with self.guarded():
            value = np.asarray(dataset[()])
        if not bfloat16:
            return value
        return from_bfloat16(np.frombuffer(value.tobytes(), "<u2")).reshape(value.shape)
