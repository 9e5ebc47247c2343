# SPDX-License-Identifier: Apache-2.0
"""Outputs and gradients of random ConvLSTM layers against what Keras 3 computed (float32)."""

from __future__ import annotations

import numpy as np
import pytest

from keras_cases import load
from keras_replay import check, compare, run_layers
from reference import recurrent
from reference_conv_lstm import ConvCell

SOFTMAX = load("softmax_conv_lstm")
CASES = [case for rank in (1, 2, 3) for case in load(f"conv_lstm{rank}d")] + SOFTMAX
every = pytest.mark.parametrize("case", CASES, ids=str)


def image_shape(case):
    """Sizes and channels of one image, as they lie in x."""
    return case.arrays["x"].shape[2:]


def test_the_cases_reach_every_option():
    assert len(CASES) >= 45
    for case in CASES:
        n, t, *image = case.arrays["x"].shape
        sizes = [n, t, *image, case.config["filters"]]
        spare = len(sizes) - len(set(sizes))
        assert spare <= (0 if len(image) < 4 else 1), f"{case}: a swapped axis would not show"
    for option in ("go_backwards", "return_sequences", "return_state", "use_bias"):
        assert {case.config[option] for case in CASES} == {False, True}, option
    for rank in (1, 2, 3):
        some = [case for case in CASES if case.family == f"conv_lstm{rank}d"]
        assert {case.config["data_format"] for case in some} == {"channels_first", "channels_last"}
        assert {case.config["padding"] for case in some} == {"same", "valid"}
        assert {max(case.config["strides"]) for case in some} >= {1, 2}
        assert {max(case.config["dilation_rate"]) for case in some} == {1, 2}
        assert any("mask" in case.arrays for case in some)
        assert any(case.states for case in some)
    gates = {case.config["recurrent_activation"] for case in CASES}
    assert gates >= {"sigmoid", "hard_sigmoid", "hard_sigmoid_v3"}
    assert len({case.config["activation"] for case in CASES}) >= 7
    for option in ("activation", "recurrent_activation"):
        assert {"softmax", "log_softmax"} < {case.config[option] for case in SOFTMAX}
    assert {case.layers[0]["class"][-2] for case in SOFTMAX} == {"1", "2", "3"}
    leading = [case for case in CASES if "mask" in case.arrays and case.states]
    assert any(not case.arrays["mask"][:, 0].all() for case in leading)
    assert any(not case.arrays["mask"].any(axis=1).all() for case in leading)


@every
def test_reference_agrees_with_keras(case):
    """The reference against Keras: neither elman's outputs nor its equations are involved."""
    config, first = case.config, case.config["data_format"] == "channels_first"

    def last(a, channels):
        return np.moveaxis(a, channels, -1) if first else a

    arrays = case.arrays
    cell = ConvCell(
        arrays["w0"],
        arrays["w1"],
        arrays.get("w2"),
        config["strides"],
        config["padding"],
        config["dilation_rate"],
        config["activation"],
        config["recurrent_activation"],
    )
    states = [last(s, 1) for s in case.all("s", case.states)] or None
    sequence, final = recurrent(
        cell,
        last(arrays["x"], 2).astype(np.float64),
        initial_state=states,
        mask=arrays.get("mask"),
        go_backwards=config["go_backwards"],
    )
    keep = config["return_sequences"]
    outputs = [sequence if keep else sequence[:, -1], *(final if config["return_state"] else [])]
    for k, output in enumerate(outputs):
        want = last(arrays[f"o{k}"], 2 if keep and k == 0 else 1)
        compare(case, output, want, f"output {k}")


@every
def test_layers_agree_with_keras(case):
    check(case, case.arrays, *run_layers(case, case.arrays))


@pytest.mark.parametrize("case", [c for c in CASES if "mask" in c.arrays], ids=str)
def test_nan_in_masked_frames_changes_nothing(case):
    """What a masked step holds must not matter, not even as 0 * NaN in a gradient."""
    arrays = dict(case.arrays)
    used = arrays["mask"].reshape(*arrays["mask"].shape, *[1] * len(image_shape(case)))
    arrays["x"] = np.where(used, arrays["x"], np.float32("nan"))
    check(case, arrays, *run_layers(case, arrays))
