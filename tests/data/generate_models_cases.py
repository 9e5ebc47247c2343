# SPDX-License-Identifier: Apache-2.0
"""Writes the stored Keras cases of merge layers and functional models, with all gradients.

    KERAS_BACKEND=torch python tests/data/generate_models_cases.py

Same format as generate_keras_cases.py; "layers" are the steps of a graph (keras_graphs.py), inputs
are "k/x0", "k/x1", ..., weights are those of the steps' layers in order.
"""

from __future__ import annotations

import json
import sys

import numpy as np
from generate_keras_cases import HERE, PRIMES, keras, keras_layer, small, tensor, torch

sys.path.insert(0, str(HERE.parent))

from keras_graphs import build


class Kit:
    """How Keras spells a graph."""

    Model = staticmethod(keras.Model)

    @staticmethod
    def Input(shape, dtype="float32"):  # noqa: N802
        return keras.Input(tuple(shape), dtype=dtype)

    @staticmethod
    def layer(step):
        config = dict(step["config"])
        if "axes" in config and isinstance(config["axes"], list):
            config["axes"] = tuple(config["axes"])
        return keras_layer({"class": step["class"], "config": config})


def given(*shape, dtype="float32"):
    return {"class": "Input", "config": {"shape": list(shape), "dtype": dtype}}


def step(name, *sources, **config):
    more = {key: config.pop(key) for key in ("initial_state", "mask", "layer") if key in config}
    return {"class": name, "config": config, "from": _refs(sources), **more}


def graph(steps, *sources):
    return {"class": "Graph", "steps": steps, "from": _refs(sources)}


def outputs(*sources):
    return {"class": "Outputs", "from": _refs(sources)}


def _refs(sources):
    return [[s, 0] if isinstance(s, int) else list(s) for s in sources]


def merge_cases():
    """Class, options and the shapes of the inputs without the batch axis."""
    shapes = [
        [(3, 5), (3, 5)],
        [(7,), (7,), (7,)],
        [(3, 5), (5,)],  # a vector per sample goes to every step
        [(1, 5), (3, 1), (3, 5)],
        [(2, 3, 5), (3, 5), (2, 1, 5)],
    ]
    for kind in ("Add", "Multiply", "Average", "Maximum", "Minimum"):
        for sizes in shapes if kind in ("Add", "Multiply") else shapes[1:4]:
            yield kind, {}, sizes
    for k in (0, 2, 3):
        yield "Subtract", {}, shapes[k][:2]
    for axis, sizes in (
        (-1, [(3,), (5,)]), (-1, [(3, 5), (3, 7), (3, 2)]), (1, [(3, 5), (7, 5)]),
        (2, [(3, 5, 7), (3, 2, 7)]), (-2, [(3, 5), (2, 5)]), (-1, [(5, 3)]),
    ):  # fmt: skip
        yield "Concatenate", {"axis": axis}, sizes
    for axes, normalize, sizes in (
        (1, False, [(5,), (5,)]), (1, True, [(7,), (7,)]), (-1, True, [(3, 5), (2, 5)]),
        ([2, 1], False, [(3, 5), (5, 7)]), ([1, 2], True, [(5, 3), (7, 5)]),
        ([1, 1], False, [(5,), (5, 3)]), ([2, 1], False, [(3, 5), (5,)]),
        ([3, 1], False, [(2, 3, 5), (5, 7)]), ([-1, -2], True, [(3, 5), (2, 5, 7)]),
    ):  # fmt: skip
        yield "Dot", {"axes": axes, "normalize": normalize}, sizes


def merges():
    rng = np.random.default_rng(31)
    for kind, config, sizes in merge_cases():
        used = {size for shape in sizes for size in shape}
        batch = next(prime for prime in PRIMES if prime not in used)
        steps = [given(*size) for size in sizes]
        steps += [step(kind, *range(len(sizes)), **config), outputs(len(sizes))]
        # offsets below the grid of `small`: no two inputs of a maximum are equal
        arrays = {
            f"x{k}": small(rng, (batch, *size), 1.0) + np.float32(k / 8192)
            for k, size in enumerate(sizes)
        }
        yield steps, arrays


def rnn(name, source, units, **config):
    return step(name, source, units=units, **config)


