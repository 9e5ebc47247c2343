# SPDX-License-Identifier: Apache-2.0
"""LayerNormalization and BatchNormalization against loops, differences, and their promises."""

from __future__ import annotations

import numpy as np
import pytest

import elman
from elman._backend import core
from elman.layers import BatchNormalization, Dense, LayerNormalization
from normalization_reference import batch_norm, layer_norm, moments
from test_determinism import same_with_all_threads
from tolerance import tolerance

K = elman.backend
SHAPES = [(3, 7), (2, 5, 3), (1, 1), (5, 1), (2, 3, 5, 37), (307, 2), (17, 131)]


def operands(shape, seed=0, offset=0.0):
    rng = np.random.default_rng([seed, *shape])
    x = rng.normal(size=shape) * 2 + offset
    return x, rng.uniform(0.5, 1.5, shape[-1:]), rng.normal(size=shape[-1:])


def random_mask(shape, seed=1):
    mask = np.random.default_rng([seed, *shape]).random(shape[:-1]) < 0.6
    mask.reshape(-1)[0] = True
    return mask


@pytest.mark.parametrize("shape", SHAPES, ids=str)
def test_layer_norm(shape):
    x, gamma, beta = operands(shape)
    for given in ((gamma, beta), (None, beta), (gamma, None), (None, None)):
        expected = layer_norm(x, *given)
        np.testing.assert_allclose(
            core.layer_norm(x, *given, 1e-3), expected, rtol=1e-12, atol=1e-12
        )
    single = core.layer_norm(x.astype("f"), gamma.astype("f"), beta.astype("f"), 1e-3)
    exact = layer_norm(x.astype("f"), gamma.astype("f"), beta.astype("f"))
    # The difference x - mean is as wrong as x is, and is then divided by the deviation.
    deviation = np.sqrt(x.var(-1).min() + 1e-3)
    scale = np.abs(x).max() / deviation * np.abs(gamma).max()
    allowed = tolerance("float32", shape[-1] + 2, 1, scale)
    np.testing.assert_allclose(single, exact, rtol=0, atol=allowed)


