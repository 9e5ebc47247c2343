// SPDX-License-Identifier: Apache-2.0
// elman/kernels/indirect.hpp: products whose left rows are read through pointers and offsets.
#pragma once

#include <algorithm>

#include "elman/kernels/packed.hpp"

namespace elman::kernels {

// The patches of a convolution overlap: as a matrix they would be written `taps` times over. Here
// element k of row r is rows[r][offsets[k]], which costs one more load per 12 multiply-adds.

namespace detail {

inline constexpr int kIndirectRows = 6;
inline constexpr int kIndirectBlocks = simd::kRegisters == 32 ? 4 : 2;
// 512 x 16 floats are 32 KiB of weights.
inline constexpr Index kIndirectDepth = 512;

/// Sums and their place: row r of the tile starts from init[r] (nullptr: from zeros).
template <class T>
struct IndirectTile {
  const T* const* rows;
  const Index* offsets;
  Index depth;
  const T* w;
  Index w_block;
  const T* const* init;
  T* const* out;
};

template <class T, int U>
__attribute__((noinline)) void indirect_tile(const IndirectTile<T>& t) {
  constexpr int kW = simd::kWidth<T>, R = kIndirectRows;
  Packet<T> acc[R][U];
#pragma GCC unroll 8
  for (int r = 0; r < R; ++r) {
#pragma GCC unroll 4
    for (int u = 0; u < U; ++u) {
      acc[r][u] = t.init == nullptr ? simd::zero<T>() : simd::loadu<T>(t.init[r] + u * kW);
    }
  }
  const T *a0 = t.rows[0], *a1 = t.rows[1], *a2 = t.rows[2];
  const T *a3 = t.rows[3], *a4 = t.rows[4], *a5 = t.rows[5];
  const T* w = t.w;
  const Index* end = t.offsets + t.depth;
  for (const Index* at = t.offsets; at != end; ++at, w += kW) {
    const Index k = *at;
    Packet<T> weight[U];
#pragma GCC unroll 4
    for (int u = 0; u < U; ++u) weight[u] = simd::loadu<T>(w + u * t.w_block);
    const auto add = [&](Packet<T>(&sums)[U], const T* a) __attribute__((always_inline)) {
      const Packet<T> v = simd::set1<T>(a[k]);
#pragma GCC unroll 4
      for (int u = 0; u < U; ++u) sums[u] = simd::madd(v, weight[u], sums[u]);
    };
    add(acc[0], a0);
    add(acc[1], a1);
    add(acc[2], a2);
    add(acc[3], a3);
    add(acc[4], a4);
    add(acc[5], a5);
  }
#pragma GCC unroll 8
  for (int r = 0; r < R; ++r) {
#pragma GCC unroll 4
    for (int u = 0; u < U; ++u) simd::storeu<T>(t.out[r] + u * kW, acc[r][u]);
  }
}

/// c[m][u] += sum over p of rows[p][offsets[m]] b[u][p], six m at a time.
template <class T, int U>
__attribute__((noinline)) void indirect_outer_tile(const T* const* rows, Index count,
                                                   const Index* offsets, const T* b, Index b_block,
                                                   T* const* c) {
  constexpr int kW = simd::kWidth<T>, R = kIndirectRows;
  Packet<T> acc[R][U];
#pragma GCC unroll 8
  for (int r = 0; r < R; ++r) {
#pragma GCC unroll 4
    for (int u = 0; u < U; ++u) acc[r][u] = simd::zero<T>();
  }
  const Index o0 = offsets[0], o1 = offsets[1], o2 = offsets[2];
  const Index o3 = offsets[3], o4 = offsets[4], o5 = offsets[5];
  for (Index p = 0; p < count; ++p, b += kW) {
    const T* a = rows[p];
    Packet<T> weight[U];
#pragma GCC unroll 4
    for (int u = 0; u < U; ++u) weight[u] = simd::loadu<T>(b + u * b_block);
    const auto add = [&](Packet<T>(&sums)[U], Index o) __attribute__((always_inline)) {
      const Packet<T> v = simd::set1<T>(a[o]);
#pragma GCC unroll 4
      for (int u = 0; u < U; ++u) sums[u] = simd::madd(v, weight[u], sums[u]);
    };
    add(acc[0], o0);
    add(acc[1], o1);
    add(acc[2], o2);
    add(acc[3], o3);
    add(acc[4], o4);
    add(acc[5], o5);
  }
#pragma GCC unroll 8
  for (int r = 0; r < R; ++r) {
#pragma GCC unroll 4
    for (int u = 0; u < U; ++u) {
      T* to = c[r] + u * kW;
      simd::storeu<T>(to, simd::add(simd::loadu<T>(to), acc[r][u]));
    }
  }
}

inline int indirect_blocks(Index left) {
  int blocks = kIndirectBlocks;
  while (blocks > left) blocks /= 2;
  return blocks;
}

/// Calls f.template operator()<U>() for the number of blocks.
template <class F>
inline void with_blocks(int blocks, F&& f) {
  if constexpr (kIndirectBlocks >= 4) {
    if (blocks == 4) return f.template operator()<4>();
  }
  if (blocks == 2) return f.template operator()<2>();
  f.template operator()<1>();
}

/// Rows of a tile that are not there, or not as wide as its blocks, go through this memory.
template <class T>
struct SpareRows {
  static constexpr Index kWidth = kIndirectBlocks * simd::kWidth<T>;
  alignas(64) T memory[kIndirectRows * kWidth] = {};
  T* row(int r) { return memory + r * kWidth; }
};

}  // namespace detail

/// out[r][j] = start + sum over k of rows[r][offsets[k]] B[k, j]
/// Shapes    rows, out [count] pointers; offsets [depth]; packed: B [depth, columns] by pack_gates;
///           start: bias [columns padded to whole packets], or nullptr for zeros; with `add` it is
///           what out holds
/// Cost      2 count columns depth flop, serial, no allocation; the order of the sums is the same
///           whatever rows stand together
template <class T>
void indirect_product(Index count, const T* const* rows, const Index* offsets, Index depth,
                      const T* packed, Index columns, const T* bias, T* const* out, bool add) {
  constexpr Index kW = simd::kWidth<T>, kR = detail::kIndirectRows;
  detail::SpareRows<T> spare;
  for (Index k0 = 0; k0 < depth || k0 == 0; k0 += detail::kIndirectDepth) {
    const Index kc = std::min(detail::kIndirectDepth, depth - k0);
    const bool onto = add || k0 > 0;
    for (Index j = 0; j < columns;) {
      const int blocks = detail::indirect_blocks((columns - j + kW - 1) / kW);
      const Index width = std::min(columns - j, blocks * kW);
      const bool narrow = width < blocks * kW;
      for (Index first = 0; first < count; first += kR) {
        const T *a[kR], *init[kR];
        T* to[kR];
        for (Index r = 0; r < kR; ++r) {
          const bool there = first + r < count;
          a[r] = rows[there ? first + r : count - 1];
          to[r] = there && !narrow ? out[first + r] + j : spare.row(static_cast<int>(r));
          if (onto && narrow && there) std::copy_n(out[first + r] + j, width, to[r]);
          init[r] = onto ? to[r] : bias == nullptr ? nullptr : bias + j;
        }
        const detail::IndirectTile<T> tile{a,          offsets + k0,
                                           kc,         packed + j * depth + k0 * kW,
                                           depth * kW, init[0] == nullptr ? nullptr : init,
                                           to};
        detail::with_blocks(blocks, [&]<int U>() { detail::indirect_tile<T, U>(tile); });
        for (Index r = 0; narrow && r < std::min(kR, count - first); ++r) {
          std::copy_n(to[r], width, out[first + r] + j);
        }
      }
      j += blocks * kW;
    }
  }
}

/// b[block][p][lane] = src[p, block * W + lane], zero beyond `columns`.
template <class T>
void pack_rows(const T* const* src, Index count, Index columns, T* b) {
  constexpr Index kW = simd::kWidth<T>;
  for (Index j = 0; j < columns; j += kW) {
    for (Index p = 0; p < count; ++p, b += kW) {
      simd::store<T>(b, simd::load_partial(src[p] + j, columns - j));
    }
  }
}

/// c[m, j] += sum over p of rows[p][offsets[m]] B[p, j]
/// Shapes    rows [count] pointers; offsets [m]; b: B [count, columns] by pack_rows; c [m, columns]
///           with row stride ldc
/// Cost      2 m columns count flop, serial, no allocation
template <class T>
void indirect_outer_product(const T* const* rows, Index count, const Index* offsets, Index m,
                            const T* b, Index columns, T* c, Index ldc) {
  constexpr Index kW = simd::kWidth<T>, kR = detail::kIndirectRows;
  detail::SpareRows<T> spare;
  for (Index first = 0; first < m; first += kR) {
    const Index height = std::min(kR, m - first);
    Index at[kR];
    for (Index r = 0; r < kR; ++r) at[r] = offsets[std::min(first + r, m - 1)];
    for (Index j = 0; j < columns;) {
      const int blocks = detail::indirect_blocks((columns - j + kW - 1) / kW);
      const Index width = std::min(columns - j, blocks * kW);
      const bool narrow = width < blocks * kW;
      T* to[kR];
      for (Index r = 0; r < kR; ++r) {
        T* place = c + (first + r) * ldc + j;
        to[r] = r < height && !narrow ? place : spare.row(static_cast<int>(r));
        if (r >= height || narrow) std::fill_n(to[r], blocks * kW, T(0));
      }
      detail::with_blocks(blocks, [&]<int U>() {
        detail::indirect_outer_tile<T, U>(rows, count, at, b + j * count, count * kW, to);
      });
      for (Index r = 0; narrow && r < height; ++r) {
        for (Index i = 0; i < width; ++i) c[(first + r) * ldc + j + i] += to[r][i];
      }
      j += blocks * kW;
    }
  }
}

}  // namespace elman::kernels
