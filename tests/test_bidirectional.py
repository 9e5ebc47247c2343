# SPDX-License-Identifier: Apache-2.0
"""Bidirectional: both directions at once are each of them alone, put together."""

from __future__ import annotations

import json

import numpy as np
import pytest

import elman
from acceptance import F
from elman.layers import GRU, LSTM, RNN, Bidirectional, Dense, Embedding, LSTMCell, SimpleRNN
from test_determinism import same_with_all_threads

K = elman.backend
X = F((2, 5, 3), 1)
MASKS = {
    "right": [[1, 1, 1, 0, 0], [1, 1, 1, 1, 1]],
    "left": [[0, 0, 1, 1, 1], [0, 1, 1, 1, 1]],
    "holes": [[1, 0, 1, 1, 0], [0, 1, 0, 0, 1]],
    "empty": [[0, 0, 0, 0, 0], [1, 0, 1, 0, 1]],
}
MERGES = {
    "concat": lambda y, z: np.concatenate([y, z], -1),
    "sum": lambda y, z: y + z,
    "mul": lambda y, z: y * z,
    "ave": lambda y, z: (y + z) / 2,
}


class Counter:
    """A cell that is plain Python: adds up, with constants."""

    state_size = 3

    def call(self, inputs, states, constants=None):
        total = inputs + states[0] * 0.5
        total = total if constants is None else total + constants[0]
        return total, [total]


def alone(layer, x, **kwargs):
    """Both layers called one by one, outputs in the order of time."""
    forward, backward = layer.forward_layer(x, **kwargs), layer.backward_layer(x, **kwargs)
    outs = [f[0] if layer.return_state else f for f in (forward, backward)]
    y, z = map(np.asarray, outs)
    return y, z[:, ::-1] if layer.return_sequences else z


@pytest.mark.parametrize("merge", MERGES)
@pytest.mark.parametrize("mask", MASKS)
def test_it_is_both_layers(mask, merge):
    mask = np.array(MASKS[mask], bool)
    for many in (False, True):
        layer = Bidirectional(LSTM(4, return_sequences=many, dtype="float64"), merge)
        got = layer(np.where(mask[..., None], X, np.nan), mask=mask)
        expected = MERGES[merge](*alone(layer, X, mask=mask))
        np.testing.assert_allclose(got, expected, rtol=0, atol=1e-15)
        assert tuple(got.shape) == layer.compute_output_shape(X.shape)
        if many:
            zeros = np.asarray(got)[~mask]
            np.testing.assert_array_equal(zeros, np.zeros_like(zeros))
            np.testing.assert_array_equal(got._keras_mask, mask)
        else:
            assert getattr(got, "_keras_mask", None) is None


@pytest.mark.parametrize("mask", MASKS)
def test_a_mask_is_a_shorter_sequence(mask):
    mask = np.array(MASKS[mask], bool)
    layer = Bidirectional(GRU(4, return_state=True, dtype="float64"))
    whole = layer(X, mask=mask)
    for row in range(2):
        short = layer(X[row : row + 1, mask[row]])
        for a, b in zip(whole, short, strict=True):
            np.testing.assert_allclose(np.asarray(a)[row], np.asarray(b)[0], rtol=0, atol=1e-15)


@pytest.mark.parametrize("merge", [*MERGES, None])
def test_lengths_are_a_mask(merge):
    lengths, steps = np.array([3, 5]), np.arange(5)
    mask = steps < lengths[:, None]
    layer = Bidirectional(LSTM(4, return_sequences=True, dtype="float64"), merge)
    got, expected = layer(X, lengths=lengths), layer(X, mask=mask)
    pairs = zip(got, expected, strict=True) if merge is None else [(got, expected)]
    for a, b in pairs:
        np.testing.assert_allclose(a, b, rtol=0, atol=1e-15)
        np.testing.assert_array_equal(a._keras_mask, mask)
    with pytest.raises(ValueError, match="expected either mask or lengths, got both"):
        layer(X, lengths=lengths, mask=mask)


def test_reading_backwards_swaps_the_layers():
    layer = Bidirectional(LSTM(4, return_sequences=True, dtype="float64"))
    y = np.asarray(layer(X))
    layer.set_weights([*layer.get_weights()[3:], *layer.get_weights()[:3]])
    z = np.asarray(layer(np.ascontiguousarray(X[:, ::-1])))[:, ::-1]
    swapped = np.concatenate([z[..., 4:], z[..., :4]], -1)
    np.testing.assert_allclose(y, swapped, rtol=0, atol=1e-15)


def test_an_inner_layer_that_reads_backwards():
    layer = Bidirectional(SimpleRNN(4, go_backwards=True))
    layer(X)
    assert (layer.forward_layer.go_backwards, layer.backward_layer.go_backwards) == (True, False)


