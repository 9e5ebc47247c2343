# SPDX-License-Identifier: Apache-2.0
"""What comes out of lists of sequences, and which targets and weights go with them."""

from __future__ import annotations

import numpy as np
import pytest

import elman
from elman import backend, layers
from ragged_models import PER_SEQUENCE, PER_STEP, close, conv, model_of, rows


def one_output_of_two():
    x = elman.Input((None, 3))
    return elman.Model(x, [layers.LSTM(2, return_sequences=True)(x), layers.LSTM(2)(x)])


@pytest.mark.parametrize("lengths", [(5,), (5, 5), (5, 5, 5, 5, 5), (5, 3), (4, 5)])
@pytest.mark.parametrize("kind", [*PER_STEP, "padded"])
def test_a_list_comes_out_of_a_list_whatever_its_lengths(kind, lengths):
    x = rows(lengths=lengths)
    model = elman.Sequential([layers.LSTM(2, return_sequences=True)])
    if kind != "padded":
        model = PER_STEP[kind]()
    model(rows()[0][None])  # of another length
    for given in (x, tuple(x), [row.tolist() for row in x] if len(x) > 1 else x):
        for got in (model.predict(given, batch_size=2, verbose=0), model.predict_on_batch(given)):
            assert isinstance(got, list)
            for row, part in zip(x, got, strict=True):
                close(part, np.asarray(model(row[None]))[0])
    got = model.predict(np.stack([x[0], x[0]]), verbose=0)
    assert isinstance(got, np.ndarray)
    batches = model.predict(iter([(x,), (rows(lengths=(6, 6)),)]), verbose=0)
    assert isinstance(batches, list)
    assert len(batches) == len(x) + 2


def test_lists_of_ids():
    words = [[1, 2, 3], [4, 5, 6], [7]]
    steps, last = (
        elman.Sequential(
            [layers.Embedding(9, 3, input_shape=(None,)), layers.GRU(2, return_sequences=s)]
        )
        for s in (True, False)
    )
    for count in (1, 2, 3):
        for given in (words[:count], [np.array(row) for row in words[:count]]):
            got = steps.predict(given, verbose=0)
            assert isinstance(got, list)
            for row, part in zip(words, got, strict=False):
                close(part, np.asarray(steps(np.array([row])))[0])
            assert last.predict(given, verbose=0).shape == (count, 2)


@pytest.mark.parametrize("lengths", [(5,), (5, 5, 5), (5, 3, 5)])
def test_outputs_per_sequence_are_arrays(lengths):
    x = rows(lengths=lengths)
    for make in (*PER_SEQUENCE.values(), lambda: model_of(conv(), layers.LSTM(2))):
        model = make()
        model(rows()[0][None])
        assert isinstance(model.predict(x, verbose=0), np.ndarray)
    steps, last = one_output_of_two().predict(x, verbose=0)
    assert isinstance(steps, list)
    assert [len(row) for row in steps] == list(lengths)
    assert last.shape == (len(x), 2)


def test_a_model_of_one_number_of_steps_has_arrays():
    """So do lists of samples that are no sequences, and stateful models."""
    x = rows(lengths=(5, 5))
    for shape in ((5, 3), (None, 3)):
        for layer in (layers.LSTM(2, return_sequences=True), conv()):
            for given in (x, x[:1]):
                got = model_of(layer, shape=shape).predict(given, verbose=0)
                assert isinstance(got, list) == (shape[0] is None)
                assert len(got) == len(given)
    images = [np.ones((6, 6, 1), "float32")] * 2
    got = model_of(layers.Conv2D(2, 3), shape=(6, 6, 1)).predict(images, verbose=0)
    assert got.shape == (2, 4, 4, 2)
    dense = elman.Sequential([layers.Dense(2, input_shape=(3,))])
    for given in ([[1.0, 2.0, 3.0]] * 2, [np.ones(3)] * 2):
        assert dense.predict(given, verbose=0).shape == (2, 2)
    stateful = elman.Sequential([
        layers.LSTM(2, return_sequences=True, stateful=True, batch_input_shape=(2, None, 3))
    ])  # fmt: skip
    assert stateful.predict(x, verbose=0).shape == (2, 5, 2)


# -- targets of the wrong number of steps --------------------------------------------------------


def targets(*lengths, size=2):
    return [np.zeros((n, size), "float32") for n in lengths]


