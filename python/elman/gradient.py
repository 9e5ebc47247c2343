# SPDX-License-Identifier: Apache-2.0
"""`GradientTape`: records tensor operations and gives gradients, as TensorFlow's does."""

from __future__ import annotations

from collections.abc import Callable
from contextlib import AbstractContextManager
from typing import Any

from elman._backend import core
from elman._errors import fail_text
from elman._tensors import Tensor, as_tensor


def flatten(structure: Any) -> list[Any]:
    """The leaves of nested lists, tuples and dicts, in order."""
    if isinstance(structure, dict):
        return [leaf for item in structure.values() for leaf in flatten(item)]
    if isinstance(structure, (list, tuple)):
        return [leaf for item in structure for leaf in flatten(item)]
    return [structure]


def map_structure(function: Callable[[Any], Any], structure: Any) -> Any:
    """The same nested structure with every leaf replaced by `function(leaf)`."""
    if isinstance(structure, dict):
        return {key: map_structure(function, item) for key, item in structure.items()}
    if isinstance(structure, tuple) and hasattr(structure, "_fields"):
        return type(structure)(*(map_structure(function, item) for item in structure))
    if isinstance(structure, (list, tuple)):
        return type(structure)(map_structure(function, item) for item in structure)
    return function(structure)


class GradientTape:
    """Records what is computed in its block; `gradient` then differentiates it.

    Args:
        persistent: allow several calls of `gradient`; the record lives as long as the tape.
        watch_accessed_variables: watch trainable variables as soon as they are used.

    Trainable `elman.Variable`s are watched by themselves, other tensors after `watch`. A fused
    layer is one entry of the record. Gradients of gradients are not available. Arrays that are used
    in the block are copied unless they are read-only, so they may be overwritten before `gradient`
    is called; a `Tensor` made of an array before the block shares its memory.

    Example:
        >>> import elman
        >>> w = elman.Variable([3.0])
        >>> with elman.GradientTape() as tape:
        ...     loss = elman.backend.sum(w * w)
        >>> tape.gradient(loss, w).numpy()
        array([6.], dtype=float32)

    Source: the interface is that of `tensorflow.GradientTape`.
    """

    def __init__(self, persistent: bool = False, watch_accessed_variables: bool = True) -> None:
        self._tape = core.Tape(persistent, watch_accessed_variables)

    def __enter__(self) -> GradientTape:
        self._tape.__enter__()
        return self

    def __exit__(self, *error: Any) -> None:
        self._tape.__exit__(*error)

    def watch(self, tensor: Any) -> None:
        """Record what is computed from a tensor, or from each one of a nested structure.

        Errors: TypeError for something that is not a Tensor, such as a numpy array.
        """
        tensors = flatten(tensor)
        for item in tensors:
            if not isinstance(item, Tensor):
                hint = "make it an elman.Tensor first and compute with that"
                got = type(item).__name__
                raise TypeError(fail_text("GradientTape.watch", "tensor", "a Tensor", got, hint))
        self._tape.watch(tensors)

    def gradient(
        self,
        target: Any,
        sources: Any,
        output_gradients: Any = None,
        unconnected_gradients: str = "none",
    ) -> Any:
        """d(sum of target) / d(sources), in the structure of `sources`.

        Args:
            target: a tensor, or a nested structure whose sums are added.
            sources: a variable or watched tensor, or a nested structure of them.
            output_gradients: weights of the target's elements, in the structure of `target`.
            unconnected_gradients: 'none' gives None where target does not depend on a source,
                'zero' gives zeros.

        Errors: TypeError for a source that is not a Tensor; RuntimeError for a second call on a
        tape that is not persistent.
        """
        where = "GradientTape.gradient"
        if unconnected_gradients not in ("none", "zero"):
            expected, got = "'none' or 'zero'", repr(unconnected_gradients)
            raise ValueError(fail_text(where, "unconnected_gradients", expected, got))
        if self._plain(target, sources, output_gradients) and unconnected_gradients == "none":
            weights = None if output_gradients is None else [output_gradients]
            return self._tape.gradient(target, sources, weights)
        flat = flatten(sources)
        for kind, items in (("sources", flat), ("target", flatten(target))):
            for item in items:
                if not isinstance(item, Tensor):
                    raise TypeError(fail_text(where, kind, "Tensors", type(item).__name__))
        weights = None
        if output_gradients is not None:
            pairs = zip(flatten(output_gradients), flatten(target), strict=True)
            weights = [None if g is None else as_tensor(g, t.dtype) for g, t in pairs]
        tape: Any = self._tape
        found = tape.gradient(flatten(target), flat, weights)
        if unconnected_gradients == "zero":
            found = [
                core.zeros_like(source) if grad is None else grad
                for grad, source in zip(found, flat, strict=True)
            ]
        ordered = iter(found)
        return map_structure(lambda _: next(ordered), sources)

    @staticmethod
    def _plain(target: Any, sources: Any, output_gradients: Any) -> bool:
        """The usual call: a tensor and a list of variables need no search through structures."""
        return (
            type(target) is Tensor
            and type(sources) is list
            and (
                output_gradients is None
                or (type(output_gradients) is Tensor and output_gradients.dtype == target.dtype)
            )
            and all(isinstance(source, Tensor) for source in sources)
        )

    def stop_recording(self) -> AbstractContextManager[Any]:
        """A block within the tape's block whose operations are not recorded."""
        return self._tape.stop_recording()

    def reset(self) -> None:
        """Forget everything recorded so far."""
        self._tape.reset()
