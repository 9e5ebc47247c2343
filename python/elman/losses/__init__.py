# SPDX-License-Identifier: Apache-2.0
"""Losses as functions (`mean_squared_error`) and as objects (`MeanSquaredError`)."""

from __future__ import annotations

from collections.abc import Callable, Mapping
from typing import Any

from elman._lookup import lookup
from elman._serialization import serialize_or_name
from elman.losses.classes import BinaryCrossentropy as BinaryCrossentropy
from elman.losses.classes import CategoricalCrossentropy as CategoricalCrossentropy
from elman.losses.classes import CosineSimilarity as CosineSimilarity
from elman.losses.classes import Huber as Huber
from elman.losses.classes import KLDivergence as KLDivergence
from elman.losses.classes import Loss as Loss
from elman.losses.classes import LossFunctionWrapper as LossFunctionWrapper
from elman.losses.classes import MeanAbsoluteError as MeanAbsoluteError
from elman.losses.classes import MeanSquaredError as MeanSquaredError
from elman.losses.classes import Poisson as Poisson
from elman.losses.classes import SparseCategoricalCrossentropy as SparseCategoricalCrossentropy
from elman.losses.functions import binary_crossentropy as binary_crossentropy
from elman.losses.functions import categorical_crossentropy as categorical_crossentropy
from elman.losses.functions import cosine_similarity as cosine_similarity
from elman.losses.functions import huber as huber
from elman.losses.functions import kl_divergence as kl_divergence
from elman.losses.functions import mean_absolute_error as mean_absolute_error
from elman.losses.functions import mean_squared_error as mean_squared_error
from elman.losses.functions import poisson as poisson
from elman.losses.functions import (
    sparse_categorical_crossentropy as sparse_categorical_crossentropy,
)

mse = MSE = mean_squared_error
mae = MAE = mean_absolute_error
kld = KLD = kl_divergence

_FUNCTIONS: tuple[Callable[..., Any], ...] = (
    mean_squared_error,
    mean_absolute_error,
    huber,
    kl_divergence,
    poisson,
    cosine_similarity,
    binary_crossentropy,
    categorical_crossentropy,
    sparse_categorical_crossentropy,
)
_KNOWN: dict[str, Any] = {
    **{function.__name__: function for function in _FUNCTIONS},
    "mse": mean_squared_error,
    "MSE": mean_squared_error,
    "mae": mean_absolute_error,
    "MAE": mean_absolute_error,
    "huber_loss": huber,
    "kld": kl_divergence,
    "KLD": kl_divergence,
    "kullback_leibler_divergence": kl_divergence,
    "bce": binary_crossentropy,
    "BCE": binary_crossentropy,
    "MeanSquaredError": MeanSquaredError,
    "MeanAbsoluteError": MeanAbsoluteError,
    "Huber": Huber,
    "KLDivergence": KLDivergence,
    "Poisson": Poisson,
    "CosineSimilarity": CosineSimilarity,
    "BinaryCrossentropy": BinaryCrossentropy,
    "CategoricalCrossentropy": CategoricalCrossentropy,
    "SparseCategoricalCrossentropy": SparseCategoricalCrossentropy,
}


def get(identifier: Any, custom_objects: Mapping[str, Any] | None = None) -> Any:
    """A loss from a name, a configuration, a class, a function or an object; None stays None.

    As in Keras, `'mean_squared_error'` gives the function, `'MeanSquaredError'` an object.
    Errors: ValueError for an unknown name, with the nearest one.

    Example:
        >>> import elman
        >>> elman.losses.get("mse").__name__
        'mean_squared_error'
    """
    if identifier is None:
        return None
    return lookup(identifier, _KNOWN, "losses.get", "loss", custom_objects)


def as_loss(identifier: Any) -> Loss | None:
    """What `compile(loss=...)` uses: a `Loss` object, functions wrapped into one."""
    found = get(identifier)
    return found if found is None or isinstance(found, Loss) else LossFunctionWrapper(found)


def serialize(loss: Any) -> Any:
    """A name or configuration from which `get` makes an equal loss."""
    return serialize_or_name(loss)
