# SPDX-License-Identifier: Apache-2.0
"""CuDNNGRU and CuDNNLSTM: published numbers, both layouts, gradients in the stored one."""

from __future__ import annotations

import numpy as np
import pytest

import elman
from acceptance import F, close
from elman.layers import GRU, LSTM, Bidirectional, CuDNNGRU, CuDNNLSTM, TimeDistributed, _layouts

K = elman.backend
X = F((2, 3, 3), 1)
PAIRS = {"lstm": (CuDNNLSTM, LSTM), "gru_reset_after": (CuDNNGRU, GRU)}
GATES = {"lstm": 4, "gru_reset_after": 3}


def stored_weights(kind, features=3, units=2, seed=None):
    g = GATES[kind]
    shapes = (features, g * units), (units, g * units), (2 * g * units,)
    if seed is None:
        return [F(shape, 2 + k) for k, shape in enumerate(shapes)]
    rng = np.random.default_rng(seed)
    return [rng.normal(size=shape) * 0.5 for shape in shapes]


def plain_weights(weights, kind):
    """The conversion as loops over the elements: block k is the matrix that its memory holds."""
    kernel, recurrent, bias = weights
    g, (features, units) = GATES[kind], (kernel.shape[0], recurrent.shape[0])
    new_kernel, new_recurrent = np.empty_like(kernel), np.empty_like(recurrent)
    for k in range(g):
        block = kernel[:, k * units : (k + 1) * units]
        memory = [block[i, j] for i in range(features) for j in range(units)]
        for row in range(units):
            for column in range(features):
                new_kernel[column, k * units + row] = memory[row * features + column]
        for i in range(units):
            for j in range(units):
                new_recurrent[i, k * units + j] = recurrent[j, k * units + i]
    halves = bias[: g * units], bias[g * units :]
    return [new_kernel, new_recurrent, halves[0] + halves[1] if g == 4 else np.stack(halves)]


def made(cls, weights, **kwargs):
    layer = cls(weights[1].shape[0], **kwargs)
    layer.build((None, None, weights[0].shape[0]))
    layer.set_weights(weights)
    return layer


def test_blocks():
    plain = np.arange(6.0).reshape(2, 3)
    stored = _layouts.kernel_to_stored(elman.Tensor(plain), 1)
    close(stored, [[0, 3, 1], [4, 2, 5]])
    close(_layouts.kernel_to_plain(stored, 1), plain)


def test_published_gru():
    layer = made(CuDNNGRU, stored_weights("gru_reset_after"))
    close(layer(X), [[0.359659, -0.281582], [-0.023991, -0.289215]])
    close(made(GRU, stored_weights("gru_reset_after"))(X), layer(X))
    kernel, recurrent, bias = stored_weights("gru_reset_after")
    raw = made(GRU, [kernel, recurrent, bias.reshape(2, 6)])
    close(raw(X), [[0.407934, -0.401812], [0.032933, -0.272276]])


def test_published_lstm():
    layer = made(CuDNNLSTM, stored_weights("lstm"), return_state=True)
    output, h, c = layer(X)
    close(output, [[0.155952, -0.244922], [0.131928, -0.139719]])
    np.testing.assert_array_equal(output, h)
    close(c, [[0.330011, -0.402448], [0.269078, -0.247253]])


@pytest.mark.parametrize("kind", PAIRS)
def test_conversion_against_loops(kind):
    for features, units in ((5, 3), (3, 5), (1, 7), (7, 1)):
        weights = stored_weights(kind, features, units, seed=1)
        tensors = [elman.Tensor(w) for w in weights]
        plain = _layouts.to_plain(tensors, kind)
        for a, b in zip(plain, plain_weights(weights, kind), strict=True):
            np.testing.assert_array_equal(a, b)
        back = _layouts.to_stored(plain, kind)
        for a, b in zip(back[:2], weights[:2], strict=True):
            np.testing.assert_array_equal(a, b)
        if kind == "lstm":
            halves = np.asarray(back[2]).reshape(2, -1)
            np.testing.assert_array_equal(halves[0], halves[1])
            np.testing.assert_array_equal(halves.sum(0), np.asarray(plain[2]))
        else:
            np.testing.assert_array_equal(back[2], weights[2])


