// SPDX-License-Identifier: Apache-2.0
// recurrent_lstm.cpp: the kernels of the fused Lstm layer.
#include "elman/autograd/fused_cell.hpp"
#include "elman/cells/lstm.hpp"

template class elman::FusedCellOf<elman::Lstm>;
