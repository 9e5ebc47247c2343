# SPDX-License-Identifier: Apache-2.0
"""`Model`: a layer made of layers that can be trained, saved and described."""

from __future__ import annotations

import os
from collections.abc import Mapping
from typing import Any

from elman import _context, saving
from elman._errors import fail_text
from elman._serialization import one_configuration
from elman._symbolic import is_symbolic
from elman._tensors import Tensor, mask_of, with_mask
from elman.layers._infer import infer_output_shape
from elman.layers._options import captured_config
from elman.layers.layer import Layer
from elman.models import configuration
from elman.models.arguments import Arguments
from elman.models.graph import Graph
from elman.models.inspectable import Inspectable, one_or_list
from elman.models.pieces import Pieces
from elman.models.pieces import outputs as outputs_of_pieces
from elman.models.structure import Structure
from elman.models.training import Training


class Model(Training, Inspectable):
    """A network from input tensors to output tensors, or a class to subclass.

    `Model(inputs, outputs)` holds the layers that lie between the two: tensors of `elman.Input`,
    and what layers called on them return. Inputs and outputs are a tensor, a list or a dict;
    arrays are given, and returned, in the same form. A layer that is called several times is
    shared, and a model can be called like a layer.

    A subclass has layers as attributes and `call`, or calls `super().__init__(inputs=...,
    outputs=...)`.

    Args:
        inputs: tensor of `elman.Input`, list or dict of them.
        outputs: symbolic tensor, list or dict of them.
        name: default the class name in snake case.
        kwargs: `trainable`; `dtype`: type that inputs are cast to, default that of the layers.

    Errors: ValueError for outputs that need an Input which is not among `inputs`, an input that
    is the output of a layer, or two layers of one name; TypeError for something that is no
    symbolic tensor.

    Example:
        >>> import elman, numpy as np
        >>> x = elman.Input((None, 3))
        >>> last, h, c = elman.layers.LSTM(4, return_state=True)(x)
        >>> model = elman.Model(x, [elman.layers.Dense(1)(last), c])
        >>> [y.shape for y in model(np.zeros((2, 5, 3), "float32"))]
        [(2, 1), (2, 4)]
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
    _own_call: bool = True  # False: `call` is that of this class
    _arguments: Arguments

    def __init__(
        self, inputs: Any = None, outputs: Any = None, name: str | None = None, **kwargs: Any
    ) -> None:
        where = type(self).__name__
        if (inputs is None) != (outputs is None):
            got = "only inputs" if outputs is None else "only outputs"
            raise TypeError(fail_text(where, "inputs, outputs", "both or neither", got))
        graph = None if inputs is None else Graph(where, inputs, outputs)
        explicit = kwargs.get("dtype")
        super().__init__(name=name, **kwargs)
        self._explicit_dtype = explicit
        self._structure: Structure | None = None
        if graph is not None:
            self._take_graph(graph)

    def _take_graph(self, graph: Graph) -> None:
        if is_symbolic(self.__dict__["_init_arguments"][1:]):
            del self.__dict__["_init_arguments"]  # not a configuration
        self._graph = graph
        self._arguments = Arguments(graph.input_names, graph.inputs, graph.nodes)
        self._input_shape = one_or_list([tensor.shape for tensor in graph.inputs])
        self._one_input, self._one_output = len(graph.inputs) == 1, len(graph.outputs) == 1
        self.output_names = graph.output_names
        self._own_call = type(self).call is not Model.call
        self._call_name = f"{type(self).__name__}.call"
        self.built = True

    # -- the layer side -------------------------------------------------------------------------

    @property
    def layers(self) -> list[Any]:
        """The layers directly within the model, the `InputLayer`s of a functional one included."""
        return list(self._sublayers())

    def _found(self) -> tuple[list[Any], list[Any]]:
        variables, holders = super()._found()
        if self._graph is None:
            return variables, holders
        known = {id(layer) for layer in self._graph.layers}
        return variables, self._graph.layers + [h for h in holders if id(h) not in known]

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

    def build(self, input_shape: Any = None) -> None:
        """Make all weights by running the model once on zeros of that shape.

        A functional model has its weights already.
        """
        if self._graph is not None:
            return
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
        if self._graph is not None and not self._own_call:
            return x  # `call` sees to it
        explicit = self.__dict__.get("_explicit_dtype")
        if explicit is None:
            types = {getattr(layer, "dtype", None) for layer in self.layers}
            if types == {"float64"}:
                self.dtype = "float64"
        cast = super()._cast(x)
        return with_mask(cast, mask_of(x), x) if isinstance(x, Tensor) else cast

    def __call__(
        self, inputs: Any, *args: Any, mask: Any = None, training: Any = None, **kwargs: Any
    ) -> Any:
        """Apply the model to arrays or tensors, or to symbolic tensors of `elman.Input`."""
        if self._graph is not None and self._own_call is False:
            plain = mask is None and not args and not kwargs and self.activity_regularizer is None
            # The usual call of a small model costs little more than its layers.
            x = self._arguments.quick(self._call_name, inputs) if plain else None
            if x is not None:
                if _context.outermost():
                    self._clear_losses()
                with _context.scope(training):
                    return self._graph.run(x)
        if type(inputs) is Pieces:  # of the training methods
            return outputs_of_pieces(self, inputs, training)
        return super().__call__(inputs, *args, mask=mask, training=training, **kwargs)

    def call(self, inputs: Any, mask: Any = None) -> Any:
        """The layers between inputs and outputs; `training` and masks travel by themselves.

        Args:
            inputs: array or tensor; a list or dict of them for several inputs.
            mask: mask, list or dict of masks that replace those which the inputs carry.
        """
        if self._graph is None:
            return inputs
        return self._graph.run(self._arguments.tensors(self._call_name, inputs, mask))

    def compute_output_shape(self, input_shape: Any) -> Any:
        """The shape of the output, or a list or dict of shapes as the outputs are."""
        if self._graph is None:
            return super().compute_output_shape(input_shape)
        where = f"{type(self).__name__}.compute_output_shape"
        shapes = self._arguments.check_shapes(where, input_shape)
        return self._graph.packed(self._graph.output_shapes(shapes))

    def compute_mask(self, inputs: Any, mask: Any = None) -> Any:
        """The mask of each output of a functional model; `mask` itself for other models."""
        if self._graph is None:
            return super().compute_mask(inputs, mask)
        where = f"{type(self).__name__}.compute_mask"
        return self._graph.masks(self._arguments.tensors(where, inputs, mask))

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

    @property
    def stateful(self) -> bool:  # type: ignore[override]
        """Whether any layer carries state from batch to batch."""
        return self.structure.stateful

    def reset_states(self, states: Any = None) -> None:
        """Set the state of every stateful layer to zero; other layers are left alone."""
        if states is not None:
            hint = "a layer's own reset_states takes states"
            where = f"{type(self).__name__}.reset_states"
            raise ValueError(fail_text(where, "states", "None", type(states).__name__, hint))
        for holder in self.structure.holders:
            if isinstance(holder, Layer) and not isinstance(holder, Model) and holder.stateful:
                holder.reset_states()

    # -- configuration --------------------------------------------------------------------------

    def get_config(self) -> dict[str, Any]:
        """What `from_config` makes the model from again, in plain Python types.

        A functional model gives layers and calls, a subclass of `Model` its own arguments.
        """
        if self._graph is None or "_init_arguments" in self.__dict__:
            config = super().get_config()
            if type(self).get_config is Model.get_config:
                config.update(captured_config(self) or {})
            return config
        with one_configuration():
            return configuration.of_graph(self, self._graph)

    @classmethod
    def from_config(
        cls, config: Mapping[str, Any], custom_objects: Mapping[str, Any] | None = None
    ) -> Any:
        """A model with new weights from `get_config`'s dictionary, or from Keras 2's or 3's.

        Errors: ValueError for a configuration that is not complete, or that names an unknown
        class; own classes are named in `custom_objects`.
        """
        if isinstance(config, Mapping) and "input_layers" not in config:
            taken, rest = configuration.for_init(cls.__init__, config)
            model = super().from_config(taken, custom_objects)
            model.__dict__.update(rest)
            return model
        with one_configuration():
            inputs, outputs, rest = configuration.graph_ends(config, custom_objects)
        return cls(inputs=inputs, outputs=outputs, **rest)

    def to_json(self, **options: Any) -> str:
        """The architecture as a JSON text, for `elman.models.model_from_json`.

        Args:
            options: passed on to `json.dumps`, for instance indent=2.
        """
        return configuration.to_json(self, options)

    # -- files ----------------------------------------------------------------------------------

    def save(self, filepath: str | os.PathLike[str], overwrite: bool = True) -> None:
        """Write the whole model, atomically: architecture, weights and arguments of `compile`.

        `elman.models.load_model` reads it, and so does Keras as far as it has the layers and
        options. The state of the optimizer is not part of the file.

        Args:
            filepath: the suffix chooses the format: '.keras' for Keras 3, '.h5' for Keras 2. Both
                need h5py.
            overwrite: False raises FileExistsError when the file exists.

        Errors: ValueError for a model that is not built, or a layer with a function without a
        name; TypeError for a configuration that is no plain data.
        """
        self._check_built("save")
        saving.save_model(self, filepath, overwrite)

    def save_weights(self, filepath: str | os.PathLike[str], overwrite: bool = True) -> None:
        """Write all weights to a file, atomically.

        Args:
            filepath: the suffix chooses the format: '.safetensors' or '.npz'; '.weights.h5' for
                Keras 3, '.h5' for Keras 2, which need h5py.
            overwrite: False raises FileExistsError when the file exists.
        """
        self._check_built("save_weights")
        path = saving.checked_path(filepath, "Model.save_weights")
        if not overwrite and os.path.exists(path):
            raise FileExistsError(f"[Model.save_weights] {path!r} exists already")
        saving.save_weights(self, filepath)

    def load_weights(self, filepath: str | os.PathLike[str], by_name: bool = False) -> None:
        """Read all weights from a file of `save_weights`, or of Keras 1 to 3.

        The content tells the format, the suffix does not matter; of a file with a whole model the
        weights are read. Layer names do not matter. In a '.h5' of Keras 1 or 2 only the order of
        the layers does, in the other formats also their kinds. The weights of CuDNNLSTM load into
        LSTM and those of LSTM into CuDNNLSTM, likewise CuDNNGRU and GRU(reset_after=True); an RNN
        of one LSTMCell, GRUCell or SimpleRNNCell is of the kind of LSTM, GRU or SimpleRNN.

        Args:
            filepath: the file.
            by_name: load the layers whose names are in the file and leave the others alone; for
                '.h5' of Keras 2.

        Errors: ValueError, naming it, when a weight is missing, left over, or of another shape;
        then no weight is changed. ImportError for a Keras file without h5py.
        """
        self._check_built("load_weights")
        saving.load_weights(self, filepath, by_name)


# What `_build_for` recognises a model without its own `build` by.
_BUILD = Model.build.__wrapped__  # type: ignore[attr-defined]
