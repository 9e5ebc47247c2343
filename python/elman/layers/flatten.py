# SPDX-License-Identifier: Apache-2.0
"""Flatten: all axes but the first as one."""

from __future__ import annotations

import math
from typing import Any

from elman._backend import core
from elman.layers import _checks
from elman.layers._options import Option
from elman.layers.layer import Layer


class Flatten(Layer):
    """All axes after the batch axis as one, in C order.

    Shapes: x [N, ...] -> [N, product of the rest]. With 'channels_first' an input of three or
    more axes has its axis 1 moved to the end first.

    Source: Keras `Flatten`.

    Example:
        >>> import elman, numpy as np
        >>> elman.layers.Flatten()(np.ones((2, 3, 4), "float32")).shape
        (2, 12)
    """

    _leaf = True

    data_format = Option(
        None, _checks.data_format, doc="'channels_last' or 'channels_first', None: the setting"
    )

    def _check_input(self, x: Any) -> None:
        if len(x.shape) < 1:
            self._fail("x", "(N, ...)", x.shape, "the first axis is the batch axis")

    def call(self, inputs: Any) -> Any:
        """The input in its new shape."""
        rank = inputs.ndim
        if self.data_format == "channels_first" and rank >= 3:
            inputs = core.transpose(inputs, (0, *range(2, rank), 1))
        shape = tuple(inputs.shape)
        return core.reshape(inputs, (shape[0], math.prod(shape[1:])))

    def compute_output_shape(self, input_shape: Any) -> Any:
        """(N, product); None for the product if a size is not known."""
        sizes = input_shape[1:]
        known = [size for size in sizes if size is not None]
        return (input_shape[0], math.prod(known) if len(known) == len(sizes) else None)
