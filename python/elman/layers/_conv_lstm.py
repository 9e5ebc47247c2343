# SPDX-License-Identifier: Apache-2.0
"""What ConvLSTM1D, ConvLSTM2D and ConvLSTM3D share, and their cells."""

from __future__ import annotations

from typing import Any, ClassVar

from elman._backend import core
from elman._errors import fail_text
from elman.layers import _checks, _spatial
from elman.layers._cell import BuiltinCell, Masks
from elman.layers._loop import Loop
from elman.layers._options import REQUIRED, Option, named
from elman.layers._recurrent import Recurrent
from elman.layers.lstm import LSTMCell

_AXES = {**_spatial.AXES, 1: ("rows",)}  # the steps of a sequence are its time


def _filters(where: str, name: str, value: Any) -> int:
    if isinstance(value, (list, tuple)) and any(hasattr(item, "call") for item in value):
        raise TypeError(
            f"[{where}] {name}: expected a positive int, got a list of cells; stack layers with "
            "return_sequences=True instead"
        )
    return _checks.positive_int(where, name, value)


def _no_unroll(where: str, name: str, value: Any) -> bool:
    if _checks.flag(where, name, value):
        raise TypeError(f"[{where}] {name}: expected False, got True; images are not unrolled")
    return False


class ConvLSTMCell(BuiltinCell):
    """One step of the convolutional LSTM; the cells of 2 and 3 axes override its sizes."""

    kind, gates, states_count = "conv_lstm", 4, 2
    rank: ClassVar[int] = 1
    _streams = False
    _after_loop = ("dropout", "recurrent_dropout")

    filters = Option(REQUIRED, _filters, doc="number of channels of output and states")
    kernel_size = _spatial.kernel_size(1)
    strides = _spatial.sizes(1, 1, "steps of the window over the input")
    padding = _spatial.padding("valid", "same")
    data_format = _spatial.data_format(None)
    dilation_rate = _spatial.sizes(1, 1, "distance of the taps on the input")
    activation = _checks.activation("tanh", "function of candidate and cell state")
    recurrent_activation = _checks.activation("hard_sigmoid", "function of the gates")
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
    seed = _checks.seed()

    _activations = LSTMCell._activations
    _bias_start = LSTMCell._bias_start
    _forget_bias = LSTMCell._forget_bias

    def _setup(self) -> None:
        super()._setup()
        self._image: tuple[int | None, ...] | None = None  # one step's input, in data_format
        if max(self.strides) > 1 and max(self.dilation_rate) > 1:
            got = f"strides={self.strides} with dilation_rate={self.dilation_rate}"
            where = type(self).__name__
            raise ValueError(fail_text(where, "strides", "1 together with a dilation", got))

    # -- shapes ---------------------------------------------------------------------------------

    @property
    def units(self) -> int:  # type: ignore[override]
        """The number of filters, which a state has at every pixel."""
        return self.filters

    @property
    def state_size(self) -> Any:
        """Channels of each state: (filters, filters)."""
        return (self.filters, self.filters)

    @property
    def output_size(self) -> Any:
        """The shape of the output without the batch axis; known once the cell is built."""
        return self._state_shapes()[0]

    @property
    def _first(self) -> bool:
        return self.data_format == "channels_first"

    @property
    def _step_form(self) -> str:
        """One step's input, for errors."""
        axes = ", ".join(_AXES[self.rank])
        return f"C, {axes}" if self._first else f"{axes}, C"

    def _moved(self, sizes: tuple[Any, ...]) -> tuple[Any, ...]:
        """The sizes of an image with the channels last."""
        return (*sizes[1:], sizes[0]) if self._first else sizes

    def _step_shapes(self, step: Any) -> tuple[Any, list[Any]]:
        """Shapes of output and states for one step's input, without the batch axis."""
        images = self._moved(step)[:-1]
        options = zip(images, self.kernel_size, self.strides, self.dilation_rate, strict=True)
        sizes = [_spatial.output_size(*one, self.padding) for one in options]
        shape = (self.filters, *sizes) if self._first else (*sizes, self.filters)
        return shape, [shape, shape]

    def _state_shapes(self) -> list[Any]:
        step = (None,) * (self.rank + 1) if self._image is None else self._image
        return self._step_shapes(step)[1]

    def compute_output_shape(self, input_shape: Any) -> Any:
        """Output and states of one step."""
        shape, states = self._step_shapes(tuple(input_shape[1:]))
        return [(input_shape[0], *size) for size in (shape, *states)]

    def build(self, input_shape: Any) -> None:
        """Make kernel [window, C, 4F], recurrent_kernel [window, F, 4F] and bias [4F]."""
        step = tuple(input_shape[1:])
        if len(step) != self.rank + 1 or None in step:
            hint = "states have a pixel for every position of the window"
            self._fail("x", f"(N, {self._step_form}) with known sizes", input_shape, hint)
        shape, _ = self._step_shapes(step)
        if min(shape) < 1:
            expected = f"images that a kernel of {self.kernel_size} fits into"
            self._fail("x", expected, input_shape, "give smaller kernels or padding='same'")
        self._image = step
        self._features = self._moved(step)[-1]
        self._build_weights(self._features, self.kernel_size)

    def _check_input(self, x: Any) -> None:
        if len(x.shape) != self.rank + 2:
            hint = "a cell takes one time step; put it into RNN(cell) for sequences"
            self._fail("x", f"(N, {self._step_form})", x.shape, hint)
        if self._image is not None and tuple(x.shape[1:]) != self._image:
            expected = "(N, " + ", ".join(map(str, self._image)) + ")"
            hint = "the sizes of the images are those that the cell was built for"
            self._fail("x", expected, x.shape, hint)

    # -- running --------------------------------------------------------------------------------

    def _mask_count(self) -> int:
        return self.gates

    def _make_kernel(self, kind: str, activation: str, recurrent_activation: str) -> Any:
        window = list(self.kernel_size), list(self.strides), self.padding, list(self.dilation_rate)
        return core.conv_lstm(self.filters, *window, activation, recurrent_activation)

    def _last(self, x: Any, first: int) -> Any:
        """x with the channels last; `first` is the first axis of its images."""
        if x is None or not self._first:
            return x
        return core.transpose(x, (*range(first), *range(first + 1, x.ndim), first))

    def _back(self, x: Any, first: int) -> Any:
        """The reverse of `_last`."""
        if not self._first:
            return x
        return core.transpose(x, (*range(first), x.ndim - 1, *range(first, x.ndim - 1)))

    def _apply(
        self, fused: Any, x: Any, states: Any, mask: Any, masks: Masks, loop: Loop
    ) -> tuple[Any, list[Any]]:
        states = None if states is None else [self._last(state, 1) for state in states]
        dropped = self._last(masks[0], 2), self._last(masks[1], 2)
        output, last = super()._apply(fused, self._last(x, 2), states, mask, dropped, loop)
        output = self._back(output, 2 if loop.return_sequences else 1)
        # The last states, then those after every step.
        return output, [self._back(state, 1 if k < 2 else 2) for k, state in enumerate(last)]

    def step(self, x: Any, states: list[Any], masks: Masks) -> tuple[Any, list[Any]]:
        """One step by differentiable operations, for activations that only Python knows."""
        window = self.strides, self.padding, self.dilation_rate
        x, h, c = (self._last(value, 1) for value in (x, *states))
        inner = self._gates(x, self.kernel, self._last(masks[0], 2), *window)
        ones = (1,) * self.rank
        outer = self._gates(h, self.recurrent_kernel, self._last(masks[1], 2), ones, "same", ones)
        bias, gate = self._bias_blocks(self.bias), self.recurrent_activation
        zi, zf, zc, zo = (inner[g] + outer[g] + bias[g] for g in range(4))
        c = gate(zf) * c + gate(zi) * self.activation(zc)
        h = self._back(gate(zo) * self.activation(c), 1)
        return h, [h, self._back(c, 1)]

    def _gates(
        self, x: Any, kernel: Any, mask: Any, strides: Any, padding: str, dilation: Any
    ) -> list[Any]:
        """The convolution of each gate, with a mask of its own."""
        blocks = core.unstack(core.reshape(kernel, (*kernel.shape[:-1], self.gates, -1)), -2)
        return [
            core.conv(x if mask is None else x * mask[g], block, None, strides, padding, dilation)
            for g, block in enumerate(blocks)
        ]

    def _describe(self, x_shape: tuple[int, ...], training: bool, **form: Any) -> str | None:
        return super()._describe((*x_shape[:2], *self._moved(x_shape[2:])), training, **form)


class ConvRecurrent(Recurrent):
    """The layer around a ConvLSTM cell."""

    _leaf = True
    _loop_extra: ClassVar[dict[str, Option]] = {
        "return_state": named(
            "return_state",
            _checks.boolean(False, "whether to return the last states as well", keyword=True),
        ),
        "unroll": named("unroll", Option(False, _no_unroll, keyword=True, doc="only False")),
    }

    @classmethod
    def _loop_flags(cls) -> dict[str, Option]:
        return {**super()._loop_flags(), **cls._loop_extra}

    def _may_bind(self) -> bool:
        return False  # the short way is for sequences of vectors
