// SPDX-License-Identifier: Apache-2.0
// elman/autograd/elementwise.hpp: loops of the binary operations, one pass each, no temporaries.
#pragma once

#include <cmath>
#include <cstdint>
#include <limits>
#include <string_view>
#include <type_traits>

#include "elman/autograd/broadcast.hpp"
#include "elman/autograd/dispatch.hpp"
#include "elman/autograd/tensor.hpp"

namespace elman {

enum class Binary : int {
  add,
  subtract,
  multiply,
  divide,
  floor_divide,
  mod,
  power,
  maximum,
  minimum,
  above_share  // 1 where a > b, 1/2 where equal, else 0: how maximum and minimum split a gradient
};

enum class Compare : int { equal, not_equal, less, less_equal, greater, greater_equal };

namespace detail {

/// out[i] = op(a[i sa], b[i sb]) for i < n; sa and sb are 0 or 1; out aliases neither.
using BinaryRun = void (*)(const void* a, Index sa, const void* b, Index sb, void* out, Index n);

/// For integers and slow functions: one loop for all strides, to keep the code small.
template <class T, class R, auto Op>
void run_strided(const void* va, Index sa, const void* vb, Index sb, void* vout, Index n) {
  const T* a = static_cast<const T*>(va);
  const T* b = static_cast<const T*>(vb);
  R* out = static_cast<R*>(vout);
  for (Index i = 0; i < n; ++i) out[i] = Op(a[i * sa], b[i * sb]);
}

template <class T, class R, auto Op>
void run_binary(const void* va, Index sa, const void* vb, Index sb, void* vout, Index n) {
  const T* a = static_cast<const T*>(va);
  const T* b = static_cast<const T*>(vb);
  R* __restrict out = static_cast<R*>(vout);
  if (sa != 0 && sb != 0) {
    for (Index i = 0; i < n; ++i) out[i] = Op(a[i], b[i]);
  } else if (sb != 0) {
    const T left = *a;
    for (Index i = 0; i < n; ++i) out[i] = Op(left, b[i]);
  } else {
    const T right = *b;
    for (Index i = 0; i < n; ++i) out[i] = Op(sa != 0 ? a[i] : *a, right);
  }
}

// Integers wrap like numpy's; x / 0 and the one overflowing division give 0 instead of a trap.
template <class T>
constexpr T wrap_add(T a, T b) {
  using U = std::make_unsigned_t<T>;
  return static_cast<T>(static_cast<U>(a) + static_cast<U>(b));
}
template <class T>
constexpr T wrap_subtract(T a, T b) {
  using U = std::make_unsigned_t<T>;
  return static_cast<T>(static_cast<U>(a) - static_cast<U>(b));
}
template <class T>
constexpr T wrap_multiply(T a, T b) {
  using U = std::make_unsigned_t<T>;
  return static_cast<T>(static_cast<U>(a) * static_cast<U>(b));
}
/// Rounds towards minus infinity, as Python does.
template <class T>
constexpr T floor_quotient(T a, T b) {
  if (b == 0) return 0;
  if (b == -1) return wrap_subtract(T(0), a);
  const T q = static_cast<T>(a / b);
  return a % b != 0 && (a < 0) != (b < 0) ? static_cast<T>(q - 1) : q;
}
template <class T>
constexpr T floor_remainder(T a, T b) {
  return b == 0 ? T(0) : wrap_subtract(a, wrap_multiply(floor_quotient(a, b), b));
}
template <class T>
constexpr T integer_power(T base, T exponent) {
  if (exponent < 0)
    return base == 1 ? T(1) : base == -1 ? (exponent % 2 == 0 ? T(1) : T(-1)) : T(0);
  T out = 1;
  for (; exponent > 0; exponent /= 2) {
    if (exponent % 2 != 0) out = wrap_multiply(out, base);
    base = wrap_multiply(base, base);
  }
  return out;
}

/// a - b floor(a / b) with the sign of b, as Python and numpy define it.
template <class T>
T float_remainder(T a, T b) {
  const T r = std::fmod(a, b);
  if (r == T(0)) return std::copysign(T(0), b);
  return (r < T(0)) != (b < T(0)) ? r + b : r;
}
template <class T>
T float_floor_quotient(T a, T b) {
  if (b == T(0)) return a / b;
  const T r = std::fmod(a, b);
  T q = (a - r) / b;
  if (r != T(0) && (r < T(0)) != (b < T(0))) q -= T(1);
  const T down = std::floor(q);
  return q - down > T(0.5) ? down + T(1) : down;
}

template <class T>
BinaryRun find_float(Binary op) {
  switch (op) {
    case Binary::divide:
      return run_binary<T, T, [](T a, T b) { return a / b; }>;
    case Binary::floor_divide:
      return run_strided<T, T, [](T a, T b) { return float_floor_quotient(a, b); }>;
    case Binary::mod:
      return run_strided<T, T, [](T a, T b) { return float_remainder(a, b); }>;
    case Binary::power:
      return run_strided<T, T, [](T a, T b) { return std::pow(a, b); }>;
    case Binary::add:
      return run_binary<T, T, [](T a, T b) { return a + b; }>;
    case Binary::subtract:
      return run_binary<T, T, [](T a, T b) { return a - b; }>;
    case Binary::multiply:
      return run_binary<T, T, [](T a, T b) { return a * b; }>;
    default:
      return nullptr;
  }
}

template <class T>
BinaryRun find_integer(Binary op) {
  switch (op) {
    case Binary::add:
      return run_strided<T, T, [](T a, T b) { return wrap_add(a, b); }>;
    case Binary::subtract:
      return run_strided<T, T, [](T a, T b) { return wrap_subtract(a, b); }>;
    case Binary::multiply:
      return run_strided<T, T, [](T a, T b) { return wrap_multiply(a, b); }>;
    case Binary::floor_divide:
      return run_strided<T, T, [](T a, T b) { return floor_quotient(a, b); }>;
    case Binary::mod:
      return run_strided<T, T, [](T a, T b) { return floor_remainder(a, b); }>;
    case Binary::power:
      return run_strided<T, T, [](T a, T b) { return integer_power(a, b); }>;
    default:
      return nullptr;
  }
}

template <class T, class R, auto Op>
constexpr BinaryRun pick_run() {
  if constexpr (std::is_floating_point_v<T>) {
    return run_binary<T, R, Op>;
  } else {
    return run_strided<T, R, Op>;
  }
}

/// NaN in either argument of an extreme comes out.
template <class T>
BinaryRun find_binary(Binary op) {
  switch (op) {
    case Binary::maximum:
      return pick_run<T, T, [](T a, T b) { return b < a || a != a ? a : b; }>();
    case Binary::minimum:
      return pick_run<T, T, [](T a, T b) { return a < b || a != a ? a : b; }>();
    case Binary::above_share:
      return pick_run<T, T, [](T a, T b) { return b < a ? T(1) : T(a == b) / T(2); }>();
    default:
      if constexpr (std::is_floating_point_v<T>) {
        return find_float<T>(op);
      } else {
        return find_integer<T>(op);
      }
  }
}

template <class T>
BinaryRun find_compare(Compare op) {
  switch (op) {
    case Compare::equal:
      return pick_run<T, bool, [](T a, T b) { return a == b; }>();
    case Compare::not_equal:
      return pick_run<T, bool, [](T a, T b) { return a != b; }>();
    case Compare::less:
      return pick_run<T, bool, [](T a, T b) { return a < b; }>();
    default:
      return pick_run<T, bool, [](T a, T b) { return a <= b; }>();
  }
}

/// out = op over the broadcast elements of a and b, which have one element type.
inline void run_broadcast(BinaryRun run, const Tensor& a, const Tensor& b, Tensor& out,
                          double cost) {
  const char* pa = static_cast<const char*>(a.raw());
  const char* pb = static_cast<const char*>(b.raw());
  char* po = static_cast<char*>(out.mutable_raw());
  const auto in_bytes = static_cast<Index>(item_size(a.dtype()));
  const auto out_bytes = static_cast<Index>(item_size(out.dtype()));
  if (a.shape() == b.shape() && static_cast<double>(out.size()) * cost < 2e5) {
    return run(pa, 1, pb, 1, po, out.size());  // the common small case skips the plan
  }
  const auto plan = broadcast_plan<2>(out.shape(), {&a.shape(), &b.shape()});
  const Index sa = plan.run_stride(0), sb = plan.run_stride(1);
  for_each_run(plan, cost, [&](Index at, const std::array<Index, 2>& offsets, Index n) {
    run(pa + offsets[0] * in_bytes, sa, pb + offsets[1] * in_bytes, sb, po + at * out_bytes, n);
  });
}

}  // namespace detail
}  // namespace elman
