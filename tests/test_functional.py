# SPDX-License-Identifier: Apache-2.0
"""Models from inputs to outputs: graphs, sharing, nesting, masks, calls, and what is refused."""

from __future__ import annotations

import copy
import gc
import pickle
import weakref

import numpy as np
import pytest

import elman
from elman import layers
from elman.layers import GRU, LSTM, Dense, Dropout, Embedding, concatenate

RNG = np.random.default_rng(11)


def random(*shape):
    return RNG.normal(size=shape).astype("float32")


def translator(units=5):
    """Encoder-decoder: inputs (None, 3) and (None, 2), output (None, None, 7)."""
    source, target = elman.Input((None, 3), name="source"), elman.Input((None, 2), name="target")
    _, h, c = LSTM(units, return_state=True, name="encoder")(source)
    decoder = LSTM(units, return_sequences=True, name="decoder")
    out = Dense(7, name="out")(decoder(target, initial_state=[h, c]))
    return elman.Model([source, target], out, name="translator")


A, B = random(2, 11, 3), random(2, 5, 2)


# --- building ------------------------------------------------------------------------------------


def test_what_a_model_is_made_of():
    model = translator()
    names = ["source", "target", "encoder", "decoder", "out"]
    assert [layer.name for layer in model.layers] == names
    assert model.built
    assert (model.input_names, model.output_names) == (["source", "target"], ["out"])
    assert model.input_shape == [(None, None, 3), (None, None, 2)]
    assert model.output_shape == (None, None, 7)
    assert [t.name for t in model.inputs] == ["source", "target"]
    assert model.input == model.inputs
    assert model.output is model.outputs[0]
    assert model.get_layer("decoder") is model.layers[3]
    assert model.get_layer(index=2).units == 5
    shapes = [(3, 20), (5, 20), (20,), (2, 20), (5, 20), (20,), (5, 7), (7,)]
    assert [w.shape for w in model.weights] == shapes
    model.build((None, 3))  # it is built already
    assert model.compute_output_shape([(4, 9, 3), (4, 6, 2)]) == (4, 6, 7)
    with pytest.raises(ValueError, match=r"compute_output_shape\] inputs\[1\] \('target'\)"):
        model.compute_output_shape([(4, 9, 3), (4, 6, 3)])


def test_a_model_is_its_layers():
    model = translator()
    _, encoder, decoder, out = model.layers[1:]
    _, h, c = encoder(A)
    expected = out(decoder(B, initial_state=[h, c]))
    np.testing.assert_array_equal(model([A, B]), expected)
    np.testing.assert_array_equal(model((A, B)), expected)
    np.testing.assert_array_equal(model({"target": B, "source": A}), expected)
    np.testing.assert_array_equal(model.predict([A, B], verbose=0), expected)
    np.testing.assert_array_equal(model.predict_on_batch({"source": A, "target": B}), expected)


def test_order_of_layers_is_that_of_keras():
    """By the longest way to an output, then by when a layer is met from the outputs on."""
    x = elman.Input((3,), name="x")
    short = Dense(2, name="short")(x)
    long = Dense(2, name="long_2")(Dense(2, name="long_1")(x))
    other = elman.Input((2,), name="other")
    model = elman.Model([other, x], [layers.add([short, other, long], name="sum"), short])
    order = ["x", "long_1", "short", "other", "long_2", "sum"]
    assert [layer.name for layer in model.layers] == order


def test_forms_of_inputs_and_outputs():
    a, b = elman.Input((3,), name="in_a"), elman.Input((2,))
    left, right = Dense(4, name="left")(a), Dense(5)(b)
    x, y = random(2, 3), random(2, 2)
    model = elman.Model({"one": a, "two": b}, {"l": left, "r": right, "in": a})
    out = model({"two": y, "one": x})
    assert list(out) == ["l", "r", "in"]
    assert out["r"].shape == (2, 5)
    np.testing.assert_array_equal(out["in"], x)
    assert (model.input_names, model.output_names) == (["one", "two"], ["l", "r", "in"])
    np.testing.assert_array_equal(model([x, y])["l"], out["l"])
    assert model.output_shape == {"l": (None, 4), "r": (None, 5), "in": (None, 3)}
    alone = elman.Model([a], [left])  # a list of one is the tensor itself, as in Keras 2
    assert alone(x).shape == alone([x]).shape == (2, 4)
    assert alone.input_shape == (None, 3)
    np.testing.assert_array_equal(alone({"in_a": x}), out["l"])
    twice = elman.Model(a, [left, left])
    assert twice.output_names == ["left", "left_1"]
    assert len(twice(x)) == 2


