// SPDX-License-Identifier: Apache-2.0
// elman/kernels/product.hpp: matrix products on the tile: C = op(A) op(B), and sums of outer
// products.
#pragma once

#include <algorithm>
#include <cstdint>
#include <cstring>
#include <utility>

#include "elman/core/pieces.hpp"
#include "elman/core/shares.hpp"
#include "elman/kernels/packed.hpp"

namespace elman {
namespace kernels {

/// Memory of the calling thread that grows to the largest request and is then reused: no
/// allocation after the first call. Each `Slot` is a piece of its own.
template <class T, int Slot>
inline T* thread_scratch(Index count) {
  static thread_local AlignedBuffer<T> buffer;
  buffer.ensure(count);
  return buffer.data();
}

/// So few rows of a product are not packed, which takes memory of the thread.
inline constexpr Index kMostUnpackedRows = 12;

namespace detail {

using Plain = Gating<1, 1>;

// So many rows of A and so much of their depth, 384 KiB, stay in L2 while all columns pass by; the
// deeper, the less often sums are read and written. Where there are many columns the rows are
// packed first, which costs a cycle an element, and twice as many read a packed B that may exceed
// L2.
inline constexpr Index kBandRows = 96, kDepthBytes = 4096;
inline constexpr Index kManyColumns = 512;

inline Index most_band_rows(Index columns) {
  return columns >= kManyColumns ? 2 * kBandRows : kBandRows;
}

/// One group of `blocks` packed column blocks times the rows [0, rows): rows of C are written
/// directly, or through a buffer where the last block is not whole.
template <class T, bool Panel>
struct ColumnGroup {
  static constexpr Index kW = simd::kWidth<T>;
  int blocks;
  Index columns;  // columns of C in this group, <= blocks * W
  T* c;
  Index ldc;
  bool add;  // start from C, not from zero

