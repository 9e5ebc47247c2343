# SPDX-License-Identifier: Apache-2.0
"""What layers of several inputs share: broadcast shapes, and masks that are combined."""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any

from elman import _settings
from elman._backend import core
from elman._tensors import mask_of, named_tensor, with_mask

Shape = tuple[int | None, ...]


def broadcast(a: Sequence[int | None], b: Sequence[int | None]) -> Shape | None:
    """The shape of an elementwise result, aligned at the end; None where the two do not fit."""
    if len(a) < len(b):
        a, b = b, a
    ahead = len(a) - len(b)
    sizes = list(a[:ahead])
    for m, n in zip(a[ahead:], b, strict=True):
        if m == 1 or n == 1:
            sizes.append(n if m == 1 else m)
        elif m is None or n is None:
            sizes.append(n if m is None else m)
        elif m != n:
            return None
        else:
            sizes.append(m)
    return tuple(sizes)


def cast_all(layer: Any, inputs: Sequence[Any]) -> list[Any]:
    """Tensors of one type: integers stay integers only among themselves."""
    where, kept = f"{type(layer).__name__}.call", layer.dtype
    items = [named_tensor(x, None, where, f"inputs[{i}]") for i, x in enumerate(inputs)]
    if all(x.dtype not in _settings.FLOATS for x in items):
        return items
    return [x if x.dtype == kept else with_mask(core.cast(x, kept), mask_of(x)) for x in items]


def common_mask(masks: Any) -> Any:
    """True where every mask is True; inputs without a mask do not count."""
    if not isinstance(masks, (list, tuple)):
        return masks
    found = None
    for mask in masks:
        if mask is not None:
            found = mask if found is None else core.logical_and(found, mask)
    return found
