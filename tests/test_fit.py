# SPDX-License-Identifier: Apache-2.0
"""`fit`, `evaluate` and `predict`: which data reaches the model, and what happens to it."""

from __future__ import annotations

import math

import numpy as np
import pytest

import elman
from elman import layers

RNG = np.random.default_rng(8)
N = 11
X = np.arange(N, dtype="float32")[:, None]  # sample i holds the number i
Y = 3 * X + 1


class Recorder(layers.Layer):
    """Passes its input on and notes it."""

    def __init__(self, **kwargs):
        super().__init__(**kwargs)
        self.seen = []

    def call(self, x, training=None):
        self.seen.append((np.array(x)[:, 0].astype(int).tolist(), training))
        return x


def recording(loss="mse", **options):
    recorder = Recorder(input_shape=(1,))
    model = elman.Sequential([recorder, layers.Dense(1)])
    model.compile("sgd", loss, **options)
    model.optimizer.learning_rate = 0.0
    return model, recorder.seen


def batches(seen, training=True):
    return [rows for rows, mode in seen if mode is training]


# --- E4: one step --------------------------------------------------------------------------------


def one_step_model(dtype="float32"):
    weights = [np.ones((2, 1)), np.zeros(1)]
    model = elman.Sequential([layers.Dense(1, input_shape=(2,), weights=weights, dtype=dtype)])
    model.compile(elman.optimizers.SGD(0.1), "mse")
    return model


@pytest.mark.parametrize("how", ["train_on_batch", "fit", "tape"])
@pytest.mark.parametrize("dtype", ["float32", "float64"])
def test_one_step(how, dtype):
    """api: E4."""
    model = one_step_model(dtype)
    x, y = np.array([[1.0, 2.0]]), np.array([[1.0]])
    if how == "train_on_batch":
        loss = model.train_on_batch(x, y)
    elif how == "fit":
        loss = model.fit(x, y, verbose=0).history["loss"][0]
    else:
        with elman.GradientTape() as tape:
            value = elman.losses.MeanSquaredError()(y, model(x))
        grads = tape.gradient(value, model.trainable_weights)
        model.optimizer.apply_gradients(zip(grads, model.trainable_weights, strict=True))
        loss = float(value)
    assert loss == 4.0
    kernel, bias = model.get_weights()
    np.testing.assert_allclose(kernel, [[0.6], [0.2]], rtol=1e-6)
    np.testing.assert_allclose(bias, [-0.4], rtol=1e-6)


# --- order of the samples ------------------------------------------------------------------------


def test_consecutive_slices_without_shuffling():
    """api: M5."""
    model, seen = recording()
    model.fit(X, Y, batch_size=4, epochs=2, shuffle=False, verbose=0)
    assert batches(seen) == [[0, 1, 2, 3], [4, 5, 6, 7], [8, 9, 10]] * 2


def test_shuffling_visits_every_sample_once_per_epoch():
    """api: M5."""
    model, seen = recording()
    model.fit(X, Y, batch_size=4, epochs=3, verbose=0)
    orders = [sum(batches(seen)[i : i + 3], []) for i in (0, 3, 6)]
    for order in orders:
        assert sorted(order) == list(range(N))
    assert len({tuple(order) for order in [*orders, range(N)]}) == 4
    assert [len(rows) for rows in batches(seen)[:3]] == [4, 4, 3]


def test_whole_batches_in_another_order():
    slices = [[2 * i, 2 * i + 1] for i in range(5)]
    model, seen = recording()
    model.fit(X, Y, batch_size=2, epochs=6, shuffle="batch", verbose=0)
    orders = [batches(seen)[i : i + 6] for i in range(0, 36, 6)]
    for order in orders:
        assert sorted(order[:5]) == slices
        assert order[5] == [10]  # the short one stays last
    assert len({str(order) for order in orders}) > 1


def test_targets_and_weights_follow_their_samples():
    """With lr 0 and the exact solution the weighted loss is zero in every order."""
    model, _ = recording(weighted_metrics=["mae"])
    model.layers[1].set_weights([[[3.0]], [1.0]])
    weight = np.arange(N) % 3
    model.fit(X, Y, sample_weight=weight, batch_size=4, verbose=0)
    assert model.history.history == {"loss": [0.0], "mae": [0.0]}
    wrong = Y + np.where(weight == 0, 100, 0)[:, None]  # only samples of weight 0 are wrong
    history = model.fit(X, wrong, sample_weight=weight, batch_size=4, verbose=0)
    assert history.history == {"loss": [0.0], "mae": [0.0]}
    assert model.evaluate(X, wrong, verbose=0)[0] > 1000


def test_the_same_seed_gives_the_same_run():
    def run():
        elman.utils.set_random_seed(4)
        model = elman.Sequential([layers.LSTM(4, dropout=0.3, input_shape=(3, 1)), layers.Dense(1)])
        model.compile("adam", "mse")
        x = RNG_INPUT
        history = model.fit(x, x[:, 0], epochs=2, batch_size=5, verbose=0)
        return history.history["loss"], model.get_weights()

    (first, a), (second, b) = run(), run()
    assert first == second
    for left, right in zip(a, b, strict=True):
        np.testing.assert_array_equal(left, right)
    assert first[0] != first[1]


