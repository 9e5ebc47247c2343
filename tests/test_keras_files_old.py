# SPDX-License-Identifier: Apache-2.0
"""Files of Keras 1 and 2 that no current Keras writes, made here from their description."""

from __future__ import annotations

import h5py
import numpy as np
import pytest

import elman
from elman import layers


def write(path, groups, root="", **attributes):
    """A file with the arrays of each layer; every text as bytes, as Keras 2 wrote them."""
    with h5py.File(path, "w") as file:
        top = file.require_group(root) if root else file
        top.attrs["layer_names"] = [name.encode() for name in groups]
        for key, value in attributes.items():
            top.attrs[key] = value.encode()
        for name, arrays in groups.items():
            group = top.create_group(name)
            names = [f"{name}/weight_{k}:0".encode() for k in range(len(arrays))]
            group.attrs["weight_names"] = names
            for weight, array in zip(names, arrays, strict=True):
                group[weight.decode()] = array


def one(layer, shape):
    model = elman.Sequential([elman.Input(shape), layer])
    rng = np.random.default_rng(4)
    model.set_weights([rng.normal(size=weight.shape) for weight in model.weights])
    return model


def gates(array, order):
    """The blocks of a packed array, in another order."""
    blocks = np.split(array, len(order), axis=-1)
    return [blocks[k] for k in order]


def keras_1(weights, order):
    """W, U and b of one gate after the other, as Keras 1 stored them."""
    per_gate = zip(*(gates(np.asarray(w), order) for w in weights), strict=True)
    return [array for triple in per_gate for array in triple]


def check(model, path, source, x):
    expected = source.predict(x, verbose=0)
    assert np.abs(model.predict(x, verbose=0) - expected).max() > 1e-3
    model.load_weights(path)
    np.testing.assert_array_equal(model.predict(x, verbose=0), expected)


X = np.random.default_rng(0).normal(size=(2, 5, 3)).astype("float32")
ICFO = (0, 2, 1, 3)  # i, f, c, o -> i, c, f, o
RECURRENT = {
    "lstm": (lambda: layers.LSTM(4), ICFO),
    "gru": (lambda: layers.GRU(4, reset_after=False), (0, 1, 2)),
}


@pytest.mark.parametrize("kind", RECURRENT)
def test_gates_apart(kind, tmp_path):
    make, order = RECURRENT[kind]
    source = one(make(), (5, 3))
    write(tmp_path / "w.h5", {"x": keras_1(source.get_weights(), order)})
    check(
        one(make(), (5, 3)) if False else elman.Sequential([elman.Input((5, 3)), make()]),
        tmp_path / "w.h5",
        source,
        X,
    )


@pytest.mark.parametrize("kind", RECURRENT)
def test_gates_together(kind, tmp_path):
    """consume_less='gpu' packed them as Keras 2 does."""
    make, _ = RECURRENT[kind]
    source = one(make(), (5, 3))
    write(tmp_path / "w.h5", {"x": source.get_weights()})
    check(elman.Sequential([elman.Input((5, 3)), make()]), tmp_path / "w.h5", source, X)


def test_wrapped_and_nested(tmp_path):
    """Bidirectional has the forward layer's arrays, then the backward one's; models likewise."""

    def make():
        inner = elman.Sequential(
            [
                elman.Input((5, 8)),
                layers.BatchNormalization(),
                layers.LSTM(3, return_sequences=True),
                layers.TimeDistributed(layers.Dense(2)),
            ]
        )
        two = layers.Bidirectional(layers.LSTM(4, return_sequences=True))
        return elman.Sequential([elman.Input((5, 3)), two, inner])

    source = make()
    rng = np.random.default_rng(4)
    source.set_weights([rng.random(size=weight.shape) for weight in source.weights])
    two, inner = source.layers
    halves = [
        keras_1(layer.get_weights(), ICFO) for layer in (two.forward_layer, two.backward_layer)
    ]
    norm, lstm, dense = (layer.get_weights() for layer in inner.layers)
    trained = [*norm[:2], *keras_1(lstm, ICFO), *dense]
    write(tmp_path / "w.h5", {"a": [*halves[0], *halves[1]], "b": [*trained, *norm[2:]]})
    check(make(), tmp_path / "w.h5", source, X)


