# SPDX-License-Identifier: Apache-2.0
"""LayerNormalization: each sample to mean 0 and variance 1."""

from __future__ import annotations

from typing import Any

from elman._backend import core
from elman.layers import _checks
from elman.layers._normalization import Normalization, as_listed, axes, positive
from elman.layers._options import Option


class LayerNormalization(Normalization):
    """(x - mean) / sqrt(variance + epsilon) gamma + beta, over `axis` of each sample and step.

    Shapes: x of any shape -> the same shape; weights gamma and beta, the sizes of `axis`.

    Errors: ValueError for an axis that x does not have or whose size is not known, or for other
    sizes than the layer was built for.

    Source: Ba, Kiros, Hinton 2016; Keras `LayerNormalization`. One kernel, forwards and backwards.

    Example:
        >>> import elman, numpy as np
        >>> elman.layers.LayerNormalization(epsilon=1e-6)(np.float32([[1, 3]])).numpy().round(3)
        array([[-1.,  1.]], dtype=float32)
    """

    _leaf = True

    axis = Option(-1, axes, as_listed, doc="axis to normalize over, or several")
    epsilon = Option(0.001, positive, doc="added to the variance")
    center = _checks.boolean(True, "whether there is a beta")
    scale = _checks.boolean(True, "whether there is a gamma")
    beta_initializer = _checks.initializer("zeros", "start of beta")
    gamma_initializer = _checks.initializer("ones", "start of gamma")
    beta_regularizer = _checks.regularizer("penalty on beta")
    gamma_regularizer = _checks.regularizer("penalty on gamma")
    beta_constraint = _checks.constraint("constraint of beta")
    gamma_constraint = _checks.constraint("constraint of gamma")

    def build(self, input_shape: Any) -> None:
        """Make gamma and beta."""
        self._find_axes(input_shape)
        self._add_affine()

    def call(self, inputs: Any) -> Any:
        """The normalized input."""
        gamma, beta = self._flat(self.gamma), self._flat(self.beta)
        y = core.layer_norm(self._to_last(inputs), gamma, beta, self.epsilon)
        return self._from_last(y, inputs)
