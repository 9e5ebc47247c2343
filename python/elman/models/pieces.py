# SPDX-License-Identifier: Apache-2.0
"""Batches of sequences of different lengths without padding: a piece for each length.

A layer that looks along the steps (a convolution, a pooling, the user's own) would see padding as
steps. It is called once for each length; the outputs of all samples then make one batch, so that
loss, metrics and gradients are those of the batch, whatever they are.
"""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from typing import Any

from elman._backend import core
from elman._errors import fail_text
from elman._tensors import mask_of, with_mask
from elman.gradient import flatten, map_structure
from elman.models.batches import Batch


class Pieces(tuple[Any, ...]):
    """The samples of a batch as several x in the form that the model takes, one for each length."""

    __slots__ = ()

    @property
    def sizes(self) -> list[int]:
        """Number of samples of each."""
        return [len(flatten(x)[0]) for x in self]


def pieces_of(batch: Batch) -> Iterator[Batch]:
    """The batch as batches of one x each, without targets; itself if it is one."""
    if type(batch.x) is not Pieces:
        yield batch
        return
    first = 0
    for x, size in zip(batch.x, batch.x.sizes, strict=True):
        rows = None if batch.rows is None else batch.rows[first : first + size]
        yield Batch(x, None, None, size, rows, batch.cuts)
        first += size


def outputs(model: Any, pieces: Pieces, training: bool | None) -> Any:
    """What the model gives for the samples of all pieces, with its penalties for all of them.

    Shapes: outputs [N, ...]; outputs per step are padded with zeros to [N, T, ...] and have a mask.
    """
    found, penalties = [], []
    sizes = pieces.sizes
    for x, size in zip(pieces, sizes, strict=True):
        found.append(model(x, training=training))
        # what depends on the activations is divided by the number of samples
        share = size / sum(sizes)
        penalties += [penalty * share for penalty in model.structure.losses_of_call()]
    model.structure.clear_losses()
    if penalties:
        model.add_loss(penalties)
    where = f"{type(model).__name__}.call"
    joined = iter([_joined(where, parts) for parts in zip(*map(flatten, found), strict=True)])
    return map_structure(lambda _: next(joined), found[0])


def _joined(where: str, parts: Sequence[Any]) -> Any:
    """The outputs [n, ...] or [n, T, ...] of pieces as one."""
    shapes = [tuple(part.shape) for part in parts]
    if any(len(shape) == 0 or shape[2:] != shapes[0][2:] for shape in shapes):
        expected, got = "outputs (N, ...) or (N, T, ...)", " and ".join(map(str, shapes[:2]))
        hint = "other axes differ with the length; pad the sequences yourself"
        raise ValueError(fail_text(where, "x", expected, f"{got} for two lengths", hint))
    masks = [mask_of(part) for part in parts]
    lengths = {shape[1:2] for shape in shapes}
    if len(lengths) == 1 and all(mask is None for mask in masks):
        return core.concatenate(list(parts), 0)
    longest = max(shape[1] for shape in shapes)
    used = [
        core.ones(shape[:2], "bool") if mask is None else mask
        for mask, shape in zip(masks, shapes, strict=True)
    ]
    mask = core.concatenate([_longer(item, longest) for item in used], 0)
    return with_mask(core.concatenate([_longer(part, longest) for part in parts], 0), mask)


def _longer(x: Any, length: int) -> Any:
    """x [n, T, ...] with zeros behind its steps."""
    missing = length - x.shape[1]
    if not missing:
        return x
    return core.concatenate([x, core.zeros((x.shape[0], missing, *x.shape[2:]), x.dtype)], 1)
