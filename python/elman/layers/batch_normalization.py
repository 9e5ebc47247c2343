# SPDX-License-Identifier: Apache-2.0
"""BatchNormalization: each feature to mean 0 and variance 1 over the batch."""

from __future__ import annotations

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
    than the layer was built for, or for a mask with an axis that is not the last.

    Source: Ioffe, Szegedy 2015; Keras `BatchNormalization` (the variance is divided by the number
    of values, not by one less). One kernel, forwards and backwards.

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
            rows = None if mask is None else self._row_mask(mask, inputs)
            y, mean, variance, used = core.batch_norm(x, gamma, beta, rows, self.epsilon)
            if used:
                self._follow(self.moving_mean, mean)
                self._follow(self.moving_variance, variance)
        else:
            moving = self.moving_mean, self.moving_variance
            y = core.batch_norm_inference(x, gamma, beta, *moving, self.epsilon)
        return self._from_last(y, inputs)

    def _follow(self, moving: Any, value: Any) -> None:
        kept = core.multiply(moving.value(), self.momentum)
        moving.assign(core.add(kept, core.multiply(value, 1.0 - self.momentum)))

    def _row_mask(self, mask: Any, x: Any) -> Any:
        """The mask [N, T] or [N, T, ...] as one value per row of features."""
        shape, given = tuple(x.shape), tuple(mask.shape)
        if self._order() is not None:
            got = f"axis={self.axis}"
            raise ValueError(
                fail_text(f"{type(self).__name__}.call", "mask", "features on the last axis", got)
            )
        if len(given) >= len(shape) or given != shape[: len(given)]:
            self._fail("mask", f"the first axes of {shape}", given, "one value per step")
        mask = core.reshape(mask, given + (1,) * (len(shape) - 1 - len(given)))
        return core.broadcast_to(mask, shape[:-1])
