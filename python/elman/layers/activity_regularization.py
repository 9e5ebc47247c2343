# SPDX-License-Identifier: Apache-2.0
"""ActivityRegularization: a penalty on what flows through."""

from __future__ import annotations

from typing import Any

from elman import regularizers
from elman.layers import _checks
from elman.layers._elementwise import Elementwise
from elman.layers._options import Option


class ActivityRegularization(Elementwise):
    """The input, with l1 * sum |x| + l2 * sum x^2, divided by the batch size, added to the loss.

    Shapes: x of any shape -> the same shape.

    Errors: ValueError for a factor that is no number.

    Source: Keras `ActivityRegularization`.

    Example:
        >>> import elman, numpy as np
        >>> layer = elman.layers.ActivityRegularization(l1=0.5)
        >>> y = layer(np.float32([[1, -2], [3, 4]]))
        >>> float(layer.losses[0])
        2.5
    """

    _leaf = True

    l1 = Option(0.0, _checks.number, doc="factor of the sum of magnitudes")
    l2 = Option(0.0, _checks.number, doc="factor of the sum of squares")

    def _setup(self) -> None:
        self.activity_regularizer = regularizers.L1L2(self.l1, self.l2)

    def call(self, inputs: Any) -> Any:
        """The input."""
        return inputs
