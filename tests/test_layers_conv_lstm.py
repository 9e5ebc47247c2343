# SPDX-License-Identifier: Apache-2.0
"""ConvLSTM layers and cells: published example numbers, states, masks, options, errors."""

from __future__ import annotations

import copy
import pickle

import numpy as np
import pytest

import elman
from acceptance import F, close
from elman.layers import (
    RNN,
    ConvLSTM1D,
    ConvLSTM2D,
    ConvLSTM3D,
)
from tolerance import assert_close, tolerance

X = F((1, 2, 3, 3, 1), 1)
WEIGHTS = [F((2, 2, 1, 4), 2), F((2, 2, 1, 4), 3), F((4,), 4)]
T0 = [[-0.038282, 0.048934], [-0.048728, 0.038107]]
LAST = [[-0.029480, 0.032393], [0.021911, 0.011668]]
C = [[-0.079181, 0.071791], [0.055732, 0.025135]]
SAME = [
    [-0.029480, 0.030633, -0.053778],
    [0.023379, 0.008911, -0.072003],
    [-0.010288, -0.010232, -0.053361],
]
SAME_SIGMOID = [
    [-0.026853, 0.029678, -0.048172],
    [0.021628, 0.008888, -0.064481],
    [-0.009491, -0.009509, -0.048444],
]
RANKS = {1: ConvLSTM1D, 2: ConvLSTM2D, 3: ConvLSTM3D}
SIZES = {1: (7,), 2: (5, 7), 3: (4, 5, 3)}


def example(x=X, **kwargs):
    """The layer of the examples, built and with its weights."""
    layer = ConvLSTM2D(1, 2, **kwargs)
    layer.build(x.shape)
    layer.set_weights(WEIGHTS)
    return layer


def image(found):
    """An output without the axes of size one at its ends."""
    return np.asarray(found)[0, ..., 0]


def random_layer(rank, **kwargs):
    """A float64 layer with random weights, and an input for it."""
    rng = np.random.default_rng(rank)
    x = rng.normal(size=(2, 6, *SIZES[rank], 3))
    if kwargs.get("data_format") == "channels_first":
        x = np.moveaxis(x, -1, 2)
    layer = RANKS[rank](4, 2, **{"dtype": "float64", "padding": "same", **kwargs})
    layer.build(x.shape)
    layer.set_weights([rng.uniform(-0.5, 0.5, w.shape) for w in layer.weights])
    return layer, x


# --- published numbers ---------------------------------------------------------------------------


def test_c1_valid():
    output, h, c = example(return_sequences=True, return_state=True)(X)
    close(image(output), [T0, LAST])
    close(image(h), LAST)
    close(image(c), C)
    sigmoid = example(recurrent_activation="sigmoid")(X)
    close(image(sigmoid), [[-0.026853, 0.031143], [0.020577, 0.011248]])


def test_c2_same():
    close(image(example(padding="same")(X)), SAME)
    close(image(example(padding="SAME", recurrent_activation="sigmoid")(X)), SAME_SIGMOID)


def test_c3_c4_strides_and_dilation():
    strided = example(padding="same", strides=2)(X)
    close(image(strided), [[-0.035248, -0.053868], [-0.011386, -0.053361]])
    close(image(example(dilation_rate=2)(X)), [[-0.047609]])


def test_c5_channels_first():
    x = np.moveaxis(X, -1, 2)
    layer = example(x, padding="same", data_format="channels_first", return_state=True)
    output, h, _ = layer(x)
    assert output.shape == (1, 1, 3, 3)
    close(np.asarray(output)[0, 0], SAME)
    close(h, output)


