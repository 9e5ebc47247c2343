# SPDX-License-Identifier: Apache-2.0
"""Error texts in the house form: ``[Layer.method] what: expected this, got that; the fix``."""

from __future__ import annotations

import difflib
from collections.abc import Iterable


def fail_text(where: str, what: str, expected: str, got: object, hint: str = "") -> str:
    """One error text, e.g. ``[LSTM.call] x: expected (N, T, 8), got (4, 10, 5); the last ...``."""
    text = f"[{where}] {what}: expected {expected}, got {got}"
    return f"{text}; {hint}" if hint else text


def shape_text(shape: Iterable[object] | None) -> str:
    """A shape as a tuple with None for unknown axes, whatever sequence type it came in."""
    return "an unknown shape" if shape is None else str(tuple(shape))


def closest(name: str, known: Iterable[str], cutoff: float = 0.0) -> str | None:
    """The known name most like `name`; None when there is none, or none of that similarity."""
    candidates = list(known)
    lowered = {candidate.lower(): candidate for candidate in reversed(candidates)}
    found = difflib.get_close_matches(name.lower(), list(lowered), 1, cutoff=cutoff)
    return lowered[found[0]] if found else None


def unknown_text(where: str, what: str, name: object, known: Iterable[str]) -> str:
    """``[activations.get] unknown activation 'rleu'; did you mean 'relu'?``, else all names."""
    names = list(known)
    near = closest(str(name), names, cutoff=0.6)
    text = f"[{where}] unknown {what} {name!r}"
    if near:
        return f"{text}; did you mean {near!r}?"
    # Most are known by two names, the class and its snake form.
    shown = [known for known in names if known.islower()] or names
    return f"{text}; there are {', '.join(shown)}" if shown else text
