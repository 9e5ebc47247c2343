# SPDX-License-Identifier: Apache-2.0
"""The layer calls of a functional model: found from its outputs, ordered once, run in a flat loop.

The order of `Graph.layers`, and so that of a model's weights, is Keras': by the longest way to an
output, longest first; layers at the same distance in the order in which they are met when the
outputs are traced back (keras/models/functional.py, `map_graph_network`).
"""

from __future__ import annotations

import operator
from collections import Counter
from collections.abc import Callable, Sequence
from typing import Any

from elman._errors import fail_text
from elman._symbolic import Node, SymbolicTensor, is_symbolic, remember_node, replace_symbolic
from elman._tensors import mask_of
from elman.layers.input_layer import InputLayer

Values = list[Any]


class Graph:
    """What lies between input tensors and output tensors.

    Args:
        where: class of the model, for error texts.
        inputs: a tensor of `elman.Input`, a list or a dict of them.
        outputs: a symbolic tensor, a list or a dict of them.

    Attributes:
        nodes: the calls, each after those whose outputs it takes.
        layers: the layers, without repetition, in Keras' order.
        inputs, outputs: the tensors as lists; a list of one counts as the tensor itself.
        input_names, output_names: keys of the dicts, else names of the layers.
    """

    def __init__(self, where: str, inputs: Any, outputs: Any) -> None:
        self.nodes: list[Node] = []  # first: so a copy meets each node before what depends on it
        self.inputs = _tensors(where, "inputs", inputs)
        self.outputs = _tensors(where, "outputs", outputs)
        _check_inputs(where, self.inputs)
        self.input_keys = tuple(inputs) if isinstance(inputs, dict) else None
        self.output_keys = tuple(outputs) if isinstance(outputs, dict) else None
        met = self._trace(where)
        self.layers = self._ordered_layers(met)
        _check_names(where, self.layers)
        self.input_names = list(self.input_keys or [t.history.layer.name for t in self.inputs])
        names = self.output_keys or [tensor.history.layer.name for tensor in self.outputs]
        self.output_names = _numbered(names)
        self._compile()

    def __setstate__(self, state: dict[str, Any]) -> None:
        self.__dict__.update(state)
        for node in self.nodes:  # the layers of a copy do not know their calls
            remember_node(node)
        self._compile()

    def __getstate__(self) -> dict[str, Any]:
        left_out = ("_steps", "_in_slots", "_out_slots", "_slots")  # they hold functions
        return {key: value for key, value in self.__dict__.items() if key not in left_out}

    # -- order ----------------------------------------------------------------------------------

    def _trace(self, where: str) -> dict[int, int]:
        """Fill `nodes` from the outputs backwards; id(layer) -> when it was met first.

        Without recursion: a decoder that is written out step by step makes a long chain.
        """
        given = {id(tensor.history) for tensor in self.inputs}
        met: dict[int, int] = {}
        done: set[int] = set()
        for tensor in self.outputs:
            pending = [(tensor.history, False)]
            while pending:
                node, ready = pending.pop()
                if id(node) in done:
                    continue
                if ready:
                    done.add(id(node))
                    self.nodes.append(node)
                    continue
                met.setdefault(id(node.layer), len(met))
                if isinstance(node.layer, InputLayer) and id(node) not in given:
                    raise ValueError(_disconnected(where, node, self.outputs))
                pending.append((node, True))
                pending += [(source.history, False) for source in reversed(node.inputs)]
        unused = [t.history for t in self.inputs if id(t.history) not in done]
        self.nodes = [*unused, *self.nodes]
        return met

    def _ordered_layers(self, met: dict[int, int]) -> list[Any]:
        node_depth: dict[int, int] = {}
        depths: dict[int, int] = {}
        for node in reversed(self.nodes):
            key = id(node.layer)
            depth = max(node_depth.get(id(node), 0), depths.get(key, 0))
            node_depth[id(node)] = depths[key] = depth
            for source in node.inputs:
                before = id(source.history)
                node_depth[before] = max(node_depth.get(before, 0), depth + 1)
        self.depths = [node_depth[id(node)] for node in self.nodes]
        layers = list({id(node.layer): node.layer for node in self.nodes}.values())
        return sorted(layers, key=lambda layer: (-depths[id(layer)], met.get(id(layer), -1)))

    def calls_of(self, layer: Any) -> list[Node]:
        """The calls of a layer in this graph."""
        return [node for node in self.nodes if node.layer is layer]

    def place_of(self, tensor: SymbolicTensor) -> tuple[str, int, int]:
        """Where a tensor comes from: layer name, number of the layer's call, number of output."""
        calls = self.calls_of(tensor.history.layer)
        return tensor.history.layer.name, calls.index(tensor.history), tensor.index

    def chain(self) -> list[Any] | None:
        """The layers after the input if each takes just the output before it, else None."""
        steps = [node for node in self.nodes if not isinstance(node.layer, InputLayer)]
        expected: Any = self.inputs[0] if len(self.inputs) == 1 else None
        for node in steps:
            if len(node.args) != 1 or node.args[0] is not expected or node.kwargs or node.several:
                return None
            expected = node.outputs[0]
        return [n.layer for n in steps] if [expected] == self.outputs else None

    # -- running --------------------------------------------------------------------------------

    def _compile(self) -> None:
        """Turn the nodes into steps (layer, what it takes, where it goes, whether it is several).

        Values live in a list of slots. A slot is used again once the last step that reads it is
        done, so that a long inference keeps no more alive than it still needs.
        """
        last_use = {id(t): index for index, n in enumerate(self.nodes) for t in n.inputs}
        last_use |= {id(tensor): len(self.nodes) for tensor in self.outputs}
        slots: dict[int, int] = {}
        free: list[int] = []
        self._slots, self._steps = 0, []

        def allocate(tensor: SymbolicTensor) -> int:
            if not free:
                free.append(self._slots)
                self._slots += 1
            slots[id(tensor)] = free.pop()
            return slots[id(tensor)]

        self._in_slots = [allocate(tensor) for tensor in self.inputs]
        for index, node in enumerate(self.nodes):
            if isinstance(node.layer, InputLayer):
                continue
            take = _fetcher(node, slots)
            sources = {id(t): t for t in node.inputs}.values()
            free += [slots[id(t)] for t in sources if last_use[id(t)] == index]
            used = [tensor for tensor in node.outputs if id(tensor) in last_use]
            if node.several or node.keys is not None:
                keys = node.keys or range(len(node.outputs))
                place: Any = [(keys[tensor.index], allocate(tensor)) for tensor in used]
            else:
                place = allocate(node.outputs[0])
            self._steps.append((node.layer, take, place, type(place) is list))
        self._out_slots = [slots[id(tensor)] for tensor in self.outputs]

    def run(self, inputs: Sequence[Any]) -> Any:
        """The outputs, in the form in which they were given, for one tensor per input."""
        values: Values = [None] * self._slots
        for slot, x in zip(self._in_slots, inputs, strict=True):
            values[slot] = x
        for layer, take, place, several in self._steps:
            if type(take) is int:
                output = layer(values[take])
            elif type(take) is tuple:
                output = layer([values[slot] for slot in take])
            else:
                args, kwargs = take(values)
                output = layer(*args, **kwargs)
            if several:
                for key, slot in place:
                    values[slot] = output[key]
            else:
                values[place] = output
        return self.packed([values[slot] for slot in self._out_slots])

    def packed(self, items: Sequence[Any]) -> Any:
        """One item per output in the form in which the outputs were given."""
        if self.output_keys is not None:
            return dict(zip(self.output_keys, items, strict=True))
        return items[0] if len(items) == 1 else list(items)

    # -- shapes and replays ---------------------------------------------------------------------

    def replay(self, inputs: Sequence[Any], call: Callable[[Node, Any, Any], Any]) -> list[Any]:
        """What each output becomes when `call(node, args, kwargs)` stands in for every layer.

        Args:
            inputs: what stands in for the input tensors.
            call: returns one item, or a list or dict of them like the layer.
        """
        items = {id(tensor): item for tensor, item in zip(self.inputs, inputs, strict=True)}
        for node in self.nodes:
            if isinstance(node.layer, InputLayer):
                continue
            args, kwargs = (
                replace_symbolic(part, lambda tensor: items[id(tensor)])
                for part in (node.args, node.kwargs)
            )
            result = call(node, args, kwargs)
            keys = node.keys or range(len(node.outputs))
            several = node.several or node.keys is not None
            for key, tensor in zip(keys, node.outputs, strict=True):
                items[id(tensor)] = result[key] if several else result
        return [items[id(tensor)] for tensor in self.outputs]

    def output_shapes(self, shapes: Sequence[Any]) -> list[Any]:
        """The shapes of the outputs for other sizes of the inputs."""
        if [tuple(shape) for shape in shapes] == [tensor.shape for tensor in self.inputs]:
            return [tensor.shape for tensor in self.outputs]
        return self.replay(
            shapes, lambda node, args, kwargs: node.layer.compute_output_shape(args[0])
        )

    def masks(self, inputs: Sequence[Any]) -> Any:
        """The masks that the outputs carry, in the form of the outputs."""
        outputs = self.run(inputs)
        items = outputs.values() if isinstance(outputs, dict) else outputs
        items = items if isinstance(outputs, (list, dict)) else [outputs]
        return self.packed([mask_of(item) for item in items])


