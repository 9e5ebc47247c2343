# SPDX-License-Identifier: Apache-2.0
"""The `get` of losses, metrics, optimizers and schedules: a name or configuration -> the object."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any

from elman._errors import fail_text, unknown_text
from elman._serialization import deserialize_object, find


def lookup(
    identifier: Any,
    known: Mapping[str, Any],
    where: str,
    what: str,
    custom_objects: Mapping[str, Any] | None = None,
) -> Any:
    """The object of a name or configuration; classes are instantiated, anything callable passes.

    Errors: ValueError for an unknown name, with the nearest known one.
    """
    if isinstance(identifier, str):
        found = find(identifier, known, custom_objects)
        if found is None:
            raise ValueError(unknown_text(where, what, identifier, known))
        identifier = found
    if isinstance(identifier, Mapping):
        return deserialize_object(identifier, known, custom_objects, where, what)
    if isinstance(identifier, type):
        return identifier()
    if callable(identifier):
        return identifier
    expected = f"a name, a configuration or a {what}"
    raise ValueError(fail_text(where, "identifier", expected, repr(identifier)))
