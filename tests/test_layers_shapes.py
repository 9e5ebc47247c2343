# SPDX-License-Identifier: Apache-2.0
"""Masking, Reshape, Permute, RepeatVector, Lambda, and the activations with parameters."""

from __future__ import annotations

import json

import numpy as np
import pytest

import elman
from acceptance import F, close
from elman import layers
from elman.layers import (
    ELU,
    GRU,
    LSTM,
    Dense,
    Lambda,
    LeakyReLU,
    Masking,
    Permute,
    PReLU,
    ReLU,
    RepeatVector,
    Reshape,
    Softmax,
)

K = elman.backend
A2 = np.array([[-2, -0.5, 0, 1.5]])


# --- masks and shapes --------------------------------------------------------------------------


def test_masking():
    x = np.array([[[1, 0], [7, 7], [7, 2], [0, 0]]], "float32")
    y = Masking(7)(x)
    close(y, [[[1, 0], [0, 0], [7, 2], [0, 0]]])
    np.testing.assert_array_equal(y._keras_mask, [[True, False, True, True]])
    np.testing.assert_array_equal(Masking()(x)._keras_mask, [[True, True, True, False]])
    padded = LSTM(4, dtype="float64")
    whole = padded(
        Masking(dtype="float64")(np.concatenate([F((2, 3, 5), 1), np.zeros((2, 2, 5))], 1))
    )
    np.testing.assert_allclose(whole, padded(F((2, 3, 5), 1)), rtol=0, atol=1e-15)
    nan = Masking()(np.array([[[np.nan, 0.0], [0.0, 0.0]]]))
    np.testing.assert_array_equal(nan._keras_mask, [[True, False]])
    other = np.array([[0, 1, 1, 1]], bool)
    np.testing.assert_array_equal(Masking(7)(x, mask=other)._keras_mask, [[1, 0, 1, 1]])
    assert Masking()(elman.Input((None, 3))).shape == (None, None, 3)
    assert Masking()(np.zeros((2, 3, 5, 7)))._keras_mask.shape == (2, 3, 5)
    with pytest.raises(
        ValueError, match=r"\[Masking.call\] x: expected \(N, T, ..., F\), got \(3,"
    ):
        Masking()(np.zeros(3))
    with pytest.raises(ValueError, match=r"\[Masking\] mask_value: expected a number, got 'x'"):
        Masking("x")


@pytest.mark.parametrize(
    ("target", "shape", "unknown"),
    [
        ((2, 15), (2, 15), (2, 15)),
        ((-1, 3), (10, 3), (None, 3)),
        ([5, None, 2], (5, 3, 2), (5, None, 2)),
        ((-1,), (30,), (None,)),
        (30, (30,), (30,)),
        ((30, 1, 1), (30, 1, 1), (30, 1, 1)),
    ],
)
def test_reshape(target, shape, unknown):
    x = np.arange(60.0).reshape(2, 6, 5)
    layer = Reshape(target)
    np.testing.assert_array_equal(layer(x), x.reshape(2, *shape))
    assert layer.compute_output_shape((None, 6, 5)) == (None, *shape)
    assert layer.compute_output_shape((None, None, 5)) == (None, *unknown)
    assert Reshape(target)(np.zeros((0, 6, 5))).shape == (0, *shape)


def test_reshape_errors():
    with pytest.raises(
        ValueError, match=r"\[Reshape\] target_shape: expected sizes of which at mo"
    ):
        Reshape((-1, -1))
    with pytest.raises(ValueError, match=r"\[Reshape\] target_shape: expected an int, got 'x'"):
        Reshape(("x",))
    for target in ((7, -1), (4, 7), (0, -1)):
        for x in (np.zeros((2, 6, 5)), elman.Input((6, 5))):
            with pytest.raises(ValueError, match=r"\[Reshape.call\] x: expected samples that fit"):
                Reshape(target)(x)


def test_permute():
    x = np.arange(210.0).reshape(1, 5, 6, 7)
    np.testing.assert_array_equal(Permute((3, 1, 2))(x), x.transpose(0, 3, 1, 2))
    assert Permute((2, 1))(elman.Input((None, 4))).shape == (None, 4, None)
    with pytest.raises(
        ValueError, match=r"\[Permute.call\] x: expected 3 axes, got \(1, 5, 6, 7\)"
    ):
        Permute((2, 1))(x)
    for bad in ((0, 1), (1, 1), (2, 3), ("a",)):
        with pytest.raises(ValueError, match=r"\[Permute\] dims: expected the numbers 1 to"):
            Permute(bad)


