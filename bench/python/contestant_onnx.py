# SPDX-License-Identifier: Apache-2.0
"""The LSTM, GRU and RNN operators of ONNX Runtime; no training."""

from __future__ import annotations

from typing import Any

import numpy as np
import onnx
import onnxruntime
from contestants import Call
from onnx import helper
from problem import Problem

_ORDER = {"SimpleRNN": "h", "GRU": "zrh", "LSTM": "iofc"}
_STATES = {"SimpleRNN": ["h"], "GRU": ["h"], "LSTM": ["h", "c"]}


class OnnxRuntime:
    """ONNX Runtime with a model of one node."""

    name = "ONNX Runtime"

    def version(self) -> str:
        """As printed above the table."""
        return onnxruntime.__version__

    def set_threads(self, threads: int) -> None:
        """Each session has its own number."""

    def make(self, mode: str, problem: Problem, threads: int) -> Call | None:
        """A function that runs the mode once."""
        if mode == "training":
            return None
        options = onnxruntime.SessionOptions()
        options.intra_op_num_threads, options.inter_op_num_threads = threads, 1
        states = _STATES[problem.cell] if mode == "streaming" else []
        session = onnxruntime.InferenceSession(
            _model(problem, states).SerializeToString(),
            options,
            providers=["CPUExecutionProvider"],
        )
        feed = {"x": np.ascontiguousarray(problem.x.swapaxes(0, 1))}
        if not states:
            return lambda: session.run(["y"], feed)[0]
        return _streaming(session, feed, states, problem.workload.h)

    def output(self, result: Any) -> np.ndarray:
        """From [T, 1, N, H] or a state [1, N, H] to [N, T, H]."""
        n, h = result.shape[-2:]
        return result.reshape(-1, n, h).swapaxes(0, 1)


def _streaming(session: Any, feed: dict[str, np.ndarray], states: list[str], h: int) -> Call:
    names = [f"{state}_out" for state in states]
    feed.update({state: np.zeros((1, 1, h), "float32") for state in states})

    def run() -> Any:
        results = session.run(names, feed)
        feed.update(zip(states, results, strict=True))
        return results[0]

    return run


def _model(problem: Problem, states: list[str]) -> Any:
    """One node; with states it reads and gives these and not the sequence."""
    _, _, f, h = problem.workload
    kind = {"SimpleRNN": "RNN"}.get(problem.cell, problem.cell)
    kernel, recurrent_kernel, bias = problem.weights(_ORDER[problem.cell])
    values = {"w": kernel.T[None], "r": recurrent_kernel.T[None], "b": bias.reshape(1, -1)}
    real = onnx.TensorProto.FLOAT

    def state(name: str) -> Any:
        return helper.make_tensor_value_info(name, real, [1, None, h])

    outputs = [f"{name}_out" for name in states]
    node = helper.make_node(
        kind,
        ["x", "w", "r", "b", *(["", *states] if states else [])],
        ["", *outputs] if states else ["y"],
        hidden_size=h,
        **({"linear_before_reset": 1} if kind == "GRU" else {}),
    )
    sequence = helper.make_tensor_value_info("y", real, [None, 1, None, h])
    graph = helper.make_graph(
        [node],
        "layer",
        [helper.make_tensor_value_info("x", real, [None, None, f]), *map(state, states)],
        [state(name) for name in outputs] if states else [sequence],
        [onnx.numpy_helper.from_array(np.ascontiguousarray(v), k) for k, v in values.items()],
    )
    return helper.make_model(graph, opset_imports=[helper.make_opsetid("", 14)], ir_version=8)
