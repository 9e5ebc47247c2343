# SPDX-License-Identifier: Apache-2.0
"""Writes the stored Keras cases of Bidirectional and of the layers around the recurrent ones.

    KERAS_BACKEND=torch python tests/data/generate_layers_cases.py

The format is that of generate_keras_cases.py.
"""

from __future__ import annotations

import keras
import numpy as np
import torch
from generate_keras_cases import MASKS, family, layer, random_mask, small

MERGES = ("concat", "sum", "mul", "ave", None)
# Keras makes the layers of Bidirectional from configurations, which a function cannot be in.
ACTIVATIONS = ("tanh", "softsign", "elu", "sigmoid", "gelu", "tanh", "relu")
GATE_ACTIVATIONS = ("sigmoid", "hard_sigmoid_v3", "sigmoid", "softsign")
CELLS = ("LSTM", "GRU", "SimpleRNN", "GRU before", "RNN", "LSTM", "GRU")


def inner_layer(rng, index, kind, units, masked):
    """The layer within Bidirectional, and the number of its states that a case can be given."""
    config = {
        "return_sequences": bool(rng.random() < 0.6),
        "return_state": bool(rng.random() < 0.5),
        "go_backwards": False,
        "zero_output_for_mask": masked and bool(rng.random() < 0.3),
    }
    if kind == "RNN":
        cells = [
            layer("LSTMCell", units=units, recurrent_activation="sigmoid", activation="tanh"),
            layer("SimpleRNNCell", units=units + 1, activation="elu"),
        ]
        return layer("RNN", cell=cells, **config), 0
    config |= {"units": units, "activation": ACTIVATIONS[index % len(ACTIVATIONS)]}
    config["use_bias"] = index % 5 != 3
    if kind == "SimpleRNN":
        return layer("SimpleRNN", **config), 1
    config["recurrent_activation"] = GATE_ACTIVATIONS[index % len(GATE_ACTIVATIONS)]
    if kind == "LSTM":
        return layer("LSTM", **config), 2
    return layer("GRU", reset_after=kind == "GRU", **config), 1


