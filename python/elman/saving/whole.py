# SPDX-License-Identifier: Apache-2.0
"""Whole models in Keras' files: architecture, weights, and what they were compiled with."""

from __future__ import annotations

import contextlib
import datetime
import io
import json
import os
from collections.abc import Iterator, Mapping
from typing import Any

from elman import _context
from elman._serialization import one_configuration, serialize_object
from elman.saving import archive, compiled, hdf5, keras2, keras3, keras_config
from elman.saving.stored import mismatch
from elman.saving.weights import checked_path, load_hdf5

WHOLE_SUFFIXES = (".keras", ".h5", ".hdf5")
# What a .keras file says it was written by: the layout and the meaning of names are those of it.
_KERAS_3 = "3.0.0"
_WHERE = "models.load_model"
# Weights of 16 bits in a file take 64 in a float64 model.
_GROWTH, _SLACK = 4, 1 << 20


# -- writing --------------------------------------------------------------------------------------


def save_model(model: Any, filepath: str | os.PathLike[str], overwrite: bool = True) -> None:
    """Write a whole model; see `Model.save`."""
    where = f"{type(model).__name__}.save"
    path = checked_path(filepath, where, WHOLE_SUFFIXES)
    if path.lower().endswith(".weights.h5"):
        raise ValueError(
            f"[{where}] filepath: {path!r} is a name for save_weights; leave out "
            "'.weights', or take '.keras'"
        )
    if not overwrite and os.path.exists(path):
        raise FileExistsError(f"[{where}] {path!r} exists already")
    if path.lower().endswith(".keras"):
        archive.write(path, _entries(model, where))
    else:
        hdf5.write(path, lambda root: _fill(root, model, where))


def _entries(model: Any, where: str) -> dict[str, bytes]:
    """The parts of a .keras file."""
    from elman import __version__

    config = _configuration(model, 3)
    found = compiled.configuration(model, 3)
    if found is not None:
        config["compile_config"] = found
    now = datetime.datetime.now().strftime("%Y-%m-%d@%H:%M:%S")
    about = {"keras_version": _KERAS_3, "date_saved": now, "elman_version": __version__}
    return {
        archive.METADATA: json.dumps(about).encode(),
        archive.CONFIG: _text(config, where).encode(),
        archive.WEIGHTS: hdf5.image(lambda root: keras3.write(root, model)),
    }


def _fill(root: Any, model: Any, where: str) -> None:
    """The content of a .h5 file."""
    keras2.write_origin(root)
    hdf5.write_text(root, "model_config", _text(_configuration(model, 2), where))
    found = compiled.configuration(model, 2)
    if found is not None:
        hdf5.write_text(root, "training_config", _text(found, where))
    keras2.write(root.create_group(keras2.WHOLE), model)


def _configuration(model: Any, version: int) -> dict[str, Any]:
    with one_configuration():
        config = keras_config.written(serialize_object(model), version)
    if model._graph is None and not model._is_chain:  # its configuration has no shape of the input
        config["build_config"] = {"input_shape": _listed(model._input_shape)}
    return config


def _listed(shape: Any) -> Any:
    if isinstance(shape, dict):
        return {key: _listed(item) for key, item in shape.items()}
    return [_listed(s) if isinstance(s, (list, tuple)) else s for s in shape]


def _text(config: Any, where: str) -> str:
    try:
        return json.dumps(config)
    except TypeError as error:
        hint = "a layer with its own get_config has to return plain Python types"
        raise TypeError(f"[{where}] {error}; {hint}") from None


# -- reading --------------------------------------------------------------------------------------


