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

// One row of points: of the four rows of pixels each reads two. The other rows are read again
// rather than kept: 16 packets would not fit into the registers of AVX2.
template <int I, class T>
inline void winograd_input_points(const T* d, Index line, Index pixel, T* v, Index stride) {
  Packet<T> t[4];
#pragma GCC unroll 4
  for (int j = 0; j < 4; ++j) {
    const auto row = [&](int i) { return simd::loadu<T>(d + i * line + j * pixel); };
    if constexpr (I == 0) t[j] = simd::sub(row(0), row(2));
    if constexpr (I == 1) t[j] = simd::add(row(1), row(2));
    if constexpr (I == 2) t[j] = simd::sub(row(2), row(1));
    if constexpr (I == 3) t[j] = simd::sub(row(3), row(1));
  }
  simd::store<T>(v, simd::sub(t[0], t[2]));
  simd::store<T>(v + stride, simd::add(t[1], t[2]));
  simd::store<T>(v + 2 * stride, simd::sub(t[2], t[1]));
  simd::store<T>(v + 3 * stride, simd::sub(t[3], t[1]));
}

}  // namespace detail

/// v[point] = B^T d B for whole packets of channels; d: the first of 4 x 4 pixels.
template <class T>
inline void winograd_input(const T* d, Index line, Index pixel, Index lanes, T* v, Index stride) {
  for (Index c = 0; c < lanes; c += simd::kWidth<T>) {
    detail::winograd_input_points<0>(d + c, line, pixel, v + c, stride);
    detail::winograd_input_points<1>(d + c, line, pixel, v + c + 4 * stride, stride);
    detail::winograd_input_points<2>(d + c, line, pixel, v + c + 8 * stride, stride);
    detail::winograd_input_points<3>(d + c, line, pixel, v + c + 12 * stride, stride);
  }
}

/// The same of d times factors, whose pixels lie `factor_line` and `factor_pixel` apart.
template <class T>
inline void winograd_input_scaled(const T* d, Index line, Index pixel, const T* factor,
                                  Index factor_line, Index factor_pixel, Index lanes, T* v,
                                  Index stride) {
  constexpr Index kW = simd::kWidth<T>;
  for (Index c = 0; c < lanes; c += kW) {
    alignas(64) T scaled[16 * kW];
    for (Index i = 0; i < 4; ++i) {
      const T *from = d + i * line + c, *by = factor + i * factor_line + c;
      for (Index j = 0; j < 4; ++j) {
        simd::store<T>(scaled + (4 * i + j) * kW, simd::mul(simd::loadu<T>(from + j * pixel),
                                                            simd::loadu<T>(by + j * factor_pixel)));
      }
    }
    winograd_input<T>(scaled, 4 * kW, kW, kW, v + c, stride);
  }
}

/// The same as winograd_input for one channel; d [4, 4].
template <class T>
inline void winograd_input_single(const T* d, T* v, Index stride) {
  T t[16];
  for (int j = 0; j < 4; ++j) {
    t[j] = d[j] - d[8 + j];
    t[4 + j] = d[4 + j] + d[8 + j];
    t[8 + j] = d[8 + j] - d[4 + j];
    t[12 + j] = d[12 + j] - d[4 + j];
  }
  for (int i = 0; i < 16; i += 4, v += 4 * stride) {
    v[0] = t[i] - t[i + 2];
    v[stride] = t[i + 1] + t[i + 2];
    v[2 * stride] = t[i + 2] - t[i + 1];
    v[3 * stride] = t[i + 3] - t[i + 1];
  }
}

/// y[2 i + j] = A^T m A for one packet.
template <class T>
__attribute__((always_inline)) inline void winograd_output(const T* m, Index stride,
                                                           Packet<T> (&y)[4]) {
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
  if (left == 6 && TileShape<1>::blocks(TileShape<1>::kMaxRows) >= 4) return 4;
  return blocks_for<1>(TileShape<1>::kMaxRows, left);
}

/// out[row][block] (+)= sum over two sides of a[row, :] w[block], for one point of some tiles.
template <class T>
struct PointProduct {
  struct Side {
    const T* a = nullptr;
    const T* w = nullptr;
    Index w_block = 0, depth = 0;
  };
  Side sides[2];
  Index row = 0;  // of a
  T* out = nullptr;
  Index out_row = 0;
  bool add = false;
};

