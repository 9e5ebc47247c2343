# SPDX-License-Identifier: Apache-2.0
"""The same seed gives the same bits, whatever the number of threads."""

from __future__ import annotations

import hashlib

import numpy as np
import pytest

import elman
from elman._backend import core
from problems import KINDS, Problem, differentiable, kernel_gradients

THREADS = (1, 2, 3, 5)

# (N, T, F, H): many rows; one row with a large state; few rows; a long sequence of few features;
# sizes that no number of threads divides. All are large enough to be shared between threads.
SIZES = [
    (67, 11, 31, 61),
    (1, 13, 37, 307),
    (3, 17, 29, 131),
    (127, 5, 2, 43),
    (5, 211, 3, 53),
    (7, 3, 13, 193),
]


def digest(arrays) -> str:
    found = hashlib.sha256()
    for array in arrays:
        found.update(np.ascontiguousarray(array).tobytes())
    return found.hexdigest()[:16]


def same_with_all_threads(compute) -> None:
    found = {}
    for threads in THREADS:
        elman.set_num_threads(threads)
        assert elman.get_num_threads() == threads
        found[threads] = digest(compute())
    different = [threads for threads in THREADS if found[threads] != found[1]]
    assert not different, f"other bits with {different} threads than with one"


def same_kernel_with_all_threads(problem, dtype) -> None:
    """Outputs, states and all gradients, bit by bit."""
    given, losses = problem.operands(), problem.projections()
    names = differentiable(given)

    def compute():
        outputs, found = kernel_gradients(problem, given, losses, dtype, names)
        return [*outputs, *found.values()]

    same_with_all_threads(compute)


# Each combination of operands takes its sums in an order of its own.
OPERANDS = {
    "plain": {"return_sequences": False},
    "masked": {"mask": "holes", "recurrent_dropout": "gate"},
    "input_dropout": {"input_dropout": "gate"},
    "dropouts": {"input_dropout": "shared", "recurrent_dropout": "shared", "mask": "left"},
}


@pytest.mark.parametrize("dtype", ["float32", "float64"])
@pytest.mark.parametrize("operands", OPERANDS)
@pytest.mark.parametrize("kind", KINDS)
def test_kernel(kind, operands, dtype):
    for n, t, f, h in SIZES:
        problem = Problem(kind, n, t, f, h, initial_state=True, **OPERANDS[operands])
        same_kernel_with_all_threads(problem, dtype)


@pytest.mark.parametrize("dtype", ["float32", "float64"])
def test_large_products(dtype):
    rng = np.random.default_rng(1)
    a, b = (rng.normal(size=s).astype(dtype) for s in ((211, 307), (307, 131)))
    same_with_all_threads(lambda: [core.matmul(core.Tensor(a), core.Tensor(b)).numpy()])


@pytest.mark.parametrize("kind", ["SimpleRNN", "GRU", "LSTM"])
def test_steps_of_one_row(kind):
    """One thread runs the loop; the others, awake after a few steps, share what is around it."""
    rng = np.random.default_rng(3)
    x, d_output = (rng.normal(size=s).astype("float32") for s in ((1, 83, 131), (1, 83, 137)))

    def compute():
        elman.utils.set_random_seed(4)
        layer = getattr(elman.layers, kind)(137, return_sequences=True)
        optimizer = elman.optimizers.SGD(1e-3)
        for _ in range(8):
            with elman.GradientTape() as tape:
                y = layer(x)
            gradients = tape.gradient(y, layer.trainable_weights, output_gradients=d_output)
            optimizer.apply(gradients, layer.trainable_weights)
        return [y.numpy(), *layer.get_weights()]

    same_with_all_threads(compute)


def make_model():
    return elman.Sequential(
        [
            elman.layers.Embedding(53, 23, mask_zero=True),
            elman.layers.LSTM(43, dropout=0.2, recurrent_dropout=0.3),
            elman.layers.Dense(7, activation="softmax"),
        ]
    )


def train(seed: int) -> list[np.ndarray]:
    """A few epochs with shuffling and dropout: losses, weights and predictions."""
    rng = np.random.default_rng(2)
    x = rng.integers(0, 53, (96, 19))
    y = rng.integers(0, 7, 96)
    elman.utils.set_random_seed(seed)
    model = make_model()
    model.compile(optimizer=elman.optimizers.Adam(0.01), loss="sparse_categorical_crossentropy")
    history = model.fit(x, y, batch_size=32, epochs=2, verbose=0)
    losses = np.array(history.history["loss"])
    assert np.isfinite(losses).all()
    return [losses, *model.get_weights(), np.asarray(model.predict(x, verbose=0))]


def test_training():
    same_with_all_threads(lambda: train(11))


def test_the_seed_decides():
    first = digest(train(11))
    assert digest(train(11)) == first
    assert digest(train(12)) != first


def test_training_in_a_new_process(python):
    """Neither the hash seed nor anything else of the process enters."""
    code = "import test_determinism as t; print(t.digest(t.train(11)))"
    found = set()
    for hash_seed, threads in (("1", "1"), ("2", "3")):
        done = python(code, PYTHONHASHSEED=hash_seed, ELMAN_NUM_THREADS=threads)
        assert done.returncode == 0, done.stderr
        found.add(done.stdout.strip())
    assert found == {digest(train(11))}


def test_repeated_calls_draw_new_dropout_masks():
    """Equal bits must not come from a generator that stands still."""
    elman.utils.set_random_seed(5)
    layer = elman.layers.LSTM(7, dropout=0.5)
    x = np.ones((3, 5, 11), np.float32)
    assert digest([layer(x, training=True)]) != digest([layer(x, training=True)])
    assert digest([layer(x)]) == digest([layer(x)])
