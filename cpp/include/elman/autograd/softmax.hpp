// SPDX-License-Identifier: Apache-2.0
// elman/autograd/softmax.hpp: softmax, log_softmax and logsumexp along an axis.
#pragma once

#include <algorithm>
#include <limits>

#include "elman/autograd/cast.hpp"
#include "elman/autograd/parallel.hpp"
#include "elman/autograd/tape.hpp"
#include "elman/core/aligned.hpp"
#include "elman/kernels/softmax.hpp"

namespace elman {

namespace detail {

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
