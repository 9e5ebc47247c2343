# SPDX-License-Identifier: Apache-2.0
"""Dense, Embedding, Flatten, Activation, inputs, and the base class."""

from __future__ import annotations

import numpy as np
import pytest

import elman
from acceptance import close
from elman.layers import LSTM, Activation, Dense, Embedding, Flatten, InputLayer, Layer

K = elman.backend

W, B = [[1, 0, -1], [2, 1, 0]], [0.5, 0, -0.5]


def test_dense():
    x = np.array([[1, 2], [3, 4]])
    close(Dense(3, weights=[W, B])(x), [[5.5, 2, -1.5], [11.5, 4, -3.5]])
    close(Dense(3, activation="relu", weights=[W, B])(x), [[5.5, 2, 0], [11.5, 4, 0]])
    close(Dense(3, activation=lambda y: -y, weights=[W, B])(x), [[-5.5, -2, 1.5], [-11.5, -4, 3.5]])
    cube = np.array([[[1, 2], [3, 4]], [[5, 6], [7, 8]]])
    output = Dense(3, weights=[W, B])(cube)
    assert tuple(output.shape) == (2, 2, 3)
    close(output[1], [[17.5, 6, -5.5], [23.5, 8, -7.5]])
    softmax = np.asarray(Dense(3, activation="softmax")(cube))
    np.testing.assert_allclose(softmax.sum(-1), 1, rtol=1e-6)


def test_a_list_of_arrays_is_one_input():
    rows = [np.array([1.0, 2.0]), np.array([3.0, 4.0])]
    layer = Dense(3, weights=[W, B])
    close(layer(rows), [[5.5, 2, -1.5], [11.5, 4, -3.5]])
    close(layer([[1, 2], [3, 4]]), [[5.5, 2, -1.5], [11.5, 4, -3.5]])
    row = elman.Variable(np.float32([1, 2]))
    with elman.GradientTape() as tape:
        total = K.sum(layer([row, row]))
    close(tape.gradient(total, row), [0, 6])


def test_dense_shapes_and_counts():
    first, second = Dense(32), Dense(32)
    x = first(elman.Input((16,)))
    assert second(x).shape == (None, 32)
    assert (first.count_params(), second.count_params()) == (544, 1056)
    assert (first.input_shape, first.output_shape) == ((None, 16), (None, 32))
    with pytest.raises(ValueError, match=r"\[Dense.count_params\] the layer is not built"):
        Dense(3).count_params()
    with pytest.raises(AttributeError, match="not built yet"):
        Dense(3).input_shape  # noqa: B018


def test_embedding():
    layer = Embedding(4, 2, weights=[np.arange(8).reshape(4, 2)], mask_zero=True)
    output = layer(np.array([[1, 0, 3]]))
    close(output, [[[2, 3], [0, 1], [6, 7]]])
    np.testing.assert_array_equal(output._keras_mask, [[True, False, True]])
    close(layer(np.array([1.0, 3.0])), [[2, 3], [6, 7]])
    close(layer(np.array([True, False])), [[2, 3], [0, 1]])
    assert layer(np.zeros((2, 3, 5), "int8")).shape == (2, 3, 5, 2)
    assert layer.count_params() == 8


def test_embedding_shapes():
    assert Embedding(10, 4, input_length=5).compute_output_shape((None, None)) == (None, 5, 4)
    assert Embedding(10, 4).compute_output_shape((None, None)) == (None, None, 4)
    assert Embedding(10, 4)(elman.Input((7,), dtype="int32")).shape == (None, 7, 4)
    with pytest.raises(ValueError, match=r"\[Embedding.call\] x: expected \(N, 5\), got \(2, 7\)"):
        Embedding(10, 4, input_length=5)(np.zeros((2, 7)))


def test_embedding_gradient_adds_up_repeated_rows():
    layer = Embedding(4, 2)
    layer.build((None, None))
    with elman.GradientTape() as tape:
        total = K.sum(layer([[1, 1, 3]]))
    close(tape.gradient(total, layer.embeddings), [[0, 0], [2, 2], [0, 0], [1, 1]])


def test_flatten():
    x = np.arange(12, dtype=np.float32).reshape(1, 2, 3, 2)
    close(Flatten()(x), [np.arange(12)])
    close(Flatten("channels_first")(x), [[0, 6, 1, 7, 2, 8, 3, 9, 4, 10, 5, 11]])
    close(Flatten("channels_first")(x[0, 0]), x[0, 0])
    assert Flatten()(np.zeros(3)).shape == (3, 1)
    assert Flatten()(np.zeros((0, 3, 2))).shape == (0, 6)
    assert Flatten()(np.array([[[1], [2]]], "int64")).dtype == "int64"
    with pytest.raises(ValueError, match=r"\[Flatten\] data_format: expected 'channels_last' or"):
        Flatten("first")


def test_flatten_of_unknown_sizes():
    y = Flatten()(elman.Input((None, 3)))
    assert y.shape == (None, None)
    assert Flatten()(elman.Input((2, 3))).shape == (None, 6)
    with pytest.raises(ValueError, match=r"\[Dense.call\] x: expected .*has to be known"):
        Dense(2)(y)


def test_flatten_takes_the_data_format_of_the_settings():
    K.set_image_data_format("channels_first")
    try:
        layer = Flatten()
    finally:
        K.set_image_data_format("channels_last")
    assert layer.data_format == "channels_first"
    assert Flatten().data_format == "channels_last"


