# SPDX-License-Identifier: Apache-2.0
"""Write a file so that readers see the old one or the new one, never half of it."""

from __future__ import annotations

import contextlib
import os
import secrets
from collections.abc import Iterator
from typing import BinaryIO


@contextlib.contextmanager
def atomic_write(path: str | os.PathLike[str]) -> Iterator[BinaryIO]:
    """Yield a binary file that becomes `path` when the block ends without an error.

    The data goes to a new file in the same folder, is flushed to the disk, and then renamed over
    `path`, so a crash or a full disk leaves the previous file untouched.

    Example:
        >>> import pathlib, tempfile
        >>> name = pathlib.Path(tempfile.mkdtemp(), "a.bin")
        >>> with atomic_write(name) as f:
        ...     _ = f.write(b"hello")
        >>> name.read_bytes()
        b'hello'
    """
    # A rename would replace a symbolic link itself; the file it points to is meant.
    target = os.path.realpath(os.fspath(path))
    folder, name = os.path.split(target)
    temporary = os.path.join(folder, f".{name}.{secrets.token_hex(8)}.tmp")
    # os.open and not tempfile: the mode then follows the umask as for any other file.
    flags = os.O_CREAT | os.O_EXCL | os.O_WRONLY | getattr(os, "O_BINARY", 0)
    try:
        descriptor = os.open(temporary, flags, 0o666)
    except OSError as error:  # no such folder, no permission: of the file that was asked for
        raise OSError(error.errno, error.strerror, os.fspath(path)) from None
    try:
        with os.fdopen(descriptor, "wb") as file:
            yield file
            file.flush()
            os.fsync(file.fileno())
        if os.path.exists(target):
            os.chmod(temporary, os.stat(target).st_mode & 0o7777)
        os.replace(temporary, target)
    except BaseException:
        with contextlib.suppress(FileNotFoundError):
            os.unlink(temporary)
        raise
    _sync_folder(folder)


def _sync_folder(folder: str) -> None:
    """Make the rename itself durable; Windows has no such call for folders."""
    if os.name == "nt":
        return
    descriptor = os.open(folder, os.O_RDONLY)
    try:
        os.fsync(descriptor)
    finally:
        os.close(descriptor)
