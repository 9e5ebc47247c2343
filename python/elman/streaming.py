# SPDX-License-Identifier: Apache-2.0
"""Layers one time step at a time: what `layer.stream()` and `model.stream()` return.

>>> import elman, numpy as np
>>> layer = elman.layers.LSTM(4, return_sequences=True)
>>> x = np.random.rand(1, 5, 3).astype("float32")
>>> whole = layer(x).numpy()
>>> stream = layer.stream()
>>> steps = [stream.step(x[:, t]) for t in range(5)]
>>> bool((np.stack(steps, 1) == whole).all())
True

A stream holds the states and the packed weights. `step(x)` takes the features of one time step, as
array [N, F], or [F] where N is 1, and returns the outputs as an array [N, H] or [H]; with
`step(x, out)` it writes them into an array that is there already. `reset()` starts anew,
`reset(rows)` does so where a bool array [N] is True; `states` (settable) are copies of the states,
[N, H] each, layer after layer, h before c. Weights that change later (training, `set_weights`)
count from the next step on; other changes to a layer do not.
"""

from __future__ import annotations

from collections.abc import Iterable
from typing import Any, NoReturn

from elman import activations
from elman._backend import core
from elman._errors import fail_text
from elman.layers import RNN, Activation, Dense, StackedRNNCells, _checks
from elman.layers._cell import BuiltinCell
from elman.layers._elementwise import Noise
from elman.layers.cudnn import CuDNN
from elman.models.model import Model
from elman.models.sequential import Sequential


def of_layer(layer: Any, batch_size: int = 1) -> core.Stream:
    """A stream of one recurrent layer for `batch_size` rows; see `RNN.stream`."""
    where = f"{type(layer).__name__}.stream"
    if not layer.built:
        hint = "call the layer first, or give it an input_shape in a model"
        raise ValueError(fail_text(where, "layer", "a built layer", repr(layer.name), hint))
    return _chain([layer], layer._features, layer.dtype, batch_size, where)


def of_model(model: Any, batch_size: int = 1) -> core.Stream:
    """A stream of a model whose layers follow one another; see `Model.stream`."""
    where = f"{type(model).__name__}.stream"
    layers = list(_flat(model, where))
    if not model.built or not layers:
        hint = "call the model first, or give its first layer an input_shape"
        raise ValueError(fail_text(where, "model", "a built model", repr(model.name), hint))
    shape = model.input_shape
    if len(shape) != 3 or shape[-1] is None:
        hint = f"layer {layers[0].name!r} comes first"
        raise ValueError(fail_text(where, "input", "(N, T, F)", tuple(shape), hint))
    return _chain(layers, shape[-1], layers[0].dtype, batch_size, where)


def _flat(model: Any, where: str) -> Iterable[Any]:
    """The layers of a model, those of models in it included."""
    if type(model).call not in (Sequential.call, Model.call):
        _refuse(model, "it has a call of its own", where)
    chain = model._chain_of_layers()
    if chain is None:
        _refuse(model, "its layers do not just follow one another", where)
    for layer in chain:
        if isinstance(layer, Model):
            yield from _flat(layer, where)
        else:
            yield layer


def _chain(
    layers: Iterable[Any], features: int, dtype: str, batch_size: int, where: str
) -> core.Stream:
    rows = _checks.positive_int(where, "batch_size", batch_size)
    stream = core.Stream(rows, features, dtype)
    for layer in layers:
        if layer.dtype != dtype:
            _refuse(layer, f"it computes in {layer.dtype}, not in {dtype} as the others", where)
        _append(stream, layer, where)
    return stream


def _refuse(layer: Any, why: str, where: str) -> NoReturn:
    kinds = "SimpleRNN, GRU, LSTM, RNN of their cells, Dense, Activation, Dropout"
    got = f"{type(layer).__name__} {layer.name!r}: {why}"
    raise ValueError(fail_text(where, "layer", f"one that runs step by step ({kinds})", got))


def _append(stream: core.Stream, layer: Any, where: str) -> None:
    if isinstance(layer, CuDNN):
        plain = type(layer).__name__.removeprefix("CuDNN")
        _refuse(layer, f"{plain}.set_weights takes its weights, which a stream runs", where)
    for kind in _APPEND:
        if isinstance(layer, kind):
            if type(layer).call is not kind.call:
                _refuse(layer, "it has a call of its own", where)
            return _APPEND[kind](stream, layer, where)
    _refuse(layer, "it is none of them", where)


def _append_recurrent(stream: core.Stream, layer: Any, where: str) -> None:
    if layer.go_backwards:
        _refuse(layer, "go_backwards=True needs the end of the sequence first", where)
    for cell in _cells(layer.cell):
        if not isinstance(cell, BuiltinCell) or cell._own_call or cell._own_start:
            _refuse(layer, f"its cell {type(cell).__name__} is Python code", where)
        if not cell._streams:
            _refuse(layer, f"its cell {type(cell).__name__} reads images", where)
        fused = cell._fused()
        if fused is None:
            _refuse(layer, "only Python knows its activation", where)
        stream.add_recurrent(fused, cell.kernel, cell.recurrent_kernel, cell.bias)


def _cells(cell: Any) -> Iterable[Any]:
    """The cells in the order in which they run; a stack with code of its own counts as one."""
    known = (StackedRNNCells.call, StackedRNNCells.get_initial_state)
    kind = type(cell)
    if isinstance(cell, StackedRNNCells) and (kind.call, kind.get_initial_state) == known:
        for inner in cell.cells:
            yield from _cells(inner)
    else:
        yield cell


def _append_dense(stream: core.Stream, layer: Any, where: str) -> None:
    name = activations.kernel_name(layer.activation)
    stream.add_dense(layer.kernel, layer.bias, name or "linear")
    if name is None:
        _append_activation(stream, layer, where)


def _append_activation(stream: core.Stream, layer: Any, where: str) -> None:
    function = layer.activation
    name = activations.kernel_name(function, rows=True)
    if name is None:
        _refuse(layer, "only Python knows its activation", where)
    elif name != "linear":
        stream.add_activation(name)


def _skip(stream: core.Stream, layer: Any, where: str) -> None:
    """Dropout and other noise are the identity outside of training."""


_APPEND = {
    RNN: _append_recurrent,
    Dense: _append_dense,
    Activation: _append_activation,
    Noise: _skip,
}
