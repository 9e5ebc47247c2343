# SPDX-License-Identifier: Apache-2.0
"""TakesStates: calls with an initial state and constants, by place, by name, or in one list."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from typing import Any

from elman._errors import fail_text, list_text
from elman._symbolic import is_symbolic
from elman._tensors import Tensor, is_array, with_mask
from elman.layers._loop import flatten, lengths_mask
from elman.layers.layer import Layer


class TakesStates(Layer):
    """Base of layers whose `call` has `initial_state` and `constants`."""

    return_sequences: Any
    _constants_count: int | None = None

    def _count_states(self) -> int:
        """Number of states."""
        raise TypeError(f"[{type(self).__name__}] _count_states() is not defined")

    def _state_sizes(self) -> list[Any]:
        """One shape per state, without the batch axis."""
        raise TypeError(f"[{type(self).__name__}] _state_sizes() is not defined")

    def _takes_constants(self) -> bool:
        """Whether there is a cell that takes constants."""
        return False

    def _cell_name(self) -> str:
        """What an error calls the cell."""
        return type(self).__name__

    def explain(
        self,
        x: Any,
        training: bool = False,
        mask: Any = None,
        reset_mask: Any = None,
        lengths: Any = None,
    ) -> str:
        """Which kernel and instruction set run this layer on x (an array or a shape), and why.

        mask, reset_mask and lengths as in a call; or True where there is one of them. A
        `Bidirectional` explains each of its directions.
        """
        form = {"mask": mask, "reset_mask": reset_mask, "lengths": lengths}
        given = {name: value for name, value in form.items() if value is not None}
        return self._explain(x, training, given)

    def _explain(self, x: Any, training: bool, given: Mapping[str, Any]) -> str:
        """`explain`, with those of its arguments that are given."""
        raise TypeError(f"[{type(self).__name__}] _explain() is not defined")

    def _call_checked(self, inputs: Any, args: Any, kwargs: Any, mask: Any, training: Any) -> Any:
        """`layer(x, initial_state, constants)`, or the states in one list with the input."""
        names = ("initial_state", "constants")
        if len(args) > len(names):
            where = f"{type(self).__name__}.call"
            raise TypeError(
                f"[{where}] expected x, initial_state and constants, got {1 + len(args)}"
            )
        kwargs.update(zip(names, args, strict=False))
        initial_state, constants = (kwargs.pop(name, None) for name in names)
        if isinstance(inputs, (list, tuple)) and any(map(_is_input, inputs)):
            self._check_rows(inputs)
            inputs, initial_state, constants = self._split(list(inputs), initial_state, constants)
        if initial_state is not None or constants is not None:
            self._check_mixture(inputs, initial_state, constants)
        if constants is not None:
            kwargs["constants"] = self._checked_constants(constants)
        if initial_state is not None:
            kwargs["initial_state"] = initial_state
        if kwargs.get("lengths") is None:
            return super()._call_checked(inputs, (), kwargs, mask, training)
        if mask is not None:
            where = f"{type(self).__name__}.call"
            raise ValueError(
                f"[{where}] lengths: expected either mask or lengths, got both; False in a mask "
                "skips any step, lengths skip the last ones"
            )
        output = super()._call_checked(inputs, (), kwargs, None, training)
        return self._with_lengths(output, kwargs["lengths"]) if self.return_sequences else output

    def _with_lengths(self, output: Any, lengths: Any) -> Any:
        """Sequences that carry the mask of their lengths to the next layer."""
        outputs = output if isinstance(output, list) else [output]
        if isinstance(outputs[0], Tensor):
            masks = self.compute_mask(None, lengths_mask(lengths, outputs[0].shape[1]))
            masks = masks if isinstance(masks, list) else [masks]
            outputs = [with_mask(out, m) for out, m in zip(outputs, masks, strict=True)]
        return outputs if isinstance(output, list) else outputs[0]

    def _check_rows(self, parts: Any) -> None:
        """ValueError for a list of sequences [T, F], which are not an input and its states."""
        shapes = [tuple(getattr(part, "shape", ())) for part in parts]
        if len(shapes) > 1 and all(len(shape) == 2 for shape in shapes):
            self._fail_rows(shapes)

    def _fail_rows(self, shapes: Sequence[Any]) -> Any:
        hint = "pad them to one array and give lengths=; fit and predict of a model take lists"
        self._fail("x", "(N, T, F)", list_text(shapes), hint)

    def _check_symbolic(self, x: Any, kwargs: Any) -> None:
        """ValueError for symbolic states, masks or lengths that cannot go with x."""
        steps, states = tuple(x.shape[:2]), kwargs.get("initial_state")
        if states is not None:
            given = flatten(states)
            expected = [(steps[0], *size) for size in self._state_sizes()]
            if len(given) != len(expected):
                shapes = ", ".join(map(str, expected))
                text = f"{len(expected)} state{'s' if len(expected) > 1 else ''} of shapes {shapes}"
                where = f"{type(self).__name__}.call"
                raise ValueError(fail_text(where, "initial_state", text, len(given)))
            for index, (state, shape) in enumerate(zip(given, expected, strict=True)):
                hint = "a state has one row per sample of the batch"
                self._check_shape(f"initial_state[{index}]", state, shape, hint)
        hint = "one value per sample and time step"
        self._check_shape("mask", kwargs.get("mask"), steps, hint)
        self._check_shape("reset_mask", kwargs.get("reset_mask"), steps, hint)
        hint = "one number of time steps per sample"
        self._check_shape("lengths", kwargs.get("lengths"), steps[:1], hint)

    def _check_shape(self, what: str, tensor: Any, expected: Any, hint: str) -> None:
        """ValueError for a symbolic tensor of another shape; None fits any size."""
        if not is_symbolic(tensor) or isinstance(tensor, (list, tuple)):
            return
        pairs = zip(tensor.shape, expected, strict=False)
        if len(tensor.shape) != len(expected) or any(a and b and a != b for a, b in pairs):
            self._fail(what, str(tuple(expected)), tensor.shape, hint)

    def _checked_constants(self, constants: Any) -> list[Any]:
        constants = list(constants) if isinstance(constants, (list, tuple)) else [constants]
        self._constants_count = len(constants)
        if not self._takes_constants():
            where, name = f"{type(self).__name__}.call", self._cell_name()
            raise ValueError(
                f"[{where}] constants: expected a cell whose call takes constants, "
                f"got {name} without that parameter"
            )
        return constants

    def _split(self, parts: list[Any], initial_state: Any, constants: Any) -> tuple[Any, ...]:
        """[x, state, ..., constant, ...] taken apart; keyword arguments go first."""
        inputs, rest = parts[0], parts[1:]
        count = self._count_states()
        if self._constants_count is not None and constants is None and rest:
            count = max(0, len(rest) - self._constants_count)
        if initial_state is None and rest:
            initial_state, rest = rest[:count] or None, rest[count:]
        if constants is None and rest:
            constants, rest = rest, []
        if rest:
            where = f"{type(self).__name__}.call"
            raise ValueError(
                f"[{where}] inputs: expected x and at most {count} states, got a list of "
                f"{len(parts)}; give the states there or as initial_state, not both"
            )
        return inputs, initial_state, constants

    def _check_mixture(self, inputs: Any, initial_state: Any, constants: Any) -> None:
        extras = flatten([initial_state, constants])
        kinds = {is_symbolic(item) for item in [inputs, *extras] if item is not None}
        if len(kinds) > 1:
            raise ValueError(
                f"[{type(self).__name__}.call] initial_state and constants: expected all of them "
                "symbolic like the input, or none, got a mixture of symbolic tensors and arrays"
            )


def _is_input(item: Any) -> bool:
    return is_array(item) or is_symbolic(item)
