# SPDX-License-Identifier: Apache-2.0
"""Keras on one of its back ends, through its compiled `predict_on_batch` and `train_on_batch`."""

from __future__ import annotations

import contextlib
import os
from pathlib import Path
from typing import Any

import numpy as np
from contestants import Call
from problem import Problem, Workload

# It compiles each of them for many seconds and is timed where that is worth it: not for single
# steps, which it is not made for, and not for what its own operations fill anyway.
WORKLOADS = (
    Workload(1, 100, 128, 128),
    Workload(32, 100, 64, 128),
    Workload(64, 50, 256, 256),
)


class Keras:
    """Keras; a process has one back end."""

    def __init__(self, backend: str) -> None:
        os.environ["KERAS_BACKEND"] = backend
        os.environ.setdefault("TF_CPP_MIN_LOG_LEVEL", "3")
        import keras

        self.keras, self.backend = keras, backend
        titles = {"tensorflow": "TensorFlow", "jax": "JAX", "torch": "PyTorch"}
        self.name = f"Keras on {titles[backend]}"
        self._processors = os.sched_getaffinity(0) if hasattr(os, "sched_getaffinity") else None
        self._models: dict[tuple[str, Workload], Any] = {}

    def version(self) -> str:
        """As printed above the table."""
        module = __import__(self.backend)
        return f"{self.keras.__version__} ({self.backend} {module.__version__})"

    def set_threads(self, threads: int) -> None:
        """JAX and TensorFlow choose their number of threads once, so these share processors.

        All threads of the process are held to as many processors as there are to be threads,
        which restricts every library alike. Only Linux offers that.
        """
        if self.backend == "torch" or self._processors is None:
            return
        allowed = sorted(self._processors)[:threads]
        for task in Path("/proc/self/task").iterdir():
            with contextlib.suppress(ProcessLookupError):  # a thread that has ended meanwhile
                os.sched_setaffinity(int(task.name), allowed)

    def make(self, mode: str, problem: Problem, threads: int) -> Call | None:
        """A function that runs the mode once."""
        if mode == "streaming" or problem.workload not in WORKLOADS:
            return None
        model = self._model(problem)
        if mode == "training":
            return lambda: model.train_on_batch(problem.x, problem.d_output)
        return lambda: model.predict_on_batch(problem.x)

    def output(self, result: Any) -> np.ndarray:
        """As [N, T, H]."""
        return np.asarray(result)

    def _model(self, problem: Problem) -> Any:
        key = problem.cell, problem.workload
        if key not in self._models:
            n, t, f, h = problem.workload
            keras = self.keras
            layer = getattr(keras.layers, problem.cell)(
                h, return_sequences=True, recurrent_initializer="zeros"
            )
            model = keras.Sequential([keras.Input((t, f), batch_size=n), layer])
            layer.set_weights([problem.kernel, problem.recurrent_kernel, problem.bias])
            # The gradient of that loss is what the other libraries are given.
            model.compile(
                keras.optimizers.SGD(1e-9),
                lambda given, y: keras.ops.sum(given * y, axis=(1, 2)) * n,
            )
            self._models[key] = model
        return self._models[key]
