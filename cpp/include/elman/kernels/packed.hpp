// SPDX-License-Identifier: Apache-2.0
// elman/kernels/packed.hpp: weights laid out for the tile: gates interleaved, whole packets.
#pragma once

#include <algorithm>
#include <array>
#include <cstddef>

#include <vector>

#include "elman/core/aligned.hpp"
#include "elman/kernels/tile.hpp"

namespace elman::kernels {

/// Packed weights that do not stay in L2 between two uses of them: they are fetched ahead.
inline constexpr Index kStreamBytes = 2048 * 1024;

/// Where the columns of one gate of a Keras kernel start, e.g. z | r | h of a GRU at 0, H, 2H.
struct GateColumns {
  const Index* first = nullptr;
  int gates = 1;
};

/// dst[block][k][gate][lane] = src[k, first[gate] + block * W + lane], zero beyond `units`.
/// Shapes: src [K, >= first + units] with row stride ld; dst packed_size<T>(K, units, gates).
template <class T>
inline void pack_gates(const T* src, Index ld, Index depth, Index units, const GateColumns& columns,
                       T* dst) {
  constexpr Index kW = simd::kWidth<T>;
  for (Index j = 0; j < units; j += kW) {
    const Index lanes = std::min(units - j, kW);
    for (Index k = 0; k < depth; ++k) {
      for (int g = 0; g < columns.gates; ++g, dst += kW) {
        simd::store<T>(dst, simd::load_partial(src + k * ld + columns.first[g] + j, lanes));
      }
    }
  }
}

/// dst[block][k][lane] = src[block * W + lane, k]: the transposed side of the backward pass.
/// `depth_stride` is the k distance between two blocks of dst (>= depth: several packs may
/// interleave into one).
template <class T>
inline void pack_transposed(const T* src, Index ld, Index depth, Index units, T* dst,
                            Index depth_stride) {
  constexpr Index kW = simd::kWidth<T>;
  for (Index j = 0; j < units; j += kW, dst += depth_stride * kW) {
    const Index lanes = std::min(units - j, kW);
    const T* in = src + j * ld;
    for (Index k = 0; k < depth; k += kW) {
      const Index width = std::min(depth - k, kW);
      simd::Packet<T> square[kW];
      for (Index lane = 0; lane < kW; ++lane) {
        square[lane] =
            lane < lanes ? simd::load_partial(in + lane * ld + k, width) : simd::zero<T>();
      }
      simd::transpose<T>(square);
      for (Index i = 0; i < width; ++i) simd::store<T>(dst + (k + i) * kW, square[i]);
    }
  }
}

/// panel[k * height + r] = row r's element k: the rows of a tile as one stream in place of a row
/// each, whose lines may all fall into the same few sets of a cache. The packets that are stored
/// overlap: up to W elements behind the panel are overwritten.
template <class T>
inline void pack_panel(const T* rows, Index stride, int height, Index depth, T* panel) {
  constexpr int kW = simd::kWidth<T>;
  Index k = 0;
  if (height <= kW) {
    simd::Packet<T> square[kW];
    for (; k + kW <= depth; k += kW) {
      for (int r = 0; r < kW; ++r) {
        square[r] = simd::loadu<T>(rows + std::min(r, height - 1) * stride + k);
      }
      simd::transpose<T>(square);
      for (int i = 0; i < kW; ++i) simd::storeu<T>(panel + (k + i) * height, square[i]);
    }
  }
  for (; k < depth; ++k) {
    for (int r = 0; r < height; ++r) panel[k * height + r] = rows[r * stride + k];
  }
}

/// Any number of rows as panels of the tiles of `Slots` sums a unit that will read them: that of
/// row r begins at panels + r * depth.
template <class T, int Slots>
inline void pack_rows(const T* rows, Index stride, Index count, Index depth, T* panels) {
  for (Index row = 0; row < count && depth != 0;) {
    const int height = TileShape<Slots>::rows(count - row);
    pack_panel(rows + row * stride, stride, height, depth, panels + row * depth);
    row += height;
  }
}

/// z[g][j] += sum over k of a[k] w[k * ld + g * units + j], k in order: one row times weights that
/// are not packed, because they are read only once.
/// Shapes    a [depth], w [depth, gates * units], z[g] [units] padded to whole packets, aligned
template <class T, std::size_t Gates>
inline void add_unpacked(const T* a, Index depth, const T* w, Index ld, Index units,
                         const std::array<T*, Gates>& z) {
  constexpr Index kW = simd::kWidth<T>;
  constexpr Index kRows = 4;
  for (Index k0 = 0; k0 < depth; k0 += kRows, w += kRows * ld) {
    const Index rows = std::min(kRows, depth - k0);
    simd::Packet<T> v[kRows];
    for (Index r = 0; r < kRows; ++r) v[r] = simd::set1<T>(r < rows ? a[k0 + r] : T(0));
    for (std::size_t g = 0; g < Gates; ++g) {
      const T* in = w + static_cast<Index>(g) * units;
      for (Index j = 0; z[g] != nullptr && j < units; j += kW) {
        simd::Packet<T> sum = simd::load<T>(z[g] + j);
        for (Index r = 0; r < rows; ++r) {
          simd::prefetch(in + (kRows + r) * ld + j);
          sum = simd::madd(v[r], simd::load_partial(in + r * ld + j, units - j), sum);
        }
        simd::store<T>(z[g] + j, sum);
      }
    }
  }
}

template <class T>
constexpr Index packed_size(Index depth, Index units, int gates) {
  return depth * simd::padded<T>(units) * gates;
}

}  // namespace elman::kernels
