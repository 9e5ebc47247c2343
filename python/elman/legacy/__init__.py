# SPDX-License-Identifier: Apache-2.0
"""The defaults of older Keras versions."""

from elman.legacy import layers as layers

__all__ = ["layers"]
