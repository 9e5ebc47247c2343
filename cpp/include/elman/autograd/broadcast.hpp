// SPDX-License-Identifier: Apache-2.0
// elman/autograd/broadcast.hpp: numpy broadcasting as a loop over contiguous runs.
#pragma once

#include <algorithm>
#include <array>
#include <cstddef>
#include <string>
#include <string_view>

#include "elman/autograd/parallel.hpp"
#include "elman/core/errors.hpp"
#include "elman/core/shape.hpp"

namespace elman::detail {

/// The shape that both broadcast to.
/// Errors    std::invalid_argument, worded for `where`, when an axis differs and neither is 1
inline Shape broadcast_shapes(std::string_view where, const Shape& a, const Shape& b) {
  if (a == b) return a;
  Shape out = a.rank() >= b.rank() ? a : b;
  const Index shorter = std::min(a.rank(), b.rank());
  for (Index i = 1; i <= shorter; ++i) {
    const Index da = a[a.rank() - i], db = b[b.rank() - i];
    if (da != db && da != 1 && db != 1) {
      fail(where, "y: shape " + b.text() + " does not broadcast with x " + a.text() + "; axis -" +
                      std::to_string(i) + " is " + std::to_string(db) + " against " +
                      std::to_string(da));
    }
    out[out.rank() - i] = da == 1 ? db : da;
  }
  return out;
}

/// An output array and K inputs walked together: axes that every operand walks alike are merged, so
/// equal shapes and scalars are one run, a row added to a matrix one run per row.
template <std::size_t K>
struct RunPlan {
  Index rank = 0;  // merged axes; the last one is the run
  std::array<Index, Shape::kMaxRank> dims{};
  std::array<std::array<Index, Shape::kMaxRank>, K> strides{};  // elements; 0 where broadcast

  [[nodiscard]] Index run() const noexcept { return rank == 0 ? 1 : dims[last()]; }
  [[nodiscard]] Index run_stride(std::size_t k) const noexcept {
    return rank == 0 ? 0 : strides[k][last()];
  }
  [[nodiscard]] Index runs() const noexcept {
    Index count = 1;
    for (Index axis = 0; axis + 1 < rank; ++axis) count *= dims[static_cast<std::size_t>(axis)];
    return count;
  }

  /// Appends an axis inside of the ones so far, merged into the last if every operand allows.
  void push(Index dim, const std::array<Index, K>& stride) {
    if (dim == 1) return;
    bool merge = rank > 0;
    for (std::size_t k = 0; merge && k < K; ++k) {
      merge = strides[k][last()] == stride[k] * dim;
    }
    if (!merge) ++rank;
    dims[last()] = merge ? dims[last()] * dim : dim;
    for (std::size_t k = 0; k < K; ++k) strides[k][last()] = stride[k];
  }

 private:
  [[nodiscard]] std::size_t last() const noexcept { return static_cast<std::size_t>(rank - 1); }
};

/// Strides, in elements, with which a contiguous operand of shape `from` is read as `to`.
inline std::array<Index, Shape::kMaxRank> broadcast_strides(const Shape& from, const Shape& to) {
  std::array<Index, Shape::kMaxRank> strides{};
  Index step = 1;
  for (Index i = 1; i <= from.rank(); ++i) {
    const Index dim = from[from.rank() - i];
    strides[static_cast<std::size_t>(to.rank() - i)] = dim == 1 ? 0 : step;
    step *= dim;
  }
  return strides;
}

template <std::size_t K>
RunPlan<K> broadcast_plan(const Shape& out, const std::array<const Shape*, K>& inputs) {
  std::array<std::array<Index, Shape::kMaxRank>, K> strides;
  for (std::size_t k = 0; k < K; ++k) strides[k] = broadcast_strides(*inputs[k], out);
  RunPlan<K> plan;
  for (Index axis = 0; axis < out.rank(); ++axis) {
    std::array<Index, K> stride;
    for (std::size_t k = 0; k < K; ++k) stride[k] = strides[k][static_cast<std::size_t>(axis)];
    plan.push(out[axis], stride);
  }
  return plan;
}

/// Calls f(first output element, offsets of the operands) for the runs [begin, end) in order.
template <std::size_t K, class F>
void walk_runs(const RunPlan<K>& plan, Index begin, Index end, F&& f) {
  if (begin >= end) return;
  const Index outer = std::max<Index>(plan.rank - 1, 0);
  std::array<Index, Shape::kMaxRank> at{};
  std::array<Index, K> offsets{};
  Index rest = begin;
  for (Index axis = outer - 1; axis >= 0; --axis) {
    const auto i = static_cast<std::size_t>(axis);
    at[i] = rest % plan.dims[i];
    rest /= plan.dims[i];
    for (std::size_t k = 0; k < K; ++k) offsets[k] += at[i] * plan.strides[k][i];
  }
  const Index run = plan.run();
  for (Index r = begin; r < end; ++r) {
    f(r * run, offsets);
    for (Index axis = outer - 1; axis >= 0; --axis) {
      const auto i = static_cast<std::size_t>(axis);
      for (std::size_t k = 0; k < K; ++k) offsets[k] += plan.strides[k][i];
      if (++at[i] < plan.dims[i]) break;
      for (std::size_t k = 0; k < K; ++k) offsets[k] -= plan.dims[i] * plan.strides[k][i];
      at[i] = 0;
    }
  }
}

/// The same for all runs, spread over the threads when `cost` flop per element pay for it. A single
/// run is cut into pieces; f(first output element, offsets, elements).
template <std::size_t K, class F>
void for_each_run(const RunPlan<K>& plan, double cost, F&& f) {
  const Index run = plan.run(), runs = plan.runs();
  if (run == 0 || runs == 0) return;
  const double flops = cost * static_cast<double>(run) * static_cast<double>(runs);
  if (runs > 1) {
    parallel(flops, runs, [&](Index begin, Index end) {
      walk_runs(plan, begin, end,
                [&](Index out, const std::array<Index, K>& offsets) { f(out, offsets, run); });
    });
    return;
  }
  parallel(flops, run, [&](Index begin, Index end) {
    std::array<Index, K> offsets;
    for (std::size_t k = 0; k < K; ++k) offsets[k] = begin * plan.run_stride(k);
    f(begin, offsets, end - begin);
  });
}

}  // namespace elman::detail
