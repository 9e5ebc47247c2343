# SPDX-License-Identifier: Apache-2.0
"""An unknown keyword argument is a TypeError that names the closest known one."""

from __future__ import annotations

import functools
import inspect
from collections.abc import Callable
from typing import Any, ParamSpec, TypeVar

from elman._errors import closest

_P = ParamSpec("_P")
_R = TypeVar("_R")

# Names of older Keras versions that the distance between words does not find.
_OLDER = {"lr": "learning_rate", "nb_epoch": "epochs", "nb_worker": "workers", "fn": "function"}


def check_keywords(where: str, given: Any, known: list[str]) -> None:
    """TypeError for the first of the given names that is not known."""
    for name in given:
        if name not in known:
            near = _OLDER.get(name)
            near = near if near in known else closest(name, known)
            hint = f"; did you mean {near!r}?" if near else ""
            raise TypeError(f"[{where}] unknown argument {name!r}{hint}")


def named_keywords(function: Callable[_P, _R], where: str = "") -> Callable[_P, _R]:
    """The same function with a better error for an unknown keyword."""
    parameters = inspect.signature(function).parameters.values()
    if any(parameter.kind is parameter.VAR_KEYWORD for parameter in parameters):
        return function
    known = [p.name for p in parameters if p.kind is not p.VAR_POSITIONAL and p.name != "self"]
    allowed = frozenset(known)

    @functools.wraps(function)
    def checked(*args: _P.args, **kwargs: _P.kwargs) -> _R:
        if not allowed.issuperset(kwargs):
            owner = type(args[0]).__name__ if args and not where else ""
            method = "" if function.__name__ == "__init__" else f".{function.__name__}"
            check_keywords(where or f"{owner}{method}", kwargs, known)
        return function(*args, **kwargs)

    return checked


class NamedKeywords:
    """Mixin: the `__init__` of every subclass has `named_keywords`."""

    def __init_subclass__(cls, **kwargs: Any) -> None:
        super().__init_subclass__(**kwargs)
        if "__init__" in vars(cls):
            cls.__init__ = named_keywords(cls.__init__)
