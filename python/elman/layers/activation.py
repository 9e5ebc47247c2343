# SPDX-License-Identifier: Apache-2.0
"""Activation: a function of every element."""

from __future__ import annotations

from typing import Any

from elman.layers import _checks
from elman.layers._elementwise import Elementwise
from elman.layers._options import REQUIRED


class Activation(Elementwise):
    """An activation function as a layer; softmax runs over the last axis.

    Shapes: x of any shape -> the same shape.

    Errors: ValueError for an unknown name.

    Source: Keras `Activation`.

    Example:
        >>> import elman, numpy as np
        >>> elman.layers.Activation("relu")(np.float32([[-1, 2]])).numpy()
        array([[0., 2.]], dtype=float32)
    """

    _leaf = True

    activation = _checks.activation(REQUIRED, "the function")

    def call(self, inputs: Any) -> Any:
        """The function of the input."""
        return self.activation(inputs)