def test_inputs_that_are_not_used():
    a, b = elman.Input((3,)), elman.Input((2,))
    model = elman.Model([a, b], Dense(4)(a))
    assert model([random(2, 3), random(2, 2)]).shape == (2, 4)
    assert len(model.layers) == 3


def test_a_shared_layer_has_its_weights_once():
    a, b = elman.Input((None, 3)), elman.Input((None, 3))
    shared = LSTM(4)
    model = elman.Model([a, b], layers.subtract([shared(a), shared(b)]))
    assert len(model.weights) == 3
    assert model.count_params() == shared.count_params()
    np.testing.assert_array_equal(model([A, A]), np.zeros((2, 4), "float32"))
    with elman.GradientTape() as tape:
        loss = elman.backend.sum(model([A, 2 * A]) ** 2)
    with elman.GradientTape() as own:
        expected = elman.backend.sum((shared(A) - shared(2 * A)) ** 2)
    pairs = zip(
        tape.gradient(loss, model.weights), own.gradient(expected, shared.weights), strict=True
    )
    for got, want in pairs:
        np.testing.assert_array_equal(got, want)


def test_models_within_models():
    """Functional in functional, Sequential in functional, functional in Sequential."""
    x = elman.Input((None, 3))
    inner = elman.Model(x, [GRU(4, return_sequences=True)(x), Dense(2)(x)], name="inner")
    tail = elman.Sequential([Dense(5, "tanh"), Dense(1)], name="tail")
    y = elman.Input((None, 3))
    sequence, dense = inner(y)
    model = elman.Model(y, tail(concatenate([sequence, dense])))
    assert model.output_shape == (None, None, 1)
    seq, other = inner(A)
    expected = tail(np.concatenate([seq, other], axis=-1))
    np.testing.assert_array_equal(model(A), expected)
    kinds = [type(layer).__name__ for layer in model.layers]
    assert kinds == ["InputLayer", "Model", "Concatenate", "Sequential"]
    outer = elman.Sequential([elman.Input((None, 3)), model, layers.SimpleRNN(2)])
    assert outer.output_shape == (None, 2)
    assert len(outer.weights) == len(model.weights) + 3
    twice = elman.Model(y, layers.add([model(y), model(y)]))
    np.testing.assert_array_equal(twice(A), 2 * expected.numpy())
    assert len(twice.weights) == len(model.weights)
    by_name = elman.Model({"a": x}, {"b": Dense(2)(x)})
    assert elman.Model(y, by_name({"a": y})["b"])(A).shape == (2, 11, 2)


def test_intermediate_tensors_make_a_second_model():
    model = translator()
    middle = elman.Model(model.input, model.get_layer("decoder").output)
    out = model.get_layer("out")(middle([A, B]))
    np.testing.assert_array_equal(out, model([A, B]))
    states = elman.Model(model.inputs[0], model.get_layer("encoder").output)
    assert [t.shape for t in states(A)] == [(2, 5)] * 3
    chain = elman.Sequential([Dense(3, input_shape=(2,)), Dense(4)])
    features = elman.Model(chain.input, chain.layers[0].output)
    np.testing.assert_array_equal(features(B[:, 0]), chain.layers[0](B[:, 0]))
    assert chain.output.shape == (None, 4)


def test_calls_of_a_layer():
    a, b = elman.Input((3,)), elman.Input((3,))
    dense = Dense(2)
    with pytest.raises(AttributeError, match=r"\[Dense.output\] layer 'dense.*was not called"):
        _ = dense.output
    first = dense(a)
    assert dense.output is first
    assert dense.input is a
    second = dense(b)
    assert dense.get_output_at(1) is second
    assert dense.get_input_at(0) is a
    with pytest.raises(AttributeError, match="called 2 times; use get_output_at"):
        _ = dense.output
    with pytest.raises(ValueError, match="index"):
        dense.get_input_at(2)
    unbuilt = elman.Sequential([Dense(2)])
    with pytest.raises(AttributeError, match="only functional models and built"):
        _ = unbuilt.inputs

    class Own(layers.Layer):
        def __init__(self):
            super().__init__()
            self.output = Dense(1)  # as programs have always done

    assert Own().output.units == 1


