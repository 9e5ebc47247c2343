// SPDX-License-Identifier: Apache-2.0
// recurrent_simple_rnn.cpp: the kernels of the fused SimpleRnn layer.
#include "elman/autograd/fused_cell.hpp"
#include "elman/autograd/stream_stage.hpp"
#include "elman/cells/simple_rnn.hpp"

template class elman::FusedCellOf<elman::SimpleRnn>;
template std::unique_ptr<elman::StreamStage> elman::recurrent_stage<elman::SimpleRnn>(
    DType, const StreamWeights&, const AnyActivations&, Index);