def load_model(
    filepath: str | os.PathLike[str],
    custom_objects: Mapping[str, Any] | None = None,
    compile: bool = True,
) -> Any:
    """The model of a `.keras` or `.h5` file, of elman or of Keras 1 to 3.

    The state of the optimizer is not restored. Nothing of a file is executed: names are looked up
    among the layers and the objects that the program has named or defined, and a Lambda layer
    takes its function from `custom_objects`.

    Args:
        filepath: the file; its content tells the format.
        custom_objects: name -> own layer, cell, activation and so on. Alternatives are
            `elman.utils.custom_object_scope` and `register_keras_serializable`.
        compile: whether to compile the model as the file says. What is not known gives a warning,
            and a model that is not compiled.

    Errors: ValueError for a file that is damaged, has no architecture, names unknown layers or
    arguments, or whose weights do not fit; ImportError without h5py.

    Example:
        >>> import elman, os, tempfile
        >>> model = elman.Sequential([elman.layers.LSTM(4, input_shape=(None, 3))])
        >>> path = os.path.join(tempfile.mkdtemp(), "model.keras")
        >>> model.save(path)
        >>> elman.models.load_model(path).output_shape
        (None, 4)
    """
    path = checked_path(filepath, _WHERE, WHOLE_SUFFIXES)
    with open(path, "rb") as file:
        start = file.read(len(hdf5.SIGNATURE))
    with _named_errors():
        if start.startswith(b"PK"):
            return _from_archive(path, custom_objects, compile)
        return _from_hdf5(path, custom_objects, compile)


@contextlib.contextmanager
def _named_errors() -> Iterator[None]:
    """Errors of reading weights that name this function."""
    try:
        yield
    except ValueError as error:
        text = str(error)
        if text.startswith("[Model.load_weights]"):
            raise ValueError(text.replace("Model.load_weights", _WHERE, 1)) from None
        raise


def _from_archive(path: str, custom_objects: Any, compile: bool) -> Any:
    with archive.Archive(path) as whole:
        config, about = whole.json(archive.CONFIG), whole.json(archive.METADATA)
        version = about.get("keras_version") if isinstance(about, dict) else None
        kind = keras_config.version_of(version if isinstance(version, str) else "3")
        model = _made(path, config, kind, custom_objects, whole.size(archive.WEIGHTS))
        load_hdf5(model, path, io.BytesIO(whole.read(archive.WEIGHTS)))
    if compile:
        compiled.restore(model, config.get("compile_config"), kind, custom_objects)
    return model


def _from_hdf5(path: str, custom_objects: Any, compile: bool) -> Any:
    with open(path, "rb") as file:
        with contextlib.closing(hdf5.Tree(path, file)) as tree:
            config = _json(tree, "model_config")
            if config is None:
                hint = "make the model and call its load_weights"
                raise mismatch(path, f"expected a whole model, got weights alone; {hint}")
            kind = keras_config.version_of(tree.text(tree.root, "keras_version"))
            trained = _json(tree, "training_config") if compile else None
            model = _made(path, config, kind, custom_objects, tree.size)
        load_hdf5(model, path, file)
    if compile:
        compiled.restore(model, trained, kind, custom_objects)
    return model


def _json(tree: hdf5.Tree, attribute: str) -> Any:
    text = tree.text(tree.root, attribute)
    try:
        return None if text is None else json.loads(text)
    except (ValueError, RecursionError) as error:
        raise tree.bad(f"damaged: {attribute}: {error}") from None


def _made(path: str, config: Any, version: int, custom_objects: Any, size: int) -> Any:
    """The model of a configuration; its weights cannot be larger than the file."""
    from elman.models import model_from_config

    if not isinstance(config, dict):
        raise mismatch(path, f"expected a configuration, got {type(config).__name__}")
    try:
        with _context.weight_budget(_GROWTH * size + _SLACK):
            model = model_from_config(
                keras_config.read(config, version, custom_objects), custom_objects
            )
            built = config.get("build_config")
            if not model.built and isinstance(built, dict) and built.get("input_shape"):
                model.build(_tuples(built["input_shape"]))
    except RecursionError:
        raise mismatch(path, "expected models nested a few levels deep") from None
    except (TypeError, AttributeError, LookupError, ArithmeticError, MemoryError) as error:
        text = str(error) or type(error).__name__
        raise mismatch(path, f"the configuration makes no model: {text}") from error
    if not model.built:
        raise mismatch(
            path,
            "the file does not say the shape of the input; make the model, build "
            "it and call its load_weights",
        )
    return model


def _tuples(shape: Any) -> Any:
    if isinstance(shape, dict):
        return {key: _tuples(item) for key, item in shape.items()}
    if any(isinstance(item, (list, dict)) for item in shape):
        return [_tuples(item) for item in shape]
    return tuple(shape)
