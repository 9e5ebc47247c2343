// SPDX-License-Identifier: Apache-2.0
// elman/kernels/tile.hpp: the inner product of elman: a few rows times a few packed unit blocks.
#pragma once

#include <algorithm>
#include <cstdint>
#include <limits>
#include <type_traits>

#include "elman/kernels/simd.hpp"

namespace elman::kernels {

using simd::Packet;

/// Rows of A against packed weights. Layout of the weights: for each block of W units (W lanes),
/// for each k, the gates side by side: w[block * w_block + k * w_k + gate * W + lane].
template <class T>
struct Operand {
  const T* a = nullptr;  // row r, element k at a[r * row_stride + k * k_stride]
  Index row_stride = 0, k_stride = 1;
  const T* w = nullptr;
  Index w_block = 0;
  Index w_k = 0;    // read only where there is one gate; else it is gates * W
  Index depth = 0;  // 0: absent
};

/// Lines side by side to fetch.
template <class T>
struct LineRun {
  const T* begin;
  Index lines;
};

/// Cache lines to fetch while tiles sum, some every few k. All at once they would exceed what the
/// processor keeps track of: the rest waits for room or, on AMD's Zen, is not fetched at all.
template <class T>
class Fetches {
 public:
  static constexpr Index kLine = 64 / Index(sizeof(T));

  Fetches() = default;
  /// `each` lines at lines[i] + offset for i < count, spread over `steps` values of k.
  Fetches(const T* const* lines, Index count, Index offset, Index each, Index steps)
      : lines_(lines),
        left_(count),
        offset_(offset),
        last_((each - 1) * kLine),
        pace_(pace_of(count, steps)) {}
  /// The lines at lines[i] for i < count, and then those of the runs, which take so many turns.
  Fetches(const T* const* lines, Index count, const LineRun<T>* runs, Index run_count,
          Index run_turns, Index steps)
      : lines_(lines),
        left_(count),
        runs_(runs),
        runs_left_(run_count),
        pace_(pace_of(count + run_turns, steps)) {}

  /// The values of k from one to the next.
  [[nodiscard]] Index pace() const { return pace_; }
  // Always inline: a call would have a tile save all its sums.
  __attribute__((always_inline)) void next() {
    if (left_ != 0) {
      --left_;
      const T* line = *lines_++ + offset_;
      simd::prefetch(line);
      simd::prefetch(line + last_);  // the same one: no loop here, where every instruction counts
      if constexpr (kMostEach > 2) {
        for (Index at = kLine; at < last_; at += kLine) simd::prefetch(line + at);
      }
    } else if (run_.lines > 0) {
      for (Index i = 0; i < kOfRun; ++i) simd::prefetch(run_.begin + i * kLine);
      run_.begin += kOfRun * kLine;
      run_.lines -= kOfRun;
    } else if (runs_left_ != 0) {
      --runs_left_;
      run_ = *runs_++;
    }
  }
  /// As many as make sense at once.
  void burst() {
    const auto done = [this] { return left_ == 0 && run_.lines <= 0 && runs_left_ == 0; };
    for (int i = 0; i < kMostAtOnce && !done(); ++i) next();
  }
  /// The turns that a run of so many lines takes.
  static Index turns_of(Index lines) { return 1 + (lines + kOfRun - 1) / kOfRun; }

  /// Elements from the beginning of its line to p.
  static Index in_line(const T* p) {
    return Index(reinterpret_cast<std::uintptr_t>(p) / sizeof(T) % std::uintptr_t(kLine));
  }

 private:
  static constexpr Index kNever = std::numeric_limits<Index>::max() / 2;
  static constexpr int kMostAtOnce = 96;
  static constexpr Index kOfRun = 2;                                  // lines of a run at a time
  static constexpr Index kMostEach = simd::kRegisters == 32 ? 5 : 2;  // of a tile's columns

  static Index pace_of(Index count, Index steps) {
    return count == 0 ? kNever : std::max<Index>(1, steps / count);
  }

