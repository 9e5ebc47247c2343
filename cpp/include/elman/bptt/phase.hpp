// SPDX-License-Identifier: Apache-2.0
// elman/bptt/phase.hpp: the product of one step for some rows, tile by tile, with its epilogue.
#pragma once

#include <algorithm>
#include <new>
#include <type_traits>

#include "elman/bptt/blocks.hpp"
#include "elman/bptt/problem.hpp"
#include "elman/kernels/product.hpp"
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
  // Not 0: a holds panels, one for each tile of rows: element k < panel of row r of a tile of
  // height m is number k m + r of its panel. Then depth counts from `first` on.
  Index panel = 0, first = 0;
};

/// sums = init + x Wx + h Wh for rows x blocks.
template <class T>
struct StepProduct {
  const T* init = nullptr;
  Index init_row = 0, init_slot = 0;
  Side<T> x, h;
};

namespace detail {

// Adds one side to the sums of rows x blocks, gate by gate in tiles of one slot: each gate may have
// an operand of its own (dropout masks). The packed weights are the same ones, so flops and bytes
// stay those of the shared operand.
template <class T, class Gates>
inline void add_gate_by_gate(const Side<T>& side, int first_slot, Index row, Index rows,
                             Index block, int blocks, T* sums) {
  constexpr Index kW = simd::kWidth<T>;
  constexpr Index kS = Gates::kSlots, kG = Gates::kGates;
  for (int g = 0; g < kG && side.depth != 0; ++g) {
    for (Index r = 0; r < rows;) {
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
      kernels::run_tile<T, kernels::Gating<1, 1>>(height, blocks, tile);
      r += height;
    }
  }
}

/// How many weights a block has for one k, and from where one block begins to the next.
template <class T, class Gates>
inline constexpr Index kWeightsOfK = Gates::kGates * simd::kWidth<T>;

template <class T, class Gates>
__attribute__((always_inline)) inline Index block_distance(const Side<T>& side) {
  return side.w_block != 0 ? side.w_block : side.depth * kWeightsOfK<T, Gates>;
}

template <class T, class Gates>
__attribute__((always_inline)) inline kernels::Operand<T> operand(const Side<T>& side, Index row,
                                                                  int height, Index block) {
  constexpr Index kStep = kWeightsOfK<T, Gates>;
  const Index w_block = block_distance<T, Gates>(side);
  const T* w = side.w + block * w_block;
  if (side.panel == 0) return {side.a + row * side.row, side.row, 1, w, w_block, kStep, side.depth};
  const T* a = side.a + row * side.panel + side.first * height;
  return {a, 1, height, w, w_block, kStep, side.depth};
}

/// Bytes of the weights of some blocks. Where those of all blocks are more than kColdBytes, a step
/// finds those of the last step gone from L2; where they are more than kernels::kStreamBytes, they
/// are fetched ahead, for more than kMostPlainRows.
template <class T, class Gates>
constexpr Index weight_bytes(Index depth, Index blocks) {
  return depth * blocks * kWeightsOfK<T, Gates> * Index(sizeof(T));
}
inline constexpr Index kColdBytes = 1024 * 1024;

// Bytes of packed weights that one pass over the rows keeps in L2, beside the rows themselves:
// 1 MiB or more where there is AVX-512, 512 KiB elsewhere.
inline constexpr Index kPanelBytes = (simd::kRegisters == 32 ? 320 : 160) * 1024;

// Bytes of sums that are made before their epilogue, which finds them in L1.
inline constexpr Index kSumBytes = 6 * 1024;

/// So few rows are neither packed nor summed in passes, which take memory of the thread.
inline constexpr Index kMostPlainRows = kernels::kMostUnpackedRows;

/// Passes over a depth whose weights for `width` blocks do not fit into L2.
template <class T, class Gates>
inline int passes(Index rows, Index depth, int width) {
  if (rows <= kMostPlainRows) return 1;
  const Index longest = kPanelBytes / weight_bytes<T, Gates>(1, width);
  return depth <= longest ? 1 : int((depth + longest - 1) / longest);
}

/// Blocks whose sums a tile makes before their epilogue. The more, the more chains overlap in it,
/// and the less often rows are read; but their weights have to stay in L2 for the tiles behind, and
/// threads that take blocks from each other need smaller pieces.
template <class T, class Gates>
constexpr Index group_width(Index rows, Index depth, const Blocks& blocks) {
  using Shape = kernels::TileShape<Gates::kSlots>;
  constexpr Index kSums = kSumBytes / (simd::kWidth<T> * Index(sizeof(T)));
  const int tallest = Shape::rows(rows);
  const Index most = Shape::blocks(tallest);
  Index width = (blocks.shared == nullptr ? kSums : kSums / 4) / (Gates::kSlots * tallest);
  if (rows > tallest) {
    width = std::min(width, kPanelBytes / weight_bytes<T, Gates>(std::max<Index>(depth, 1), 1));
  }
  return std::max<Index>(width / most, 1) * most;
}

/// Whether to pack the rows of a product: where they do not fit into L2 beside a panel, and blocks
/// enough read them.
template <class T, class Gates>
inline bool packs_rows(Index rows, Index depth, Index blocks) {
  return rows > kMostPlainRows && rows * depth * Index(sizeof(T)) > kPanelBytes &&
         blocks * Gates::kGates >= 64;
}

// A part of the depth of x and h, one after the other: the sums continue where the pass before left
// them, so cutting the depth changes no bit.
template <class T, class Gates>
__attribute__((noinline)) StepProduct<T> cut(const StepProduct<T>& p, Range k) {
  const auto part = [](Side<T> side, Index begin, Index end) {
    begin = std::clamp<Index>(begin, 0, side.depth);
    end = std::clamp<Index>(end, 0, side.depth);
    side.w_block = block_distance<T, Gates>(side);
    if (side.panel != 0) {
      side.first += begin;
    } else {
      side.a += begin;
    }
    side.w += begin * kWeightsOfK<T, Gates>;
    side.depth = end - begin;
    return side;
  };
  StepProduct<T> out = p;
  out.x = part(p.x, k.begin, k.end);
  out.h = part(p.h, k.begin - p.x.depth, k.end - p.x.depth);
  return out;
}

/// The weights of some blocks for a part of the depth of x and h, one after the other.
template <class T, class Gates>
__attribute__((noinline)) void list_weights(const StepProduct<T>& p, Index block, int width,
                                            Range k, kernels::FetchList<T>& list) {
  constexpr Index kStep = kWeightsOfK<T, Gates>;
  for (const Side<T>* side : {&p.x, &p.h}) {
    const Index begin = std::clamp<Index>(k.begin, 0, side->depth);
    const Index end = std::clamp<Index>(k.end, 0, side->depth);
    const T* w = side->w + block * block_distance<T, Gates>(*side) + begin * kStep;
    for (int u = 0; u < width; ++u, w += block_distance<T, Gates>(*side)) {
      list.add_run(w, (end - begin) * kStep);
    }
    k = {k.begin - side->depth, k.end - side->depth};
  }
}

/// The tile of some rows and blocks; init: nullptr, or the sums of the pass before.
template <class T, class Gates>
__attribute__((always_inline)) inline kernels::Tile<T> tile_of(const StepProduct<T>& p, Index row,
                                                               int height, Index block, int width,
                                                               const T* init, T* sums,
                                                               kernels::Fetches<T>* fetches) {
  constexpr Index kW = simd::kWidth<T>;
  constexpr Index kS = Gates::kSlots;
  // Every member is given: to clear all of them first takes a tenth of a small step.
  const bool starts = init == nullptr;
  const T* from = p.init == nullptr ? nullptr : p.init + row * p.init_row + block * kW;
  const Index out_row = width * kS * kW;
  return {starts ? from : init,
          starts ? p.init_row : out_row,
          starts ? kW : kS * kW,
          starts ? p.init_slot : kW,
          sums,
          out_row,
          kS * kW,
          kW,
          operand<T, Gates>(p.x, row, height, block),
          operand<T, Gates>(p.h, row, height, block),
          fetches};
}

/// One tile of sums, init included.
template <class T, class Gates>
__attribute__((noinline)) void tile_sums(const StepProduct<T>& p, Index row, int height,
                                         Index block, int width, kernels::TileOrder order,
                                         const T* init, T* sums, kernels::Fetches<T>* fetches) {
  const auto tile = tile_of<T, Gates>(p, row, height, block, width, init, sums, fetches);
  kernels::run_tile<T, kernels::Gating<Gates::kSlots, Gates::kGates>>(height, width, tile, order);
}

/// The sums of some rows and blocks whose gates have operands of their own. x before h as in
/// tile_sums: the order of a sum is part of its bits.
template <class T, class Gates>
__attribute__((noinline)) void gate_sums(const StepProduct<T>& p, Index row, Index rows,
                                         Index block, int width, T* sums) {
  constexpr Index kW = simd::kWidth<T>;
  constexpr Index kS = Gates::kSlots;
  T* to = sums;
  for (Index r = row; r < row + rows; ++r) {
    for (Index u = block; u < block + width; ++u) {
      const T* init = p.init + r * p.init_row + u * kW;
      for (Index s = 0; s < kS; ++s, to += kW) {
        simd::store<T>(to, simd::load<T>(init + s * p.init_slot));
      }
    }
  }
  add_gate_by_gate<T, Gates>(p.x, 0, row, rows, block, width, sums);
  add_gate_by_gate<T, Gates>(p.h, Gates::kFirstH, row, rows, block, width, sums);
}

/// The rows of a product as panels of the tiles that will read them, in memory of the thread: one
/// stream in place of a row each, whose lines may all fall into the same few sets of a cache.
template <class T, class Gates>
__attribute__((noinline)) StepProduct<T> pack_rows(StepProduct<T> p, Index rows) {
  T* panels =
      kernels::thread_scratch<T, 7>(rows * (p.x.depth + p.h.depth) + Index(simd::kWidth<T>));
  for (Side<T>* side : {&p.x, &p.h}) {
    kernels::pack_rows<T, Gates::kSlots>(side->a, side->row, rows, side->depth, panels);
    side->a = panels;
    side->panel = side->depth;
    panels += rows * side->depth;
  }
  return p;
}

/// Room for a value that comes later if at all. GCC clears an empty std::optional, and copies what
/// has just been written word by word in longer pieces, for which the processor waits: either takes
/// as long as a tenth of a small step.
template <class V>
class Later {
 public:
  Later() {}  // NOLINT: nothing is written
  V& set(const V& value) { return *new (&value_) V(value); }

