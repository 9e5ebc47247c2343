# SPDX-License-Identifier: Apache-2.0
"""Cells of the user, written from the equations, do over a sequence what the built-in ones do."""

from __future__ import annotations

import itertools

import numpy as np
import pytest

import elman
from elman.layers import GRU, LSTM, RNN, Bidirectional, ConvLSTM1D, Layer, SimpleRNN
from problems import random_mask
from tolerance import assert_close, tolerance

K = elman.backend
N, T, F, H = 5, 7, 3, 4
MASKS = ("none", "right", "left", "holes", "empty_rows", "all", "lengths")


class Own(Layer):
    """Kernels and a bias; a subclass has `gates` of them and the equations."""

    gates, states = 1, 1

    def __init__(self, units, **kwargs):
        self.units = units
        self.state_size = units if self.states == 1 else [units] * self.states
        super().__init__(**kwargs)

    def build(self, input_shape):
        width = self.gates * self.units
        self.kernel = self.add_weight("kernel", (input_shape[-1], width))
        self.recurrent = self.add_weight("recurrent", (self.units, width))
        self.bias = self.add_weight("bias", self.bias_shape(width))

    def bias_shape(self, width):
        return (width,)

    def blocks(self, value):
        return [value[..., g * self.units : (g + 1) * self.units] for g in range(self.gates)]


class OwnSimpleRNN(Own):
    def call(self, inputs, states):
        h = K.tanh(K.dot(inputs, self.kernel) + self.bias + K.dot(states[0], self.recurrent))
        return h, h  # a bare new state


class OwnGRU(Own):
    gates = 3

    def bias_shape(self, width):
        return (2, width)

    def call(self, inputs, states):
        (h,) = states
        xz, xr, xh = self.blocks(K.dot(inputs, self.kernel) + self.bias[0])
        hz, hr, hh = self.blocks(K.dot(h, self.recurrent) + self.bias[1])
        z, r = K.sigmoid(xz + hz), K.sigmoid(xr + hr)
        h = z * h + (1.0 - z) * K.tanh(xh + r * hh)
        return h, [h]


class OwnGRUBefore(Own):
    gates = 3

    def call(self, inputs, states):
        (h,) = states
        xz, xr, xh = self.blocks(K.dot(inputs, self.kernel) + self.bias)
        uz, ur, uh = self.blocks(self.recurrent)
        z, r = K.sigmoid(xz + K.dot(h, uz)), K.sigmoid(xr + K.dot(h, ur))
        h = z * h + (1.0 - z) * K.tanh(xh + K.dot(r * h, uh))
        return h, [h]


class OwnLSTM(Own):
    gates, states = 4, 2

    def call(self, inputs, states, training=None):
        h, c = states
        z = K.dot(inputs, self.kernel) + K.dot(h, self.recurrent) + self.bias
        i, f, g, o = self.blocks(z)
        c = K.sigmoid(f) * c + K.sigmoid(i) * K.tanh(g)
        h = K.sigmoid(o) * K.tanh(c)
        return h, (h, c)


PAIRS = {
    "SimpleRNN": (SimpleRNN, OwnSimpleRNN, {}),
    "GRU": (GRU, OwnGRU, {}),
    "GRU reset before": (GRU, OwnGRUBefore, {"reset_after": False}),
    "LSTM": (LSTM, OwnLSTM, {}),
}
every_pair = pytest.mark.parametrize("name", PAIRS)


def pair(name, rng, wrap=lambda layer: layer, **flags):
    """The layer, RNN around the user's cell with the same weights, and the number of states."""
    cls, own, options = PAIRS[name]
    built_in = wrap(cls(H, dtype="float64", **options, **flags))
    mine = wrap(RNN(own(H, dtype="float64"), dtype="float64", **flags))
    for layer in (built_in, mine):
        layer.build((N if flags.get("stateful") else None, None, F))
    weights = [rng.uniform(-0.8, 0.8, w.shape) for w in built_in.weights]
    built_in.set_weights(weights)
    mine.set_weights(weights)
    return built_in, mine, own.states


