# SPDX-License-Identifier: Apache-2.0
"""Error texts in the house form: ``[Layer.method] what: expected this, got that; the fix``."""

from __future__ import annotations

import difflib
import numbers
import re
from collections.abc import Container, Iterable, Sequence
from numbers import Number
from typing import Any


def fail_text(where: str, what: str, expected: str, got: object, hint: str = "") -> str:
    """One error text, e.g. ``[LSTM.call] x: expected (N, T, 8), got (4, 10, 5); the last ...``."""
    text = f"[{where}] {what}: expected {expected}, got {got}"
    return f"{text}; {hint}" if hint else text


def shape_text(shape: Iterable[object] | None) -> str:
    """A shape as a tuple with None for unknown axes, whatever sequence type it came in."""
    return "an unknown shape" if shape is None else str(tuple(shape))


def list_text(shapes: Sequence[object]) -> str:
    """The shapes of several arrays: ``a list of (5, 4), (3, 4), ...``."""
    shown = ", ".join(map(str, shapes[:2]))
    return f"a list of {shown}, ..." if len(shapes) > 2 else f"a list of {shown}"


class renamed:  # noqa: N801 - used like a function
    """Within the block, errors in house form name `outer` where they named `inner`.

    "{}" in `outer` is what they named: with "TimeDistributed({})", [LSTM.call] becomes
    [TimeDistributed(LSTM).call]. Errors of other classes are left alone. `names` are those of the
    layer inside and of the one that an error shows instead.
    """

    def __init__(self, inner: str, outer: str, names: tuple[str, str] | None = None) -> None:
        self._inner, self._outer, self._names = inner, outer, names

    def __enter__(self) -> None:
        pass

    def __exit__(self, kind: Any, error: Any, trace: Any) -> None:
        if not isinstance(error, (TypeError, ValueError, MemoryError)) or not error.args:
            return
        found = _LABEL.match(str(error.args[0]))
        if found and found[1].split("(")[0] == self._inner:
            label, rest = self._outer.replace("{}", found[1]), error.args[0][found.end(1) :]
            if self._names:
                inner, outer = (f"layer {name!r})" for name in self._names)
                rest = rest.replace(inner, outer)
            error.args = (f"[{label}{rest}", *error.args[1:])


_LABEL = re.compile(r"\[([\w()]+)[.\]]")  # the class in [LSTM] or [LSTM.call]


def is_one_of(value: object, known: Container[object]) -> bool:
    """Whether a name, number or None is among the known ones; False for anything else.

    `value in known` would ask an array for its truth.
    """
    return (value is None or isinstance(value, (str, Number))) and value in known


def is_whole(value: object) -> bool:
    """Whether it is an integer of any type; a bool is not."""
    return isinstance(value, numbers.Integral) and not isinstance(value, bool)


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
