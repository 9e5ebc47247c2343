# SPDX-License-Identifier: Apache-2.0
"""Layer and batch normalization as float64 loops, written from their equations."""

from __future__ import annotations

import math

import numpy as np


def layer_norm(x, gamma=None, beta=None, epsilon=1e-3):
    """Over the last axis, one row at a time."""
    x = np.asarray(x, np.float64)
    y = np.empty_like(x)
    for place in np.ndindex(x.shape[:-1]):
        row = [float(v) for v in x[place]]
        mean = math.fsum(row) / len(row)
        variance = math.fsum((v - mean) ** 2 for v in row) / len(row)
        for j, v in enumerate(row):
            y[(*place, j)] = (v - mean) / math.sqrt(variance + epsilon)
    y = y if gamma is None else y * gamma
    return y if beta is None else y + beta


def moments(x, mask=None):
    """Mean and variance of each column of x [..., C] over the rows where mask [...] is True."""
    x = np.asarray(x, np.float64)
    rows = x.reshape(-1, x.shape[-1])
    used = np.ones(len(rows), bool) if mask is None else np.asarray(mask).reshape(-1)
    kept = [row for row, use in zip(rows, used, strict=True) if use]
    if not kept:
        return np.zeros(x.shape[-1]), np.zeros(x.shape[-1])
    mean = np.array([math.fsum(column) / len(kept) for column in zip(*kept, strict=True)])
    squares = [
        math.fsum((v - m) ** 2 for v in column)
        for column, m in zip(zip(*kept, strict=True), mean, strict=True)
    ]
    return mean, np.array(squares) / len(kept)


def batch_norm(x, gamma=None, beta=None, mask=None, epsilon=1e-3, statistics=None):
    """With the batch's own mean and variance, or with given ones."""
    mean, variance = moments(x, mask) if statistics is None else statistics
    y = (np.asarray(x, np.float64) - mean) / np.sqrt(np.asarray(variance) + epsilon)
    y = y if gamma is None else y * gamma
    return y if beta is None else y + beta
