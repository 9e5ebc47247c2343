# SPDX-License-Identifier: Apache-2.0
"""Random options of convolutions, pooling, Bidirectional, merge layers and ConvLSTM2D.

Each is compared in float64 with a reference written from the equations; what the options are is
drawn, so that combinations meet that nobody has written down.
"""

from __future__ import annotations

import numpy as np
from hypothesis import assume, given, settings
from hypothesis import strategies as st

import elman
import reference_conv_lstm
import spatial_reference
from elman import layers
from reference import Cell, recurrent
from tolerance import assert_close, tolerance

FORMATS = ("channels_last", "channels_first")
KINDS = {"SimpleRNN": "simple_rnn", "GRU": "gru_reset_after", "LSTM": "lstm"}
MERGES = {
    "concat": lambda a, b: np.concatenate([a, b], -1),
    "sum": lambda a, b: a + b,
    "mul": lambda a, b: a * b,
    "ave": lambda a, b: (a + b) / 2,
}
FOLDS = {
    "Add": np.add, "Average": np.add, "Multiply": np.multiply, "Maximum": np.maximum,
    "Minimum": np.minimum,
}  # fmt: skip


@st.composite
def generators(draw):
    return np.random.default_rng(draw(st.integers(0, 2**32 - 1)))


def random(rng, *shape):
    return rng.uniform(-1, 1, shape)


