# SPDX-License-Identifier: Apache-2.0
"""The HDF5 layout of Keras 1 and 2: a list of layers, each with a list of its weights.

Attribute `layer_names` of the root, or of `model_weights` in the file of a whole model; a group per
layer with the attribute `weight_names`, which are places within the group. The names mean nothing:
layers with weights are matched in order, as are the weights within a layer.

Source: `save_weights_to_hdf5_group` of Keras 2.
"""

from __future__ import annotations

from collections.abc import Iterator
from typing import Any

from elman.saving import hdf5, keras1
from elman.saving.hdf5 import Tree
from elman.saving.stored import Pairs, Stored, check_names, mismatch, trained_first

# What the files say they were written by: their layout and conventions are those of this version.
KERAS_VERSION, BACKEND = "2.15.0", "tensorflow"
_TOP = "top_level_model_weights"
# The group of the weights in the file of a whole model.
WHOLE = "model_weights"


def weights_of(layer: Any) -> list[Any]:
    """The weights of a layer in the order of the file: those that are trained come first."""
    return [*layer.trainable_weights, *layer.non_trainable_weights]


def _top_level(model: Any) -> list[Any]:
    """Weights of a subclassed model itself, not of its layers."""
    return trained_first(model._found()[0])


# -- writing --------------------------------------------------------------------------------------


def write(group: Any, model: Any) -> None:
    """Write the weights of a model into a group."""
    hdf5.write_names(group, "layer_names", [layer.name for layer in model.layers])
    write_origin(group)
    for layer in model.layers:
        _write_weights(group.require_group(layer.name), weights_of(layer))
    _write_weights(group.require_group(_TOP), _top_level(model))


def write_origin(group: Any) -> None:
    """Say by which version of Keras, on what, the file is meant to be written."""
    hdf5.write_text(group, "keras_version", KERAS_VERSION)
    hdf5.write_text(group, "backend", BACKEND)


def _write_weights(group: Any, weights: list[Any]) -> None:
    named: dict[str, Any] = {}
    for weight in weights:
        name = base = str(getattr(weight, "path", None) or weight.name or "weight")
        number = 0
        while f"{name}:0" in named:
            number += 1
            name = f"{base}_{number}"
        named[f"{name}:0"] = weight
    hdf5.write_names(group, "weight_names", list(named))
    for name, weight in named.items():
        group.create_dataset(name, data=weight.numpy())


# -- reading --------------------------------------------------------------------------------------


def root_of(tree: Tree) -> Any:
    """The group with the weights; None for a file of another layout."""
    for group in (tree.root, tree.group(WHOLE)):
        if group is not None and tree.texts(group, "layer_names") is not None:
            return group
    return None


def pairs(model: Any, tree: Tree, root: Any, by_name: bool = False) -> Pairs:
    """The weights of the model with the arrays of the file.

    Errors: ValueError for another number of layers or weights; with `by_name`, only for a layer of
    the same name with another number of weights.
    """
    found = _layers(tree, root)
    version, backend = tree.text(root, "keras_version"), tree.text(root, "backend")
    matched: list[tuple[Any, Stored]] = []
    for layer, name, arrays in _matched(model, tree.path, found, by_name):
        arrays = keras1.upgraded(layer, arrays, version or "1", backend)
        weights = weights_of(layer)
        if len(arrays) != len(weights):
            order = ", ".join(f"{w.name} {tuple(w.shape)}" for w in weights)
            text = f"layer {name!r}: expected {len(weights)} arrays for {layer.name!r} ({order})"
            raise mismatch(tree.path, f"{text}, got {len(arrays)}")
        matched += zip(weights, arrays, strict=True)
    top = _weights(tree, root, _TOP) if tree.group(_TOP, root) is not None else []
    own = _top_level(model)
    if len(top) != len(own) and not by_name:
        names = [weight.name for weight in own[len(top) :]], [a.name for a in top[len(own) :]]
        check_names(tree.path, *names)
    matched += zip(own, top, strict=False)
    if not by_name:
        check_names(tree.path, [], tree.left_over(root))
    return matched


def _layers(tree: Tree, root: Any) -> dict[str, list[Stored]]:
    """The arrays of each layer with weights."""
    names = tree.texts(root, "layer_names") or []
    every = {name: _weights(tree, root, name) for name in names}
    if len(every) < len(names):
        raise tree.bad(f"layer_names: expected different names, got {names[:20]}")
    return {name: arrays for name, arrays in every.items() if arrays}


def _weights(tree: Tree, root: Any, layer: str) -> list[Stored]:
    group = tree.group(layer, root)
    if group is None:
        raise tree.bad(f"layer {layer!r} is listed in layer_names, but there is no such group")
    arrays = []
    for name in tree.texts(group, "weight_names") or ():
        stored = tree.stored(name, group)
        if stored is None:
            raise tree.bad(f"weight {name!r} of layer {layer!r} is listed, but not there")
        arrays.append(stored)
    return arrays


def _matched(
    model: Any, path: str, found: dict[str, list[Stored]], by_name: bool
) -> Iterator[tuple[Any, str, list[Stored]]]:
    """Layers of the model with the name and the arrays of one of the file."""
    layers = [layer for layer in model.layers if layer.weights]
    if by_name:
        yield from ((ly, ly.name, found[ly.name]) for ly in layers if ly.name in found)
        return
    if len(layers) != len(found):
        ours, theirs = [layer.name for layer in layers], list(found)
        text = f"expected {len(layers)} layers with weights ({', '.join(ours)}), got {len(found)} "
        raise mismatch(
            path,
            f"{text}({', '.join(theirs)}); the file belongs to another architecture, or pass "
            "by_name=True to load the layers that have equal names",
        )
    yield from ((ly, *item) for ly, item in zip(layers, found.items(), strict=True))
