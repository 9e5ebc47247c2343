// SPDX-License-Identifier: Apache-2.0
// elman/autograd/ops_pool.hpp: pooling and padding with zeros as single nodes.
#pragma once

#include <array>
#include <string>
#include <vector>

#include "elman/autograd/ops_conv.hpp"
#include "elman/layers/pool.hpp"

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
