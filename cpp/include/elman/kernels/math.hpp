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

template <class T>
struct Reduced {
  Packet<T> magic_n;     // n + kRoundMagic
  Packet<T> n;           // nearest integer to x / ln 2
  Packet<T> expm1_rest;  // e^(x - n ln 2) - 1
};

// x = n ln 2 + r with |r| <= ln(2)/2.
template <class T>
inline __attribute__((always_inline)) Reduced<T> reduce(const Packet<T>& x) {
  using simd::madd;
  const Packet<T> magic = simd::set1<T>(simd::kRoundMagic<T>);
  Reduced<T> out;
  out.magic_n = madd(x, simd::set1<T>(T(1.4426950408889634074)), magic);
  out.n = simd::sub(out.magic_n, magic);
  Packet<T> r = madd(out.n, simd::set1<T>(-Exp<T>::kHigh), x);
  r = madd(out.n, simd::set1<T>(-Exp<T>::kLow), r);
  constexpr int kLast = int(std::extent_v<decltype(Exp<T>::kQ)>) - 1;
  Packet<T> q = simd::set1<T>(Exp<T>::kQ[kLast]);
#pragma GCC unroll 16
  for (int k = kLast - 1; k >= 0; --k) q = madd(q, r, simd::set1<T>(Exp<T>::kQ[k]));
  out.expm1_rest = madd(simd::mul(r, r), q, r);
  return out;
}

}  // namespace detail

/// e^x. Accuracy: 2 ulp; overflows to inf, underflows gradually to 0, NaN stays NaN.
template <class T>
inline __attribute__((always_inline)) Packet<T> exp(const Packet<T>& x) {
  const Packet<T> bounded = simd::min(simd::max(x, simd::set1<T>(detail::Exp<T>::kFloor)),
                                      simd::set1<T>(detail::Exp<T>::kCeiling));
  const auto e = detail::reduce<T>(bounded);
  const Packet<T> mantissa = simd::add(e.expm1_rest, simd::set1<T>(T(1)));
  // n runs over [-151, 129]: two half steps keep each power of two a normal number.
  const Packet<T> magic = simd::set1<T>(simd::kRoundMagic<T>);
  const Packet<T> half = simd::madd(e.n, simd::set1<T>(T(0.5)), magic);
  const Packet<T> rest = simd::add(simd::sub(e.n, simd::sub(half, magic)), magic);
  return simd::mul(simd::mul(mantissa, simd::power_of_two<Packet<T>, T>(half)),
                   simd::power_of_two<Packet<T>, T>(rest));
}

/// e^x for x <= 0. Accuracy: 2 ulp; exactly 0 below the smallest normal number.
template <class T>
inline __attribute__((always_inline)) Packet<T> exp_negative(const Packet<T>& x) {
  const Packet<T> floor = simd::set1<T>(sizeof(T) == 4 ? T(-87.33) : T(-708.39));
  const auto e = detail::reduce<T>(simd::max(x, floor));
  const Packet<T> scale = simd::power_of_two<Packet<T>, T>(e.magic_n);
  return simd::select_less<Packet<T>>(x, floor, simd::zero<T>(),
                                      simd::madd(scale, e.expm1_rest, scale));
}

/// e^x - 1 for x <= 0. Accuracy: 3 ulp, also near 0; -1 below -40.
template <class T>
inline __attribute__((always_inline)) Packet<T> expm1_negative(const Packet<T>& x) {
  const auto e = detail::reduce<T>(simd::max(x, simd::set1<T>(T(-40))));
  const Packet<T> scale = simd::power_of_two<Packet<T>, T>(e.magic_n);
  return simd::madd(scale, e.expm1_rest, simd::sub(scale, simd::set1<T>(T(1))));
}

namespace detail {

// e^-s on |s| <= ln(2)/2 and (1 - e^-2s) / s on half of that: polynomials of the least largest
// relative error, found in 50 digits: 2.6e-9 and 1.1e-8 (float), 1.8e-17 both (double).
template <class T>
struct Squash;
template <>
struct Squash<float> {
  static constexpr float kExp[] = {1.0f,
                                   -1.0000000496403984f,
                                   0.50000004343749702f,
                                   -0.16666365441111978f,
                                   0.041664777293302919f,
                                   -0.0083790111776154018f,
                                   0.0014061240819359351f};
  static constexpr float kExpm1[] = {2.0000000212559143f,  -1.9999999249917043f,
                                     1.333320497573897f,   -0.66667417941881591f,
                                     0.26781019376827583f, -0.088888783491042298f};
  // From where on results stay: e^-x has overflown at kLeast, at kMost it is nothing beside 1.
  static constexpr float kLeast = -89.0f, kMost = 88.0f, kMostTanh = 10.0f;
};
template <>
struct Squash<double> {
  static constexpr double kExp[] = {1.0,
                                    -1.0000000000000005588,
                                    0.50000000000000055725,
                                    -0.16666666666657302149,
                                    0.041666666666573635285,
                                    -0.0083333333377155656798,
                                    0.0013888888932341003181,
                                    -0.00019841261491190348527,
                                    0.00002480150451076108356,
                                    -2.7564255099700333541e-6,
                                    2.7626296670046301868e-7,
                                    -2.2981259523981400797e-8};
  static constexpr double kExpm1[] = {
      2.0000000000000000051,      -2.0000000000000022192,    1.3333333333333250828,
      -0.66666666666518254357,    0.26666666666873064737,    -0.088888889166455885231,
      0.025396825225558721621,    -0.0063491851781907398122, 0.0014109396372438264548,
      -0.00028289293036837213456, 0.000051306692955593082521};
  static constexpr double kLeast = -710.0, kMost = 709.0, kMostTanh = 20.0;
};

}  // namespace detail

