# SPDX-License-Identifier: Apache-2.0
"""The published examples of models, M1 to M6, for Sequential and functional models alike."""

from __future__ import annotations

import numpy as np
import pytest

import elman
from elman import layers
from test_summary import CODE, FIRST, SECOND

ONES = [np.ones((1, 1)), np.full((1, 1), 0.5), np.zeros(1)]
COLUMN = np.arange(1.0, 5.0).reshape(4, 1, 1)
BOTH = pytest.mark.parametrize("functional", [False, True], ids=["Sequential", "functional"])


def stateful(functional, **more):
    """h' = x + h / 2, in batches of two sequences of one step."""
    options = {"activation": None, "stateful": True, "weights": ONES, **more}
    if not functional:
        layer = layers.SimpleRNN(1, batch_input_shape=(2, 1, 1), **options)
        return elman.Sequential([layer])
    x = elman.Input(batch_shape=(2, 1, 1))
    return elman.Model(x, layers.SimpleRNN(1, **options)(x))


def recurrent_layer(model):
    return model.layers[-1]


def test_m1_both_summaries_of_one_session(python):
    done = python(CODE)
    assert done.stdout == FIRST + SECOND
    assert "Total params: 164,106\n" in done.stdout
    assert "Total params: 361,866\n" in done.stdout


def test_m2_shapes_of_stacked_layers():
    for options in ({"input_shape": (10, 64)}, {"input_dim": 64, "input_length": 10}):
        model = elman.Sequential([layers.LSTM(32, **options)])
        assert model.input_shape == (None, 10, 64)
        assert model.output_shape == (None, 32)
        with pytest.raises(ValueError, match="return_sequences"):
            model.add(layers.LSTM(16))
    stack = [layers.LSTM(64, input_dim=64, input_length=10, return_sequences=True)]
    stack += [layers.LSTM(32, return_sequences=True), layers.LSTM(10)]
    model = elman.Sequential(stack)
    assert (model.output_shape, model.count_params()) == ((None, 10), 47160)
    x = elman.Input((10, 64))
    y = x
    for layer in (layers.LSTM.from_config(layer.get_config()) for layer in stack):
        y = layer(y)
    functional = elman.Model(x, y)
    assert (functional.output_shape, functional.count_params()) == ((None, 10), 47160)
    with pytest.raises(ValueError, match="return_sequences"):
        layers.LSTM(16)(layers.LSTM(32)(x))


def test_m3_fixed_batch_sizes():
    x = elman.Input(batch_shape=(4, 3, 1))
    for model in (
        elman.Sequential([layers.LSTM(2, batch_size=4, input_shape=(3, 1), stateful=True)]),
        elman.Sequential([layers.LSTM(2, batch_input_shape=(4, 3, 1), stateful=True)]),
        elman.Sequential([x, layers.LSTM(2, stateful=True)]),
        elman.Model(x, layers.LSTM(2, stateful=True)(x)),
    ):
        assert model.input_shape == (4, 3, 1)
        assert model.output_shape == (4, 2)


@BOTH
def test_m4_states_go_on_from_batch_to_batch(functional):
    model = stateful(functional)
    np.testing.assert_allclose(model.predict(COLUMN, 2, verbose=0)[:, 0], [1, 2, 3.5, 5])
    np.testing.assert_allclose(np.ravel(recurrent_layer(model).states), [3.5, 5])
    np.testing.assert_allclose(model.predict(COLUMN, verbose=0)[:, 0], [2.75, 4.5, 4.375, 6.25])
    model.reset_states()
    np.testing.assert_allclose(model.predict(COLUMN, verbose=0)[:, 0], [1, 2, 3.5, 5])
    model.compile("sgd", "mse")
    for call in (
        lambda: model.predict(COLUMN[:3], verbose=0),
        lambda: model.evaluate(COLUMN[:3], COLUMN[:3, 0], verbose=0),
        lambda: model.fit(COLUMN[:3], COLUMN[:3, 0], shuffle=False, verbose=0),
    ):
        with pytest.raises(ValueError, match=r"multiple of batch_size=2 .* got 3"):
            call()


@BOTH
def test_m5_order_of_the_samples(functional):
    """A learning rate of 0 and the final states show the order of the batches."""
    model = stateful(functional)
    model.compile(elman.optimizers.SGD(0.0), "mse")
    model.fit(COLUMN, COLUMN[:, 0], shuffle=False, verbose=0)
    np.testing.assert_allclose(np.ravel(recurrent_layer(model).states), [3.5, 5])
    model.reset_states()
    model.fit(COLUMN, COLUMN[:, 0], shuffle=False, epochs=2, verbose=0)
    np.testing.assert_allclose(np.ravel(recurrent_layer(model).states), [4.375, 6.25])

    seen = []

    class Noted(layers.Layer):
        def call(self, x):
            seen.append(np.ravel(x.numpy()).tolist())
            return x

    x = elman.Input((1,))
    noted = elman.Model(x, layers.Dense(1)(Noted()(x)))
    seen.clear()
    noted.compile(elman.optimizers.SGD(0.0), "mse")
    data = np.arange(11.0)
    noted.fit(data, data, batch_size=4, epochs=3, verbose=0)
    epochs = [[v for batch in seen[k : k + 3] for v in batch] for k in (0, 3, 6)]
    assert [len(batch) for batch in seen] == [4, 4, 3] * 3
    assert all(sorted(epoch) == data.tolist() for epoch in epochs)
    assert len({tuple(epoch) for epoch in [*epochs, data.tolist()]}) == 4


@pytest.mark.parametrize("suffix", [".safetensors", ".npz", ".h5", ".weights.h5"])
@BOTH
def test_m6_weights_in_a_file(functional, suffix, tmp_path):
    """Another model of equal order takes the weights, whatever its layers are called."""

    def made(units, name):
        parts = [layers.LSTM(units, name=name, return_sequences=True), layers.Dense(2)]
        if not functional:
            return elman.Sequential([elman.Input((None, 3)), *parts])
        x = elman.Input((None, 3))
        return elman.Model(x, layers.concatenate([x, parts[1](parts[0](x))]))

    x = np.random.default_rng(1).normal(size=(2, 5, 3)).astype("float32")
    model, other = made(4, "one"), made(4, "another")
    model.save_weights(tmp_path / f"w{suffix}")
    assert np.abs(np.asarray(other(x)) - np.asarray(model(x))).max() > 1e-3
    other.load_weights(tmp_path / f"w{suffix}")
    np.testing.assert_array_equal(other(x), model(x))
    with pytest.raises(ValueError, match="expected shape"):
        made(5, "one").load_weights(tmp_path / f"w{suffix}")
    small = elman.Sequential([layers.LSTM(4, input_shape=(None, 3))])
    text = "1 layers with weights .*, got 2" if suffix == ".h5" else "left over in the file"
    with pytest.raises(ValueError, match=text):
        small.load_weights(tmp_path / f"w{suffix}")
