# SPDX-License-Identifier: Apache-2.0
"""LSTM and its cell."""

from __future__ import annotations

from typing import Any

from elman._backend import core
from elman._tensors import as_tensor
from elman.layers import _checks
from elman.layers._cell import BuiltinCell, Masks
from elman.layers._options import Option
from elman.layers._recurrent import Recurrent
from elman.layers._weights import start_values


class LSTMCell(BuiltinCell):
    """One step of the long short-term memory; gates are packed [i | f | c | o].

    i = s(x Wi + h Ui + bi), f = s(x Wf + h Uf + bf), o = s(x Wo + h Uo + bo),
    c' = f c + i a(x Wc + h Uc + bc), h' = o a(c').

    Shapes: inputs [N, F], states [h [N, H], c [N, H]] -> h' [N, H], [h', c'];
    weights kernel [F, 4H], recurrent_kernel [H, 4H], bias [4H].

    Source: Hochreiter and Schmidhuber 1997 with the forget gate of Gers 2000; Keras `LSTMCell`.

    Example:
        >>> import elman, numpy as np
        >>> cell, zeros = elman.layers.LSTMCell(4), np.zeros((2, 4), "float32")
        >>> h, states = cell(np.ones((2, 3), "float32"), [zeros, zeros])
        >>> h.shape, len(states)
        ((2, 4), 2)
    """

    kind, gates, states_count = "lstm", 4, 2

    units = _checks.units()
    activation = _checks.activation("tanh", "function of candidate and cell state")
    recurrent_activation = _checks.activation("sigmoid", "function of the gates")
    use_bias = _checks.boolean(True, "whether there is a bias")
    kernel_initializer = _checks.initializer("glorot_uniform", "start of kernel")
    recurrent_initializer = _checks.initializer("orthogonal", "start of recurrent_kernel")
    bias_initializer = _checks.initializer("zeros", "start of bias")
    unit_forget_bias = _checks.boolean(True, "whether the bias of the forget gate starts at 1")
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
    seed = _checks.seed()

    def _activations(self) -> tuple[Any, ...]:
        return self.activation, self.recurrent_activation

    def _bias_start(self) -> Any:
        return self._forget_bias if self.unit_forget_bias else self.bias_initializer

    def _forget_bias(self, shape: tuple[int, ...], dtype: str) -> Any:
        """Ones for the forget gate, bias_initializer for the other three."""
        own, units = self.bias_initializer, shape[0] // 4
        first, last = (start_values(own, (n,), dtype) for n in (units, 2 * units))
        ones = core.ones((units,), dtype)
        return core.concatenate([as_tensor(first, dtype), ones, as_tensor(last, dtype)], 0)

    def step(self, x: Any, states: list[Any], masks: Masks) -> tuple[Any, list[Any]]:
        """The equations of the class."""
        h, c = states
        inner = self._product(x, self.kernel, masks[0])
        outer = self._product(h, self.recurrent_kernel, masks[1])
        bias, gate = self._bias_blocks(self.bias), self.recurrent_activation
        zi, zf, zc, zo = (inner[g] + outer[g] + bias[g] for g in range(4))
        c = gate(zf) * c + gate(zi) * self.activation(zc)
        h = gate(zo) * self.activation(c)
        return h, [h, c]


class LSTM(Recurrent, cell=LSTMCell):
    """The long short-term memory over a sequence.

    i = s(x Wi + h Ui + bi), f = s(x Wf + h Uf + bf), o = s(x Wo + h Uo + bo),
    c' = f c + i a(x Wc + h Uc + bc), h' = o a(c').

    Shapes: x [N, T, F] -> [N, H], or [N, T, H] with return_sequences; with return_state a list
    [output, h [N, H], c [N, H]]. Weights kernel [F, 4H], recurrent_kernel [H, 4H], bias [4H] with
    gates [i | f | c | o].

    Calls also take mask, lengths, reset_mask and initial_state, as described at `RNN`.

    Errors: ValueError for an input that is not [N, T, F] with the F that the layer was built for.

    Source: Hochreiter and Schmidhuber 1997 with the forget gate of Gers 2000; Keras `LSTM`.

    Example:
        >>> import elman, numpy as np
        >>> elman.layers.LSTM(4)(np.ones((2, 5, 3), "float32")).shape
        (2, 4)
    """