@pytest.mark.parametrize("data_format", ["channels_last", "channels_first"])
def test_conv_lstm_of_keras_1(data_format, tmp_path):
    """With 'th' images kernels are (filters, channels, rows, columns)."""
    shape = (4, 6, 5, 2) if data_format == "channels_last" else (4, 2, 6, 5)

    def make():
        layer = layers.ConvLSTM2D(3, (2, 4), padding="same", data_format=data_format)
        return elman.Sequential([elman.Input(shape), layer])

    source = make()
    rng = np.random.default_rng(4)
    source.set_weights([rng.normal(size=weight.shape) for weight in source.weights])
    arrays = keras_1(source.get_weights(), ICFO)
    if data_format == "channels_first":
        arrays = [np.transpose(a, (3, 2, 0, 1)) if a.ndim == 4 else a for a in arrays]
    write(tmp_path / "w.h5", {"x": arrays})
    x = rng.normal(size=(2, *shape)).astype("float32")
    check(make(), tmp_path / "w.h5", source, x)


@pytest.mark.parametrize("form", ["1.2", "before 1.1"])
def test_conv1d_of_keras_1(form, tmp_path):
    def make():
        return elman.Sequential([elman.Input((7, 3)), layers.Conv1D(5, 2)])

    source = make()
    source.set_weights([np.random.default_rng(1).random(w.shape) for w in source.weights])
    kernel, bias = source.get_weights()  # (taps, channels, filters)
    kernel = kernel[:, None] if form == "1.2" else kernel.transpose(2, 1, 0)[..., None]
    write(tmp_path / "w.h5", {"x": [kernel, bias]})
    check(make(), tmp_path / "w.h5", source, np.repeat(X, 2, 1)[:, :7])


@pytest.mark.parametrize("version", ["1.2.2", "2.0.9"])
def test_kernels_of_theano(version, tmp_path):
    """Theano slid kernels backwards; so they are stored the other way round."""
    shape = (6, 5, 2)

    def make():
        return elman.Sequential(
            [elman.Input(shape), layers.Conv2D(3, (2, 4)), layers.Flatten(), layers.Dense(2)]
        )

    source = make()
    rng = np.random.default_rng(4)
    source.set_weights([rng.normal(size=weight.shape) for weight in source.weights])
    kernel, bias, *dense = source.get_weights()
    groups = {"c": [kernel[::-1, ::-1], bias], "f": [], "d": dense}
    write(tmp_path / "w.h5", groups, keras_version=version, backend="theano")
    check(make(), tmp_path / "w.h5", source, rng.normal(size=(2, *shape)).astype("float32"))


def test_cudnn_weights_of_keras_2(tmp_path):
    """Weights of CuDNN layers load into plain ones from .h5, and the other way."""
    fast = one(layers.CuDNNLSTM(4), (5, 3))
    plain = elman.Sequential([elman.Input((5, 3)), layers.LSTM(4)])
    for suffix in (".h5", ".weights.h5"):
        fast.save_weights(tmp_path / f"w{suffix}")
        plain.load_weights(tmp_path / f"w{suffix}")
        expected = layers.LSTM(4)
        expected.build((None, 5, 3))
        expected.set_weights(fast.get_weights())
        for a, b in zip(plain.get_weights(), expected.get_weights(), strict=True):
            np.testing.assert_array_equal(a, b)
        plain.save_weights(tmp_path / f"back{suffix}")
        back = elman.Sequential([elman.Input((5, 3)), layers.CuDNNLSTM(4)])
        back.load_weights(tmp_path / f"back{suffix}")
        np.testing.assert_allclose(back.predict(X, verbose=0), plain.predict(X, verbose=0), 1e-5)


