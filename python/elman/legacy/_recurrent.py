# SPDX-License-Identifier: Apache-2.0
"""GRU, LSTM and their cells with the defaults that they had before Keras 2.3."""

from elman import layers as _layers
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
