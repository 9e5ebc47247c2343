# SPDX-License-Identifier: Apache-2.0
"""What the layers of one call share: whether it trains, how deep it is, and where it builds."""

from __future__ import annotations

import contextlib
import os
import threading
from collections.abc import Iterator


class _Context(threading.local):
    def __init__(self) -> None:
        self.training: bool | None = None
        self.depth = 0
        self.names: list[str] = []
        self.budget: int | None = None


_context = _Context()


def training() -> bool:
    """What `training=None` means here: what the enclosing call was told, else False."""
    return bool(_context.training)


def outermost() -> bool:
    """True outside every layer call that `scope` marks."""
    return _context.depth == 0


class scope:  # noqa: N801 - used as a function; a generator would take three times as long
    """Within the block layers that are not told otherwise use `training`; None changes nothing."""

    __slots__ = ("_before", "_training")

    def __init__(self, training: bool | None = None) -> None:
        self._training = training

    def __enter__(self) -> None:
        self._before = _context.training
        if self._training is not None:
            _context.training = self._training
        _context.depth += 1

    def __exit__(self, *error: object) -> None:
        _context.depth -= 1
        _context.training = self._before


@contextlib.contextmanager
def name_scope(name: str) -> Iterator[None]:
    """Weights made within the block have `name` in their path."""
    _context.names.append(name)
    try:
        yield
    finally:
        _context.names.pop()


@contextlib.contextmanager
def weight_budget(size: int) -> Iterator[None]:
    """Weights made within the block have at most that many bytes together, and are zero.

    For loading: their values come from the file, and an orthogonal start takes seconds.
    """
    before, _context.budget = _context.budget, size
    try:
        yield
    finally:
        _context.budget = before


def has_budget() -> bool:
    """Whether weights are made for values of a file."""
    return _context.budget is not None


def spend(size: int) -> bool:
    """Take the bytes of a new weight out of the budget, if there is one; False: it is too small."""
    if _context.budget is None:
        return True
    _context.budget -= size
    return _context.budget >= 0


def path(name: str) -> str:
    """The path of a weight made here, e.g. lstm/lstm_cell/kernel."""
    return "/".join([*_context.names, name])


class _BuildLock:
    """One lock for all layers: building is rare, and a layer with its own could not be copied."""

    def __init__(self) -> None:
        self.renew()
        if hasattr(os, "register_at_fork"):  # another thread of the parent may hold it
            os.register_at_fork(after_in_child=self.renew)

    def renew(self) -> None:
        """A new lock that nobody holds."""
        self.lock = threading.RLock()


_building = _BuildLock()


def build_lock() -> threading.RLock:
    """Held by the thread that builds a layer; others wait, and then find it built."""
    return _building.lock
