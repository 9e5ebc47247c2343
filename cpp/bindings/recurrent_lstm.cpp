// SPDX-License-Identifier: Apache-2.0
// recurrent_lstm.cpp: the kernels of the fused Lstm layer.
#include "elman/autograd/fused_cell.hpp"
#include "elman/autograd/stream_stage.hpp"
#include "elman/cells/lstm.hpp"

template class elman::FusedCellOf<elman::Lstm>;
template std::unique_ptr<elman::StreamStage> elman::recurrent_stage<elman::Lstm>(
    DType, const StreamWeights&, const AnyActivations&, Index);
