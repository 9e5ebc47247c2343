// SPDX-License-Identifier: Apache-2.0
// recurrent_gru.cpp: the kernels of the fused Gru layer.
#include "elman/autograd/fused_cell.hpp"
#include "elman/autograd/stream_stage.hpp"
#include "elman/cells/gru.hpp"

template class elman::FusedCellOf<elman::Gru>;
template std::unique_ptr<elman::StreamStage> elman::recurrent_stage<elman::Gru>(
    DType, const StreamWeights&, const AnyActivations&, Index);
