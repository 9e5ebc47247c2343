# SPDX-License-Identifier: Apache-2.0
"""Embedding: a table of vectors, looked up by integer ids."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any, NoReturn

import numpy as np

from elman._backend import core
from elman.layers import _checks
from elman.layers._options import Option
from elman.layers.layer import Layer, Shape


def _input_length(where: str, name: str, value: Any) -> int | tuple[int | None, ...] | None:
    if isinstance(value, (list, tuple)):
        return _checks.shape(where, name, value)
    return None if value is None else _checks.positive_int(where, name, value)


class Embedding(Layer):
    """The rows of a table at integer ids.

    Shapes: ids [N, ...] of any number type with whole values -> [N, ..., output_dim];
    weight embeddings [input_dim, output_dim]. With mask_zero the mask of the output is ids != 0.

    Errors: IndexError for an id outside [0, input_dim) or NaN; ValueError for sizes that are not
    positive, or for another length than input_length.

    Source: Keras `Embedding`.

    Example:
        >>> import elman
        >>> elman.layers.Embedding(10, 4)([[1, 0, 3]]).shape
        (1, 3, 4)
    """

    _leaf = True

    input_dim = Option(check=_checks.positive_int, doc="number of rows; ids are below it")
    output_dim = Option(check=_checks.positive_int, doc="length of each row")
    embeddings_initializer = _checks.initializer("uniform", "start of the table")
    embeddings_regularizer = _checks.regularizer("penalty on the table")
    activity_regularizer = _checks.regularizer("penalty on the output")
    embeddings_constraint = _checks.constraint("constraint of the table")
    mask_zero = _checks.boolean(False, "whether id 0 is padding that later layers skip")
    input_length = Option(None, _input_length, doc="length of the sequences, when it is fixed")

    embeddings: Any

    def _lengths(self) -> tuple[int | None, ...]:
        """Sizes of the axes after the batch axis, as far as input_length states them."""
        length = self.input_length
        return length if isinstance(length, tuple) else (length,)

    def _default_input_shape(self, base: Mapping[str, Any]) -> Shape | None:
        return self._lengths()

    def build(self, input_shape: Any) -> None:
        """Make the table [input_dim, output_dim]."""
        self.embeddings = self.add_weight(
            name="embeddings",
            shape=(self.input_dim, self.output_dim),
            initializer=self.embeddings_initializer,
            regularizer=self.embeddings_regularizer,
            constraint=self.embeddings_constraint,
        )

    def _cast(self, x: Any) -> Any:
        """Ids as integers; floats with whole values count, as Keras allows."""
        ids = super()._cast(x)
        if ids.dtype in ("float32", "float64"):
            values = ids.numpy()
            bad = np.argwhere(~((values > -1) & (values < self.input_dim)))
            if len(bad):
                first = tuple(int(i) for i in bad[0])
                self._out_of_range(f"{values[first]} at {first}")
        return ids if ids.dtype in ("int32", "int64") else core.cast(ids, "int64")

    def _out_of_range(self, got: str) -> NoReturn:
        where = f"{type(self).__name__}.call"
        raise IndexError(
            f"[{where}] x: expected ids in [0, {self.input_dim}), got {got} (layer {self.name!r})"
        )

    def _check_input(self, x: Any) -> None:
        expected, given = self._lengths(), tuple(x.shape[1:])
        if self.input_length is None:
            return
        fits = len(expected) == len(given) and all(
            a == b or a is None or b is None for a, b in zip(expected, given, strict=True)
        )
        if not fits:
            whole = ("N", *("?" if size is None else str(size) for size in expected))
            self._fail("x", f"({', '.join(whole)})", x.shape, "as input_length says")

    def call(self, inputs: Any) -> Any:
        """The look-up."""
        try:
            return core.embedding(inputs, self.embeddings)
        except IndexError:
            ids = inputs.numpy()
            first = tuple(int(i) for i in np.argwhere((ids < 0) | (ids >= self.input_dim))[0])
            self._out_of_range(f"{ids[first]} at {first}")

    def compute_mask(self, inputs: Any, mask: Any = None) -> Any:
        """ids != 0 with mask_zero, else the mask of the ids, if they have one."""
        return core.not_equal(inputs, 0) if self.mask_zero else mask

    def compute_output_shape(self, input_shape: Any) -> Any:
        """The input's shape, filled up from input_length, with output_dim appended."""
        batch, sizes = input_shape[0], tuple(input_shape[1:])
        lengths = self._lengths()
        if self.input_length is not None and len(lengths) == len(sizes):
            sizes = tuple(b if b is not None else a for a, b in zip(lengths, sizes, strict=True))
        return (batch, *sizes, self.output_dim)
