# SPDX-License-Identifier: Apache-2.0
"""Writes the stored Keras cases of the ConvLSTM layers, in the form of generate_keras_cases.py.

    KERAS_BACKEND=torch python tests/data/generate_conv_lstm_cases.py

One file for each number of spatial axes. The sizes of a case are pairwise different.
"""

from __future__ import annotations

import generate_keras_cases as cases
import keras
import numpy as np
import torch
from generate_softmax_cases import PAIRS

# fmt: off
ACTIVATIONS = (
    "tanh", "tanh", "softsign", "tanh", "linear", "tanh", "relu", "sigmoid", "tanh", "elu", "gelu",
)
GATE_ACTIVATIONS = ("hard_sigmoid", "sigmoid", "hard_sigmoid", "hard_sigmoid_v3", "sigmoid")
MASKS = ("none", "right", "none", "left", "holes", "none", "full_row", "none", "all")
# padding, strides, dilation; an axis may differ from the others
WINDOWS = (
    ("valid", 1, 1), ("same", 1, 1), ("same", 2, 1), ("valid", 1, 2), ("same", 1, 2),
    ("valid", 2, 1), ("same", 3, 1),
)
SIZES = {1: (7,), 2: (5, 7), 3: (4, 6, 7)}
KERNELS = {
    1: ((2,), (3,), (1,), (4,)), 2: ((2, 3), (3, 2), (1, 3), (2, 2)), 3: ((2, 3, 1), (2, 2, 2)),
}
# fmt: on


def random_case(rng, rank, index, sizes=None, **chosen):
    """One layer with the options that the index selects, or those that are given."""
    n, t, c, f = sizes or (int(i) for i in rng.permutation((1, 2, 3, 5 if rank == 1 else 4)))
    n, f = (f, n) if f == 1 else (n, f)  # a single filter hides a swap of rows and columns
    mask = cases.random_mask(rng, MASKS[index % len(MASKS)], n, t)
    padding, strides, dilation = WINDOWS[index % len(WINDOWS)]
    first = index % 2 == 1
    config = {
        "filters": f,
        "kernel_size": list(KERNELS[rank][index % len(KERNELS[rank])]),
        "strides": [strides, *[1] * (rank - 1)] if index % 3 == 1 else [strides] * rank,
        "padding": padding,
        "data_format": "channels_first" if first else "channels_last",
        "dilation_rate": [dilation] * rank,
        "activation": ACTIVATIONS[index % len(ACTIVATIONS)],
        "recurrent_activation": GATE_ACTIVATIONS[index % len(GATE_ACTIVATIONS)],
        "use_bias": index % 5 != 3,
        "go_backwards": bool(rng.random() < 0.4),
        "return_sequences": bool(rng.random() < 0.6),
        "return_state": bool(rng.random() < 0.5),
        **chosen,
    }
    case = {"state_groups": [], "dropout": False}
    case["layers"] = [{"class": f"ConvLSTM{rank}D", "config": config}]
    images = SIZES[rank]
    shape = (n, t, c, *images) if first else (n, t, *images, c)
    arrays = {"x": cases.small(rng, shape, 1.0)}
    if mask is not None:
        arrays["mask"] = mask
    if rng.random() < 0.6:
        case["state_groups"] = [2]
        layer = cases.keras_layer(case["layers"][0])
        whole = layer.compute_output_shape(shape)
        whole = whole[0] if isinstance(whole[0], (list, tuple)) else whole
        kept = (whole[0], *whole[2:]) if config["return_sequences"] else whole
        arrays |= {f"s{k}": cases.small(rng, kept, 1.0) for k in range(2)}
    return case, arrays


def family(rank, count):
    rng = np.random.default_rng(100 + rank)
    for index in range(count):
        yield random_case(rng, rank, index)


def softmax_cases():
    """Softmax and log_softmax over the filters, in every pair of functions, on 1 to 3 axes."""
    for index, (activation, gates) in enumerate(3 * PAIRS):
        rank, sizes = 1 + (index + index // len(PAIRS)) % 2 if index % 8 != 4 else 3, None
        if "log_softmax" in (activation, gates):
            # a state times logarithms, which are below -1, explodes within a few steps
            sizes = (3, 1 if gates == "log_softmax" else 2, 1 + index % 2, 5 if rank == 1 else 4)
        rng = np.random.default_rng([17, index])
        options = {"activation": activation, "recurrent_activation": gates}
        yield random_case(rng, rank, index, sizes, **options)


def main():
    if keras.backend.backend() != "torch":
        raise SystemExit("set KERAS_BACKEND=torch; the other back ends mask differently")
    torch.set_num_threads(1)
    for rank, count in ((1, 24), (2, 16), (3, 7)):
        cases.family(f"conv_lstm{rank}d", family(rank, count))
    cases.family("softmax_conv_lstm", softmax_cases(), packed=True)


if __name__ == "__main__":
    main()
