# SPDX-License-Identifier: Apache-2.0
"""Training that is interrupted, fails, or meets numbers that are not finite."""

from __future__ import annotations

import io
import signal

import numpy as np
import pytest

import elman
from elman import callbacks, layers

X = np.arange(6, dtype="float32")[:, None]
Y = 3 * X + 1


def make(rate=0.0, **options):
    model = elman.Sequential([layers.Dense(1, input_shape=(1,))])
    model.compile(elman.optimizers.SGD(rate), "mse", **options)
    return model


class Terminal(io.StringIO):
    def isatty(self):
        return True


# --- interruption --------------------------------------------------------------------------------


@pytest.fixture(autouse=True)
def interrupts_arrive():
    """Also where the tests themselves run in the background, which ignores Ctrl-C."""
    before = signal.signal(signal.SIGINT, signal.default_int_handler)
    yield
    signal.signal(signal.SIGINT, before)


def test_interrupt_in_a_callback():
    seen = []

    class Stop(callbacks.Callback):
        def on_train_batch_end(self, batch, logs=None):
            if self.model.optimizer.iterations == 4:
                raise KeyboardInterrupt

        def on_train_end(self, logs=None):
            seen.append("end")

    model = make(0.01)
    with pytest.raises(KeyboardInterrupt):
        model.fit(X, Y, batch_size=2, epochs=5, callbacks=[Stop()], verbose=0)
    assert seen == ["end"]
    assert model.history.epoch == [0]
    assert len(model.history.history["loss"]) == 1
    model.fit(X, Y, verbose=0)  # the model is usable
    assert signal.getsignal(signal.SIGINT) is signal.default_int_handler


def test_interrupt_in_the_middle_of_an_update():
    """The signal arrives between the updates of two weights; both are updated before it acts."""

    class Signals(elman.optimizers.SGD):
        def update_step(self, gradient, variable, learning_rate):
            super().update_step(gradient, variable, learning_rate)
            if variable.name == "kernel" and self.iterations == 1:
                signal.raise_signal(signal.SIGINT)

    model, twin = make(), make()
    twin.set_weights(model.get_weights())
    model.compile(Signals(0.01), "mse")
    twin.compile(elman.optimizers.SGD(0.01), "mse")
    with pytest.raises(KeyboardInterrupt):
        model.fit(X, Y, batch_size=2, shuffle=False, epochs=3, verbose=0)
    twin.fit(X[:4], Y[:4], batch_size=2, shuffle=False, verbose=0)
    assert model.optimizer.iterations == 2
    for a, b in zip(model.get_weights(), twin.get_weights(), strict=True):
        np.testing.assert_array_equal(a, b)


def test_an_error_does_not_leave_a_handler(monkeypatch):
    out = Terminal()
    monkeypatch.setattr("sys.stdout", out)

    class Fails(callbacks.Callback):
        def on_train_batch_end(self, batch, logs=None):
            raise OSError("boom")

    with pytest.raises(OSError, match="boom"):
        make().fit(X, Y, callbacks=[Fails()])
    assert signal.getsignal(signal.SIGINT) is signal.default_int_handler


# --- losses that are not finite ------------------------------------------------------------------


def lstm_model():
    model = elman.Sequential(
        [
            layers.LSTM(3, return_sequences=True, input_shape=(5, 2), name="first"),
            layers.Dense(2, name="second"),
        ]
    )
    model.compile("sgd", "mse")
    return model


SEQ = np.random.default_rng(0).normal(size=(4, 5, 2)).astype("float32")


def test_nan_in_the_data_is_named():
    bad = SEQ.copy()
    bad[2, 3, 1] = np.nan
    model = lstm_model()
    before = model.get_weights()
    text = r"\[Sequential.fit\] loss: nan at epoch 1, batch 2: x holds nan at sample 0, time step 3"
    with pytest.warns(RuntimeWarning, match=text) as caught:
        history = model.fit(bad, SEQ, batch_size=2, shuffle=False, epochs=2, verbose=0)
    assert len(caught) == 1  # once, not per batch
    assert np.isnan(history.history["loss"]).all()
    assert all(np.isfinite(w).all() for w in model.get_weights())
    assert not (model.get_weights()[0] == before[0]).all()  # finite batches still train
    target = SEQ.copy()
    target[1] = np.inf
    with pytest.warns(RuntimeWarning, match="batch 1: y holds inf at sample 1, time step 0"):
        model.fit(SEQ, target, batch_size=4, shuffle=False, verbose=0)


def test_nan_in_a_layer_or_weight_is_named():
    class Log(layers.Layer):
        def call(self, x):
            return elman.backend.log(x)

    model = elman.Sequential([layers.Dense(2, "relu", input_shape=(2,)), Log(name="log")])
    model.compile("sgd", "mse")
    with pytest.warns(RuntimeWarning, match=r"layer 'log' \(Log\) is the first.*at sample 0"):
        model.fit(np.zeros((2, 2)), np.zeros((2, 2)), verbose=0)
    model = lstm_model()
    kernel = model.layers[0].weights[1]
    kernel.assign(np.full(kernel.shape, np.nan))
    with pytest.warns(RuntimeWarning, match="weight 'recurrent_kernel' of layer 'first'"):
        model.fit(SEQ, SEQ, verbose=0)


def test_terminate_on_nan(capsys):
    bad = SEQ.copy()
    bad[2] = np.nan
    model = lstm_model()
    with pytest.warns(RuntimeWarning, match="batch 3"):
        history = model.fit(
            bad,
            SEQ,
            batch_size=1,
            shuffle=False,
            epochs=4,
            verbose=0,
            callbacks=[callbacks.TerminateOnNaN()],
        )
    assert history.epoch == [0]
    assert model.optimizer.iterations == 2
    assert "Batch 3: the loss is nan" in capsys.readouterr().out
    assert all(np.isfinite(w).all() for w in model.get_weights())
