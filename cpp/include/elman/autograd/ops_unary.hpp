// SPDX-License-Identifier: Apache-2.0
// elman/autograd/ops_unary.hpp: functions of one tensor, element by element.
#pragma once

#include <Eigen/Core>
#include <algorithm>
#include <cmath>
#include <type_traits>

#include "elman/autograd/cast.hpp"
#include "elman/autograd/parallel.hpp"
#include "elman/autograd/tape.hpp"
#include "elman/kernels/activation.hpp"

namespace elman {

enum class Unary : int {
  negative,
  abs,
  square,
  sign,  // integers stay integers
  floor,
  ceil,
  round,  // piecewise constant: no gradient
  exp,
  expm1,
  log,
  log1p,
  sqrt,
  rsqrt,
  reciprocal,
  sin,
  cos
};

namespace detail {

constexpr const char* unary_name(Unary op) {
  constexpr const char* names[] = {"negative", "abs",        "square", "sign", "floor", "ceil",
                                   "round",    "exp",        "expm1",  "log",  "log1p", "sqrt",
                                   "rsqrt",    "reciprocal", "sin",    "cos"};
  return names[static_cast<std::size_t>(op)];
}

/// Whether the derivative is computed from the result; otherwise from the argument.
constexpr bool slope_from_result(Unary op) {
  return op == Unary::exp || op == Unary::expm1 || op == Unary::sqrt || op == Unary::rsqrt ||
         op == Unary::reciprocal;
}
constexpr bool piecewise_constant(Unary op) {
  return op == Unary::floor || op == Unary::ceil || op == Unary::round || op == Unary::sign;
}

template <class T, class F>
void map_run(const T* x, T* __restrict y, Index n, F f) {
  for (Index i = 0; i < n; ++i) y[i] = f(x[i]);
}

template <class T>
T sign_of(T x) {
  return x > T(0) ? T(1) : x < T(0) ? T(-1) : x;  // keeps 0, -0 and NaN
}

template <class T>
void unary_integer(Unary op, const T* x, T* y, Index n) {
  using U = std::make_unsigned_t<T>;
  const auto wrap_negate = [](T v) { return static_cast<T>(U(0) - static_cast<U>(v)); };
  switch (op) {
    case Unary::negative:
      return map_run(x, y, n, wrap_negate);
    case Unary::abs:
      return map_run(x, y, n, [=](T v) { return v < 0 ? wrap_negate(v) : v; });
    case Unary::square:
      return map_run(x, y, n,
                     [](T v) { return static_cast<T>(static_cast<U>(v) * static_cast<U>(v)); });
    case Unary::sign:
      return map_run(x, y, n, sign_of<T>);
    default:
      std::copy_n(x, n, y);  // floor, ceil, round
  }
}

template <class T>
void unary_float(Unary op, const T* x, T* y, Index n) {
  using Array = Eigen::Array<T, Eigen::Dynamic, 1>;
  const Eigen::Map<const Array> in(x, n);
  Eigen::Map<Array> out(y, n);
  switch (op) {
    case Unary::negative:
      return map_run(x, y, n, [](T v) { return -v; });
    case Unary::abs:
      return map_run(x, y, n, [](T v) { return std::abs(v); });
    case Unary::square:
      return map_run(x, y, n, [](T v) { return v * v; });
    case Unary::sign:
      return map_run(x, y, n, sign_of<T>);
    case Unary::floor:
      return map_run(x, y, n, [](T v) { return std::floor(v); });
    case Unary::ceil:
      return map_run(x, y, n, [](T v) { return std::ceil(v); });
    case Unary::round:
      return map_run(x, y, n, [](T v) { return std::nearbyint(v); });
    case Unary::exp:
      return activate(Activation::exponential, x, y, n);
    case Unary::log:
      out = in.log();
      return;
    case Unary::expm1:
      return map_run(x, y, n, [](T v) { return std::expm1(v); });
    case Unary::log1p:
      return map_run(x, y, n, [](T v) { return std::log1p(v); });
    case Unary::sqrt:
      return map_run(x, y, n, [](T v) { return std::sqrt(v); });
    case Unary::rsqrt:
      return map_run(x, y, n, [](T v) { return T(1) / std::sqrt(v); });
    case Unary::reciprocal:
      return map_run(x, y, n, [](T v) { return T(1) / v; });
    case Unary::sin:
      return map_run(x, y, n, [](T v) { return std::sin(v); });
    case Unary::cos:
      return map_run(x, y, n, [](T v) { return std::cos(v); });
  }
}

template <class T, class F>
void slope_run(const T* s, const T* dy, T* __restrict dx, Index n, F f) {
  for (Index i = 0; i < n; ++i) dx[i] = dy[i] * f(s[i]);
}

/// dx = dy f'(x), with s the result or the argument of f (slope_from_result).
template <class T>
void unary_slope(Unary op, const T* s, const T* dy, T* dx, Index n) {
  switch (op) {
    case Unary::negative:
      return slope_run(s, dy, dx, n, [](T) { return T(-1); });
    case Unary::abs:
      return slope_run(s, dy, dx, n, sign_of<T>);
    case Unary::square:
      return slope_run(s, dy, dx, n, [](T x) { return T(2) * x; });
    case Unary::exp:
      return slope_run(s, dy, dx, n, [](T y) { return y; });
    case Unary::expm1:
      return slope_run(s, dy, dx, n, [](T y) { return y + T(1); });
    case Unary::log:
      return slope_run(s, dy, dx, n, [](T x) { return T(1) / x; });
    case Unary::log1p:
      return slope_run(s, dy, dx, n, [](T x) { return T(1) / (T(1) + x); });
    case Unary::sqrt:
      return slope_run(s, dy, dx, n, [](T y) { return T(0.5) / y; });
    case Unary::rsqrt:
      return slope_run(s, dy, dx, n, [](T y) { return T(-0.5) * y * y * y; });
    case Unary::reciprocal:
      return slope_run(s, dy, dx, n, [](T y) { return -y * y; });
    case Unary::sin:
      return slope_run(s, dy, dx, n, [](T x) { return std::cos(x); });
    case Unary::cos:
      return slope_run(s, dy, dx, n, [](T x) { return -std::sin(x); });
    default:
      std::fill_n(dx, n, T(0));
  }
}

constexpr double unary_cost(Unary op) {
  const bool slow =
      op == Unary::expm1 || op == Unary::log1p || op == Unary::sin || op == Unary::cos;
  return slow ? 40.0 : op == Unary::exp || op == Unary::log ? 8.0 : 2.0;
}

}  // namespace detail

namespace ops {

/// y = op(x). Integers and bools become float32 where the result is not an integer.
/// Errors    none: outside of its domain a function gives NaN or an infinity (IEEE 754)
inline Tensor unary(Unary op, const Tensor& input) {
  const bool real = is_floating(input.dtype()) || op > Unary::round;
  const Tensor x = real ? as_float(input) : cast(input, promote(input.dtype(), DType::int32));
  Tensor y(x.shape(), x.dtype());
  visit_number(detail::unary_name(op), x.dtype(), [&](auto zero) {
    using T = decltype(zero);
    const T* from = x.data<T>();
    T* to = y.mutable_data<T>();
    const auto size = static_cast<double>(x.size());
    detail::parallel(detail::unary_cost(op) * size, x.size(), [=](Index begin, Index end) {
      if constexpr (std::is_floating_point_v<T>) {
        detail::unary_float(op, from + begin, to + begin, end - begin);
      } else {
        detail::unary_integer(op, from + begin, to + begin, end - begin);
      }
    });
  });
  if (!is_floating(x.dtype()) || detail::piecewise_constant(op) || !recording({&x})) return y;
  record_into(detail::unary_name(op), {x}, {y},
              [op, s = detail::slope_from_result(op) ? y : x](const auto& d, GradientSink& sink) {
                Tensor dx(s.shape(), s.dtype());
                visit_float(detail::unary_name(op), s.dtype(), [&](auto zero) {
                  using T = decltype(zero);
                  const T* saved = s.template data<T>();
                  const T* dy = d[0].template data<T>();
                  T* to = dx.mutable_data<T>();
                  const double cost = detail::unary_cost(op) * static_cast<double>(s.size());
                  detail::parallel(cost, s.size(), [=](Index begin, Index end) {
                    detail::unary_slope(op, saved + begin, dy + begin, to + begin, end - begin);
                  });
                });
                sink.add(0, std::move(dx));
              });
  return y;
}

inline Tensor negative(const Tensor& x) { return unary(Unary::negative, x); }
inline Tensor abs(const Tensor& x) { return unary(Unary::abs, x); }
inline Tensor square(const Tensor& x) { return unary(Unary::square, x); }
inline Tensor exp(const Tensor& x) { return unary(Unary::exp, x); }
inline Tensor log(const Tensor& x) { return unary(Unary::log, x); }
inline Tensor sqrt(const Tensor& x) { return unary(Unary::sqrt, x); }

/// y = min(max(x, low), high); NaN stays NaN, the gradient passes where low <= x <= high.
inline Tensor clip(const Tensor& input, double low, double high) {
  const Tensor x = as_float(input);
  Tensor y(x.shape(), x.dtype());
  visit_float("clip", x.dtype(), [&](auto zero) {
    using T = decltype(zero);
    const T* from = x.data<T>();
    T* to = y.mutable_data<T>();
    const T lo = static_cast<T>(low), hi = static_cast<T>(high);
    detail::parallel(2.0 * static_cast<double>(x.size()), x.size(), [=](Index begin, Index end) {
      detail::map_run(from + begin, to + begin, end - begin, [=](T v) {
        const T up = v < lo ? lo : v;
        return up > hi ? hi : up;
      });
    });
  });
  if (!recording({&x})) return y;
  record_into("clip", {x}, {y}, [x, low, high](const auto& d, GradientSink& sink) {
    Tensor dx(x.shape(), x.dtype());
    visit_float("clip", x.dtype(), [&](auto zero) {
      using T = decltype(zero);
      const T lo = static_cast<T>(low), hi = static_cast<T>(high);
      const T* dy = d[0].template data<T>();
      const T* from = x.template data<T>();
      T* to = dx.mutable_data<T>();
      for (Index i = 0; i < x.size(); ++i) {
        to[i] = from[i] >= lo && from[i] <= hi ? dy[i] : T(0);
      }
    });
    sink.add(0, std::move(dx));
  });
  return y;
}

/// y = a(x) for every activation of kernels/activation.hpp. x: a real tensor or integers.
inline Tensor activation(Activation kind, const Tensor& input) {
  const Tensor x = as_float(input);
  if (kind == Activation::linear) return x;
  Tensor y(x.shape(), x.dtype());
  constexpr double kCost = 10.0;
  visit_float("activation", x.dtype(), [&](auto zero) {
    using T = decltype(zero);
    const T* from = x.data<T>();
    T* to = y.mutable_data<T>();
    detail::parallel(kCost * static_cast<double>(x.size()), x.size(), [=](Index begin, Index end) {
      elman::activate(kind, from + begin, to + begin, end - begin);
    });
  });
  if (!recording({&x})) return y;
  record_into(
      "activation", {x}, {y},
      [kind, s = kernels::derivative_from_output(kind) ? y : x](const auto& d, GradientSink& sink) {
        Tensor dx(s.shape(), s.dtype());
        visit_float("activation", s.dtype(), [&](auto zero) {
          using T = decltype(zero);
          const T* saved = s.template data<T>();
          const T* dy = d[0].template data<T>();
          T* to = dx.mutable_data<T>();
          detail::parallel(kCost * static_cast<double>(s.size()), s.size(),
                           [=](Index begin, Index end) {
                             elman::activate_backward(kind, saved + begin, saved + begin,
                                                      dy + begin, to + begin, end - begin);
                           });
        });
        sink.add(0, std::move(dx));
      });
  return y;
}

/// True where x is not a number (isnan) or neither infinite nor NaN (isfinite).
inline Tensor classify(bool finite, const Tensor& x) {
  Tensor y(x.shape(), DType::bool_);
  bool* to = y.mutable_data<bool>();
  if (!is_floating(x.dtype())) {
    std::fill_n(to, y.size(), finite);
    return y;
  }
  visit_float("isnan", x.dtype(), [&](auto zero) {
    using T = decltype(zero);
    const T* from = x.data<T>();
    for (Index i = 0; i < x.size(); ++i) {
      to[i] = finite ? std::isfinite(from[i]) : std::isnan(from[i]);
    }
  });
  return y;
}

}  // namespace ops
}  // namespace elman
