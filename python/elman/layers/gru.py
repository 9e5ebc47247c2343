# SPDX-License-Identifier: Apache-2.0
"""GRU and its cell, in both published forms."""

from __future__ import annotations

from typing import Any

from elman._backend import core
from elman.layers import _checks
from elman.layers._cell import BuiltinCell, Masks
from elman.layers._options import Option
from elman.layers._recurrent import Recurrent


class GRUCell(BuiltinCell):
    """One step of the gated recurrent unit; gates are packed [z | r | h].

    z = s(x Wz + h Uz + bz), r = s(x Wr + h Ur + br), h' = z h + (1 - z) hh with
    hh = a(x Wh + bh + (r h) Uh), or with reset_after hh = a(x Wh + bi + r (h Uh + br)).

    Shapes: inputs [N, F], states [h [N, H]] -> h' [N, H], [h'];
    weights kernel [F, 3H], recurrent_kernel [H, 3H], bias [3H], with reset_after [2, 3H].

    Source: arXiv 1406.1078, v3 and (reset_after) v1; Keras `GRUCell`.

    Example:
        >>> import elman, numpy as np
        >>> cell = elman.layers.GRUCell(4)
        >>> h, states = cell(np.ones((2, 3), "float32"), [np.zeros((2, 4), "float32")])
        >>> h.shape, len(states)
        ((2, 4), 1)
    """

    kind, gates = "gru", 3
    _after_loop = ("reset_after",)

    units = _checks.units()
    activation = _checks.activation("tanh", "function of the candidate")
    recurrent_activation = _checks.activation("sigmoid", "function of the gates")
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
        2, _checks.implementation, doc="dropout masks: 1 one per gate, 2 shared by the gates"
    )
    reset_after = _checks.boolean(True, "whether the reset gate acts after the recurrent product")
    seed = _checks.seed()

    def _kernel_kind(self) -> str:
        return "gru_reset_after" if self.reset_after else "gru"

    def _activations(self) -> tuple[Any, ...]:
        return self.activation, self.recurrent_activation

    def _bias_shape(self) -> tuple[int, ...]:
        return (2, 3 * self.units) if self.reset_after else (3 * self.units,)

    def step(self, x: Any, states: list[Any], masks: Masks) -> tuple[Any, list[Any]]:
        """The equations of the class, gate by gate."""
        (h,), gate = states, self.recurrent_activation
        xz, xr, xh = self._product(x, self.kernel, masks[0])
        inner, outer = self._biases()
        if self.reset_after:
            hz, hr, hh = self._product(h, self.recurrent_kernel, masks[1])
            z = gate(xz + inner[0] + hz + outer[0])
            r = gate(xr + inner[1] + hr + outer[1])
            candidate = self.activation(xh + inner[2] + r * (hh + outer[2]))
        else:
            # The candidate's product needs r first, so the gates' kernels are taken apart.
            uz, ur, uh = self._recurrent_blocks()
            mask = masks[1]
            masked = [h, h, h] if mask is None else [h * mask[g % mask.shape[0]] for g in range(3)]
            z = gate(xz + inner[0] + core.matmul(masked[0], uz))
            r = gate(xr + inner[1] + core.matmul(masked[1], ur))
            candidate = self.activation(xh + inner[2] + core.matmul(r * masked[2], uh))
        h = z * h + (1.0 - z) * candidate
        return h, [h]

    def _biases(self) -> tuple[list[Any], list[Any]]:
        """Input and recurrent bias of each gate."""
        if self.bias is None or not self.reset_after:
            return self._bias_blocks(self.bias), self._bias_blocks(None)
        return self._bias_blocks(self.bias[0]), self._bias_blocks(self.bias[1])

    def _recurrent_blocks(self) -> list[Any]:
        shape = (self.units, 3, self.units)
        return core.unstack(core.reshape(self.recurrent_kernel, shape), 1)


class GRU(Recurrent, cell=GRUCell):
    """The gated recurrent unit over a sequence.

    z = s(x Wz + h Uz + bz), r = s(x Wr + h Ur + br), h' = z h + (1 - z) hh with
    hh = a(x Wh + bh + (r h) Uh), or with reset_after hh = a(x Wh + bi + r (h Uh + br)).

    Shapes: x [N, T, F] -> [N, H], or [N, T, H] with return_sequences; with return_state a list
    [output, h [N, H]]. Weights kernel [F, 3H], recurrent_kernel [H, 3H] with gates [z | r | h],
    bias [3H], with reset_after [2, 3H].

    Calls also take mask, lengths, reset_mask and initial_state, as described at `RNN`.

    Errors: ValueError for an input that is not [N, T, F] with the F that the layer was built for.

    Source: arXiv 1406.1078, v3 and (reset_after) v1; Keras `GRU`.

    Example:
        >>> import elman, numpy as np
        >>> elman.layers.GRU(4)(np.ones((2, 5, 3), "float32")).shape
        (2, 4)
    """
