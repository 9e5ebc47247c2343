# SPDX-License-Identifier: Apache-2.0
"""What `compile` settles: losses and metrics per output, and their running means."""

from __future__ import annotations

import copy
from collections.abc import Sequence
from typing import Any

from elman import losses, metrics
from elman._backend import core
from elman._errors import fail_text
from elman._tensors import Tensor

_KNOWN = losses.mean_squared_error.__module__  # the module of all loss functions


def _names_of(given: Any) -> list[Any]:
    if given is None:
        return []
    return list(given) if isinstance(given, (list, tuple)) else [given]


class _Output:
    """Loss and metrics of one output of the model."""

    def __init__(self, name: str, loss: Any, weight: float) -> None:
        self.name, self.weight = name, weight
        self.loss = losses.as_loss(loss)
        self.metrics: list[Any] = []
        self.weighted: list[Any] = []
        self.tracker = metrics.Mean(f"{name}_loss" if name else "loss")

    def make_metrics(self, plain: Any, weighted: Any, y_true: Any, y_pred: Any) -> None:
        self.metrics = [self._metric(m, y_true, y_pred) for m in _names_of(plain)]
        self.weighted = [self._metric(m, y_true, y_pred) for m in _names_of(weighted)]

    def _metric(self, given: Any, y_true: Any, y_pred: Any) -> Any:
        if given in ("accuracy", "acc"):
            return metrics.choose_accuracy(self.loss, y_true, y_pred, given)
        metric = metrics.get(given)
        if isinstance(given, str):
            metric.name = given
        return metric


