# SPDX-License-Identifier: Apache-2.0
"""`fit`, `evaluate`, `predict` and their forms for single batches."""

from __future__ import annotations

import functools
from collections.abc import Collection, Mapping, Sequence
from typing import Any

from elman._errors import fail_text, is_whole
from elman._keywords import named_keywords
from elman.callbacks import History
from elman.gradient import flatten, map_structure
from elman.models import loops, step
from elman.models.batches import Batch, check_counts, standardized
from elman.models.collected import Collected
from elman.models.compiled import Compiled
from elman.models.data import ArrayData, holds_arrays, make_data
from elman.models.lists import is_ragged
from elman.models.output_steps import keeps_list
from elman.models.pieces import pieces_of
from elman.models.ragged import RaggedData
from elman.models.streams import StreamData

_BATCH_SIZE = 32
_PREDICTS = ("predict", "predict_on_batch")


class Training(Compiled):
    """The training side of a model."""

    #: True when the model has one input, or one output: a list of arrays is stacked
    _one_input: bool = False
    _one_output: bool = False
    #: True when the model is its layers one after the other
    _is_chain: bool = False

    # -- data -----------------------------------------------------------------------------------

    def _default_batch_size(self) -> int:
        """The fixed batch size of a stateful model, else 32."""
        shape = self.__dict__.get("_input_shape")
        shape = shape[0] if isinstance(shape, list) else shape  # the first of several inputs
        fixed = shape[0] if isinstance(shape, tuple) and shape else None
        return _BATCH_SIZE if fixed is None else int(fixed)

    def _data(
        self,
        where: str,
        x: Any,
        y: Any = None,
        sample_weight: Any = None,
        batch_size: int | None = None,
        shuffle: bool | str = False,
        steps: int | None = None,
    ) -> Any:
        if self._is_list(where, x):
            return self._ragged(where, x, y, sample_weight, batch_size, shuffle, steps)
        return make_data(
            self._where(where),
            x,
            y,
            sample_weight,
            batch_size,
            self._default_batch_size,
            (self._one_input, self._one_output),
            functools.partial(self._listed, where),
            shuffle,
            steps,
        )

    def _listed(self, where: str, x: Any, y: Any, sample_weight: Any) -> Batch | None:
        """One batch of lists of sequences, if they are that."""
        if not self._is_list(where, x):
            return None
        return self._ragged(where, x, y, sample_weight, 1).all_rows()

    def _is_list(self, where: str, x: Any) -> bool:
        """Whether an input is a list of sequences, and not the array that a list may stand for.

        What `predict` returns for a list does not depend on whether its lengths are equal.
        """
        shape = self.__dict__.get("_input_shape")
        rank = len(shape) if isinstance(shape, tuple) else None
        if is_ragged(x, self._one_input, rank):
            return True
        return where in _PREDICTS and not self.structure.stateful and keeps_list(self, x, rank)

    def _ragged(
        self,
        where: str,
        x: Any,
        y: Any,
        sample_weight: Any,
        batch_size: int | None,
        shuffle: bool | str = False,
        steps: int | None = None,
    ) -> RaggedData:
        """Batches of a list of sequences."""
        if steps is not None:
            got, hint = steps, "a list of sequences has its own number of batches"
            raise ValueError(fail_text(self._where(where), "steps", "None", got, hint))
        size = self._default_batch_size() if batch_size is None else batch_size
        parts = (x, y, sample_weight, size, shuffle)
        flags = {
            "training": where in ("fit", "train_on_batch"),
            "ordered": where == "fit",
            "predicting": where in _PREDICTS,
        }
        return RaggedData(self, self._where(where), *parts, **flags)

    def _check_whole_batches(self, where: str, data: Any) -> None:
        """A stateful model carries one state per sample of a batch: all batches are full."""
        if isinstance(data, StreamData) or not self.structure.stateful:
            return
        if data.samples % data.batch_size:
            expected = f"a multiple of batch_size={data.batch_size} samples for a stateful model"
            hint = "leave some out, or choose another batch_size"
            raise ValueError(fail_text(self._where(where), "x", expected, data.samples, hint))

    def _single(self, where: str, x: Any, y: Any = None, sample_weight: Any = None) -> Batch:
        """One batch from the arguments of an `_on_batch` method."""
        batch = self._listed(where, x, y, sample_weight)
        if batch is not None:
            return batch
        single = (self._one_input, self._one_output)
        parts = standardized(self._where(where), x, y, sample_weight, single)
        if parts[0] is None:
            raise ValueError(fail_text(self._where(where), "x", "an array", None))
        size = len(flatten(parts[0])[0])
        if size == 0:
            raise ValueError(fail_text(self._where(where), "x", "at least one sample", "0 samples"))
        check_counts(self._where(where), size, *parts[1:])
        return Batch(*parts, size=size)

    # -- fit, evaluate, predict -----------------------------------------------------------------

    @named_keywords
    def fit(
        self,
        x: Any = None,
        y: Any = None,
        batch_size: int | None = None,
        epochs: int = 1,
        verbose: Any = "auto",
        callbacks: Any = None,
        validation_split: float = 0.0,
        validation_data: Any = None,
        shuffle: bool | str = True,
        class_weight: Mapping[int, float] | Sequence[float] | None = None,
        sample_weight: Any = None,
        initial_epoch: int = 0,
        steps_per_epoch: int | None = None,
        validation_steps: int | None = None,
        validation_batch_size: int | None = None,
        validation_freq: int | Sequence[int] = 1,
    ) -> History:
        """Train the model.

        Args:
            x: array (N, ...), list or dict of arrays; or a generator, an iterable or a `Sequence`
                of batches (x, y) or (x, y, sample_weight). An input may also be a list of N
                sequences (T_i, ...) of different lengths. Similar ones share a batch; no layer sees
                padding: one that may is called once for each length, with the loss and gradients
                of the whole batch.
            y: targets, as many samples as x; a list of (T_i, ...) for targets per step of a list.
            batch_size: 32 by default, the fixed batch size of a stateful model.
            epochs: number of the last epoch, counted from one.
            verbose: 0 nothing, 1 or 'auto' a progress bar (a line per epoch when the output is not
                a terminal), 2 a line per epoch.
            callbacks: list of `elman.callbacks.Callback`.
            validation_split: share of the last samples that is kept for validation.
            validation_data: (x, y), (x, y, sample_weight), or a source of batches.
            shuffle: True: samples in a new order every epoch; 'batch': whole batches; False: in
                order, so that a stateful model sees consecutive slices.
            class_weight: {class id: weight}, or the list of the weights of all classes.
            sample_weight: weights (N,) or, for sequences, (N, T).
            initial_epoch: epochs that are already done.
            steps_per_epoch: batches per epoch, for sources that do not end.
            validation_steps: batches of the validation.
            validation_batch_size: default `batch_size`.
            validation_freq: validate every so many epochs, or after the listed ones.

        Returns: a `History`; `history.history['loss']` has a value per epoch.

        Ctrl-C takes effect between two batches: the weights stay consistent, the history of the
        finished epochs is in `model.history`, callbacks see `on_train_end`.

        Example:
            >>> import elman, numpy as np
            >>> model = elman.Sequential([elman.layers.Dense(1, input_shape=(2,))])
            >>> model.compile("sgd", "mse")
            >>> history = model.fit(np.ones((8, 2)), np.ones((8, 1)), epochs=3, verbose=0)
            >>> len(history.history["loss"])
            3
        """
        self._check_compiled("fit")
        _check_epochs(self._where("fit"), epochs, initial_epoch)
        _check_frequency(self._where("fit"), validation_freq)
        verbose = loops.check_verbose(self._where("fit"), verbose)
        class_weights = step.checked_class_weight(self._where("fit"), class_weight)
        data = self._data("fit", x, y, sample_weight, batch_size, shuffle, steps_per_epoch)
        validation = None
        if validation_data is not None:
            size = validation_batch_size or batch_size
            validation = self._validation_data(validation_data, size, validation_steps)
        elif validation_split:
            if not isinstance(data, ArrayData):
                hint = "use validation_data"
                got, expected = type(x).__name__, "arrays"
                raise ValueError(
                    fail_text(self._where("fit"), "validation_split", expected, got, hint)
                )
            data, validation = data.split(self._where("fit"), validation_split)
            validation.batch_size = validation_batch_size or validation.batch_size
        for part in (data, validation):
            if part is not None:
                self._check_whole_batches("fit", part)
        self.reported_nonfinite = False
        span = (int(initial_epoch), int(epochs))
        run = loops.Fit(self, data, span, class_weights, validation, validation_freq)
        return run.run(callbacks, verbose)

    def _validation_data(self, given: Any, batch_size: int | None, steps: int | None) -> Any:
        if isinstance(given, (tuple, list)):
            if not 2 <= len(given) <= 3:
                expected = "(x, y) or (x, y, sample_weight)"
                got = f"{len(given)} items"
                raise ValueError(fail_text(self._where("fit"), "validation_data", expected, got))
            x, y, weight = (*given, None)[:3]
            return self._data("fit", x, y, weight, batch_size, False, steps)
        if holds_arrays(given) and self.loss is not None:
            expected = "(x, y), (x, y, sample_weight) or a source of batches"
            got = f"{type(given).__name__} without targets"
            raise ValueError(fail_text(self._where("fit"), "validation_data", expected, got))
        return self._data("fit", given, steps=steps)

    @named_keywords
    def evaluate(
        self,
        x: Any = None,
        y: Any = None,
        batch_size: int | None = None,
        verbose: Any = "auto",
        sample_weight: Any = None,
        steps: int | None = None,
        callbacks: Any = None,
        return_dict: bool = False,
    ) -> Any:
        """Loss and metrics over the data.

        Arguments as in `fit`. Returns: the loss when there are no metrics, else the list
        [loss, metric, ...]; with `return_dict` a dictionary by name.
        """
        self._check_compiled("evaluate")
        verbose = loops.check_verbose(self._where("evaluate"), verbose)
        data = self._data("evaluate", x, y, sample_weight, batch_size, False, steps)
        self._check_whole_batches("evaluate", data)
        return _returned(loops.evaluate(self, data, callbacks, verbose), return_dict)

    @named_keywords
    def predict(
        self,
        x: Any,
        batch_size: int | None = None,
        verbose: Any = "auto",
        steps: int | None = None,
        callbacks: Any = None,
    ) -> Any:
        """The outputs for all samples, as numpy arrays.

        Args:
            x: array (N, ...), a list of sequences (T_i, ...) or a source of batches, as in `fit`.
                Outputs of a list whose shape depends on the length are a list as well, in the same
                order, whatever the number of sequences and their lengths. (A functional model with
                a fixed number of steps returns arrays, and so does a stateful model.)
            batch_size: samples that are computed at once.
            verbose: 0 for no progress bar; there is none anyway for less than a second of work.
            steps: number of batches, for sources that do not end.
            callbacks: as in `fit`.
        """
        verbose = loops.check_verbose(self._where("predict"), verbose)
        data = self._data("predict", x, None, None, batch_size, False, steps)
        self._check_whole_batches("predict", data)
        return loops.predict(self, data, callbacks, verbose)

    # -- single batches -------------------------------------------------------------------------

    @named_keywords
    def train_on_batch(
        self,
        x: Any,
        y: Any = None,
        sample_weight: Any = None,
        class_weight: Mapping[int, float] | Sequence[float] | None = None,
        reset_metrics: bool = True,
        return_dict: bool = False,
    ) -> Any:
        """One update from one batch; returns what `evaluate` returns, before the update."""
        self._check_compiled("train_on_batch")
        if reset_metrics:
            self.reset_metrics()
        class_weights = step.checked_class_weight(self._where("train_on_batch"), class_weight)
        batch = self._single("train_on_batch", x, y, sample_weight)
        if class_weights:
            batch = step.weighted(self, batch, class_weights)
        self.run_train_step(batch, "a batch of train_on_batch")
        return _returned(self.running_logs(), return_dict)

    @named_keywords
    def test_on_batch(
        self,
        x: Any,
        y: Any = None,
        sample_weight: Any = None,
        reset_metrics: bool = True,
        return_dict: bool = False,
    ) -> Any:
        """Loss and metrics of one batch."""
        self._check_compiled("test_on_batch")
        if reset_metrics:
            self.reset_metrics()
        self.run_test_step(self._single("test_on_batch", x, y, sample_weight))
        return _returned(self.running_logs(), return_dict)

    def predict_on_batch(self, x: Any) -> Any:
        """The outputs for one batch, as numpy arrays."""
        batch = self._single("predict_on_batch", x)
        if batch.rows is not None:
            collected = Collected()
            for piece in pieces_of(batch):
                collected.add(self.run_predict_step(piece), piece)
            return collected.result()
        return map_structure(lambda leaf: leaf.numpy().copy(), self.run_predict_step(batch))


def _check_epochs(where: str, epochs: Any, initial_epoch: Any) -> None:
    for what, value in (("epochs", epochs), ("initial_epoch", initial_epoch)):
        if not is_whole(value) or value < 0:
            raise ValueError(fail_text(where, what, "a whole number", repr(value)))


def _check_frequency(where: str, given: Any) -> None:
    if is_whole(given):
        fits = given > 0
    else:
        fits = isinstance(given, Collection) and all(map(is_whole, given))
    if not fits:
        expected = "a positive whole number, or a list of epochs"
        raise ValueError(fail_text(where, "validation_freq", expected, repr(given)))


def _returned(logs: dict[str, Any], as_dict: bool) -> Any:
    if as_dict:
        return logs
    values = list(logs.values())
    return values[0] if len(values) == 1 else values
