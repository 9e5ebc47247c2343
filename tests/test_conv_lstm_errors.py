# SPDX-License-Identifier: Apache-2.0
"""What ConvLSTM layers and cells refuse, and in which words."""

from __future__ import annotations

import numpy as np
import pytest

import elman
from elman.layers import ConvLSTM2D, ConvLSTM2DCell, Embedding


@pytest.mark.parametrize(
    ("kwargs", "kind", "text"),
    [
        ({"filters": 0}, ValueError, r"\[ConvLSTM2D(Cell)?\] filters: expected a positive int"),
        ({"filters": 2.5}, ValueError, "filters: expected a positive int"),
        ({"filters": [ConvLSTM2DCell(2, 2)]}, TypeError, "got a list of cells"),
        ({"kernel_size": 0}, ValueError, "kernel_size: expected a positive int or 2 of them"),
        ({"kernel_size": (3, 3, 3)}, ValueError, "kernel_size: expected"),
        ({"strides": 0}, ValueError, "strides: expected"),
        ({"dilation_rate": (1, -1)}, ValueError, "dilation_rate: expected"),
        ({"strides": 2, "dilation_rate": 2}, ValueError, "strides: expected 1 together with a"),
        ({"strides": (1, 2), "dilation_rate": (2, 1)}, ValueError, "strides: expected 1 together"),
        ({"padding": "causal"}, ValueError, "padding: expected 'valid' or 'same', got 'causal'"),
        ({"padding": "full"}, ValueError, "padding: expected"),
        ({"data_format": "last"}, ValueError, "data_format: expected 'channels_last'"),
        ({"activation": "tahn"}, ValueError, "activation.*did you mean 'tanh'"),
        ({"unroll": True}, TypeError, r"\[ConvLSTM2D\] unroll: expected False, got True"),
        ({"dropuot": 0.1}, TypeError, "unknown argument 'dropuot'; did you mean 'dropout'"),
    ],
)
def test_wrong_options(kwargs, kind, text):
    with pytest.raises(kind, match=text):
        ConvLSTM2D(**{"filters": 2, "kernel_size": 2, **kwargs})
    if "unroll" not in kwargs:
        with pytest.raises(kind, match=text):
            ConvLSTM2DCell(**{"filters": 2, "kernel_size": 2, **kwargs})


def test_wrong_inputs():
    layer = ConvLSTM2D(2, 3)
    with pytest.raises(ValueError, match=r"x: expected \(N, T, rows, cols, C\), got \(2, 5, 4\)"):
        layer(np.zeros((2, 5, 4)))
    for shape in ((None, None, 5, 1), (4, None, 5, 1), (4, 5, 5, None)):
        with pytest.raises(ValueError, match="with known sizes after the time axis"):
            ConvLSTM2D(2, 3)(elman.Input(shape))
    with pytest.raises(ValueError, match=r"a kernel of \(3, 3\) fits into"):
        ConvLSTM2D(2, 3)(np.zeros((2, 5, 2, 4, 1)))
    layer(np.zeros((2, 5, 4, 6, 1)))
    for shape in ((2, 5, 4, 6, 3), (2, 5, 6, 4, 1)):
        with pytest.raises(ValueError, match=r"x: expected \(N, T, 4, 6, 1\)"):
            layer(np.zeros(shape))
    x = np.zeros((2, 5, 4, 6, 1))
    with pytest.raises(ValueError, match="mask: expected"):
        layer(x, mask=np.ones((2, 4), bool))
    with pytest.raises(
        ValueError, match=r"initial_state: expected 2 states of shapes \(2, 2, 4, 2"
    ):
        layer(x, initial_state=[np.zeros((2, 2, 4, 2))])
    with pytest.raises(ValueError, match=r"initial_state\[0\]: expected \(2, 2, 4, 2\)"):
        layer(x, initial_state=[np.zeros((2, 4, 2, 2)), np.zeros((2, 2, 4, 2))])
    with pytest.raises(ValueError, match="stateful layer needs a known batch size"):
        ConvLSTM2D(2, 3, stateful=True)(elman.Input((5, 4, 6, 1)))
    with pytest.raises(ValueError, match="reads images"):
        layer.stream()
    waiting = ConvLSTM2D(2, 3, stateful=True, batch_input_shape=(2, 5, 4, 6, 1))
    with pytest.raises(ValueError, match=r"reset_states\] images: expected known sizes"):
        waiting.reset_states()
    cell = ConvLSTM2DCell(2, 3)
    with pytest.raises(ValueError, match="the sizes of the images are not known yet"):
        cell.get_initial_state(batch_size=2)
    with pytest.raises(ValueError, match=r"\[ConvLSTM2DCell.call\] x: expected \(N, rows, cols, C"):
        layer.cell(np.zeros((2, 5, 4, 6, 1)), None)
    with pytest.raises(ValueError, match="expected"):
        elman.Sequential([Embedding(5, 3), ConvLSTM2D(2, 3)]).predict(np.zeros((2, 4)), verbose=0)
