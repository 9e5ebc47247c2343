# SPDX-License-Identifier: Apache-2.0
"""Optimizers against numpy programs of Keras' formulas, with clipping, decay and schedules."""

from __future__ import annotations

import numpy as np
import pytest

import elman
import keras_formulas
from elman import optimizers
from elman.optimizers import schedules

STEPS = 7
CASES = [
    ("SGD", {}),
    ("SGD", {"momentum": 0.9}),
    ("SGD", {"momentum": 0.8, "nesterov": True}),
    ("RMSprop", {}),
    ("RMSprop", {"rho": 0.8, "momentum": 0.5}),
    ("RMSprop", {"centered": True, "epsilon": 1e-3}),
    ("RMSprop", {"centered": True, "momentum": 0.3}),
    ("Adam", {}),
    ("Adam", {"beta_1": 0.7, "beta_2": 0.9, "epsilon": 1e-3}),
    ("Adam", {"beta_2": 0.6, "amsgrad": True}),
    ("Adamax", {"beta_1": 0.8, "beta_2": 0.9}),
    ("Nadam", {"beta_1": 0.8, "beta_2": 0.95}),
    ("Adagrad", {"initial_accumulator_value": 0.3}),
    ("Adadelta", {"rho": 0.9}),
]


def gradients(shape):
    """A fixed series that changes sign and size."""
    rng = np.random.default_rng(5)
    return [rng.normal(0, 10.0 ** rng.uniform(-2, 1), shape) for _ in range(STEPS)]


def run(optimizer, start, grads, dtype="float64"):
    """The weights after each step."""
    variable = elman.Variable(start.astype(dtype))
    seen = []
    for grad in grads:
        optimizer.apply_gradients([(elman.Tensor(grad.astype(dtype)), variable)])
        seen.append(np.array(variable.numpy()))
    return seen


@pytest.mark.parametrize(("name", "options"), CASES, ids=str)
@pytest.mark.parametrize("dtype", ["float64", "float32"])
def test_against_the_formula(name, options, dtype):
    shape = (3, 5)
    start, grads = np.linspace(-1, 1, 15).reshape(shape), gradients(shape)
    found = run(getattr(optimizers, name)(0.05, **options), start, grads, dtype)
    reference, w = getattr(keras_formulas, name)(**options), start
    for got, grad in zip(found, grads, strict=True):
        w = reference.step(w, grad.astype(dtype).astype(np.float64), 0.05)
        assert got.dtype == dtype
        # float32: a few roundings of eps = 1.2e-7 per step, none of them amplified
        np.testing.assert_allclose(got, w, rtol=0, atol=1e-12 if dtype == "float64" else 5e-6)


@pytest.mark.parametrize(("name", "options"), CASES, ids=str)
def test_weight_decay_comes_before_the_step(name, options):
    start, grads = np.array([2.0, -3.0]), gradients((2,))
    found = run(getattr(optimizers, name)(0.1, weight_decay=0.2, **options), start, grads)
    reference, w = getattr(keras_formulas, name)(**options), start
    for got, grad in zip(found, grads, strict=True):
        w = reference.step(w * (1 - 0.1 * 0.2), grad, 0.1)
        np.testing.assert_allclose(got, w, rtol=0, atol=1e-12)


def test_adamw_decays_by_default():
    start, grads = np.array([2.0, -3.0]), gradients((2,))
    reference, w = keras_formulas.Adam(), start
    for got, grad in zip(run(optimizers.AdamW(0.1), start, grads), grads, strict=True):
        w = reference.step(w * (1 - 0.1 * 0.004), grad, 0.1)
        np.testing.assert_allclose(got, w, rtol=0, atol=1e-12)


def test_decay_can_leave_weights_out():
    kept, biased, decayed = (
        elman.Variable(np.array([1.0]), name=name) for name in ("kept", "lstm/bias", "kernel")
    )
    optimizer = optimizers.SGD(0.5, weight_decay=0.1)
    optimizer.exclude_from_weight_decay([kept], ["bias"])
    zero = elman.Tensor(np.zeros(1))
    optimizer.apply_gradients([(zero, v) for v in (kept, biased, decayed)])
    assert [float(v[0]) for v in (kept, biased, decayed)] == [1.0, 1.0, 0.95]