def test_repeat_vector():
    x = np.arange(6.0).reshape(2, 3)
    np.testing.assert_array_equal(RepeatVector(4)(x), np.repeat(x[:, None], 4, 1))
    assert RepeatVector(4)(elman.Input((3,))).shape == (None, 4, 3)
    source = elman.Variable(x)
    with elman.GradientTape() as tape:
        total = K.sum(RepeatVector(4, dtype="float64")(source))
    close(tape.gradient(total, source), np.full((2, 3), 4.0))
    with pytest.raises(ValueError, match=r"\[RepeatVector.call\] x: expected \(N, F\), got"):
        RepeatVector(4)(np.zeros((2, 3, 4)))
    with pytest.raises(ValueError, match=r"\[RepeatVector\] n: expected a positive int, got 0"):
        RepeatVector(0)


def test_shape_layers_drop_masks():
    x = Masking()(F((2, 3, 4), 1))
    for layer in (Reshape((4, 3)), Permute((2, 1))):
        assert getattr(layer(x), "_keras_mask", None) is None


def test_an_encoder_and_a_decoder_train():
    elman.utils.set_random_seed(2)
    model = elman.Sequential([GRU(12, input_shape=(4, 2)), RepeatVector(4)])
    for layer in (GRU(12, return_sequences=True), Dense(2), Reshape((-1,)), Reshape((4, 2))):
        model.add(layer)
    x = np.random.default_rng(0).uniform(-0.5, 0.5, (64, 4, 2)).astype("float32")
    model.compile(elman.optimizers.Adam(0.02), "mse")
    history = model.fit(x, x, epochs=60, verbose=0).history["loss"]
    assert history[-1] < history[0] / 2


# --- Lambda ------------------------------------------------------------------------------------


def doubled(x, factor=2.0):
    return x * factor


