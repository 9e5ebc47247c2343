# SPDX-License-Identifier: Apache-2.0
"""Which test holds which published example, and the examples that no other file has room for.

An example of EXAMPLES without a test is a failure here, and so is a test that is gone.
"""

from __future__ import annotations

import importlib
import inspect

import numpy as np
import pytest

import elman
from acceptance import close, column, with_weights
from elman import activations, constraints, initializers, layers, regularizers

# A activations, S SimpleRNN, G GRU, L LSTM, C ConvLSTM2D, R RNN and cells, D dropout, U CuDNN,
# E Dense and Embedding, V convolution and pooling, I initializers and constraints, M models.
EXAMPLES = {
    "A": 3, "S": 9, "G": 9, "L": 10, "C": 7, "R": 8, "D": 4, "U": 4, "E": 8, "V": 8, "I": 3, "M": 7
}  # fmt: skip

TESTS = {
    "A1": "test_activations.test_hard_sigmoids",
    "A2": "test_activations.test_values test_layers_simple.test_activation",
    "A3": "test_activations.test_get",
    "S1": "test_layers_recurrent.test_a_counter",
    "S2": "test_layers_states.test_a_stateful_counter",
    "S3": "test_layers_masks.test_a_masked_counter",
    "S4": "test_layers_masks.test_leading_masked_steps_output_zeros_and_keep_the_state",
    "S5": "test_layers_gradients.test_counter",
    "S6": "test_layers_recurrent.test_simple_rnn",
    "S7": "test_layers_gradients.test_simple_rnn",
    "S8": (
        "test_layers_recurrent.test_simple_rnn test_layers_recurrent.test_simple_rnn_counts "
        "test_layers_options.test_use_bias_false_has_no_bias"
    ),
    "S9": "test_acceptance.test_weights_of_a_first_layer",
    "G1": "test_layers_recurrent.test_gru",
    "G2": "test_layers_recurrent.test_gru",
    "G3": "test_layers_recurrent.test_gru",
    "G4": "test_layers_recurrent.test_gru",
    "G5": "test_layers_recurrent.test_gru_initial_state_and_mask",
    "G6": "test_layers_recurrent.test_gru_initial_state_and_mask",
    "G7": (
        "test_layers_recurrent.test_gru_of_one_unit "
        "test_acceptance.test_hard_gates_of_one_unit_with_the_reset_after"
    ),
    "G8": "test_layers_gradients.test_gru",
    "G9": "test_layers_recurrent.test_gru test_layers_recurrent.test_gru_counts",
    "L1": "test_layers_recurrent.test_lstm",
    "L2": "test_layers_recurrent.test_lstm",
    "L3": "test_layers_recurrent.test_lstm_with_the_hard_sigmoid_of_keras_3",
    "L4": "test_layers_recurrent.test_lstm_backwards",
    "L5": "test_layers_recurrent.test_lstm_initial_state",
    "L6": "test_layers_states.test_a_stateful_lstm",
    "L7": "test_layers_recurrent.test_lstm_of_one_unit",
    "L8": "test_layers_gradients.test_lstm",
    "L9": (
        "test_layers_recurrent.test_lstm_bias_starts_with_a_one_for_the_forget_gate "
        "test_layers_recurrent.test_lstm_counts test_acceptance.test_sizes_of_zero"
    ),
    "L10": "test_layers_recurrent.test_shapes test_acceptance.test_shapes_of_an_lstm",
    "C1": "test_layers_conv_lstm.test_c1_valid",
    "C2": "test_layers_conv_lstm.test_c2_same",
    "C3": "test_layers_conv_lstm.test_c3_c4_strides_and_dilation",
    "C4": "test_layers_conv_lstm.test_c3_c4_strides_and_dilation",
    "C5": ("test_layers_conv_lstm.test_c5_channels_first test_conv_lstm_errors.test_wrong_options"),
    "C6": "test_layers_conv_lstm.test_c6_shapes_and_counts",
    "C7": "test_layers_conv_lstm.test_c7_a_cell_step_by_step",
    "R1": "test_layers_cells.test_minimal_cell",
    "R2": "test_layers_cells.test_minimal_cell_numbers",
    "R3": "test_layers_recurrent.test_rnn_around_a_cell_is_the_layer",
    "R4": "test_layers_cells.test_stack test_layers_cells.test_stack_with_reversed_states",
    "R5": "test_layers_cells.test_constants",
    "R6": (
        "test_layers_cells.test_objects_that_are_no_cells test_acceptance.test_three_cells "
        "test_layers_signatures.test_recurrent_is_the_abstract_base"
    ),
    "R7": "test_layers_states.test_errors test_acceptance.test_stateful_without_a_batch_size",
    "R8": "test_acceptance.test_unrolling_an_unknown_length",
    "D1": "test_layers_dropout.test_input_dropout_is_the_same_at_every_step",
    "D2": "test_layers_dropout.test_state_dropout_is_the_same_at_every_step",
    "D3": "test_layers_dropout.test_masks_are_shared_by_the_gates_or_one_for_each",
    "D4": "test_layers_options.test_rates_are_clipped test_acceptance.test_a_rate_above_one",
    "U1": "test_cudnn.test_blocks",
    "U2": "test_cudnn.test_published_gru",
    "U3": "test_cudnn.test_published_lstm",
    "U4": (
        "test_cudnn.test_conversion_against_loops test_cudnn.test_weights_that_do_not_fit "
        "test_cudnn.test_masks_are_refused test_cudnn.test_start_of_the_bias"
    ),
    "E1": "test_layers_simple.test_dense",
    "E2": "test_layers_simple.test_dense_shapes_and_counts",
    "E3": (
        "test_layers_gradients.test_penalty_on_the_output_is_divided_by_the_batch_size "
        "test_layers_gradients.test_penalties_on_weights"
    ),
    "E4": "test_fit.test_one_step",
    "E5": "test_layers_simple.test_embedding",
    "E6": "test_layers_masks.test_embedding_makes_a_mask_and_recurrent_layers_pass_it_on",
    "E7": "test_layers_simple.test_embedding_shapes test_acceptance.test_embedding_opens_a_model",
    "E8": "test_layers_simple.test_flatten",
    "V1": "test_spatial_examples.test_v1_conv1d_of_one_channel",
    "V2": "test_spatial_examples.test_v2_conv1d_of_two_channels",
    "V3": "test_spatial_examples.test_v3_conv2d",
    "V4": "test_spatial_examples.test_v4_pooling_of_steps",
    "V5": "test_spatial_examples.test_v5_pooling_of_images",
    "V6": "test_spatial_examples.test_v6_pooling_of_volumes",
    "V7": "test_spatial_examples.test_v7_global_max_pooling",
    "V8": "test_spatial_examples.both_formats test_spatial_examples.test_v8_errors",
    "I1": (
        "test_initializers.test_limits_of_glorot_uniform_in_packed_kernels "
        "test_acceptance.test_limits_of_convolution_kernels"
    ),
    "I2": ("test_initializers.test_recurrent_kernel_of_an_lstm test_initializers.test_orthogonal"),
    "I3": "test_initializers.test_constraints test_initializers.test_non_neg",
    "M1": "test_acceptance_models.test_m1_both_summaries_of_one_session",
    "M2": "test_acceptance_models.test_m2_shapes_of_stacked_layers",
    "M3": "test_acceptance_models.test_m3_fixed_batch_sizes",
    "M4": "test_acceptance_models.test_m4_states_go_on_from_batch_to_batch",
    "M5": "test_acceptance_models.test_m5_order_of_the_samples",
    "M6": "test_acceptance_models.test_m6_weights_in_a_file",
    "M7": "test_settings.test_files_in_order test_layers_spatial.test_data_format_setting",
}


