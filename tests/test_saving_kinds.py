# SPDX-License-Identifier: Apache-2.0
"""Files and lists of weights between layers that have the same weights in another form."""

from __future__ import annotations

import numpy as np
import pytest

import elman
from elman import layers, saving

X = np.random.default_rng(0).normal(size=(3, 7, 5))
RNN = layers.RNN
# What makes a layer of three units; all of one group compute the same from the same file.
GROUPS = {
    "lstm": [layers.LSTM, layers.CuDNNLSTM, lambda n, **k: RNN(layers.LSTMCell(n), **k)],
    "gru": [layers.GRU, layers.CuDNNGRU, lambda n, **k: RNN(layers.GRUCell(n), **k)],
    "simple_rnn": [layers.SimpleRNN, lambda n, **k: RNN(layers.SimpleRNNCell(n), **k)],
}
PAIRS = [(g, a, b) for g, made in GROUPS.items() for a in range(len(made)) for b in range(a)]
BOTH_WAYS = PAIRS + [(g, b, a) for g, a, b in PAIRS]


def model_of(*parts, seed=None):
    """A float64 model of the layers, with random weights."""
    every = [elman.Input(X.shape[1:], dtype="float64"), *parts, layers.Dense(2, dtype="float64")]
    model = elman.Sequential(every)
    if seed is not None:
        rng = np.random.default_rng(seed)
        model.set_weights([rng.normal(size=w.shape) for w in model.get_weights()])
    return model


def made(group, index, **kwargs):
    return GROUPS[group][index](3, dtype="float64", **kwargs)


@pytest.mark.parametrize("suffix", [".npz", ".safetensors"])
@pytest.mark.parametrize(("group", "source", "target"), BOTH_WAYS)
def test_files_fit_every_layer_with_these_weights(group, source, target, suffix, tmp_path):
    one, other = (model_of(made(group, i, name="q"), seed=i) for i in (source, target))
    one.save_weights(tmp_path / f"w{suffix}")
    other.load_weights(tmp_path / f"w{suffix}")
    # Halves of a bias add up exactly; the layouts hold the same numbers in another order.
    np.testing.assert_array_equal(other(X), one(X))


def test_several_kinds_keep_their_order(tmp_path):
    flags = {"return_sequences": True}
    order = [("lstm", 0), ("gru", 1), ("lstm", 1), ("lstm", 2), ("gru", 0)]
    first = model_of(*(made(g, i, **flags) for g, i in order), seed=1)
    second = model_of(*(made(g, (i + 1) % 3, **flags) for g, i in order), seed=2)
    first.save_weights(tmp_path / "w.safetensors")
    second.load_weights(tmp_path / "w.safetensors")
    np.testing.assert_array_equal(second(X), first(X))


@pytest.mark.parametrize("suffix", [".npz", ".safetensors"])
def test_files_with_the_names_of_classes_still_load(suffix, tmp_path):
    """Before kinds were named, every class had its own name and its own count."""
    flags = {"return_sequences": True}
    parts = [("lstm", 1), ("lstm", 0), ("lstm", 2), ("gru", 1), ("lstm", 0)]
    names = ["cu_dnnlstm", "lstm", "rnn", "cu_dnngru", "lstm_1", "dense"]
    model = model_of(*(made(g, i, **flags) for g, i in parts), seed=3)
    arrays = {}
    for name, layer in zip(names, model.layers, strict=True):
        arrays.update({f"{name}/{w.name.rsplit('/', 1)[-1]}": np.array(w) for w in layer.weights})
    path, save = tmp_path / f"w{suffix}", saving.save_npz
    (save if suffix == ".npz" else saving.save_safetensors)(path, arrays)
    other = model_of(*(made(g, i, **flags) for g, i in parts), seed=4)
    other.load_weights(path)
    for a, b in zip(model.get_weights(), other.get_weights(), strict=True):
        np.testing.assert_array_equal(a, b)
    wrong = model_of(*(made(g, 0, **flags) for g, _ in parts), seed=5)
    with pytest.raises(ValueError, match=r"missing from the file: 'lstm_2/kernel'.*left over"):
        wrong.load_weights(path)  # which of them comes first, such a file does not say


def test_models_convert_as_layers_do():
    wraps = (layers.Bidirectional, lambda layer: layer)
    for wrap in wraps:
        for group in ("lstm", "gru"):
            for source, target in ((0, 1), (1, 0)):
                one = model_of(wrap(made(group, source)), seed=6)
                other = model_of(wrap(made(group, target)), seed=7)
                other.set_weights(one.get_weights())
                np.testing.assert_array_equal(other(X), one(X))
                nested = elman.Sequential([model_of(wrap(made(group, target)), seed=8)])
                nested(X)
                nested.set_weights(one.get_weights())
                np.testing.assert_array_equal(nested(X), one(X))


@pytest.mark.parametrize("suffix", [".npz", ".safetensors"])
def test_other_functions_are_refused(suffix, tmp_path):
    path = tmp_path / f"w{suffix}"
    before = layers.GRU(3, reset_after=False, dtype="float64")
    target, stored = model_of(before, seed=9), model_of(made("gru", 1), seed=10)
    kept = target.get_weights()
    stored.save_weights(path)
    text = r"expected those of GRU\(reset_after=False\), got those of CuDNNGRU.*/bias\)"
    with pytest.raises(ValueError, match=rf"\[Model.load_weights\] .*{text}"):
        target.load_weights(path)
    with pytest.raises(ValueError, match=rf"\[Sequential.set_weights\] weights: {text}"):
        target.set_weights(stored.get_weights())
    target.save_weights(path)
    with pytest.raises(ValueError, match=r"expected those of CuDNNGRU, got those of GRU\(reset"):
        stored.load_weights(path)
    model_of(layers.LSTM(4, dtype="float64"), seed=11).save_weights(path)
    with pytest.raises(ValueError, match=r"'lstm/kernel': expected shape \(5, 12\), got \(5, 16\)"):
        model_of(made("lstm", 1), seed=12).load_weights(path)
    with pytest.raises(ValueError, match=r"missing from the file: 'gru/kernel'"):
        target.load_weights(path)
    for a, b in zip(target.get_weights(), kept, strict=True):
        np.testing.assert_array_equal(a, b)


def test_own_classes_keep_their_own_names():
    class Slow(layers.LSTM):
        pass

    class Half(layers.LSTMCell):
        def call(self, inputs, states, training=None):
            output, new = super().call(inputs, states, training)
            return output * 0.5, new

    parts = [Slow(3), RNN(Half(3)), RNN([layers.LSTMCell(3)]), RNN(layers.LSTMCell(3))]
    for name, part in zip(("slow", "rnn", "rnn", "lstm"), parts, strict=True):
        model = elman.Sequential([elman.Input((7, 5)), part])
        assert {key.split("/")[0] for key in saving.named_weights(model)} == {name}
