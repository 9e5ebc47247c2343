# SPDX-License-Identifier: Apache-2.0
"""`elman.layers` with the defaults that GRU and LSTM had before Keras 2.3.

recurrent_activation is 'hard_sigmoid', implementation 1 and, for GRU, reset_after False; nothing
else differs, and a configuration written here loads into `elman.layers` as the same layer.

>>> import elman
>>> elman.legacy.layers.GRU(4).reset_after
False
"""

from .. import layers as _layers
from ..layers import *  # noqa: F403 - all names, of which the next four are replaced
from ._recurrent import GRU as GRU
from ._recurrent import LSTM as LSTM
from ._recurrent import GRUCell as GRUCell
from ._recurrent import LSTMCell as LSTMCell

__all__: list[str] = []
__all__ += _layers.__all__