def test_no_merging_and_states():
    layer = Bidirectional(LSTM(4, return_sequences=True, return_state=True), merge_mode=None)
    mask = np.array(MASKS["holes"], bool)
    y, z, *states = layer(X, mask=mask)
    assert [tuple(s.shape) for s in (y, z, *states)] == [(2, 5, 4)] * 2 + [(2, 4)] * 4
    expected = [*layer.forward_layer(X, mask=mask)[1:], *layer.backward_layer(X, mask=mask)[1:]]
    for a, b in zip(states, expected, strict=True):
        np.testing.assert_array_equal(a, b)
    np.testing.assert_array_equal(y._keras_mask, z._keras_mask)
    assert layer.compute_output_shape((None, None, 3)) == [(None, None, 4)] * 2 + [(None, 4)] * 4
    assert layer.compute_mask(None, None) == [None] * 6
    outputs = layer(elman.Input((None, 3)))
    assert [o.shape for o in outputs] == [(None, None, 4)] * 2 + [(None, 4)] * 4


def test_initial_states():
    layer = Bidirectional(LSTM(4, dtype="float64"))
    states = [F((2, 4), k) for k in range(4)]
    got = layer(X, initial_state=states)
    expected = [
        layer.forward_layer(X, initial_state=states[:2]),
        layer.backward_layer(X, initial_state=states[2:]),
    ]
    np.testing.assert_array_equal(got, np.concatenate([np.asarray(e) for e in expected], -1))
    np.testing.assert_array_equal(got, layer(X, states))
    np.testing.assert_array_equal(got, layer([X, *states]))
    np.testing.assert_array_equal(got, layer(X, initial_state=[states[:2], states[2:]]))
    with pytest.raises(
        ValueError, match=r"\[Bidirectional.call\] initial_state: expected 4 states"
    ):
        layer(X, initial_state=states[:2])


def test_cells_of_the_user_and_constants():
    layer = Bidirectional(RNN(Counter(), return_sequences=True))
    x = np.ones((1, 3, 3), "float32")
    y = np.asarray(layer(x))[0]
    np.testing.assert_allclose(y[:, 0], [1, 1.5, 1.75])
    np.testing.assert_allclose(y[:, 3], [1.75, 1.5, 1])
    shifted = np.asarray(layer(x, constants=[np.float32(1)]))[0]
    np.testing.assert_allclose(shifted[:, 0], [2, 3, 3.5])
    np.testing.assert_allclose(shifted[:, 3], [3.5, 3, 2])
    with pytest.raises(ValueError, match="constants: expected a cell whose call takes constants"):
        Bidirectional(RNN(LSTMCell(2)))(X, constants=[np.float32(1)])
    stack = Bidirectional(RNN([LSTMCell(4), elman.layers.GRUCell(2)], return_state=True))
    assert [tuple(s.shape) for s in stack(X)] == [(2, 4), *[(2, 4), (2, 4), (2, 2)] * 2]


def test_stateful():
    layer = Bidirectional(GRU(4, stateful=True, dtype="float64"), batch_input_shape=(2, None, 3))
    assert layer.stateful
    first = np.asarray(layer(X))
    carried = [np.asarray(s) for s in layer.states]
    np.testing.assert_array_equal(np.concatenate(carried, -1), first)
    second = np.asarray(layer(X))
    plain = Bidirectional(GRU(4, dtype="float64"))
    plain(X)
    plain.set_weights(layer.get_weights())
    np.testing.assert_array_equal(second, plain(X, initial_state=carried))
    layer.reset_states()
    np.testing.assert_array_equal(layer(X), first)
    layer.reset_states(carried)
    np.testing.assert_array_equal(layer(X), second)
    layer.states = carried
    for bad in ([carried[0]], [carried[0], np.zeros((3, 4))]):
        with pytest.raises(ValueError, match="states"):
            layer.reset_states(bad)
        for a, b in zip(layer.states, carried, strict=True):
            np.testing.assert_array_equal(a, b)
    place = r"^\[Bidirectional\(GRU\).reset_states\] states"
    for bad, kind in ((np.zeros((3, 4)), ValueError), (np.array([["a"] * 4] * 2), TypeError)):
        with pytest.raises(kind, match=place):  # the forward half, which fits, is taken back
            layer.reset_states([carried[0] + 1, bad])
        for a, b in zip(layer.states, carried, strict=True):
            np.testing.assert_array_equal(a, b)
    np.testing.assert_array_equal(layer(X), second)
    with pytest.raises(AttributeError, match=r"\[Bidirectional.reset_states\] the layer is not st"):
        plain.reset_states()
    model = elman.Sequential([Bidirectional(LSTM(2, stateful=True, batch_input_shape=(2, 5, 3)))])
    x = X.astype("float32")
    once = model.predict(x, batch_size=2, verbose=0)
    assert (model.predict(x, batch_size=2, verbose=0) != once).any()
    model.reset_states()
    np.testing.assert_array_equal(model.predict(x, batch_size=2, verbose=0), once)


