# SPDX-License-Identifier: Apache-2.0
"""Layers that are given what cannot work: which layer and argument the error names, and the fix."""

from __future__ import annotations

import numpy as np
import pytest

import elman
from elman import layers
from elman.layers import GRU, LSTM, RNN, Bidirectional, Dense, LSTMCell, TimeDistributed

K = elman.backend
RNG = np.random.default_rng(0)
PAIR = np.array([0.5, 2.0])


def ones(*shape):
    return np.ones(shape, "float32")


@pytest.mark.parametrize("shape", [(2.5,), 5, "5", b"x", (3, "4"), (-1,), (None, 2.0), object()])
def test_shapes(shape):
    text = r"expected a tuple of sizes such as \(10, 8\), got "
    with pytest.raises(ValueError, match=rf"^\[Input\] shape: {text}"):
        elman.Input(shape)
    with pytest.raises(ValueError, match=rf"^\[Input\] batch_shape: {text}"):
        elman.Input(batch_shape=shape)
    with pytest.raises(ValueError, match=rf"^\[Dense\] input_shape: {text}"):
        Dense(2, input_shape=shape)
    if shape != (-1,):
        with pytest.raises(TypeError, match=rf"^\[Layer.add_weight\] table: {text}"):
            layers.Layer().add_weight("table", shape)


def test_sizes_of_any_integer_type():
    assert elman.Input((np.int64(5), None)).shape == (None, 5, None)
    assert elman.Input(np.array([5, 4])).shape == (None, 5, 4)
    with pytest.raises(ValueError, match=r"^\[Input\] batch_size: expected a non-negative int"):
        elman.Input((3,), batch_size=2.5)


@pytest.mark.parametrize(
    ("make", "text"),
    [
        (lambda: Dense(2, dtype=PAIR), r"\[Dense\] dtype: expected 'float32' or 'float64'"),
        (lambda: layers.Conv1D(2, 2, padding=PAIR), r"\[Conv1D\] padding: expected 'valid'"),
        (lambda: layers.Conv2D(2, 2, data_format=PAIR), r"\[Conv2D\] data_format: expected"),
        (lambda: Bidirectional(LSTM(2), PAIR), r"\[Bidirectional\] merge_mode: expected 'concat'"),
        (lambda: LSTM(2, implementation=PAIR), r"\[LSTM\] implementation: expected 0, 1 or 2"),
        (lambda: LSTM(2, implementation=elman.Tensor(PAIR)), "implementation: expected 0, 1 or 2"),
        (lambda: layers.UpSampling2D(interpolation=PAIR), r"\[UpSampling2D\] interpolation: expe"),
        (lambda: K.set_floatx(PAIR), r"\[backend.set_floatx\] value: expected 'float32' or"),
        (lambda: K.set_image_data_format(PAIR), r"data_format: expected 'channels_last' or"),
        (lambda: Dense(2, weights="abc"), r"\[Dense\] weights: expected a list of arrays, got 'a"),
        (lambda: Dense(2, weights=3), r"\[Dense\] weights: expected a list of arrays, got 3"),
        (lambda: Bidirectional(LSTM(2), weights={}), r"\[Bidirectional\] weights: expected a list"),
        (lambda: layers.Reshape(None), r"\[Reshape\] target_shape: expected a tuple of sizes, got"),
        (lambda: layers.BatchNormalization(axis=b"x"), r"\[BatchNormalization\] axis: expected"),
        (lambda: layers.LayerNormalization(axis="12"), r"\[LayerNormalization\] axis: expected"),
    ],
)
def test_options(make, text):
    with pytest.raises(ValueError, match=f"^({text}|.*{text})"):
        make()


def test_weights_may_come_from_any_iterable():
    arrays = [np.full((3, 2), 0.5), np.zeros(2)]
    layer = Dense(2, weights=(array for array in arrays), input_shape=(3,))
    layer(ones(1, 3))
    np.testing.assert_array_equal(layer.get_weights()[0], arrays[0])


