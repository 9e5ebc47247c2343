// SPDX-License-Identifier: Apache-2.0
// elman/kernels/simd.hpp: the one door to SIMD; everything above it is written once.
#pragma once

#include <Eigen/Core>
#include <cmath>
#include <cstddef>
#include <cstring>

#include "elman/core/shape.hpp"
#if defined(ELMAN_WIDE_PACKETS)  // for the tests alone
#include "wide_packets.hpp"
#endif

namespace elman::simd {

// Eigen's packets carry one source over SSE, AVX2, AVX-512 and NEON. What Eigen 3.4 lacks (an exact
// power of two, a short division, partial loads) is added here and nowhere else.
#if defined(ELMAN_WIDE_PACKETS)
template <class T>
using Packet = WidePacket<T>;
#else
template <class T>
using Packet = typename Eigen::internal::packet_traits<T>::type;
#endif

/// Lanes of one packet: 16 floats on AVX-512, 8 on AVX2, 4 on SSE and NEON.
template <class T>
inline constexpr int kWidth = Eigen::internal::unpacket_traits<Packet<T>>::size;

// Architectural vector registers decide how many accumulators a tile may hold.
#if defined(__AVX512F__) || defined(__aarch64__) || defined(ELMAN_WIDE_PACKETS)
inline constexpr int kRegisters = 32;
#else
inline constexpr int kRegisters = 16;
#endif

constexpr Index round_up(Index n, Index unit) { return (n + unit - 1) / unit * unit; }

/// n rounded up to whole packets: the padded length of a row of n units.
template <class T>
constexpr Index padded(Index n) {
  return round_up(n, kWidth<T>);
}

template <class T>
inline Packet<T> set1(T x) {
  return Eigen::internal::pset1<Packet<T>>(x);
}
template <class T>
inline Packet<T> zero() {
  return set1<T>(T(0));
}
/// Aligned load and store: p is a multiple of the packet size.
template <class T>
inline Packet<T> load(const T* p) {
  return Eigen::internal::pload<Packet<T>>(p);
}
template <class T>
inline void store(T* p, const Packet<T>& x) {
  Eigen::internal::pstore(p, x);
}
template <class T>
inline Packet<T> loadu(const T* p) {
  return Eigen::internal::ploadu<Packet<T>>(p);
}
template <class T>
inline void storeu(T* p, const Packet<T>& x) {
  Eigen::internal::pstoreu(p, x);
}

#if defined(__GNUC__) && !defined(__clang__)
#pragma GCC diagnostic push
#pragma GCC diagnostic ignored "-Wignored-attributes"
#endif
/// rows[i][j] <-> rows[j][i].
template <class T>
inline void transpose([[maybe_unused]] Packet<T> (&rows)[kWidth<T>]) {
  if constexpr (kWidth<T> > 1) {
    Eigen::internal::PacketBlock<Packet<T>, kWidth<T>> block;
    for (int i = 0; i < kWidth<T>; ++i) block.packet[i] = rows[i];
    Eigen::internal::ptranspose(block);
    for (int i = 0; i < kWidth<T>; ++i) rows[i] = block.packet[i];
  }
}

#if defined(__GNUC__) && !defined(__clang__)
#pragma GCC diagnostic pop
#endif

/// Asks for the cache line at p ahead of its use; any address is allowed. Always inline: GCC takes
/// a function of nothing else for one without effects, and drops the calls that it has not inlined.
__attribute__((always_inline)) inline void prefetch(const void* p) { __builtin_prefetch(p, 0, 3); }

template <class P>
inline P add(const P& a, const P& b) {
  return Eigen::internal::padd(a, b);
}
template <class P>
inline P sub(const P& a, const P& b) {
  return Eigen::internal::psub(a, b);
}
template <class P>
inline P mul(const P& a, const P& b) {
  return Eigen::internal::pmul(a, b);
}
template <class P>
inline P div(const P& a, const P& b) {
  return Eigen::internal::pdiv(a, b);
}
/// a b + c, one rounding where the processor has FMA.
template <class P>
inline P madd(const P& a, const P& b, const P& c) {
  return Eigen::internal::pmadd(a, b, c);
}
template <class P>
inline P negate(const P& a) {
  return Eigen::internal::pnegate(a);
}
template <class P>
inline P abs(const P& a) {
  return Eigen::internal::pabs(a);
}
// A NaN in the first argument comes out: the clamps below keep the variable first.
template <class P>
inline P min(const P& x, const P& bound) {
  return Eigen::internal::pmin(x, bound);
}
template <class P>
inline P max(const P& x, const P& bound) {
  return Eigen::internal::pmax(x, bound);
}
/// The larger lane; NaN where either is NaN.
template <class T>
inline Packet<T> max_or_nan(const Packet<T>& a, const Packet<T>& b) {
  // pmax with the operands in both orders would need a third instruction too.
  return Eigen::internal::pselect(Eigen::internal::pcmp_lt(a, b), b,
                                  Eigen::internal::pselect(Eigen::internal::pcmp_eq(b, b), a, b));
}
/// Lane-wise  a < b ? yes : no  (false when either is NaN).
template <class P>
inline P select_less(const P& a, const P& b, const P& yes, const P& no) {
  return Eigen::internal::pselect(Eigen::internal::pcmp_lt(a, b), yes, no);
}
/// Magnitude of a (non-negative) with the sign bit of x, so that f(-0) = -0 holds for odd f.
template <class T>
inline Packet<T> with_sign(const Packet<T>& a, const Packet<T>& x) {
  return Eigen::internal::por(a, Eigen::internal::pand(x, set1<T>(T(-0.0))));
}

namespace detail {

// One branch for all lanes where the processor has masked moves, else lane by lane through a
// buffer. `n` is from 0 to the width.
template <class T>
inline Packet<T> load_lanes(const T* p, Index n) {
#if defined(__AVX512F__)
  if constexpr (sizeof(T) == 4) {
    return _mm512_maskz_loadu_ps(static_cast<__mmask16>((1u << n) - 1), p);
  } else {
    return _mm512_maskz_loadu_pd(static_cast<__mmask8>((1u << n) - 1), p);
  }
#else
  alignas(64) T buffer[kWidth<T>] = {};
  for (Index i = 0; i < n; ++i) buffer[i] = p[i];
  return load<T>(buffer);
#endif
}

template <class T>
inline void store_lanes(T* p, const Packet<T>& x, Index n) {
#if defined(__AVX512F__)
  if constexpr (sizeof(T) == 4) {
    _mm512_mask_storeu_ps(p, static_cast<__mmask16>((1u << n) - 1), x);
  } else {
    _mm512_mask_storeu_pd(p, static_cast<__mmask8>((1u << n) - 1), x);
  }
#else
  alignas(64) T buffer[kWidth<T>];
  store<T>(buffer, x);
  for (Index i = 0; i < n; ++i) p[i] = buffer[i];
#endif
}

}  // namespace detail

/// The first n lanes from p, zero in the others; reads nothing beyond p[n - 1].
template <class T>
inline Packet<T> load_partial(const T* p, Index n) {
  return n >= kWidth<T> ? loadu(p) : detail::load_lanes<T>(p, n < 0 ? 0 : n);
}
/// Writes the first n lanes of x to p and nothing else.
template <class T>
inline void store_partial(T* p, const Packet<T>& x, Index n) {
  if (n >= kWidth<T>) return storeu<T>(p, x);
  detail::store_lanes<T>(p, x, n < 0 ? 0 : n);
}
/// x with every lane from n on set to zero.
template <class T>
__attribute__((always_inline)) inline Packet<T> keep_first(const Packet<T>& x, Index n) {
  if (n >= kWidth<T>) return x;
  alignas(64) T buffer[kWidth<T>];
  store<T>(buffer, x);
  return detail::load_lanes<T>(buffer, n < 0 ? 0 : n);
}
template <class T>
inline T reduce_add(const Packet<T>& x) {
  return Eigen::internal::predux(x);
}

// 1.5 * 2^mantissa: adding it to |x| < 2^(mantissa-1) rounds x to the nearest integer and leaves
// that integer in the low bits.
template <class T>
inline constexpr T kRoundMagic = sizeof(T) == 4 ? T(12582912.0) : T(6755399441055744.0);

/// 2^n for an integral n given as n + kRoundMagic; exact for -126 <= n <= 127 (float), and the
/// same for double with -1022 <= n <= 1023. One more is infinite, one less 0 (one float or double
/// at a time: 2^n itself).
template <class P, class T>
inline P power_of_two(const P& magic_n) {
  if constexpr (sizeof(P) == sizeof(T)) {
    T out;
    const T n = T(magic_n) - kRoundMagic<T>;
    out = std::ldexp(T(1), static_cast<int>(n));
    return P(out);
  } else {
    // Lane-wise integer shifts through the compiler's own vectors: SSE2, AVX2 and NEON all have
    // them.
    using Int = std::conditional_t<sizeof(T) == 4, unsigned, unsigned long long>;
    typedef Int Bits __attribute__((vector_size(sizeof(T) * kWidth<T>)));
    constexpr int kMantissa = sizeof(T) == 4 ? 23 : 52;
    constexpr Int kOne = sizeof(T) == 4 ? Int(0x3F800000u) : Int(0x3FF0000000000000ull);
    Bits bits;
    static_assert(sizeof(bits) == sizeof(magic_n));
    std::memcpy(&bits, &magic_n, sizeof(bits));
    bits = (bits << kMantissa) + kOne;
    P out;
    std::memcpy(&out, &bits, sizeof(out));
    return out;
  }
}

/// n / d for d in [1, 2]: a reciprocal estimate and Newton steps where the division unit is slow.
template <class T>
inline Packet<T> divide_by_unit(const Packet<T>& n, const Packet<T>& d) {
#if defined(__AVX512F__)
  // vdivps zmm blocks its port for 10 cycles; estimate (2^-14) + Newton takes 3 instructions and
  // stays within 1 ulp.
  if constexpr (sizeof(T) == 4) {
    const Packet<T> estimate = _mm512_rcp14_ps(d);
    const Packet<T> error = _mm512_fnmadd_ps(d, estimate, set1<T>(T(1)));
    const Packet<T> q = mul(n, estimate);
    return madd(q, error, q);
  } else {
    return div(n, d);
  }
#else
  return div(n, d);
#endif
}

/// 1 / d for d in [1, inf]: 0 at infinity; a result below the normal numbers may be 0.
template <class T>
inline Packet<T> reciprocal(const Packet<T>& d) {
#if defined(__AVX512F__)
  if constexpr (sizeof(T) == 4) {
    // The estimate for what is greater would be 0, and infinity times 0 NaN. NaN is not greater.
    const __mmask16 normal = _mm512_cmp_ps_mask(d, set1<T>(T(8.5070592e37)), _CMP_NGT_UQ);
    const Packet<T> estimate = _mm512_rcp14_ps(d);
    const Packet<T> error = _mm512_fnmadd_ps(d, estimate, set1<T>(T(1)));
    return _mm512_maskz_fmadd_ps(normal, estimate, error, estimate);
  }
#endif
  return div(set1<T>(T(1)), d);
}

}  // namespace elman::simd
