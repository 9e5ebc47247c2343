# SPDX-License-Identifier: Apache-2.0
"""One step of training, evaluation or prediction; kept short, it runs once per batch."""

from __future__ import annotations

import math
import numbers
import warnings
from collections.abc import Mapping, Sequence
from typing import Any

import numpy as np

from elman._backend import core
from elman._errors import fail_text
from elman.losses.reduction import combine_weights
from elman.models.batches import Batch
from elman.models.nonfinite import explain


def checked_class_weight(where: str, given: Any, what: str = "class_weight") -> Any:
    """Class weights as {class id: weight}; a list holds the weights of class 0, 1, ...

    A dict whose keys are names has them for each output.

    Errors: ValueError for ids that are no whole numbers >= 0, or weights that are not finite.
    """
    if given is None:
        return None
    of = given.items() if isinstance(given, Mapping) else ()
    if of and all(isinstance(k, str) and isinstance(v, (Mapping, list, tuple)) for k, v in of):
        return {key: checked_class_weight(where, item, f"{what}[{key!r}]") for key, item in of}
    if isinstance(given, (list, tuple)) or (isinstance(given, np.ndarray) and given.ndim == 1):
        given = dict(enumerate(given))
    if not isinstance(given, Mapping):
        expected = "{class id: weight}, or a list of weights"
        raise ValueError(fail_text(where, what, expected, repr(given)))
    checked: dict[int, float] = {}
    for key, value in given.items():
        if not isinstance(key, (int, np.integer)) or not 0 <= key < 2**31:
            raise ValueError(fail_text(where, what, "class ids in [0, 2**31)", repr(key)))
        if not isinstance(value, numbers.Real) or not math.isfinite(value):
            expected = f"a finite weight of class {key}"
            raise ValueError(fail_text(where, what, expected, repr(value)))
        checked[int(key)] = float(value)
    return checked


def class_weights(y: Any, class_weight: dict[int, float], sparse: bool) -> np.ndarray:
    """The weight of each sample's (or step's) class; 1 for a class that is not listed.

    Shapes: y ids (N, ...) or (N, ..., 1), or one-hot rows (N, ..., C) -> (N, ...).
    """
    if isinstance(y, (list, dict)) or y is None:
        where, got = "Model.fit", "several" if y is not None else "none"
        hint = "for several outputs give {output name: {class id: weight}}"
        raise ValueError(fail_text(where, "class_weight", "one array of targets", got, hint))
    labels = np.asarray(y)
    if labels.ndim > 1 and not (sparse and labels.shape[-1] != 1):
        labels = labels.argmax(axis=-1) if labels.shape[-1] > 1 else labels[..., 0]
    listed = np.array(sorted(class_weight))
    weights = np.array([class_weight[key] for key in listed.tolist()])
    places = np.minimum(np.searchsorted(listed, labels), len(listed) - 1)
    return np.where(listed[places] == labels, weights[places], 1.0)


def weighted(model: Any, batch: Batch, class_weight: Any) -> Batch:
    """The batch with class weights multiplied into its sample weights."""
    if not class_weight:
        return batch
    names = model.output_names
    sparse = model.objective.sparse(names)
    if not all(isinstance(key, str) for key in class_weight):
        weight = _times(batch.y, batch.sample_weight, class_weight, sparse[0])
        return batch._replace(sample_weight=weight)
    unknown = [key for key in class_weight if key not in (names or ())]
    if unknown:
        expected = f"names out of {', '.join(names) if names else 'no output names'}"
        raise ValueError(fail_text("Model.fit", "class_weight", expected, unknown))
    targets, given = (_by_name(value, names) for value in (batch.y, batch.sample_weight))
    found = {
        name: _times(targets[name], given[name], class_weight[name], sparse[index])
        if class_weight.get(name)
        else given[name]
        for index, name in enumerate(names)
    }
    return batch._replace(sample_weight=found)


def _times(y: Any, sample_weight: Any, class_weight: dict[int, float], sparse: bool) -> Any:
    weight: Any = class_weights(y, class_weight, sparse)
    if sample_weight is None:
        return weight
    return weight * combine_weights("Model.fit", weight.shape, sample_weight, None, spread=False)


def _by_name(value: Any, names: Sequence[str]) -> dict[str, Any]:
    """A list, a dict or one item for all, as a dict with every output's name."""
    if isinstance(value, Mapping):
        return {name: value.get(name) for name in names}
    items = value if isinstance(value, (list, tuple)) else [value] * len(names)
    return dict(zip(names, items, strict=False))


def forward_loss(model: Any, x: Any, y: Any, sample_weight: Any, training: bool) -> tuple[Any, Any]:
    """The model's output, and its loss with all penalties as a scalar Tensor."""
    y_pred = model(x, training=training)
    total = model.compute_loss(x, y, y_pred, sample_weight, training)
    if total is None:
        raise ValueError(
            fail_text("Model", "loss", "a loss in compile, or add_loss in a layer", None)
        )
    return y_pred, total


def train(model: Any, x: Any, y: Any, sample_weight: Any, size: int, place: str) -> float:
    """Forward, backward, update; returns the loss. `place` names the batch in a warning."""
    objective = model.objective
    tape: Any = core.Tape()
    with tape:
        y_pred, total = forward_loss(model, x, y, sample_weight, True)
    trainable = model.structure.trainable()  # now: the first forward pass makes the weights
    loss = float(total)
    if math.isfinite(loss):
        if trainable:
            model.optimizer.apply(tape.gradient(total, trainable), trainable)
    else:
        report(model, x, y, sample_weight, loss, place)
    tracker = objective.tracker
    tracker.total += loss * size
    tracker.count += size
    objective.update(y, y_pred, sample_weight)
    return loss


def test(model: Any, x: Any, y: Any, sample_weight: Any, size: int) -> float:
    """Forward only; returns the loss."""
    objective = model.objective
    y_pred, total = forward_loss(model, x, y, sample_weight, False)
    loss = float(total)
    tracker = objective.tracker
    tracker.total += loss * size
    tracker.count += size
    objective.update(y, y_pred, sample_weight)
    return loss


def report(model: Any, x: Any, y: Any, sample_weight: Any, loss: float, place: str) -> None:
    """Warn, once per `compile` and `fit`, about a loss that is not finite."""
    if model.reported_nonfinite:
        return
    model.reported_nonfinite = True
    reason = explain(model, x, y, sample_weight)
    warnings.warn(
        f"[{type(model).__name__}.fit] loss: {loss} at {place}: {reason}. Updates from such a loss "
        "are not applied; callbacks.TerminateOnNaN() stops the training there",
        RuntimeWarning,
        stacklevel=2,
    )
