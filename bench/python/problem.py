# SPDX-License-Identifier: Apache-2.0
"""What every library computes: a recurrent layer, its weights, its input."""

from __future__ import annotations

from typing import NamedTuple

import numpy as np

GATES = {"SimpleRNN": 1, "GRU": 3, "LSTM": 4}


class Workload(NamedTuple):
    """N sequences of T steps with F features, H units."""

    n: int
    t: int
    f: int
    h: int

    def flops(self, cell: str, mode: str) -> float:
        """Of one call; the products alone.

        Training adds the gradients of both kernels and of the states; the gradient of the input
        is not asked for.
        """
        widths = 2 * self.f + 3 * self.h if mode == "training" else self.f + self.h
        return 2.0 * self.n * self.t * GATES[cell] * self.h * widths

    def step(self) -> Workload:
        """One step of one row of that layer."""
        return Workload(1, 1, self.f, self.h)

    def __str__(self) -> str:
        return ", ".join(map(str, self))


WORKLOADS = [
    Workload(1, 1, 32, 32),
    Workload(1, 1, 128, 128),
    Workload(1, 1, 512, 512),
    Workload(1, 100, 128, 128),
    Workload(1, 100, 512, 512),
    Workload(32, 100, 64, 128),
    Workload(64, 50, 256, 256),
    Workload(64, 100, 512, 512),
    Workload(128, 50, 1024, 1024),
]


class Problem:
    """Input, weights and the gradient of the output, the same for every library.

    Weights are in Keras' layout and gate order.
    """

    def __init__(self, cell: str, workload: Workload) -> None:
        self.cell, self.workload = cell, workload
        n, t, f, h = workload
        rng, columns = np.random.default_rng(0), GATES[cell] * h

        def normal(*shape: int, scale: float = 1.0) -> np.ndarray:
            return (scale * rng.standard_normal(shape)).astype("float32")

        self.x = normal(n, t, f)
        self.d_output = normal(n, t, h)
        self.kernel = normal(f, columns, scale=f**-0.5)
        self.recurrent_kernel = normal(h, columns, scale=0.5 * h**-0.5)
        bias_shape = (2, columns) if cell == "GRU" else (columns,)
        self.bias = normal(*bias_shape, scale=0.1)

    def weights(self, order: str) -> tuple[np.ndarray, np.ndarray, np.ndarray]:
        """Kernel, recurrent kernel and bias [2, G H] with the gates in another order.

        `order` is for instance 'iofc' where Keras has 'ifco'.
        """
        bias = self._blocks(self.bias, order)
        both = bias if bias.ndim == 2 else np.stack([bias, np.zeros_like(bias)])
        return self._blocks(self.kernel, order), self._blocks(self.recurrent_kernel, order), both

    def _blocks(self, array: np.ndarray, order: str) -> np.ndarray:
        own = {"SimpleRNN": "h", "GRU": "zrh", "LSTM": "ifco"}[self.cell]
        parts = dict(zip(own, np.split(array, len(own), axis=-1), strict=True))
        return np.concatenate([parts[gate] for gate in order], axis=-1)
