# SPDX-License-Identifier: Apache-2.0
"""Recurrent: what SimpleRNN, GRU and LSTM share, around a built-in cell."""

from __future__ import annotations

import inspect
from typing import Any, ClassVar

from elman._backend import core
from elman._errors import renamed
from elman._names import snake_case
from elman.layers import _checks
from elman.layers._cell import BuiltinCell
from elman.layers._options import FromCell, Option, declared, named
from elman.layers.rnn import RNN

_ACTIVITY = named("activity_regularizer", _checks.regularizer("penalty on the output"))


def composed(cell: type[BuiltinCell], flags: dict[str, Option]) -> dict[str, Option]:
    """The options of a layer around `cell`, in Keras' order.

    The cell's options come first, activity_regularizer after bias_regularizer; then the loop
    flags of the layer, then what the cell wants after them.
    """
    late = {
        name: option
        for name, option in cell._options.items()
        if name in cell._after_loop or option.keyword
    }
    options: dict[str, Option] = {}
    for name, option in cell._options.items():
        if name not in late:
            options[name] = option
        if name == "bias_regularizer":
            options[_ACTIVITY.name] = _ACTIVITY
    return {**options, **flags, **late}


def _show_signature(function: Any) -> None:
    """The arguments that Keras 2.0 documents for Recurrent, which it never takes itself."""
    flags = ("return_sequences", "go_backwards", "stateful", "unroll")
    place = inspect.Parameter.POSITIONAL_OR_KEYWORD
    parameters = [inspect.Parameter(name, place, default=False) for name in flags]
    parameters.insert(0, inspect.Parameter("self", place))
    parameters.append(inspect.Parameter("implementation", place, default=0))
    function.__signature__ = inspect.Signature(parameters)


class Recurrent(RNN):
    """Abstract base of SimpleRNN, GRU, LSTM and the ConvLSTM layers.

    `isinstance(layer, Recurrent)` tells that a layer is one of them; making a Recurrent itself
    raises TypeError.

    Source: Keras 2.0 `Recurrent`.
    """

    _cell_class: ClassVar[type[BuiltinCell]]

    def __init__(self, *args: Any, **kwargs: Any) -> None:
        raise TypeError("[Recurrent] is abstract; use SimpleRNN, GRU, LSTM, or RNN with a cell")

    def __init_subclass__(cls, *, cell: type[BuiltinCell] | None = None, **kwargs: Any) -> None:
        if cell is not None:
            cls._cell_class = cell
            for name in cell._options:
                setattr(cls, name, FromCell(name))
        super().__init_subclass__(**kwargs)

    @classmethod
    def _collect_options(cls) -> dict[str, Option]:
        own = "_cell_class" in vars(cls)
        return composed(cls._cell_class, cls._loop_flags()) if own else declared(cls)

    @classmethod
    def _loop_flags(cls) -> dict[str, Option]:
        """The options that are not the cell's."""
        return {name: option for name, option in RNN._options.items() if name != "cell"}

    # -- the short way --------------------------------------------------------------------------
    #
    # A call without masks, states or dropout needs nothing of what a call can have: `_bound` is
    # the kernel with its weights and flags, made after such a call and dropped as soon as an
    # attribute of the layer or its cell changes.

    _bound: Any = None
    _bound_at = -1

    def __setattr__(self, name: str, value: Any) -> None:
        object.__setattr__(self, name, value)
        self.__dict__["_bound"] = None

    def __call__(
        self, inputs: Any, *args: Any, mask: Any = None, training: Any = None, **kwargs: Any
    ) -> Any:
        """Apply the layer to arrays or tensors, or to symbolic tensors of `elman.Input`."""
        plain = mask is None and not args and not kwargs
        bound = self._bound
        if plain and bound is not None and self._bound_at == self.cell._changes:
            output = bound(inputs)
            if output is not None:
                return output
        output = super().__call__(inputs, *args, mask=mask, training=training, **kwargs)
        if plain and self._bound is None and self._may_bind():
            cell, flags = self.cell, (self.return_sequences, self.return_state, self.go_backwards)
            weights = cell.kernel, cell.recurrent_kernel, cell.bias
            self.__dict__["_bound"] = core.BoundCell(cell._fused(), *weights, *flags)
            self.__dict__["_bound_at"] = cell._changes
        return output

    def _may_bind(self) -> bool:
        """Whether the kernel alone is all that a plain call runs."""
        kind, cell = type(self), self.cell
        own = (kind.call, kind._check_input, kind._call_checked)
        return (
            self.built
            and own == (RNN.call, RNN._check_input, RNN._call_checked)
            and not (self.stateful or self.unroll or self.return_state_sequences)
            and not (cell.dropout or cell.recurrent_dropout)
            and self.activity_regularizer is None
            and not (cell._own_call or cell._own_start)
            and cell._fused() is not None
        )

    def __getstate__(self) -> dict[str, Any]:
        """What a copy or a pickle holds: the bound kernel is made again when it is needed."""
        return {**self.__dict__, "_bound": None}

    def _start(self, values: dict[str, Any], base: dict[str, Any]) -> None:
        cell_class = self._cell_class
        of_cell = {name: values.pop(name) for name in cell_class._options}
        name = snake_case(cell_class.__name__)
        with renamed(cell_class.__name__, type(self).__name__):
            cell = cell_class(**of_cell, name=name, dtype=base["dtype"])
        super()._start({"cell": cell, **values}, base)

    def build(self, input_shape: Any) -> None:
        """Build the cell for one step, (N, F); its errors are the layer's."""
        names = self.cell.name, self.name
        with renamed(self._cell_class.__name__, type(self).__name__, names):
            super().build(input_shape)


_show_signature(Recurrent.__init__)
