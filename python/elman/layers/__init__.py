# SPDX-License-Identifier: Apache-2.0
"""Layers and recurrent cells, with the names and arguments of Keras."""

from elman.layers import recurrent as recurrent
from elman.layers._recurrent import Recurrent as Recurrent
from elman.layers._serialize import deserialize as deserialize
from elman.layers._serialize import serialize as serialize
from elman.layers.activation import Activation as Activation
from elman.layers.activity_regularization import ActivityRegularization as ActivityRegularization
from elman.layers.advanced_activations import ELU as ELU
from elman.layers.advanced_activations import LeakyReLU as LeakyReLU
from elman.layers.advanced_activations import PReLU as PReLU
from elman.layers.advanced_activations import ReLU as ReLU
from elman.layers.advanced_activations import Softmax as Softmax
from elman.layers.arithmetic import Arithmetic as Arithmetic
from elman.layers.arithmetic import GetItem as GetItem
from elman.layers.batch_normalization import BatchNormalization as BatchNormalization
from elman.layers.bidirectional import Bidirectional as Bidirectional
from elman.layers.conv import Conv1D as Conv1D
from elman.layers.conv import Conv1D as Convolution1D
from elman.layers.conv import Conv2D as Conv2D
from elman.layers.conv import Conv2D as Convolution2D
from elman.layers.conv import Conv3D as Conv3D
from elman.layers.conv import Conv3D as Convolution3D
from elman.layers.conv_lstm import ConvLSTM1D as ConvLSTM1D
from elman.layers.conv_lstm import ConvLSTM1DCell as ConvLSTM1DCell
from elman.layers.conv_lstm import ConvLSTM2D as ConvLSTM2D
from elman.layers.conv_lstm import ConvLSTM2DCell as ConvLSTM2DCell
from elman.layers.conv_lstm import ConvLSTM3D as ConvLSTM3D
from elman.layers.conv_lstm import ConvLSTM3DCell as ConvLSTM3DCell
from elman.layers.cudnn import CuDNNGRU as CuDNNGRU
from elman.layers.cudnn import CuDNNLSTM as CuDNNLSTM
from elman.layers.dense import Dense as Dense
from elman.layers.dropout import Dropout as Dropout
from elman.layers.dropout import SpatialDropout1D as SpatialDropout1D
from elman.layers.dropout import SpatialDropout2D as SpatialDropout2D
from elman.layers.embedding import Embedding as Embedding
from elman.layers.flatten import Flatten as Flatten
from elman.layers.global_pooling import GlobalAveragePooling1D as GlobalAveragePooling1D
from elman.layers.global_pooling import GlobalAveragePooling1D as GlobalAvgPool1D
from elman.layers.global_pooling import GlobalAveragePooling2D as GlobalAveragePooling2D
from elman.layers.global_pooling import GlobalAveragePooling2D as GlobalAvgPool2D
from elman.layers.global_pooling import GlobalAveragePooling3D as GlobalAveragePooling3D
from elman.layers.global_pooling import GlobalAveragePooling3D as GlobalAvgPool3D
from elman.layers.global_pooling import GlobalMaxPooling1D as GlobalMaxPool1D
from elman.layers.global_pooling import GlobalMaxPooling1D as GlobalMaxPooling1D
from elman.layers.global_pooling import GlobalMaxPooling2D as GlobalMaxPool2D
from elman.layers.global_pooling import GlobalMaxPooling2D as GlobalMaxPooling2D
from elman.layers.global_pooling import GlobalMaxPooling3D as GlobalMaxPool3D
from elman.layers.global_pooling import GlobalMaxPooling3D as GlobalMaxPooling3D
from elman.layers.gru import GRU as GRU
from elman.layers.gru import GRUCell as GRUCell
from elman.layers.input_layer import InputLayer as InputLayer
from elman.layers.joining import Concatenate as Concatenate
from elman.layers.joining import Dot as Dot
from elman.layers.lambda_layer import Lambda as Lambda
from elman.layers.layer import Layer as Layer
from elman.layers.layer_normalization import LayerNormalization as LayerNormalization
from elman.layers.lstm import LSTM as LSTM
from elman.layers.lstm import LSTMCell as LSTMCell
from elman.layers.masking import Masking as Masking
from elman.layers.merge import Add as Add
from elman.layers.merge import Average as Average
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
from elman.layers.noise import GaussianDropout as GaussianDropout
from elman.layers.noise import GaussianNoise as GaussianNoise
from elman.layers.padding import Cropping1D as Cropping1D
from elman.layers.padding import Cropping2D as Cropping2D
from elman.layers.padding import ZeroPadding1D as ZeroPadding1D
from elman.layers.padding import ZeroPadding2D as ZeroPadding2D
from elman.layers.pooling import AveragePooling1D as AveragePooling1D
from elman.layers.pooling import AveragePooling1D as AvgPool1D
from elman.layers.pooling import AveragePooling2D as AveragePooling2D
from elman.layers.pooling import AveragePooling2D as AvgPool2D
from elman.layers.pooling import AveragePooling3D as AveragePooling3D
from elman.layers.pooling import AveragePooling3D as AvgPool3D
from elman.layers.pooling import MaxPooling1D as MaxPool1D
from elman.layers.pooling import MaxPooling1D as MaxPooling1D
from elman.layers.pooling import MaxPooling2D as MaxPool2D
from elman.layers.pooling import MaxPooling2D as MaxPooling2D
from elman.layers.pooling import MaxPooling3D as MaxPool3D
from elman.layers.pooling import MaxPooling3D as MaxPooling3D
from elman.layers.reshaping import Permute as Permute
from elman.layers.reshaping import RepeatVector as RepeatVector
from elman.layers.reshaping import Reshape as Reshape
from elman.layers.rnn import RNN as RNN
from elman.layers.simple_rnn import SimpleRNN as SimpleRNN
from elman.layers.simple_rnn import SimpleRNNCell as SimpleRNNCell
from elman.layers.stacked_rnn_cells import StackedRNNCells as StackedRNNCells
from elman.layers.time_distributed import TimeDistributed as TimeDistributed
from elman.layers.up_sampling import UpSampling1D as UpSampling1D
from elman.layers.up_sampling import UpSampling2D as UpSampling2D

