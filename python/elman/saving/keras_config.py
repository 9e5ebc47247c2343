# SPDX-License-Identifier: Apache-2.0
"""Configurations as Keras 2 and Keras 3 write them, from elman's own, and back.

The forms differ in where an object's class is looked up, in a few options, in how the calls of a
functional model are written, and in what 'hard_sigmoid' means.
"""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any

from elman import _serialization, constraints, initializers, layers, losses, metrics, optimizers
from elman import regularizers as regularizers_
from elman._signatures import parameters_of
from elman.layers._options import older_name
from elman.optimizers import schedules
from elman.saving import keras1_config, keras_graph, keras_ops

# Where Keras 3 looks for the class of an object.
_MODULES = (
    (layers, "keras.layers"),
    (initializers, "keras.initializers"),
    (regularizers_, "keras.regularizers"),
    (constraints, "keras.constraints"),
    (optimizers, "keras.optimizers"),
    (schedules, "keras.optimizers.schedules"),
    (losses, "keras.losses"),
    (metrics, "keras.metrics"),
)
_MODELS = {"Sequential": "keras", "Functional": "keras.src.models.functional"}
# Options that Keras does not have, or not as a keyword, with the value that may be left out.
_LEFT_OUT: dict[int, dict[str, Any]] = {
    2: {"seed": None, "zero_output_for_mask": False, "return_state_sequences": False},
    3: {"implementation": 2, "return_state_sequences": False},
}
_LEFT_OUT_BY_CLASS: dict[int, dict[str, dict[str, Any]]] = {
    2: {"SimpleRNNCell": {"implementation": 2}, "ZeroPadding1D": {"data_format": "channels_last"}},
    3: {name: {"trainable": True} for name in ("SpatialDropout1D", "SpatialDropout2D")},
}
_ALWAYS_OUT = {"reverse_state_order": False, "weights": None, "backward_layer": None}
# Options of the optimizers that Keras 2 had late.
_OPTIMIZER_OUT = dict.fromkeys(("weight_decay", "clipnorm", "clipvalue", "global_clipnorm"))
# One pair or number instead of a list of one.
_SINGLE = {"Cropping1D": "cropping", "ZeroPadding1D": "padding", "UpSampling1D": "size"}
_RENAMED_2 = {"LeakyReLU": {"negative_slope": "alpha"}}
# Options of Keras that elman does not have, with the values that change nothing.
_OFF: dict[str, tuple[Any, ...]] = {
    "input_axes": (None,),
    "output_axes": (None,),
    "sparse": (False, None),
    "ragged": (False, None),
    "optional": (False, None),
    "groups": (1,),
    "time_major": (False,),
    "keepdims": (False,),
    "noise_shape": (None,),
    "quantization_config": (None,),
    "autocast": (True, None),
    "renorm": (False,),
    "renorm_clipping": (None,),
    "renorm_momentum": (0.99,),
    "synchronized": (False,),
    "virtual_batch_size": (None,),
    "fused": (None, False, True),
    "rms_scaling": (False,),
}
# Keras 2's hard_sigmoid is clip(0.2 x + 0.5, 0, 1), that of Keras 3 relu6(x + 3) / 6. The one that
# a version does not have gets a name that it does not know, so it refuses the file.
_HARD = {2: "hard_sigmoid", 3: "hard_sigmoid_v3"}
_FOREIGN = "elman>"


def version_of(text: str | None) -> int:
    """2 or 3 for the version of a file; what does not say is older than that."""
    major = (text or "1").split(".")[0]
    return 3 if major.isdecimal() and int(major) >= 3 else 2


# -- reading --------------------------------------------------------------------------------------


