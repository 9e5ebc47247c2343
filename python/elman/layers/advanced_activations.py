# SPDX-License-Identifier: Apache-2.0
"""Activations with parameters of their own as layers."""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any

from elman import activations
from elman._backend import core
from elman._errors import fail_text
from elman.layers import _checks
from elman.layers._elementwise import Elementwise
from elman.layers._options import Option

# What a masked position is set to before softmax: e^x of it is 0 in both types.
_MASKED = -1e9


def _at_least_zero(where: str, name: str, value: Any) -> float:
    number = _checks.number(where, name, value)
    if number < 0:
        raise ValueError(fail_text(where, name, "a number of at least 0", value))
    return number


def _bound(where: str, name: str, value: Any) -> float | None:
    return None if value is None else _at_least_zero(where, name, value)


def _axes(where: str, name: str, value: Any) -> int | tuple[int, ...]:
    """One axis, or several as a tuple."""
    if isinstance(value, Sequence) and not isinstance(value, str) and value:
        return tuple(_checks.integer(where, name, axis) for axis in value)
    return _checks.integer(where, name, value)


def _shared_axes(where: str, name: str, value: Any) -> tuple[int, ...] | None:
    if value is None:
        return None
    axes = _axes(where, name, value)
    axes = axes if isinstance(axes, tuple) else (axes,)
    if min(axes) < 1:
        raise ValueError(fail_text(where, name, "axes from 1 on", value, "0 is the batch"))
    return axes


class ReLU(Elementwise):
    """max_value from max_value on, x from threshold on, negative_slope (x - threshold) below.

    Shapes: x of any shape -> the same shape.

    Errors: ValueError for a negative argument.

    Source: Keras `ReLU`.

    Example:
        >>> import elman, numpy as np
        >>> elman.layers.ReLU(max_value=2.0, negative_slope=0.5)(np.float32([[-2, 1, 3]])).numpy()
        array([[-1.,  1.,  2.]], dtype=float32)
    """

    _leaf = True

    max_value = Option(None, _bound, doc="largest value of the output, or None")
    negative_slope = Option(0.0, _at_least_zero, doc="slope below the threshold")
    threshold = Option(0.0, _at_least_zero, doc="where the identity begins")

    def call(self, inputs: Any) -> Any:
        """The function of the input."""
        return activations.relu(inputs, self.negative_slope, self.max_value, self.threshold)


class LeakyReLU(Elementwise):
    """x above zero, negative_slope x below.

    Shapes: x of any shape -> the same shape.

    Errors: ValueError for a negative slope.

    Source: Maas et al. 2013; Keras `LeakyReLU`, whose older versions call the slope alpha.

    Example:
        >>> import elman, numpy as np
        >>> elman.layers.LeakyReLU(0.5)(np.float32([[-2, 1]])).numpy()
        array([[-1.,  1.]], dtype=float32)
    """

    _leaf = True

    negative_slope = Option(0.3, _at_least_zero, doc="slope below zero")

    def call(self, inputs: Any) -> Any:
        """The function of the input."""
        return activations.leaky_relu(inputs, self.negative_slope)


class ELU(Elementwise):
    """x above zero, alpha (exp(x) - 1) below.

    Shapes: x of any shape -> the same shape.

    Source: Clevert, Unterthiner, Hochreiter 2015; Keras `ELU`.

    Example:
        >>> import elman, numpy as np
        >>> elman.layers.ELU()(np.float32([[0, 1]])).numpy()
        array([[0., 1.]], dtype=float32)
    """

    _leaf = True

    alpha = Option(1.0, _checks.number, doc="minus the limit for x towards minus infinity")

    def call(self, inputs: Any) -> Any:
        """The function of the input."""
        return activations.elu(inputs, self.alpha)


