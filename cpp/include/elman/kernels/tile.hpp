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

/// In which order a tile walks through its weights.
struct TileOrder {
  bool backwards = false;  // from the last block on
  bool cold = false;       // they come from beyond L2: no lines are left out for a later pass
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
                                                      const Operand<T>& op, Index block = 0,
                                                      Fetches<T>* fetches = nullptr) {
  constexpr int kW = simd::kWidth<T>;
  const T* w = op.w + block * op.w_block;
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
  } else if constexpr (R == 1) {  // so few products for each k that the loop around them counts
#pragma GCC unroll 4
    for (Index k = 0; k < op.depth; ++k, a += a_k, w += w_k) add_one();
  } else {
    for (Index k = 0; k < op.depth; ++k, a += a_k, w += w_k) add_one();
  }
}

// A panel product updates a large C: its lines are fetched while the sums run and added at the end.
// The time loop's sums start from `init`, which is at hand.
template <class T, int R, int U, class Gates, bool Panel, bool Fetch>
__attribute__((noinline)) void sum_tile(const Tile<T>& t, Index block) {
  constexpr int S = Gates::kSlots;
  Packet<T> acc[R][U][S];
  const T* init = t.init == nullptr ? nullptr : t.init + block * t.init_block;
  T* out = t.out + block * t.out_block;
  if constexpr (Panel) {
#pragma GCC unroll 8
    for (int r = 0; r < R; ++r) {
#pragma GCC unroll 8
      for (int u = 0; u < U; ++u) simd::prefetch(out + r * t.out_row + u * t.out_block);
    }
  }
#pragma GCC unroll 8
  for (int r = 0; r < R; ++r) {
#pragma GCC unroll 8
    for (int u = 0; u < U; ++u) {
#pragma GCC unroll 4
      for (int s = 0; s < S; ++s) {
        acc[r][u][s] =
            Panel || init == nullptr
                ? simd::zero<T>()
                : simd::loadu<T>(init + r * t.init_row + u * t.init_block + s * t.init_slot);
      }
    }
  }
  accumulate<T, R, U, S, Gates::kGates, 0, Panel, Fetch>(acc, t.x, block, t.fetches);
  if constexpr (!Panel) {
    accumulate<T, R, U, S, Gates::kGates, Gates::kFirstH, Panel, Fetch>(acc, t.h, block, t.fetches);
  }
#pragma GCC unroll 8
  for (int r = 0; r < R; ++r) {
#pragma GCC unroll 8
    for (int u = 0; u < U; ++u) {
#pragma GCC unroll 4
      for (int s = 0; s < S; ++s) {
        if constexpr (Panel) {
          if (init != nullptr) {
            const T* from = init + r * t.init_row + u * t.init_block;
            acc[r][u][s] = simd::add(simd::loadu<T>(from), acc[r][u][s]);
          }
        }
        simd::storeu<T>(out + r * t.out_row + u * t.out_block + s * t.out_slot, acc[r][u][s]);
      }
    }
  }
}

// Fetching takes a second loop around that over k, which tiles with nothing to fetch go without:
// some per cent. A low tile is soon done; what it fetches is asked for before it starts.
template <class T, int R, int U, class Gates, bool Panel>
inline void tile_product(const Tile<T>& t, Index block) {
  if (t.fetches != nullptr) {
    if constexpr (R >= 4 && std::is_same_v<T, float>) {
      return sum_tile<T, R, U, Gates, Panel, true>(t, block);
    }
    t.fetches->burst();
  }
  sum_tile<T, R, U, Gates, Panel, false>(t, block);
}

}  // namespace detail

// Tile shapes. 24 of AVX-512's 32 registers (12 of AVX2's 16) hold accumulators, the rest the
// operands; few rows take more blocks at once, because a chain of dependent FMAs needs 8
// independent ones beside it, better 12. A tile with more sums than that runs in passes, see
// run_wide().
template <int Slots>
struct TileShape {
  static constexpr int kBudget = simd::kRegisters == 32 ? 24 : 12;
  static constexpr int kMaxRows = 6;
  static constexpr bool wide(int rows) { return rows * Slots > kBudget; }
  /// Blocks that a tile of some rows sums at once, at most.
  static constexpr int blocks(int rows) {
    if (wide(rows)) return kBudget / rows;
    const int fit = kBudget / (rows * Slots), cap = rows <= 2 && Slots == 1 ? 8 : 4;
    const int most = fit < cap ? fit : cap;
    return rows == 1 && most == 3 ? 2 : most;  // a single row waits for weights, not for registers
  }
  /// The next tile height for `left` rows, 1 for none: any up to six. Six and one would read the
  /// weights for a single row again, and a tile of two rows has so few sums side by side that it
  /// takes nearly as long as one of four.
  static constexpr int rows(Index left) {
    if (left <= kMaxRows) return left < 1 ? 1 : static_cast<int>(left);
    return left <= 8 ? 4 : kMaxRows;
  }
};

/// How many of `left` blocks a tile of `rows` takes next: 1, 2, 3, 4, 6 or 8. The last two times
/// are about equally many.
template <int Slots>
constexpr int blocks_for(int rows, Index left) {
  const int most = TileShape<Slots>::blocks(rows);
  if (left >= 2 * most) return most;
  const int blocks = static_cast<int>(left <= most ? left : (left + 1) / 2);
  if (blocks == 5) return left > most ? 6 : 3;
  return blocks != 7 ? blocks : left > most ? 8 : 4;
}

