# SPDX-License-Identifier: Apache-2.0
"""The same recurrent layer in each library, as functions that can be timed.

All get equal weights, in Keras' layout and gate order, so that their outputs can be compared.
Every library works on its own natural layout: [N, T, F], for ONNX Runtime [T, N, F].
"""

from __future__ import annotations

import importlib.util
from collections.abc import Callable
from typing import Any, NamedTuple

import numpy as np

import elman

GATES = {"SimpleRNN": 1, "GRU": 3, "LSTM": 4}


class Workload(NamedTuple):
    """N sequences of T steps with F features, H units."""

    n: int
    t: int
    f: int
    h: int

    def flops(self, cell: str) -> float:
        """Of one forward run; the products alone."""
        return 2.0 * self.n * self.t * GATES[cell] * self.h * (self.f + self.h)

    def __str__(self) -> str:
        return ", ".join(map(str, self))


class Problem:
    """Input, weights and the gradient of the output, the same for every library."""

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

    def blocks(self, array: np.ndarray, order: str) -> np.ndarray:
        """The gates of the last axis in another order, e.g. 'iofc' from Keras' 'ifco'."""
        own = {"SimpleRNN": "h", "GRU": "zrh", "LSTM": "ifco"}[self.cell]
        parts = dict(zip(own, np.split(array, len(own), axis=-1), strict=True))
        return np.concatenate([parts[gate] for gate in order], axis=-1)


class Elman:
    """This library."""

    name = "elman"

    def version(self) -> str:
        """As printed in the table."""
        return f"{elman.__version__} ({elman.config()['isa']})"

    def set_threads(self, threads: int) -> None:
        """How many threads a kernel may use."""
        elman.set_num_threads(threads)

    def inference(self, problem: Problem, threads: int) -> Callable[[], Any]:
        """A function that returns [N, T, H]."""
        layer, x = self._layer(problem), problem.x
        return lambda: layer(x)

    def training(self, problem: Problem, threads: int) -> Callable[[], Any]:
        """Forward, backward to all weights, one step of plain SGD."""
        layer, x = self._layer(problem), problem.x
        weights = layer.trainable_weights
        d_output = elman.Tensor(problem.d_output)
        optimizer = elman.optimizers.SGD(1e-9)

        def step() -> None:
            with elman.GradientTape() as tape:
                y = layer(x, training=True)
            gradients = tape.gradient(y, weights, output_gradients=d_output)
            optimizer.apply(gradients, weights)

        return step

    def output(self, result: Any) -> np.ndarray:
        """What `inference` gave, as [N, T, H]."""
        return np.asarray(result)

    @staticmethod
    def _layer(problem: Problem) -> Any:
        _, _, f, h = problem.workload
        layer = getattr(elman.layers, problem.cell)(h, return_sequences=True)
        layer.build((None, None, f))
        layer.set_weights([problem.kernel, problem.recurrent_kernel, problem.bias])
        return layer


