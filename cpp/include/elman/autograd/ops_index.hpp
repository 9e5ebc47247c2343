// SPDX-License-Identifier: Apache-2.0
// elman/autograd/ops_index.hpp: elements picked by position or by number, one-hot rows, where.
#pragma once

#include <cmath>
#include <cstdint>
#include <string>
#include <string_view>
#include <vector>

#include "elman/autograd/cast.hpp"
#include "elman/autograd/ops_binary.hpp"
#include "elman/autograd/ops_shape.hpp"
#include "elman/autograd/strided.hpp"
#include "elman/autograd/tape.hpp"
#include "elman/layers/embedding.hpp"

namespace elman {

/// One axis of a basic index: `count` elements from `start` on; a dropped axis had one number.
struct AxisPick {
  Index start = 0, step = 1, count = 0;
  bool drop = false;
};

namespace detail {

/// Numbers of rows as int64: integers, or real numbers that are whole.
/// Errors    std::invalid_argument for NaN, infinities and fractions, with value and position
inline Tensor as_ids(std::string_view where, const Tensor& ids) {
  if (ids.dtype() == DType::int64) return ids;
  if (ids.dtype() == DType::bool_) {
    fail(where, "ids: expected integers, got bool");
  }
  if (is_floating(ids.dtype())) {
    visit_float(where, ids.dtype(), [&](auto zero) {
      using T = decltype(zero);
      const T* from = ids.data<T>();
      for (Index i = 0; i < ids.size(); ++i) {
        if (std::isfinite(from[i]) && from[i] == std::floor(from[i])) continue;
        fail(where, "ids: expected whole numbers, got " + std::to_string(from[i]) +
                        " at position " + position_text(ids.shape(), i));
      }
    });
  }
  return converted(ids, DType::int64);
}

}  // namespace detail

namespace ops {

/// Basic indexing, one pick per axis; `shape` is the result without dropped axes, with new ones of
/// size 1 where the caller wants them. Contiguous parts are views.
inline Tensor pick(const Tensor& x, const std::vector<AxisPick>& picks, const Shape& shape) {
  detail::StridedView view = detail::whole(x.shape());
  for (std::size_t i = 0; i < picks.size(); ++i) {
    view.shape[static_cast<Index>(i)] = picks[i].count;
    // An empty pick may start past the end: its offset is not used.
    if (picks[i].count > 0) view.offset += picks[i].start * view.strides[i];
    view.strides[i] *= picks[i].step;
  }
  return detail::viewed("getitem", x, view, shape);
}

/// out = x[..., ids, ...] along an axis.
/// Shapes    x [A.., R, B..]  ids [I..]  ->  out [A.., I.., B..]
/// Errors    std::out_of_range for an id outside of [0, R)
inline Tensor gather(const Tensor& x, const Tensor& ids_in, Index axis = 0,
                     const char* where = "gather") {
  const Index k = x.shape().normal_axis(axis, where);
  const Tensor ids = detail::as_ids(where, ids_in);
  const Index outer = x.shape().product(0, k), rows = x.shape()[k];
  const Index inner = x.shape().product(k + 1, x.ndim()), n = ids.size();
  const std::int64_t* numbers = ids.data<std::int64_t>();
  check_ids(where, numbers, ids.shape(), rows);
  Shape shape(x.shape().begin(), x.shape().begin() + k);
  for (const Index dim : ids.shape()) shape.push_back(dim);
  for (Index i = k + 1; i < x.ndim(); ++i) shape.push_back(x.shape()[i]);
  Tensor out(shape, x.dtype());
  visit_width(x.dtype(), [&](auto zero) {
    using U = decltype(zero);
    const U* from = static_cast<const U*>(x.raw());
    U* to = static_cast<U*>(out.mutable_raw());
    for (Index o = 0; o < outer; ++o) {
      gather_rows(from + o * rows * inner, inner, numbers, n, to + o * n * inner);
    }
  });
  if (!recording({&x})) return out;
  record_into(where, {x}, {out}, [ids, outer, rows, inner, n](const auto& d, GradientSink& sink) {
    Tensor& dx = sink.buffer(0);
    visit_float("gather", dx.dtype(), [&](auto zero) {
      using T = decltype(zero);
      for (Index o = 0; o < outer; ++o) {
        scatter_add_rows(d[0].template data<T>() + o * n * inner, inner,
                         ids.template data<std::int64_t>(), n,
                         dx.mutable_data<T>() + o * rows * inner);
      }
    });
  });
  return out;
}

/// Rows of zeros with a 1 at the id; an id outside of [0, depth) gives zeros only, as in Keras.
inline Tensor one_hot(const Tensor& ids_in, Index depth, DType dtype = DType::float32) {
  if (depth < 0) fail("one_hot", "num_classes: expected >= 0, got " + std::to_string(depth));
  const Tensor ids = detail::as_ids("one_hot", ids_in);
  Shape shape = ids.shape();
  shape.push_back(depth);
  Tensor out = Tensor::zeros(shape, dtype);
  const std::int64_t* numbers = ids.data<std::int64_t>();
  visit_any(dtype, [&](auto zero) {
    using T = decltype(zero);
    T* to = out.mutable_data<T>();
    for (Index i = 0; i < ids.size(); ++i) {
      if (numbers[i] >= 0 && numbers[i] < depth) to[i * depth + numbers[i]] = T(1);
    }
  });
  return out;
}

}  // namespace ops

namespace detail {

/// Unrecorded; `yes` and `no` have one element type.
inline Tensor select(const Tensor& condition, const Tensor& yes, const Tensor& no) {
  Shape shape = broadcast_shapes("where", yes.shape(), no.shape());
  shape = broadcast_shapes("where", condition.shape(), shape);
  Tensor out(shape, yes.dtype());
  const auto plan = broadcast_plan<3>(shape, {&condition.shape(), &yes.shape(), &no.shape()});
  const bool* test = condition.data<bool>();
  const Index st = plan.run_stride(0), sy = plan.run_stride(1), sn = plan.run_stride(2);
  visit_width(yes.dtype(), [&](auto zero) {
    using U = decltype(zero);
    const U* a = static_cast<const U*>(yes.raw());
    const U* b = static_cast<const U*>(no.raw());
    U* to = static_cast<U*>(out.mutable_raw());
    for_each_run(plan, 2.0, [&](Index at, const std::array<Index, 3>& from, Index n) {
      for (Index i = 0; i < n; ++i) {
        to[at + i] = test[from[0] + i * st] ? a[from[1] + i * sy] : b[from[2] + i * sn];
      }
    });
  });
  return out;
}

}  // namespace detail

namespace ops {

/// condition ? a : b, element by element, all three broadcast.
inline Tensor where(const Tensor& condition_in, const Tensor& a, const Tensor& b) {
  const DType dtype = promote(a.dtype(), b.dtype());
  const Tensor x = cast(a, dtype), y = cast(b, dtype);
  const Tensor condition = cast(condition_in, DType::bool_);
  Tensor out = detail::select(condition, x, y);
  if (!recording({&x, &y})) return out;
  record_into("where", {x, y}, {out},
              [condition, sa = x.shape(), sb = y.shape()](const auto& d, GradientSink& sink) {
                const Tensor zero = detail::scalar_of(0, d[0].dtype());
                if (sink.needed(0)) {
                  sink.add(0, detail::sum_to(detail::select(condition, d[0], zero), sa));
                }
                if (sink.needed(1)) {
                  sink.add(1, detail::sum_to(detail::select(condition, zero, d[0]), sb));
                }
              });
  return out;
}

enum class Logical : int { and_, or_, xor_ };

/// Elements are true where they are not zero.
inline Tensor logical(Logical op, const Tensor& a, const Tensor& b) {
  const NoRecording off;
  const Tensor x = cast(a, DType::bool_), y = cast(b, DType::bool_);
  Tensor out(detail::broadcast_shapes("logical", x.shape(), y.shape()), DType::bool_);
  detail::BinaryRun run = detail::run_strided<bool, bool, [](bool p, bool q) { return p && q; }>;
  if (op == Logical::or_) {
    run = detail::run_strided<bool, bool, [](bool p, bool q) { return p || q; }>;
  } else if (op == Logical::xor_) {
    run = detail::run_strided<bool, bool, [](bool p, bool q) { return p != q; }>;
  }
  detail::run_broadcast(run, x, y, out, 2.0);
  return out;
}

inline Tensor logical_not(const Tensor& x) {
  return compare(Compare::equal, cast(x, DType::bool_), detail::scalar_of(0, DType::bool_));
}

}  // namespace ops
}  // namespace elman
