// SPDX-License-Identifier: Apache-2.0
// recurrent_cells.hpp: the fused layers, each compiled in a file of its own (recurrent_*.cpp), as
// they take most of the build time and build in parallel this way.
#pragma once

#include <string>
#include <vector>

#include "elman/autograd/recurrent.hpp"
#include "elman/autograd/stream_stage.hpp"

namespace elman {

extern template class FusedCellOf<SimpleRnn>;
extern template class FusedCellOf<Gru>;
extern template class FusedCellOf<GruResetAfter>;
extern template class FusedCellOf<Lstm>;

extern template std::unique_ptr<StreamStage> recurrent_stage<SimpleRnn>(DType, const StreamWeights&,
                                                                        const AnyActivations&,
                                                                        Index);
extern template std::unique_ptr<StreamStage> recurrent_stage<Gru>(DType, const StreamWeights&,
                                                                  const AnyActivations&, Index);
extern template std::unique_ptr<StreamStage> recurrent_stage<GruResetAfter>(DType,
                                                                            const StreamWeights&,
                                                                            const AnyActivations&,
                                                                            Index);
extern template std::unique_ptr<StreamStage> recurrent_stage<Lstm>(DType, const StreamWeights&,
                                                                   const AnyActivations&, Index);

}  // namespace elman

namespace elman::bindings {

/// make_conv_lstm, compiled in recurrent_conv_lstm.cpp.
std::unique_ptr<FusedCell> conv_lstm(Index filters, const std::vector<Index>& kernel_size,
                                     const std::vector<Index>& strides, const std::string& padding,
                                     const std::vector<Index>& dilation_rate,
                                     const std::string& activation,
                                     const std::string& recurrent_activation);

}  // namespace elman::bindings
