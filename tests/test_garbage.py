# SPDX-License-Identifier: Apache-2.0
"""Cycles through bound objects are found by Python's collector, and nothing is left at the exit."""

from __future__ import annotations

import sys

import pytest

START = """
import gc, weakref
import numpy as np
import elman
from elman import layers

def collected(make):
    found = weakref.ref(make())
    gc.collect()
    return found() is None

X = np.ones((1, 2, 3), "float32")
"""

CYCLES = {
    "a constraint that knows its layer": """
def make():
    def constraint(w):
        return w if layer.built else None
    layer = layers.LSTM(2, kernel_constraint=constraint)
    layer(X)
    return layer
""",
    "a weight that knows its model": """
def make():
    model = elman.Sequential([layers.GRU(2)])
    model.compile("sgd", "mse")
    model.fit(X, np.ones((1, 2)), verbose=0)
    for weight in model.weights:
        weight.model = model
    return model
""",
    "a stream of weights that know it": """
def make():
    layer = layers.SimpleRNN(2)
    layer(X)
    layer.weights[0].stream = layer.stream()
    layer.weights[0].stream.step(X[:, 0])
    return layer
""",
    "a paused tape that knows the pause": """
def make():
    class Owner:
        pass
    owner, owner.tape = Owner(), elman.GradientTape(persistent=True)
    owner.pause = owner.tape.stop_recording()
    owner.tape._tape.owner = owner
    return owner
""",
    "a traceback in a cycle": """
def make():
    layer = layers.LSTM(2)
    try:
        layer(X, lengths=[3])
    except ValueError as error:
        layer.error = error
    return layer
""",
}


@pytest.mark.parametrize("kind", CYCLES)
def test_cycles_are_collected(python, kind):
    result = python(f"{START}{CYCLES[kind]}print(collected(make))")
    assert result.stdout == "True\n"
    assert result.stderr == ""


@pytest.mark.parametrize("kind", CYCLES)
def test_cycles_at_the_exit(python, kind):
    """What is still in use when the interpreter ends goes with it."""
    code = f"{START}{CYCLES[kind]}gc.disable()\nkept = make()"
    result = python(code, ELMAN_LEAK_WARNINGS="1")
    assert (result.returncode, result.stderr) == (0, "")


def test_a_thread_that_runs_at_the_exit(python):
    code = f"""{START}
import threading

ready = threading.Event()

def serve():
    layer = layers.LSTM(2)
    layer(X)
    ready.set()
    threading.Event().wait()

threading.Thread(target=serve, daemon=True).start()
ready.wait()
"""
    result = python(code)
    assert (result.returncode, result.stderr) == (0, "")
    if sys.implementation.name == "cpython":
        assert "leaked" in python(code, ELMAN_LEAK_WARNINGS="1").stderr