@pytest.mark.parametrize("kind", PAIRS)
@pytest.mark.parametrize("flags", [{}, {"return_sequences": True}, {"go_backwards": True}])
def test_the_arithmetic_is_that_of_the_plain_layer(kind, flags):
    stored, plain = PAIRS[kind]
    weights = stored_weights(kind, 5, 3, seed=2)
    x = np.random.default_rng(3).normal(size=(2, 7, 5))
    one, other = (made(c, weights, dtype="float64", **flags) for c in (stored, plain))
    np.testing.assert_array_equal(one(x), other(x))
    for a, b in zip(one.get_weights(), weights, strict=True):
        np.testing.assert_array_equal(a, b)
    back = made(stored, other.get_weights(), dtype="float64", **flags)
    np.testing.assert_allclose(back(x), one(x), rtol=0, atol=1e-15)


@pytest.mark.parametrize("kind", PAIRS)
def test_gradients_arrive_in_the_stored_layout(kind):
    layer = made(PAIRS[kind][0], stored_weights(kind, 5, 3, seed=4), dtype="float64")
    x = np.random.default_rng(5).normal(size=(2, 7, 5))
    source, p = elman.Variable(x), np.random.default_rng(6).normal(size=(2, 3))
    with elman.GradientTape() as tape:
        loss = K.sum(layer(source) * p)
    found = tape.gradient(loss, [source, *layer.weights])
    values = [x, *layer.get_weights()]
    for k, gradient in enumerate(found):
        gradient = np.asarray(gradient)
        numeric = np.zeros(values[k].size)
        for element in range(numeric.size):
            ends = []
            for step in (1e-5, -1e-5):
                moved = [v.copy() for v in values]
                moved[k].reshape(-1)[element] += step
                layer.set_weights(moved[1:])
                ends.append(float((np.asarray(layer(moved[0])) * p).sum()))
            numeric[element] = (ends[0] - ends[1]) / 2e-5
        scale = max(1.0, np.abs(gradient).max())
        np.testing.assert_allclose(gradient.ravel(), numeric, rtol=0, atol=1e-7 * scale)
        layer.set_weights(values[1:])


def test_set_weights_converts_within_wrappers():
    for kind, (stored, plain) in PAIRS.items():
        weights = [*stored_weights(kind, 5, 3, seed=7), *stored_weights(kind, 5, 3, seed=8)]
        x = np.random.default_rng(9).normal(size=(2, 7, 5))
        one, other = (Bidirectional(c(3), dtype="float64") for c in (stored, plain))
        one(x), other(x)
        one.set_weights(weights), other.set_weights(weights)
        np.testing.assert_array_equal(one(x), other(x))
        deep = x.reshape(2, 7, 1, 5)
        one, other = (TimeDistributed(c(3), dtype="float64") for c in (stored, plain))
        one(deep), other(deep)
        one.set_weights(weights[:3]), other.set_weights(weights[:3])
        np.testing.assert_array_equal(one(deep), other(deep))
        cell = plain(3).cell
        cell.build((None, 5))
        cell.set_weights(weights[:3])