def bidirectional_cases():
    for index in range(70):
        rng = np.random.default_rng([7, index])
        h = (2, 3)[index % 2]
        n, t, f = (int(p) for p in rng.permutation([p for p in (2, 3, 5, 7) if p != h])[:3])
        mask = random_mask(rng, MASKS[(index // 2) % len(MASKS)], n, t)
        kind = CELLS[index % len(CELLS)]
        inner, states = inner_layer(rng, index, kind, h, mask is not None)
        config = {"layer": inner, "merge_mode": MERGES[index % len(MERGES)]}
        if index % 11 == 4 and kind != "RNN":
            other = {**inner["config"], "go_backwards": True, "activation": "softsign"}
            config["backward_layer"] = layer(inner["class"], **other)
        case = {"layers": [layer("Bidirectional", **config)], "dropout": False, "state_groups": []}
        arrays = {"x": small(rng, (n, t, f), 1.0)}
        if mask is not None:
            arrays["mask"] = mask
        if states and index % 3 != 1:
            case["state_groups"] = [2 * states]
            arrays |= {f"s{k}": small(rng, (n, h), 1.0) for k in range(2 * states)}
        yield case, arrays


# --- the other layers: layers, shape of x, and "training", "ids" or "padding" -------------------


def time_distributed():
    def wrap(name, **config):
        return layer("TimeDistributed", layer=layer(name, **config))

    yield [wrap("Dense", units=3, activation="tanh")], (2, 5, 7), {}
    yield [wrap("Dense", units=5, use_bias=False)], (3, 2, 7), {}
    yield [wrap("Dense", units=2, activation="softmax")], (2, 3, 5, 7), {}
    yield [wrap("LSTM", units=2)], (2, 3, 5, 7), {}
    yield [wrap("GRU", units=3, return_sequences=True)], (2, 5, 7, 2), {}
    yield [wrap("SimpleRNN", units=2, go_backwards=True)], (3, 2, 5, 7), {}
    yield [wrap("Flatten"), layer("SimpleRNN", units=2)], (2, 3, 5, 7), {}
    yield [wrap("Activation", activation="softsign")], (2, 3, 5), {}
    yield [wrap("LayerNormalization")], (2, 3, 7), {}
    yield [wrap("BatchNormalization")], (2, 3, 7), {}
    yield [wrap("RepeatVector", n=2), wrap("LSTM", units=3)], (2, 5, 7), {}
    yield [wrap("Reshape", target_shape=[7, -1])], (2, 3, 5, 7), {}
    yield [wrap("Permute", dims=[2, 1])], (2, 3, 5, 7), {}
    yield [wrap("ReLU", negative_slope=0.25), wrap("Dense", units=2)], (5, 3, 7), {}
    yield [wrap("Embedding", input_dim=7, output_dim=3)], (2, 3, 5), {"ids": 7}
    twice = layer("TimeDistributed", layer=wrap("Dense", units=2, activation="elu"))
    yield [twice], (2, 3, 5, 7), {}
    yield [wrap("Dense", units=3), layer("GRU", units=2)], (2, 5, 7), {"mask": "holes"}


def padded_chains():
    for k, value in enumerate((0.0, 0.5, -1.0)):
        masking = layer("Masking", mask_value=value)
        options = {"padding": value}
        gate = {"recurrent_activation": "sigmoid"}
        yield [masking, layer("LSTM", units=3, **gate)], (2, 5, 7), options
        many = {"return_sequences": True, "return_state": k == 1, **gate}
        yield [masking, layer("GRU", units=2, **many)], (3, 7, 5), options
        back = layer("SimpleRNN", units=3, go_backwards=True, return_sequences=True)
        yield [masking, back], (2, 7, 5), options
        both = layer("Bidirectional", layer=layer("LSTM", units=2, return_sequences=True))
        yield [masking, both, layer("GRU", units=3)], (2, 5, 7), options
    masking = layer("Masking")
    yield [masking, layer("Dense", units=3), layer("GRU", units=2)], (2, 7, 5), {"padding": 0.0}
    slope = layer("LeakyReLU", negative_slope=0.125)
    yield [masking, slope, layer("LSTM", units=2)], (3, 5, 7), {"padding": 0.0}
    norm = layer("LayerNormalization")
    yield [masking, norm, layer("SimpleRNN", units=2)], (2, 7, 3), {"padding": 0.0}
    one = layer("LSTM", units=3, return_sequences=True)
    yield (
        [masking, one, layer("Dropout", rate=0.5), layer("GRU", units=2)],
        (2, 5, 7),
        {"padding": 0.0},
    )
    td = layer("TimeDistributed", layer=layer("Dense", units=2))
    yield [masking, td, layer("LSTM", units=3)], (2, 7, 5), {"padding": 0.0}


def normalizations():
    ln, bn = "LayerNormalization", "BatchNormalization"
    yield [layer(ln)], (5, 7), {}
    yield [layer(ln, epsilon=1e-6)], (2, 5, 3), {}
    yield [layer(ln, axis=[1, 2])], (2, 5, 3), {}
    yield [layer(ln, axis=[2, 3], center=False)], (2, 3, 5, 7), {}
    yield [layer(ln, scale=False)], (3, 5), {}
    yield [layer("LSTM", units=3, return_sequences=True), layer(ln), layer("Dense", units=2)], (
        2, 5, 7,
    ), {}  # fmt: skip
    for training in (False, True):
        options = {"training": training}
        yield [layer(bn)], (7, 5), options
        yield [layer(bn, momentum=0.75, epsilon=1e-5)], (2, 5, 3), options
        yield [layer(bn, axis=1)], (2, 5, 3), options
        yield [layer(bn, axis=2, center=False)], (2, 3, 5, 7), options
        yield [layer(bn, scale=False)], (11, 3), options
        chain = [
            layer("Dense", units=3, use_bias=False),
            layer(bn),
            layer("Activation", activation="tanh"),
        ]
        yield chain, (5, 7), options
        yield [layer("GRU", units=3, return_sequences=True), layer(bn)], (2, 5, 7), options
        yield [layer(bn)], (3, 7, 5), {**options, "mask": "holes"}
        yield [layer("Masking"), layer(bn), layer("LSTM", units=2)], (3, 7, 5), {
            **options, "padding": 0.0,
        }  # fmt: skip


def functions():
    yield [layer("ReLU")], (3, 5), {}
    yield [layer("ReLU", max_value=0.5)], (3, 5, 2), {}
    yield [layer("ReLU", negative_slope=0.25, threshold=0.125)], (3, 7), {}
    yield [layer("ReLU", max_value=0.75, negative_slope=0.5, threshold=0.25)], (2, 3, 5), {}
    yield [layer("LeakyReLU")], (3, 7), {}
    yield [layer("LeakyReLU", negative_slope=0.1)], (2, 3, 5), {}
    yield [layer("ELU")], (3, 7), {}
    yield [layer("ELU", alpha=0.7)], (2, 3, 5), {}
    yield [layer("PReLU")], (3, 5, 2), {}
    yield [layer("PReLU", shared_axes=[1])], (2, 5, 3), {}
    yield [layer("PReLU", shared_axes=[1, 2]), layer("Flatten")], (2, 5, 3, 7), {}
    yield [layer("Softmax")], (3, 5, 7), {}
    yield [layer("Softmax", axis=1)], (3, 5, 2), {}
    yield [layer("Softmax", axis=[1, 2])], (2, 5, 3), {}


def shapes():
    yield [layer("RepeatVector", n=5)], (2, 3), {}
    decoder = layer("GRU", units=5, return_sequences=True)
    yield [layer("LSTM", units=2), layer("RepeatVector", n=3), decoder], (2, 5, 7), {}
    yield [layer("Permute", dims=[2, 1]), layer("LSTM", units=2)], (2, 5, 7), {}
    yield [layer("Permute", dims=[3, 1, 2])], (2, 3, 5, 7), {}
    yield [layer("Reshape", target_shape=[-1]), layer("Dense", units=2)], (2, 3, 5), {}
    yield [layer("Reshape", target_shape=[3, -1]), layer("SimpleRNN", units=2)], (2, 15), {}
    yield [layer("Reshape", target_shape=[5, 3]), layer("Permute", dims=[2, 1])], (2, 15), {}
    yield [layer("Dense", units=6), layer("Reshape", target_shape=[-1, 2])], (3, 5), {}
    yield [layer("Flatten"), layer("RepeatVector", n=2), layer("LSTM", units=3)], (2, 3, 5), {}


def layer_cases():
    every = [time_distributed, padded_chains, normalizations, functions, shapes]
    index = 0
    for produce in every:
        for layers, shape, options in produce():
            rng = np.random.default_rng([8, index])
            index += 1
            case = {"layers": layers, "dropout": False, "state_groups": []}
            case["training"] = options.get("training", False)
            # Off the grid by half a step: no value lies on a kink of a function.
            arrays = {"x": small(rng, shape, 1.0) + np.float32(1 / 2048)}
            if "ids" in options:
                arrays["x"] = rng.integers(0, options["ids"], shape).astype(np.int32)
            if "mask" in options:
                arrays["mask"] = random_mask(rng, options["mask"], *shape[:2])
            if "padding" in options:
                pattern = ("right", "left", "holes", "full_row")[index % 4]
                used = random_mask(rng, pattern, *shape[:2])
                arrays["x"] = np.where(used[..., None], arrays["x"], np.float32(options["padding"]))
            yield case, arrays


def main():
    if keras.backend.backend() != "torch":
        raise SystemExit("set KERAS_BACKEND=torch; the other back ends mask differently")
    torch.set_num_threads(1)
    family("bidirectional", bidirectional_cases(), packed=True)
    family("layers", layer_cases(), packed=True)


if __name__ == "__main__":
    main()
