// SPDX-License-Identifier: Apache-2.0
// elman/bptt/phase.hpp: the product of one step for some rows, tile by tile, with its epilogue.
#pragma once

#include "elman/bptt/problem.hpp"
#include "elman/kernels/tile.hpp"

namespace elman::bptt {

/// One side of the step's product: rows of A, shared by the gates or one copy per gate.
template <class T>
struct Side {
  const T* a = nullptr;
  Index row = 0;
  Index gate = 0;  // distance between the copies of the gates; 0: one operand for all gates
  const T* w = nullptr;
  Index depth = 0;
  Index w_block = 0;  // distance between the blocks of w; 0: they lie side by side
};

/// sums = init + x Wx + h Wh for rows x blocks.
template <class T>
struct StepProduct {
  const T* init = nullptr;
  Index init_row = 0, init_slot = 0;
  Side<T> x, h;
};

namespace detail {

// One operand per gate (dropout masks of their own): the same packed weights, read one gate at a
// time, so the flops and bytes stay those of the shared mask.
template <class T, class Gates>
inline void add_per_gate(const Side<T>& side, int first_slot, Index row, int rows, Index block,
                         int blocks, T* sums) {
  constexpr Index kW = simd::kWidth<T>;
  constexpr Index kS = Gates::kSlots, kG = Gates::kGates;
  for (int g = 0; g < kG; ++g) {
    for (int r = 0; r < rows;) {
      const int height = kernels::TileShape<1>::rows(rows - r);
      kernels::Tile<T> tile;
      T* out = sums + (r * blocks * kS + first_slot + g) * kW;
      tile.init = tile.out = out;
      tile.init_row = tile.out_row = blocks * kS * kW;
      tile.init_block = tile.out_block = kS * kW;
      tile.x.a = side.a + g * side.gate + (row + r) * side.row;
      tile.x.row_stride = side.row;
      tile.x.w = side.w + block * side.depth * kG * kW + g * kW;
      tile.x.w_block = side.depth * kG * kW;
      tile.x.w_k = kG * kW;
      tile.x.depth = side.depth;
      for (int u = 0; u < blocks;) {  // a tile of one slot may be narrower than this group
        const int width = kernels::blocks_for<1>(height, blocks - u);
        kernels::Tile<T> part = tile;
        part.init = part.out = out + u * kS * kW;
        part.x.w += u * tile.x.w_block;
        kernels::run_tile<T, kernels::Gating<1, 1>>(height, width, part);
        u += width;
      }
      r += height;
    }
  }
}

template <class T, class Gates>
inline void set_operand(const Side<T>& side, Index row, Index block, kernels::Operand<T>& out) {
  constexpr Index kW = simd::kWidth<T>;
  if (side.depth == 0 || side.gate != 0) return;
  out.a = side.a + row * side.row;
  out.row_stride = side.row;
  out.w_k = Gates::kGates * kW;
  out.w_block = side.w_block != 0 ? side.w_block : side.depth * out.w_k;
  out.w = side.w + block * out.w_block;
  out.depth = side.depth;
}

}  // namespace detail

/// Runs the product for rows [0, rows) and every block of units; epilogue(row, block, sums) gets
/// the kSlots sums of W units each, still in L1. Blocks are the outer loop, so that a block's
/// weights are read once for all rows.
template <class T, class Gates, class Epilogue>
inline void run_phase(const StepProduct<T>& p, Index rows, Index blocks, Epilogue&& epilogue) {
  constexpr Index kW = simd::kWidth<T>;
  constexpr Index kS = Gates::kSlots;
  alignas(64) T sums[32 * kW];
  const int tallest = kernels::TileShape<kS>::rows(rows);
  for (Index block = 0; block < blocks;) {
    const int width = kernels::blocks_for<kS>(tallest, blocks - block);
    for (Index row = 0; row < rows;) {
      const int height = kernels::TileShape<kS>::rows(rows - row);
      kernels::Tile<T> tile;
      if (p.init != nullptr) tile.init = p.init + row * p.init_row + block * kW;
      tile.init_row = p.init_row;
      tile.init_block = kW;
      tile.init_slot = p.init_slot;
      tile.out = sums;
      tile.out_row = width * kS * kW;
      tile.out_block = kS * kW;
      tile.out_slot = kW;
      // x before h, whatever the operands' form: the order of a sum is part of its bits.
      if (p.x.gate != 0) {
        kernels::run_tile<T, Gates>(height, width, tile);  // sums = init
        detail::add_per_gate<T, Gates>(p.x, 0, row, height, block, width, sums);
        tile.init = sums;
        tile.init_row = tile.out_row;
        tile.init_block = tile.out_block;
        tile.init_slot = tile.out_slot;
      }
      detail::set_operand<T, Gates>(p.x, row, block, tile.x);
      detail::set_operand<T, Gates>(p.h, row, block, tile.h);
      kernels::run_tile<T, Gates>(height, width, tile);
      if (p.h.gate != 0) {
        detail::add_per_gate<T, Gates>(p.h, Gates::kFirstH, row, height, block, width, sums);
      }
      for (int r = 0; r < height; ++r) {
        for (int u = 0; u < width; ++u) {
          epilogue(row + r, block + u, sums + (r * width + u) * kS * kW);
        }
      }
      row += height;
    }
    block += width;
  }
}

}  // namespace elman::bptt
