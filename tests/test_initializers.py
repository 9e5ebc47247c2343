# SPDX-License-Identifier: Apache-2.0
"""Initializers: distributions, limits, seeds, names; constraints and regularizers by name."""

from __future__ import annotations

import numpy as np
import pytest

import elman
from acceptance import close
from elman import constraints, initializers, layers, regularizers

NAMES = {
    "zeros": "Zeros",
    "zero": "Zeros",
    "ones": "Ones",
    "one": "Ones",
    "constant": "Constant",
    "uniform": "RandomUniform",
    "random_uniform": "RandomUniform",
    "normal": "RandomNormal",
    "random_normal": "RandomNormal",
    "truncated_normal": "TruncatedNormal",
    "identity": "Identity",
    "orthogonal": "Orthogonal",
    "variance_scaling": "VarianceScaling",
    "glorot_uniform": "GlorotUniform",
    "glorot_normal": "GlorotNormal",
    "he_uniform": "HeUniform",
    "he_normal": "HeNormal",
    "lecun_uniform": "LecunUniform",
    "lecun_normal": "LecunNormal",
}


@pytest.mark.parametrize("name", NAMES)
def test_names(name):
    for identifier in (name, NAMES[name]):
        found = initializers.get(identifier)
        assert type(found).__name__ == NAMES[name]
        again = initializers.get(initializers.serialize(found))
        assert again.get_config() == found.get_config()
        assert getattr(initializers, name) is getattr(initializers, NAMES[name])


@pytest.mark.parametrize(
    ("layer", "features", "limit"),
    [
        (layers.SimpleRNN(4), 3, 0.925820),
        (layers.LSTM(4), 3, 0.561951),
        (layers.GRU(4), 3, 0.632456),
    ],
)
def test_limits_of_glorot_uniform_in_packed_kernels(layer, features, limit):
    assert np.sqrt(6 / (features + layer.cell.gates * 4)) == pytest.approx(limit, abs=1e-6)
    shape = (features, layer.cell.gates * 4)
    draws = np.concatenate([initializers.GlorotUniform()(shape).numpy() for _ in range(2000)])
    assert np.abs(draws).max() <= limit
    assert np.abs(draws).max() > 0.999 * limit
    layer.build((None, None, features))
    assert tuple(layer.weights[0].shape) == shape
    assert np.abs(layer.get_weights()[0]).max() <= limit


@pytest.mark.parametrize(
    ("name", "shape", "fan", "scale"),
    [
        ("glorot_normal", (300, 500), 400, 1),
        ("he_normal", (400, 300), 400, 2),
        ("lecun_normal", (400, 300), 400, 1),
        ("glorot_uniform", (3, 100, 300), 600, 1),
        ("he_uniform", (2, 3, 100, 200), 600, 2),
        ("lecun_uniform", (400, 300), 400, 1),
        ("he_normal", (90000,), 90000, 2),
    ],
)
def test_variances(name, shape, fan, scale):
    values = initializers.get(name)(shape, "float64").numpy()
    assert values.shape == shape
    assert values.std() == pytest.approx(np.sqrt(scale / fan), rel=0.02)
    assert abs(values.mean()) < 0.02 * np.sqrt(scale / fan)
    if name.endswith("normal"):  # cut at two standard deviations of the untruncated normal
        assert np.abs(values).max() <= 2 * np.sqrt(scale / fan) / 0.87962566


def test_plain_distributions():
    uniform = initializers.get("uniform")((400, 400)).numpy()
    assert np.abs(uniform).max() <= 0.05
    assert uniform.std() == pytest.approx(0.05 / np.sqrt(3), rel=0.02)
    normal = initializers.get("normal")((400, 400)).numpy()
    assert normal.std() == pytest.approx(0.05, rel=0.02)
    cut = initializers.get("truncated_normal")((400, 400)).numpy()
    assert np.abs(cut).max() <= 0.1
    shifted = initializers.RandomNormal(mean=3.0, stddev=0.1)((400, 400)).numpy()
    assert shifted.mean() == pytest.approx(3, abs=0.01)
    close(initializers.Constant([1, 2])((3, 2)), [[1, 2]] * 3)
    close(initializers.Identity(2.0)((2, 3)), [[2, 0, 0], [0, 2, 0]])


@pytest.mark.parametrize("shape", [(5, 20), (20, 5), (6, 6), (3, 2, 4, 8)])
@pytest.mark.parametrize("dtype", ["float32", "float64"])
def test_orthogonal(shape, dtype):
    matrix = initializers.Orthogonal(gain=3.0)(shape, dtype).numpy()
    assert matrix.dtype == dtype
    flat = matrix.reshape(-1, shape[-1]).astype("float64") / 3
    rows, columns = flat.shape
    product = flat @ flat.T if rows <= columns else flat.T @ flat
    np.testing.assert_allclose(product, np.eye(min(rows, columns)), atol=1e-5)