namespace detail {

/// R rows and `count` blocks of a tile from `block` on: one of the numbers that blocks_for() gives.
template <class T, int R, int Most, class Gates, bool Panel>
inline void run_narrow(const Tile<T>& tile, Index block, int count) {
  const auto sum = [&]<int U>() { tile_product<T, R, U, Gates, Panel>(tile, block); };
  if constexpr (Most >= 8) {
    if (count == 8) return sum.template operator()<8>();
  }
  if constexpr (Most >= 6) {
    if (count == 6) return sum.template operator()<6>();
  }
  if constexpr (Most >= 4) {
    if (count == 4) return sum.template operator()<4>();
  }
  if constexpr (Most >= 3) {
    if (count == 3) return sum.template operator()<3>();
  }
  if constexpr (Most >= 2) {
    if (count == 2) return sum.template operator()<2>();
  }
  sum.template operator()<1>();
}

/// Sums of a tile that exceed the registers, for up to P = kBudget / R blocks: P packets of sums
/// per row and pass, P gates of a block or, what remains of them or where only one side feeds a
/// sum, the same gate of all blocks. More rows per tile read the weights, which lie in L2, less
/// often: 64 bytes per 12 FMAs instead of 128.
/// The gates of a pass lie side by side; cold, they are those of every kPasses-th place, so that
/// each pass touches all lines in order. What skips lines runs ahead of the processor's own
/// fetching: at 9 GB/s from memory, not 23.
template <class T, int R, class Gates>
inline void run_wide(const Tile<T>& t, Index first, int blocks, bool cold) {
  constexpr Index kW = simd::kWidth<T>;
  constexpr int kG = Gates::kGates, kFirstH = Gates::kFirstH, kShared = kG - kFirstH;
  constexpr int kMost = TileShape<Gates::kSlots>::blocks(R);
  constexpr int kRun = kShared < kMost ? kShared : kMost, kPasses = kShared / kRun;
  // The sums of `count` slots of a block, `apart` from each other, or of one slot in as many
  // blocks (apart = 0).
  const auto pass = [&](Index block, int slot, int apart, int count) {
    const auto side = [&](Operand<T> op, int gate) {
      if (op.depth == 0) return Operand<T>{};
      op.w += block * op.w_block + gate * kW;
      if (apart != 0) op.w_block = apart * kW;
      op.w_k = kG * kW;
      return op;
    };
    Tile<T> part = t;
    if (t.init != nullptr) part.init += block * t.init_block + slot * t.init_slot;
    part.out += block * t.out_block + slot * t.out_slot;
    if (apart != 0) {
      part.init_block = apart * t.init_slot;
      part.out_block = apart * t.out_slot;
    }
    part.x = slot < kG ? side(t.x, slot) : Operand<T>{};
    part.h = slot >= kFirstH ? side(t.h, slot - kFirstH) : Operand<T>{};
    run_narrow<T, R, kMost, Gating<1, 1>, false>(part, 0, count);
  };
  for (Index block = first; block < first + blocks; ++block) {
    const int apart = cold ? kPasses : 1, next = cold ? 1 : kRun;
    for (int i = 0; i < kPasses; ++i) pass(block, kFirstH + i * next, apart, kRun);
  }
  for (int slot = kFirstH + kPasses * kRun; slot < kG; ++slot) pass(first, slot, 0, blocks);
  for (int slot = 0; slot < kFirstH; ++slot) {
    pass(first, slot, 0, blocks);
    pass(first, kG + slot, 0, blocks);
  }
}

template <class T, int R, class Gates, bool Panel>
inline void run_rows(const Tile<T>& tile, int blocks, TileOrder order) {
  using Shape = TileShape<Gates::kSlots>;
  for (int left = blocks; left > 0;) {
    const int count = blocks_for<Gates::kSlots>(R, left);
    const Index block = order.backwards ? left - count : blocks - left;
    if constexpr (Shape::wide(R)) {
      run_wide<T, R, Gates>(tile, block, count, order.cold);
    } else {
      run_narrow<T, R, Shape::blocks(R), Gates, Panel>(tile, block, count);
    }
    left -= count;
  }
}

}  // namespace detail

/// How often a tile walks through the depths of both sides.
template <class Gates>
constexpr Index walks(int rows, int blocks) {
  using Shape = TileShape<Gates::kSlots>;
  const int most = Shape::blocks(rows), groups = (blocks + most - 1) / most;
  if (!Shape::wide(rows)) return groups;
  constexpr int kShared = Gates::kGates - Gates::kFirstH;  // gates that both sides feed
  const int run = kShared < most ? kShared : most;
  return blocks * (kShared / run) + groups * (kShared % run + Gates::kFirstH);
}

/// f.operator()<rows>() for a height that TileShape::rows gives.
template <class F>
__attribute__((always_inline)) inline void with_height(int rows, const F& f) {
  switch (rows) {
    case 6:
      return f.template operator()<6>();
    case 5:
      return f.template operator()<5>();
    case 4:
      return f.template operator()<4>();
    case 3:
      return f.template operator()<3>();
    case 2:
      return f.template operator()<2>();
    default:
      return f.template operator()<1>();
  }
}

/// Runs a tile of `rows` (a height that TileShape::rows gives) by any number of blocks.
template <class T, class Gates, bool Panel = false>
inline void run_tile(int rows, int blocks, const Tile<T>& tile, TileOrder order = {}) {
  with_height(rows, [&]<int R>() { detail::run_rows<T, R, Gates, Panel>(tile, blocks, order); });
}

}  // namespace elman::kernels
