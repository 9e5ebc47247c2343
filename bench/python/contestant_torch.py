# SPDX-License-Identifier: Apache-2.0
"""torch.nn.LSTM, GRU and RNN on the CPU."""

from __future__ import annotations

from typing import Any

import numpy as np
import torch
from contestants import Call
from problem import Problem

_ORDER = {"SimpleRNN": "h", "GRU": "rzh", "LSTM": "ifco"}


class PyTorch:
    """PyTorch as one writes it by hand."""

    name = "PyTorch"
    torch = torch

    def version(self) -> str:
        """As printed above the table."""
        return torch.__version__

    def set_threads(self, threads: int) -> None:
        """How many threads an operation may use."""
        torch.set_num_threads(threads)

    def make(self, mode: str, problem: Problem, threads: int) -> Call | None:
        """A function that runs the mode once."""
        module, x = _module(problem), torch.from_numpy(problem.x)
        if mode == "training":
            return _training(module, x, torch.from_numpy(problem.d_output))
        module.eval()
        return _streaming(module, x) if mode == "streaming" else _inference(module, x)

    def output(self, result: Any) -> np.ndarray:
        """As [N, T, H]."""
        return result.numpy()


def _inference(module: Any, x: Any) -> Call:
    def run() -> Any:
        with torch.inference_mode():
            return module(x)[0]

    return run


def _streaming(module: Any, x: Any) -> Call:
    state = None

    def run() -> Any:
        nonlocal state
        with torch.inference_mode():
            y, state = module(x, state)
        return y

    return run


def _training(module: Any, x: Any, d_output: Any) -> Call:
    optimizer = torch.optim.SGD(module.parameters(), lr=1e-9)

    def step() -> None:
        optimizer.zero_grad(set_to_none=True)
        module(x)[0].backward(d_output)
        optimizer.step()

    return step


def _module(problem: Problem) -> Any:
    _, _, f, h = problem.workload
    kernel, recurrent_kernel, bias = problem.weights(_ORDER[problem.cell])
    kind = {"SimpleRNN": "RNN"}.get(problem.cell, problem.cell)
    module = getattr(torch.nn, kind)(f, h, batch_first=True)
    load(module, kernel, recurrent_kernel, bias)
    return module


def load(module: Any, kernel: np.ndarray, recurrent_kernel: np.ndarray, bias: np.ndarray) -> None:
    """Give a recurrent module weights whose gates are in its own order; bias [2, G H]."""
    values = {
        "weight_ih_l0": kernel.T,
        "weight_hh_l0": recurrent_kernel.T,
        "bias_ih_l0": bias[0],
        "bias_hh_l0": bias[1],
    }
    with torch.no_grad():
        for name, value in values.items():
            getattr(module, name).copy_(torch.from_numpy(np.ascontiguousarray(value)))
