# SPDX-License-Identifier: Apache-2.0
"""Options of a window that slides over images, and the sizes that come out of it."""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any

from elman._errors import fail_text
from elman.layers import _checks
from elman.layers._options import REQUIRED, Option


def sizes(rank: int, default: Any, doc: str) -> Option:
    """An int for all axes, or `rank` ints, all above zero; kept as a tuple."""

    def check(where: str, name: str, value: Any) -> tuple[int, ...]:
        items = tuple(value) if isinstance(value, (list, tuple)) else (value,) * rank
        try:
            found = tuple(_checks.positive_int(where, name, item) for item in items)
        except ValueError:
            found = ()
        if len(found) != rank:
            number = "1 positive int" if rank == 1 else f"a positive int or {rank} of them"
            raise ValueError(fail_text(where, name, number, repr(value)))
        return found

    default = default if default is REQUIRED else (default,) * rank
    return Option(default if rank > 1 or default is REQUIRED else default[0], check, list, doc=doc)


def padding(where: str, name: str, value: Any) -> str:
    """'valid' or 'same', in any case."""
    text = value.lower() if isinstance(value, str) else value
    if text not in ("valid", "same"):
        raise ValueError(fail_text(where, name, "'valid' or 'same'", repr(value)))
    return text


def output_size(
    size: int | None, taps: int, stride: int, dilation: int, padding: str
) -> int | None:
    """Outputs along one axis, below 1 where the window does not fit; None stays unknown."""
    if size is None:
        return None
    if padding == "same":
        return -(-size // stride)
    return (size - (taps - 1) * dilation - 1) // stride + 1


def to_channels_last(x: Any, first: int, transpose: Any) -> Any:
    """x [..., C, spatial axes], the image from axis `first` on, as [..., spatial axes, C]."""
    axes = range(x.ndim)
    return transpose(x, [*axes[:first], *axes[first + 1 :], first])


def to_channels_first(x: Any, first: int, transpose: Any) -> Any:
    """The way back."""
    axes = range(x.ndim)
    return transpose(x, [*axes[:first], x.ndim - 1, *axes[first:-1]])


def moved(sizes: Sequence[int | None], data_format: str) -> tuple[int | None, ...]:
    """The sizes of an image with the channels last."""
    return (*sizes[1:], sizes[0]) if data_format == "channels_first" else tuple(sizes)
