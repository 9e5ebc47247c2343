// SPDX-License-Identifier: Apache-2.0
// recurrent_gru_reset_after.cpp: the kernels of the fused GruResetAfter layer.
#include "elman/autograd/fused_cell.hpp"
#include "elman/autograd/stream_stage.hpp"
#include "elman/cells/gru.hpp"

template class elman::FusedCellOf<elman::GruResetAfter>;
template std::unique_ptr<elman::StreamStage> elman::recurrent_stage<elman::GruResetAfter>(
    DType, const StreamWeights&, const AnyActivations&, Index);
