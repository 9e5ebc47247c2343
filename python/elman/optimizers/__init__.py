# SPDX-License-Identifier: Apache-2.0
"""Optimizers and learning-rate schedules, with the names and arguments of Keras."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any

from elman._lookup import lookup
from elman.optimizers import schedules as schedules
from elman.optimizers.adagrad import Adadelta as Adadelta
from elman.optimizers.adagrad import Adagrad as Adagrad
from elman.optimizers.adam import Adam as Adam
from elman.optimizers.adam import Adamax as Adamax
from elman.optimizers.adam import AdamW as AdamW
from elman.optimizers.adam import Nadam as Nadam
from elman.optimizers.base import Optimizer as Optimizer
from elman.optimizers.sgd import SGD as SGD
from elman.optimizers.sgd import RMSprop as RMSprop

_CLASSES = (SGD, RMSprop, Adam, AdamW, Adagrad, Adadelta, Adamax, Nadam)
_KNOWN = {
    **{cls.__name__.lower(): cls for cls in _CLASSES},
    **{cls.__name__: cls for cls in _CLASSES},
    "rms_prop": RMSprop,
}


def get(identifier: Any, custom_objects: Mapping[str, Any] | None = None) -> Optimizer:
    """An optimizer from a name in any case, a configuration, a class or an object.

    Errors: ValueError for an unknown name, TypeError for an object that is no optimizer.

    Example:
        >>> import elman
        >>> elman.optimizers.get("adam").name
        'adam'
    """
    if isinstance(identifier, Optimizer):
        return identifier
    if isinstance(identifier, str) and identifier.lower() in _KNOWN:
        identifier = identifier.lower()
    found = lookup(identifier, _KNOWN, "optimizers.get", "optimizer", custom_objects)
    if not isinstance(found, Optimizer):
        raise TypeError(f"[optimizers.get] identifier: expected an optimizer, got {found!r}")
    return found


def serialize(optimizer: Optimizer) -> dict[str, Any]:
    """A configuration from which `get` makes an equal optimizer."""
    return {"class_name": type(optimizer).__name__, "config": optimizer.get_config()}


def deserialize(config: Mapping[str, Any], custom_objects: Mapping[str, Any] | None = None) -> Any:
    """The inverse of `serialize`."""
    return get(config, custom_objects)