# --- clipping ------------------------------------------------------------------------------------


def step_of(clipping, grads):
    """What one step of SGD with learning rate 1 takes away from each of several weights."""
    variables = [elman.Variable(np.zeros_like(grad)) for grad in grads]
    optimizer = optimizers.SGD(1.0, **clipping)
    optimizer.apply([elman.Tensor(grad) for grad in grads], variables)
    return [-v.numpy() for v in variables]


BIG, SMALL = np.array([3.0, -4.0]), np.array([[0.3], [0.4]])  # norms 5 and 0.5


def test_clipvalue():
    big, small = step_of({"clipvalue": 0.35}, [BIG, SMALL])
    np.testing.assert_array_equal(big, [0.35, -0.35])
    np.testing.assert_array_equal(small, [[0.3], [0.35]])


def test_clipnorm_is_per_weight():
    big, small = step_of({"clipnorm": 2.0}, [BIG, SMALL])
    np.testing.assert_allclose(big, BIG * (2.0 / 5.0), rtol=1e-15)
    np.testing.assert_array_equal(small, SMALL)


def test_global_clipnorm_is_over_all_weights():
    norm = np.sqrt(25.25)
    big, small = step_of({"global_clipnorm": 2.0}, [BIG, SMALL])
    np.testing.assert_allclose(big, BIG * (2.0 / norm), rtol=1e-15)
    np.testing.assert_allclose(small, SMALL * (2.0 / norm), rtol=1e-15)
    untouched = step_of({"global_clipnorm": norm * 1.001}, [BIG, SMALL])
    np.testing.assert_array_equal(untouched[0], BIG)


def test_clipping_happens_before_the_moments():
    grads = gradients((4,))
    found = run(optimizers.Adam(0.1, clipvalue=0.05), np.zeros(4), grads)
    reference, w = keras_formulas.Adam(), np.zeros(4)
    for got, grad in zip(found, grads, strict=True):
        w = reference.step(w, np.clip(grad, -0.05, 0.05), 0.1)
        np.testing.assert_allclose(got, w, rtol=0, atol=1e-13)


def test_a_shared_gradient_is_clipped_once():
    """d(a + b) hands both variables the same tensor."""
    a, b = elman.Variable(np.zeros(2)), elman.Variable(np.zeros(2))
    grad = elman.Tensor(BIG)
    optimizers.SGD(1.0, clipnorm=1.0).apply([grad, grad], [a, b])
    np.testing.assert_allclose(a.numpy(), -BIG / 5, rtol=1e-15)
    np.testing.assert_array_equal(a.numpy(), b.numpy())
    np.testing.assert_array_equal(grad.numpy(), BIG)


@pytest.mark.parametrize("clipping", ["clipnorm", "global_clipnorm", "clipvalue"])
def test_nan_is_not_clipped_away(clipping):
    (found,) = step_of({clipping: 1.0}, [np.array([np.nan, 1.0])])
    assert np.isnan(found[0])


@pytest.mark.parametrize("clipping", ["clipnorm", "global_clipnorm", "clipvalue"])
def test_wrong_clipping(clipping):
    with pytest.raises(ValueError, match=rf"\[SGD\] {clipping}: expected a positive number"):
        optimizers.SGD(**{clipping: -1.0})
    other = "clipvalue" if clipping != "clipvalue" else "clipnorm"
    with pytest.raises(ValueError, match="at most one"):
        optimizers.SGD(**{clipping: 1.0, other: 1.0})


# --- learning rate -------------------------------------------------------------------------------