def test_c6_shapes_and_counts():
    x = np.zeros((2, 10, 64, 64, 3), "float32")
    layer = ConvLSTM2D(8, 3)
    assert layer(x).shape == (2, 62, 62, 8)
    assert layer.count_params() == 3200
    assert [w.shape for w in layer.weights] == [(3, 3, 3, 32), (3, 3, 8, 32), (32,)]
    assert ConvLSTM2D(8, 3, return_sequences=True)(x).shape == (2, 10, 62, 62, 8)
    first = ConvLSTM2D(8, 3, data_format="channels_first")
    assert first(np.zeros((2, 10, 3, 64, 64), "float32")).shape == (2, 8, 62, 62)
    assert [w.shape for w in first.weights] == [w.shape for w in layer.weights]


def test_c7_a_cell_step_by_step():
    layer = example(return_sequences=True, return_state=True)
    cell, states = layer.cell, layer.cell.get_initial_state(batch_size=1)
    for t, want in enumerate((T0, LAST)):
        output, states = cell(X[:, t], states)
        close(image(output), want)
        close(image(states[0]), want)
    close(image(states[1]), C)


def test_initial_weights():
    layer = ConvLSTM2D(2, 3)
    layer.build((None, None, 5, 5, 1))
    kernel, recurrent, bias = layer.get_weights()
    limit = 0.272166  # glorot_uniform of (3, 3, 1, 8)
    assert 0.9 * limit < np.abs(kernel).max() <= limit * (1 + 1e-6)
    rows = recurrent.reshape(18, 8)
    close(rows.T @ rows, np.eye(8))
    close(bias, [0, 0, 1, 1, 0, 0, 0, 0])
    plain = ConvLSTM2D(2, 3, unit_forget_bias=False, bias_initializer="ones")
    plain.build((None, None, 5, 5, 1))
    close(plain.get_weights()[2], np.ones(8))


# --- what the layers share ----------------------------------------------------------------------


@pytest.mark.parametrize("data_format", ["channels_last", "channels_first"])
@pytest.mark.parametrize("rank", RANKS)
def test_rnn_around_a_cell_is_the_layer(rank, data_format):
    layer, x = random_layer(rank, return_sequences=True, data_format=data_format)
    cell = type(layer.cell)(4, 2, padding="same", data_format=data_format, dtype="float64")
    other = RNN(cell, return_sequences=True, return_state=True)
    mask = np.array([[1, 0, 1, 1, 0, 1], [0, 1, 1, 1, 0, 0]], bool)
    other(x)
    other.set_weights(layer.get_weights())
    np.testing.assert_array_equal(other(x)[0], layer(x))
    np.testing.assert_array_equal(other(x, mask=mask)[0], layer(x, mask=mask))
    states = cell.get_initial_state(batch_size=2)
    for t in range(x.shape[1]):  # a step by itself
        output, states = cell(x[:, t], states)
        np.testing.assert_array_equal(output, np.asarray(layer(x))[:, t])


@pytest.mark.parametrize("rank", RANKS)
def test_channels_first_is_the_transpose(rank):
    last, x = random_layer(rank, return_sequences=True, return_state=True)
    first, moved = random_layer(
        rank, return_sequences=True, return_state=True, data_format="channels_first"
    )
    np.testing.assert_array_equal(moved, np.moveaxis(x, -1, 2))
    states = [np.asarray(s) for s in last(x)[1:]]
    found = first(moved, initial_state=[np.moveaxis(s, -1, 1) for s in states])
    for k, (got, want) in enumerate(zip(found, last(x, initial_state=states), strict=True)):
        np.testing.assert_array_equal(got, np.moveaxis(np.asarray(want), -1, 2 if k == 0 else 1))