def test_a_layer_does_not_keep_models_alive():
    shared = Dense(2)
    x = elman.Input((3,))
    model = elman.Model(x, shared(x))
    alive = weakref.ref(model._graph.nodes[-1])
    del model, x
    gc.collect()
    assert alive() is None


def test_subclasses():
    class Own(elman.Model):
        def __init__(self, units):
            x = elman.Input((3,))
            super().__init__(inputs=x, outputs=Dense(units)(x))
            self.extra = Dense(1)

        def twice(self, x):
            return self(self(x))

    model = Own(3)
    assert model.twice(random(2, 3)).shape == (2, 3)
    assert model.extra in model.layers
    again = Own.from_config(model.get_config())
    assert (again.output_shape, again.name) == ((None, 3), model.name)

    class Doubled(elman.Model):
        def call(self, inputs):
            return 2 * super().call(inputs)

    x = elman.Input((3,))
    doubled = Doubled(x, Dense(2)(x))
    value = random(2, 3)
    np.testing.assert_array_equal(doubled(value), 2 * doubled.layers[1](value).numpy())


@pytest.mark.parametrize("copied", [copy.deepcopy, lambda m: pickle.loads(pickle.dumps(m))])
def test_copies(copied):
    model = translator()
    twin = copied(model)
    np.testing.assert_array_equal(twin([A, B]), model([A, B]))
    assert twin.layers[2] is not model.layers[2]
    states = elman.Model(twin.inputs[0], twin.get_layer("encoder").output)
    assert states(A)[1].shape == (2, 5)
    model.get_layer("out").set_weights([np.zeros((5, 7)), np.zeros(7)])
    assert np.abs(np.asarray(twin([A, B]))).max() > 0


@pytest.mark.parametrize("copied", [copy.deepcopy, lambda m: pickle.loads(pickle.dumps(m))])
def test_long_chains(copied):
    """Nothing recurses over the layers: 2,000 of them are built, run, copied and written."""
    x = elman.Input((2,))
    dense, y = Dense(2, "tanh"), x
    for _ in range(2000):
        y = dense(y)
    model = elman.Model(x, y)
    value = random(3, 2)
    expected = value
    for _ in range(2000):
        expected = dense(expected)
    np.testing.assert_array_equal(model(value), expected)
    np.testing.assert_array_equal(copied(model)(value), expected)
    again = elman.models.model_from_json(model.to_json())
    again.set_weights(model.get_weights())
    np.testing.assert_array_equal(again(value), expected)


def test_slots_are_used_again():
    """A long chain keeps one value, not one per layer."""
    x = elman.Input((2,))
    y = x
    for _ in range(50):
        y = Dense(2)(y)
    assert elman.Model(x, y)._graph._slots <= 2


# --- calls ---------------------------------------------------------------------------------------


def test_training_reaches_every_layer():
    x = elman.Input((100,))
    inner = elman.Model(x, Dropout(0.5)(x))
    y = elman.Input((100,))
    model = elman.Model(y, [inner(y), Dropout(0.5)(y), Dropout(0.5)(y, training=True)])
    value = np.ones((2, 100), "float32")
    nested, direct, always = (np.asarray(out) for out in model(value))
    assert (nested == 1).all()
    assert (direct == 1).all()
    assert set(np.unique(always)) == {0, 2}
    for out in model(value, training=True):
        assert set(np.unique(out)) == {0, 2}


IDS = np.array([[1, 2, 3, 0, 0], [4, 0, 1, 2, 0]])


def test_masks_travel():
    x = elman.Input((None,), dtype="int32")
    lookup = Embedding(6, 3, mask_zero=True)
    read = lookup(x)
    steps = Dense(3)(layers.add([read, Dense(3)(read)]))
    model = elman.Model(x, [steps, LSTM(2)(steps)])
    sequence, last = model(IDS)
    np.testing.assert_array_equal(sequence._keras_mask, IDS != 0)
    alone = elman.Model(x, LSTM.from_config(model.layers[-1].get_config())(steps))
    alone.layers[-1].set_weights(model.layers[-1].get_weights())
    short = alone(IDS[:1, :3])
    np.testing.assert_allclose(np.asarray(last)[:1], short, rtol=0, atol=1e-6)
    masks = model.compute_mask(IDS)
    np.testing.assert_array_equal(masks[0], IDS != 0)
    assert masks[1] is None


