// SPDX-License-Identifier: Apache-2.0
// elman/autograd/recurrent.hpp: a recurrent layer as one differentiable operation.
#pragma once

#include <memory>
#include <string>
#include <string_view>
#include <vector>

#include "elman/autograd/fused_cell.hpp"
#include "elman/cells/gru.hpp"
#include "elman/cells/lstm.hpp"
#include "elman/cells/simple_rnn.hpp"

namespace elman {

namespace detail {

// One instantiation per cell; the name is the only thing that callers choose by.
template <class... Cells>
inline std::unique_ptr<FusedCell> make_fused_cell(std::string_view kind, Index units,
                                                  const AnyActivations& activations) {
  std::unique_ptr<FusedCell> cell;
  std::string known;
  const auto consider = [&]<class Cell>() {
    if (kind == Cell::kName) cell = std::make_unique<FusedCellOf<Cell>>(units, activations);
    known += (known.empty() ? "" : ", ") + std::string(Cell::kName);
  };
  (consider.template operator()<Cells>(), ...);
  if (!cell) {
    fail("FusedCell", "kind: expected one of " + known + ", got '" + std::string(kind) + "'");
  }
  return cell;
}

}  // namespace detail

/// The fused layer of that name: simple_rnn, gru, gru_reset_after, lstm.
/// Errors    std::invalid_argument for an unknown name, activation, or units < 1
inline std::unique_ptr<FusedCell> make_fused_cell(std::string_view kind, Index units,
                                                  std::string_view activation = "tanh",
                                                  std::string_view recurrent = "sigmoid") {
  const AnyActivations activations = AnyActivations::named(activation, recurrent);
  return detail::make_fused_cell<SimpleRnn, Gru, GruResetAfter, Lstm>(kind, units, activations);
}

}  // namespace elman