@pytest.mark.parametrize(
    ("layer", "text"),
    [
        (LSTMCell(3), r"\[LSTMCell.call\] x: expected \(N, F\), got \(\)"),
        (layers.StackedRNNCells([LSTMCell(3)]), r"\[StackedRNNCells.call\] x: expected \(N, F\)"),
        (layers.Reshape((4, 5)), r"\[Reshape.call\] x: expected \(N, ...\), got \(\)"),
        (layers.Flatten(), r"\[Flatten.call\] x: expected \(N, ...\), got \(\)"),
        (Dense(2), r"\[Dense.call\] x: expected \(N, ..., F\), got \(\)"),
        (LSTM(2), r"\[LSTM.call\] x: expected \(N, T, F\), got \(\)"),
        (layers.ConvLSTM2D(2, 2), r"\[ConvLSTM2D.call\] x: expected \(N, T, rows, cols, C\), got"),
        (layers.Conv1D(2, 2), r"\[Conv1D.call\] x: expected \(N, steps, C\), got \(\)"),
        (layers.BatchNormalization(), r"\[BatchNormalization.call\] x: expected"),
    ],
    ids=lambda value: getattr(value, "name", ""),
)
def test_scalars(layer, text):
    with pytest.raises(ValueError, match=f"^{text}"):
        layer(np.float32(1))


def test_lists_of_rows():
    rows = [ones(5, 4), ones(3, 4)]
    text = r"x: expected \(N, T, F\), got a list of \(5, 4\), \(3, 4\); pad them .* give lengths="
    for model in (LSTM(3), elman.Sequential([LSTM(3)]), elman.Sequential([GRU(3), Dense(1)])):
        with pytest.raises(ValueError, match=rf"^\[(LSTM|GRU).call\] {text}"):
            model(rows)
    text = r"x: expected arrays of one shape and type, got a list of \(4,\), \(3,\), ...; pad them"
    with pytest.raises(ValueError, match=rf"^\[Dense.call\] {text}"):
        Dense(2)([ones(4), ones(3), ones(4)])
    np.testing.assert_array_equal(layers.Activation("relu")([ones(4), ones(4)]), ones(2, 4))
    stack = layers.StackedRNNCells([LSTMCell(3)])
    text = r"x: expected \(N, F\), got a list of \(2, 3\), \(2, 4\); .* its states are the second"
    with pytest.raises(ValueError, match=rf"^\[StackedRNNCells.call\] {text}"):
        stack([ones(2, 3), ones(2, 4)])


def test_functions_of_tensors_are_led_to_lambda():
    x = elman.Input((3,))
    for function in (K.sum, K.square, lambda t: K.dot(t, ones(3, 2))):
        with pytest.raises(TypeError, match=r"has no values; .* elman.layers.Lambda$"):
            function(x)


def test_the_layer_is_named_not_its_cell():
    conv = layers.ConvLSTM2D
    with pytest.raises(ValueError, match=r"^\[ConvLSTM2D\] strides: expected 1 together with a"):
        conv(4, 2, strides=2, dilation_rate=2)
    with pytest.raises(ValueError, match=r"^\[ConvLSTM2DCell\] strides: expected 1 together with"):
        layers.ConvLSTM2DCell(4, 2, strides=2, dilation_rate=2)
    text = r"^\[ConvLSTM2D.call\] x: expected images that a kernel of \(5, 5\) .*\(layer 'eyes'\)$"
    for x in (ones(1, 2, 3, 3, 1), elman.Input((2, 3, 3, 1))):
        with pytest.raises(ValueError, match=text):
            conv(4, 5, name="eyes")(x)
    with pytest.raises(ValueError, match=r"^\[LSTMCell.call\] x: expected \(N, F\)"):
        LSTMCell(3)(ones(2, 5, 4))


def test_wrappers_are_named_with_what_is_inside():
    x = ones(2, 5, 4)
    both, place = Bidirectional(LSTM(3)), r"^\[Bidirectional\(LSTM\).call\]"
    with pytest.raises(ValueError, match=rf"{place} x: expected \(N, T, F\)"):
        both(ones(2, 4))
    both(x)
    with pytest.raises(ValueError, match=rf"{place} x: expected \(N, T, 4\)"):
        both(ones(2, 5, 3))
    with pytest.raises(ValueError, match=rf"{place} initial_state\[0\]: expected"):
        both(x, initial_state=[ones(2, 2)] * 4)
    with pytest.raises(ValueError, match=r"^\[Bidirectional.call\] initial_state: expected 4 stat"):
        both(x, initial_state=[ones(2, 3)])
    with pytest.raises(ValueError, match=r"^\[TimeDistributed\(Conv1D\).call\] x: expected more"):
        TimeDistributed(layers.Conv1D(3, 9))(ones(2, 3, 4, 2))
    with pytest.raises(ValueError, match=r"^\[TimeDistributed\(Bidirectional\(LSTM\)\).call\] x: "):
        TimeDistributed(Bidirectional(LSTM(2)))(x)
    twice = TimeDistributed(TimeDistributed(Dense(2)))
    twice(ones(2, 3, 4, 5))
    with pytest.raises(
        ValueError, match=r"^\[TimeDistributed\(Dense\).call\] x: expected \(N, ..."
    ):
        twice(ones(2, 3, 4, 4))
    with pytest.raises(ValueError, match=r"^\[TimeDistributed.call\] x: .* three or more axes"):
        twice(ones(2, 3))


