# SPDX-License-Identifier: Apache-2.0
"""The HDF5 layout of Keras 3 and of `.keras` files: a tree of the layers and their parts.

`layers/<class>[_n]/<attribute>/.../vars/<i>`: a part of a layer lies under the attribute that holds
it, the layers of a model and lists of parts under their class in snake case, counted within the
list. A layer's own weights are `vars/0`, `vars/1`, ...; the parts of a subclassed model, which has
no list of layers, lie at the root.

Source: `_save_state` of Keras 3 (keras/src/saving/saving_lib.py) and of TensorFlow's Keras.
"""

from __future__ import annotations

from collections.abc import Iterator
from typing import Any, NamedTuple

from elman.layers._weights import _NOT_PARTS, WeightHolder
from elman.layers.cudnn import CuDNN
from elman.saving.hdf5 import Tree
from elman.saving.stored import Pairs, check_names, trained_first

# What files hold besides the weights of layers.
_OTHER_ROOTS = frozenset({"optimizer", "metrics", "compile_metrics", "loss_tracker"})
_OTHER_PARTS = frozenset({"seed_generator", "random_generator", "generator", "_random_generator"})
# TensorFlow 2.12 and 2.13 called the list of layers so.
_OLD_LAYERS = "_layer_checkpoint_dependencies"


class Naming(NamedTuple):
    """How a writer came to the names of the places."""

    kinds: str  # 'own' class names, all 'plain' layers, or all 'cudnn' ones
    backwards: bool = False  # the attributes of a layer from z to a, as TensorFlow's Keras
    layers: str = "layers"


# In the order in which they are tried on a file.
_NAMINGS = [
    Naming(kinds, backwards, layers)
    for layers in ("layers", _OLD_LAYERS)
    for kinds in ("own", "plain", "cudnn", "cells")
    for backwards in (False, True)
]


def places(model: Any, naming: Naming = _NAMINGS[0]) -> dict[str, Any]:
    """The place of every weight of a model."""
    found: dict[str, Any] = {}
    known: set[int] = set()
    for place, weight in _walk(model, "", naming, known):
        found.setdefault(place, weight)
    # Of layers with their own idea of `weights`; no Keras has them.
    rest = [weight for weight in model.weights if id(weight) not in known]
    return found | {f"rest/vars/{index}": weight for index, weight in enumerate(rest)}


def _walk(holder: Any, place: str, naming: Naming, known: set[int]) -> Iterator[tuple[str, Any]]:
    if id(holder) in known:  # a part with several names is stored once
        return
    known.add(id(holder))
    flat = _is_flat(holder, naming)
    own = trained_first(holder.weights if flat else holder._found()[0])
    own = [weight for weight in own if id(weight) not in known]
    known.update(map(id, own))
    yield from ((f"{place}vars/{index}", weight) for index, weight in enumerate(own))
    for attribute, part in () if flat else _parts(holder, naming):
        if isinstance(part, WeightHolder):
            yield from _walk(part, f"{place}{attribute}/", naming, known)
        else:
            yield from _walk_list(part, f"{place}{attribute}/", naming, known)


def _walk_list(
    parts: Any, place: str, naming: Naming, known: set[int]
) -> Iterator[tuple[str, Any]]:
    if id(parts) in known:
        return
    known.add(id(parts))
    counts: dict[str, int] = {}
    for part in parts.values() if isinstance(parts, dict) else parts:
        if isinstance(part, WeightHolder):
            name = _kind(part, naming)
        elif isinstance(part, (list, tuple, dict)):
            name = "container"
        else:
            continue
        number = counts[name] = counts.get(name, -1) + 1
        inner = f"{place}{name}_{number}/" if number else f"{place}{name}/"
        if isinstance(part, WeightHolder):
            yield from _walk(part, inner, naming, known)
        else:
            yield from _walk_list(part, inner, naming, known)


def _parts(holder: Any, naming: Naming) -> Iterator[tuple[str, Any]]:
    """The attributes that hold parts: the layers of a model, then the others by name."""
    graph = getattr(holder, "_graph", None)
    if graph is not None:
        yield naming.layers, graph.layers
    elif getattr(holder, "_is_chain", False):
        yield naming.layers, holder._layers
    names = [name for name in holder.__dict__ if name not in _NOT_PARTS]
    names.sort(key=lambda name: (name.startswith("_"), name), reverse=naming.backwards)
    for name in names:
        value = holder.__dict__[name]
        if isinstance(value, (WeightHolder, list, tuple, dict)):
            yield name, value


def _is_flat(holder: Any, naming: Naming) -> bool:
    """Whether the layer itself has the weights of its cell, as the CuDNN layers of Keras do."""
    if naming.kinds == "own":
        return isinstance(holder, CuDNN)
    return naming.kinds == "cudnn" and holder._file_name() in ("lstm", "gru")


def _kind(layer: Any, naming: Naming) -> str:
    """What a list calls a layer."""
    from elman.models import Model

    own = "functional" if type(layer) is Model else WeightHolder._file_name(layer)
    if naming.kinds == "own":
        return own
    plain = layer._file_name() if own != "functional" else own
    if naming.kinds == "cudnn" and plain in ("lstm", "gru"):
        return f"cu_dnn{plain}"
    return "rnn" if naming.kinds == "cells" and plain in ("lstm", "gru", "simple_rnn") else plain


# -- writing --------------------------------------------------------------------------------------


def write(root: Any, model: Any) -> None:
    """Write the weights of a model into the root of a file."""
    root.require_group("vars")  # also of a model without weights
    for place, weight in places(model).items():
        root.create_dataset(place, data=weight.numpy())


# -- reading --------------------------------------------------------------------------------------


def is_layout_of(tree: Tree) -> bool:
    """Whether the file has groups of this layout."""
    known = ("vars", "layers", _OLD_LAYERS)
    if any(tree.group(name) is not None for name in known):
        return True
    return any("/vars/" in place for place in tree.left_over(tree.root))


def pairs(model: Any, tree: Tree) -> Pairs:
    """The weights of the model with the arrays of the file.

    Errors: ValueError that names what is missing from the file or left over in it.
    """
    first = None
    for naming in _NAMINGS:
        named = places(model, naming)
        missing = [place for place in named if not tree.has_dataset(place)]
        first = first or missing
        if not missing:
            break
    else:
        named, missing = places(model), first
    found = [(weight, tree.stored(place)) for place, weight in named.items()]
    extra = [place.lstrip("/") for place in tree.left_over(tree.root)]
    check_names(tree.path, missing or [], [place for place in extra if _is_weight(place)])
    return [(weight, stored) for weight, stored in found if stored is not None]


def _is_weight(place: str) -> bool:
    parts = place.split("/")
    return parts[0] not in _OTHER_ROOTS and not _OTHER_PARTS.intersection(parts)
