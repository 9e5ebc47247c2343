# SPDX-License-Identifier: Apache-2.0
"""Start values of weights, by name, config, instance or callable(shape, dtype).

>>> import elman
>>> elman.initializers.get("ones")((2, 2)).numpy()
array([[1., 1.],
       [1., 1.]], dtype=float32)

Source: Keras `initializers`; the same names, arguments and distributions.
"""

from __future__ import annotations

import math
from collections.abc import Callable, Mapping, Sequence
from typing import Any

import numpy as np

from elman import _random, _serialization, _settings
from elman._backend import core
from elman._errors import fail_text
from elman._lookup import lookup
from elman._names import snake_case

# Standard deviation of a unit normal that is cut at two standard deviations.
_TRUNCATED_SD = 0.87962566103423978


class Initializer:
    """Base: `__call__(shape, dtype=None)` returns a tensor; `get_config` its arguments."""

    def __call__(self, shape: Sequence[int], dtype: str | None = None) -> Any:
        raise TypeError(f"[{type(self).__name__}] __call__(shape, dtype=None) is not defined")

    def get_config(self) -> dict[str, Any]:
        """The arguments that make an equal initializer."""
        return {}

    @classmethod
    def from_config(cls, config: Mapping[str, Any]) -> Initializer:
        """An initializer from `get_config`'s dictionary (Keras 2's extra dtype is ignored)."""
        return cls(**{key: value for key, value in config.items() if key != "dtype"})


class _Random(Initializer):
    """An initializer that draws: with a seed always the same values, else fresh ones."""

    seed: int | None

    def _key(self) -> tuple[int, int]:
        return _random.next_key() if self.seed is None else (int(self.seed), 0)

    def get_config(self) -> dict[str, Any]:
        return {name: value for name, value in vars(self).items() if not name.startswith("_")}


class Zeros(Initializer):
    """All zeros."""

    def __call__(self, shape: Sequence[int], dtype: str | None = None) -> Any:
        return core.zeros(tuple(shape), dtype or _settings.floatx())


class Ones(Initializer):
    """All ones."""

    def __call__(self, shape: Sequence[int], dtype: str | None = None) -> Any:
        return core.ones(tuple(shape), dtype or _settings.floatx())


class Constant(Initializer):
    """All `value`; an array of values is broadcast to the shape."""

    def __init__(self, value: Any = 0.0) -> None:
        self.value = value

    def __call__(self, shape: Sequence[int], dtype: str | None = None) -> Any:
        dtype = dtype or _settings.floatx()
        try:
            values = np.broadcast_to(np.asarray(self.value, dtype), tuple(shape))
        except ValueError:
            got = f"an array of shape {np.shape(self.value)}"
            raise ValueError(fail_text("Constant", "value", str(tuple(shape)), got)) from None
        return core.Tensor(np.ascontiguousarray(values))

    def get_config(self) -> dict[str, Any]:
        value = self.value
        return {"value": value.tolist() if hasattr(value, "tolist") else value}


class RandomUniform(_Random):
    """Uniform in [minval, maxval)."""

    def __init__(
        self, minval: float = -0.05, maxval: float = 0.05, seed: int | None = None
    ) -> None:
        self.minval, self.maxval, self.seed = minval, maxval, seed

    def __call__(self, shape: Sequence[int], dtype: str | None = None) -> Any:
        dtype = dtype or _settings.floatx()
        return core.random_uniform(tuple(shape), self.minval, self.maxval, dtype, *self._key())


class RandomNormal(_Random):
    """Normal with the given mean and standard deviation."""

    def __init__(self, mean: float = 0.0, stddev: float = 0.05, seed: int | None = None) -> None:
        self.mean, self.stddev, self.seed = mean, stddev, seed

    def __call__(self, shape: Sequence[int], dtype: str | None = None) -> Any:
        dtype = dtype or _settings.floatx()
        return core.random_normal(tuple(shape), self.mean, self.stddev, dtype, *self._key())


class TruncatedNormal(_Random):
    """Normal, values beyond two standard deviations drawn again."""

    def __init__(self, mean: float = 0.0, stddev: float = 0.05, seed: int | None = None) -> None:
        self.mean, self.stddev, self.seed = mean, stddev, seed

    def __call__(self, shape: Sequence[int], dtype: str | None = None) -> Any:
        dtype = dtype or _settings.floatx()
        return core.truncated_normal(tuple(shape), self.mean, self.stddev, dtype, *self._key())


class Identity(Initializer):
    """`gain` times the identity matrix; two-dimensional shapes only."""

    def __init__(self, gain: float = 1.0) -> None:
        self.gain = gain

    def __call__(self, shape: Sequence[int], dtype: str | None = None) -> Any:
        if len(shape) != 2:
            raise ValueError(fail_text("Identity", "shape", "two axes", tuple(shape)))
        return core.Tensor(self.gain * np.eye(*shape, dtype=dtype or _settings.floatx()))

    def get_config(self) -> dict[str, Any]:
        return {"gain": self.gain}


class Orthogonal(_Random):
    """`gain` times an orthogonal matrix: rows or columns orthonormal, whichever are fewer.

    Shapes: rank > 2 is treated as (product of all axes but the last, last axis).
    Errors: ValueError for rank < 2.
    """

    def __init__(self, gain: float = 1.0, seed: int | None = None) -> None:
        self.gain, self.seed = gain, seed

    def __call__(self, shape: Sequence[int], dtype: str | None = None) -> Any:
        shape = tuple(shape)
        if len(shape) < 2:
            raise ValueError(fail_text("Orthogonal", "shape", "two or more axes", shape))
        rows, columns = math.prod(shape[:-1]), shape[-1]
        tall = (max(rows, columns), min(rows, columns))
        draws = core.random_normal(tall, 0.0, 1.0, "float64", *self._key())
        q, r = np.linalg.qr(np.asarray(draws))
        q = q * np.where(np.diag(r) < 0, -1.0, 1.0)  # the sign makes the distribution uniform
        q = q if rows >= columns else q.T
        values = (self.gain * q).reshape(shape).astype(dtype or _settings.floatx())
        return core.Tensor(np.ascontiguousarray(values))