class Objective:
    """Losses and metrics of a compiled model.

    They are made when the first batch shows how many outputs there are and what shapes they have.

    Args:
        loss: one loss for all outputs, or a list or dict of them; None for models that only
            call `add_loss`.
        loss_weights: None, or a list or dict of numbers.
        plain: metrics that ignore sample weights: a list, or a list or dict of lists per output.
        weighted: metrics that use sample weights, in the same form.
    """

    def __init__(self, loss: Any, loss_weights: Any, plain: Any, weighted: Any) -> None:
        self._given = {"loss": loss, "loss_weights": loss_weights}
        self._metrics = {"metrics": plain, "weighted_metrics": weighted}
        self.tracker = metrics.Mean("loss")
        self._outputs: list[_Output] | None = None
        self._keys: list[Any] | None = None
        self._names: list[str] = []
        # A wrong name is reported by compile, not by the first batch.
        for item in _leaves(loss):
            losses.get(item)
        for item in [*_leaves(plain), *_leaves(weighted)]:
            metrics.get(item)

    def given(self) -> dict[str, Any]:
        """What `compile` was given."""
        return {**self._given, **self._metrics}

    # -- structure ------------------------------------------------------------------------------

    def _split(self, value: Any, what: str = "y") -> list[Any]:
        """One item per output, for predictions, targets or weights."""
        if isinstance(value, dict):
            self._check_keys("Model", what, value)
            return [value.get(name) for name in self._names]
        if self._keys is None:
            return [value]
        if isinstance(value, (list, tuple)):
            return list(value)
        return [value] * len(self._keys)

    def _check_keys(self, where: str, what: str, given: dict[Any, Any]) -> None:
        unknown = [key for key in given if key not in self._names]
        if unknown:
            expected = f"keys out of {', '.join(self._names) or 'no output names'}"
            raise ValueError(fail_text(where, what, expected, unknown))

    def _build(self, y_true: Any, y_pred: Any, names: Sequence[str] | None) -> None:
        if isinstance(y_pred, dict):
            self._keys = list(y_pred)
            self._names = [str(key) for key in y_pred]
        elif isinstance(y_pred, (list, tuple)):
            self._keys = list(range(len(y_pred)))
            self._names = list(names or [f"output_{i}" for i in self._keys])
        else:  # the name of a single output serves dicts, and does not show in the logs
            self._names = list(names or [])
        count = 1 if self._keys is None else len(self._keys)
        weights = self._per_output("loss_weights", 1.0)
        given = self._per_output("loss", None)
        labels = [""] if self._keys is None else self._names
        outputs = [
            _Output(label, loss, float(weight))
            for label, loss, weight in zip(labels, given, weights, strict=True)
        ]
        targets = self._targets(y_true, count)
        chosen = {kind: self._metrics_per_output(kind, count) for kind in self._metrics}
        for i, (output, target, pred) in enumerate(
            zip(outputs, targets, self._split(y_pred), strict=True)
        ):
            plain, weighted = chosen["metrics"][i], chosen["weighted_metrics"][i]
            if pred.ndim == 1:
                pred = core.expand_dims(pred, -1)
            output.make_metrics(plain, weighted, target, pred)
        self._outputs = outputs

    def _per_output(self, what: str, default: Any) -> list[Any]:
        given = self._given[what]
        count = 1 if self._keys is None else len(self._keys)
        if isinstance(given, dict) and "class_name" not in given:
            self._check_keys("Model.compile", what, given)
            return [given.get(name, default) for name in self._names]
        if isinstance(given, (list, tuple)):
            if len(given) != count:
                expected = f"{count} for {count} outputs"
                raise ValueError(fail_text("Model.compile", what, expected, len(given)))
            return list(given)
        return [default if given is None else given] * count

    def _metrics_per_output(self, kind: str, count: int) -> list[Any]:
        given = self._metrics[kind]
        if isinstance(given, dict) and "class_name" not in given:
            self._check_keys("Model.compile", kind, given)
            return [given.get(name) for name in self._names]
        items = _names_of(given)
        if count == 1 or not any(item is None or _is_nested(item) for item in items):
            # As in Keras 2 a flat list is for every output, each with means of its own.
            flat = [inner for item in items for inner in _names_of(item)]
            return [flat, *([copy.deepcopy(item) for item in flat] for _ in range(1, count))]
        if len(given) != count:
            expected = f"one list of metrics for each of {count} outputs"
            raise ValueError(fail_text("Model.compile", kind, expected, len(given)))
        return list(given)

    def _targets(self, y_true: Any, count: int) -> list[Any]:
        targets = self._split(y_true)
        alone = self._keys is not None and not isinstance(y_true, (list, tuple, dict))
        if len(targets) != count or (alone and y_true is not None):
            expected = f"{count} arrays for {count} outputs ({', '.join(self._names)})"
            got, hint = ("one" if alone else len(targets)), "as a list, or a dict by name"
            raise ValueError(fail_text("Model", "y", expected, got, hint))
        return targets

    # -- values ---------------------------------------------------------------------------------

    def loss(
        self, y_true: Any, y_pred: Any, sample_weight: Any, names: Sequence[str] | None = None
    ) -> Any:
        """The weighted sum of the outputs' losses as a scalar Tensor; None without any loss."""
        if self._outputs is None:
            self._build(y_true, y_pred, names)
        outputs = self._outputs or []
        if len(outputs) == 1 and self._keys is None:
            (target,), (weight,) = self._split(y_true), self._split(sample_weight, "sample_weight")
            return self._one(outputs[0], target, y_pred, weight)
        parts = zip(
            outputs,
            self._targets(y_true, len(outputs)),
            self._split(y_pred),
            self._split(sample_weight, "sample_weight"),
            strict=True,
        )
        total = None
        for output, target, pred, weight in parts:
            value = self._one(output, target, pred, weight)
            if value is not None:
                output.tracker.update_state(value.item(), pred.shape[0])
                value = value if output.weight == 1.0 else value * output.weight
                total = value if total is None else total + value
        return total

    def _one(self, output: _Output, y_true: Any, y_pred: Any, sample_weight: Any) -> Any:
        if output.loss is None:
            return None
        if y_true is None:
            hint = "the loss compares it with the model's output"
            what = f"y[{output.name!r}]" if output.name else "y"
            raise ValueError(fail_text("Model", what, "targets", None, hint))
        if y_pred.ndim == 1:  # one number per sample: a column
            y_pred = core.expand_dims(y_pred, -1)
        value = output.loss(y_true, y_pred, sample_weight)
        if not isinstance(value, Tensor):
            expected, got = "a Tensor from the loss function", type(value).__name__
            hint = "the functions of elman.backend have gradients, those of numpy have none"
            raise TypeError(fail_text("Model", "loss", expected, got, hint))
        return value if value.ndim == 0 else core.mean(value)

    def update(self, y_true: Any, y_pred: Any, sample_weight: Any) -> None:
        """Let every metric see a batch."""
        for output, target, pred, weight in zip(
            self._outputs or (),
            self._split(y_true),
            self._split(y_pred),
            self._split(sample_weight, "sample_weight"),
            strict=False,
        ):
            if target is None or not (output.metrics or output.weighted):
                continue
            if pred.ndim == 1:
                pred = core.expand_dims(pred, -1)
            for metric in output.metrics:
                metric.update_state(target, pred)
            for metric in output.weighted:
                metric.update_state(target, pred, weight)

    @property
    def metrics(self) -> list[Any]:
        """The running means and metrics, the total loss first."""
        several = self._keys is not None
        found = [self.tracker]
        for output in self._outputs or ():
            found += [output.tracker] if several and output.loss is not None else []
        for output in self._outputs or ():
            found += [*output.metrics, *output.weighted]
        return found

    def results(self) -> dict[str, Any]:
        """Name -> value so far; metrics of several outputs carry the output's name in front."""
        logs = {"loss": self.tracker.result()}
        several = self._keys is not None
        for output in self._outputs or ():
            if several and output.loss is not None:
                logs[output.tracker.name] = output.tracker.result()
        for output in self._outputs or ():
            front = f"{output.name}_" if several else ""
            for metric in output.metrics:
                logs[_free(f"{front}{metric.name}", logs)] = metric.result()
            for metric in output.weighted:
                name = f"{front}{metric.name}"
                name = f"{front}weighted_{metric.name}" if name in logs else name
                logs[_free(name, logs)] = metric.result()
        return logs

    def reset(self) -> None:
        """Start all means again."""
        for metric in self.metrics:
            metric.reset_state()

    @property
    def given_loss(self) -> Any:
        """The loss as it was given."""
        return self._given["loss"]

    def sparse(self, names: Sequence[str] | None) -> list[bool]:
        """Whether targets are class ids for certain: the loss is the sparse crossentropy.

        Args:
            names: the outputs; the result has an item for each, or one for a single output.
        """
        wanted = "sparse_categorical_crossentropy"
        return [getattr(function, "__name__", "") == wanted for function in self._functions(names)]

    def known(self, names: Sequence[str] | None) -> list[bool]:
        """Whether the loss is one of elman's functions, for each output as in `sparse`."""
        modules = [getattr(function, "__module__", "") for function in self._functions(names)]
        return [module == _KNOWN for module in modules]

    def _functions(self, names: Sequence[str] | None) -> list[Any]:
        """The loss function of each output; None where there is none."""
        given, names = self._given["loss"], list(names or [""])
        if not _is_nested(given):
            given = [given] * len(names)
        elif isinstance(given, dict):
            given = [given.get(name) for name in names]
        return [getattr(losses.as_loss(item), "fn", None) for item in given]


def _is_nested(given: Any) -> bool:
    return isinstance(given, (list, tuple)) or (
        isinstance(given, dict) and "class_name" not in given
    )


def _leaves(given: Any) -> list[Any]:
    if _is_nested(given):
        items = given.values() if isinstance(given, dict) else given
        return [leaf for item in items for leaf in _leaves(item)]
    return [given]


def _free(name: str, logs: dict[str, Any]) -> str:
    number, free = 0, name
    while free in logs:
        number += 1
        free = f"{name}_{number}"
    return free
