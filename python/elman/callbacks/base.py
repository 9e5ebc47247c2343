# SPDX-License-Identifier: Apache-2.0
"""The callback interface, the list that calls it, and the two simplest callbacks."""

from __future__ import annotations

from collections.abc import Callable, Iterable, Mapping
from typing import Any

from elman._errors import fail_text
from elman._keywords import NamedKeywords

Logs = dict[str, Any]

_BATCH_HOOKS = {
    "train": (
        "on_train_batch_begin",
        "on_train_batch_end",
        "on_batch_begin",
        "on_batch_end",
    ),
    "test": ("on_test_batch_begin", "on_test_batch_end"),
    "predict": ("on_predict_batch_begin", "on_predict_batch_end"),
}


class Callback(NamedKeywords):
    """Hooks around training; a subclass overrides those it needs.

    Epochs and batches count from zero. `self.model` is the model, `self.params` a dictionary with
    `epochs`, `steps` and `verbose`. Set `self.model.stop_training = True` to stop after the batch.

    Example:
        >>> import elman
        >>> class Print(elman.callbacks.Callback):
        ...     def on_epoch_end(self, epoch, logs=None):
        ...         print(epoch, sorted(logs))
    """

    def __init__(self) -> None:
        self.params: Logs = {}
        self.model: Any = None

    def set_params(self, params: Logs) -> None:
        """Called before training with `epochs`, `steps` and `verbose`."""
        self.params = params

    def set_model(self, model: Any) -> None:
        """Called before training with the model."""
        self.model = model

    def on_batch_begin(self, batch: int, logs: Logs | None = None) -> None:
        """Older name of `on_train_batch_begin`."""

    def on_batch_end(self, batch: int, logs: Logs | None = None) -> None:
        """Older name of `on_train_batch_end`."""

    def on_train_batch_begin(self, batch: int, logs: Logs | None = None) -> None:
        """Before a training batch."""
        self.on_batch_begin(batch, logs)

    def on_train_batch_end(self, batch: int, logs: Logs | None = None) -> None:
        """After a training batch; `logs` holds the means of the epoch so far."""
        self.on_batch_end(batch, logs)

    def on_test_batch_begin(self, batch: int, logs: Logs | None = None) -> None:
        """Before a batch of `evaluate` or of the validation."""

    def on_test_batch_end(self, batch: int, logs: Logs | None = None) -> None:
        """After a batch of `evaluate` or of the validation."""

    def on_predict_batch_begin(self, batch: int, logs: Logs | None = None) -> None:
        """Before a batch of `predict`."""

    def on_predict_batch_end(self, batch: int, logs: Logs | None = None) -> None:
        """After a batch of `predict`; `logs['outputs']` is its result."""

    def on_epoch_begin(self, epoch: int, logs: Logs | None = None) -> None:
        """Before an epoch."""

    def on_epoch_end(self, epoch: int, logs: Logs | None = None) -> None:
        """After an epoch and its validation; `logs` holds loss, metrics and `val_` values."""

    def on_train_begin(self, logs: Logs | None = None) -> None:
        """At the start of `fit`."""

    def on_train_end(self, logs: Logs | None = None) -> None:
        """At the end of `fit`, also when it is interrupted."""

    def on_test_begin(self, logs: Logs | None = None) -> None:
        """At the start of `evaluate` or of the validation."""

    def on_test_end(self, logs: Logs | None = None) -> None:
        """At the end of `evaluate` or of the validation."""

    def on_predict_begin(self, logs: Logs | None = None) -> None:
        """At the start of `predict`."""

    def on_predict_end(self, logs: Logs | None = None) -> None:
        """At the end of `predict`."""

    def on_tick(self, step: int, make_logs: Callable[[], Logs]) -> None:
        """After every training batch, number `step` of the epoch from one; cheap by contract.

        `make_logs()` gives the means so far, for callbacks that look at them only now and then.
        """


def as_callbacks(where: str, given: Any) -> list[Any]:
    """A list from one callback, or from a list of them.

    Errors: TypeError for anything else, such as a class instead of an object of it.
    """
    one = given is not None and hasattr(given, "on_epoch_end")
    if not one and not isinstance(given, (Iterable, type(None))):
        raise TypeError(fail_text(where, "callbacks", "a list of Callback objects", repr(given)))
    found = [given] if one else list(given or ())
    for callback in found:
        hint = ""
        if isinstance(callback, type):
            hint = f"make an object of it: {callback.__name__}(...)"
        if hint or not callable(getattr(callback, "on_epoch_end", None)):
            got = repr(callback)
            raise TypeError(fail_text(where, "callbacks", "Callback objects", got, hint))
    return found


