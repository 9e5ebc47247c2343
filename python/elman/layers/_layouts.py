# SPDX-License-Identifier: Apache-2.0
"""Weights in the layout of CuDNNGRU and CuDNNLSTM, and in that of GRU and LSTM.

A stored kernel block [F, H] holds, in C order, the matrix [H, F] that the library multiplies by; a
recurrent block is the transpose of the plain one. The biases are [input | recurrent] in one row.
All functions here are made of differentiable operations.

Source: Keras 2 `preprocess_weights_for_loading`.
"""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any

from elman._backend import core

# By kind of cell: the number of gates.
GATES = {"gru": 3, "gru_reset_after": 3, "lstm": 4}
_NAMES = {
    ("gru", False): "GRU(reset_after=False)",
    ("gru_reset_after", False): "GRU(reset_after=True)",
    ("gru_reset_after", True): "CuDNNGRU",
    ("lstm", False): "LSTM",
    ("lstm", True): "CuDNNLSTM",
}


def kernel_to_plain(kernel: Any, gates: int) -> Any:
    """The plain kernel [F, G*H] of a stored one; per block k it is k.ravel().reshape(H, F).T."""
    features, units = kernel.shape[0], kernel.shape[1] // gates
    blocks = core.transpose(core.reshape(kernel, (features, gates, units)), (1, 0, 2))
    blocks = core.reshape(blocks, (gates, units, features))
    return core.reshape(core.transpose(blocks, (2, 0, 1)), (features, gates * units))


def kernel_to_stored(kernel: Any, gates: int) -> Any:
    """The stored kernel [F, G*H] of a plain one; per block k it is k.T.ravel().reshape(F, H)."""
    features, units = kernel.shape[0], kernel.shape[1] // gates
    blocks = core.transpose(core.reshape(kernel, (features, gates, units)), (1, 2, 0))
    blocks = core.reshape(blocks, (gates, features, units))
    return core.reshape(core.transpose(blocks, (1, 0, 2)), (features, gates * units))


def recurrent_kernel(kernel: Any, gates: int) -> Any:
    """Each block [H, H] of a recurrent kernel transposed: from either layout to the other."""
    units = kernel.shape[0]
    blocks = core.transpose(core.reshape(kernel, (units, gates, units)), (2, 1, 0))
    return core.reshape(blocks, (units, gates * units))


def bias_to_plain(bias: Any, kind: str) -> Any:
    """The sum [4H] of both biases of an LSTM; [2, 3H] for a GRU, which uses them apart."""
    size = bias.shape[0] // 2
    rows = core.reshape(bias, (2, size))
    return core.sum(rows, 0) if kind == "lstm" else rows


def bias_to_stored(bias: Any, kind: str) -> Any:
    """Two halves of the bias of an LSTM, one after the other; the two rows of a GRU as one."""
    if kind == "lstm":
        half = core.multiply(bias, 0.5)
        return core.concatenate([half, half], 0)
    return core.reshape(bias, (bias.shape[0] * bias.shape[1],))


def to_plain(weights: Sequence[Any], kind: str) -> list[Any]:
    """kernel, recurrent_kernel and bias of GRU(reset_after=True) or LSTM from stored ones."""
    kernel, recurrent, bias = weights
    gates = GATES[kind]
    return [
        kernel_to_plain(kernel, gates), recurrent_kernel(recurrent, gates),
        bias_to_plain(bias, kind),
    ]  # fmt: skip


def to_stored(weights: Sequence[Any], kind: str) -> list[Any]:
    """kernel, recurrent_kernel and bias of CuDNNGRU or CuDNNLSTM from plain ones."""
    kernel, recurrent, bias = weights
    gates = GATES[kind]
    return [
        kernel_to_stored(kernel, gates), recurrent_kernel(recurrent, gates),
        bias_to_stored(bias, kind),
    ]  # fmt: skip


def kind_of_bias(
    where: str, shape: Sequence[int], units: int, gates: int, of: str = ""
) -> tuple[str, bool]:
    """(kind of cell, whether it is a CuDNN layer) that a bias of that shape belongs to.

    `of` is what an error calls the bias.

    Raises:
        ValueError: invalid bias shape.
    """
    shape, width = tuple(shape), gates * units
    plain, other = ("gru", "gru_reset_after") if gates == 3 else ("lstm", "lstm")
    if shape == (width,):
        return plain, False
    if shape == (2, width) and gates == 3:
        return other, False
    if shape == (2 * width,):
        return other, True
    known = f"({width},), {(2, width)}" if gates == 3 else f"({width},)"
    text = f"[{where}] invalid bias shape: expected {known} or ({2 * width},), got {shape}"
    raise ValueError(f"{text} ({of})" if of else text)


def convert(
    where: str, weights: Sequence[Any], target: tuple[str, bool], units: int, of: str = ""
) -> list[Any]:
    """kernel, recurrent_kernel and bias in the layout of the target, a pair as of `kind_of_bias`.

    The source is recognised by the shape of its bias; `of` is what an error calls the weights.

    Raises:
        ValueError: invalid bias shape, or layers that compute other functions.
    """
    source = kind_of_bias(where, weights[2].shape, units, GATES[target[0]], of)
    if source == target:
        return list(weights)
    if source[0] != target[0]:
        text = f"[{where}] weights: expected those of {_NAMES[target]}, got those of "
        text += f"{_NAMES[source]}, which computes another function"
        raise ValueError(f"{text} ({of})" if of else text)
    return to_stored(weights, target[0]) if target[1] else to_plain(weights, target[0])
