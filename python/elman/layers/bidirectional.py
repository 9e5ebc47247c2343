# SPDX-License-Identifier: Apache-2.0
"""Bidirectional: a recurrent layer in both directions of time."""

from __future__ import annotations

import copy
from collections.abc import Mapping
from typing import Any

import numpy as np

from elman._backend import core
from elman._errors import fail_text, is_one_of
from elman.layers import _checks
from elman.layers._call_states import TakesStates
from elman.layers._loop import flatten, step_mask
from elman.layers._options import Option, declared, named
from elman.layers._serialize import serialize
from elman.layers._wrapper import Wrapper, check_layer

_FLAGS = ("return_sequences", "return_state", "stateful", "return_state_sequences")


def _merge_mode(where: str, name: str, value: Any) -> str | None:
    if is_one_of(value, ("concat", "sum", "mul", "ave", None)):
        return value
    expected = "'concat', 'sum', 'mul', 'ave' or None"
    raise ValueError(fail_text(where, name, expected, repr(value)))


def _recurrent(where: str, name: str, value: Any) -> Any:
    """A layer with the flags of a recurrent one."""
    layer: Any = check_layer(where, name, value)
    if not all(hasattr(layer, flag) for flag in ("go_backwards", "return_sequences")):
        hint = "LSTM, GRU, SimpleRNN, RNN, or a layer with their flags"
        raise ValueError(fail_text(where, name, "a recurrent layer", type(layer).__name__, hint))
    return layer


def _optional(where: str, name: str, value: Any) -> Any:
    return None if value is None else _recurrent(where, name, value)


