# SPDX-License-Identifier: Apache-2.0
"""The layers around the recurrent ones in plain numpy, float64, written from their equations.

`run(case, operands, training)` gives the outputs of a stored case and what its weights are after.
Each formula takes (config, x, mask, weights, training) and returns (outputs, mask); it takes its
weights off the front of `weights`.
"""

from __future__ import annotations

import math

import numpy as np

from keras_cases import kind_of
from normalization_reference import batch_norm, layer_norm, moments
from reference import ACTIVATIONS, Cell, recurrent
from reference_conv_lstm import ConvCell
from spatial_reference import conv, pool


def take(weights, count):
    taken = weights[:count]
    del weights[:count]
    return taken


# --- recurrent layers --------------------------------------------------------------------------


def cell_of(spec, weights):
    config = spec["config"]
    biased = config.get("use_bias", True)
    names = ("activation", "recurrent_activation")
    given = {name: config[name] for name in names if name in config}
    kernel, recurrent_kernel, *bias = take(weights, 2 + biased)
    if spec["class"].startswith("ConvLSTM"):
        window = (config[name] for name in ("strides", "padding", "dilation_rate"))
        return ConvCell(kernel, recurrent_kernel, bias[0] if bias else None, *window, **given)
    return Cell(kind_of(spec), kernel, recurrent_kernel, *bias, **given)


def recurrent_layer(spec, x, mask, weights, states, zero):
    """([output, *states], mask) of SimpleRNN, GRU, LSTM, RNN or ConvLSTM."""
    config = spec["config"]
    first = config.get("data_format") == "channels_first"
    cells = [cell_of(cell, weights) for cell in config.get("cell", [spec])]
    sequence, final = recurrent(
        cells,
        np.moveaxis(x, 2, -1) if first else x,
        initial_state=[np.moveaxis(s, 1, -1) for s in states] if states and first else states,
        mask=mask,
        go_backwards=config.get("go_backwards", False),
        zero_output_for_mask=zero,
    )
    many = config.get("return_sequences", False)
    output = sequence if many else sequence[:, -1]
    if first:
        output = np.moveaxis(output, -1, 2 if many else 1)
        final = [np.moveaxis(s, -1, 1) for s in final]
    return [output, *(final if config.get("return_state") else [])], mask if many else None


def bidirectional(config, x, mask, weights, states):
    forward = config["layer"]
    back = {"class": forward["class"], "config": {**forward["config"], "go_backwards": True}}
    back = config.get("backward_layer", back)
    many = forward["config"].get("return_sequences", False)
    half = len(states) // 2
    parts = (states[:half] or None, states[half:] or None)
    results = [
        recurrent_layer(spec, x, mask, weights, part, zero=many)[0]
        for spec, part in zip((forward, back), parts, strict=True)
    ]
    y, z = results[0][0], results[1][0]
    z = z[:, ::-1] if many else z
    merged = {
        "concat": lambda: [np.concatenate([y, z], -1)],
        "sum": lambda: [y + z],
        "mul": lambda: [y * z],
        "ave": lambda: [(y + z) / 2],
        None: lambda: [y, z],
    }[config.get("merge_mode", "concat")]()
    return [*merged, *results[0][1:], *results[1][1:]], mask if many else None


def time_distributed(config, x, mask, weights, training):
    """One time step after the other; each of them takes the same weights."""
    outputs, rest = [], list(weights)
    for t in range(x.shape[1]):
        rest = list(weights)
        (y, *_), _ = layer(config["layer"], x[:, t], None, rest, training)
        outputs.append(y)
    weights[:] = rest
    return [np.stack(outputs, 1)], mask


# --- layers without time -----------------------------------------------------------------------


def dense(config, x, mask, weights, training):
    kernel = take(weights, 1)[0]
    y = x @ kernel
    if config.get("use_bias", True):
        y = y + take(weights, 1)[0]
    return [activation(config.get("activation") or "linear", y)], mask


def activation(name, x):
    return softmax(x, -1) if name == "softmax" else ACTIVATIONS[name](x)


def softmax(x, axis):
    axis = tuple(axis) if isinstance(axis, list) else axis
    e = np.exp(x - x.max(axis=axis, keepdims=True))
    return e / e.sum(axis=axis, keepdims=True)


def embedding(config, x, mask, weights, training):
    return [take(weights, 1)[0][x.astype(int)]], None


def masking(config, x, mask, weights, training):
    used = (x != config.get("mask_value", 0.0)).any(-1)
    return [np.where(used[..., None], x, 0.0)], used


def normalized_axes(config, rank):
    axis = config.get("axis", -1)
    return sorted(a % rank for a in (axis if isinstance(axis, list) else [axis]))


def to_last(x, places):
    order = [a for a in range(x.ndim) if a not in places] + places
    return x.transpose(order), np.argsort(order)


