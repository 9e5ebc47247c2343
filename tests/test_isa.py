# SPDX-License-Identifier: Apache-2.0
"""Every instruction set of this installation computes what the reference computes."""

from __future__ import annotations

import json

import numpy as np
import pytest

import elman
from elman._backend import LEVELS, core, installed_levels
from elman._cpu import x86_64_level
from problems import (
    KINDS,
    Problem,
    differentiable,
    kernel_gradients,
    reference_gradients,
    solve_reference,
)
from tolerance import assert_close, tolerance

# below, at and above every register width from 2 to 16 lanes
UNITS = (1, 3, 4, 8, 13, 16, 17, 37)


def probe() -> dict[str, float]:
    """Largest error relative to what is allowed, per dtype; runs in the process of one level."""
    worst = {"float64": 0.0, "float32": 0.0}
    for kind in KINDS:
        for units in UNITS:
            problem = Problem(kind, 5, 3, 7, units, mask="holes", initial_state=True)
            operands, losses = problem.operands(), problem.projections()
            names = differentiable(operands)
            expected = solve_reference(problem, operands)
            index = {name: np.arange(operands[name].size)[:: 1 + units] for name in names}
            slopes = reference_gradients(problem, operands, losses, index)
            for dtype in worst:
                outputs, found = kernel_gradients(problem, operands, losses, dtype, names)
                allowed = tolerance(dtype, problem.terms, problem.t)
                for got, want in zip(outputs, expected, strict=True):
                    error = assert_close(got, want, allowed, f"{problem} {dtype}")
                    worst[dtype] = max(worst[dtype], error / allowed)
                for name, want in slopes.items():
                    scale = max(float(np.abs(want).max()), 1e-3)
                    terms = problem.terms * problem.gates
                    allowed = tolerance(dtype, terms, problem.n * problem.t, scale)
                    allowed = max(allowed, 1e-7 * scale)  # the differences' own error
                    got = found[name].ravel()[index[name]]
                    assert_close(got, want, allowed, f"{problem} {dtype} d_{name}")
    return worst


def report() -> None:
    print(json.dumps({"isa": core.config()["isa"], "worst": probe()}))


@pytest.mark.parametrize("level", LEVELS)
def test_level_agrees_with_the_reference(level, python):
    if level not in installed_levels():
        pytest.skip(f"this installation has no {level} module: {installed_levels()}")
    needed = int(level[1]) if level[0] == "v" else 0
    if needed > x86_64_level():
        pytest.skip(f"this processor runs x86-64-v{x86_64_level()} at most")
    done = python("import test_isa; test_isa.report()", ELMAN_ISA=level)
    assert done.returncode == 0, done.stderr
    found = json.loads(done.stdout)
    assert level in found["isa"]
    assert 0 < found["worst"]["float32"] <= 1  # an error of zero would mean that nothing ran
    assert 0 < found["worst"]["float64"] <= 1


def test_the_best_level_is_the_default(python):
    """Without ELMAN_ISA the last level that the processor runs is loaded."""
    done = python("import elman; print(elman._backend.core.config()['isa'])", ELMAN_ISA="")
    assert done.returncode == 0, done.stderr
    possible = [v for v in installed_levels() if v == "generic" or int(v[1]) <= x86_64_level()]
    assert possible[-1] in done.stdout


@pytest.mark.parametrize("asked", ["v9", "avx", "v0"])
def test_unknown_level(asked, python):
    done = python("import elman", ELMAN_ISA=asked)
    assert done.returncode == 1
    assert "ImportError: [elman] ELMAN_ISA: expected one of" in done.stderr
    assert repr(asked) in done.stderr


def test_the_levels_round_alike_but_for_the_last_bits(python):
    """Same seed, other level: the random numbers are equal bit for bit, the results nearly."""
    code = (
        "import numpy as np, elman; elman.utils.set_random_seed(3);"
        "layer = elman.layers.LSTM(5); x = np.linspace(-1, 1, 42, dtype='float32');"
        "y = np.asarray(layer(x.reshape(2, 7, 3)));"
        "print(layer.get_weights()[0].tobytes().hex(), y.tobytes().hex())"
    )
    usable = [v for v in installed_levels() if v == "generic" or int(v[1]) <= x86_64_level()]
    found = {}
    for level in usable:
        done = python(code, ELMAN_ISA=level)
        assert done.returncode == 0, done.stderr
        weights, output = done.stdout.split()
        found[level] = weights, np.frombuffer(bytes.fromhex(output), np.float32)
    if len(found) < 2:
        pytest.skip(f"nothing to compare: only {list(found)} of {elman.__name__} runs here")
    best = found[usable[-1]]
    for level, (weights, output) in found.items():
        assert weights == best[0], level
        assert_close(output, best[1], tolerance("float32", 9, 7), level)
