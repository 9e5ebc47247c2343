# SPDX-License-Identifier: Apache-2.0
"""`fit`, `evaluate`, `predict`: weights of samples, results, several outputs, own steps."""

from __future__ import annotations

import copy
import math
import os
import pickle
import threading

import numpy as np
import pytest

import elman
from elman import layers
from recording import N, X, Y, batches, recording

RNG = np.random.default_rng(8)

# --- weights of samples and classes --------------------------------------------------------------


def softmax_model(**options):
    weights = [np.array([[0.3, -0.2, 0.1]]), np.array([0.0, 0.5, -0.5])]
    model = elman.Sequential([layers.Dense(3, "softmax", input_shape=(1,), weights=weights)])
    model.compile(elman.optimizers.SGD(0.0), "sparse_categorical_crossentropy", **options)
    return model


LABELS = np.array([0, 1, 2, 0, 1, 0, 2, 2, 0, 1, 1])
CLASS_WEIGHT = {0: 1.0, 1: 5.0, 2: 0.25}


def test_class_weights_are_sample_weights():
    model = softmax_model()
    table = np.array([CLASS_WEIGHT[i] for i in LABELS])
    expected = model.fit(X, LABELS, sample_weight=table, verbose=0).history["loss"][0]
    found = model.fit(X, LABELS, class_weight=CLASS_WEIGHT, verbose=0).history["loss"][0]
    assert found == pytest.approx(expected, rel=1e-6)
    p = np.asarray(model(X))[np.arange(N), LABELS]
    assert found == pytest.approx((-np.log(p) * table).sum() / N, rel=1e-5)
    both = model.fit(X, LABELS, sample_weight=table, class_weight=CLASS_WEIGHT, verbose=0)
    assert both.history["loss"][0] == pytest.approx((-np.log(p) * table**2).sum() / N, rel=1e-5)
    model.compile(elman.optimizers.SGD(0.0), "categorical_crossentropy")
    hot = elman.utils.to_categorical(LABELS)
    found = model.fit(X, hot, class_weight=CLASS_WEIGHT, verbose=0).history["loss"][0]
    assert found == pytest.approx(expected, rel=1e-6)
    single = softmax_model()
    assert single.train_on_batch(X, LABELS, class_weight=CLASS_WEIGHT) == pytest.approx(expected)


def test_weights_reach_weighted_metrics_only():
    model = softmax_model(metrics=["accuracy"], weighted_metrics=["accuracy"])
    weight = np.where(LABELS == 0, 2.0, 0.0)
    right = np.asarray(model(X)).argmax(1) == LABELS
    logs = model.evaluate(X, LABELS, sample_weight=weight, verbose=0, return_dict=True)
    assert list(logs) == ["loss", "accuracy", "weighted_accuracy"]
    assert logs["accuracy"] == pytest.approx(right.mean())
    assert logs["weighted_accuracy"] == pytest.approx((right * weight).sum() / weight.sum())


def test_masks_weight_the_loss():
    """Steps of padding do not count, whatever the target there is."""
    model = elman.Sequential(
        [
            layers.Embedding(6, 4, mask_zero=True),
            layers.LSTM(3, return_sequences=True),
            layers.Dense(2, "softmax"),
        ]
    )
    model.compile("sgd", "sparse_categorical_crossentropy", metrics=["accuracy"])
    ids = np.array([[1, 2, 0, 0], [3, 4, 5, 0]])
    y = RNG.integers(0, 2, ids.shape)
    p = np.asarray(model(ids))
    used = ids != 0
    chosen = np.take_along_axis(p, y[..., None], -1)[..., 0]
    loss, accuracy = model.evaluate(ids, y, verbose=0)
    assert loss == pytest.approx(-np.log(chosen[used]).mean(), rel=1e-5)
    assert accuracy == pytest.approx((p.argmax(-1) == y)[used].mean())
    flipped = np.where(used, y, 1 - y)
    assert model.evaluate(ids, flipped, verbose=0) == [loss, accuracy]
    assert model.train_on_batch(ids, y)[0] == pytest.approx(loss)


