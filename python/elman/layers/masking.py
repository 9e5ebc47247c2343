# SPDX-License-Identifier: Apache-2.0
"""Masking: steps of a certain value are padding."""

from __future__ import annotations

from typing import Any

from elman._backend import core
from elman.layers import _checks
from elman.layers._elementwise import Elementwise
from elman.layers._options import Option


class Masking(Elementwise):
    """Marks the steps whose features all equal mask_value; later layers skip them.

    Shapes: x [N, T, ..., F] -> the same shape, with zeros in the marked steps; its mask [N, T, ...]
    is False there. The input's own mask is replaced.

    Errors: ValueError for an input with fewer than two axes.

    Source: Keras `Masking`.

    Example:
        >>> import elman, numpy as np
        >>> x = np.float32([[[1, 2], [7, 7]]])
        >>> y = elman.layers.Masking(7.0)(x)
        >>> y.numpy().tolist(), y._keras_mask.numpy().tolist()
        ([[[1.0, 2.0], [0.0, 0.0]]], [[True, False]])
    """

    _leaf = True

    mask_value = Option(0.0, _checks.number, doc="the value of padding")

    def _check_input(self, x: Any) -> None:
        if len(x.shape) < 2:
            self._fail("x", "(N, T, ..., F)", x.shape, "the last axis is the feature axis")

    def call(self, inputs: Any) -> Any:
        """The input with zeros in the marked steps."""
        used = core.any(core.not_equal(inputs, self.mask_value), -1, True)
        return core.where(used, inputs, 0.0)

    def compute_mask(self, inputs: Any, mask: Any = None) -> Any:
        """True where some feature is not mask_value."""
        return core.any(core.not_equal(inputs, self.mask_value), -1)
