# SPDX-License-Identifier: Apache-2.0
"""Loss objects: a loss function, its options and a reduction. Names and arguments as in Keras."""

from __future__ import annotations

from collections.abc import Callable
from typing import Any, ClassVar

from elman._backend import core
from elman._keywords import NamedKeywords
from elman._tensors import as_tensor
from elman.losses import functions
from elman.losses.reduction import check_reduction, reduce_loss

_MEAN = "sum_over_batch_size"


class Loss(NamedKeywords):
    """Base class: write `call(y_true, y_pred)`, get weighting, masks and reduction.

    Args:
        name: for error texts; default the class name.
        reduction: 'sum_over_batch_size' (mean over all loss values), 'sum', 'mean' (the same as the
            first), 'mean_with_sample_weight' (divides by the sum of the weights), None or 'none'.

    Example:
        >>> import elman
        >>> class Twice(elman.losses.Loss):
        ...     def call(self, y_true, y_pred):
        ...         return elman.losses.mean_squared_error(y_true, y_pred) * 2.0
        >>> float(Twice()([[0.0]], [[3.0]]))
        18.0
    """

    #: True when `call` itself turns arrays into tensors; a user's `call` gets tensors
    _takes_anything = False

    def __init__(self, name: str | None = None, reduction: str | None = _MEAN) -> None:
        self.name = name or type(self).__name__
        self.reduction = check_reduction(self.name, reduction)

    def call(self, y_true: Any, y_pred: Any) -> Any:
        """One loss value per sample (or per sample and step)."""
        raise TypeError(f"[{type(self).__name__}.call] a subclass of Loss must define call")

    def __call__(self, y_true: Any, y_pred: Any, sample_weight: Any = None) -> Any:
        """The reduced loss.

        Shapes: y_pred (N, ..., K); sample_weight (N,) or (N, ...). A mask that travels with
        `y_pred` takes its padded steps out.
        """
        if not self._takes_anything:
            y_pred = as_tensor(y_pred)
            y_true = as_tensor(y_true, y_pred.dtype)
        values = self.call(y_true, y_pred)
        mask = getattr(y_pred, "_keras_mask", None)
        own = getattr(values, "_keras_mask", None)
        if own is not None:
            mask = own if mask is None else _and(mask, own)
        return reduce_loss(self.name, values, sample_weight, mask, self.reduction)

    def get_config(self) -> dict[str, Any]:
        """The constructor arguments."""
        return {"name": self.name, "reduction": self.reduction}

    @classmethod
    def from_config(cls, config: dict[str, Any]) -> Loss:
        """The inverse of `get_config`."""
        return cls(**config)


def _and(a: Any, b: Any) -> Any:
    """Elementwise and of two masks."""
    return core.logical_and(as_tensor(a), as_tensor(b))


class LossFunctionWrapper(Loss):
    """Makes a `Loss` of a function `fn(y_true, y_pred, **options)`."""

    def __init__(
        self,
        fn: Callable[..., Any],
        reduction: str | None = _MEAN,
        name: str | None = None,
        **options: Any,
    ) -> None:
        super().__init__(name or getattr(fn, "__name__", "loss"), reduction)
        self.fn = fn
        self.options = options
        self._takes_anything = getattr(fn, "__module__", "") == functions.__name__

    def call(self, y_true: Any, y_pred: Any) -> Any:
        """`fn` with the options."""
        return self.fn(y_true, y_pred, **self.options)

    def get_config(self) -> dict[str, Any]:
        """The constructor arguments; a bare wrapper adds its function."""
        config = {**super().get_config(), **self.options}
        if type(self) is LossFunctionWrapper:
            config["fn"] = self.fn
        return config


class MeanSquaredError(LossFunctionWrapper):
    """mean((y_true - y_pred)^2). Shapes: (N, ..., K) both."""

    def __init__(self, reduction: str | None = _MEAN, name: str = "mean_squared_error") -> None:
        super().__init__(functions.mean_squared_error, reduction, name)


class MeanAbsoluteError(LossFunctionWrapper):
    """mean(|y_true - y_pred|). Shapes: (N, ..., K) both."""

    def __init__(self, reduction: str | None = _MEAN, name: str = "mean_absolute_error") -> None:
        super().__init__(functions.mean_absolute_error, reduction, name)


class Huber(LossFunctionWrapper):
    """Quadratic for errors up to `delta`, linear beyond. Shapes: (N, ..., K) both."""

    def __init__(
        self, delta: float = 1.0, reduction: str | None = _MEAN, name: str = "huber_loss"
    ) -> None:
        super().__init__(functions.huber, reduction, name, delta=delta)


class KLDivergence(LossFunctionWrapper):
    """sum(y_true log(y_true / y_pred)). Shapes: (N, ..., K) both."""

    def __init__(self, reduction: str | None = _MEAN, name: str = "kl_divergence") -> None:
        super().__init__(functions.kl_divergence, reduction, name)


class Poisson(LossFunctionWrapper):
    """mean(y_pred - y_true log y_pred). Shapes: (N, ..., K) both."""

    def __init__(self, reduction: str | None = _MEAN, name: str = "poisson") -> None:
        super().__init__(functions.poisson, reduction, name)


class CosineSimilarity(LossFunctionWrapper):
    """-cos(angle between y_true and y_pred): -1 is best. Shapes: (N, ..., K) both."""

    def __init__(
        self, axis: int = -1, reduction: str | None = _MEAN, name: str = "cosine_similarity"
    ) -> None:
        super().__init__(functions.cosine_similarity, reduction, name, axis=axis)


class _Crossentropy(LossFunctionWrapper):
    """The options of crossentropies whose labels are numbers in [0, 1]."""

    _function: ClassVar[Callable[..., Any]]

    def __init__(
        self,
        from_logits: bool = False,
        label_smoothing: float = 0.0,
        axis: int = -1,
        reduction: str | None = _MEAN,
        name: str | None = None,
    ) -> None:
        super().__init__(
            type(self)._function,
            reduction,
            name,
            from_logits=from_logits,
            label_smoothing=label_smoothing,
            axis=axis,
        )


class BinaryCrossentropy(_Crossentropy):
    """Crossentropy of yes/no labels; `from_logits=True` when the model ends without sigmoid.

    Example:
        >>> import elman
        >>> loss = elman.losses.BinaryCrossentropy(from_logits=True)
        >>> round(float(loss([[1.0], [0.0]], [[0.0], [0.0]])), 4)
        0.6931
    """

    _function = staticmethod(functions.binary_crossentropy)


class CategoricalCrossentropy(_Crossentropy):
    """Crossentropy of one-hot labels; `from_logits=True` when the model ends without softmax."""

    _function = staticmethod(functions.categorical_crossentropy)


class SparseCategoricalCrossentropy(LossFunctionWrapper):
    """Crossentropy of integer labels; `from_logits=True` when the model ends without softmax."""

    def __init__(
        self,
        from_logits: bool = False,
        ignore_class: int | None = None,
        reduction: str | None = _MEAN,
        axis: int = -1,
        name: str = "sparse_categorical_crossentropy",
    ) -> None:
        super().__init__(
            functions.sparse_categorical_crossentropy,
            reduction,
            name,
            from_logits=from_logits,
            ignore_class=ignore_class,
            axis=axis,
        )