  void run(int rows, Index first_row, const Operand<T>& operand,
           Fetches<T>* fetches = nullptr) const {
    T* target = c + first_row * ldc;
    if (columns == blocks * kW) {
      // Every member is given: GCC would clear all of them first, with `rep stos`.
      const Tile<T> tile{add ? target : nullptr, ldc,    kW, 0, target, ldc, kW, 0, operand,
                         Operand<T>{},           fetches};
      return run_tile<T, Plain, Panel>(rows, blocks, tile);
    }
    alignas(64) T buffer[8 * 8 * kW];
    const Index width = blocks * kW;
    for (Index r = 0; r < rows; ++r) {
      for (Index j = 0; j < width; ++j) {
        buffer[r * width + j] = add && j < columns ? target[r * ldc + j] : T(0);
      }
    }
    Tile<T> tile;
    tile.init = tile.out = buffer;
    tile.init_row = tile.out_row = width;
    tile.init_block = tile.out_block = kW;
    tile.x = operand;
    run_tile<T, Plain, Panel>(rows, blocks, tile);
    for (Index r = 0; r < rows; ++r) {
      std::copy_n(buffer + r * width, columns, target + r * ldc);
    }
  }
};

/// ColumnGroup::run() which fetches the rows k of as many columns behind those of the group. Apart
/// from it, because small products would feel what the list takes.
template <class T>
__attribute__((noinline)) void run_ahead(const ColumnGroup<T, false>& group, int rows,
                                         Index first_row, const Operand<T>& operand, Range k) {
  constexpr Index kW = simd::kWidth<T>;
  FetchList<T> list;
  for (int u = group.blocks; u < 2 * group.blocks; ++u) {
    list.add_run(operand.w + u * operand.w_block + k.begin * kW, k.size() * kW);
  }
  Fetches<T> fetches = list.spread(operand.depth);
  group.run(rows, first_row, operand, &fetches);
}

// Threads get whole tiles of six rows; a part narrower than two tiles wastes the tile.
inline constexpr Index kRowUnit = 6, kBlockUnit = 4;

inline Index units_of(Index count, Index unit) { return (count + unit - 1) / unit; }
/// What some units of `unit` stand for out of [0, count).
inline Range scaled(Range units, Index unit, Index count) {
  return {std::min(count, units.begin * unit), std::min(count, units.end * unit)};
}

/// How work is split: over columns where there are enough of them, else over rows.
struct Split {
  int parts = 1;
  bool by_columns = true;
};

inline Split split_work(Index rows, Index columns, Index depth, Index blocks) {
  // An element of C costs its read and write besides, what matters where the depth is small.
  const double flops =
      2.0 * double(rows) * double(columns) * double(depth) + memory_flops(rows * columns, 8);
  const int by_rows = plan_parts(flops, units_of(rows, kRowUnit));
  const int by_columns = plan_parts(flops, units_of(blocks, kBlockUnit));
  const int parts = ThreadPool::global().worth_waking(std::max(by_rows, by_columns), flops);
  return {parts, by_columns > by_rows};
}

/// About equal steps through `count`: multiples of `unit`, at most `most` rounded up to one; all of
/// it where it is no more than that.
inline Index even_step(Index count, Index most, Index unit) {
  if (count <= most) return std::max<Index>(count, 1);
  return units_of(units_of(count, units_of(count, most)), unit) * unit;
}

}  // namespace detail

/// C[rows, columns] (+)= A[rows, K] B with B packed as [block][k][lane] over the whole depth.
/// Serial; rows and columns may be a part of a larger product.
template <class T>
inline void multiply_packed(Index rows, Index columns, Index depth, const T* a, Index lda,
                            const T* packed, T* c, Index ldc, bool add) {
  constexpr Index kW = simd::kWidth<T>;
  const Index depth_step = detail::even_step(depth, detail::kDepthBytes / Index(sizeof(T)), 1);
  const Index row_step = detail::even_step(rows, detail::most_band_rows(columns), detail::kRowUnit);
  const bool packs = columns >= detail::kManyColumns && rows > kMostUnpackedRows;
  T* panels = packs ? thread_scratch<T, 0>(row_step * depth_step + kW) : nullptr;
  const bool streams = packs && depth * columns * Index(sizeof(T)) > kStreamBytes;
  for (Index r0 = 0; r0 < rows; r0 += row_step) {
    const Index band = std::min(row_step, rows - r0);
    for (Index k0 = 0; k0 < depth || k0 == 0; k0 += depth_step) {
      const Index kc = std::min(depth_step, depth - k0);
      const T* first = a + r0 * lda + k0;
      if (packs) pack_rows<T, 1>(first, lda, band, kc, panels);
      for (Index j = 0; j < columns;) {
        const Index left = (columns - j + kW - 1) / kW;
        const int blocks = blocks_for<1>(TileShape<1>::rows(band), left);
        const detail::ColumnGroup<T, false> group{blocks, std::min(columns - j, blocks * kW),
                                                  c + r0 * ldc + j, ldc, add || k0 > 0};
        Operand<T> operand;
        operand.w = packed + (j * depth + k0 * kW);
        operand.w_block = depth * kW;
        operand.w_k = kW;
        operand.depth = kc;
        for (Index r = 0; r < band;) {
          const int height = TileShape<1>::rows(band - r);
          operand.a = packs ? panels + r * kc : first + r * lda;
          operand.row_stride = packs ? 1 : lda;
          operand.k_stride = packs ? height : 1;
          if (streams && left >= 2 * blocks) {  // and with each tile a share of the columns behind
            const Range k{kc * r / band, kc * (r + height) / band};
            detail::run_ahead(group, height, r, operand, k);
          } else {
            group.run(height, r, operand);
          }
          r += height;
        }
        j += blocks * kW;
      }
    }
  }
}

/// Rows of a batch of sequences: row (n, t), t < inner_count, starts at base + n outer + t inner.
/// Optional factors multiply its columns.
template <class T>
struct Rows {
  const T* base = nullptr;
  Index outer = 0, inner = 0, inner_count = 1;
  const T* factor = nullptr;  // [n, column]
  Index factor_outer = 0;
  // Instead of counting through all of them: row i is (outer_index[i d], inner_index[i d]) with
  // d = index_step, or (outer_index[i d], i) without inner_index. Where that is -1 it is row n of
  // `start`, if there is one; else, and where it is less, it counts as zeros.
  const std::int32_t* outer_index = nullptr;
  const std::int32_t* inner_index = nullptr;
  Index index_step = 1;
  const T* start = nullptr;
  Index start_outer = 0;

