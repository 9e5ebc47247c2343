# SPDX-License-Identifier: Apache-2.0
"""Conv1D, Conv2D and Conv3D."""

from __future__ import annotations

from typing import Any

from elman._backend import core
from elman._errors import fail_text
from elman.activations import kernel_name
from elman.layers import _checks, _spatial
from elman.layers._kernel import KernelAndBias
from elman.layers._options import Option


class Conv(_spatial.SpatialLayer, KernelAndBias):
    """What the convolutions share; use Conv1D, Conv2D or Conv3D."""

    _leaf = True
    filters = Option(check=_checks.positive_int, doc="channels of the output")
    kernel_size = _spatial.kernel_size(1)
    strides = _spatial.sizes(1, 1, "step of the window")
    padding = _spatial.padding("valid", "same")
    data_format = _spatial.data_format(None)
    dilation_rate = _spatial.sizes(1, 1, "distance of the taps")
    activation = _checks.activation(None)
    use_bias = _checks.boolean(True, "whether there is a bias")
    kernel_initializer = _checks.initializer("glorot_uniform", "start of kernel")
    bias_initializer = _checks.initializer("zeros", "start of bias")
    kernel_regularizer = _checks.regularizer("penalty on kernel")
    bias_regularizer = _checks.regularizer("penalty on bias")
    activity_regularizer = _checks.regularizer("penalty on the output")
    kernel_constraint = _checks.constraint("constraint of kernel")
    bias_constraint = _checks.constraint("constraint of bias")

    _channels: int | None = None

    def _setup(self) -> None:
        if max(self.strides) > 1 and max(self.dilation_rate) > 1:
            got = f"{self.strides} with dilation_rate {self.dilation_rate}"
            hint = "one of the two has to be 1"
            raise ValueError(fail_text(type(self).__name__, "strides", "1", got, hint))

    def build(self, input_shape: Any) -> None:
        """Make kernel [taps, C, F] and bias [F]."""
        _, _, channels = self._sized(input_shape)
        if channels is None:
            self._fail("x", self._layout(), input_shape, "the channels have to be known")
        self._add_kernel_and_bias((*self.kernel_size, channels, self.filters))
        self._channels = channels

    def _output_sizes(self, spatial: tuple[Any, ...]) -> tuple[Any, ...]:
        taps = zip(spatial, self.kernel_size, self.strides, self.dilation_rate, strict=True)
        return tuple(_spatial.output_size(*axis, self.padding) for axis in taps)

    def _output_channels(self, channels: Any) -> Any:
        return self.filters

    def _check_input(self, x: Any) -> None:
        _, _, channels = self._sized(x.shape)
        if channels != self._channels:
            hint = "the number of channels is that of the first input"
            self._fail("x", self._layout(self._channels), x.shape, hint)

    def call(self, inputs: Any) -> Any:
        """Convolution, bias and activation, in one node for a compiled activation."""
        name = kernel_name(self.activation)
        y = core.conv(
            self._channels_last(inputs),
            self.kernel,
            self.bias,
            self.strides,
            self.padding,
            self.dilation_rate,
            name or "linear",
        )
        return self._as_given(y if name is not None else self.activation(y))


class Conv1D(Conv):
    """y = a(conv(x, W) + b) over the steps of sequences, without flipping the kernel.

    y[n, t, f] = a(b[f] + sum over k, c of x[n, t stride - before + k dilation, c] W[k, c, f]);
    outside of the sequence x counts as zero. 'valid' takes windows within the sequence; 'same'
    gives ceil(T / stride) steps with the padding shared between both ends; 'causal' pads the
    beginning only, so that a step sees no later ones.

    Shapes: x [N, T, C] -> [N, T', F]; with 'channels_first' [N, C, T] -> [N, F, T']; weights
    kernel [taps, C, F], bias [F].

    Errors: ValueError for strides together with a dilation, for an input of other than three axes
    or with another C than the layer was built for, and where no window fits.

    Source: Keras `Conv1D`.

    Example:
        >>> import elman, numpy as np
        >>> layer = elman.layers.Conv1D(4, 3, padding="causal", activation="relu")
        >>> layer(np.ones((2, 7, 5), "float32")).shape
        (2, 7, 4)
    """

    _rank = 1
    padding = _spatial.padding("valid", "same", "causal")
    data_format = _spatial.data_format("channels_last")


class Conv2D(Conv):
    """y = a(conv(x, W) + b) over the rows and columns of images, without flipping the kernel.

    y[n, i, j, f] = a(b[f] + sum over k, l, c of x[n, i s - before + k d, j s - before + l d, c]
    W[k, l, c, f]) with s the strides and d the dilation of each axis; outside of the image x
    counts as zero. 'valid' takes windows within the image; 'same' gives ceil(size / stride)
    outputs, with the odd row or column of padding at the bottom or right.

    Shapes: x [N, rows, cols, C] -> [N, rows', cols', F]; with 'channels_first' [N, C, rows, cols]
    -> [N, F, rows', cols']; weights kernel [rows, cols, C, F], bias [F].

    Errors: ValueError for strides together with a dilation, for an input of other than four axes
    or with another C than the layer was built for, and where no window fits.

    Source: Keras `Conv2D`.

    Example:
        >>> import elman, numpy as np
        >>> layer = elman.layers.Conv2D(4, (3, 2), strides=2, padding="same")
        >>> layer(np.ones((2, 7, 5, 3), "float32")).shape
        (2, 4, 3, 4)
    """

    _rank = 2
    kernel_size = _spatial.kernel_size(2)
    strides = _spatial.sizes(2, (1, 1), "step of the window, per axis")
    dilation_rate = _spatial.sizes(2, (1, 1), "distance of the taps, per axis")


class Conv3D(Conv):
    """y = a(conv(x, W) + b) over the three axes of volumes; as `Conv2D` with one axis more.

    Shapes: x [N, depth, rows, cols, C] -> [N, depth', rows', cols', F]; with 'channels_first' the
    channels follow the batch axis; weights kernel [depth, rows, cols, C, F], bias [F].

    Errors: ValueError for strides together with a dilation, for an input of other than five axes
    or with another C than the layer was built for, and where no window fits.

    Source: Keras `Conv3D`.

    Example:
        >>> import elman, numpy as np
        >>> elman.layers.Conv3D(4, 2)(np.ones((2, 3, 4, 5, 1), "float32")).shape
        (2, 2, 3, 4, 4)
    """

    _rank = 3
    kernel_size = _spatial.kernel_size(3)
    strides = _spatial.sizes(3, (1, 1, 1), "step of the window, per axis")
    dilation_rate = _spatial.sizes(3, (1, 1, 1), "distance of the taps, per axis")
