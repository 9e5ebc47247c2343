# SPDX-License-Identifier: Apache-2.0
"""Unknown keyword arguments name the closest known one; signatures stay what they were."""

from __future__ import annotations

import inspect

import numpy as np
import pytest

import elman
from elman import callbacks, layers, losses, metrics, optimizers


def model():
    made = elman.Sequential([layers.Dense(1, input_shape=(1,))])
    made.compile("sgd", "mse")
    return made


X = np.zeros((2, 1))
STEPS = np.zeros((2, 3, 1), np.float32)


@pytest.mark.parametrize(
    ("call", "text"),
    [
        (lambda: model().fit(X, X, epoch=3), r"\[Sequential.fit\] .*'epoch'; .*'epochs'"),
        (lambda: model().fit(X, X, nb_epoch=3), "'nb_epoch'; did you mean 'epochs'"),
        (lambda: model().evaluate(X, X, batchsize=3), "did you mean 'batch_size'"),
        (lambda: model().predict(X, verbos=0), "did you mean 'verbose'"),
        (lambda: model().train_on_batch(X, X, sample_weights=X), "did you mean 'sample_weight'"),
        (lambda: model().compile("sgd", losses="mse"), r"\[Sequential.compile\].*'loss'"),
        (lambda: optimizers.SGD(lr=0.1), r"\[SGD\] unknown argument 'lr'; .*'learning_rate'"),
        (lambda: optimizers.Adam(beta1=0.1), "did you mean 'beta_1'"),
        (lambda: optimizers.schedules.CosineDecay(0.1, step=3), "did you mean"),
        (lambda: losses.Huber(deltas=2), "did you mean 'delta'"),
        (lambda: metrics.AUC(thresholdes=[0.5]), "did you mean 'thresholds'"),
        (lambda: callbacks.EarlyStopping(patient=3), "did you mean 'patience'"),
        (lambda: layers.LSTM(2)(STEPS, mak=1), r"\[LSTM.call\] .*'mak'; did you mean 'mask'"),
        (lambda: layers.GRU(2)(STEPS, initial_states=1), "did you mean 'initial_state'"),
        (lambda: layers.Dense(2)(X, trainin=True), r"\[Dense.call\] .*did you mean 'training'"),
        (lambda: layers.LSTM(2)(elman.Input((3, 1)), mak=1), "did you mean 'mask'"),
        (lambda: model()(X, trainin=True), r"\[Sequential.call\] .*did you mean 'training'"),
    ],
)
def test_unknown_keywords(call, text):
    with pytest.raises(TypeError, match=text):
        call()


def test_a_call_with_any_keyword_gets_them_all():
    class Open(layers.Layer):
        def call(self, inputs, **kwargs):
            return inputs * kwargs["factor"]

    assert float(Open()(np.float32([2]), factor=3)[0]) == 6


def test_signatures():
    found = inspect.signature(optimizers.SGD)
    assert list(found.parameters)[:3] == ["learning_rate", "momentum", "nesterov"]
    assert found.parameters["learning_rate"].default == 0.01
    fit = inspect.signature(elman.Sequential.fit)
    assert list(fit.parameters)[:5] == ["self", "x", "y", "batch_size", "epochs"]
    assert elman.Sequential.fit.__doc__.startswith("Train the model.")
