# SPDX-License-Identifier: Apache-2.0
"""Configurations, JSON and clones of models; what damaged or hostile ones lead to; weight files."""

from __future__ import annotations

import copy
import json

import numpy as np
import pytest

import elman
from elman import layers
from elman.layers import LSTM, Dense
from elman.models import clone_model, model_from_config, model_from_json

RNG = np.random.default_rng(19)
A = RNG.normal(size=(2, 5, 3)).astype("float32")


class Twice(layers.Layer):
    """A layer with an argument of its own."""

    def __init__(self, factor=2.0, **kwargs):
        super().__init__(**kwargs)
        self.factor = factor

    def call(self, inputs):
        return inputs * self.factor


class Halving(layers.Layer):
    """A cell of its own."""

    def __init__(self, units, **kwargs):
        self.state_size = self.units = units
        super().__init__(**kwargs)

    def build(self, input_shape):
        self.kernel = self.add_weight(shape=(input_shape[-1], self.units), name="kernel")

    def call(self, inputs, states):
        output = elman.backend.dot(inputs, self.kernel) + states[0] * 0.5
        return output, [output]


def cube(x):
    return x * x * x


OWN = {"Twice": Twice, "Halving": Halving, "cube": cube}


def own_model():
    x = elman.Input((None, 3))
    hidden = layers.RNN([Halving(4), layers.GRUCell(3)], return_sequences=True)(x)
    return elman.Model(x, Dense(2, activation=cube)(Twice(3.0)(hidden)))


def shared_and_nested():
    """Shared layers, models in models, states, a constant array as an argument."""
    a, b = elman.Input((None, 3), name="a"), elman.Input((None, 3), name="b")
    encoder = LSTM(4, return_state=True, name="encoder")
    _, h, c = encoder(a)
    inner = elman.Model(a, encoder(a)[0], name="inner")
    head = elman.Sequential([Dense(3, "tanh"), Dense(2)], name="head")
    start = np.full((2, 4), 0.25, "float32")
    fixed = layers.GRU(4, name="fixed")(b, mask=np.array([[1, 1, 1, 0, 1]] * 2, bool))
    again = LSTM(4, name="decoder")(b, initial_state=[h, c])
    merged = layers.add([head(inner(b)), head(fixed), head(again) * 2.0])
    return elman.Model({"a": a, "b": b}, [merged, h - start])


def values(model, x):
    found = model(x)
    return [np.asarray(v) for v in (found if isinstance(found, list) else [found])]


def assert_same(model, other, x):
    for one, two in zip(values(model, x), values(other, x), strict=True):
        np.testing.assert_array_equal(one, two)


@pytest.mark.parametrize("made", [own_model, shared_and_nested])
def test_round_trips(made, tmp_path):
    model = made()
    x = {"a": A, "b": A[:, ::-1]} if made is shared_and_nested else A
    text = model.to_json()
    again = model_from_json(text, custom_objects=OWN)
    assert json.loads(again.to_json()) == json.loads(text)
    assert [w.shape for w in again.weights] == [w.shape for w in model.weights]
    again.set_weights(model.get_weights())
    assert_same(model, again, x)
    for other in (
        elman.Model.from_config(json.loads(json.dumps(model.get_config())), OWN),
        model_from_config({"class_name": "Model", "config": model.get_config()}, OWN),
        model_from_config({"class_name": "Functional", "config": model.get_config()}, OWN),
    ):
        other.set_weights(model.get_weights())
        assert_same(model, other, x)
    for suffix in (".safetensors", ".npz"):
        model.save_weights(tmp_path / f"w{suffix}")
        other = model_from_json(text, custom_objects=OWN)
        other.load_weights(tmp_path / f"w{suffix}")
        assert_same(model, other, x)


def test_a_file_of_another_architecture(tmp_path):
    shared_and_nested().save_weights(tmp_path / "w.npz")
    with pytest.raises(ValueError, match="belongs to another architecture"):
        own_model().load_weights(tmp_path / "w.npz")


def test_shared_weights_are_in_a_file_once(tmp_path):
    model = shared_and_nested()
    model.save_weights(tmp_path / "w.npz")
    with np.load(tmp_path / "w.npz") as stored:
        assert len(stored.files) == len(model.weights) == 13


def test_json_of_other_models():
    sequential = elman.Sequential([LSTM(4, input_shape=(None, 3)), Dense(1)], name="s")
    again = model_from_json(sequential.to_json(indent=2))
    assert type(again) is elman.Sequential
    again.set_weights(sequential.get_weights())
    assert_same(sequential, again, A)
    nested = elman.Sequential([elman.Input((None, 3)), own_model(), layers.Flatten()])
    assert model_from_json(nested.to_json(), OWN).get_config() == nested.get_config()

    class Arguments(elman.Model):
        def __init__(self, units, name=None):
            super().__init__(name=name)
            self.dense = Dense(units)

        def call(self, x):
            return self.dense(x)

    model = Arguments(5)
    again = model_from_json(model.to_json())
    assert again.dense.units == 5
    assert again.name == model.name
    clone = clone_model(Arguments(units=4, name="n"))
    assert (clone.dense.units, clone.name) == (4, "n")


