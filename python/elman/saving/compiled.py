# SPDX-License-Identifier: Apache-2.0
"""What `compile` was given, in the files of whole models."""

from __future__ import annotations

import warnings
from collections.abc import Mapping
from typing import Any

from elman import losses, metrics, optimizers
from elman._signatures import parameters_of
from elman.saving import keras_config

_PARTS = ("loss", "metrics", "loss_weights", "weighted_metrics")


def configuration(model: Any, version: int) -> dict[str, Any] | None:
    """The arguments of `compile` for that version of Keras; None for a model without."""
    if model.objective is None:
        return None
    found = {name: _plain(value) for name, value in model.objective.given().items()}
    optimizer = optimizers.serialize(model.optimizer)
    name = "optimizer" if version == 3 else "optimizer_config"
    return keras_config.written({name: optimizer, **found}, version)


def _plain(value: Any) -> Any:
    """Losses, metrics and weights as names, configurations and numbers."""
    if isinstance(value, Mapping):
        return {key: _plain(item) for key, item in value.items()}
    if isinstance(value, (list, tuple)):
        return [_plain(item) for item in value]
    if value is None or isinstance(value, (str, int, float)):
        return value
    return losses.serialize(value)


def restore(model: Any, found: Any, version: int, custom_objects: Any) -> None:
    """Compile the model as the file says; a warning, and no more, when that is not possible."""
    try:
        given = keras_config.read(found or {}, version, custom_objects)
        optimizer = given.get("optimizer", given.get("optimizer_config"))
        if optimizer is None:  # the model was not compiled
            return
        parts = {name: _known(given.get(name)) for name in _PARTS}
        model.compile(_optimizer(optimizer, custom_objects), **parts)
    except (AttributeError, KeyError, TypeError, ValueError) as error:
        text = f"[models.load_model] the model is not compiled: {error}; call compile()"
        warnings.warn(text, UserWarning, stacklevel=4)


def _known(value: Any) -> Any:
    """Losses and metrics; tf-keras writes the ones it made of names as wrappers with a name."""
    if isinstance(value, list):
        return [_known(item) for item in value]
    if not isinstance(value, dict):
        return value
    if value.get("class_name") == "MeanMetricWrapper":
        config = value["config"]
        return metrics.get(config["fn"]) if isinstance(config.get("fn"), str) else config["name"]
    if "class_name" not in value:
        return {key: _known(item) for key, item in value.items()}
    config = value.get("config")
    if isinstance(config, dict):
        config = {key: item for key, item in config.items() if key not in ("fn", "dtype")}
        if config.get("reduction") == "auto":  # of Keras 2
            del config["reduction"]
    return {**value, "config": config}


def _optimizer(value: Any, custom_objects: Any) -> Any:
    """The optimizer, with the options that elman has; another one that is set is an error."""
    if not isinstance(value, dict) or not isinstance(value.get("config"), dict):
        return optimizers.get(value, custom_objects)
    name, config = str(value["class_name"]), dict(value["config"])
    known = getattr(optimizers, name, None)
    if known is None or not isinstance(known, type):
        return optimizers.get({"class_name": name, "config": config}, custom_objects)
    names = parameters_of(known.__init__)
    if "lr" in config:
        config["learning_rate"] = config.pop("lr")
    lost = {key: item for key, item in config.items() if key not in names}
    wanted = {key: item for key, item in lost.items() if item and key not in _WITHOUT_EFFECT}
    if wanted:
        raise ValueError(f"{name} has no {', '.join(f'{k}={v!r}' for k, v in wanted.items())}")
    config = {key: item for key, item in config.items() if key in names}
    if config.get("weight_decay") in (0, False):
        config["weight_decay"] = None
    return optimizers.get({"class_name": name, "config": config}, custom_objects)


# How Keras runs its optimizers, and options that act only together with `use_ema`.
_WITHOUT_EFFECT = frozenset(
    {"jit_compile", "is_legacy_optimizer", "ema_momentum", "ema_overwrite_frequency"}
)