 private:
  union {
    V value_;
  };
};

/// What a loop passes as `finish` or `ahead` that has no use for them.
struct NothingToFinish {
  void operator()(Index, Index, int, const void*) const {}
};
struct NothingAhead {
  template <class List>
  void operator()(List&, Index, Index, int) const {}
};

/// What follows the sums of a tile. A function of its own, so that the loops of run_phase() do not
/// take registers from those of the cell.
template <class T, class Gates, class Epilogue, class Finish>
__attribute__((noinline)) void end_tile(Epilogue& epilogue, Finish& finish, Range rows, Index block,
                                        int width, T* sums) {
  const Index step = width * Gates::kSlots * simd::kWidth<T>;
  T* z = sums;
  for (Index row = rows.begin; row < rows.end; ++row, z += step) epilogue(row, block, width, z);
  z = sums;
  for (Index row = rows.begin; row < rows.end; ++row, z += step) finish(row, block, width, z);
}

}  // namespace detail

/// run_phase() where gates have operands of their own. A tile of all gates would have a single
/// block and few rows, a fifth of the speed; here the sums of many rows are made gate by gate.
template <class T, class Gates, class Epilogue, class Finish>
inline void run_gate_by_gate(const StepProduct<T>& p, Index rows, const Blocks& blocks,
                             Epilogue&& epilogue, Finish&& finish) {
  constexpr Index kW = simd::kWidth<T>;
  constexpr Index kS = Gates::kSlots;
  constexpr Index kMostRows = 48;  // their sums stay in L1
  T* buffer = kernels::thread_scratch<T, 6>(std::min(rows, kMostRows) * 8 * kS * kW);
  for (Index row = 0; row < rows; row += kMostRows) {
    const Index height = std::min(rows - row, kMostRows);
    for (Index block = blocks.begin; block < blocks.end;) {
      const int width =
          kernels::blocks_for<1>(kernels::TileShape<1>::rows(height), blocks.end - block);
      detail::gate_sums<T, Gates>(p, row, height, block, width, buffer);
      for (Index r = 0; r < height; ++r) {
        T* sums = buffer + r * width * kS * kW;
        epilogue(row + r, block, width, sums);
        finish(row + r, block, width, sums);
      }
      block += width;
    }
  }
}