def test_a_given_mask_replaces_the_one_that_came_along():
    x = elman.Input((None, 3))
    model = elman.Model(x, LSTM(4)(Dense(3)(x)))
    mask = np.arange(11) < np.array([[4], [9]])
    found = np.asarray(model(A, mask=mask))
    np.testing.assert_allclose(found[:1], model(A[:1, :4]), rtol=0, atol=1e-6)
    np.testing.assert_allclose(found[1:], model(A[1:, :9]), rtol=0, atol=1e-6)
    two = translator()
    both = two([A, B], mask=[mask, None])
    assert np.abs(np.asarray(both) - np.asarray(two([A, B]))).max() > 1e-4
    read = Embedding(6, 3, mask_zero=True)
    y = elman.Input((None,), dtype="int32")
    nested = elman.Model(y, model(read(y)))
    np.testing.assert_array_equal(nested(IDS), model(read(IDS)))
    assert np.abs(np.asarray(nested(IDS)) - np.asarray(model(read(IDS).numpy()))).max() > 1e-5


def test_masks_as_symbolic_inputs():
    x, m = elman.Input((None, 3)), elman.Input((None,), dtype="bool")
    model = elman.Model([x, m], GRU(4)(x, mask=m))
    mask = np.arange(11) < np.array([[4], [9]])
    np.testing.assert_array_equal(model([A, mask]), model.layers[-1](A, mask=mask))


@pytest.mark.parametrize(
    ("call", "text"),
    [
        (lambda x: LSTM(3)(x, initial_state=[elman.Input((3,))]),
         r"\[LSTM.call\] initial_state: expected 2 states of shapes \(None, 3\), .*, got 1"),
        (lambda x: LSTM(3)([x, elman.Input((3,)), elman.Input((5,))]),
         r"\[LSTM.call\] initial_state\[1\]: expected \(None, 3\), got \(None, 5\); a state has"),
        (lambda x: GRU(3)(x, initial_state=elman.Input((7,))),
         r"\[GRU.call\] initial_state\[0\]: expected \(None, 3\), got \(None, 7\)"),
        (lambda x: GRU(3)(x, initial_state=elman.Input((2, 3))),
         r"\[GRU.call\] initial_state\[0\]: expected \(None, 3\), got \(None, 2, 3\)"),
        (lambda x: layers.Bidirectional(LSTM(3))(x, initial_state=[elman.Input((3,))] * 3),
         r"\[Bidirectional.call\] initial_state: expected 4 states of shapes .*, got 3"),
        (lambda x: layers.Bidirectional(GRU(3))(
            x, initial_state=[elman.Input((n,)) for n in (3, 2)]),
         r"\[Bidirectional.call\] initial_state\[1\]: expected \(None, 3\), got \(None, 2\)"),
        (lambda x: layers.ConvLSTM2D(3, 3, padding="same")(
            elman.Input((5, 7, 7, 2)), initial_state=[elman.Input((7, 7, 4))] * 2),
         r"\[ConvLSTM2D.call\] initial_state\[0\]: expected \(None, 7, 7, 3\), got \(.*, 4\)"),
        (lambda x: LSTM(3)(x, mask=elman.Input((7,), dtype="bool")),
         r"\[LSTM.call\] mask: expected \(None, 5\), got \(None, 7\); one value per sample"),
        (lambda x: layers.Bidirectional(LSTM(3))(x, mask=elman.Input((5, 1), dtype="bool")),
         r"\[Bidirectional.call\] mask: expected \(None, 5\), got \(None, 5, 1\)"),
        (lambda x: LSTM(3)(x, reset_mask=elman.Input((7,), dtype="bool")),
         r"\[LSTM.call\] reset_mask: expected \(None, 5\), got \(None, 7\)"),
        (lambda x: LSTM(3)(x, lengths=elman.Input((1,), dtype="int64")),
         r"\[LSTM.call\] lengths: expected \(None,\), got \(None, 1\); one number of time steps"),
    ],
)  # fmt: skip
def test_states_and_masks_are_checked_when_a_model_is_made(call, text):
    with pytest.raises(ValueError, match=text):
        call(elman.Input((5, 4)))


