# SPDX-License-Identifier: Apache-2.0
"""Callbacks: hooks around training."""

from elman.callbacks.base import Callback as Callback
from elman.callbacks.base import CallbackList as CallbackList
from elman.callbacks.base import History as History
from elman.callbacks.base import LambdaCallback as LambdaCallback
from elman.callbacks.files import CSVLogger as CSVLogger
from elman.callbacks.files import ModelCheckpoint as ModelCheckpoint
from elman.callbacks.progress import ProgbarLogger as ProgbarLogger
from elman.callbacks.rates import LearningRateScheduler as LearningRateScheduler
from elman.callbacks.rates import ReduceLROnPlateau as ReduceLROnPlateau
from elman.callbacks.stopping import EarlyStopping as EarlyStopping
from elman.callbacks.stopping import TerminateOnNaN as TerminateOnNaN