/// f(row, block, sums) as an epilogue for run_phase(): the sums of W units at a time.
template <class T, class Gates, class F>
__attribute__((always_inline)) inline auto each_block(F f) {
  return [f](Index row, Index block, int count, T* sums) __attribute__((always_inline)) {
    for (int u = 0; u < count; ++u, sums += Gates::kSlots * simd::kWidth<T>) {
      f(row, block + u, sums);
    }
  };
}

/// run_phase() for a single row, whose gates share their operands, and all blocks on the calling
/// thread. It is part of its caller: what else surrounds the sums takes as long as 16 units do.
template <class T, class Gates, class Epilogue, class Finish>
__attribute__((always_inline)) inline void run_row(const StepProduct<T>& p, Index blocks,
                                                   bool backwards, Epilogue&& epilogue,
                                                   Finish&& finish) {
  constexpr Index kW = simd::kWidth<T>;
  constexpr Index kS = Gates::kSlots;
  constexpr Index kMost = detail::group_width<T, Gates>(1, 0, {});
  alignas(64) T sums[kMost * kS * kW];
  for (Index left = blocks; left > 0;) {
    const int width = int(std::min(left, kMost));
    const Index block = backwards ? left - width : blocks - left;
    left -= width;
    const auto tile = detail::tile_of<T, Gates>(p, 0, 1, block, width, nullptr, sums, nullptr);
    kernels::run_tile<T, kernels::Gating<kS, Gates::kGates>>(1, width, tile, {backwards, false});
    epilogue(0, block, width, sums);
    finish(0, block, width, sums);
  }
}