def test_learning_rate_can_be_set():
    optimizer, w = optimizers.SGD(0.5), elman.Variable(np.array([0.0]))
    grad = elman.Tensor(np.array([1.0]))
    optimizer.apply([grad], [w])
    optimizer.learning_rate = 0.25
    optimizer.apply([grad], [w])
    optimizer.learning_rate.assign(0.125)
    optimizer.apply([grad], [w])
    assert float(w[0]) == -0.875
    assert float(optimizer.lr) == 0.125
    assert optimizer.iterations == 3
    for bad in (-1.0, float("nan"), float("inf")):
        with pytest.raises(ValueError, match="learning_rate"):
            optimizer.learning_rate = bad
    with pytest.raises(TypeError, match="learning_rate"):
        optimizers.Adam("fast")


EXPONENTIAL = schedules.ExponentialDecay(0.5, 4, 0.25)
SCHEDULES = [
    (EXPONENTIAL, [(0, 0.5), (2, 0.25), (4, 0.125), (8, 0.03125)]),
    (schedules.ExponentialDecay(0.5, 4, 0.25, staircase=True), [(3, 0.5), (4, 0.125), (7, 0.125)]),
    (schedules.InverseTimeDecay(0.5, 2, 0.5), [(0, 0.5), (2, 0.5 / 1.5), (3, 0.5 / 1.75)]),
    (schedules.InverseTimeDecay(0.5, 2, 0.5, staircase=True), [(3, 0.5 / 1.5), (4, 0.25)]),
    (
        schedules.PiecewiseConstantDecay([3, 5], [1.0, 0.5, 0.1]),
        [(0, 1.0), (3, 1.0), (4, 0.5), (5, 0.5), (6, 0.1), (99, 0.1)],
    ),
    (schedules.PolynomialDecay(1.0, 10, 0.1), [(0, 1.0), (5, 0.55), (10, 0.1), (20, 0.1)]),
    (schedules.PolynomialDecay(1.0, 10, 0.0, power=2.0), [(5, 0.25), (8, 0.04)]),
    (
        schedules.PolynomialDecay(1.0, 10, 0.0, cycle=True),
        [(0, 1.0), (10, 0.0), (11, 1 - 11 / 20), (25, 1 - 25 / 30)],
    ),
    (schedules.CosineDecay(1.0, 10), [(0, 1.0), (5, 0.5), (10, 0.0), (11, 0.0)]),
    (schedules.CosineDecay(1.0, 10, alpha=0.2), [(5, 0.6), (10, 0.2)]),
    (
        schedules.CosineDecay(0.1, 10, warmup_target=1.0, warmup_steps=4),
        [(0, 0.1), (2, 0.55), (4, 1.0), (9, 0.5), (14, 0.0), (20, 0.0)],
    ),
    (
        schedules.CosineDecayRestarts(1.0, 4, t_mul=2.0, m_mul=0.5),
        [(0, 1.0), (2, 0.5), (4, 0.5), (8, 0.25), (12, 0.25)],
    ),
    (schedules.CosineDecayRestarts(1.0, 4, t_mul=1.0), [(2, 0.5), (4, 1.0), (6, 0.5)]),
]


@pytest.mark.parametrize(("schedule", "values"), SCHEDULES)
def test_schedules(schedule, values):
    for step, value in values:
        assert schedule(step) == pytest.approx(value, abs=1e-12), step
    copy = schedules.deserialize(schedules.serialize(schedule))
    assert type(copy) is type(schedule)
    assert [copy(i) for i in range(20)] == [schedule(i) for i in range(20)]


def test_an_optimizer_follows_its_schedule():
    optimizer, w = optimizers.SGD(EXPONENTIAL), elman.Variable(np.array([0.0]))
    for step in range(5):
        before = float(w[0])
        assert float(optimizer.learning_rate) == EXPONENTIAL(step)
        optimizer.apply([elman.Tensor(np.array([1.0]))], [w])
        assert before - float(w[0]) == pytest.approx(EXPONENTIAL(step), abs=1e-15)
    with pytest.raises(TypeError, match="follows a ExponentialDecay"):
        optimizer.learning_rate = 0.1
    optimizer.learning_rate = schedules.PiecewiseConstantDecay([1], [0.5, 0.25])
    assert float(optimizer.learning_rate) == 0.25


