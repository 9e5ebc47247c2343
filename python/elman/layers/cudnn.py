# SPDX-License-Identifier: Apache-2.0
"""CuDNNGRU and CuDNNLSTM: the weights of Keras' GPU layers, on any device."""

from __future__ import annotations

from typing import Any, ClassVar

from elman import activations
from elman._backend import core
from elman._tensors import as_tensor
from elman.layers import _checks, _layouts
from elman.layers._cell import BuiltinCell
from elman.layers._options import Option
from elman.layers._recurrent import Recurrent
from elman.layers._weights import start_values


class _CuDNNCell(BuiltinCell):
    """One step with weights in the layout of the library; always biased, tanh and sigmoid."""

    _stored = True

    # What the other cells choose by options.
    activation = staticmethod(activations.tanh)
    recurrent_activation = staticmethod(activations.sigmoid)
    use_bias = True
    dropout = recurrent_dropout = 0.0
    implementation = 2
    seed = None

    def _activations(self) -> tuple[Any, ...]:
        return activations.tanh, activations.sigmoid

    def _bias_shape(self) -> tuple[int, ...]:
        return (2 * self.gates * self.units,)

    def _operands(self) -> tuple[Any, Any, Any]:
        kernel, recurrent, bias = _layouts.to_plain(
            [self.kernel, self.recurrent_kernel, self.bias], self.kind
        )
        return kernel, recurrent, bias

    def _describe(self, x_shape: tuple[int, ...], training: bool, **form: Any) -> str | None:
        text = super()._describe(x_shape, training, **form)
        return f"{text}; weights converted from the CuDNN layout"


class _CuDNNGRUCell(_CuDNNCell):
    kind, gates = "gru_reset_after", 3

    units = _checks.units()
    kernel_initializer = _checks.initializer("glorot_uniform", "start of kernel")
    recurrent_initializer = _checks.initializer("orthogonal", "start of recurrent_kernel")
    bias_initializer = _checks.initializer("zeros", "start of bias")
    kernel_regularizer = _checks.regularizer("penalty on kernel")
    recurrent_regularizer = _checks.regularizer("penalty on recurrent_kernel")
    bias_regularizer = _checks.regularizer("penalty on bias")
    kernel_constraint = _checks.constraint("constraint of kernel")
    recurrent_constraint = _checks.constraint("constraint of recurrent_kernel")
    bias_constraint = _checks.constraint("constraint of bias")


class _CuDNNLSTMCell(_CuDNNCell):
    kind, gates, states_count = "lstm", 4, 2

    units = _checks.units()
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

    def _bias_start(self) -> Any:
        return self._forget_bias if self.unit_forget_bias else self.bias_initializer

    def _forget_bias(self, shape: tuple[int, ...], dtype: str) -> Any:
        """Ones in the forget gate's part of the recurrent bias, bias_initializer elsewhere."""
        own, units = self.bias_initializer, self.units
        first, last = (start_values(own, (n * units,), dtype) for n in (5, 2))
        ones = core.ones((units,), dtype)
        return core.concatenate([as_tensor(first, dtype), ones, as_tensor(last, dtype)], 0)


class CuDNN(Recurrent):
    """What both layers share: no mask, and only the flags that they have in Keras."""

    _absent: ClassVar[dict[str, Any]] = {"unroll": False, "zero_output_for_mask": False}

    @classmethod
    def _collect_options(cls) -> dict[str, Option]:
        options = dict(super()._collect_options())
        for name in cls._absent:
            options.pop(name, None)
        if "go_backwards" in options:
            options["go_backwards"] = options["go_backwards"].by_name()
        return options

    def _start(self, values: dict[str, Any], base: dict[str, Any]) -> None:
        super()._start({**values, **self._absent}, base)

    def _file_name(self) -> str:
        """The name of the plain layer, whose weights these are in another layout."""
        return super()._file_name().removeprefix("cu_dnn")

    def _may_bind(self) -> bool:
        return False  # the kernel takes converted weights

    def call(
        self,
        inputs: Any,
        mask: Any = None,
        training: Any = None,
        initial_state: Any = None,
        constants: Any = None,
        reset_mask: Any = None,
        lengths: Any = None,
    ) -> Any:
        """The computation on tensors."""
        if mask is not None or lengths is not None:
            name, what = type(self).__name__, "lengths" if mask is None else "mask"
            plain = name.removeprefix("CuDNN")
            raise ValueError(
                f"[{name}.call] {what}: not supported; {plain} takes masks and, by set_weights, "
                f"the weights of this layer (layer {self.name!r})"
            )
        return super().call(inputs, None, training, initial_state, constants, reset_mask)

    _leaf = True


class CuDNNGRU(CuDNN, cell=_CuDNNGRUCell):
    """GRU(reset_after=True) with tanh and sigmoid whose weights are stored as the library has them.

    `GRU(units).set_weights(layer.get_weights())` converts them, and set_weights here takes those of
    a GRU. The arithmetic is the same, on every device.

    Shapes: x [N, T, F] -> [N, H], or [N, T, H] with return_sequences; with return_state a list
    [output, h [N, H]]. Weights kernel [F, 3H], recurrent_kernel [H, 3H] with gates [z | r | h],
    bias [6H].

    Errors: ValueError for a mask, or an input that is not [N, T, F].

    Source: Keras 2 `CuDNNGRU`.

    Example:
        >>> import elman, numpy as np
        >>> elman.layers.CuDNNGRU(4)(np.ones((2, 5, 3), "float32")).shape
        (2, 4)
    """


class CuDNNLSTM(CuDNN, cell=_CuDNNLSTMCell):
    """LSTM with tanh and sigmoid whose weights are stored as the library has them.

    `LSTM(units).set_weights(layer.get_weights())` converts them, and set_weights here takes those
    of an LSTM. The arithmetic is the same, on every device.

    Shapes: x [N, T, F] -> [N, H], or [N, T, H] with return_sequences; with return_state a list
    [output, h [N, H], c [N, H]]. Weights kernel [F, 4H], recurrent_kernel [H, 4H] with gates
    [i | f | c | o], bias [8H].

    Errors: ValueError for a mask, or an input that is not [N, T, F].

    Source: Keras 2 `CuDNNLSTM`.

    Example:
        >>> import elman, numpy as np
        >>> elman.layers.CuDNNLSTM(4)(np.ones((2, 5, 3), "float32")).shape
        (2, 4)
    """
