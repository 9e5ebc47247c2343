# SPDX-License-Identifier: Apache-2.0
"""The base class of all layers."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from typing import Any, ClassVar

from elman import _context, _names, _serialization, _settings
from elman._backend import core
from elman._errors import fail_text, list_text, shape_text
from elman._keywords import check_keywords
from elman._signatures import parameters_of, takes_any_keyword
from elman._symbolic import is_symbolic, record_call
from elman._tensors import Tensor, as_mask, as_tensor, is_array, mask_of, unplaced, with_mask
from elman.layers import _checks, _options
from elman.layers._building import build_wrapper, open_batch, shape_wrapper, shapes_of
from elman.layers._infer import infer_output_shape
from elman.layers._options import Option, named
from elman.layers._weights import WeightHolder
from elman.layers.layer_calls import LayerCalls

Shape = tuple[int | None, ...]

BASE_KEYWORDS = {
    name: named(name, Option(default, check, keyword=True, doc=doc))
    for name, default, check, doc in (
        ("name", None, _checks.layer_name, "name of the layer"),
        ("trainable", True, _checks.flag, "whether optimizers change the weights"),
        ("dtype", None, _checks.float_dtype, "'float32' or 'float64'"),
        ("input_shape", None, _checks.shape, "shape of the input without the batch axis"),
        ("batch_input_shape", None, _checks.shape, "shape of the input with the batch axis"),
        ("batch_size", None, _checks.optional_int, "batch size, together with input_shape"),
        ("weights", None, _checks.arrays, "list of arrays that the weights start from"),
    )
}


class Layer(LayerCalls, WeightHolder):
    """A function with weights.

    A subclass makes its weights in `build(input_shape)` with `add_weight` and computes in
    `call(inputs)`; `call` may take `training` and `mask`. Attributes may be set before
    `super().__init__(**kwargs)`.

    Shapes: whatever `call` takes and returns; `compute_output_shape` is found by trying `call`
    on zeros unless a subclass defines it.

    Source: Keras `Layer`.

    Example:
        >>> import elman, numpy as np
        >>> class Scale(elman.layers.Layer):
        ...     def build(self, input_shape):
        ...         self.factor = self.add_weight("factor", (input_shape[-1],), initializer="ones")
        ...     def call(self, inputs):
        ...         return inputs * self.factor
        >>> Scale()(np.ones((1, 2), "float32")).numpy()
        array([[1., 1.]], dtype=float32)
    """

    _options: ClassVar[dict[str, Option]] = {}
    _base_keywords: ClassVar[Mapping[str, Option]] = BASE_KEYWORDS
    _call_takes: ClassVar[tuple[str, ...]] = ()  # parameters of `call` after the inputs
    _call_open: ClassVar[bool] = True  # whether `call` takes any keyword
    _makes_mask: ClassVar[bool] = False
    _leaf: ClassVar[bool] = False  # True: `call` calls no other layer
    _quick: ClassVar[bool] = False  # True: without a mask, a call is no more than `call`
    _casts_integers: ClassVar[bool] = False

    supports_masking: bool = False
    stateful: bool = False
    activity_regularizer: Any = None
    dtype: str
    batch_input_shape: Shape | None = None
    _input_shape: Any = None

    def __init__(self, *args: Any, **kwargs: Any) -> None:
        """Replaced by `declare` below; `_start` does the work."""

    def __init_subclass__(cls, **kwargs: Any) -> None:
        super().__init_subclass__(**kwargs)
        own = vars(cls)
        options = cls._collect_options()
        if "__init__" in own:
            cls.__init__ = _options.capture_arguments(own["__init__"])
        elif options != cls._options or "_base_keywords" in own:
            _options.declare(cls, options, cls._base_keywords)
            if cls.__doc__:
                cls.__doc__ += _options.argument_docs(options)
        cls._options = options
        if "call" in own:
            cls._call_takes = parameters_of(own["call"])[2:]
            cls._call_open = takes_any_keyword(own["call"])
            cls._leaf = own.get("_leaf", False)
        if "build" in own:
            setattr(cls, "build", build_wrapper(own["build"]))  # noqa: B010 - pyright
        if "compute_output_shape" in own:
            wrapped = shape_wrapper(own["compute_output_shape"])
            setattr(cls, "compute_output_shape", wrapped)  # noqa: B010 - pyright
        if "compute_mask" in own:
            cls._makes_mask = own.get("_makes_mask", True)
        cls._quick = cls._leaf and not cls._makes_mask
        _serialization.remember_class(cls)

    @classmethod
    def _collect_options(cls) -> dict[str, Option]:
        return _options.declared(cls)

    # -- construction ---------------------------------------------------------------------------

    def _start(self, values: dict[str, Any], base: dict[str, Any]) -> None:
        """Take over checked arguments; the `__init__` of every layer ends here."""
        self.__dict__.update(values)
        self.name = base["name"] or self._automatic_name()
        if not base["trainable"]:
            self.trainable = False
        self.dtype = base["dtype"] or _settings.floatx()
        self._dtype_given = base["dtype"] is not None
        self.batch_input_shape = self._declared_shape(base)
        self._initial_weights = base["weights"]
        self._setup()

    def _setup(self) -> None:
        """What a built-in layer derives from its options."""

    def _automatic_name(self) -> str:
        return _names.unique_name(_names.snake_case(type(self).__name__))

    def _declared_shape(self, base: Mapping[str, Any]) -> Shape | None:
        """The input shape that the base keywords state, with the batch axis."""
        whole, inner, batch = (
            base["batch_input_shape"], base["input_shape"], base["batch_size"],
        )  # fmt: skip
        if inner is None:
            inner = self._default_input_shape(base)
        if whole is not None:
            return whole
        return None if inner is None else (batch, *inner)

    def _default_input_shape(self, base: Mapping[str, Any]) -> Shape | None:
        """The input shape without batch axis that other keywords imply."""
        size = base.get("input_dim")
        return None if size is None else (size,)

    # -- building -------------------------------------------------------------------------------

    def build(self, input_shape: Any) -> None:
        """Make the weights; a subclass with weights overrides this.

        `built` becomes True when the outermost `build` is done.
        """

    def _build_for(self, shape: Any) -> None:
        """Build for the shape of actual values: the batch size stays open."""
        self.build(shape)
        declared = self.batch_input_shape
        self._input_shape = open_batch(shape, declared[0] if declared else None)

    def _check_started(self) -> None:
        if "dtype" not in self.__dict__:
            name = type(self).__name__
            raise RuntimeError(f"[{name}] __init__ has to call super().__init__()")

    @property
    def input_shape(self) -> Any:
        """Shape of the input with the batch axis, None for what is not fixed."""
        if self._input_shape is None:
            raise AttributeError(
                f"[{type(self).__name__}.input_shape] the layer is not built yet; call it first"
            )
        return self._input_shape

    @property
    def output_shape(self) -> Any:
        """Shape of the output (a list of shapes for several outputs)."""
        return self.compute_output_shape(self.input_shape)

    def compute_output_shape(self, input_shape: Any) -> Any:
        """The shape of the output for a shape of the input; None stays unknown."""
        return infer_output_shape(self, input_shape)

    def compute_mask(self, inputs: Any, mask: Any = None) -> Any:
        """The mask of the output: the input's if the layer supports masks, else None."""
        return mask if self.supports_masking else None

    # -- calling --------------------------------------------------------------------------------

    def call(self, inputs: Any, *args: Any, **kwargs: Any) -> Any:
        """The computation; a subclass overrides this."""
        return inputs

    def __call__(
        self, inputs: Any, *args: Any, mask: Any = None, training: Any = None, **kwargs: Any
    ) -> Any:
        """Apply the layer to arrays or tensors, or to symbolic tensors of `elman.Input`."""
        takes = self._call_takes
        if (  # the usual call of a small model costs little more than the computation
            type(inputs) is Tensor
            and self._quick
            and self.built
            and not (args or kwargs)
            and mask is None
            and inputs.dtype == self.dtype
            and self.activity_regularizer is None
            and getattr(inputs, "_keras_mask", None) is None
        ):
            self._check_input(inputs)
            if "training" not in takes:
                return self.call(inputs)
            return self.call(inputs, training=_context.training() if training is None else training)
        return self._call_checked(inputs, args, kwargs, mask, training)

    def _call_checked(self, inputs: Any, args: Any, kwargs: Any, mask: Any, training: Any) -> Any:
        """A call with conversions, masks, building, penalties, symbolic tensors."""
        takes = self._call_takes
        if args and len(args) <= len(takes):
            kwargs.update(zip(takes, args, strict=False))
            mask, training = kwargs.pop("mask", mask), kwargs.pop("training", training)
            args = ()
        if not self._call_open and not kwargs.keys() <= set(takes):
            known = [*takes, "mask", "training"]
            check_keywords(f"{type(self).__name__}.call", kwargs, known)
        if mask is not None and self._leaf and not is_symbolic(mask):
            mask = as_mask(mask, f"{type(self).__name__}.call")
        if is_symbolic((inputs, args, kwargs)):
            given = {"mask": mask, "training": training}
            kwargs.update({name: value for name, value in given.items() if value is not None})
            return self._call_symbolic(inputs, args, kwargs)
        if mask is None:
            mask = mask_of(inputs)
        if self.built:
            x = self._cast(inputs)
        else:
            self._check_started()
            x = self._cast(inputs)
            with _context.build_lock():
                if not self.built:
                    self._build_for(shapes_of(x))
        self._check_input(x)
        if "mask" in takes:
            kwargs["mask"] = mask
        if "training" in takes:
            kwargs["training"] = _context.training() if training is None else bool(training)
        if self._leaf:
            output = self.call(x, *args, **kwargs)
        else:
            output = self._call_composite(x, args, kwargs, training)
        if self.activity_regularizer is not None:
            self._add_activity_losses(output)
        if mask is not None or self._makes_mask:
            output = self._attach_mask(output, x, mask)
        return output

    def _call_composite(self, x: Any, args: Any, kwargs: Any, training: bool | None) -> Any:
        if _context.outermost():
            self._clear_losses()
        with _context.scope(training):
            return self.call(x, *args, **kwargs)

    def _call_symbolic(self, inputs: Any, args: Any, kwargs: Any) -> Any:
        shape = shapes_of(inputs)
        if not self.built:
            self._check_started()
            with _context.build_lock():
                if not self.built:
                    self.build(shape)
        self._check_input(inputs)
        self._check_symbolic(inputs, kwargs)
        output_shape = self.compute_output_shape(shape)
        return record_call(self, (inputs, *args), kwargs, output_shape, self.dtype)

    def _cast(self, x: Any) -> Any:
        """Arrays as tensors of the layer's type; lists and dicts of them keep their form."""
        listed = isinstance(x, (list, tuple)) and any(map(is_array, x))
        if not self._leaf and isinstance(x, dict):
            return {key: self._cast(item) for key, item in x.items()}
        if not self._leaf and listed:
            return [self._cast(item) for item in x]
        try:
            x = [as_tensor(item) for item in x] if listed else as_tensor(x)
        except (TypeError, ValueError) as error:
            where = f"{type(self).__name__}.call"
            raise type(error)(f"[{where}] x: {unplaced(error)} (layer {self.name!r})") from None
        if listed:
            rows: Any = x
            if len({(tuple(row.shape), row.dtype) for row in rows}) > 1:
                self._fail_rows([tuple(row.shape) for row in rows])
            x = core.stack(rows, 0)
        dtype = self.dtype
        if x.dtype == dtype or not (self._casts_integers or x.dtype in _settings.FLOATS):
            return x
        return core.cast(x, dtype)

    def _fail_rows(self, shapes: Sequence[Any]) -> Any:
        """ValueError for a list of arrays that do not make one array."""
        hint = "pad them to one array; fit and predict of a model take lists of sequences"
        self._fail("x", "arrays of one shape and type", list_text(shapes), hint)

    def _check_input(self, x: Any) -> None:
        """Rank and size checks of built-in layers, on tensors and symbolic tensors."""

    def _check_symbolic(self, x: Any, kwargs: Any) -> None:
        """Checks of what built-in layers are given besides x, on symbolic tensors."""

    def _fail(self, what: str, expected: str, shape: Any, hint: str, method: str = "call") -> Any:
        """ValueError in house form, with the layer's name at the end."""
        where = f"{type(self).__name__}.{method}"
        got = shape if isinstance(shape, str) else shape_text(shape)
        text = fail_text(where, what, expected, got, hint)
        raise ValueError(f"{text} (layer {self.name!r})")

    def _attach_mask(self, output: Any, x: Any, mask: Any) -> Any:
        new = self.compute_mask(x, mask)
        if isinstance(output, (list, tuple)):
            masks = new if isinstance(new, (list, tuple)) else [new] * len(output)
            return [with_mask(out, m, x) for out, m in zip(output, masks, strict=True)]
        return with_mask(output, new, x)

    def _add_activity_losses(self, output: Any) -> None:
        """The penalty on each returned tensor, divided by the batch size."""
        if self._leaf and _context.outermost():
            self._clear_losses()
        for tensor in output if isinstance(output, (list, tuple)) else [output]:
            batch = max(1, tensor.shape[0]) if tensor.ndim else 1
            self.add_loss(core.divide(self.activity_regularizer(tensor), float(batch)))

    # -- state and configuration ----------------------------------------------------------------

    def reset_states(self, states: Any = None) -> None:
        """Only stateful recurrent layers have states.

        Raises:
            AttributeError: always, here.
        """
        where = f"{type(self).__name__}.reset_states"
        raise AttributeError(f"[{where}] the layer is not stateful; make it with stateful=True")

    def get_config(self) -> dict[str, Any]:
        """The arguments that make an equal layer, in plain Python types."""
        config: dict[str, Any] = {"name": self.name, "trainable": self.trainable}
        if self.batch_input_shape is not None:
            config["batch_input_shape"] = list(self.batch_input_shape)
        config["dtype"] = self.dtype
        for name, option in self._options.items():
            value = self._option_value(name)
            config[name] = option.save(value) if option.save else value
        if type(self).get_config is Layer.get_config:
            config.update(_options.captured_config(self) or {})
        return config

    def _option_value(self, name: str) -> Any:
        """The value of an option: the attribute of its name, unless that means something else."""
        return getattr(self, name)

    @classmethod
    def from_config(
        cls, config: Mapping[str, Any], custom_objects: Mapping[str, Any] | None = None
    ) -> Any:
        """A layer from `get_config`'s dictionary; own objects are named in `custom_objects`."""
        with _serialization.custom_object_scope(custom_objects or {}):
            return cls(**config)

    def __repr__(self) -> str:
        built = "built" if self.built else "not built"
        return f"<{type(self).__name__} name={self.name}, {built}>"


_BASE_OPTIONS = {"activity_regularizer": _checks.regularizer("penalty on the output")}
_BASE_OPTIONS["activity_regularizer"].name = "activity_regularizer"
_BASE_OPTIONS["activity_regularizer"].keyword = True
_options.declare(Layer, _BASE_OPTIONS, BASE_KEYWORDS)
setattr(Layer, "build", build_wrapper(Layer.build))  # noqa: B010 - pyright
setattr(Layer, "compute_output_shape", shape_wrapper(Layer.compute_output_shape))  # noqa: B010
