# SPDX-License-Identifier: Apache-2.0
"""What the configuration in a Keras file says: forms of both versions, hard_sigmoid, compile."""

from __future__ import annotations

import json
import zipfile

import h5py
import numpy as np
import pytest

import elman
import keras_file_models as models
from elman import layers
from elman.models import load_model, model_from_json
from test_keras_files import ARCHIVE


def config_in(path):
    """The configuration in a file, as a text."""
    if path.suffix == ".keras":
        with zipfile.ZipFile(path) as archive:
            return archive.read("config.json").decode()
    with h5py.File(path) as file:
        found = file.attrs["model_config"]
        return found.decode() if isinstance(found, bytes) else found


def saved(model, path):
    model.save(path)
    return config_in(path)


def sequence_model(*parts):
    return elman.Sequential([elman.Input((5, 4)), *parts])


X = np.random.default_rng(2).normal(size=(3, 5, 4)).astype("float32")


# -- hard_sigmoid ---------------------------------------------------------------------------------


@pytest.mark.parametrize("suffix", [".h5", ".keras"])
@pytest.mark.parametrize("name", ["hard_sigmoid", "hard_sigmoid_v3"])
def test_hard_sigmoid_is_never_taken_for_the_other(name, suffix, tmp_path):
    """clip(0.2 x + 0.5) is what Keras 2 calls hard_sigmoid, relu6(x + 3) / 6 what Keras 3 does."""
    model = sequence_model(
        layers.Bidirectional(layers.LSTM(3, recurrent_activation=name)),
        layers.Dense(2, activation=name),
    )
    text = saved(model, tmp_path / f"m{suffix}")
    named = (name == "hard_sigmoid") == (suffix == ".h5")
    assert ('"hard_sigmoid"' in text) == named
    assert (f'"elman>{name}"' in text) == (not named)
    # Keras 3 reads files of Keras 2 as well; this argument it does not know.
    assert text.count('"weights": null') == (2 if suffix == ".h5" and named else 0)
    found = load_model(tmp_path / f"m{suffix}")
    assert found.layers[0].layer.cell.recurrent_activation.__name__ == name
    np.testing.assert_array_equal(found.predict(X, verbose=0), model.predict(X, verbose=0))


@pytest.mark.parametrize(
    ("writer", "name"), [("keras_3", "hard_sigmoid_v3"), ("tf_keras", "hard_sigmoid")]
)
def test_hard_sigmoid_of_either_version(writer, name, tmp_path):
    for suffix in (".h5", ".keras"):
        with zipfile.ZipFile(ARCHIVE) as archive:
            archive.extract(f"{writer}/hard_sigmoid{suffix}", tmp_path)
        path = tmp_path / writer / f"hard_sigmoid{suffix}"
        found = [load_model(path)]
        if suffix == ".keras":  # what `to_json` returns: only Keras 2 adds its version
            config = json.loads(config_in(path))
            config |= {"keras_version": "2.15.0"} if writer == "tf_keras" else {}
            found.append(model_from_json(json.dumps(config)))
        for model in found:
            lstm, gru, dense, last = model.layers
            kinds = [lstm.recurrent_activation, gru.recurrent_activation, dense.activation]
            assert [kind.__name__ for kind in [*kinds, last.activation]] == [name] * 4


# -- forms ----------------------------------------------------------------------------------------


def test_the_form_of_keras_3(tmp_path):
    inner = elman.Sequential([elman.Input((5, 3)), layers.Dense(2)])
    x, state = elman.Input((5, 4)), elman.Input((3,))
    y = layers.GRU(3, return_sequences=True, kernel_regularizer="l2")(x, initial_state=state)
    model = elman.Model([x, state], inner(y))
    config = json.loads(saved(model, tmp_path / "m.keras"))
    assert (config["module"], config["class_name"]) == ("keras.src.models.functional", "Functional")
    entries = {entry["class_name"]: entry for entry in config["config"]["layers"]}
    assert entries["InputLayer"]["config"]["batch_shape"] == [None, 3]
    gru = entries["GRU"]
    assert (gru["module"], gru["registered_name"]) == ("keras.layers", None)
    assert not {"implementation", "return_state_sequences"} & set(gru["config"])
    assert gru["config"]["kernel_regularizer"]["module"] == "keras.regularizers"
    history = gru["inbound_nodes"][0]["kwargs"]["initial_state"]["config"]["keras_history"]
    assert history == [state.history.layer.name, 0, 0]
    # Not the 1 of a functional model: a chain has no call of its own.
    assert config["config"]["output_layers"] == [inner.name, 0, 0]


