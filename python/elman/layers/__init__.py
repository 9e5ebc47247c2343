# SPDX-License-Identifier: Apache-2.0
"""Layers and recurrent cells, with the names and arguments of Keras."""

from elman.layers import recurrent as recurrent
from elman.layers._recurrent import Recurrent as Recurrent
from elman.layers._serialize import deserialize as deserialize
from elman.layers._serialize import serialize as serialize
from elman.layers.activation import Activation as Activation
from elman.layers.conv import Conv1D as Conv1D
from elman.layers.conv import Conv2D as Conv2D
from elman.layers.conv import Conv3D as Conv3D
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
from elman.layers.global_pooling import GlobalAveragePooling1D as GlobalAveragePooling1D
from elman.layers.global_pooling import GlobalAveragePooling2D as GlobalAveragePooling2D
from elman.layers.global_pooling import GlobalAveragePooling3D as GlobalAveragePooling3D
from elman.layers.global_pooling import GlobalMaxPooling1D as GlobalMaxPooling1D
from elman.layers.global_pooling import GlobalMaxPooling2D as GlobalMaxPooling2D
from elman.layers.global_pooling import GlobalMaxPooling3D as GlobalMaxPooling3D
from elman.layers.gru import GRU as GRU
from elman.layers.gru import GRUCell as GRUCell
from elman.layers.input_layer import InputLayer as InputLayer
from elman.layers.layer import Layer as Layer
from elman.layers.lstm import LSTM as LSTM
from elman.layers.lstm import LSTMCell as LSTMCell
from elman.layers.padding import Cropping1D as Cropping1D
from elman.layers.padding import Cropping2D as Cropping2D
from elman.layers.padding import ZeroPadding1D as ZeroPadding1D
from elman.layers.padding import ZeroPadding2D as ZeroPadding2D
from elman.layers.pooling import AveragePooling1D as AveragePooling1D
from elman.layers.pooling import AveragePooling2D as AveragePooling2D
from elman.layers.pooling import AveragePooling3D as AveragePooling3D
from elman.layers.pooling import MaxPooling1D as MaxPooling1D
from elman.layers.pooling import MaxPooling2D as MaxPooling2D
from elman.layers.pooling import MaxPooling3D as MaxPooling3D
from elman.layers.rnn import RNN as RNN
from elman.layers.simple_rnn import SimpleRNN as SimpleRNN
from elman.layers.simple_rnn import SimpleRNNCell as SimpleRNNCell
from elman.layers.stacked_rnn_cells import StackedRNNCells as StackedRNNCells
from elman.layers.up_sampling import UpSampling1D as UpSampling1D
from elman.layers.up_sampling import UpSampling2D as UpSampling2D

from elman._symbolic import Input as Input  # isort: skip - needs the layers above

__all__ = [
    "GRU",
    "LSTM",
    "RNN",
    "Activation",
    "AveragePooling1D",
    "AveragePooling2D",
    "AveragePooling3D",
    "Conv1D",
    "Conv2D",
    "Conv3D",
    "ConvLSTM1D",
    "ConvLSTM1DCell",
    "ConvLSTM2D",
    "ConvLSTM2DCell",
    "ConvLSTM3D",
    "ConvLSTM3DCell",
    "Cropping1D",
    "Cropping2D",
    "Dense",
    "Dropout",
    "Embedding",
    "Flatten",
    "GRUCell",
    "GlobalAveragePooling1D",
    "GlobalAveragePooling2D",
    "GlobalAveragePooling3D",
    "GlobalMaxPooling1D",
    "GlobalMaxPooling2D",
    "GlobalMaxPooling3D",
    "Input",
    "InputLayer",
    "LSTMCell",
    "Layer",
    "MaxPooling1D",
    "MaxPooling2D",
    "MaxPooling3D",
    "Recurrent",
    "SimpleRNN",
    "SimpleRNNCell",
    "StackedRNNCells",
    "UpSampling1D",
    "UpSampling2D",
    "ZeroPadding1D",
    "ZeroPadding2D",
    "deserialize",
    "serialize",
]
