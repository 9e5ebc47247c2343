# SPDX-License-Identifier: Apache-2.0
"""Writes keras_files.zip: models as Keras 3 and tf-keras (Keras 2) save them, and their outputs.

    KERAS_BACKEND=torch python tests/data/generate_keras_files.py

Entries: <writer>/<model>.h5 (the whole model), <writer>/<model>.weights.h5, <writer>/<model>.keras,
tf_keras/<model>.only.h5 (the weights alone in the layout of Keras 2), and
<writer>/<model>.outputs.npz. The models are those of tests/keras_file_models.py.

The CuDNN layers run on GPUs only, so their outputs are those of the plain layers after tf-keras
has loaded the weights into them, which converts them.
"""

from __future__ import annotations

import os
import sys
import tempfile
import zipfile
from pathlib import Path

os.environ.setdefault("TF_CPP_MIN_LOG_LEVEL", "3")
os.environ.setdefault("CUDA_VISIBLE_DEVICES", "-1")
os.environ.setdefault("KERAS_BACKEND", "torch")

import keras
import numpy as np
import tf_keras
from tf_keras.src.layers.rnn.cudnn_gru import CuDNNGRU
from tf_keras.src.layers.rnn.cudnn_lstm import CuDNNLSTM

sys.path.append(str(Path(__file__).parents[1]))
import keras_file_models as models

DATA = Path(__file__).parent
# Left out of the package's names since TensorFlow 2, still there for its files.
tf_keras.layers.CuDNNGRU, tf_keras.layers.CuDNNLSTM = CuDNNGRU, CuDNNLSTM
WRITERS = {"keras_3": keras, "tf_keras": tf_keras}


def randomize(model, seed):
    """Values that no two weights share; variances are positive."""
    rng = np.random.default_rng(seed)
    values = []
    for weight in model.weights:
        value = rng.normal(scale=0.6, size=weight.shape)
        name = getattr(weight, "path", None) or weight.name
        values.append(np.abs(value) + 0.3 if "variance" in name else value)
    model.set_weights(values)


def write(folder, writer, package, name, seed):
    package.utils.set_random_seed(seed)
    if package is tf_keras:
        tf_keras.backend.clear_session()
    model = models.model_of(name, package)
    randomize(model, seed)
    if name == "functional":  # with a compiled model the files hold the optimizer's arrays as well
        model.compile("adam", ["mse", "mae"])
        x = models.inputs_of(name)
        model.fit(x, [np.ones((3, 2)), np.ones((3, 1))], verbose=0)
        randomize(model, seed)
    base = folder / f"{writer}/{name}"
    base.parent.mkdir(exist_ok=True)
    model.save_weights(f"{base}.weights.h5")
    model.save(f"{base}.keras")
    model.save(f"{base}.h5")
    if package is tf_keras:
        model.save_weights(f"{base}.only.h5")
    runs = model
    if name in models.KERAS_2_ONLY:
        runs = models.model_of(name, package, plain=True)
        runs.load_weights(f"{base}.only.h5")  # converts
    outputs = runs.predict(models.inputs_of(name), verbose=0)
    outputs = outputs if isinstance(outputs, list) else [outputs]
    np.savez(f"{base}.outputs.npz", *[np.asarray(output, "float32") for output in outputs])


def main():
    with tempfile.TemporaryDirectory() as temporary:
        folder = Path(temporary)
        for writer, package in WRITERS.items():
            for seed, name in enumerate(models.INPUTS):
                others = models.KERAS_3_ONLY if package is tf_keras else models.KERAS_2_ONLY
                if name not in others:
                    write(folder, writer, package, name, seed)
        with zipfile.ZipFile(DATA / "keras_files.zip", "w") as archive:
            for path in sorted(folder.rglob("*.*")):
                info = zipfile.ZipInfo(str(path.relative_to(folder)))
                archive.writestr(info, path.read_bytes(), zipfile.ZIP_DEFLATED, 9)


if __name__ == "__main__":
    main()
