// SPDX-License-Identifier: Apache-2.0
// elman/autograd/reduce.hpp: sums and extremes along an axis, in an order that threads never
// change.
#pragma once

#include <algorithm>
#include <vector>

#include "elman/autograd/parallel.hpp"
#include "elman/core/shape.hpp"
#include "elman/kernels/reduce.hpp"

namespace elman::detail {

// x [outer, count, inner] -> y [outer, inner]: leaves and trees of kernels/reduce.hpp.
inline constexpr Index kColumns = 256;  // columns summed together: 2 KiB of accumulators

/// inner = 1: every row is contiguous.
template <class Op, class T>
void reduce_rows(const T* x, T* y, Index outer, Index count) {
  const Index leaves = (count + kLeaf - 1) / kLeaf;
  const double flops = 2.0 * static_cast<double>(outer) * static_cast<double>(count);
  const auto leaf_of = [=](const T* row, Index l) {
    return reduce_leaf<Op, T>(row + l * kLeaf, std::min(kLeaf, count - l * kLeaf));
  };
  if (outer < leaves && plan_parts(flops, outer) < plan_parts(flops, leaves)) {
    std::vector<T> partial(static_cast<std::size_t>(leaves));
    for (Index o = 0; o < outer; ++o) {
      const T* row = x + o * count;
      parallel(flops / static_cast<double>(outer), leaves, [&](Index begin, Index end) {
        for (Index l = begin; l < end; ++l) partial[static_cast<std::size_t>(l)] = leaf_of(row, l);
      });
      y[o] = reduce_tree<Op, T>(0, leaves,
                                [&](Index l) { return partial[static_cast<std::size_t>(l)]; });
    }
    return;
  }
  parallel(flops, outer, [&](Index begin, Index end) {
    for (Index o = begin; o < end; ++o) {
      const T* row = x + o * count;
      y[o] = reduce_tree<Op, T>(0, leaves, [&](Index l) { return leaf_of(row, l); });
    }
  });
}

/// y[0, width) = the tree over leaves [begin, end) of rows with distance `stride`.
template <class Op, class T>
void reduce_columns_tree(const T* x, Index stride, Index count, Index width, Index begin, Index end,
                         T* y) {
  if (end - begin == 1) {
    const Index first = begin * kLeaf, last = std::min(count, first + kLeaf);
    for (Index j = 0; j < width; ++j) y[j] = x[first * stride + j];
    for (Index r = first + 1; r < last; ++r) {
      const T* row = x + r * stride;
      for (Index j = 0; j < width; ++j) y[j] = Op::template apply<T>(y[j], row[j]);
    }
    return;
  }
  const Index middle = begin + (end - begin) / 2;
  T right[kColumns];
  reduce_columns_tree<Op>(x, stride, count, width, begin, middle, y);
  reduce_columns_tree<Op>(x, stride, count, width, middle, end, right);
  for (Index j = 0; j < width; ++j) y[j] = Op::template apply<T>(y[j], right[j]);
}

/// Few columns and many rows: the leaves are spread over the threads, then the tree is built.
template <class Op, class T>
void reduce_tall(const T* x, T* y, Index count, Index inner, double flops) {
  const Index leaves = (count + kLeaf - 1) / kLeaf;
  std::vector<T> partial(static_cast<std::size_t>(leaves * inner));
  parallel(flops, leaves, [&](Index begin, Index end) {
    for (Index l = begin; l < end; ++l) {
      for (Index j = 0; j < inner; j += kColumns) {
        reduce_columns_tree<Op>(x + j, inner, count, std::min(kColumns, inner - j), l, l + 1,
                                partial.data() + l * inner + j);
      }
    }
  });
  for (Index j = 0; j < inner; ++j) {
    y[j] = reduce_tree<Op, T>(
        0, leaves, [&](Index l) { return partial[static_cast<std::size_t>(l * inner + j)]; });
  }
}

/// y[o, i] = op over c of x[o, c, i]; count 0 gives the start value of the operation.
template <class Op, class T>
void reduce_axis(const T* x, T* y, Index outer, Index count, Index inner) {
  if (count == 0) {
    std::fill_n(y, outer * inner, Op::template start<T>());
    return;
  }
  if (outer == 0 || inner == 0) return;
  if (inner == 1) return reduce_rows<Op>(x, y, outer, count);
  const Index blocks = (inner + kColumns - 1) / kColumns;
  const double flops =
      2.0 * static_cast<double>(outer) * static_cast<double>(count) * static_cast<double>(inner);
  const Index leaves = (count + kLeaf - 1) / kLeaf;
  if (outer == 1 && plan_parts(flops, blocks) < plan_parts(flops, leaves)) {
    return reduce_tall<Op>(x, y, count, inner, flops);
  }
  parallel(flops, outer * blocks, [&](Index begin, Index end) {
    for (Index unit = begin; unit < end; ++unit) {
      const Index o = unit / blocks, j = unit % blocks * kColumns;
      reduce_columns_tree<Op>(x + o * count * inner + j, inner, count,
                              std::min(kColumns, inner - j), 0, leaves, y + o * inner + j);
    }
  });
}

}  // namespace elman::detail
