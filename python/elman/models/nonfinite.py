# SPDX-License-Identifier: Apache-2.0
"""Where a NaN or an infinite loss comes from."""

from __future__ import annotations

from typing import Any

import numpy as np

from elman._tensors import Tensor
from elman.gradient import flatten


def _first(array: np.ndarray) -> tuple[int, ...] | None:
    bad = np.logical_not(np.isfinite(array))
    return tuple(int(i) for i in np.argwhere(bad)[0]) if bad.any() else None


def _place(array: np.ndarray, index: tuple[int, ...]) -> str:
    """`sample 3, time step 17` for sequences, `sample 3` for everything else."""
    if array.ndim >= 3:
        # The earliest time step matters, not the first sample.
        rows = np.isfinite(array.reshape(array.shape[0], array.shape[1], -1))
        steps = np.logical_not(rows.all(axis=2))
        step = int(np.argmax(steps.any(axis=0)))
        return f"sample {int(np.argmax(steps[:, step]))}, time step {step}"
    return f"sample {index[0]}" if index else "the value"


def _in_data(what: str, data: Any) -> str | None:
    for leaf in flatten(data):
        array = np.asarray(leaf) if leaf is not None else np.zeros(0)
        index = _first(array) if array.dtype.kind == "f" else None
        if index is not None:
            return f"{what} holds {array[index]} at {_place(array, index)}"
    return None


def _in_weights(model: Any) -> str | None:
    for layer in model.layers:
        for weight in layer.weights:
            if _first(weight.numpy()) is not None:
                return (
                    f"the weight {weight.name!r} of layer {layer.name!r} is not finite; an earlier "
                    "update destroyed it: lower the learning rate or set clipnorm"
                )
    return None


def _in_layers(model: Any, x: Any) -> str | None:
    """Run the model again and look at what each layer returns."""
    found: list[str] = []
    watched = [layer for layer in model.submodules() if callable(getattr(layer, "call", None))]

    def watch(layer: Any) -> None:
        call = layer.call

        def looked_at(*args: Any, **kwargs: Any) -> Any:
            output = call(*args, **kwargs)
            for leaf in flatten(output):
                array = np.asarray(leaf if isinstance(leaf, Tensor) else 0)
                index = _first(array) if array.dtype.kind == "f" else None
                if index is not None and not found:
                    found.append(
                        f"the output of layer {layer.name!r} ({type(layer).__name__}) is the first "
                        f"to hold {array[index]}, at {_place(array, index)}"
                    )
            return output

        layer.__dict__["call"] = looked_at

    try:
        for layer in watched:
            watch(layer)
        model(x, training=True)
    finally:
        for layer in watched:
            layer.__dict__.pop("call", None)
    return found[0] if found else None


def explain(model: Any, x: Any, y: Any, sample_weight: Any) -> str:
    """One sentence that names the first place where values are not finite."""
    return (
        _in_data("x", x)
        or _in_data("y", y)
        or _in_data("sample_weight", sample_weight)
        or _in_weights(model)
        or _in_layers(model, x)
        or "all outputs of the layers are finite, so the loss itself overflows"
    )