/// S logistic functions and H hyperbolic tangents at once, in place. Step by step: each chain of
/// dependent operations fills the waits of the others. They are those of sigmoid() and tanh()
/// below, to the bit.
template <class T, int S, int H>
inline __attribute__((always_inline)) void squash(Packet<T>* sigmoids, Packet<T>* tanhs) {
  using simd::madd;
  using Of = detail::Squash<T>;
  constexpr int kLast = int(std::extent_v<decltype(Of::kExp)>) - 1;
  static_assert(std::extent_v<decltype(Of::kExpm1)> == kLast);
  const Packet<T> one = simd::set1<T>(T(1)), two = simd::set1<T>(T(2));
  const Packet<T> magic = simd::set1<T>(simd::kRoundMagic<T>);
  constexpr T kPerLn2 = T(1.4426950408889634074), kHalfLn2 = T(0.34657359027997265471);
  // Sigmoids come first: -x = n ln 2 - s. Behind them -2|x| = n ln 2 - 2 s.
  Packet<T> magic_n[S + H], n[S + H], s[S + H], q[S + H];
#pragma GCC unroll 8
  for (int i = 0; i < S; ++i) {
    s[i] = simd::min(simd::max(sigmoids[i], simd::set1<T>(Of::kLeast)), simd::set1<T>(Of::kMost));
    magic_n[i] = madd(s[i], simd::set1<T>(-kPerLn2), magic);
  }
#pragma GCC unroll 8
  for (int i = S; i < S + H; ++i) {
    s[i] = simd::min(simd::abs(tanhs[i - S]), simd::set1<T>(Of::kMostTanh));
    magic_n[i] = madd(s[i], simd::set1<T>(-2 * kPerLn2), magic);
  }
#pragma GCC unroll 8
  for (int i = 0; i < S + H; ++i) n[i] = simd::sub(magic_n[i], magic);
#pragma GCC unroll 8
  for (int i = 0; i < S; ++i) s[i] = madd(n[i], simd::set1<T>(detail::Exp<T>::kHigh), s[i]);
#pragma GCC unroll 8
  for (int i = 0; i < S; ++i) s[i] = madd(n[i], simd::set1<T>(detail::Exp<T>::kLow), s[i]);
#pragma GCC unroll 8
  for (int i = S; i < S + H; ++i) s[i] = madd(n[i], simd::set1<T>(kHalfLn2), s[i]);
#pragma GCC unroll 8
  for (int i = 0; i < S; ++i) q[i] = simd::set1<T>(Of::kExp[kLast]);
#pragma GCC unroll 8
  for (int i = S; i < S + H; ++i) q[i] = simd::set1<T>(Of::kExpm1[kLast - 1]);
#pragma GCC unroll 16
  for (int k = kLast - 1; k >= 0; --k) {
#pragma GCC unroll 8
    for (int i = 0; i < S; ++i) q[i] = madd(q[i], s[i], simd::set1<T>(Of::kExp[k]));
    if (k == 0) break;
#pragma GCC unroll 8
    for (int i = S; i < S + H; ++i) q[i] = madd(q[i], s[i], simd::set1<T>(Of::kExpm1[k - 1]));
  }
#pragma GCC unroll 8
  for (int i = 0; i < S; ++i) {  // 1 / (1 + 2^n e^-s)
    const Packet<T> scale = simd::power_of_two<Packet<T>, T>(magic_n[i]);
    sigmoids[i] = simd::reciprocal<T>(madd(q[i], scale, one));
  }
#pragma GCC unroll 8
  for (int i = S; i < S + H; ++i) {  // u / (2 - u) with u = 1 - 2^n e^-2s
    const Packet<T> scale = simd::power_of_two<Packet<T>, T>(magic_n[i]);
    const Packet<T> u = madd(simd::mul(scale, s[i]), q[i], simd::sub(one, scale));
    tanhs[i - S] = simd::with_sign<T>(simd::divide_by_unit<T>(u, simd::sub(two, u)), tanhs[i - S]);
  }
}

/// 1 / (1 + e^-x). Accuracy: 4 ulp of normal numbers, less than the smallest of them may be 0;
/// 0 and 1 at the infinities, NaN stays NaN.
template <class T>
inline __attribute__((always_inline)) Packet<T> sigmoid(const Packet<T>& x) {
  Packet<T> y = x;
  squash<T, 1, 0>(&y, nullptr);
  return y;
}

/// tanh x = u / (2 - u) with u = 1 - e^(-2|x|). Accuracy: 4 ulp; odd, tanh(-0) = -0, NaN stays NaN.
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
