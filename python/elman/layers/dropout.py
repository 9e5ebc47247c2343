# SPDX-License-Identifier: Apache-2.0
"""Dropout: zeros for a random share of the values, or of whole features, in training."""

from __future__ import annotations

from typing import Any

from elman._backend import core
from elman._errors import fail_text
from elman.layers import _checks
from elman.layers._elementwise import Noise
from elman.layers._options import REQUIRED, Option


def share(where: str, name: str, value: Any) -> float:
    """A number from 0 to 1."""
    rate = _checks.number(where, name, value)
    if not 0.0 <= rate <= 1.0:
        raise ValueError(fail_text(where, name, "a number from 0 to 1", value))
    return rate


def _own_seed() -> Option:
    return Option(None, _checks.optional_int, doc="seed of the layer's own random numbers")


class Dropout(Noise):
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

    rate = Option(REQUIRED, share, doc="share of the values to drop, from 0 to 1")
    noise_shape = Option(None, _checks.shape, doc="shape of the mask, the input's by default")
    seed = _own_seed()

    def _acts(self) -> bool:
        return 0.0 < self.rate < 1.0

    def _noisy(self, x: Any, seed: int, counter: int) -> Any:
        if self.noise_shape is None:
            return core.dropout(x, self.rate, seed, counter)
        if len(self.noise_shape) != x.ndim:
            self._fail("x", f"{len(self.noise_shape)} axes", x.shape, "as in noise_shape")
        pairs = zip(self.noise_shape, x.shape, strict=True)
        shape = tuple(size if axis is None else axis for axis, size in pairs)
        return x * core.dropout_mask(shape, self.rate, x.dtype, seed, counter)


class _SpatialDropout(Noise):
    """Dropout of whole features: one decision per sample and feature, for all places."""

    _axes = 3
    rate: Any

    def _acts(self) -> bool:
        return 0.0 < self.rate < 1.0

    def _feature_axis(self) -> int:
        return self._axes - 1

    def _check_input(self, x: Any) -> None:
        if len(x.shape) != self._axes:
            places = ", ".join(("T",) if self._axes == 3 else ("H", "W"))
            self._fail("x", f"(N, {places}, F)", x.shape, "one value is dropped per feature")

    def _noisy(self, x: Any, seed: int, counter: int) -> Any:
        kept = (0, self._feature_axis())
        shape = tuple(size if axis in kept else 1 for axis, size in enumerate(x.shape))
        return x * core.dropout_mask(shape, self.rate, x.dtype, seed, counter)


class SpatialDropout1D(_SpatialDropout):
    """Dropout that drops a feature of a sequence at all time steps, or at none.

    Shapes: x [N, T, F] -> the same shape.

    Errors: ValueError for an input that is not [N, T, F], or a rate outside [0, 1].

    Source: Tompson et al. 2014; Keras `SpatialDropout1D`.

    Example:
        >>> import elman, numpy as np
        >>> layer = elman.layers.SpatialDropout1D(0.5, seed=1)
        >>> y = layer(np.ones((2, 5, 3), "float32"), training=True).numpy()
        >>> bool((y == y[:, :1]).all())
        True
    """

    rate = Option(REQUIRED, share, doc="share of the features to drop, from 0 to 1")
    seed = _own_seed()


class SpatialDropout2D(_SpatialDropout):
    """Dropout that drops a feature of an image at all places, or at none.

    Shapes: x [N, H, W, F], or [N, F, H, W] with 'channels_first' -> the same shape.

    Errors: ValueError for an input with another number of axes, or a rate outside [0, 1].

    Source: Tompson et al. 2014; Keras `SpatialDropout2D`.

    Example:
        >>> import elman, numpy as np
        >>> layer = elman.layers.SpatialDropout2D(0.5, seed=1)
        >>> y = layer(np.ones((2, 4, 5, 3), "float32"), training=True).numpy()
        >>> bool((y == y[:, :1, :1]).all())
        True
    """

    _axes = 4

    rate = Option(REQUIRED, share, doc="share of the features to drop, from 0 to 1")
    data_format = Option(
        None, _checks.data_format, doc="'channels_last' or 'channels_first', None: the setting"
    )
    seed = _own_seed()

    def _feature_axis(self) -> int:
        return 1 if self.data_format == "channels_first" else 3