def test_errors_of_own_layers_stay_as_they_are():
    class Own(layers.Layer):
        def call(self, inputs):
            raise ValueError("[1, 2] is what it said", 7)

    with pytest.raises(ValueError, match=r"^\('\[1, 2\] is what it said', 7\)$") as error:
        TimeDistributed(Own())(ones(2, 3, 4))
    assert error.traceback[-1].name == "call", "and say where they were raised"


@pytest.mark.parametrize("layer", [LSTM, GRU, layers.SimpleRNN])
def test_explain_says_why_a_layer_runs_by_steps(layer):
    options = [{"activation": "softmax"}, {"activation": "log_softmax"}]
    if layer is not layers.SimpleRNN:
        options += [{"recurrent_activation": "softmax"}]
    for given in options:
        text = layer(4, **given).explain((2, 5, 3))
        assert "softmax: the sums of a step first, then its activations row by row" in text
        assert "step by step" not in text
    assert "softmax" not in layer(4).explain((2, 5, 3))

    def mine(x):
        return x * 0.5

    text = layer(4, activation=mine).explain((2, 5, 3))
    assert "because of activation mine: it is Python code" in text
    assert "step by step" not in layer(4, activation="gelu").explain((2, 5, 3))
    assert "step by step" in RNN(LSTMCell(4, activation=mine)).explain((2, 5, 3))


@pytest.mark.parametrize("axis", [1, 2, -1])
def test_masks_of_symbolic_concatenations(axis):
    sizes = {1: [(5, 3), (7, 3)], 2: [(5, 3), (5, 7)], -1: [(None, 3), (None, 7)]}[axis]
    inputs = [elman.Input(size) for size in sizes]
    masks = [RNG.random((2, size[0] or 5)) < 0.6 for size in sizes]
    layer = layers.Concatenate(axis)
    values = [np.zeros((2, size[0] or 5, size[1])) for size in sizes]
    join = np.logical_and.reduce if axis != 1 else (lambda parts: np.concatenate(parts, 1))
    for given in (masks, [masks[0], None], [None, masks[1]]):
        filled = [np.ones_like(m) if g is None else m for g, m in zip(given, masks, strict=True)]
        expected = join(filled)
        np.testing.assert_array_equal(layer.compute_mask(inputs, given), expected)
        np.testing.assert_array_equal(layer.compute_mask(values, given), expected)
    whole = [np.repeat(m[..., None], v.shape[-1], 2) for m, v in zip(masks, values, strict=True)]
    whole[0][0, 0, 0] = False
    parts = [whole[0].all(-1), masks[1]]
    np.testing.assert_array_equal(layer.compute_mask(values, [whole[0], masks[1]]), join(parts))
    if axis == 1:
        open_inputs = [elman.Input((5, 3)), elman.Input((None, 3))]
        with pytest.raises(ValueError, match=r"inputs: expected a mask for every input, or known"):
            layer.compute_mask(open_inputs, [masks[0], None])


def test_one_mask_per_step_of_images():
    x = [elman.Input((5, 4, 3)), elman.Input((5, 4, 2))]
    masks = [RNG.random((2, 5)) < 0.6 for _ in range(2)]
    found = layers.Concatenate().compute_mask(x, masks)
    np.testing.assert_array_equal(found, masks[0] & masks[1])


@pytest.mark.parametrize("given", [5, None, "ab", (None, 2.5)])
@pytest.mark.parametrize(
    "layer",
    [
        lambda: layers.Dense(2),
        lambda: layers.LSTM(2),
        lambda: layers.Flatten(),
        lambda: layers.Bidirectional(layers.GRU(2)),
        lambda: layers.Dropout(0.5),
        lambda: layers.Layer(),
    ],
)
def test_something_that_is_no_shape(layer, given):
    made = layer()
    for method in ("compute_output_shape", "build"):
        text = rf"\[{type(made).__name__}.{method}\] input_shape: expected a tuple of sizes such as"
        with pytest.raises(TypeError, match=text):
            getattr(made, method)(given)
