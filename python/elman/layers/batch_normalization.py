# SPDX-License-Identifier: Apache-2.0
"""BatchNormalization: each feature to mean 0 and variance 1 over the batch."""

from __future__ import annotations

import math
from typing import Any

from elman._backend import core
from elman._errors import fail_text
from elman.layers import _checks
from elman.layers._normalization import Normalization, as_listed, axes, positive
from elman.layers._options import Option


def _one_axis(where: str, name: str, value: Any) -> int:
    axis = axes(where, name, value)
    one, *more = (axis,) if isinstance(axis, int) else axis
    if more:
        raise ValueError(fail_text(where, name, "one axis", repr(value)))
    return one


def _share(where: str, name: str, value: Any) -> float:
    share = _checks.number(where, name, value)
    if not 0.0 <= share <= 1.0:
        raise ValueError(fail_text(where, name, "a number from 0 to 1", value))
    return share


class BatchNormalization(Normalization):
    """(x - mean) / sqrt(variance + epsilon) gamma + beta for each feature, the size of `axis`.

    In training mean and variance are those of the batch, over all other axes, and the moving
    statistics follow them: moving = momentum * moving + (1 - momentum) * batch. Otherwise, and
    always with trainable=False, the moving statistics take their place. Steps that a mask leaves
    out count neither for the mean nor for the variance.

    Shapes: x of any shape -> the same shape; weights gamma, beta, moving_mean and moving_variance
    [size of axis], the latter two not trainable.

    Errors: ValueError for an axis that x does not have or whose size is not known, for other sizes
    than the layer was built for, or for a mask of another shape than the first axes of x.

    Source: Ioffe, Szegedy 2015; Keras `BatchNormalization` (the variance is divided by the number
    of values, not by one less). One kernel, forwards and backwards; a mask together with an axis
    that is not the last is made of operations.

    Example:
        >>> import elman, numpy as np
        >>> layer, x = elman.layers.BatchNormalization(), np.float32([[1], [3]])
        >>> layer(x, training=True).numpy().round(3).tolist()
        [[-1.0], [1.0]]
        >>> layer.moving_mean.numpy().round(3)
        array([0.02], dtype=float32)
    """

    _leaf = True

    axis = Option(-1, _one_axis, as_listed, doc="the axis of the features")
    momentum = Option(0.99, _share, doc="share of the moving statistics that a step keeps")
    epsilon = Option(0.001, positive, doc="added to the variance")
    center = _checks.boolean(True, "whether there is a beta")
    scale = _checks.boolean(True, "whether there is a gamma")
    beta_initializer = _checks.initializer("zeros", "start of beta")
    gamma_initializer = _checks.initializer("ones", "start of gamma")
    moving_mean_initializer = _checks.initializer("zeros", "start of moving_mean")
    moving_variance_initializer = _checks.initializer("ones", "start of moving_variance")
    beta_regularizer = _checks.regularizer("penalty on beta")
    gamma_regularizer = _checks.regularizer("penalty on gamma")
    beta_constraint = _checks.constraint("constraint of beta")
    gamma_constraint = _checks.constraint("constraint of gamma")

    moving_mean: Any
    moving_variance: Any

    def build(self, input_shape: Any) -> None:
        """Make gamma, beta and the moving statistics."""
        self._find_axes(input_shape)
        self._add_affine()
        for name in ("moving_mean", "moving_variance"):
            start = getattr(self, f"{name}_initializer")
            weight = self.add_weight(
                name=name, shape=self._sizes, initializer=start, trainable=False
            )
            setattr(self, name, weight)

    def call(self, inputs: Any, mask: Any = None, training: Any = None) -> Any:
        """The normalized input."""
        x, gamma, beta = self._to_last(inputs), self.gamma, self.beta
        if training and self.trainable:
            if mask is None or self._order() is None:
                rows = None if mask is None else self._spread(mask, inputs, inputs.ndim - 1)
                y, mean, variance, used = core.batch_norm(x, gamma, beta, rows, self.epsilon)
            else:  # a row of the kernel, all features at once, is only used in part
                used = self._to_last(self._spread(mask, inputs, inputs.ndim))
                y, mean, variance, used = _normalized(x, gamma, beta, used, self.epsilon)
            if used is not False:
                self._follow(self.moving_mean, mean, used)
                self._follow(self.moving_variance, variance, used)
        else:
            moving = self.moving_mean, self.moving_variance
            y = core.batch_norm_inference(x, gamma, beta, *moving, self.epsilon)
        return self._from_last(y, inputs)

    def _follow(self, moving: Any, value: Any, used: Any) -> None:
        """Move towards the value of the batch; `used` tells which features have one."""
        kept = core.multiply(moving.value(), self.momentum)
        new = core.add(kept, core.multiply(value, 1.0 - self.momentum))
        moving.assign(new if used is True else core.where(used, new, moving.value()))

    def _spread(self, mask: Any, x: Any, rank: int) -> Any:
        """The mask [N, T] or [N, T, ...] over the first `rank` axes of x."""
        shape, given = tuple(x.shape), tuple(mask.shape)
        if len(given) >= len(shape) or given != shape[: len(given)]:
            self._fail("mask", f"the first axes of {shape}", given, "one value per step")
        mask = core.reshape(mask, given + (1,) * (rank - len(given)))
        return core.broadcast_to(mask, shape[:rank])


def _normalized(x: Any, gamma: Any, beta: Any, used: Any, epsilon: float) -> tuple[Any, ...]:
    """`core.batch_norm` with a mask of every value: used and x are [..., C].

    Returns the output, mean and variance [C], and which features have a value at all.
    """
    axes = tuple(range(x.ndim - 1))
    # NaN in padding would reach the gradient of gamma, where the kernel leaves such rows out.
    x = core.where(core.logical_or(used, core.less(core.abs(x), math.inf)), x, 0.0)
    weights = core.cast(used, x.dtype)
    # A feature without values has mean and variance 0.
    count = core.maximum(core.sum(weights, axes), 1.0)
    mean = core.divide(core.sum(core.where(used, x, 0.0), axes), count)
    away = core.subtract(x, mean)
    squares = core.multiply(*[core.where(used, away, 0.0)] * 2)
    variance = core.divide(core.sum(squares, axes), count)
    y = core.multiply(away, core.rsqrt(core.add(variance, epsilon)))
    y = y if gamma is None else core.multiply(y, gamma)
    y = y if beta is None else core.add(y, beta)
    return y, core.stop_gradient(mean), core.stop_gradient(variance), core.any(used, axes)