/// Runs the product for rows [0, rows) and a range of blocks; epilogue(row, block, count, sums)
/// gets the kSlots sums of W units each for some blocks of a row, still in L1, and may change them;
/// finish(row, block, count, sums) follows when it has had all rows of the tile. Blocks are the
/// outer loop, so that a block's weights are read once for all rows; a depth whose weights do not
/// fit into L2 is cut into passes. ahead(list, row, block, count) is asked before a tile's sums for
/// what its epilogue will touch.
template <class T, class Gates, class Epilogue, class Finish = detail::NothingToFinish,
          class Ahead = detail::NothingAhead>
inline void run_phase(const StepProduct<T>& p, Index rows, const Blocks& blocks,
                      Epilogue&& epilogue, Finish&& finish = {}, Ahead&& ahead = {}) {
  constexpr Index kW = simd::kWidth<T>;
  constexpr Index kS = Gates::kSlots;
  if constexpr (Gates::kGates > 1) {
    if (p.x.gate != 0 || p.h.gate != 0) {
      return run_gate_by_gate<T, Gates>(p, rows, blocks, epilogue, finish);
    }
  }
  const Index depth = p.x.depth + p.h.depth;
  alignas(64) T tile_buffer[detail::kSumBytes / sizeof(T)];
  const Index group = detail::group_width<T, Gates>(rows, depth, blocks);
  const auto width_of = [group](Index left) { return int(std::min(left, group)); };
  Walk walk(blocks);
  Range taken = walk.take(width_of);
  if (taken.size() == 0) return;  // others have done it all
  detail::Later<StepProduct<T>> packed, piece;
  const StepProduct<T>* product = &p;
  if (detail::packs_rows<T, Gates>(rows, depth, blocks.size())) {
    product = &packed.set(detail::pack_rows<T, Gates>(p, rows));
  }
  const Index weight_bytes = detail::weight_bytes<T, Gates>(depth, blocks.size());
  const bool cold = weight_bytes > detail::kColdBytes;
  const bool streams = weight_bytes > kernels::kStreamBytes && rows > detail::kMostPlainRows;
  kernels::FetchList<T> list;
  kernels::Fetches<T> fetches;
  for (; taken.size() != 0; taken = walk.take(width_of)) {
    const Index block = taken.begin;
    const int width = int(taken.size());
    const int passes = detail::passes<T, Gates>(rows, depth, width);
    T* buffer = passes == 1 ? tile_buffer : kernels::thread_scratch<T, 6>(rows * width * kS * kW);
    for (int pass = 0; pass < passes; ++pass) {
      const StepProduct<T>* part = product;
      if (passes != 1) {
        part = &piece.set(detail::cut<T, Gates>(*product, part_range(depth, passes, pass)));
      }
      const bool last = pass + 1 == passes;
      // What a tile's epilogue will touch and a share of the weights that follow; nullptr: nothing
      // that is left to fetch while its sums run.
      const auto fetch = [&](Index row, int height) -> kernels::Fetches<T>* {
        constexpr bool kAhead = !std::is_same_v<std::remove_cvref_t<Ahead>, detail::NothingAhead>;
        if (!(kAhead && last) && !streams) return nullptr;
        list.clear();
        if constexpr (kAhead) {
          for (int r = 0; last && r < height; ++r) ahead(list, row + r, block, width);
        }
        if (streams) {  // the next pass over these blocks, or the first one over those behind them
          const Index next = last ? blocks.after(taken) : block;
          const Range k = part_range(depth, passes, last ? 0 : pass + 1);
          const Range share{k.begin + k.size() * row / rows,
                            k.begin + k.size() * (row + height) / rows};
          detail::list_weights<T, Gates>(*product, next, width, share, list);
        }
        if (list.empty()) return nullptr;
        fetches =
            list.spread((part->x.depth + part->h.depth) * kernels::walks<Gates>(height, width));
        return &fetches;
      };
      for (Index row = 0; row < rows;) {
        const int height = kernels::TileShape<kS>::rows(rows - row);
        T* sums = passes == 1 ? buffer : buffer + row * width * kS * kW;
        const bool single = rows == 1;  // touches lines one after the other: nothing to fetch
        const kernels::TileOrder order{single && blocks.backwards, cold && row == 0};
        detail::tile_sums<T, Gates>(*part, row, height, block, width, order,
                                    pass == 0 ? nullptr : sums, sums,
                                    single ? nullptr : fetch(row, height));
        if (last) {
          detail::end_tile<T, Gates>(epilogue, finish, {row, row + height}, block, width, sums);
        }
        row += height;
      }
    }
  }
}

}  // namespace elman::bptt