def test_wrong_schedules():
    with pytest.raises(ValueError, match="3 values for 2 boundaries"):
        schedules.PiecewiseConstantDecay([1, 2], [0.1, 0.2])
    with pytest.raises(ValueError, match="rising"):
        schedules.PiecewiseConstantDecay([2, 1], [0.1, 0.2, 0.3])
    with pytest.raises(ValueError, match="decay_steps"):
        schedules.ExponentialDecay(0.1, 0, 0.5)


# --- the rest ------------------------------------------------------------------------------------


def test_gradients_of_none():
    a, b = elman.Variable(np.ones(1)), elman.Variable(np.ones(1))
    optimizer = optimizers.Adam(0.1)
    optimizer.apply([None, elman.Tensor(np.ones(1))], [a, b])
    assert float(a[0]) == 1.0
    assert float(b[0]) < 1.0
    with pytest.raises(ValueError, match="None for all"):
        optimizer.apply([None, None], [a, b])
    with pytest.raises(ValueError, match="one gradient for each of 2"):
        optimizer.apply([elman.Tensor(np.ones(1))], [a, b])


def test_constraints_come_last():
    w = elman.Variable(np.array([0.1, 0.1]))
    w.constraint = elman.constraints.non_neg()
    optimizers.SGD(1.0).apply([elman.Tensor(np.array([1.0, -1.0]))], [w])
    np.testing.assert_allclose(w.numpy(), [0.0, 1.1])


def test_an_update_does_not_reach_earlier_views():
    """A snapshot taken without a copy stays what it was."""
    w = elman.Variable(np.zeros(3))
    view = w.numpy()
    optimizers.Adam(0.1).apply([elman.Tensor(np.ones(3))], [w])
    np.testing.assert_array_equal(view, np.zeros(3))
    assert (w.numpy() < 0).all()


@pytest.mark.parametrize(("name", "options"), CASES, ids=str)
def test_configurations(name, options):
    optimizer = getattr(optimizers, name)(0.03, clipnorm=2.0, **options)
    copy = optimizers.get(optimizers.serialize(optimizer))
    assert type(copy) is type(optimizer)
    assert copy.get_config() == optimizer.get_config()
    assert copy.get_config()["learning_rate"] == 0.03
    for key, value in options.items():
        assert copy.get_config()[key] == value


def test_schedules_survive_a_configuration():
    optimizer = optimizers.Adam(SCHEDULES[4][0])
    copy = optimizers.get(optimizers.serialize(optimizer))
    assert [copy._schedule(i) for i in range(8)] == [SCHEDULES[4][0](i) for i in range(8)]


def test_names():
    for name in ("sgd", "RMSprop", "rmsprop", "adam", "AdamW", "adagrad", "adadelta", "Adamax"):
        assert type(optimizers.get(name)).__name__.lower() == name.lower()
    with pytest.raises(ValueError, match=r"'adaam'.*did you mean 'adam'"):
        optimizers.get("adaam")
    with pytest.raises(TypeError, match="learning_rat"):
        optimizers.SGD(learning_rat=0.1)


def test_an_own_optimizer():
    class Sign(optimizers.Optimizer):
        def build(self, variables):
            super().build(variables)
            self.counts = [self.add_variable_from_reference(v, "count") for v in variables]

        def update_step(self, gradient, variable, learning_rate):
            variable.assign_sub(elman.backend.sign(gradient) * learning_rate)
            self.counts[0].assign_add(np.ones(2))

    w = elman.Variable(np.zeros(2))
    optimizer = Sign(0.5)
    optimizer.apply([elman.Tensor(np.array([3.0, -7.0]))], [w])
    np.testing.assert_array_equal(w.numpy(), [-0.5, 0.5])
    np.testing.assert_array_equal(optimizer.variables[0].numpy(), [1.0, 1.0])