def test_orthogonal_is_uniform():
    """Signs of the diagonal are balanced: an uncorrected QR decomposition would fix them."""
    first = np.array([initializers.Orthogonal()((2, 2)).numpy()[0, 0] for _ in range(400)])
    assert 140 < (first > 0).sum() < 260


def test_recurrent_kernel_of_an_lstm():
    layer = layers.LSTM(5)
    layer.build((None, None, 3))
    kernel = layer.get_weights()[1].astype("float64")
    np.testing.assert_allclose(kernel @ kernel.T, np.eye(5), atol=1e-5)


def test_seeds():
    shape = (3, 4)
    seeded = initializers.GlorotNormal(seed=3)
    np.testing.assert_array_equal(seeded(shape), seeded(shape))
    np.testing.assert_array_equal(seeded(shape), initializers.GlorotNormal(seed=3)(shape))
    free = initializers.GlorotNormal()
    assert (np.asarray(free(shape)) != np.asarray(free(shape))).any()
    draws = []
    for _ in range(2):
        elman.utils.set_random_seed(5)
        draws.append(np.asarray(free(shape)))
    np.testing.assert_array_equal(*draws)


def test_errors():
    for get, kind in (
        (initializers.get, "initializer"),
        (regularizers.get, "regularizer"),
        (constraints.get, "constraint"),
    ):
        with pytest.raises(ValueError, match=rf"\[{kind}s.get\] unknown {kind} 'xyzzy'; there are"):
            get("xyzzy")
        with pytest.raises(ValueError, match=rf"\[{kind}s.get\] identifier: expected a name"):
            get(3.5)
    with pytest.raises(ValueError, match=r"\[Orthogonal\] shape: expected two or more axes"):
        initializers.Orthogonal()((3,))
    with pytest.raises(ValueError, match=r"\[VarianceScaling\] mode"):
        initializers.VarianceScaling(mode="fan")
    with pytest.raises(ValueError, match=r"\[Constant\] value: expected \(2, 2\)"):
        initializers.Constant([1, 2, 3])((2, 2))


# --- constraints and regularizers --------------------------------------------------------------

W3 = np.array([[3.0, 1.0], [4.0, 0.0]])


@pytest.mark.parametrize(
    ("constraint", "expected"),
    [
        (constraints.max_norm(2), [[1.2, 1], [1.6, 0]]),
        (constraints.unit_norm(), [[0.6, 1], [0.8, 0]]),
        (constraints.min_max_norm(2, 3), [[1.8, 2], [2.4, 0]]),
        (constraints.min_max_norm(2, 3, rate=0.5), [[2.4, 1.5], [3.2, 0]]),
        (constraints.non_neg(), W3),
        (constraints.max_norm(2, axis=1), [[2 * 3 / np.sqrt(10), 2 / np.sqrt(10)], [2, 0]]),
    ],
)
def test_constraints(constraint, expected):
    close(constraint(W3), expected)
    again = constraints.get(constraints.serialize(constraint))
    close(again(W3), expected)


def test_non_neg():
    close(constraints.get("non_neg")(np.array([-1.0, 2.0])), [0, 2])


def test_constraint_and_regularizer_names():
    for name in ("max_norm", "maxnorm", "MaxNorm", "unit_norm", "unitnorm", "nonneg", "NonNeg"):
        assert isinstance(constraints.get(name), constraints.Constraint)
    for name, config in {
        "l1": {"l1": 0.01},
        "l2": {"l2": 0.01},
        "l1_l2": {"l1": 0.01, "l2": 0.01},
        "L1L2": {"l1": 0.0, "l2": 0.0},
    }.items():
        assert regularizers.get(name).get_config() == config
    assert regularizers.get(None) is None
    assert constraints.get(None) is None


def test_regularizers():
    w = np.array([[1.0, 0.0, -1.0], [2.0, 1.0, 0.0]])
    close(float(regularizers.l1(0.01)(w)), 0.05)
    close(float(regularizers.l2(0.01)(w)), 0.07)
    close(float(regularizers.l1_l2()(w)), 0.12)
    close(float(regularizers.L1L2()(w)), 0)
    variable = elman.Variable(w)
    with elman.GradientTape() as tape:
        loss = regularizers.l1_l2(0.5, 0.25)(variable)
    close(tape.gradient(loss, variable), 0.5 * np.sign(w) + 0.5 * w)
    with pytest.raises(ValueError, match=r"\[regularizers\] l1: expected a finite number"):
        regularizers.l1(float("nan"))
