# SPDX-License-Identifier: Apache-2.0
"""`Batch`, and how what users hand over for one becomes arrays of numbers.

x and y may be lists or dicts for several inputs and outputs.
"""

from __future__ import annotations

from collections.abc import Iterable, Sized
from typing import Any, NamedTuple

import numpy as np

from elman._errors import fail_text
from elman._tensors import Tensor, is_array, is_masked

# Libraries whose arrays live in files: they are read batch by batch.
_LAZY = ("h5py", "zarr")
PER_INPUT = "a list has one array, or one list of sequences, for each input of the model"
_RAGGED = "sequences of different lengths: give a list of arrays, or use utils.pad_sequences"


class Batch(NamedTuple):
    """One batch. The last two are for lists of sequences."""

    x: Any
    y: Any
    sample_weight: Any
    size: int
    rows: Any = None  # places of the samples in the list, where they are not in its order
    # for each output None; True for a list of samples; or how many steps of each are no padding
    cuts: Any = None


def is_lazy(value: Any) -> bool:
    return type(value).__module__.split(".", 1)[0] in _LAZY


def standardize(where: str, what: str, value: Any, single: bool) -> Any:
    """Arrays of numbers in the user's structure.

    Args:
        where: for the error text.
        what: for the error text.
        value: an array, a (nested) list of numbers, or a list or dict of arrays.
        single: the model has one input (or output): a list of arrays is stacked.
    """
    if value is None or is_lazy(value):
        return value
    if isinstance(value, np.ndarray) and value.dtype == object and value.ndim == 1:
        value = list(value)  # of arrays, or of numbers
    if isinstance(value, dict):
        return {key: standardize(where, f"{what}[{key!r}]", v, True) for key, v in value.items()}
    if isinstance(value, (list, tuple)) and value and all(map(is_array, value)):
        if not single:
            items = enumerate(value)
            return [standardize(where, f"{what}[{i}]", item, True) for i, item in items]
        if len(value) == 1 and np.ndim(value[0]) > 1:
            value = value[0]
    return _as_array(where, what, value)


def standardized(
    where: str, x: Any, y: Any, sample_weight: Any, single: tuple[bool, bool]
) -> tuple[Any, Any, Any]:
    """`standardize` for x, y and sample_weight of a model with one input, one output, or not."""
    one_input, one_output = single
    return (
        standardize(where, "x", x, one_input),
        standardize(where, "y", y, one_output),
        standardize(where, "sample_weight", sample_weight, one_output),
    )


def check_counts(where: str, number: int, y: Any, sample_weight: Any) -> None:
    """ValueError for targets or weights of another number of samples than x."""
    for what, value in (("y", y), ("sample_weight", sample_weight)):
        parts: Iterable[tuple[Any, Any]] = [(None, value)]
        if isinstance(value, (dict, list)):
            parts = value.items() if isinstance(value, dict) else enumerate(value)
        for key, leaf in parts:
            if leaf is not None and len(leaf) != number:
                place = what if key is None else f"{what}[{key!r}]"
                hint = "" if key is None else "a list or dict has one array for each output"
                expected = f"{number} samples as in x"
                raise ValueError(fail_text(where, place, expected, len(leaf), hint))


def _as_array(where: str, what: str, value: Any) -> np.ndarray:
    if isinstance(value, Tensor):
        return np.asarray(value)
    if hasattr(value, "to_numpy"):  # data frames
        value = value.to_numpy()
    if is_masked(value):
        got, hint = "a masked array", "use its .filled(value)"
        raise TypeError(fail_text(where, what, "an array of numbers", got, hint))
    try:
        array = np.asarray(value)
    except (TypeError, ValueError) as error:
        ragged = "inhomogeneous" in str(error)
        hint = _RAGGED if ragged else str(error)
        got = f"a {type(value).__name__}"
        raise ValueError(fail_text(where, what, "an array of numbers", got, hint)) from None
    if array.dtype.kind not in "fiub":
        ragged = array.dtype.kind == "O" and any(isinstance(i, Sized) for i in array.flat)
        hint = _RAGGED if ragged else ""
        got = f"dtype {array.dtype}"
        raise ValueError(fail_text(where, what, "an array of numbers", got, hint))
    if array.ndim == 0:
        raise ValueError(fail_text(where, what, "an array with a sample axis", "a single number"))
    return array