def _fans(shape: Sequence[int]) -> tuple[float, float]:
    """Inputs and outputs per unit of a weight; convolution kernels count their window."""
    if len(shape) < 2:
        size = math.prod(shape)
        return size, size
    window = math.prod(shape[:-2])
    return window * shape[-2], window * shape[-1]


class VarianceScaling(_Random):
    """Variance scale / n with n = fan_in, fan_out or their mean (fan_avg).

    `distribution`: 'normal' or 'truncated_normal' (both cut at two standard deviations, the stated
    variance holds after the cut), 'untruncated_normal', or 'uniform'.
    """

    def __init__(
        self,
        scale: float = 1.0,
        mode: str = "fan_in",
        distribution: str = "normal",
        seed: int | None = None,
    ) -> None:
        where = type(self).__name__
        if not scale > 0:
            raise ValueError(fail_text(where, "scale", "a positive number", scale))
        if mode not in ("fan_in", "fan_out", "fan_avg"):
            raise ValueError(
                fail_text(where, "mode", "'fan_in', 'fan_out' or 'fan_avg'", repr(mode))
            )
        known = ("normal", "truncated_normal", "untruncated_normal", "uniform")
        if distribution not in known:
            raise ValueError(
                fail_text(where, "distribution", f"one of {known}", repr(distribution))
            )
        self.scale, self.mode, self.distribution, self.seed = scale, mode, distribution, seed

    def __call__(self, shape: Sequence[int], dtype: str | None = None) -> Any:
        shape, dtype = tuple(shape), dtype or _settings.floatx()
        fan_in, fan_out = _fans(shape)
        fan = {"fan_in": fan_in, "fan_out": fan_out, "fan_avg": (fan_in + fan_out) / 2}[self.mode]
        variance = self.scale / max(1.0, fan)
        if self.distribution == "uniform":
            limit = math.sqrt(3.0 * variance)
            return core.random_uniform(shape, -limit, limit, dtype, *self._key())
        if self.distribution == "untruncated_normal":
            return core.random_normal(shape, 0.0, math.sqrt(variance), dtype, *self._key())
        deviation = math.sqrt(variance) / _TRUNCATED_SD
        return core.truncated_normal(shape, 0.0, deviation, dtype, *self._key())


class _FixedScaling(VarianceScaling):
    """A named case of VarianceScaling; only the seed is an argument."""

    _case: tuple[float, str, str]

    def __init__(self, seed: int | None = None) -> None:
        super().__init__(*self._case, seed=seed)

    def get_config(self) -> dict[str, Any]:
        return {"seed": self.seed}


class GlorotUniform(_FixedScaling):
    """Uniform within sqrt(6 / (fan_in + fan_out))."""

    _case = (1.0, "fan_avg", "uniform")


class GlorotNormal(_FixedScaling):
    """Truncated normal, standard deviation sqrt(2 / (fan_in + fan_out))."""

    _case = (1.0, "fan_avg", "truncated_normal")


class HeUniform(_FixedScaling):
    """Uniform within sqrt(6 / fan_in)."""

    _case = (2.0, "fan_in", "uniform")


class HeNormal(_FixedScaling):
    """Truncated normal, standard deviation sqrt(2 / fan_in)."""

    _case = (2.0, "fan_in", "truncated_normal")


class LecunUniform(_FixedScaling):
    """Uniform within sqrt(3 / fan_in)."""

    _case = (1.0, "fan_in", "uniform")


class LecunNormal(_FixedScaling):
    """Truncated normal, standard deviation sqrt(1 / fan_in)."""

    _case = (1.0, "fan_in", "truncated_normal")


_CLASSES = (
    Zeros, Ones, Constant, RandomUniform, RandomNormal, TruncatedNormal, Identity, Orthogonal,
    VarianceScaling, GlorotUniform, GlorotNormal, HeUniform, HeNormal, LecunUniform, LecunNormal,
)  # fmt: skip
_BY_NAME: dict[str, Any] = {
    **{cls.__name__: cls for cls in _CLASSES},
    **{snake_case(cls.__name__): cls for cls in _CLASSES},
    "zero": Zeros,
    "one": Ones,
    "uniform": RandomUniform,
    "normal": RandomNormal,
    "IdentityInitializer": Identity,
    "OrthogonalInitializer": Orthogonal,
}

zero = zeros = Zeros
one = ones = Ones
constant, identity, orthogonal = Constant, Identity, Orthogonal
uniform = random_uniform = RandomUniform
normal = random_normal = RandomNormal
truncated_normal, variance_scaling = TruncatedNormal, VarianceScaling
glorot_uniform, glorot_normal = GlorotUniform, GlorotNormal
he_uniform, he_normal = HeUniform, HeNormal
lecun_uniform, lecun_normal = LecunUniform, LecunNormal


def get(identifier: Any, custom_objects: Mapping[str, Any] | None = None) -> Callable[..., Any]:
    """The initializer of a name, a config, an instance, a class or a callable(shape, dtype).

    Errors: ValueError for an unknown name or anything else.
    """
    return lookup(identifier, _BY_NAME, "initializers.get", "initializer", custom_objects)


serialize = _serialization.serialize_or_name
deserialize = get
