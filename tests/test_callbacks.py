# SPDX-License-Identifier: Apache-2.0
"""Callbacks: order of the hooks, stopping, learning rates, files."""

from __future__ import annotations

import os

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


class Script(callbacks.Callback):
    """Puts given values into the logs of each epoch."""

    def __init__(self, name, values):
        super().__init__()
        self.name, self.values = name, list(values)

    def on_epoch_end(self, epoch, logs=None):
        logs[self.name] = self.values[epoch]
        self.model.layers[0].bias.assign(np.array([float(epoch)]))


def fit(model, given, epochs=20, **options):
    return model.fit(X, Y, batch_size=2, epochs=epochs, callbacks=given, verbose=0, **options)


# --- order ---------------------------------------------------------------------------------------


def test_order_of_the_hooks():
    seen = []

    class Spy(callbacks.Callback):
        def __getattribute__(self, name):
            if name.startswith("on_") and name not in ("on_tick", "on_batch_begin", "on_batch_end"):
                seen.append(name)
            return super().__getattribute__(name)

        def on_train_batch_begin(self, batch, logs=None):
            pass

        def on_test_batch_end(self, batch, logs=None):
            assert "loss" in logs

    model = make()
    spy = Spy()
    model.fit(X, Y, batch_size=3, callbacks=[spy], validation_data=(X, Y), verbose=0)
    begun = seen.index("on_train_begin")
    assert seen[begun:] == [
        "on_train_begin",
        "on_epoch_begin",
        "on_train_batch_begin",
        "on_train_batch_end",
        "on_train_batch_begin",
        "on_train_batch_end",
        "on_test_begin",
        "on_test_batch_begin",
        "on_test_batch_end",
        "on_test_batch_begin",
        "on_test_batch_end",
        "on_test_end",
        "on_epoch_end",
        "on_train_end",
    ]
    assert spy.model is model
    assert spy.params["epochs"] == 1
    assert spy.params["steps"] == 2


def test_lambda_callback_and_the_older_batch_names():
    seen = []
    callback = callbacks.LambdaCallback(
        on_epoch_begin=lambda epoch, logs: seen.append(("epoch", epoch)),
        on_batch_end=lambda batch, logs: seen.append((batch, logs["loss"] > 0)),
        on_train_end=lambda logs: seen.append("end"),
    )
    fit(make(), [callback], epochs=1)
    assert seen == [("epoch", 0), (0, True), (1, True), (2, True), "end"]
    with pytest.raises(TypeError, match="on_epoch_stop"):
        callbacks.LambdaCallback(on_epoch_stop=print)
    with pytest.raises(TypeError, match="callbacks"):
        fit(make(), ["EarlyStopping"])


def test_history():
    model = make(0.01)
    history = fit(model, None, epochs=3)
    assert history is model.history
    assert history.epoch == [0, 1, 2]
    assert history.history["loss"] == sorted(history.history["loss"], reverse=True)
    assert "3 epochs" in repr(history)


def test_predict_hooks():
    seen = []
    callback = callbacks.LambdaCallback(
        on_predict_batch_end=lambda batch, logs: seen.append(logs["outputs"].shape)
    )
    make().predict(X, batch_size=4, callbacks=[callback], verbose=0)
    assert seen == [(4, 1), (2, 1)]


# --- stopping ------------------------------------------------------------------------------------


@pytest.mark.parametrize(
    ("values", "options", "last", "best"),
    [
        ([5, 4, 4, 4, 3], {"patience": 2}, 3, 1),
        ([5, 4, 5, 3, 4, 4, 4], {"patience": 3}, 6, 3),
        ([5, 4.5, 4.2, 3.9, 9], {"min_delta": 1, "patience": 2}, 2, 0),
        ([1, 2, 3, 3, 3], {"mode": "max", "patience": 2}, 4, 2),
        ([9, 8, 7, 6, 5], {"baseline": 4, "patience": 2}, 4, 4),
        ([1, 2, 3, 4, 5], {"start_from_epoch": 2, "patience": 1}, 3, 2),
        ([float("nan")] * 5, {"patience": 2}, 1, 0),
    ],
)
def test_early_stopping(values, options, last, best):
    stop = callbacks.EarlyStopping("score", restore_best_weights=True, **options)
    model = make()
    history = fit(model, [Script("score", values), stop], epochs=len(values))
    assert history.epoch[-1] == last
    assert stop.best_epoch == best
    assert float(model.layers[0].bias[0]) == best  # the weights of that epoch


def test_direction_by_name():
    for name, grows in (
        ("val_loss", False),
        ("val_accuracy", True),
        ("acc", True),
        ("auc", True),
        ("recall_loss", False),
        ("mae", False),
    ):
        assert callbacks.EarlyStopping(name).is_better(2.0, 1.0) is grows
    with pytest.raises(ValueError, match="mode"):
        callbacks.EarlyStopping(mode="up")


def test_a_missing_value_is_a_warning():
    with pytest.warns(UserWarning, match="'val_los' is not logged; there are loss"):
        fit(make(), [callbacks.EarlyStopping("val_los")], epochs=1)


