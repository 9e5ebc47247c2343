# SPDX-License-Identifier: Apache-2.0
"""The first call of a model that is not built: it trains like any other, from any thread."""

from __future__ import annotations

import copy
import os
import pickle
import threading
import time

import numpy as np
import pytest

import elman
from elman import layers
from elman import utils as elman_utils

RNG = np.random.default_rng(3)
X = RNG.standard_normal((7, 5, 3)).astype("float32")
Y = RNG.standard_normal((7, 2)).astype("float32")


class Pair(elman.Model):
    def __init__(self):
        super().__init__()
        self.first, self.last = layers.LSTM(4), layers.Dense(2)

    def call(self, x):
        return self.last(self.first(x))


def chain():
    return elman.Sequential([layers.LSTM(4), layers.Dense(2)])


def trained(make, built, optimizer="adam"):
    elman_utils.set_random_seed(11)
    model = make()
    if built:
        model.build((None, *X.shape[1:]))
    model.compile(optimizer, "mse")
    losses = [model.train_on_batch(X, Y) for _ in range(4)]
    return losses, model


@pytest.mark.parametrize("make", [chain, Pair])
def test_an_unbuilt_model_trains_like_a_built_one(make):
    unbuilt, model = trained(make, False)
    built, other = trained(make, True)
    assert unbuilt == built
    assert len(set(unbuilt)) == 4
    assert model.optimizer.iterations == 4
    for a, b in zip(model.get_weights(), other.get_weights(), strict=True):
        np.testing.assert_array_equal(a, b)


def test_fit_counts_the_first_batch():
    model = chain()
    model.compile("sgd", "mse")
    model.fit(X, Y, epochs=3, batch_size=4, verbose=0)
    assert model.optimizer.iterations == 6


class Slow(layers.Layer):
    """Building takes long enough for every thread to find the layer not built."""

    def build(self, input_shape):
        super().build(input_shape)  # first, as some layers have it
        time.sleep(0.05)
        self.scale = self.add_weight("scale", (input_shape[-1],), initializer="ones")

    def call(self, x):
        return x * self.scale


@pytest.mark.parametrize(
    "make",
    [
        Slow,
        lambda: layers.LSTM(16),
        lambda: elman.Sequential([Slow(), Slow()]),
        lambda: Slow(weights=[np.full(3, 2.0)]),
    ],
)
def test_threads_build_a_layer_once(make):
    layer, outputs, errors = make(), [], []
    start = threading.Barrier(6)

    def work():
        start.wait()
        try:
            outputs.append(layer(X).numpy())
        except Exception as error:
            errors.append(error)

    threads = [threading.Thread(target=work) for _ in range(6)]
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join()
    assert errors == []
    reference = make()
    reference(X)
    assert len(layer.weights) == len(reference.weights)
    for output in outputs:
        np.testing.assert_array_equal(output, outputs[0])


def test_the_build_lock_does_not_travel():
    for duplicate in (copy.deepcopy, lambda layer: pickle.loads(pickle.dumps(layer))):
        twin = duplicate(layers.LSTM(4))
        assert twin(X).shape == (7, 4)


@pytest.mark.skipif(not hasattr(os, "fork"), reason="there is no fork here")
def test_a_child_builds_although_a_thread_of_its_parent_did(python):
    """In a process of its own: pytest's may hold threads that a fork must not meet."""
    done = python("import test_first_step; test_first_step.fork_while_building()")
    assert done.returncode == 0, done.stderr
    assert done.stdout.split() == ["child", "parent"]


def fork_while_building():
    import warnings

    warnings.simplefilter("ignore", DeprecationWarning)  # of forks beside threads
    entered = threading.Event()

    class Waiting(layers.Layer):
        def build(self, input_shape):
            entered.set()
            time.sleep(0.3)

    thread = threading.Thread(target=lambda: Waiting()(X))
    thread.start()
    entered.wait()
    child = os.fork()
    if child == 0:
        print("child" if layers.Dense(2)(X).shape == (7, 5, 2) else "wrong", flush=True)
        os._exit(0)
    assert os.waitpid(child, 0)[1] == 0
    thread.join()
    print("parent")
