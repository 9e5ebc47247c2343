# SPDX-License-Identifier: Apache-2.0
"""Read and write safetensors files; a file read is treated as untrusted input.

Layout: 8 bytes little-endian header length n, n bytes JSON, then the tensors, C order,
little-endian, without gaps. Source: https://github.com/huggingface/safetensors#format
"""

from __future__ import annotations

import json
import mmap
import os
import struct
import sys
from collections.abc import Mapping
from typing import Any

import numpy as np

from elman.saving.atomic import atomic_write
from elman.saving.stored import from_bfloat16

# The limit of the reference implementation; a larger header is an attack or an accident.
MAX_HEADER = 100_000_000
# Data starts at a multiple of this, so that a mapped float array suits every SIMD load.
ALIGNMENT = 64

_DTYPES = {
    "F64": "<f8",
    "F32": "<f4",
    "F16": "<f2",
    "I64": "<i8",
    "I32": "<i4",
    "I16": "<i2",
    "I8": "|i1",
    "U64": "<u8",
    "U32": "<u4",
    "U16": "<u2",
    "U8": "|u1",
    "BOOL": "|b1",
}
_BFLOAT16 = "BF16"
_NAMES = {np.dtype(code): name for name, code in _DTYPES.items()}


_Path = str | os.PathLike[str]


def _bad(path: _Path, text: str) -> ValueError:
    return ValueError(f"[load_safetensors] {os.fspath(path)!r}: {text}")


def save_safetensors(
    path: _Path,
    tensors: Mapping[str, Any],
    metadata: Mapping[str, str] | None = None,
) -> None:
    """Write named arrays to one file, atomically.

    Args:
        path: the file to write.
        tensors: name -> array (anything that numpy reads), at most 64-bit numbers or bool.
        metadata: text stored in the header.

    Example:
        >>> import os, tempfile, numpy as np
        >>> name = os.path.join(tempfile.mkdtemp(), "w.safetensors")
        >>> save_safetensors(name, {"a": np.arange(3.0)})
        >>> load_safetensors(name)["a"]
        array([0., 1., 2.])
    """
    arrays = {name: _little_endian(name, value) for name, value in tensors.items()}
    header: dict[str, Any] = {}
    if metadata:
        header["__metadata__"] = {str(k): str(v) for k, v in metadata.items()}
    # Wide types first keeps every tensor aligned to its own item size.
    order = sorted(arrays, key=lambda name: -arrays[name].dtype.itemsize)
    offset = 0
    for name in order:
        array = arrays[name]
        span = [offset, offset + array.nbytes]
        shape = list(array.shape)
        header[name] = {"dtype": _NAMES[array.dtype], "shape": shape, "data_offsets": span}
        offset += array.nbytes
    text = json.dumps(header, separators=(",", ":"), ensure_ascii=False).encode()
    text += b" " * (-(len(text) + 8) % ALIGNMENT)
    with atomic_write(path) as file:
        file.write(struct.pack("<Q", len(text)))
        file.write(text)
        for name in order:
            file.write(arrays[name].reshape(-1).view(np.uint8).data)


def _little_endian(name: str, value: Any) -> np.ndarray:
    if not isinstance(name, str) or name == "__metadata__":
        raise ValueError(f"[save_safetensors] name: expected text, got {name!r}")
    array = np.asarray(value)
    dtype = array.dtype.newbyteorder("<") if array.dtype.byteorder != "|" else array.dtype
    if dtype not in _NAMES:
        raise ValueError(
            f"[save_safetensors] {name!r}: expected numbers or bool, got dtype {array.dtype}"
        )
    # ascontiguousarray would turn a scalar into a vector.
    return np.asarray(array, dtype=dtype, order="C")


def load_safetensors(path: _Path) -> dict[str, np.ndarray]:
    """Map a file and return name -> read-only array, without copying the data.

    Errors: ValueError for anything that is not a well-formed file (sizes, overlaps, gaps, unknown
    dtypes, duplicate names); FileNotFoundError when there is none. bfloat16 is read as float32.
    """
    header, data, begin = _open(path)
    out: dict[str, np.ndarray] = {}
    spans: list[tuple[int, int, str]] = []
    for name, entry in header.items():
        if name == "__metadata__":
            continue
        dtype, shape, first, last = _check_entry(path, name, entry, len(data) - begin)
        spans.append((first, last, name))
        count = (last - first) // dtype.itemsize
        flat = np.frombuffer(data, dtype=dtype, count=count, offset=begin + first)
        if entry["dtype"] == _BFLOAT16:
            flat = from_bfloat16(flat)
        out[name] = flat.reshape(shape)
    _check_cover(path, spans, len(data) - begin)
    return out


