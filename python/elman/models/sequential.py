# SPDX-License-Identifier: Apache-2.0
"""`Sequential`: layers one after the other."""

from __future__ import annotations

from collections.abc import Iterable, Mapping
from typing import Any

from elman._errors import fail_text
from elman._symbolic import Input, SymbolicTensor
from elman._tensors import is_array, shape_of
from elman.layers import InputLayer
from elman.layers._serialize import deserialize, serialize
from elman.layers.layer import Layer
from elman.models.model import Model


class Sequential(Model):
    """A chain of layers, each with one input and one output tensor.

    When the first layer says its input shape (`input_shape=`, `batch_input_shape=`, `input_dim=`,
    an `elman.Input` in front), every layer is built as it is added; otherwise the first data
    builds the model.

    Args:
        layers: list of layers.
        name: default 'sequential', 'sequential_1', ...
        kwargs: `trainable` and `dtype` of `Model`.

    Errors: TypeError for something that is no layer or that returns several tensors; ValueError for
    a layer that does not fit the one before it, or for a name that occurs twice.

    Example:
        >>> import elman
        >>> model = elman.Sequential([elman.layers.LSTM(32, input_shape=(10, 64))])
        >>> model.output_shape
        (None, 32)

    Source: Keras `Sequential`.
    """

    _one_input = _one_output = True
    _is_chain = True

    def __init__(
        self, layers: Iterable[Any] | None = None, name: str | None = None, **kwargs: Any
    ) -> None:
        super().__init__(name=name, **kwargs)
        self._layers: list[Any] = []
        # The symbolic input, and the output of each layer after it; empty until shapes are known.
        self._chain: list[SymbolicTensor] = []
        if layers is not None and not isinstance(layers, Iterable):
            expected, got = "a list of layers", repr(layers)
            raise TypeError(fail_text("Sequential", "layers", expected, got, "write [layer]"))
        for layer in layers or ():
            self.add(layer)

    # -- making it ------------------------------------------------------------------------------

    def add(self, layer: Any) -> None:
        """Append a layer."""
        if isinstance(layer, InputLayer):
            layer = layer.output
        if isinstance(layer, SymbolicTensor):
            self._start_from(layer)
            return
        if not isinstance(layer, Layer):
            expected, got = "a Layer", repr(layer)
            hint = ""
            if isinstance(layer, type) and issubclass(layer, Layer):
                hint = f"make an object of it: {layer.__name__}(...)"
            raise TypeError(fail_text("Sequential.add", "layer", expected, got, hint))
        if any(other.name == layer.name for other in self._layers):
            hint = "a layer can be added once; give it another name"
            got = f"{layer.name!r} twice"
            raise ValueError(fail_text("Sequential.add", "name", "different names", got, hint))
        if not self._layers and not self._chain:
            shape = _declared_shape(layer)
            if shape is not None:
                name = f"{layer.name}_input"
                self._chain = [Input(batch_shape=shape, name=name, dtype=layer.dtype)]
        if self._chain:
            try:
                output = self._extend(self._chain[-1], layer)
            except Exception:
                if not self._layers and self._chain[0].name == f"{layer.name}_input":
                    self._chain = []
                raise
            self._chain.append(output)
        self._layers.append(layer)
        self._changed()

    def _start_from(self, tensor: SymbolicTensor) -> None:
        if self._layers or self._chain or not isinstance(tensor.history.layer, InputLayer):
            hint = "an Input comes first"
            raise ValueError(fail_text("Sequential.add", "layer", "a Layer", repr(tensor), hint))
        self._chain = [tensor]

    def _extend(self, tensor: SymbolicTensor, layer: Any) -> SymbolicTensor:
        output = layer(tensor)
        if not isinstance(output, SymbolicTensor):
            got = f"{len(output)} from {layer.name!r}"
            hint = "remove return_state=True, or subclass Model"
            raise TypeError(fail_text("Sequential.add", "layer", "one output tensor", got, hint))
        return output

    def _changed(self) -> None:
        self.structure.refresh()
        self.output_names = [layer.name for layer in self._layers[-1:]] or None
        if self._chain and self._layers:
            self._input_shape, self.built = self._chain[0].shape, True
        elif not self._layers:
            self.built = False

    def pop(self) -> Any:
        """Remove the last layer and return it. Errors: TypeError when there is none."""
        if not self._layers:
            raise TypeError("[Sequential.pop] the model has no layers")
        if self._chain:
            self._chain.pop()
            if len(self._layers) == 1:
                self._chain = []
        layer = self._layers.pop()
        self._changed()
        return layer

    @property
    def layers(self) -> list[Any]:
        """The layers in order; an `Input` is not one of them."""
        return list(self._layers)

    def _ends(self, what: str) -> list[Any]:
        if not self._chain or not self._layers:
            return super()._ends(what)
        return [self._chain[0 if what == "inputs" else -1]]

    def _found(self) -> tuple[list[Any], list[Any]]:
        return [], self.__dict__.get("_layers", [])

    # -- building -------------------------------------------------------------------------------

    def build(self, input_shape: Any = None) -> None:
        """Build every layer for an input shape that includes the batch axis."""
        if not self._layers:
            raise ValueError("[Sequential.build] the model has no layers; add some first")
        if self._chain:
            if input_shape is not None and not _fits(self._chain[0].shape, input_shape):
                expected = str(self._chain[0].shape)
                raise ValueError(
                    fail_text("Sequential.build", "input_shape", expected, tuple(input_shape))
                )
            return
        if input_shape is None:
            raise ValueError(fail_text("Sequential.build", "input_shape", "a shape", None))
        name = f"{self._layers[0].name}_input"
        chain = [Input(batch_shape=input_shape, name=name, dtype=self._layers[0].dtype)]
        for layer in self._layers:
            chain.append(self._extend(chain[-1], layer))
        self._chain = chain
        self._changed()

    def _build_for(self, shape: Any) -> None:
        if not isinstance(shape, tuple):
            expected, got = "one tensor", f"{len(shape)} tensors"
            raise ValueError(fail_text("Sequential.call", "x", expected, got))
        stateful = any(getattr(layer, "stateful", False) for layer in self._layers)
        self.build(shape if stateful else (None, *shape[1:]))

    def compute_output_shape(self, input_shape: Any) -> Any:
        """The last layer's output shape."""
        shape = input_shape
        for layer in self._layers:
            shape = layer.compute_output_shape(shape)
        return shape

    # -- calling --------------------------------------------------------------------------------

    def _cast(self, x: Any) -> Any:
        if not self._layers:
            raise ValueError("[Sequential.call] the model is empty; add() a layer")
        if isinstance(x, Mapping):
            got = f"a dict with the keys {', '.join(map(repr, x)) or 'none'}"
            raise ValueError(fail_text("Sequential.call", "x", "one array", got))
        if isinstance(x, (list, tuple)) and len(x) == 1 and is_array(x[0]):
            shape = self.__dict__.get("_input_shape")
            if isinstance(shape, tuple) and len(shape_of(x[0])) == len(shape):
                x = x[0]  # a list of one input
        return self._layers[0]._cast(x)

    def call(self, inputs: Any, mask: Any = None) -> Any:
        """Every layer in order; `training` and masks travel by themselves."""
        layers = self._layers
        if mask is not None and layers:
            inputs, layers = layers[0](inputs, mask=mask), layers[1:]
        x = inputs
        for layer in layers:
            x = layer(x)
        return x

    def compute_mask(self, inputs: Any, mask: Any = None) -> Any:
        """The mask of the output: each layer passes its own on."""
        for layer in self._layers:
            mask = layer.compute_mask(inputs, mask)
        return mask

    def _chain_of_layers(self) -> list[Any]:
        return self._layers

    # -- configuration --------------------------------------------------------------------------

    def get_config(self) -> dict[str, Any]:
        """Name, layers and input shape in plain Python types."""
        config: dict[str, Any] = {
            "name": self.name,
            "trainable": self.trainable,
            "layers": [serialize(layer) for layer in self._layers],
        }
        if self._chain:
            config["build_input_shape"] = list(self._chain[0].shape)
        return config

    @classmethod
    def from_config(
        cls, config: Mapping[str, Any], custom_objects: Mapping[str, Any] | None = None
    ) -> Any:
        """A model with new weights from `get_config`'s dictionary.

        Keras 2 before 2.2.3 wrote the list of the layers alone.
        """
        if isinstance(config, list):
            config = {"layers": config}
        entries = config.get("layers")
        if not isinstance(entries, list):
            expected, got = "a list of layers", type(entries).__name__
            raise ValueError(fail_text("Sequential.from_config", "layers", expected, got))
        model = cls(name=config.get("name"), trainable=config.get("trainable", True))
        for entry in entries:
            model.add(deserialize(entry, custom_objects))
        shape = config.get("build_input_shape")
        if shape is not None and not model.built:
            model.build(tuple(shape))
        return model


def _declared_shape(layer: Any) -> Any:
    """The input shape that a first layer states, or that it is already built for."""
    if layer.batch_input_shape is not None:
        return layer.batch_input_shape
    if isinstance(layer, Sequential) and layer.built:
        return layer.input_shape
    return None


def _fits(known: Any, given: Any) -> bool:
    return len(known) == len(given) and all(
        a is None or b is None or a == b for a, b in zip(known, given, strict=True)
    )
