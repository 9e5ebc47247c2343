# SPDX-License-Identifier: Apache-2.0
"""Arguments of layers: what they accept, how they read back, what their errors say."""

from __future__ import annotations

import re

import numpy as np
import pytest

import elman
from elman import layers
from elman.layers import GRU, LSTM, Dense, Dropout, Embedding, SimpleRNN

RECURRENT = [SimpleRNN, GRU, LSTM]
X = np.linspace(-1, 1, 30, dtype=np.float32).reshape(2, 5, 3)


@pytest.mark.parametrize("cls", RECURRENT)
def test_implementation_reads_back(cls):
    for given, kept in ((0, 1), (1, 1), (2, 2)):
        assert cls(2, implementation=given).implementation == kept
    with pytest.raises(ValueError, match=r"implementation: expected 0, 1 or 2, got 3"):
        cls(2, implementation=3)


@pytest.mark.parametrize("cls", RECURRENT)
def test_rates_are_clipped(cls):
    layer = cls(1, dropout=1.5, recurrent_dropout=-0.5)
    assert (layer.dropout, layer.recurrent_dropout) == (1.0, 0.0)
    assert layer.cell.dropout == 1.0


def test_dropout_rate():
    assert Dropout(0.25).rate == 0.25
    with pytest.raises(ValueError, match=r"\[Dropout\] rate: expected a number from 0 to 1"):
        Dropout(1.5)


def test_units_take_every_integer_type():
    assert LSTM(np.int64(3)).units == 3
    assert type(LSTM(np.int64(3)).units) is int


@pytest.mark.parametrize(
    ("alias", "value", "name", "kept"),
    [
        ("output_dim", 4, "units", 4),
        ("inner_activation", "relu", "recurrent_activation", elman.activations.relu),
        ("dropout_W", 0.25, "dropout", 0.25),
        ("dropout_U", 0.25, "recurrent_dropout", 0.25),
        ("consume_less", "cpu", "implementation", 1),
        ("consume_less", "gpu", "implementation", 2),
    ],
)
def test_keras_1_names(alias, value, name, kept):
    places = () if name == "units" else (3,)
    with pytest.warns(UserWarning, match=rf"\[LSTM\] {alias} is an older Keras name of {name}"):
        layer = LSTM(*places, **{alias: value})
    assert getattr(layer, name) == kept


def test_keras_1_initializer_and_regularizer_names():
    with pytest.warns(UserWarning, match="older Keras name"):
        layer = Dense(2, init="ones", W_regularizer="l2", b_regularizer="l1")
    assert type(layer.kernel_initializer).__name__ == "Ones"
    assert layer.kernel_regularizer.get_config() == {"l2": 0.01}
    assert layer.bias_regularizer.get_config() == {"l1": 0.01}
    with pytest.warns(UserWarning, match="older Keras name"):
        layer = GRU(2, inner_init="identity", U_regularizer="l2")
    assert type(layer.recurrent_initializer).__name__ == "Identity"
    with pytest.raises(ValueError, match=r"consume_less: expected 'cpu', 'mem' or 'gpu'"):
        GRU(2, consume_less="tpu")


def test_arguments_given_twice_missing_or_too_many():
    with pytest.raises(TypeError, match=r"\[LSTM\] argument 'units' is given twice"):
        LSTM(3, units=4)
    with pytest.raises(TypeError, match=r"\[LSTM\] missing argument 'units'"):
        LSTM()
    with pytest.raises(TypeError, match=r"\[Activation\] expected at most 1 positional"):
        layers.Activation("relu", 3)


@pytest.mark.parametrize("cls", [*RECURRENT, Dense])
def test_unknown_keyword_names_the_closest(cls):
    with pytest.raises(TypeError, match=r"unknown argument 'activaton'; did you mean 'activation"):
        cls(3, activaton="relu")


def test_activation_as_callable_class_and_config():
    assert Dense(2, activation=None).activation is elman.activations.linear
    assert Dense(2, activation=abs).activation is abs
    config = {"class_name": "function", "config": "relu", "registered_name": "relu"}
    assert Dense(2, activation=config).activation is elman.activations.relu
    for bad, text in (("rleu", "did you mean 'relu'"), (3.5, "got 3.5")):
        with pytest.raises(ValueError, match=re.escape("[Dense] activation: ") + ".*" + text):
            Dense(2, activation=bad)