def test_a_cudnn_gru_does_not_fit_the_old_gru(tmp_path):
    one(layers.CuDNNGRU(4), (5, 3)).save_weights(tmp_path / "w.h5")
    model = elman.Sequential([elman.Input((5, 3)), layers.GRU(4, reset_after=False)])
    with pytest.raises(ValueError, match=r"GRU\(reset_after=False\).*CuDNNGRU"):
        model.load_weights(tmp_path / "w.h5")


def test_long_lists_of_names(tmp_path):
    """An attribute holds 64 kB; longer lists are split, as Keras does."""

    def make(prefix):
        return elman.Sequential(
            [elman.Input((2,))]
            + [layers.Dense(2, name=f"{prefix}{'x' * 900}_{k}") for k in range(80)]
        )

    one, other = make("a"), make("b")
    one.save_weights(tmp_path / "w.h5")
    with h5py.File(tmp_path / "w.h5") as file:
        assert "layer_names" not in file.attrs
        assert len(file.attrs["layer_names0"]) + len(file.attrs["layer_names1"]) == 80
    other.load_weights(tmp_path / "w.h5")
    for a, b in zip(one.get_weights(), other.get_weights(), strict=True):
        np.testing.assert_array_equal(a, b)


def test_by_name(tmp_path):
    def make(*units):
        names = ["first", "second", "third"]
        return elman.Sequential(
            [elman.Input((3,))]
            + [layers.Dense(u, name=n) for u, n in zip(units, names, strict=False) if u]
        )

    source, target = make(4, 5, 2), make(4, 0, 2)
    source.save_weights(tmp_path / "w.h5")
    before = target.get_weights()
    with pytest.raises(ValueError, match=r"expected 2 layers .*first, third.*, got 3 .*by_name"):
        target.load_weights(tmp_path / "w.h5")
    with pytest.raises(ValueError, match=r"expected shape \(4, 2\), got \(5, 2\)"):
        target.load_weights(tmp_path / "w.h5", by_name=True)
    for a, b in zip(before, target.get_weights(), strict=True):
        np.testing.assert_array_equal(a, b)
    target = elman.Sequential([elman.Input((3,)), layers.Dense(4, name="first"), layers.Dense(9)])
    last = target.layers[1].get_weights()
    target.load_weights(tmp_path / "w.h5", by_name=True)
    for a, b in zip(target.get_weights(), [*source.get_weights()[:2], *last], strict=True):
        np.testing.assert_array_equal(a, b)
    source.save_weights(tmp_path / "w.weights.h5")
    with pytest.raises(ValueError, match=r"by_name=True is for the .h5 layout of Keras 2"):
        target.load_weights(tmp_path / "w.weights.h5", by_name=True)


def test_tensorflow_2_12(tmp_path):
    """It called the list of layers `_layer_checkpoint_dependencies`."""
    model = one(layers.Bidirectional(layers.LSTM(4)), (5, 3))
    model.save_weights(tmp_path / "new.weights.h5")
    with h5py.File(tmp_path / "new.weights.h5") as new, h5py.File(tmp_path / "w.h5", "w") as old:
        new.copy("layers", old, "_layer_checkpoint_dependencies")
    check(
        elman.Sequential([elman.Input((5, 3)), layers.Bidirectional(layers.LSTM(4))]),
        tmp_path / "w.h5",
        model,
        X,
    )


def test_bfloat16(tmp_path):
    """Two bytes that HDF5 has no type for, and an attribute that says so."""
    model = elman.Sequential([elman.Input((3,)), layers.Dense(2)])
    values = np.array([[1.5, -2], [0.25, 3], [4, 1e20]], "float32")
    with h5py.File(tmp_path / "w.weights.h5", "w") as file:
        stored = (values.view("<u4") >> 16).astype("<u2").view("V2")
        file["layers/dense/vars/0"] = stored
        file["layers/dense/vars/1"] = np.zeros(2, "float16")
    with pytest.raises(ValueError, match="bytes of unknown meaning"):
        model.load_weights(tmp_path / "w.weights.h5")
    with h5py.File(tmp_path / "w.weights.h5", "a") as file:
        file["layers/dense/vars/0"].attrs["dtype"] = "bfloat16"
    model.load_weights(tmp_path / "w.weights.h5")
    expected = (values.view("<u4") >> 16 << 16).view("<f4")
    np.testing.assert_array_equal(model.get_weights()[0], expected)


