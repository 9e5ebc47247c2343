# SPDX-License-Identifier: Apache-2.0
# ruff: noqa: A004 - the names are those of Keras
"""Operations on tensors under Keras' backend names (`from elman import backend as K`).

All of them take tensors, arrays or numbers, are recorded by `elman.GradientTape`, and broadcast as
numpy does. They are what custom cells and layers compute with.

>>> from elman import backend as K
>>> K.dot([[1.0, 2.0]], [[3.0], [4.0]]).numpy()
array([[11.]], dtype=float32)

Source: Keras 2 `backend`.
"""

from elman._settings import epsilon as epsilon
from elman._settings import floatx as floatx
from elman._settings import image_data_format as image_data_format
from elman._settings import set_epsilon as set_epsilon
from elman._settings import set_floatx as set_floatx
from elman._settings import set_image_data_format as set_image_data_format
from elman.activations import elu as elu
from elman.activations import hard_sigmoid as hard_sigmoid
from elman.activations import linear as linear
from elman.activations import relu as relu
from elman.activations import sigmoid as sigmoid
from elman.activations import softmax as softmax
from elman.activations import softplus as softplus
from elman.activations import softsign as softsign
from elman.activations import tanh as tanh
from elman.backend.arithmetic import abs as abs
from elman.backend.arithmetic import add as add
from elman.backend.arithmetic import clip as clip
from elman.backend.arithmetic import cos as cos
from elman.backend.arithmetic import divide as divide
from elman.backend.arithmetic import equal as equal
from elman.backend.arithmetic import exp as exp
from elman.backend.arithmetic import greater as greater
from elman.backend.arithmetic import greater_equal as greater_equal
from elman.backend.arithmetic import less as less
from elman.backend.arithmetic import less_equal as less_equal
from elman.backend.arithmetic import log as log
from elman.backend.arithmetic import maximum as maximum
from elman.backend.arithmetic import minimum as minimum
from elman.backend.arithmetic import multiply as multiply
from elman.backend.arithmetic import not_equal as not_equal
from elman.backend.arithmetic import pow as pow
from elman.backend.arithmetic import sign as sign
from elman.backend.arithmetic import sin as sin
from elman.backend.arithmetic import sqrt as sqrt
from elman.backend.arithmetic import square as square
from elman.backend.arithmetic import subtract as subtract
from elman.backend.arithmetic import switch as switch
from elman.backend.arithmetic import where as where
from elman.backend.form import batch_flatten as batch_flatten
from elman.backend.form import concatenate as concatenate
from elman.backend.form import expand_dims as expand_dims
from elman.backend.form import flatten as flatten
from elman.backend.form import gather as gather
from elman.backend.form import one_hot as one_hot
from elman.backend.form import permute_dimensions as permute_dimensions
from elman.backend.form import repeat as repeat
from elman.backend.form import repeat_elements as repeat_elements
from elman.backend.form import reshape as reshape
from elman.backend.form import reverse as reverse
from elman.backend.form import slice as slice
from elman.backend.form import squeeze as squeeze
from elman.backend.form import stack as stack
from elman.backend.form import tile as tile
from elman.backend.form import transpose as transpose
from elman.backend.form import unstack as unstack
from elman.backend.making import arange as arange
from elman.backend.making import cast as cast
from elman.backend.making import clear_session as clear_session
from elman.backend.making import constant as constant
from elman.backend.making import dropout as dropout
from elman.backend.making import dtype as dtype
from elman.backend.making import eval as eval
from elman.backend.making import eye as eye
from elman.backend.making import get_value as get_value
from elman.backend.making import identity as identity
from elman.backend.making import int_shape as int_shape
from elman.backend.making import is_tensor as is_tensor
from elman.backend.making import ndim as ndim
from elman.backend.making import ones as ones
from elman.backend.making import ones_like as ones_like
from elman.backend.making import random_normal as random_normal
from elman.backend.making import random_uniform as random_uniform
from elman.backend.making import set_value as set_value
from elman.backend.making import shape as shape
from elman.backend.making import stop_gradient as stop_gradient
from elman.backend.making import variable as variable
from elman.backend.making import zeros as zeros
from elman.backend.making import zeros_like as zeros_like
from elman.backend.products import all as all
from elman.backend.products import any as any
from elman.backend.products import argmax as argmax
from elman.backend.products import argmin as argmin
from elman.backend.products import batch_dot as batch_dot
from elman.backend.products import bias_add as bias_add
from elman.backend.products import binary_crossentropy as binary_crossentropy
from elman.backend.products import categorical_crossentropy as categorical_crossentropy
from elman.backend.products import cumsum as cumsum
from elman.backend.products import dot as dot
from elman.backend.products import l2_normalize as l2_normalize
from elman.backend.products import logsumexp as logsumexp
from elman.backend.products import max as max
from elman.backend.products import mean as mean
from elman.backend.products import min as min
from elman.backend.products import prod as prod
from elman.backend.products import (
    sparse_categorical_crossentropy as sparse_categorical_crossentropy,
)
from elman.backend.products import std as std
from elman.backend.products import sum as sum
from elman.backend.products import var as var
