# SPDX-License-Identifier: Apache-2.0
"""The options of layers as Keras 1 called them.

Those of recurrent and dense layers that every elman layer takes by their older names are in
`elman.layers._options`; here is what only files need.
"""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any

from elman.layers._options import CONSUME_LESS

# Older name -> present name, where the layer has the present one.
_NAMES = {
    "nb_filter": "filters",
    "subsample": "strides",
    "subsample_length": "strides",
    "stride": "strides",
    "border_mode": "padding",
    "pool_length": "pool_size",
    "dim_ordering": "data_format",
    "gamma_init": "gamma_initializer",
    "beta_init": "beta_initializer",
    "sigma": "stddev",
}
_EMBEDDING = {
    "init": "embeddings_initializer",
    "W_regularizer": "embeddings_regularizer",
    "W_constraint": "embeddings_constraint",
}
_FORMATS = {"tf": "channels_last", "th": "channels_first", "default": None}
# What has no counterpart, with the values that change nothing.
_OFF: dict[str, tuple[Any, ...]] = {
    "input_dtype": ("float32", "float64", "int32", "int64"),
    "mode": (0,),
    "dropout": (0.0, None),
    "forget_bias_init": (),
}


def renamed(name: str, config: Mapping[str, Any], known: Mapping[str, Any]) -> dict[str, Any]:
    """The options of a layer by the names of Keras 2.

    Args:
        name: class of the layer.
        config: its options.
        known: the options that the layer has.
    """
    names = {**_NAMES, **_EMBEDDING} if name == "Embedding" else _NAMES
    found: dict[str, Any] = {}
    for key, value in config.items():
        new = names.get(key, key)
        if key in known or new not in known:
            new = key
        if new == "data_format" and isinstance(value, str):
            value = _FORMATS.get(value, value)
        if key == "consume_less" and isinstance(value, str):
            value = CONSUME_LESS.get(value, value)
        if key not in known and key in _OFF and value in _OFF[key]:
            continue
        found[new] = _penalty(value) if new.endswith("_regularizer") else value
    sizes = [found.pop(key) for key in ("nb_row", "nb_col", "filter_length") if key in found]
    if sizes and "kernel_size" in known:
        found["kernel_size"] = sizes
    if "forget_bias_init" in found and "unit_forget_bias" in known:
        found["unit_forget_bias"] = found.pop("forget_bias_init") == "one"
    return found


def _penalty(value: Any) -> Any:
    """A regularizer as an object's configuration."""
    if isinstance(value, Mapping) and "name" in value and "class_name" not in value:
        options = {key: value.get(key, 0.0) for key in ("l1", "l2")}
        return {"class_name": "L1L2", "config": options}
    return value