def test_kinds_of_layers_in_the_layout_of_keras_3(tmp_path):
    """RNN(LSTMCell) and LSTM have the same weights in another place."""
    models = [
        one(make(), (5, 3))
        for make in (
            lambda: layers.LSTM(4),
            lambda: layers.RNN(layers.LSTMCell(4)),
            lambda: layers.CuDNNLSTM(4),
        )
    ]
    for source in models:
        source.save_weights(tmp_path / "w.weights.h5")
        for target in models[:2]:
            if source is not models[2]:
                target.set_weights([w * 0 for w in target.get_weights()])
            target.load_weights(tmp_path / "w.weights.h5")
            np.testing.assert_allclose(
                target.predict(X, verbose=0), source.predict(X, verbose=0), 1e-5, 1e-6
            )


# -- whole models ---------------------------------------------------------------------------------

_KERAS_2_0 = """
{"class_name": "Sequential", "config": [
 {"class_name": "Embedding", "config": {"name": "embedding_1", "trainable": true,
  "batch_input_shape": [null, 5], "dtype": "int32", "input_dim": 7, "output_dim": 3,
  "embeddings_initializer": {"class_name": "RandomUniform",
   "config": {"minval": -0.05, "maxval": 0.05, "seed": null}},
  "embeddings_regularizer": null, "activity_regularizer": null, "embeddings_constraint": null,
  "mask_zero": true, "input_length": 5}},
 {"class_name": "LSTM", "config": {"name": "lstm_1", "trainable": true, "return_sequences": false,
  "return_state": false, "go_backwards": false, "stateful": false, "unroll": false,
  "implementation": 0, "units": 4, "activation": "tanh", "recurrent_activation": "hard_sigmoid",
  "use_bias": true, "kernel_initializer": {"class_name": "VarianceScaling", "config":
   {"scale": 1.0, "mode": "fan_avg", "distribution": "uniform", "seed": null}},
  "recurrent_initializer": {"class_name": "Orthogonal", "config": {"gain": 1.0, "seed": null}},
  "bias_initializer": {"class_name": "Zeros", "config": {}}, "unit_forget_bias": true,
  "kernel_regularizer": {"class_name": "L1L2", "config": {"l1": 0.0, "l2": 0.01}},
  "recurrent_regularizer": null, "bias_regularizer": null, "activity_regularizer": null,
  "kernel_constraint": {"class_name": "MaxNorm", "config": {"max_value": 2, "axis": 0}},
  "recurrent_constraint": null, "bias_constraint": null, "dropout": 0.2,
  "recurrent_dropout": 0.0}},
 {"class_name": "Dropout", "config": {"name": "dropout_1", "trainable": true, "rate": 0.5}},
 {"class_name": "Dense", "config": {"name": "dense_1", "trainable": true, "units": 2,
  "activation": "softmax", "use_bias": true, "kernel_initializer": {"class_name":
   "VarianceScaling", "config": {"scale": 1.0, "mode": "fan_avg", "distribution": "uniform",
   "seed": null}}, "bias_initializer": {"class_name": "Zeros", "config": {}},
  "kernel_regularizer": null, "bias_regularizer": null, "activity_regularizer": null,
  "kernel_constraint": null, "bias_constraint": null}}]}
"""
_KERAS_1 = """
{"class_name": "Sequential", "config": [
 {"class_name": "Embedding", "config": {"name": "embedding_1", "trainable": true,
  "batch_input_shape": [null, 5], "input_dtype": "int32", "input_dim": 7, "output_dim": 3,
  "init": "uniform", "W_regularizer": null, "activity_regularizer": null, "W_constraint": null,
  "mask_zero": true, "input_length": 5, "dropout": 0.0}},
 {"class_name": "LSTM", "config": {"name": "lstm_1", "trainable": true, "return_sequences": false,
  "go_backwards": false, "stateful": false, "unroll": false, "consume_less": "cpu",
  "input_dim": 3, "input_length": null, "output_dim": 4, "init": "glorot_uniform",
  "inner_init": "orthogonal", "forget_bias_init": "one", "activation": "tanh",
  "inner_activation": "hard_sigmoid", "W_regularizer": null, "U_regularizer": null,
  "b_regularizer": null, "dropout_W": 0.2, "dropout_U": 0.0}},
 {"class_name": "Dropout", "config": {"name": "dropout_1", "trainable": true, "p": 0.5}},
 {"class_name": "Dense", "config": {"name": "dense_1", "trainable": true, "input_dim": null,
  "output_dim": 2, "init": "glorot_uniform", "activation": "softmax", "W_regularizer": null,
  "b_regularizer": null, "activity_regularizer": null, "W_constraint": null,
  "b_constraint": null, "bias": true}}]}
"""
_TRAINING = """
{"optimizer_config": {"class_name": "RMSprop",
  "config": {"lr": 0.002, "rho": 0.8, "decay": 0.0, "epsilon": 1e-08}},
 "loss": "categorical_crossentropy", "metrics": ["accuracy"], "sample_weight_mode": null,
 "loss_weights": null}
"""


