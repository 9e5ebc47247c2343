# SPDX-License-Identifier: Apache-2.0
"""`Model`: a layer made of layers that can be trained, saved and described."""

from __future__ import annotations

import os
from collections.abc import Callable, Sequence
from typing import Any

from elman import saving
from elman._errors import fail_text, unknown_text
from elman._tensors import Tensor, mask_of, with_mask
from elman.layers._infer import infer_output_shape
from elman.layers.layer import Layer
from elman.models.structure import Structure
from elman.models.summary import print_summary
from elman.models.training import Training


class Model(Training, Layer):
    """Base of all models. Subclass it with layers as attributes and `call`.

    Args:
        name: default the class name in snake case.
        trainable: whether optimizers change the weights.
        dtype: type that inputs are cast to; default that of the layers.

    Example:
        >>> import elman, numpy as np
        >>> class Last(elman.Model):
        ...     def __init__(self):
        ...         super().__init__()
        ...         self.lstm, self.dense = elman.layers.LSTM(4), elman.layers.Dense(1)
        ...     def call(self, x):
        ...         return self.dense(self.lstm(x))
        >>> Last()(np.zeros((2, 5, 3), "float32")).shape
        (2, 1)

    Source: Keras `Model`.
    """

    supports_masking = True

    def __init__(self, *args: Any, **kwargs: Any) -> None:
        if args or not kwargs.keys().isdisjoint(("inputs", "outputs")):
            raise TypeError(
                f"[{type(self).__name__}] models made of inputs and outputs are not supported in "
                "this version; use Sequential, or subclass Model"
            )
        explicit = kwargs.get("dtype")
        super().__init__(**kwargs)
        self._explicit_dtype = explicit
        self._structure: Structure | None = None

    # -- the layer side -------------------------------------------------------------------------

    @property
    def layers(self) -> list[Any]:
        """The layers directly within the model."""
        return list(self._sublayers())

    @property
    def structure(self) -> Structure:
        """All layers and the trainable weights, looked up once."""
        found = self.__dict__.get("_structure")
        if found is None:
            found = self._structure = Structure(self)
        return found

    def submodules(self) -> list[Any]:
        """Every layer and cell within the model, at any depth."""
        return self.structure.holders

    def build(self, input_shape: Any) -> None:
        """Make all weights by running the model once on zeros of that shape."""
        if not self.__dict__.get("_running_build"):
            self._running_build = True
            try:
                self.built = True
                infer_output_shape(self, input_shape)
            finally:
                del self._running_build

    def _build_for(self, shape: Any) -> None:
        """The layers build themselves when the first data reaches them."""
        if getattr(type(self).build, "__wrapped__", None) is not _BUILD:
            super()._build_for(shape)
            return
        self.built = True
        if isinstance(shape, tuple):
            self._input_shape = (None, *shape[1:])

    def _cast(self, x: Any) -> Any:
        """Inputs take the type of the layers, so a float64 model keeps float64 data."""
        explicit = self.__dict__.get("_explicit_dtype")
        if explicit is None:
            types = {getattr(layer, "dtype", None) for layer in self.layers}
            if types == {"float64"}:
                self.dtype = "float64"
        cast = super()._cast(x)
        return with_mask(cast, mask_of(x), x) if isinstance(x, Tensor) else cast

    def _attach_mask(self, output: Any, x: Any, mask: Any) -> Any:
        """The layers inside have already given the output its mask."""
        return output

    def _clear_losses(self) -> None:
        self.structure.clear_losses()

    def _losses_of_call(self) -> list[Any]:
        return self.structure.losses_of_call()

    @property
    def weights(self) -> list[Any]:
        """Own variables, then those of the layers, layer by layer."""
        variables, holders = self._found()
        every = [*variables, *(weight for holder in holders for weight in holder.weights)]
        return list({id(weight): weight for weight in every}.values())

    def reset_states(self, states: Any = None) -> None:
        """Set the state of every stateful layer to zero; other layers are left alone."""
        if states is not None:
            hint = "a layer's own reset_states takes states"
            where = f"{type(self).__name__}.reset_states"
            raise ValueError(fail_text(where, "states", "None", type(states).__name__, hint))
        for holder in self.structure.holders:
            if isinstance(holder, Layer) and not isinstance(holder, Model) and holder.stateful:
                holder.reset_states()

    # -- looking at it --------------------------------------------------------------------------

    def get_layer(self, name: str | None = None, index: int | None = None) -> Any:
        """The layer of that name or index.

        Errors: ValueError when there is none, or when both or neither are given.
        """
        where = f"{type(self).__name__}.get_layer"
        if (name is None) == (index is None):
            got = "neither" if name is None else "both"
            raise ValueError(fail_text(where, "name, index", "one of the two", got))
        layers = self.layers
        if index is not None:
            if not -len(layers) <= index < len(layers):
                raise ValueError(fail_text(where, "index", f"below {len(layers)}", index))
            return layers[index]
        for layer in layers:
            if layer.name == name:
                return layer
        raise ValueError(unknown_text(where, "layer", name, [layer.name for layer in layers]))

    def summary(
        self,
        line_length: int | None = None,
        positions: Sequence[float] | None = None,
        print_fn: Callable[[str], Any] | None = None,
    ) -> None:
        """Print a table of the layers.

        Args:
            line_length: width, 65 by default.
            positions: ends of the columns, as numbers of characters or shares of the width.
            print_fn: called with each line; default `print`.

        Errors: ValueError when the model is not built.
        """
        self._check_built("summary")
        print_summary(self, line_length, positions, print_fn)

    def count_params(self) -> int:
        """Number of scalars in all weights."""
        self._check_built("count_params")
        return super().count_params()

    def _check_built(self, method: str) -> None:
        if not self.built:
            raise ValueError(
                f"[{type(self).__name__}.{method}] the model is not built yet; give the first "
                "layer an input_shape, call build(input_shape), or call the model on data"
            )

    # -- files ----------------------------------------------------------------------------------

    def save_weights(self, filepath: str | os.PathLike[str], overwrite: bool = True) -> None:
        """Write all weights to a '.safetensors' or '.npz' file, atomically.

        Args:
            filepath: the suffix chooses the format.
            overwrite: False raises FileExistsError when the file exists.
        """
        self._check_built("save_weights")
        path = saving.checked_path(filepath, "Model.save_weights")
        if not overwrite and os.path.exists(path):
            raise FileExistsError(f"[Model.save_weights] {path!r} exists already")
        saving.save_weights(self, filepath)

    def load_weights(self, filepath: str | os.PathLike[str]) -> None:
        """Read all weights from a file of `save_weights`.

        Layer names do not matter, the kinds of the layers and their order do.

        Errors: ValueError, naming it, when a weight is missing, left over, or of another shape;
        then no weight is changed.
        """
        self._check_built("load_weights")
        saving.load_weights(self, filepath)


# What `_build_for` recognises a model without its own `build` by.
_BUILD = Model.build.__wrapped__  # type: ignore[attr-defined]
