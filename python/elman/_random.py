# SPDX-License-Identifier: Apache-2.0
"""Random keys: a draw is a pure function of (seed, counter, element), whatever the threads.

The core's generator (Philox) keeps no state. What the package keeps is one counter: each draw of a
weight or of a dropout mask takes the next value, and `elman.utils.set_random_seed` starts it again.
"""

from __future__ import annotations

import itertools
import os

_MASK = 2**63 - 1


class Stream:
    """A seed and a counter that gives every draw its own key.

    A layer made with ``seed=`` owns one, so its draws do not depend on what else is drawn.
    """

    __slots__ = ("_counter", "seed")

    def __init__(self, seed: int | None = None) -> None:
        self.seed = (
            int.from_bytes(os.urandom(8), "little") >> 1 if seed is None else int(seed) & _MASK
        )
        self._counter = itertools.count()

    def next_key(self) -> tuple[int, int]:
        """(seed, counter) for one draw; the counter rises by one per call, from any thread."""
        return self.seed, next(self._counter)

    def __getstate__(self) -> tuple[int, int]:
        """Seed and next counter: a copy or an unpickled stream continues with the same keys."""
        position = next(self._counter)
        self._counter = itertools.count(position)
        return self.seed, position

    def __setstate__(self, state: tuple[int, int]) -> None:
        self.seed, position = state
        self._counter = itertools.count(position)


_global = Stream()


def set_seed(seed: int) -> None:
    """Start the package's own random numbers again from `seed`."""
    global _global
    _global = Stream(seed)


def next_key() -> tuple[int, int]:
    """The next (seed, counter) of the package's global stream."""
    return _global.next_key()


def stream(seed: int | None) -> Stream | None:
    """A stream of its own for an explicit seed; None means: use the global one."""
    return None if seed is None else Stream(seed)


def key_of(own: Stream | None) -> tuple[int, int]:
    """The next key of a layer's own stream, or of the global one when it has none."""
    return _global.next_key() if own is None else own.next_key()
