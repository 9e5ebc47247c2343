// SPDX-License-Identifier: Apache-2.0
// elman/kernels/packed.hpp: weights laid out for the tile: gates interleaved, whole packets.
#pragma once

#include <vector>

#include "elman/core/aligned.hpp"
#include "elman/kernels/tile.hpp"

namespace elman::kernels {

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
    const Index lanes = units - j < kW ? units - j : kW;
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
    const Index lanes = units - j < kW ? units - j : kW;
    for (Index lane = 0; lane < kW; ++lane) {
      T* out = dst + lane;
      if (lane >= lanes) {
        for (Index k = 0; k < depth; ++k) out[k * kW] = T(0);
        continue;
      }
      const T* in = src + (j + lane) * ld;
      for (Index k = 0; k < depth; ++k) out[k * kW] = in[k];
    }
  }
}

template <class T>
constexpr Index packed_size(Index depth, Index units, int gates) {
  return depth * simd::padded<T>(units) * gates;
}

}  // namespace elman::kernels
