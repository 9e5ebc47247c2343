// SPDX-License-Identifier: Apache-2.0
// elman/kernels/winograd.hpp: the transforms of F(2 x 2, 3 x 3) and the small products between.
#pragma once

#include "elman/kernels/tile.hpp"

namespace elman::kernels {

// A 2 x 2 tile of outputs of a 3 x 3 convolution with unit strides:
//
//   y = A^T [(G g G^T) . (B^T d B)] A        d: the 4 x 4 inputs that the tile reads, g: the taps
//   dg = G^T [(A dy A^T) . (B^T d B)] G      the gradient of the taps
//
//         1  0 -1  0          1   0   0           1  0
//   B^T = 0  1  1  0     G = 1/2 1/2 1/2     A =  1  1
//         0 -1  1  0         1/2-1/2 1/2          1 -1
//         0 -1  0  1          0   0   1           0  1
//
// Between the transforms stand products over the channels, one for each of 16 points: 16
// multiplications for 4 outputs in place of 36. Packets hold channels; a point is at
// v[point * stride].
//
// NaN: B^T d B and A^T m A let a value of d reach exactly the outputs whose taps read it, because
// the zeros of B^T and A are not multiplied. Infinities may cancel to NaN at those outputs.
//
// Accuracy: |A^T| |G| |B^T| applied to ones is at most 3 * 3/2 * 2 = 9 along an axis, so that K
// channels are summed with an error of at most (K + 12) eps/2 * 81 K max|d| max|g|, nine times the
// bound of the 9 K terms themselves.
// Source: Lavin and Gray (2016), with the sign of the last point turned.
inline constexpr Index kWinogradPoints = 16;

namespace detail {

/// Row i of B^T times four values.
template <int I, class P>
inline P winograd_input_row(const P& d0, const P& d1, const P& d2, const P& d3) {
  if constexpr (I == 0) return simd::sub(d0, d2);
  if constexpr (I == 1) return simd::add(d1, d2);
  if constexpr (I == 2) return simd::sub(d2, d1);
  if constexpr (I == 3) return simd::sub(d3, d1);
}

// One row of points: of the four rows of pixels each reads two.
template <int I, class T>
inline void winograd_input_points(const T* const (&d)[16], Index c, T* v, Index stride) {
  Packet<T> t[4];
#pragma GCC unroll 4
  for (int j = 0; j < 4; ++j) {
    const auto pixel = [&](int i) { return simd::loadu<T>(d[4 * i + j] + c); };
    if constexpr (I == 0) t[j] = simd::sub(pixel(0), pixel(2));
    if constexpr (I == 1) t[j] = simd::add(pixel(1), pixel(2));
    if constexpr (I == 2) t[j] = simd::sub(pixel(2), pixel(1));
    if constexpr (I == 3) t[j] = simd::sub(pixel(3), pixel(1));
  }
  simd::store<T>(v, winograd_input_row<0>(t[0], t[1], t[2], t[3]));
  simd::store<T>(v + stride, winograd_input_row<1>(t[0], t[1], t[2], t[3]));
  simd::store<T>(v + 2 * stride, winograd_input_row<2>(t[0], t[1], t[2], t[3]));
  simd::store<T>(v + 3 * stride, winograd_input_row<3>(t[0], t[1], t[2], t[3]));
}

}  // namespace detail

/// v[point] = B^T d B for whole packets of channels; d: pixels of a 4 x 4 piece, row by row.
template <class T>
inline void winograd_input(const T* const (&d)[16], Index lanes, T* v, Index stride) {
  for (Index c = 0; c < lanes; c += simd::kWidth<T>, v += simd::kWidth<T>) {
    detail::winograd_input_points<0>(d, c, v, stride);
    detail::winograd_input_points<1>(d, c, v + 4 * stride, stride);
    detail::winograd_input_points<2>(d, c, v + 8 * stride, stride);
    detail::winograd_input_points<3>(d, c, v + 12 * stride, stride);
  }
}

/// y[2 i + j] = A^T m A for one packet.
template <class T>
inline void winograd_output(const T* m, Index stride, Packet<T> (&y)[4]) {
  Packet<T> upper[4], lower[4];
#pragma GCC unroll 4
  for (int j = 0; j < 4; ++j) {
    const auto point = [&](int i) { return simd::load<T>(m + (4 * i + j) * stride); };
    const Packet<T> a = point(1), b = point(2);
    upper[j] = simd::add(simd::add(point(0), a), b);
    lower[j] = simd::add(simd::sub(a, b), point(3));
  }
  y[0] = simd::add(simd::add(upper[0], upper[1]), upper[2]);
  y[1] = simd::add(simd::sub(upper[1], upper[2]), upper[3]);
  y[2] = simd::add(simd::add(lower[0], lower[1]), lower[2]);
  y[3] = simd::add(simd::sub(lower[1], lower[2]), lower[3]);
}

/// e[point] = A dy A^T for whole packets; dy: pixels of a tile.
template <class T>
inline void winograd_output_gradient(const T* const (&dy)[4], Index lanes, T* e, Index stride) {
  for (Index c = 0; c < lanes; c += simd::kWidth<T>, e += simd::kWidth<T>) {
    const Packet<T> a = simd::loadu<T>(dy[0] + c), b = simd::loadu<T>(dy[1] + c);
    const Packet<T> p = simd::loadu<T>(dy[2] + c), q = simd::loadu<T>(dy[3] + c);
    const auto row = [&](int i, const Packet<T>& left, const Packet<T>& right) {
      T* to = e + 4 * i * stride;
      simd::store<T>(to, left);
      simd::store<T>(to + stride, simd::add(left, right));
      simd::store<T>(to + 2 * stride, simd::sub(left, right));
      simd::store<T>(to + 3 * stride, right);
    };
    row(0, a, b);
    row(1, simd::add(a, p), simd::add(b, q));
    row(2, simd::sub(a, p), simd::sub(b, q));
    row(3, p, q);
  }
}

/// u[point] = G g G^T for one packet of each tap, g[tap * tap_stride].
template <class T>
inline void winograd_kernel(const T* g, Index tap_stride, T* u, Index stride) {
  const Packet<T> half = simd::set1<T>(T(0.5));
  Packet<T> t[4][3];
  for (int j = 0; j < 3; ++j) {
    const auto tap = [&](int i) { return simd::load<T>(g + (3 * i + j) * tap_stride); };
    const Packet<T> ends = simd::mul(half, simd::add(tap(0), tap(2)));
    const Packet<T> middle = simd::mul(half, tap(1));
    t[0][j] = tap(0);
    t[1][j] = simd::add(ends, middle);
    t[2][j] = simd::sub(ends, middle);
    t[3][j] = tap(2);
  }
  for (const auto& row : t) {
    const Packet<T> ends = simd::mul(half, simd::add(row[0], row[2]));
    const Packet<T> middle = simd::mul(half, row[1]);
    simd::store<T>(u, row[0]);
    simd::store<T>(u + stride, simd::add(ends, middle));
    simd::store<T>(u + 2 * stride, simd::sub(ends, middle));
    simd::store<T>(u + 3 * stride, row[2]);
    u += 4 * stride;
  }
}

/// dg[tap] = G^T s G for one packet of each point, s[point * stride].
template <class T>
inline void winograd_kernel_gradient(const T* s, Index stride, Packet<T> (&dg)[9]) {
  const Packet<T> half = simd::set1<T>(T(0.5));
  Packet<T> t[3][4];
  for (int j = 0; j < 4; ++j) {
    const auto point = [&](int i) { return simd::load<T>(s + (4 * i + j) * stride); };
    const Packet<T> a = simd::mul(half, point(1)), b = simd::mul(half, point(2));
    const Packet<T> sum = simd::add(a, b);
    t[0][j] = simd::add(point(0), sum);
    t[1][j] = simd::sub(a, b);
    t[2][j] = simd::add(sum, point(3));
  }
  for (int i = 0; i < 3; ++i) {
    const Packet<T> a = simd::mul(half, t[i][1]), b = simd::mul(half, t[i][2]);
    const Packet<T> sum = simd::add(a, b);
    dg[3 * i] = simd::add(t[i][0], sum);
    dg[3 * i + 1] = simd::sub(a, b);
    dg[3 * i + 2] = simd::add(sum, t[i][3]);
  }
}

/// The next width of a group of `left` blocks that is cut without leaving a single one: a single
/// block keeps too few sums in flight.
inline int winograd_blocks(Index left) {
  if (left == 3) return 3;
  if (left == 5) return 2;
  return blocks_for<1>(TileShape<1>::kMaxRows, left);
}

/// Rows [0, rows) times `blocks` packets of columns, in tiles that reach from one end to the other;
/// strides as in `all`, which is the upper left corner.
template <class T>
inline void winograd_product(Index rows, Index blocks, const Tile<T>& all) {
  using Plain = Gating<1, 1>;
  for (Index block = 0; block < blocks;) {
    const int width = winograd_blocks(blocks - block);
    const Tile<T> column = next_blocks(all, block);
    for (Index r = 0; r < rows;) {
      const bool triple = width == 3 && rows - r >= 4;
      const int height = triple ? 4 : TileShape<1>::rows(rows - r);
      Tile<T> tile = column;
      tile.out += r * tile.out_row;
      if (tile.init != nullptr) tile.init += r * tile.init_row;
      tile.x.a += r * tile.x.row_stride;
      tile.h.a += r * tile.h.row_stride;
      if (triple) {
        detail::tile_product<T, 4, 3, Plain, false>(tile);
      } else if (width == 3) {
        run_tile<T, Plain>(height, 2, tile);
        run_tile<T, Plain>(height, 1, next_blocks(tile, 2));
      } else {
        run_tile<T, Plain>(height, width, tile);
      }
      r += height;
    }
    block += width;
  }
}

namespace detail {

/// c[r][u] += sum over k of a[k * lda + r] b[k * ldb + u]
template <class T>
struct OuterTile {
  const T* a;
  Index lda;
  const T* b;
  Index ldb;
  Index depth;
  T* c;
  Index ldc;
};

template <class T, int R, int U>
__attribute__((noinline)) void outer_tile(const OuterTile<T>& t) {
  constexpr int kW = simd::kWidth<T>;
  Packet<T> acc[R][U];
#pragma GCC unroll 8
  for (int r = 0; r < R; ++r) {
#pragma GCC unroll 4
    for (int u = 0; u < U; ++u) {
      simd::prefetch(t.c + r * t.ldc + u * kW);
      acc[r][u] = simd::zero<T>();
    }
  }
  const T *a = t.a, *b = t.b;
  for (Index k = 0; k < t.depth; ++k, a += t.lda, b += t.ldb) {
    Packet<T> right[U];
#pragma GCC unroll 4
    for (int u = 0; u < U; ++u) right[u] = simd::load<T>(b + u * kW);
#pragma GCC unroll 8
    for (int r = 0; r < R; ++r) {
      const Packet<T> left = simd::set1<T>(a[r]);
#pragma GCC unroll 4
      for (int u = 0; u < U; ++u) acc[r][u] = simd::madd(left, right[u], acc[r][u]);
    }
  }
#pragma GCC unroll 8
  for (int r = 0; r < R; ++r) {
#pragma GCC unroll 4
    for (int u = 0; u < U; ++u) {
      T* c = t.c + r * t.ldc + u * kW;
      simd::store<T>(c, simd::add(simd::load<T>(c), acc[r][u]));
    }
  }
}

}  // namespace detail

/// c[m, blocks of packets] += sum over k < depth of a[k, m] b[k, blocks]
template <class T>
inline void winograd_outer_product(Index rows, Index blocks, const detail::OuterTile<T>& all) {
  constexpr int kW = simd::kWidth<T>;
  for (Index block = 0; block < blocks;) {
    const Index left = blocks - block;
    const int width = left == 3 || left == 5 ? 3 : left >= 2 ? 2 : 1;
    const int most = width == 3 ? 4 : 6;
    for (Index r = 0; r < rows;) {
      detail::OuterTile<T> tile = all;
      tile.a += r;
      tile.b += block * kW;
      tile.c += r * tile.ldc + block * kW;
      const int height = rows - r >= most ? most : rows - r >= 4 ? 4 : rows - r >= 2 ? 2 : 1;
      const auto with_height = [&]<int R>() {
        if (width == 3) return detail::outer_tile<T, R, 3>(tile);
        if (width == 2) return detail::outer_tile<T, R, 2>(tile);
        detail::outer_tile<T, R, 1>(tile);
      };
      if (height == 6) {
        width == 2 ? detail::outer_tile<T, 6, 2>(tile) : detail::outer_tile<T, 6, 1>(tile);
      } else if (height == 4) {
        with_height.template operator()<4>();
      } else if (height == 2) {
        with_height.template operator()<2>();
      } else {
        with_height.template operator()<1>();
      }
      r += height;
    }
    block += width;
  }
}

}  // namespace elman::kernels
