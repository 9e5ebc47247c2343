# SPDX-License-Identifier: Apache-2.0
"""Writes the stored cases of CuDNNGRU and CuDNNLSTM, with the help of tf-keras (Keras 2).

    KERAS_BACKEND=torch python tests/data/generate_cudnn_cases.py

The layers themselves run on GPUs only: their operation, CudnnRNNV3, has no other kernel. So
tf-keras converts the stored weights, as it does when it loads a file, and runs its plain layer
with them. The conversion is linear, and its transpose takes the gradients back.

The format is that of generate_keras_cases.py; "k/q0"... are the converted weights.
"""

from __future__ import annotations

import os

os.environ.setdefault("TF_CPP_MIN_LOG_LEVEL", "3")

import numpy as np
import tensorflow as tf
import tf_keras
from generate_keras_cases import family, layer, small
from tf_keras.src.saving.legacy.hdf5_format import preprocess_weights_for_loading

SIZES = (2, 3, 5, 7)
PLAIN = {"CuDNNGRU": tf_keras.layers.GRU, "CuDNNLSTM": tf_keras.layers.LSTM}


def cases():
    for index in range(16):
        rng = np.random.default_rng([9, index])
        name, states = (("CuDNNGRU", 1), ("CuDNNLSTM", 2))[index % 2]
        n, t, f, h = (int(p) for p in rng.permutation(SIZES))
        flags = ("return_sequences", "return_state", "go_backwards")
        config = {flag: bool(rng.random() < 0.5) for flag in flags}
        case = {"layers": [layer(name, units=h, **config)], "dropout": False, "state_groups": []}
        arrays = {"x": small(rng, (n, t, f), 1.0)}
        if index % 3:
            case["state_groups"] = [states]
            arrays |= {f"s{k}": small(rng, (n, h), 1.0) for k in range(states)}
        yield case, arrays


def positions(plain, shapes):
    """For each weight, where in the stored array every element of the converted one comes from."""
    numbers = [np.arange(np.prod(shape), dtype=np.float64).reshape(shape) for shape in shapes]
    return [np.asarray(a).astype(int) for a in preprocess_weights_for_loading(plain, numbers)[:2]]


def run(case, arrays, rng):
    """Adds weights, outputs, projections and gradients of the case to its arrays."""
    (spec,) = case["layers"]
    units, gates = spec["config"]["units"], 3 if spec["class"] == "CuDNNGRU" else 4
    features, width = arrays["x"].shape[-1], gates * units
    shapes = (features, width), (units, width), (2 * width,)
    stored = [small(rng, shape, 1.6 / np.sqrt(shape[0] + 1)) for shape in shapes]
    plain = PLAIN[spec["class"]](**spec["config"])
    sources = [tf.constant(arrays["x"])]
    sources += [tf.constant(arrays[f"s{k}"]) for k in range(sum(case["state_groups"]))]
    plain.build(arrays["x"].shape)
    converted = preprocess_weights_for_loading(plain, [np.array(w) for w in stored])
    plain.set_weights(converted)
    with tf.GradientTape() as tape:
        tape.watch(sources)
        outputs = tf.nest.flatten(plain(sources[0], initial_state=sources[1:] or None))
        loss = 0.0
        for k, output in enumerate(outputs):
            arrays[f"p{k}"] = small(rng, output.shape, 1.0)
            loss += tf.reduce_sum(output * arrays[f"p{k}"])
    gradients = tape.gradient(loss, [*sources, *plain.trainable_weights])
    for k, (weight, plain_weight) in enumerate(zip(stored, converted, strict=True)):
        arrays |= {f"w{k}": weight, f"q{k}": np.asarray(plain_weight, np.float32)}
    arrays |= {f"o{k}": output.numpy() for k, output in enumerate(outputs)}
    names = ["gx", *(f"gs{k}" for k in range(len(sources) - 1))]
    arrays |= {name: g.numpy() for name, g in zip(names, gradients, strict=False)}
    *kernels, bias = (gradient.numpy() for gradient in gradients[len(sources) :])
    for k, (gradient, place) in enumerate(zip(kernels, positions(plain, shapes), strict=True)):
        back = np.zeros(gradient.size, np.float32)
        back[place.ravel()] = gradient.ravel()
        arrays[f"gw{k}"] = back.reshape(shapes[k])
    arrays["gw2"] = bias.ravel() if gates == 3 else np.concatenate([bias, bias])
    case["weights"], case["outputs"] = 3, len(outputs)


def main():
    tf.config.set_visible_devices([], "GPU")
    tf.config.threading.set_intra_op_parallelism_threads(1)
    family("cudnn", cases(), run, packed=True)


if __name__ == "__main__":
    main()