def affine(config, weights):
    gamma = take(weights, 1)[0].ravel() if config.get("scale", True) else None
    beta = take(weights, 1)[0].ravel() if config.get("center", True) else None
    return gamma, beta


def layer_normalization(config, x, mask, weights, training):
    places = normalized_axes(config, x.ndim)
    moved, back = to_last(x, places)
    flat = moved.reshape(*moved.shape[: x.ndim - len(places)], -1)
    y = layer_norm(flat, *affine(config, weights), config.get("epsilon", 1e-3))
    return [y.reshape(moved.shape).transpose(back)], mask


def batch_normalization(config, x, mask, weights, training):
    moved, back = to_last(x, normalized_axes(config, x.ndim))
    gamma, beta = affine(config, weights)
    moving = take(weights, 2)
    epsilon, momentum = config.get("epsilon", 1e-3), config.get("momentum", 0.99)
    statistics = moments(moved, mask) if training else moving
    y = batch_norm(moved, gamma, beta, epsilon=epsilon, statistics=statistics)
    if training:
        for old, new in zip(moving, statistics, strict=True):
            old[...] = momentum * old + (1 - momentum) * new
    return [y.transpose(back)], mask


def relu(config, x, mask, weights, training):
    threshold = config.get("threshold", 0.0)
    y = np.where(x >= threshold, x, config.get("negative_slope", 0.0) * (x - threshold))
    largest = config.get("max_value")
    return [y if largest is None else np.minimum(y, largest)], mask


def prelu(config, x, mask, weights, training):
    return [np.where(x > 0, x, x * take(weights, 1)[0])], mask


def reshape(config, x, mask, weights, training):
    return [x.reshape(len(x), *config["target_shape"])], None


def permute(config, x, mask, weights, training):
    return [x.transpose(0, *config["dims"])], None


def convolution(config, x, mask, weights, training):
    options = {key: config[key] for key in ("strides", "padding") if key in config}
    y = conv(x, *take(weights, 2), **options)
    return [activation(config.get("activation") or "linear", y)], None


def pooling(kind):
    return lambda c, x, *_: ([pool(kind, x, c["pool_size"])], None)


FORMULAS = {
    "Conv1D": convolution,
    "Conv2D": convolution,
    "MaxPooling2D": pooling("max"),
    "AveragePooling2D": pooling("average"),
    "Dense": dense,
    "Embedding": embedding,
    "Masking": masking,
    "TimeDistributed": time_distributed,
    "LayerNormalization": layer_normalization,
    "BatchNormalization": batch_normalization,
    "ReLU": relu,
    "LeakyReLU": lambda c, x, *r: relu({"negative_slope": 0.3, **c}, x, *r),
    "ELU": lambda c, x, m, *_: (
        [np.where(x > 0, x, c.get("alpha", 1.0) * np.expm1(np.minimum(x, 0.0)))],
        m,
    ),
    "PReLU": prelu,
    "Softmax": lambda c, x, m, *_: ([softmax(x, c.get("axis", -1))], m),
    "Activation": lambda c, x, m, *_: ([activation(c["activation"], x)], m),
    "Dropout": lambda c, x, m, *_: ([x], m),
    "Reshape": reshape,
    "Permute": permute,
    "RepeatVector": lambda c, x, *_: ([np.stack([x] * c["n"], 1)], None),
    "Flatten": lambda c, x, *_: ([x.reshape(len(x), math.prod(x.shape[1:]))], None),
}


def layer(spec, x, mask, weights, training, states=()):
    config, name = spec["config"], spec["class"]
    if name == "Bidirectional":
        return bidirectional(config, x, mask, weights, list(states))
    if name in FORMULAS:
        return FORMULAS[name](config, x, mask, weights, training)
    zero = config.get("zero_output_for_mask", False)
    return recurrent_layer(spec, x, mask, weights, list(states) or None, zero)


def run(case, operands):
    """(outputs, weights afterwards) of a case; the operands are left alone."""
    every = [operands[f"w{k}"].copy() for k in range(case.weights)]
    weights, states = list(every), [operands[f"s{k}"] for k in range(case.states)]
    value, mask, rest = operands["x"], operands.get("mask"), []
    for spec in case.layers:
        (value, *rest), mask = layer(spec, value, mask, weights, case.training, states)
        states = ()
    assert not weights, "a layer has left weights over"
    return [value, *rest], every


def differences(case, operands, name, elements, step=1e-5):
    """Central differences of sum_k sum(p_k * output_k) by some elements of one operand."""
    projections = [operands[f"p{k}"] for k in range(case.outputs)]
    found = []
    for element in elements:
        sides = []
        for sign in (1, -1):
            moved = operands[name].copy()
            moved.reshape(-1)[element] += sign * step
            sides.append(run(case, {**operands, name: moved})[0])
        pairs = zip(*sides, projections, strict=True)
        found.append(sum(((up - down) * p).sum() for up, down, p in pairs) / (2 * step))
    return np.array(found)
