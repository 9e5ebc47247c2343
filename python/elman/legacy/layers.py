# SPDX-License-Identifier: Apache-2.0
"""`elman.layers` with the defaults that GRU and LSTM had before Keras 2.3.

recurrent_activation is 'hard_sigmoid', implementation 1 and, for GRU, reset_after False; nothing
else differs, and a configuration written here loads into `elman.layers` as the same layer.

>>> import elman
>>> elman.legacy.layers.GRU(4).reset_after
False
"""

from elman import layers as _layers
from elman.layers import ELU as ELU
from elman.layers import RNN as RNN
from elman.layers import Activation as Activation
from elman.layers import ActivityRegularization as ActivityRegularization
from elman.layers import Add as Add
from elman.layers import Arithmetic as Arithmetic
from elman.layers import Average as Average
from elman.layers import AveragePooling1D as AveragePooling1D
from elman.layers import AveragePooling2D as AveragePooling2D
from elman.layers import AveragePooling3D as AveragePooling3D
from elman.layers import BatchNormalization as BatchNormalization
from elman.layers import Bidirectional as Bidirectional
from elman.layers import Concatenate as Concatenate
from elman.layers import Conv1D as Conv1D
from elman.layers import Conv2D as Conv2D
from elman.layers import Conv3D as Conv3D
from elman.layers import ConvLSTM1D as ConvLSTM1D
from elman.layers import ConvLSTM1DCell as ConvLSTM1DCell
from elman.layers import ConvLSTM2D as ConvLSTM2D
from elman.layers import ConvLSTM2DCell as ConvLSTM2DCell
from elman.layers import ConvLSTM3D as ConvLSTM3D
from elman.layers import ConvLSTM3DCell as ConvLSTM3DCell
from elman.layers import Cropping1D as Cropping1D
from elman.layers import Cropping2D as Cropping2D
from elman.layers import CuDNNGRU as CuDNNGRU
from elman.layers import CuDNNLSTM as CuDNNLSTM
from elman.layers import Dense as Dense
from elman.layers import Dot as Dot
from elman.layers import Dropout as Dropout
from elman.layers import Embedding as Embedding
from elman.layers import Flatten as Flatten
from elman.layers import GaussianDropout as GaussianDropout
from elman.layers import GaussianNoise as GaussianNoise
from elman.layers import GetItem as GetItem
from elman.layers import GlobalAveragePooling1D as GlobalAveragePooling1D
from elman.layers import GlobalAveragePooling2D as GlobalAveragePooling2D
from elman.layers import GlobalAveragePooling3D as GlobalAveragePooling3D
from elman.layers import GlobalMaxPooling1D as GlobalMaxPooling1D
from elman.layers import GlobalMaxPooling2D as GlobalMaxPooling2D
from elman.layers import GlobalMaxPooling3D as GlobalMaxPooling3D
from elman.layers import Input as Input
from elman.layers import InputLayer as InputLayer
from elman.layers import Lambda as Lambda
from elman.layers import Layer as Layer
from elman.layers import LayerNormalization as LayerNormalization
from elman.layers import LeakyReLU as LeakyReLU
from elman.layers import Masking as Masking
from elman.layers import Maximum as Maximum
from elman.layers import MaxPooling1D as MaxPooling1D
from elman.layers import MaxPooling2D as MaxPooling2D
from elman.layers import MaxPooling3D as MaxPooling3D
from elman.layers import Minimum as Minimum
from elman.layers import Multiply as Multiply
from elman.layers import Permute as Permute
from elman.layers import PReLU as PReLU
from elman.layers import Recurrent as Recurrent
from elman.layers import ReLU as ReLU
from elman.layers import RepeatVector as RepeatVector
from elman.layers import Reshape as Reshape
from elman.layers import SimpleRNN as SimpleRNN
from elman.layers import SimpleRNNCell as SimpleRNNCell
from elman.layers import Softmax as Softmax
from elman.layers import SpatialDropout1D as SpatialDropout1D
from elman.layers import SpatialDropout2D as SpatialDropout2D
from elman.layers import StackedRNNCells as StackedRNNCells
from elman.layers import Subtract as Subtract
from elman.layers import TimeDistributed as TimeDistributed
from elman.layers import UpSampling1D as UpSampling1D
from elman.layers import UpSampling2D as UpSampling2D
from elman.layers import ZeroPadding1D as ZeroPadding1D
from elman.layers import ZeroPadding2D as ZeroPadding2D
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
    """`elman.layers.GRUCell` with the gates of Keras 2.2: hard sigmoid, reset before.

    The documents of that time know no `reset_after` of the cell; it is given by name only.
    """

    recurrent_activation = _default(_layers.GRUCell, "recurrent_activation", "hard_sigmoid")
    implementation = _default(_layers.GRUCell, "implementation", 1)
    reset_after = _default(_layers.GRUCell, "reset_after", False).by_name()


class LSTMCell(_layers.LSTMCell):
    """`elman.layers.LSTMCell` with the gates of Keras 2.2: hard sigmoid."""

    recurrent_activation = _default(_layers.LSTMCell, "recurrent_activation", "hard_sigmoid")
    implementation = _default(_layers.LSTMCell, "implementation", 1)


class GRU(_layers.GRU, cell=GRUCell):
    """`elman.layers.GRU` with the gates of Keras 2.2: hard sigmoid, reset before the product."""

    @classmethod
    def _collect_options(cls) -> dict[str, Option]:
        # Unlike the cell, the layer has it in its place.
        place = _default(_layers.GRUCell, "reset_after", False)
        return {**super()._collect_options(), "reset_after": place}


class LSTM(_layers.LSTM, cell=LSTMCell):
    """`elman.layers.LSTM` with the gates of Keras 2.2: hard sigmoid."""


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