# --- results -------------------------------------------------------------------------------------


def test_what_evaluate_returns():
    model, _ = recording()
    loss = model.evaluate(X, Y, verbose=0)
    assert isinstance(loss, float)
    p = np.asarray(model(X))
    assert loss == pytest.approx(((p - Y) ** 2).mean(), rel=1e-5)
    model, _ = recording(metrics=["mae", elman.metrics.MeanSquaredError()])
    found = model.evaluate(X, Y, batch_size=4, verbose=0)
    p = np.asarray(model(X))
    expected = [((p - Y) ** 2).mean(), np.abs(p - Y).mean(), ((p - Y) ** 2).mean()]
    assert found == pytest.approx(expected, rel=1e-5)  # short batches weigh less
    assert model.metrics_names == ["loss", "mae", "mean_squared_error"]
    logs = model.evaluate(X, Y, verbose=0, return_dict=True)
    assert list(logs) == model.metrics_names
    assert model.test_on_batch(X, Y) == pytest.approx(expected, rel=1e-5)
    assert model.train_on_batch(X, Y, return_dict=True) == pytest.approx(logs)


def test_predict():
    model, _ = recording()
    whole = model.predict(X, verbose=0)
    assert whole.flags.writeable
    np.testing.assert_array_equal(whole, model.predict(X, batch_size=3, verbose=0))
    np.testing.assert_array_equal(whole, model.predict_on_batch(X))
    generator = (X[i : i + 3] for i in range(0, N, 3))
    np.testing.assert_array_equal(whole, model.predict(generator, verbose=0))
    with pytest.raises(ValueError, match="empty"):
        model.predict(iter(()), verbose=0)


@pytest.mark.skipif(not os.path.exists("/proc/self/statm"), reason="reads /proc")
def test_predict_in_a_loop_does_not_grow():
    model = elman.Sequential([layers.LSTM(16, input_shape=(20, 8)), layers.Dense(3)])
    x = RNG.normal(size=(64, 20, 8))  # 82 kB in double precision

    def resident():
        with open("/proc/self/statm") as file:
            return int(file.read().split()[1]) * os.sysconf("SC_PAGE_SIZE")

    for _ in range(50):
        model.predict(x, verbose=0)
    before = resident()
    for _ in range(400):
        model.predict(x, verbose=0)
    # keeping a single array of each call would take 400 * 82 kB = 33 MB
    assert resident() - before < 4e6


def test_regularizers_are_part_of_the_loss():
    dense = layers.Dense(1, input_shape=(1,), kernel_regularizer=elman.regularizers.l2(0.1))
    model = elman.Sequential([dense])
    model.compile(elman.optimizers.SGD(0.5), "mse")
    model.set_weights([[[3.0]], [1.0]])
    assert model.evaluate(X, Y, verbose=0) == pytest.approx(0.9, rel=1e-6)
    model.train_on_batch(X, Y)
    assert float(model.get_weights()[0][0, 0]) == pytest.approx(3 - 0.5 * 2 * 0.1 * 3, rel=1e-6)


def test_frozen_layers_stay():
    frozen, free = layers.Dense(2, input_shape=(1,)), layers.Dense(1)
    model = elman.Sequential([frozen, free])
    frozen.trainable = False
    model.compile("adam", "mse")
    before = model.get_weights()
    model.fit(X, Y, verbose=0)
    after = model.get_weights()
    for old, new, stays in zip(before, after, [True, True, False, False], strict=True):
        assert (old == new).all() == stays
    frozen.trainable = True
    model.train_on_batch(X, Y)
    assert not (model.get_weights()[0] == before[0]).all()


def test_a_line_is_learnt():
    elman.utils.set_random_seed(1)
    model = elman.Sequential([layers.Dense(1, input_shape=(1,))])
    model.compile(elman.optimizers.Adam(0.1), "mse", metrics=["mae"])
    history = model.fit(X / 10, Y / 10, batch_size=4, epochs=300, verbose=0)
    assert history.history["loss"][-1] < 1e-4 < 1e-2 < history.history["loss"][0]
    assert len(history.history["loss"]) == 300
    np.testing.assert_allclose([w.item() for w in model.get_weights()], [3.0, 0.1], atol=0.03)