RNG_INPUT = RNG.normal(size=(23, 3, 1))


# --- forms of data -------------------------------------------------------------------------------


class Batches:
    """A Sequence by its methods alone."""

    def __init__(self, count=3):
        self.count, self.ends = count, 0

    def __len__(self):
        return self.count

    def __getitem__(self, i):
        return X[i * 2 : i * 2 + 2], Y[i * 2 : i * 2 + 2]

    def on_epoch_end(self):
        self.ends += 1


def endless():
    while True:
        for i in range(5):
            yield X[2 * i : 2 * i + 2], Y[2 * i : 2 * i + 2]


class Loader:
    """An iterable that starts again at each `iter`, as data loaders do; yields lists."""

    def __iter__(self):
        for i in range(2):
            yield [X[i : i + 1], Y[i : i + 1]]


@pytest.mark.parametrize(
    ("x", "y"),
    [
        (X.tolist(), Y.tolist()),
        (X.astype("float64"), Y.astype("int64")),
        (elman.Tensor(X), elman.Tensor(Y)),
        ([X], [Y]),
        (X[::-1][::-1], np.asfortranarray(Y)),
        (tuple(X.tolist()), Y[:, 0]),
    ],
)
def test_forms_of_arrays(x, y):
    model, seen = recording()
    model.fit(x, y, batch_size=6, shuffle=False, verbose=0)
    assert batches(seen) == [list(range(6)), list(range(6, N))]
    assert model.evaluate(x, y, verbose=0) == pytest.approx(model.evaluate(X, Y, verbose=0))
    np.testing.assert_array_equal(model.predict(x, verbose=0), model.predict(X, verbose=0))


def test_a_generator_with_steps_goes_on_in_the_next_epoch():
    model, seen = recording()
    model.fit(endless(), steps_per_epoch=3, epochs=2, verbose=0)
    assert batches(seen) == [[0, 1], [2, 3], [4, 5], [6, 7], [8, 9], [0, 1]]


def test_a_finite_generator():
    model, seen = recording()
    model.fit(((X[i : i + 1], Y[i : i + 1]) for i in range(3)), verbose=0)
    assert batches(seen) == [[0], [1], [2]]
    with pytest.warns(UserWarning, match="ended after 2 of 5 steps of epoch 1"):
        history = model.fit(
            ((X[i : i + 1], Y[i : i + 1]) for i in range(2)), steps_per_epoch=5, epochs=3, verbose=0
        )
    assert history.epoch == [0]
    with pytest.raises(ValueError, match="no batch in epoch 2.*only once"):
        model.fit(((X[i : i + 1], Y[i : i + 1]) for i in range(2)), epochs=2, verbose=0)


def test_iterables_start_again():
    model, seen = recording()
    model.fit(Loader(), epochs=2, verbose=0)
    assert batches(seen) == [[0], [1]] * 2
    seen.clear()
    model.fit(Loader(), steps_per_epoch=3, epochs=2, verbose=0)
    assert batches(seen) == [[0], [1], [0], [1], [0], [1]]


def test_sequences_of_batches():
    model, seen = recording()
    data = Batches()
    model.fit(data, epochs=5, verbose=0)
    assert data.ends == 5
    orders = [batches(seen)[i : i + 3] for i in range(0, 15, 3)]
    for order in orders:
        assert sorted(order) == [[0, 1], [2, 3], [4, 5]]
    assert len({str(order) for order in orders}) > 1
    seen.clear()
    model.fit(data, shuffle=False, verbose=0)
    assert batches(seen) == [[0, 1], [2, 3], [4, 5]]
    assert len(model.predict(data, verbose=0)) == 6


def test_steps_with_arrays():
    model, seen = recording()
    model.fit(X, Y, batch_size=4, steps_per_epoch=2, epochs=2, shuffle=False, verbose=0)
    assert batches(seen) == [[0, 1, 2, 3], [4, 5, 6, 7], [8, 9, 10], [0, 1, 2, 3]]
    assert model.predict(X, batch_size=4, steps=2, verbose=0).shape == (8, 1)


def test_large_arrays_are_not_copied():
    """A stand-in for a file: it refuses to be read as a whole."""

    class File(np.memmap):
        pass

    rows = []

    class Sparse(np.ndarray):
        def take(self, indices, axis=None, out=None, mode="raise"):
            rows.append(len(indices))
            return super().take(indices, axis, out, mode)

    data = X.view(Sparse)
    assert isinstance(data, np.ndarray)
    model, _ = recording()
    model.fit(data, Y, batch_size=4, verbose=0)
    assert not rows or max(rows) <= 4


