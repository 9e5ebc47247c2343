# SPDX-License-Identifier: Apache-2.0
"""Bidirectional with segments, lengths and the states of every step, around every kind of cell."""

from __future__ import annotations

import itertools

import numpy as np
import pytest

import elman
from elman.layers import GRU, LSTM, Bidirectional, Dense, SimpleRNN
from layer_steps import MAKERS, MASKS, N, T, close, data, every_layer, over, twins

K = elman.backend


def make(name, merge_mode="concat", go_backwards=False, **flags):
    """A built pair of float64 layers, and random initial states for it."""
    elman.utils.set_random_seed(3)
    inner = MAKERS[name](7, dtype="float64", go_backwards=go_backwards, **flags)
    layer = Bidirectional(inner, merge_mode)
    layer(data(name)[0])
    rng = np.random.default_rng(1)
    sizes = [s.shape for one in layer._inner() for s in one.get_initial_state(batch_size=N)]
    return layer, [rng.uniform(-1, 1, size) for size in sizes]


def segments(resets, row):
    borders = sorted({0, T, *np.flatnonzero(resets[row]).tolist()})
    return list(itertools.pairwise(borders))


def in_pieces(layer, x, resets, mask, initial):
    """Per row, the results on each segment alone."""
    for row in range(N):
        parts = []
        for a, b in segments(resets, row):
            own = [s[row : row + 1] for s in initial] if initial else None
            used = None if mask is None else mask[row : row + 1, a:b]
            parts.append(layer(x[row : row + 1, a:b], mask=used, initial_state=own))
        yield row, parts


@every_layer
@pytest.mark.parametrize("mask", MASKS)
def test_both_directions_run_over_the_same_segments(name, mask):
    x, resets, _, masks = data(name)
    mask = masks.get(mask)
    for given, back in itertools.product((False, True), repeat=2):
        layer, states = make(
            name, None, back, return_sequences=True, return_state=True, return_state_sequences=True
        )
        states, count = states if given else None, len(states) // 2
        got = [
            np.asarray(part)
            for part in layer(x, mask=mask, initial_state=states, reset_mask=resets)
        ]
        assert len(got) == 2 + 4 * count
        # a layer that reads forwards ends in the last segment, the other one in the first
        last = [back] * count + [not back] * count
        for row, parts in in_pieces(layer, x, resets, mask, states):
            if back:  # the sequences stand as the forward layer reads
                parts = parts[::-1]
            for k, whole in enumerate(got):
                if 2 <= k < 2 + 2 * count:
                    piece = parts[0 if last[k - 2] != back else -1]
                    close(whole[row], np.asarray(piece[k])[0])
                else:
                    close(whole[row], np.concatenate([np.asarray(p[k])[0] for p in parts]))


@every_layer
def test_without_sequences(name):
    """The last segment forwards, the first one backwards."""
    x, resets, _, masks = data(name)
    for mask in (None, masks["holes"]):
        layer, states = make(name, None)
        forward, backward = map(
            np.asarray, layer(x, mask=mask, initial_state=states, reset_mask=resets)
        )
        for row, parts in in_pieces(layer, x, resets, mask, states):
            close(forward[row], np.asarray(parts[-1][0])[0])
            close(backward[row], np.asarray(parts[0][1])[0])


@every_layer
def test_no_gradient_passes_a_border(name):
    x, resets, _, masks = data(name)
    mask = masks["holes"]
    layer, states = make(name, return_sequences=True)
    weights = np.random.default_rng(5).uniform(-1, 1, layer.compute_output_shape(x.shape))
    whole, pieces = elman.Variable(x), elman.Variable(x)
    initial = [elman.Variable(s) for s in states]
    with elman.GradientTape() as tape:
        output = layer(whole, mask=mask, initial_state=initial, reset_mask=resets)
        loss = K.sum(output * weights)
    got = tape.gradient(loss, [whole, *initial, *layer.weights])
    with elman.GradientTape() as tape:
        loss = 0.0
        for row, parts in in_pieces(layer, pieces, resets, mask, initial):
            for (a, b), part in zip(segments(resets, row), parts, strict=True):
                loss = loss + K.sum(part * weights[row : row + 1, a:b])
    wanted = tape.gradient(loss, [pieces, *initial, *layer.weights])
    for actual, expected in zip(got, wanted, strict=True):
        np.testing.assert_allclose(np.asarray(actual), np.asarray(expected), rtol=0, atol=1e-13)
    one = elman.Variable(x)  # of a single output: the rest of its segment, and no more
    with elman.GradientTape() as tape:
        output = layer(one, reset_mask=resets, initial_state=states)
        loss = K.sum(output[:, 5])
    reached = np.abs(np.asarray(tape.gradient(loss, one))).reshape(N, T, -1).max(-1) > 0
    for row in range(N):
        (a, b) = next((a, b) for a, b in segments(resets, row) if a <= 5 < b)
        np.testing.assert_array_equal(reached[row], (np.arange(T) >= a) & (np.arange(T) < b))


