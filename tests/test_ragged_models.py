# SPDX-License-Identifier: Apache-2.0
"""Lists of sequences in every kind of model: no layer sees padding that is not there alone."""

from __future__ import annotations

import itertools

import numpy as np
import pytest

import elman
from elman import backend, layers
from elman.models import padding
from elman.models.padding import Steps
from ragged_models import (
    LENGTHS,
    PER_SEQUENCE,
    PER_STEP,
    attention,
    close,
    conv,
    model_of,
    residual,
    rows,
)


def check_predict(model, x, *, per_step):
    expected = [np.asarray(model(row[None]))[0] for row in x]
    for size in (1, 3, 32):
        got = model.predict(x, batch_size=size, verbose=0)
        assert isinstance(got, list) == per_step
        assert len(got) == len(x)
        for row, alone in zip(got, expected, strict=True):
            close(row, alone)
    for row, alone in zip(model.predict_on_batch(x), expected, strict=True):
        close(row, alone)


@pytest.mark.parametrize("kind", PER_SEQUENCE)
def test_predict_per_sequence(kind):
    check_predict(PER_SEQUENCE[kind](), rows(), per_step=False)


@pytest.mark.parametrize("kind", PER_STEP)
def test_predict_per_step(kind):
    check_predict(PER_STEP[kind](), rows(), per_step=True)


def test_several_outputs():
    model, x = residual(), rows()
    steps, last = model.predict(x, batch_size=4, verbose=0)
    assert last.shape == (len(x), 2)
    for row, a, b in zip(x, steps, last, strict=True):
        alone = model(row[None])
        close(a, alone[0][0])
        close(b, alone[1][0])


