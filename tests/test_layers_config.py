# SPDX-License-Identifier: Apache-2.0
"""get_config and from_config: the same layer again, through JSON, for every class."""

from __future__ import annotations

import inspect
import json

import numpy as np
import pytest

import elman
from elman import layers
from elman.layers import GRU, LSTM, RNN, Dense, GRUCell, Layer, LSTMCell, SimpleRNN

OPTIONS = {
    "kernel_regularizer": "l1_l2",
    "recurrent_constraint": elman.constraints.MaxNorm(3, axis=[0]),
    "recurrent_initializer": elman.initializers.Orthogonal(gain=0.5, seed=3),
    "bias_initializer": {"class_name": "Constant", "config": {"value": 0.25}},
    "activation": "elu",
    "dropout": 0.25,
    "implementation": 1,
    "seed": 7,
}
MADE = [
    SimpleRNN(3, go_backwards=True, activity_regularizer="l2", **OPTIONS),
    GRU(3, reset_after=False, return_state=True, recurrent_activation="hard_sigmoid", **OPTIONS),
    LSTM(3, unit_forget_bias=False, stateful=True, batch_input_shape=(2, 5, 4), **OPTIONS),
    LSTM(3, unroll=True, zero_output_for_mask=True, dtype="float64", trainable=False),
    elman.legacy.layers.GRU(3),
    elman.legacy.layers.LSTM(3, return_sequences=True),
    layers.SimpleRNNCell(3, **OPTIONS),
    GRUCell(3, reset_after=False, **OPTIONS),
    LSTMCell(3, **OPTIONS),
    RNN(LSTMCell(3, **OPTIONS), return_sequences=True),
    RNN([LSTMCell(3), GRUCell(4)], name="stack"),
    layers.StackedRNNCells([LSTMCell(3), GRUCell(4)], reverse_state_order=True),
    Dense(3, activation="softmax", use_bias=False, kernel_initializer="he_normal"),
    layers.Embedding(9, 3, mask_zero=True, input_length=5),
    layers.Activation("relu"),
    layers.Dropout(0.25, noise_shape=(None, 1, 4), seed=1),
    layers.Flatten(data_format="channels_first"),
    layers.InputLayer(input_shape=(5, 4), dtype="int32"),
    layers.Bidirectional(LSTM(3, return_sequences=True, **OPTIONS), merge_mode="sum"),
    layers.Bidirectional(RNN([LSTMCell(3), GRUCell(4)]), None, name="pair", dtype="float64"),
    layers.Bidirectional(GRU(3), backward_layer=SimpleRNN(3, go_backwards=True)),
    layers.TimeDistributed(Dense(3, activation="relu"), input_shape=(5, 4)),
    layers.TimeDistributed(layers.TimeDistributed(layers.Flatten())),
    layers.Masking(0.5),
    layers.RepeatVector(3),
    layers.Reshape((2, -1)),
    layers.Permute((2, 1)),
    layers.Softmax(axis=[1, 2]),
    layers.ReLU(6.0, 0.25, 0.5),
    layers.LeakyReLU(0.1),
    layers.ELU(0.5),
    layers.PReLU("ones", "l2", "non_neg", [1]),
    layers.SpatialDropout1D(0.25, seed=3),
    layers.SpatialDropout2D(0.25, "channels_first"),
    layers.GaussianNoise(0.5, seed=3),
    layers.GaussianDropout(0.5),
    layers.ActivityRegularization(0.1, 0.2),
    layers.LayerNormalization([1, 2], 1e-5, gamma_initializer="zeros", beta_regularizer="l1"),
    layers.BatchNormalization(1, 0.9, scale=False, beta_constraint="non_neg"),
    layers.CuDNNGRU(3, return_state=True, go_backwards=True, kernel_regularizer="l2"),
    layers.CuDNNLSTM(3, unit_forget_bias=False, stateful=True, batch_input_shape=(2, 5, 4)),
]
X = np.random.default_rng(0).normal(size=(2, 5, 4))


def through_json(config):
    return json.loads(json.dumps(config))


@pytest.mark.parametrize("layer", MADE, ids=lambda layer: type(layer).__name__)
def test_round_trip(layer):
    config = layer.get_config()
    again = type(layer).from_config(through_json(config))
    assert through_json(again.get_config()) == through_json(config)
    assert (again.name, again.trainable, again.dtype) == (layer.name, layer.trainable, layer.dtype)
    other = layers.deserialize(through_json(layers.serialize(layer)))
    assert through_json(other.get_config()) == through_json(config)


@pytest.mark.parametrize("layer", MADE, ids=lambda layer: type(layer).__name__)
def test_every_argument_is_in_the_config(layer):
    parameters = inspect.signature(type(layer)).parameters.values()
    places = {p.name for p in parameters if p.kind is inspect.Parameter.POSITIONAL_OR_KEYWORD}
    if isinstance(layer, layers.InputLayer):  # with the batch axis
        places = {"batch_input_shape" if name == "input_shape" else name for name in places}
    assert places <= layer.get_config().keys()


# Inputs of another form than X; the states of cells come second.
SHAPES = {
    "Embedding": (2, 5),
    "RepeatVector": (2, 4),
    "SpatialDropout2D": (2, 3, 5, 4),
    "SimpleRNNCell": (2, 4),
    "GRUCell": (2, 4),
    "LSTMCell": (2, 4),
    "StackedRNNCells": (2, 4),
}


