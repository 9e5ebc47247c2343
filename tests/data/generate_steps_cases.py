# SPDX-License-Identifier: Apache-2.0
"""Writes keras_masked_*.npz: masks in stacks of cells and of layers, by Keras 3 in float32.

    KERAS_BACKEND=torch python tests/data/generate_steps_cases.py

The format is that of generate_keras_cases.py, which also says why the torch back end.
"""

from __future__ import annotations

import numpy as np
from generate_keras_cases import family, layer, random_mask, small

MASKS = ("right", "left", "holes", "full_row", "all", "none")
KINDS = ("LSTM", "GRU", "SimpleRNN", "GRU")
STATES = {"LSTM": 2, "GRU": 1, "SimpleRNN": 1}


def sizes(rng):
    """N, T, F and three numbers of units, all different; sequences make a file large."""
    return [int(p) for group in ((3, 11), (2, 5, 7)) for p in rng.permutation(group)] + [13]


def cell(rng, kind, units, suffix="Cell", **config):
    """One cell, or layer, with random options."""
    config |= {"units": units, "activation": str(rng.choice(["tanh", "softsign", "relu6"]))}
    if kind == "GRU":
        config["reset_after"] = bool(rng.random() < 0.5)
    if kind != "SimpleRNN":
        config["recurrent_activation"] = str(rng.choice(["sigmoid", "hard_sigmoid"]))
    return layer(kind + suffix, **config)


def stacked(index):
    """Two or three cells in one RNN layer; a mask, states and every flag in turn."""
    rng = np.random.default_rng([11, index])
    n, t, f, *units = sizes(rng)
    kinds = [KINDS[(index + k) % 4] for k in range(2 + (index % 4 == 1))]
    cells = [cell(rng, kind, u) for kind, u in zip(kinds, units, strict=False)]
    mask = random_mask(rng, MASKS[index % 6], n, t)
    config = {
        "cell": cells,
        "return_sequences": index % 3 != 1,
        "return_state": index % 3 == 0,
        "go_backwards": index % 5 in (1, 2),
        "zero_output_for_mask": mask is not None and index % 7 == 3,
    }
    case = {"layers": [layer("RNN", **config)], "state_groups": [], "dropout": False}
    arrays = {"x": small(rng, (n, t, f), 1.0)}
    if mask is not None:
        arrays["mask"] = mask
    if index % 2 == 0:
        case["state_groups"] = [STATES[kind] for kind in kinds]
        widths = [u for kind, u in zip(kinds, units, strict=False) for _ in range(STATES[kind])]
        arrays |= {f"s{k}": small(rng, (n, size), 1.0) for k, size in enumerate(widths)}
    return case, arrays


def layered(index):
    """Two layers, the mask handed on from the first to the second."""
    rng = np.random.default_rng([12, index])
    n, t, f, first, second, _ = sizes(rng)
    zero, back = index % 3 == 1, index % 4 == 1
    flags = {"return_sequences": True, "zero_output_for_mask": zero}
    layers = [
        cell(rng, KINDS[index % 4], first, "", **flags),
        cell(
            rng, KINDS[(index + 1) % 4], second, "", return_state=index % 2 == 1, go_backwards=back
        ),
    ]
    case = {"layers": layers, "state_groups": [], "dropout": False}
    arrays = {"x": small(rng, (n, t, f), 1.0), "mask": random_mask(rng, MASKS[index % 4], n, t)}
    if index % 2 == 0:
        case["state_groups"] = [STATES[KINDS[index % 4]]]
        states = range(case["state_groups"][0])
        arrays |= {f"s{k}": small(rng, (n, first), 1.0) for k in states}
    return case, arrays


class Kept(dict):
    """The arrays of a case without gradients of weights but the first three, for a small file."""

    def __setitem__(self, name, value):
        if name[:2] != "gw" or int(name[2:]) < 3:
            super().__setitem__(name, value)


if __name__ == "__main__":
    for name, make, count in (("masked_stacks", stacked, 18), ("masked_layers", layered, 8)):
        cases = map(make, range(count))
        family(name, [(case, Kept(arrays)) for case, arrays in cases])