def refusals(model, x, y, **options):
    """The errors of the methods that take targets, without the name of the method."""
    found = set()
    model.compile("sgd", "mse")
    for method in (model.fit, model.evaluate, model.train_on_batch, model.test_on_batch):
        quiet = {"verbose": 0} if method in (model.fit, model.evaluate) else {}
        with pytest.raises(ValueError, match=rf"^\[\w+.{method.__name__}\] ") as caught:
            method(x, y, **options, **quiet)
        found.add(str(caught.value).partition("] ")[2])
    return found


STEPS = {
    "padded": lambda: elman.Sequential([layers.GRU(2, return_sequences=True)]),
    "pieces": lambda: elman.Sequential([layers.Conv1D(2, 3, padding="same")]),
    "functional": lambda: model_of(layers.Dense(2)),
    "functional pieces": lambda: model_of(layers.Conv1D(2, 3, padding="causal")),
}


@pytest.mark.parametrize("kind", STEPS)
def test_targets_have_as_many_steps_as_their_sequence(kind):
    x = rows(lengths=(4, 2, 5))
    first = {"y[0]: expected (4, 2), got (3, 2); as many steps as x[0]"}
    longest = {"y[0]: expected (4, 2), got (5, 2); as many steps as x[0]"}
    last = {"y[2]: expected (5, 2), got (4, 2); as many steps as x[2]"}
    for y, expected in (
        (targets(3, 3, 3), first),
        ([row.tolist() for row in targets(3, 3, 3)], first),
        (np.zeros((3, 3, 2)), first),
        (targets(5, 5, 5), longest),  # of the longest one, but that depends on the batch
        (targets(4, 2, 4), last),
    ):
        assert refusals(STEPS[kind](), x, y) == expected
    for weights, got, place in (
        ([np.ones(3)] * 3, 3, 0), ([[1.0] * 5] * 3, 5, 0), (list(map(np.ones, (4, 3, 5))), 3, 1),
    ):  # fmt: skip
        expected = (4, 2)[place]
        text = f"sample_weight[{place}]: expected ({expected},), got ({got},); "
        text += f"as many steps as x[{place}]"
        assert refusals(STEPS[kind](), x, targets(4, 2, 5), sample_weight=weights) == {text}
    model = STEPS[kind]()
    model.compile("sgd", "mse")
    for weights in (
        np.ones(3),
        [1.0, 2.0, 3.0],
        np.ones((3, 1)),
        [np.ones((n, 1)) for n in (4, 2, 5)],
    ):
        model.fit(x, targets(4, 2, 5), sample_weight=weights, verbose=0)


def test_targets_that_follow_the_output():
    """Not the sequences, where a layer changes their length; nor where there are no steps."""
    x = rows(lengths=(6, 3, 9, 4))
    for model in (
        elman.Sequential([layers.Conv1D(2, 2), layers.MaxPooling1D(2)]),
        model_of(layers.Conv1D(2, 2), layers.MaxPooling1D(2)),
    ):
        errors = refusals(model, x, targets(2, 1, 4, 2))
        assert errors == {"y[3]: expected (1, 2), got (2, 2); as many steps as the output"}
        y = targets(2, 1, 4, 1)
        outputs = model.predict(x, verbose=0)
        loss = np.square(np.concatenate(outputs)).mean()
        close(model.evaluate(x, y, verbose=0, batch_size=2), loss)
        assert np.isfinite(model.fit(x, y, verbose=0, epochs=2).history["loss"]).all()
    repeated = elman.Sequential([layers.LSTM(2), layers.RepeatVector(3)])
    repeated.compile("sgd", "mse")
    repeated.fit(x, targets(3, 3, 3, 3), verbose=0)


def test_targets_of_the_users_own_loss_have_any_shape():
    x = rows(lengths=(4, 2, 5))
    model = elman.Sequential([layers.LSTM(2, return_sequences=True)])
    model.compile("sgd", lambda y_true, y_pred: backend.mean(y_pred, -1) * y_true[:, :1])
    model.fit(x, np.ones((3, 3)), verbose=0)


def test_the_output_of_the_targets_is_named():
    x, model = rows(lengths=(4, 2, 5)), one_output_of_two()
    name = model.output_names[0]
    text = "expected (4, 2), got (3, 2); as many steps as x[0]"
    assert refusals(model, x, [targets(3, 3, 3), np.zeros((3, 2))]) == {f"y[0][0]: {text}"}
    y = {name: targets(3, 3, 3), model.output_names[1]: np.zeros((3, 2))}
    assert refusals(model, x, y) == {f"y[{name!r}][0]: {text}"}
