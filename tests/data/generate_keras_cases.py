# SPDX-License-Identifier: Apache-2.0
"""Writes the stored Keras cases: random layers run by Keras 3 in float32, with all gradients.

    KERAS_BACKEND=torch python tests/data/generate_keras_cases.py

The torch back end is used because its masked loop repeats the previous *output* (zeros before
the first used step), which is what elman does too; the JAX loop repeats the previous *state*.
Dropout masks are handed to the Keras cell, so that the numbers do not depend on a generator.

One .npz per family. "cases" holds the descriptions as JSON; the arrays of case k are named
"k/x", "k/mask", "k/s0"... (initial states), "k/w0"... (weights), "k/di", "k/dr" (input and
recurrent dropout masks [gates, N, ...]), "k/o0"... (outputs), "k/p0"... (the loss is
sum_j sum(p_j * o_j)), and gradients "k/gx", "k/gs0"..., "k/gw0"... Cases with "training" also
have "k/a2"...: what the weight of that number, which is not trained, is after the call.
"""

from __future__ import annotations

import json
import math
import os
from pathlib import Path

os.environ.setdefault("KERAS_BACKEND", "torch")

import keras
import numpy as np
import torch

HERE = Path(__file__).parent
PRIMES = (2, 3, 5, 7, 11, 13)
# fmt: off
ACTIVATIONS = (
    "tanh", "relu", "linear", "softsign", "elu", "selu", "silu", "gelu", "mish", "relu6",
    "leaky_relu", "softplus", "sigmoid", "hard_sigmoid", "hard_sigmoid_v3", "exponential",
)
GATE_ACTIVATIONS = (
    "sigmoid", "hard_sigmoid", "hard_sigmoid_v3", "sigmoid", "tanh", "sigmoid", "softsign",
)
# fmt: on
MASKS = ("none", "right", "left", "holes", "none", "full_row", "all")
GATES = {"SimpleRNN": 1, "GRU": 3, "LSTM": 4}


def hard_sigmoid_2(x):
    """Keras 2's hard_sigmoid; the name means another function in Keras 3."""
    return keras.ops.clip(0.2 * x + 0.5, 0.0, 1.0)


def keras_activation(name, data_format=None):
    if "softmax" in name and data_format == "channels_first":
        # Keras would take it over the last axis of the images.
        return lambda x: getattr(keras.ops, name)(x, axis=1)
    return {"hard_sigmoid": hard_sigmoid_2, "hard_sigmoid_v3": "hard_sigmoid"}.get(name, name)


LAMBDAS = {}  # by name: the functions of Lambda layers, which a description cannot hold


def keras_layer(spec):
    config = dict(spec["config"])
    if spec["class"] == "Lambda":
        config["function"] = LAMBDAS[config["function"]]
    for key in ("activation", "recurrent_activation"):
        if key in config:
            config[key] = keras_activation(config[key], config.get("data_format"))
    for key in ("layer", "backward_layer"):
        if key in config:
            config[key] = keras_layer(config[key])
    if spec["class"] == "RNN":
        cells = [keras_layer(cell) for cell in config.pop("cell")]
        return keras.layers.RNN(cells, **config)
    if spec["class"] == "LSTM" or spec["class"] == "GRU":
        config["use_cudnn"] = False
    return getattr(keras.layers, spec["class"])(**config)


def small(rng, shape, scale):
    """Random float32 values on a grid of 1/1024: they compress, and they are exact."""
    return (np.round(rng.uniform(-scale, scale, shape) * 1024) / 1024).astype(np.float32)


def random_mask(rng, pattern, batch, length):
    if pattern == "none":
        return None
    mask = np.ones((batch, length), bool)
    for row in range(batch):
        cut = int(rng.integers(0, length + 1))
        if pattern == "right":
            mask[row, cut:] = False
        elif pattern == "left":
            mask[row, :cut] = False
        else:
            mask[row] = rng.random(length) < 0.6
    if pattern == "full_row":
        mask[int(rng.integers(batch))] = False
    if pattern == "all":
        mask[:] = False
    return mask


def tensor(array):
    return torch.tensor(array, requires_grad=np.issubdtype(array.dtype, np.floating))


def set_dropout(layer, spec, arrays):
    """Puts given masks where Keras would draw its own."""
    gates = GATES[spec["class"]]
    for key, slot in (("di", "_dropout_mask"), ("dr", "_recurrent_dropout_mask")):
        if key in arrays:
            given = arrays[key]
            masks = [torch.tensor(given[g if len(given) > 1 else 0]) for g in range(gates)]
            setattr(layer.cell, slot, masks[0] if gates == 1 else masks)


