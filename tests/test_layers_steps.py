# SPDX-License-Identifier: Apache-2.0
"""reset_mask, lengths and return_state_sequences of the recurrent layers, seen from Python."""

from __future__ import annotations

import inspect
import itertools

import numpy as np
import pytest

import elman
from elman.layers import GRU, LSTM, Dense, SimpleRNN
from layer_steps import (
    MASKS,
    N,
    T,
    check_explained,
    check_resets_of_carried_states,
    close,
    data,
    every_layer,
    kept_mebibytes,
    make,
    over,
    states_of,
    twins,
)


def in_pieces(layer, x, resets, mask, initial):
    """Row by row, the calls on the pieces between two resets: what a reset mask stands for."""
    backwards = layer.go_backwards
    found = []
    for row in range(N):
        order = list(range(T))[::-1] if backwards else list(range(T))
        pieces, piece = [], []
        for t in order:
            if resets[row, t] and piece:
                pieces.append(piece)
                piece = []
            piece.append(t)
        pieces.append(piece)
        results = []
        for steps in pieces:
            steps = sorted(steps)
            own = [s[row : row + 1] for s in initial] if initial else None
            given = None if mask is None else mask[row : row + 1, steps]
            results.append(layer(x[row : row + 1, steps], mask=given, initial_state=own))
        found.append([
            np.concatenate([np.asarray(r[0]) for r in results], 1),
            *[np.asarray(part) for part in results[-1][1:]],
        ])  # fmt: skip
    return [np.concatenate(parts) for parts in zip(*found, strict=True)]


@every_layer
@pytest.mark.parametrize("mask", MASKS)
def test_a_reset_splits_the_sequence(name, mask):
    x, resets, _, masks = data(name)
    mask = masks.get(mask)
    for backwards, given in itertools.product((False, True), repeat=2):
        layer = make(name, return_sequences=True, return_state=True, go_backwards=backwards)
        initial = states_of(layer) if given else None
        got = layer(x, mask=mask, initial_state=initial, reset_mask=resets)
        for actual, expected in zip(got, in_pieces(layer, x, resets, mask, initial), strict=True):
            close(actual, expected)


@every_layer
@pytest.mark.parametrize("mask", MASKS)
def test_gradients_stop_at_a_reset_and_reach_the_initial_state(name, mask):
    """Of the sum of weighted outputs: those of the pieces, and none across a reset."""
    x, resets, _, masks = data(name)
    mask = masks.get(mask)
    layer = make(name, return_sequences=True, return_state=True)
    initial = [elman.Variable(s) for s in states_of(layer)]
    weights = np.random.default_rng(5).uniform(-1, 1, layer.compute_output_shape(x.shape)[0])
    x_whole = elman.Variable(x)
    with elman.GradientTape() as tape:
        output = layer(x_whole, mask=mask, initial_state=initial, reset_mask=resets)[0]
        loss = elman.backend.sum(output * weights)
    got = tape.gradient(loss, [x_whole, *initial, *layer.weights])
    x_pieces = elman.Variable(x)
    with elman.GradientTape() as tape:
        loss = 0.0
        for row in range(N):
            borders = sorted({0, T, *np.flatnonzero(resets[row]).tolist()})
            for a, b in itertools.pairwise(borders):
                one = layer(
                    x_pieces[row : row + 1, a:b],
                    mask=None if mask is None else mask[row : row + 1, a:b],
                    initial_state=[s[row : row + 1] for s in initial],
                )[0]
                loss = loss + elman.backend.sum(one * weights[row : row + 1, a:b])
    wanted = tape.gradient(loss, [x_pieces, *initial, *layer.weights])
    for actual, expected in zip(got, wanted, strict=True):
        np.testing.assert_allclose(np.asarray(actual), np.asarray(expected), rtol=0, atol=1e-13)


@every_layer
def test_lengths_are_a_mask_and_shorter_sequences(name):
    x, resets, lengths, masks = data(name)
    padded = np.where(over(masks["right"], x), x, np.nan)
    for backwards, sequences in itertools.product((False, True), repeat=2):
        layer = make(name, return_sequences=sequences, return_state=True, go_backwards=backwards)
        initial = states_of(layer)
        got = layer(padded, lengths=lengths, initial_state=initial, reset_mask=resets)
        again = layer(padded, mask=masks["right"], initial_state=initial, reset_mask=resets)
        for actual, expected in zip(got, again, strict=True):
            np.testing.assert_array_equal(actual, expected)
        got = layer(padded, lengths=lengths, initial_state=initial)
        for row, n in enumerate(lengths):
            own = [s[row : row + 1] for s in initial]
            if n == 0:
                assert (np.asarray(got[0])[row] == 0).all()
                close([np.asarray(s)[row] for s in got[1:2]], [own[0][0]])
                continue
            alone = layer(x[row : row + 1, :n], initial_state=own)
            last = np.asarray(got[0])[row]
            if sequences:
                last = last[T - n :] if backwards else last[:n]
            close(last, np.asarray(alone[0])[0])
            for actual, expected in zip(got[1:], alone[1:], strict=True):
                close(np.asarray(actual)[row], np.asarray(expected)[0])


