# SPDX-License-Identifier: Apache-2.0
"""ConvLSTM1D, ConvLSTM2D and ConvLSTM3D, and their cells."""

from __future__ import annotations

from typing import Any

from elman.layers import _checks, _spatial
from elman.layers._conv_lstm import ConvLSTMCell, ConvRecurrent
from elman.layers._options import Option


def _last_by_default(where: str, name: str, value: Any) -> str:
    """Layers of one axis do not read the setting."""
    return "channels_last" if value is None else _checks.data_format(where, name, value)


class ConvLSTM1DCell(ConvLSTMCell):
    """One step of the convolutional LSTM along one axis; gates are packed [i | f | c | o].

    i, f, o = s(x * K + h * U + b), c' = f c + i a(x * K + h * U + b), h' = o a(c') with a
    convolution * of its own for each gate; that of h has unit strides and 'same' padding.

    Shapes: inputs [N, R, C], states [h [N, R', F], c [N, R', F]] -> h' [N, R', F], [h', c'];
    weights kernel [k, C, 4F], recurrent_kernel [k, F, 4F], bias [4F].

    Source: Shi et al. 2015 without peepholes; Keras `ConvLSTM1DCell`.

    Example:
        >>> import elman, numpy as np
        >>> cell, zeros = elman.layers.ConvLSTM1DCell(4, 3), np.zeros((2, 5, 4), "float32")
        >>> h, states = cell(np.ones((2, 7, 3), "float32"), [zeros, zeros])
        >>> h.shape, len(states)
        ((2, 5, 4), 2)
    """

    data_format = Option(
        None, _last_by_default, doc="'channels_last' (also for None) or 'channels_first'"
    )


class ConvLSTM2DCell(ConvLSTMCell):
    """One step of the convolutional LSTM on images; gates are packed [i | f | c | o].

    i, f, o = s(x * K + h * U + b), c' = f c + i a(x * K + h * U + b), h' = o a(c') with a
    convolution * of its own for each gate; that of h has unit strides and 'same' padding.

    Shapes: inputs [N, rows, cols, C], states h and c [N, rows', cols', F] -> h', [h', c'];
    weights kernel [kr, kc, C, 4F], recurrent_kernel [kr, kc, F, 4F], bias [4F]. With
    channels_first inputs are [N, C, rows, cols] and states [N, F, rows', cols'].

    Source: Shi et al. 2015 without peepholes; Keras `ConvLSTM2DCell`.

    Example:
        >>> import elman, numpy as np
        >>> cell = elman.layers.ConvLSTM2DCell(4, 3, padding="same")
        >>> zeros = np.zeros((2, 5, 7, 4), "float32")
        >>> h, states = cell(np.ones((2, 5, 7, 3), "float32"), [zeros, zeros])
        >>> h.shape, len(states)
        ((2, 5, 7, 4), 2)
    """

    rank = 2
    kernel_size = _spatial.kernel_size(2)
    strides = _spatial.sizes(2, (1, 1), "steps of the window over the input")
    dilation_rate = _spatial.sizes(2, (1, 1), "distance of the taps on the input")


class ConvLSTM3DCell(ConvLSTMCell):
    """One step of the convolutional LSTM on volumes; gates are packed [i | f | c | o].

    i, f, o = s(x * K + h * U + b), c' = f c + i a(x * K + h * U + b), h' = o a(c') with a
    convolution * of its own for each gate; that of h has unit strides and 'same' padding.

    Shapes: inputs [N, d1, d2, d3, C], states h and c [N, d1', d2', d3', F] -> h', [h', c'];
    weights kernel [k1, k2, k3, C, 4F], recurrent_kernel [k1, k2, k3, F, 4F], bias [4F].

    Source: Shi et al. 2015 without peepholes; Keras `ConvLSTM3DCell`.

    Example:
        >>> import elman, numpy as np
        >>> cell = elman.layers.ConvLSTM3DCell(4, 3, padding="same")
        >>> zeros = np.zeros((2, 3, 5, 7, 4), "float32")
        >>> h, states = cell(np.ones((2, 3, 5, 7, 3), "float32"), [zeros, zeros])
        >>> h.shape, len(states)
        ((2, 3, 5, 7, 4), 2)
    """

    rank = 3
    kernel_size = _spatial.kernel_size(3)
    strides = _spatial.sizes(3, (1, 1, 1), "steps of the window over the input")
    dilation_rate = _spatial.sizes(3, (1, 1, 1), "distance of the taps on the input")


