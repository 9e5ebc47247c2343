# SPDX-License-Identifier: Apache-2.0
"""Whether a model's results are free of the padding behind shorter sequences of a batch.

What is listed here is known to be: at the steps of a sequence it computes what it would compute
without the steps behind them, and it hands their mask on. Any other layer may look at the padding,
so that its sequences are never padded (see `elman.models.pieces`).
"""

from __future__ import annotations

from collections.abc import Callable, Sequence
from typing import Any, NamedTuple

from elman import activations, layers


class Steps(NamedTuple):
    """A tensor [N, T, ...] with padding behind the steps, and a mask; None stands for any other."""

    source: int  # which of the lists of sequences its steps are those of
    rank: int


class SeesPaddingError(Exception):
    """Raised at a layer that is not known to be free of the padding."""

    def __init__(self, layer: Any) -> None:
        super().__init__(layer)
        self.layer = layer


Tensors = list[Steps | None]


def sources(model: Any, inputs: Tensors) -> list[int | None]:
    """For each output of the model: the list whose padding is behind its steps, None for none.

    Args:
        model: what the tensors go through.
        inputs: one for each input of the model.

    Raises:
        SeesPaddingError: some layer is not known to be free of the padding.
    """
    return [None if out is None else out.source for out in _through(model, inputs)]


def _through(model: Any, inputs: Tensors) -> Tensors:
    """What comes out of the layers of a model."""
    from elman.models.sequential import Sequential

    if type(model) is Sequential:
        for layer in model.layers:
            inputs = _through_layer(layer, inputs, 1)
        return inputs
    graph = model._graph
    if graph is None or model._own_call or len(inputs) != len(graph.inputs):
        raise SeesPaddingError(model)
    found = {id(tensor): item for tensor, item in zip(graph.inputs, inputs, strict=True)}
    for node in graph.nodes:
        if isinstance(node.layer, layers.InputLayer):
            continue
        given = [found[id(tensor)] for tensor in node.inputs]
        if any(given) and not node.kwargs.keys() <= {"training", "initial_state"}:
            raise SeesPaddingError(node.layer)
        outputs = _through_layer(node.layer, given, len(node.outputs))
        found.update(zip(map(id, node.outputs), outputs, strict=True))
    return [found[id(tensor)] for tensor in graph.outputs]


def _through_layer(layer: Any, given: Tensors, count: int) -> Tensors:
    """What comes out of a layer with `count` outputs."""
    if not any(given):  # whatever it does, there is no padding in it
        return [None] * count
    rule = _RULES.get(type(layer))
    if rule is not None:
        outputs = rule(layer, given, count)
    elif getattr(layer, "_graph", None) is not None or hasattr(layer, "_chain"):
        outputs = _through(layer, given)
    else:
        raise SeesPaddingError(layer)
    if len(outputs) != count or (any(outputs) and layer.activity_regularizer is not None):
        raise SeesPaddingError(layer)  # a penalty is on all steps
    return outputs


# -- rules: from what a layer takes to what it returns ---------------------------------------------


def _need(condition: bool, layer: Any) -> None:
    if not condition:
        raise SeesPaddingError(layer)


def _each_step(layer: Any, given: Tensors, count: int) -> Tensors:
    """Every step by itself."""
    (x,) = given
    _need(x is not None and x.rank > 2, layer)  # the last axis is not time
    function = getattr(layer, "activation", None)
    _need(function is None or _is_known(function), layer)
    _need(getattr(layer, "noise_shape", None) is None, layer)
    return [x]


def _is_known(function: Any) -> bool:
    """A function of the user's may do anything, also along the steps."""
    return getattr(activations, getattr(function, "__name__", ""), None) is function


def _last_axis(layer: Any, given: Tensors, count: int) -> Tensors:
    """Every step by itself if the axis is the last."""
    (x,) = given
    _need(x is not None and x.rank > 2 and layer.axis in (-1, x.rank - 1), layer)
    return [x]


def _softmax(layer: Any, given: Tensors, count: int) -> Tensors:
    """It uses the mask where its axis is time."""
    (x,) = given
    _need(x is not None and x.rank > 2, layer)
    return [x]


