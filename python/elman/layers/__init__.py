# SPDX-License-Identifier: Apache-2.0
"""Layers and recurrent cells, with the names and arguments of Keras."""

from elman.layers import recurrent as recurrent
from elman.layers._recurrent import Recurrent as Recurrent
from elman.layers._serialize import deserialize as deserialize
from elman.layers._serialize import serialize as serialize
from elman.layers.activation import Activation as Activation
from elman.layers.arithmetic import Arithmetic as Arithmetic
from elman.layers.arithmetic import GetItem as GetItem
from elman.layers.dense import Dense as Dense
from elman.layers.dropout import Dropout as Dropout
from elman.layers.embedding import Embedding as Embedding
from elman.layers.flatten import Flatten as Flatten
from elman.layers.gru import GRU as GRU
from elman.layers.gru import GRUCell as GRUCell
from elman.layers.input_layer import InputLayer as InputLayer
from elman.layers.layer import Layer as Layer
from elman.layers.lstm import LSTM as LSTM
from elman.layers.lstm import LSTMCell as LSTMCell
from elman.layers.merge import Add as Add
from elman.layers.merge import Average as Average
from elman.layers.merge import Concatenate as Concatenate
from elman.layers.merge import Dot as Dot
from elman.layers.merge import Maximum as Maximum
from elman.layers.merge import Minimum as Minimum
from elman.layers.merge import Multiply as Multiply
from elman.layers.merge import Subtract as Subtract
from elman.layers.merge import add as add
from elman.layers.merge import average as average
from elman.layers.merge import concatenate as concatenate
from elman.layers.merge import dot as dot
from elman.layers.merge import maximum as maximum
from elman.layers.merge import minimum as minimum
from elman.layers.merge import multiply as multiply
from elman.layers.merge import subtract as subtract
from elman.layers.rnn import RNN as RNN
from elman.layers.simple_rnn import SimpleRNN as SimpleRNN
from elman.layers.simple_rnn import SimpleRNNCell as SimpleRNNCell
from elman.layers.stacked_rnn_cells import StackedRNNCells as StackedRNNCells

from elman._symbolic import Input as Input  # isort: skip - needs the layers above

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