def test_activation():
    close(Activation("relu")(np.array([-2, -0.5, 0, 1.5])), [0, 0, 0, 1.5])
    x = np.array([[1.0, 2.0, 3.0]])
    np.testing.assert_allclose(np.asarray(Activation("softmax")(x)).sum(), 1, rtol=1e-6)
    assert Activation("tanh")(elman.Input((None, 4))).shape == (None, None, 4)
    with pytest.raises(ValueError, match=r"\[Activation\] activation: unknown"):
        Activation("nope")


# --- inputs ------------------------------------------------------------------------------------


def test_input():
    assert elman.Input((None, 5)).shape == (None, None, 5)
    assert elman.Input(batch_shape=(4, 3, 1)).shape == (4, 3, 1)
    assert elman.Input((3,), batch_size=4).shape == (4, 3)
    assert elman.Input((3,), dtype="int32").dtype == "int32"
    assert elman.Input(()).shape == (None,)
    assert elman.layers.Input is elman.Input
    assert InputLayer(input_shape=(3,)).output.shape == (None, 3)
    assert InputLayer(batch_shape=(2, 3)).batch_input_shape == (2, 3)
    for kwargs in ({}, {"shape": (3,), "batch_shape": (2, 3)}):
        with pytest.raises(ValueError, match=r"\[Input\] shape: expected either shape or batch_sh"):
            elman.Input(**kwargs)


def test_symbolic_tensors_remember_their_layers():
    x = elman.Input((4, 3), name="x")
    output, h, c = LSTM(2, return_state=True)(x)
    assert (output.name, output.dtype, h.index, c.index) == (
        output.history.layer.name,
        "float32",
        1,
        2,
    )
    assert output.history is c.history
    assert output.history.inputs == (x,)
    assert x.history.inputs == ()
    for use in (float, len, np.asarray, lambda t: t @ t, iter, bool):
        with pytest.raises(TypeError, match="has no values"):
            use(x)


# --- the base class ----------------------------------------------------------------------------


class Scale(Layer):
    """A user's layer with a trainable and a fixed weight."""

    def build(self, input_shape):
        self.count = self.add_weight("count", (), initializer="zeros", trainable=False)
        self.factor = self.add_weight(shape=(input_shape[-1],), initializer="ones", name="factor")

    def call(self, inputs):
        return inputs * self.factor


class Pair(Layer):
    """A user's layer made of layers."""

    def __init__(self, units, **kwargs):
        super().__init__(**kwargs)
        self.parts = [Dense(units), Scale()]
        self.extra = {"last": Dense(2)}

    def call(self, inputs):
        for part in self.parts:
            inputs = part(inputs)
        return self.extra["last"](inputs)


def test_weights_are_trainable_first():
    layer = Scale()
    layer(np.ones((2, 3)))
    assert [w.name for w in layer.weights] == ["factor", "count"]
    assert layer.built
    assert len(layer.trainable_weights) == len(layer.non_trainable_weights) == 1
    layer.trainable = False
    assert layer.trainable_weights == []
    assert [w.name for w in layer.non_trainable_weights] == ["factor", "count"]
    assert layer.weights[0].path == f"{layer.name}/factor"


def test_layers_within_layers():
    layer = Pair(4)
    assert layer(np.ones((2, 3))).shape == (2, 2)
    names = ["kernel", "bias", "factor", "kernel", "bias", "count"]
    assert [w.name for w in layer.weights] == names
    layer.parts[0].trainable = False
    assert [w.name for w in layer.trainable_weights] == names[2:5]
    assert [w.name for w in layer.weights] == names
    assert layer.count_params() == 3 * 4 + 4 + 4 + 1 + 4 * 2 + 2
    values = [w + 1 for w in layer.get_weights()]
    layer.set_weights(values)
    for got, want in zip(layer.get_weights(), values, strict=True):
        np.testing.assert_array_equal(got, want)


def test_output_shape_of_a_users_layer_is_found():
    assert Pair(4)(elman.Input((None, 3))).shape == (None, None, 2)
    assert Scale().compute_output_shape((None, 5)) == (None, 5)


def test_a_layer_that_forgets_its_base_class():
    class Forgetful(Layer):
        def __init__(self):
            self.x = 3

    with pytest.raises(RuntimeError, match=r"\[Forgetful\] __init__ has to call super"):
        Forgetful()(np.ones(3))


def test_several_inputs():
    class Sum(Layer):
        def call(self, inputs):
            return inputs[0] + inputs[1]

    close(Sum()([np.ones((2, 3)), np.ones((2, 3))]), np.full((2, 3), 2))
    assert Sum()([elman.Input((3,)), elman.Input((3,))]).shape == (None, 3)


def test_set_weights_is_all_or_nothing():
    layer = Dense(3, weights=[W, B])
    layer(np.ones((1, 2)))
    with pytest.raises(
        ValueError, match=r"\[Dense.set_weights\] weights\[1\]: expected \(3,\), got"
    ):
        layer.set_weights([np.zeros((2, 3)), np.zeros(4)])
    close(layer.get_weights()[0], W)
    with pytest.raises(
        ValueError, match=r"expected 2 arrays, got 1; in this order: kernel \(2, 3\)"
    ):
        layer.set_weights([np.zeros((2, 3))])
    with pytest.raises(ValueError, match="not built yet"):
        Dense(3).set_weights([W, B])


def test_tensors_pass_without_copies():
    x = np.ones((2, 3), np.float32)
    assert np.shares_memory(np.asarray(Activation("linear")(x)), x)
    y = Dense(3)(x)
    assert np.shares_memory(np.asarray(y), np.from_dlpack(y))
    assert np.asarray(y) is not None