def encoder_decoder(kind):
    states = 2 if kind == "LSTM" else 1
    more = {} if kind == "SimpleRNN" else {"recurrent_activation": "sigmoid"}
    return [
        given(None, 3), given(None, 2),
        rnn(kind, 0, 5, return_state=True, **more),
        rnn(kind, 1, 5, return_sequences=True, initial_state=[[2, 1 + k] for k in range(states)]),
        step("Dense", 3, units=7, activation="softmax"),
        outputs(4),
    ]  # fmt: skip


def attention():
    return [
        given(None, 3), given(None, 2),
        rnn("GRU", 0, 5, return_sequences=True, return_state=True),
        rnn("GRU", 1, 5, return_sequences=True, initial_state=[[2, 1]]),
        step("Dot", 3, 2, axes=[2, 2]),
        step("Activation", 4, activation="softmax"),
        step("Dot", 5, 2, axes=[2, 1]),
        step("Concatenate", 3, 6),
        step("Dense", 7, units=7, activation="tanh"),
        outputs(8, 5),
    ]  # fmt: skip


def siamese(shared):
    """One encoder for two inputs, as a shared layer or as a model in the model."""
    inner = [given(None, 3), rnn("LSTM", 0, 5), step("Dense", 1, units=2), outputs(2)]
    if shared:
        first = [rnn("LSTM", 0, 5), rnn("LSTM", 1, 5, layer=2)]
    else:
        first = [graph(inner, 0), {**graph(inner, 1), "layer": 2}]
    return [
        given(None, 3), given(None, 3), *first,
        step("Subtract", 2, 3), step("Dense", 4, units=7), outputs(5, 2),
    ]  # fmt: skip


def embedded(*later):
    table = {"input_dim": 11, "mask_zero": True}
    return [
        given(None, dtype="int32"),
        step("Embedding", 0, output_dim=3, **table), step("Embedding", 0, output_dim=5, **table),
        *later,
    ]  # fmt: skip


def model_graphs():
    """Steps, and the shapes of the inputs."""
    for kind in ("LSTM", "GRU", "SimpleRNN"):
        yield encoder_decoder(kind), [(2, 7, 3), (2, 11, 2)]
    yield attention(), [(3, 5, 3), (3, 11, 2)]
    yield siamese(True), [(2, 5, 3), (2, 7, 3)]
    yield siamese(False), [(2, 11, 3), (2, 5, 3)]
    # two outputs of one trunk, the trunk's output as well
    trunk = [given(7), step("Dense", 0, units=5, activation="tanh")]
    heads = [step("Dense", 1, units=3), step("Dense", 1, units=2, activation="sigmoid")]
    yield [*trunk, *heads, outputs(2, 3, 1)], [(11, 7)]
    # a way around two LSTMs
    skip = [given(None, 5), rnn("LSTM", 0, 5, return_sequences=True)]
    skip += [rnn("LSTM", 1, 5, return_sequences=True), step("Add", 0, 2), rnn("GRU", 3, 2)]
    yield [*skip, outputs(4)], [(3, 7, 5)]
    # masks of embeddings through merge layers
    both = [step("Concatenate", 1, 2), rnn("LSTM", 3, 2, return_sequences=True)]
    yield embedded(*both, outputs(4)), [(5, 7)]
    dense = [step("Dense", 2, units=3), step("Add", 1, 3), rnn("GRU", 4, 2), outputs(5)]
    yield embedded(*dense), [(7, 5)]
    two = [given(None, dtype="int32"), given(None, dtype="int32")]
    two += [step("Embedding", 0, input_dim=11, output_dim=3, mask_zero=True)]
    two += [step("Embedding", 1, input_dim=11, output_dim=3, mask_zero=True, layer=2)]
    yield [*two, step("Concatenate", 2, 3, axis=1), rnn("LSTM", 4, 5), outputs(5)], [(2, 5), (2, 7)]
    nested = [given(None, 3), step("Dense", 0, units=2), rnn("SimpleRNN", 1, 5), outputs(2)]
    yield embedded(graph(nested, 1), rnn("GRU", 2, 2), outputs(3, 4)), [(3, 7)]
    # both directions, and a vector that gates every step
    ways = [given(None, 3), rnn("GRU", 0, 5), rnn("GRU", 0, 5, go_backwards=True)]
    ways += [step("Concatenate", 1, 2), step("Average", 1, 2), step("Multiply", 3, 3)]
    yield [*ways, outputs(5, 4)], [(2, 7, 3)]
    gate = [given(None, 3), given(5), rnn("LSTM", 0, 5, return_sequences=True)]
    gate += [step("Dense", 1, units=5, activation="sigmoid"), step("Multiply", 2, 3)]
    yield [*gate, rnn("SimpleRNN", 4, 2), outputs(5, 3)], [(3, 7, 3), (3, 5)]
    # one Dense for sequences and vectors; states as outputs and as inputs
    one = [given(None, 3), rnn("LSTM", 0, 5, return_sequences=True, return_state=True)]
    one += [step("Dense", 1, units=2), step("Dense", (1, 2), units=2, layer=2)]
    yield [*one, outputs(2, 3, (1, 1))], [(3, 7, 3)]
    state = [given(None, 3), given(5), given(5)]
    state += [rnn("LSTM", 0, 5, return_state=True, initial_state=[[1, 0], [2, 0]])]
    yield [*state, outputs(3, (3, 1), (3, 2))], [(2, 7, 3), (2, 5), (2, 5)]
    masked = [given(None, 3), given(None, dtype="bool")]
    masked += [rnn("GRU", 0, 5, return_sequences=True, mask=[1, 0]), rnn("LSTM", 2, 2)]
    yield [*masked, outputs(3, 2)], [(5, 7, 3), (5, 7)]


