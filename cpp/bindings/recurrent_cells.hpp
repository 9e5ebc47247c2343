// SPDX-License-Identifier: Apache-2.0
// recurrent_cells.hpp: the fused layers, each compiled in a file of its own (recurrent_*.cpp), as
// they take most of the build time and build in parallel this way.
#pragma once

#include "elman/autograd/recurrent.hpp"

namespace elman {

extern template class FusedCellOf<SimpleRnn>;
extern template class FusedCellOf<Gru>;
extern template class FusedCellOf<GruResetAfter>;
extern template class FusedCellOf<Lstm>;

}  // namespace elman