def call(layer, **kwargs):
    """All outputs of the layer on random values of the shape that it takes, as arrays."""
    name, rng = type(layer).__name__, np.random.default_rng(1)
    deep = name == "TimeDistributed" and isinstance(layer.layer, layers.TimeDistributed)
    x = rng.normal(size=(2, 5, 3, 4) if deep else SHAPES.get(name, (2, 5, 4)))
    if name in ("Embedding", "InputLayer"):
        x = np.abs(8 * np.tanh(x)).astype(int)
    states = []
    if hasattr(layer, "state_size"):
        states = [[rng.normal(size=(2, *size)) for size in layer._state_shapes()]]
    output = layer(x, *states, **kwargs)
    found = output if isinstance(output, (list, tuple)) else [output]
    return [
        np.asarray(one) for part in found for one in (part if isinstance(part, list) else [part])
    ]


def remade(config, cls, weights=None):
    """A layer of that configuration and these weights, or new ones; its draws start anew."""
    elman.utils.set_random_seed(11)
    layer = cls.from_config(through_json(config))
    call(layer)
    if weights is None:
        rng = np.random.default_rng(2)
        weights = [rng.uniform(0.1, 1.0, w.shape) * rng.choice([-1, 1]) for w in layer.weights]
        weights = [
            np.abs(w) if v.name.endswith("variance") else w
            for w, v in zip(weights, layer.weights, strict=True)
        ]
    layer.set_weights(weights)
    if layer.stateful:
        layer.reset_states()
    return layer


@pytest.mark.parametrize("layer", MADE, ids=lambda layer: type(layer).__name__)
def test_the_same_numbers(layer):
    """Configuration and weights are all there is: to the last bit, in training as well."""
    config, cls = layer.get_config(), type(layer)
    first = remade(config, cls)
    again = remade(first.get_config(), cls, first.get_weights())
    for a, b in zip(first.get_weights(), again.get_weights(), strict=True):
        np.testing.assert_array_equal(a, b)
    for training in (False, True, False):
        results = []
        for one in (first, again):
            elman.utils.set_random_seed(12)  # for draws of layers without a seed of their own
            results.append(call(one, training=training))
        assert all(np.isfinite(result).all() for result in results[0])
        for a, b in zip(*results, strict=True):
            assert a.dtype == b.dtype
            np.testing.assert_array_equal(a, b)
    for a, b in zip(first.get_weights(), again.get_weights(), strict=True):
        np.testing.assert_array_equal(a, b)
    other = remade(config, cls, [w + 1 for w in first.get_weights()])
    if first.weights:  # so the numbers do come from the weights
        pairs = zip(call(first), call(other), strict=True)
        assert any((a != b).any() for a, b in pairs)


def test_a_legacy_config_is_the_same_layer_elsewhere():
    config = elman.legacy.layers.GRU(3).get_config()
    layer = GRU.from_config(config)
    assert (layer.reset_after, layer.implementation) == (False, 1)
    assert layer.recurrent_activation is elman.activations.hard_sigmoid


def test_keras_3_form_of_a_config():
    config = {
        "module": "keras.layers",
        "class_name": "LSTM",
        "registered_name": None,
        "config": {
            "name": "lstm",
            "dtype": {
                "module": "keras",
                "class_name": "DTypePolicy",
                "config": {"name": "float32"},
            },
            "units": 3,
            "kernel_initializer": {
                "module": "keras.initializers",
                "class_name": "GlorotUniform",
                "config": {"seed": None},
                "registered_name": None,
            },
        },
    }
    layer = layers.deserialize(config)
    assert (layer.units, layer.dtype) == (3, "float32")


class Twice(Layer):
    """A user's cell without get_config: its arguments are kept."""

    def __init__(self, units, factor=2.0, **kwargs):
        self.units = self.state_size = units
        self.factor = factor
        super().__init__(**kwargs)

    def call(self, inputs, states):
        return states[0] * self.factor, states


class WithConfig(Twice):
    """A user's cell in the way of Keras."""

    def get_config(self):
        return {**super().get_config(), "units": self.units, "factor": self.factor + 1}


def test_own_cells():
    layer = RNN(Twice(3, factor=5.0, name="mine"))
    config = through_json(layer.get_config())
    again = RNN.from_config(config, custom_objects={"Twice": Twice})
    assert (again.cell.units, again.cell.factor, again.cell.name) == (3, 5.0, "mine")
    config = through_json(RNN(WithConfig(3)).get_config())
    assert config["cell"]["config"]["factor"] == 3.0
    assert RNN.from_config(config).cell.factor == 3.0, "classes of this program are known"


def test_unknown_classes():
    config = {"class_name": "LTSM", "config": {"units": 3}}
    with pytest.raises(ValueError, match=r"unknown layer 'LTSM'; did you mean 'LSTM'"):
        layers.deserialize(config)
    with pytest.raises(ValueError, match="expected a config with 'class_name'"):
        layers.deserialize({"units": 3})
    with pytest.raises(TypeError, match="expected an object with get_config, got int"):
        layers.serialize(3)
    with pytest.raises(TypeError, match="unknown argument 'unit'; did you mean 'units'"):
        LSTM.from_config({"unit": 3})


def test_own_activations_by_name():
    def double(x):
        return x * 2.0

    layer = Dense(2, activation=double)
    assert layer.get_config()["activation"] == "double"
    with pytest.raises(ValueError, match="unknown activation 'double'"):
        Dense.from_config(layer.get_config())
    again = Dense.from_config(layer.get_config(), custom_objects={"double": double})
    assert again.activation is double
