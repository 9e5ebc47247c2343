# SPDX-License-Identifier: Apache-2.0
"""`elman.layers` with the defaults that GRU and LSTM had before Keras 2.3.

recurrent_activation is 'hard_sigmoid', implementation 1 and, for GRU, reset_after False; nothing
else differs, and a configuration written here loads into `elman.layers` as the same layer.

>>> import elman
>>> elman.legacy.layers.GRU(4).reset_after
False
"""

from elman import layers as _layers
from elman.layers import RNN as RNN
from elman.layers import Activation as Activation
from elman.layers import Add as Add
from elman.layers import Arithmetic as Arithmetic
from elman.layers import Average as Average
from elman.layers import Concatenate as Concatenate
from elman.layers import Dense as Dense
from elman.layers import Dot as Dot
from elman.layers import Dropout as Dropout
from elman.layers import Embedding as Embedding
from elman.layers import Flatten as Flatten
from elman.layers import GetItem as GetItem
from elman.layers import Input as Input
from elman.layers import InputLayer as InputLayer
from elman.layers import Layer as Layer
from elman.layers import Maximum as Maximum
from elman.layers import Minimum as Minimum
from elman.layers import Multiply as Multiply
from elman.layers import Recurrent as Recurrent
from elman.layers import SimpleRNN as SimpleRNN
from elman.layers import SimpleRNNCell as SimpleRNNCell
from elman.layers import StackedRNNCells as StackedRNNCells
from elman.layers import Subtract as Subtract
from elman.layers import add as add
from elman.layers import average as average
from elman.layers import concatenate as concatenate
from elman.layers import deserialize as deserialize
from elman.layers import dot as dot
from elman.layers import maximum as maximum
from elman.layers import minimum as minimum
from elman.layers import multiply as multiply
from elman.layers import serialize as serialize
from elman.layers import subtract as subtract
from elman.layers._options import Option


def _default(cls: type, name: str, value: object) -> Option:
    return getattr(cls, name).with_default(value)


class GRUCell(_layers.GRUCell):
    """`elman.layers.GRUCell` with the gates of Keras 2.2: hard sigmoid, reset before."""

    recurrent_activation = _default(_layers.GRUCell, "recurrent_activation", "hard_sigmoid")
    implementation = _default(_layers.GRUCell, "implementation", 1)
    reset_after = _default(_layers.GRUCell, "reset_after", False)


class LSTMCell(_layers.LSTMCell):
    """`elman.layers.LSTMCell` with the gates of Keras 2.2: hard sigmoid."""

    recurrent_activation = _default(_layers.LSTMCell, "recurrent_activation", "hard_sigmoid")
    implementation = _default(_layers.LSTMCell, "implementation", 1)


class GRU(_layers.GRU, cell=GRUCell):
    """`elman.layers.GRU` with the gates of Keras 2.2: hard sigmoid, reset before the product."""


class LSTM(_layers.LSTM, cell=LSTMCell):
    """`elman.layers.LSTM` with the gates of Keras 2.2: hard sigmoid."""


__all__ = [
    "GRU",
    "LSTM",
    "RNN",
    "Activation",
    "Add",
    "Arithmetic",
    "Average",
    "Concatenate",
    "Dense",
    "Dot",
    "Dropout",
    "Embedding",
    "Flatten",
    "GRUCell",
    "GetItem",
    "Input",
    "InputLayer",
    "LSTMCell",
    "Layer",
    "Maximum",
    "Minimum",
    "Multiply",
    "Recurrent",
    "SimpleRNN",
    "SimpleRNNCell",
    "StackedRNNCells",
    "Subtract",
    "add",
    "average",
    "concatenate",
    "deserialize",
    "dot",
    "maximum",
    "minimum",
    "multiply",
    "serialize",
    "subtract",
]
