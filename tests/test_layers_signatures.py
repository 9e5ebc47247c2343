# SPDX-License-Identifier: Apache-2.0
"""`inspect.signature` of every layer: order and defaults of the arguments given by place."""

from __future__ import annotations

import inspect

import pytest

from elman import layers, legacy

INITIALIZERS = (
    "kernel_initializer='glorot_uniform', recurrent_initializer='orthogonal', "
    "bias_initializer='zeros'"
)
REGULARIZERS = "kernel_regularizer=None, recurrent_regularizer=None, bias_regularizer=None"
CONSTRAINTS = "kernel_constraint=None, recurrent_constraint=None, bias_constraint=None"
RATES = "dropout=0.0, recurrent_dropout=0.0"
FLAGS = (
    "return_sequences=False, return_state=False, go_backwards=False, stateful=False, unroll=False"
)


def gated(gate: str, implementation: int, *, layer: bool, forget: bool, after: str) -> str:
    """The signature of GRU, LSTM or their cells."""
    parts = [
        f"units, activation='tanh', recurrent_activation='{gate}', use_bias=True",
        INITIALIZERS + (", unit_forget_bias=True" if forget else ""),
        REGULARIZERS + (", activity_regularizer=None" if layer else ""),
        CONSTRAINTS,
        f"{RATES}, implementation={implementation}",
    ]
    return ", ".join(parts + ([FLAGS] if layer else []) + ([after] if after else []))


def cudnn(*, forget: bool) -> str:
    """The signature of CuDNNGRU or CuDNNLSTM."""
    start = f"units, {INITIALIZERS}" + (", unit_forget_bias=True" if forget else "")
    flags = "return_sequences=False, return_state=False, stateful=False"
    return f"{start}, {REGULARIZERS}, activity_regularizer=None, {CONSTRAINTS}, {flags}"


STARTS = "center=True, scale=True, beta_initializer='zeros', gamma_initializer='ones'"
AFFINE = (
    "beta_regularizer=None, gamma_regularizer=None, beta_constraint=None, gamma_constraint=None"
)
CONV_REST = (
    "activation=None, use_bias=True, kernel_initializer='glorot_uniform', "
    "bias_initializer='zeros', kernel_regularizer=None, bias_regularizer=None, "
    "activity_regularizer=None, kernel_constraint=None, bias_constraint=None"
)


def conv(step: str, data_format: str) -> str:
    """The signature of a convolution whose strides and dilation are `step`."""
    return (
        f"filters, kernel_size, strides={step}, padding='valid', data_format={data_format}, "
        f"dilation_rate={step}, {CONV_REST}"
    )


def pooling(size: str, data_format: str) -> str:
    """The signature of a pooling layer."""
    return f"pool_size={size}, strides=None, padding='valid', data_format={data_format}"


SIMPLE = f"units, activation='tanh', use_bias=True, {INITIALIZERS}, {REGULARIZERS}"


def conv_lstm(rank: int, layer: bool) -> str:
    """The signature of a ConvLSTM layer or cell."""
    ones = "1" if rank == 1 else str((1,) * rank)
    parts = [
        f"filters, kernel_size, strides={ones}, padding='valid', data_format=None",
        f"dilation_rate={ones}, activation='tanh', recurrent_activation='hard_sigmoid'",
        f"use_bias=True, {INITIALIZERS}, unit_forget_bias=True, {REGULARIZERS}",
        *(["activity_regularizer=None"] if layer else []),
        CONSTRAINTS,
        *(["return_sequences=False, go_backwards=False, stateful=False"] if layer else []),
        RATES,
    ]
    return ", ".join(parts)


