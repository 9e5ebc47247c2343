// SPDX-License-Identifier: Apache-2.0
// recurrent_gru.cpp: the kernels of the fused Gru layer.
#include "elman/autograd/fused_cell.hpp"
#include "elman/cells/gru.hpp"

template class elman::FusedCellOf<elman::Gru>;