def test_constants_as_symbolic_inputs():
    """R5 of the examples, with the constant from another input of the model."""

    class Counting(layers.Layer):
        def __init__(self, **kwargs):
            self.state_size = 1
            super().__init__(**kwargs)

        def call(self, inputs, states, constants):
            output = inputs + states[0] + constants[0]
            return output, [output]

    x, c = elman.Input((None, 1)), elman.Input((1,))
    out = layers.RNN(Counting(), return_sequences=True)(x, constants=c)
    model = elman.Model([x, c], out)
    value = np.float32([[[1], [2], [3]]])
    np.testing.assert_array_equal(model([value, [[10.0]]])[0, :, 0], [11, 23, 36])
    again = elman.models.model_from_json(model.to_json(), custom_objects={"Counting": Counting})
    np.testing.assert_array_equal(again([value, [[10.0]]])[0, :, 0], [11, 23, 36])


def test_states_and_constants_in_one_list():
    x, h, c = elman.Input((None, 3)), elman.Input((5,)), elman.Input((5,))
    layer = LSTM(5)
    model = elman.Model([x, h, c], layer([x, h, c]))
    states = random(2, 5), random(2, 5)
    np.testing.assert_array_equal(model([A, *states]), layer(A, initial_state=states))


def test_types_of_inputs():
    """Integers for an Embedding stay integers; a float64 model takes float64 data."""
    big = 2**24 + 1
    x = elman.Input((None,))
    model = elman.Model(x, layers.Activation("linear")(x))
    assert model(np.array([[1, 2]])).dtype == "float32"
    lookup = Embedding(big + 1, 1, embeddings_initializer="zeros")
    ids = elman.Model(x, lookup(x))
    table = np.zeros((big + 1, 1), "float32")
    table[big] = 7
    lookup.set_weights([table])
    assert float(ids(np.array([[big]]))[0, 0, 0]) == 7, "2**24 + 1 is no float32"
    y = elman.Input((3,))
    exact = elman.Model(y, Dense(2, dtype="float64")(y))
    value = RNG.normal(size=(2, 3))
    w, b = exact.get_weights()
    np.testing.assert_allclose(exact(value), value @ w + b, rtol=0, atol=1e-15)
    assert exact(value).dtype == "float64"


def test_a_missing_last_axis():
    x = elman.Input((1,))
    model = elman.Model(x, Dense(1)(x))
    column = random(5, 1)
    np.testing.assert_array_equal(model(column[:, 0]), model(column))
    y = elman.Input(())
    assert elman.Model(y, layers.Activation("tanh")(y))(column).shape == (5,)


def test_losses_of_shared_layers_and_penalties():
    x = elman.Input((2,))
    dense = Dense(1, kernel_regularizer="l2", activity_regularizer="l2", use_bias=False)
    model = elman.Model(x, layers.add([dense(x), dense(x)]))
    dense.set_weights([np.ones((2, 1))])
    for _ in range(2):  # the second call replaces the penalties of the first one
        model(np.ones((3, 2), "float32"))
        # 0.01 * (1 + 1), and 0.01 * 2^2 of each call
        assert [round(float(loss), 6) for loss in model.losses] == [0.02, 0.04, 0.04]


def test_states_of_functional_models():
    x = elman.Input(batch_shape=(2, 1, 1))
    ones = [np.ones((1, 1)), np.full((1, 1), 0.5), np.zeros(1)]
    layer = layers.SimpleRNN(1, activation=None, stateful=True, weights=ones)
    model = elman.Model(x, layer(x))
    assert model.input_shape == (2, 1, 1)
    column = np.arange(1.0, 5.0).reshape(4, 1, 1)
    np.testing.assert_allclose(model.predict(column, verbose=0)[:, 0], [1, 2, 3.5, 5])
    np.testing.assert_allclose(model.predict(column, verbose=0)[:, 0], [2.75, 4.5, 4.375, 6.25])
    model.reset_states()
    np.testing.assert_allclose(model.predict(column, verbose=0)[:, 0], [1, 2, 3.5, 5])
    with pytest.raises(ValueError, match=r"\[Model.predict\] x: .*multiple of batch_size=2.*3"):
        model.predict(column[:3], verbose=0)
    open_batch = elman.Input((1, 1))
    with pytest.raises(ValueError, match="known batch size"):
        layers.SimpleRNN(1, stateful=True)(open_batch)