def test_initial_epoch():
    model, seen = recording()
    history = model.fit(X, Y, batch_size=N, epochs=5, initial_epoch=3, verbose=0)
    assert history.epoch == [3, 4]
    assert len(batches(seen)) == 2


# --- several inputs and outputs ------------------------------------------------------------------


class Two(elman.Model):
    """Outputs (a w, b v) of inputs a, b."""

    def __init__(self, form=list):
        super().__init__()
        self.form = form
        self.left = layers.Dense(1, use_bias=False)
        self.right = layers.Dense(1, use_bias=False)

    def call(self, inputs):
        a, b = inputs if isinstance(inputs, (list, tuple)) else (inputs["a"], inputs["b"])
        outputs = self.left(a), self.right(b)
        return dict(zip("lr", outputs, strict=True)) if self.form is dict else list(outputs)


@pytest.mark.parametrize("form", [list, dict])
def test_several_inputs_and_outputs(form):
    model = Two(form)
    x = {"a": X, "b": 2 * X} if form is dict else [X, 2 * X]
    y = {"l": Y, "r": Y + 1} if form is dict else [Y, Y + 1]
    given = {"l": "mse", "r": "mae"} if form is dict else ["mse", "mae"]
    model.compile(
        elman.optimizers.SGD(0.0),
        given,
        metrics={"r": ["mse"]} if form is dict else [[], ["mse"]],
        loss_weights={"l": 1.0, "r": 0.5} if form is dict else [1.0, 0.5],
    )
    logs = model.fit(x, y, batch_size=4, verbose=0).history
    w, v = (float(weight[0, 0]) for weight in model.get_weights())
    mse, mae = ((X * w - Y) ** 2).mean(), np.abs(2 * X * v - Y - 1).mean()
    names = ["l", "r"] if form is dict else ["output_0", "output_1"]
    expected = {
        "loss": mse + 0.5 * mae,
        f"{names[0]}_loss": mse,
        f"{names[1]}_loss": mae,
        f"{names[1]}_mse": ((2 * X * v - Y - 1) ** 2).mean(),
    }
    assert list(logs) == list(expected)
    for name, value in expected.items():
        assert logs[name][0] == pytest.approx(value, rel=1e-5), name
    out = model.predict(x, batch_size=3, verbose=0)
    left = out["l"] if form is dict else out[0]
    np.testing.assert_allclose(left, X * w, rtol=1e-5)


def test_own_steps():
    class Own(elman.Sequential):
        def train_step(self, data):
            x, y = data
            with elman.GradientTape() as tape:
                y_pred = self(x, training=True)
                loss = self.compute_loss(y=y, y_pred=y_pred)
            grads = tape.gradient(loss, self.trainable_variables)
            self.optimizer.apply_gradients(zip(grads, self.trainable_variables, strict=True))
            return {"own": float(loss)}

    model = Own([layers.Dense(1, input_shape=(2,), weights=[np.ones((2, 1)), np.zeros(1)])])
    model.compile(elman.optimizers.SGD(0.1), "mse")
    history = model.fit(np.array([[1.0, 2.0]]), np.array([[1.0]]), epochs=2, verbose=0)
    assert history.history == {"own": pytest.approx([4.0, 0.16])}
    assert model.evaluate([[1.0, 2.0]], [[1.0]], verbose=0) == pytest.approx(0.0064, rel=1e-4)


def test_one_number_per_sample():
    """An output (N,) is a column, not one sample of N features."""

    class Flat(elman.Model):
        def __init__(self):
            super().__init__()
            self.dense = layers.Dense(1)

        def call(self, x):
            return self.dense(x)[:, 0]

    model = Flat()
    model.compile("sgd", "mse", metrics=["mae"], weighted_metrics=["mse"])
    weight = np.arange(N) / 5
    logs = model.evaluate(
        X, Y[:, 0], batch_size=4, sample_weight=weight, verbose=0, return_dict=True
    )
    error = model.predict(X, verbose=0) - Y[:, 0]
    assert error.shape == (N,)
    assert logs["loss"] == pytest.approx((error**2 * weight).mean(), rel=1e-5)
    assert logs["mae"] == pytest.approx(np.abs(error).mean(), rel=1e-5)
    assert logs["mse"] == pytest.approx((error**2 * weight).sum() / weight.sum(), rel=1e-5)


