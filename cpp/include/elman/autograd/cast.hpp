// SPDX-License-Identifier: Apache-2.0
// elman/autograd/cast.hpp: element types, which of two wins, and conversion between them.
#pragma once

#include <limits>
#include <type_traits>

#include "elman/autograd/dispatch.hpp"
#include "elman/autograd/parallel.hpp"
#include "elman/autograd/tape.hpp"

namespace elman {

/// The type of a result of two arrays: float64 over float32 over int64 over int32 over bool. An
/// integer array never widens a real one, so that ids and masks leave float32 models in float32.
[[nodiscard]] constexpr DType promote(DType a, DType b) noexcept {
  if (a == b) return a;
  constexpr DType order[] = {DType::float64, DType::float32, DType::int64, DType::int32};
  for (const DType wins : order) {
    if (a == wins || b == wins) return wins;
  }
  return DType::bool_;
}

namespace detail {

/// Real to integer without undefined behaviour: NaN and values out of range give the lowest
/// integer.
template <class To, class From>
To convert_element(From x) {
  if constexpr (std::is_same_v<To, bool>) {
    return x != From(0);
  } else if constexpr (std::is_floating_point_v<From> && std::is_integral_v<To>) {
    constexpr From kLimit = -static_cast<From>(std::numeric_limits<To>::lowest());
    return x >= -kLimit && x < kLimit ? static_cast<To>(x) : std::numeric_limits<To>::lowest();
  } else {
    return static_cast<To>(x);
  }
}

template <class To, class From>
void convert_run(const From* from, To* __restrict to, Index n) {
  for (Index i = 0; i < n; ++i) to[i] = convert_element<To>(from[i]);
}

/// A tensor of another element type, unrecorded.
inline Tensor converted(const Tensor& x, DType dtype) {
  Tensor out(x.shape(), dtype);
  visit_any(x.dtype(), [&](auto from) {
    visit_any(dtype, [&](auto to) {
      using From = decltype(from);
      using To = decltype(to);
      const From* source = x.data<From>();
      To* target = out.mutable_data<To>();
      parallel(4.0 * static_cast<double>(x.size()), x.size(), [=](Index begin, Index end) {
        convert_run(source + begin, target + begin, end - begin);
      });
    });
  });
  return out;
}

}  // namespace detail

namespace ops {

/// x with elements of another type; x itself when it has it already. Integers pass no gradient.
inline Tensor cast(const Tensor& x, DType dtype) {
  if (x.dtype() == dtype) return x;
  Tensor out = detail::converted(x, dtype);
  if (is_floating(x.dtype()) && is_floating(dtype) && recording({&x})) {
    record_into("cast", {x}, {out}, [from = x.dtype()](const auto& d, GradientSink& sink) {
      sink.add(0, detail::converted(d[0], from));
    });
  }
  return out;
}

/// x as real numbers: unchanged if it is, else float32.
inline Tensor as_float(const Tensor& x) {
  return is_floating(x.dtype()) ? x : cast(x, DType::float32);
}

}  // namespace ops
}  // namespace elman