  // Pointers to the rows [first, first + count), nullptr where a row counts as zeros, and to their
  // factors. One pass with running counters: a division per element would cost more than its use.
  void locate(Index first, Index count, const T** rows, const T** factors) const {
    if (outer_index != nullptr) return look_up(first, count, rows, factors);
    Index n = first / inner_count, t = first % inner_count;
    for (Index i = 0; i < count; ++i) {
      rows[i] = base + n * outer + t * inner;
      if (factors != nullptr) factors[i] = factor + n * factor_outer;
      if (++t == inner_count) {
        t = 0;
        ++n;
      }
    }
  }

 private:
  __attribute__((noinline)) void look_up(Index first, Index count, const T** rows,
                                         const T** factors) const {
    for (Index i = 0; i < count; ++i) {
      const Index n = outer_index[(first + i) * index_step];
      const Index t = inner_index == nullptr ? first + i : inner_index[(first + i) * index_step];
      if (t >= 0) {
        rows[i] = base + n * outer + t * inner;
      } else {
        rows[i] = t == -1 && start != nullptr ? start + n * start_outer : nullptr;
      }
      if (factors != nullptr) factors[i] = factor + n * factor_outer;
    }
  }
};

/// Columns [first, first + columns) of B that go to the matrix c.
template <class T>
struct Strip {
  Index first = 0;
  T* c = nullptr;
  Index columns = 0;
};

namespace detail {

// 512 rows of 16 floats of B are as much as L1, and 6 rows of A come from L2, which holds 512 of
// them (1 MiB); with AVX-512 rows of 64 floats come from L2 as well, beside 384 of A. Where few
// tiles read what has been packed, as much as is still in L1.
inline constexpr Index kRowBlock = 512;
inline constexpr Index kRowBlockOfFew = 256, kFewTiles = 2;
template <class T>
inline constexpr Index kPanelRows = (simd::kRegisters == 32 ? 384 : 512) * 4 / Index(sizeof(T));

/// Where the rows of one block of the sum lie.
template <class T>
struct Located {
  const T* a[kRowBlock];
  const T* factor[kRowBlock];
  const T* b[kRowBlock];
};

/// panel[k * height + r] = A[k, m + r] for the rows [k0, k1): a piece of the transposed operand.
/// Rows so much ahead are fetched.
template <class T, int Height>
inline void pack_panel_rows(const Located<T>& at, bool factors, Index m, Index k0, Index k1,
                            Index ahead, T* panel) {
  panel += k0 * Height;
  for (Index k = k0; k < k1; ++k, panel += Height) {
    if (at.a[k + ahead] != nullptr) simd::prefetch(at.a[k + ahead] + m);
    if (at.a[k] == nullptr) {
      std::fill_n(panel, Height, T(0));
      continue;
    }
    std::memcpy(panel, at.a[k] + m, Height * sizeof(T));  // not a call, unlike std::copy_n
    if (factors) {
      for (int r = 0; r < Height; ++r) panel[r] *= at.factor[k][m + r];
    }
  }
}

/// All panels of the rows m of C, 16 rows of A at a time: few pages are open at once.
template <class T>
inline void pack_panels(const Located<T>& at, bool factors, Range m, Index kc, T* panels) {
  for (Index k0 = 0; k0 < kc; k0 += 16) {
    const Index k1 = std::min(kc, k0 + 16);
    const Index ahead = std::min<Index>(16, kc - k1);
    for (Index r = m.begin; r < m.end;) {
      const int height = TileShape<1>::rows(m.end - r);
      T* panel = panels + (r - m.begin) * kc;
      with_height(height, [&]<int Height>() {
        pack_panel_rows<T, Height>(at, factors, r, k0, k1, ahead, panel);
      });
      r += height;
    }
  }
}

/// Some blocks of columns of B, side by side as a tile reads them.
struct ColumnBlocks {
  Index first;    // column of B
  Index columns;  // <= blocks * W, where the last block is not whole
  int blocks;
};

/// The rows [k.begin, k.end) of them. With `Ahead` the lines behind them are fetched.
template <bool Ahead, class T>
inline void pack_columns(const Located<T>& at, ColumnBlocks from, Range k, Index kc, T* packed) {
  constexpr Index kW = simd::kWidth<T>;
  for (Index i = k.begin; i < k.end; ++i) {
    const T* row = at.b[i] + from.first;
    if constexpr (Ahead) simd::prefetch(row + from.blocks * kW);
    for (int u = 0; u < from.blocks; ++u) {
      simd::store<T>(packed + (u * kc + i) * kW,
                     simd::load_partial(row + u * kW, from.columns - u * kW));
    }
  }
}

/// Lines that a row of them touches; one more where some rows do not begin with a line.
template <class T>
inline Index lines_of(const Located<T>& at, const ColumnBlocks& from, Index kc) {
  constexpr Index kLine = Fetches<T>::kLine;
  const bool aligned = Fetches<T>::in_line(at.b[0] + from.first) == 0 &&
                       Fetches<T>::in_line(at.b[kc - 1] + from.first) == 0;
  return (from.columns + kLine - 1) / kLine + (aligned ? 0 : 1);
}

/// C (+)= A^T B as work of run_shares(): some rows of A and B a step, and as units tiles of
/// six rows of C or groups of four blocks of the strip.
template <class T>
struct OuterProduct {
  static constexpr Index kGrain = 1;
  static constexpr int kMostBlocks = TileShape<1>::blocks(TileShape<1>::kMaxRows);