def test_weights_and_names():
    layer = Bidirectional(LSTM(4, name="lstm"), name="both")
    layer.build((None, None, 3))
    assert [layer.forward_layer.name, layer.backward_layer.name] == [
        "forward_lstm",
        "backward_lstm",
    ]
    assert layer.weights[3].path == "both/backward_lstm/lstm_cell/kernel"
    kernels = layer.get_weights()
    assert (kernels[0] != kernels[3]).any()
    again = Bidirectional(LSTM(4), "concat", kernels)
    again(X)
    for a, b in zip(kernels, again.get_weights(), strict=True):
        np.testing.assert_array_equal(a, b)
    trained = LSTM(4)
    trained(X)
    fresh = Bidirectional(trained)
    fresh(X)
    assert (fresh.get_weights()[0] != trained.get_weights()[0]).any()
    layer.trainable = False
    assert layer.trainable_weights == []


def test_config():
    for made in (
        Bidirectional(LSTM(4, return_sequences=True, name="inner"), "ave"),
        Bidirectional(GRU(4), backward_layer=LSTM(4, go_backwards=True)),
    ):
        made(X)
        config = json.loads(json.dumps(made.get_config()))
        again = Bidirectional.from_config(config)
        again(X)
        again.set_weights(made.get_weights())
        np.testing.assert_array_equal(made(X), again(X))
        assert again.get_config() == config
    assert config["weights"] is None


def test_a_model_with_padding():
    elman.utils.set_random_seed(3)
    inner = LSTM(8, return_sequences=True, dropout=0.2, recurrent_dropout=0.2)
    layers = [
        Embedding(7, 5, mask_zero=True),
        Bidirectional(inner),
        Bidirectional(GRU(4)),
        Dense(1),
    ]
    model = elman.Sequential(layers)
    rng = np.random.default_rng(1)
    x = rng.integers(1, 7, (64, 6))
    x[:, 4:][rng.random((64, 2)) < 0.5] = 0
    y = (x == 3).any(1).astype("float32")
    model.compile(elman.optimizers.Adam(0.02), "mse")
    history = model.fit(x, y, epochs=12, verbose=0).history["loss"]
    assert history[-1] < history[0] / 2


def test_dropout_follows_the_seed_at_any_number_of_threads():
    def compute():
        elman.utils.set_random_seed(5)
        layer = Bidirectional(LSTM(16, dropout=0.5, seed=3, return_sequences=True))
        x = elman.Variable(np.ones((31, 7, 5), "float32"))
        with elman.GradientTape() as tape:
            y = layer(x, training=True)
            loss = K.sum(y * y)
        return [y.numpy(), *(g.numpy() for g in tape.gradient(loss, [x, *layer.weights]))]

    same_with_all_threads(compute)


def test_both_directions_run_in_the_kernel():
    layer = Bidirectional(LSTM(4, dropout=0.5, return_sequences=True))
    layer(X)
    lines = layer.explain(X, training=True).splitlines()
    assert len([line for line in lines if "dropout in the kernel" in line]) == 2
    assert not any("step by step" in line for line in lines)


def test_errors():
    for bad, text in (
        (Dense(3), "expected a recurrent layer, got Dense"),
        (3, "expected a layer, got 3"),
        (LSTM, r"got the class LSTM; make an object of it: LSTM\(...\)"),
    ):
        with pytest.raises(ValueError, match=rf"\[Bidirectional\] layer: .*{text}"):
            Bidirectional(bad)
    with pytest.raises(ValueError, match="merge_mode: expected 'concat', 'sum', 'mul', 'ave' or N"):
        Bidirectional(LSTM(2), "max")
    with pytest.raises(ValueError, match="backward_layer: expected the other direction"):
        Bidirectional(LSTM(2), backward_layer=LSTM(2))
    with pytest.raises(
        ValueError, match="backward_layer: expected the flags of layer, got return_"
    ):
        Bidirectional(LSTM(2), backward_layer=LSTM(2, go_backwards=True, return_state=True))
    backwards = LSTM(2, go_backwards=True, return_state_sequences=True)
    with pytest.raises(ValueError, match="the flags of layer, got return_state_sequences=True"):
        Bidirectional(LSTM(2), backward_layer=backwards)
    layer = Bidirectional(LSTM(2))
    with pytest.raises(ValueError, match=r"x: expected \(N, T, F\), got \(2, 3\)"):
        layer(np.ones((2, 3)))
    layer(X)
    with pytest.raises(ValueError, match=r"x: expected \(N, T, 3\), got \(2, 5, 4\)"):
        layer(F((2, 5, 4), 1))
    with pytest.raises(
        TypeError, match=r"\[Bidirectional\] unknown argument 'merge'; .*merge_mode"
    ):
        Bidirectional(LSTM(2), merge="sum")
    with pytest.raises(
        ValueError, match=r"\[Bidirectional\] dtype: expected one type, got float64"
    ):
        Bidirectional(LSTM(2, dtype="float32"), dtype="float64")
