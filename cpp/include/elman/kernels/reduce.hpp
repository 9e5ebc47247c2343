// SPDX-License-Identifier: Apache-2.0
// elman/kernels/reduce.hpp: sums and extremes of one row, in an order that threads never change.
#pragma once

#include <algorithm>
#include <array>
#include <limits>
#include <type_traits>

#include "elman/kernels/simd.hpp"

namespace elman::detail {

// A sum is cut into leaves of kLeaf terms that are added in order; the leaves are added as a
// balanced tree. The tree depends on count alone, so any number of threads gives the same bits, and
// the error grows with kLeaf + log2(count).
inline constexpr Index kLeaf = 256;
inline constexpr Index kLeafLanes = 32;  // independent accumulators of a contiguous leaf

struct SumOp {
  template <class T>
  static constexpr T start() {
    return T(0);
  }
  template <class T>
  static T apply(T a, T b) {
    if constexpr (std::is_integral_v<T>) {  // wraps instead of undefined behaviour
      using U = std::make_unsigned_t<T>;
      return static_cast<T>(static_cast<U>(a) + static_cast<U>(b));
    } else {
      return a + b;
    }
  }
};
struct ProdOp {
  template <class T>
  static constexpr T start() {
    return T(1);
  }
  template <class T>
  static T apply(T a, T b) {
    if constexpr (std::is_integral_v<T>) {
      using U = std::make_unsigned_t<T>;
      return static_cast<T>(static_cast<U>(a) * static_cast<U>(b));
    } else {
      return a * b;
    }
  }
};
// NaN wins over every number, as in numpy.
struct MaxOp {
  template <class T>
  static constexpr T start() {
    if constexpr (std::is_floating_point_v<T>) return -std::numeric_limits<T>::infinity();
    return std::numeric_limits<T>::lowest();
  }
  template <class T>
  static T apply(T a, T b) {
    return b > a || b != b ? b : a;
  }
};
struct MinOp {
  template <class T>
  static constexpr T start() {
    if constexpr (std::is_floating_point_v<T>) return std::numeric_limits<T>::infinity();
    return std::numeric_limits<T>::max();
  }
  template <class T>
  static T apply(T a, T b) {
    return b < a || b != b ? b : a;
  }
};

template <class Op, class T>
T reduce_leaf(const T* x, Index n) {
  std::array<T, kLeafLanes> lanes;
  lanes.fill(Op::template start<T>());
  Index i = 0;
  for (; i + kLeafLanes <= n; i += kLeafLanes) {
    for (Index l = 0; l < kLeafLanes; ++l) {
      lanes[static_cast<std::size_t>(l)] =
          Op::template apply<T>(lanes[static_cast<std::size_t>(l)], x[i + l]);
    }
  }
  for (Index l = 0; i + l < n; ++l) {
    lanes[static_cast<std::size_t>(l)] =
        Op::template apply<T>(lanes[static_cast<std::size_t>(l)], x[i + l]);
  }
  for (std::size_t width = kLeafLanes / 2; width > 0; width /= 2) {
    for (std::size_t l = 0; l < width; ++l) {
      lanes[l] = Op::template apply<T>(lanes[l], lanes[l + width]);
    }
  }
  return lanes[0];
}

/// The balanced tree over leaves [begin, end).
template <class Op, class T, class Leaf>
T reduce_tree(Index begin, Index end, const Leaf& leaf) {
  if (end - begin == 1) return leaf(begin);
  const Index middle = begin + (end - begin) / 2;
  const T left = reduce_tree<Op, T>(begin, middle, leaf);
  return Op::template apply<T>(left, reduce_tree<Op, T>(middle, end, leaf));
}

/// The whole of a contiguous row, count >= 1.
template <class Op, class T>
T reduce_row(const T* x, Index count) {
  return reduce_tree<Op, T>(0, (count + kLeaf - 1) / kLeaf, [&](Index l) {
    return reduce_leaf<Op, T>(x + l * kLeaf, std::min(kLeaf, count - l * kLeaf));
  });
}

}  // namespace elman::detail