def test_custom_objects():
    text = own_model().to_json().replace("Twice", "Thrice")
    with pytest.raises(ValueError, match=r"unknown layer 'Thrice'.*custom_objects=\{'Thrice'.*reg"):
        model_from_json(text)
    with elman.utils.custom_object_scope({"Thrice": Twice, "cube": cube}):
        assert model_from_json(text).layers[2].factor == 3.0
    elman.utils.register_keras_serializable(name="Thrice")(Twice)
    elman.utils.register_keras_serializable()(cube)
    assert isinstance(model_from_json(text).layers[2], Twice)


def test_keras_2_form_of_calls():
    """[layer, call, output, kwargs]; the states of a recurrent layer follow its input."""

    def layer(name, kind, config, *calls):
        config = {"name": name, **config}
        return {"name": name, "class_name": kind, "config": config, "inbound_nodes": list(calls)}

    def at(name, output=0, **kwargs):
        return [name, 0, output, kwargs]

    gates = {"units": 4, "recurrent_activation": "sigmoid"}
    config = {
        "name": "model_1",
        "layers": [
            layer("x", "InputLayer", {"batch_input_shape": [None, None, 3], "dtype": "float32"}),
            layer("d", "InputLayer", {"batch_input_shape": [None, None, 2], "dtype": "float32"}),
            layer("enc", "LSTM", {**gates, "return_state": True}, [at("x")]),
            layer("dec", "LSTM", gates, [at("d"), at("enc", 1), at("enc", 2)]),
            layer("sum", "Add", {}, [at("dec"), at("enc")]),
            layer("drop", "Dropout", {"rate": 0.5}, [at("sum", training=True)]),
        ],
        "input_layers": [["x", 0, 0], ["d", 0, 0]],
        "output_layers": [["sum", 0, 0], ["drop", 0, 0]],
    }
    model = model_from_config({"class_name": "Model", "config": config})
    d = RNG.normal(size=(2, 7, 2)).astype("float32")
    out, h, c = model.get_layer("enc")(A)
    expected = model.get_layer("dec")(d, initial_state=[h, c]) + out
    found, dropped = model([A, d])
    np.testing.assert_array_equal(found, expected)
    assert (np.asarray(dropped) == 0).any()


# --- clones --------------------------------------------------------------------------------------


def test_clones():
    model = shared_and_nested()
    x = {"a": A, "b": A[:, ::-1]}
    clone = clone_model(model)
    assert [layer.name for layer in clone.layers] == [layer.name for layer in model.layers]
    assert clone.name == model.name
    assert not {id(w) for w in clone.weights} & {id(w) for w in model.weights}
    clone.set_weights(model.get_weights())
    assert_same(model, clone, x)


def test_a_clone_needs_no_names_of_functions():
    class Own(layers.Layer):
        def __init__(self, function, **kwargs):
            super().__init__(**kwargs)
            self.function = function

        def call(self, inputs):
            return self.function(inputs)

    def halved(x):
        return x * 0.5

    x = elman.Input((5, 3))
    h = layers.Lambda(lambda x: x * 2.0, output_shape=lambda shape: shape)(x)
    h = layers.TimeDistributed(layers.Lambda(lambda x: x + 1.0))(h)
    h = LSTM(4, activation=lambda x: x / (1.0 + x * x), return_sequences=True)(h)
    model = elman.Model(x, Own(halved)(Dense(2, activation=halved)(h)))
    for original in (model, elman.Sequential(model.layers[1:])):
        original(A[:, :5])
        clone = clone_model(original)
        clone(A[:, :5])
        assert not {id(w) for w in clone.weights} & {id(w) for w in original.weights}
        clone.set_weights(original.get_weights())
        assert_same(original, clone, A[:, :5])
    with pytest.raises(ValueError, match=r"\[Lambda.get_config\] function: expected a named"):
        model.get_config()


def test_clones_with_other_inputs_and_layers():
    x = elman.Input((None, 3))
    model = elman.Model(x, Dense(2)(LSTM(4, name="cell")(x)))
    fixed = elman.Input(batch_shape=(2, 5, 3), name="fixed")
    clone = clone_model(model, input_tensors=fixed)
    assert clone.input_shape == (2, 5, 3)
    assert clone.inputs[0] is fixed

    def swapped(layer):
        if isinstance(layer, LSTM):
            return layers.GRU.from_config({"units": layer.units, "name": layer.name})
        return type(layer).from_config(layer.get_config())

    other = clone_model(model, clone_function=swapped)
    assert isinstance(other.get_layer("cell"), layers.GRU)
    chain = elman.Sequential([LSTM(4, input_shape=(None, 3), name="cell"), Dense(2)])
    assert isinstance(clone_model(chain, clone_function=swapped).layers[0], layers.GRU)
    assert clone_model(chain, input_tensors=[fixed]).input_shape == (2, 5, 3)
    assert not clone_model(elman.Sequential([Dense(2)])).built
    with pytest.raises(
        TypeError, match=r"\[models.clone_model\] model: expected a model, got Dense"
    ):
        clone_model(Dense(2))