def steps_of(rng, mask, resets):
    """A mask or lengths and a reset mask as arguments, and the used steps."""
    given, used = {}, np.ones((N, T), bool)
    if mask == "lengths":
        given["lengths"] = rng.permutation(np.linspace(0, T, N).astype(int))
        used = np.arange(T) < given["lengths"][:, None]
    elif mask != "none":
        given["mask"] = used = random_mask(rng, mask, N, T)
    if resets:
        given["reset_mask"] = rng.random((N, T)) < 0.3
    return given, used


def run(layer, x, states, given):
    """Outputs, and the gradients of a weighted sum of all of them."""
    sources = [elman.Variable(x), *map(elman.Variable, states)]
    with elman.GradientTape() as tape:
        outputs = layer(sources[0], initial_state=sources[1:] or None, **given)
        outputs = outputs if isinstance(outputs, list) else [outputs]
        rng = np.random.default_rng(9)
        loss = sum(K.sum(out * rng.uniform(-1, 1, out.shape)) for out in outputs)
    found = tape.gradient(loss, [*sources, *layer.weights])
    zeros = [np.zeros(s.shape) for s in [*sources, *layer.weights]]
    return outputs, [z if g is None else np.asarray(g) for g, z in zip(found, zeros, strict=True)]


def compare(built_in, mine, x, states, given):
    results = [run(layer, x, states, given) for layer in (mine, built_in)]
    terms = F + H + 2, N * T * (F + H)  # of an output, of a weight's gradient
    for got, want, count in zip(*results, terms, strict=True):
        for a, b in zip(got, want, strict=True):
            scale = float(np.abs(np.asarray(b)).max(initial=0.0))
            # c: both sides err, and a state reaches several outputs
            assert_close(a, b, tolerance("float64", count, T, scale, c=8), built_in.name)


@every_pair
@pytest.mark.parametrize("mask", MASKS)
def test_random_calls(name, mask):
    """Every direction x resets x initial state, the flags of the result in turn."""
    flags = itertools.product((False, True), repeat=3)
    for k, (back, resets, given_states) in enumerate(flags):
        rng = np.random.default_rng([k, MASKS.index(mask)])
        built_in, mine, count = pair(
            name,
            rng,
            go_backwards=back,
            return_sequences=k % 3 != 1,
            return_state=k % 2 == 0,
            return_state_sequences=k % 4 != 3,
            zero_output_for_mask=k % 5 in (1, 3),
        )
        given, used = steps_of(rng, mask, resets)
        x = np.where(used[..., None], rng.uniform(-1, 1, (N, T, F)), np.nan)
        states = [rng.uniform(-1, 1, (N, H)) for _ in range(count * given_states)]
        compare(built_in, mine, x, states, given)


@every_pair
@pytest.mark.parametrize("mask", MASKS)
def test_both_directions(name, mask):
    for k, resets in enumerate((False, True)):
        rng = np.random.default_rng([k, MASKS.index(mask)])
        flags = {"return_sequences": k == 1, "return_state": True, "return_state_sequences": True}
        built_in, mine, count = pair(name, rng, Bidirectional, **flags)
        given, used = steps_of(rng, mask, resets)
        x = np.where(used[..., None], rng.uniform(-1, 1, (N, T, F)), np.nan)
        compare(built_in, mine, x, [rng.uniform(-1, 1, (N, H)) for _ in range(2 * count)], given)


@every_pair
def test_stateful_calls(name):
    """Call after call with other masks, lengths and resets: the carried states stay equal."""
    for back in (False, True):
        rng = np.random.default_rng(back)
        built_in, mine, _ = pair(name, rng, stateful=True, go_backwards=back, return_sequences=True)
        for mask, resets in itertools.product(MASKS, (False, True)):
            given, used = steps_of(rng, mask, resets)
            x = np.where(used[..., None], rng.uniform(-1, 1, (N, T, F)), np.nan)
            compare(built_in, mine, x, [], given)
            for a, b in zip(mine.states, built_in.states, strict=True):
                assert_close(a, np.asarray(b), tolerance("float64", F + H + 2, 20 * T), mask)


