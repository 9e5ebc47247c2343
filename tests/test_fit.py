# SPDX-License-Identifier: Apache-2.0
"""`fit`: which data reaches the model, in which order."""

from __future__ import annotations

import itertools
import tracemalloc

import numpy as np
import pytest

import elman
from elman import layers
from recording import N, X, Y, batches, recording

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
    orders = [list(itertools.chain(*batches(seen)[i : i + 3])) for i in (0, 3, 6)]
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


RNG_INPUT = np.random.default_rng(8).normal(size=(23, 3, 1))


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
    with pytest.raises(ValueError, match=r"no batch in epoch 2.*only once"):
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
    """One epoch over 32 MB in another type and order needs a fraction of that."""
    x = np.broadcast_to(np.float64(1.0), (200_000, 20)).copy()
    y = np.zeros((len(x), 1))
    model = elman.Sequential([layers.Dense(1, input_shape=(20,))])
    model.compile("sgd", "mse")
    model.fit(x[:10], y[:10], verbose=0)
    tracemalloc.start()
    try:
        model.fit(x, y, batch_size=1000, validation_split=0.5, verbose=0)
        model.predict(x, batch_size=1000, verbose=0)
        peak = tracemalloc.get_traced_memory()[1]
    finally:
        tracemalloc.stop()
    # the order of the samples (1.6 MB), the predictions (0.8 MB), a few batches (0.16 MB each)
    assert peak < 4e6


def test_arrays_in_files(tmp_path):
    """A file of h5py takes rising indices only, and refuses to be read as a whole."""

    class Dataset:
        shape, dtype = X.shape, X.dtype
        __module__ = "h5py._hl.dataset"

        def __len__(self):
            return N

        def __getitem__(self, rows):
            if not isinstance(rows, slice):
                assert (np.diff(rows) > 0).all()
            found = X[rows]
            assert len(found) <= 4
            return found

        def __array__(self, dtype=None, copy=None):
            raise AssertionError("read as a whole")

    model, seen = recording()
    model.layers[1].set_weights([[[3.0]], [1.0]])
    assert model.fit(Dataset(), Y, batch_size=4, verbose=0).history["loss"] == [0.0]
    assert sorted(itertools.chain(*batches(seen))) == list(range(N))
    np.save(tmp_path / "x.npy", X)
    mapped = np.load(tmp_path / "x.npy", mmap_mode="r")
    assert model.fit(mapped, Y, batch_size=4, verbose=0).history["loss"] == [0.0]


@pytest.mark.parametrize(
    ("x", "y", "text"),
    [
        (X, Y[:-1], r"y: expected 11 samples as in x, got 10"),
        (X[:0], Y[:0], r"x: expected at least one sample, got 0 samples"),
        (np.float32(3), Y, r"x: "),
        ([[1.0], [2.0, 3.0]], Y[:2], r"Dense.call. x: expected \(N, ..., 1\), got \(1, 2\)"),
        (np.array([["a"]] * 11), Y, r"x: expected an array of numbers"),
        (np.array([[None]] * 11), Y, r"got dtype object$"),
        (np.array([[1.0], [2.0, 3.0]] * 2, object), Y[:4], r"Dense.call. x: expected"),
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
        ({"validation_split": 0.99}, "validation_split.*non-empty"),
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
    assert sorted(itertools.chain(*batches(seen)[:2])) == list(range(7))
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


@pytest.mark.parametrize(
    ("data", "first"), [((X, Y), [0, 1, 2, 3]), (Batches(), [0, 1]), (Loader(), [0])]
)
def test_every_validation_sees_the_same_batches(data, first):
    model, seen = recording()
    model.fit(X, Y, batch_size=4, validation_data=data, validation_steps=1, epochs=3, verbose=0)
    assert batches(seen, False) == [first] * 3