@pytest.mark.parametrize(("version", "config"), [("2.0.9", _KERAS_2_0), ("1.2.2", _KERAS_1)])
def test_whole_models_of_2017(version, config, tmp_path):
    source = elman.Sequential(
        [
            elman.Input((5,)),
            layers.Embedding(7, 3, mask_zero=True),
            layers.LSTM(4, recurrent_activation="hard_sigmoid"),
            layers.Dense(2, activation="softmax"),
        ]
    )
    rng = np.random.default_rng(6)
    source.set_weights([rng.normal(size=weight.shape) for weight in source.weights])
    embedding, lstm, dense = (layer.get_weights() for layer in source.layers)
    old = version[0] == "1"
    groups = {
        "embedding_1": embedding,
        "lstm_1": keras_1(lstm, ICFO) if old else lstm,
        "dropout_1": [],
        "dense_1": dense,
    }
    path = tmp_path / "m.h5"
    inner = {} if old else {"keras_version": version, "backend": "tensorflow"}
    write(path, groups, "model_weights", **inner)
    with h5py.File(path, "a") as file:
        file.attrs["keras_version"] = version.encode()
        file.attrs["model_config"] = config.encode()
        file.attrs["training_config"] = _TRAINING.encode()
    model = elman.models.load_model(path)
    words = np.array([[1, 2, 3, 4, 5], [6, 5, 4, 0, 0]])
    np.testing.assert_array_equal(model.predict(words, verbose=0), source.predict(words, verbose=0))
    assert model.layers[1].dropout == 0.2
    assert type(model.optimizer) is elman.optimizers.RMSprop
    assert model.optimizer.current_learning_rate() == pytest.approx(0.002)
    assert model.loss == "categorical_crossentropy"


@pytest.mark.parametrize("layer", ["GRU", "Bidirectional", "RNN"])
def test_gru_before_there_was_reset_after(layer, tmp_path):
    """Where a configuration says nothing of it, it is the first form; here without the bias,
    whose shape would tell.
    """

    def make():
        options = {"reset_after": False, "use_bias": False}
        if layer == "RNN":
            return layers.RNN(layers.GRUCell(4, **options))
        gru = layers.GRU(4, **options)
        return gru if layer == "GRU" else layers.Bidirectional(gru)

    source = one(make(), (5, 3))
    source.save(tmp_path / "m.h5")
    with h5py.File(tmp_path / "m.h5", "a") as file:
        text = file.attrs["model_config"]
        assert ', "reset_after": false' in text
        file.attrs["model_config"] = text.replace(', "reset_after": false', "")
    found = elman.models.load_model(tmp_path / "m.h5")
    np.testing.assert_array_equal(found.predict(X, verbose=0), source.predict(X, verbose=0))