class PReLU(Elementwise):
    """x above zero, alpha x below, with a trained alpha per element of a sample.

    Shapes: x [N, ...] -> the same shape; weight alpha [...], with size 1 along shared_axes.

    Errors: ValueError for an axis of unknown size that is not shared.

    Source: He et al. 2015; Keras `PReLU`.

    Example:
        >>> import elman, numpy as np
        >>> layer = elman.layers.PReLU("ones", shared_axes=[1])
        >>> layer(np.float32([[[-2, 1]]])).numpy()
        array([[[-2.,  1.]]], dtype=float32)
    """

    _leaf = True

    alpha_initializer = _checks.initializer("zeros", "start of alpha")
    alpha_regularizer = _checks.regularizer("penalty on alpha")
    alpha_constraint = _checks.constraint("constraint of alpha")
    shared_axes = Option(
        None, _shared_axes, lambda axes: axes and list(axes), doc="axes that share one alpha"
    )

    alpha: Any
    _sizes: tuple[int | None, ...] = ()

    def build(self, input_shape: Any) -> None:
        """Make alpha."""
        shared = self.shared_axes or ()
        if shared and max(shared) >= len(input_shape):
            axes = f"at least {max(shared) + 1} axes"
            self._fail("x", axes, input_shape, "as shared_axes says")
        shape = tuple(
            1 if axis in shared else size for axis, size in enumerate(input_shape) if axis
        )
        if None in shape:
            hint = "an axis of unknown size has to be one of shared_axes"
            self._fail("x", "known sizes", input_shape, hint)
        self.alpha = self.add_weight(
            name="alpha",
            shape=shape,
            initializer=self.alpha_initializer,
            regularizer=self.alpha_regularizer,
            constraint=self.alpha_constraint,
        )
        self._sizes = tuple(None if axis + 1 in shared else n for axis, n in enumerate(shape))

    def _check_input(self, x: Any) -> None:
        sizes, given = self._sizes, tuple(x.shape)[1:]
        if len(sizes) != len(given) or any(
            a is not None and a != b for a, b in zip(sizes, given, strict=True)
        ):
            expected = ", ".join(("N", *("?" if n is None else str(n) for n in sizes)))
            self._fail("x", f"({expected})", x.shape, "as when the layer was built")

    def call(self, inputs: Any) -> Any:
        """relu(x) - alpha relu(-x)."""
        below = core.activation(core.negative(inputs), "relu")
        return core.subtract(core.activation(inputs, "relu"), core.multiply(below, self.alpha))


class Softmax(Elementwise):
    """exp(x) over its sum along an axis, or over several axes.

    Shapes: x of any shape -> the same shape. Where a mask of the shape of x is False the share is
    0; so it is at the steps that a mask [N, T] of x [N, T, ...] leaves out, if the axis, or one of
    them, is time. Other masks do not change the shares. The mask is passed on.

    Errors: ValueError for an axis that x does not have.

    Source: Keras `Softmax`.

    Example:
        >>> import elman, numpy as np
        >>> elman.layers.Softmax()(np.zeros((1, 4), "float32")).numpy()
        array([[0.25, 0.25, 0.25, 0.25]], dtype=float32)
    """

    _leaf = True

    axis = Option(
        -1, _axes, lambda axis: axis if isinstance(axis, int) else list(axis), doc="axis, or axes"
    )

    def _check_input(self, x: Any) -> None:
        rank = len(x.shape)
        for axis in (self.axis,) if isinstance(self.axis, int) else self.axis:
            if not -rank <= axis < rank:
                self._fail("x", f"an input with axis {axis}", x.shape, "")

    def call(self, inputs: Any, mask: Any = None) -> Any:
        """The shares."""
        used = None if mask is None else self._used(mask, inputs)
        if used is not None:
            inputs = core.where(used, inputs, _MASKED)
        if isinstance(self.axis, int):
            shares = core.softmax(inputs, self.axis)
        else:
            shares = core.exp(core.subtract(inputs, core.logsumexp(inputs, self.axis, True)))
        return shares if used is None else core.where(used, shares, 0.0)

    def _used(self, mask: Any, x: Any) -> Any:
        """The mask with the axes of x, if one of those that the shares add up over has it."""
        rank, given = x.ndim, tuple(mask.shape)
        axes = (self.axis,) if isinstance(self.axis, int) else self.axis
        if given != tuple(x.shape[: len(given)]) or all(axis % rank >= len(given) for axis in axes):
            return None
        return core.reshape(mask, given + (1,) * (rank - len(given)))
