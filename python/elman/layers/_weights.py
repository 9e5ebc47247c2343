# SPDX-License-Identifier: Apache-2.0
"""The weights of a layer: making, finding, reading and setting them; penalties on them."""

from __future__ import annotations

import math
from collections.abc import Iterable, Iterator, Sequence
from typing import Any

import numpy as np

from elman import _context, _settings, constraints, initializers, regularizers
from elman._errors import fail_text
from elman._names import snake_case
from elman._signatures import parameters_of
from elman._tensors import Variable, as_shape, as_tensor, named_tensor

# Attributes that may hold layers or variables which are not parts of the layer.
_NOT_PARTS = frozenset({"_calls", "_init_arguments", "_own_weights"})


def _parts(value: Any) -> Iterator[Any]:
    """The weight holders and variables within nested lists, tuples and dicts, in order."""
    if isinstance(value, (WeightHolder, Variable)):
        yield value
    elif isinstance(value, (list, tuple)):
        for item in value:
            yield from _parts(item)
    elif isinstance(value, dict):
        for item in value.values():
            yield from _parts(item)


def _unique(items: Iterable[Any]) -> list[Any]:
    """Without repetitions of the same object, first occurrence kept."""
    return list({id(item): item for item in items}.values())


class WeightHolder:
    """Anything with weights: own ones and those of the holders that are its attributes.

    Parts are found by looking at the instance's attributes, so a subclass may assign variables
    and layers at any time, also before `super().__init__()`.
    """

    name: str = ""
    built: bool = False
    _trainable: bool = True

    @property
    def trainable(self) -> bool:
        """Whether optimizers change the weights; setting it sets it on all parts as well."""
        return self._trainable

    @trainable.setter
    def trainable(self, value: bool) -> None:
        self._trainable = value
        for part in self._sublayers():
            part.trainable = value

    def add_weight(
        self,
        name: str | None = None,
        shape: Sequence[int | None] | None = None,
        dtype: str | None = None,
        initializer: Any = None,
        regularizer: Any = None,
        trainable: bool = True,
        constraint: Any = None,
    ) -> Any:
        """A new variable of the layer.

        Args:
            name: name of the weight; a shape given here first, as in Keras 3, is understood.
            shape: sizes, () by default.
            dtype: type, the layer's by default.
            initializer: start values, 'glorot_uniform' by default.
            regularizer: penalty that appears in `losses`.
            trainable: whether optimizers change it.
            constraint: function applied to it after each optimizer step.
        """
        if name is not None and not isinstance(name, str):
            name, shape = (shape if isinstance(shape, str) else None), name
        own = self.__dict__.setdefault("_own_weights", [])
        name = name or f"weight_{len(own)}"
        where = f"{type(self).__name__}.add_weight"
        try:
            sizes = as_shape(() if shape is None else shape)
        except TypeError as error:
            raise TypeError(f"[{where}] {name}: {error}") from None
        if any(size is None or size < 0 for size in sizes):
            raise ValueError(fail_text(where, name, "a shape of known sizes", sizes))
        kind = str(dtype or self.__dict__.get("dtype") or _settings.floatx())
        value = initializers.get("glorot_uniform" if initializer is None else initializer)
        start = self._start_values(where, name, value, sizes, kind)
        if tuple(start.shape) != sizes:
            text = fail_text(
                where, f"initializer of {name}", f"values of shape {sizes}", start.shape
            )
            raise ValueError(text)
        variable: Any = Variable(start, trainable=trainable, name=name)
        variable.path = _context.path(name)
        variable.regularizer = regularizers.get(regularizer)
        variable.constraint = constraints.get(constraint)
        own.append(variable)
        return variable

    def _start_values(
        self, where: str, name: str, initializer: Any, sizes: tuple[Any, ...], dtype: str
    ) -> Any:
        """Start values; an error for a weight that no memory holds says which one it is."""
        size = math.prod(sizes) * np.dtype(dtype).itemsize
        units = f"units={self.__dict__['units']}, " if "units" in self.__dict__ else ""

        def too_large(limit: str = "the memory") -> str:
            got = f"got shape {sizes} ({units}layer {self.name!r})"
            return f"[{where}] {name}: expected a weight that fits {limit}, {got}"

        if size > np.iinfo(np.int64).max:
            raise ValueError(too_large())
        if not _context.spend(size):
            raise ValueError(too_large("the file, which has fewer bytes"))
        if _context.has_budget():
            initializer = initializers.Zeros()
        try:
            return as_tensor(start_values(initializer, sizes, dtype), dtype)
        except MemoryError:
            raise MemoryError(too_large()) from None

    def _found(self) -> tuple[list[Any], list[WeightHolder]]:
        """Own variables and parts, each in order of creation."""
        found = [
            part
            for key, value in self.__dict__.items()
            if key not in _NOT_PARTS
            for part in _parts(value)
        ]
        own = self.__dict__.get("_own_weights", [])
        variables = _unique([*own, *(part for part in found if isinstance(part, Variable))])
        holders = _unique(part for part in found if isinstance(part, WeightHolder))
        return variables, [holder for holder in holders if holder is not self]

    def _sublayers(self) -> list[WeightHolder]:
        """The layers that are parts of this one."""
        return self._found()[1]

    def _every_weight(self) -> list[Any]:
        variables, holders = self._found()
        return _unique([*variables, *(w for holder in holders for w in holder.weights)])

    @property
    def weights(self) -> list[Any]:
        """All variables: trainable ones first, then the others, each in order of creation."""
        every = self._every_weight()
        return [w for w in every if w.trainable] + [w for w in every if not w.trainable]

    @property
    def trainable_weights(self) -> list[Any]:
        """The variables that an optimizer changes; none when `trainable` is False."""
        if not self.trainable:
            return []
        variables, holders = self._found()
        own = [w for w in variables if w.trainable]
        return _unique([*own, *(w for holder in holders for w in holder.trainable_weights)])

    @property
    def non_trainable_weights(self) -> list[Any]:
        """The variables that no optimizer changes."""
        trained = {id(w) for w in self.trainable_weights}
        return [w for w in self.weights if id(w) not in trained]

    @property
    def variables(self) -> list[Any]:
        """Keras 3's name of `weights`."""
        return self.weights

    @property
    def trainable_variables(self) -> list[Any]:
        """Keras 3's name of `trainable_weights`."""
        return self.trainable_weights

    @property
    def non_trainable_variables(self) -> list[Any]:
        """Keras 3's name of `non_trainable_weights`."""
        return self.non_trainable_weights

    def get_weights(self) -> list[np.ndarray]:
        """Copies of the weights as arrays, in the order of `weights`."""
        return [np.array(weight.numpy()) for weight in self.weights]

    def set_weights(self, weights: Sequence[Any]) -> None:
        """Set all weights, in the order of `weights`; nothing changes when one does not fit.

        Raises:
            TypeError: not a list, or something in it is no array of numbers.
            ValueError: wrong number of arrays, or a wrong shape.
        """
        own, where = self.weights, f"{type(self).__name__}.set_weights"
        if not isinstance(weights, (list, tuple, np.ndarray)):
            weights = _listed(where, weights)
        order = ", ".join(f"{w.name} {tuple(w.shape)}" for w in own) or "none"
        if len(weights) != len(own):
            hint = f"in this order: {order}"
            if not own and not self.built:
                hint = "the layer is not built yet; call it or build it first"
            raise ValueError(fail_text(where, "weights", f"{len(own)} arrays", len(weights), hint))
        values = [
            named_tensor(value, variable.dtype, where, f"weights[{index}]")
            for index, (variable, value) in enumerate(zip(own, weights, strict=True))
        ]
        values = self._adapted(where, values)
        for index, (variable, value) in enumerate(zip(own, values, strict=True)):
            if tuple(value.shape) != tuple(variable.shape):
                what, shape = f"weights[{index}]", tuple(variable.shape)
                raise ValueError(
                    fail_text(where, what, str(shape), tuple(value.shape), variable.name)
                )
        for variable, value in zip(own, values, strict=True):
            variable.assign(value)

    def _adapted(self, where: str, values: list[Any]) -> list[Any]:
        """Tensors for `weights`, converted when they are the same weights in another layout."""
        weights = self.weights
        found = {id(weight): value for weight, value in zip(weights, values, strict=True)}
        for part in self._sublayers():
            own = [weight for weight in part.weights if id(weight) in found]
            if own and len(own) == len(part.weights):
                new = part._adapted(where, [found[id(weight)] for weight in own])
                found.update((id(weight), value) for weight, value in zip(own, new, strict=True))
        return [found[id(weight)] for weight in weights]

    def _file_name(self) -> str:
        """What a file of weights calls a layer of this kind."""
        return snake_case(type(self).__name__)

    def count_params(self) -> int:
        """Number of scalars in all weights.

        Raises:
            ValueError: the layer is not built.
        """
        if not self.built:
            where = f"{type(self).__name__}.count_params"
            raise ValueError(f"[{where}] the layer is not built yet; call it or build it first")
        return sum(math.prod(weight.shape) for weight in self.weights)

    # -- penalties ------------------------------------------------------------------------------

    def add_loss(self, loss: Any) -> None:
        """Add a scalar to the loss of the current call; it is gone at the next one."""
        items = list(loss) if isinstance(loss, (list, tuple)) else [loss]
        self.__dict__.setdefault("_call_losses", []).extend(items)

    @property
    def losses(self) -> list[Any]:
        """Scalars that training adds to its loss: penalties on weights, then on the last call."""
        penalties = [
            weight.regularizer(weight)
            for weight in self.trainable_weights
            if getattr(weight, "regularizer", None) is not None
        ]
        return penalties + self._losses_of_call()

    def _losses_of_call(self) -> list[Any]:
        own = list(self.__dict__.get("_call_losses", ()))
        return own + [loss for holder in self._sublayers() for loss in holder._losses_of_call()]

    def _clear_losses(self) -> None:
        """Forget what earlier calls added, here and in all parts."""
        self.__dict__.pop("_call_losses", None)
        for holder in self._sublayers():
            holder._clear_losses()


def _listed(where: str, weights: Any) -> list[Any]:
    try:
        return list(weights)
    except TypeError:
        got = type(weights).__name__
        raise TypeError(fail_text(where, "weights", "a list of arrays", got)) from None


def start_values(initializer: Any, shape: tuple[Any, ...], dtype: str) -> Any:
    """Start values; a user's callable may take (shape, dtype), (shape, dtype=) or (shape)."""
    if isinstance(initializer, initializers.Initializer):
        return initializer(shape, dtype)
    names = parameters_of(initializer)
    if "dtype" in names:
        return initializer(shape, dtype=dtype)
    return initializer(shape, dtype) if len(names) > 1 else initializer(shape)