def test_initializers_as_objects_and_callables():
    seen = []

    def mine(shape, dtype):
        seen.append((tuple(shape), dtype))
        return np.full(shape, 0.5, dtype)

    layer = Dense(2, kernel_initializer=mine, bias_initializer=lambda shape: np.ones(shape))
    layer(X)
    assert seen == [((3, 2), "float32")]
    assert (layer.get_weights()[0] == 0.5).all()
    assert (layer.get_weights()[1] == 1.0).all()
    with pytest.raises(ValueError, match=r"initializer of kernel: expected values of shape"):
        Dense(2, kernel_initializer=lambda shape: np.zeros(7))(X)


@pytest.mark.parametrize("cls", RECURRENT)
@pytest.mark.parametrize("dtype", ["float32", "float64", np.float64, np.dtype("float32")])
def test_dtype(cls, dtype):
    layer, name = cls(2, dtype=dtype), np.dtype(dtype).name
    assert layer.dtype == layer(X).dtype == name
    assert {w.dtype for w in layer.get_weights()} == {np.dtype(dtype)}


def test_floatx_is_the_default_dtype():
    elman.backend.set_floatx("float64")
    try:
        assert Dense(2)(X).dtype == "float64"
    finally:
        elman.backend.set_floatx("float32")


def test_one_type_for_layer_and_cells():
    cells = [layers.LSTMCell(2), layers.GRUCell(3)]
    assert layers.RNN(cells, dtype="float64")(X).dtype == "float64"
    assert layers.RNN(layers.LSTMCell(2, dtype="float64"))(X).dtype == "float64"
    with pytest.raises(ValueError, match=r"\[RNN\] dtype: expected one type, got float32 and"):
        layers.RNN(layers.LSTMCell(2, dtype="float64"), dtype="float32")


def test_declared_input_shapes():
    for kwargs in (
        {"input_shape": (10, 8)},
        {"batch_input_shape": (None, 10, 8)},
        {"input_dim": 8, "input_length": 10},
    ):
        assert LSTM(2, **kwargs).batch_input_shape == (None, 10, 8)
    assert LSTM(2, input_dim=8).batch_input_shape == (None, None, 8)
    assert LSTM(2, batch_size=4, input_shape=(3, 1)).batch_input_shape == (4, 3, 1)
    assert Dense(2, input_dim=16).batch_input_shape == (None, 16)
    assert Dense(2, input_shape=[16]).batch_input_shape == (None, 16)
    assert LSTM(2).batch_input_shape is None
    assert Embedding(10, 4).batch_input_shape == (None, None)
    assert Embedding(10, 4, input_length=5).batch_input_shape == (None, 5)
    with pytest.raises(ValueError, match=r"\[LSTM\] input_shape: expected a tuple of sizes"):
        LSTM(2, input_shape=3)


def test_weights_keyword():
    start = [np.ones((3, 2)), np.zeros(2)]
    layer = Dense(2, weights=start)
    layer(X)
    np.testing.assert_array_equal(layer.get_weights()[0], start[0])
    with pytest.raises(ValueError, match=r"\[Dense.set_weights\] weights: expected 2 arrays"):
        Dense(2, weights=start[:1])(X)


def test_names_count_from_zero_per_class():
    elman.backend.clear_session()
    names = [cls(2).name for cls in (LSTM, LSTM, GRU, SimpleRNN, Dense, LSTM)]
    assert names == ["lstm", "lstm_1", "gru", "simple_rnn", "dense", "lstm_2"]
    assert LSTM(2, name="mine").name == "mine"
    assert elman.legacy.layers.LSTM(2).name == "lstm_3"
    assert [elman.Input((3,)).name for _ in range(2)] == ["input_1", "input_2"]
    elman.backend.clear_session()
    assert LSTM(2).name == "lstm"


def test_attributes_that_the_cell_holds():
    layer = LSTM(3, activation="relu", dropout=0.5)
    assert layer.units == layer.cell.units == 3
    layer.dropout = 0.25
    assert layer.cell.dropout == 0.25
    layer.activation = elman.activations.tanh
    assert layer.cell.activation is elman.activations.tanh


def test_changing_an_activation_changes_the_result():
    layer = SimpleRNN(2, activation="relu")
    before = np.asarray(layer(X))
    layer.activation = elman.activations.tanh
    other = SimpleRNN(2, activation="tanh")
    other(X)
    other.set_weights(layer.get_weights())
    np.testing.assert_array_equal(layer(X), other(X))
    assert (np.asarray(layer(X)) != before).any()


def test_use_bias_false_has_no_bias():
    for cls in (*RECURRENT, Dense):
        layer = cls(2, use_bias=False)
        layer(X)
        assert [w.name for w in layer.weights][-1] != "bias"
        assert len(layer.get_weights()) == (1 if cls is Dense else 2)
