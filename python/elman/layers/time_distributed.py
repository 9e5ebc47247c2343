# SPDX-License-Identifier: Apache-2.0
"""TimeDistributed: one layer for every time step."""

from __future__ import annotations

import math
from typing import Any

from elman._backend import core
from elman.layers._options import REQUIRED, Option
from elman.layers._serialize import serialize
from elman.layers._wrapper import Wrapper, check_layer


class TimeDistributed(Wrapper):
    """The same layer, with the same weights, on every time step.

    Time is folded into the batch, so the layer runs once: batch N * T.

    Shapes: x [N, T, ...] -> [N, T, ...], whatever the layer makes of [N * T, ...]. A mask [N, T] is
    passed on, and the layer sees it as one value per sample; of a mask [N, T, S] the layer sees
    [N * T, S]. The output has the mask that the layer gives, else the input's.

    Errors: ValueError for an input with fewer than three axes.

    Source: Keras `TimeDistributed`.

    Example:
        >>> import elman, numpy as np
        >>> layer = elman.layers.TimeDistributed(elman.layers.Dense(3))
        >>> layer(np.ones((2, 5, 4), "float32")).shape
        (2, 5, 3)
    """

    layer = Option(REQUIRED, check_layer, serialize, doc="the layer inside")

    def build(self, input_shape: Any) -> None:
        """Build the layer for one time step of all samples."""
        self._check_rank(input_shape)
        if not self.layer.built:
            with self._naming():
                self.layer.build(_folded(input_shape))

    def _check_rank(self, shape: Any, method: str = "call") -> None:
        if len(shape) < 3:
            expected = "(N, T, ...) with three or more axes"
            self._fail("x", expected, shape, "axis 1 is time", method)

    def _check_input(self, x: Any) -> None:
        self._check_rank(x.shape)

    def call(self, inputs: Any, mask: Any = None) -> Any:
        """The layer on the folded input; `training` travels by itself."""
        shape = tuple(inputs.shape)
        output = self.layer(core.reshape(inputs, _folded(shape)), mask=_step_mask(mask, shape))
        if isinstance(output, (list, tuple)):
            return [_unfolded(item, shape) for item in output]
        return _unfolded(output, shape)

    def compute_mask(self, inputs: Any, mask: Any = None) -> Any:
        """The mask that the layer gives, else one value per step of the input's mask."""
        shape = tuple(inputs.shape)
        deep = mask is not None and mask.ndim > 2
        inner = self.layer.compute_mask(
            core.reshape(inputs, _folded(shape)), _step_mask(mask, shape) if deep else None
        )
        if isinstance(inner, (list, tuple)):
            return [_mask_of_steps(item, mask, shape) for item in inner]
        return _mask_of_steps(inner, mask, shape)

    def compute_output_shape(self, input_shape: Any) -> Any:
        """The layer's output shape with the time axis put back."""
        self._check_rank(input_shape, "compute_output_shape")
        inner = self.layer.compute_output_shape(_folded(input_shape))
        if isinstance(inner, list):
            return [(*input_shape[:2], *shape[1:]) for shape in inner]
        return (*input_shape[:2], *inner[1:])


def _folded(shape: Any) -> tuple[Any, ...]:
    """(N * T, ...) of a shape (N, T, ...); None when either is not known."""
    batch = None if None in shape[:2] else math.prod(shape[:2])
    return (batch, *shape[2:])


def _unfolded(x: Any, shape: tuple[int, ...]) -> Any:
    return core.reshape(x, (*shape[:2], *x.shape[1:]))


def _step_mask(mask: Any, shape: tuple[int, ...]) -> Any:
    """What one step sees of a mask of the whole input [N, T, ...]."""
    if mask is None:
        return None
    folded = core.reshape(mask, _folded(tuple(mask.shape)))
    if mask.ndim == 2 and len(shape) > 3:  # all of a sequence that is one step
        folded = core.repeat(core.expand_dims(folded, 1), shape[2], 1)
    return folded


def _mask_of_steps(inner: Any, mask: Any, shape: tuple[int, ...]) -> Any:
    if inner is not None:
        return _unfolded(inner, shape)
    if mask is None or mask.ndim == 2:
        return mask
    return core.any(mask, tuple(range(2, mask.ndim)))
