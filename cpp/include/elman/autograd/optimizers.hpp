// SPDX-License-Identifier: Apache-2.0
// elman/autograd/optimizers.hpp: one step of an optimizer, in place: one pass over the memory.
#pragma once

#include <cmath>
#include <string>
#include <vector>

#include "elman/autograd/dispatch.hpp"
#include "elman/autograd/tensor.hpp"
#include "elman/core/threads.hpp"

namespace elman::optimizers {

namespace detail {

inline void expect_like(const char* where, const char* what, const Tensor& t, const Tensor& like) {
  if (t.shape() == like.shape() && t.dtype() == like.dtype()) return;
  fail(where, std::string(what) + ": expected " + like.shape().text() + " " +
                  dtype_name(like.dtype()) + " like the variable, got " + t.shape().text() + " " +
                  dtype_name(t.dtype()));
}

/// body(T{}, update) with update(variable) -> T*: the elements of a variable, for writing.
template <class F>
void for_elements(const char* where, const Variable& var, const Tensor& gradient,
                  std::initializer_list<const Variable*> slots, F&& body) {
  expect_like(where, "gradient", gradient, var);
  for (const Variable* slot : slots) {
    if (slot != nullptr) expect_like(where, "slot", *slot, var);
  }
  visit_float(where, var.dtype(), std::forward<F>(body));
}

template <class T>
T* elements(Variable* slot) {
  return slot == nullptr ? nullptr : slot->update<T>();
}

// Memory-bound: about 16 bytes an element and a dozen operations.
inline constexpr double kFlopsPerElement = 12;

}  // namespace detail

/// v = momentum v - lr g;  w += v, or with nesterov w += momentum v - lr g. Without velocity
/// w -= lr g.                                            Source  Keras SGD
inline void sgd(Variable& var, const Tensor& gradient, Variable* velocity, double lr,
                double momentum, bool nesterov) {
  detail::for_elements("SGD", var, gradient, {velocity}, [&](auto zero) {
    using T = decltype(zero);
    T *w = var.update<T>(), *v = detail::elements<T>(velocity);
    const T* g = gradient.data<T>();
    const T rate = T(lr), m = T(momentum);
    parallel_for(detail::kFlopsPerElement * double(var.size()), var.size(),
                 [=](Index begin, Index end) {
                   if (v == nullptr) {
                     for (Index i = begin; i < end; ++i) w[i] -= rate * g[i];
                   } else if (nesterov) {
                     for (Index i = begin; i < end; ++i) {
                       v[i] = m * v[i] - rate * g[i];
                       w[i] += m * v[i] - rate * g[i];
                     }
                   } else {
                     for (Index i = begin; i < end; ++i) {
                       v[i] = m * v[i] - rate * g[i];
                       w[i] += v[i];
                     }
                   }
                 });
  });
}

/// r = rho r + (1 - rho) g^2;  step = lr g / sqrt(r [- a^2] + epsilon), a the mean gradient where
/// `mean` is given;  with momentum u = momentum u + step, w -= u.      Source  Keras RMSprop
inline void rmsprop(Variable& var, const Tensor& gradient, Variable& squares, Variable* mean,
                    Variable* last, double lr, double rho, double momentum, double epsilon) {
  detail::for_elements("RMSprop", var, gradient, {&squares, mean, last}, [&](auto zero) {
    using T = decltype(zero);
    T *w = var.update<T>(), *r = squares.update<T>();
    T *a = detail::elements<T>(mean), *u = detail::elements<T>(last);
    const T* g = gradient.data<T>();
    const T rate = T(lr), keep = T(rho), m = T(momentum), eps = T(epsilon);
    parallel_for(detail::kFlopsPerElement * double(var.size()), var.size(),
                 [=](Index begin, Index end) {
                   for (Index i = begin; i < end; ++i) {
                     r[i] = keep * r[i] + (T(1) - keep) * g[i] * g[i];
                     T under = r[i] + eps;
                     if (a != nullptr) {
                       a[i] = keep * a[i] + (T(1) - keep) * g[i];
                       under -= a[i] * a[i];
                     }
                     T step = rate * g[i] / std::sqrt(under);
                     if (u != nullptr) step = u[i] = m * u[i] + step;
                     w[i] -= step;
                   }
                 });
  });
}

/// What one Adam step needs; `step` counts from 1.
struct Adam {
  double lr = 0.001, beta1 = 0.9, beta2 = 0.999, epsilon = 1e-7, weight_decay = 0;
  Index step = 1;
};

/// w -= lr wd w;  m += (g - m)(1 - b1);  v += (g^2 - v)(1 - b2);
/// w -= lr sqrt(1 - b2^t) / (1 - b1^t) m / (sqrt(v) + epsilon); amsgrad: the largest v so far.
/// Source    Kingma and Ba, arXiv 1412.6980; Loshchilov and Hutter, 1711.05101; Keras Adam, AdamW
inline void adam(Variable& var, const Tensor& gradient, Variable& mean, Variable& squares,
                 Variable* largest, const Adam& p) {
  detail::for_elements("Adam", var, gradient, {&mean, &squares, largest}, [&](auto zero) {
    using T = decltype(zero);
    T *w = var.update<T>(), *m = mean.update<T>(), *v = squares.update<T>();
    T* top = detail::elements<T>(largest);
    const T* g = gradient.data<T>();
    const double t = double(p.step);
    const T alpha = T(p.lr * std::sqrt(1 - std::pow(p.beta2, t)) / (1 - std::pow(p.beta1, t)));
    const T decay = T(p.lr * p.weight_decay), eps = T(p.epsilon);
    const T rest1 = T(1 - p.beta1), rest2 = T(1 - p.beta2);
    parallel_for(detail::kFlopsPerElement * double(var.size()), var.size(),
                 [=](Index begin, Index end) {
                   if (top == nullptr) {
                     for (Index i = begin; i < end; ++i) {
                       m[i] += (g[i] - m[i]) * rest1;
                       v[i] += (g[i] * g[i] - v[i]) * rest2;
                       w[i] = w[i] - decay * w[i] - alpha * m[i] / (std::sqrt(v[i]) + eps);
                     }
                     return;
                   }
                   for (Index i = begin; i < end; ++i) {
                     m[i] += (g[i] - m[i]) * rest1;
                     v[i] += (g[i] * g[i] - v[i]) * rest2;
                     top[i] = top[i] > v[i] ? top[i] : v[i];
                     w[i] = w[i] - decay * w[i] - alpha * m[i] / (std::sqrt(top[i]) + eps);
                   }
                 });
  });
}

/// Sum of the squares of all elements of all tensors in float64, in an order that no thread count
/// changes.
inline double squared_norm(const std::vector<Tensor>& tensors) {
  double total = 0;
  for (const Tensor& t : tensors) {
    visit_float("squared_norm", t.dtype(), [&](auto zero) {
      using T = decltype(zero);
      const T* x = t.data<T>();
      double lanes[8] = {};
      Index i = 0;
      for (; i + 8 <= t.size(); i += 8) {
        for (Index l = 0; l < 8; ++l) lanes[l] += double(x[i + l]) * double(x[i + l]);
      }
      for (; i < t.size(); ++i) lanes[0] += double(x[i]) * double(x[i]);
      for (const double lane : lanes) total += lane;
    });
  }
  return total;
}

}  // namespace elman::optimizers