  const Rows<T>& a;
  Index m;
  const Rows<T>& b;
  const Strip<T>& strip;
  Index ldc, count;
  bool add, by_columns;

  [[nodiscard]] Index row_block() const {
    return units_of(m, kRowUnit) <= kFewTiles ? kRowBlockOfFew : kRowBlock;
  }
  [[nodiscard]] Index steps() const { return units_of(count, row_block()); }
  [[nodiscard]] Index blocks() const {
    return (strip.columns + simd::kWidth<T> - 1) / simd::kWidth<T>;
  }
  [[nodiscard]] Index units() const {
    return by_columns ? units_of(blocks(), kBlockUnit) : units_of(m, kRowUnit);
  }
  [[nodiscard]] Range share(int parts, int part) const { return part_range(units(), parts, part); }
  [[nodiscard]] Index busy(Index) const { return units(); }

  void step(Index step, Range units) const {
    Range rows{0, m}, columns{0, blocks()};
    if (by_columns) {
      columns = scaled(units, kBlockUnit, blocks());
    } else {
      rows = scaled(units, kRowUnit, m);
    }
    add_rows(step * row_block(), rows, columns);
  }
  void done(Range) const {}

 private:
  // What the rows of A and B of a step add to some rows and blocks of C.
  __attribute__((noinline)) void add_rows(Index k0, Range c_rows, Range c_blocks) const {
    constexpr Index kW = simd::kWidth<T>;
    const Index kc = std::min(row_block(), count - k0);
    const Index height = even_step(c_rows.size(), kPanelRows<T>, kRowUnit);
    T* panels = thread_scratch<T, 0>(height * kRowBlock);
    T* columns = thread_scratch<T, 1>(2 * kMostBlocks * kRowBlock * kW);
    const bool few = units_of(c_rows.size(), kRowUnit) <= kFewTiles;
    T* next_columns = columns + (few ? 0 : kMostBlocks * kRowBlock * kW);
    Located<T> at;
    a.locate(k0, kc, at.a, a.factor == nullptr ? nullptr : at.factor);
    b.locate(k0, kc, at.b, nullptr);
    const auto group_at = [&](Index block) {
      const Index left = c_blocks.end - block, j = block * kW;
      const int blocks = left > 0 ? blocks_for<1>(TileShape<1>::kMaxRows, left) : 0;
      return ColumnBlocks{strip.first + j, std::min(strip.columns - j, blocks * kW), blocks};
    };
    for (Index m0 = c_rows.begin; m0 < c_rows.end; m0 += height) {
      const Range rows{m0, std::min(c_rows.end, m0 + height)};
      pack_panels(at, a.factor != nullptr, rows, kc, panels);
      ColumnBlocks now = group_at(c_blocks.begin);
      pack_columns<true>(at, now, {0, kc}, kc, columns);
      for (Index block = c_blocks.begin; block < c_blocks.end;) {
        const ColumnBlocks next = group_at(block + now.blocks);
        const ColumnGroup<T, true> group{now.blocks, now.columns, strip.c + block * kW, ldc,
                                         add || k0 > 0};
        add_group(group, rows, panels, columns, at, next, kc, next_columns);
        std::swap(columns, next_columns);
        block += now.blocks;
        now = next;
      }
    }
  }

