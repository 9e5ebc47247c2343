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
        # Objects of the configuration that is being written, or read, at the moment.
        self.written: dict[int, tuple[Any, dict[str, Any]]] | None = None
        self.read: dict[tuple[int, str], Any] | None = None
        self.in_process = False


_scopes = _Scopes()


@contextlib.contextmanager
def custom_object_scope(*objects: Mapping[str, Any]) -> Iterator[None]:
    """Within the block, names in `objects` are known to every `get` and `from_config`."""
    _scopes.stack.extend(objects)
    try:
        yield
    finally:
        del _scopes.stack[len(_scopes.stack) - len(objects) :]


@contextlib.contextmanager
def one_configuration() -> Iterator[None]:
    """Within the outermost such block an object that is written twice is read back as one.

    Both of its configurations get the same "shared_object_id", as in TensorFlow's Keras.
    """
    before = _scopes.written, _scopes.read
    if _scopes.written is None:
        _scopes.written, _scopes.read = {}, {}
    try:
        yield
    finally:
        _scopes.written, _scopes.read = before


@contextlib.contextmanager
def in_process() -> Iterator[None]:
    """Within the block configurations are for this process: they hold functions, not their names.

    A copy of a layer then needs neither a name for a function nor custom_objects.
    """
    before, _scopes.in_process = _scopes.in_process, True
    try:
        yield
    finally:
        _scopes.in_process = before


def keeps(value: Any) -> bool:
    """Whether a configuration takes the value as it is: a function, within `in_process`."""
    return _scopes.in_process and callable(value) and not hasattr(value, "get_config")


def mark_shared(obj: Any, entry: dict[str, Any]) -> None:
    """Give the configuration of an object that was written before the number of the first one."""
    seen = _scopes.written
    if seen is None:
        return
    first = seen.setdefault(id(obj), (obj, entry))[1]
    if first is not entry:
        numbers = [known.get("shared_object_id", 0) for _, known in seen.values()]
        entry["shared_object_id"] = first.setdefault("shared_object_id", 1 + max(numbers))


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
    if not isinstance(config, Mapping) or not isinstance(config.get("class_name"), str):
        found = f"keys {sorted(map(str, config))}" if isinstance(config, Mapping) else repr(config)
        expected = "a config with 'class_name' and 'config'"
        raise ValueError(f"[{where}] {what}: expected {expected}, got {found:.200}")
    number, memo = config.get("shared_object_id"), _scopes.read
    if memo is None or not isinstance(number, int):
        return _made(config, known, custom_objects, where, what)
    key = number, config["class_name"]
    if key not in memo:
        memo[key] = _made(config, known, custom_objects, where, what)
    return memo[key]


def _made(
    config: Mapping[str, Any],
    known: Mapping[str, Any],
    custom_objects: Mapping[str, Any] | None,
    where: str,
    what: str,
) -> Any:
    name, inner = str(config["class_name"]), config.get("config")
    if name == "function":  # Keras 3 writes functions as {"class_name": "function", "config": name}
        name, inner = str(config.get("registered_name") or inner), None
    found = find(name, known, custom_objects)
    if found is None:
        raise ValueError(
            f"{unknown_text(where, what, name, known)} Name own objects in "
            f"custom_objects={{{name!r}: ...}}, or register them with "
            "elman.utils.register_keras_serializable"
        )
    if not isinstance(found, type):
        return found
    if not isinstance(inner, (Mapping, list, type(None))):
        expected, got = f"the arguments of {name} as a dict", type(inner).__name__
        raise ValueError(f"[{where}] {what}: expected {expected}, got {got}")
    if not hasattr(found, "from_config"):
        return found(**dict(inner or {}))
    from_config: Any = getattr(found, "from_config")  # noqa: B009 - checked on the line above
    arguments = inner if isinstance(inner, list) else dict(inner or {})
    if custom_objects:
        with custom_object_scope(custom_objects):
            return from_config(arguments)
    return from_config(arguments)


def serialize_or_name(obj: Any) -> Any:
    """The config of an object, the name of a function, or None for None."""
    if obj is None:
        return None
    if hasattr(obj, "get_config"):
        return serialize_object(obj)
    return obj if keeps(obj) else getattr(obj, "__name__", type(obj).__name__)
