// SPDX-License-Identifier: Apache-2.0
// elman/autograd/ops_pool.hpp: pooling, larger images and padding with zeros as single nodes.
#pragma once

#include <algorithm>
#include <array>
#include <string>
#include <vector>

#include "elman/autograd/ops_conv.hpp"
#include "elman/layers/pool.hpp"
#include "elman/layers/up_sampling.hpp"

namespace elman::ops {

/// Max or mean over windows of one to three axes; one node.
/// Shapes    x [N, spatial, C]  ->  [N, outputs, C]
/// Errors    std::invalid_argument on a rank that does not fit, or where the window does not
inline Tensor pool(Pool kind, const Tensor& x, const std::vector<Index>& size,
                   const std::vector<Index>& strides, Padding padding) {
  const char* where = kind == Pool::max ? "max_pool" : "average_pool";
  const Sliding sliding{strides, std::vector<Index>(size.size(), 1), padding};
  Shape shape;
  const Window window = detail::window_over(where, x, size, sliding, shape);
  Tensor y(shape, x.dtype());
  visit_float(where, x.dtype(), [&](auto zero) {
    using T = decltype(zero);
    pool_forward<T>(kind, window, x.dim(0), x.data<T>(), y.template mutable_data<T>());
  });
  if (!recording({&x})) return y;
  record_into(where, {x}, {y}, [=](const std::vector<Tensor>& d, GradientSink& sink) {
    visit_float(where, x.dtype(), [&](auto zero) {
      using T = decltype(zero);
      pool_backward<T>(kind, window, x.dim(0), x.data<T>(), y.data<T>(), d[0].template data<T>(),
                       sink.buffer(0).template mutable_data<T>());
    });
  });
  return y;
}

/// Every position of the spatial axes times[k] times; one node.
/// Shapes    x [N, spatial, C]  ->  [N, spatial times, C], one to three spatial axes
/// Errors    std::invalid_argument on a rank that does not fit, or for a number outside [1, 2^40]
inline Tensor up_sample(const Tensor& input, const std::vector<Index>& times) {
  const Tensor x = as_float(input);
  const Index rank = static_cast<Index>(times.size());
  constexpr Index kMost = Index{1} << 40;
  const bool positive =
      std::all_of(times.begin(), times.end(), [](Index k) { return k >= 1 && k <= kMost; });
  if (rank < 1 || rank > 3 || !positive) {
    fail("up_sample", "times: expected one to three numbers from 1 to 2^40");
  }
  if (x.ndim() != rank + 2) {
    fail("up_sample", "x: expected " + std::to_string(rank + 2) +
                          " axes (N, spatial axes, C), got " + x.shape().text());
  }
  UpSampling form;
  form.images = x.dim(0);
  form.channels = x.shape().back();
  Shape shape = x.shape();
  for (Index k = 0; k < rank; ++k) {
    const auto axis = static_cast<std::size_t>(3 - rank + k);
    form.in[axis] = shape[k + 1];
    form.times[axis] = times[static_cast<std::size_t>(k)];
    shape[k + 1] *= form.times[axis];
  }
  Tensor y(shape, x.dtype());
  visit_float("up_sample", x.dtype(), [&](auto zero) {
    using T = decltype(zero);
    up_sampling_forward<T>(form, x.data<T>(), y.template mutable_data<T>());
  });
  if (!recording({&x})) return y;
  record_into("up_sample", {x}, {y}, [form](const std::vector<Tensor>& d, GradientSink& sink) {
    visit_float("up_sample", d[0].dtype(), [&](auto zero) {
      using T = decltype(zero);
      up_sampling_backward<T>(form, d[0].template data<T>(),
                              sink.buffer(0).template mutable_data<T>());
    });
  });
  return y;
}

/// x within zeros: before[k] of them ahead of axis k, after[k] behind it.
/// Errors    std::invalid_argument unless there are two numbers from 0 to 2^40 for each axis
inline Tensor pad(const Tensor& input, const std::vector<Index>& before,
                  const std::vector<Index>& after) {
  const Tensor x = as_float(input);
  const auto rank = static_cast<std::size_t>(x.ndim());
  bool fits = before.size() == rank && after.size() == rank;
  detail::StridedView inner;
  Shape shape = x.shape();
  for (std::size_t k = 0; fits && k < rank; ++k) {
    constexpr Index kMost = Index{1} << 40;
    fits = before[k] >= 0 && after[k] >= 0 && before[k] <= kMost && after[k] <= kMost;
    if (fits) shape[static_cast<Index>(k)] += before[k] + after[k];
  }
  if (!fits) {
    fail("pad",
         "sizes: expected two numbers from 0 to 2^40 for each axis of x " + x.shape().text());
  }
  inner = detail::whole(shape);
  inner.shape = x.shape();
  for (std::size_t k = 0; k < rank; ++k) inner.offset += before[k] * inner.strides[k];
  Tensor out = Tensor::zeros(shape, x.dtype());
  detail::add_strided(out, inner, x);
  if (recording({&x})) {
    record_into("pad", {x}, {out}, [inner](const std::vector<Tensor>& d, GradientSink& sink) {
      sink.add(0, detail::copy_strided(d[0], inner));
    });
  }
  return out;
}

}  // namespace elman::ops
