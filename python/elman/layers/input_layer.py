# SPDX-License-Identifier: Apache-2.0
"""InputLayer: the shape that a model starts from."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any, ClassVar

from elman import _names
from elman._symbolic import SymbolicTensor, input_tensor
from elman.layers import _checks
from elman.layers._options import Option, named
from elman.layers.layer import BASE_KEYWORDS, Layer

_DTYPE = named("dtype", Option(None, _checks.any_dtype, keyword=True, doc="type of the values"))


class InputLayer(Layer):
    """The input of a model; `output` is its symbolic tensor.

    Shapes: x of the declared shape -> x.

    Source: Keras `InputLayer`; most programs call `elman.Input` or give the first layer a shape.

    Example:
        >>> import elman
        >>> elman.layers.InputLayer(input_shape=(10, 8)).output.shape
        (None, 10, 8)
    """

    _base_keywords: ClassVar[Mapping[str, Option]] = {
        **{key: BASE_KEYWORDS[key] for key in ("name", "trainable", "weights")},
        "dtype": _DTYPE,
        "input_shape": named(
            "input_shape", Option(None, _checks.shape, doc="shape without the batch axis")
        ),
        "batch_input_shape": BASE_KEYWORDS["batch_input_shape"],
        "batch_size": BASE_KEYWORDS["batch_size"],
        "batch_shape": named(
            "batch_shape", Option(None, _checks.shape, keyword=True, doc="as batch_input_shape")
        ),
        "shape": named("shape", Option(None, _checks.shape, keyword=True, doc="as input_shape")),
    }
    _leaf = True
    supports_masking = True

    def _start(self, values: dict[str, Any], base: dict[str, Any]) -> None:
        for name, other in (("input_shape", "shape"), ("batch_input_shape", "batch_shape")):
            base[name] = base[other] if base[name] is None else base[name]
        super()._start(values, base)

    def _setup(self) -> None:
        if self.batch_input_shape is None:
            raise ValueError("[InputLayer] input_shape: expected a shape, got None")
        self.built = True
        self._input_shape = self.batch_input_shape
        self.output: SymbolicTensor = input_tensor(self)

    def _automatic_name(self) -> str:
        return _names.unique_input_name()

    def call(self, inputs: Any) -> Any:
        """The input."""
        return inputs

    def compute_output_shape(self, input_shape: Any) -> Any:
        """The input's shape."""
        return input_shape
