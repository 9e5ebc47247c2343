// SPDX-License-Identifier: Apache-2.0
// recurrent_simple_rnn.cpp: the kernels of the fused SimpleRnn layer.
#include "elman/autograd/fused_cell.hpp"
#include "elman/cells/simple_rnn.hpp"

template class elman::FusedCellOf<elman::SimpleRnn>;
