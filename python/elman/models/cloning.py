# SPDX-License-Identifier: Apache-2.0
"""Models from configurations and JSON, and copies of models with new weights."""

from __future__ import annotations

import json
from collections.abc import Callable, Mapping
from typing import Any

from elman._errors import fail_text
from elman._symbolic import Input
from elman.layers._serialize import deserialize
from elman.layers.input_layer import InputLayer
from elman.models.model import Model
from elman.models.sequential import Sequential


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
        json_string: the text; also what Keras 2 and 3 write, as far as elman has the layers.
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
        return model_from_config(config, custom_objects)
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
    where = "models.clone_model"
    if not isinstance(model, Model):
        raise TypeError(fail_text(where, "model", "a model", type(model).__name__))
    clone = _same if clone_function is None else clone_function
    if isinstance(model, Sequential):
        return _clone_sequential(where, model, input_tensors, clone)
    if model._graph is None:
        if input_tensors is not None or clone_function is not None:
            expected = "a functional or Sequential model for input_tensors and clone_function"
            raise ValueError(fail_text(where, "model", expected, type(model).__name__))
        return _same(model)
    graph = model._graph
    if input_tensors is None:
        starts = [_new_input(tensor) for tensor in graph.inputs]
    else:
        starts = model._arguments.in_order(where, "input_tensors", input_tensors)
    layers = {id(x): clone(x) for x in graph.layers if not isinstance(x, InputLayer)}

    def call(node: Any, args: Any, kwargs: Any) -> Any:
        return layers[id(node.layer)](*args, **kwargs)

    ends = graph.replay(starts, call)
    inputs = (
        starts if graph.input_keys is None else dict(zip(graph.input_keys, starts, strict=True))
    )
    return Model(inputs, graph.packed(ends), name=model.name, trainable=model.trainable)


def _same(layer: Any) -> Any:
    if isinstance(layer, Model) and (layer._graph is not None or isinstance(layer, Sequential)):
        return clone_model(layer)
    return type(layer).from_config(layer.get_config())


def _new_input(tensor: Any) -> Any:
    return _same(tensor.history.layer).output


def _clone_sequential(
    where: str, model: Any, input_tensors: Any, clone: Callable[[Any], Any]
) -> Any:
    copy = Sequential(name=model.name, trainable=model.trainable)
    if input_tensors is not None:
        given = input_tensors if isinstance(input_tensors, (list, tuple)) else [input_tensors]
        if len(given) != 1:
            raise ValueError(fail_text(where, "input_tensors", "one tensor", len(given)))
        copy.add(given[0])
    elif model._chain:
        start = model._chain[0]
        copy.add(Input(batch_shape=start.shape, name=start.name, dtype=start.dtype))
    for layer in model.layers:
        copy.add(clone(layer))
    return copy