  const T* const* lines_ = nullptr;
  Index left_ = 0, offset_ = 0, last_ = 0;
  LineRun<T> run_{nullptr, 0};
  const LineRun<T>* runs_ = nullptr;
  Index runs_left_ = 0;
  Index pace_ = kNever;
};

/// The lines for it, where they have to be collected.
template <class T>
class FetchList {
 public:
  void clear() { count_ = run_count_ = run_turns_ = 0; }
  /// The few lines that [begin, begin + count) touches. Of all that are added so, some are asked
  /// for at once, those beyond kMost left out.
  void add(const T* begin, Index count) {
    const T* line = begin - Fetches<T>::in_line(begin);
    for (; line < begin + count && count_ < kAtOnce + kMost; line += Fetches<T>::kLine, ++count_) {
      if (count_ < kAtOnce) {
        simd::prefetch(line);
      } else {
        lines_[count_ - kAtOnce] = line;
      }
    }
  }
  /// The same of many lines, which follow those; runs beyond kMostRuns are left out.
  void add_run(const T* begin, Index count) {
    if (count <= 0 || run_count_ == kMostRuns) return;
    const T* first = begin - Fetches<T>::in_line(begin);
    const Index lines = (begin + count - first + Fetches<T>::kLine - 1) / Fetches<T>::kLine;
    runs_[run_count_++] = {first, lines};
    run_turns_ += Fetches<T>::turns_of(lines);
  }
  /// Whether spread() has nothing left to fetch.
  [[nodiscard]] bool empty() const { return count_ <= kAtOnce && run_count_ == 0; }
  [[nodiscard]] Fetches<T> spread(Index steps) const {
    return {lines_, std::max<Index>(0, count_ - kAtOnce), runs_, run_count_, run_turns_, steps};
  }

 private:
  static constexpr Index kAtOnce = 12, kMost = 96, kMostRuns = 8;

