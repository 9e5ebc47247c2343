# SPDX-License-Identifier: Apache-2.0
"""MaxPooling and AveragePooling over one to three axes."""

from __future__ import annotations

from typing import Any, ClassVar

from elman._backend import core
from elman.layers import _spatial


class Pooling(_spatial.SpatialLayer):
    """What the pooling layers share; use one of those with a number of axes in its name."""

    _leaf = True
    _pool: ClassVar[Any] = None

    pool_size = _spatial.sizes(1, 2, "size of the window")
    strides = _spatial.sizes(1, None, "step of the window, None: pool_size", optional=True)
    padding = _spatial.padding("valid", "same")
    data_format = _spatial.data_format(None)

    def _setup(self) -> None:
        if self.strides is None:
            self.strides = self.pool_size

    def _output_sizes(self, spatial: tuple[Any, ...]) -> tuple[Any, ...]:
        axes = zip(spatial, self.pool_size, self.strides, strict=True)
        return tuple(
            _spatial.output_size(size, taps, stride, 1, self.padding) for size, taps, stride in axes
        )

    def call(self, inputs: Any) -> Any:
        """One value per window and channel."""
        x = self._channels_last(inputs)
        return self._as_given(type(self)._pool(x, self.pool_size, self.strides, self.padding))


class MaxPooling1D(Pooling):
    """The largest value of each window of steps, channel by channel.

    With 'same' padding the windows at the ends are smaller. The gradient goes to the first of the
    largest values.

    Shapes: x [N, T, C] -> [N, T', C]; with 'channels_first' [N, C, T] -> [N, C, T'].

    Errors: ValueError for an input of other than three axes, and where no window fits.

    Source: Keras `MaxPooling1D`.

    Example:
        >>> import elman, numpy as np
        >>> x = np.arange(1, 6, dtype="float32").reshape(1, 5, 1)
        >>> elman.layers.MaxPooling1D(2, padding="same")(x).numpy().ravel()
        array([2., 4., 5.], dtype=float32)
    """

    _pool = staticmethod(core.max_pool)
    _rank = 1
    data_format = _spatial.data_format("channels_last")


class MaxPooling2D(Pooling):
    """The largest value of each window of rows and columns, channel by channel.

    With 'same' padding the windows at the edges are smaller. The gradient goes to the first of
    the largest values, row by row.

    Shapes: x [N, rows, cols, C] -> [N, rows', cols', C]; with 'channels_first' the channels follow
    the batch axis.

    Errors: ValueError for an input of other than four axes, and where no window fits.

    Source: Keras `MaxPooling2D`.

    Example:
        >>> import elman, numpy as np
        >>> elman.layers.MaxPooling2D()(np.ones((2, 6, 5, 3), "float32")).shape
        (2, 3, 2, 3)
    """

    _pool = staticmethod(core.max_pool)
    _rank = 2
    pool_size = _spatial.sizes(2, (2, 2), "size of the window, per axis")
    strides = _spatial.sizes(2, None, "step of the window, None: pool_size", optional=True)


class MaxPooling3D(Pooling):
    """The largest value of each window over three axes; as `MaxPooling2D` with one axis more.

    Shapes: x [N, depth, rows, cols, C] -> [N, depth', rows', cols', C]; with 'channels_first' the
    channels follow the batch axis.

    Errors: ValueError for an input of other than five axes, and where no window fits.

    Source: Keras `MaxPooling3D`.

    Example:
        >>> import elman, numpy as np
        >>> elman.layers.MaxPooling3D()(np.ones((2, 4, 6, 5, 3), "float32")).shape
        (2, 2, 3, 2, 3)
    """

    _pool = staticmethod(core.max_pool)
    _rank = 3
    pool_size = _spatial.sizes(3, (2, 2, 2), "size of the window, per axis")
    strides = _spatial.sizes(3, None, "step of the window, None: pool_size", optional=True)


class AveragePooling1D(Pooling):
    """The mean of each window of steps, channel by channel.

    With 'same' padding the windows at the ends are smaller, and so is the number that their sum
    is divided by.

    Shapes: x [N, T, C] -> [N, T', C]; with 'channels_first' [N, C, T] -> [N, C, T'].

    Errors: ValueError for an input of other than three axes, and where no window fits.

    Source: Keras `AveragePooling1D`.

    Example:
        >>> import elman, numpy as np
        >>> x = np.arange(1, 6, dtype="float32").reshape(1, 5, 1)
        >>> elman.layers.AveragePooling1D(2, padding="same")(x).numpy().ravel()
        array([1.5, 3.5, 5. ], dtype=float32)
    """

    _pool = staticmethod(core.average_pool)
    _rank = 1
    data_format = _spatial.data_format("channels_last")


class AveragePooling2D(Pooling):
    """The mean of each window of rows and columns, channel by channel.

    With 'same' padding the windows at the edges are smaller, and so is the number that their sum
    is divided by.

    Shapes: x [N, rows, cols, C] -> [N, rows', cols', C]; with 'channels_first' the channels follow
    the batch axis.

    Errors: ValueError for an input of other than four axes, and where no window fits.

    Source: Keras `AveragePooling2D`.

    Example:
        >>> import elman, numpy as np
        >>> elman.layers.AveragePooling2D(3, strides=1)(np.ones((2, 6, 5, 3), "float32")).shape
        (2, 4, 3, 3)
    """

    _pool = staticmethod(core.average_pool)
    _rank = 2
    pool_size = _spatial.sizes(2, (2, 2), "size of the window, per axis")
    strides = _spatial.sizes(2, None, "step of the window, None: pool_size", optional=True)


class AveragePooling3D(Pooling):
    """The mean of each window over three axes; as `AveragePooling2D` with one axis more.

    Shapes: x [N, depth, rows, cols, C] -> [N, depth', rows', cols', C]; with 'channels_first' the
    channels follow the batch axis.

    Errors: ValueError for an input of other than five axes, and where no window fits.

    Source: Keras `AveragePooling3D`.

    Example:
        >>> import elman, numpy as np
        >>> elman.layers.AveragePooling3D(2, padding="same")(np.ones((2, 3, 6, 5, 1))).shape
        (2, 2, 3, 3, 1)
    """

    _pool = staticmethod(core.average_pool)
    _rank = 3
    pool_size = _spatial.sizes(3, (2, 2, 2), "size of the window, per axis")
    strides = _spatial.sizes(3, None, "step of the window, None: pool_size", optional=True)