def gradients_one_by_one(model, x, y, weights, penalty=0.0):
    """Gradients of the weighted mean of the squared errors, and that mean."""
    count = sum(np.asarray(target).size // np.shape(target)[-1] for target in y)
    with elman.GradientTape() as tape:
        total = 0.0
        for row, target, weight in zip(x, y, weights, strict=True):
            output = model(row[None])
            error = backend.mean(backend.square(output - target[None]), -1)
            total = total + backend.sum(error * weight) / count
            if penalty:
                total = total + penalty * backend.sum(
                    backend.square(model.layers[0](row[None]))
                ) / len(x)
    return tape.gradient(total, model.trainable_weights), float(total)


def check_step(model, x, y, weights, penalty=0.0):
    """train_on_batch, test_on_batch and evaluate against the sequences one by one."""
    model(x[0][None])
    gradients, loss = gradients_one_by_one(model, x, y, weights, penalty)
    model.compile("sgd", "mse", metrics=["mae"])
    close(model.test_on_batch(x, y, sample_weight=weights)[0], loss)
    errors = [np.asarray(model(row[None]))[0] - target for row, target in zip(x, y, strict=True)]
    means = [np.abs(error).reshape(-1, error.shape[-1]).mean(-1) for error in errors]
    for size in (1, 4, 32):
        got = model.evaluate(x, y, batch_size=size, verbose=0, sample_weight=weights)
        close(got[0], loss)
        close(got[1], np.concatenate(means).mean())
    before = model.get_weights()
    close(model.train_on_batch(x, y, sample_weight=weights)[0], loss)
    for old, gradient, new in zip(before, gradients, model.get_weights(), strict=True):
        close(new, old - 0.01 * np.asarray(gradient))


@pytest.mark.parametrize("kind", ["conv", "mean by Lambda", "attention pooling", "maximum"])
def test_a_step_per_sequence(kind):
    x, rng = rows(), np.random.default_rng(1)
    model = PER_SEQUENCE[kind]()
    model(x[0][None])
    y = list(rng.uniform(-1, 1, (len(x), model.output_shape[-1])).astype("float32"))
    check_step(model, x, y, list(rng.uniform(0.5, 2, len(x)).astype("float32")))


@pytest.mark.parametrize("kind", ["conv", "backwards", "both directions", "softmax over time"])
def test_a_step_per_step(kind):
    x, rng = rows(), np.random.default_rng(1)
    model = PER_STEP[kind]()
    model(x[0][None])
    size = model.output_shape[-1]
    y = [rng.uniform(-1, 1, (len(row), size)).astype("float32") for row in x]
    check_step(model, x, y, [rng.uniform(0.5, 2, len(row)).astype("float32") for row in x])


@pytest.mark.parametrize("layer", [layers.Dense, layers.Conv1D])
def test_penalties_on_activations_are_those_of_the_steps(layer):
    options = {"kernel_size": 3, "padding": "same"} if layer is layers.Conv1D else {}
    penalty = elman.regularizers.l2(0.1)
    first = layer(4, bias_initializer="ones", activity_regularizer=penalty, **options)
    model, x = elman.Sequential([first, layers.LSTM(2)]), rows()
    model(x[0][None])
    y = list(np.random.default_rng(1).uniform(-1, 1, (len(x), 2)).astype("float32"))
    model.compile("sgd", "mse")
    before = model.get_weights()
    first.activity_regularizer = None
    gradients, loss = gradients_one_by_one(model, x, y, [1.0] * len(x), 0.1)
    first.activity_regularizer = penalty
    close(model.train_on_batch(x, np.stack(y)), loss)
    for old, gradient, new in zip(before, gradients, model.get_weights(), strict=True):
        close(new, old - 0.01 * np.asarray(gradient))


def test_sequences_of_images():
    x = rows((6, 5, 2))
    image = layers.TimeDistributed(layers.Conv2D(2, 3))
    pooled = layers.TimeDistributed(layers.GlobalMaxPooling2D())
    for parts, per_step in (
        ([layers.ConvLSTM2D(2, 3, padding="same", return_sequences=True)], True),
        ([layers.ConvLSTM2D(2, 2, data_format="channels_first"), layers.Flatten()], False),
        ([layers.Conv3D(2, 3, padding="same"), layers.ConvLSTM2D(2, 3)], False),
        ([image, pooled, layers.LSTM(2)], False),
    ):
        check_predict(elman.Sequential(parts), x, per_step=per_step)


def test_normalization_over_the_steps_of_all_sequences():
    x = rows()
    layer = layers.BatchNormalization(momentum=0.0)
    model = elman.Sequential([layer])
    model.compile("sgd", "mse")
    model.train_on_batch(x, x)
    steps = np.concatenate(x)
    close(layer.moving_mean, steps.mean(0))
    close(layer.moving_variance, steps.var(0))
    mixed = elman.Sequential([conv(), layers.BatchNormalization(), layers.LSTM(2)])
    check_predict(mixed, x, per_step=False)
    mixed.compile("sgd", "mse")
    with pytest.raises(ValueError, match="needs the whole batch as one array, and layer 'conv1d"):
        mixed.fit(x, np.zeros((len(x), 2)), verbose=0)
    mixed.layers[1].trainable = False
    mixed.fit(x, np.zeros((len(x), 2)), verbose=0)


def test_fit_makes_as_many_steps_as_batches():
    x, y = rows(), np.random.default_rng(1).uniform(-1, 1, (len(LENGTHS), 2))
    model = PER_SEQUENCE["conv"]()
    model.compile("adam", "mse")
    history = model.fit(x, y, batch_size=4, epochs=3, verbose=0, validation_split=0.2)
    assert int(model.optimizer.iterations) == 3 * 2
    assert history.history["loss"][2] < history.history["loss"][0]
    expected = model.evaluate(x[8:], y[8:], verbose=0)
    close(history.history["val_loss"][-1], expected)


def test_own_steps_get_all_samples():
    seen = []

    class Own(elman.Model):
        def train_step(self, data):
            x, _ = data
            seen.append(tuple(self(x, training=True).shape))
            return super().train_step(data)

        def predict_step(self, data):
            return 2 * super().predict_step(data)

    x, y = rows(), np.zeros((len(LENGTHS), 4))
    i = elman.Input((None, 3))
    model = Own(i, layers.GlobalMaxPooling1D()(conv()(i)))
    model.compile("sgd", "mse")
    model.fit(x, y, batch_size=5, verbose=0)
    assert seen == [(5, 4), (5, 4)]
    for row, got in zip(x, model.predict(x, verbose=0), strict=True):
        close(got, 2 * np.asarray(model(row[None]))[0])


# -- forms of lists ------------------------------------------------------------------------------


def pair():
    """A sequence and a vector per sample."""
    a, b = elman.Input((None, 3), name="a"), elman.Input((2,), name="b")
    return elman.Model([a, b], layers.Dense(2)(layers.Concatenate()([layers.LSTM(4)(a), b])))


def test_a_list_for_one_of_several_inputs():
    model, x = pair(), rows()
    rng = np.random.default_rng(1)
    b, y = rng.uniform(-1, 1, (2, len(x), 2)).astype("float32")
    expected = [np.asarray(model([row[None], b[i : i + 1]]))[0] for i, row in enumerate(x)]
    for given in ([x, b], (x, list(b)), {"a": x, "b": b}):
        close(model.predict(given, batch_size=3, verbose=0), expected)
    model.compile("sgd", "mse")
    loss = np.square(np.array(expected) - y).mean()
    close(model.evaluate([x, b], y, verbose=0), loss)
    close(model.train_on_batch({"a": x, "b": b}, y), loss)
    model.fit([x, b], y, batch_size=3, verbose=0, validation_split=0.3)
    with pytest.raises(
        ValueError, match=r"x\[1\]: expected 10 samples as in x\[0\], got 9; a list"
    ):
        model.fit([x, b[:9]], y, verbose=0)


@pytest.mark.parametrize("padded", [True, False])
def test_two_lists_of_different_lengths(padded):
    """An encoder and a decoder; targets per step of the second list."""
    other = (2, 5, 3, 3, 7, 5, 1, 4, 6, 5)
    x, y = rows(), rows((2,), 1, other)
    a, b = elman.Input((None, 3)), elman.Input((None, 2))
    _, h, c = layers.LSTM(4, return_state=True)(a if padded else conv()(a))
    out = layers.Dense(2)(layers.LSTM(4, return_sequences=True)(b, initial_state=[h, c]))
    model = elman.Model([a, b], out)
    assert (padding_of(model, 2) == [1]) == padded
    expected = [np.asarray(model([p[None], q[None]]))[0] for p, q in zip(x, y, strict=True)]
    for size in (1, 3, 32):
        got = model.predict([x, y], batch_size=size, verbose=0)
        for row, alone in zip(got, expected, strict=True):
            close(row, alone)
    model.compile("sgd", "mse")
    error = np.concatenate([p - q for p, q in zip(expected, y, strict=True)])
    close(model.evaluate([x, y], y, batch_size=4, verbose=0), np.square(error).mean())
    with pytest.raises(
        ValueError, match=r"y\[0\]: expected \(2, 2\), got \(3, 2\); .* x\[1\]\[0\]"
    ):
        model.evaluate([x, y], [np.zeros((3, 2)), *y[1:]], verbose=0)


def test_targets_of_several_outputs():
    model, x, rng = residual(), rows(), np.random.default_rng(1)
    steps = [rng.uniform(-1, 1, (len(row), 4)).astype("float32") for row in x]
    last = rng.uniform(-1, 1, (len(x), 2)).astype("float32")
    model.compile("sgd", "mse")
    alone = [model(row[None]) for row in x]
    first = np.concatenate([np.asarray(a[0])[0] - t for a, t in zip(alone, steps, strict=True)])
    second = np.concatenate([np.asarray(a[1]) for a in alone]) - last
    expected = np.square(first).mean() + np.square(second).mean()
    names = model.output_names
    close(model.test_on_batch(x, [steps, last])[0], expected)
    close(model.test_on_batch(x, dict(zip(names, (steps, last), strict=True)))[0], expected)


def test_lists_of_lists_and_arrays_of_objects():
    words = [[1, 2, 3], [4], [5, 0, 7, 8]]
    model = elman.Sequential([layers.Embedding(9, 3), layers.LSTM(4)])
    arrays = [np.array(row) for row in words]
    expected = [np.asarray(model(row[None]))[0] for row in arrays]
    objects = np.empty(3, object)
    objects[:] = arrays
    for given in (words, tuple(arrays), objects, [words], [[1, 2, 3], np.array([4]), arrays[2]]):
        close(model.predict(given, verbose=0), expected)
    steps = elman.Sequential([layers.Embedding(9, 3), layers.GRU(4, return_sequences=True)])
    steps.compile("sgd", "sparse_categorical_crossentropy")
    ids = [[0, 1, 2], [3], [1, 1, 0, 2]]
    loss = steps.evaluate(arrays, [np.array(row) for row in ids], verbose=0)
    close(steps.evaluate(words, ids, verbose=0), loss)
    assert np.isfinite(steps.fit(words, ids, verbose=0).history["loss"])
    pairs = [[[1.0, 2.0, 3.0]], [[1.0, 2.0, 3.0]] * 2]
    vectors = elman.Sequential([layers.LSTM(2)])
    arrays = [np.array(row, "float32") for row in pairs]
    close(vectors.predict(pairs, verbose=0), [np.asarray(vectors(r[None]))[0] for r in arrays])
    equal = np.empty(2, object)
    equal[:] = [[1, 2], [3, 4]]
    close(model.predict(equal, verbose=0), model.predict(np.array([[1, 2], [3, 4]]), verbose=0))


def test_numbers_as_sequences_get_their_missing_axis_with_the_mask():
    model, x = model_of(layers.LSTM(3), shape=(None, 1)), rows(())
    expected = [np.asarray(model(row[None, :, None]))[0] for row in x]
    close(model.predict(x, verbose=0), expected)


@pytest.mark.parametrize("kind", ["conv", "average"])
def test_generators_of_lists(kind):
    x, rng = rows(), np.random.default_rng(1)
    model = PER_SEQUENCE[kind]()
    model(x[0][None])
    y = rng.uniform(-1, 1, (len(x), model.output_shape[-1])).astype("float32")
    batches = [(x[i : i + 4], y[i : i + 4]) for i in range(0, len(x), 4)]
    expected = [np.asarray(model(row[None]))[0] for row in x]
    close(model.predict(iter(batches), verbose=0), expected)
    model.compile("sgd", "mse")
    close(model.evaluate(iter(batches), verbose=0), np.square(np.array(expected) - y).mean())
    history = model.fit(itertools.cycle(batches), steps_per_epoch=3, epochs=2, verbose=0)
    assert np.isfinite(history.history["loss"]).all()
    per_step = PER_STEP["conv"]()
    for row, got in zip(x, per_step.predict(iter(batches), verbose=0), strict=True):
        close(got, np.asarray(per_step(row[None]))[0])


# -- which models are padded ---------------------------------------------------------------------


def padding_of(model, inputs=1, rank=3):
    try:
        return padding.sources(model, [Steps(i, rank) for i in range(inputs)])
    except padding.SeesPaddingError:
        return None


def test_models_that_share_padded_batches():
    def chain(*parts):
        return elman.Sequential(list(parts))

    lstm, gru = layers.LSTM(2), layers.GRU(2, return_sequences=True)
    assert padding_of(chain(lstm)) == [None]
    assert padding_of(chain(gru, layers.Dropout(0.5), layers.Dense(3, activation="tanh"))) == [0]
    assert padding_of(residual()) == [0, None]
    assert padding_of(
        chain(layers.TimeDistributed(layers.Dense(2)), chain(layers.LayerNormalization()))
    ) == [0]
    assert padding_of(chain(layers.Embedding(5, 2), lstm), rank=2) == [None]
    assert padding_of(PER_SEQUENCE["average"]()) == [None]
    for other in (
        chain(conv()),
        chain(layers.Dense(2, activation=lambda x: x / backend.sum(x, 1, keepdims=True))),
        chain(layers.TimeDistributed(layers.Lambda(backend.square))),
        chain(layers.Bidirectional(layers.CuDNNGRU(2))),
        attention(False),
    ):
        assert padding_of(other) is None

    class Summed(layers.Dense):
        def call(self, inputs):
            return super().call(inputs) + backend.sum(inputs, 1, keepdims=True)

    assert padding_of(chain(Summed(3))) is None


def test_every_layer_of_the_rules_hands_the_mask_on():
    for kind, rule in padding._RULES.items():
        assert kind.supports_masking or rule is padding._embedding, kind
