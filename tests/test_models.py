# SPDX-License-Identifier: Apache-2.0
"""Sequential and subclassed models: building, shapes, weights, names, states, configuration."""

from __future__ import annotations

import numpy as np
import pytest

import elman
from elman import layers

RNG = np.random.default_rng(2)


def params(model):
    return model.count_params()


# --- building ------------------------------------------------------------------------------------


def test_shapes_of_a_first_layer():
    """api: M2, E2, E7."""
    for first in (
        layers.LSTM(32, input_shape=(10, 64)),
        layers.LSTM(32, input_dim=64, input_length=10),
    ):
        model = elman.Sequential([first])
        assert model.built
        assert model.input_shape == (None, 10, 64)
        assert model.output_shape == (None, 32)
    model = elman.Sequential()
    model.add(layers.LSTM(64, input_dim=64, input_length=10, return_sequences=True))
    model.add(layers.LSTM(32, return_sequences=True))
    assert model.output_shape == (None, 10, 32)
    model.add(layers.LSTM(10))
    assert model.output_shape == (None, 10)
    assert params(model) == 47160
    model = elman.Sequential([layers.Dense(32, input_shape=(16,)), layers.Dense(32)])
    assert [layer.count_params() for layer in model.layers] == [544, 1056]
    model = elman.Sequential([layers.Embedding(10, 4, input_length=5)])
    assert model.output_shape == (None, 5, 4)
    assert elman.Sequential([layers.Embedding(10, 4)]).output_shape == (None, None, 4)


def test_a_second_recurrent_layer_needs_sequences():
    """api: M2; the failed layer is not part of the model."""
    model = elman.Sequential([layers.LSTM(32, input_shape=(10, 64))])
    with pytest.raises(ValueError, match=r"\[LSTM.*\(N, T, .*\).*\(None, 32\).*return_sequences"):
        model.add(layers.LSTM(16))
    assert len(model.layers) == 1
    model.add(layers.Dense(3))
    assert model.output_shape == (None, 3)


def test_a_failing_first_layer_leaves_the_model_empty():
    model = elman.Sequential()
    with pytest.raises(ValueError, match="LSTM"):
        model.add(layers.LSTM(3, input_shape=(5,)))
    model.add(layers.LSTM(3, input_shape=(5, 2)))
    assert model.output_shape == (None, 3)


@pytest.mark.parametrize(
    "first",
    [
        [layers.LSTM(2, batch_size=4, input_shape=(3, 1), stateful=True)],
        [layers.LSTM(2, batch_input_shape=(4, 3, 1), stateful=True)],
        [elman.Input(batch_shape=(4, 3, 1)), layers.LSTM(2, stateful=True)],
        [layers.InputLayer(batch_input_shape=(4, 3, 1)), layers.LSTM(2, stateful=True)],
    ],
)
def test_fixed_batch_sizes(first):
    """api: M3."""
    model = elman.Sequential(first)
    assert model.input_shape == (4, 3, 1)
    assert model.output_shape == (4, 2)
    assert [type(layer).__name__ for layer in model.layers] == ["LSTM"]


def test_deferred_building():
    model = elman.Sequential([layers.LSTM(4, return_sequences=True), layers.Dense(2)])
    assert not model.built
    assert model.weights == []
    out = model(np.zeros((3, 5, 2), "float32"))
    assert out.shape == (3, 5, 2)
    assert model.built
    assert model.input_shape == (None, 5, 2)
    assert [w.shape for w in model.weights] == [(2, 16), (4, 16), (16,), (4, 2), (2,)]
    assert model(np.zeros((1, 9, 2), "float32")).shape == (1, 9, 2)  # another length and batch
    with pytest.raises(ValueError, match="feature"):
        model(np.zeros((3, 5, 3), "float32"))
    model.add(layers.LSTM(7))  # the shapes are known now
    assert model.output_shape == (None, 7)


def test_build():
    model = elman.Sequential([layers.LSTM(4), layers.Dense(2)])
    model.build((None, 5, 3))
    assert model.output_shape == (None, 2)
    model.build((None, 5, 3))  # again, the same
    with pytest.raises(ValueError, match="input_shape"):
        model.build((None, 5, 4))
    with pytest.raises(ValueError, match="no layers"):
        elman.Sequential().build((None, 3))