namespace detail {

/// The rows [first, last), R at a time, of U blocks.
template <class T, int R, int U>
__attribute__((noinline)) void point_rows(const PointProduct<T>& p, Index first, Index last,
                                          Index block) {
  constexpr int kW = simd::kWidth<T>;
  Operand<T> sides[2];
  for (int i = 0; i < 2; ++i) {
    sides[i].w = p.sides[i].w + block * p.sides[i].w_block;
    sides[i].w_block = p.sides[i].w_block;
    sides[i].w_k = kW;
    sides[i].row_stride = p.row;
    sides[i].depth = p.sides[i].depth;
  }
  T* out = p.out + first * p.out_row + block * kW;
  for (Index row = first; row < last; row += R, out += R * p.out_row) {
    Packet<T> acc[R][U][1];
#pragma GCC unroll 8
    for (int r = 0; r < R; ++r) {
#pragma GCC unroll 4
      for (int u = 0; u < U; ++u) {
        acc[r][u][0] = p.add ? simd::load<T>(out + r * p.out_row + u * kW) : simd::zero<T>();
      }
    }
    for (int i = 0; i < 2; ++i) {
      if (sides[i].depth == 0) continue;
      sides[i].a = p.sides[i].a + row * p.row;
      accumulate<T, R, U, 1, 1, 0, false>(acc, sides[i]);
    }
#pragma GCC unroll 8
    for (int r = 0; r < R; ++r) {
#pragma GCC unroll 4
      for (int u = 0; u < U; ++u) simd::store<T>(out + r * p.out_row + u * kW, acc[r][u][0]);
    }
  }
}

// Rows in tiles of `R`, the rest one by one: blocks of tiles are dozens of rows, but for the last.
template <class T, int R, int U>
inline void point_columns(const PointProduct<T>& p, Index rows, Index block) {
  const Index whole = rows / R * R;
  if (whole > 0) point_rows<T, R, U>(p, 0, whole, block);
  if (whole < rows) point_rows<T, 1, U>(p, whole, rows, block);
}

}  // namespace detail

/// All rows times `blocks` packets of columns. The order of a sum is that of the channels, whatever
/// rows stand together.
template <class T>
inline void point_product(const PointProduct<T>& p, Index rows, Index blocks) {
  for (Index block = 0; block < blocks;) {
    const int width = winograd_blocks(blocks - block);
    if constexpr (simd::kRegisters == 32) {
      if (width == 4) detail::point_columns<T, 6, 4>(p, rows, block);
    }
    if (width == 3) detail::point_columns<T, 4, 3>(p, rows, block);
    if (width == 2) detail::point_columns<T, 6, 2>(p, rows, block);
    if (width == 1) detail::point_columns<T, 6, 1>(p, rows, block);
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
#pragma GCC unroll 8
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

/// c[m, blocks of packets] += sum over k < depth of a[k, m] b[k, blocks], for at most 6 blocks
template <class T>
inline void point_outer_product(Index rows, Index blocks, const detail::OuterTile<T>& all) {
  constexpr int kW = simd::kWidth<T>;
  const auto at = [&](Index row, Index block) {
    detail::OuterTile<T> tile = all;
    tile.a += row;
    tile.b += block * kW;
    tile.c += row * tile.ldc + block * kW;
    return tile;
  };
  const Index fours = rows / 4 * 4;
  for (Index block = 0; block < blocks && fours > 0;) {
    const Index left = blocks - block;
    const int width = left == 3 || left == 5 ? 3 : left >= 2 ? 2 : 1;
    for (Index r = 0; r < fours;) {
      const int height = width == 2 && fours - r >= 6 && fours - r != 8 ? 6 : 4;
      if (height == 6) detail::outer_tile<T, 6, 2>(at(r, block));
      if (height == 4 && width == 3) detail::outer_tile<T, 4, 3>(at(r, block));
      if (height == 4 && width == 2) detail::outer_tile<T, 4, 2>(at(r, block));
      if (height == 4 && width == 1) detail::outer_tile<T, 4, 1>(at(r, block));
      r += height;
    }
    block += width;
  }
  // A row alone keeps as many sums in flight as there are blocks.
  for (Index r = fours; r < rows; ++r) {
    const detail::OuterTile<T> tile = at(r, 0);
    if (blocks == 6) detail::outer_tile<T, 1, 6>(tile);
    if (blocks == 5) detail::outer_tile<T, 1, 5>(tile);
    if (blocks == 4) detail::outer_tile<T, 1, 4>(tile);
    if (blocks == 3) detail::outer_tile<T, 1, 3>(tile);
    if (blocks == 2) detail::outer_tile<T, 1, 2>(tile);
    if (blocks == 1) detail::outer_tile<T, 1, 1>(tile);
  }
}

}  // namespace elman::kernels
