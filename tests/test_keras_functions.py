# SPDX-License-Identifier: Apache-2.0
"""Lambda, ActivityRegularization and penalties on outputs and weights against Keras 3."""

from __future__ import annotations

import pytest

import elman
from elman._serialization import custom_object_scope
from keras_cases import load
from keras_replay import check, run_layers

K = elman.backend


def gated(x):
    """What the case of that name does."""
    return K.tanh(x[..., :3]) * K.sigmoid(x[..., 3:])


FUNCTIONS = {
    "twice": lambda x: 2.0 * x,
    "square": K.square,
    "last": lambda x: x[:, -1],
    "mean_of_steps": lambda x: K.mean(x, axis=1),
    "scaled": lambda x, by, power=1: by * x**power,
    "turned": lambda x: K.permute_dimensions(x, (0, 2, 1)),
    "gated": gated,
}


@pytest.mark.parametrize("case", load("functions"), ids=str)
def test_layers_agree_with_keras(case):
    with custom_object_scope(FUNCTIONS):
        check(case, case.arrays, *run_layers(case, case.arrays))
