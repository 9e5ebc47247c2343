# SPDX-License-Identifier: Apache-2.0
"""Dropout: zeros for a random share of the values in training."""

from __future__ import annotations

from typing import Any

from elman import _random
from elman._backend import core
from elman._errors import fail_text
from elman.layers import _checks
from elman.layers._options import REQUIRED, Option
from elman.layers.layer import Layer


def _rate(where: str, name: str, value: Any) -> float:
    rate = _checks.number(where, name, value)
    if not 0.0 <= rate <= 1.0:
        raise ValueError(fail_text(where, name, "a number from 0 to 1", value))
    return rate


class Dropout(Layer):
    """In training sets a random share of the values to 0 and scales the rest by 1 / (1 - rate).

    Outside training, and for a rate of 0 or 1, the output is the input.

    Shapes: x of any shape -> the same shape. `noise_shape` is the shape of the random mask, with 1
    (or None for the input's size) per axis: (None, 1, None) drops whole features of a sequence.

    Source: Srivastava et al. 2014; Keras `Dropout`.

    Example:
        >>> import elman, numpy as np
        >>> elman.layers.Dropout(0.5)(np.float32([[1, 2]])).numpy()
        array([[1., 2.]], dtype=float32)
    """

    _leaf = True
    _casts_integers = True
    supports_masking = True

    rate = Option(REQUIRED, _rate, doc="share of the values to drop, from 0 to 1")
    noise_shape = Option(None, _checks.shape, doc="shape of the mask, the input's by default")
    seed = Option(None, _checks.optional_int, doc="seed of the layer's own random numbers")

    def _setup(self) -> None:
        self._stream = _random.stream(self.seed)

    def call(self, inputs: Any, training: Any = None) -> Any:
        """The input, with a new mask for each call in training."""
        if not training or not 0.0 < self.rate < 1.0:
            return inputs
        seed, counter = _random.key_of(self._stream)
        if self.noise_shape is None:
            return core.dropout(inputs, self.rate, seed, counter)
        if len(self.noise_shape) != inputs.ndim:
            self._fail("x", f"{len(self.noise_shape)} axes", inputs.shape, "as in noise_shape")
        pairs = zip(self.noise_shape, inputs.shape, strict=True)
        shape = tuple(size if axis is None else axis for axis, size in pairs)
        return inputs * core.dropout_mask(shape, self.rate, inputs.dtype, seed, counter)

    def compute_output_shape(self, input_shape: Any) -> Any:
        """The input's shape."""
        return input_shape