def test_every_example_has_a_test():
    known = {f"{letter}{k}" for letter, last in EXAMPLES.items() for k in range(1, last + 1)}
    assert known == TESTS.keys()


@pytest.mark.parametrize("example", TESTS)
def test_the_tests_are_there(example):
    for name in TESTS[example].split():
        module, function = name.split(".")
        found = getattr(importlib.import_module(module), function)
        checks = ("close(", "assert", "raises", "both_formats(")
        source = inspect.getsource(found)
        assert any(check in source for check in checks), f"{name} checks nothing"


# --- examples with a test of their own ---------------------------------------------------------


def test_weights_of_a_first_layer():
    layer = layers.SimpleRNN(1, weights=[[[1]], [[1]], [0]], input_shape=(2, 1))
    model = elman.Sequential([layer])
    for got, want in zip(model.get_weights(), [[[1]], [[1]], [0]], strict=True):
        close(got, want)


@pytest.mark.parametrize("reset_after", [False, True])
def test_hard_gates_of_one_unit_with_the_reset_after(reset_after):
    layer = layers.GRU(
        1, recurrent_activation="hard_sigmoid", reset_after=reset_after, return_sequences=True
    )
    bias = np.zeros((2, 3) if reset_after else 3)
    with_weights(layer, 1, [np.ones((1, 3)), np.ones((1, 3)), bias])
    close(layer(column(1, 1)), column(0.228478, 0.380022))


def test_sizes_of_zero():
    for cls in (layers.LSTM, layers.GRU, layers.SimpleRNN, layers.CuDNNLSTM, layers.Dense):
        with pytest.raises(ValueError, match=rf"\[{cls.__name__}.*units: expected a positive int"):
            cls(0)


def test_shapes_of_an_lstm():
    layer = layers.LSTM(4, return_sequences=True, return_state=True)
    outputs = layer(np.zeros((32, 10, 8), "float32"))
    assert [tuple(o.shape) for o in outputs] == [(32, 10, 4), (32, 4), (32, 4)]
    assert layer.compute_output_shape((32, 10, 8)) == [(32, 10, 4), (32, 4), (32, 4)]


def test_three_cells():
    cells = [layers.LSTMCell(4) for _ in range(3)]
    assert layers.RNN(cells)(elman.Input((7, 5))).shape == (None, 4)


