// SPDX-License-Identifier: Apache-2.0
// elman/autograd/ops_reduce.hpp: sum, mean, prod, max, min, argmax, any, all, cumsum.
#pragma once

#include <cstdint>
#include <string>
#include <string_view>
#include <vector>

#include "elman/autograd/cast.hpp"
#include "elman/autograd/ops_binary.hpp"
#include "elman/autograd/reduce.hpp"
#include "elman/autograd/tape.hpp"

namespace elman {

/// The axes to reduce: none given means all of them.
struct Axes {
  bool all = true;
  std::vector<Index> list;

  Axes() = default;
  Axes(Index axis) : all(false), list{axis} {}  // one axis is the common case
  explicit Axes(std::vector<Index> axes) : all(false), list(std::move(axes)) {}
};

enum class Reduce : int { sum, mean, prod, max, min };

namespace detail {

constexpr const char* reduce_name(Reduce op) {
  constexpr const char* names[] = {"sum", "mean", "prod", "max", "min"};
  return names[static_cast<std::size_t>(op)];
}

/// Which axes of a shape are reduced.
/// Errors    std::out_of_range for a missing axis, std::invalid_argument for one given twice
inline std::vector<bool> reduced_axes(std::string_view where, const Shape& shape,
                                      const Axes& axes) {
  std::vector<bool> reduced(static_cast<std::size_t>(shape.rank()), axes.all);
  for (const Index axis : axes.list) {
    const auto i = static_cast<std::size_t>(shape.normal_axis(axis, where));
    if (reduced[i]) fail(where, "axis: axis " + std::to_string(axis) + " is given twice");
    reduced[i] = true;
  }
  return reduced;
}

inline Shape reduced_shape(const Shape& shape, const std::vector<bool>& reduced, bool keepdims) {
  Shape out;
  for (Index axis = 0; axis < shape.rank(); ++axis) {
    if (!reduced[static_cast<std::size_t>(axis)]) {
      out.push_back(shape[axis]);
    } else if (keepdims) {
      out.push_back(1);
    }
  }
  return out;
}

/// Calls step(shape now, outer, count, inner, shape after) for each group of neighbouring axes to
/// reduce, from the last to the first.
template <class F>
void for_each_group(const Shape& shape, const std::vector<bool>& reduced, F&& step) {
  Shape now = shape;
  for (Index end = shape.rank(); end > 0;) {
    Index begin = end;
    while (begin > 0 && reduced[static_cast<std::size_t>(begin - 1)]) --begin;
    if (begin == end) {
      --end;
      continue;
    }
    Shape after = now;
    for (Index k = begin; k < end; ++k) after[k] = 1;
    step(now.product(0, begin), now.product(begin, end), now.product(end, now.rank()), after);
    now = after;
    end = begin;
  }
}

template <class Op>
Tensor reduce_groups(const Tensor& x, const std::vector<bool>& reduced) {
  Tensor out = x;
  for_each_group(x.shape(), reduced,
                 [&](Index outer, Index count, Index inner, const Shape& after) {
                   Tensor next(after, x.dtype());
                   visit_number("sum", x.dtype(), [&](auto zero) {
                     using T = decltype(zero);
                     reduce_axis<Op>(out.data<T>(), next.mutable_data<T>(), outer, count, inner);
                   });
                   out = std::move(next);
                 });
  return out;
}

/// The reduced array with every axis kept; unrecorded.
inline Tensor reduce_kept(Reduce op, const Tensor& x, const std::vector<bool>& reduced) {
  switch (op) {
    case Reduce::prod:
      return reduce_groups<ProdOp>(x, reduced);
    case Reduce::max:
      return reduce_groups<MaxOp>(x, reduced);
    case Reduce::min:
      return reduce_groups<MinOp>(x, reduced);
    default:
      return reduce_groups<SumOp>(x, reduced);
  }
}

/// A gradient spread over the elements that were summed, times a factor.
inline Tensor spread(const Tensor& gradient, const Shape& shape, double factor) {
  Tensor out(shape, gradient.dtype());
  visit_float("sum", gradient.dtype(), [&](auto zero) {
    using T = decltype(zero);
    const T* from = gradient.data<T>();
    T* to = out.mutable_data<T>();
    const T f = static_cast<T>(factor);
    const auto plan = broadcast_plan<1>(shape, {&gradient.shape()});
    const Index stride = plan.run_stride(0);
    for_each_run(plan, 1.0, [&](Index at, const std::array<Index, 1>& offset, Index n) {
      const T* source = from + offset[0];
      if (stride == 0) {
        std::fill_n(to + at, n, *source * f);
      } else {
        for (Index i = 0; i < n; ++i) to[at + i] = source[i] * f;
      }
    });
  });
  return out;
}

/// An extreme passes its gradient to the elements that equal it, in equal shares.
inline Tensor extreme_gradient(const Tensor& x, const Tensor& kept, const Tensor& d_kept,
                               const std::vector<bool>& reduced) {
  Tensor hits(x.shape(), x.dtype());
  visit_float("max", x.dtype(), [&](auto zero) {
    using T = decltype(zero);
    const auto plan = broadcast_plan<1>(x.shape(), {&kept.shape()});
    const Index stride = plan.run_stride(0);
    const T* px = x.data<T>();
    const T* pk = kept.data<T>();
    T* to = hits.mutable_data<T>();
    for_each_run(plan, 2.0, [&](Index at, const std::array<Index, 1>& offset, Index n) {
      for (Index i = 0; i < n; ++i) to[at + i] = T(px[at + i] == pk[offset[0] + i * stride]);
    });
  });
  const Tensor count = reduce_groups<SumOp>(hits, reduced);
  return times(hits, apply_binary(Binary::divide, d_kept, count));
}

/// The product of all other elements of each row, by products from both ends: right with zeros too.
template <class T>
void others_product(const T* x, const T* dy, T* dx, Index outer, Index count, Index inner) {
  for (Index o = 0; o < outer; ++o) {
    for (Index i = 0; i < inner; ++i) {
      const T* row = x + o * count * inner + i;
      T* out = dx + o * count * inner + i;
      T product = dy[o * inner + i];
      for (Index c = 0; c < count; ++c) {
        out[c * inner] = product;
        product *= row[c * inner];
      }
      product = T(1);
      for (Index c = count; c-- > 0;) {
        out[c * inner] *= product;
        product *= row[c * inner];
      }
    }
  }
}

inline Tensor prod_gradient(const Tensor& x, const Tensor& d_kept,
                            const std::vector<bool>& reduced) {
  // Each group of axes multiplies the results of the group after it: the chain is kept on the way
  // forward and gone back through.
  std::vector<Tensor> values{x};
  struct Group {
    Index outer, count, inner;
  };
  std::vector<Group> groups;
  for_each_group(
      x.shape(), reduced, [&](Index outer, Index count, Index inner, const Shape& after) {
        Tensor next(after, x.dtype());
        visit_float("prod", x.dtype(), [&](auto zero) {
          using T = decltype(zero);
          reduce_axis<ProdOp>(values.back().data<T>(), next.mutable_data<T>(), outer, count, inner);
        });
        values.push_back(std::move(next));
        groups.push_back({outer, count, inner});
      });
  Tensor d = d_kept;
  for (std::size_t g = groups.size(); g-- > 0;) {
    Tensor dx(values[g].shape(), x.dtype());
    visit_float("prod", x.dtype(), [&](auto zero) {
      using T = decltype(zero);
      others_product(values[g].data<T>(), d.data<T>(), dx.mutable_data<T>(), groups[g].outer,
                     groups[g].count, groups[g].inner);
    });
    d = std::move(dx);
  }
  return d;
}

inline void record_reduce(Reduce op, const Tensor& x, const Tensor& kept, const Tensor& out,
                          std::vector<bool> reduced) {
  const Shape kept_shape = kept.shape();
  if (op == Reduce::sum || op == Reduce::mean) {
    const double count = static_cast<double>(x.size()) / static_cast<double>(out.size());
    const double factor = op == Reduce::mean ? 1 / count : 1;
    return record_into(reduce_name(op), {x}, {out},
                       [shape = x.shape(), kept_shape, factor](const auto& d, GradientSink& sink) {
                         sink.add(0, spread(d[0].view(kept_shape), shape, factor));
                       });
  }
  record_into(reduce_name(op), {x}, {out},
              [op, x, kept, reduced = std::move(reduced)](const auto& d, GradientSink& sink) {
                const Tensor d_kept = d[0].view(kept.shape());
                sink.add(0, op == Reduce::prod ? prod_gradient(x, d_kept, reduced)
                                               : extreme_gradient(x, kept, d_kept, reduced));
              });
}

}  // namespace detail

namespace ops {

/// Reduces the given axes. Bools count as int32, the mean of integers is float32; sums are
/// pairwise, in an order that does not depend on the number of threads. NaN wins in max and min.
/// Errors    std::invalid_argument for max or min of nothing, std::out_of_range for a missing axis
inline Tensor reduce(Reduce op, const Tensor& input, const Axes& axes = {}, bool keepdims = false) {
  const char* where = detail::reduce_name(op);
  const Tensor x = op == Reduce::mean              ? as_float(input)
                   : input.dtype() == DType::bool_ ? cast(input, DType::int32)
                                                   : input;
  const std::vector<bool> reduced = detail::reduced_axes(where, x.shape(), axes);
  const Shape shape = detail::reduced_shape(x.shape(), reduced, keepdims);
  if (x.size() == 0 && shape.size() > 0 && (op == Reduce::max || op == Reduce::min)) {
    fail(where, "x: " + x.shape().text() + " has no elements along the axis, so no extreme");
  }
  Tensor kept = detail::reduce_kept(op, x, reduced);
  if (op == Reduce::mean) {
    const double count = static_cast<double>(x.size()) / static_cast<double>(shape.size());
    kept = detail::apply_binary(Binary::divide, kept, detail::scalar_of(count, x.dtype()));
  }
  Tensor out = kept.view(shape);
  if (is_floating(x.dtype()) && recording({&x})) {
    detail::record_reduce(op, x, kept, out, reduced);
  }
  return out;
}

inline Tensor sum(const Tensor& x, const Axes& axes = {}, bool keepdims = false) {
  return reduce(Reduce::sum, x, axes, keepdims);
}
inline Tensor mean(const Tensor& x, const Axes& axes = {}, bool keepdims = false) {
  return reduce(Reduce::mean, x, axes, keepdims);
}
inline Tensor max(const Tensor& x, const Axes& axes = {}, bool keepdims = false) {
  return reduce(Reduce::max, x, axes, keepdims);
}
inline Tensor min(const Tensor& x, const Axes& axes = {}, bool keepdims = false) {
  return reduce(Reduce::min, x, axes, keepdims);
}

/// Whether any (all) elements are not zero.
inline Tensor any_all(bool all, const Tensor& x, const Axes& axes = {}, bool keepdims = false) {
  const NoRecording off;
  const Tensor truth = cast(cast(x, DType::bool_), DType::int32);
  // of nothing: any is false, all is true, which are the start values of sum and product.
  return cast(reduce(all ? Reduce::prod : Reduce::sum, truth, axes, keepdims), DType::bool_);
}

/// The position of the first largest (smallest) element along an axis, int64; a NaN wins.
/// Errors    std::invalid_argument for an axis without elements
inline Tensor arg_extreme(bool largest, const Tensor& input, Index axis, bool keepdims = false) {
  const char* where = largest ? "argmax" : "argmin";
  const NoRecording off;
  const Tensor x = input.dtype() == DType::bool_ ? cast(input, DType::int32) : input;
  const Index k = x.shape().normal_axis(axis, where);
  const Index outer = x.shape().product(0, k), count = x.shape()[k];
  const Index inner = x.shape().product(k + 1, x.ndim());
  if (count == 0) fail(where, "x: " + x.shape().text() + " has no elements along the axis");
  Shape shape = x.shape();
  shape[k] = 1;
  Tensor out(shape, DType::int64);
  std::int64_t* to = out.mutable_data<std::int64_t>();
  visit_number(where, x.dtype(), [&](auto zero) {
    using T = decltype(zero);
    const T* from = x.data<T>();
    detail::parallel(
        2.0 * static_cast<double>(x.size()), outer * inner, [=](Index begin, Index end) {
          for (Index u = begin; u < end; ++u) {
            const T* row = from + u / inner * count * inner + u % inner;
            Index best = 0;
            for (Index c = 1; c < count && row[best * inner] == row[best * inner]; ++c) {
              const T a = row[c * inner], b = row[best * inner];
              if ((largest ? a > b : a < b) || a != a) best = c;
            }
            to[u] = best;
          }
        });
  });
  if (!keepdims) shape.erase(k);
  return out.view(shape);
}

/// y[c] = x[0] + ... + x[c] along an axis.
inline Tensor cumsum(const Tensor& input, Index axis) {
  const Tensor x = input.dtype() == DType::bool_ ? cast(input, DType::int32) : input;
  const Index k = x.shape().normal_axis(axis, "cumsum");
  const Index outer = x.shape().product(0, k), count = x.shape()[k];
  const Index inner = x.shape().product(k + 1, x.ndim());
  const auto scan = [=](const Tensor& from, bool reverse) {
    Tensor out(from.shape(), from.dtype());
    visit_number("cumsum", from.dtype(), [&](auto zero) {
      using T = decltype(zero);
      const T* source = from.data<T>();
      T* target = out.mutable_data<T>();
      for (Index o = 0; o < outer; ++o) {
        for (Index c = 0; c < count; ++c) {
          const Index row = (o * count + (reverse ? count - 1 - c : c)) * inner;
          const Index before = row + (reverse ? inner : -inner);
          for (Index i = 0; i < inner; ++i) {
            target[row + i] = c == 0 ? source[row + i]
                                     : detail::SumOp::apply<T>(target[before + i], source[row + i]);
          }
        }
      }
    });
    return out;
  };
  Tensor out = scan(x, false);
  if (is_floating(x.dtype()) && recording({&x})) {
    record_into("cumsum", {x}, {out},
                [scan](const auto& d, GradientSink& sink) { sink.add(0, scan(d[0], true)); });
  }
  return out;
}

}  // namespace ops
}  // namespace elman
