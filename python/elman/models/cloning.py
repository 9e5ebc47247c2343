# SPDX-License-Identifier: Apache-2.0
"""Models from configurations and JSON, and copies of models with new weights."""

from __future__ import annotations

import json
from collections.abc import Callable, Mapping
from typing import Any

from elman._errors import fail_text
from elman._serialization import in_process
from elman._symbolic import Input
from elman.layers._serialize import deserialize
from elman.models.graph import Graph
from elman.models.model import Model
from elman.models.sequential import Sequential
from elman.saving import keras_config


def model_from_config(
    config: Mapping[str, Any], custom_objects: Mapping[str, Any] | None = None
) -> Any:
    """A model with new weights from ``{"class_name": ..., "config": ...}``.

    Errors: ValueError for something that describes no model; see `model_from_json`.
    """
    model = deserialize(config, custom_objects)
    if not isinstance(model, Model):
        got = f"a {type(model).__name__}"
        raise ValueError(fail_text("models.model_from_config", "config", "one of a model", got))
    return model


def model_from_json(json_string: str, custom_objects: Mapping[str, Any] | None = None) -> Any:
    """A model with new weights from the text of `model.to_json()`.

    Args:
        json_string: the text; also what Keras 2 and 3 write, as far as elman has the layers. The
            'hard_sigmoid' of Keras 3 becomes 'hard_sigmoid_v3', which is that function.
        custom_objects: name -> own layer, cell, activation and so on. Alternatives are
            `elman.utils.custom_object_scope` and `register_keras_serializable`.

    Errors: ValueError for a text that is no JSON, an incomplete configuration or an unknown name;
    TypeError for arguments that a layer does not have. Nothing of the text is executed: names are
    looked up among the layers and the objects that the program has named or defined.

    Example:
        >>> import elman
        >>> model = elman.Sequential([elman.layers.LSTM(4, input_shape=(None, 3))])
        >>> elman.models.model_from_json(model.to_json()).output_shape
        (None, 4)
    """
    try:
        config = json.loads(json_string)
    except (ValueError, RecursionError) as error:
        text = f"[models.model_from_json] json_string: expected JSON, got {error}"
        raise ValueError(text) from None
    try:
        return model_from_config(keras_config.read_json(config, custom_objects), custom_objects)
    except RecursionError:
        raise ValueError(
            "[models.model_from_json] json_string: expected models nested a few levels deep"
        ) from None


def clone_model(
    model: Any, input_tensors: Any = None, clone_function: Callable[[Any], Any] | None = None
) -> Any:
    """The same architecture with new layers and new weights.

    Args:
        model: a functional or Sequential model; of a subclass of `Model`, one whose arguments
            `get_config` knows.
        input_tensors: `elman.Input` tensors that the copy starts from, as one, a list or a dict;
            new ones by default.
        clone_function: layer -> the layer that takes its place; by default a new one of the same
            configuration. `InputLayer`s are not given to it.

    Errors: TypeError for something that is no model.

    Example:
        >>> import elman
        >>> model = elman.Sequential([elman.layers.Dense(2, input_shape=(3,), name="d")])
        >>> elman.models.clone_model(model).get_layer("d").kernel.shape
        (3, 2)
    """
    if not isinstance(model, Model):
        raise TypeError(fail_text(_WHERE, "model", "a model", type(model).__name__))
    return _Cloning(clone_function).model(model, input_tensors)


_WHERE = "models.clone_model"


class _Cloning:
    """One clone of a model; a layer that occurs at several places is cloned once."""

    def __init__(self, function: Callable[[Any], Any] | None) -> None:
        self._function = function
        self._made: dict[int, Any] = {}

    def model(self, model: Any, input_tensors: Any = None) -> Any:
        """The clone of a model."""
        if isinstance(model, Sequential):
            return self._sequential(model, input_tensors)
        if model._graph is not None:
            return self._functional(model, model._graph, input_tensors)
        if input_tensors is not None or self._function is not None:
            expected = "a functional or Sequential model for input_tensors and clone_function"
            raise ValueError(fail_text(_WHERE, "model", expected, type(model).__name__))
        return _same(model)

    def _layer(self, layer: Any) -> Any:
        if id(layer) not in self._made:
            if self._function is not None:
                made = self._function(layer)
            elif isinstance(layer, Model):
                made = self.model(layer)
            else:
                made = _same(layer)
            self._made[id(layer)] = made
        return self._made[id(layer)]

    def _functional(self, model: Any, graph: Graph, input_tensors: Any) -> Any:
        if input_tensors is None:
            starts = [_same(tensor.history.layer).output for tensor in graph.inputs]
        else:
            starts = model._arguments.in_order(_WHERE, "input_tensors", input_tensors)
        ends = graph.replay(
            starts, lambda node, args, kwargs: self._layer(node.layer)(*args, **kwargs)
        )
        keys = graph.input_keys
        inputs = starts if keys is None else dict(zip(keys, starts, strict=True))
        return Model(inputs, graph.packed(ends), name=model.name, trainable=model.trainable)

    def _sequential(self, model: Any, input_tensors: Any) -> Any:
        copy = Sequential(name=model.name, trainable=model.trainable)
        if input_tensors is not None:
            given = input_tensors if isinstance(input_tensors, (list, tuple)) else [input_tensors]
            if len(given) != 1:
                raise ValueError(fail_text(_WHERE, "input_tensors", "one tensor", len(given)))
            copy.add(given[0])
        elif model._chain:
            start = model._chain[0]
            copy.add(Input(batch_shape=start.shape, name=start.name, dtype=start.dtype))
        for layer in model.layers:
            copy.add(self._layer(layer))
        return copy


def _same(layer: Any) -> Any:
    """A layer of the same configuration, whose functions are the same objects."""
    with in_process():
        return type(layer).from_config(layer.get_config())
