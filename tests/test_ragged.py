# SPDX-License-Identifier: Apache-2.0
"""Lists of sequences in fit, evaluate, predict: the numbers of the sequences one by one."""

from __future__ import annotations

import numpy as np
import pytest

import elman
from elman import layers
from elman.models.ragged import RaggedData

LENGTHS = (7, 1, 11, 3, 3, 0, 13, 5, 2, 17, 4, 11)


def sequences(tail=(3,), seed=0):
    rng = np.random.default_rng(seed)
    return [rng.uniform(-1, 1, (n, *tail)).astype("float32") for n in LENGTHS]


def words(seed=0):
    rng = np.random.default_rng(seed)
    return [rng.integers(0, 9, n) for n in LENGTHS]


def per_sequence(cls=layers.LSTM, **flags):
    model = elman.Sequential([cls(5, **flags), layers.Dense(2)])
    model.compile("sgd", "mse", metrics=["mae"])
    return model


def per_step(*, embedded=False):
    first = [layers.Embedding(9, 3)] if embedded else []
    model = elman.Sequential([
        *first, layers.GRU(5, return_sequences=True), layers.Dropout(0.0), layers.Dense(2)
    ])  # fmt: skip
    model.compile("sgd", "mse", metrics=["mae"])
    return model


def close(actual, expected):
    np.testing.assert_allclose(actual, expected, rtol=0, atol=2e-6)


def one_by_one(model, x):
    """None for an empty sequence: alone it would be a batch without steps."""
    return [None if not len(row) else np.asarray(model(row[None]))[0] for row in x]


@pytest.mark.parametrize("batch_size", [1, 3, 5, 32])
@pytest.mark.parametrize("cls", [layers.SimpleRNN, layers.GRU, layers.LSTM])
def test_predict_per_sequence(cls, batch_size):
    model, x = per_sequence(cls), sequences()
    model(x[0][None])
    got = model.predict(x, batch_size=batch_size, verbose=0)
    assert got.shape == (len(x), 2)
    for row, alone in zip(got, one_by_one(model, x), strict=True):
        if alone is not None:
            close(row, alone)
    empty = LENGTHS.index(0)
    close(got[empty], model.layers[-1].bias.numpy())


@pytest.mark.parametrize("batch_size", [1, 3, 32])
@pytest.mark.parametrize("embedded", [False, True])
def test_predict_per_step(batch_size, embedded):
    model, x = per_step(embedded=embedded), words() if embedded else sequences()
    model(x[0][None])
    got = model.predict(x, batch_size=batch_size, verbose=0)
    assert [row.shape for row in got] == [(n, 2) for n in LENGTHS]
    for row, alone in zip(got, one_by_one(model, x), strict=True):
        if alone is not None:
            close(row, alone)
    again = model.predict_on_batch(x)
    for a, b in zip(got, again, strict=True):
        close(a, b)


def test_word_zero_is_a_word_unless_the_embedding_says_otherwise():
    x = [np.array([3, 0, 1]), np.array([0, 2]), np.array([5, 4, 0, 0])]
    for mask_zero in (False, True):
        model = elman.Sequential([layers.Embedding(9, 3, mask_zero=mask_zero), layers.LSTM(4)])
        model(x[0][None])
        got = model.predict(x, verbose=0)
        for row, alone in zip(got, one_by_one(model, x), strict=True):
            close(row, alone)


def test_go_backwards_per_sequence():
    model, x = per_sequence(go_backwards=True), sequences()
    model(x[0][None])
    got = model.predict(x, batch_size=4, verbose=0)
    for row, alone in zip(got, one_by_one(model, x), strict=True):
        if alone is not None:
            close(row, alone)


