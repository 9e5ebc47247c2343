// SPDX-License-Identifier: Apache-2.0
// elman/autograd/dispatch.hpp: from the run-time element type to the compile-time one.
#pragma once

#include <cstdint>
#include <string>
#include <string_view>
#include <type_traits>

#include "elman/autograd/tensor.hpp"

namespace elman {

/// Calls f(float{}) or f(double{}).
/// Errors    std::invalid_argument, worded for `where`, for other types
template <class F>
decltype(auto) visit_float(std::string_view where, DType dtype, F&& f) {
  if (dtype == DType::float32) return f(float{});
  if (dtype == DType::float64) return f(double{});
  fail(where, std::string("x: expected float32 or float64, got ") + dtype_name(dtype) +
                  "; use cast(x, 'float32')");
}

/// Calls f with a zero of the element type, bool excluded.
template <class F>
decltype(auto) visit_number(std::string_view where, DType dtype, F&& f) {
  if (dtype == DType::float32) return f(float{});
  if (dtype == DType::float64) return f(double{});
  if (dtype == DType::int32) return f(std::int32_t{});
  if (dtype == DType::int64) return f(std::int64_t{});
  fail(where, "x: expected numbers, got bool; use cast(x, 'float32')");
}

/// Calls f with a zero of the element type.
template <class F>
decltype(auto) visit_any(DType dtype, F&& f) {
  switch (dtype) {
    case DType::float32:
      return f(float{});
    case DType::float64:
      return f(double{});
    case DType::int32:
      return f(std::int32_t{});
    case DType::int64:
      return f(std::int64_t{});
    case DType::bool_:
      break;
  }
  return f(bool{});
}

/// Calls f with an unsigned integer as wide as an element: for operations that only move data.
template <class F>
decltype(auto) visit_width(DType dtype, F&& f) {
  switch (item_size(dtype)) {
    case 8:
      return f(std::uint64_t{});
    case 4:
      return f(std::uint32_t{});
    default:
      return f(std::uint8_t{});
  }
}

}  // namespace elman
