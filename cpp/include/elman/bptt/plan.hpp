// SPDX-License-Identifier: Apache-2.0
// elman/bptt/plan.hpp: what a run will do and need, known before it starts.
#pragma once

#include <cstdio>
#include <string>

#include "elman/bptt/recurrent.hpp"

namespace elman::bptt {

/// Figures of one forward run (and, with training, of what it keeps for the backward run).
struct Plan {
  int threads = 1;
  bool by_units = false;        // the threads share the units of each step, not the batch
  bool projects_input = false;  // few rows: the input side of many steps is one product
  int tile_rows = 1, tile_blocks = 1, lanes = 1;
  double flops = 0;
  std::size_t weight_bytes = 0;     // packed forward weights
  std::size_t workspace_bytes = 0;  // of all threads together
  std::size_t saved_bytes = 0;      // gates and cell states of every step
};

template <class T, class Cell>
inline Plan make_plan(const Dims& d, bool training) {
  constexpr int kS = Cell::template Phase<0>::kSlots;
  Plan plan;
  plan.flops = flops<Cell>(d);
  const Partition share = partition<T, Cell>(d);
  plan.threads = share.parts;
  plan.by_units = share.by_units;
  const int row_parts = share.by_units ? 1 : share.parts;
  const Index rows = (d.batch + row_parts - 1) / row_parts;
  plan.projects_input = rows <= kFewRows && d.time > 1;
  plan.tile_rows = kernels::TileShape<kS>::rows(rows);
  plan.tile_blocks = kernels::TileShape<kS>::blocks(plan.tile_rows);
  plan.lanes = simd::kWidth<T>;
  const Index hp = simd::padded<T>(d.units);
  plan.weight_bytes = std::size_t((d.features + d.units) * Cell::kGates * hp) * sizeof(T);
  Inputs<T> in;
  in.dims = d;
  WorkspaceSize size;
  ForwardRows<T, Cell, AnyActivations>::count(in, training, rows, size);
  plan.workspace_bytes = size.bytes() * std::size_t(row_parts);
  if (training) {
    const Index per_step = (Cell::kSlots + (Cell::kStates == 2 ? 1 : 0)) * hp;
    plan.saved_bytes = std::size_t(d.batch * d.time * per_step) * sizeof(T);
  }
  return plan;
}

namespace detail {

inline std::string bytes_text(std::size_t bytes) {
  char text[32];
  if (bytes < 10 * 1024) {
    std::snprintf(text, sizeof(text), "%zu bytes", bytes);
  } else if (bytes < 10 * 1024 * 1024) {
    std::snprintf(text, sizeof(text), "%.0f KiB", double(bytes) / 1024);
  } else {
    std::snprintf(text, sizeof(text), "%.0f MiB", double(bytes) / (1024 * 1024));
  }
  return text;
}

}  // namespace detail

/// The plan in words, one sentence a line.
inline std::string describe(const Plan& plan, const std::string& cell, const Dims& d,
                            bool training) {
  char flops[48];
  std::snprintf(flops, sizeof(flops), "%.3g MFLOP", plan.flops / 1e6);
  std::string text = "compiled kernel " + cell + ": " + std::to_string(d.batch) + " rows, " +
                     std::to_string(d.time) + " steps, " + std::to_string(d.features) +
                     " features, " + std::to_string(d.units) + " units; " + flops + "\n";
  text += "tiles of " + std::to_string(plan.tile_rows) + " rows x " +
          std::to_string(plan.tile_blocks * plan.lanes) + " units (" + std::to_string(plan.lanes) +
          " lanes), " + std::to_string(plan.threads) +
          (plan.threads == 1 ? " thread\n"
           : plan.by_units   ? " threads, the units of each step split between them\n"
                             : " threads, the batch split between them\n");
  text += plan.projects_input
              ? "few rows: the input projection of many steps is one product, ahead of the loop\n"
              : "input and recurrent product of a step are one accumulation\n";
  text += "packed weights " + detail::bytes_text(plan.weight_bytes) + ", workspace " +
          detail::bytes_text(plan.workspace_bytes);
  if (training) {
    text += "; kept for the backward pass: " + detail::bytes_text(plan.saved_bytes) +
            " of gates and cell states";
  }
  return text;
}

}  // namespace elman::bptt
