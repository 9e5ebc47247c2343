# SPDX-License-Identifier: Apache-2.0
"""One seed for everything that draws random numbers."""

from __future__ import annotations

import random

import numpy as np

from elman import _random
from elman._errors import fail_text


def set_random_seed(seed: int) -> None:
    """Seed elman, `numpy.random` and `random`, so that a run can be repeated bit by bit.

    Args:
        seed: a whole number from 0 to 2^32 - 1 (the range of numpy's seeds).

    Example:
        >>> import elman
        >>> elman.utils.set_random_seed(7)
        >>> first = elman.initializers.get("uniform")((2,)).numpy().tolist()
        >>> elman.utils.set_random_seed(7)
        >>> elman.initializers.get("uniform")((2,)).numpy().tolist() == first
        True
    """
    is_whole = isinstance(seed, (int, np.integer)) and not isinstance(seed, bool)
    if not is_whole or not 0 <= seed < 2**32:
        expected = "a whole number from 0 to 2**32 - 1"
        raise ValueError(fail_text("set_random_seed", "seed", expected, repr(seed)))
    _random.set_seed(int(seed))
    np.random.seed(int(seed))  # noqa: NPY002 - the global generator is the one to seed
    random.seed(int(seed))