def set_weights(layers, arrays, rng):
    for layer in layers:
        scale = 0.4 if getattr(layer, "activation", None) is keras.activations.exponential else 1.6
        # the terms of a sum: the rows of a kernel, at every tap of a convolution's
        rows = [math.prod(w.shape[:-1]) if len(w.shape) > 2 else w.shape[0] for w in layer.weights]
        sizes = zip(layer.weights, rows, strict=True)
        weights = [small(rng, w.shape, scale / np.sqrt(n + 1)) for w, n in sizes]
        for k, w in enumerate(layer.weights):
            if w.name == "moving_variance":
                weights[k] = np.abs(weights[k]) + np.float32(0.5)
        layer.set_weights(weights)
        first = sum(key[0] == "w" for key in arrays)
        arrays |= {f"w{first + k}": w for k, w in enumerate(weights)}


def call(layers, case, arrays, x, states):
    """One pass; the keyword arguments of the case go to the first layer."""
    first = {"mask": torch.tensor(arrays["mask"])} if "mask" in arrays else {}
    if states:
        groups = iter(states)
        nested = [[next(groups) for _ in range(count)] for count in case["state_groups"]]
        first["initial_state"] = nested if len(nested) > 1 else nested[0]
    value = x
    for k, layer in enumerate(layers):
        more = {"training": True} if case["dropout"] or case.get("training") else {}
        value = layer(value, **(first if k == 0 else {}), **more)
    return list(keras.tree.flatten(value))


def run(case, arrays, rng):
    """Adds weights, outputs, projections and gradients of the case to its arrays."""
    layers = [keras_layer(spec) for spec in case["layers"]]
    x = tensor(arrays["x"])
    states = [tensor(arrays[f"s{k}"]) for k in range(sum(case["state_groups"]))]
    call(layers, case, arrays, x, states)  # builds the weights
    set_weights(layers, arrays, rng)
    if case["dropout"]:
        set_dropout(layers[0], case["layers"][0], arrays)
    outputs = call(layers, case, arrays, x, states)
    loss = 0.0
    for k, output in enumerate(outputs):
        arrays[f"o{k}"] = output.detach().numpy()
        assert np.abs(arrays[f"o{k}"]).max() < 20, "an exploding recurrence tests nothing"
        arrays[f"p{k}"] = small(rng, output.shape, 1.0)
        loss = loss + (output * torch.tensor(arrays[f"p{k}"])).sum()
    if case.get("penalties"):
        loss = loss + sum(penalty for layer in layers for penalty in layer.losses)
        arrays["loss"] = np.float32(loss.item()).reshape(1)
    weights = [w for layer in layers for w in layer.weights]
    sources = {f"gw{k}": w.value for k, w in enumerate(weights) if w.trainable}
    if case.get("training"):
        after = {f"a{k}": w for k, w in enumerate(weights) if not w.trainable}
        arrays |= {name: w.value.detach().numpy().copy() for name, w in after.items()}
    sources |= {f"gs{k}": s for k, s in enumerate(states)}
    sources |= {"gx": x} if x.requires_grad else {}
    found = torch.autograd.grad(loss, list(sources.values()), allow_unused=True)
    for (name, source), gradient in zip(sources.items(), found, strict=True):
        gradient = torch.zeros_like(source) if gradient is None else gradient
        arrays[name] = gradient.numpy()
    case["weights"], case["outputs"] = len(weights), len(outputs)


def recurrent_case(rng, kind, index, options, sizes=None):
    """One layer of the class with the options that the index selects."""
    n, t, f, h = sizes or (int(p) for p in rng.permutation(PRIMES)[:4])
    mask = random_mask(rng, MASKS[index % len(MASKS)], n, t)
    config = {"units": h, "activation": ACTIVATIONS[index % len(ACTIVATIONS)], **options}
    if kind != "SimpleRNN":
        config["recurrent_activation"] = GATE_ACTIVATIONS[index % len(GATE_ACTIVATIONS)]
    config["use_bias"] = index % 5 != 3
    config["go_backwards"] = bool(rng.random() < 0.4)
    config["return_sequences"] = bool(rng.random() < 0.6)
    config["return_state"] = bool(rng.random() < 0.5)
    config["zero_output_for_mask"] = mask is not None and index % 3 == 1
    case = {"layers": [{"class": kind, "config": config}], "state_groups": [], "dropout": False}
    arrays = {"x": small(rng, (n, t, f), 1.0)}
    if mask is not None:
        arrays["mask"] = mask
    if rng.random() < 0.6:
        case["state_groups"] = [2 if kind == "LSTM" else 1]
        arrays |= {f"s{k}": small(rng, (n, h), 1.0) for k in range(case["state_groups"][0])}
    if index % 4 == 2:
        case["dropout"] = True
        config["dropout"], config["recurrent_dropout"] = 0.25, 0.5
        gates = GATES[kind] if index % 8 == 2 else 1
        arrays["di"] = (rng.random((gates, n, f)) < 0.75).astype(np.float32) / np.float32(0.75)
        arrays["dr"] = (rng.random((gates, n, h)) < 0.5).astype(np.float32) * 2
    return case, arrays


