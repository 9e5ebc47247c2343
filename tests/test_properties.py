# SPDX-License-Identifier: Apache-2.0
"""Random stacks of layers, as a user would build them, against the reference."""

from __future__ import annotations

from dataclasses import dataclass, replace

import numpy as np
from hypothesis import given, settings
from hypothesis import strategies as st

import elman
from reference import ACTIVATIONS, KINKED, STATES, Cell, gradients, recurrent
from tolerance import assert_close, tolerance

KINDS = {"SimpleRNN": "simple_rnn", "GRU": "gru_reset_after", "LSTM": "lstm"}
# bounded, so that no random stack explodes; gates within [-1, 1], so that no error grows
BOUNDED = ["tanh", "sigmoid", "hard_sigmoid", "hard_sigmoid_v3", "softsign", "relu6"]
SMOOTH = [name for name in BOUNDED if name not in KINKED]
UNGATED = {"relu6"}


@dataclass(frozen=True)
class Spec:
    name: str
    units: int
    options: dict

    @property
    def kind(self) -> str:
        return "gru" if self.options.get("reset_after") is False else KINDS[self.name]

    def cell(self, weights: list[np.ndarray]) -> Cell:
        names = ("activation", "recurrent_activation")
        chosen = {name: self.options[name] for name in names if name in self.options}
        bias = weights[2] if len(weights) == 3 else None
        return Cell(self.kind, weights[0], weights[1], bias, **chosen)


@st.composite
def specs(draw, activations):
    name = draw(st.sampled_from(list(KINDS)))
    options = {
        "activation": draw(st.sampled_from(activations)),
        "use_bias": draw(st.booleans()),
        "go_backwards": draw(st.booleans()),
        "zero_output_for_mask": draw(st.booleans()),
        "unroll": draw(st.booleans()),
    }
    if name != "SimpleRNN":
        gates = [a for a in activations if a not in UNGATED]
        options["recurrent_activation"] = draw(st.sampled_from(gates))
        options["implementation"] = draw(st.sampled_from([0, 1, 2]))
    if name == "GRU":
        options["reset_after"] = draw(st.booleans())
    return Spec(name, draw(st.integers(1, 9)), options)


@dataclass(frozen=True)
class Stack:
    specs: list[Spec]
    sequences: bool
    states: bool
    given_states: bool
    x: np.ndarray
    steps: dict[str, np.ndarray]  # mask or lengths, and reset_mask; or some of them
    every: bool  # the states of all steps, of the last layer
    seed: int

    def __repr__(self) -> str:
        return f"Stack({self.specs}, x {self.x.shape}, {self.steps}, seed {self.seed})"

    def options(self, k: int) -> dict:
        """Every layer but the last must return its sequence."""
        last = k == len(self.specs) - 1
        flags = {
            "return_sequences": self.sequences if last else True,
            "return_state": last and self.states,
            "return_state_sequences": last and self.every,
        }
        return {**self.specs[k].options, **flags}

    def initial_state(self) -> list[np.ndarray] | None:
        """For the first layer, if it is given at all."""
        rng = np.random.default_rng(self.seed + 1)
        shape = (len(self.x), self.specs[0].units)
        count = STATES[self.specs[0].kind]
        return [rng.uniform(-1, 1, shape) for _ in range(count)] if self.given_states else None


@st.composite
def stacks(draw, activations):
    n, t, f = (draw(st.integers(1, top)) for top in (6, 9, 5))
    rng = np.random.default_rng(draw(st.integers(0, 2**32 - 1)))
    rows = st.lists(st.booleans(), min_size=t, max_size=t)
    grids = st.lists(rows, min_size=n, max_size=n).map(lambda grid: np.array(grid, bool))
    lengths = st.lists(st.integers(0, t), min_size=n, max_size=n).map(np.array)
    steps = {
        name: draw(values)
        for name, values in (("mask", grids), ("lengths", lengths), ("reset_mask", grids))
        if draw(st.booleans())
    }
    if "lengths" in steps:
        steps.pop("mask", None)
    return Stack(
        draw(st.lists(specs(activations), min_size=1, max_size=3)),
        draw(st.booleans()),
        draw(st.booleans()),
        draw(st.booleans()),
        rng.uniform(-1, 1, (n, t, f)),
        steps,
        draw(st.booleans()),
        draw(st.integers(0, 2**31)),
    )


def build(stack: Stack, dtype: str) -> list:
    """Layers with random weights, bias included; their sizes are known after a first call."""
    layers = [
        getattr(elman.layers, spec.name)(spec.units, dtype=dtype, **stack.options(k))
        for k, spec in enumerate(stack.specs)
    ]
    call(stack, layers, stack.x)
    rng = np.random.default_rng(stack.seed)
    for layer in layers:
        shapes = [w.shape for w in layer.get_weights()]
        layer.set_weights([rng.uniform(-1, 1, s) / np.sqrt(s[0] + 1) for s in shapes])
    return layers


def call(stack: Stack, layers: list, x) -> list:
    value = x
    for k, layer in enumerate(layers):
        # the mask reaches the later layers by itself, resets do not
        first = {**stack.steps, "initial_state": stack.initial_state()} if k == 0 else {}
        value = layer(value, **first)
    return list(value) if isinstance(value, (list, tuple)) else [value]