# --- learning rates ------------------------------------------------------------------------------


def test_learning_rate_scheduler():
    model = make(1.0)
    model.set_weights([[[3.0]], [1.0]])
    history = fit(model, [callbacks.LearningRateScheduler(lambda epoch: 0.1 / (epoch + 1))], 3)
    assert history.history["learning_rate"] == pytest.approx([0.1, 0.05, 0.1 / 3])
    halves = callbacks.LearningRateScheduler(lambda epoch, rate: rate / 2)
    history = fit(model, [halves], 2)
    assert history.history["learning_rate"] == pytest.approx([0.05 / 3, 0.025 / 3])
    with pytest.raises(TypeError, match="number from schedule"):
        fit(model, [callbacks.LearningRateScheduler(lambda epoch: None)], 1)


def test_reduce_on_plateau():
    reduce = callbacks.ReduceLROnPlateau("score", 0.5, patience=2, cooldown=1, min_lr=0.15e-6)
    model = make(1e-6)
    model.set_weights([[[3.0]], [1.0]])
    values = [5, 5, 5, 5, 5, 5, 4, 4, 4, 4, 4, 4, 4]
    history = fit(model, [Script("score", values), reduce], len(values))
    # waits 1, 2 -> halved after epoch 2; epoch 3 cools down, counting again from it
    rates = [round(rate * 1e6, 9) for rate in history.history["learning_rate"]]
    assert rates[:4] == [1.0, 1.0, 1.0, 0.5]
    assert rates[-1] == 0.15
    assert rates == sorted(rates, reverse=True)
    assert set(rates) == {1.0, 0.5, 0.25, 0.15}
    with pytest.raises(ValueError, match="factor"):
        callbacks.ReduceLROnPlateau(factor=1.0)


# --- files ---------------------------------------------------------------------------------------


def bias_in(path):
    return float(elman.saving.load_safetensors(path)["dense/bias"][0])


def test_model_checkpoint(tmp_path):
    values = [3, 5, 2, 4]
    best = tmp_path / "best.safetensors"
    every = tmp_path / "new" / "w-{epoch:02d}-{score:.1f}.safetensors"
    given = [
        Script("score", values),
        callbacks.ModelCheckpoint(best, "score", save_best_only=True),
        callbacks.ModelCheckpoint(every, "score"),
    ]
    fit(make(), given, 4)
    assert bias_in(best) == 2.0
    assert sorted(os.listdir(tmp_path / "new")) == [
        f"w-{i + 1:02d}-{value:.1f}.safetensors" for i, value in enumerate(values)
    ]
    assert bias_in(tmp_path / "new" / "w-04-4.0.safetensors") == 3.0
    with pytest.raises(KeyError, match="fields out of epoch, loss"):
        fit(make(), [callbacks.ModelCheckpoint(tmp_path / "{val}.npz")], 1)
    with pytest.raises(ValueError, match=r"a name that ends in .keras, .h5 or .hdf5"):
        callbacks.ModelCheckpoint(best, save_weights_only=False)


@pytest.mark.parametrize("name", ["w.h5", "w.weights.h5", "m.keras", "m.h5"])
def test_checkpoints_in_files_of_keras(name, tmp_path):
    path, model = tmp_path / name, make()
    whole = name.startswith("m")
    fit(model, [callbacks.ModelCheckpoint(path, save_weights_only=not whole)], 2)
    found = elman.models.load_model(path) if whole else make()
    found.load_weights(path)
    for a, b in zip(found.get_weights(), model.get_weights(), strict=True):
        np.testing.assert_array_equal(a, b)


def test_checkpoints_by_batches_and_threshold(tmp_path):
    path = tmp_path / "w{epoch}.npz"
    fit(make(), [callbacks.ModelCheckpoint(path, save_freq=2)], 2)  # 3 batches per epoch
    assert sorted(os.listdir(tmp_path)) == ["w1.npz", "w2.npz"]
    given = callbacks.ModelCheckpoint(
        tmp_path / "never.npz", "score", save_best_only=True, initial_value_threshold=1
    )
    fit(make(), [Script("score", [3, 2]), given], 2)
    assert not (tmp_path / "never.npz").exists()
    with pytest.raises(ValueError, match="save_freq"):
        callbacks.ModelCheckpoint("w.npz", save_freq=0)


def test_csv_logger(tmp_path):
    path = tmp_path / "log.csv"
    model = make(metrics=["mae"])
    history = fit(model, [callbacks.CSVLogger(path)], 2)
    rows = path.read_text().splitlines()
    assert rows[0] == "epoch,loss,mae"
    assert rows[2] == f"1,{history.history['loss'][1]},{history.history['mae'][1]}"
    fit(model, [callbacks.CSVLogger(path, append=True)], 3, initial_epoch=2)
    rows = path.read_text().splitlines()
    assert [row.split(",")[0] for row in rows] == ["epoch", "0", "1", "2"]
    fit(model, [callbacks.CSVLogger(path, separator=";")], 1)
    assert path.read_text().startswith("epoch;loss;mae\n0;")
