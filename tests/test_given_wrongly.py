# SPDX-License-Identifier: Apache-2.0
"""Arguments of models, optimizers, losses and files that cannot work, and what is said then."""

from __future__ import annotations

import warnings

import numpy as np
import pytest

import elman
from elman import callbacks, layers, losses, metrics, optimizers, saving
from elman.optimizers import schedules

X = np.random.default_rng(1).standard_normal((6, 3)).astype("float32")
IDS = np.array([0, 1, 2, 0, 1, 2])


def classifier():
    model = elman.Sequential([layers.Dense(3, activation="softmax", input_shape=(3,))])
    model.compile("sgd", "sparse_categorical_crossentropy")
    return model


# -- class weights ------------------------------------------------------------------------------


def test_class_weights_as_a_list():
    weights = [0.5, 2.0, 1.0]
    first = classifier()
    found = []
    for given in (dict(enumerate(weights)), weights, tuple(weights), np.array(weights), {1: 2.0}):
        model = classifier()
        model.set_weights(first.get_weights())
        found.append(model.train_on_batch(X, IDS, class_weight=given))
    per_sample = np.take(weights, IDS)
    expected = first.test_on_batch(X, IDS, sample_weight=per_sample)
    np.testing.assert_allclose(found[:4], expected, rtol=1e-6)
    partly = first.test_on_batch(X, IDS, sample_weight=np.where(IDS == 1, 2.0, 1.0))
    np.testing.assert_allclose(found[4], partly, rtol=1e-6)


@pytest.mark.parametrize(
    ("given", "text"),
    [
        ({"a": 1}, r"class ids in \[0, 2\*\*31\), got 'a'"),
        ({-1: 5.0}, r"class ids in \[0, 2\*\*31\), got -1"),
        ({10**12: 1}, "class ids in .*, got 1000000000000"),
        ({0.5: 1}, "class ids in .*, got 0.5"),
        ({0: float("nan")}, "a finite weight of class 0, got nan"),
        ({0: "heavy"}, "a finite weight of class 0, got 'heavy'"),
        ([1.0, None], "a finite weight of class 1, got None"),
        (3, "{class id: weight}, or a list of weights, got 3"),
        ("balanced", "{class id: weight}, or a list of weights, got 'balanced'"),
    ],
)
def test_wrong_class_weights(given, text):
    model = classifier()
    with pytest.raises(ValueError, match=rf"^\[Sequential.fit\] class_weight: expected {text}"):
        model.fit(X, IDS, class_weight=given, verbose=0)
    with pytest.raises(ValueError, match=r"^\[Sequential.train_on_batch\] class_weight: expected"):
        model.train_on_batch(X, IDS, class_weight=given)


def test_a_class_far_away_takes_no_memory():
    assert np.isfinite(classifier().train_on_batch(X, IDS, class_weight={2**31 - 1: 3.0}))


# -- models -------------------------------------------------------------------------------------


def test_an_empty_model():
    model = elman.Sequential()
    model.compile("sgd", "mse")
    for use in (model, model.predict, lambda x: model.fit(x, x, verbose=0)):
        with pytest.raises(ValueError, match=r"the model is empty; add\(\) a layer"):
            use(X)


def test_layers_that_are_no_list():
    for given in (layers.Dense(1), 5):
        with pytest.raises(TypeError, match=r"\[Sequential\] layers: expected a list of layers"):
            elman.Sequential(given)


def test_validation_data_without_targets():
    model = classifier()
    for given in (X, {"a": X}, [X]):
        with pytest.raises(
            ValueError, match=r"\[Sequential.fit\] validation_data: expected \(x, y"
        ):
            model.fit(X, IDS, validation_data=given, verbose=0)


def test_set_weights():
    layer = layers.LSTM(2)
    layer(np.zeros((1, 2, 3), "float32"))
    before = layer.get_weights()
    for given in (None, 3):
        with pytest.raises(TypeError, match=r"\[LSTM.set_weights\] weights: expected a list"):
            layer.set_weights(given)
    for bad in ("text", np.array([["a"] * 8] * 2), np.array([[None] * 8] * 2)):
        text = r"\[LSTM.set_weights\] weights\[1\]: expected an array of numbers"
        with pytest.raises(TypeError, match=text):
            layer.set_weights([before[0], bad, before[2]])
    for a, b in zip(layer.get_weights(), before, strict=True):
        np.testing.assert_array_equal(a, b)
    layer.set_weights(iter(before))


# -- optimizers ---------------------------------------------------------------------------------


