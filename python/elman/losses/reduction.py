# SPDX-License-Identifier: Apache-2.0
"""From one loss value per sample (or per sample and step) to one number: weights, masks, mean."""

from __future__ import annotations

from typing import Any

import numpy as np

from elman._backend import core
from elman._errors import fail_text

REDUCTIONS = ("sum_over_batch_size", "sum", "mean", "mean_with_sample_weight", "none", None)


def check_reduction(where: str, reduction: Any) -> str | None:
    """One of `REDUCTIONS`, or ValueError."""
    if reduction not in REDUCTIONS:
        expected = "one of " + ", ".join(repr(name) for name in REDUCTIONS)
        raise ValueError(fail_text(where, "reduction", expected, repr(reduction)))
    return reduction


def combine_weights(
    where: str, shape: tuple[int, ...], sample_weight: Any, mask: Any, spread: bool
) -> np.ndarray | None:
    """Sample weights times mask as one float64 array that broadcasts to `shape`.

    Args:
        where: for the error text.
        shape: shape of the values that are weighted, e.g. (N,) or (N, T).
        sample_weight: None or (N,), (N, T), (N, 1), ...
        mask: None or bool (N, T); False means: this step does not count.
        spread: give the steps in use the weight total / used, so that a later division by the
            number of all steps is a mean over the steps in use.

    Source: keras/src/losses/loss.py, apply_mask and reduce_weighted_values.
    """
    weight = None
    if sample_weight is not None:
        weight = _align(where, "sample_weight", np.asarray(sample_weight, np.float64), shape)
    if mask is not None:
        mask = np.asarray(mask, bool)
        used = np.count_nonzero(mask)
        factor = mask.size / used if spread and used else 1.0
        steps = _align(where, "mask", np.where(mask, factor, 0.0), shape)
        weight = steps if weight is None else weight * steps
    return weight


def _align(where: str, what: str, weight: np.ndarray, shape: tuple[int, ...]) -> np.ndarray:
    """Let a weight per sample meet values per sample and step: (N,) -> (N, 1)."""
    if weight.ndim == len(shape) + 1 and weight.shape[-1] == 1:
        weight = weight[..., 0]
    fits = weight.ndim <= len(shape) and all(
        extent in (1, full) for extent, full in zip(weight.shape, shape, strict=False)
    )
    if not fits:
        raise ValueError(
            fail_text(where, what, f"a shape that fits {shape}", weight.shape, "one value per loss")
        )
    return weight.reshape(weight.shape + (1,) * (len(shape) - weight.ndim))


def reduce_loss(where: str, values: Any, sample_weight: Any, mask: Any, reduction: Any) -> Any:
    """Weighted reduction of loss values, as a Tensor.

    sum_over_batch_size: sum(w * loss) / number of loss values. mean_with_sample_weight:
    sum(w * loss) / sum(w). Values under a False mask do not count.
    """
    weight = None
    if sample_weight is not None or mask is not None:
        spread = reduction in ("sum_over_batch_size", "mean")
        weight = combine_weights(where, tuple(values.shape), sample_weight, mask, spread)
        values = values * core.Tensor(np.ascontiguousarray(weight), dtype=values.dtype)
    if reduction is None or reduction == "none" or values.ndim == 0:
        return values
    if reduction == "sum" or values.size == 0:
        return core.sum(values)
    if reduction == "mean_with_sample_weight" and weight is not None:
        total = float(np.broadcast_to(weight, values.shape).sum())
        return core.sum(values) / total if total else core.sum(values) * 0.0
    return core.mean(values)