@pytest.mark.parametrize("batch_size", [1, 3, 32])
def test_evaluate_is_the_mean_over_sequences_or_steps(batch_size):
    x = [row for row in sequences() if len(row)]
    rng = np.random.default_rng(1)
    model, y = per_sequence(), rng.uniform(-1, 1, (len(x), 2))
    model(x[0][None])
    errors = np.array([row - target for row, target in zip(one_by_one(model, x), y, strict=True)])
    got = model.evaluate(x, y, batch_size=batch_size, verbose=0)
    close(got, [np.square(errors).mean(), np.abs(errors).mean()])
    weights = rng.uniform(0.5, 2, len(x))
    loss = model.evaluate(x, y, batch_size=batch_size, verbose=0, sample_weight=weights)[0]
    close(loss, (np.square(errors).mean(axis=1) * weights).mean())

    model, y = per_step(), [rng.uniform(-1, 1, (len(row), 2)) for row in x]
    model(x[0][None])
    errors = np.concatenate([a - b for a, b in zip(one_by_one(model, x), y, strict=True)])
    got = model.evaluate(x, y, batch_size=batch_size, verbose=0)
    close(got, [np.square(errors).mean(), np.abs(errors).mean()])
    weights = [rng.uniform(0.5, 2, len(row)) for row in x]
    loss = model.evaluate(x, y, batch_size=batch_size, verbose=0, sample_weight=weights)[0]
    close(loss, (np.square(errors).mean(axis=1) * np.concatenate(weights)).mean())


def test_a_training_step_has_the_gradients_of_the_sequences():
    """One SGD step on a list against the mean gradient over all steps of single calls."""
    x = [row for row in sequences() if len(row)]
    rng = np.random.default_rng(2)
    y = [rng.uniform(-1, 1, (len(row), 2)).astype("float32") for row in x]
    model = per_step()
    model(x[0][None])
    before, steps = model.get_weights(), sum(map(len, x))
    with elman.GradientTape() as tape:
        loss = 0.0
        for row, target in zip(x, y, strict=True):
            difference = model(row[None]) - target[None]
            loss = loss + elman.backend.sum(elman.backend.square(difference)) / (2.0 * steps)
    gradients = tape.gradient(loss, model.trainable_weights)
    got = model.train_on_batch(x, y, return_dict=True)
    close(got["loss"], float(loss))
    for old, gradient, new in zip(before, gradients, model.get_weights(), strict=True):
        close(new, old - 0.01 * np.asarray(gradient))


def test_fit_is_reproducible_and_sees_every_sequence_once():
    x, y = sequences(), np.random.default_rng(3).uniform(-1, 1, (len(LENGTHS), 2))

    def run(seed, **options):
        elman.utils.set_random_seed(seed)
        model = per_sequence()
        history = model.fit(x, y, batch_size=4, epochs=2, verbose=0, **options)
        return history.history["loss"], model.get_weights()

    first, second, other = run(5), run(5), run(6)
    assert first[0] == second[0]
    for a, b in zip(first[1], second[1], strict=True):
        np.testing.assert_array_equal(a, b)
    assert first[0] != other[0]
    for shuffle in (True, False, "batch"):
        model = per_sequence()
        data = RaggedData(model, "test", x, y, None, 5, shuffle)
        orders = []
        for _ in range(2):
            rows = [batch.rows.tolist() for batch in data.epoch()]
            assert sorted(row for part in rows for row in part) == list(range(len(x)))
            assert [len(part) for part in rows] == [5, 5, 2]
            orders.append(rows)
        assert (orders[0] == orders[1]) == (shuffle is False)
    assert orders[0][2] == [10, 11], "the short batch stays last"


def test_similar_lengths_share_a_batch():
    rng = np.random.default_rng(4)
    x = [np.zeros((n, 1), "float32") for n in rng.integers(10, 200, 1000)]
    model = per_sequence()
    for shuffle, ordered in ((True, True), (False, False)):
        data = RaggedData(model, "test", x, None, None, 32, shuffle, ordered=ordered)
        padded = sum(batch.x.shape[0] * batch.x.shape[1] for batch in data.epoch())
        assert padded < 1.15 * sum(map(len, x))


def test_validation():
    x, y = sequences(), np.random.default_rng(3).uniform(-1, 1, (len(LENGTHS), 2))
    steps = [np.zeros((n, 2), "float32") for n in LENGTHS]
    for make, targets in ((per_sequence, y), (per_step, steps)):
        model = make()
        history = model.fit(x, targets, verbose=0, validation_split=0.25, epochs=2, batch_size=4)
        assert len(history.history["val_loss"]) == 2
        close(history.history["val_loss"][-1], model.evaluate(x[9:], targets[9:], verbose=0)[0])
        history = model.fit(x, targets, verbose=0, validation_data=(x[:5], targets[:5]))
        close(history.history["val_loss"], model.evaluate(x[:5], targets[:5], verbose=0)[0])