def test_gradients_as_arrays():
    w = elman.Variable([1.0, 2.0])
    optimizer = optimizers.SGD(0.5)
    for gradient in (np.ones(2), np.ones(2, "float32"), [1.0, 1.0], np.ones(2, int)):
        w.assign([1.0, 2.0])
        optimizer.apply_gradients([(gradient, w)])
        assert w.numpy().tolist() == [0.5, 1.5]
    with pytest.raises(ValueError, match=r"\[SGD.apply\] grads\[0\]: expected \(2,\), got \(1,\)"):
        optimizer.apply_gradients([(np.ones(1), w)])
    with pytest.raises(TypeError, match=r"\[SGD.apply\] grads\[1\]: expected an array of numbers"):
        optimizer.apply_gradients([(np.ones(2), w), ("steep", w)])
    with pytest.raises(TypeError, match=r"\[SGD.build\] variables: expected Variables, got ndarr"):
        optimizer.apply_gradients([(np.ones(2), np.ones(2))])
    assert w.numpy().tolist() == [0.5, 1.5]


@pytest.mark.parametrize("cls", [optimizers.Adam, optimizers.Adamax, optimizers.Nadam])
@pytest.mark.parametrize("beta", [2, 1.0, -0.1, float("nan"), "a", None])
def test_betas(cls, beta):
    for name in ("beta_1", "beta_2"):
        text = rf"\[{cls.__name__}\] {name}: expected a number in \[0, 1\), got"
        with pytest.raises(ValueError, match=text):
            cls(**{name: beta})
    assert cls(beta_1=0, beta_2=np.float32(0.5)).get_config()["beta_2"] == 0.5


def test_errors_name_the_class_and_not_its_base():
    for cls in (optimizers.Adamax, schedules.InverseTimeDecay, metrics.Recall):
        with pytest.raises(TypeError, match=rf"\[{cls.__name__}\] unknown argument 'nme'.*'name'"):
            cls(nme="a")
    with pytest.raises(ValueError, match=r"\[InverseTimeDecay\] decay_steps"):
        schedules.InverseTimeDecay(0.1, 0, 0.5)
    assert losses.BinaryCrossentropy().name == "binary_crossentropy"
    assert losses.CategoricalCrossentropy(name="own").get_config()["name"] == "own"
    assert optimizers.Nadam().name == "nadam"


# -- losses, names ------------------------------------------------------------------------------


def test_labels_that_are_no_numbers_make_no_noise():
    probabilities = np.full((2, 3), 1 / 3)
    for bad in (np.nan, np.inf, 1e30, 0.5):
        with warnings.catch_warnings():
            warnings.simplefilter("error")
            with pytest.raises(ValueError, match=r"y_true: expected whole numbers, got"):
                losses.sparse_categorical_crossentropy(np.array([0.0, bad]), probabilities)


def test_names_are_proposed_when_they_are_near():
    with pytest.raises(ValueError, match=r"unknown activation 'rleu'; did you mean 'relu'\?$"):
        elman.activations.get("rleu")
    with pytest.raises(ValueError, match=r"unknown loss 'zzz'; there are .*mse"):
        losses.get("zzz")
    with pytest.raises(ValueError, match=r"unknown layer 'x'; there are dense"):
        elman.Sequential([layers.Dense(1, input_shape=(2,), name="dense_a")]).get_layer("x")


# -- files --------------------------------------------------------------------------------------


def test_paths(tmp_path):
    model = classifier()
    for call in (model.save_weights, model.load_weights):
        with pytest.raises(TypeError, match=r"_weights\] filepath: expected a path, got int"):
            call(3)
    with pytest.raises(TypeError, match=r"filepath: expected a path, got int"):
        model.save_weights(3, overwrite=False)
    missing = tmp_path / "missing" / "w.npz"
    with pytest.raises(FileNotFoundError) as raised:
        model.save_weights(missing)
    assert raised.value.filename == str(missing)
    model.save_weights(str(tmp_path / "w.npz").encode())
    model.load_weights(tmp_path / "w.npz")


def test_bytes_after_an_archive(tmp_path):
    path = tmp_path / "w.npz"
    saving.save_npz(path, {"a": np.arange(3.0)})
    assert saving.load_npz(path)["a"].tolist() == [0, 1, 2]
    whole = path.read_bytes()
    for extra in (b"x", b"\0" * 22, b"more" * 1000):
        path.write_bytes(whole + extra)
        with pytest.raises(ValueError, match=r"more data after the end of the archive|not a zip"):
            saving.load_npz(path)


@pytest.mark.parametrize(
    ("path", "error", "text"),
    [
        ("w-{}.npz", ValueError, "named fields such as"),
        ("w-{0}.npz", ValueError, "named fields such as"),
        ("w-{epoch.npz", ValueError, "expected '}' before end of string"),
        ("w-{epoch}.pb", ValueError, "a name that ends in .safetensors, .* or .hdf5, got"),
        (3, TypeError, "a path, got int"),
    ],
)
def test_file_names_of_checkpoints(path, error, text):
    with pytest.raises(error, match=r"\[ModelCheckpoint\] filepath: .*" + text):
        callbacks.ModelCheckpoint(path)