def reference(stack: Stack, weights: list[list[np.ndarray]], x: np.ndarray) -> list[np.ndarray]:
    value, states, mask = x, [], stack.steps.get("mask")
    if "lengths" in stack.steps:
        mask = np.arange(x.shape[-2]) < stack.steps["lengths"][:, None]
    for k, spec in enumerate(stack.specs):
        value, states = recurrent(
            spec.cell(weights[k]),
            value,
            initial_state=stack.initial_state() if k == 0 else None,
            mask=mask,
            reset_mask=stack.steps.get("reset_mask") if k == 0 else None,
            state_sequences=True,
            go_backwards=spec.options["go_backwards"],
            zero_output_for_mask=spec.options["zero_output_for_mask"],
        )
    output = value if stack.sequences else value[..., -1, :]
    count = len(states) // 2
    last, every = states[:count], states[count:]
    return [output, *(last if stack.states else []), *(every if stack.every else [])]


def weights_of(layers) -> list[list[np.ndarray]]:
    return [[w.astype(np.float64) for w in layer.get_weights()] for layer in layers]


@settings(max_examples=150)
@given(stacks(BOUNDED))
def test_forward(stack):
    for dtype in ("float64", "float32"):
        layers = build(stack, dtype)
        outputs = call(stack, layers, stack.x)
        expected = reference(stack, weights_of(layers), stack.x)
        assert len(outputs) == len(expected)
        for got, want in zip(outputs, expected, strict=True):
            assert got.dtype == dtype
            scale = float(np.abs(want).max(initial=0.0))
            # one more factor for each layer: its input carries the errors of the one before
            terms = 20 * len(layers)
            allowed = tolerance(dtype, terms, stack.x.shape[1], scale) * len(layers)
            assert_close(got, want, allowed, str(stack))


@settings(max_examples=60)
@given(stacks(SMOOTH))
def test_gradients(stack):
    """Of every weight and of x, through all layers, at a few elements each."""
    layers = build(stack, "float64")
    rng = np.random.default_rng(stack.seed)
    x = elman.Variable(stack.x)
    with elman.GradientTape() as tape:
        outputs = call(stack, layers, x)
        losses = [rng.uniform(-1, 1, tuple(o.shape)) for o in outputs]
        terms = [elman.backend.sum(o * w) for o, w in zip(outputs, losses, strict=True)]
        total = terms[0]
        for term in terms[1:]:
            total = total + term
    arrays = weights_of(layers)
    names = [f"{k}.{j}" for k, layer in enumerate(arrays) for j in range(len(layer))]
    flat = [w for layer in layers for w in layer.weights]
    found = dict(zip(["x", *names], tape.gradient(total, [x, *flat]), strict=True))
    values = {"x": stack.x} | dict(zip(names, [a for w in arrays for a in w], strict=True))

    def outputs_of(operands):
        weights = [[operands[f"{k}.{j}"] for j in range(len(w))] for k, w in enumerate(arrays)]
        return reference(stack, weights, operands["x"])

    elements = {name: rng.permutation(v.size)[:6] for name, v in values.items()}
    for name, want in gradients(outputs_of, values, losses, elements).items():
        gradient = found[name]
        got = np.zeros(values[name].shape) if gradient is None else np.asarray(gradient)
        scale = max(float(np.abs(got).max()), 1e-3)
        assert_close(got.ravel()[elements[name]], want, 1e-7 * scale, f"{stack} d_{name}")


def stacked(stack: Stack):
    """The cells of the stack in one RNN layer, and their reference cells, equal weights."""
    shared = ("go_backwards", "zero_output_for_mask")
    flags = {name: stack.specs[-1].options[name] for name in shared}
    cells = []
    for spec in stack.specs:
        own = {k: v for k, v in spec.options.items() if k not in (*shared, "unroll")}
        cells.append(getattr(elman.layers, spec.name + "Cell")(spec.units, **own, dtype="float64"))
    wanted = {"return_sequences": True, "return_state": True, "return_state_sequences": True}
    layer = elman.layers.RNN(cells, dtype="float64", **wanted, **flags)
    layer(stack.x)
    rng = np.random.default_rng(stack.seed)
    weights = [rng.uniform(-1, 1, w.shape) / np.sqrt(w.shape[0] + 1) for w in layer.get_weights()]
    layer.set_weights(weights)
    parts, first = [], 0
    for spec, cell in zip(stack.specs, cells, strict=True):
        parts.append(spec.cell(weights[first : first + len(cell.weights)]))
        first += len(cell.weights)
    return layer, parts, flags


@settings(max_examples=60)
@given(stacks(BOUNDED))
def test_stacked_cells(stack):
    """The cells in one RNN layer: every state of every cell is carried over masked steps."""
    layer, cells, flags = stacked(stack)
    rng = np.random.default_rng(stack.seed + 2)
    sizes = [spec.units for spec in stack.specs for _ in range(STATES[spec.kind])]
    states = [rng.uniform(-1, 1, (len(stack.x), size)) for size in sizes]
    states = states if stack.given_states else None
    got = layer(stack.x, initial_state=states, **stack.steps)
    options = {**flags, **stack.steps, "state_sequences": True}
    sequence, final = recurrent(cells, stack.x, initial_state=states, **options)
    for actual, expected in zip(got, [sequence, *final], strict=True):
        scale = float(np.abs(expected).max(initial=0.0))
        allowed = tolerance("float64", 20 * len(cells), stack.x.shape[1], scale) * len(cells)
        assert_close(actual, expected, allowed, str(stack))


@settings(max_examples=60)
@given(stacks(BOUNDED))
def test_a_sequential_model_is_its_layers(stack):
    """Layers called one by one, and the same layers in a model."""
    plain = {"states": False, "given_states": False, "steps": {}, "every": False}
    stack = replace(stack, **plain)
    layers = build(stack, "float64")
    expected = np.asarray(call(stack, layers, stack.x)[0])
    np.testing.assert_array_equal(elman.Sequential(layers)(stack.x), expected)


def test_the_strategies_know_every_bounded_activation():
    assert set(BOUNDED) <= set(ACTIVATIONS)
    assert SMOOTH == ["tanh", "sigmoid", "softsign"]
