# SPDX-License-Identifier: Apache-2.0
"""Layers and cells as configurations and back."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any

from elman import _serialization


def serialize(layer: Any) -> dict[str, Any]:
    """``{"class_name": ..., "config": ...}`` of a layer or a cell.

    Raises:
        TypeError: an object without get_config.
    """
    if not hasattr(layer, "get_config"):
        name = type(layer).__name__
        raise TypeError(f"[layers.serialize] expected an object with get_config, got {name}")
    entry = _serialization.serialize_object(layer)
    _serialization.mark_shared(layer, entry)
    return entry


def deserialize(config: Mapping[str, Any], custom_objects: Mapping[str, Any] | None = None) -> Any:
    """The layer or cell of a configuration; own classes are named in `custom_objects`.

    Raises:
        ValueError: no configuration, or an unknown class.
    """
    from elman import layers, models

    known = {name: getattr(layers, name) for name in layers.__all__}
    known |= {"Model": models.Model, "Functional": models.Model, "Sequential": models.Sequential}
    with _serialization.one_configuration():
        return _serialization.deserialize_object(
            config, known, custom_objects, "layers.deserialize", "layer"
        )