  const T* lines_[kMost];
  LineRun<T> runs_[kMostRuns];
  Index count_ = 0, run_count_ = 0, run_turns_ = 0;
};

/// One tile: out = init + x . Wx + h . Wh. All strides in elements.
template <class T>
struct Tile {
  const T* init = nullptr;  // nullptr: zeros
  Index init_row = 0, init_block = 0, init_slot = 0;
  T* out = nullptr;  // W-aligned when the strides are multiples of W
  Index out_row = 0, out_block = 0, out_slot = 0;
  Operand<T> x, h;
  Fetches<T>* fetches = nullptr;
};

// A cell accumulates into `slots` sums per unit. x feeds the first `gates` of them and h the last
// `gates`: the same ones where slots == gates; GRU with reset_after keeps the two candidate sums
// apart (4 slots, 3 gates).
template <int Slots, int Gates>
struct Gating {
  static constexpr int kSlots = Slots, kGates = Gates, kFirstH = Slots - Gates;
};

namespace detail {

// The order of the sums over k is the same for every tile shape, so a row's result depends neither
// on the rows beside it nor on the number of threads.
template <class T, int R, int U, int S, int G, int First, bool Panel, bool Fetch = false>
inline __attribute__((always_inline)) void accumulate(Packet<T> (&acc)[R][U][S],
                                                      const Operand<T>& op,
                                                      Fetches<T>* fetches = nullptr) {
  constexpr int kW = simd::kWidth<T>;
  const T* w = op.w;
  const Index w_k = G == 1 ? op.w_k : Index(G) * kW;
  const T* a = op.a;
  const Index a_k = Panel ? R : op.k_stride;
  const auto add_one = [&]() __attribute__((always_inline)) {
    const auto element = [&](int r) -> const T& { return a[Panel ? r : r * op.row_stride]; };
    if constexpr (R <= U * G && R * (U * S + 1) < simd::kRegisters) {
      // Fewer rows than weights: keep the rows' elements in registers and stream the weights.
      Packet<T> v[R];
#pragma GCC unroll 8
      for (int r = 0; r < R; ++r) v[r] = simd::set1<T>(element(r));
#pragma GCC unroll 8
      for (int u = 0; u < U; ++u) {
#pragma GCC unroll 4
        for (int g = 0; g < G; ++g) {
          const Packet<T> weight = simd::loadu<T>(w + u * op.w_block + g * kW);
#pragma GCC unroll 8
          for (int r = 0; r < R; ++r) {
            acc[r][u][First + g] = simd::madd(v[r], weight, acc[r][u][First + g]);
          }
        }
      }
    } else {
      Packet<T> weight[U][G];
#pragma GCC unroll 8
      for (int u = 0; u < U; ++u) {
#pragma GCC unroll 4
        for (int g = 0; g < G; ++g) weight[u][g] = simd::loadu<T>(w + u * op.w_block + g * kW);
      }
#pragma GCC unroll 8
      for (int r = 0; r < R; ++r) {
        const Packet<T> v = simd::set1<T>(element(r));
#pragma GCC unroll 8
        for (int u = 0; u < U; ++u) {
#pragma GCC unroll 4
          for (int g = 0; g < G; ++g) {
            acc[r][u][First + g] = simd::madd(v, weight[u][g], acc[r][u][First + g]);
          }
        }
      }
    }
  };
  if constexpr (Fetch) {
    const Index pace = fetches->pace();
    for (Index k = 0; k < op.depth;) {
      const Index stop = std::min(op.depth, k + pace);
      for (; k < stop; ++k, a += a_k, w += w_k) add_one();
      fetches->next();
    }
  } else {
    for (Index k = 0; k < op.depth; ++k, a += a_k, w += w_k) add_one();
  }
}

// A panel product updates a large C: its lines are fetched while the sums run and added at the end.
// The time loop's sums start from `init`, which is at hand.
template <class T, int R, int U, class Gates, bool Panel, bool Fetch>
__attribute__((noinline)) void sum_tile(const Tile<T>& t) {
  constexpr int S = Gates::kSlots;
  Packet<T> acc[R][U][S];
  const T* init = t.init;
  if constexpr (Panel) {
#pragma GCC unroll 8
    for (int r = 0; r < R; ++r) {
#pragma GCC unroll 8
      for (int u = 0; u < U; ++u) simd::prefetch(t.out + r * t.out_row + u * t.out_block);
    }
    init = nullptr;
  }
#pragma GCC unroll 8
  for (int r = 0; r < R; ++r) {
#pragma GCC unroll 8
    for (int u = 0; u < U; ++u) {
#pragma GCC unroll 4
      for (int s = 0; s < S; ++s) {
        acc[r][u][s] =
            init == nullptr
                ? simd::zero<T>()
                : simd::loadu<T>(init + r * t.init_row + u * t.init_block + s * t.init_slot);
      }
    }
  }
  accumulate<T, R, U, S, Gates::kGates, 0, Panel, Fetch>(acc, t.x, t.fetches);
  if constexpr (!Panel) {
    accumulate<T, R, U, S, Gates::kGates, Gates::kFirstH, Panel, Fetch>(acc, t.h, t.fetches);
  }
#pragma GCC unroll 8
  for (int r = 0; r < R; ++r) {
#pragma GCC unroll 8
    for (int u = 0; u < U; ++u) {
#pragma GCC unroll 4
      for (int s = 0; s < S; ++s) {
        if constexpr (Panel) {
          if (t.init != nullptr) {
            const T* from = t.init + r * t.init_row + u * t.init_block;
            acc[r][u][s] = simd::add(simd::loadu<T>(from), acc[r][u][s]);
          }
        }
        simd::storeu<T>(t.out + r * t.out_row + u * t.out_block + s * t.out_slot, acc[r][u][s]);
      }
    }
  }
}

// Fetching takes a second loop around that over k, which tiles with nothing to fetch go without:
// some per cent. A low tile is soon done; what it fetches is asked for before it starts.
template <class T, int R, int U, class Gates, bool Panel>
inline void tile_product(const Tile<T>& t) {
  if (t.fetches != nullptr) {
    if constexpr (R >= 4 && std::is_same_v<T, float>) {
      return sum_tile<T, R, U, Gates, Panel, true>(t);
    }
    t.fetches->burst();
  }
  sum_tile<T, R, U, Gates, Panel, false>(t);
}

}  // namespace detail

// Tile shapes. 24 of AVX-512's 32 registers (12 of AVX2's 16) hold accumulators, the rest the
// operands; few rows take more blocks at once, because a chain of dependent FMAs needs 8
// independent ones beside it. A tile with more sums than that runs in passes, see run_wide().
template <int Slots>
struct TileShape {
  static constexpr int kBudget = simd::kRegisters == 32 ? 24 : 12;
  static constexpr int kMaxRows = 6;
  static constexpr bool wide(int rows) { return rows * Slots > kBudget; }
  static constexpr int blocks(int rows) {
    if (wide(rows)) return 2;
    const int fit = kBudget / (rows * Slots);
    const int cap = rows <= 2 && Slots == 1 ? 8 : 4;
    return fit >= 8 && cap >= 8 ? 8 : fit >= 4 ? 4 : fit >= 2 ? 2 : 1;
  }
  /// The next tile height for `left` rows: 6, 4, 2, 1. Of one or two sums a unit, a tile of two
  /// rows has so few side by side that it takes as long as one of four: eight rows are two of
  /// those.
  static constexpr int rows(Index left) {
    if (left == 8 && Slots <= 2) return 4;
    return left >= kMaxRows ? kMaxRows : left >= 4 ? 4 : left >= 2 ? 2 : 1;
  }
  static constexpr int kMaxBlocks = blocks(1);
};

namespace detail {

/// A tile whose sums exceed the registers: two packets of sums per row and pass, two gates of a
/// block or, where only one side feeds a sum, the same gate of two blocks. More rows per tile read
/// the weights, which lie in L2, less often: 64 bytes per 12 FMAs instead of 128.
template <class T, int R, class Gates>
inline void run_wide(int blocks, const Tile<T>& t) {
  constexpr Index kW = simd::kWidth<T>;
  constexpr int kG = Gates::kGates, kFirstH = Gates::kFirstH;
  const auto side = [](Operand<T> op, Index block, int gate, bool gates) {
    op.w += block * op.w_block + gate * kW;
    if (gates) op.w_block = kW;
    op.w_k = kG * kW;
    return op;
  };
  // The sums of `slot` and its neighbour in a block, or of `slot` in two blocks.
  const auto pass = [&](int block, int slot, bool gates, int count) {
    Tile<T> part = t;
    if (t.init != nullptr) part.init += block * t.init_block + slot * t.init_slot;
    part.out += block * t.out_block + slot * t.out_slot;
    if (gates) {
      part.init_block = t.init_slot;
      part.out_block = t.out_slot;
    }
    part.x = slot < kG ? side(t.x, block, slot, gates) : Operand<T>{};
    part.h = slot >= kFirstH ? side(t.h, block, slot - kFirstH, gates) : Operand<T>{};
    if (count == 2) return tile_product<T, R, 2, Gating<1, 1>, false>(part);
    tile_product<T, R, 1, Gating<1, 1>, false>(part);
  };
  for (int block = 0; block < blocks; ++block) {
    for (int slot = kFirstH; slot + 1 < kG; slot += 2) pass(block, slot, true, 2);
  }
  const auto over_blocks = [&](int slot) {
    for (int block = 0; block < blocks; block += 2) {
      pass(block, slot, false, block + 1 < blocks ? 2 : 1);
    }
  };
  if constexpr ((kG - kFirstH) % 2 != 0) over_blocks(kG - 1);
  for (int slot = 0; slot < kFirstH; ++slot) {
    over_blocks(slot);
    over_blocks(kG + slot);
  }
}

}  // namespace detail

/// How often a tile walks through the depths of both sides.
template <class Gates>
constexpr Index walks(int rows, int blocks) {
  if (!TileShape<Gates::kSlots>::wide(rows)) return 1;
  constexpr int kShared = Gates::kGates - Gates::kFirstH;  // gates that both sides feed
  const int pairs = (blocks + 1) / 2;
  return blocks * (kShared / 2) + pairs * (kShared % 2 + Gates::kFirstH);
}

/// The same tile, moved on by some blocks.
template <class T>
inline Tile<T> next_blocks(Tile<T> t, Index blocks) {
  if (t.init != nullptr) t.init += blocks * t.init_block;
  t.out += blocks * t.out_block;
  t.x.w += blocks * t.x.w_block;
  t.h.w += blocks * t.h.w_block;
  return t;
}

/// Runs a tile of `rows` (a height that TileShape::rows gives) by `blocks` (a power of two that
/// fits beside the tallest tile).
template <class T, class Gates, bool Panel = false>
inline void run_tile(int rows, int blocks, const Tile<T>& tile) {
  using Shape = TileShape<Gates::kSlots>;
  const auto with_rows = [&]<int R>() {
    if constexpr (Shape::wide(R)) {
      detail::run_wide<T, R, Gates>(blocks, tile);
    } else {
      constexpr int kMost = Shape::blocks(R);
      if constexpr (Shape::wide(Shape::kMaxRows) && kMost < 2) {  // a wide tile takes two
        if (blocks > kMost) {
          for (int u = 0; u < blocks; u += kMost) {
            detail::tile_product<T, R, kMost, Gates, Panel>(next_blocks(tile, u));
          }
          return;
        }
      }
      if constexpr (kMost >= 8) {
        if (blocks == 8) return detail::tile_product<T, R, 8, Gates, Panel>(tile);
      }
      if constexpr (kMost >= 4) {
        if (blocks == 4) return detail::tile_product<T, R, 4, Gates, Panel>(tile);
      }
      if constexpr (kMost >= 2) {
        if (blocks == 2) return detail::tile_product<T, R, 2, Gates, Panel>(tile);
      }
      detail::tile_product<T, R, 1, Gates, Panel>(tile);
    }
  };
  if (rows == 6) return with_rows.template operator()<6>();
  if (rows == 4) return with_rows.template operator()<4>();
  if (rows == 2) return with_rows.template operator()<2>();
  with_rows.template operator()<1>();
}

/// The largest power of two that fits beside `rows` and does not exceed `left` blocks.
template <int Slots>
constexpr int blocks_for(int rows, Index left) {
  int blocks = TileShape<Slots>::blocks(rows);
  while (blocks > left) blocks /= 2;
  return blocks;
}

}  // namespace elman::kernels
