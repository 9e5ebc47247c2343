# SPDX-License-Identifier: Apache-2.0
"""Files: safetensors, .npz and those of Keras, written atomically and read as untrusted input."""

from elman.saving.atomic import atomic_write as atomic_write
from elman.saving.npz import load_npz as load_npz
from elman.saving.npz import save_npz as save_npz
from elman.saving.safetensors import load_metadata as load_metadata
from elman.saving.safetensors import load_safetensors as load_safetensors
from elman.saving.safetensors import save_safetensors as save_safetensors
from elman.saving.weights import checked_path as checked_path
from elman.saving.weights import load_weights as load_weights
from elman.saving.weights import named_weights as named_weights
from elman.saving.weights import save_weights as save_weights
from elman.saving.whole import WHOLE_SUFFIXES as WHOLE_SUFFIXES
from elman.saving.whole import load_model as load_model
from elman.saving.whole import save_model as save_model
