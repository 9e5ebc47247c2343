# SPDX-License-Identifier: Apache-2.0
"""The symbolic calls of a layer: `layer.input`, `layer.output`, `layer.get_output_at`."""

from __future__ import annotations

from collections.abc import Callable
from typing import Any

from elman._errors import fail_text
from elman._symbolic import Node, nodes_of


class Derived:
    """A property that an attribute of the same name goes before.

    User classes have always assigned `self.output = Dense(1)`; a property would refuse it.
    """

    def __init__(self, get: Callable[[Any], Any], doc: str) -> None:
        self._get, self.__doc__ = get, doc

    def __get__(self, instance: Any, owner: type | None = None) -> Any:
        return self if instance is None else self._get(instance)


class LayerCalls:
    """What a layer was called on, and what it returned, as symbolic tensors."""

    name: str

    def _node(self, what: str, index: int | None) -> Node:
        nodes, where = nodes_of(self), f"{type(self).__name__}.{what}"
        if not nodes:
            raise AttributeError(
                f"[{where}] layer {self.name!r} was not called on a tensor of elman.Input, or "
                "nothing holds what it returned"
            )
        if index is None:
            if len(nodes) > 1:
                raise AttributeError(
                    f"[{where}] layer {self.name!r} was called {len(nodes)} times; use "
                    f"get_{what}_at(0) and so on"
                )
            return nodes[0]
        if not -len(nodes) <= index < len(nodes):
            raise ValueError(fail_text(where, "index", f"a call below {len(nodes)}", index))
        return nodes[index]

    def get_output_at(self, node_index: int) -> Any:
        """What call number `node_index` on symbolic tensors returned."""
        return self._node("output", node_index).packed()

    def get_input_at(self, node_index: int) -> Any:
        """What call number `node_index` took; a list of several tensors."""
        inputs = self._node("input", node_index).inputs
        return inputs[0] if len(inputs) == 1 else list(inputs)

    output = Derived(
        lambda self: self._node("output", None).packed(),
        "The symbolic tensor that the layer's one call returned.",
    )
    input = Derived(
        lambda self: self.get_input_at(-1) if self._node("input", None) else None,
        "The symbolic tensor, or list of them, that the layer's one call took.",
    )