def test_weights_and_classes():
    x = sequences()
    rng = np.random.default_rng(6)
    ids = [rng.integers(0, 2, n) for n in LENGTHS]
    model = elman.Sequential([
        layers.GRU(4, return_sequences=True), layers.Dense(2, activation="softmax")
    ])  # fmt: skip
    model.compile("sgd", "sparse_categorical_crossentropy", metrics=["accuracy"])
    weights = [rng.uniform(0, 1, n) for n in LENGTHS]
    history = model.fit(
        x, ids, sample_weight=weights, class_weight={0: 1.0, 1: 3.0}, verbose=0, batch_size=5
    )
    assert np.isfinite(history.history["loss"]).all()
    predicted = np.concatenate(model.predict(x, verbose=0)).argmax(axis=1)
    accuracy = model.evaluate(x, ids, verbose=0)[1]
    close(accuracy, (predicted == np.concatenate(ids)).mean())


def test_lists_that_are_arrays_stay_arrays():
    model = per_sequence()
    rows = [row[:3] for row in sequences() if len(row) >= 3]
    got = model.predict(rows, verbose=0)
    np.testing.assert_array_equal(got, model.predict(np.stack(rows), verbose=0))
    one = sequences()[:1]
    close(model.predict(one, verbose=0), model.predict(one[0][None], verbose=0))
    batch = np.stack(rows)
    np.testing.assert_array_equal(model.predict([batch], verbose=0), got)


def test_a_subclassed_model_gets_the_mask():
    class Own(elman.Model):
        def __init__(self):
            super().__init__()
            self.lstm, self.dense = layers.LSTM(4), layers.Dense(1)

        def call(self, x):
            return self.dense(self.lstm(x))

    Own._one_input = True
    model, x = Own(), [row.astype("float64") for row in sequences()]
    model(x[0][None])
    got = model.predict(x, batch_size=4, verbose=0)
    for row, alone in zip(got, one_by_one(model, x), strict=True):
        if alone is not None:
            close(row, alone)


def test_errors():
    x, y = sequences(), np.zeros((len(LENGTHS), 2))
    model = per_sequence()

    def refused(text, *args, error=ValueError, on=model, **options):
        with pytest.raises(error, match=text):
            on.fit(*args, verbose=0, **options)

    bad = [*x[:3], x[3][:, :2], *x[4:]]
    refused(r"\[Sequential.fit\] x\[3\]: expected \(T, 3\), got \(3, 2\); like x\[0\]", bad, y)
    refused(r"x\[1\]: expected arrays of numbers", [x[0], np.array(["a"])], y)
    refused(r"y: expected 12 samples as in x, got 11", x, y[:11])
    refused(r"y: expected 12 samples as in x, got 11", x, [np.zeros((n, 2)) for n in LENGTHS][:11])
    wrong = [np.zeros((n + (i == 4), 2)) for i, n in enumerate(LENGTHS)]
    refused(r"y\[4\]: expected \(3, 2\), got \(4, 2\); as many steps as x\[4\]", x, wrong)
    refused(r"steps: expected None, got 3", x, y, steps_per_epoch=3)
    refused(r"batch_size: expected a positive whole number", x, y, batch_size=0)
    stateful = per_sequence(stateful=True, batch_input_shape=(4, None, 3))
    refused(r"x: expected one array for a stateful model", x, y, on=stateful)
    flat = elman.Sequential([layers.Flatten(), layers.Dense(2)])
    flat.compile("sgd", "mse")
    refused(r"layer 'flatten\w*' makes features of the steps, .*; pad the sequences", x, y, on=flat)
    norm = elman.Sequential([
        layers.Conv1D(2, 3, padding="same", name="conv"), layers.BatchNormalization(name="norm")
    ])  # fmt: skip
    norm.compile("sgd", "mse")
    text = r"layer 'norm' needs the whole batch as one array, and layer 'conv' sees the padding"
    refused(text, x, x, on=norm)
    odd = [[1.0, 2.0], [[1.0], [2.0, 3.0]], [1.0]]
    with pytest.raises(ValueError, match=r"x\[1\]: expected arrays of numbers, got a list that"):
        model.predict(odd, verbose=0)