def _fetcher(node: Node, slots: dict[int, int]) -> Any:
    """What the layer takes: a slot, a tuple of slots, or a function of all values."""
    args, kwargs = node.args, node.kwargs
    if len(args) == 1 and not kwargs:
        if isinstance(args[0], SymbolicTensor):
            return slots[id(args[0])]
        if isinstance(args[0], (list, tuple)) and all(
            isinstance(t, SymbolicTensor) for t in args[0]
        ):
            return tuple(slots[id(tensor)] for tensor in args[0])
    fetch_args, fetch_kwargs = _fetch(list(args), slots), _fetch(kwargs, slots)
    return lambda values: (fetch_args(values), fetch_kwargs(values))


def _fetch(structure: Any, slots: dict[int, int]) -> Callable[[Values], Any]:
    """A function that gives the structure with values in place of its symbolic tensors."""
    if isinstance(structure, SymbolicTensor):
        return operator.itemgetter(slots[id(structure)])
    if not is_symbolic(structure):
        return lambda values: structure
    if isinstance(structure, dict):
        parts = {key: _fetch(item, slots) for key, item in structure.items()}
        return lambda values: {key: part(values) for key, part in parts.items()}
    items = [_fetch(item, slots) for item in structure]
    return lambda values: [item(values) for item in items]


