// SPDX-License-Identifier: Apache-2.0
// elman/kernels/activation.hpp: the elementwise activations by Keras name, forward and backward.
#pragma once

#include <array>
#include <string>
#include <string_view>
#include <utility>

#include "elman/core/errors.hpp"
#include "elman/kernels/math.hpp"

namespace elman {

/// hard_sigmoid is clip(0.2 x + 0.5, 0, 1) (Keras 1 and 2); hard_sigmoid_v3 is relu6(x + 3) / 6.
enum class Activation : int {
  linear,
  relu,
  sigmoid,
  tanh,
  hard_sigmoid,
  hard_sigmoid_v3,
  softplus,
  softsign,
  elu,
  exponential,
  selu,
  silu,
  gelu,
  mish,
  relu6,
  leaky_relu
};

namespace detail {
inline constexpr std::array<std::pair<std::string_view, Activation>, 17> kActivationNames = {{
    {"linear", Activation::linear},
    {"relu", Activation::relu},
    {"sigmoid", Activation::sigmoid},
    {"tanh", Activation::tanh},
    {"hard_sigmoid", Activation::hard_sigmoid},
    {"hard_sigmoid_v3", Activation::hard_sigmoid_v3},
    {"softplus", Activation::softplus},
    {"softsign", Activation::softsign},
    {"elu", Activation::elu},
    {"exponential", Activation::exponential},
    {"selu", Activation::selu},
    {"silu", Activation::silu},
    {"swish", Activation::silu},
    {"gelu", Activation::gelu},
    {"mish", Activation::mish},
    {"relu6", Activation::relu6},
    {"leaky_relu", Activation::leaky_relu},
}};
}  // namespace detail

/// The activation of that Keras name. Errors: std::invalid_argument that lists the known names.
inline Activation parse_activation(std::string_view name) {
  std::string known;
  for (const auto& [key, value] : detail::kActivationNames) {
    if (key == name) return value;
    known += (known.empty() ? "" : ", ") + std::string(key);
  }
  fail("activation", "unknown name '" + std::string(name) + "'; known: " + known);
}

inline std::string_view activation_name(Activation kind) {
  for (const auto& [key, value] : detail::kActivationNames) {
    if (value == kind) return key;
  }
  return "unknown";
}

namespace kernels {

using simd::Packet;

inline constexpr double kSeluScale = 1.0507009873554804934193349852946;
inline constexpr double kSeluAlpha = 1.6732632423543772848170429916717;
inline constexpr double kLeakySlope = 0.2;

/// Whether a'(x) is a function of a(x) alone: then training saves a(x), else it saves x.
constexpr bool derivative_from_output(Activation kind) {
  return kind != Activation::silu && kind != Activation::gelu && kind != Activation::mish;
}

namespace detail {

template <class T>
inline Packet<T> clip01(const Packet<T>& x) {
  return simd::min(simd::max(x, simd::zero<T>()), simd::set1<T>(T(1)));
}

/// alpha (e^x - 1) for x < 0 and x above; NaN stays NaN.
template <class T>
__attribute__((always_inline)) inline Packet<T> elu(const Packet<T>& x, T alpha) {
  const Packet<T> below =
      simd::mul(math::expm1_negative<T>(simd::min(x, simd::zero<T>())), simd::set1<T>(alpha));
  return simd::select_less<Packet<T>>(x, simd::zero<T>(), below, x);
}

/// log(1 + e^x) = max(x, 0) + log1p(e^-|x|).
template <class T>
__attribute__((always_inline)) inline Packet<T> softplus(const Packet<T>& x) {
  const Packet<T> t = math::exp_negative<T>(simd::negate(simd::abs(x)));
  return simd::add(simd::max(x, simd::zero<T>()), math::log1p_unit<T>(t));
}

/// tanh(softplus(x)): with t = e^-|x| both signs need one division and lose no digits.
template <class T>
__attribute__((always_inline)) inline Packet<T> tanh_softplus(const Packet<T>& x) {
  const Packet<T> one = simd::set1<T>(T(1)), two = simd::set1<T>(T(2));
  const Packet<T> t = math::exp_negative<T>(simd::negate(simd::abs(x)));
  const Packet<T> t2 = simd::mul(t, t);
  // x < 0: (t^2 + 2t) / (t^2 + 2t + 2);  x >= 0: (1 + 2t) / (1 + 2t + 2t^2).
  const Packet<T> negative = simd::madd(two, t, t2), positive = simd::madd(two, t, one);
  const Packet<T> n = simd::select_less<Packet<T>>(x, simd::zero<T>(), negative, positive);
  const Packet<T> rest = simd::select_less<Packet<T>>(x, simd::zero<T>(), two, simd::mul(two, t2));
  return simd::div(n, simd::add(n, rest));
}

/// slope where 0 < y < 1, else 0; NaN stays NaN.
template <class T>
inline Packet<T> slope_inside_unit(const Packet<T>& y, T slope) {
  const Packet<T> s = simd::madd(simd::set1<T>(T(0)), y, simd::set1<T>(slope));
  const Packet<T> up =
      simd::select_less<Packet<T>>(simd::zero<T>(), y, s, simd::mul(s, simd::zero<T>()));
  return simd::select_less<Packet<T>>(y, simd::set1<T>(T(1)), up, simd::mul(s, simd::zero<T>()));
}

// The activations of more operations than a call costs.
template <class T>
__attribute__((always_inline)) inline Packet<T> activate_long(Activation kind, const Packet<T>& x) {
  switch (kind) {
    case Activation::softplus:
      return softplus<T>(x);
    case Activation::softsign:
      return simd::div(x, simd::add(simd::set1<T>(T(1)), simd::abs(x)));
    case Activation::elu:
      return elu<T>(x, T(1));
    case Activation::exponential:
      return math::exp<T>(x);
    case Activation::selu:
      return simd::mul(simd::set1<T>(T(kSeluScale)), elu<T>(x, T(kSeluAlpha)));
    case Activation::silu:
      return simd::mul(x, math::sigmoid<T>(x));
    case Activation::gelu:
      return simd::mul(x, math::normal_cdf<T>(x));
    case Activation::mish:
      return simd::mul(x, tanh_softplus<T>(x));
    default:
      return x;
  }
}
template <class T>
__attribute__((noinline)) Packet<T> activate_apart(Activation kind, const Packet<T>& x) {
  return activate_long<T>(kind, x);
}

}  // namespace detail

/// a(x), lane by lane. Accuracy: sigmoid, tanh 4 ulp; the others 8 ulp.
/// Apart: the longer ones are one function that all callers share, not part of each.
template <class T, bool Apart = true>
__attribute__((always_inline)) inline Packet<T> activate(Activation kind, const Packet<T>& x) {
  const Packet<T> zero = simd::zero<T>();
  switch (kind) {
    case Activation::linear:
      return x;
    case Activation::relu:
      return simd::max(x, zero);
    case Activation::sigmoid:
      return math::sigmoid<T>(x);
    case Activation::tanh:
      return math::tanh<T>(x);
    case Activation::hard_sigmoid:
      return detail::clip01<T>(simd::madd(x, simd::set1<T>(T(0.2)), simd::set1<T>(T(0.5))));
    case Activation::hard_sigmoid_v3:
      return detail::clip01<T>(simd::madd(x, simd::set1<T>(T(1) / T(6)), simd::set1<T>(T(0.5))));
    case Activation::relu6:
      return simd::min(simd::max(x, zero), simd::set1<T>(T(6)));
    case Activation::leaky_relu:
      return simd::select_less<Packet<T>>(x, zero, simd::mul(x, simd::set1<T>(T(kLeakySlope))), x);
    default:
      return Apart ? detail::activate_apart<T>(kind, x) : detail::activate_long<T>(kind, x);
  }
}

namespace detail {

// The three whose derivative needs x itself.
template <class T>
__attribute__((noinline)) Packet<T> derivative_from_input(Activation kind, const Packet<T>& x) {
  const Packet<T> one = simd::set1<T>(T(1));
  if (kind == Activation::silu) {  // s (1 + x (1 - s))
    const Packet<T> s = math::sigmoid<T>(x);
    return simd::mul(s, simd::madd(x, simd::sub(one, s), one));
  }
  if (kind == Activation::gelu) {  // Phi(x) + x phi(x)
    const Packet<T> density =
        simd::mul(math::exp<T>(simd::mul(simd::mul(x, x), simd::set1<T>(T(-0.5)))),
                  simd::set1<T>(T(0.39894228040143267794)));
    return simd::madd(x, density, math::normal_cdf<T>(x));
  }
  const Packet<T> w = tanh_softplus<T>(x);  // mish: w + x (1 - w^2) sigmoid(x)
  const Packet<T> dw = simd::mul(simd::sub(one, simd::mul(w, w)), math::sigmoid<T>(x));
  return simd::madd(x, dw, w);
}

}  // namespace detail

/// a'(x) from what training saves: y = a(x) where derivative_from_output(kind), else x.
template <class T>
__attribute__((always_inline)) inline Packet<T> derivative(Activation kind,
                                                           const Packet<T>& saved) {
  const Packet<T> zero = simd::zero<T>(), one = simd::set1<T>(T(1));
  const Packet<T>& y = saved;
  switch (kind) {
    case Activation::linear:
      return one;
    case Activation::relu:
      return simd::select_less<Packet<T>>(zero, y, one, simd::mul(y, zero));
    case Activation::sigmoid:
      return simd::mul(y, simd::sub(one, y));
    case Activation::tanh:
      return simd::sub(one, simd::mul(y, y));
    case Activation::hard_sigmoid:
      return detail::slope_inside_unit<T>(y, T(0.2));
    case Activation::hard_sigmoid_v3:
      return detail::slope_inside_unit<T>(y, T(1) / T(6));
    case Activation::softplus:  // sigmoid(x) = 1 - e^-y
      return simd::negate(math::expm1_negative<T>(simd::negate(y)));
    case Activation::softsign: {
      const Packet<T> u = simd::sub(one, simd::abs(y));
      return simd::mul(u, u);
    }
    case Activation::elu:
      return simd::select_less<Packet<T>>(y, zero, simd::add(y, one), one);
    case Activation::exponential:
      return y;
    case Activation::selu:
      return simd::select_less<Packet<T>>(y, zero,
                                          simd::add(y, simd::set1<T>(T(kSeluScale * kSeluAlpha))),
                                          simd::set1<T>(T(kSeluScale)));
    case Activation::relu6:
      return simd::select_less<Packet<T>>(
          zero, y, simd::select_less<Packet<T>>(y, simd::set1<T>(T(6)), one, zero),
          simd::mul(y, zero));
    case Activation::leaky_relu:
      return simd::select_less<Packet<T>>(y, zero, simd::set1<T>(T(kLeakySlope)), one);
    case Activation::silu:
    case Activation::gelu:
    case Activation::mish:
      return detail::derivative_from_input<T>(kind, saved);
  }
  return one;
}

/// dz = dy a'(z), from what training saves.
template <class T>
__attribute__((always_inline)) inline Packet<T> gradient(Activation kind, const Packet<T>& dy,
                                                         const Packet<T>& saved) {
  return simd::mul(dy, derivative<T>(kind, saved));
}

/// What training keeps of z: a(z) or z itself.
template <class T>
inline Packet<T> to_save(Activation kind, const Packet<T>& z, const Packet<T>& a) {
  return derivative_from_output(kind) ? a : z;
}

/// a(z) from what training kept.
template <class T>
inline Packet<T> from_saved(Activation kind, const Packet<T>& saved) {
  return derivative_from_output(kind) ? saved : detail::activate_apart<T>(kind, saved);
}

}  // namespace kernels

/// y = a(x). Shapes: x, y [n], may be the same array. Cost: one pass, no allocation.
template <class T>
inline void activate(Activation kind, const T* x, T* y, Index n) {
  constexpr Index kW = simd::kWidth<T>;
  Index i = 0;
  for (; i + kW <= n; i += kW)
    simd::storeu<T>(y + i, kernels::activate<T, false>(kind, simd::loadu(x + i)));
  if (i < n) {
    simd::store_partial<T>(y + i, kernels::activate<T>(kind, simd::load_partial(x + i, n - i)),
                           n - i);
  }
}

/// dx = dy a'(x). Shapes: x, y = a(x), dy, dx [n]; dx may be dy.
template <class T>
inline void activate_backward(Activation kind, const T* x, const T* y, const T* dy, T* dx,
                              Index n) {
  constexpr Index kW = simd::kWidth<T>;
  const T* saved = kernels::derivative_from_output(kind) ? y : x;
  for (Index i = 0; i < n; i += kW) {
    const Index lanes = n - i < kW ? n - i : kW;
    const simd::Packet<T> d = kernels::derivative<T>(kind, simd::load_partial(saved + i, lanes));
    simd::store_partial<T>(dx + i, simd::mul(simd::load_partial(dy + i, lanes), d), lanes);
  }
}

}  // namespace elman
