# SPDX-License-Identifier: Apache-2.0
"""What the built-in cells share: weights, dropout masks, and the fused kernel."""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any, ClassVar

from elman import _random
from elman._backend import core
from elman.activations import kernel_name
from elman.layers import _layouts
from elman.layers._loop import Loop, checked_states, step_loop
from elman.layers._run import zero_states
from elman.layers.layer import Layer

Masks = tuple[Any, Any]


class BuiltinCell(Layer):
    """A cell with a compiled kernel, `kind`, of `gates` gates packed along the last axis.

    Over a sequence the kernel runs, with masks and dropout as its operands. An activation that
    only Python knows makes the cell run `step` per time step instead.
    """

    kind: ClassVar[str]
    gates: ClassVar[int]
    states_count: ClassVar[int] = 1
    _leaf = True
    _casts_integers = True
    _streams: ClassVar[bool] = True  # whether the kernel runs one time step at a time
    # Options that the layer around the cell lists after its loop flags.
    _after_loop: ClassVar[tuple[str, ...]] = ()

    # The options that every subclass declares.
    units: Any
    activation: Any
    use_bias: Any
    bias_initializer: Any
    bias_regularizer: Any
    bias_constraint: Any
    dropout: Any
    recurrent_dropout: Any
    implementation: Any
    seed: Any
    kernel: Any
    recurrent_kernel: Any
    bias: Any = None

    _own_call: ClassVar[bool] = False  # a subclass has its own `call`
    _own_start: ClassVar[bool] = False  # a subclass has its own `get_initial_state`

    def __init_subclass__(cls, **kwargs: Any) -> None:
        super().__init_subclass__(**kwargs)
        cls._own_call = cls.call is not BuiltinCell.call
        cls._own_start = cls.get_initial_state is not BuiltinCell.get_initial_state

    # -- weights --------------------------------------------------------------------------------

    _changes = 0  # of attributes; a layer that has bound the kernel binds it anew

    def __setattr__(self, name: str, value: Any) -> None:
        object.__setattr__(self, name, value)
        self.__dict__["_changes"] = self._changes + 1

    def _setup(self) -> None:
        self._stream = _random.stream(self.seed)
        self._fused_for: tuple[Any, ...] = ()
        self._fused_kernel: Any = None
        self._kept_masks: dict[str, Any] = {}
        self._features: int | None = None

    def __getstate__(self) -> dict[str, Any]:
        """What a copy or a pickle holds: the compiled kernel is found again when it is needed."""
        return {**self.__dict__, "_fused_for": (), "_fused_kernel": None, "_kept_masks": {}}

    @property
    def state_size(self) -> Any:
        """Size of each state: units, or (units, units) for a cell with two states."""
        return self.units if self.states_count == 1 else (self.units,) * self.states_count

    @property
    def output_size(self) -> int:
        """Size of the output: units."""
        return self.units

    def build(self, input_shape: Any) -> None:
        """Make kernel [F, G*H], recurrent_kernel [H, G*H] and bias."""
        self._check_rank(input_shape)
        features = input_shape[-1]
        if features is None:
            self._fail("x", "(N, F) with a known F", input_shape, "give the input a shape")
        self._build_weights(features)

    def _build_weights(self, features: Any, window: tuple[int, ...] = ()) -> None:
        """The weights; the kernels of a convolution have the sizes of its window in front."""
        width = self.gates * self.units
        for name, rows in (("kernel", features), ("recurrent_kernel", self.units)):
            prefix = "recurrent_" if name == "recurrent_kernel" else "kernel_"
            weight = self.add_weight(
                name=name,
                shape=(*window, rows, width),
                initializer=getattr(self, prefix + "initializer"),
                regularizer=getattr(self, prefix + "regularizer"),
                constraint=getattr(self, prefix + "constraint"),
            )
            setattr(self, name, weight)
        if self.use_bias:
            self.bias = self.add_weight(
                name="bias",
                shape=self._bias_shape(),
                initializer=self._bias_start(),
                regularizer=self.bias_regularizer,
                constraint=self.bias_constraint,
            )
        self._features = features

    def _bias_shape(self) -> tuple[int, ...]:
        return (self.gates * self.units,)

    def _bias_start(self) -> Any:
        return self.bias_initializer

    # Whether the weights are stored in the layout of CuDNN.
    _stored: ClassVar[bool] = False

    def _operands(self) -> tuple[Any, Any, Any]:
        """kernel, recurrent_kernel and bias (or None) as the compiled kernel takes them."""
        return self.kernel, self.recurrent_kernel, self.bias

    def _adapted(self, where: str, values: list[Any]) -> list[Any]:
        """Weights that come from the CuDNN layer of this kind, or from the plain one to it."""
        kind, own = self._kernel_kind(), self.weights
        fits = [tuple(v.shape) == tuple(w.shape) for v, w in zip(values, own, strict=True)]
        if fits != [True, True, False] or kind not in _layouts.GATES:
            return values
        of = self.bias.path
        return _layouts.convert(where, values, (kind, self._stored), self.units, of)

    def _layer_file_name(self) -> str | None:
        """What a file of weights calls an RNN of this cell; None if it is the user's own."""
        return None if self._own_call else self._file_name().removesuffix("_cell")

    def _state_shapes(self) -> list[tuple[int, ...]]:
        """The shape of each state, without the batch axis."""
        return [(self.units,)] * self.states_count

    def get_initial_state(
        self, inputs: Any = None, batch_size: int | None = None, dtype: str | None = None
    ) -> list[Any]:
        """Zero states [N, H] for a batch of that size."""
        batch = inputs.shape[0] if batch_size is None else batch_size
        sizes = self._state_shapes()
        if None in sizes[0]:
            where = f"{type(self).__name__}.get_initial_state"
            raise ValueError(f"[{where}] the sizes of the images are not known yet; build the cell")
        return [core.zeros((batch, *size), dtype or self.dtype) for size in sizes]

    def compute_output_shape(self, input_shape: Any) -> Any:
        """Output and states of one step: (N, H) each."""
        shape = (input_shape[0], self.units)
        return [shape] * (1 + self.states_count)

    # -- dropout --------------------------------------------------------------------------------

    def _mask_count(self) -> int:
        return 1 if self.implementation == 2 else self.gates

    def _draw(self, rate: float, *shape: int) -> Any:
        """A mask [1 or G, *shape] of zeros and 1 / (1 - rate); None when nothing is dropped."""
        if not 0.0 < rate < 1.0:
            return None
        shape = (self._mask_count(), *shape)
        return core.dropout_mask(shape, rate, self.dtype, *_random.key_of(self._stream))

    def _draw_masks(self, shape: Sequence[int]) -> Masks:
        """New masks of the input [N, T, F] and of the state for one call of the layer."""
        return (
            self._draw(self.dropout, shape[0], *shape[2:]),
            self._draw(self.recurrent_dropout, shape[0], *self._state_shapes()[0]),
        )

    def _kept(self, name: str, rate: float, like: Any) -> Any:
        """The mask that direct calls of the cell share until it is reset."""
        mask = self._kept_masks.get(name)
        if mask is None or tuple(mask.shape[1:]) != tuple(like.shape):
            mask = self._kept_masks[name] = self._draw(rate, *like.shape)
        return mask

    def get_dropout_mask(self, step_input: Any) -> Any:
        """The input mask [1 or G, N, F] of direct training calls, or None without dropout."""
        return self._kept("input", self.dropout, step_input)

    def get_recurrent_dropout_mask(self, step_input: Any) -> Any:
        """The state mask [1 or G, N, H] of direct training calls, or None without dropout."""
        return self._kept("state", self.recurrent_dropout, step_input)

    def reset_dropout_mask(self) -> None:
        """Let the next direct training call draw a new input mask."""
        self._kept_masks.pop("input", None)

    def reset_recurrent_dropout_mask(self) -> None:
        """Let the next direct training call draw a new state mask."""
        self._kept_masks.pop("state", None)

    # -- running --------------------------------------------------------------------------------

    def _activations(self) -> tuple[Any, ...]:
        """The functions that the kernel has to know."""
        return (self.activation,)

    def _kernel_kind(self) -> str:
        return self.kind

    def _fused(self) -> Any:
        """The compiled kernel for the present activations, or None when they need Python."""
        functions = self._activations()
        if functions != self._fused_for:
            names = [kernel_name(f, rows=True) for f in functions]
            known, kind = None not in names, self._kernel_kind()
            self._fused_kernel = self._make_kernel(kind, names[0], names[-1]) if known else None
            self._fused_for = functions
        return self._fused_kernel

    def _make_kernel(self, kind: str, activation: Any, recurrent_activation: Any) -> Any:
        return core.FusedCell(kind, self.units, activation, recurrent_activation)

    def _apply(
        self, fused: Any, x: Any, states: Any, mask: Any, masks: Masks, loop: Loop
    ) -> tuple[Any, list[Any]]:
        """The kernel over a sequence."""
        return fused.forward(x, *self._operands(), states, mask, *masks, *loop)

    def _run(
        self,
        x: Any,
        states: Sequence[Any] | None,
        mask: Any,
        constants: Any,
        training: bool,
        loop: Loop,
    ) -> tuple[Any, list[Any]] | None:
        """The whole sequence; None when a subclass has its own `call`, which then runs instead."""
        if self._own_call:
            return None
        if states is None and self._own_start:
            states = zero_states(self, x.shape[0], x.dtype, type(self).__name__)
        masks = self._draw_masks(x.shape) if training else (None, None)
        fused = self._fused()
        if fused is not None:
            return self._apply(fused, x, states, mask, masks, loop)
        if states is None:
            states = self.get_initial_state(x)
        size = self._state_shapes()[0]
        return step_loop(lambda xt, s: self.step(xt, s, masks), x, states, mask, loop, size)

    def call(self, inputs: Any, states: Any, training: Any = None) -> tuple[Any, list[Any]]:
        """One step.

        Shapes: inputs [N, F], states a list of [N, H] -> output [N, H], list of new states.
        """
        where = f"{type(self).__name__}.call"
        shapes = self._state_shapes()
        states = checked_states(states, shapes, inputs.shape[0], self.dtype, where, "states")
        masks: Masks = (None, None)
        if training:
            masks = self.get_dropout_mask(inputs), self.get_recurrent_dropout_mask(states[0])
        fused = self._fused()
        if fused is None:
            return self.step(inputs, states, masks)
        return self._apply(fused, core.expand_dims(inputs, 1), states, None, masks, Loop())

    def step(self, x: Any, states: list[Any], masks: Masks) -> tuple[Any, list[Any]]:
        """One step by differentiable operations; each cell writes its equations here."""
        raise TypeError(f"[{type(self).__name__}] step is not defined")

    def _product(self, x: Any, weight: Any, mask: Any) -> list[Any]:
        """x @ weight cut into gates, with a mask shared by the gates or one for each."""
        if mask is not None and mask.shape[0] > 1:
            blocks = core.unstack(core.reshape(weight, (weight.shape[0], self.gates, -1)), 1)
            return [core.matmul(x * mask[g], block) for g, block in enumerate(blocks)]
        z = core.matmul(x if mask is None else x * mask[0], weight)
        return core.unstack(core.reshape(z, (z.shape[0], self.gates, self.units)), 1)

    def _bias_blocks(self, bias: Any) -> list[Any]:
        """The bias of each gate; zeros without a bias."""
        return (
            [0.0] * self.gates
            if bias is None
            else core.unstack(core.reshape(bias, (self.gates, self.units)), 0)
        )

    # -- checks and reports ---------------------------------------------------------------------

    def _check_input(self, x: Any) -> None:
        shape = x.shape
        self._check_rank(shape)
        if self._features is not None and shape[-1] != self._features:
            hint = "the last axis is the feature axis"
            self._fail("x", f"(N, {self._features})", shape, hint)

    def _check_rank(self, shape: Any) -> None:
        if len(shape) != 2:
            hint = "a cell takes one time step; put it into RNN(cell) for sequences"
            self._fail("x", "(N, F)", shape, hint)

    def _describe(self, x_shape: tuple[int, ...], training: bool, **form: Any) -> str | None:
        if self._own_call:
            return None
        fused = self._fused()
        if fused is not None:
            drops = training and (0 < self.dropout < 1 or 0 < self.recurrent_dropout < 1)
            per_gate = self._mask_count() > 1
            count = "one mask per gate" if per_gate else "one mask for all gates"
            if training and 0 < self.dropout < 1:
                form.pop("x", None)  # it is not x that the kernel multiplies
            text = fused.explain(
                x_shape, training, self.dtype, masks_per_gate=drops and per_gate, **form
            )
            return f"{text}; dropout in the kernel, {count}" if drops else text
        slow = [f for f in self._activations() if kernel_name(f, rows=True) is None]
        names = dict.fromkeys(getattr(f, "__name__", type(f).__name__) for f in slow)
        reasons = " and ".join(f"{name}: it is Python code" for name in names)
        return f"step by step: {x_shape[1]} steps of operations, because of activation {reasons}"