@every_layer
@pytest.mark.parametrize("mask", MASKS)
def test_state_sequences_are_calls_of_one_step(name, mask):
    x, resets, _, masks = data(name)
    mask = masks.get(mask)
    for backwards in (False, True):
        layer = make(name, return_state=True, return_state_sequences=True, go_backwards=backwards)
        count = len(layer.get_initial_state(batch_size=1))
        initial = states_of(layer)
        got = layer(x, mask=mask, initial_state=initial, reset_mask=resets)
        assert len(got) == 1 + 2 * count
        states = initial
        for s in range(T):
            t = T - 1 - s if backwards else s
            states = [
                np.where(over(resets[:, t], a), a, np.asarray(b))
                for a, b in zip(initial, states, strict=True)
            ]
            used = None if mask is None else mask[:, t : t + 1]
            states = layer(x[:, t : t + 1], mask=used, initial_state=states)[1 : 1 + count]
            for state, sequence in zip(states, got[1 + count :], strict=True):
                close(np.asarray(sequence)[:, s], np.asarray(state))
        for state, last in zip(states, got[1 : 1 + count], strict=True):
            close(last, np.asarray(state))


@every_layer
def test_the_forms_of_the_result(name):
    x, *_ = data(name)
    count = len(make(name).get_initial_state(batch_size=1))
    for sequences, state, every in itertools.product((False, True), repeat=3):
        flags = {"return_sequences": sequences, "return_state": state}
        layer = make(name, **flags, return_state_sequences=every)
        got = layer(x)
        shapes = layer.compute_output_shape(x.shape)
        if not state and not every:
            got, shapes = [got], [shapes]
        assert len(got) == 1 + count * (state + every)
        assert [tuple(part.shape) for part in got] == [tuple(shape) for shape in shapes]
        masks = layer.compute_mask(x, None)
        assert masks is None if len(got) == 1 else masks == [None] * len(got)
        if every and sequences and name in ("SimpleRNN", "GRU", "LSTM", "ConvLSTM1D"):
            np.testing.assert_array_equal(got[0], got[1 + count * state])


@pytest.mark.parametrize("cls", [SimpleRNN, GRU, LSTM])
def test_the_option_comes_by_name_only_and_is_kept(cls):
    parameter = inspect.signature(cls).parameters["return_state_sequences"]
    assert (parameter.kind, parameter.default) == (inspect.Parameter.KEYWORD_ONLY, False)
    layer = cls(3, return_state_sequences=True)
    assert cls.from_config(layer.get_config()).return_state_sequences is True
    with pytest.raises(ValueError, match="return_state_sequences: expected True or False"):
        cls(3, return_state_sequences="yes")


@pytest.mark.parametrize("cls", [SimpleRNN, GRU, LSTM])
def test_a_stateful_layer_starts_anew_from_zeros(cls):
    x, resets, *_ = data()
    flags = {"return_sequences": True, "dtype": "float64"}
    layer, fresh = twins(lambda **more: cls(7, **flags, **more), x)
    check_resets_of_carried_states(layer, fresh, x, resets, 4)
    count = 2 if cls is LSTM else 1
    given = [np.full((N, 7), 0.5)] * count
    explicit = layer(x, initial_state=given, reset_mask=resets)
    close(explicit, np.asarray(fresh(x, initial_state=given, reset_mask=resets)))


def test_a_mask_reaches_the_next_layer_by_lengths():
    x, _, lengths, masks = data()
    first, second = LSTM(4, return_sequences=True), GRU(3)
    between = first(x, lengths=lengths)
    np.testing.assert_array_equal(between._keras_mask, masks["right"])
    np.testing.assert_array_equal(second(between), second(first(x, mask=masks["right"])))
    assert getattr(LSTM(4)(x, lengths=lengths), "_keras_mask", None) is None


def test_lengths_come_before_a_mask_that_travels_with_x():
    x, _, lengths, masks = data()
    tensor = elman.Tensor(x.astype("float32"))
    tensor._keras_mask = elman.Tensor(masks["holes"])
    layer = LSTM(4, return_sequences=True)
    output = layer(tensor, lengths=lengths)
    np.testing.assert_array_equal(output, layer(x.astype("float32"), lengths=lengths))
    np.testing.assert_array_equal(output._keras_mask, masks["right"])