def models():
    rng = np.random.default_rng(37)
    for steps, shapes in model_graphs():
        arrays = {}
        kinds = [s["config"]["dtype"] for s in steps if s["class"] == "Input"]
        for k, (shape, kind) in enumerate(zip(shapes, kinds, strict=True)):
            if kind == "int32":
                ids = rng.integers(1, 11, shape).astype(np.int32)
                ids[0, shape[1] // 2 :] = ids[1, 0] = ids[-1, 2] = 0
                arrays[f"x{k}"] = ids
            elif kind == "bool":
                arrays[f"x{k}"] = rng.random(shape) < 0.6
            else:
                arrays[f"x{k}"] = small(rng, shape, 1.0)
        yield steps, arrays


def run(steps, arrays, rng):
    """Adds weights, outputs, projections and gradients; the description of the case."""
    model, layers = build(steps, Kit)
    inputs = [tensor(arrays[f"x{k}"]) for k in range(len(arrays))]
    weights = []
    for layer in layers:
        values = [small(rng, w.shape, 1.6 / np.sqrt(w.shape[0] + 1)) for w in layer.weights]
        layer.set_weights(values)
        arrays |= {f"w{len(weights) + k}": w for k, w in enumerate(values)}
        weights += [w.value for w in layer.weights]
    found = list(keras.tree.flatten(model(inputs)))
    loss = 0.0
    for k, output in enumerate(found):
        arrays[f"o{k}"] = output.detach().numpy()
        arrays[f"p{k}"] = small(rng, output.shape, 1.0)
        loss = loss + (output * torch.tensor(arrays[f"p{k}"])).sum()
    sources = {f"gw{k}": w for k, w in enumerate(weights)}
    sources |= {f"gx{k}": x for k, x in enumerate(inputs) if x.requires_grad}
    grads = torch.autograd.grad(loss, list(sources.values()), allow_unused=True)
    for (name, source), gradient in zip(sources.items(), grads, strict=True):
        gradient = torch.zeros_like(source) if gradient is None else gradient
        arrays[name] = gradient.numpy()
    case = {"layers": steps, "state_groups": [], "dropout": False}
    return {**case, "weights": len(weights), "outputs": len(found)}


def family(name, produced):
    descriptions, stored = [], {}
    for k, (steps, arrays) in enumerate(produced):
        descriptions.append(run(steps, arrays, np.random.default_rng([len(name), k])))
        stored |= {f"{k}/{key}": value for key, value in arrays.items()}
    path = HERE / f"keras_{name}.npz"
    np.savez_compressed(path, cases=np.array(json.dumps(descriptions)), **stored)
    print(f"{path.name}: {len(descriptions)} cases, {path.stat().st_size} bytes")


if __name__ == "__main__":
    torch.set_num_threads(1)
    family("merges", merges())
    family("graphs", models())