def _tensors(where: str, what: str, given: Any) -> list[SymbolicTensor]:
    """The tensors of a tensor, a list or a dict."""
    if isinstance(given, dict):
        items = [(f"{what}[{key!r}]", item) for key, item in given.items()]
    elif isinstance(given, (list, tuple)):
        items = [(f"{what}[{index}]", item) for index, item in enumerate(given)]
    else:
        items = [(what, given)]
    if not items:
        raise ValueError(fail_text(where, what, "at least one tensor", "none"))
    for name, item in items:
        if not isinstance(item, SymbolicTensor):
            expected = "a symbolic tensor, or a list or dict of them"
            hint = "start from elman.Input(shape) and call layers on it"
            raise TypeError(fail_text(where, name, expected, type(item).__name__, hint))
    return [item for _, item in items]


def _check_inputs(where: str, inputs: Sequence[SymbolicTensor]) -> None:
    for index, tensor in enumerate(inputs):
        what, layer = f"inputs[{index}]", tensor.history.layer
        if not isinstance(layer, InputLayer):
            hint = "to start in the middle of another model, call its later layers on a new Input"
            got = f"an output of layer {layer.name!r}"
            raise ValueError(fail_text(where, what, "a tensor of elman.Input", got, hint))
        if any(tensor is other for other in inputs[:index]):
            raise ValueError(fail_text(where, what, "each input once", f"{layer.name!r} twice"))


def _disconnected(where: str, node: Node, outputs: Sequence[SymbolicTensor]) -> str:
    name, shape = node.layer.name, node.outputs[0].shape
    made = ", ".join(repr(tensor.history.layer.name) for tensor in outputs)
    got = f"a graph disconnected from {name!r} with shape {shape}"
    return fail_text(
        where, "inputs", f"every Input that {made} needs", got, f"add {name!r} to them"
    )


def _check_names(where: str, layers: Sequence[Any]) -> None:
    name, count = Counter(layer.name for layer in layers).most_common(1)[0]
    if count > 1:
        hint = "give one of the layers another name; to share weights call one layer twice"
        got = f"{count} layers named {name!r}"
        raise ValueError(fail_text(where, "layers", "different names", got, hint))


def _numbered(names: Sequence[str]) -> list[str]:
    """The names; one that occurs again gets a number: a, a_1, a_2."""
    seen: Counter[str] = Counter()
    found = []
    for name in names:
        found.append(f"{name}_{seen[name]}" if seen[name] else name)
        seen[name] += 1
    return found
