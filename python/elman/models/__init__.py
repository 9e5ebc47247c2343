# SPDX-License-Identifier: Apache-2.0
"""Models: `Sequential`, and `Model` from inputs to outputs or to subclass."""

from elman.models.cloning import clone_model as clone_model
from elman.models.cloning import model_from_config as model_from_config
from elman.models.cloning import model_from_json as model_from_json
from elman.models.model import Model as Model
from elman.models.sequential import Sequential as Sequential
from elman.saving import load_model as load_model
