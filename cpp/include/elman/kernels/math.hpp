// SPDX-License-Identifier: Apache-2.0
// elman/kernels/math.hpp: vectorised exponential, logistic and hyperbolic functions.
#pragma once

#include <type_traits>

#include "elman/kernels/simd.hpp"

namespace elman::math {

using simd::Packet;

namespace detail {

// (e^r - 1 - r) / r^2 on |r| <= ln(2)/2, interpolated at Chebyshev nodes in 60 digits;
// relative error of the whole e^r - 1: 2.5e-8 (float), 4.2e-17 (double).
template <class T>
struct Exp;
template <>
struct Exp<float> {
  static constexpr float kQ[] = {0.5f, 0.16666576305560638f, 0.04166655376256764f,
                                 0.008363292753030602f, 0.0013926325618133462f};
  // ln(2) in two parts: the first has 15 significant bits, so that n * kHigh is exact.
  static constexpr float kHigh = 0.693145751953125f, kLow = 1.42860677e-6f;
  static constexpr float kFloor = -104.0f, kCeiling = 89.0f;
};
template <>
struct Exp<double> {
  static constexpr double kQ[] = {0.50000000000000010417,   0.16666666666666667468,
                                  0.041666666666623476764,  0.0083333333333300117609,
                                  0.0013888888917538295848, 0.00019841269863303223296,
                                  2.4801520792572692843e-5, 2.7557268072890098263e-6,
                                  2.762032742826823816e-7,  2.5100569275813682631e-8};
  static constexpr double kHigh = 6.93147180369123816490e-01, kLow = 1.90821492927058770002e-10;
  static constexpr double kFloor = -746.0, kCeiling = 710.0;
};

// N arguments at once, step by step: each chain of dependent operations fills the waits of the
// others.
template <class T, int N>
struct Reduced {
  Packet<T> magic_n[N];     // n + kRoundMagic
  Packet<T> n[N];           // nearest integer to x / ln 2
  Packet<T> expm1_rest[N];  // e^(x - n ln 2) - 1
};

// x = n ln 2 + r with |r| <= ln(2)/2.
template <class T, int N>
inline __attribute__((always_inline)) Reduced<T, N> reduce(const Packet<T> (&x)[N]) {
  using simd::madd;
  const Packet<T> magic = simd::set1<T>(simd::kRoundMagic<T>);
  constexpr int kLast = static_cast<int>(std::extent_v<decltype(Exp<T>::kQ)>) - 1;
  Reduced<T, N> out;
  Packet<T> r[N], q[N];
#pragma GCC unroll 8
  for (int i = 0; i < N; ++i) {
    out.magic_n[i] = madd(x[i], simd::set1<T>(T(1.4426950408889634074)), magic);
  }
#pragma GCC unroll 8
  for (int i = 0; i < N; ++i) out.n[i] = simd::sub(out.magic_n[i], magic);
#pragma GCC unroll 8
  for (int i = 0; i < N; ++i) r[i] = madd(out.n[i], simd::set1<T>(-Exp<T>::kHigh), x[i]);
#pragma GCC unroll 8
  for (int i = 0; i < N; ++i) r[i] = madd(out.n[i], simd::set1<T>(-Exp<T>::kLow), r[i]);
#pragma GCC unroll 8
  for (int i = 0; i < N; ++i) q[i] = simd::set1<T>(Exp<T>::kQ[kLast]);
#pragma GCC unroll 16
  for (int k = kLast - 1; k >= 0; --k) {
#pragma GCC unroll 8
    for (int i = 0; i < N; ++i) q[i] = madd(q[i], r[i], simd::set1<T>(Exp<T>::kQ[k]));
  }
#pragma GCC unroll 8
  for (int i = 0; i < N; ++i) out.expm1_rest[i] = madd(simd::mul(r[i], r[i]), q[i], r[i]);
  return out;
}

template <class T>
inline __attribute__((always_inline)) Reduced<T, 1> reduce(const Packet<T>& x) {
  const Packet<T> one[1] = {x};
  return reduce<T, 1>(one);
}

}  // namespace detail

/// e^x. Accuracy: 2 ulp; overflows to inf, underflows gradually to 0, NaN stays NaN.
template <class T>
inline __attribute__((always_inline)) Packet<T> exp(const Packet<T>& x) {
  const Packet<T> bounded = simd::min(simd::max(x, simd::set1<T>(detail::Exp<T>::kFloor)),
                                      simd::set1<T>(detail::Exp<T>::kCeiling));
  const auto e = detail::reduce<T>(bounded);
  const Packet<T> mantissa = simd::add(e.expm1_rest[0], simd::set1<T>(T(1)));
  // n runs over [-151, 129]: two half steps keep each power of two a normal number.
  const Packet<T> magic = simd::set1<T>(simd::kRoundMagic<T>);
  const Packet<T> half = simd::madd(e.n[0], simd::set1<T>(T(0.5)), magic);
  const Packet<T> rest = simd::add(simd::sub(e.n[0], simd::sub(half, magic)), magic);
  return simd::mul(simd::mul(mantissa, simd::power_of_two<Packet<T>, T>(half)),
                   simd::power_of_two<Packet<T>, T>(rest));
}

namespace detail {

// The least arguments that are told apart: e^x is 0 below the first, e^x - 1 is -1 at the second.
template <class T>
inline constexpr T kExpFloor = sizeof(T) == 4 ? T(-87.33) : T(-708.39);
template <class T>
inline constexpr T kExpm1Floor = T(-40);

// e^x and e^x - 1 from what reduce() made of x, raised to the floor where it is below.
template <class T>
inline __attribute__((always_inline)) Packet<T> exp_negative(const Packet<T>& x,
                                                             const Packet<T>& magic_n,
                                                             const Packet<T>& expm1_rest) {
  const Packet<T> scale = simd::power_of_two<Packet<T>, T>(magic_n);
  return simd::select_less<Packet<T>>(x, simd::set1<T>(kExpFloor<T>), simd::zero<T>(),
                                      simd::madd(scale, expm1_rest, scale));
}
template <class T>
inline __attribute__((always_inline)) Packet<T> expm1_negative(const Packet<T>& magic_n,
                                                               const Packet<T>& expm1_rest) {
  const Packet<T> scale = simd::power_of_two<Packet<T>, T>(magic_n);
  return simd::madd(scale, expm1_rest, simd::sub(scale, simd::set1<T>(T(1))));
}

}  // namespace detail

/// e^x for x <= 0. Accuracy: 2 ulp; exactly 0 below the smallest normal number.
template <class T>
inline __attribute__((always_inline)) Packet<T> exp_negative(const Packet<T>& x) {
  const auto e = detail::reduce<T>(simd::max(x, simd::set1<T>(detail::kExpFloor<T>)));
  return detail::exp_negative<T>(x, e.magic_n[0], e.expm1_rest[0]);
}

/// e^x - 1 for x <= 0. Accuracy: 3 ulp, also near 0; -1 below -40.
template <class T>
inline __attribute__((always_inline)) Packet<T> expm1_negative(const Packet<T>& x) {
  const auto e = detail::reduce<T>(simd::max(x, simd::set1<T>(detail::kExpm1Floor<T>)));
  return detail::expm1_negative<T>(e.magic_n[0], e.expm1_rest[0]);
}

/// S logistic functions and H hyperbolic tangents at once, in place. They are those of sigmoid()
/// and tanh() below, to the bit.
template <class T, int S, int H>
inline __attribute__((always_inline)) void squash(Packet<T>* sigmoids, Packet<T>* tanhs) {
  const Packet<T> one = simd::set1<T>(T(1)), two = simd::set1<T>(T(2));
  const Packet<T> floor = simd::set1<T>(detail::kExpFloor<T>);
  Packet<T> x[S + H];
#pragma GCC unroll 8
  for (int i = 0; i < S; ++i) {
    x[i] = simd::max(simd::negate(simd::abs(sigmoids[i])), floor);
  }
#pragma GCC unroll 8
  for (int i = 0; i < H; ++i) {
    x[S + i] = simd::max(simd::mul(simd::abs(tanhs[i]), simd::set1<T>(T(-2))),
                         simd::set1<T>(detail::kExpm1Floor<T>));
  }
  const auto e = detail::reduce<T, S + H>(x);
#pragma GCC unroll 8
  for (int i = 0; i < S; ++i) {
    const Packet<T> t = detail::exp_negative<T>(simd::negate(simd::abs(sigmoids[i])), e.magic_n[i],
                                                e.expm1_rest[i]);
    const Packet<T> numerator = simd::select_less<Packet<T>>(sigmoids[i], simd::zero<T>(), t, one);
    sigmoids[i] = simd::divide_by_unit<T>(numerator, simd::add(one, t));
  }
#pragma GCC unroll 8
  for (int i = 0; i < H; ++i) {
    const Packet<T> m = detail::expm1_negative<T>(e.magic_n[S + i], e.expm1_rest[S + i]);
    const Packet<T> q = simd::divide_by_unit<T>(simd::negate(m), simd::add(two, m));
    tanhs[i] = simd::with_sign<T>(simd::abs(q), tanhs[i]);
  }
}

/// 1 / (1 + e^-x) = t / (1 + t) or 1 / (1 + t) with t = e^-|x|, so small values keep their digits.
/// Accuracy: 4 ulp; 0 and 1 at the infinities, NaN stays NaN.
template <class T>
inline __attribute__((always_inline)) Packet<T> sigmoid(const Packet<T>& x) {
  Packet<T> y = x;
  squash<T, 1, 0>(&y, nullptr);
  return y;
}

/// tanh x = -m / (2 + m) with m = e^(-2|x|) - 1. Accuracy: 4 ulp; odd, tanh(-0) = -0, NaN stays
/// NaN.
template <class T>
inline __attribute__((always_inline)) Packet<T> tanh(const Packet<T>& x) {
  Packet<T> y = x;
  squash<T, 0, 1>(nullptr, &y);
  return y;
}

/// log(1 + t) for t in [0, 1] as 2 atanh(t / (2 + t)). Accuracy: 4 ulp.
template <class T>
inline __attribute__((always_inline)) Packet<T> log1p_unit(const Packet<T>& t) {
  constexpr int kTerms = sizeof(T) == 4 ? 8 : 17;  // (1/9)^terms is below the last bit
  const Packet<T> s = simd::div(t, simd::add(t, simd::set1<T>(T(2))));
  const Packet<T> s2 = simd::mul(s, s);
  Packet<T> sum = simd::set1<T>(T(1) / T(2 * kTerms + 1));
  for (int i = kTerms - 1; i >= 1; --i) {
    sum = simd::madd(sum, s2, simd::set1<T>(T(1) / T(2 * i + 1)));
  }
  const Packet<T> s3 = simd::mul(s, s2);
  return simd::mul(simd::set1<T>(T(2)), simd::madd(s3, sum, s));
}

namespace detail {

// e^(z^2) erfc(z) / t in powers of 2t - 1, with t = 2 / (2 + z) in (0, 1], interpolated at
// Chebyshev nodes in 60 digits; relative error 2.8e-8 (float), 1.5e-17 (double).
template <class T>
struct ScaledErfc;
template <>
struct ScaledErfc<float> {
  static constexpr float kQ[] = {
      0.51079135262101149f,    0.3435803125493544f,     0.13973594579655535f,
      0.018221749114581441f,   -0.010753310882746259f,  -0.0032437330677979462f,
      0.0015338470443377151f,  0.00043104002164228327f, -0.00030471908641228665f,
      -3.6764361635711953e-5f, 4.4288414671455175e-5f};
};
template <>
struct ScaledErfc<double> {
  static constexpr double kQ[] = {
      0.51079135262101148773,        0.343580342206905113754,      0.139736046278027363054,
      0.0182211157534614167763,      -0.0107553309447432120988,    -0.00323959253465501481057,
      0.00154530602965621768704,     0.000418648044317819897026,   -0.000331536754536953268102,
      -0.0000171858401597840432471,  0.0000722353981003438113751,  -0.0000170737402730143124343,
      -0.0000108482661706677040518,  0.00000805774418514530570078, -5.62201736722918687328e-7,
      -0.00000181475022553845304652, 9.99681054480693683343e-7,    -1.41731568559387161412e-8,
      -2.83840325082114734169e-7,    1.7908279942960268878e-7,     -3.287972916831083082e-9,
      -6.99159976379271022286e-8,    2.99958032997778525344e-8,    1.33098309403175429014e-8,
      -1.00778162298848173849e-8,    -1.07397108856099540723e-9,   1.25658766710466239556e-9};
};

}  // namespace detail

/// Phi(x), the normal distribution function, as e^(-x^2 / 2) times a polynomial on the side where
/// it is below 1/2. Accuracy: 2 ulp of 1; 0 and 1 at the infinities, NaN stays NaN.
template <class T>
inline __attribute__((always_inline)) Packet<T> normal_cdf(const Packet<T>& x) {
  constexpr int kLast = static_cast<int>(std::extent_v<decltype(detail::ScaledErfc<T>::kQ)>) - 1;
  const Packet<T> one = simd::set1<T>(T(1)), half = simd::set1<T>(T(0.5));
  // t = 2 / (2 + |x| / sqrt 2)
  const Packet<T> two = simd::set1<T>(T(2));
  const Packet<T> t =
      simd::div(two, simd::madd(simd::abs(x), simd::set1<T>(T(0.70710678118654752440)), two));
  const Packet<T> s = simd::sub(simd::add(t, t), one);
  Packet<T> q = simd::set1<T>(detail::ScaledErfc<T>::kQ[kLast]);
  for (int i = kLast - 1; i >= 0; --i) {
    q = simd::madd(q, s, simd::set1<T>(detail::ScaledErfc<T>::kQ[i]));
  }
  const Packet<T> e = exp_negative<T>(simd::negate(simd::mul(simd::mul(x, x), half)));
  const Packet<T> tail = simd::mul(simd::mul(half, t), simd::mul(q, e));
  return simd::select_less<Packet<T>>(x, simd::zero<T>(), tail, simd::sub(one, tail));
}

}  // namespace elman::math
