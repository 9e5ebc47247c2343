# SPDX-License-Identifier: Apache-2.0
"""The recurrent layers under the module name of Keras 2: `elman.layers.recurrent`."""

from elman.layers._recurrent import Recurrent as Recurrent
from elman.layers.bidirectional import Bidirectional as Bidirectional
from elman.layers.cudnn import CuDNNGRU as CuDNNGRU
from elman.layers.cudnn import CuDNNLSTM as CuDNNLSTM
from elman.layers.gru import GRU as GRU
from elman.layers.gru import GRUCell as GRUCell
from elman.layers.lstm import LSTM as LSTM
from elman.layers.lstm import LSTMCell as LSTMCell
from elman.layers.rnn import RNN as RNN
from elman.layers.simple_rnn import SimpleRNN as SimpleRNN
from elman.layers.simple_rnn import SimpleRNNCell as SimpleRNNCell
from elman.layers.stacked_rnn_cells import StackedRNNCells as StackedRNNCells
