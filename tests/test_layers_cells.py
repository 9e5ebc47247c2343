# SPDX-License-Identifier: Apache-2.0
"""Custom cells, constants and stacks."""

from __future__ import annotations

import numpy as np
import pytest

import elman
from acceptance import F, close, column, lstm
from elman.layers import RNN, Dense, GRUCell, Layer, LSTMCell, SimpleRNNCell, StackedRNNCells

K = elman.backend

X2 = F((2, 3, 2), 1)
MASK = np.array([[1, 0, 1], [0, 1, 0]], bool)


class MinimalRNNCell(Layer):
    """The example cell of the Keras documentation, word for word."""

    def __init__(self, units, **kwargs):
        self.units = units
        self.state_size = units
        super(MinimalRNNCell, self).__init__(**kwargs)  # noqa: UP008 - word for word

    def build(self, input_shape):
        self.kernel = self.add_weight(
            shape=(input_shape[-1], self.units), initializer="uniform", name="kernel"
        )
        self.recurrent_kernel = self.add_weight(
            shape=(self.units, self.units), initializer="uniform", name="recurrent_kernel"
        )
        self.built = True

    def call(self, inputs, states):
        prev_output = states[0]
        h = K.dot(inputs, self.kernel)
        output = h + K.dot(prev_output, self.recurrent_kernel)
        return output, [output]


class Adder:
    """A cell that is no Layer: adds input, state and constant."""

    state_size = 1

    def call(self, inputs, states, constants):
        return inputs + states[0] + constants[0], [inputs + states[0] + constants[0]]


class Plain:
    """A cell that takes neither constants nor training, and returns a bare state."""

    state_size = 1

    def call(self, inputs, states):
        output = inputs + states[0]
        return output, output


def test_minimal_cell():
    x = elman.Input((None, 5))
    layer = RNN(MinimalRNNCell(32))
    assert layer(x).shape == (None, 32)
    assert [tuple(w.shape) for w in layer.weights] == [(5, 32), (32, 32)]
    assert layer.count_params() == 1184
    layer = RNN([MinimalRNNCell(32), MinimalRNNCell(64)])
    assert layer(x).shape == (None, 64)
    shapes = [(5, 32), (32, 32), (32, 64), (64, 64)]
    assert [tuple(w.shape) for w in layer.weights] == shapes
    assert layer.count_params() == 7328


def test_minimal_cell_numbers():
    layer = RNN(MinimalRNNCell(3), return_sequences=True)
    layer(np.ones((1, 2, 5)))
    layer.set_weights([np.full((5, 3), 0.1), np.full((3, 3), 0.5)])
    close(layer(np.ones((1, 2, 5))), [[[0.5] * 3, [1.25] * 3]])


def test_minimal_cell_is_trained_by_gradients():
    layer = RNN(MinimalRNNCell(3, dtype="float64"))
    x = F((2, 4, 5), 3)
    layer(x)
    with elman.GradientTape() as tape:
        loss = K.sum(layer(x) * layer(x))
    found = tape.gradient(loss, layer.trainable_weights)
    for index, gradient in enumerate(found):
        weights = layer.get_weights()
        numeric = np.zeros_like(weights[index])
        for place in np.ndindex(*numeric.shape):
            sides = []
            for step in (1e-6, -1e-6):
                changed = [w.copy() for w in weights]
                changed[index][place] += step
                layer.set_weights(changed)
                sides.append(float(K.sum(layer(x) * layer(x))))
            numeric[place] = (sides[0] - sides[1]) / 2e-6
        layer.set_weights(weights)
        np.testing.assert_allclose(gradient, numeric, rtol=1e-6, atol=1e-8)


# --- the contract of a cell --------------------------------------------------------------------


def test_constants():
    x = column(1, 2, 3)
    close(RNN(Adder())(x, constants=np.float32([[10]])), [[36]])
    close(RNN(Adder(), return_sequences=True)(x, constants=[[[10.0]]]), column(11, 23, 36))
    constants = [np.float32([[10]])]
    close(RNN(Adder())([x, np.float32([[100]]), *constants]), [[136]])
    layer = RNN(Adder())
    layer(x, constants=constants)
    close(layer([x, *constants]), [[36]])  # one constant last time, so one constant now
    with pytest.raises(TypeError, match="expected an object with get_config, got Adder"):
        layer.get_config()
    with pytest.raises(ValueError, match=r"\[RNN.call\] constants: expected a cell whose call"):
        RNN(Plain())(x, constants=constants)
    with pytest.raises(ValueError, match="at most 1 states"):
        RNN(Adder())([x, *constants], initial_state=constants[0], constants=constants)


