// SPDX-License-Identifier: Apache-2.0
// elman/autograd/optimizers.hpp: one step of an optimizer, in place: one pass over the memory.
#pragma once

#include <algorithm>
#include <cmath>
#include <initializer_list>
#include <string>
#include <vector>

#include "elman/autograd/dispatch.hpp"
#include "elman/autograd/parallel.hpp"
#include "elman/autograd/tensor.hpp"

namespace elman::optimizers {

namespace detail {

inline void expect_like(const char* where, const char* what, const Tensor& t, const Tensor& like) {
  if (t.shape() == like.shape() && t.dtype() == like.dtype()) return;
  fail(where, std::string(what) + ": expected " + like.shape().text() + " " +
                  dtype_name(like.dtype()) + " like the variable, got " + t.shape().text() + " " +
                  dtype_name(t.dtype()));
}

/// The operands of a step: all like the variable, and each slot a variable of its own.
inline void check(const char* where, const Variable& var, const Tensor& gradient,
                  std::initializer_list<const Variable*> slots) {
  expect_like(where, "gradient", gradient, var);
  std::vector<const Variable*> seen{&var};
  for (const Variable* slot : slots) {
    if (slot == nullptr) continue;
    expect_like(where, "slot", *slot, var);
    if (std::find(seen.begin(), seen.end(), slot) != seen.end()) {
      fail(where, "slot: expected a variable of its own, got one twice");
    }
    seen.push_back(slot);
  }
}

// Memory-bound: about 16 bytes an element and a dozen operations.
inline constexpr double kFlopsPerElement = 12;

template <class F>
void over(const Variable& var, const F& body) {
  elman::detail::parallel(memory_flops(var.size(), kFlopsPerElement), var.size(), body);
}

// The pointers below never alias, which lets the compiler use whole vectors: slots are distinct
// (check), and a gradient by value makes a variable that shares its memory move to its own.

template <class T>
void sgd_plain(T* __restrict w, const T* __restrict g, Index n, T rate) {
  for (Index i = 0; i < n; ++i) w[i] -= rate * g[i];
}

template <class T, bool Nesterov>
void sgd_momentum(T* __restrict w, T* __restrict v, const T* __restrict g, Index n, T rate, T m) {
  for (Index i = 0; i < n; ++i) {
    const T step = m * v[i] - rate * g[i];
    v[i] = step;
    w[i] += Nesterov ? m * step - rate * g[i] : step;
  }
}

template <class T>
struct RmsPropRates {
  T rate, keep, momentum, epsilon;
};

template <class T, bool Centered, bool Momentum>
void rmsprop_run(T* __restrict w, T* __restrict r, T* __restrict a, T* __restrict u,
                 const T* __restrict g, Index n, const RmsPropRates<T> p) {
  const T rest = T(1) - p.keep;
  for (Index i = 0; i < n; ++i) {
    r[i] = p.keep * r[i] + rest * (g[i] * g[i]);
    T under = r[i] + p.epsilon;
    if constexpr (Centered) {
      a[i] = p.keep * a[i] + rest * g[i];
      under -= a[i] * a[i];
    }
    T step = p.rate * g[i] / std::sqrt(under);
    if constexpr (Momentum) {
      step += p.momentum * u[i];
      u[i] = step;
    }
    w[i] -= step;
  }
}

template <class T>
struct AdamRates {
  T alpha, decay, rest1, rest2, epsilon;
};

template <class T, bool Largest>
void adam_run(T* __restrict w, T* __restrict m, T* __restrict v, T* __restrict top,
              const T* __restrict g, Index n, const AdamRates<T> p) {
  for (Index i = 0; i < n; ++i) {
    m[i] += (g[i] - m[i]) * p.rest1;
    v[i] += (g[i] * g[i] - v[i]) * p.rest2;
    T under = v[i];
    if constexpr (Largest) {
      under = top[i] > under ? top[i] : under;
      top[i] = under;
    }
    w[i] = w[i] - p.decay * w[i] - p.alpha * m[i] / (std::sqrt(under) + p.epsilon);
  }
}

}  // namespace detail

/// v = momentum v - lr g;  w += v, or with nesterov w += momentum v - lr g. Without velocity
/// w -= lr g.
/// Shapes    gradient and velocity like the variable
/// Errors    std::invalid_argument on a shape or type mismatch (all three optimizers)
/// Source    Keras SGD
// NOLINTNEXTLINE(performance-unnecessary-value-param): holds the memory, see above
inline void sgd(Variable& var, Tensor gradient, Variable* velocity, double lr, double momentum,
                bool nesterov) {
  detail::check("SGD", var, gradient, {velocity});
  visit_float("SGD", var.dtype(), [&](auto zero) {
    using T = decltype(zero);
    T* w = var.update<T>();
    T* v = velocity == nullptr ? nullptr : velocity->update<T>();
    const T* g = gradient.data<T>();
    const T rate = static_cast<T>(lr), m = static_cast<T>(momentum);
    detail::over(var, [=](Index begin, Index end) {
      const Index n = end - begin;
      if (v == nullptr) {
        detail::sgd_plain(w + begin, g + begin, n, rate);
      } else if (nesterov) {
        detail::sgd_momentum<T, true>(w + begin, v + begin, g + begin, n, rate, m);
      } else {
        detail::sgd_momentum<T, false>(w + begin, v + begin, g + begin, n, rate, m);
      }
    });
  });
}

/// r = rho r + (1 - rho) g^2;  step = lr g / sqrt(r [- a^2] + epsilon), a the mean gradient where
/// `mean` is given;  with momentum u = momentum u + step, w -= u.
/// Source    Keras RMSprop
// NOLINTNEXTLINE(performance-unnecessary-value-param): holds the memory, see above
inline void rmsprop(Variable& var, Tensor gradient, Variable& squares, Variable* mean,
                    Variable* last, double lr, double rho, double momentum, double epsilon) {
  detail::check("RMSprop", var, gradient, {&squares, mean, last});
  visit_float("RMSprop", var.dtype(), [&](auto zero) {
    using T = decltype(zero);
    T* w = var.update<T>();
    T* r = squares.update<T>();
    // A missing slot is never touched; a valid pointer keeps the arithmetic on it defined.
    T* a = mean == nullptr ? r : mean->update<T>();
    T* u = last == nullptr ? r : last->update<T>();
    const T* g = gradient.data<T>();
    const detail::RmsPropRates<T> p{static_cast<T>(lr), static_cast<T>(rho),
                                    static_cast<T>(momentum), static_cast<T>(epsilon)};
    auto run = detail::rmsprop_run<T, false, false>;
    if (mean != nullptr) run = detail::rmsprop_run<T, true, false>;
    if (last != nullptr) run = detail::rmsprop_run<T, false, true>;
    if (mean != nullptr && last != nullptr) run = detail::rmsprop_run<T, true, true>;
    detail::over(var,
                 [=](Index i, Index end) { run(w + i, r + i, a + i, u + i, g + i, end - i, p); });
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
// NOLINTNEXTLINE(performance-unnecessary-value-param): holds the memory, see above
inline void adam(Variable& var, Tensor gradient, Variable& mean, Variable& squares,
                 Variable* largest, const Adam& options) {
  detail::check("Adam", var, gradient, {&mean, &squares, largest});
  visit_float("Adam", var.dtype(), [&](auto zero) {
    using T = decltype(zero);
    T* w = var.update<T>();
    T* m = mean.update<T>();
    T* v = squares.update<T>();
    T* top = largest == nullptr ? v : largest->update<T>();
    const T* g = gradient.data<T>();
    const double t = static_cast<double>(options.step);
    const double warm =
        std::sqrt(1 - std::pow(options.beta2, t)) / (1 - std::pow(options.beta1, t));
    const detail::AdamRates<T> p{
        static_cast<T>(options.lr * warm), static_cast<T>(options.lr * options.weight_decay),
        static_cast<T>(1 - options.beta1), static_cast<T>(1 - options.beta2),
        static_cast<T>(options.epsilon)};
    const auto run = largest == nullptr ? detail::adam_run<T, false> : detail::adam_run<T, true>;
    detail::over(var,
                 [=](Index i, Index end) { run(w + i, m + i, v + i, top + i, g + i, end - i, p); });
  });
}

/// Sum of the squares of all elements of all tensors in float64, in an order that no thread count
/// changes.
inline double squared_norm(const std::vector<Tensor>& tensors) {
  constexpr Index kLanes = 16, kChunk = 4096;
  double total = 0;
  for (const Tensor& t : tensors) {
    visit_float("squared_norm", t.dtype(), [&](auto zero) {
      using T = decltype(zero);
      const T* x = t.data<T>();
      const Index chunks = (t.size() + kChunk - 1) / kChunk;
      std::vector<double> partial(static_cast<std::size_t>(chunks));
      elman::detail::parallel(
          4.0 * static_cast<double>(t.size()), chunks, [&](Index c, Index last) {
            for (; c < last; ++c) {
              const Index end = std::min(t.size(), (c + 1) * kChunk);
              double lanes[kLanes] = {};
              Index i = c * kChunk;
              for (; i + kLanes <= end; i += kLanes) {
                for (Index l = 0; l < kLanes; ++l) {
                  const double value = static_cast<double>(x[i + l]);
                  lanes[l] += value * value;
                }
              }
              for (; i < end; ++i)
                lanes[0] += static_cast<double>(x[i]) * static_cast<double>(x[i]);
              double sum = 0;
              for (const double lane : lanes) sum += lane;
              partial[static_cast<std::size_t>(c)] = sum;
            }
          });
      for (const double sum : partial) total += sum;
    });
  }
  return total;
}

}  // namespace elman::optimizers