def test_what_is_no_layer():
    model = elman.Sequential()
    for bad, text in (
        (5, "5"),
        (layers.Dense, r"Dense\(\.\.\.\)"),
        (np.tanh, "tanh"),
        (None, "None"),
    ):
        with pytest.raises(
            TypeError, match=rf"\[Sequential\.add\] layer: expected a Layer.*{text}"
        ):
            model.add(bad)
    with pytest.raises(TypeError, match="return_state"):
        elman.Sequential([layers.LSTM(4, input_shape=(5, 3), return_state=True)])
    deferred = elman.Sequential([layers.LSTM(4, return_state=True)])
    with pytest.raises(TypeError, match="return_state"):
        deferred(np.zeros((2, 5, 3), "float32"))
    layer = layers.Dense(2, name="twice")
    with pytest.raises(ValueError, match="'twice'"):
        elman.Sequential([layer, layer])
    model.add(layers.Dense(2, input_shape=(3,)))
    with pytest.raises(ValueError, match="Input comes first"):
        model.add(elman.Input((3,)))


def test_pop():
    model = elman.Sequential([layers.Dense(3, input_shape=(2,)), layers.Dense(4)])
    last = model.layers[-1]
    assert model.pop() is last
    assert model.output_shape == (None, 3)
    model.add(layers.Dense(5))
    assert model(np.zeros((1, 2), "float32")).shape == (1, 5)
    model.pop()
    model.pop()
    assert not model.built
    assert model.layers == []
    with pytest.raises(TypeError, match="no layers"):
        model.pop()
    model.add(layers.Dense(1, input_shape=(7,)))
    assert model.input_shape == (None, 7)


def test_get_layer():
    model = elman.Sequential([layers.Dense(3, input_shape=(2,), name="one"), layers.Dense(4)])
    assert model.get_layer("one") is model.layers[0]
    assert model.get_layer(index=-1) is model.layers[1]
    with pytest.raises(ValueError, match="did you mean 'one'"):
        model.get_layer("onne")
    with pytest.raises(ValueError, match="index"):
        model.get_layer(index=2)
    for both in ({}, {"name": "one", "index": 0}):
        with pytest.raises(ValueError, match="one of the two"):
            model.get_layer(**both)


def test_names_count_from_zero():
    elman.backend.clear_session()
    models = [elman.Sequential(), elman.Sequential(), elman.Sequential(name="own")]
    assert [model.name for model in models] == ["sequential", "sequential_1", "own"]

    class TwoTowers(elman.Model):
        pass

    assert TwoTowers().name == "two_towers"


# --- weights -------------------------------------------------------------------------------------


def test_order_of_weights():
    """api: 3.1; layer by layer, within a layer the trainable ones first."""

    class Scaled(layers.Layer):
        def build(self, shape):
            self.seen = self.add_weight("seen", (1,), initializer="zeros", trainable=False)
            self.scale = self.add_weight("scale", (1,), initializer="ones")

        def call(self, x):
            return x * self.scale

    model = elman.Sequential([Scaled(input_shape=(2,)), layers.Dense(3)])
    assert [w.name for w in model.weights] == ["scale", "seen", "kernel", "bias"]
    assert [w.name for w in model.trainable_weights] == ["scale", "kernel", "bias"]
    assert [w.name for w in model.non_trainable_weights] == ["seen"]
    values = [np.full(w.shape, i, "float32") for i, w in enumerate(model.weights)]
    model.set_weights(values)
    for got, value in zip(model.get_weights(), values, strict=True):
        np.testing.assert_array_equal(got, value)
    np.testing.assert_array_equal(model.layers[1].kernel, values[2])
    with pytest.raises(ValueError, match="4 arrays, got 3"):
        model.set_weights(values[:3])
    model.layers[0].trainable = False
    assert [w.name for w in model.trainable_weights] == ["kernel", "bias"]
    model.trainable = False
    assert model.trainable_weights == []


