# SPDX-License-Identifier: Apache-2.0
"""Recurrent layers behind an embedding, whose equal rows are multiplied once."""

from __future__ import annotations

import numpy as np
import pytest

import elman
from elman import layers
from elman._backend import core

WORDS, WIDTH, UNITS = 50, 40, 13
SHAPES = [(16, 20), (2, 60)]
MAKERS = {
    "simple_rnn": lambda **k: layers.SimpleRNN(UNITS, **k),
    "gru": lambda **k: layers.GRU(UNITS, reset_after=False, **k),
    "gru_reset_after": lambda **k: layers.GRU(UNITS, **k),
    "lstm": lambda **k: layers.LSTM(UNITS, **k),
    "both_directions": lambda **k: layers.Bidirectional(layers.LSTM(UNITS, **k)),
}


def words(shape, low=0):
    return np.random.default_rng(7).integers(low, WORDS, shape)


def unknown(x):
    """The same values, of which nothing is known."""
    return elman.Tensor(x.numpy())


def close(got, wanted, terms):
    """Sums of so many terms in another order."""
    wanted = wanted.numpy() if hasattr(wanted, "numpy") else wanted
    bound = terms * np.finfo(np.float32).eps * max(1.0, float(np.abs(wanted).max()))
    np.testing.assert_allclose(got.numpy(), wanted, rtol=0, atol=bound)


def by_word(ids, gradient):
    out = np.zeros((WORDS, WIDTH))
    np.add.at(out, ids.reshape(-1), gradient.numpy().reshape(-1, WIDTH))
    return out


@pytest.mark.parametrize("masked", [False, True])
@pytest.mark.parametrize("shape", SHAPES, ids=str)
@pytest.mark.parametrize("name", MAKERS)
def test_values_and_gradients_are_those_of_any_other_input(name, shape, masked):
    ids = words(shape)
    table = layers.Embedding(WORDS, WIDTH, mask_zero=masked)
    layer = MAKERS[name](return_sequences=True)
    mask = table.compute_mask(elman.Tensor(ids)) if masked else None
    x = unknown(table(ids))
    with elman.GradientTape() as tape:
        tape.watch(x)
        expected = layer(x, mask=mask, training=True)
    weights = layer.trainable_weights
    d_out = elman.Tensor(
        np.random.default_rng(8).standard_normal(expected.shape).astype(np.float32)
    )
    wanted = tape.gradient(expected, [x, *weights], output_gradients=d_out)

    np.testing.assert_array_equal(layer(table(ids)), expected)
    with elman.GradientTape(persistent=True) as tape:
        embedded = table(ids)
        out = layer(embedded, training=True)
    np.testing.assert_array_equal(out, expected)
    got = tape.gradient(out, [table.embeddings, *weights], output_gradients=d_out)
    close(got[0], by_word(ids, wanted[0]), ids.size)
    for gradient, other in zip(got[1:], wanted[1:], strict=True):
        close(gradient, other, ids.size)
    # Where they are asked for, the gradients of single positions.
    d_x, d_table = tape.gradient(out, [embedded, table.embeddings], output_gradients=d_out)
    np.testing.assert_array_equal(d_x, wanted[0])
    close(d_table, by_word(ids, wanted[0]), ids.size)


def test_others_that_read_the_same_rows():
    ids = words((16, 20))
    table, lstm, dense = layers.Embedding(WORDS, WIDTH), layers.LSTM(UNITS), layers.Dense(3)

    def gradients(embed):
        with elman.GradientTape() as tape:
            x = embed(ids)
            total = core.sum(lstm(x, training=True)) + core.sum(dense(x) * dense(x))
        return x, tape.gradient(total, [table.embeddings, *lstm.trainable_weights])

    _, got = gradients(table)
    _, wanted = gradients(lambda i: table(i) * 1.0)
    for gradient, other in zip(got, wanted, strict=True):
        close(gradient, other, ids.size)


def test_numbers_that_change_after_the_look_up():
    ids = words((16, 20))
    table, layer = layers.Embedding(WORDS, WIDTH), layers.LSTM(UNITS)
    before = ids.copy()
    x = table(ids)
    ids[:] = 0
    np.testing.assert_array_equal(layer(x), layer(unknown(table(before))))


@pytest.mark.parametrize("options", [{"dropout": 0.5}, {"recurrent_dropout": 0.5}], ids=str)
def test_dropout(options):
    ids = words((16, 20))
    table, layer = layers.Embedding(WORDS, WIDTH), layers.LSTM(UNITS, **options)
    layer(table(ids))
    outputs = []
    for embed in (table, lambda i: unknown(table(i))):
        elman.utils.set_random_seed(3)
        outputs.append(layer(embed(ids), training=True).numpy())
    np.testing.assert_array_equal(*outputs)


def test_one_word_of_nan_reaches_the_rows_that_have_it():
    ids = words((16, 20), low=1)
    ids[3, 5] = 0
    table, layer = layers.Embedding(WORDS, WIDTH), layers.LSTM(UNITS, return_sequences=True)
    table(ids)
    values = table.embeddings.numpy().copy()
    values[0] = np.nan
    table.embeddings.assign(values)
    nan = np.isnan(layer(table(ids)).numpy()).any(axis=-1)
    assert nan[3, 5:].all()
    assert nan.sum() == 15


def test_fit_is_the_same_at_any_thread_count():
    ids = words((64, 20))
    labels = np.random.default_rng(9).integers(0, 2, 64)

    def fit(threads):
        elman.set_num_threads(threads)
        elman.utils.set_random_seed(1)
        model = elman.Sequential(
            [layers.Embedding(WORDS, WIDTH, mask_zero=True), layers.GRU(UNITS), layers.Dense(1)]
        )
        model.compile("adam", "mse")
        model.fit(ids, labels, epochs=2, batch_size=16, verbose=0)
        return model.get_weights()

    before = elman.get_num_threads()
    try:
        for one, many in zip(fit(1), fit(3), strict=True):
            np.testing.assert_array_equal(one, many)
    finally:
        elman.set_num_threads(before)


def test_explain_counts_the_rows_that_are_multiplied():
    ids = words((16, 20))
    count = np.unique(ids).size
    table, layer = layers.Embedding(WORDS, WIDTH), layers.LSTM(UNITS, dropout=0.1)
    x = table(ids)
    layer(x)
    text, of_shape = layer.explain(x), layer.explain(x.shape)
    assert f"{count} of 320 rows of x are different" in text
    assert "of 320 rows" not in of_shape
    assert "of 320 rows" not in layer.explain(x, training=True)  # dropout makes them differ
    flops = [float(t.split("MFLOP")[0].split(";")[-1]) for t in (text, of_shape)]
    saved = 2 * (320 - count) * WIDTH * 4 * UNITS / 1e6
    assert flops[1] - flops[0] == pytest.approx(saved, abs=0.02)
    stack = layers.RNN([layers.LSTMCell(UNITS), layers.GRUCell(UNITS)])
    stack(x)
    assert stack.explain(x).count("of 320 rows") == 1
