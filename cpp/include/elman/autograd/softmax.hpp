// SPDX-License-Identifier: Apache-2.0
// elman/autograd/softmax.hpp: softmax, log_softmax and logsumexp along an axis.
#pragma once

#include <algorithm>
#include <cmath>
#include <limits>

#include "elman/autograd/cast.hpp"
#include "elman/autograd/parallel.hpp"
#include "elman/autograd/reduce.hpp"
#include "elman/autograd/tape.hpp"
#include "elman/kernels/activation.hpp"

namespace elman {

enum class Softmax : int { probabilities, logarithms, logsumexp };

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
  const T max = reduce_tree<MaxOp, T>(0, (count + kLeaf - 1) / kLeaf, [&](Index l) {
    return reduce_leaf<MaxOp, T>(x + l * kLeaf, std::min(kLeaf, count - l * kLeaf));
  });
  const T shift = std::isfinite(max) ? max : T(0);  // inf - inf would be NaN
  for (Index i = 0; i < count; ++i) e[i] = x[i] - shift;
  activate(Activation::exponential, e, e, count);
  const T sum = reduce_tree<SumOp, T>(0, (count + kLeaf - 1) / kLeaf, [&](Index l) {
    return reduce_leaf<SumOp, T>(e + l * kLeaf, std::min(kLeaf, count - l * kLeaf));
  });
  return {shift, sum};
}

/// One contiguous row; y may not be x.
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
  const auto summed = [=](const T* v) {
    return reduce_tree<SumOp, T>(0, (count + kLeaf - 1) / kLeaf, [&](Index l) {
      return reduce_leaf<SumOp, T>(v + l * kLeaf, std::min(kLeaf, count - l * kLeaf));
    });
  };
  if (kind == Softmax::probabilities) {
    for (Index i = 0; i < count; ++i) dx[i] = dy[i] * y[i];
    const T sum = summed(dx);
    for (Index i = 0; i < count; ++i) dx[i] = y[i] * (dy[i] - sum);
  } else {
    const T sum = summed(dy);
    activate(Activation::exponential, y, dx, count);
    for (Index i = 0; i < count; ++i) dx[i] = dy[i] - dx[i] * sum;
  }
}

constexpr double kSoftmaxCost = 16.0;  // flop per element, most of them in the exponential

template <class T, class F>
void for_each_row(Index rows, Index count, const F& f) {
  if (count == 0) return;
  parallel(kSoftmaxCost * static_cast<double>(rows) * static_cast<double>(count), rows,
           [&](Index begin, Index end) {
             for (Index r = begin; r < end; ++r) f(r);
           });
}

}  // namespace detail

namespace ops {

/// softmax or its logarithm along the last axis, the maximum subtracted first.
inline Tensor softmax_last(Softmax kind, const Tensor& input) {
  const Tensor x = as_float(input);
  const char* name = kind == Softmax::probabilities ? "softmax" : "log_softmax";
  if (x.ndim() == 0) fail(name, "x: expected rank >= 1, got a scalar");
  const Index count = x.shape().dim(-1), rows = count == 0 ? 0 : x.size() / count;
  Tensor y(x.shape(), x.dtype());
  visit_float(name, x.dtype(), [&](auto zero) {
    using T = decltype(zero);
    const T* from = x.data<T>();
    T* to = y.mutable_data<T>();
    detail::for_each_row<T>(rows, count, [=](Index r) {
      detail::softmax_row(kind, from + r * count, to + r * count, count);
    });
  });
  if (!recording({&x})) return y;
  record_into(name, {x}, {y}, [kind, y, rows, count](const auto& d, GradientSink& sink) {
    Tensor dx(y.shape(), y.dtype());
    visit_float("softmax", y.dtype(), [&](auto zero) {
      using T = decltype(zero);
      const T* saved = y.template data<T>();
      const T* dy = d[0].template data<T>();
      T* to = dx.mutable_data<T>();
      detail::for_each_row<T>(rows, count, [=](Index r) {
        detail::softmax_row_backward(kind, saved + r * count, dy + r * count, to + r * count,
                                     count);
      });
    });
    sink.add(0, std::move(dx));
  });
  return y;
}

/// log(sum(e^x)) along the last axis, which goes away.
inline Tensor logsumexp_last(const Tensor& input) {
  const Tensor x = as_float(input);
  if (x.ndim() == 0) fail("logsumexp", "x: expected rank >= 1, got a scalar");
  Shape shape = x.shape();
  const Index count = shape.dim(-1);
  shape.erase(shape.rank() - 1);
  const Index rows = shape.size();
  Tensor y(shape, x.dtype());
  visit_float("logsumexp", x.dtype(), [&](auto zero) {
    using T = decltype(zero);
    const T* from = x.data<T>();
    T* to = y.mutable_data<T>();
    if (count == 0) {
      std::fill_n(to, rows, -std::numeric_limits<T>::infinity());
      return;
    }
    detail::for_each_row<T>(rows, count, [=](Index r) {
      AlignedBuffer<T> row(count);
      to[r] = detail::exponentials(from + r * count, row.data(), count).log();
    });
  });
  if (!recording({&x})) return y;
  record_into("logsumexp", {x}, {y}, [x, y, rows, count](const auto& d, GradientSink& sink) {
    Tensor dx(x.shape(), x.dtype());
    visit_float("logsumexp", x.dtype(), [&](auto zero) {
      using T = decltype(zero);
      const T* from = x.template data<T>();
      const T* sum = y.template data<T>();
      const T* dy = d[0].template data<T>();
      T* to = dx.mutable_data<T>();
      detail::for_each_row<T>(rows, count, [=](Index r) {
        const T* in = from + r * count;
        T* out = to + r * count;
        for (Index i = 0; i < count; ++i) out[i] = in[i] - sum[r];
        activate(Activation::exponential, out, out, count);
        for (Index i = 0; i < count; ++i) out[i] *= dy[r];
      });
    });
    sink.add(0, std::move(dx));
  });
  return y;
}

}  // namespace ops
}  // namespace elman
