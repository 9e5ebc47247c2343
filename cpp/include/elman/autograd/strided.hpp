// SPDX-License-Identifier: Apache-2.0
// elman/autograd/strided.hpp: reading and adding to a part of an array in another order.
#pragma once

#include <algorithm>
#include <array>
#include <cstdint>
#include <cstring>

#include "elman/autograd/broadcast.hpp"
#include "elman/autograd/dispatch.hpp"
#include "elman/autograd/tensor.hpp"

namespace elman::detail {

/// Some elements of a contiguous array: element (i, j, ...) lies at offset + i strides[0] + ...
struct StridedView {
  Shape shape;
  std::array<Index, Shape::kMaxRank> strides{};  // in elements; negative and 0 are allowed
  Index offset = 0;

  [[nodiscard]] RunPlan<1> plan() const {
    RunPlan<1> out;
    for (Index axis = 0; axis < shape.rank(); ++axis) {
      out.push(shape[axis], {strides[static_cast<std::size_t>(axis)]});
    }
    return out;
  }
};

/// The whole of an array with its own strides.
inline StridedView whole(const Shape& shape) {
  StridedView view{shape, {}, 0};
  Index step = 1;
  for (Index axis = shape.rank(); axis-- > 0;) {
    view.strides[static_cast<std::size_t>(axis)] = step;
    step *= shape[axis];
  }
  return view;
}

inline bool is_contiguous(const RunPlan<1>& plan) {
  return plan.rank == 0 || (plan.rank == 1 && plan.run_stride(0) == 1);
}

/// to[j n + l] = from[j + l stride] in squares whose rows and columns both stay in L1.
template <class U>
void transpose_block(const U* from, Index stride, U* to, Index to_stride, Index rows, Index n) {
  constexpr Index kSide = 32;
  for (Index j0 = 0; j0 < rows; j0 += kSide) {
    const Index j1 = std::min(rows, j0 + kSide);
    for (Index l0 = 0; l0 < n; l0 += kSide) {
      const Index l1 = std::min(n, l0 + kSide);
      for (Index j = j0; j < j1; ++j) {
        for (Index l = l0; l < l1; ++l) to[j * to_stride + l] = from[j + l * stride];
      }
    }
  }
}

/// The axis that is contiguous in the source although it is not the last one, or -1.
inline Index turned_axis(const RunPlan<1>& plan) {
  if (plan.rank < 2 || plan.run_stride(0) == 1 || plan.run_stride(0) == 0) return -1;
  for (Index axis = plan.rank - 2; axis >= 0; --axis) {
    if (plan.strides[0][static_cast<std::size_t>(axis)] == 1) return axis;
  }
  return -1;
}

/// A transposition of the axes `turned` and the last one, all others walked outside.
template <class U>
void copy_turned(const U* from, U* to, const RunPlan<1>& plan, Index turned) {
  const auto t = static_cast<std::size_t>(turned);
  const Index n = plan.run(), rows = plan.dims[t], stride = plan.run_stride(0);
  // Walks source and target together: strides[0] of the source, strides[1] of the target.
  RunPlan<2> outer;
  Index step = 1, row_step = 1;
  std::array<Index, Shape::kMaxRank> target{};
  for (Index axis = plan.rank; axis-- > 0;) {
    target[static_cast<std::size_t>(axis)] = step;
    if (axis == turned) row_step = step;
    step *= plan.dims[static_cast<std::size_t>(axis)];
  }
  for (Index axis = 0; axis < plan.rank - 1; ++axis) {
    const auto i = static_cast<std::size_t>(axis);
    if (axis != turned) outer.push(plan.dims[i], {plan.strides[0][i], target[i]});
  }
  const double cost = 4.0 * static_cast<double>(rows) * static_cast<double>(n);
  for_each_run(outer, cost, [&](Index, const std::array<Index, 2>& at, Index count) {
    for (Index i = 0; i < count; ++i) {
      transpose_block(from + at[0] + i * outer.run_stride(0), stride,
                      to + at[1] + i * outer.run_stride(1), row_step, rows, n);
    }
  });
}

/// The elements of the view, contiguous.
inline Tensor copy_strided(const Tensor& x, const StridedView& view) {
  Tensor out(view.shape, x.dtype());
  if (out.size() == 0) return out;
  const RunPlan<1> plan = view.plan();
  visit_width(x.dtype(), [&](auto zero) {
    using U = decltype(zero);
    const U* from = static_cast<const U*>(x.raw()) + view.offset;
    U* to = static_cast<U*>(out.mutable_raw());
    const Index turned = turned_axis(plan);
    if (turned >= 0) return copy_turned(from, to, plan, turned);
    const Index stride = plan.run_stride(0);
    for_each_run(plan, 2.0, [&](Index at, const std::array<Index, 1>& offset, Index n) {
      const U* source = from + offset[0];
      if (stride == 1 || n == 1) {
        std::memcpy(to + at, source, static_cast<std::size_t>(n) * sizeof(U));
      } else {
        for (Index i = 0; i < n; ++i) to[at + i] = source[i * stride];
      }
    });
  });
  return out;
}

/// target[view] += addend; no element of the view occurs twice.
inline void add_strided(Tensor& target, const StridedView& view, const Tensor& addend) {
  const RunPlan<1> plan = view.plan();
  visit_float("slice", target.dtype(), [&](auto zero) {
    using T = decltype(zero);
    T* to = target.mutable_data<T>() + view.offset;
    const T* from = addend.data<T>();
    const Index stride = plan.run_stride(0);
    for_each_run(plan, 2.0, [&](Index at, const std::array<Index, 1>& offset, Index n) {
      T* row = to + offset[0];
      if (stride == 1) {
        for (Index i = 0; i < n; ++i) row[i] += from[at + i];
      } else {
        for (Index i = 0; i < n; ++i) row[i * stride] += from[at + i];
      }
    });
  });
}

}  // namespace elman::detail
