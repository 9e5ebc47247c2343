# SPDX-License-Identifier: Apache-2.0
"""Automatic names: one counter per base name and process, counted from zero."""

from __future__ import annotations

import re
from collections import Counter

_counts: Counter[str] = Counter()


def snake_case(name: str) -> str:
    """Keras' snake form of a class name: SimpleRNN -> simple_rnn, ConvLSTM2D -> conv_lstm2d."""
    name = re.sub(r"\W+", "", name)
    name = re.sub(r"(.)([A-Z][a-z]+)", r"\1_\2", name)
    name = re.sub(r"([a-z])([A-Z])", r"\1_\2", name).lower()
    return name.lstrip("_") or "layer"


def unique_name(base: str) -> str:
    """The next free name of a base: lstm, lstm_1, lstm_2, ..."""
    number = _counts[base]
    _counts[base] += 1
    return f"{base}_{number}" if number else base


def unique_input_name() -> str:
    """Input layers count from one, as in Keras: input_1, input_2, ..."""
    _counts["input"] += 1
    return f"input_{_counts['input']}"


def clear() -> None:
    """Forget all counters (`elman.backend.clear_session`)."""
    _counts.clear()
