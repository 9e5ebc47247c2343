# SPDX-License-Identifier: Apache-2.0
"""`Inspectable`: a model's ends, layers and summary, and the model one time step at a time."""

from __future__ import annotations

from collections.abc import Callable, Sequence
from typing import Any

from elman._errors import fail_text, unknown_text
from elman.layers.layer import Layer
from elman.layers.layer_calls import Derived
from elman.models.graph import Graph
from elman.models.summary import print_summary


class Inspectable(Layer):
    """The side of a model that tells what it is made of."""

    layers: Any
    _graph: Graph | None = None
    _arguments: Any

    def _ends(self, what: str) -> list[Any]:
        """The input or output tensors; AttributeError for a model that has none."""
        if self._graph is None:
            where = f"{type(self).__name__}.{what}"
            raise AttributeError(
                f"[{where}] only functional models and built Sequential models have {what}"
            )
        return list(self._graph.inputs if what == "inputs" else self._graph.outputs)

    inputs = Derived(lambda self: self._ends("inputs"), "The symbolic input tensors, as a list.")
    outputs = Derived(lambda self: self._ends("outputs"), "The symbolic output tensors.")
    input = Derived(lambda self: one_or_list(self.inputs), "The input tensor, or a list.")
    output = Derived(lambda self: one_or_list(self.outputs), "The output tensor, or a list.")
    input_names = Derived(
        lambda self: self._arguments.names if self._graph else [t.name for t in self.inputs],
        "The names of the inputs, in order.",
    )

    def get_layer(self, name: str | None = None, index: int | None = None) -> Any:
        """The layer of that name or index.

        Errors: ValueError when there is none, or when both or neither are given.
        """
        where = f"{type(self).__name__}.get_layer"
        if (name is None) == (index is None):
            got = "neither" if name is None else "both"
            raise ValueError(fail_text(where, "name, index", "one of the two", got))
        layers = self.layers
        if index is not None:
            if not -len(layers) <= index < len(layers):
                raise ValueError(fail_text(where, "index", f"below {len(layers)}", index))
            return layers[index]
        for layer in layers:
            if layer.name == name:
                return layer
        raise ValueError(unknown_text(where, "layer", name, [layer.name for layer in layers]))

    def summary(
        self,
        line_length: int | None = None,
        positions: Sequence[float] | None = None,
        print_fn: Callable[[str], Any] | None = None,
    ) -> None:
        """Print a table of the layers.

        A functional model whose layers do not just follow one another has a fourth column: which
        output of which call of which layer each one takes.

        Args:
            line_length: width, 65 by default, 98 with the fourth column.
            positions: ends of the columns, as numbers of characters or shares of the width.
            print_fn: called with each line; default `print`.

        Errors: ValueError when the model is not built.
        """
        self._check_built("summary")
        print_summary(self, line_length, positions, print_fn)

    def count_params(self) -> int:
        """Number of scalars in all weights."""
        self._check_built("count_params")
        return super().count_params()

    def _check_built(self, method: str) -> None:
        if not self.built:
            raise ValueError(
                f"[{type(self).__name__}.{method}] the model is not built yet; give the first "
                "layer an input_shape, call build(input_shape), or call the model on data"
            )

    def _chain_of_layers(self) -> list[Any] | None:
        """The layers, if they just follow one another."""
        return None if self._graph is None else self._graph.chain()

    def stream(self, batch_size: int = 1) -> Any:
        """The model one time step at a time, for data that arrives so.

        Shapes: `stream.step(x)` takes x [N, F] -> [N, H] with N = batch_size; for N = 1 also
        [F] -> [H]. What the model gives for all steps up to this one; `reset()`, `states` and
        `step(x, out)`: see `elman.streaming`.

        Raises:
            ValueError: the model is not built for (N, T, F), its layers do not just follow one
                another, or one needs more than one step: layers are SimpleRNN,
                GRU, LSTM, RNN of their cells, Dense, Activation, Dropout.

        Example:
            >>> import elman, numpy as np
            >>> layers = [elman.layers.LSTM(8, input_shape=(None, 3)), elman.layers.Dense(1)]
            >>> elman.Sequential(layers).stream().step(np.zeros(3, "float32")).shape
            (1,)
        """
        from elman import streaming

        return streaming.of_model(self, batch_size)


def one_or_list(items: list[Any]) -> Any:
    """The only item, or all."""
    return items[0] if len(items) == 1 else items