@pytest.mark.parametrize(
    ("x", "y", "text"),
    [
        (X, Y[:-1], r"y: expected 11 samples as in x, got 10"),
        (X[:0], Y[:0], r"x: expected at least one sample, got 0 samples"),
        (np.float32(3), Y, r"x: "),
        ([[1.0], [2.0, 3.0]], Y[:2], r"pad_sequences"),
        (np.array([["a"]] * 11), Y, r"x: expected an array of numbers"),
        (np.array([[None]] * 11), Y, r"pad_sequences"),
        (None, Y, r"x: expected arrays or a source"),
        (3, None, r"x: expected arrays, a generator"),
        (X, None, r"y: expected targets, got None"),
        (endless(), Y, r"y: expected None"),
    ],
)
def test_wrong_data(x, y, text):
    model, _ = recording()
    with pytest.raises(ValueError, match=text):
        model.fit(x, y, verbose=0)


@pytest.mark.parametrize(
    ("options", "text"),
    [
        ({"batch_size": 0}, "batch_size: expected a positive whole number, got 0"),
        ({"batch_size": 2.5}, "batch_size"),
        ({"epochs": -1}, "epochs"),
        ({"shuffle": "samples"}, "shuffle: expected True, False or 'batch'"),
        ({"validation_split": 1.0}, "validation_split"),
        ({"validation_split": 0.01}, "validation_split.*non-empty"),
        ({"validation_data": (X,)}, r"validation_data: expected \(x, y\)"),
        ({"verbose": 7}, "verbose"),
        ({"sample_weight": np.ones(3)}, "sample_weight: expected 11 samples"),
        ({"steps_per_epoch": 0}, "steps"),
    ],
)
def test_wrong_options(options, text):
    model, _ = recording()
    with pytest.raises(ValueError, match=rf"\[Sequential\.fit\].*{text}"):
        model.fit(X, Y, **{"verbose": 0, **options})


# --- validation ----------------------------------------------------------------------------------


def test_validation_split_takes_the_last_samples():
    model, seen = recording(metrics=["mae"])
    history = model.fit(X, Y, batch_size=4, validation_split=0.3, epochs=2, verbose=0)
    assert sorted(sum(batches(seen)[:2], [])) == list(range(7))
    assert batches(seen, False) == [[7, 8, 9, 10]] * 2
    assert list(history.history) == ["loss", "mae", "val_loss", "val_mae"]
    loss, mae = model.evaluate(X[7:], Y[7:], verbose=0)
    assert history.history["val_loss"] == pytest.approx([loss, loss])
    assert history.history["val_mae"] == pytest.approx([mae, mae])


def test_validation_data_and_its_frequency():
    model, seen = recording()
    weight = np.zeros(4)
    history = model.fit(
        X, Y, validation_data=(X[:4], Y[:4], weight), validation_freq=2, epochs=5, verbose=0
    )
    assert batches(seen, False) == [[0, 1, 2, 3]] * 2
    assert history.history["val_loss"] == [0.0, 0.0]
    seen.clear()
    model.fit(X, Y, validation_data=Batches(2), validation_freq=[3], epochs=3, verbose=0)
    assert batches(seen, False) == [[0, 1], [2, 3]]
    seen.clear()
    model.fit(X, Y, validation_data=endless(), validation_steps=2, verbose=0)
    assert batches(seen, False) == [[0, 1], [2, 3]]


# --- weights of samples and classes --------------------------------------------------------------


def softmax_model(**options):
    model = elman.Sequential([layers.Dense(3, "softmax", input_shape=(1,))])
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
    single.set_weights(model.get_weights())
    assert single.train_on_batch(X, LABELS, class_weight=CLASS_WEIGHT) == pytest.approx(expected)


def test_weights_reach_weighted_metrics_only():
    model = softmax_model(metrics=["accuracy"], weighted_metrics=["accuracy"])
    weight = np.where(LABELS == 0, 2.0, 0.0)
    right = np.asarray(model(X)).argmax(1) == LABELS
    logs = model.evaluate(X, LABELS, sample_weight=weight, verbose=0, return_dict=True)
    assert list(logs) == ["loss", "accuracy", "accuracy_1"]
    assert logs["accuracy"] == pytest.approx(right.mean())
    assert logs["accuracy_1"] == pytest.approx((right * weight).sum() / weight.sum())


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
    np.testing.assert_allclose(np.ravel(model.get_weights()), [3.0, 0.1], atol=0.03)


def test_initial_epoch():
    model, seen = recording()
    history = model.fit(X, Y, batch_size=N, epochs=5, initial_epoch=3, verbose=0)
    assert history.epoch == [3, 4]
    assert len(seen) == 2


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
    assert history.history["own"][0] == 4.0
    assert history.history["own"][1] < 0.1
    np.testing.assert_allclose(model.evaluate([[1.0, 2.0]], [[1.0]], verbose=0), 0.0016, rtol=1)


def test_compile_and_its_names():
    model, _ = recording()
    with pytest.raises(ValueError, match="did you mean 'adam'"):
        model.compile("adma", "mse")
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