class Bidirectional(Wrapper, TakesStates):
    """A recurrent layer that reads the sequence forwards and another that reads it backwards.

    Both are made from `layer`; `backward_layer` takes the place of the second. With
    return_sequences the backward outputs are put back into the order of time, and masked steps
    output zeros. A masked step changes no state in either direction, wherever it is; `lengths` [N]
    are understood as by the layer inside.

    `reset_mask` [N, T] is True where a segment of a row begins, and both directions run over the
    same segments: the forward layer starts anew before the first step of each, the backward layer
    before the last one, so that nothing passes a border. Without return_sequences the outputs are
    those of the last segment forwards and of the first one backwards. Each segment starts from the
    initial states. Those that a stateful pair carries from one call to the next reach the forward
    layer's first segment alone, and the backward layer where the row has no border at all.

    Shapes: x [N, T, F], mask [N, T] -> [N, 2H] or [N, T, 2H] for 'concat', [N, H] or [N, T, H] for
    'sum', 'mul' and 'ave', a list of both outputs for None. With return_state a list: the output
    or outputs, the forward states, the backward states; with return_state_sequences the states
    after every step follow, [N, T, H] each, of both layers in that order and in the order of time.
    initial_state is the list of both in that order. Weights: the forward layer's, then the backward
    layer's. Around layers on images, images take the place of F and H; 'concat'
    joins their last axis.

    Errors: ValueError for a layer that is not recurrent, or for two layers of the same direction or
    of different flags.

    Source: Schuster and Paliwal 1997; Keras `Bidirectional`.

    Example:
        >>> import elman, numpy as np
        >>> layer = elman.layers.Bidirectional(elman.layers.LSTM(4, return_sequences=True))
        >>> layer(np.ones((2, 5, 3), "float32")).shape
        (2, 5, 8)
    """

    layer = Option(check=_recurrent, save=serialize, doc="the recurrent layer")
    merge_mode = Option("concat", _merge_mode, doc="'concat', 'sum', 'mul', 'ave', or None")
    backward_layer = Option(
        None, _optional, lambda layer: layer and serialize(layer), doc="the layer that reads back"
    )

    @classmethod
    def _collect_options(cls) -> dict[str, Option]:
        # Not an attribute like the others: `weights` is what every layer has.
        weights = named(
            "weights", Option(None, _checks.arrays, doc="arrays that the weights start from")
        )
        found = declared(cls)
        first = {name: found[name] for name in ("layer", "merge_mode")}
        return {**first, "weights": weights, **found}

    def _start(self, values: dict[str, Any], base: dict[str, Any]) -> None:
        super()._start(values, {**base, "weights": values.pop("weights")})

    def _setup(self) -> None:
        layer, backward = self.layer, self.backward_layer
        self._backward_given = backward is not None
        self.forward_layer = _twin(layer, "forward_", layer.go_backwards)
        back = _twin(layer, "backward_", not layer.go_backwards) if backward is None else backward
        self.layer, self.backward_layer = self.forward_layer, back
        self._check_pair()
        for one in self._inner():
            if hasattr(one, "zero_output_for_mask"):  # as Keras does
                one.zero_output_for_mask = layer.return_sequences
        self.batch_input_shape = self.batch_input_shape or layer.batch_input_shape
        super()._setup()

    def _check_pair(self) -> None:
        """Opposite directions, equal flags."""
        name, (one, other) = type(self).__name__, self._inner()
        if one.go_backwards == other.go_backwards:
            raise ValueError(
                f"[{name}] backward_layer: expected the other direction, got two layers with "
                f"go_backwards={one.go_backwards}"
            )
        for flag in _FLAGS:
            if getattr(one, flag, False) != getattr(other, flag, False):
                got = f"{flag}={getattr(other, flag, False)}"
                raise ValueError(fail_text(name, "backward_layer", "the flags of layer", got))

    def _inner(self) -> list[Any]:
        return [self.forward_layer, self.backward_layer]

    @property
    def return_sequences(self) -> bool:
        """Whether the outputs of all steps are returned."""
        return self.forward_layer.return_sequences

    @property
    def return_state(self) -> bool:
        """Whether the last states are returned as well."""
        return self.forward_layer.return_state

    @property
    def return_state_sequences(self) -> bool:
        """Whether the states after every step are returned as well."""
        return getattr(self.forward_layer, "return_state_sequences", False)

    @property
    def stateful(self) -> bool:  # type: ignore[override]
        """Whether the next call continues from the last states."""
        return self.forward_layer.stateful

    # -- building and shapes --------------------------------------------------------------------

    def build(self, input_shape: Any) -> None:
        """Build both layers."""
        for layer in self._inner():
            if not layer.built:
                with self._naming():
                    layer.build(input_shape)

    def _check_input(self, x: Any) -> None:
        self.forward_layer._check_input(x)

    def compute_output_shape(self, input_shape: Any) -> Any:
        """The merged shape; a list for merge_mode None or states."""
        shape = self.forward_layer.compute_output_shape(input_shape)
        out, states = (shape[0], shape[1:]) if self._returns_states() else (shape, [])
        if self.merge_mode == "concat":
            out = (*out[:-1], None if out[-1] is None else 2 * out[-1])
        outs = [out, out] if self.merge_mode is None else [out]
        every = [*outs, *self._in_order(states, states)]
        return every if len(every) > 1 else out

    def _returns_states(self) -> bool:
        return self.return_state or self.return_state_sequences

    def _in_order(self, forward: list[Any], backward: list[Any]) -> list[Any]:
        """The last states of both layers, then the states of every step of both."""
        count = self.forward_layer._count_states() if self.return_state else 0
        return [*forward[:count], *backward[:count], *forward[count:], *backward[count:]]

    def compute_mask(self, inputs: Any, mask: Any = None) -> Any:
        """The input's mask with return_sequences, else None; states have none."""
        mask = mask[0] if isinstance(mask, list) else mask
        mask = mask if self.return_sequences else None
        masks = [mask, mask] if self.merge_mode is None else [mask]
        if self._returns_states():
            times = self.return_state + self.return_state_sequences
            masks += [None] * (times * self._count_states())
        return masks if len(masks) > 1 else mask

    # -- calling --------------------------------------------------------------------------------

    def _count_states(self) -> int:
        return sum(layer._count_states() for layer in self._inner())

    def _state_sizes(self) -> list[Any]:
        return [size for layer in self._inner() for size in layer._state_sizes()]

    def _takes_constants(self) -> bool:
        return all(layer._takes_constants() for layer in self._inner())

    def _cell_name(self) -> str:
        return self.forward_layer._cell_name()

    def call(
        self,
        inputs: Any,
        mask: Any = None,
        initial_state: Any = None,
        constants: Any = None,
        reset_mask: Any = None,
        lengths: Any = None,
    ) -> Any:
        """Both layers and what merge_mode makes of their outputs."""
        mask = mask if lengths is None else None  # they are more than a mask that came with x
        if reset_mask is not None:
            where = f"{type(self).__name__}.call"
            reset_mask = step_mask(reset_mask, inputs, where, "reset_mask")
        halves = self._halves(initial_state, "call", "initial_state")
        results = []
        for layer, half in zip(self._inner(), halves, strict=True):
            extras = {"constants": constants, "lengths": lengths, "initial_state": half}
            extras["reset_mask"] = _resets_of(layer, reset_mask)
            extras = {name: value for name, value in extras.items() if value is not None}
            results.append(layer(inputs, mask=mask, **extras))
        states: list[Any] = []
        if self._returns_states():
            states = self._in_order(
                *(self._in_time(result[1:], k) for k, result in enumerate(results))
            )
            results = [result[0] for result in results]
        forward, backward = results
        if self.return_sequences:
            backward = core.reverse(backward, 1)
        merged = self._merged(forward, backward)
        return merged[0] if len(merged) == 1 and not states else [*merged, *states]

    def _in_time(self, states: list[Any], index: int) -> list[Any]:
        """The states that layer number `index` returned; those of every step in order of time."""
        count = self.forward_layer._count_states() if self.return_state else 0
        every = [core.reverse(state, 1) for state in states[count:]] if index else states[count:]
        return [*states[:count], *every]

    def _merged(self, forward: Any, backward: Any) -> list[Any]:
        if self.merge_mode == "concat":
            return [core.concatenate([forward, backward], -1)]
        if self.merge_mode == "sum":
            return [core.add(forward, backward)]
        if self.merge_mode == "mul":
            return [core.multiply(forward, backward)]
        if self.merge_mode == "ave":
            return [core.multiply(core.add(forward, backward), 0.5)]
        return [forward, backward]

    def _halves(self, states: Any, method: str, what: str) -> list[Any]:
        """A list of states as those of the forward and those of the backward layer."""
        if states is None:
            return [None, None]
        flat, count = flatten(states), self._count_states()
        if len(flat) != count:
            where = f"{type(self).__name__}.{method}"
            hint = "those of the forward layer, then those of the backward layer"
            raise ValueError(fail_text(where, what, f"{count} states", len(flat), hint))
        first = self.forward_layer._count_states()
        return [flat[:first], flat[first:]]

    def _explain(self, x: Any, training: bool, given: Mapping[str, Any]) -> str:
        return "\n".join(layer.explain(x, training, **given) for layer in self._inner())

    # -- states ---------------------------------------------------------------------------------

    @property
    def states(self) -> list[Any]:
        """The carried states of a stateful layer: the forward ones, then the backward ones."""
        return [state for layer in self._inner() for state in layer.states]

    @states.setter
    def states(self, states: Any) -> None:
        self.reset_states(states)

    def reset_states(self, states: Any = None) -> None:
        """Set the carried states of both directions: to zeros, or to a list in that order.

        Raises:
            AttributeError: the layer is not stateful.
            TypeError, ValueError: the batch size is not known yet, or states do not fit; then
                neither direction is changed.
        """
        if not self.stateful:
            super().reset_states()
        halves = self._halves(states, "reset_states", "states")
        before = self.forward_layer.__dict__.copy()
        for layer, half in zip(self._inner(), halves, strict=True):
            try:
                with self._naming():
                    layer.reset_states(half)
            except (TypeError, ValueError):
                self.forward_layer.__dict__.update(before)  # both, or neither
                raise

    # -- configuration --------------------------------------------------------------------------

    def _option_value(self, name: str) -> Any:
        if name == "weights" or (name == "backward_layer" and not self._backward_given):
            return None
        return super()._option_value(name)


def _resets_of(layer: Any, resets: Any) -> Any:
    """The reset mask of a layer for segments that begin where `resets` is True.

    One that reads backwards starts anew before the step ahead of each of them; and before its very
    first step where there is any, which only states that were carried here feel.
    """
    if resets is None or not layer.go_backwards or 0 in resets.shape:
        return resets
    begins = np.asarray(resets)
    return core.Tensor(np.concatenate([begins[:, 1:], begins.any(1, keepdims=True)], 1))


def _twin(layer: Any, prefix: str, go_backwards: bool) -> Any:
    """A new layer like `layer`, of that direction and without its weights and states.

    A layer without weights is copied, which a cell of the user's needs no get_config for.
    """
    name = prefix + layer.name.removeprefix(prefix)
    if layer.built:
        config = {**layer.get_config(), "name": name, "go_backwards": go_backwards}
        return type(layer).from_config(config)
    twin = copy.deepcopy(layer)
    twin.name, twin.go_backwards = name, go_backwards
    return twin