def _embedding(layer: Any, given: Tensors, count: int) -> Tensors:
    """Vectors of the ids of each step."""
    (x,) = given
    _need(x is not None and x.rank == 2, layer)
    return [None if x is None else x._replace(rank=3)]


def _masking(layer: Any, given: Tensors, count: int) -> Tensors:
    """The padding is zeros, which are marked again only if they are the value."""
    _need(layer.mask_value == 0.0, layer)
    return _each_step(layer, given, count)


def _time_distributed(layer: Any, given: Tensors, count: int) -> Tensors:
    _need(type(layer.layer) in _PER_SAMPLE, layer)
    return _each_step(layer, given, count)


def _average(layer: Any, given: Tensors, count: int) -> Tensors:
    """The mean over the steps that the mask keeps."""
    _need(layer.data_format == "channels_last", layer)
    return [None]


def _recurrent(layer: Any, given: Tensors, count: int) -> Tensors:
    """Masked steps keep the states; sequences that come out backwards have the padding in front."""
    x, *states = given
    _need(x is not None and not any(states), layer)
    both = isinstance(layer, layers.Bidirectional)
    first = layer.forward_layer if both else layer
    for one in (layer.forward_layer, layer.backward_layer) if both else ():
        _need(type(one) in _RECURRENT, layer)
    _need(not getattr(first, "return_state_sequences", False), layer)
    if not layer.return_sequences:
        return [None] * count
    _need(not first.go_backwards, layer)
    outputs = 2 if both and layer.merge_mode is None else 1
    return [x] * outputs + [None] * (count - outputs)


def _elementwise(layer: Any, given: Tensors, count: int) -> Tensors:
    """Inputs that are all the steps of the same sequences."""
    first = given[0]
    _need(first is not None and first.rank > 2 and all(x == first for x in given), layer)
    return [first]


def _concatenate(layer: Any, given: Tensors, count: int) -> Tensors:
    _need(layer.axis in (-1, given[0].rank - 1 if given[0] else -1), layer)
    return _elementwise(layer, given, count)


def _arithmetic(layer: Any, given: Tensors, count: int) -> Tensors:
    """A constant array may have a value for each step."""
    _need(not hasattr(layer._value, "shape"), layer)
    return _elementwise(layer, given, count)


def _rules(*groups: tuple[Callable[..., Tensors], Sequence[type]]) -> dict[type, Any]:
    return {kind: rule for rule, kinds in groups for kind in kinds}


_RECURRENT = (
    layers.RNN, layers.SimpleRNN, layers.GRU, layers.LSTM,
    layers.ConvLSTM1D, layers.ConvLSTM2D, layers.ConvLSTM3D,
)  # fmt: skip
_POINTWISE = (
    layers.Dense, layers.Activation, layers.Dropout, layers.SpatialDropout1D,
    layers.GaussianNoise, layers.GaussianDropout,
    layers.ReLU, layers.LeakyReLU, layers.ELU,
)  # fmt: skip
# What TimeDistributed may hold: N * T samples do not meet in it.
_PER_SAMPLE = (
    *_POINTWISE, *_RECURRENT, layers.Flatten, layers.LayerNormalization,
    layers.Conv1D, layers.Conv2D, layers.MaxPooling1D, layers.MaxPooling2D,
    layers.AveragePooling1D, layers.AveragePooling2D,
    layers.GlobalMaxPooling1D, layers.GlobalMaxPooling2D,
    layers.GlobalAveragePooling1D, layers.GlobalAveragePooling2D,
)  # fmt: skip
_SAME_SHAPE = (
    layers.Add, layers.Subtract, layers.Multiply, layers.Average, layers.Maximum, layers.Minimum,
)  # fmt: skip
# By exact type: a subclass may do something else.
_RULES = _rules(
    (_each_step, _POINTWISE),
    (_last_axis, (layers.BatchNormalization, layers.LayerNormalization)),
    (_softmax, (layers.Softmax,)),
    (_embedding, (layers.Embedding,)),
    (_masking, (layers.Masking,)),
    (_time_distributed, (layers.TimeDistributed,)),
    (_average, (layers.GlobalAveragePooling1D,)),
    (_recurrent, (*_RECURRENT, layers.Bidirectional)),
    (_elementwise, _SAME_SHAPE),
    (_concatenate, (layers.Concatenate,)),
    (_arithmetic, (layers.Arithmetic,)),
)