def test_weights_of_models_within_models():
    inner = elman.Sequential([layers.Dense(3, input_shape=(2,)), layers.Dense(4)])
    model = elman.Sequential([inner, layers.Dense(1)])
    assert model.output_shape == (None, 1)
    assert [w.shape for w in model.weights] == [(2, 3), (3,), (3, 4), (4,), (4, 1), (1,)]
    x = RNG.normal(size=(5, 2)).astype("float32")
    np.testing.assert_array_equal(model(x), model.layers[1](inner(x)))


# --- computing -----------------------------------------------------------------------------------


def test_the_layers_run_in_order():
    model = elman.Sequential([layers.Dense(3, "tanh", input_shape=(4,)), layers.Dense(2, "relu")])
    x = RNG.normal(size=(6, 4)).astype("float32")
    w1, b1, w2, b2 = model.get_weights()
    expected = np.maximum(np.tanh(x @ w1 + b1) @ w2 + b2, 0)
    np.testing.assert_allclose(model(x), expected, rtol=0, atol=1e-6)
    np.testing.assert_array_equal(model.predict(x, verbose=0), model(x))
    assert expected.max() > 0


@pytest.mark.parametrize("kind", ["Sequential", "Model"])
def test_float64_stays_float64(kind):
    """One rounding to float32 anywhere would show at the 1e-8 level."""
    stack = [layers.LSTM(3, dtype="float64"), layers.Dense(2, dtype="float64")]
    model = elman.Sequential(stack) if kind == "Sequential" else Chain(stack)
    x = RNG.normal(size=(4, 5, 2))
    out = np.asarray(model(x))
    assert out.dtype == np.float64
    h = np.asarray(stack[0](x))
    w, b = stack[1].get_weights()
    np.testing.assert_allclose(out, h @ w + b, rtol=1e-14, atol=1e-15)
    assert np.abs(h - np.asarray(stack[0](x.astype("float32")))).max() > 1e-10


class Chain(elman.Model):
    def __init__(self, parts):
        super().__init__()
        self.parts = parts

    def call(self, x):
        for part in self.parts:
            x = part(x)
        return x


def test_training_reaches_the_layers():
    model = elman.Sequential([layers.Dropout(0.5, input_shape=(100,))])
    x = np.ones((2, 100), "float32")
    np.testing.assert_array_equal(model(x), x)
    np.testing.assert_array_equal(model.predict(x, verbose=0), x)
    dropped = np.asarray(model(x, training=True))
    assert set(np.unique(dropped)) == {0.0, 2.0}


def test_masks_travel_through_the_model():
    model = elman.Sequential(
        [layers.Embedding(5, 3, mask_zero=True), layers.LSTM(2, return_sequences=True)]
    )
    ids = np.array([[1, 0, 3], [2, 2, 0]])
    np.testing.assert_array_equal(model(ids)._keras_mask, ids != 0)
    last = elman.Sequential([layers.LSTM(2, input_shape=(3, 3))])
    x = RNG.normal(size=(2, 3, 3)).astype("float32")
    mask = np.array([[1, 1, 0], [1, 0, 0]], bool)
    masked = np.asarray(last(x, mask=mask))
    np.testing.assert_allclose(masked[0], np.asarray(last(x[:1, :2]))[0], atol=1e-6)
    np.testing.assert_allclose(masked[1], np.asarray(last(x[1:, :1]))[0], atol=1e-6)


def test_a_model_of_several_inputs_and_outputs():
    class Two(elman.Model):
        def __init__(self):
            super().__init__()
            self.left, self.right = layers.Dense(2), layers.Dense(3)

        def call(self, inputs, training=None):
            a, b = inputs
            return {"left": self.left(a), "both": [self.right(b), training]}

    model = Two()
    a, b = np.ones((4, 5), "float32"), np.ones((4, 6))
    out = model([a, b], training=True)
    assert out["left"].shape == (4, 2)
    assert out["both"][0].shape == (4, 3)
    assert out["both"][0].dtype == "float32"
    assert out["both"][1] is True
    assert [layer.units for layer in model.layers] == [2, 3]
    assert params(model) == 12 + 21


# --- states --------------------------------------------------------------------------------------


