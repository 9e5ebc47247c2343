# SPDX-License-Identifier: Apache-2.0
"""`GradientTape`: sources and targets in any structure, persistence, watching."""

from __future__ import annotations

import numpy as np
import pytest

import elman
from elman import backend as K  # noqa: N812 - its name in Keras
from elman import layers


@pytest.fixture
def w():
    return elman.Variable(np.array([1.0, 2.0, 3.0]))


def test_structures_of_sources(w):
    v = elman.Variable(np.array(2.0))
    unused = elman.Variable(np.array([5.0]))
    with elman.GradientTape() as tape:
        target = K.sum(w * w) * v
    found = tape.gradient(target, {"a": [w, (v,)], "b": unused})
    assert isinstance(found["a"][1], tuple)
    np.testing.assert_array_equal(found["a"][0], [4.0, 8.0, 12.0])
    assert float(found["a"][1][0]) == 14.0
    assert found["b"] is None


def test_unconnected_gradients(w):
    other = elman.Variable(np.ones((2, 2)))
    with elman.GradientTape() as tape:
        target = K.sum(w)
    found = tape.gradient(target, [w, other], unconnected_gradients="zero")
    np.testing.assert_array_equal(found[1], np.zeros((2, 2)))
    with pytest.raises(ValueError, match="unconnected_gradients"):
        tape.gradient(target, w, unconnected_gradients="ones")


def test_several_targets_and_their_weights(w):
    with elman.GradientTape(persistent=True) as tape:
        a, b = w * 2.0, K.sum(w * w)
    np.testing.assert_array_equal(tape.gradient([a, b], w), [4.0, 6.0, 8.0])
    weights = [np.array([1.0, 0.0, -1.0]), None]
    np.testing.assert_array_equal(tape.gradient([a, b], w, weights), [4.0, 4.0, 4.0])
    np.testing.assert_array_equal(tape.gradient(a, w, np.array([0.0, 1.0, 0.0])), [0.0, 2.0, 0.0])


def test_a_tape_that_is_not_persistent(w):
    with elman.GradientTape() as tape:
        target = K.sum(w)
    tape.gradient(target, w)
    with pytest.raises(RuntimeError, match="persistent"):
        tape.gradient(target, w)


def test_watching():
    x = elman.Tensor(np.array([1.0, 2.0]))
    with elman.GradientTape(persistent=True) as tape:
        before = K.sum(x * x)
        tape.watch([x])
        after = K.sum(x * x)
    assert tape.gradient(before, x) is None
    np.testing.assert_array_equal(tape.gradient(after, x), [2.0, 4.0])
    fixed = elman.Variable(np.array([3.0]), trainable=False)
    with elman.GradientTape() as tape:
        target = K.sum(fixed * fixed)
    assert tape.gradient(target, fixed) is None
    free = elman.Variable(np.array([3.0]))
    with elman.GradientTape(watch_accessed_variables=False) as tape:
        target = K.sum(free * free)
    assert tape.gradient(target, free) is None


def test_pausing_and_forgetting(w):
    with elman.GradientTape() as tape:
        with tape.stop_recording():
            hidden = K.sum(w * w)
        target = hidden + K.sum(w)
    np.testing.assert_array_equal(tape.gradient(target, w), [1.0, 1.0, 1.0])
    with elman.GradientTape() as tape:
        old = K.sum(w * w)
        tape.reset()
        new = K.sum(w)
    np.testing.assert_array_equal(tape.gradient([old, new], w), [1.0, 1.0, 1.0])


def test_wrong_use(w):
    with elman.GradientTape(persistent=True) as tape:
        target = K.sum(w)
        with pytest.raises(TypeError, match=r"\[GradientTape.watch\] tensor: expected a Tensor"):
            tape.watch(np.ones(3))
    with pytest.raises(TypeError, match=r"\[GradientTape.gradient\] sources.*ndarray"):
        tape.gradient(target, [np.ones(3)])
    with pytest.raises(TypeError, match="target"):
        tape.gradient(1.0, w)


def test_layers_and_inputs():
    """Gradients with respect to weights and to the input, through a fused layer."""
    x = np.random.default_rng(0).normal(size=(2, 4, 3))
    model = elman.Sequential(
        [layers.LSTM(2, dtype="float64", input_shape=(4, 3)), layers.Dense(1, dtype="float64")]
    )
    source = elman.Variable(x)
    with elman.GradientTape() as tape:
        total = K.sum(model(source))
    grad, weights = tape.gradient(total, (source, model.trainable_weights))
    assert [g.shape for g in weights] == [w.shape for w in model.trainable_weights]
    for index in [(0, 0, 0), (1, 3, 2)]:
        ends = []
        for sign in (1, -1):
            moved = x.copy()
            moved[index] += sign * 1e-6
            ends.append(float(np.asarray(model(moved)).sum()))
        assert float(grad.numpy()[index]) == pytest.approx((ends[0] - ends[1]) / 2e-6, rel=1e-6)
