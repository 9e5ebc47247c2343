// SPDX-License-Identifier: Apache-2.0
// elman/layers/embedding.hpp: rows of a table by number, forward and backward.
#pragma once

#include <algorithm>
#include <cstdint>
#include <cstring>
#include <string>
#include <string_view>

#include "elman/core/errors.hpp"
#include "elman/core/shape.hpp"
#include "elman/core/threads.hpp"

namespace elman {

/// "(2, 7)": where element i of a C-contiguous array lies.
inline std::string position_text(const Shape& shape, Index i) {
  Shape at = shape;
  for (Index axis = shape.rank(); axis-- > 0; i /= shape[axis]) at[axis] = i % shape[axis];
  return at.text();
}

/// Errors    std::out_of_range for the first id outside of [0, rows): its value, position and limit
inline void check_ids(std::string_view where, const std::int64_t* ids, const Shape& shape,
                      Index rows) {
  const Index n = shape.size();
  for (Index i = 0; i < n; ++i) {
    if (ids[i] >= 0 && ids[i] < rows) continue;
    fail_range(where, "ids: id " + std::to_string(ids[i]) + " at position " +
                          position_text(shape, i) +
                          " is outside of the table; expected 0 <= id < " + std::to_string(rows));
  }
}

/// out[i] = table[ids[i]]
/// Shapes    table [rows, width]  ids [n], checked by the caller  ->  out [n, width]
/// Layout    row-major, any element type           Cost  one copy of the result
template <class T>
void gather_rows(const T* table, Index width, const std::int64_t* ids, Index n, T* out) {
  const auto row_bytes = static_cast<std::size_t>(width) * sizeof(T);
  const double cost = 2.0 * static_cast<double>(n) * static_cast<double>(std::max<Index>(width, 4));
  parallel_for(cost, n, [=](Index begin, Index end) {
    for (Index i = begin; i < end; ++i) {
      std::memcpy(out + i * width, table + ids[i] * width, row_bytes);
    }
  });
}

/// d_table[ids[i]] += d_out[i], in the order of i: bit-equal at any thread count
/// Shapes    d_out [n, width]  ids [n], checked by the caller  d_table [rows, width]
/// Cost      n width additions; the threads share the columns, so no row is written by two
template <class T>
void scatter_add_rows(const T* d_out, Index width, const std::int64_t* ids, Index n, T* d_table) {
  constexpr Index kLine = static_cast<Index>(64 / sizeof(T));  // columns of one cache line
  const Index units = (width + kLine - 1) / kLine;
  const double cost = 4.0 * static_cast<double>(n) * static_cast<double>(width);
  parallel_for(cost, units, [=](Index begin, Index end) {
    const Index first = begin * kLine, last = std::min(width, end * kLine);
    for (Index i = 0; i < n; ++i) {
      const T* from = d_out + i * width;
      T* to = d_table + ids[i] * width;
      for (Index j = first; j < last; ++j) to[j] += from[j];
    }
  });
}

}  // namespace elman