def read(config: Any, version: int, custom_objects: Mapping[str, Any] | None = None) -> Any:
    """What elman's `from_config` takes, from what that version of Keras wrote."""
    if isinstance(config, list):
        return [read(item, version, custom_objects) for item in config]
    if not isinstance(config, dict):
        return config
    found = {}
    for key, value in config.items():
        if isinstance(value, str) and key not in ("name", "class_name", "registered_name"):
            value = _activation_read(value, version)
        found[key] = read(value, version, custom_objects)
    name = found.get("class_name")
    if not isinstance(name, str):
        return found
    if ">" in name and _serialization.find(name, {}, custom_objects) is None:  # package>name
        name = found["class_name"] = name.split(">")[-1]
    inner = found.get("config")
    if isinstance(inner, dict) and keras_graph.is_graph(inner):
        inner = keras_graph.counted_from_zero(inner)
        found["config"] = keras_graph.without_operations(inner) if version == 3 else inner
    elif isinstance(inner, dict):
        found["config"] = _options_read(name, inner, version)
    return found


def read_json(config: Any, custom_objects: Mapping[str, Any] | None = None) -> Any:
    """What `from_config` takes, from the text of `to_json` of elman or of any Keras."""
    if not isinstance(config, dict) or not {"keras_version", "module"} & set(config):
        return config  # elman's
    version = config.get("keras_version", "3")  # Keras 3 writes none there
    kind = version_of(version if isinstance(version, str) else None)
    return read(config, kind, custom_objects)


def _options_read(name: str, config: dict[str, Any], version: int) -> dict[str, Any]:
    """The options of a layer by their present names, without those that elman lacks and are off."""
    cls = getattr(layers, name, None) or getattr(initializers, name, None)
    if not isinstance(cls, type):
        return config
    known: dict[str, Any] = dict.fromkeys(parameters_of(cls.__init__))
    if version == 2 and name in ("GRU", "GRUCell"):  # Keras before 2.1.3 knew no other
        config = {"reset_after": False, **config}
    if issubclass(cls, layers.Layer):
        known = {**cls._options, **cls._base_keywords}
        config = keras1_config.renamed(name, config, known)
        if cls is not layers.InputLayer and str(config.get("dtype")).startswith("int"):
            # Embedding layers of early Keras 2: the type of their input.
            config = {key: value for key, value in config.items() if key != "dtype"}
    found = {}
    for key, value in config.items():
        if key in known or key not in _OFF or value not in _OFF[key]:
            found[older_name(key, known)] = value
    return found


def _activation_read(name: str, version: int) -> str:
    if name.startswith(_FOREIGN):
        return name.removeprefix(_FOREIGN)
    return _HARD[version] if name == "hard_sigmoid" else name


# -- writing --------------------------------------------------------------------------------------


def written(entry: Any, version: int) -> Any:
    """An object's configuration, and all within it, as that version of Keras writes it."""
    if isinstance(entry, (list, tuple)):
        return [written(item, version) for item in entry]
    if not isinstance(entry, dict):
        return entry
    name, config = entry.get("class_name"), entry.get("config")
    if not isinstance(name, str) or not isinstance(config, dict) or name.startswith("__"):
        return {key: written(value, version) for key, value in entry.items()}
    if name == "Model":
        name = "Functional"
    config = (_model if name in _MODELS else _options)(name, config, version)
    calls = entry.get("inbound_nodes")
    rest = {key: value for key, value in entry.items() if key not in ("class_name", "config")}
    if version == 2:
        if calls is not None:
            rest["inbound_nodes"] = [_call_of_2(call) for call in calls]
        return {"class_name": name, "config": config, **rest}
    return {**_place(name), "config": config, **rest}


def _place(name: str) -> dict[str, Any]:
    """Where Keras 3 finds a class."""
    module = _MODELS.get(name)
    for ours, theirs in _MODULES:
        if module is None and isinstance(getattr(ours, name, None), type):
            module = theirs
    own = None if module else name
    return {"module": module, "class_name": name, "registered_name": own}