@pytest.mark.parametrize("rank", RANKS)
def test_stateful_is_one_long_call(rank):
    whole, x = random_layer(rank, return_sequences=True)
    expected = np.asarray(whole(x))
    parts = RANKS[rank](
        4, 2, padding="same", dtype="float64", return_sequences=True, stateful=True,
        batch_input_shape=(2, None, *SIZES[rank], 3),
    )  # fmt: skip
    parts.build((2, None, *SIZES[rank], 3))
    parts.set_weights(whole.get_weights())
    for _ in range(2):  # after a reset the same again
        pieces = [np.asarray(parts(x[:, a:b])) for a, b in ((0, 3), (3, 4), (4, 6))]
        np.testing.assert_array_equal(np.concatenate(pieces, axis=1), expected)
        np.testing.assert_array_equal(parts.states[0], expected[:, -1])
        parts.reset_states()
        assert not np.asarray(parts.states[0]).any()
    parts.reset_states([np.ones(s.shape) for s in parts.states])
    started = whole(x, initial_state=[np.ones(s.shape) for s in parts.states])
    np.testing.assert_array_equal(parts(x), started)
    with pytest.raises(ValueError, match=r"reset_states\] states\[1\]: expected \(2, "):
        parts.reset_states([parts.states[0], np.zeros((2, 3))])
    with pytest.raises(AttributeError, match="not stateful"):
        whole.reset_states()


def test_masks():
    """A masked frame repeats the output, zeros at first; the states are kept."""
    layer, x = random_layer(2, return_sequences=True, return_state=True)
    plain = np.asarray(layer(x[:, 1:2])[0])[:, 0]
    mask = np.zeros((2, 6), bool)
    mask[:, 1] = True
    x[:, 0] = x[:, 2:] = np.nan
    output, h, _ = layer(x, mask=mask)
    np.testing.assert_array_equal(np.asarray(output)[:, 0], np.zeros_like(plain))
    for t in range(1, 6):
        np.testing.assert_array_equal(np.asarray(output)[:, t], plain)
    np.testing.assert_array_equal(h, plain)
    zeroed, x2 = random_layer(2, return_sequences=True, zero_output_for_mask=True)
    zeros = np.asarray(zeroed(x2, mask=mask))
    assert not zeros[:, 2:].any()
    assert zeros[:, 1].any()
    states = [np.ones(plain.shape)] * 2
    output, h, c = layer(x, mask=np.zeros((2, 6), bool), initial_state=states)
    assert not np.asarray(output).any()
    np.testing.assert_array_equal(h, states[0])
    np.testing.assert_array_equal(c, states[1])
    tensor = elman.Tensor(x2)
    kept = zeroed(tensor, mask=mask)
    np.testing.assert_array_equal(kept._keras_mask, mask)


@pytest.mark.parametrize("rank", RANKS)
def test_config_and_copies(rank):
    given = {
        "strides": 2, "padding": "Same", "data_format": "channels_first", "activation": "relu",
        "use_bias": False, "dropout": 0.25, "recurrent_dropout": 1.5, "return_state": True,
        "go_backwards": True, "seed": 3, "kernel_regularizer": "l2", "zero_output_for_mask": True,
    }  # fmt: skip
    layer, x = random_layer(rank, **given)
    config = layer.get_config()
    assert config["padding"] == "same"
    assert config["recurrent_dropout"] == 1.0
    assert tuple(config["strides"]) == (2,) * rank
    twin = type(layer).from_config(config)
    assert twin.get_config() == config
    again = elman.layers.deserialize(elman.layers.serialize(layer))
    for other in (twin, again):
        other(x)
        other.set_weights(layer.get_weights())
    for other in (twin, again, copy.deepcopy(layer), pickle.loads(pickle.dumps(layer))):
        for got, want in zip(other(x), layer(x), strict=True):
            np.testing.assert_array_equal(got, want)
    cell = type(layer.cell).from_config(layer.cell.get_config())
    assert cell.get_config() == layer.cell.get_config()