def load_metadata(path: _Path) -> dict[str, str]:
    """The text that `save_safetensors` stored beside the tensors."""
    return _open(path)[0].get("__metadata__", {})


def _open(path: _Path) -> tuple[dict[str, Any], Any, int]:
    """Header, bytes of the whole file, and where the tensors begin."""
    with open(path, "rb") as file:
        size = os.fstat(file.fileno()).st_size
        if size < 8:
            raise _bad(path, f"expected at least 8 bytes, got {size}; not a safetensors file")
        data = mmap.mmap(file.fileno(), 0, access=mmap.ACCESS_READ)
    (length,) = struct.unpack("<Q", data[:8])
    if length > min(size - 8, MAX_HEADER):
        limit = min(size - 8, MAX_HEADER)
        raise _bad(path, f"header length: expected at most {limit}, got {length}")
    try:
        header = json.loads(data[8 : 8 + length].decode(), object_pairs_hook=_unique)
    except (ValueError, RecursionError) as error:
        raise _bad(path, f"header: {error}") from None
    if not isinstance(header, dict):
        raise _bad(path, f"header: expected an object, got {type(header).__name__}")
    _check_metadata(path, header.get("__metadata__", {}))
    return header, memoryview(data), 8 + length


def _unique(pairs: list[tuple[str, Any]]) -> dict[str, Any]:
    out = dict(pairs)
    if len(out) != len(pairs):
        names = [name for name, _ in pairs]
        twice = next(name for name in names if names.count(name) > 1)
        raise ValueError(f"the name {twice!r} occurs twice")
    return out


def _check_metadata(path: _Path, metadata: Any) -> None:
    if not isinstance(metadata, dict) or not all(isinstance(v, str) for v in metadata.values()):
        raise _bad(path, "__metadata__: expected an object of texts")


def _is_size(value: Any) -> bool:
    return isinstance(value, int) and not isinstance(value, bool) and 0 <= value <= sys.maxsize


def _check_entry(
    path: _Path, name: str, entry: Any, available: int
) -> tuple[np.dtype, tuple[int, ...], int, int]:
    if not isinstance(entry, dict) or set(entry) != {"dtype", "shape", "data_offsets"}:
        raise _bad(path, f"tensor {name!r}: expected dtype, shape and data_offsets, got {entry!r}")
    code, shape, span = entry["dtype"], entry["shape"], entry["data_offsets"]
    if not isinstance(code, str) or (code not in _DTYPES and code != _BFLOAT16):
        known = ", ".join([*_DTYPES, _BFLOAT16])
        raise _bad(path, f"tensor {name!r}: dtype: expected one of {known}, got {code!r}")
    dtype = np.dtype(_DTYPES.get(code, "<u2"))
    if not isinstance(shape, list) or len(shape) > 32 or not all(map(_is_size, shape)):
        raise _bad(path, f"tensor {name!r}: shape: expected a list of sizes, got {shape!r}")
    if not isinstance(span, list) or len(span) != 2 or not all(map(_is_size, span)):
        raise _bad(path, f"tensor {name!r}: data_offsets: expected two sizes, got {span!r}")
    first, last = span
    if not first <= last <= available:
        raise _bad(
            path,
            f"tensor {name!r}: data_offsets: expected begin <= end <= {available}, got {span}",
        )
    needed = dtype.itemsize
    for extent in shape:
        needed *= extent
    if needed != last - first:
        raise _bad(
            path,
            f"tensor {name!r}: shape {shape} of {code} needs {needed} bytes, "
            f"data_offsets give {last - first}",
        )
    return dtype, tuple(shape), first, last


def _check_cover(path: _Path, spans: list[tuple[int, int, str]], available: int) -> None:
    """The tensors must tile the data: no overlap, no hidden bytes, nothing cut off."""
    position = 0
    for first, last, name in sorted(spans):
        if first != position:
            kind = "overlaps the tensor before it" if first < position else "leaves a gap"
            raise _bad(path, f"tensor {name!r}: {kind}: expected begin {position}, got {first}")
        position = last
    if position != available:
        raise _bad(path, f"expected {position} bytes of tensors, got {available}")