def layer(name, **config):
    return {"class": name, "config": config}


def model_cases():
    """Stacks, dense layers and embeddings: layers, shape of x, size of the vocabulary or None."""
    stack = [layer("LSTMCell", units=5), layer("GRUCell", units=3, reset_after=True)]
    three = [layer("SimpleRNNCell", units=3), layer("LSTMCell", units=2)]
    three.append(layer("LSTMCell", units=5, recurrent_activation="hard_sigmoid"))
    yield [layer("Dense", units=5)], (3, 2), None
    yield [layer("Dense", units=3, activation="relu")], (5, 2, 7), None
    yield [layer("Dense", units=7, activation="softmax", use_bias=False)], (2, 3, 5, 11), None
    yield [layer("Dense", units=37, activation="tanh"), layer("Dense", units=2)], (19, 23), None
    yield [layer("Embedding", input_dim=11, output_dim=3)], (5, 7), 11
    for name in ("SimpleRNN", "GRU", "LSTM"):
        embedding = layer("Embedding", input_dim=7, output_dim=5, mask_zero=True)
        recurrent = layer(name, units=2, return_sequences=name == "GRU")
        # three classes: the gradients of two would be equal and opposite, and cancel in the bias
        dense = layer("Dense", units=3, activation="softmax")
        yield [embedding, recurrent, dense], (11, 13), 7
    yield [layer("LSTM", units=5, return_sequences=True), layer("GRU", units=7)], (3, 11, 2), None
    first = layer("GRU", units=3, return_sequences=True, reset_after=False)
    second = layer("SimpleRNN", units=7, return_sequences=True, go_backwards=True)
    yield [first, second, layer("LSTM", units=2)], (5, 13, 11), None
    yield [layer("RNN", cell=stack, return_sequences=True, return_state=True)], (2, 11, 7), None
    yield [layer("RNN", cell=three, go_backwards=True)], (7, 13, 11), None
    embedding = layer("Embedding", input_dim=13, output_dim=7, mask_zero=True)
    yield [embedding, layer("RNN", cell=stack)], (2, 11), 13


def family(name, produced, run=run, *, packed=False):
    """Writes the cases, each run by `run(case, arrays, rng)`.

    A file of many small arrays is mostly the headers of its entries: `packed` writes one array,
    "data", as float32, which ids and masks fit into as well, and the shapes into the descriptions.
    """
    descriptions, stored, pieces = [], {}, []
    for k, (case, arrays) in enumerate(produced):
        run(case, arrays, np.random.default_rng([len(name), k]))
        descriptions.append(case)
        if packed:
            case["packed"] = {key: [str(v.dtype), list(v.shape)] for key, v in arrays.items()}
            pieces += [value.astype(np.float32).ravel() for value in arrays.values()]
        else:
            stored |= {f"{k}/{key}": value for key, value in arrays.items()}
    if packed:
        stored["data"] = np.concatenate(pieces)
    path = HERE / f"keras_{name}.npz"
    np.savez_compressed(path, cases=np.array(json.dumps(descriptions)), **stored)
    print(f"{path.name}: {len(descriptions)} cases, {path.stat().st_size} bytes")


def recurrent_family(kind, options, seed, large):
    """16 small cases that run through every option, and a right-padded one with larger sizes."""
    rng = np.random.default_rng(seed)
    for index in range(16):
        yield recurrent_case(rng, kind, index, options)
    yield recurrent_case(rng, kind, 64, options, large)


def models():
    rng = np.random.default_rng(5)
    for layers, shape, vocabulary in model_cases():
        case = {"layers": layers, "state_groups": [], "dropout": False}
        if vocabulary:
            x = rng.integers(0, vocabulary, shape).astype(np.int32)
            x[0, shape[1] // 2 :] = 0
            x[1, 0] = 0
        else:
            x = small(rng, shape, 1.0)
        arrays = {"x": x}
        if layers[0]["config"].get("return_state"):
            case["state_groups"] = [2, 1]
            for k, units in enumerate((5, 5, 3)):
                arrays[f"s{k}"] = small(rng, (shape[0], units), 1.0)
            arrays["mask"] = random_mask(rng, "holes", *shape[:2])
        yield case, arrays


def main():
    if keras.backend.backend() != "torch":
        raise SystemExit("set KERAS_BACKEND=torch; the other back ends mask differently")
    torch.set_num_threads(1)
    family("simple_rnn", recurrent_family("SimpleRNN", {}, 1, (3, 7, 5, 37)))
    family("gru", recurrent_family("GRU", {"reset_after": False}, 2, (17, 5, 13, 19)))
    family("gru_reset_after", recurrent_family("GRU", {"reset_after": True}, 3, (5, 3, 29, 23)))
    family("lstm", recurrent_family("LSTM", {}, 4, (19, 5, 3, 17)))
    family("models", models())


if __name__ == "__main__":
    main()
