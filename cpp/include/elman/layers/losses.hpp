// SPDX-License-Identifier: Apache-2.0
// elman/layers/losses.hpp: cross-entropies of one row, forward and backward, on plain pointers.
#pragma once

#include <algorithm>
#include <cmath>

#include "elman/kernels/activation.hpp"

namespace elman {

// Keras keeps probabilities this far from 0 and 1 before it takes the logarithm.
inline constexpr double kProbabilityMargin = 1e-7;

namespace detail {

/// log(sum(e^x)) without overflow; leaves e^(x - max) in e. Not finite where x is not.
template <class T>
T log_sum_exp(const T* x, Index classes, T* e) {
  T top = x[0];
  for (Index j = 1; j < classes; ++j) top = x[j] > top || x[j] != x[j] ? x[j] : top;
  const T shift = std::isfinite(top) ? top : T(0);
  for (Index j = 0; j < classes; ++j) e[j] = x[j] - shift;
  activate(Activation::exponential, e, e, classes);
  T sum = 0;
  for (Index j = 0; j < classes; ++j) sum += e[j];
  return shift + std::log(sum);
}

template <class T>
bool inside_margin(T q) {
  return q >= T(kProbabilityMargin) && q <= T(1 - kProbabilityMargin);
}
template <class T>
T to_margin(T q) {  // NaN stays NaN
  return q < T(kProbabilityMargin)       ? T(kProbabilityMargin)
         : q > T(1 - kProbabilityMargin) ? T(1 - kProbabilityMargin)
                                         : q;
}

}  // namespace detail

/// -sum_j y_j log(p_j) of one row, and its gradient dp (scaled by d) when dp is not nullptr.
/// Shapes    p, y, dp, scratch [C]; y = nullptr: the one class `id`
/// Logits    p are logits: log(p) is x - logsumexp(x)
/// Else      p are divided by their sum and kept in [1e-7, 1 - 1e-7], as Keras does
/// Source    Keras categorical_crossentropy
template <class T>
T cross_entropy_row(const T* p, const T* y, Index id, Index classes, bool logits, T d, T* dp,
                    T* scratch) {
  const auto target = [=](Index j) { return y != nullptr ? y[j] : T(j == id ? 1 : 0); };
  T loss = 0, weight = 0;
  if (logits) {
    const T log_sum = detail::log_sum_exp(p, classes, scratch);
    const Index first = y != nullptr ? 0 : id, last = y != nullptr ? classes : id + 1;
    for (Index j = first; j < last; ++j) {
      loss += target(j) * (log_sum - p[j]);
      weight += target(j);
    }
    if (dp == nullptr) return loss;
    for (Index j = 0; j < classes; ++j) scratch[j] = p[j] - log_sum;
    activate(Activation::exponential, scratch, scratch, classes);
    for (Index j = 0; j < classes; ++j) dp[j] = d * (weight * scratch[j] - target(j));
    return loss;
  }
  T sum = 0, inner = 0;
  for (Index j = 0; j < classes; ++j) sum += p[j];
  for (Index j = 0; j < classes; ++j) {
    const T q = p[j] / sum, t = target(j);
    if (t != T(0) || !(q == q)) loss -= t * std::log(detail::to_margin(q));
    scratch[j] = detail::inside_margin(q) ? -t / q : T(0) * q;
    inner += scratch[j] * q;
  }
  if (dp != nullptr) {
    for (Index j = 0; j < classes; ++j) dp[j] = d * (scratch[j] - inner) / sum;
  }
  return loss;
}

/// -(y log p + (1 - y) log(1 - p)), with p kept in [1e-7, 1 - 1e-7]; or, of a logit x,
/// max(x, 0) - x y + log(1 + e^-|x|).
/// Source    Keras binary_crossentropy
template <class T>
T binary_cross_entropy(T p, T y, bool logits) {
  if (logits) return std::max(p, T(0)) - p * y + std::log1p(std::exp(-std::abs(p)));
  const T q = detail::to_margin(p);
  return -(y * std::log(q) + (1 - y) * std::log(1 - q));
}
/// Its derivative by p.
template <class T>
T binary_cross_entropy_gradient(T p, T y, bool logits) {
  if (logits) return 1 / (1 + std::exp(-p)) - y;
  return detail::inside_margin(p) ? (1 - y) / (1 - p) - y / p : T(0) * p;
}

}  // namespace elman