def test_constants_reach_the_cells_of_a_stack_that_take_them():
    x = column(1, 2, 3)
    close(
        RNN([Plain(), Adder()], return_sequences=True)(x, constants=[[[10.0]]]), column(11, 24, 40)
    )


def test_training_and_initial_state_are_passed_where_the_cell_takes_them():
    seen = []

    class Cell(Layer):
        state_size = 2

        def get_initial_state(self, batch_size):
            return np.full((batch_size, 2), 7.0)

        def call(self, inputs, states, training=None):
            seen.append(training)
            return states[0], [states[0] + 1.0]

    layer = RNN(Cell(), return_sequences=True)
    output = np.asarray(layer(np.zeros((1, 3, 4)), training=True))
    np.testing.assert_array_equal(output[0, :, 0], [7, 8, 9])
    layer(np.zeros((1, 3, 4)))
    assert seen == [True] * 3 + [False] * 3


def test_layers_within_a_cell_see_training():
    class Cell(Layer):
        state_size = 3

        def __init__(self, **kwargs):
            super().__init__(**kwargs)
            self.drop = elman.layers.Dropout(0.5)
            self.dense = Dense(3, kernel_initializer="identity")

        def call(self, inputs, states):
            return self.drop(self.dense(inputs)), states

    layer = RNN(Cell(), return_sequences=True)
    x = np.ones((4, 5, 3), np.float32)
    assert (np.asarray(layer(x)) == 1).all()
    assert set(np.unique(layer(x, training=True))) == {0.0, 2.0}
    assert [w.name for w in layer.trainable_weights] == ["kernel", "bias"]


def test_output_size_and_states_of_any_shape():
    class Cell:
        state_size = ((2, 3), 4)
        output_size = 5

        def call(self, inputs, states):
            return K.zeros((inputs.shape[0], 5)), [states[0] + 1.0, states[1]]

    layer = RNN(Cell(), return_state=True)
    shapes = [(6, 5), (6, 2, 3), (6, 4)]
    assert [tuple(t.shape) for t in layer(np.zeros((6, 3, 2), np.float32))] == shapes
    assert layer.compute_output_shape((None, 3, 2)) == [(None, *s[1:]) for s in shapes]
    _, image, _ = layer(np.zeros((2, 3, 2), np.float32), mask=MASK)
    np.testing.assert_array_equal(np.asarray(image)[:, 0, 0], [2, 1])


def test_objects_that_are_no_cells():
    for bad in (object(), None, 3, LSTMCell, [LSTMCell(2), object()]):
        with pytest.raises(ValueError, match=r"expected an object with 'call'"):
            RNN(bad)
    for bad in ([], "ab", 3):
        with pytest.raises(ValueError, match="expected a non-empty list of cells"):
            StackedRNNCells(bad)


def test_cells_that_return_nonsense():
    class Nothing(Plain):
        def call(self, inputs, states):
            return None

    class TooMany(Plain):
        def call(self, inputs, states):
            return inputs, [inputs, inputs]

    with pytest.raises(ValueError, match=r"\[Nothing.call\] result: expected \(output, list"):
        RNN(Nothing())(column(1, 2))
    with pytest.raises(ValueError, match=r"\[TooMany.call\] new states: expected 1 as state_size"):
        RNN(TooMany())(column(1, 2))


def test_padding_with_nan_does_not_reach_a_custom_cell():
    layer = RNN(MinimalRNNCell(3), return_sequences=True)
    x = np.float32(F((2, 3, 5), 1))
    clean = np.asarray(layer(x, mask=MASK))
    x[~MASK] = np.nan
    np.testing.assert_array_equal(layer(x, mask=MASK), clean)
    with elman.GradientTape() as tape:
        loss = K.sum(layer(x, mask=MASK))
    for gradient in tape.gradient(loss, layer.trainable_weights):
        assert np.isfinite(gradient).all()


def test_mixture_of_symbolic_tensors_and_arrays():
    x = elman.Input((3, 2))
    with pytest.raises(ValueError, match="mixture of symbolic tensors and arrays"):
        RNN(SimpleRNNCell(2))(x, initial_state=np.zeros((2, 2)))
    state = elman.Input((2,))
    assert RNN(SimpleRNNCell(2))([x, state]).shape == (None, 2)


# --- a subclass of a built-in cell -------------------------------------------------------------


def test_a_subclass_with_its_own_call_is_what_runs():
    class Doubled(LSTMCell):
        def call(self, inputs, states, training=None):
            output, states = super().call(inputs, states, training)
            return output * 2.0, states

    layer, plain = RNN(Doubled(2), return_sequences=True), lstm()
    layer(X2)
    layer.set_weights(plain.get_weights())
    np.testing.assert_allclose(layer(X2), np.asarray(plain(X2)) * 2, rtol=1e-6)
    assert "step by step" in layer.explain(X2)


