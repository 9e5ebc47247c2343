// SPDX-License-Identifier: Apache-2.0
// elman/autograd/ops_normalization.hpp: layer and batch normalization as single nodes.
#pragma once

#include <vector>

#include "elman/autograd/ops_layers.hpp"
#include "elman/layers/normalization.hpp"

namespace elman {

namespace detail {

/// Checks gamma and beta, each [size of the last axis of x] or undefined; returns that size.
inline Index check_affine(const char* where, const Tensor& x, const Tensor& gamma,
                          const Tensor& beta) {
  if (x.ndim() < 1) fail(where, "x: expected at least one axis, got a scalar");
  const Index size = x.shape().back();
  if (gamma.defined()) expect(where, "gamma", gamma, {size}, x.dtype(), "");
  if (beta.defined()) expect(where, "beta", beta, {size}, x.dtype(), "");
  return size;
}

/// Where the gradient of an input is added to, or nullptr if nobody asks for it.
template <class T>
T* gradient_target(GradientSink& sink, std::size_t input) {
  return sink.needed(input) ? sink.buffer(input).template mutable_data<T>() : nullptr;
}

/// What both forms of batch normalization share; `used` as in batch_norm_backward.
inline Tensor normalize_columns(const Tensor& x, const Tensor& gamma, const Tensor& beta,
                                const Tensor& mask, const Tensor& mean, const Tensor& variance,
                                double epsilon, Index used) {
  const Index c = x.shape().back(), n = x.shape().product(0, x.ndim() - 1);
  Tensor y(x.shape(), x.dtype()), scale({c}, x.dtype());
  visit_float("batch_norm", x.dtype(), [&](auto zero) {
    using T = decltype(zero);
    batch_norm_forward<T>(n, c, x.data<T>(), pointer<T>(gamma), pointer<T>(beta), mean.data<T>(),
                          variance.data<T>(), T(epsilon), y.template mutable_data<T>(),
                          scale.template mutable_data<T>());
  });
  if (!recording({&x, &gamma, &beta})) return y;
  record_into("batch_norm", {x, gamma, beta}, {y},
              [=](const std::vector<Tensor>& d, GradientSink& sink) {
                visit_float("batch_norm", x.dtype(), [&](auto zero) {
                  using T = decltype(zero);
                  batch_norm_backward<T>(n, c, x.data<T>(), pointer<bool>(mask), pointer<T>(gamma),
                                         mean.data<T>(), scale.data<T>(), used,
                                         d[0].template data<T>(), gradient_target<T>(sink, 0),
                                         gradient_target<T>(sink, 1), gradient_target<T>(sink, 2));
                });
              });
  return y;
}

}  // namespace detail

namespace ops {

/// (x - mean) / sqrt(variance + epsilon) gamma + beta over the last axis; one node.
/// Shapes    x [..., F]  gamma, beta [F] or undefined  ->  [..., F]
/// Errors    std::invalid_argument on a shape or type mismatch
inline Tensor layer_norm(const Tensor& input, const Tensor& gamma, const Tensor& beta,
                         double epsilon) {
  const Tensor x = as_float(input);
  const Index f = detail::check_affine("layer_norm", x, gamma, beta);
  const Index n = x.shape().product(0, x.ndim() - 1);
  Tensor y(x.shape(), x.dtype()), mean({n}, x.dtype()), scale({n}, x.dtype());
  visit_float("layer_norm", x.dtype(), [&](auto zero) {
    using T = decltype(zero);
    layer_norm_forward<T>(n, f, x.data<T>(), detail::pointer<T>(gamma), detail::pointer<T>(beta),
                          T(epsilon), y.template mutable_data<T>(), mean.template mutable_data<T>(),
                          scale.template mutable_data<T>());
  });
  if (!recording({&x, &gamma, &beta})) return y;
  record_into("layer_norm", {x, gamma, beta}, {y},
              [=](const std::vector<Tensor>& d, GradientSink& sink) {
                visit_float("layer_norm", x.dtype(), [&](auto zero) {
                  using T = decltype(zero);
                  layer_norm_backward<T>(
                      n, f, x.data<T>(), detail::pointer<T>(gamma), mean.data<T>(), scale.data<T>(),
                      d[0].template data<T>(), detail::gradient_target<T>(sink, 0),
                      detail::gradient_target<T>(sink, 1), detail::gradient_target<T>(sink, 2));
                });
              });
  return y;
}

/// What batch normalization returns in training.
struct BatchNorm {
  Tensor y, mean, variance;  // no gradient flows through mean and variance
  Index used = 0;            // rows that they come from
};

/// Normalizes by the mean and variance of the batch: over all axes but the last; one node.
/// Shapes    x [..., C]  gamma, beta [C] or undefined  mask bool [...] or undefined (all)
///           ->  y [..., C]  mean, variance [C]
/// Errors    std::invalid_argument on a shape or type mismatch
inline BatchNorm batch_norm(const Tensor& input, const Tensor& gamma, const Tensor& beta,
                            const Tensor& mask, double epsilon) {
  const Tensor x = as_float(input);
  const Index c = detail::check_affine("batch_norm", x, gamma, beta);
  const Index n = x.shape().product(0, x.ndim() - 1);
  if (mask.defined()) {
    Shape shape = x.shape();
    shape.erase(shape.rank() - 1);
    detail::expect("batch_norm", "mask", mask, shape, DType::bool_, "; one value per row of x");
  }
  BatchNorm out{Tensor(), Tensor({c}, x.dtype()), Tensor({c}, x.dtype()), 0};
  visit_float("batch_norm", x.dtype(), [&](auto zero) {
    using T = decltype(zero);
    out.used = batch_moments<T>(n, c, x.data<T>(), detail::pointer<bool>(mask),
                                out.mean.template mutable_data<T>(),
                                out.variance.template mutable_data<T>());
  });
  out.y =
      detail::normalize_columns(x, gamma, beta, mask, out.mean, out.variance, epsilon, out.used);
  return out;
}

/// Normalizes by a given mean and variance, which are constants: batch normalization in inference.
/// Shapes    x [..., C]  gamma, beta [C] or undefined  mean, variance [C]  ->  [..., C]
/// Errors    std::invalid_argument on a shape or type mismatch
inline Tensor batch_norm_inference(const Tensor& input, const Tensor& gamma, const Tensor& beta,
                                   const Tensor& mean, const Tensor& variance, double epsilon) {
  const Tensor x = as_float(input);
  const Index c = detail::check_affine("batch_norm", x, gamma, beta);
  detail::expect("batch_norm", "mean", mean, {c}, x.dtype(), "");
  detail::expect("batch_norm", "variance", variance, {c}, x.dtype(), "");
  return detail::normalize_columns(x, gamma, beta, Tensor(), mean, variance, epsilon, -1);
}

}  // namespace ops

}  // namespace elman
