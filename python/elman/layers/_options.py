# SPDX-License-Identifier: Apache-2.0
"""Layer options, declared once: signature, validation, get_config and docs derive from them.

A layer class lists its arguments as `Option` attributes in the order of its signature. `declare`
turns them into an `__init__` whose `inspect.signature` shows names, order and concrete defaults.
"""

from __future__ import annotations

import functools
import inspect
import warnings
from collections.abc import Callable, Mapping
from typing import TYPE_CHECKING, Any

from elman import _serialization
from elman._errors import closest

REQUIRED: Any = inspect.Parameter.empty

# Names of Keras 1 (alpha: of Keras 2), used when the layer has the new name and not the old one.
_ALIASES = {
    "output_dim": "units",
    "init": "kernel_initializer",
    "inner_init": "recurrent_initializer",
    "inner_activation": "recurrent_activation",
    "bias": "use_bias",
    "W_regularizer": "kernel_regularizer",
    "U_regularizer": "recurrent_regularizer",
    "b_regularizer": "bias_regularizer",
    "W_constraint": "kernel_constraint",
    "U_constraint": "recurrent_constraint",
    "b_constraint": "bias_constraint",
    "dropout_W": "dropout",
    "dropout_U": "recurrent_dropout",
    "consume_less": "implementation",
    "p": "rate",
    "alpha": "negative_slope",
}
CONSUME_LESS = {"cpu": 0, "mem": 1, "gpu": 2}


class Option:
    """One argument of a layer.

    Args:
        default: value when the argument is not given; REQUIRED for none.
        check: `check(where, name, value)` returns the value to keep or raises.
        save: turns the kept value into what `get_config` writes.
        keyword: True for an argument that is given by name only.
        doc: one sentence for the layer's documentation.

    The checked value becomes the attribute of the same name.
    """

    def __init__(
        self,
        default: Any = REQUIRED,
        check: Callable[[str, str, Any], Any] | None = None,
        save: Callable[[Any], Any] | None = None,
        *,
        keyword: bool = False,
        doc: str = "",
    ) -> None:
        self.default, self.check, self.save = default, check, save
        self.keyword, self.doc, self.name = keyword, doc, ""

    def __set_name__(self, owner: type, name: str) -> None:
        self.name = name

    def __get__(self, instance: Any, owner: type | None = None) -> Any:
        if instance is None:
            return self
        raise AttributeError(f"{type(instance).__name__} has no {self.name!r} yet")

    if TYPE_CHECKING:  # values live in the instance's dict, which this descriptor does not touch

        def __set__(self, instance: Any, value: Any) -> None: ...

    def with_default(self, default: Any) -> Option:
        """The same option with another default."""
        option = Option(default, self.check, self.save, keyword=self.keyword, doc=self.doc)
        option.name = self.name
        return option

    def by_name(self) -> Option:
        """The same option as one that is given by name only."""
        option = Option(self.default, self.check, self.save, keyword=True, doc=self.doc)
        option.name = self.name
        return option

    def parameter(self) -> inspect.Parameter:
        """The option as a parameter of the layer's signature."""
        kind = inspect.Parameter.KEYWORD_ONLY if self.keyword else _BY_PLACE
        return inspect.Parameter(self.name, kind, default=self.default)


_BY_PLACE = inspect.Parameter.POSITIONAL_OR_KEYWORD


class FromCell:
    """An attribute of a recurrent layer that its cell holds; reading and writing go there."""

    def __init__(self, name: str) -> None:
        self.name = name

    def __get__(self, instance: Any, owner: type | None = None) -> Any:
        return self if instance is None else getattr(instance.cell, self.name)

    def __set__(self, instance: Any, value: Any) -> None:
        setattr(instance.cell, self.name, value)


def named(name: str, option: Option) -> Option:
    """An option that is declared outside a class body."""
    option.name = name
    return option


def declared(cls: type) -> dict[str, Option]:
    """The options of a class: those of its base, with its own overriding or appended."""
    own = {name: value for name, value in vars(cls).items() if isinstance(value, Option)}
    return {**getattr(cls, "_options", {}), **own}