# --- stacks ------------------------------------------------------------------------------------

R4 = [[0.157228, -0.253412, -0.231573], [0.130436, -0.245361, -0.219164]]
R4_WEIGHTS = [
    F((2, 8), 2), F((2, 8), 3), F((8,), 4), F((2, 9), 5), F((3, 9), 6), F((2, 9), 7),
]  # fmt: skip


def stack(reverse: bool = False, **kwargs):
    cells = StackedRNNCells([LSTMCell(2), GRUCell(3)], reverse_state_order=reverse)
    layer = RNN(cells, **kwargs)
    layer(X2)
    layer.set_weights(R4_WEIGHTS)
    return layer


def test_stack():
    output, *states = stack(return_state=True)(X2)
    close(output, R4)
    expected = lstm(return_state=True)(X2)[1:]
    assert [tuple(s.shape) for s in states] == [(2, 2), (2, 2), (2, 3)]
    for got, want in zip(states, [*expected, output], strict=True):
        close(got, want)


def test_stack_with_reversed_states():
    straight, swapped = stack(return_state=True), stack(True, return_state=True)
    output, *states = swapped(X2)
    close(output, R4)
    assert [tuple(s.shape) for s in states] == [(2, 3), (2, 2), (2, 2)]
    _, h1, c1, h2 = straight(X2)
    for got, want in zip(states, [h2, h1, c1], strict=True):
        np.testing.assert_array_equal(got, want)
    again = straight(X2, initial_state=[h1, c1, h2])
    for got, want in zip(swapped(X2, initial_state=[h2, h1, c1]), again[:1], strict=False):
        np.testing.assert_array_equal(got, want)
    nested = straight(X2, initial_state=[[h1, c1], [h2]])
    np.testing.assert_array_equal(nested[0], again[0])


def test_stack_sizes():
    cells = StackedRNNCells([LSTMCell(2), GRUCell(3)])
    assert cells.state_size == ((2, 2), 3)
    assert cells.output_size == 3
    reversed_cells = StackedRNNCells([LSTMCell(2), GRUCell(3)], reverse_state_order=True)
    assert reversed_cells.state_size == (3, (2, 2))
    assert RNN([LSTMCell(4) for _ in range(3)])(elman.Input((7, 5))).shape == (None, 4)


@pytest.mark.parametrize("mask", [None, MASK], ids=["whole", "masked"])
@pytest.mark.parametrize("backwards", [False, True])
@pytest.mark.parametrize("zero", [False, True])
@pytest.mark.parametrize("sequences", [False, True])
def test_cell_after_cell_is_step_by_step(mask, backwards, zero, sequences):
    """The stack runs each cell over the sequence; all cells in each step give the same."""

    class Stepwise(StackedRNNCells):
        def call(self, inputs, states, constants=None, training=None):
            return super().call(inputs, states, constants, training)

    flags = {
        "return_state": True,
        "return_sequences": sequences,
        "go_backwards": backwards,
        "zero_output_for_mask": zero,
    }
    cells = [LSTMCell(2), MinimalRNNCell(4), GRUCell(3)]
    layer, other = RNN(StackedRNNCells(cells), **flags), RNN(Stepwise(cells), **flags)
    x = F((2, 3, 2), 1).astype(np.float32)
    if mask is not None:
        x[~mask] = np.nan
    assert "step by step" in other.explain(x)
    for got, want in zip(layer(x, mask=mask), other(x, mask=mask), strict=True):
        np.testing.assert_allclose(got, want, rtol=1e-6, atol=1e-7)


def test_stack_called_on_a_sequence_says_what_to_do():
    with pytest.raises(ValueError, match=r"put it into RNN\(cells\)"):
        StackedRNNCells([LSTMCell(2)])(X2)
    with pytest.raises(ValueError, match=r"put it into RNN\(cell\)"):
        LSTMCell(2)(X2, [])


def test_stack_step_by_hand():
    layer = stack()
    states = layer.cell.get_initial_state(batch_size=2, dtype="float32")
    for t in range(3):
        output, states = layer.cell(X2[:, t], states)
    close(output, R4)
    assert [tuple(s.shape) for s in states] == [(2, 2), (2, 2), (2, 3)]


def test_cells_of_a_stack_are_fused():
    text = stack().explain(X2)
    assert "LSTMCell: compiled kernel lstm" in text
    assert "GRUCell: compiled kernel gru_reset_after" in text
    assert "step by step" not in text
