# SPDX-License-Identifier: Apache-2.0
"""Writes the stored Keras cases of wrappers around layers on images.

    KERAS_BACKEND=torch python tests/data/generate_wrapped_images_cases.py

Bidirectional around the ConvLSTM layers, TimeDistributed around them, and around what stands ahead
of recurrent layers. The format is that of generate_keras_cases.py.
"""

from __future__ import annotations

import keras
import numpy as np
import torch
from generate_keras_cases import MASKS, family, keras_layer, layer, random_mask, small

MERGES = ("concat", "sum", "mul", "ave", None)
ACTIVATIONS = ("tanh", "softsign", "tanh", "elu", "sigmoid", "relu")
GATE_ACTIVATIONS = ("sigmoid", "hard_sigmoid_v3", "sigmoid")
IMAGES = {1: (7,), 2: (4, 3), 3: (4, 3, 2)}
KERNELS = {1: [3], 2: [2, 3], 3: [2, 1, 2]}
# padding, strides, dilation
WINDOWS = (("same", 1, 1), ("valid", 1, 1), ("same", 2, 1), ("same", 1, 2))


def conv_lstm(rank, index, filters, **more):
    padding, strides, dilation = WINDOWS[index % len(WINDOWS)]
    config = {
        "filters": filters,
        "kernel_size": KERNELS[rank],
        "strides": [strides] * rank,
        "padding": padding,
        "dilation_rate": [dilation] * rank,
        "activation": ACTIVATIONS[index % len(ACTIVATIONS)],
        "recurrent_activation": GATE_ACTIVATIONS[index % len(GATE_ACTIVATIONS)],
        "use_bias": index % 5 != 3,
    }
    return layer(f"ConvLSTM{rank}D", **config, **more)


def bidirectional_case(index):
    """One pair around ConvLSTM with the options that the index selects."""
    rng = np.random.default_rng([17, index])
    rank = (1, 2, 1, 2, 1, 3)[index % 6]
    n, t, c, f = (int(i) for i in rng.permutation((1, 2, 3, 5 if rank == 1 else 4)))
    n, f = (f, n) if f == 1 else (n, f)
    first = index % 3 == 1
    inner = conv_lstm(
        rank,
        index,
        f,
        data_format="channels_first" if first else "channels_last",
        return_sequences=bool(rng.random() < 0.6),
        return_state=bool(rng.random() < 0.5),
        go_backwards=False,
    )
    config = {"layer": inner, "merge_mode": MERGES[index % len(MERGES)]}
    case = {"layers": [layer("Bidirectional", **config)], "dropout": False, "state_groups": []}
    shape = (n, t, c, *IMAGES[rank]) if first else (n, t, *IMAGES[rank], c)
    arrays = {"x": small(rng, shape, 1.0)}
    mask = random_mask(rng, MASKS[(index // 2) % len(MASKS)], n, t)
    if mask is not None:
        arrays["mask"] = mask
    if index % 3 != 1 or index % 2:
        case["state_groups"] = [4]
        whole = keras_layer(inner).compute_output_shape(shape)
        whole = whole[0] if isinstance(whole[0], (list, tuple)) else whole
        kept = (whole[0], *whole[2:]) if inner["config"]["return_sequences"] else whole
        arrays |= {f"s{k}": small(rng, kept, 1.0) for k in range(4)}
    return case, arrays


def wrap(name, **config):
    return layer("TimeDistributed", layer=layer(name, **config))


def around(spec):
    return layer("TimeDistributed", layer=spec)


def chains():
    """Layers on every frame ahead of a recurrent layer, and ConvLSTM on sequences of sequences."""
    pool, gate = {"pool_size": [2, 2]}, {"recurrent_activation": "sigmoid"}
    conv = wrap("Conv2D", filters=2, kernel_size=[2, 3], activation="tanh")
    yield [conv, conv_lstm(2, 0, 3)], (1, 3, 4, 5, 2)
    yield [conv, wrap("MaxPooling2D", **pool), conv_lstm(2, 4, 2, return_sequences=True)], (
        1, 3, 5, 7, 2,
    )  # fmt: skip
    yield [wrap("MaxPooling2D", **pool), wrap("Flatten"), layer("LSTM", units=3, **gate)], (
        2, 3, 4, 6, 1,
    )  # fmt: skip
    strided = wrap("Conv2D", filters=3, kernel_size=[3, 2], strides=[2, 1], padding="same")
    yield [strided, wrap("AveragePooling2D", **pool), wrap("Flatten"), layer("GRU", units=2)], (
        2, 3, 7, 5, 1,
    )  # fmt: skip
    yield [wrap("Conv1D", filters=3, kernel_size=[2]), conv_lstm(1, 0, 2)], (1, 3, 7, 5)
    yield [wrap("MaxPooling2D", **pool), around(wrap("Dense", units=2)), conv_lstm(2, 5, 1)], (
        1, 3, 4, 6, 2,
    )  # fmt: skip
    yield [conv_lstm(2, 0, 2, return_sequences=True), conv], (1, 3, 4, 5, 2)
    yield [conv_lstm(1, 2, 3, return_sequences=True), wrap("Flatten"), layer("GRU", units=2)], (
        2, 3, 7, 1,
    )  # fmt: skip
    for index in range(2):
        yield [around(conv_lstm(2, index, 3, return_sequences=index == 1))], (1, 3, 2, 4, 5, 2)
    yield [around(conv_lstm(1, 3, 2, go_backwards=True))], (1, 2, 3, 5, 1)
    pair = layer("Bidirectional", layer=conv_lstm(1, 0, 2), merge_mode="sum")
    yield [around(pair)], (1, 3, 2, 5, 1)
    both = layer("Bidirectional", layer=conv_lstm(2, 1, 2, return_sequences=True))
    yield [conv, both, conv_lstm(2, 4, 1)], (1, 3, 4, 5, 2)


def cases():
    for index in range(18):
        yield bidirectional_case(index)
    for index, (layers, shape) in enumerate(chains()):
        rng = np.random.default_rng([18, index])
        yield (
            {"layers": layers, "dropout": False, "state_groups": []},
            {"x": small(rng, shape, 1.0)},
        )


def main():
    if keras.backend.backend() != "torch":
        raise SystemExit("set KERAS_BACKEND=torch; the other back ends mask differently")
    torch.set_num_threads(1)
    family("wrapped_images", cases(), packed=True)


if __name__ == "__main__":
    main()