def test_streams_of_chains():
    x = elman.Input((None, 3))
    model = elman.Model(x, Dense(2)(Dropout(0.5)(GRU(4, return_sequences=True)(x))))
    stream = model.stream()
    steps = [stream.step(A[:1, t]) for t in range(11)]
    np.testing.assert_array_equal(np.stack(steps, 1), model(A[:1]))
    with pytest.raises(ValueError, match="do not just follow one another"):
        translator().stream()


def test_the_same_bits_on_several_threads():
    model, found = translator(64), []
    for threads in (1, 2, 3):
        elman.set_num_threads(threads)
        found.append(np.asarray(model([np.tile(A, (40, 1, 1)), np.tile(B, (40, 1, 1))])))
    np.testing.assert_array_equal(found[0], found[1])
    np.testing.assert_array_equal(found[0], found[2])


# --- what is refused -----------------------------------------------------------------------------


def test_a_disconnected_graph_names_the_input():
    a, b = elman.Input((3,), name="a"), elman.Input((3,), name="b")
    out = layers.add([a, Dense(3)(b)], name="sum")
    with pytest.raises(ValueError, match=r"\[Model\] inputs: .*'sum' needs.*'b' with.*add 'b'"):
        elman.Model(a, out)


def test_what_is_no_input():
    a = elman.Input((3,), name="a")
    middle = Dense(4, name="middle")(a)
    out = Dense(1)(middle)
    with pytest.raises(ValueError, match=r"inputs\[0\]: .*elman.Input, got an output.*'middle'"):
        elman.Model(middle, out)
    with pytest.raises(ValueError, match=r"inputs\[1\]: expected each input once, got 'a' twice"):
        elman.Model([a, a], out)
    for bad, what in ((np.zeros((2, 3)), "inputs"), ([a, 3], r"inputs\[1\]")):
        with pytest.raises(TypeError, match=rf"\[Model\] {what}: expected a symbolic tensor"):
            elman.Model(bad, out)
    with pytest.raises(TypeError, match=r"outputs\['y'\]: .*got int"):
        elman.Model(a, {"y": 4})
    with pytest.raises(ValueError, match="outputs: expected at least one tensor"):
        elman.Model(a, [])
    with pytest.raises(TypeError, match="both or neither, got only inputs"):
        elman.Model(a)
    with pytest.raises(TypeError, match="did you mean 'name'"):
        elman.Model(a, out, nme="x")


def test_names_that_occur_twice():
    a = elman.Input((3,))
    out = Dense(3, name="same")(Dense(3, name="same")(a))
    with pytest.raises(ValueError, match=r"\[Model\] layers: .*2 layers named 'same'.*call one"):
        elman.Model(a, out)


@pytest.mark.parametrize(
    ("given", "error", "text"),
    [
        (A, ValueError, r"inputs: expected 2 arrays \(source, target\), got one; as a list"),
        ([A], ValueError, r"expected 2 arrays \(source, target\), got 1"),
        ([A, B, B], ValueError, r"expected 2 arrays \(source, target\), got 3"),
        ([B, A], ValueError, r"inputs\[0\] \('source'\): expected \(N, None, 3\), got \(2, 5, 2\)"),
        ([A, B[0]], ValueError, r"inputs\[1\] \('target'\): expected \(N, None, 2\), got \(5, 2\)"),
        ({"source": A}, ValueError, r"expected a value for 'target', got only 'source'"),
        ({"source": A, "tarket": B}, ValueError, r"'tarket'; did you mean 'target'"),
        ([A, "text"], TypeError, r"\[Model.call\] inputs\[1\] \('target'\): expected an array"),
    ],
)
def test_arrays_that_do_not_fit(given, error, text):
    with pytest.raises(error, match=text):
        translator()(given)


def test_bad_calls():
    model = translator()
    with pytest.raises(TypeError, match="did you mean 'mask'"):
        model([A, B], mmask=None)
    with pytest.raises(ValueError, match=r"batch|initial_state"):
        model([A, np.concatenate([B, B])])
    with pytest.raises(ValueError, match=r"call\] inputs|compute_output_shape\] inputs"):
        model([elman.Input((None, 3)), elman.Input((None, 4))])
