// SPDX-License-Identifier: Apache-2.0
// elman/core/shape.hpp: sizes of arrays and the types of their elements.
#pragma once

#include <algorithm>
#include <array>
#include <cstddef>
#include <cstdint>
#include <initializer_list>
#include <string>
#include <string_view>
#include <type_traits>

#include "elman/core/errors.hpp"

namespace elman {

using Index = std::ptrdiff_t;

/// The dimensions of an array, at most kMaxRank of them, stored in place (no heap).
class Shape {
 public:
  static constexpr Index kMaxRank = 8;

  Shape() = default;
  Shape(std::initializer_list<Index> dims) : Shape(dims.begin(), dims.end()) {}

  template <class Iterator>
  Shape(Iterator first, Iterator last) {
    for (; first != last; ++first) push_back(static_cast<Index>(*first));
  }

  [[nodiscard]] Index rank() const noexcept { return rank_; }
  [[nodiscard]] bool empty() const noexcept { return rank_ == 0; }
  [[nodiscard]] const Index* begin() const noexcept { return dims_.data(); }
  [[nodiscard]] const Index* end() const noexcept { return dims_.data() + rank_; }
  [[nodiscard]] Index* begin() noexcept { return dims_.data(); }
  [[nodiscard]] Index* end() noexcept { return dims_.data() + rank_; }
  [[nodiscard]] const Index* data() const noexcept { return dims_.data(); }

  /// Unchecked, 0 <= axis < rank.
  [[nodiscard]] Index operator[](Index axis) const noexcept { return dims_[slot(axis)]; }
  [[nodiscard]] Index& operator[](Index axis) noexcept { return dims_[slot(axis)]; }

  /// The size of one axis; negative axes count from the end.
  /// Errors    std::out_of_range for an axis that the shape does not have
  [[nodiscard]] Index dim(Index axis) const { return dims_[slot(normal_axis(axis, "Shape.dim"))]; }
  [[nodiscard]] Index front() const { return dim(0); }
  [[nodiscard]] Index back() const { return dim(-1); }

  /// The axis in [0, rank); negative axes count from the end.
  /// Errors    std::out_of_range, worded for the function `where`
  [[nodiscard]] Index normal_axis(Index axis, std::string_view where) const {
    if (axis < -rank_ || axis >= rank_) {
      fail_range(where, "axis: expected -" + std::to_string(rank_) + " <= axis < " +
                            std::to_string(rank_) + " for shape " + text() + ", got " +
                            std::to_string(axis));
    }
    return axis < 0 ? axis + rank_ : axis;
  }

  /// Number of elements; 1 for a scalar.
  [[nodiscard]] Index size() const noexcept { return product(0, rank_); }

  /// Product of the dimensions [first, last).
  [[nodiscard]] Index product(Index first, Index last) const noexcept {
    Index count = 1;
    for (Index axis = first; axis < last; ++axis) count *= dims_[slot(axis)];
    return count;
  }

  void push_back(Index dim) {
    if (rank_ == kMaxRank) fail("Shape", "rank: expected at most 8 dimensions, got more");
    if (dim < 0) fail("Shape", "dimension: expected >= 0, got " + std::to_string(dim));
    dims_[slot(rank_++)] = dim;
  }
  void insert(Index axis, Index dim) {
    push_back(dim);
    std::rotate(begin() + axis, end() - 1, end());
  }
  void erase(Index axis) {
    std::copy(begin() + axis + 1, end(), begin() + axis);
    --rank_;
  }

  /// "(4, 10, 5)", "(3,)", "()": as Python prints it.
  [[nodiscard]] std::string text() const {
    std::string out = "(";
    for (Index axis = 0; axis < rank_; ++axis) {
      out += (axis == 0 ? "" : ", ") + std::to_string(dims_[slot(axis)]);
    }
    return out + (rank_ == 1 ? ",)" : ")");
  }

  friend bool operator==(const Shape& a, const Shape& b) noexcept {
    return std::equal(a.begin(), a.end(), b.begin(), b.end());
  }

 private:
  static constexpr std::size_t slot(Index axis) noexcept { return static_cast<std::size_t>(axis); }

  std::array<Index, kMaxRank> dims_{};
  Index rank_ = 0;
};

enum class DType : std::uint8_t { float32, float64, int32, int64, bool_ };

[[nodiscard]] constexpr std::size_t item_size(DType dtype) noexcept {
  switch (dtype) {
    case DType::float32:
    case DType::int32:
      return 4;
    case DType::float64:
    case DType::int64:
      return 8;
    case DType::bool_:
      break;
  }
  return 1;
}

[[nodiscard]] constexpr const char* dtype_name(DType dtype) noexcept {
  constexpr std::array names{"float32", "float64", "int32", "int64", "bool"};
  return names[static_cast<std::size_t>(dtype)];
}

[[nodiscard]] constexpr bool is_floating(DType dtype) noexcept {
  return dtype == DType::float32 || dtype == DType::float64;
}

/// The DType of a C++ element type; any other type does not compile.
template <class T>
[[nodiscard]] constexpr DType dtype_of() noexcept {
  if constexpr (std::is_same_v<T, float>) {
    return DType::float32;
  } else if constexpr (std::is_same_v<T, double>) {
    return DType::float64;
  } else if constexpr (std::is_same_v<T, bool>) {
    return DType::bool_;
  } else {
    static_assert(std::is_integral_v<T> && std::is_signed_v<T> && sizeof(T) >= 4,
                  "elman arrays hold float, double, 32 or 64 bit signed integers, or bool");
    return sizeof(T) == 4 ? DType::int32 : DType::int64;
  }
}

/// Reads a type name as numpy writes it.
/// Errors    std::invalid_argument for any other name
[[nodiscard]] inline DType parse_dtype(std::string_view name) {
  for (const DType dtype :
       {DType::float32, DType::float64, DType::int32, DType::int64, DType::bool_}) {
    if (name == dtype_name(dtype)) return dtype;
  }
  fail("dtype",
       "expected one of float32, float64, int32, int64, bool, got '" + std::string(name) + "'");
}

}  // namespace elman
