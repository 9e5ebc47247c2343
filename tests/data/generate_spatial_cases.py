# SPDX-License-Identifier: Apache-2.0
"""Writes the stored Keras cases of convolution and pooling, with all gradients (float32).

    python tests/data/generate_spatial_cases.py

The JAX back end is used: the PyTorch one pads uneven 'same' windows with copies of the edge and
lets them count in an average. The format is that of generate_keras_cases.py. Sizes differ from
each other, so that a swapped axis shows; inputs hold no value twice, so that a maximum is one.
"""

from __future__ import annotations

import itertools
import os

os.environ["KERAS_BACKEND"] = "jax"

import jax
import jax.numpy as jnp
import numpy as np
from generate_keras_cases import ACTIVATIONS, family, keras_layer, layer, set_weights, small

CASE = {"state_groups": [], "dropout": False}
# The smallest sizes at which every window of the cases fits: spatial axes, then N, C, filters.
SIZES = {1: ((7, 8, 11), (2, 3, 5)), 2: ((5, 7), (1, 2, 3)), 3: ((3, 4, 5), (1, 2, 6))}


def run(case, arrays, rng):
    """Adds weights, outputs, projections and gradients of the case to its arrays."""
    (made,) = [keras_layer(spec) for spec in case["layers"]]
    made(arrays["x"])  # builds the weights
    set_weights([made], arrays, rng)
    mask = {"mask": jnp.asarray(arrays["mask"])} if "mask" in arrays else {}

    def call(x, weights):
        return made.stateless_call(weights, [], x, **mask)[0]

    weights = [weight.value for weight in made.trainable_variables]
    output, backward = jax.vjp(call, jnp.asarray(arrays["x"]), weights)
    arrays["o0"] = np.asarray(output)
    assert np.abs(arrays["o0"]).max() < 20
    arrays["p0"] = small(rng, output.shape, 1.0)
    arrays["gx"], gradients = backward(jnp.asarray(arrays["p0"]))
    arrays |= {f"gw{k}": gradient for k, gradient in enumerate(gradients)}
    for name in [name for name in arrays if name.startswith("g")]:
        arrays[name] = np.asarray(arrays[name])
    case["weights"], case["outputs"] = len(weights), 1


def distinct(rng, shape):
    """Values of which no two are equal, on a grid that compresses and is exact."""
    size = int(np.prod(shape))
    values = rng.permutation(size) - size // 2 + 0.5  # no zero: activations have kinks there
    return (values / 256).astype(np.float32).reshape(shape)


def images(rng, rank, index, channels_first):
    """x with sizes in an order that the index selects, and the number of filters."""
    spatial, rest = SIZES[rank]
    orders = list(itertools.permutations(spatial))
    spatial = orders[index % len(orders)][:rank]
    n, c, filters = list(itertools.permutations(rest))[index % 6]
    shape = (n, c, *spatial) if channels_first else (n, *spatial, c)
    return distinct(rng, shape), filters


def per_axis(rng, rank, index, most):
    """One number for all axes, or one for each."""
    if index % 3 == 0:
        return int(rng.integers(1, most + 1))
    return [int(k) for k in rng.integers(1, most + 1, rank)]


def conv_case(rng, rank, index):
    """One convolution with the options that the index selects."""
    first = index % 4 == 3
    x, filters = images(rng, rank, index, first)
    config = {"filters": filters, "kernel_size": per_axis(rng, rank, index, 3)}
    config["padding"] = ("valid", "same", "causal" if rank == 1 else "same")[index % 3]
    if index % 5 == 1 or index % 7 == 2:
        config["strides"] = per_axis(rng, rank, index + 1, 3)
    elif index % 3 != 0 or rank == 1:
        config["dilation_rate"] = per_axis(rng, rank, index + 1, 2 if rank > 1 else 3)
    if config["padding"] == "valid" and rank == 3:  # dilated windows would not fit
        config.pop("dilation_rate", None)
    config["activation"] = ACTIVATIONS[(index * 5 + rank) % len(ACTIVATIONS)]
    config["use_bias"] = index % 6 != 4
    config["data_format"] = "channels_first" if first else "channels_last"
    return {**CASE, "layers": [layer(f"Conv{rank}D", **config)]}, {"x": x / 4}


def conv(rank, count):
    """Convolutions over `rank` axes with every option."""
    rng = np.random.default_rng([rank, 7])
    for index in range(count):
        yield conv_case(rng, rank, index)


def pooling_case(rng, kind, rank, index):
    """One pooling layer with the options that the index selects."""
    first = index % 3 == 2
    x, _ = images(rng, rank, index, first)
    config = {"pool_size": per_axis(rng, rank, index, 3)}
    if index % 2:
        config["strides"] = per_axis(rng, rank, index + 1, 3)
    config["padding"] = "valid" if index % 4 < 2 else "same"
    config["data_format"] = "channels_first" if first else "channels_last"
    return {**CASE, "layers": [layer(f"{kind}Pooling{rank}D", **config)]}, {"x": x}


def global_case(rng, kind, rank, index):
    """One global pooling layer; the mean over steps with a mask too."""
    first = index % 2 == 1
    x, _ = images(rng, rank, index, first)
    config = {"data_format": "channels_first" if first else "channels_last"}
    arrays = {"x": x}
    if index >= 2:
        arrays["mask"] = rng.random((x.shape[0], x.shape[2 if first else 1])) < 0.6
        arrays["mask"][:, 1] = True
    return {**CASE, "layers": [layer(f"Global{kind}Pooling{rank}D", **config)]}, arrays


def resizing():
    """Padding, cropping and up-sampling."""
    first = {"data_format": "channels_first"}
    yield layer("ZeroPadding1D", padding=2)
    yield layer("ZeroPadding1D", padding=[3, 1])
    yield layer("ZeroPadding2D")
    yield layer("ZeroPadding2D", padding=[2, 1])
    yield layer("ZeroPadding2D", padding=[[1, 0], [2, 3]], **first)
    yield layer("Cropping1D", cropping=[2, 1])
    yield layer("Cropping2D", cropping=[[1, 2], [0, 3]])
    yield layer("Cropping2D", cropping=1, **first)
    yield layer("UpSampling1D", size=3)
    yield layer("UpSampling2D", size=[2, 3])
    yield layer("UpSampling2D", size=2, **first)
    yield layer("UpSampling2D", size=[2, 3], interpolation="bilinear")
    yield layer("UpSampling2D", size=[3, 2], interpolation="bilinear", **first)


def pooling():
    """Pooling, global pooling and what changes sizes alone."""
    for rank, kind in itertools.product((1, 2, 3), ("Max", "Average")):
        rng = np.random.default_rng([rank, len(kind)])
        for index in range(6 if rank < 3 else 4):
            yield pooling_case(rng, kind, rank, index)
        for index in range(4 if (rank, kind) == (1, "Average") else 2):
            yield global_case(rng, kind, rank, index)
    rng = np.random.default_rng(11)
    for index, spec in enumerate(resizing()):
        rank = 1 if "1D" in spec["class"] else 2
        x, _ = images(rng, rank, index, "data_format" in spec["config"])
        yield {**CASE, "layers": [spec]}, {"x": x}


if __name__ == "__main__":
    for rank, count in ((1, 28), (2, 24), (3, 12)):
        family(f"conv{rank}d", conv(rank, count), run)
    family("pooling", pooling(), run)