class ConvLSTM1D(ConvRecurrent, cell=ConvLSTM1DCell):
    """The convolutional LSTM over a sequence of lines, [N, T, R, C].

    Both convolutions, all steps and their gradients are one compiled kernel, whatever options,
    masks, lengths, resets and states there are.

    Shapes: x [N, T, R, C] -> [N, R', F], or [N, T, R', F] with return_sequences; with
    return_state a list [output, h [N, R', F], c [N, R', F]]; mask [N, T]. Weights
    kernel [k, C, 4F], recurrent_kernel [k, F, 4F], bias [4F] with gates [i | f | c | o]. With
    channels_first the channels stand before R.

    Errors: ValueError for an input that is not [N, T, R, C] with the sizes that the layer was
    built for, or with an unknown R; TypeError for unroll=True or a list of cells.

    Source: Shi et al. 2015 without peepholes; Keras `ConvLSTM1D`.

    Example:
        >>> import elman, numpy as np
        >>> elman.layers.ConvLSTM1D(4, 3)(np.ones((2, 5, 9, 3), "float32")).shape
        (2, 7, 4)
    """


class ConvLSTM2D(ConvRecurrent, cell=ConvLSTM2DCell):
    """The convolutional LSTM over a sequence of images, [N, T, rows, cols, C].

    Both convolutions, all steps and their gradients are one compiled kernel, whatever options,
    masks, lengths, resets and states there are.

    Shapes: x [N, T, rows, cols, C] -> [N, rows', cols', F], or [N, T, rows', cols', F] with
    return_sequences; with return_state a list [output, h, c] of states [N, rows', cols', F];
    mask [N, T]. Weights kernel [kr, kc, C, 4F], recurrent_kernel [kr, kc, F, 4F], bias [4F] with
    gates [i | f | c | o]. With channels_first the channels stand before the rows.

    Errors: ValueError for an input that is not [N, T, rows, cols, C] with the sizes that the
    layer was built for, or with unknown rows or cols; TypeError for unroll=True or a list of cells.

    Source: Shi et al. 2015 without peepholes; Keras `ConvLSTM2D`.

    Example:
        >>> import elman, numpy as np
        >>> elman.layers.ConvLSTM2D(4, 3)(np.ones((2, 5, 9, 7, 3), "float32")).shape
        (2, 7, 5, 4)
    """


class ConvLSTM3D(ConvRecurrent, cell=ConvLSTM3DCell):
    """The convolutional LSTM over a sequence of volumes, [N, T, d1, d2, d3, C].

    Both convolutions, all steps and their gradients are one compiled kernel, whatever options,
    masks, lengths, resets and states there are.

    Shapes: x [N, T, d1, d2, d3, C] -> [N, d1', d2', d3', F], or [N, T, d1', d2', d3', F] with
    return_sequences; with return_state a list [output, h, c]; mask [N, T]. Weights
    kernel [k1, k2, k3, C, 4F], recurrent_kernel [k1, k2, k3, F, 4F], bias [4F] with gates
    [i | f | c | o]. With channels_first the channels stand before d1.

    Errors: ValueError for an input that is not [N, T, d1, d2, d3, C] with the sizes that the
    layer was built for, or with unknown ones; TypeError for unroll=True or a list of cells.

    Source: Shi et al. 2015 without peepholes; Keras `ConvLSTM3D`.

    Example:
        >>> import elman, numpy as np
        >>> elman.layers.ConvLSTM3D(4, 3)(np.ones((2, 5, 9, 7, 5, 3), "float32")).shape
        (2, 7, 5, 3, 4)
    """
