# SPDX-License-Identifier: Apache-2.0
"""SimpleRNN, the Elman network, and its cell."""

from __future__ import annotations

from typing import Any

from elman._backend import core
from elman.layers import _checks
from elman.layers._cell import BuiltinCell, Masks
from elman.layers._options import Option
from elman.layers._recurrent import Recurrent


class SimpleRNNCell(BuiltinCell):
    """One step of the Elman network: h' = a(x W + b + h U).

    Shapes: inputs [N, F], states [h [N, H]] -> h' [N, H], [h'];
    weights kernel [F, H], recurrent_kernel [H, H], bias [H].

    Source: J. L. Elman, Finding structure in time, 1990; Keras `SimpleRNNCell`.

    Example:
        >>> import elman, numpy as np
        >>> cell = elman.layers.SimpleRNNCell(4)
        >>> h, states = cell(np.ones((2, 3), "float32"), [np.zeros((2, 4), "float32")])
        >>> h.shape, len(states)
        ((2, 4), 1)
    """

    kind, gates = "simple_rnn", 1

    units = _checks.units()
    activation = _checks.activation("tanh")
    use_bias = _checks.boolean(True, "whether there is a bias")
    kernel_initializer = _checks.initializer("glorot_uniform", "start of kernel")
    recurrent_initializer = _checks.initializer("orthogonal", "start of recurrent_kernel")
    bias_initializer = _checks.initializer("zeros", "start of bias")
    kernel_regularizer = _checks.regularizer("penalty on kernel")
    recurrent_regularizer = _checks.regularizer("penalty on recurrent_kernel")
    bias_regularizer = _checks.regularizer("penalty on bias")
    kernel_constraint = _checks.constraint("constraint of kernel")
    recurrent_constraint = _checks.constraint("constraint of recurrent_kernel")
    bias_constraint = _checks.constraint("constraint of bias")
    dropout = _checks.rate("share of the inputs dropped in training")
    recurrent_dropout = _checks.rate("share of the state dropped in training")
    implementation = Option(
        2, _checks.implementation, keyword=True, doc="accepted as by the other cells; no effect"
    )
    seed = _checks.seed()

    def step(self, x: Any, states: list[Any], masks: Masks) -> tuple[Any, list[Any]]:
        """h' = a(x W + b + h U)."""
        (z,) = self._product(x, self.kernel, masks[0])
        (r,) = self._product(states[0], self.recurrent_kernel, masks[1])
        if self.bias is not None:
            z = core.bias_add(z, self.bias)
        h = self.activation(z + r)
        return h, [h]


class SimpleRNN(Recurrent, cell=SimpleRNNCell):
    """The Elman network over a sequence: h_t = a(x_t W + b + h_{t-1} U).

    Shapes: x [N, T, F] -> [N, H], or [N, T, H] with return_sequences; with return_state a list
    [output, h [N, H]]. Weights kernel [F, H], recurrent_kernel [H, H], bias [H].

    Calls also take mask, lengths, reset_mask and initial_state, as described at `RNN`.

    Errors: ValueError for an input that is not [N, T, F] with the F that the layer was built for.

    Source: J. L. Elman, Finding structure in time, 1990; Keras `SimpleRNN`.

    Example:
        >>> import elman, numpy as np
        >>> elman.layers.SimpleRNN(4)(np.ones((2, 5, 3), "float32")).shape
        (2, 4)
    """