def test_the_form_of_keras_2(tmp_path):
    ends = elman.Input((5, 4))
    inner = elman.Model(ends, layers.GRU(3)(ends))
    a, b = elman.Input((5, 4)), elman.Input((3,))
    joined = layers.Concatenate()([inner(a), b])
    model = elman.Model([a, b], [layers.LeakyReLU(0.2)(joined), b])
    config = json.loads(saved(model, tmp_path / "m.h5"))["config"]
    entries = {entry["class_name"]: entry for entry in config["layers"]}
    names = [tensor.history.layer.name for tensor in (a, b)]
    assert config["input_layers"] == [[name, 0, 0] for name in names]
    assert entries["Functional"]["inbound_nodes"] == [[[names[0], 0, 0, {}]]]
    # The zeroth call of a model is its own making.
    assert entries["Concatenate"]["inbound_nodes"] == [
        [[inner.name, 1, 0, {}], [names[1], 0, 0, {}]]
    ]
    assert entries["LeakyReLU"]["config"]["alpha"] == 0.2
    assert "batch_input_shape" in entries["InputLayer"]["config"]


def test_options_of_elman_alone_stay(tmp_path):
    """What Keras lacks is written when it is used, and Keras refuses it."""
    model = sequence_model(
        layers.RNN(
            layers.StackedRNNCells(
                [layers.LSTMCell(2), layers.GRUCell(3, implementation=1)], reverse_state_order=True
            )
        )
    )
    for suffix in (".h5", ".keras"):
        text = saved(model, tmp_path / f"m{suffix}")
        assert '"reverse_state_order": true' in text
        assert '"implementation": 1' in text
        found = load_model(tmp_path / f"m{suffix}")
        assert found.to_json() == model.to_json()


def test_operations_that_are_no_masks(tmp_path):
    """Masks of Keras 3 travel by themselves here; a comparison with anything else is refused."""
    with zipfile.ZipFile(ARCHIVE) as archive:
        (tmp_path / "a.keras").write_bytes(archive.read("keras_3/functional.keras"))
    text = config_in(tmp_path / "a.keras")
    config = json.loads(text)
    entries = {entry["name"]: entry for entry in config["config"]["layers"]}
    entries["not_equal"]["inbound_nodes"][0]["args"][1] = 3
    for changed in (json.dumps(config), text.replace('"mask_zero": true', '"mask_zero": false')):
        assert changed != text
        with pytest.raises(ValueError, match=r"got the operation NotEqual of keras.ops"):
            model_from_json(changed)


# -- own classes ----------------------------------------------------------------------------------


class Scaled(layers.Layer):
    """Two weights of its own, one of them not trained, and a layer within."""

    def __init__(self, units, **kwargs):
        super().__init__(**kwargs)
        self.units = units
        self.inner = layers.Dense(units)
        self.more = [layers.Dense(units), layers.Dense(units)]

    def build(self, input_shape):
        self.count = self.add_weight("count", (), initializer="ones", trainable=False)
        self.factor = self.add_weight("factor", (self.units,), initializer="uniform")
        for layer in (self.inner, *self.more):
            layer.build((None, self.units) if layer.built else input_shape)

    def call(self, inputs):
        return self.inner(inputs) * self.factor + self.more[0](inputs) * self.count


class Own(elman.Model):
    def __init__(self, units=3, **kwargs):
        super().__init__(**kwargs)
        self.units = units
        self.second, self.first = layers.Dense(2), layers.LSTM(units)

    def call(self, inputs):
        return self.second(self.first(inputs))

    def get_config(self):
        return {"units": self.units, "name": self.name}


@pytest.mark.parametrize("suffix", [".h5", ".keras", ".weights.h5"])
@pytest.mark.parametrize("kind", ["layer", "model"])
def test_own_classes(kind, suffix, tmp_path):
    def make():
        if kind == "layer":
            return sequence_model(layers.GRU(2), Scaled(4))
        model = Own()
        model.build((None, 5, 4))
        return model

    model, path = make(), tmp_path / f"m{suffix}"
    rng = np.random.default_rng(3)
    model.set_weights([rng.normal(size=weight.shape) for weight in model.weights])
    if suffix == ".weights.h5":
        model.save_weights(path)
        found = make()
        found.load_weights(path)
        with h5py.File(path) as file:
            places = ["layers/scaled/inner/vars/0", "layers/scaled/more/dense_1/vars/0"]
            assert all(p in file for p in (places if kind == "layer" else ["first/cell/vars/0"]))
    else:
        model.save(path)
        found = load_model(path, {"Scaled": Scaled, "Own": Own})
    np.testing.assert_array_equal(found.predict(X, verbose=0), model.predict(X, verbose=0))