  // Packed columns times all panels; then the next columns are packed. Between two tiles a part of
  // them, whose lines come while the tile before sums: of all of them, a power of two apart as the
  // rows of B often are, most would be gone again. Of few tiles next_columns are those at work:
  // they are packed at the end, while the lines behind them come.
  static void add_group(const ColumnGroup<T, true>& group, Range rows, const T* panels,
                        const T* columns, const Located<T>& at, const ColumnBlocks& next, Index kc,
                        T* next_columns) {
    constexpr Index kW = simd::kWidth<T>;
    const bool few = next_columns == columns;
    const Index lines = few || next.blocks == 0 ? 0 : lines_of(at, next, kc);
    Operand<T> operand;
    operand.w = columns;
    operand.w_block = kc * kW;
    operand.w_k = kW;
    operand.depth = kc;
    Range k;
    for (Index r = rows.begin; r < rows.end; k.begin = k.end) {
      const int height = TileShape<1>::rows(rows.end - r);
      operand.a = panels + (r - rows.begin) * kc;
      if (few || next.blocks == 0) {
        group.run(height, r, operand);
      } else {
        k.end = kc * (r + height - rows.begin) / rows.size();
        Fetches<T> fetches(at.b + k.begin, k.size(), next.first, lines, kc);
        group.run(height, r, operand, height >= 4 ? &fetches : nullptr);  // low ones are soon done
        pack_columns<false>(at, next, k, kc, next_columns);
      }
      r += height;
    }
    if (few && next.blocks != 0) pack_columns<true>(at, next, {0, kc}, kc, next_columns);
  }
};

}  // namespace detail

/// strip.c[m, j] (+)= sum over i < count of A[i, m] B[i, strip.first + j]: the weight gradients.
/// Shapes    A rows of M, B rows of >= first + columns, c [M, columns] with row stride ldc
/// Layout    row-major; bit-equal at any thread count (the sum over i is never split)
/// Cost      2 M columns count flop
template <class T>
inline void outer_product(const Rows<T>& a, Index m, const Rows<T>& b, const Strip<T>& strip,
                          Index ldc, Index count, bool add = true) {
  if (m == 0 || strip.columns == 0) return;
  if (count == 0) {
    for (Index i = 0; i < m && !add; ++i) std::fill_n(strip.c + i * ldc, strip.columns, T(0));
    return;
  }
  detail::OuterProduct<T> product{a, m, b, strip, ldc, count, add, true};
  const detail::Split split = detail::split_work(m, strip.columns, count, product.blocks());
  product.by_columns = split.by_columns;
  run_shares(split.parts, product.steps(), product);
}

/// C[rows, columns] (+)= A[rows, K] B with B packed; threaded over rows or columns.
template <class T>
inline void product_packed(Index rows, Index columns, Index depth, const T* a, Index lda,
                           const T* packed, T* c, Index ldc, bool add) {
  if (rows == 0 || columns == 0) return;
  constexpr Index kW = simd::kWidth<T>;
  const Index blocks = (columns + kW - 1) / kW;
  const detail::Split split = detail::split_work(rows, columns, depth, blocks);
  const Index units = split.by_columns ? detail::units_of(blocks, detail::kBlockUnit)
                                       : detail::units_of(rows, detail::kRowUnit);
  const auto piece = [&](Index left) {  // a band of rows, or as many units of columns
    return detail::even_step(left, detail::most_band_rows(columns) / detail::kRowUnit, 1);
  };
  for_pieces(split.parts, units, piece, [&](Range taken) {
    if (split.by_columns) {
      const Range part = detail::scaled(taken, detail::kBlockUnit * kW, columns);
      multiply_packed(rows, part.size(), depth, a, lda, packed + part.begin * depth, c + part.begin,
                      ldc, add);
    } else {
      const Range part = detail::scaled(taken, detail::kRowUnit, rows);
      multiply_packed(part.size(), columns, depth, a + part.begin * lda, lda, packed,
                      c + part.begin * ldc, ldc, add);
    }
  });
}

/// out[j] += sum over rows of a[row, j]: a bias gradient. 256 rows at a time, as a long float sum
/// loses digits; bit-equal at any thread count.
template <class T>
inline void add_column_sums(const T* a, Index stride, Index rows, Index columns, T* out) {
  const Index groups = (columns + 63) / 64, chunks = (rows + 255) / 256;
  T* partial = thread_scratch<T, 14>(chunks * groups * 64);
  parallel_for(double(rows) * double(columns), chunks * groups, [=](Index first, Index last) {
    for (Index item = first; item < last; ++item) {
      const Index j0 = item % groups * 64, i0 = item / groups * 256;
      const Index width = std::min<Index>(64, columns - j0);
      alignas(64) T sum[64] = {};
      for (Index i = i0; i < std::min(rows, i0 + 256); ++i) {
        const T* row = a + i * stride + j0;
        for (Index j = 0; j < width; ++j) sum[j] += row[j];
      }
      std::copy_n(sum, 64, partial + item * 64);
    }
  });
  for (Index chunk = 0; chunk < chunks; ++chunk, partial += groups * 64) {
    for (Index j = 0; j < columns; ++j) out[j] += partial[j];
  }
}

}  // namespace kernels

/// C[M,N] (+)= op(A) op(B), op transposes where trans_* is set.
/// Shapes    A [M,K] or [K,M] if trans_a, B [K,N] or [N,K] if trans_b, C [M,N]
/// Layout    row-major float|double, leading dimensions in elements; C aliases neither A nor B
/// Errors    none; K = 0 gives zeros (or leaves C when accumulating)
/// Accuracy  K eps sum |a b|; the order of the sum is fixed, so bit-equal at any thread count
/// Cost      2MNK flop; packs B once (in memory of the calling thread)
template <class T>
inline void product(bool trans_a, bool trans_b, Index m, Index n, Index k, const T* a, Index lda,
                    const T* b, Index ldb, T* c, Index ldc, bool accumulate) {
  if (m == 0 || n == 0) return;
  if (trans_a && !trans_b) {
    kernels::Rows<T> rows_a, rows_b;
    rows_a.base = a;
    rows_a.outer = lda;
    rows_b.base = b;
    rows_b.outer = ldb;
    kernels::outer_product(rows_a, m, rows_b, kernels::Strip<T>{0, c, n}, ldc, k, accumulate);
    return;
  }
  const T* left = a;
  Index left_stride = lda;
  if (trans_a) {  // both transposed: rare, so A is turned first
    T* turned = kernels::thread_scratch<T, 2>(m * k);
    for (Index i = 0; i < k; ++i) {
      for (Index j = 0; j < m; ++j) turned[j * k + i] = a[i * lda + j];
    }
    left = turned;
    left_stride = k;
  }
  T* packed = kernels::thread_scratch<T, 3>(kernels::packed_size<T>(k, n, 1));
  if (trans_b) {
    kernels::pack_transposed(b, ldb, k, n, packed, k);
  } else {
    const Index first = 0;
    kernels::pack_gates(b, ldb, k, n, kernels::GateColumns{&first, 1}, packed);
  }
  kernels::product_packed(m, n, k, left, left_stride, packed, c, ldc, accumulate);
}

}  // namespace elman
