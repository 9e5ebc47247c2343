# SPDX-License-Identifier: Apache-2.0
"""GlobalMaxPooling and GlobalAveragePooling over one to three axes."""

from __future__ import annotations

from typing import Any

from elman._backend import core
from elman._errors import fail_text
from elman.layers import _spatial


class GlobalPooling(_spatial.SpatialLayer):
    """What the global pooling layers share; use one with a number of axes in its name."""

    def _axes(self) -> tuple[int, ...]:
        first = 2 if self._first else 1
        return tuple(range(first, first + self._rank))

    def compute_output_shape(self, input_shape: Any) -> Any:
        """(N, C)."""
        batch, _, channels = self._sized(input_shape, "compute_output_shape")
        return (batch, channels)


class GlobalMaxPooling(GlobalPooling):
    """The largest value of each channel."""

    _leaf = True

    def call(self, inputs: Any) -> Any:
        """The maximum over the spatial axes."""
        return core.max(inputs, self._axes())


class GlobalAveragePooling(GlobalPooling):
    """The mean of each channel."""

    _leaf = True

    def call(self, inputs: Any) -> Any:
        """The mean over the spatial axes."""
        return core.mean(inputs, self._axes())


class GlobalMaxPooling1D(GlobalMaxPooling):
    """The largest value of each channel over all steps; equal ones share the gradient.

    Shapes: x [N, T, C] -> [N, C]; with 'channels_first' x is [N, C, T].

    Errors: ValueError for an input of other than three axes, or without steps.

    Source: Keras `GlobalMaxPooling1D`.

    Example:
        >>> import elman, numpy as np
        >>> elman.layers.GlobalMaxPooling1D()(np.ones((2, 7, 5), "float32")).shape
        (2, 5)
    """

    _rank = 1
    data_format = _spatial.data_format("channels_last")


class GlobalMaxPooling2D(GlobalMaxPooling):
    """The largest value of each channel of an image; equal ones share the gradient.

    Shapes: x [N, rows, cols, C] -> [N, C]; with 'channels_first' x is [N, C, rows, cols].

    Errors: ValueError for an input of other than four axes, or without rows or columns.

    Source: Keras `GlobalMaxPooling2D`.

    Example:
        >>> import elman, numpy as np
        >>> elman.layers.GlobalMaxPooling2D()(np.ones((2, 7, 5, 3), "float32")).shape
        (2, 3)
    """

    _rank = 2
    data_format = _spatial.data_format(None)


class GlobalMaxPooling3D(GlobalMaxPooling):
    """The largest value of each channel of a volume; equal ones share the gradient.

    Shapes: x [N, depth, rows, cols, C] -> [N, C]; with 'channels_first' the channels follow the
    batch axis.

    Errors: ValueError for an input of other than five axes, or with an empty one.

    Source: Keras `GlobalMaxPooling3D`.

    Example:
        >>> import elman, numpy as np
        >>> elman.layers.GlobalMaxPooling3D()(np.ones((2, 2, 7, 5, 3), "float32")).shape
        (2, 3)
    """

    _rank = 3
    data_format = _spatial.data_format(None)


class GlobalAveragePooling1D(GlobalAveragePooling):
    """The mean of each channel over the steps that the mask keeps, all without a mask.

    Shapes: x [N, T, C] -> [N, C]; with 'channels_first' x is [N, C, T]; mask [N, T]. What a masked
    step holds does not matter; a sequence with no step left gives zeros.

    Errors: ValueError for an input of other than three axes or without steps, and for a mask that
    is not [N, T].

    Source: Keras `GlobalAveragePooling1D`.

    Example:
        >>> import elman, numpy as np
        >>> x = np.array([[[1.0], [3.0], [8.0]]], "float32")
        >>> layer = elman.layers.GlobalAveragePooling1D()
        >>> layer(x, mask=np.array([[True, True, False]])).numpy()
        array([[2.]], dtype=float32)
    """

    _leaf = True
    _rank = 1
    _makes_mask = False
    supports_masking = True
    data_format = _spatial.data_format("channels_last")

    def compute_mask(self, inputs: Any, mask: Any = None) -> Any:
        """None: there are no steps any more."""
        return None

    def call(self, inputs: Any, mask: Any = None) -> Any:
        """The mean over the steps that count."""
        if mask is None:
            return super().call(inputs)
        batch, (steps,), _ = self._split(inputs.shape)
        if tuple(mask.shape) != (batch, steps):
            where, got = f"{type(self).__name__}.call", tuple(mask.shape)
            raise ValueError(fail_text(where, "mask", f"(N, T) = ({batch}, {steps})", got))
        keep = core.expand_dims(mask, 1 if self._first else -1)
        total = core.sum(core.where(keep, inputs, 0.0), self._axes())
        count = core.maximum(core.sum(core.cast(keep, self.dtype), self._axes()), 1.0)
        return core.divide(total, count)


class GlobalAveragePooling2D(GlobalAveragePooling):
    """The mean of each channel of an image.

    Shapes: x [N, rows, cols, C] -> [N, C]; with 'channels_first' x is [N, C, rows, cols].

    Errors: ValueError for an input of other than four axes, or without rows or columns.

    Source: Keras `GlobalAveragePooling2D`.

    Example:
        >>> import elman, numpy as np
        >>> elman.layers.GlobalAveragePooling2D()(np.ones((2, 7, 5, 3), "float32")).shape
        (2, 3)
    """

    _rank = 2
    data_format = _spatial.data_format(None)


class GlobalAveragePooling3D(GlobalAveragePooling):
    """The mean of each channel of a volume.

    Shapes: x [N, depth, rows, cols, C] -> [N, C]; with 'channels_first' the channels follow the
    batch axis.

    Errors: ValueError for an input of other than five axes, or with an empty one.

    Source: Keras `GlobalAveragePooling3D`.

    Example:
        >>> import elman, numpy as np
        >>> elman.layers.GlobalAveragePooling3D()(np.ones((2, 2, 7, 5, 3), "float32")).shape
        (2, 3)
    """

    _rank = 3
    data_format = _spatial.data_format(None)
