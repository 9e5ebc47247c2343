# SPDX-License-Identifier: Apache-2.0
"""Objects as plain configurations: ``{"class_name": ..., "config": {...}}`` and back.

One look-up order everywhere: the `custom_objects` argument, enclosing `custom_object_scope`s,
registered objects, the module's own names, then classes that the running program has defined.
"""

from __future__ import annotations

import contextlib
import threading
from collections.abc import Callable, Iterator, Mapping
from typing import Any, TypeVar

from elman._errors import unknown_text

_T = TypeVar("_T")
_registered: dict[str, Any] = {}
_defined: dict[str, Any] = {}


class _Scopes(threading.local):
    def __init__(self) -> None:
        self.stack: list[Mapping[str, Any]] = []


_scopes = _Scopes()


@contextlib.contextmanager
def custom_object_scope(*objects: Mapping[str, Any]) -> Iterator[None]:
    """Within the block, names in `objects` are known to every `get` and `from_config`."""
    _scopes.stack.extend(objects)
    try:
        yield
    finally:
        del _scopes.stack[len(_scopes.stack) - len(objects) :]


def register_keras_serializable(
    package: str = "Custom", name: str | None = None
) -> Callable[[_T], _T]:
    """Class decorator: the object is found by its name, and by ``package>name``, when loading."""

    def register(obj: _T) -> _T:
        plain = name or getattr(obj, "__name__", type(obj).__name__)
        _registered[plain] = _registered[f"{package}>{plain}"] = obj
        return obj

    return register


def remember_class(cls: type) -> None:
    """Note a class that the program has defined; the last look-up step."""
    _defined[cls.__name__] = cls


def find(
    name: str, known: Mapping[str, Any], custom_objects: Mapping[str, Any] | None = None
) -> Any:
    """The object of that name in look-up order, or None."""
    for names in (custom_objects or {}, *reversed(_scopes.stack), _registered, known, _defined):
        if name in names:
            return names[name]
    return None


def serialize_object(obj: Any) -> dict[str, Any]:
    """Configuration of an object that has get_config."""
    return {"class_name": type(obj).__name__, "config": obj.get_config()}


def deserialize_object(
    config: Mapping[str, Any],
    known: Mapping[str, Any],
    custom_objects: Mapping[str, Any] | None,
    where: str,
    what: str,
) -> Any:
    """The object of a configuration: of this package, of Keras 2, or of Keras 3.

    Errors: ValueError for something that is no configuration or names an unknown object.
    """
    name = config.get("class_name")
    if not isinstance(name, str):
        keys = sorted(map(str, config))
        raise ValueError(
            f"[{where}] {what}: expected a config with 'class_name' and 'config', got keys {keys}"
        )
    inner = config.get("config")
    if name == "function":  # Keras 3 writes functions as {"class_name": "function", "config": name}
        name, inner = str(config.get("registered_name") or inner), None
    found = find(name, known, custom_objects)
    if found is None:
        raise ValueError(
            unknown_text(where, what, name, known)
            + " Own objects are named in custom_objects={...}"
        )
    if not isinstance(found, type):
        return found
    if not hasattr(found, "from_config"):
        return found(**(inner or {}))
    from_config: Any = getattr(found, "from_config")  # noqa: B009 - checked on the line above
    if custom_objects:
        with custom_object_scope(custom_objects):
            return from_config(dict(inner or {}))
    return from_config(dict(inner or {}))


def serialize_or_name(obj: Any) -> Any:
    """The config of an object, the name of a function, or None for None."""
    if obj is None:
        return None
    if hasattr(obj, "get_config"):
        return serialize_object(obj)
    return getattr(obj, "__name__", type(obj).__name__)
