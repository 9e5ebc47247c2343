# SPDX-License-Identifier: Apache-2.0
"""Writes the stored Keras cases of Lambda, ActivityRegularization and other penalties.

    KERAS_BACKEND=torch python tests/data/generate_function_cases.py

The format is that of generate_keras_cases.py; cases with "penalties" also have "k/loss", the
loss with the penalties of all layers in it. The functions of Lambda layers are named; what the
names mean to elman is in tests/test_keras_functions.py.
"""

from __future__ import annotations

import generate_keras_cases
import keras
import numpy as np
import torch
from generate_keras_cases import family, layer, random_mask, small

generate_keras_cases.LAMBDAS |= {
    "twice": lambda x: 2.0 * x,
    "square": keras.ops.square,
    "last": lambda x: x[:, -1],
    "mean_of_steps": lambda x: keras.ops.mean(x, axis=1),
    "scaled": lambda x, by, power=1: by * x**power,
    "turned": lambda x: keras.ops.transpose(x, (0, 2, 1)),
    "gated": lambda x: keras.ops.tanh(x[..., :3]) * keras.ops.sigmoid(x[..., 3:]),
}


def lambdas():
    def function(name, **arguments):
        more = {"arguments": arguments} if arguments else {}
        return layer("Lambda", function=name, **more)

    dense, many = layer("Dense", units=6), {"return_sequences": True}
    yield [function("twice")], (5, 7), {}
    yield [function("square"), layer("Dense", units=3)], (2, 3, 5), {}
    yield [layer("GRU", units=3, **many), function("last")], (2, 5, 7), {"mask": "holes"}
    yield [layer("LSTM", units=2, **many), function("mean_of_steps")], (3, 5, 7), {}
    yield [function("scaled", by=0.75)], (3, 7), {}
    yield [function("scaled", by=-0.5, power=3), layer("SimpleRNN", units=2)], (2, 5, 3), {}
    yield [function("turned"), layer("GRU", units=3)], (2, 5, 7), {}
    yield [dense, function("gated"), layer("LSTM", units=2, **many)], (2, 5, 7), {}


def penalties():
    def penalty(l1, l2):
        return layer("ActivityRegularization", l1=l1, l2=l2)

    masked, options = {"mask": "right", "penalties": True}, {"penalties": True}
    yield [penalty(0.25, 0.0)], (5, 7), options
    yield [penalty(0.0, 0.5)], (3, 5, 2), options
    yield [layer("Dense", units=3), penalty(0.125, 0.25), layer("Dense", units=2)], (5, 7), options
    yield [layer("GRU", units=3, return_sequences=True), penalty(0.5, 0.25)], (2, 5, 7), masked
    yield [layer("Dense", units=3, activity_regularizer="l2")], (7, 5), options
    both = {"return_sequences": True, "return_state": True}
    for name in ("LSTM", "GRU"):  # SimpleRNN of Keras 3 forgets its activity_regularizer
        config = {**both, "activity_regularizer": "l1", "kernel_regularizer": "l2"}
        yield [layer(name, units=3, **config)], (2, 5, 7), options
        config = {"activity_regularizer": "l2", "recurrent_regularizer": "l1"}
        yield [layer(name, units=2, **config), penalty(0.0, 0.5)], (3, 7, 5), masked


def cases():
    for index, (layers, shape, options) in enumerate([*lambdas(), *penalties()]):
        rng = np.random.default_rng([10, index])
        case = {"layers": layers, "dropout": False, "state_groups": []}
        case["penalties"] = options.get("penalties", False)
        # Off the grid by half a step: no value lies on the kink of a penalty.
        arrays = {"x": small(rng, shape, 1.0) + np.float32(1 / 2048)}
        if "mask" in options:
            arrays["mask"] = random_mask(rng, options["mask"], *shape[:2])
        yield case, arrays


def main():
    if keras.backend.backend() != "torch":
        raise SystemExit("set KERAS_BACKEND=torch; the other back ends mask differently")
    torch.set_num_threads(1)
    family("functions", cases(), packed=True)


if __name__ == "__main__":
    main()