class CallbackList:
    """Calls the hooks of several callbacks in order.

    Batch hooks that nobody overrides cost nothing: `wants_batches[mode]` says whether to make
    logs for them at all.
    """

    def __init__(
        self, callbacks: Iterable[Callback] | Callback | None, model: Any, params: Logs
    ) -> None:
        given = as_callbacks("Model.fit", callbacks)
        self.callbacks = given
        self.params = params
        for callback in given:
            callback.set_params(params)
            callback.set_model(model)
        self.wants_batches = {
            mode: [c for c in given if any(_overrides(c, name) for name in names)]
            for mode, names in _BATCH_HOOKS.items()
        }
        self._ticks = [c.on_tick for c in given if _overrides(c, "on_tick")]

    def call(self, hook: str, *arguments: Any) -> None:
        """Call a hook of every callback."""
        for callback in self.callbacks:
            getattr(callback, hook)(*arguments)

    def batch(self, mode: str, moment: str, batch: int, logs: Logs | None) -> None:
        """Call a batch hook of the callbacks that override one."""
        for callback in self.wants_batches[mode]:
            getattr(callback, f"on_{mode}_batch_{moment}")(batch, logs)

    def tick(self, step: int, make_logs: Callable[[], Logs]) -> None:
        """Call `on_tick` of the callbacks that override it."""
        for tick in self._ticks:
            tick(step, make_logs)

    def close(self) -> None:
        """Release what a callback shows when training ends by an error."""
        for callback in self.callbacks:
            close = getattr(callback, "close", None)
            if callable(close):
                close()


def _overrides(callback: Any, name: str) -> bool:
    own = getattr(callback, name, None)
    if own is None:
        return False
    return getattr(own, "__func__", own) is not getattr(Callback, name)


class History(Callback):
    """What `fit` returns: `history[name]` lists the values per epoch, `epoch` the epochs."""

    def __init__(self) -> None:
        super().__init__()
        self.history: dict[str, list[Any]] = {}
        self.epoch: list[int] = []

    def on_train_begin(self, logs: Logs | None = None) -> None:
        """Start with an empty record."""
        self.epoch = []
        self.history = {}

    def on_epoch_end(self, epoch: int, logs: Logs | None = None) -> None:
        """Keep the values of the epoch."""
        self.epoch.append(epoch)
        for name, value in (logs or {}).items():
            self.history.setdefault(name, []).append(value)

    def __repr__(self) -> str:
        return f"<History of {len(self.epoch)} epochs: {', '.join(self.history)}>"


class LambdaCallback(Callback):
    """A callback from functions, e.g. `LambdaCallback(on_epoch_end=lambda epoch, logs: ...)`.

    Args:
        on_epoch_begin, on_epoch_end: called as f(epoch, logs).
        on_train_begin, on_train_end: called as f(logs).
        on_train_batch_begin, on_train_batch_end: called as f(batch, logs).
        hooks: any other hook of `Callback` by its name, also `on_batch_begin`, `on_batch_end`.
    """

    def __init__(
        self,
        on_epoch_begin: Callable[..., Any] | None = None,
        on_epoch_end: Callable[..., Any] | None = None,
        on_train_begin: Callable[..., Any] | None = None,
        on_train_end: Callable[..., Any] | None = None,
        on_train_batch_begin: Callable[..., Any] | None = None,
        on_train_batch_end: Callable[..., Any] | None = None,
        **hooks: Callable[..., Any],
    ) -> None:
        super().__init__()
        given: Mapping[str, Callable[..., Any] | None] = {
            "on_epoch_begin": on_epoch_begin,
            "on_epoch_end": on_epoch_end,
            "on_train_begin": on_train_begin,
            "on_train_end": on_train_end,
            "on_train_batch_begin": on_train_batch_begin,
            "on_train_batch_end": on_train_batch_end,
            **hooks,
        }
        for name, function in given.items():
            if not name.startswith("on_") or not hasattr(Callback, name):
                raise TypeError(f"[LambdaCallback] {name}: there is no such hook")
            if function is not None:
                setattr(self, name, function)
