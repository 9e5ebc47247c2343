# SPDX-License-Identifier: Apache-2.0
"""`compile`, and one step of training, evaluation or prediction."""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any

from elman import optimizers
from elman._keywords import check_keywords
from elman.callbacks import History
from elman.gradient import flatten
from elman.models import step
from elman.models.batches import Batch
from elman.models.objective import Objective
from elman.models.pieces import Pieces

# Options of Keras' compile that choose how a graph is made; there is no graph here.
_WITHOUT_EFFECT = ("run_eagerly", "steps_per_execution", "jit_compile", "auto_scale_loss")


class Compiled:
    """What `compile` sets up, and the steps that a subclass may override."""

    structure: Any
    optimizer: Any = None
    objective: Any = None
    history: History | None = None
    stop_training: bool = False
    reported_nonfinite: bool = False
    #: names of the outputs, for models with several
    output_names: Sequence[str] | None = None
    #: what an own `train_step` or `test_step` returned last
    _step_logs: Any = None

    def compile(
        self,
        optimizer: Any = "rmsprop",
        loss: Any = None,
        metrics: Any = None,
        loss_weights: Any = None,
        weighted_metrics: Any = None,
        **options: Any,
    ) -> None:
        """Choose how the model is trained.

        Args:
            optimizer: a name or an object.
            loss: a name, function or object; a list or dict of them for several outputs.
            metrics: list of names, functions or objects. 'accuracy' becomes the binary,
                categorical or sparse one by the loss and the shapes of the data.
            loss_weights: list or dict of numbers for several outputs.
            weighted_metrics: like `metrics`, but using sample and class weights.
            options: `run_eagerly`, `jit_compile`, `steps_per_execution` and `auto_scale_loss` are
                accepted and have no effect.

        Errors: ValueError for an unknown name, TypeError for an unknown argument.
        """
        known = ["optimizer", "loss", "metrics", "loss_weights", "weighted_metrics"]
        check_keywords(self._where("compile"), options, [*known, *_WITHOUT_EFFECT])
        chosen = optimizers.get(optimizer)
        self.objective = Objective(loss, loss_weights, metrics, weighted_metrics)
        self.optimizer = chosen  # last: an unknown name leaves the model as it was
        self.reported_nonfinite = False

    @property
    def loss(self) -> Any:
        """What `compile` was given as loss."""
        return None if self.objective is None else self.objective.given_loss

    def _where(self, method: str) -> str:
        """The start of an error text: the class and the method."""
        return f"{type(self).__name__}.{method}"

    def _check_compiled(self, where: str) -> None:
        if self.objective is None:
            where = self._where(where)
            raise RuntimeError(f"[{where}] the model is not compiled; call compile() first")

    # -- steps: a subclass may override train_step, test_step, predict_step and compute_loss ------

    def compute_loss(
        self,
        x: Any = None,
        y: Any = None,
        y_pred: Any = None,
        sample_weight: Any = None,
        training: bool = True,
    ) -> Any:
        """The compiled loss plus penalties of regularizers and `add_loss`; None without any."""
        self._check_compiled("compute_loss")
        total = self.objective.loss(y, y_pred, sample_weight, self.output_names)
        for penalty in self.structure.penalties():
            total = penalty if total is None else total + penalty
        return total

    def train_step(self, data: Any) -> dict[str, Any]:
        """One update from `data` = (x,), (x, y) or (x, y, sample_weight); returns the means."""
        batch = _as_batch(data)
        step.train(self, batch.x, batch.y, batch.sample_weight, batch.size, "a step")
        return self.objective.results()

    def test_step(self, data: Any) -> dict[str, Any]:
        """One evaluation; data and result as in `train_step`."""
        batch = _as_batch(data)
        step.test(self, batch.x, batch.y, batch.sample_weight, batch.size)
        return self.objective.results()

    def predict_step(self, data: Any) -> Any:
        """The outputs for x, or for data = (x, ...)."""
        x = data[0] if isinstance(data, tuple) else data
        return self._forward(x)

    def _forward(self, x: Any) -> Any:
        model: Any = self
        return model(x, training=False)

    def run_train_step(self, batch: Batch, place: str) -> None:
        """`train_step` as `fit` runs it."""
        if type(self).train_step is Compiled.train_step:
            step.train(self, batch.x, batch.y, batch.sample_weight, batch.size, place)
        else:
            self._step_logs = _numbers(self.train_step(_as_data(batch)))

    def run_test_step(self, batch: Batch) -> None:
        """`test_step` as `evaluate` runs it."""
        if type(self).test_step is Compiled.test_step:
            self._step_logs = None
            step.test(self, batch.x, batch.y, batch.sample_weight, batch.size)
        else:
            self._step_logs = _numbers(self.test_step(_as_data(batch)))

    def run_predict_step(self, batch: Batch) -> Any:
        """`predict_step` as `predict` runs it."""
        if type(self).predict_step is Compiled.predict_step:
            return self._forward(batch.x)
        return self.predict_step((batch.x,))

    def running_logs(self) -> dict[str, Any]:
        """The means so far."""
        return dict(self.objective.results() if self._step_logs is None else self._step_logs)

    @property
    def metrics(self) -> list[Any]:
        """The running mean of the loss and the metrics."""
        return [] if self.objective is None else self.objective.metrics

    @property
    def metrics_names(self) -> list[str]:
        """The names of what `evaluate` returns, in its order."""
        return [] if self.objective is None else list(self.objective.results())

    def reset_metrics(self) -> None:
        """Start the running means again."""
        self._step_logs = None
        for metric in self.metrics:
            metric.reset_state()


def _as_batch(data: Any) -> Batch:
    x, y, sample_weight = (*(data if isinstance(data, tuple) else (data,)), None, None)[:3]
    size = sum(x.sizes) if type(x) is Pieces else len(flatten(x)[0])
    return Batch(x, y, sample_weight, size)


def _as_data(batch: Batch) -> tuple[Any, ...]:
    if batch.sample_weight is not None:
        return batch.x, batch.y, batch.sample_weight
    return (batch.x,) if batch.y is None else (batch.x, batch.y)


def _numbers(logs: Any) -> dict[str, Any]:
    return {name: float(value) for name, value in (logs or {}).items()}