class PyTorch:
    """torch.nn.LSTM, GRU and RNN on the CPU."""

    name = "PyTorch"
    modules = ("torch",)

    def __init__(self) -> None:
        import torch

        self.torch = torch

    def version(self) -> str:
        """As printed in the table."""
        return self.torch.__version__

    def set_threads(self, threads: int) -> None:
        """How many threads an operation may use."""
        self.torch.set_num_threads(threads)

    def inference(self, problem: Problem, threads: int) -> Callable[[], Any]:
        """A function that returns [N, T, H]."""
        module, x = self._module(problem).eval(), self.torch.from_numpy(problem.x)
        inference_mode = self.torch.inference_mode

        def run() -> Any:
            with inference_mode():
                return module(x)[0]

        return run

    def training(self, problem: Problem, threads: int) -> Callable[[], Any]:
        """Forward, backward to all weights, one step of plain SGD."""
        module, x = self._module(problem), self.torch.from_numpy(problem.x)
        d_output = self.torch.from_numpy(problem.d_output)
        optimizer = self.torch.optim.SGD(module.parameters(), lr=1e-9)

        def step() -> None:
            optimizer.zero_grad(set_to_none=True)
            module(x)[0].backward(d_output)
            optimizer.step()

        return step

    def output(self, result: Any) -> np.ndarray:
        """What `inference` gave, as [N, T, H]."""
        return result.numpy()

    def _module(self, problem: Problem) -> Any:
        _, _, f, h = problem.workload
        kind = {"SimpleRNN": "RNN"}.get(problem.cell, problem.cell)
        order = {"SimpleRNN": "h", "GRU": "rzh", "LSTM": "ifco"}[problem.cell]
        bias = problem.blocks(problem.bias, order)
        both = bias if bias.ndim == 2 else np.stack([bias, np.zeros_like(bias)])
        module = getattr(self.torch.nn, kind)(f, h, batch_first=True)
        values = {
            "weight_ih_l0": problem.blocks(problem.kernel, order).T,
            "weight_hh_l0": problem.blocks(problem.recurrent_kernel, order).T,
            "bias_ih_l0": both[0],
            "bias_hh_l0": both[1],
        }
        with self.torch.no_grad():
            for name, value in values.items():
                getattr(module, name).copy_(self.torch.from_numpy(np.ascontiguousarray(value)))
        return module


class OnnxRuntime:
    """The LSTM, GRU and RNN operators of ONNX Runtime; inference only."""

    name = "ONNX Runtime"
    modules = ("onnxruntime", "onnx")
    training = None

    def __init__(self) -> None:
        import onnx
        import onnxruntime

        self.onnx, self.runtime = onnx, onnxruntime

    def version(self) -> str:
        """As printed in the table."""
        return self.runtime.__version__

    def set_threads(self, threads: int) -> None:
        """Each session has its own number."""

    def inference(self, problem: Problem, threads: int) -> Callable[[], Any]:
        """A function that returns [T, 1, N, H]."""
        options = self.runtime.SessionOptions()
        options.intra_op_num_threads, options.inter_op_num_threads = threads, 1
        session = self.runtime.InferenceSession(
            self._model(problem).SerializeToString(), options, providers=["CPUExecutionProvider"]
        )
        feed = {"x": np.ascontiguousarray(problem.x.swapaxes(0, 1))}
        return lambda: session.run(["y"], feed)[0]

    def output(self, result: Any) -> np.ndarray:
        """What `inference` gave, as [N, T, H]."""
        return result[:, 0].swapaxes(0, 1)

    def _model(self, problem: Problem) -> Any:
        helper, h = self.onnx.helper, problem.workload.h
        kind = {"SimpleRNN": "RNN"}.get(problem.cell, problem.cell)
        order = {"SimpleRNN": "h", "GRU": "zrh", "LSTM": "iofc"}[problem.cell]
        bias = problem.blocks(problem.bias, order)
        both = bias if bias.ndim == 2 else np.stack([bias, np.zeros_like(bias)])
        values = {
            "w": problem.blocks(problem.kernel, order).T[None],
            "r": problem.blocks(problem.recurrent_kernel, order).T[None],
            "b": both.reshape(1, -1),
        }
        extra = {"linear_before_reset": 1} if kind == "GRU" else {}
        node = helper.make_node(kind, ["x", "w", "r", "b"], ["y"], hidden_size=h, **extra)
        real = self.onnx.TensorProto.FLOAT
        graph = helper.make_graph(
            [node],
            "layer",
            [helper.make_tensor_value_info("x", real, [None, None, problem.workload.f])],
            [helper.make_tensor_value_info("y", real, [None, 1, None, h])],
            [self.onnx.numpy_helper.from_array(np.ascontiguousarray(v), k)
             for k, v in values.items()],
        )  # fmt: skip
        opset = [helper.make_opsetid("", 14)]
        return helper.make_model(graph, opset_imports=opset, ir_version=8)


def peers() -> list[Any]:
    """The libraries to compare with that are installed."""
    return [
        kind()
        for kind in (PyTorch, OnnxRuntime)
        if all(importlib.util.find_spec(module) for module in kind.modules)
    ]
