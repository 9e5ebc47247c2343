# SPDX-License-Identifier: Apache-2.0
"""The libraries that are compared: what each has to offer, elman itself, and who is installed.

A contestant makes functions that can be timed, one for each mode, from a `Problem`:

    inference   all outputs of all sequences
    training    forward, backward to all weights from a given gradient, one step of plain SGD
    streaming   one step of one row; the state stays for the next call

Every library gets its own natural layout, [N, T, F] or, ONNX Runtime, [T, N, F].
"""

from __future__ import annotations

import importlib.util
from collections.abc import Callable
from typing import Any, Protocol

import numpy as np
from problem import Problem

Call = Callable[[], Any]


class Contestant(Protocol):
    """A library."""

    name: str

    def version(self) -> str:
        """As printed above the table."""
        ...

    def set_threads(self, threads: int) -> None:
        """How many threads an operation may use from now on."""
        ...

    def make(self, mode: str, problem: Problem, threads: int) -> Call | None:
        """A function that runs the mode once; None: the library does not take part."""
        ...

    def output(self, result: Any) -> np.ndarray:
        """What a call for inference or streaming gave, as [N, T, H]."""
        ...


class Elman:
    """This library.

    Start values are zeros, as the default, an orthogonal matrix, takes seconds for large layers.
    """

    name = "elman"

    def __init__(self) -> None:
        import elman

        self.elman = elman

    def version(self) -> str:
        """As printed above the table."""
        return f"{self.elman.__version__} ({self.elman.config()['isa']})"

    def set_threads(self, threads: int) -> None:
        """How many threads a kernel may use."""
        self.elman.set_num_threads(threads)

    def streams(self) -> bool:
        """Whether this version has `layer.stream`."""
        return hasattr(self.elman.layers.LSTM, "stream")

    def make(self, mode: str, problem: Problem, threads: int) -> Call | None:
        """A function that runs the mode once."""
        layer = self._layer(problem)
        if mode == "streaming":
            stream, row = layer.stream(batch_size=1), problem.x[:, 0]
            return lambda: stream.step(row)
        if mode == "training":
            return self._training(layer, problem)
        return lambda: layer(problem.x)

    def output(self, result: Any) -> np.ndarray:
        """As [N, T, H]."""
        y = np.asarray(result)
        return y if y.ndim == 3 else y[:, None]

    def _training(self, layer: Any, problem: Problem) -> Call:
        x, weights, tape_type = problem.x, layer.trainable_weights, self.elman.GradientTape
        d_output = self.elman.Tensor(problem.d_output)
        optimizer = self.elman.optimizers.SGD(1e-9)

        def step() -> None:
            with tape_type() as tape:
                y = layer(x, training=True)
            gradients = tape.gradient(y, weights, output_gradients=d_output)
            optimizer.apply(gradients, weights)

        return step

    def _layer(self, problem: Problem) -> Any:
        _, _, f, h = problem.workload
        layer = getattr(self.elman.layers, problem.cell)(
            h, return_sequences=True, recurrent_initializer="zeros"
        )
        layer.build((None, None, f))
        layer.set_weights([problem.kernel, problem.recurrent_kernel, problem.bias])
        return layer


def installed(*modules: str) -> bool:
    """Whether all of them can be imported."""
    return all(importlib.util.find_spec(module) for module in modules)


KERAS_BACKENDS = ("tensorflow", "jax", "torch")  # the first that is installed is the default


def peers(without: list[str], keras_backend: str) -> list[Contestant]:
    """The libraries to compare with that are installed.

    Args:
        without: names of libraries to leave out.
        keras_backend: one of KERAS_BACKENDS, 'auto' or 'none'; a process can have one only.
    """
    found: list[Contestant] = []
    if "PyTorch" not in without and installed("torch"):
        from contestant_torch import PyTorch

        found.append(PyTorch())
    if "ONNX Runtime" not in without and installed("onnxruntime", "onnx"):
        from contestant_onnx import OnnxRuntime

        found.append(OnnxRuntime())
    if keras_backend == "auto":
        keras_backend = next(filter(installed, KERAS_BACKENDS), "none")
    if keras_backend != "none" and "Keras" not in without and installed("keras", keras_backend):
        from contestant_keras import Keras

        found.append(Keras(keras_backend))
    return found