class Hiding(layers.Layer):
    """Tells of a weight that is no attribute."""

    def build(self, input_shape):
        class Holder:
            variable = elman.Variable(np.ones(4, "float32"))

        self.holder = Holder()

    @property
    def weights(self):
        return [self.holder.variable] if self.built else []

    def call(self, inputs):
        return inputs * self.holder.variable


@pytest.mark.parametrize("suffix", [".h5", ".keras"])
def test_weights_that_are_no_attributes(suffix, tmp_path):
    model = sequence_model(Hiding())
    model.set_weights([np.arange(4.0)])
    model.save(tmp_path / f"m{suffix}")
    found = load_model(tmp_path / f"m{suffix}", {"Hiding": Hiding})
    np.testing.assert_array_equal(found.predict(X, verbose=0), model.predict(X, verbose=0))


# -- compile --------------------------------------------------------------------------------------


@pytest.mark.parametrize("suffix", [".h5", ".keras"])
def test_compile(suffix, tmp_path):
    path = tmp_path / f"m{suffix}"
    model = sequence_model(layers.LSTM(3), layers.Dense(2, activation="softmax"))
    schedule = elman.optimizers.schedules.ExponentialDecay(0.1, 10, 0.9)
    model.compile(
        elman.optimizers.SGD(schedule, momentum=0.5, nesterov=True, clipnorm=2.0),
        elman.losses.CategoricalCrossentropy(label_smoothing=0.1),
        ["accuracy", elman.metrics.MeanSquaredError(name="other")],
        weighted_metrics=["mae"],
    )
    y = np.eye(2, dtype="float32")[[0, 1, 1]]
    model.save(path)
    found = load_model(path)
    assert found.optimizer.get_config() == model.optimizer.get_config()
    given = {"sample_weight": np.array([1.0, 2.0, 3.0]), "verbose": 0, "return_dict": True}
    assert found.evaluate(X, y, **given) == model.evaluate(X, y, **given)
    for one in (model, found):
        one.fit(X, y, shuffle=False, verbose=0)
    for a, b in zip(model.get_weights(), found.get_weights(), strict=True):
        np.testing.assert_array_equal(a, b)
    assert load_model(path, compile=False).optimizer is None


@pytest.mark.parametrize("writer", ["keras_3", "tf_keras"])
@pytest.mark.parametrize("suffix", [".h5", ".keras"])
def test_compiled_by_keras(writer, suffix, tmp_path):
    """The stored functional models were compiled with Adam, and a loss per output."""
    with zipfile.ZipFile(ARCHIVE) as archive:
        archive.extract(f"{writer}/functional{suffix}", tmp_path)
    model = load_model(tmp_path / writer / f"functional{suffix}")
    assert type(model.optimizer) is elman.optimizers.Adam
    assert model.optimizer.current_learning_rate() == pytest.approx(1e-3)
    assert model.loss == ["mse", "mae"]
    model.fit(models.inputs_of("functional"), [np.ones((3, 2)), np.ones((3, 1))], verbose=0)


def test_unknown_optimizers_give_a_warning(tmp_path):
    model, path = sequence_model(layers.LSTM(3)), tmp_path / "m.h5"
    model.compile("adam", "mse")
    model.save(path)
    for old, new, text in (
        ('"Adam"', '"Lion"', "unknown optimizer 'Lion'"),
        ('"mse"', '"my_loss"', "unknown loss 'my_loss'"),
        ('"beta_1"', '"use_ema": true, "beta_1"', "Adam has no use_ema=True"),
    ):
        with h5py.File(path, "a") as file:
            before = file.attrs["training_config"]
            file.attrs["training_config"] = before.replace(old, new)
        with pytest.warns(UserWarning, match=rf"the model is not compiled: .*{text}") as caught:
            assert load_model(path).optimizer is None
        assert caught[0].filename == __file__
        load_model(path, compile=False)
        with h5py.File(path, "a") as file:
            file.attrs["training_config"] = before
