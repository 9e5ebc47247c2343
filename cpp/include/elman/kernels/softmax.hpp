// SPDX-License-Identifier: Apache-2.0
// elman/kernels/softmax.hpp: softmax and log_softmax of one row, forward and backward.
#pragma once

#include <cmath>

#include "elman/kernels/activation.hpp"
#include "elman/kernels/reduce.hpp"

namespace elman {

/// Which function of a whole row; none: an activation that acts element by element instead.
enum class Softmax : int { none, probabilities, logarithms };

/// That of a Keras name: softmax, log_softmax; none for other names.
inline Softmax parse_softmax(std::string_view name) {
  if (name == "softmax") return Softmax::probabilities;
  return name == "log_softmax" ? Softmax::logarithms : Softmax::none;
}

namespace detail {

/// Log of the sum of exponentials of a row of `count` values; leaves e^(x - max) in `e`.
/// A row of -inf gives -inf, a row with +inf gives inf, NaN gives NaN.
template <class T>
struct RowSum {
  T max, sum;
  [[nodiscard]] T log() const { return max + std::log(sum); }
};

template <class T>
RowSum<T> exponentials(const T* x, T* e, Index count) {
  const T max = reduce_row<MaxOp>(x, count);
  const T shift = std::isfinite(max) ? max : T(0);  // inf - inf would be NaN
  for (Index i = 0; i < count; ++i) e[i] = x[i] - shift;
  activate(Activation::exponential, e, e, count);
  return {shift, reduce_row<SumOp>(e, count)};
}

/// One contiguous row of count >= 1 values; y may not be x.
template <class T>
void softmax_row(Softmax kind, const T* x, T* y, Index count) {
  const RowSum<T> row = exponentials(x, y, count);
  if (kind == Softmax::probabilities) {
    for (Index i = 0; i < count; ++i) y[i] /= row.sum;
  } else {
    const T log = row.log();
    for (Index i = 0; i < count; ++i) y[i] = x[i] - log;
  }
}

/// dx = y (dy - sum(dy y)) for softmax, dx = dy - e^y sum(dy) for its logarithm.
template <class T>
void softmax_row_backward(Softmax kind, const T* y, const T* dy, T* dx, Index count) {
  if (kind == Softmax::probabilities) {
    for (Index i = 0; i < count; ++i) dx[i] = dy[i] * y[i];
    const T sum = reduce_row<SumOp>(dx, count);
    for (Index i = 0; i < count; ++i) dx[i] = y[i] * (dy[i] - sum);
  } else {
    const T sum = reduce_row<SumOp>(dy, count);
    activate(Activation::exponential, y, dx, count);
    for (Index i = 0; i < count; ++i) dx[i] = dy[i] - dx[i] * sum;
  }
}

}  // namespace detail
}  // namespace elman
