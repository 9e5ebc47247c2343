# SPDX-License-Identifier: Apache-2.0
"""Metrics accumulate over batches: `update_state`, `result`, `reset_state`. All in numpy."""

from __future__ import annotations

from collections.abc import Callable
from typing import Any

import numpy as np

from elman._keywords import NamedKeywords
from elman._names import snake_case, unique_name
from elman._tensors import as_float, as_tensor
from elman.losses.reduction import combine_weights

# Functions that average over the last axis.
_OVER_LAST_AXIS = frozenset({
    "mean_squared_error", "mean_absolute_error", "binary_accuracy", "binary_crossentropy",
    "huber", "poisson",
})  # fmt: skip


class Metric(NamedKeywords):
    """Base class; a subclass writes `update_state`, `result` and `reset_state`.

    Args:
        name: the key in logs; default the class name in snake case.
        dtype: accepted as in Keras; sums are kept in float64.

    Example:
        >>> import elman
        >>> metric = elman.metrics.MeanSquaredError()
        >>> metric.update_state([[0.0], [1.0]], [[1.0], [1.0]])
        >>> metric.result()
        0.5
    """

    def __init__(self, name: str | None = None, dtype: str | None = None) -> None:
        self.name = name or unique_name(snake_case(type(self).__name__))
        self.dtype = dtype or "float32"

    def update_state(self, *args: Any, **kwargs: Any) -> None:
        """Take one batch into account."""
        raise TypeError(f"[{type(self).__name__}] a subclass of Metric must define update_state")

    def result(self) -> Any:
        """The value over everything seen since the last reset."""
        raise TypeError(f"[{type(self).__name__}] a subclass of Metric must define result")

    def reset_state(self) -> None:
        """Forget everything."""
        raise TypeError(f"[{type(self).__name__}] a subclass of Metric must define reset_state")

    def reset_states(self) -> None:
        """Older name of `reset_state`."""
        self.reset_state()

    def __call__(self, *args: Any, **kwargs: Any) -> Any:
        """`update_state`, then `result`."""
        self.update_state(*args, **kwargs)
        return self.result()

    def __repr__(self) -> str:
        return f"<{type(self).__name__} name={self.name!r}>"

    def get_config(self) -> dict[str, Any]:
        """The constructor arguments."""
        return {"name": self.name, "dtype": self.dtype}

    @classmethod
    def from_config(cls, config: dict[str, Any]) -> Any:
        """The inverse of `get_config`."""
        return cls(**config)


class _Reduction(Metric):
    """Sum of weighted values and sum of weights, both float64."""

    def __init__(self, name: str | None = None, dtype: str | None = None) -> None:
        super().__init__(name, dtype)
        self.total = 0.0
        self.count = 0.0

    def _accumulate(self, values: np.ndarray, sample_weight: Any, mask: Any = None) -> None:
        if sample_weight is None and mask is None:
            if values.dtype == bool:
                self.total += int(np.count_nonzero(values))
            else:
                self.total += float(np.sum(values, dtype=np.float64))
            self.count += values.size
            return
        weight = combine_weights(self.name, values.shape, sample_weight, mask, spread=False)
        assert weight is not None
        weight = np.broadcast_to(weight, values.shape)
        # A padded step may hold NaN; its weight 0 must win.
        products = np.multiply(values, weight, where=weight != 0, out=np.zeros(values.shape))
        self.total += float(np.sum(products))
        self.count += float(np.sum(weight))

    def _mean(self) -> float:
        return self.total / self.count if self.count else 0.0

    def reset_state(self) -> None:
        """Forget everything."""
        self.total = self.count = 0.0


class _ValueReduction(_Reduction):
    def update_state(self, values: Any, sample_weight: Any = None) -> None:
        """Add values of any shape; `sample_weight` has a value per sample, or per value."""
        mask = getattr(values, "_keras_mask", None)
        self._accumulate(np.asarray(values), sample_weight, mask)


class Mean(_ValueReduction):
    """(Weighted) mean of all values seen.

    Example:
        >>> import elman
        >>> mean = elman.metrics.Mean()
        >>> mean.update_state([1.0, 3.0], sample_weight=[3.0, 1.0])
        >>> mean.result()
        1.5
    """

    def result(self) -> float:
        """The mean; 0.0 when nothing was seen."""
        return self._mean()


class Sum(_ValueReduction):
    """(Weighted) sum of all values seen."""

    def result(self) -> float:
        """The sum."""
        return float(self.total)


class MeanMetricWrapper(_Reduction):
    """Mean over batches of a function `fn(y_true, y_pred, **options)` with a value per sample.

    A mask that travels with `y_pred` takes its padded steps out.
    """

    def __init__(
        self,
        fn: Callable[..., Any],
        name: str | None = None,
        dtype: str | None = None,
        **options: Any,
    ) -> None:
        super().__init__(name or getattr(fn, "__name__", None), dtype)
        self.fn = fn
        self.options = options
        # A user's function is given tensors, so that it can use `elman.backend`.
        self._takes_anything = str(getattr(fn, "__module__", "")).startswith("elman.")

    def update_state(self, y_true: Any, y_pred: Any, sample_weight: Any = None) -> None:
        """Shapes: y_pred (N, ..., K), sample_weight (N,) or (N, ...)."""
        mask = getattr(y_pred, "_keras_mask", None)
        if not self._takes_anything:
            y_pred = as_float(y_pred)
            y_true = as_tensor(y_true, y_pred.dtype)
        elif np.ndim(y_pred) == 1 and self.fn.__name__ in _OVER_LAST_AXIS:
            # One number per sample: without a last axis the mean would run over the samples.
            y_pred = np.asarray(y_pred)[:, None]
        values = np.asarray(self.fn(y_true, y_pred, **self.options))
        self._accumulate(values, sample_weight, mask)

    def result(self) -> float:
        """The mean; 0.0 when nothing was seen."""
        return self._mean()

    def get_config(self) -> dict[str, Any]:
        """The constructor arguments; a bare wrapper adds its function."""
        config = {**super().get_config(), **self.options}
        if type(self) is MeanMetricWrapper:
            config["fn"] = self.fn
        return config
