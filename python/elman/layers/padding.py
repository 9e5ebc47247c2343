# SPDX-License-Identifier: Apache-2.0
"""ZeroPadding and Cropping: steps, rows and columns put at the ends or taken away."""

from __future__ import annotations

from typing import Any

from elman._backend import core
from elman._errors import fail_text
from elman.layers import _checks, _spatial
from elman.layers._options import Option

Ends = tuple[tuple[int, int], ...]


def _whole(where: str, name: str, value: Any) -> int:
    found = _checks.optional_int(where, name, value)
    if found is None:
        raise ValueError
    return found


def _ends(rank: int, default: Any, doc: str) -> Option:
    """Numbers at both ends of each axis: an int, one per axis, or a pair per axis."""
    pair = "an int >= 0 or a pair of them"
    expected = pair if rank == 1 else f"an int >= 0, {rank} of them, or {rank} pairs of them"

    def ends_of(where: str, name: str, item: Any) -> tuple[int, int]:
        items = item if isinstance(item, (list, tuple)) else (item, item)
        first, last = (_whole(where, name, number) for number in items)
        return first, last

    def check(where: str, name: str, value: Any) -> Ends:
        items = value if isinstance(value, (list, tuple)) else [value] * rank
        if rank == 1 and not (len(items) == 1 and isinstance(items[0], (list, tuple))):
            items = [value]
        try:
            ends = tuple(ends_of(where, name, item) for item in items)
        except (TypeError, ValueError):
            ends = ()
        if len(ends) != rank:
            raise ValueError(fail_text(where, name, expected, repr(value)))
        return ends

    return Option(default, check, doc=doc)


class ZeroPadding(_spatial.SpatialLayer):
    """What the padding layers share; use one with a number of axes in its name."""

    _leaf = True
    padding: Any

    def _output_sizes(self, spatial: tuple[Any, ...]) -> tuple[Any, ...]:
        axes = zip(spatial, self.padding, strict=True)
        return tuple(None if size is None else size + sum(ends) for size, ends in axes)

    def call(self, inputs: Any) -> Any:
        """The input within zeros."""
        before, after = zip(*self.padding, strict=True)
        return core.pad(inputs, self._join(0, before, 0), self._join(0, after, 0))


class ZeroPadding1D(ZeroPadding):
    """Steps of zeros ahead of a sequence and behind it.

    Shapes: x [N, T, C] -> [N, T + padding, C]; with 'channels_first' [N, C, T].

    Errors: ValueError for an input of other than three axes.

    Source: Keras `ZeroPadding1D`.

    Example:
        >>> import elman, numpy as np
        >>> elman.layers.ZeroPadding1D((2, 0))(np.ones((1, 3, 1), "float32")).numpy().ravel()
        array([0., 0., 1., 1., 1.], dtype=float32)
    """

    _rank = 1
    padding = _ends(1, 1, "zeros ahead and behind")
    data_format = _spatial.data_format("channels_last")


class ZeroPadding2D(ZeroPadding):
    """Rows and columns of zeros around an image.

    Shapes: x [N, rows, cols, C] -> [N, rows + padding, cols + padding, C]; with 'channels_first'
    the channels follow the batch axis.

    Errors: ValueError for an input of other than four axes.

    Source: Keras `ZeroPadding2D`.

    Example:
        >>> import elman, numpy as np
        >>> layer = elman.layers.ZeroPadding2D(((1, 0), (2, 2)))
        >>> layer(np.ones((2, 3, 5, 1), "float32")).shape
        (2, 4, 9, 1)
    """

    _rank = 2
    padding = _ends(2, (1, 1), "zeros per axis, or (ahead, behind) per axis")
    data_format = _spatial.data_format(None)


class Cropping(_spatial.SpatialLayer):
    """What the cropping layers share; use one with a number of axes in its name."""

    _leaf = True
    cropping: Any

    def _output_sizes(self, spatial: tuple[Any, ...]) -> tuple[Any, ...]:
        axes = zip(spatial, self.cropping, strict=True)
        return tuple(None if size is None else size - sum(ends) for size, ends in axes)

    def call(self, inputs: Any) -> Any:
        """The middle of the input."""
        batch, spatial, channels = self._split(inputs.shape)
        first = self._join(0, tuple(ahead for ahead, _ in self.cropping), 0)
        return core.slice(inputs, first, self._join(batch, self._output_sizes(spatial), channels))


class Cropping1D(Cropping):
    """A sequence without its first and last steps.

    Shapes: x [N, T, C] -> [N, T - cropping, C].

    Errors: ValueError for an input of other than three axes, and where no step is left.

    Source: Keras `Cropping1D`.

    Example:
        >>> import elman, numpy as np
        >>> x = np.arange(5, dtype="float32").reshape(1, 5, 1)
        >>> elman.layers.Cropping1D((1, 2))(x).numpy().ravel()
        array([1., 2.], dtype=float32)
    """

    _rank = 1
    cropping = _ends(1, (1, 1), "steps that are left out ahead and behind")


class Cropping2D(Cropping):
    """An image without its outer rows and columns.

    Shapes: x [N, rows, cols, C] -> [N, rows - cropping, cols - cropping, C]; with 'channels_first'
    the channels follow the batch axis.

    Errors: ValueError for an input of other than four axes, and where nothing is left.

    Source: Keras `Cropping2D`.

    Example:
        >>> import elman, numpy as np
        >>> layer = elman.layers.Cropping2D(((1, 0), (2, 1)))
        >>> layer(np.ones((2, 3, 5, 1), "float32")).shape
        (2, 2, 2, 1)
    """

    _rank = 2
    cropping = _ends(2, ((0, 0), (0, 0)), "what is left out per axis, or (ahead, behind) per axis")
    data_format = _spatial.data_format(None)
