# SPDX-License-Identifier: Apache-2.0
"""Dense: the fully connected layer."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any, ClassVar

from elman._backend import core
from elman.activations import kernel_name
from elman.layers import _checks
from elman.layers._kernel import KernelAndBias
from elman.layers._options import Option, named
from elman.layers.layer import BASE_KEYWORDS

INPUT_DIM = named(
    "input_dim", Option(None, _checks.optional_int, keyword=True, doc="F of the input")
)


class Dense(KernelAndBias):
    """y = a(x W + b), over the last axis of an input of any rank.

    Shapes: x [N, ..., F] -> [N, ..., H]; weights kernel [F, H], bias [H].

    Errors: ValueError for an input with fewer than two axes, or with another F than the layer was
    built for.

    Source: Keras `Dense`.

    Example:
        >>> import elman, numpy as np
        >>> elman.layers.Dense(3)(np.ones((2, 5, 4), "float32")).shape
        (2, 5, 3)
    """

    _base_keywords: ClassVar[Mapping[str, Option]] = {**BASE_KEYWORDS, "input_dim": INPUT_DIM}
    _leaf = True
    _casts_integers = True
    supports_masking = True

    units = _checks.units()
    activation = _checks.activation(None)
    use_bias = _checks.boolean(True, "whether there is a bias")
    kernel_initializer = _checks.initializer("glorot_uniform", "start of kernel")
    bias_initializer = _checks.initializer("zeros", "start of bias")
    kernel_regularizer = _checks.regularizer("penalty on kernel")
    bias_regularizer = _checks.regularizer("penalty on bias")
    activity_regularizer = _checks.regularizer("penalty on the output")
    kernel_constraint = _checks.constraint("constraint of kernel")
    bias_constraint = _checks.constraint("constraint of bias")

    _features: int | None = None

    def build(self, input_shape: Any) -> None:
        """Make kernel [F, H] and bias [H]."""
        features = input_shape[-1] if input_shape else None
        if len(input_shape) < 2 or features is None:
            hint = "the last axis is the feature axis and has to be known"
            self._fail("x", "(N, ..., F)", input_shape, hint)
        self._add_kernel_and_bias((features, self.units))
        self._features = features

    def _check_input(self, x: Any) -> None:
        shape = x.shape
        if len(shape) < 2 or shape[-1] != self._features:
            hint = "the last axis is the feature axis"
            self._fail("x", f"(N, ..., {self._features})", shape, hint)

    def call(self, inputs: Any) -> Any:
        """The product, bias and activation, in one node for a compiled activation."""
        name = kernel_name(self.activation)
        if name is not None:
            return core.dense(inputs, self.kernel, self.bias, name)
        return self.activation(core.dense(inputs, self.kernel, self.bias, "linear"))

    def compute_output_shape(self, input_shape: Any) -> Any:
        """The input's shape with the last axis replaced by H."""
        return (*input_shape[:-1], self.units)