SIGNATURES = {
    **{f"ConvLSTM{rank}D": conv_lstm(rank, True) for rank in (1, 2, 3)},
    **{f"ConvLSTM{rank}DCell": conv_lstm(rank, False) for rank in (1, 2, 3)},
    "RNN": f"cell, {FLAGS}",
    "SimpleRNN": f"{SIMPLE}, activity_regularizer=None, {CONSTRAINTS}, {RATES}, {FLAGS}",
    "SimpleRNNCell": f"{SIMPLE}, {CONSTRAINTS}, {RATES}",
    "GRU": gated("sigmoid", 2, layer=True, forget=False, after="reset_after=True"),
    "GRUCell": gated("sigmoid", 2, layer=False, forget=False, after="reset_after=True"),
    "LSTM": gated("sigmoid", 2, layer=True, forget=True, after=""),
    "LSTMCell": gated("sigmoid", 2, layer=False, forget=True, after=""),
    "StackedRNNCells": "cells",
    "Dense": (
        "units, activation=None, use_bias=True, kernel_initializer='glorot_uniform', "
        "bias_initializer='zeros', kernel_regularizer=None, bias_regularizer=None, "
        "activity_regularizer=None, kernel_constraint=None, bias_constraint=None"
    ),
    "Activation": "activation",
    "Embedding": (
        "input_dim, output_dim, embeddings_initializer='uniform', embeddings_regularizer=None, "
        "activity_regularizer=None, embeddings_constraint=None, mask_zero=False, input_length=None"
    ),
    "Flatten": "data_format=None",
    "Dropout": "rate, noise_shape=None, seed=None",
    "Bidirectional": "layer, merge_mode='concat', weights=None, backward_layer=None",
    "TimeDistributed": "layer",
    "Masking": "mask_value=0.0",
    "RepeatVector": "n",
    "Reshape": "target_shape",
    "Permute": "dims",
    "Lambda": "function, output_shape=None, mask=None, arguments=None",
    "Softmax": "axis=-1",
    "ReLU": "max_value=None, negative_slope=0.0, threshold=0.0",
    "LeakyReLU": "negative_slope=0.3",
    "ELU": "alpha=1.0",
    "PReLU": (
        "alpha_initializer='zeros', alpha_regularizer=None, alpha_constraint=None, shared_axes=None"
    ),
    "SpatialDropout1D": "rate, seed=None",
    "SpatialDropout2D": "rate, data_format=None, seed=None",
    "GaussianNoise": "stddev, seed=None",
    "GaussianDropout": "rate, seed=None",
    "ActivityRegularization": "l1=0.0, l2=0.0",
    "LayerNormalization": f"axis=-1, epsilon=0.001, {STARTS}, {AFFINE}",
    "BatchNormalization": (
        f"axis=-1, momentum=0.99, epsilon=0.001, {STARTS}, moving_mean_initializer='zeros', "
        f"moving_variance_initializer='ones', {AFFINE}"
    ),
    "CuDNNGRU": cudnn(forget=False),
    "CuDNNLSTM": cudnn(forget=True),
    "Conv1D": conv("1", "'channels_last'"),
    "Conv2D": conv("(1, 1)", "None"),
    "Conv3D": conv("(1, 1, 1)", "None"),
    "MaxPooling1D": pooling("2", "'channels_last'"),
    "MaxPooling2D": pooling("(2, 2)", "None"),
    "MaxPooling3D": pooling("(2, 2, 2)", "None"),
    "AveragePooling1D": pooling("2", "'channels_last'"),
    "AveragePooling2D": pooling("(2, 2)", "None"),
    "AveragePooling3D": pooling("(2, 2, 2)", "None"),
    "GlobalMaxPooling1D": "data_format='channels_last'",
    "GlobalMaxPooling2D": "data_format=None",
    "GlobalMaxPooling3D": "data_format=None",
    "GlobalAveragePooling1D": "data_format='channels_last'",
    "GlobalAveragePooling2D": "data_format=None",
    "GlobalAveragePooling3D": "data_format=None",
    "ZeroPadding1D": "padding=1, data_format='channels_last'",
    "ZeroPadding2D": "padding=(1, 1), data_format=None",
    "Cropping1D": "cropping=(1, 1)",
    "Cropping2D": "cropping=((0, 0), (0, 0)), data_format=None",
    "UpSampling1D": "size=2",
    "UpSampling2D": "size=(2, 2), data_format=None, interpolation='nearest'",
    "Add": "",
    "Subtract": "",
    "Multiply": "",
    "Average": "",
    "Maximum": "",
    "Minimum": "",
    "Concatenate": "axis=-1",
    "Dot": "axes, normalize=False",
    "Arithmetic": "function, left=None, right=None",
    "GetItem": "index",
}
LEGACY = {
    "GRU": gated("hard_sigmoid", 1, layer=True, forget=False, after="reset_after=False"),
    "GRUCell": gated("hard_sigmoid", 1, layer=False, forget=False, after=""),
    "LSTM": gated("hard_sigmoid", 1, layer=True, forget=True, after=""),
    "LSTMCell": gated("hard_sigmoid", 1, layer=False, forget=True, after=""),
}
ALIASES = {
    f"{alias}{rank}D": f"{name}{rank}D"
    for rank in (1, 2, 3)
    for alias, name in (
        ("Convolution", "Conv"),
        ("MaxPool", "MaxPooling"),
        ("AvgPool", "AveragePooling"),
        ("GlobalMaxPool", "GlobalMaxPooling"),
        ("GlobalAvgPool", "GlobalAveragePooling"),
    )
}
BASE = {
    "name": None,
    "trainable": True,
    "dtype": None,
    "input_shape": None,
    "batch_input_shape": None,
    "batch_size": None,
    "weights": None,
}