def declare(cls: type, options: dict[str, Option], base: Mapping[str, Option]) -> None:
    """Give `cls` the `__init__` of its options, followed by the base keywords.

    The `__init__` checks all values and hands them to `cls._start(values, base_values)`.
    """
    every = {**base, **options}
    parameters = [option.parameter() for option in {**options, **every}.values()]
    parameters.sort(key=lambda parameter: parameter.kind)  # stable: keyword-only ones go last
    places = [p.name for p in parameters if p.kind is _BY_PLACE]

    def __init__(self: Any, *args: Any, **kwargs: Any) -> None:  # noqa: N807
        where = type(self).__name__
        given = _bind(where, places, every, args, kwargs)
        values = {name: _value(where, option, given) for name, option in options.items()}
        rest = {
            name: _value(where, option, given)
            for name, option in base.items()
            if name not in options
        }
        self._start(values, rest)

    receiver = inspect.Parameter("self", _BY_PLACE)
    __init__.__signature__ = inspect.Signature([receiver, *parameters])  # type: ignore[attr-defined]
    __init__.__qualname__ = f"{cls.__qualname__}.__init__"
    __init__.__module__ = cls.__module__
    cls.__init__ = __init__  # type: ignore[misc]


def _value(where: str, option: Option, given: Mapping[str, Any]) -> Any:
    value = given.get(option.name, option.default)
    if value is REQUIRED:
        raise TypeError(f"[{where}] missing argument {option.name!r}")
    return option.check(where, option.name, value) if option.check else value


def _bind(
    where: str,
    places: list[str],
    known: Mapping[str, Option],
    args: tuple[Any, ...],
    kwargs: Mapping[str, Any],
) -> dict[str, Any]:
    """The given arguments by their real names."""
    if len(args) > len(places):
        raise TypeError(
            f"[{where}] expected at most {len(places)} positional arguments, got {len(args)}"
        )
    given = dict(zip(places, args, strict=False))
    for key, value in kwargs.items():
        name = key
        if key not in known:
            name, value = _real(where, key, value, known)
        if name in given:
            raise TypeError(f"[{where}] argument {name!r} is given twice")
        given[name] = value
    return given


def _real(where: str, key: str, value: Any, known: Mapping[str, Option]) -> tuple[str, Any]:
    """Name and value of an argument given by its older name; TypeError for any other name."""
    name = older_name(key, known)
    if name not in known:
        near = closest(key, known)
        raise TypeError(f"[{where}] unknown argument {key!r}; did you mean {near!r}?")
    if key == "consume_less":
        if value not in CONSUME_LESS:
            raise ValueError(f"[{where}] {key}: expected 'cpu', 'mem' or 'gpu', got {value!r}")
        value = CONSUME_LESS[value]
    warnings.warn(f"[{where}] {key} is an older Keras name of {name}", UserWarning, stacklevel=5)
    return name, value


def older_name(key: str, known: Mapping[str, Any]) -> str:
    """What an argument that an older Keras took is called today; a name without another stays."""
    new = _ALIASES.get(key)
    return key if key in known or new is None or new not in known else new


def capture_arguments(init: Callable[..., None]) -> Callable[..., None]:
    """A user's `__init__` that also notes its arguments, for the default `get_config`."""

    @functools.wraps(init)
    def __init__(self: Any, *args: Any, **kwargs: Any) -> None:  # noqa: N807
        self.__dict__.setdefault("_init_arguments", (type(self), args, kwargs))
        init(self, *args, **kwargs)

    return __init__


def captured_config(layer: Any) -> dict[str, Any] | None:
    """The arguments that a user's layer was made with, or None if they are not all by name.

    Only numbers, strings, None and lists of them can be written; anything else is left to the
    user's own get_config.
    """
    cls, args, kwargs = layer.__dict__.get("_init_arguments", (None, (), {}))
    if cls is not type(layer):
        return None
    bound = inspect.signature(cls).bind(*args, **kwargs)
    config: dict[str, Any] = {}
    for name, value in bound.arguments.items():
        kind = bound.signature.parameters[name].kind
        if kind is inspect.Parameter.VAR_POSITIONAL:
            return None
        config.update(value if kind is inspect.Parameter.VAR_KEYWORD else {name: value})
    return config if all(map(_plain, config.values())) else None


def _plain(value: Any) -> bool:
    if isinstance(value, (list, tuple)):
        return all(map(_plain, value))
    if isinstance(value, dict):
        return all(isinstance(key, str) and _plain(item) for key, item in value.items())
    simple = value is None or isinstance(value, (bool, int, float, str))
    return simple or _serialization.keeps(value)


def argument_docs(options: Mapping[str, Option]) -> str:
    """The `Args` section of a layer's documentation."""
    rows = []
    for name, option in options.items():
        default = "" if option.default is REQUIRED else f" (default {option.default!r})"
        rows.append(f"        {name}: {option.doc}{default}".rstrip())
    return "\n    Args:\n" + "\n".join(rows) + "\n" if rows else ""