def stateful_sum():
    """api: M4, h' = x + h / 2."""
    layer = layers.SimpleRNN(
        1,
        activation=None,
        stateful=True,
        batch_input_shape=(2, 1, 1),
        weights=[np.ones((1, 1)), np.full((1, 1), 0.5), np.zeros(1)],
    )
    return elman.Sequential([layer])


COLUMN = np.arange(1.0, 5.0).reshape(4, 1, 1)


def test_states_are_carried_from_batch_to_batch():
    """api: M4."""
    model = stateful_sum()
    np.testing.assert_allclose(model.predict(COLUMN, verbose=0)[:, 0], [1, 2, 3.5, 5])
    np.testing.assert_allclose(np.ravel(model.layers[0].states), [3.5, 5])
    found = model.predict(COLUMN, batch_size=2, verbose=0)[:, 0]
    np.testing.assert_allclose(found, [2.75, 4.5, 4.375, 6.25])
    model.reset_states()
    np.testing.assert_allclose(model.predict(COLUMN, verbose=0)[:, 0], [1, 2, 3.5, 5])


def test_stateful_models_want_whole_batches():
    model = stateful_sum()
    model.compile("sgd", "mse")
    y = np.zeros((4, 1))
    with pytest.raises(
        ValueError, match=r"\[Sequential.predict\] x: .*multiple of batch_size=2.*3"
    ):
        model.predict(COLUMN[:3], batch_size=2, verbose=0)
    with pytest.raises(ValueError, match="multiple of batch_size=2"):
        model.evaluate(COLUMN[:3], y[:3], verbose=0)
    with pytest.raises(ValueError, match="multiple of batch_size=2"):
        model.fit(COLUMN, y, validation_data=(COLUMN[:1], y[:1]), verbose=0)
    with pytest.raises(ValueError, match="multiple of batch_size=2"):
        model.fit(COLUMN, y, validation_split=0.25, verbose=0)
    model.predict(COLUMN, verbose=0)
    with pytest.raises(ValueError, match="batch"):
        model.predict(COLUMN, batch_size=4, verbose=0)  # a whole batch, but another size


def test_a_new_batch_size_after_a_reset():
    """api: D20."""
    model = stateful_sum()
    model.predict(COLUMN, verbose=0)
    model.reset_states()
    found = model.predict(COLUMN[:3], batch_size=1, verbose=0)[:, 0]
    np.testing.assert_allclose(found, [1, 2.5, 4.25])


def test_reset_states_without_stateful_layers():
    model = elman.Sequential([layers.LSTM(2, input_shape=(3, 1)), layers.Dense(1)])
    model.reset_states()
    nested = elman.Sequential([stateful_sum(), layers.Dense(1)])
    before = nested(COLUMN[:2])
    assert np.abs(np.asarray(nested(COLUMN[:2])) - before).max() > 1e-3
    nested.reset_states()
    np.testing.assert_array_equal(nested(COLUMN[:2]), before)


# --- configuration -------------------------------------------------------------------------------


def test_from_config():
    model = elman.Sequential(
        [layers.Embedding(9, 4), layers.GRU(3, return_sequences=True), layers.Dense(2, "softmax")],
        name="tagger",
    )
    copy = elman.Sequential.from_config(model.get_config())
    assert copy.name == "tagger"
    assert copy.get_config() == model.get_config()
    assert copy.input_shape == model.input_shape
    copy.set_weights(model.get_weights())
    ids = np.array([[1, 2, 3]])
    np.testing.assert_array_equal(copy(ids), model(ids))


def test_losses_of_a_model():
    """api: E3; weight penalties as they are, activity penalties divided by the batch size."""
    weights = [np.array([[1.0, 0, -1], [2, 1, 0]]), np.array([0.5, 0, -0.5])]
    dense = layers.Dense(
        3, input_shape=(2,), weights=weights, kernel_regularizer="l2", activity_regularizer="l2"
    )
    model = elman.Sequential([dense])
    x = np.array([[1.0, 2], [3, 4]], "float32")
    for _ in range(2):  # the second call replaces the first one's penalties
        model(x)
        assert [round(float(loss), 6) for loss in model.losses] == [0.07, 0.985]