def first_half(inputs, mask):
    return None if mask is None else mask[:, : mask.shape[1] // 2]


def test_lambda():
    x = np.float32([[1, 2]])
    close(Lambda(doubled)(x), [[2, 4]])
    close(Lambda(doubled, arguments={"factor": 3.0})(x), [[3, 6]])
    joined = Lambda(lambda pair: K.concatenate(pair))
    close(joined([x, x]), [[1, 2, 1, 2]])
    assert joined([elman.Input((2,)), elman.Input((3,))]).shape == (None, 5)
    assert Lambda(lambda x: x[:, 0])(elman.Input((None, 3))).shape == (None, 3)
    assert Lambda(doubled, output_shape=(7,))(elman.Input((3,))).shape == (None, 7)
    halved = Lambda(doubled, output_shape=lambda shape: (shape[0], shape[1] // 2))
    assert halved(elman.Input((6,))).shape == (None, 3)
    source = elman.Variable(x)
    with elman.GradientTape() as tape:
        total = K.sum(Lambda(lambda v: K.square(v))(source))
    close(tape.gradient(total, source), [[2, 4]])


def test_lambda_sees_training_and_masks():
    seen = []

    def look(x, mask=None, training=None):
        seen.append((mask is not None, training))
        return x

    mask = np.ones((1, 2), bool)
    output = Lambda(look)(np.zeros((1, 2, 3)), mask=mask, training=True)
    assert getattr(output, "_keras_mask", None) is None
    Lambda(look)(np.zeros((1, 2, 3)))
    assert seen == [(True, True), (False, False)]
    kept = Lambda(lambda x: x[:, :1], mask=first_half)(np.zeros((1, 2, 3)), mask=mask)
    np.testing.assert_array_equal(kept._keras_mask, [[True]])
    fixed = Lambda(doubled, mask=np.array([[1, 0]]))(np.zeros((1, 2, 3)))
    np.testing.assert_array_equal(fixed._keras_mask, [[True, False]])


def test_configuration_of_lambda():
    layer = Lambda(doubled, output_shape=(2,), mask=first_half, arguments={"factor": 3.0})
    config = json.loads(json.dumps(layer.get_config()))
    assert (config["function"], config["mask"], config["output_shape"]) == (
        "doubled",
        "first_half",
        [2],
    )
    names = {"doubled": doubled, "first_half": first_half}
    again = Lambda.from_config(config, custom_objects=names)
    assert again.get_config() == layer.get_config()
    close(again(np.float32([[1, 2]])), [[3, 6]])
    model = elman.Sequential([Lambda(doubled, input_shape=(2,)), Dense(1)])
    made = elman.Sequential.from_config(model.get_config(), custom_objects=names)
    made.set_weights(model.get_weights())
    close(made(np.ones((1, 2))), model(np.ones((1, 2))))
    with pytest.raises(
        ValueError, match=r"function: expected a known function, got 'doubled'; name"
    ):
        Lambda.from_config(config)
    for unnamed in (Lambda(lambda x: x), Lambda(doubled, output_shape=lambda s: s)):
        with pytest.raises(ValueError, match=r"\[Lambda.get_config\].*expected a named function"):
            unnamed.get_config()


def test_lambda_of_files_of_keras():
    names = {"doubled": doubled}
    function = {"class_name": "function", "config": "doubled", "registered_name": "doubled"}
    older = {"function_type": "function", "module": "m", "output_shape_type": "raw"}
    older |= {"output_shape_module": None, "output_shape": None, "arguments": {}}
    for config in ({"function": function}, {"function": "doubled", **older}):
        close(Lambda.from_config(config, custom_objects=names)(np.ones((1, 1))), [[2]])
    stored = {"class_name": "__lambda__", "config": {"code": "4wAAAA=="}}
    for code in (["4wAAAA==", None, None], stored):
        with pytest.raises(ValueError, match="code that is stored in a file is not run"):
            Lambda.from_config({"function": code, **older})


def test_errors_of_lambda():
    with pytest.raises(ValueError, match=r"\[Lambda\] arguments: expected a dict of keyword argum"):
        Lambda(doubled, arguments=[1])
    for bad in (3, object(), (2.5,), b"x"):
        with pytest.raises(ValueError, match=r"\[Lambda\] output_shape: expected a tuple of sizes"):
            Lambda(doubled, output_shape=bad)
    with pytest.raises(ValueError, match=r"\[Lambda\] mask: expected a function or an array"):
        Lambda(doubled, mask=3)
    with pytest.raises(TypeError, match=r"\[Lambda\] mask: expected a boolean \(N, T\) array"):
        Lambda(doubled, mask=object())
    with pytest.raises(ValueError, match=r"\[Lambda\] mask: expected a known function, got 'none'"):
        Lambda(doubled, mask="none")


# --- activations -------------------------------------------------------------------------------


@pytest.mark.parametrize(
    ("layer", "expected"),
    [
        (ReLU(), [[0, 0, 0, 1.5]]),
        (ReLU(1.0), [[0, 0, 0, 1]]),
        (ReLU(negative_slope=0.5), [[-1, -0.25, 0, 1.5]]),
        (ReLU(threshold=1.0), [[0, 0, 0, 1.5]]),
        (ReLU(1.25, 0.5, 1.0), [[-1.5, -0.75, -0.5, 1.25]]),
        (LeakyReLU(), [[-0.6, -0.15, 0, 1.5]]),
        (LeakyReLU(negative_slope=0.2), [[-0.4, -0.1, 0, 1.5]]),
        (ELU(2.0), [[2 * -0.864665, 2 * -0.393469, 0, 1.5]]),
        (PReLU(alpha_initializer="ones"), A2),
        (Softmax(), [[0.021746, 0.097457, 0.160680, 0.720117]]),
    ],
    ids=lambda value: type(value).__name__,
)
def test_activation_layers(layer, expected):
    close(layer(A2), expected)
    close(layer(np.stack([A2[0]] * 3)), np.stack([expected[0]] * 3))
    assert layer(A2, mask=np.array([[True]]))._keras_mask is not None


def test_older_names():
    with pytest.warns(
        UserWarning, match=r"\[LeakyReLU\] alpha is an older Keras name of negative_"
    ):
        layer = LeakyReLU(alpha=0.5)
    assert layer.negative_slope == 0.5


def test_prelu():
    x = F((2, 3, 5), 1)
    layer = PReLU(shared_axes=[1])
    layer(x)
    assert tuple(layer.alpha.shape) == (1, 5)
    alpha = F((1, 5), 2)
    layer.set_weights([alpha])
    close(layer(x), np.where(x > 0, x, x * alpha))
    assert layer(F((2, 7, 5), 1)).shape == (2, 7, 5)
    assert layer(elman.Input((None, 5))).shape == (None, None, 5)
    with pytest.raises(
        ValueError, match=r"\[PReLU.call\] x: expected \(N, \?, 5\), got \(2, 3, 4\)"
    ):
        layer(F((2, 3, 4), 1))
    with pytest.raises(ValueError, match="has to be one of shared_axes"):
        PReLU()(elman.Input((None, 5)))
    with pytest.raises(ValueError, match=r"\[PReLU\] shared_axes: expected axes from 1 on"):
        PReLU(shared_axes=[0])
    with pytest.raises(ValueError, match="expected at least 5 axes"):
        PReLU(shared_axes=[4])(x)


def test_softmax_over_time_uses_the_mask_of_the_steps():
    rng = np.random.default_rng(3)
    x, mask = rng.uniform(-1, 1, (5, 7, 3)), rng.integers(0, 2, (5, 7)).astype(bool)
    mask[1] = False
    x[~mask] = np.nan
    weights = np.where(mask[..., None], np.exp(x), 0.0)
    for axis, sums in ((1, (1,)), (-2, (1,)), ((1, 2), (1, 2)), ((2, -2), (1, 2))):
        total = weights.sum(sums, keepdims=True)
        expected = np.divide(weights, total, out=np.zeros_like(weights), where=total > 0)
        got = layers.Softmax(axis, dtype="float64")(x, mask=mask)
        np.testing.assert_allclose(got, expected, rtol=0, atol=1e-15)
        np.testing.assert_array_equal(got._keras_mask, mask)
    plain = np.nan_to_num(x)
    for axis in (-1, 2):
        layer = layers.Softmax(axis, dtype="float64")
        np.testing.assert_array_equal(layer(plain, mask=mask), layer(plain))
        np.testing.assert_array_equal(layer(plain, mask=mask)._keras_mask, mask)
    ids = elman.Variable(plain[..., 0])
    with elman.GradientTape() as tape:
        loss = elman.backend.sum(elman.backend.square(layers.Softmax(1)(ids, mask=mask)))
    gradient = np.asarray(tape.gradient(loss, ids))
    assert np.isfinite(gradient).all()
    assert not gradient[~mask].any()


def test_softmax():
    x = F((2, 3, 5), 1)
    for axis in (1, -1, (1, 2)):
        e = np.exp(x)
        close(Softmax(axis)(x), e / e.sum(axis=axis, keepdims=True))
    mask = np.random.default_rng(0).random(x.shape) < 0.5
    mask[..., 0] = True
    e = np.exp(x) * mask
    close(Softmax()(x, mask=mask), e / e.sum(axis=-1, keepdims=True))
    close(Softmax()(x, mask=np.ones((2, 3), bool)), Softmax()(x))
    with pytest.raises(ValueError, match=r"\[Softmax.call\] x: expected an input with axis 5, got"):
        Softmax(5)(x)
    for bad in ([], 1.5, "x"):
        with pytest.raises(ValueError, match=r"\[Softmax\] axis: expected an int"):
            Softmax(bad)


@pytest.mark.parametrize(
    ("cls", "bad"),
    [(ReLU, {"max_value": -1}), (ReLU, {"threshold": "a"}), (LeakyReLU, {"negative_slope": -1})],
)
def test_bad_parameters(cls, bad):
    with pytest.raises(ValueError, match=rf"\[{cls.__name__}\] {next(iter(bad))}: expected"):
        cls(**bad)


def test_activity_regularization():
    layer = layers.ActivityRegularization(l1=0.5, l2=0.25)
    x = np.array([[1, -2], [3, 4]])
    for _ in range(2):  # one call, one penalty
        close(layer(x), x)
        close([float(loss) for loss in layer.losses], [(0.5 * 10 + 0.25 * 30) / 2])
    model = elman.Sequential([layers.ActivityRegularization(l2=1.0, input_shape=(2,))])
    model.compile("sgd", "mse")
    loss = model.evaluate(x.astype("float32"), x.astype("float32"), verbose=0)
    assert loss == pytest.approx(15.0)
