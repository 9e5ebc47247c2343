# SPDX-License-Identifier: Apache-2.0
"""Convolution and pooling as loops over outputs, in float64, written from the equations.

Arrays are [..., N, spatial axes, C]; `leading` axes ahead of N are perturbed copies.
"""

from __future__ import annotations

import itertools

import numpy as np


def axis_sizes(size: int, taps: int, stride: int, dilation: int, padding: str) -> tuple[int, int]:
    """Outputs along one axis, and how far ahead of the input the first window begins."""
    span = (taps - 1) * dilation + 1
    if padding == "valid":
        return (size - span) // stride + 1, 0
    out = -(-size // stride)
    if padding == "causal":
        return out, span - 1
    return out, max((out - 1) * stride + span - size, 0) // 2


def windows(spatial, taps, strides, dilation, padding):
    """Yields (output position, [(tap, input position) within the image])."""
    axes = [axis_sizes(*a, padding) for a in zip(spatial, taps, strides, dilation, strict=True)]
    for position in itertools.product(*(range(out) for out, _ in axes)):
        seen = []
        for tap in itertools.product(*map(range, taps)):
            at = tuple(
                o * stride - before + k * step
                for o, (_, before), stride, step, k in zip(
                    position, axes, strides, dilation, tap, strict=True
                )
            )
            if all(0 <= i < size for i, size in zip(at, spatial, strict=True)):
                seen.append((tap, at))
        yield position, seen


def output_sizes(spatial, taps, strides, dilation, padding):
    """The spatial axes of the output."""
    axes = zip(spatial, taps, strides, dilation, strict=True)
    return tuple(axis_sizes(*axis, padding)[0] for axis in axes)


def conv(x, kernel, bias=None, strides=None, padding="valid", dilation=None):
    """x [N, spatial, C], kernel [taps, C, F] -> [N, outputs, F]."""
    taps, spatial = kernel.shape[:-2], x.shape[1:-1]
    strides, dilation = strides or (1,) * len(taps), dilation or (1,) * len(taps)
    sizes = output_sizes(spatial, taps, strides, dilation, padding)
    y = np.zeros((x.shape[0], *sizes, kernel.shape[-1]))
    for position, seen in windows(spatial, taps, strides, dilation, padding):
        for tap, at in seen:
            y[(slice(None), *position)] += x[(slice(None), *at)] @ kernel[tap]
    return y if bias is None else y + bias


def pool(kind, x, taps, strides=None, padding="valid"):
    """x [N, spatial, C] -> [N, outputs, C]."""
    spatial, strides, ones = x.shape[1:-1], strides or taps, (1,) * len(taps)
    y = np.zeros((x.shape[0], *output_sizes(spatial, taps, strides, ones, padding), x.shape[-1]))
    for position, seen in windows(spatial, taps, strides, ones, padding):
        values = np.stack([x[(slice(None), *at)] for _, at in seen])
        y[(slice(None), *position)] = values.max(0) if kind == "max" else values.mean(0)
    return y
