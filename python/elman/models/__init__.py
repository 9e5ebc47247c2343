# SPDX-License-Identifier: Apache-2.0
"""Models: `Sequential`, and `Model` to subclass."""

from elman.models.model import Model as Model
from elman.models.sequential import Sequential as Sequential
