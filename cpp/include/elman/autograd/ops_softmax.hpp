// SPDX-License-Identifier: Apache-2.0
// elman/autograd/ops_softmax.hpp: softmax and logsumexp along any axes.
#pragma once

#include <vector>

#include "elman/autograd/ops_reduce.hpp"
#include "elman/autograd/ops_shape.hpp"
#include "elman/autograd/softmax.hpp"

namespace elman::ops {

/// softmax (or its logarithm) along one axis; other axes than the last are moved there and back.
inline Tensor softmax(const Tensor& x, Index axis = -1) {
  const Index k = x.shape().normal_axis(axis, "softmax");
  if (k == x.ndim() - 1) return softmax_last(Softmax::probabilities, x);
  std::vector<Index> swap(static_cast<std::size_t>(x.ndim()));
  for (std::size_t i = 0; i < swap.size(); ++i) swap[i] = static_cast<Index>(i);
  std::swap(swap[static_cast<std::size_t>(k)], swap.back());
  return transpose(softmax_last(Softmax::probabilities, transpose(x, swap)), swap);
}

inline Tensor log_softmax(const Tensor& x, Index axis = -1) {
  const Index k = x.shape().normal_axis(axis, "log_softmax");
  if (k == x.ndim() - 1) return softmax_last(Softmax::logarithms, x);
  std::vector<Index> swap(static_cast<std::size_t>(x.ndim()));
  for (std::size_t i = 0; i < swap.size(); ++i) swap[i] = static_cast<Index>(i);
  std::swap(swap[static_cast<std::size_t>(k)], swap.back());
  return transpose(softmax_last(Softmax::logarithms, transpose(x, swap)), swap);
}

/// log(sum(e^x)) over the axes, without overflow.
inline Tensor logsumexp(const Tensor& x, const Axes& axes = {}, bool keepdims = false) {
  const std::vector<bool> reduced = detail::reduced_axes("logsumexp", x.shape(), axes);
  std::vector<Index> perm;
  std::vector<Index> kept_dims;
  for (Index axis = 0; axis < x.ndim(); ++axis) {
    if (reduced[static_cast<std::size_t>(axis)]) continue;
    perm.push_back(axis);
    kept_dims.push_back(x.shape()[axis]);
  }
  Index count = 1;
  for (Index axis = 0; axis < x.ndim(); ++axis) {
    if (!reduced[static_cast<std::size_t>(axis)]) continue;
    perm.push_back(axis);
    count *= x.shape()[axis];
  }
  kept_dims.push_back(count);
  const Tensor rows = reshape(x.ndim() == 0 ? x : transpose(x, perm), kept_dims);
  const Shape shape = detail::reduced_shape(x.shape(), reduced, keepdims);
  return reshape(logsumexp_last(rows), {shape.begin(), shape.end()});
}

}  // namespace elman::ops
