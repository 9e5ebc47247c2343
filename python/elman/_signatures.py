# SPDX-License-Identifier: Apache-2.0
"""Which arguments a user's function takes."""

from __future__ import annotations

import inspect
from collections.abc import Callable
from typing import Any


def parameters_of(function: Callable[..., Any]) -> tuple[str, ...]:
    """Names of the explicit parameters; empty when they cannot be known."""
    try:
        parameters = inspect.signature(function).parameters.values()
    except (TypeError, ValueError):
        return ()
    variadic = (inspect.Parameter.VAR_POSITIONAL, inspect.Parameter.VAR_KEYWORD)
    return tuple(p.name for p in parameters if p.kind not in variadic)


def takes_any_keyword(function: Callable[..., Any]) -> bool:
    """True for a function with **kwargs, and where the signature cannot be known."""
    try:
        parameters = inspect.signature(function).parameters.values()
    except (TypeError, ValueError):
        return True
    return any(p.kind is inspect.Parameter.VAR_KEYWORD for p in parameters)


def accepted(function: Callable[..., Any], **candidates: Any) -> dict[str, Any]:
    """Those of the candidate keyword arguments that the function takes."""
    names = parameters_of(function)
    return {name: value for name, value in candidates.items() if name in names}
