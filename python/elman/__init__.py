# SPDX-License-Identifier: Apache-2.0
"""elman: recurrent networks with the API of Keras on a C++ core.

>>> import elman, numpy as np
>>> elman.layers.LSTM(4)(np.ones((2, 5, 3), "float32")).shape
(2, 4)

Modules are imported when they are first used, so that importing elman stays quick.
"""

from __future__ import annotations

import importlib
from typing import TYPE_CHECKING, Any

from elman._backend import core as _native

if TYPE_CHECKING:
    from elman import activations as activations
    from elman import backend as backend
    from elman import callbacks as callbacks
    from elman import constraints as constraints
    from elman import initializers as initializers
    from elman import layers as layers
    from elman import legacy as legacy
    from elman import losses as losses
    from elman import metrics as metrics
    from elman import models as models
    from elman import optimizers as optimizers
    from elman import regularizers as regularizers
    from elman import saving as saving
    from elman import utils as utils
    from elman._config import config as config
    from elman._config import show_config as show_config
    from elman._core import Tensor as Tensor
    from elman._core import Variable as Variable
    from elman._symbolic import Input as Input
    from elman.gradient import GradientTape as GradientTape
    from elman.models import Model as Model
    from elman.models import Sequential as Sequential
else:
    Tensor = _native.Tensor
    Variable = _native.Variable

__version__: str = _native.config()["version"]

_MODULES = frozenset({
    "activations", "backend", "callbacks", "constraints", "initializers", "layers", "legacy",
    "losses", "metrics", "models", "optimizers", "regularizers", "saving", "utils",
})  # fmt: skip
_OBJECTS = {
    "GradientTape": "elman.gradient",
    "Input": "elman._symbolic",
    "Model": "elman.models",
    "Sequential": "elman.models",
    "config": "elman._config",
    "show_config": "elman._config",
}

__all__ = [
    "GradientTape",
    "Input",
    "Model",
    "Sequential",
    "Tensor",
    "Variable",
    "activations",
    "backend",
    "callbacks",
    "config",
    "constraints",
    "get_num_threads",
    "initializers",
    "layers",
    "legacy",
    "losses",
    "metrics",
    "models",
    "optimizers",
    "regularizers",
    "saving",
    "set_num_threads",
    "show_config",
    "utils",
]


def set_num_threads(threads: int) -> None:
    """Set how many threads a kernel may use, the calling one included.

    Results do not depend on it, to the last bit.

    Raises:
        ValueError: threads is less than 1.
    """
    _native.set_num_threads(threads)


def get_num_threads() -> int:
    """How many threads a kernel may use, the calling one included."""
    return _native.get_num_threads()


def __getattr__(name: str) -> Any:
    if name in _MODULES:
        value = importlib.import_module(f"elman.{name}")
    elif name in _OBJECTS:
        value = getattr(importlib.import_module(_OBJECTS[name]), name)
    else:
        raise AttributeError(f"module 'elman' has no attribute {name!r}")
    globals()[name] = value
    return value


def __dir__() -> list[str]:
    return [*__all__, "__version__"]
