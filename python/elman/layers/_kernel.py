# SPDX-License-Identifier: Apache-2.0
"""KernelAndBias: the weights of Dense and of the convolutions."""

from __future__ import annotations

from typing import Any

from elman.layers.layer import Layer


class KernelAndBias(Layer):
    """Base of layers y = a(x * kernel + bias), with one bias per unit of kernel's last axis."""

    kernel: Any
    bias: Any = None

    use_bias: Any
    kernel_initializer: Any
    bias_initializer: Any
    kernel_regularizer: Any
    bias_regularizer: Any
    kernel_constraint: Any
    bias_constraint: Any

    def _add_kernel_and_bias(self, shape: tuple[Any, ...]) -> None:
        """Kernel of that shape, and bias if the options ask for it."""
        self.kernel = self.add_weight(
            name="kernel",
            shape=shape,
            initializer=self.kernel_initializer,
            regularizer=self.kernel_regularizer,
            constraint=self.kernel_constraint,
        )
        if self.use_bias:
            self.bias = self.add_weight(
                name="bias",
                shape=shape[-1:],
                initializer=self.bias_initializer,
                regularizer=self.bias_regularizer,
                constraint=self.bias_constraint,
            )