@every_layer
def test_lengths_with_segments_are_a_mask(name):
    x, resets, lengths, masks = data(name)
    padded = np.where(over(masks["right"], x), x, np.nan)
    for sequences in (False, True):
        flags = {"return_state": True, "return_state_sequences": True}
        layer, states = make(name, return_sequences=sequences, **flags)
        got = layer(padded, initial_state=states, reset_mask=resets, lengths=lengths)
        expected = layer(padded, states, mask=masks["right"], reset_mask=resets)
        for a, b in zip(got, expected, strict=True):
            np.testing.assert_array_equal(a, b)
        if sequences:
            np.testing.assert_array_equal(got[0]._keras_mask, masks["right"])


@every_layer
def test_shapes_and_masks_of_the_results(name):
    x, _, _, masks = data(name)
    modes = ("concat", None)
    for merge, sequences, state, every in itertools.product(modes, *[(False, True)] * 3):
        flags = {"return_sequences": sequences, "return_state": state}
        layer, states = make(name, merge, return_state_sequences=every, **flags)
        got, shapes = layer(x, mask=masks["holes"]), layer.compute_output_shape(x.shape)
        if merge and not (state or every):
            got, shapes = [got], [shapes]
        assert len(got) == (1 if merge else 2) + len(states) * (state + every)
        assert [tuple(part.shape) for part in got] == [tuple(shape) for shape in shapes]
        open_shapes = layer.compute_output_shape((None, None, *x.shape[2:]))
        assert len(open_shapes) == len(got) or len(got) == 1
        outputs = 1 if merge else 2
        for k, part in enumerate(got):
            carried = getattr(part, "_keras_mask", None)
            assert (carried is not None) == (sequences and k < outputs)


def test_symbolic_calls_with_states_of_every_step():
    layer = Bidirectional(GRU(4, return_sequences=True, return_state_sequences=True))
    outputs = layer(elman.Input((None, 3)))
    assert [o.shape for o in outputs] == [(None, None, 8), (None, None, 4), (None, None, 4)]


@pytest.mark.parametrize("cls", [SimpleRNN, GRU, LSTM])
def test_a_stateful_pair(cls):
    """Carried states do not reach a segment that a border parts from the call before."""
    x, resets, *_ = data()
    resets[:2] = False
    assert resets[2:, 1:].any(1).all()
    flags = {"return_sequences": True, "dtype": "float64"}
    layer, fresh = twins(lambda **more: Bidirectional(cls(7, **flags, **more), None), x)
    layer(x)
    carried = [np.asarray(state) for state in layer.states]
    got = [np.asarray(part) for part in layer(x, reset_mask=resets)]
    for row in range(N):
        borders = segments(resets, row)
        for index, (a, b) in enumerate(borders):
            count = len(carried) // 2
            own = [s[row : row + 1] for s in carried]
            if index > 0 or resets[row, 0]:
                own[:count] = [0 * s for s in own[:count]]
            if len(borders) > 1 or resets[row, 0]:
                own[count:] = [0 * s for s in own[count:]]
            expected = fresh(x[row : row + 1, a:b], initial_state=own)
            for whole, piece in zip(got, expected, strict=True):
                close(whole[row, a:b], np.asarray(piece)[0])


def test_explain_names_segments():
    x, resets, lengths, _ = data()
    layer = Bidirectional(LSTM(4))
    layer(x)
    text = layer.explain(x, training=True, reset_mask=resets, lengths=lengths)
    assert text.count("compiled kernel lstm") == 2
    assert text.count("23 of 55 steps are computed") == 2
    assert "resets" not in layer.explain(x)


def test_bad_input():
    x, resets, lengths, masks = data()
    layer = Bidirectional(LSTM(4))
    for given, got in ((resets[:4], r"\(4, 11\)"), (resets[:, 0], r"\(5,\)")):
        with pytest.raises(
            ValueError, match=rf"\[Bidirectional.call\] reset_mask: expected \(5, 11\), got {got}"
        ):
            layer(x, reset_mask=given)
    with pytest.raises(ValueError, match="lengths: expected either mask or lengths, got both"):
        layer(x, lengths=lengths, mask=masks["holes"])
    with pytest.raises(ValueError, match=r"lengths: expected .* whole numbers from 0 to 11"):
        layer(x, lengths=lengths + 5)
    with pytest.raises(TypeError, match=r"reset_masks.*did you mean 'reset_mask'"):
        layer(x, reset_masks=resets)
    for n, t in ((0, 3), (2, 0)):
        empty = layer(np.zeros((n, t, 3)), reset_mask=np.zeros((n, t), bool))
        assert empty.shape == (n, 8)


def test_a_model_of_segments_learns():
    """Each segment's first value is told at its last step, whatever came before."""
    elman.utils.set_random_seed(1)
    rng = np.random.default_rng(2)
    x, resets = rng.uniform(-1, 1, (32, 9, 1)).astype("float32"), rng.random((32, 9)) < 0.3
    begin = np.maximum.accumulate(np.where(resets, np.arange(9), 0), 1)
    y = np.take_along_axis(x[..., 0], begin, 1)[..., None]
    layer, dense = Bidirectional(GRU(8, return_sequences=True)), Dense(1)
    optimizer, losses = elman.optimizers.Adam(0.02), []
    for _ in range(60):
        with elman.GradientTape() as tape:
            loss = K.mean(K.square(dense(layer(x, reset_mask=resets)) - y))
        weights = [*layer.weights, *dense.weights]
        optimizer.apply_gradients(zip(tape.gradient(loss, weights), weights, strict=True))
        losses.append(float(loss))
    assert losses[-1] < losses[0] / 4