def test_output_shapes():
    layer = ConvLSTM2D(8, (3, 5), strides=(1, 2), return_state=True)
    shapes = layer.compute_output_shape((None, None, 10, 12, 3))
    assert shapes == [(None, 8, 4, 8)] * 3
    assert layer.compute_output_shape((2, 7, None, 12, 3))[0] == (2, None, 4, 8)
    sequences = ConvLSTM1D(8, 3, return_sequences=True, data_format="channels_first")
    assert sequences.compute_output_shape((None, 5, 3, 10)) == (None, 5, 8, 8)
    symbolic = ConvLSTM3D(2, 2, padding="same")(elman.Input((None, 4, 5, 6, 1)))
    assert symbolic.shape == (None, 4, 5, 6, 2)
    assert ConvLSTM2D(2, 2).cell.state_size == (2, 2)


def test_the_setting_decides_on_the_data_format():
    try:
        elman.backend.set_image_data_format("channels_first")
        assert ConvLSTM2D(2, 2).data_format == "channels_first"
        assert ConvLSTM1D(2, 2).data_format == "channels_last"
        assert ConvLSTM2D(2, 2, data_format="channels_last").data_format == "channels_last"
    finally:
        elman.backend.set_image_data_format("channels_last")


def test_explain():
    text = ConvLSTM2D(40, 3, padding="same", dropout=0.5).explain((8, 10, 40, 40, 1), training=True)
    for part in ("compiled kernel conv_lstm", "8 samples, 10 steps, 1600 pixels", "one mask per"):
        assert part in text
    assert "the masks of each gate on points of its own" in text
    tiles = ConvLSTM2D(40, 3, padding="same", dropout=0.5).explain((8, 10, 40, 40, 1))
    assert "Winograd F(2x2, 3x3): 16 products of depth 41, 48 tiles" in tiles
    assert "masks" not in tiles
    taps = ConvLSTM2D(40, 5, padding="same").explain((8, 10, 40, 40, 1))
    assert "one product of depth 1025" in taps
    first = ConvLSTM2D(4, 3, data_format="channels_first").explain((1, 2, 1, 12, 12))
    assert "100 pixels" in first
    softmax = ConvLSTM2D(4, 3, activation="softmax").explain((1, 2, 12, 12, 1))
    assert "softmax: the sums of a step first, then its activations pixel by pixel" in softmax
    assert "softmax" not in first
    assert "step by step" not in softmax
    slow = ConvLSTM2D(4, 3, activation=lambda x: elman.activations.tanh(x) * 2.0)
    assert "step by step" in slow.explain((1, 2, 12, 12, 1))


# --- dropout ------------------------------------------------------------------------------------


def test_dropout_of_the_input():
    """One mask for all steps and one for each gate; another call draws others."""
    layer = ConvLSTM2D(
        1, 1, activation=None, recurrent_activation=None, use_bias=False, dropout=0.5,
        return_sequences=True, seed=1,
    )  # fmt: skip
    x = np.ones((500, 2, 3, 4, 1), "float32")
    layer.build(x.shape)
    layer.set_weights([np.ones((1, 1, 1, 4)), np.zeros((1, 1, 1, 4))])
    found = np.asarray(layer(x, training=True))
    first = found[:, 0]  # i c o, each 0 or 2
    assert set(np.unique(first)) == {0.0, 8.0}
    # 6000 draws of probability 1/8: five standard deviations
    assert abs((first == 8).mean() - 0.125) < 5 * (0.125 * 0.875 / first.size) ** 0.5
    # c is 4 at first, then f 4 + 4, with f 0 or 2: 8 times 2 makes h = 24 or 8
    assert set(np.unique(found[:, 1])) == {0.0, 8.0, 24.0}
    np.testing.assert_array_equal(found[:, 1] != 0, first != 0)
    assert (np.asarray(layer(x, training=True)) != found).any()
    np.testing.assert_array_equal(layer(x), layer(x))
    assert set(np.unique(layer(x)[:, 0])) == {1.0}