def set_random(layer, rng):
    """Weights of about unit gain, biases included."""
    weights = [
        random(rng, *w.shape) / np.sqrt(max(1, w.size // w.shape[-1])) for w in layer.weights
    ]
    layer.set_weights(weights)
    return weights


def to_format(x, data_format, at=1):
    """Channels-last values with the channels at axis `at` for 'channels_first'."""
    return x if data_format == "channels_last" else np.moveaxis(x, -1, at)


def from_format(x, data_format, at=1):
    x = np.asarray(x)
    return x if data_format == "channels_last" else np.moveaxis(x, at, -1)


@st.composite
def windows(draw, rank, paddings, dilates):
    """Images, window, strides, padding and dilation that go together."""
    sizes = tuple(draw(st.integers(1, 7)) for _ in range(rank))
    taps = tuple(draw(st.integers(1, 3)) for _ in range(rank))
    padding = draw(st.sampled_from(paddings))
    ones = (1,) * rank
    strides = tuple(draw(st.integers(1, 3)) for _ in range(rank))
    dilation = tuple(draw(st.integers(1, 2)) for _ in range(rank)) if dilates else ones
    if max(dilation) > 1:
        strides = ones
    spans = [(k - 1) * d + 1 for k, d in zip(taps, dilation, strict=True)]
    assume(padding != "valid" or all(n >= s for n, s in zip(sizes, spans, strict=True)))
    return sizes, taps, strides, padding, dilation


@settings(max_examples=300)
@given(st.data(), generators(), st.sampled_from([1, 2]), st.sampled_from(FORMATS), st.booleans())
def test_convolutions(data, rng, rank, data_format, use_bias):
    paddings = ["valid", "same", "causal"] if rank == 1 else ["valid", "same"]
    sizes, taps, strides, padding, dilation = data.draw(windows(rank, paddings, True))
    n, c, f = rng.integers(1, 5, 3)
    cls = layers.Conv1D if rank == 1 else layers.Conv2D
    layer = cls(
        f, taps, strides=strides, padding=padding, data_format=data_format,
        dilation_rate=dilation, use_bias=use_bias, dtype="float64",
    )  # fmt: skip
    x = random(rng, n, *sizes, c)
    given_x = to_format(x, data_format)
    layer.build(given_x.shape)
    weights = set_random(layer, rng)
    expected = spatial_reference.conv(
        x, weights[0], weights[1] if use_bias else None, strides, padding, dilation
    )
    got = layer(given_x)
    assert layer.compute_output_shape(given_x.shape) == tuple(got.shape)
    assert_close(from_format(got, data_format), expected, tolerance("float64", 9 * c + 1, 1))


@settings(max_examples=200)
@given(
    st.data(), generators(), st.sampled_from([1, 2]), st.sampled_from(FORMATS),
    st.sampled_from(["max", "average"]),
)  # fmt: skip
def test_pooling(data, rng, rank, data_format, kind):
    sizes, taps, strides, padding, _ = data.draw(windows(rank, ["valid", "same"], False))
    strides = data.draw(st.sampled_from([None, strides]))
    x = random(rng, rng.integers(1, 4), *sizes, rng.integers(1, 4))
    cls = getattr(layers, f"{'Max' if kind == 'max' else 'Average'}Pooling{rank}D")
    layer = cls(taps, strides, padding, data_format=data_format, dtype="float64")
    expected = spatial_reference.pool(kind, x, taps, strides, padding)
    got = from_format(layer(to_format(x, data_format)), data_format)
    assert_close(got, expected, tolerance("float64", 9, 1))


def masks(rng, n, t, kind):
    """None, any mask, or the one of lengths."""
    if kind == "none":
        return None
    return (
        rng.random((n, t)) < 0.7 if kind == "any" else np.arange(t) < rng.integers(0, t + 1, (n, 1))
    )


@settings(max_examples=250)
@given(
    generators(),
    st.sampled_from(list(KINDS)),
    st.sampled_from([*MERGES, None]),
    st.sampled_from(["none", "any", "lengths"]),
    st.booleans(),
    st.booleans(),
    st.booleans(),
    st.booleans(),
)
def test_bidirectional(rng, name, merge_mode, masked, sequences, states, starts, backwards):
    n, t, f, units = rng.integers(1, 6, 4)
    inner = getattr(layers, name)(
        units, return_sequences=sequences, return_state=states, go_backwards=backwards,
        dtype="float64",
    )  # fmt: skip
    layer = layers.Bidirectional(inner, merge_mode=merge_mode)
    x, mask = random(rng, n, t, f), masks(rng, n, t, masked)
    if mask is not None:
        x[~mask] = np.nan
    layer.build(x.shape)
    weights = set_random(layer, rng)
    count = 2 if name == "LSTM" else 1
    start = [random(rng, n, units) for _ in range(2 * count)] if starts else None
    found = []
    for index, back in enumerate((backwards, not backwards)):
        cell = Cell(KINDS[name], *weights[3 * index : 3 * index + 3])
        first = None if start is None else start[count * index : count * (index + 1)]
        found.append(recurrent(
            cell, x, initial_state=first, mask=mask, go_backwards=back,
            zero_output_for_mask=mask is not None and sequences,
        ))  # fmt: skip
    outputs = [steps if sequences else steps[:, -1] for steps, _ in found]
    outputs[1] = outputs[1][:, ::-1] if sequences else outputs[1]
    expected = outputs if merge_mode is None else [MERGES[merge_mode](*outputs)]
    expected += [state for _, last in found for state in last] if states else []
    got = layer(x, mask=mask, initial_state=start)
    got = got if isinstance(got, list) else [got]
    assert len(got) == len(expected)
    for actual, want in zip(got, expected, strict=True):
        assert_close(actual, want, tolerance("float64", f + units + 1, t))


@settings(max_examples=150)
@given(
    st.data(), generators(), st.sampled_from(["Add", "Multiply", "Average", "Maximum", "Minimum"])
)
def test_elementwise_merges(data, rng, name):
    n, rank, count = data.draw(st.tuples(st.integers(1, 3), st.integers(1, 3), st.integers(1, 4)))
    full = rng.integers(1, 5, rank)
    arrays = []
    for _ in range(count + 1):
        sizes = np.where(rng.random(rank) < 0.3, 1, full)[rng.integers(0, rank) :]
        arrays.append(random(rng, n, *sizes))
    most = max(a.ndim for a in arrays)
    aligned = [a.reshape(n, *(1,) * (most - a.ndim), *a.shape[1:]) for a in arrays]
    expected = aligned[0]
    for other in aligned[1:]:
        expected = FOLDS[name](expected, other)
    expected = expected / len(arrays) if name == "Average" else expected
    layer = getattr(layers, name)(dtype="float64")
    assert_close(layer(arrays), expected, tolerance("float64", len(arrays), 1, 5.0))
    shape = layer.compute_output_shape([a.shape for a in arrays])
    assert shape == expected.shape


@settings(max_examples=150)
@given(st.data(), generators(), st.booleans(), st.booleans())
def test_joining_merges(data, rng, normalize, negative):
    n = rng.integers(1, 4)
    ranks = data.draw(st.tuples(st.integers(2, 3), st.integers(2, 3)))
    shapes = [[n, *rng.integers(1, 5, rank - 1)] for rank in ranks]
    axes = [data.draw(st.integers(1, rank - 1)) for rank in ranks]
    shapes[1][axes[1]] = shapes[0][axes[0]]
    a, b = (random(rng, *shape) for shape in shapes)
    named = [axis - len(s) if negative else axis for axis, s in zip(axes, shapes, strict=True)]
    got = layers.Dot(tuple(named), normalize, dtype="float64")([a, b])
    if normalize:
        a, b = (
            x / np.linalg.norm(x, axis=k, keepdims=True) for x, k in ((a, axes[0]), (b, axes[1]))
        )
    rows = [np.tensordot(p, q, (axes[0] - 1, axes[1] - 1)) for p, q in zip(a, b, strict=True)]
    expected = np.stack([row if row.ndim else row[None] for row in rows])
    assert_close(got, expected, tolerance("float64", 5, 1, 5.0))

    axis = axes[0]
    parts = [a]
    for _ in range(rng.integers(1, 4)):
        shape = list(a.shape)
        shape[axis] = rng.integers(1, 4)
        parts.append(random(rng, *shape))
    got = layers.Concatenate(named[0], dtype="float64")(parts)
    np.testing.assert_array_equal(got, np.concatenate(parts, axis))


@settings(max_examples=150)
@given(
    st.data(),
    generators(),
    st.sampled_from(FORMATS),
    st.sampled_from(["none", "any", "lengths"]),
    st.sampled_from(["sigmoid", "hard_sigmoid", "softmax"]),
    st.sampled_from(["tanh", "softmax", "log_softmax"]),
    st.booleans(),
    st.booleans(),
    st.booleans(),
)
def test_conv_lstm(data, rng, data_format, masked, gate, function, use_bias, backwards, starts):
    sizes, taps, strides, padding, dilation = data.draw(windows(2, ["valid", "same"], True))
    n, t, c, f = rng.integers(1, 4, 4)
    layer = layers.ConvLSTM2D(
        f, taps, strides=strides, padding=padding, data_format=data_format,
        dilation_rate=dilation, activation=function, recurrent_activation=gate, use_bias=use_bias,
        return_sequences=True, return_state=True, go_backwards=backwards, dtype="float64",
    )  # fmt: skip
    x, mask = random(rng, n, t, *sizes, c), masks(rng, n, t, masked)
    if mask is not None:
        x[~mask] = np.nan
    given_x = to_format(x, data_format, 2)
    layer.build(given_x.shape)
    weights = set_random(layer, rng)
    cell = reference_conv_lstm.ConvCell(
        weights[0], weights[1], weights[2] if use_bias else None, strides, padding, dilation,
        activation=function, recurrent_activation=gate,
    )  # fmt: skip
    outputs = spatial_reference.output_sizes(sizes, taps, strides, dilation, padding)
    start = [random(rng, n, *outputs, f) for _ in range(2)] if starts else None
    sequence, states = recurrent(cell, x, initial_state=start, mask=mask, go_backwards=backwards)
    if start is not None:
        start = [to_format(state, data_format) for state in start]
    got = layer(given_x, mask=mask, initial_state=start)
    # logarithms are not bounded
    scale = max(float(np.abs(value).max()) for value in (sequence, *states))
    allowed = tolerance("float64", 9 * (c + f) + 1, t, scale)
    for actual, want, at in zip(got, [sequence, *states], (2, 1, 1), strict=True):
        assert_close(from_format(actual, data_format, at), want, allowed)


PARTS = {
    "dense": lambda n, d: layers.Dense(n, activation="tanh", **d),
    "conv": lambda n, d: layers.Conv1D(n, 3, padding="same", **d),
    "causal": lambda n, d: layers.Conv1D(n, 2, padding="causal", **d),
    "lstm": lambda n, d: layers.LSTM(n, return_sequences=True, **d),
    "backwards": lambda n, d: layers.GRU(n, return_sequences=True, go_backwards=True, **d),
    "both": lambda n, d: layers.Bidirectional(layers.SimpleRNN(n, return_sequences=True, **d)),
    "norm": lambda n, d: layers.LayerNormalization(**d),
    "softmax": lambda n, d: layers.Softmax(axis=1, **d),
    "steps": lambda n, d: layers.TimeDistributed(layers.Dense(n, **d)),
    "masking": lambda n, d: layers.Masking(**d),
}
ENDS = {
    "nothing": lambda d: [],
    "average": lambda d: [layers.GlobalAveragePooling1D(**d)],
    "maximum": lambda d: [layers.GlobalMaxPooling1D(**d)],
    "last": lambda d: [layers.GRU(2, **d)],
    "first": lambda d: [layers.LSTM(2, go_backwards=True, **d)],
}


@settings(max_examples=300)
@given(
    generators(),
    st.lists(st.sampled_from(list(PARTS)), min_size=1, max_size=3),
    st.sampled_from(list(ENDS)),
    st.integers(1, 5),
)
def test_lists_of_sequences(rng, parts, end, batch_size):
    """Any chain gives for a list of sequences what it gives for each alone."""
    double = {"dtype": "float64"}
    made = [PARTS[part](int(rng.integers(1, 4)), double) for part in parts]
    model = elman.Sequential([*made, *ENDS[end](double)])
    x = [random(rng, n, 2) for n in [*rng.integers(1, 6, 4), 7]]
    got = model.predict(x, batch_size=batch_size, verbose=0)
    for row, actual in zip(x, got, strict=True):
        assert_close(actual, np.asarray(model(row[None]))[0], tolerance("float64", 20, 7) * 3)