@every_pair
def test_training_takes_the_same_steps(name):
    """An optimizer sees the same gradients: after five steps the weights still agree."""
    rng = np.random.default_rng(4)
    built_in, mine, _ = pair(name, rng, return_state_sequences=True)
    given, used = steps_of(rng, "lengths", True)
    x = np.where(used[..., None], rng.uniform(-1, 1, (N, T, F)), np.nan)
    start = [np.asarray(w) for w in mine.weights]
    for layer in (built_in, mine):
        optimizer = elman.optimizers.SGD(0.1)
        for _ in range(5):
            with elman.GradientTape() as tape:
                output, *states = layer(x, **given)
                loss = K.mean(K.square(output - 0.3)) + K.mean(K.square(states[-1]))
            optimizer.apply_gradients(
                zip(tape.gradient(loss, layer.weights), layer.weights, strict=True)
            )
    for a, b, old in zip(mine.weights, built_in.weights, start, strict=True):
        assert_close(a, np.asarray(b), 5 * tolerance("float64", N * T * (F + H), T), name)
        assert np.abs(np.asarray(a) - old).max() > 1e-3


class OwnConvLSTM(Layer):
    """Lines of pixels, by the backend's products of shifted inputs; 3 taps, 'same' padding."""

    def __init__(self, filters, size, **kwargs):
        self.filters, self.state_size = filters, [(size, filters), (size, filters)]
        super().__init__(**kwargs)

    def build(self, input_shape):
        width = 4 * self.filters
        self.kernel = self.add_weight("kernel", (3, input_shape[-1], width))
        self.recurrent = self.add_weight("recurrent", (3, self.filters, width))
        self.bias = self.add_weight("bias", (width,))

    def convolve(self, x, kernel):
        size, zeros = x.shape[1], K.zeros_like(x[:, :1])
        padded = K.concatenate([zeros, x, zeros], 1)
        return sum(K.dot(padded[:, k : k + size], kernel[k]) for k in range(3))

    def call(self, inputs, states):
        h, c = states
        z = self.convolve(inputs, self.kernel) + self.convolve(h, self.recurrent) + self.bias
        i, f, g, o = (z[..., k * self.filters : (k + 1) * self.filters] for k in range(4))
        c = K.hard_sigmoid(f) * c + K.hard_sigmoid(i) * K.tanh(g)
        h = K.hard_sigmoid(o) * K.tanh(c)
        return h, [h, c]


@pytest.mark.parametrize("mask", MASKS)
def test_a_cell_on_images(mask):
    size, filters = 6, 2
    for k, (back, resets) in enumerate(itertools.product((False, True), repeat=2)):
        rng = np.random.default_rng([k, MASKS.index(mask)])
        flags = {
            "go_backwards": back, "return_sequences": k != 1, "return_state": True,
            "return_state_sequences": True, "dtype": "float64",
        }  # fmt: skip
        layer = ConvLSTM1D(filters, 3, padding="same", **flags)
        mine = RNN(OwnConvLSTM(filters, size, dtype="float64"), **flags)
        x, states = rng.uniform(-1, 1, (N, T, size, F)), rng.uniform(-1, 1, (2, N, size, filters))
        layer(x), mine(x)
        mine.set_weights([rng.uniform(-0.4, 0.4, w.shape) for w in layer.weights])
        layer.set_weights(mine.get_weights())
        given, used = steps_of(rng, mask, resets)
        x = np.where(used[..., None, None], x, np.nan)
        results = []
        for one in (mine, layer):
            value = elman.Variable(x)
            with elman.GradientTape() as tape:
                outputs = one(value, initial_state=list(states), **given)
                loss = sum(K.sum(K.square(out)) for out in outputs)
            results.append([*outputs, *tape.gradient(loss, [value, *one.weights])])
        for a, b in zip(*results, strict=True):
            scale = float(np.abs(np.asarray(b)).max(initial=0.0))
            assert_close(
                a, b, tolerance("float64", 3 * (F + filters) * N, T * size, 4 * scale), mask
            )