@pytest.mark.parametrize("masked", [False, True])
@pytest.mark.parametrize("shape", SHAPES, ids=str)
def test_batch_norm(shape, masked):
    x, gamma, beta = operands(shape)
    mask = random_mask(shape) if masked else None
    y, mean, variance, used = core.batch_norm(x, gamma, beta, mask, 1e-3)
    expected = moments(x, mask)
    assert used == (mask.sum() if masked else x.size // shape[-1])
    np.testing.assert_allclose(mean, expected[0], rtol=1e-12, atol=1e-13)
    np.testing.assert_allclose(variance, expected[1], rtol=1e-12, atol=1e-13)
    wanted = batch_norm(x, gamma, beta, mask)
    scale = np.abs(wanted).max()
    np.testing.assert_allclose(y, wanted, rtol=0, atol=1e-12 * scale)
    statistics = expected[0] + 0.1, expected[1] * 1.5 + 0.1
    y = core.batch_norm_inference(x, gamma, beta, *statistics, 1e-3)
    wanted = batch_norm(x, gamma, beta, statistics=statistics)
    np.testing.assert_allclose(y, wanted, rtol=0, atol=1e-12 * np.abs(wanted).max())


def test_a_large_mean_does_not_cancel():
    """E[x^2] - E[x]^2 in float32 would give a variance of 0, or of anything, here."""
    x = (np.random.default_rng(3).normal(size=(1009, 5)) + 4096).astype("float32")
    exact = moments(x)
    _, mean, variance, _ = core.batch_norm(x, None, None, None, 1e-3)
    np.testing.assert_allclose(mean, exact[0], rtol=1e-6)
    np.testing.assert_allclose(variance, exact[1], rtol=1e-4)
    rows = np.ascontiguousarray(x.T)
    np.testing.assert_allclose(
        core.layer_norm(rows, None, None, 1e-3), layer_norm(rows), rtol=0, atol=2e-3
    )


# --- gradients ---------------------------------------------------------------------------------


def central(function, values, weights, index, step=1e-5):
    """Central differences of sum(weights * function(*values)) by operand number `index`."""
    found = np.zeros(values[index].size)
    for k in range(found.size):
        sides = []
        for sign in (1, -1):
            moved = [v.copy() for v in values]
            moved[index].reshape(-1)[k] += sign * step
            sides.append(function(*moved))
        found[k] = ((sides[0] - sides[1]) * weights).sum() / (2 * step)
    return found.reshape(values[index].shape)


def check_gradients(layer_function, reference, values):
    variables = [elman.Variable(v) for v in values]
    weights = np.random.default_rng(9).normal(size=values[0].shape)
    with elman.GradientTape() as tape:
        loss = K.sum(layer_function(*variables) * weights)
    found = tape.gradient(loss, variables)
    for k, gradient in enumerate(found):
        expected = central(reference, values, weights, k)
        scale = max(1.0, np.abs(expected).max())
        np.testing.assert_allclose(gradient, expected, rtol=0, atol=1e-7 * scale)


@pytest.mark.parametrize("shape", [(3, 7), (2, 5, 3), (2, 37), (1, 2)], ids=str)
def test_gradients_of_layer_norm(shape):
    check_gradients(lambda *v: core.layer_norm(*v, 1e-3), layer_norm, list(operands(shape)))


@pytest.mark.parametrize("masked", [False, True])
@pytest.mark.parametrize("shape", [(7, 3), (2, 5, 3), (3, 67), (5, 1)], ids=str)
def test_gradients_of_batch_norm(shape, masked):
    """Outputs of masked rows count as well: mean and variance reach them."""
    mask = random_mask(shape) if masked else None
    check_gradients(
        lambda *v: core.batch_norm(*v, mask, 1e-3)[0],
        lambda *v: batch_norm(*v, mask),
        list(operands(shape)),
    )


def test_gradients_of_batch_norm_in_inference():
    x, gamma, beta = operands((7, 3))
    statistics = np.array([0.1, -0.2, 0.3]), np.array([0.5, 1.0, 2.0])
    check_gradients(
        lambda *v: core.batch_norm_inference(*v, *statistics, 1e-3),
        lambda *v: batch_norm(*v, statistics=statistics),
        [x, gamma, beta],
    )


def test_gradients_are_added_and_only_where_asked():
    x, gamma, beta = (elman.Variable(v) for v in operands((3, 7)))
    with elman.GradientTape() as tape:
        y = core.layer_norm(x, gamma, beta, 1e-3)
        once = K.sum(y * y)
    first = tape.gradient(once, [x, gamma])
    with elman.GradientTape() as tape:
        y = core.layer_norm(x, gamma, beta, 1e-3)
        twice = K.sum(y * y) + K.sum(core.layer_norm(x, gamma, beta, 1e-3) ** 2)
    for a, b in zip(first, tape.gradient(twice, [x, gamma]), strict=True):
        np.testing.assert_allclose(2 * np.asarray(a), b, rtol=1e-12, atol=1e-12)
    with elman.GradientTape() as tape:
        y, mean, variance, _ = core.batch_norm(x, gamma, beta, None, 1e-3)
        constant = K.sum(mean) + K.sum(variance)
    assert tape.gradient(constant, x) is None


# --- masks -------------------------------------------------------------------------------------


def test_nan_in_the_padding_changes_nothing():
    x = operands((3, 5, 7))[0]
    mask = random_mask(x.shape)
    padded = np.where(mask[..., None], x, np.nan)
    results = []
    for given in (x, padded):
        layer = BatchNormalization(dtype="float64")
        layer.build((None, None, 7))
        source = elman.Variable(given)
        with elman.GradientTape() as tape:
            y = layer(source, mask=mask, training=True)
            loss = K.sum(core.where(mask[..., None], y, 0.0) ** 3)
        found = tape.gradient(loss, [source, *layer.trainable_weights])
        results.append([y.numpy()[mask], *map(np.asarray, found), *layer.get_weights()])
    for a, b in zip(*results, strict=True):
        assert np.isfinite(b).all()
        np.testing.assert_array_equal(a, b)


def test_the_mask_of_the_layer():
    x = operands((3, 5, 7))[0]
    mask = random_mask(x.shape)
    layer = BatchNormalization(momentum=0.5, dtype="float64")
    y = layer(x, mask=mask, training=True)
    np.testing.assert_array_equal(y._keras_mask, mask)
    mean, variance = moments(x, mask)
    np.testing.assert_allclose(layer.moving_mean, 0.5 * mean, rtol=1e-12, atol=1e-14)
    np.testing.assert_allclose(layer.moving_variance, 0.5 + 0.5 * variance, rtol=1e-12)
    deep = np.stack([x, x + 1], 2)  # (3, 5, 2, 7): one value per step covers what is inside
    one, other = (BatchNormalization(dtype="float64") for _ in range(2))
    np.testing.assert_array_equal(
        one(deep, mask=mask, training=True),
        other(deep, mask=np.repeat(mask[..., None], 2, 2), training=True),
    )
    assert LayerNormalization()(x, mask=mask)._keras_mask is not None
    for bad in (mask[:, :4], np.ones(x.shape, bool)):
        with pytest.raises(ValueError, match=r"\[BatchNormalization.call\] mask: expected the fir"):
            layer(x, mask=bad, training=True)
        with pytest.raises(ValueError, match=r"\[BatchNormalization.call\] mask: expected the fir"):
            BatchNormalization(axis=1)(x, mask=bad, training=True)


def test_a_batch_without_a_used_step_leaves_the_statistics():
    layer = BatchNormalization()
    x = np.ones((2, 3, 5), "float32")
    y = layer(x, mask=np.zeros((2, 3), bool), training=True)
    assert np.isfinite(y).all()
    layer(np.ones((0, 3, 5), "float32"), training=True)
    np.testing.assert_array_equal(layer.moving_mean, np.zeros(5))
    np.testing.assert_array_equal(layer.moving_variance, np.ones(5))


# --- the layers --------------------------------------------------------------------------------


@pytest.mark.parametrize("axis", [1, 2, 3, -1, (1, 2), (3, 1), (1, 2, 3)], ids=str)
def test_axes_of_layer_normalization(axis):
    x = np.random.default_rng(4).normal(size=(2, 3, 5, 7))
    layer = LayerNormalization(axis=axis, dtype="float64")
    layer(x)
    places = tuple(sorted(a % 4 for a in (axis if isinstance(axis, tuple) else (axis,))))
    sizes = tuple(x.shape[a] for a in places)
    rng = np.random.default_rng(5)
    gamma, beta = rng.normal(size=sizes), rng.normal(size=sizes)
    assert [tuple(w.shape) for w in layer.weights] == [sizes, sizes]
    layer.set_weights([gamma, beta])
    spread = [n if a in places else 1 for a, n in enumerate(x.shape)]
    variance = x.var(axis=places, keepdims=True)
    expected = (x - x.mean(axis=places, keepdims=True)) / np.sqrt(variance + 1e-3)
    expected = expected * gamma.reshape(spread) + beta.reshape(spread)
    np.testing.assert_allclose(layer(x), expected, rtol=1e-12, atol=1e-12)
    source = elman.Variable(x)
    weights = rng.normal(size=x.shape)
    with elman.GradientTape() as tape:
        loss = K.sum(layer(source) * weights)
    found = tape.gradient(loss, [source, layer.gamma, layer.beta])
    other = tuple(a for a in range(4) if a not in places)
    np.testing.assert_allclose(found[2], weights.sum(other), rtol=1e-10, atol=1e-12)
    direction = rng.normal(size=x.shape)
    ends = [float(K.sum(layer(x + step * direction) * weights)) for step in (1e-5, -1e-5)]
    terms = np.asarray(found[0]) * direction
    expected = (ends[0] - ends[1]) / 2e-5
    assert float(terms.sum()) == pytest.approx(expected, rel=0, abs=1e-7 * np.abs(terms).sum())


@pytest.mark.parametrize("axis", [1, 2, -1])
def test_axes_of_batch_normalization(axis):
    x = np.random.default_rng(4).normal(size=(2, 3, 5, 7))
    layer = BatchNormalization(axis=[axis], dtype="float64", momentum=0.0)
    y = layer(x, training=True)
    others = tuple(a for a in range(4) if a != axis % 4)
    mean, variance = x.mean(axis=others), x.var(axis=others)
    np.testing.assert_allclose(layer.moving_mean, mean, rtol=1e-12, atol=1e-14)
    np.testing.assert_allclose(layer.moving_variance, variance, rtol=1e-12)
    spread = [n if a == axis % 4 else 1 for a, n in enumerate(x.shape)]
    expected = (x - mean.reshape(spread)) / np.sqrt(variance.reshape(spread) + 1e-3)
    np.testing.assert_allclose(y, expected, rtol=1e-12, atol=1e-12)
    np.testing.assert_allclose(layer(x), expected, rtol=1e-12, atol=1e-12)


def test_weights_and_moving_statistics():
    layer = BatchNormalization(momentum=0.9)
    layer.build((None, None, 3))
    assert [w.name for w in layer.weights] == ["gamma", "beta", "moving_mean", "moving_variance"]
    assert [w.name for w in layer.trainable_weights] == ["gamma", "beta"]
    x = np.random.default_rng(0).normal(size=(5, 2, 3)).astype("float32")
    before = layer.get_weights()
    layer(x)
    for a, b in zip(before, layer.get_weights(), strict=True):
        np.testing.assert_array_equal(a, b)
    mean, variance = np.zeros(3), np.ones(3)
    for _ in range(3):
        layer(x, training=True)
        own = moments(x)
        mean, variance = 0.9 * mean + 0.1 * own[0], 0.9 * variance + 0.1 * own[1]
    np.testing.assert_allclose(layer.moving_mean, mean, rtol=1e-6, atol=1e-7)
    np.testing.assert_allclose(layer.moving_variance, variance, rtol=1e-6)
    expected = batch_norm(x, statistics=(mean, variance))
    np.testing.assert_allclose(layer(x), expected, rtol=0, atol=1e-6)
    plain = BatchNormalization(center=False, scale=False)
    plain(x)
    assert [w.name for w in plain.weights] == ["moving_mean", "moving_variance"]


def test_a_frozen_layer_is_in_inference_mode():
    x = np.random.default_rng(0).normal(size=(5, 3)).astype("float32")
    layer = BatchNormalization()
    inference = layer(x).numpy()
    layer.trainable = False
    np.testing.assert_array_equal(layer(x, training=True), inference)
    np.testing.assert_array_equal(layer.moving_mean, np.zeros(3))
    assert layer.trainable_weights == []
    model = elman.Sequential([BatchNormalization(input_shape=(3,)), Dense(2)])
    model.trainable = False  # reaches the layers
    before = model.get_weights()
    model(x, training=True)
    for a, b in zip(before, model.get_weights(), strict=True):
        np.testing.assert_array_equal(a, b)
    assert model.trainable_weights == []
    model.trainable = True
    assert len(model.trainable_weights) == 4
    model(x, training=True)
    assert (model.get_weights()[2] != before[2]).any()


def test_training_a_model():
    rng = np.random.default_rng(1)
    x = (rng.normal(size=(64, 5)) * 3 + 2).astype("float32")
    y = x @ rng.normal(size=(5, 1)).astype("float32")
    elman.utils.set_random_seed(1)
    layers = [BatchNormalization(input_shape=(5,), momentum=0.5), LayerNormalization(), Dense(1)]
    model = elman.Sequential(layers)
    model.compile(elman.optimizers.Adam(0.1), "mse")
    history = model.fit(x, y, batch_size=16, epochs=20, verbose=0).history["loss"]
    assert history[-1] < history[0] / 2
    mean = layers[0].moving_mean.numpy()
    np.testing.assert_allclose(mean, x.mean(0), rtol=0, atol=2.0)
    assert (mean != 0).all()


def test_bit_equal_at_any_number_of_threads():
    rng = np.random.default_rng(2)
    for shape in ((1009, 61), (4099, 3), (67, 2003)):
        for dtype in ("float32", "float64"):
            x, dy = (rng.normal(size=shape).astype(dtype) for _ in range(2))
            gamma = rng.normal(size=shape[-1]).astype(dtype)
            mask = rng.random(shape[0]) < 0.7

            def compute(x=x, dy=dy, gamma=gamma, mask=mask):
                source, scale = elman.Variable(x), elman.Variable(gamma)
                with elman.GradientTape(persistent=True) as tape:
                    y, mean, variance, _ = core.batch_norm(source, scale, None, mask, 1e-3)
                    z = core.layer_norm(source, scale, gamma, 1e-3)
                    losses = K.sum(y * dy), K.sum(z * dy)
                found = [g for loss in losses for g in tape.gradient(loss, [source, scale])]
                return [t.numpy() for t in (y, mean, variance, z, *found)]

            same_with_all_threads(compute)


@pytest.mark.parametrize("cls", [LayerNormalization, BatchNormalization])
def test_bad_input(cls):
    name = cls.__name__
    layer = cls()
    layer(np.ones((2, 3)))
    with pytest.raises(ValueError, match=rf"\[{name}.call\] x: expected \(N, 3\), got \(2, 4\)"):
        layer(np.ones((2, 4)))
    with pytest.raises(ValueError, match=rf"\[{name}.call\] x: expected \(N, 3\), got \(2, 5, 3"):
        layer(np.ones((2, 5, 3)))
    with pytest.raises(ValueError, match=r"x: expected an input with that axis.*axis is 4"):
        cls(axis=4)(np.ones((2, 3)))
    with pytest.raises(ValueError, match="axis 0 is the batch"):
        cls(axis=0)(np.ones((2, 3)))
    with pytest.raises(ValueError, match="expected a known size of axis -1"):
        cls()(elman.Input((3, None)))
    for bad in ({"epsilon": 0}, {"axis": "x"}, {"axis": []}, {"axis": [1, 1]}, {"epsilon": "a"}):
        with pytest.raises(ValueError, match=rf"\[{name}\] {next(iter(bad))}: expected"):
            cls(**bad)
    assert cls()(elman.Input((None, 3))).shape == (None, None, 3)
    assert cls()(np.ones((2, 3), "int64")).dtype == "float32"


def test_bad_options_of_batch_normalization():
    with pytest.raises(ValueError, match=r"\[BatchNormalization\] axis: expected one axis"):
        BatchNormalization(axis=[1, 2])
    with pytest.raises(ValueError, match=r"\[BatchNormalization\] momentum: expected a number fro"):
        BatchNormalization(momentum=1.5)
    with pytest.raises(ValueError, match=r"\[batch_norm\] gamma: expected \(3,\) float64"):
        core.batch_norm(np.ones((2, 3)), np.ones(2), None, None, 1e-3)
    with pytest.raises(ValueError, match=r"\[batch_norm\] mask: expected \(2,\) bool"):
        core.batch_norm(np.ones((2, 3)), None, None, np.ones(3, bool), 1e-3)
    with pytest.raises(ValueError, match=r"\[layer_norm\] x: expected at least one axis"):
        core.layer_norm(np.ones(()), None, None, 1e-3)
