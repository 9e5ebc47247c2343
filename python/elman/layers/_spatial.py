# SPDX-License-Identifier: Apache-2.0
"""What layers over images and sequences share: sizes per axis, data formats, padding."""

from __future__ import annotations

from typing import Any, ClassVar

from elman._backend import core
from elman._errors import fail_text, is_one_of
from elman.layers import _checks
from elman.layers._options import REQUIRED, Option
from elman.layers.layer import Layer

AXES = {1: ("steps",), 2: ("rows", "cols"), 3: ("depth", "rows", "cols")}


def _positive_sizes(rank: int, *, optional: bool = False) -> Any:
    """A check: one positive int for all axes, or `rank` of them."""
    expected = "a positive int" if rank == 1 else f"a positive int or {rank} of them"

    def check(where: str, name: str, value: Any) -> tuple[int, ...] | None:
        if value is None and optional:
            return None
        items = value if isinstance(value, (list, tuple)) else [value] * rank
        try:
            sizes = tuple(_checks.positive_int(where, name, item) for item in items)
        except ValueError:
            sizes = ()
        if len(sizes) != rank:
            raise ValueError(fail_text(where, name, expected, repr(value)))
        return sizes

    return check


def sizes(rank: int, default: Any, doc: str, *, optional: bool = False) -> Option:
    """One size per spatial axis; an int stands for all of them."""
    return Option(default, _positive_sizes(rank, optional=optional), doc=doc)


def kernel_size(rank: int) -> Option:
    """The taps of a convolution."""
    return sizes(rank, REQUIRED, f"taps along {' and '.join(AXES[rank])}")


def padding(*known: str) -> Option:
    """The name of a padding, in any case."""

    def check(where: str, name: str, value: Any) -> str:
        lowered = value.lower() if isinstance(value, str) else value
        if not is_one_of(lowered, known):
            expected = " or ".join(map(repr, known))
            raise ValueError(fail_text(where, name, expected, repr(value)))
        return lowered

    return Option("valid", check, doc=" or ".join(map(repr, known)))


def data_format(default: str | None) -> Option:
    """Whether channels are the last axis or the first one after the batch."""
    doc = "'channels_last' or 'channels_first', None: the setting"
    return Option(default, _checks.data_format, doc=doc)


def output_size(
    size: int | None, taps: int, stride: int = 1, dilation: int = 1, padding: str = "valid"
) -> int | None:
    """Outputs along an axis of `size` inputs; <= 0 where the window does not fit, None for None."""
    if size is None:
        return None
    if padding == "valid":
        return (size - (taps - 1) * dilation - 1) // stride + 1
    return -(-size // stride)


class SpatialLayer(Layer):
    """A layer over [N, spatial axes, C], or [N, C, spatial axes] with 'channels_first'."""

    _casts_integers = True
    _rank: ClassVar[int] = 1
    data_format: Any = "channels_last"

    @property
    def _first(self) -> bool:
        return self.data_format == "channels_first"

    def _layout(self, channels: int | None = None) -> str:
        """The input's axes as text, e.g. (N, rows, cols, 3)."""
        axes, last = list(AXES[self._rank]), "C" if channels is None else str(channels)
        return f"(N, {', '.join([last, *axes] if self._first else [*axes, last])})"

    def _split(self, shape: Any, method: str = "call") -> tuple[Any, tuple[Any, ...], Any]:
        """Batch size, spatial sizes and channels of an input shape."""
        shape = tuple(shape)
        if len(shape) != self._rank + 2:
            hint = f"one sample has {self._rank + 1} axes"
            self._fail("x", self._layout(), shape, hint, method)
        if self._first:
            return shape[0], shape[2:], shape[1]
        return shape[0], shape[1:-1], shape[-1]

    def _join(self, batch: Any, spatial: Any, channels: Any) -> tuple[Any, ...]:
        """The reverse of `_split`."""
        if self._first:
            return (batch, channels, *spatial)
        return (batch, *spatial, channels)

    def _channels_last(self, x: Any) -> Any:
        """x as [N, spatial axes, C], which is what the kernels take."""
        return core.transpose(x, (0, *range(2, self._rank + 2), 1)) if self._first else x

    def _as_given(self, y: Any) -> Any:
        """The reverse of `_channels_last`."""
        return (
            core.transpose(y, (0, self._rank + 1, *range(1, self._rank + 1))) if self._first else y
        )

    def _output_sizes(self, spatial: tuple[Any, ...]) -> tuple[Any, ...]:
        """The spatial sizes of the output."""
        return spatial

    def _output_channels(self, channels: Any) -> Any:
        return channels

    def _sized(self, shape: Any, method: str = "call") -> tuple[Any, tuple[Any, ...], Any]:
        """`_split`, and a ValueError where an axis of the output would be empty."""
        batch, spatial, channels = self._split(shape, method)
        out = self._output_sizes(spatial)
        for axis, size in zip(AXES[self._rank], out, strict=False):
            if size is not None and size <= 0:
                hint = f"the output would have {size} {axis}"
                self._fail("x", f"more {axis} in {self._layout()}", shape, hint, method)
        return batch, out, channels

    def _check_input(self, x: Any) -> None:
        self._sized(x.shape)

    def compute_output_shape(self, input_shape: Any) -> Any:
        """The output's shape; None for sizes that are not known."""
        batch, out, channels = self._sized(input_shape, "compute_output_shape")
        return self._join(batch, out, self._output_channels(channels))
