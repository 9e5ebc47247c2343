# SPDX-License-Identifier: Apache-2.0
"""GaussianNoise and GaussianDropout: normal noise in training."""

from __future__ import annotations

import math
from typing import Any

from elman._backend import core
from elman._errors import fail_text
from elman.layers import _checks
from elman.layers._elementwise import Noise
from elman.layers._options import REQUIRED, Option
from elman.layers.dropout import share


def _deviation(where: str, name: str, value: Any) -> float:
    deviation = _checks.number(where, name, value)
    if not 0.0 <= deviation < math.inf:
        raise ValueError(fail_text(where, name, "a finite number of at least 0", value))
    return deviation


class GaussianNoise(Noise):
    """In training adds normal noise with mean 0.

    Shapes: x of any shape -> the same shape.

    Errors: ValueError for a negative stddev.

    Source: Keras `GaussianNoise`.

    Example:
        >>> import elman, numpy as np
        >>> elman.layers.GaussianNoise(0.1)(np.float32([[1, 2]])).numpy()
        array([[1., 2.]], dtype=float32)
    """

    stddev = Option(REQUIRED, _deviation, doc="standard deviation of the noise")
    seed = Option(None, _checks.optional_int, doc="seed of the layer's own random numbers")

    def _acts(self) -> bool:
        return self.stddev > 0.0

    def _noisy(self, x: Any, seed: int, counter: int) -> Any:
        noise = core.random_normal(tuple(x.shape), 0.0, self.stddev, x.dtype, seed, counter)
        return core.add(x, noise)


class GaussianDropout(Noise):
    """In training multiplies by normal noise with mean 1 and variance rate / (1 - rate).

    Outside training, and for a rate of 0 or 1, the output is the input.

    Shapes: x of any shape -> the same shape.

    Errors: ValueError for a rate outside [0, 1].

    Source: Srivastava et al. 2014, section 10; Keras `GaussianDropout`.

    Example:
        >>> import elman, numpy as np
        >>> elman.layers.GaussianDropout(0.5)(np.float32([[1, 2]])).numpy()
        array([[1., 2.]], dtype=float32)
    """

    rate = Option(REQUIRED, share, doc="the rate of the Dropout with noise of that variance")
    seed = Option(None, _checks.optional_int, doc="seed of the layer's own random numbers")

    def _acts(self) -> bool:
        return 0.0 < self.rate < 1.0

    def _noisy(self, x: Any, seed: int, counter: int) -> Any:
        deviation = math.sqrt(self.rate / (1.0 - self.rate))
        noise = core.random_normal(tuple(x.shape), 1.0, deviation, x.dtype, seed, counter)
        return core.multiply(x, noise)
