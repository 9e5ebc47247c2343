# SPDX-License-Identifier: Apache-2.0
"""The one place where the tests decide how large a rounding error may be."""

from __future__ import annotations

import math

import numpy as np


def tolerance(dtype: str, terms: int, steps: int, scale: float = 1.0, c: float = 2.0) -> float:
    """Largest absolute error allowed: c * eps * log2(K * T) * scale.

    K (`terms`) is the number of products in one accumulation (F + H + biases), T (`steps`) the
    number of time steps, eps the unit roundoff's double (np.finfo.eps).

    Derivation. One product-accumulate rounds by eps/2 of its partial sum. A sum in W lanes with
    several accumulators has about log2(K) levels whose errors matter (the partial sums of one
    lane grow like their square root, so early levels weigh little); this is the log2(K) part.
    Each of the T steps adds one such error to the state. The cells tested contract (|d h'/d h|
    < 1), so an old error shrinks geometrically, and the sum over steps is bounded by a constant
    times the error of one step; log2(T) leaves room for contraction factors close to one. The
    logarithms add: log2(K) + log2(T) = log2(K*T).

    c = 2 is the pointwise part: an activation may be off by 4 ulp, which is 2 eps for values up to
    one. The error of the pre-activation passes through a slope <= 1 (tanh) or 1/4 (sigmoid); those
    of several gates have random signs and factors <= 1. `scale` is the largest magnitude among
    the expected values, and at least one activation's range (1) because gates are rounded there.
    """
    return c * float(np.finfo(dtype).eps) * max(1.0, math.log2(terms * steps)) * max(scale, 1.0)


def assert_close(actual, expected, allowed: float, what: str = "") -> float:
    """Fail unless |actual - expected| <= allowed everywhere; returns the largest error.

    NaN in `actual` fails even where `expected` is NaN: no test here expects one.
    """
    actual, expected = np.asarray(actual), np.asarray(expected)
    assert actual.shape == expected.shape, f"{what}: shape {actual.shape} != {expected.shape}"
    if actual.size == 0:
        return 0.0
    assert np.isfinite(expected).all(), f"{what}: the expected values are not finite"
    error = np.abs(actual.astype(np.float64) - expected.astype(np.float64))
    worst = np.unravel_index(np.argmax(np.where(np.isnan(error), np.inf, error)), error.shape)
    assert error[worst] <= allowed, (
        f"{what}: |{actual[worst]!r} - {expected[worst]!r}| = {error[worst]:.3g} > {allowed:.3g}"
        f" at {tuple(int(i) for i in worst)}"
    )
    return float(error[worst])
