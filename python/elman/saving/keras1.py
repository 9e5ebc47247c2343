# SPDX-License-Identifier: Apache-2.0
"""Arrays of older Keras files as those of today: other shapes, orders and directions.

Keras 1 stored each gate by itself: GRU nine arrays, kernel, recurrent kernel and bias of z, r and h
in turn; LSTM and ConvLSTM2D twelve, of i, c, f and o. It kept the kernels of 'th' images as
(filters, channels, rows, columns) and those of Conv1D with an axis of size 1. Whatever the version,
the backend Theano ran through kernels in the opposite direction.

Source: `preprocess_weights_for_loading` of Keras 2.
"""

from __future__ import annotations

from collections.abc import Callable, Sequence
from typing import Any

import numpy as np

from elman.layers import GRU, LSTM, Bidirectional, Conv1D, ConvLSTM2D, TimeDistributed
from elman.layers._conv_lstm import ConvRecurrent
from elman.layers.conv import Conv
from elman.saving.stored import Stored

Arrays = list[Stored]
# Where the gates of a packed kernel are in the order of Keras 1.
_GATES: tuple[tuple[type, tuple[int, ...]], ...] = (
    (GRU, (0, 1, 2)),
    (LSTM, (0, 2, 1, 3)),
    (ConvLSTM2D, (0, 2, 1, 3)),
)


def upgraded(layer: Any, arrays: Sequence[Stored], version: str, backend: str | None) -> Arrays:
    """The arrays for the weights of a layer from those of a file.

    Args:
        layer: the layer that takes them.
        arrays: those of the file, in its order.
        version: the Keras version of the file; "1" if it does not say.
        backend: what Keras ran on, if the file says so.
    """
    old, flip = version.split(".")[0] == "1", backend == "theano"
    if not old and not flip:
        return list(arrays)
    left = list(arrays)
    out = _taken(layer, left, old, flip)
    return out + left


def _taken(layer: Any, left: Arrays, old: bool, flip: bool) -> Arrays:
    """Take the arrays of a layer from the front of the list and convert them."""
    if isinstance(layer, TimeDistributed):
        return _taken(layer.layer, left, old, flip)
    if isinstance(layer, Bidirectional):
        return [a for part in layer._inner() for a in _taken(part, left, old, flip)]
    if hasattr(layer, "layers"):
        trained = [a for part in layer.layers for a in _some(part, True, left, old, flip)]
        return trained + [a for part in layer.layers for a in _some(part, False, left, old, flip)]
    count = _count(layer, left) if old else len(layer.weights)
    return _converted(layer, _front(left, count), old, flip)


def _some(layer: Any, trained: bool, left: Arrays, old: bool, flip: bool) -> Arrays:
    """Those of a layer within a model: trained ones of all layers come first."""
    weights = layer.trainable_weights if trained else layer.non_trainable_weights
    if not weights:
        return []
    if len(weights) == len(layer.weights):
        return _taken(layer, left, old, flip)
    return _front(left, len(weights))


def _front(left: Arrays, count: int) -> Arrays:
    taken, left[:] = left[:count], left[count:]
    return taken


def _count(layer: Any, left: Arrays) -> int:
    """How many arrays a layer has in a file of Keras 1."""
    own = len(layer.weights)
    for kind, order in _GATES:
        if isinstance(layer, kind) and len(left) >= own * len(order):
            units = layer.cell.units if hasattr(layer.cell, "units") else layer.cell.filters
            if units in (left[0].shape[-1:] + left[0].shape[:1]):
                bias = left[2].shape if own == 3 else (units,)
                return own * len(order) if bias == (units,) else own
    return own


def _converted(layer: Any, arrays: Arrays, old: bool, flip: bool) -> Arrays:
    """The arrays of a layer that has no layers in it."""
    conv = isinstance(layer, (Conv, ConvRecurrent))
    if old and conv:
        arrays = [_kernel(layer, array) for array in arrays]
    if old:
        for kind, order in _GATES:
            if isinstance(layer, kind) and len(arrays) == len(layer.weights) * len(order):
                own = len(layer.weights)
                arrays = [_packed([arrays[own * g + k] for g in order]) for k in range(own)]
    if flip and conv:
        arrays = [_changed(a, _backwards, a.shape) if len(a.shape) > 1 else a for a in arrays]
    return arrays


def _kernel(layer: Any, array: Stored) -> Stored:
    """A kernel of Keras 1 as (taps, channels, filters)."""
    shape = array.shape
    if isinstance(layer, Conv1D) and len(shape) == 4:
        taps = layer.kernel_size[0]
        if shape[:2] != (taps, 1) and shape[2:] == (taps, 1):  # before Keras 1.1
            array = _moved(array, (2, 3, 1, 0))
        taps, _, channels, filters = array.shape
        return _changed(array, lambda a: a[:, 0], (taps, channels, filters))
    if layer.data_format == "channels_first" and len(shape) > 3:
        return _moved(array, (*range(2, len(shape)), 1, 0))
    return array


def _packed(parts: Arrays) -> Stored:
    """Several arrays one after the other on the last axis."""
    first, *_ = parts
    shape = (*first.shape[:-1], sum(part.shape[-1] for part in parts if part.shape))
    if any(part.shape[:-1] != first.shape[:-1] or not part.shape for part in parts):
        shape = ()  # fits no weight
    return Stored(
        first.name, shape, first.dtype, lambda: np.concatenate([p.read() for p in parts], -1)
    )


def _moved(array: Stored, order: tuple[int, ...]) -> Stored:
    shape = tuple(array.shape[axis] for axis in order)
    return _changed(array, lambda a: np.transpose(a, order), shape)


def _backwards(kernel: np.ndarray) -> np.ndarray:
    """The kernel [taps, C, F] with its taps in the opposite order."""
    return np.flip(kernel, tuple(range(kernel.ndim - 2)))


def _changed(
    array: Stored, change: Callable[[np.ndarray], np.ndarray], shape: tuple[int, ...]
) -> Stored:
    return Stored(array.name, shape, array.dtype, lambda: change(array.read()))
