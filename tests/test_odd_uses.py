# SPDX-License-Identifier: Apache-2.0
"""What users write that is nearly right: it works as they mean it, or the error says what to do."""

from __future__ import annotations

import numpy as np
import pytest

import elman
from elman import callbacks, layers

X = np.random.default_rng(0).uniform(-1, 1, (4, 5, 3)).astype("float32")
Y = np.ones((4, 1), "float32")


def compiled():
    model = elman.Sequential([layers.LSTM(2), layers.Dense(1)])
    model.compile("sgd", "mse")
    return model


def refused(text, function, *args, error=ValueError, **options):
    with pytest.raises(error, match=text):
        function(*args, **options)


# -- fit -----------------------------------------------------------------------------------------


def test_numbers_of_numpy_count_epochs():
    model, two = compiled(), np.int64(2)
    options = {"batch_size": two, "validation_data": (X, Y), "validation_freq": two}
    history = model.fit(X, Y, epochs=np.int32(4), initial_epoch=two, verbose=0, **options)
    assert history.epoch == [2, 3]
    assert len(history.history["val_loss"]) == 1
    for name in ("epochs", "initial_epoch", "batch_size"):
        for value in (2.0, "2", True):
            refused(rf"\[Sequential.fit\] {name}: expected", model.fit, X, Y, **{name: value})


@pytest.mark.parametrize("value", [0, -1, 2.5, "1", True, [1.5], None])
def test_validation_freq(value):
    text = r"\[Sequential.fit\] validation_freq: expected a positive whole number, or a list of ep"
    refused(text, compiled().fit, X, Y, validation_data=(X, Y), validation_freq=value, verbose=0)


@pytest.mark.parametrize("value", ["0.2", 1.0, -0.5, [0.2]])
def test_validation_split(value):
    text = r"\[Sequential.fit\] validation_split: expected a number between 0 and 1, got"
    refused(text, compiled().fit, X, Y, validation_split=value, verbose=0)


def test_callbacks_are_objects():
    fit = compiled().fit
    stop = callbacks.EarlyStopping
    for given, text in (
        ([stop], r"got <class .*EarlyStopping'>; make an object of it: EarlyStopping\(...\)"),
        (stop, r"make an object of it: EarlyStopping"),
        ([print], r"expected Callback objects, got <built-in function print>"),
        (3, r"expected a list of Callback objects, got 3"),
    ):
        refused(
            rf"\[Sequential.fit\] callbacks: .*{text}", fit, X, Y, callbacks=given, error=TypeError
        )
    for given in (stop("loss"), [stop("loss")], (stop("loss"),), [], None):
        fit(X, Y, callbacks=given, verbose=0)


def test_targets_of_the_wrong_number():
    model = compiled()
    for method in (model.train_on_batch, model.test_on_batch):
        refused(r"y: expected 4 samples as in x, got 3$", method, X, Y[:3])
        refused(r"sample_weight: expected 4 samples as in x, got 3$", method, X, Y, [1.0] * 3)
    x = elman.Input((None, 3))
    last = layers.LSTM(2)(x)
    two = elman.Model(x, [layers.Dense(1)(last), layers.Dense(1)(last)])
    two.compile("sgd", "mse")
    text = (
        r"y\[1\]: expected 4 samples as in x, got 3; a list or dict has one array for each output"
    )
    for method in (two.fit, two.train_on_batch):
        refused(text, method, X, [Y, Y[:3]])
    name = two.output_names[0]
    refused(rf"y\['{name}'\]: expected 4 samples", two.evaluate, X, {name: Y[:3]})


def test_objects_that_are_no_sequences_are_not_to_be_padded():
    with pytest.raises(ValueError, match=r"y: expected an array of numbers, got dtype object$"):
        compiled().fit(X, np.array([1, 2, 3, None], object), verbose=0)


def test_a_loss_of_numpy_functions_has_no_gradients():
    model = elman.Sequential([layers.Dense(1)])
    model.compile("sgd", lambda y_true, y_pred: np.mean(np.abs(y_true - y_pred)))
    text = r"\[Model\] loss: expected a Tensor from the loss function, got float32; .*elman.backend"
    refused(text, model.fit, X[:, 0], Y, verbose=0, error=TypeError)


# -- calls ---------------------------------------------------------------------------------------


def test_a_sequential_model_takes_a_list_of_one_input():
    """As `fit`, `predict` and functional models do."""
    model = compiled()
    expected = model(X).numpy()
    for given in ([X], (X,), [elman.Tensor(X)]):
        np.testing.assert_array_equal(model(given), expected)
    np.testing.assert_array_equal(model([X[0]]), model(X[:1]))
    refused(
        r"\[Sequential.call\] x: expected one array, got a dict with the keys 'x'", model, {"x": X}
    )


def test_none_is_named():
    for layer in (layers.LSTM(2), layers.Dense(2), layers.Conv1D(2, 3)):
        refused(r"x: expected an array of numbers, got None", layer, None, error=TypeError)


def test_an_error_names_one_place():
    hidden = np.ma.masked_array([[1.0, 2.0]], [[False, True]])
    text = r"^\[Dense.call\] x: expected an array of numbers or booleans, got a masked array; use"
    refused(text, layers.Dense(2), hidden, error=TypeError)


# -- shapes --------------------------------------------------------------------------------------


@pytest.mark.parametrize(
    ("layer", "shape", "text"),
    [
        (layers.LSTM(2), (None, 3), r"\[LSTM.compute_output_shape\] x: expected \(N, T, F\)"),
        (layers.RNN([layers.GRUCell(2)]), (None, 3), r"\[RNN.c\w+\] x: expected \(N, T, F\)"),
        (layers.Bidirectional(layers.GRU(2)), (None, 3), r"x: expected \(N, T, F\)"),
        (layers.LSTM(2), (None, 5, 3, 1), r"x: expected \(N, T, F\), got \(None, 5, 3, 1\)"),
        (layers.ConvLSTM2D(2, 3), (None, 5, 5, 1), r"expected \(N, T, rows, cols, C\)"),
        (layers.TimeDistributed(layers.Dense(2)), (None, 3), r"expected \(N, T, ...\)"),
        (layers.RepeatVector(2), (None, 3, 3), r"\[RepeatVector.c\w+\] x: expected \(N, F\)"),
        (layers.Permute((2, 1)), (None, 3), r"\[Permute.c\w+\] x: expected 3 axes"),
        (layers.Conv1D(2, 3), (None, 3), r"\[Conv1D.c\w+\] x: expected \(N, steps, C\)"),
    ],
)  # fmt: skip
def test_compute_output_shape_refuses_what_a_call_refuses(layer, shape, text):
    refused(text, layer.compute_output_shape, shape)


def test_an_input_layer_takes_its_shape_by_place():
    """`shape` in Keras 3, `input_shape` in Keras 2; both come first."""
    model = elman.Sequential([layers.InputLayer((None, 3)), layers.LSTM(2)])
    assert model.input_shape == (None, None, 3)
    assert layers.InputLayer((4,)).output.shape == (None, 4)