def test_forms_of_lengths_and_resets():
    x, resets, lengths, _ = data()
    layer = GRU(4)
    expected = np.asarray(layer(x, lengths=lengths, reset_mask=resets))
    for given in (lengths.tolist(), lengths.astype("int32"), lengths.astype("uint8")):
        np.testing.assert_array_equal(layer(x, lengths=given, reset_mask=resets), expected)
    for given in (resets.tolist(), resets.astype("float32"), elman.Tensor(resets)):
        np.testing.assert_array_equal(layer(x, lengths=lengths, reset_mask=given), expected)
    nothing = np.zeros((N, T), bool)
    np.testing.assert_array_equal(layer(x, reset_mask=nothing), layer(x))
    np.testing.assert_array_equal(layer(x, lengths=np.full(N, T)), layer(x))


@every_layer
def test_bad_input(name):
    x, resets, lengths, masks = data(name)
    layer = make(name)
    where = rf"\[{type(layer).__name__}\.call\]"
    expected = rf"{where} lengths: expected \(5,\) whole numbers from 0 to 11, got "
    cases = [
        (lengths[:4], r"\(4,\) int64; one number of time steps per sample"),
        (lengths[:, None], r"\(5, 1\) int64"),
        (lengths.astype("float64"), r"\(5,\) float64"),
        (lengths > 3, r"\(5,\) bool"),
        ([11, 0, 12, 3, 1], "12 for sample 2"),
        ([11, 0, 3, -1, 1], "-1 for sample 3"),
    ]
    for given, got in cases:
        with pytest.raises(ValueError, match=expected + got):
            layer(x, lengths=given)
    for given, got in ((resets[:4], r"\(4, 11\)"), (resets[:, 0], r"\(5,\)")):
        with pytest.raises(ValueError, match=rf"{where} reset_mask: expected \(5, 11\), got {got}"):
            layer(x, reset_mask=given)
    with pytest.raises(ValueError, match=f"{where} lengths: expected either mask or lengths, got"):
        layer(x, lengths=lengths, mask=masks["holes"])
    with pytest.raises(TypeError, match=rf"{where} lengths: "):
        layer(x, lengths=["a"] * N)
    with pytest.raises(TypeError, match="reset_mask"):
        layer(x, reset_masks=resets)


def test_a_list_of_sequences_is_refused_by_name():
    layer = LSTM(4)
    with pytest.raises(ValueError, match=r"x: expected \(N, T, F\), got a list.*give lengths="):
        layer([np.zeros((3, 2)), np.zeros((5, 2))])


def test_empty_batches_and_sequences():
    layer = LSTM(4, return_sequences=True, return_state=True, return_state_sequences=True)
    for n, t in ((0, 3), (2, 0)):
        x = np.zeros((n, t, 3), "float32")
        got = layer(x, lengths=np.zeros(n, int), reset_mask=np.zeros((n, t), bool))
        assert [p.shape for p in got] == [(n, t, 4), (n, 4), (n, 4), (n, t, 4), (n, t, 4)]
        variable = elman.Variable(x)
        with elman.GradientTape() as tape:
            total = sum(elman.backend.sum(p) for p in layer(variable, lengths=np.zeros(n, int)))
        assert np.asarray(tape.gradient(total, variable)).shape == x.shape


def test_explain_names_masks_resets_and_lengths():
    x, *_ = data()
    layer = LSTM(4)
    layer(x)
    check_explained(layer, x, "lstm")
    assert "steps are computed" not in layer.explain(x, mask=True)


def test_what_is_kept_counts_the_states_of_every_step():
    """A layer that returns its sequence keeps h there; any other keeps it besides."""
    shape = (64, 100, 32)
    kept = {}
    for sequences in (False, True):
        layer = LSTM(256, return_sequences=sequences)
        layer.build(shape)
        kept[sequences] = kept_mebibytes(layer, shape)
    slots, states = 64 * 100 * 5 * 256 * 4, 64 * 100 * 256 * 4
    assert kept[True] == round(slots / 2**20)
    assert kept[False] == round((slots + states) / 2**20)


def test_training_through_state_sequences():
    """An auxiliary loss on the cell states reaches the weights, in a model of one's own."""
    x, *_ = data()
    layer, dense = LSTM(4, return_state_sequences=True), Dense(1)
    layer(x)
    with elman.GradientTape() as tape:
        _, _, c = layer(x)
        loss = elman.backend.mean(elman.backend.square(dense(c)))
    gradients = tape.gradient(loss, layer.weights)
    assert all(g is not None and np.abs(np.asarray(g)).max() > 0 for g in gradients)