@pytest.mark.parametrize("copied", [copy.deepcopy, lambda m: pickle.loads(pickle.dumps(m))])
def test_copies_go_on_like_the_original(copied):
    """Also the moments of the optimizer, and what it leaves out of the decay."""
    model = elman.Sequential([layers.LSTM(3, input_shape=(4, 2)), layers.Dense(1)])
    model.compile(elman.optimizers.AdamW(0.1, weight_decay=0.5), "mse", metrics=["mae"])
    model.optimizer.exclude_from_weight_decay(model.layers[1].weights)
    x, y = RNG.normal(size=(8, 4, 2)), RNG.normal(size=(8, 1))
    model.fit(x, y, epochs=3, verbose=0)
    twin = copied(model)
    before = model.get_weights()
    for _ in range(2):
        assert twin.train_on_batch(x, y) == model.train_on_batch(x, y)
    for a, b, old in zip(model.get_weights(), twin.get_weights(), before, strict=True):
        np.testing.assert_array_equal(a, b)
        assert (a != old).any()


def test_losses_that_only_layers_add():
    class Penalty(layers.Layer):
        def build(self, input_shape):
            self.scale = self.add_weight("scale", (3,), initializer="ones")

        def call(self, x):
            self.add_loss(elman.backend.sum(self.scale * self.scale))
            return x

    model = elman.Sequential([Penalty(input_shape=(3,))])
    model.compile(elman.optimizers.SGD(0.1))
    history = model.fit(np.ones((4, 3)), epochs=2, verbose=0)
    assert history.history["loss"] == pytest.approx([3.0, 3 * 0.8**2])


def test_several_threads_share_a_model():
    model = elman.Sequential([layers.LSTM(8, input_shape=(10, 4)), layers.Dense(3)])
    x = RNG.normal(size=(200, 10, 4)).astype("float32")
    expected, found = model.predict(x, verbose=0), []

    def work():
        for _ in range(10):
            found.append((model.predict(x, verbose=0) == expected).all())

    threads = [threading.Thread(target=work) for _ in range(4)]
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join()
    assert len(found) == 40
    assert all(found)


def test_compile_and_its_names():
    model, _ = recording()
    with pytest.raises(ValueError, match="did you mean 'adam'"):
        model.compile("adaam", "mse")
    with pytest.raises(TypeError, match="did you mean 'metrics'"):
        model.compile("adam", "mse", metric=["mae"])
    model.compile("adam", "mse", run_eagerly=True, jit_compile=False)
    fresh = elman.Sequential([layers.Dense(1)])
    for method in ("fit", "evaluate", "train_on_batch", "test_on_batch"):
        with pytest.raises(RuntimeError, match=rf"\[Sequential\.{method}\].*compile"):
            getattr(fresh, method)(X, Y)
    assert fresh.predict(X, verbose=0).shape == (N, 1)  # needs none
    model.compile("sgd")
    with pytest.raises(ValueError, match="a loss in compile"):
        model.fit(X, Y, verbose=0)


def test_own_losses_and_metrics():
    def worst(y_true, y_pred):
        return elman.backend.max(elman.backend.abs(y_true - y_pred), axis=-1)

    model, _ = recording(loss=worst, metrics=[worst])
    loss, metric = model.evaluate(X, Y, verbose=0)
    p = np.asarray(model(X))
    assert loss == pytest.approx(np.abs(p - Y).mean(), rel=1e-5)
    assert metric == pytest.approx(loss, rel=1e-6)
    assert model.metrics_names == ["loss", "worst"]
    assert math.isfinite(model.train_on_batch(X, Y)[0])
