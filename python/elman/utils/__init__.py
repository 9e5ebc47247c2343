# SPDX-License-Identifier: Apache-2.0
"""Helpers around training: seeds, labels, padding, windows over time series."""

from elman._serialization import custom_object_scope as custom_object_scope
from elman._serialization import register_keras_serializable as register_keras_serializable
from elman.utils.labels import normalize as normalize
from elman.utils.labels import to_categorical as to_categorical
from elman.utils.seed import set_random_seed as set_random_seed
from elman.utils.sequences import PyDataset as PyDataset
from elman.utils.sequences import Sequence as Sequence
from elman.utils.sequences import TimeseriesDataset as TimeseriesDataset
from elman.utils.sequences import pad_sequences as pad_sequences
from elman.utils.sequences import timeseries_dataset_from_array as timeseries_dataset_from_array