def test_dropout_of_the_state():
    """The state is dropped in the recurrent convolution, not in c."""
    layer = ConvLSTM1D(
        1, 1, activation=None, recurrent_activation=None, bias_initializer="ones",
        recurrent_dropout=0.5, return_sequences=True, seed=1,
    )  # fmt: skip
    x = np.zeros((2000, 2, 3, 1), "float32")
    layer.build(x.shape)
    layer.set_weights([np.zeros((1, 1, 4)), np.ones((1, 1, 4)), np.ones(4)])
    found = np.asarray(layer(x, training=True))
    assert set(np.unique(found[:, 0])) == {1.0}  # nothing to drop at first
    # h = o (f 1 + i c), with gates 1 + 0 or 1 + 2
    expected = {o * (f + i * c) for o in (1, 3) for f in (1, 3) for i in (1, 3) for c in (1, 3)}
    assert set(np.unique(found[:, 1])) == expected
    for rate in (0.0, 1.0):  # neither drops anything
        layer.cell.recurrent_dropout = rate
        np.testing.assert_array_equal(layer(x, training=True), layer(x))


def test_the_seed_decides():
    x = np.ones((3, 4, 5, 6, 1), "float32")

    def run(seed, threads=1):
        elman.set_num_threads(threads)
        elman.utils.set_random_seed(7)
        layer = ConvLSTM2D(5, 3, dropout=0.4, recurrent_dropout=0.4, seed=seed)
        return np.asarray(layer(x, training=True))

    before = elman.get_num_threads()
    try:
        for threads in (2, 3):
            np.testing.assert_array_equal(run(1), run(1, threads))
        assert (run(1) != run(2)).any()
    finally:
        elman.set_num_threads(before)


# --- training, python activations ---------------------------------------------------------------


@pytest.mark.parametrize("data_format", ["channels_last", "channels_first"])
def test_an_activation_of_the_user(data_format):
    """Step by step, with the numbers of the kernel, dropout masks included."""
    own = {"activation": lambda x: elman.activations.tanh(x)}
    results = []
    for more in ({}, own):
        options = {"strides": (1, 2), "dropout": 0.3, "recurrent_dropout": 0.3, "seed": 5}
        layer, x = random_layer(2, data_format=data_format, **options, **more)
        mask = np.array([[1, 0, 1, 1, 0, 1], [0, 1, 1, 1, 0, 0]], bool)
        with elman.GradientTape() as tape:
            output = layer(x, mask=mask, training=True)
            loss = elman.backend.sum(output * output)
        results.append([output, *tape.gradient(loss, layer.weights)])
    for fused, stepped in zip(*results, strict=True):
        scale = float(np.abs(np.asarray(fused)).max())
        assert_close(stepped, fused, tolerance("float64", 60, 6 * 70, scale))


def test_fit_and_weights(tmp_path):
    """A stack learns, and its weights come back from a file."""
    rng = np.random.default_rng(0)
    x = rng.normal(size=(32, 4, 6, 5, 1)).astype("float32")
    y = (x.sum(axis=(1, 2, 3, 4)) > 0).astype("float32")[:, None]

    def make():
        model = elman.Sequential([
            ConvLSTM2D(4, 3, padding="same", return_sequences=True, input_shape=(4, 6, 5, 1)),
            ConvLSTM2D(3, 2, dropout=0.1, recurrent_dropout=0.1),
            elman.layers.Flatten(),
            elman.layers.Dense(1, activation="sigmoid"),
        ])  # fmt: skip
        model.compile(elman.optimizers.Adam(0.02), "binary_crossentropy")
        return model

    elman.utils.set_random_seed(1)
    model = make()
    losses = model.fit(x, y, batch_size=8, epochs=8, verbose=0).history["loss"]
    assert losses[-1] < 0.6 * losses[0]
    model.save_weights(tmp_path / "weights.safetensors")
    other = make()
    other.load_weights(tmp_path / "weights.safetensors")
    np.testing.assert_array_equal(model.predict(x, verbose=0), other.predict(x, verbose=0))
