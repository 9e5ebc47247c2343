// SPDX-License-Identifier: Apache-2.0
// elman/autograd/ops_binary.hpp: arithmetic and comparisons of two tensors, with broadcasting.
#pragma once

#include <string_view>
#include <utility>

#include "elman/autograd/cast.hpp"
#include "elman/autograd/elementwise.hpp"
#include "elman/autograd/reduce.hpp"
#include "elman/autograd/tape.hpp"

namespace elman {
namespace detail {

constexpr const char* binary_name(Binary op) {
  constexpr const char* names[] = {"add", "subtract", "multiply", "divide",  "floor_divide",
                                   "mod", "power",    "maximum",  "minimum", "above_share"};
  return names[static_cast<std::size_t>(op)];
}
constexpr const char* compare_name(Compare op) {
  constexpr const char* names[] = {"equal",      "not_equal", "less",
                                   "less_equal", "greater",   "greater_equal"};
  return names[static_cast<std::size_t>(op)];
}

/// Unrecorded; a and b have one element type, not bool.
inline Tensor apply_binary(Binary op, const Tensor& a, const Tensor& b) {
  Tensor out(broadcast_shapes(binary_name(op), a.shape(), b.shape()), a.dtype());
  const BinaryRun run = visit_number(binary_name(op), a.dtype(),
                                     [&](auto zero) { return find_binary<decltype(zero)>(op); });
  // pow, fmod: tens of nanoseconds each; the others move 12 bytes per element.
  const bool slow = op == Binary::power || op == Binary::mod || op == Binary::floor_divide;
  run_broadcast(run, a, b, out, slow ? 40.0 : 2.0);
  return out;
}

/// Sums a gradient over the axes along which an operand of that shape was broadcast.
inline Tensor sum_to(Tensor gradient, const Shape& shape) {
  if (gradient.shape() == shape) return gradient;
  return visit_float("gradient", gradient.dtype(), [&](auto zero) {
    using T = decltype(zero);
    // From the last axis to the first: each pass leaves a smaller array.
    Shape now = gradient.shape();
    const Index extra = now.rank() - shape.rank();
    for (Index axis = now.rank(); axis > 0;) {
      const auto broadcast = [&](Index k) {
        return now[k] != 1 && (k < extra || shape[k - extra] == 1);
      };
      if (!broadcast(axis - 1)) {
        --axis;
        continue;
      }
      const Index end = axis;
      while (axis > 0 && broadcast(axis - 1)) --axis;
      const Index outer = now.product(0, axis), inner = now.product(end, now.rank());
      const Index count = now.product(axis, end);
      Shape reduced = now;
      for (Index k = axis; k < end; ++k) reduced[k] = 1;
      Tensor sum(reduced, gradient.dtype());
      reduce_axis<SumOp>(gradient.data<T>(), sum.mutable_data<T>(), outer, count, inner);
      gradient = std::move(sum);
      now = reduced;
    }
    return gradient.view(shape);
  });
}

inline Tensor scalar_of(double value, DType dtype) {
  Tensor out(Shape{}, dtype);
  visit_any(dtype, [&](auto zero) {
    using T = decltype(zero);
    *out.mutable_data<T>() = convert_element<T>(value);
  });
  return out;
}

inline Tensor times(const Tensor& a, const Tensor& b) {
  return apply_binary(Binary::multiply, a, b);
}
inline Tensor scaled(const Tensor& a, double factor) {
  return times(a, scalar_of(factor, a.dtype()));
}

/// d x^y / dx = y x^(y-1) and d x^y / dy = x^y log x, which is 0 where x = 0 and y >= 0.
inline void power_backward(const Tensor& a, const Tensor& b, const Tensor& out, const Tensor& dy,
                           GradientSink& sink) {
  if (sink.needed(0)) {
    const Tensor less = apply_binary(Binary::subtract, b, scalar_of(1, b.dtype()));
    // y = 0 makes a constant: its slope is 0 also at x = 0, where 0 * x^-1 would be NaN.
    Tensor slope = times(b, apply_binary(Binary::power, a, less));
    visit_float("power", slope.dtype(), [&](auto zero) {
      using T = decltype(zero);
      const auto plan = broadcast_plan<1>(slope.shape(), {&b.shape()});
      const T* pb = b.data<T>();
      T* ps = slope.mutable_data<T>();
      const Index stride = plan.run_stride(0);
      for_each_run(plan, 2.0, [&](Index at, const std::array<Index, 1>& from, Index n) {
        for (Index i = 0; i < n; ++i) {
          if (pb[from[0] + i * stride] == T(0)) ps[at + i] = T(0);
        }
      });
    });
    sink.add(0, sum_to(times(dy, slope), a.shape()));
  }
  if (sink.needed(1)) {
    Tensor log_a(a.shape(), a.dtype());
    visit_float("power", a.dtype(), [&](auto zero) {
      using T = decltype(zero);
      const T* from = a.data<T>();
      T* to = log_a.mutable_data<T>();
      for (Index i = 0; i < a.size(); ++i) to[i] = from[i] == T(0) ? T(0) : std::log(from[i]);
    });
    sink.add(1, sum_to(times(dy, times(out, log_a)), b.shape()));
  }
}

inline void binary_backward(Binary op, const Tensor& a, const Tensor& b, const Tensor& out,
                            const Tensor& dy, GradientSink& sink) {
  switch (op) {
    case Binary::multiply:
      if (sink.needed(0)) sink.add(0, sum_to(times(dy, b), a.shape()));
      if (sink.needed(1)) sink.add(1, sum_to(times(dy, a), b.shape()));
      return;
    case Binary::divide: {
      const Tensor da = apply_binary(Binary::divide, dy, b);
      sink.add(0, sum_to(da, a.shape()));
      if (sink.needed(1)) sink.add(1, scaled(sum_to(times(da, out), b.shape()), -1));
      return;
    }
    case Binary::mod:
      sink.add(0, sum_to(dy, a.shape()));
      if (sink.needed(1)) {
        const Tensor floor = apply_binary(Binary::floor_divide, a, b);
        sink.add(1, scaled(sum_to(times(dy, floor), b.shape()), -1));
      }
      return;
    case Binary::maximum:
    case Binary::minimum: {
      const bool max = op == Binary::maximum;
      if (sink.needed(0)) {
        const Tensor share = apply_binary(Binary::above_share, max ? a : b, max ? b : a);
        sink.add(0, sum_to(times(dy, share), a.shape()));
      }
      if (sink.needed(1)) {
        const Tensor share = apply_binary(Binary::above_share, max ? b : a, max ? a : b);
        sink.add(1, sum_to(times(dy, share), b.shape()));
      }
      return;
    }
    default:
      return power_backward(a, b, out, dy, sink);
  }
}

inline void record_binary(Binary op, const Tensor& a, const Tensor& b, const Tensor& out) {
  if (op == Binary::add || op == Binary::subtract) {
    const double sign = op == Binary::add ? 1 : -1;
    return record_into(binary_name(op), {a, b}, {out},
                       [sa = a.shape(), sb = b.shape(), sign](const auto& d, GradientSink& sink) {
                         if (sink.needed(0)) sink.add(0, sum_to(d[0], sa));
                         if (!sink.needed(1)) return;
                         const Tensor db = sum_to(d[0], sb);
                         sink.add(1, sign > 0 ? db : scaled(db, -1));
                       });
  }
  // A product needs the other factor only; divisions and powers their result as well.
  const bool keep_out = op == Binary::divide || op == Binary::power;
  record_into(binary_name(op), {a, b}, {out},
              [op, a, b, out = keep_out ? out : Tensor()](const auto& d, GradientSink& sink) {
                binary_backward(op, a, b, out, d[0], sink);
              });
}

}  // namespace detail

namespace ops {

/// op(a, b) with numpy broadcasting in the promoted element type. Division of integers gives
/// float32, bools count as int32; x / 0 and NaN follow IEEE 754.
/// Errors    std::invalid_argument when the shapes do not broadcast
inline Tensor binary(Binary op, const Tensor& a, const Tensor& b) {
  DType dtype = promote(a.dtype(), b.dtype());
  if (op == Binary::divide && !is_floating(dtype)) dtype = DType::float32;
  if (dtype == DType::bool_) dtype = DType::int32;
  const Tensor x = cast(a, dtype), y = cast(b, dtype);
  Tensor out = detail::apply_binary(op, x, y);
  // floor_divide is piecewise constant: its gradient is zero wherever it exists.
  if (op != Binary::floor_divide && is_floating(dtype) && recording({&x, &y})) {
    detail::record_binary(op, x, y, out);
  }
  return out;
}

inline Tensor add(const Tensor& a, const Tensor& b) { return binary(Binary::add, a, b); }
inline Tensor subtract(const Tensor& a, const Tensor& b) { return binary(Binary::subtract, a, b); }
inline Tensor multiply(const Tensor& a, const Tensor& b) { return binary(Binary::multiply, a, b); }
inline Tensor divide(const Tensor& a, const Tensor& b) { return binary(Binary::divide, a, b); }
inline Tensor power(const Tensor& a, const Tensor& b) { return binary(Binary::power, a, b); }
inline Tensor mod(const Tensor& a, const Tensor& b) { return binary(Binary::mod, a, b); }
inline Tensor floor_divide(const Tensor& a, const Tensor& b) {
  return binary(Binary::floor_divide, a, b);
}
inline Tensor maximum(const Tensor& a, const Tensor& b) { return binary(Binary::maximum, a, b); }
inline Tensor minimum(const Tensor& a, const Tensor& b) { return binary(Binary::minimum, a, b); }

/// Elementwise comparison, bool; comparisons with NaN are false, except not_equal.
inline Tensor compare(Compare op, const Tensor& a, const Tensor& b) {
  const Shape shape = detail::broadcast_shapes(detail::compare_name(op), a.shape(), b.shape());
  if (op == Compare::greater) return compare(Compare::less, b, a);
  if (op == Compare::greater_equal) return compare(Compare::less_equal, b, a);
  DType dtype = promote(a.dtype(), b.dtype());
  if (dtype == DType::bool_) dtype = DType::int32;
  const NoRecording off;
  const Tensor x = cast(a, dtype), y = cast(b, dtype);
  Tensor out(shape, DType::bool_);
  const detail::BinaryRun run = visit_number(detail::compare_name(op), dtype, [&](auto zero) {
    return detail::find_compare<decltype(zero)>(op);
  });
  detail::run_broadcast(run, x, y, out, 2.0);
  return out;
}

}  // namespace ops

inline Tensor operator+(const Tensor& a, const Tensor& b) { return ops::add(a, b); }
inline Tensor operator-(const Tensor& a, const Tensor& b) { return ops::subtract(a, b); }
inline Tensor operator*(const Tensor& a, const Tensor& b) { return ops::multiply(a, b); }
inline Tensor operator/(const Tensor& a, const Tensor& b) { return ops::divide(a, b); }
inline Tensor operator+(const Tensor& a, double b) {
  return ops::add(a, detail::scalar_of(b, a.dtype()));
}
inline Tensor operator-(const Tensor& a, double b) {
  return ops::subtract(a, detail::scalar_of(b, a.dtype()));
}
inline Tensor operator*(const Tensor& a, double b) {
  return ops::multiply(a, detail::scalar_of(b, a.dtype()));
}
inline Tensor operator/(const Tensor& a, double b) {
  return ops::divide(a, detail::scalar_of(b, a.dtype()));
}
inline Tensor operator-(double a, const Tensor& b) {
  return ops::subtract(detail::scalar_of(a, b.dtype()), b);
}
inline Tensor operator*(double a, const Tensor& b) { return b * a; }

}  // namespace elman
