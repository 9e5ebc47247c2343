# SPDX-License-Identifier: Apache-2.0
"""Wrapper: what layers around another layer share."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any

from elman._errors import fail_text, renamed
from elman.layers._serialize import deserialize
from elman.layers.layer import Layer


def check_layer(where: str, name: str, value: Any) -> Layer:
    """A layer; ValueError for anything else."""
    if isinstance(value, Layer):
        return value
    if isinstance(value, type) and issubclass(value, Layer):
        hint = f"make an object of it: {value.__name__}(...)"
        raise ValueError(fail_text(where, name, "a layer", f"the class {value.__name__}", hint))
    raise ValueError(fail_text(where, name, "a layer", repr(value)))


class Wrapper(Layer):
    """Base of layers around another layer, the option `layer`, whose weights and type they have."""

    supports_masking = True

    layer: Any

    def _inner(self) -> list[Any]:
        """The layers inside."""
        return [self.layer]

    def _setup(self) -> None:
        for layer in self._inner():
            self._share_dtype(layer)

    def _share_dtype(self, layer: Any) -> None:
        """One type for both: the one that was given to either."""
        if not self._dtype_given:
            self.dtype = layer.dtype
        elif layer.dtype != self.dtype:
            if layer._dtype_given or layer.built:
                name, types = type(self).__name__, f"{self.dtype} and {layer.dtype}"
                raise ValueError(
                    f"[{name}] dtype: expected one type, got {types} on {name} and the layer in it"
                )
            for part in [layer, *_parts_of(layer)]:
                part.dtype = self.dtype

    def _naming(self) -> renamed:
        """A block whose errors of the layer inside name both: [Bidirectional(LSTM).call]."""
        own, inner = type(self).__name__, type(self._inner()[0]).__name__
        return renamed(inner, "{}" if inner == own else f"{own}({{}})")

    def _call_checked(self, inputs: Any, args: Any, kwargs: Any, mask: Any, training: Any) -> Any:
        with self._naming():
            return super()._call_checked(inputs, args, kwargs, mask, training)

    def _cast(self, x: Any) -> Any:
        """Inputs as the layer inside takes them."""
        return self._inner()[0]._cast(x)

    @classmethod
    def from_config(
        cls, config: Mapping[str, Any], custom_objects: Mapping[str, Any] | None = None
    ) -> Any:
        """A layer from `get_config`'s dictionary; own classes are named in `custom_objects`."""
        config = dict(config)
        for name in ("layer", "backward_layer"):
            if isinstance(config.get(name), Mapping):
                config[name] = deserialize(config[name], custom_objects)
        return super().from_config(config, custom_objects)


def _parts_of(layer: Any) -> list[Any]:
    """The layers within a layer, at any depth."""
    return [part for own in layer._sublayers() for part in (own, *_parts_of(own))]
