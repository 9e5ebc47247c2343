# SPDX-License-Identifier: Apache-2.0
"""`summary` byte for byte, in a process of its own because names count from its start."""

from __future__ import annotations

import pytest

import elman
from elman import layers


def table(text):
    """Lines that end in a bar, so that their trailing blanks are seen and kept."""
    return text.lstrip("\n").replace("|\n", "\n")


FIRST = table("""
Model: "sequential"|
_________________________________________________________________|
Layer (type)                 Output Shape              Param #   |
=================================================================|
embedding (Embedding)        (None, None, 64)          64000     |
_________________________________________________________________|
lstm (LSTM)                  (None, 128)               98816     |
_________________________________________________________________|
dense (Dense)                (None, 10)                1290      |
=================================================================|
Total params: 164,106|
Trainable params: 164,106|
Non-trainable params: 0|
_________________________________________________________________|
""")
SECOND = table("""
Model: "sequential_1"|
_________________________________________________________________|
Layer (type)                 Output Shape              Param #   |
=================================================================|
embedding_1 (Embedding)      (None, None, 64)          64000     |
_________________________________________________________________|
gru (GRU)                    (None, None, 256)         247296    |
_________________________________________________________________|
simple_rnn (SimpleRNN)       (None, 128)               49280     |
_________________________________________________________________|
dense_1 (Dense)              (None, 10)                1290      |
=================================================================|
Total params: 361,866|
Trainable params: 361,866|
Non-trainable params: 0|
_________________________________________________________________|
""")
CODE = """
import elman
from elman.layers import *
for middle in ([LSTM(128)], [GRU(256, return_sequences=True), SimpleRNN(128)]):
    model = elman.Sequential()
    model.add(Embedding(input_dim=1000, output_dim=64))
    for layer in [*middle, Dense(10)]:
        model.add(layer)
    model.summary()
"""


def test_both_tables_of_a_fresh_session(python):
    done = python(CODE)
    assert done.stderr == ""
    assert done.stdout == FIRST + SECOND


def lines(model, **options):
    found = []
    model.summary(print_fn=found.append, **options)
    return found


def test_clear_session_starts_names_again():
    elman.backend.clear_session()
    model = elman.Sequential([layers.Embedding(1000, 64), layers.LSTM(128), layers.Dense(10)])
    assert "\n".join(lines(model)) + "\n" == FIRST


def test_width_and_columns():
    model = elman.Sequential([layers.Dense(3, input_shape=(2,), name="a_rather_long_layer_name")])
    wide = lines(model, line_length=100)
    assert all(len(line) == 100 for line in wide if line[0] in "_=La" and "params" not in line)
    assert wide[4].startswith("a_rather_long_layer_name (Dense)")
    assert wide[4].index("(None, 3)") == 45
    narrow = lines(model)
    assert narrow[4] == "a_rather_long_layer_name (De (None, 3)                 9         "
    by_hand = lines(model, line_length=60, positions=[20, 50, 60])
    assert by_hand[4] == "a_rather_long_layer (None, 3)                     9         "


def test_frozen_layers_are_counted_apart():
    model = elman.Sequential(
        [layers.Dense(100, input_shape=(99,), trainable=False), layers.Dense(2), layers.Flatten()]
    )
    assert lines(model)[-4:] == [
        "Total params: 10,202",
        "Trainable params: 202",
        "Non-trainable params: 10,000",
        "_" * 65,
    ]


def test_unbuilt_models():
    model = elman.Sequential([layers.Dense(2)])
    with pytest.raises(ValueError, match=r"\[Sequential\.summary\].*not built.*input_shape"):
        model.summary()
    model.build((None, 3))
    assert "Total params: 8" in lines(model)


def test_models_within_models():
    inner = elman.Sequential([layers.LSTM(3, input_shape=(None, 2))], name="inner")
    model = elman.Sequential([inner, layers.Dense(1)])
    found = lines(model)
    assert found[4] == "inner (Sequential)           (None, 3)                 72        "
    assert "Total params: 76" in found


# --- functional models ---------------------------------------------------------------------------

TRANSLATOR = table("""
Model: "model"|
__________________________________________________________________________________________________|
Layer (type)                    Output Shape         Param #     Connected to                     |
==================================================================================================|
input_1 (InputLayer)            [(None, None, 3)]    0                                            |
__________________________________________________________________________________________________|
lstm (LSTM)                     [(None, 4), (None, 4 128         input_1[0][0]                    |
__________________________________________________________________________________________________|
input_2 (InputLayer)            [(None, None, 5)]    0                                            |
__________________________________________________________________________________________________|
lstm_1 (LSTM)                   (None, None, 4)      160         input_2[0][0]                    |
                                                                 lstm[0][1]                       |
                                                                 lstm[0][2]                       |
__________________________________________________________________________________________________|
dense (Dense)                   multiple             10          lstm[0][0]                       |
                                                                 lstm_1[0][0]                     |
__________________________________________________________________________________________________|
add (Add)                       (None, None, 2)      0           dense[0][0]                      |
                                                                 dense[1][0]                      |
==================================================================================================|
Total params: 298|
Trainable params: 298|
Non-trainable params: 0|
__________________________________________________________________________________________________|
""")
CHAIN = table("""
Model: "model"|
_________________________________________________________________|
Layer (type)                 Output Shape              Param #   |
=================================================================|
input_1 (InputLayer)         [(None, None, 3)]         0         |
_________________________________________________________________|
lstm (LSTM)                  (None, 4)                 128       |
_________________________________________________________________|
dense (Dense)                (None, 10)                50        |
=================================================================|
Total params: 178|
Trainable params: 178|
Non-trainable params: 0|
_________________________________________________________________|
""")


def test_connections():
    """Several inputs, states, a shared layer: what each call takes."""
    elman.backend.clear_session()
    x, y = elman.Input((None, 3)), elman.Input((None, 5))
    last, h, c = layers.LSTM(4, return_state=True)(x)
    steps = layers.LSTM(4, return_sequences=True)(y, initial_state=[h, c])
    dense = layers.Dense(2)
    model = elman.Model([x, y], layers.add([dense(last), dense(steps)]))
    assert "\n".join(lines(model)) + "\n" == TRANSLATOR
    narrow = lines(model, line_length=60, positions=[0.3, 0.6, 0.8, 1.0])
    assert narrow[-7] == "add (Add)         (None, None, 2)   0           dense[0][0] "
    assert narrow[-6] == " " * 48 + "dense[1][0] "


def test_a_chain_needs_no_connections():
    elman.backend.clear_session()
    x = elman.Input((None, 3))
    model = elman.Model(x, layers.Dense(10)(layers.LSTM(4)(x)))
    assert "\n".join(lines(model)) + "\n" == CHAIN
    twice = layers.Dense(3)
    shared = elman.Model(x, twice(twice(x)))
    assert "dense_1[0][0]" in "\n".join(lines(shared))
    branched = elman.Model(x, [layers.Dense(1)(x), layers.Dense(1)(x)])
    assert "Connected to" in lines(branched)[2]