def _options(name: str, config: dict[str, Any], version: int) -> dict[str, Any]:
    """The options of a layer, or of another object."""
    config = {key: _activation(key, value, version) for key, value in config.items()}
    own = _OPTIMIZER_OUT if version == 2 and hasattr(optimizers, name) else {}
    out = own | _ALWAYS_OUT | _LEFT_OUT[version] | _LEFT_OUT_BY_CLASS[version].get(name, {})
    if name == "SimpleRNN" and version == 3:  # its one gate has the same mask either way
        config.pop("implementation", None)
    if name == "InputLayer":
        shape = config.pop("batch_input_shape", None)
        config.pop("trainable", None)
        config["batch_input_shape" if version == 2 else "batch_shape"] = shape
    elif version == 3:
        config.pop("batch_input_shape", None)  # models start from an InputLayer
    if version == 3 and config.get("input_length", 0) is None:
        del config["input_length"]
    single = _SINGLE.get(name)
    if single and isinstance(config.get(single), (list, tuple)) and len(config[single]) == 1:
        config[single] = config[single][0]
    renamed = _RENAMED_2.get(name, {}) if version == 2 else {}
    found = {
        renamed.get(key, key): written(value, version)
        for key, value in config.items()
        if not (key in out and value == out[key])
    }
    if version == 2 and "hard_sigmoid" in config.values():
        # Keras 3 reads such a file too, but computes other numbers: an argument that only Keras 2
        # takes makes it refuse.
        found["weights"] = None
    return found


def _activation(key: str, value: Any, version: int) -> Any:
    if not key.endswith("activation") or not isinstance(value, str):
        return value
    if not value.startswith("hard_sigmoid"):
        return value
    return "hard_sigmoid" if value == _HARD[version] else _FOREIGN + value


def _model(name: str, config: dict[str, Any], version: int) -> dict[str, Any]:
    """A model within a model, or the model itself."""
    if name == "Sequential":
        return _sequential(config, version)
    found = {key: written(value, version) for key, value in config.items()}
    if keras_graph.is_graph(found):
        found = keras_graph.counted_as_in_keras(found, version)
    if version == 3 and isinstance(found.get("layers"), list):
        found["layers"] = [keras_ops.written(entry) for entry in found["layers"]]
    for what in ("input_layers", "output_layers"):
        places = found.get(what)
        if version == 3 and isinstance(places, list) and len(places) == 1:
            found[what] = places[0]  # one tensor, and not a list of one
    return found


def _sequential(config: dict[str, Any], version: int) -> dict[str, Any]:
    """A chain of layers starts with its input, which elman keeps as a shape."""
    entries, shape = list(config["layers"]), config.get("build_input_shape")
    if shape is not None and entries and entries[0].get("class_name") != "InputLayer":
        first = entries[0].get("config", {})
        options = {
            "name": f"{first.get('name', config.get('name'))}_input",
            "dtype": first.get("dtype", "float32"),
            "batch_input_shape": list(shape),
        }
        entries.insert(0, {"class_name": "InputLayer", "config": options})
    rest = {key: value for key, value in config.items() if key not in ("layers", "trainable")}
    if version == 3:
        rest["trainable"] = config.get("trainable", True)
    return {**rest, "layers": [written(entry, version) for entry in entries]}


def _call_of_2(call: Mapping[str, Any]) -> list[Any]:
    """The call of a layer as a list of [layer, call, output, keyword arguments]."""
    args, kwargs = list(call["args"]), {k: _place_of_2(v) for k, v in call["kwargs"].items()}
    first = args[0] if args else []
    sources = first if isinstance(first, list) else [first]
    return [[*_place_of_2(source), kwargs] for source in sources]


def _place_of_2(value: Any) -> Any:
    if isinstance(value, list):
        return [_place_of_2(item) for item in value]
    if isinstance(value, Mapping) and value.get("class_name") == keras_graph.TENSOR:
        return list(value["config"]["keras_history"])
    return value
