# SPDX-License-Identifier: Apache-2.0
"""Elementwise: what layers share whose output has the shape and the mask of the input."""

from __future__ import annotations

from typing import Any

from elman import _random
from elman.layers.layer import Layer


class Elementwise(Layer):
    """Base of layers that change values and nothing else: shape and mask stay."""

    _casts_integers = True
    supports_masking = True

    def compute_output_shape(self, input_shape: Any) -> Any:
        """The input's shape."""
        return input_shape


class Noise(Elementwise):
    """Base of layers that are random in training and the identity outside of it.

    A subclass has an option `seed` and defines `_acts` and `_noisy`. Each training call draws anew,
    a pure function of seed and call number at any number of threads.
    """

    _leaf = True
    seed: Any

    def _setup(self) -> None:
        self._stream = _random.stream(self.seed)

    def call(self, inputs: Any, training: Any = None) -> Any:
        """The input; in training with noise."""
        if not training or not self._acts():
            return inputs
        return self._noisy(inputs, *_random.key_of(self._stream))

    def _acts(self) -> bool:
        """Whether training changes anything."""
        raise TypeError(f"[{type(self).__name__}] _acts() is not defined")

    def _noisy(self, x: Any, seed: int, counter: int) -> Any:
        """x with the noise that (seed, counter) stand for."""
        raise TypeError(f"[{type(self).__name__}] _noisy(x, seed, counter) is not defined")
