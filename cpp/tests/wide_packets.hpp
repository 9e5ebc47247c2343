// SPDX-License-Identifier: Apache-2.0
// wide_packets.hpp: packets of 64 bytes from two of 32, so that the tiles and layouts of AVX-512
// are tested on processors without it. simd.hpp takes them under -DELMAN_WIDE_PACKETS.
#pragma once

#include <Eigen/Core>

namespace elman::simd {

/// Twice the lanes of Eigen's widest packet.
template <class T>
struct WidePacket {
  using Half = typename Eigen::internal::packet_traits<T>::type;
  static constexpr int kHalf = Eigen::internal::unpacket_traits<Half>::size;
  Half low, high;
};

}  // namespace elman::simd

// The functions of Eigen's packets that simd.hpp calls.
namespace Eigen::internal {

using elman::simd::WidePacket;

template <class T>
struct unpacket_traits<WidePacket<T>> {
  using type = T;
  enum { size = 2 * WidePacket<T>::kHalf };
};

// Their arguments do not tell the packet: specialisations, where the others are overloads.
#define ELMAN_WIDE(T)                                           \
  template <>                                                   \
  inline WidePacket<T> pset1<WidePacket<T>>(const T& x) {       \
    using P = WidePacket<T>;                                    \
    return {pset1<P::Half>(x), pset1<P::Half>(x)};              \
  }                                                             \
  template <>                                                   \
  inline WidePacket<T> pload<WidePacket<T>>(const T* p) {       \
    using P = WidePacket<T>;                                    \
    return {pload<P::Half>(p), pload<P::Half>(p + P::kHalf)};   \
  }                                                             \
  template <>                                                   \
  inline WidePacket<T> ploadu<WidePacket<T>>(const T* p) {      \
    using P = WidePacket<T>;                                    \
    return {ploadu<P::Half>(p), ploadu<P::Half>(p + P::kHalf)}; \
  }
ELMAN_WIDE(float)
ELMAN_WIDE(double)
#undef ELMAN_WIDE

template <class T>
void pstore(T* p, const WidePacket<T>& x) {
  pstore(p, x.low);
  pstore(p + x.kHalf, x.high);
}
template <class T>
void pstoreu(T* p, const WidePacket<T>& x) {
  pstoreu(p, x.low);
  pstoreu(p + x.kHalf, x.high);
}

template <class T>
T predux(const WidePacket<T>& x) {
  return predux(padd(x.low, x.high));
}

#define ELMAN_WIDE_1(f)                     \
  template <class T>                        \
  WidePacket<T> f(const WidePacket<T>& a) { \
    return {f(a.low), f(a.high)};           \
  }
#define ELMAN_WIDE_2(f)                                             \
  template <class T>                                                \
  WidePacket<T> f(const WidePacket<T>& a, const WidePacket<T>& b) { \
    return {f(a.low, b.low), f(a.high, b.high)};                    \
  }
#define ELMAN_WIDE_3(f)                                                                     \
  template <class T>                                                                        \
  WidePacket<T> f(const WidePacket<T>& a, const WidePacket<T>& b, const WidePacket<T>& c) { \
    return {f(a.low, b.low, c.low), f(a.high, b.high, c.high)};                             \
  }
ELMAN_WIDE_1(pabs)
ELMAN_WIDE_1(pnegate)
ELMAN_WIDE_2(padd)
ELMAN_WIDE_2(pand)
ELMAN_WIDE_2(pcmp_eq)
ELMAN_WIDE_2(pcmp_lt)
ELMAN_WIDE_2(pdiv)
ELMAN_WIDE_2(pmax)
ELMAN_WIDE_2(pmin)
ELMAN_WIDE_2(pmul)
ELMAN_WIDE_2(por)
ELMAN_WIDE_2(psub)
ELMAN_WIDE_3(pmadd)
ELMAN_WIDE_3(pselect)
#undef ELMAN_WIDE_1
#undef ELMAN_WIDE_2
#undef ELMAN_WIDE_3

template <class T, int N>
void ptranspose(PacketBlock<WidePacket<T>, N>& block) {
  T in[N][N];
  T out[N][N];
  for (int i = 0; i < N; ++i) pstoreu(in[i], block.packet[i]);
  for (int i = 0; i < N; ++i) {
    for (int j = 0; j < N; ++j) out[i][j] = in[j][i];
  }
  for (int i = 0; i < N; ++i) block.packet[i] = ploadu<WidePacket<T>>(out[i]);
}

}  // namespace Eigen::internal
