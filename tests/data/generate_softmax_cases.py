# SPDX-License-Identifier: Apache-2.0
"""Writes the stored Keras cases of recurrent layers with softmax and log_softmax inside.

    KERAS_BACKEND=torch python tests/data/generate_softmax_cases.py

The format is that of generate_keras_cases.py.
"""

from __future__ import annotations

import keras
import numpy as np
import torch
from generate_keras_cases import family, recurrent_case

LAYERS = (
    ("SimpleRNN", {}),
    ("GRU", {"reset_after": False}),
    ("GRU", {"reset_after": True}),
    ("LSTM", {}),
)
PAIRS = (  # activation, recurrent_activation
    ("softmax", "sigmoid"),
    ("softmax", "softmax"),
    ("log_softmax", "softmax"),
    ("tanh", "softmax"),
    ("softmax", "hard_sigmoid"),
    ("tanh", "log_softmax"),
    ("log_softmax", "sigmoid"),
    ("softmax", "log_softmax"),
)
SIZES = (2, 3, 5, 7)


def cases():
    for number, (kind, options) in enumerate(LAYERS):
        for index, (activation, gates) in enumerate(PAIRS):
            if kind == "SimpleRNN" and activation == "tanh":
                continue
            rng = np.random.default_rng([13, number, index])
            n, t, f, h = (int(p) for p in rng.permutation(SIZES))
            if "log_softmax" in (activation, gates):
                # a state times logarithms, which are below -1, explodes within a few steps
                n, t, f, h = 3, 1 if gates == "log_softmax" else 2, 5, 7
            chosen = {**options, "activation": activation}
            case, arrays = recurrent_case(rng, kind, index, chosen, (n, t, f, h))
            if kind != "SimpleRNN":
                case["layers"][0]["config"]["recurrent_activation"] = gates
            yield case, arrays


def main():
    if keras.backend.backend() != "torch":
        raise SystemExit("set KERAS_BACKEND=torch; the other back ends mask differently")
    torch.set_num_threads(1)
    family("softmax", cases(), packed=True)


if __name__ == "__main__":
    main()