from elman._symbolic import Input as Input  # isort: skip - needs the layers above

__all__ = [
    "ELU",
    "GRU",
    "LSTM",
    "RNN",
    "Activation",
    "ActivityRegularization",
    "Add",
    "Arithmetic",
    "Average",
    "AveragePooling1D",
    "AveragePooling2D",
    "AveragePooling3D",
    "AvgPool1D",
    "AvgPool2D",
    "AvgPool3D",
    "BatchNormalization",
    "Bidirectional",
    "Concatenate",
    "Conv1D",
    "Conv2D",
    "Conv3D",
    "ConvLSTM1D",
    "ConvLSTM1DCell",
    "ConvLSTM2D",
    "ConvLSTM2DCell",
    "ConvLSTM3D",
    "ConvLSTM3DCell",
    "Convolution1D",
    "Convolution2D",
    "Convolution3D",
    "Cropping1D",
    "Cropping2D",
    "CuDNNGRU",
    "CuDNNLSTM",
    "Dense",
    "Dot",
    "Dropout",
    "Embedding",
    "Flatten",
    "GRUCell",
    "GaussianDropout",
    "GaussianNoise",
    "GetItem",
    "GlobalAveragePooling1D",
    "GlobalAveragePooling2D",
    "GlobalAveragePooling3D",
    "GlobalAvgPool1D",
    "GlobalAvgPool2D",
    "GlobalAvgPool3D",
    "GlobalMaxPool1D",
    "GlobalMaxPool2D",
    "GlobalMaxPool3D",
    "GlobalMaxPooling1D",
    "GlobalMaxPooling2D",
    "GlobalMaxPooling3D",
    "Input",
    "InputLayer",
    "LSTMCell",
    "Lambda",
    "Layer",
    "LayerNormalization",
    "LeakyReLU",
    "Masking",
    "MaxPool1D",
    "MaxPool2D",
    "MaxPool3D",
    "MaxPooling1D",
    "MaxPooling2D",
    "MaxPooling3D",
    "Maximum",
    "Minimum",
    "Multiply",
    "PReLU",
    "Permute",
    "ReLU",
    "Recurrent",
    "RepeatVector",
    "Reshape",
    "SimpleRNN",
    "SimpleRNNCell",
    "Softmax",
    "SpatialDropout1D",
    "SpatialDropout2D",
    "StackedRNNCells",
    "Subtract",
    "TimeDistributed",
    "UpSampling1D",
    "UpSampling2D",
    "ZeroPadding1D",
    "ZeroPadding2D",
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
