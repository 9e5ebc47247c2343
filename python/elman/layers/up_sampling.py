# SPDX-License-Identifier: Apache-2.0
"""UpSampling1D and UpSampling2D: every step, row and column several times."""

from __future__ import annotations

from typing import Any

import numpy as np

from elman._backend import core
from elman._errors import fail_text, is_one_of
from elman.layers import _spatial
from elman.layers._options import Option


def _interpolation(where: str, name: str, value: Any) -> str:
    if not is_one_of(value, ("nearest", "bilinear")):
        raise ValueError(fail_text(where, name, "'nearest' or 'bilinear'", repr(value)))
    return value


def _blend(size: int, factor: int, dtype: str) -> np.ndarray:
    """[size factor, size]: the linear blend of the two samples around each new one.

    Samples stand for the middle of their pixel; beyond the first and last one nothing changes.
    """
    at = np.clip((np.arange(size * factor) + 0.5) / factor - 0.5, 0, size - 1)
    low = np.minimum(at.astype(int), max(size - 2, 0))
    blend = np.zeros((size * factor, size))
    rows = np.arange(size * factor)
    blend[rows, low] = 1 - (at - low)
    blend[rows, np.minimum(low + 1, size - 1)] += at - low
    return blend.astype(dtype)


class UpSampling1D(_spatial.SpatialLayer):
    """Every step `size` times.

    Shapes: x [N, T, C] -> [N, size T, C].

    Errors: ValueError for an input of other than three axes.

    Source: Keras `UpSampling1D`.

    Example:
        >>> import elman, numpy as np
        >>> x = np.array([[[1.0], [2.0]]], "float32")
        >>> elman.layers.UpSampling1D(3)(x).numpy().ravel()
        array([1., 1., 1., 2., 2., 2.], dtype=float32)
    """

    _leaf = True
    _rank = 1
    size = _spatial.sizes(1, 2, "how many times")

    def _output_sizes(self, spatial: tuple[Any, ...]) -> tuple[Any, ...]:
        return tuple(None if n is None else n * k for n, k in zip(spatial, self.size, strict=True))

    def call(self, inputs: Any) -> Any:
        """The repeated steps."""
        return core.up_sample(inputs, self.size)


class UpSampling2D(_spatial.SpatialLayer):
    """Every row and column `size` times, or a linear blend of neighbouring ones.

    Shapes: x [N, rows, cols, C] -> [N, size[0] rows, size[1] cols, C]; with 'channels_first' the
    channels follow the batch axis.

    Errors: ValueError for an input of other than four axes.

    Source: Keras `UpSampling2D`; 'bilinear' takes samples as the middles of pixels.

    Example:
        >>> import elman, numpy as np
        >>> x = np.array([[1.0, 3.0]], "float32").reshape(1, 1, 2, 1)
        >>> elman.layers.UpSampling2D((1, 2), interpolation="bilinear")(x).numpy().ravel()
        array([1. , 1.5, 2.5, 3. ], dtype=float32)
    """

    _leaf = True
    _rank = 2
    size = _spatial.sizes(2, (2, 2), "how many times, per axis")
    data_format = _spatial.data_format(None)
    interpolation = Option("nearest", _interpolation, doc="'nearest' or 'bilinear'")

    def _output_sizes(self, spatial: tuple[Any, ...]) -> tuple[Any, ...]:
        return tuple(None if n is None else n * k for n, k in zip(spatial, self.size, strict=True))

    def call(self, inputs: Any) -> Any:
        """The larger images."""
        if self.interpolation == "bilinear":
            return self._as_given(self._blended(self._channels_last(inputs)))
        if not self._first:
            return core.up_sample(inputs, self.size)
        n, c, *sizes = inputs.shape  # every channel is an image of its own
        large = core.up_sample(core.reshape(inputs, (n * c, *sizes, 1)), self.size)
        return core.reshape(large, (n, c, *self._output_sizes(tuple(sizes))))

    def _blended(self, x: Any) -> Any:
        """Both axes in turn as products with the blends of their lines."""
        n, rows, cols, c = x.shape
        tall, wide = rows * self.size[0], cols * self.size[1]
        x = core.reshape(x, (n, rows, cols * c))
        x = core.matmul(_blend(rows, self.size[0], self.dtype), x)
        x = core.reshape(x, (n * tall, cols, c))
        x = core.matmul(_blend(cols, self.size[1], self.dtype), x)
        return core.reshape(x, (n, tall, wide, c))
