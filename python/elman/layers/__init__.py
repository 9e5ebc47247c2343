# SPDX-License-Identifier: Apache-2.0
"""Layers and recurrent cells, with the names and arguments of Keras."""

from elman.layers import recurrent as recurrent
from elman.layers._recurrent import Recurrent as Recurrent
from elman.layers._serialize import deserialize as deserialize
from elman.layers._serialize import serialize as serialize
from elman.layers.activation import Activation as Activation
from elman.layers.conv_lstm import ConvLSTM1D as ConvLSTM1D
from elman.layers.conv_lstm import ConvLSTM1DCell as ConvLSTM1DCell
from elman.layers.conv_lstm import ConvLSTM2D as ConvLSTM2D
from elman.layers.conv_lstm import ConvLSTM2DCell as ConvLSTM2DCell
from elman.layers.conv_lstm import ConvLSTM3D as ConvLSTM3D
from elman.layers.conv_lstm import ConvLSTM3DCell as ConvLSTM3DCell
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
    "ConvLSTM1D",
    "ConvLSTM1DCell",
    "ConvLSTM2D",
    "ConvLSTM2DCell",
    "ConvLSTM3D",
    "ConvLSTM3DCell",
    "Dense",
    "Dropout",
    "Embedding",
    "Flatten",
    "GRUCell",
    "Input",
    "InputLayer",
    "LSTMCell",
    "Layer",
    "Recurrent",
    "SimpleRNN",
    "SimpleRNNCell",
    "StackedRNNCells",
    "deserialize",
    "serialize",
]