def by_place(cls: type) -> str:
    """The parameters that can be given by place, as text."""
    parameters = inspect.signature(cls).parameters.values()
    places = [p for p in parameters if p.kind is inspect.Parameter.POSITIONAL_OR_KEYWORD]
    return str(inspect.Signature(places))[1:-1]


def by_name(cls: type) -> dict[str, object]:
    """The parameters that can only be given by name, with their defaults."""
    parameters = inspect.signature(cls).parameters.values()
    return {p.name: p.default for p in parameters if p.kind is inspect.Parameter.KEYWORD_ONLY}


@pytest.mark.parametrize("name", SIGNATURES)
def test_signature(name):
    assert by_place(getattr(layers, name)) == SIGNATURES[name]


@pytest.mark.parametrize("name", SIGNATURES)
def test_legacy_signature(name):
    assert by_place(getattr(legacy.layers, name)) == LEGACY.get(name, SIGNATURES[name])


@pytest.mark.parametrize("alias", ALIASES)
def test_short_names_of_keras(alias):
    """Another name of the same class: a layer and its configuration have the long one."""
    for module in (layers, legacy.layers):
        assert getattr(module, alias) is getattr(module, ALIASES[alias])
    assert alias in layers.__all__
    assert getattr(layers, alias).__name__ == ALIASES[alias]


def test_both_modules_have_the_same_names():
    assert legacy.layers.__all__ == layers.__all__
    own = {n for n in layers.__all__ if getattr(legacy.layers, n) is not getattr(layers, n)}
    assert own == set(LEGACY)


def test_the_cell_of_keras_2_2_takes_reset_after_by_name_only():
    assert by_name(legacy.layers.GRUCell)["reset_after"] is False
    assert legacy.layers.GRUCell(3, reset_after=True).reset_after
    layer = legacy.layers.GRU(3)
    assert (layer.reset_after, layer.cell.reset_after) == (False, False)


@pytest.mark.parametrize("name", SIGNATURES)
def test_base_keywords(name):
    places = by_place(getattr(layers, name))
    expected = {key: value for key, value in BASE.items() if f"{key}=" not in places}
    assert expected.items() <= by_name(getattr(layers, name)).items()


@pytest.mark.parametrize(
    ("name", "extra"),
    [
        ("RNN", {"zero_output_for_mask": False, "input_dim": None, "input_length": None}),
        ("LSTM", {"zero_output_for_mask": False, "seed": None, "input_dim": None}),
        ("SimpleRNN", {"zero_output_for_mask": False, "seed": None, "implementation": 2}),
        ("SimpleRNNCell", {"seed": None, "implementation": 2}),
        ("StackedRNNCells", {"reverse_state_order": False}),
        ("Dense", {"input_dim": None}),
        ("CuDNNGRU", {"go_backwards": False, "input_dim": None}),
        ("CuDNNLSTM", {"go_backwards": False, "input_length": None}),
        ("ConvLSTM2D", {"return_state": False, "unroll": False, "seed": None}),
    ],
)
def test_extra_keywords(name, extra):
    assert extra.items() <= by_name(getattr(layers, name)).items()


def test_recurrent_is_the_abstract_base():
    expected = "return_sequences=False, go_backwards=False, stateful=False, unroll=False"
    parameters = inspect.signature(layers.Recurrent).parameters
    text = ", ".join(f"{p.name}={p.default}" for p in list(parameters.values())[:5])
    assert text == f"{expected}, implementation=0"
    assert issubclass(layers.ConvLSTM2D, layers.Recurrent)
    for name in ("SimpleRNN", "GRU", "LSTM"):
        assert isinstance(getattr(layers, name)(2), layers.Recurrent)
        assert getattr(layers.recurrent, name) is getattr(layers, name)
    assert not isinstance(layers.RNN(layers.LSTMCell(2)), layers.Recurrent)
    with pytest.raises(TypeError, match=r"\[Recurrent\] is abstract"):
        layers.Recurrent()
    with pytest.raises(TypeError, match=r"\[RNN\] missing argument 'cell'"):
        layers.RNN()


def test_signature_of_a_users_layer_is_its_own():
    class Mine(layers.LSTM):
        def __init__(self, units, extra=3, **kwargs):
            super().__init__(units, **kwargs)
            self.extra = extra

    assert list(inspect.signature(Mine).parameters) == ["units", "extra", "kwargs"]
    assert Mine(4, extra=5).extra == 5
    assert Mine(4, return_sequences=True).return_sequences


@pytest.mark.parametrize("name", SIGNATURES)
def test_documentation_lists_the_arguments(name):
    cls = getattr(layers, name)
    text = inspect.getdoc(cls)
    assert ">>> import elman" in text
    assert "Source:" in text
    for parameter in inspect.signature(cls).parameters.values():
        if parameter.kind is inspect.Parameter.POSITIONAL_OR_KEYWORD:
            assert f" {parameter.name}: " in text
