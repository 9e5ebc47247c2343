// SPDX-License-Identifier: Apache-2.0
// recurrent_cells.hpp: the fused layers, each compiled in a file of its own (recurrent_*.cpp), as
// they take most of the build time and build in parallel this way.
#pragma once

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