def test_weights_that_do_not_fit():
    stored = stored_weights("gru_reset_after")
    before = GRU(2, reset_after=False)
    before.build((None, None, 3))
    text = (
        r"\[GRU.set_weights\] weights: expected those of GRU\(reset_after=False\), got those of Cu"
    )
    with pytest.raises(ValueError, match=text):
        before.set_weights(stored)
    layer = CuDNNGRU(2)
    layer.build((None, None, 3))
    with pytest.raises(
        ValueError, match=r"expected those of CuDNNGRU, got those of GRU\(reset_after"
    ):
        layer.set_weights(before.get_weights())
    for target in (layer, before, made(LSTM, stored_weights("lstm"))):
        kept = target.get_weights()
        with pytest.raises(ValueError, match=r"invalid bias shape: expected .*, got \(5,\)"):
            target.set_weights([*kept[:2], np.zeros(5)])
        for a, b in zip(kept, target.get_weights(), strict=True):
            np.testing.assert_array_equal(a, b)
    with pytest.raises(ValueError, match=r"weights\[0\]: expected \(3, 6\)"):
        layer.set_weights([np.zeros((4, 6)), *stored[1:]])
    plain = LSTM(2, use_bias=False)
    plain.build((None, None, 3))
    with pytest.raises(ValueError, match="expected 2 arrays, got 3"):
        plain.set_weights(stored_weights("lstm"))


def test_masks_are_refused():
    for cls in (CuDNNGRU, CuDNNLSTM):
        name = cls.__name__
        with pytest.raises(
            ValueError, match=rf"\[{name}.call\] mask: not supported; {name[5:]} take"
        ):
            cls(2)(X, mask=np.ones((2, 3), bool))
        with pytest.raises(ValueError, match=rf"\[{name}.call\] lengths: not supported"):
            cls(2)(X, lengths=np.array([1, 2]))
        model = elman.Sequential([elman.layers.Embedding(5, 3, mask_zero=True), cls(2)])
        with pytest.raises(ValueError, match="mask: not supported"):
            model(np.ones((2, 3)))


def test_start_of_the_bias():
    layer = CuDNNLSTM(2, bias_initializer="zeros")
    layer(X)
    assert np.flatnonzero(layer.get_weights()[2]).tolist() == [10, 11]
    assert layer.get_weights()[2].max() == 1
    plain = CuDNNLSTM(2, unit_forget_bias=False)
    plain(X)
    assert not plain.get_weights()[2].any()
    assert CuDNNGRU(3, weights=stored_weights("gru_reset_after", 3, 3))(X).shape == (2, 3)
    assert (layer.count_params(), layer.name[:9]) == (3 * 8 + 2 * 8 + 16, "cu_dnnlst")


def test_states_and_training():
    layer = CuDNNGRU(2, stateful=True, batch_input_shape=(2, 3, 3))
    first = np.asarray(layer(X))
    np.testing.assert_array_equal(layer.states[0], first)
    assert (np.asarray(layer(X)) != first).any()
    layer.reset_states()
    np.testing.assert_array_equal(layer(X), first)
    with pytest.raises(TypeError, match=r"\[CuDNNGRU\] unknown argument 'dropout'"):
        CuDNNGRU(2, dropout=0.5)
    elman.utils.set_random_seed(1)
    rng = np.random.default_rng(0)
    x = rng.normal(size=(64, 5, 3)).astype("float32")
    model = elman.Sequential([CuDNNLSTM(8, input_shape=(5, 3)), elman.layers.Dense(1)])
    model.compile(elman.optimizers.Adam(0.03), "mse")
    history = model.fit(x, x[:, 2, 0], epochs=25, verbose=0).history["loss"]
    assert history[-1] < history[0] / 3
    assert "converted from the CuDNN layout" in model.layers[0].explain(x)
    with pytest.raises(ValueError, match=r"LSTM.set_weights takes its weights"):
        model.stream()


def test_streams_skip_noise():
    model = elman.Sequential([LSTM(4, input_shape=(None, 3), return_sequences=True)])
    model.add(elman.layers.GaussianNoise(0.5))
    model.add(elman.layers.SpatialDropout1D(0.5))
    x = X[:1].astype("float32")
    stream = model.stream()
    steps = [stream.step(x[:, t]) for t in range(3)]
    np.testing.assert_array_equal(np.stack(steps, 1), model.predict(x, verbose=0))