def test_stateful_without_a_batch_size():
    with pytest.raises(ValueError, match="a stateful layer needs a known batch size"):
        layers.LSTM(2, stateful=True)(elman.Input((4, 3)))
    with pytest.raises(AttributeError, match="the layer is not stateful"):
        layers.LSTM(2).reset_states()


def test_unrolling_an_unknown_length():
    for cls in (layers.SimpleRNN, layers.GRU, layers.LSTM):
        with pytest.raises(ValueError, match="unroll=True needs a known length"):
            cls(2, unroll=True)(elman.Input((None, 3)))


def test_a_rate_above_one():
    assert layers.LSTM(1, dropout=1.5).dropout == 1.0


def test_embedding_opens_a_model():
    model = elman.Sequential([layers.Embedding(10, 4, input_length=5)])
    assert model.output_shape == (None, 5, 4)
    assert elman.Sequential([layers.Embedding(10, 4)]).output_shape == (None, None, 4)


@pytest.mark.parametrize(("shape", "limit"), [((3, 2, 4), 0.577350), ((3, 3, 1, 8), 0.272166)])
def test_limits_of_convolution_kernels(shape, limit):
    draws = [initializers.GlorotUniform(seed=k)(shape, "float64").numpy() for k in range(1500)]
    largest = np.abs(draws).max()
    assert largest <= limit * (1 + 1e-6)
    assert largest > 0.999 * limit


# --- names -------------------------------------------------------------------------------------

ACTIVATIONS = [
    "linear",
    "relu",
    "sigmoid",
    "tanh",
    "hard_sigmoid",
    "hard_sigmoid_v3",
    "softmax",
    "softplus",
    "softsign",
    "elu",
    "exponential",
    "selu",
    "swish",
    "silu",
    "gelu",
    "mish",
    "relu6",
    "leaky_relu",
    "log_softmax",
]
INITIALIZERS = {
    "Zeros": "zeros zero", "Ones": "ones one", "Constant": "constant",
    "RandomUniform": "uniform random_uniform", "RandomNormal": "normal random_normal",
    "TruncatedNormal": "truncated_normal", "Identity": "identity", "Orthogonal": "orthogonal",
    "VarianceScaling": "variance_scaling", "GlorotUniform": "glorot_uniform",
    "GlorotNormal": "glorot_normal", "HeUniform": "he_uniform", "HeNormal": "he_normal",
    "LecunUniform": "lecun_uniform", "LecunNormal": "lecun_normal",
}  # fmt: skip
REGULARIZERS = {"L1": "l1", "L2": "l2", "L1L2": "l1_l2"}
CONSTRAINTS = {
    "MaxNorm": "max_norm maxnorm", "NonNeg": "non_neg nonneg", "UnitNorm": "unit_norm unitnorm",
    "MinMaxNorm": "min_max_norm",
}  # fmt: skip


@pytest.mark.parametrize("name", ACTIVATIONS)
def test_activations_by_name(name):
    function = activations.get(name)
    assert getattr(activations, name) is function
    assert activations.get({"class_name": "function", "config": name}) is function
    assert activations.get({"class_name": name, "config": {}}) is function
    assert layers.LSTM(2, activation=name).activation is function
    assert layers.Activation(name).get_config()["activation"] in (name, "silu")


@pytest.mark.parametrize(
    ("module", "table", "option"),
    [
        (initializers, INITIALIZERS, "kernel_initializer"),
        (regularizers, REGULARIZERS, "kernel_regularizer"),
        (constraints, CONSTRAINTS, "kernel_constraint"),
    ],
    ids=["initializers", "regularizers", "constraints"],
)
def test_objects_by_name(module, table, option):
    for name, others in table.items():
        cls = getattr(module, name)
        plain = cls().get_config()
        for identifier in (name, cls, cls(), {"class_name": name, "config": plain}):
            found = module.get(identifier)
            assert type(found) is cls, identifier
            assert found.get_config() == plain, identifier
        for other in others.split():
            assert type(module.get(other)) is cls, other
            assert type(module.get({"class_name": other, "config": plain})) is cls, other
            made = layers.Dense(2, **{option: other})
            assert type(getattr(made, option)) is cls
            again = layers.Dense.from_config(made.get_config())
            assert getattr(again, option).get_config() == getattr(made, option).get_config()


# --- the names of modules ----------------------------------------------------------------------


def test_modules():
    for path in ("layers.recurrent.Recurrent", "layers.recurrent.SimpleRNN", "layers.recurrent.GRU",
                 "layers.recurrent.LSTM", "Input", "Sequential", "Model", "models.Sequential",
                 "backend.dot", "activations.get", "initializers.get", "regularizers.get",
                 "constraints.get"):  # fmt: skip
        found = elman
        for part in path.split("."):
            found = getattr(found, part)
        assert callable(found), path
    recurrent = importlib.import_module("elman.layers.recurrent")
    names = "Recurrent RNN SimpleRNN GRU LSTM SimpleRNNCell GRUCell LSTMCell StackedRNNCells"
    for name in [*names.split(), "CuDNNGRU", "CuDNNLSTM", "Bidirectional"]:
        assert getattr(recurrent, name) is getattr(layers, name)