# --- damaged and hostile ones --------------------------------------------------------------------


def plain_config():
    x = elman.Input((3,), name="x")
    return elman.Model(x, Dense(2, name="d")(x), name="m").get_config()


def changed(change):
    config = copy.deepcopy(plain_config())
    change(config)
    return json.dumps({"class_name": "Functional", "config": config})


def call_of(config):
    return config["layers"][1]["inbound_nodes"][0]


@pytest.mark.parametrize(
    ("change", "text"),
    [
        (lambda c: c.pop("layers"), r"config\['layers'\]: expected list, got nothing"),
        (lambda c: c.update(layers={}), r"config\['layers'\]: expected list, got dict"),
        (lambda c: c.update(layers=[3]), r"expected a dict with 'name', got int"),
        (lambda c: c.pop("output_layers"), r"config\['output_layers'\]: expected list or dict"),
        (lambda c: c.update(output_layers=[["z", 0, 0]]), r"expected a tensor.*got \['z', 0, 0\]"),
        (lambda c: c.update(output_layers=[["d", 0, 9]]), r"expected a tensor.*got \['d', 0, 9\]"),
        (lambda c: c.update(output_layers=[["d", 0]]), r"expected \[layer, call, output\]"),
        (lambda c: c.update(output_layers=[["d", {}, 0]]), r"expected \[layer, call, output\]"),
        (lambda c: c.update(output_layers=[]), r"outputs: expected at least one tensor"),
        (lambda c: c["layers"].append(c["layers"][1]), r"got 'd' twice"),
        (lambda c: c["layers"][1].update(class_name="Dens"), r"'Dens'; did you mean 'Dense'"),
        (lambda c: c["layers"][1].update(class_name=5), r"expected a config with 'class_name'"),
        (lambda c: c["layers"][1].update(class_name="LSTMCel"), r"unknown layer"),
        (lambda c: c["layers"][1].update(config=3), r"arguments of Dense as a dict, got int"),
        (lambda c: c["layers"][1]["config"].update(units="x"), r"units: expected a positive int"),
        (lambda c: c["layers"][1]["config"].update(units=1 << 70), r"units|memory|2\*\*63"),
        (lambda c: c["layers"][1]["config"].update(activation="__import__"), r"unknown activation"),
        (lambda c: c["layers"][1].update(inbound_nodes=[7]), r"a call with args and kwargs, got 7"),
        (lambda c: c["layers"][1].update(inbound_nodes=[[["x", 0]]]), r"\[layer, call, output, kw"),
        (lambda c: c["layers"][1].update(inbound_nodes=[[["d", 0, 0, {}]]]), r"gaps before 'd'"),
        (lambda c: c["layers"][1].update(inbound_nodes=[[["x", 3, 0, {}]]]), r"gaps before 'd'"),
        (lambda c: call_of(c).pop("args"), r"config\['args'\]: expected list, got nothing"),
        (lambda c: call_of(c).update(args=[]), r"at least one argument, got none"),
        (lambda c: call_of(c).update(args=[{"class_name": "__tensor__"}]), r"'value'"),
        (lambda c: c["layers"][0]["config"].update(batch_input_shape="x"), r"a tuple of sizes"),
    ],
)  # fmt: skip
def test_damaged_configurations(change, text):
    with pytest.raises(ValueError, match=text):
        model_from_json(changed(change))


@pytest.mark.parametrize(
    ("given", "text"),
    [
        ("", "expected JSON"),
        ("{", "expected JSON"),
        ("[" * 100_000, "expected JSON|a config with"),
        ("3", "expected a config with 'class_name' and 'config', got 3"),
        ("null", "got None"),
        ('{"class_name": "Dense", "config": {"units": 3}}', "one of a model, got a Dense"),
        ('{"class_name": "Sequential", "config": {"name": "s"}}', "a list of layers, got NoneType"),
        ('{"class_name": "os.system", "config": "true"}', "unknown layer 'os.system'"),
        ('{"class_name": "function", "config": "eval"}', "unknown layer 'eval'"),
    ],
)
def test_texts_that_are_no_model(given, text):
    with pytest.raises(ValueError, match=text):
        model_from_json(given)


def test_models_nested_without_end():
    config = '{"class_name": "Dense", "config": {"units": 1}}'
    for _ in range(2000):
        config = '{"class_name": "Sequential", "config": {"layers": [' + config + "]}}"
    with pytest.raises(ValueError, match=r"nested a few levels deep|expected JSON, got maximum"):
        model_from_json(config)


def test_unknown_arguments():
    with pytest.raises(TypeError, match=r"\[Dense\] unknown argument 'unts'; did you mean 'units'"):
        model_from_json(changed(lambda c: c["layers"][1]["config"].update(unts=3)))


def test_a_configuration_that_is_no_json():
    class Odd(layers.Layer):
        def get_config(self):
            return {**super().get_config(), "array": np.zeros(2)}

    x = elman.Input((3,))
    with pytest.raises(TypeError, match=r"\[Model.to_json\] .*plain Python types"):
        elman.Model(x, Odd()(x)).to_json()
