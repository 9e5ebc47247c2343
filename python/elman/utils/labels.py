# SPDX-License-Identifier: Apache-2.0
"""Class ids as one-hot rows, and rows of unit length."""

from __future__ import annotations

from typing import Any

import numpy as np

from elman._errors import fail_text


def to_categorical(x: Any, num_classes: int | None = None, dtype: str = "float32") -> np.ndarray:
    """One-hot rows of class ids.

    Args:
        x: whole numbers in [0, num_classes), any shape; a last axis of size one is dropped.
        num_classes: default the largest id plus one.
        dtype: of the result.

    Shapes: x (...) or (..., 1) -> (..., num_classes).
    Errors: ValueError for an id out of range or with a fraction.

    Example:
        >>> import elman
        >>> elman.utils.to_categorical([2, 0])
        array([[0., 0., 1.],
               [1., 0., 0.]], dtype=float32)
    """
    given = np.asarray(x)
    ids = given.astype(np.int64)
    if not np.array_equal(ids, given):
        raise ValueError(fail_text("to_categorical", "x", "whole numbers", given.dtype))
    if ids.ndim > 1 and ids.shape[-1] == 1:
        ids = ids[..., 0]
    if num_classes is None:
        num_classes = int(ids.max(initial=-1)) + 1
    if ids.size and not (ids.min() >= 0 and ids.max() < num_classes):
        wrong = ids.min() if ids.min() < 0 else ids.max()
        raise ValueError(fail_text("to_categorical", "x", f"ids in [0, {num_classes})", wrong))
    out = np.zeros((ids.size, num_classes), dtype)
    out[np.arange(ids.size), ids.ravel()] = 1
    return out.reshape((*ids.shape, num_classes))


def normalize(x: Any, axis: int = -1, order: int = 2) -> np.ndarray:
    """x divided by its norm along `axis`; a zero vector stays zero."""
    values = np.asarray(x)
    norm = np.atleast_1d(np.linalg.norm(values, order, axis))
    norm[norm == 0] = 1
    return values / np.expand_dims(norm, axis)
