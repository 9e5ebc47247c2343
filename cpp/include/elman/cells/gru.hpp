// SPDX-License-Identifier: Apache-2.0
// elman/cells/gru.hpp: one step of the gated recurrent unit, both published forms.
#pragma once

#include "elman/cells/cell.hpp"

namespace elman {

/// reset_after=True:  z, r = rec(x K + bi + h_prev U + br) per gate,
///                    g = act(x Kh + bi_h + r (h_prev Uh + br_h)),  h = z h_prev + (1 - z) g
/// Shapes    kernel [F,3H], recurrent_kernel [H,3H], bias [2,3H]: input row, recurrent row;
///           gate order z | r | h
/// Source    Cho et al., arXiv 1406.1078v1; Keras GRUCell(reset_after=True), CuDNN
struct GruResetAfter {
  static constexpr const char* kName = "gru_reset_after";
  // Slots: candidate sum of x, z, r, candidate sum of h. Both products see three adjacent slots.
  static constexpr int kGates = 3, kStates = 1, kSlots = 4, kPhases = 1;
  template <int P>
  using Phase = PhaseOf<4, 3, 0>;
  static constexpr std::array<int, 4> kXGate{2, 0, 1, -1}, kHGate{-1, 0, 1, 2};
  static constexpr std::array<BiasOf, 4> kBias{BiasOf::input, BiasOf::both, BiasOf::both,
                                               BiasOf::recurrent};
  // The candidate waits for r, and the gradient of r for the candidate's.
  static constexpr unsigned kWaits = 0b100, kWaitsBackward = 0b100;

  template <int P, class T, class Activations>
  __attribute__((always_inline)) static Pending<T> forward(const Activations& f,
                                                           const ForwardUnit<T>& u) {
    const auto zz = u.sum(1), zr = u.sum(2), inner = u.sum(3);
    simd::Packet<T> gates[] = {zz, zr};
    activate_gates<T>(f, gates);
    const auto& [z, r] = gates;
    u.save(1, kernels::to_save<T>(f.recurrent, zz, z));
    u.save(2, kernels::to_save<T>(f.recurrent, zr, r));
    u.save(3, inner);
    return {simd::madd(r, inner, u.sum(0)), z};
  }

  template <int P, class T, class Activations>
  __attribute__((always_inline)) static void finish(const Activations& f, const ForwardUnit<T>& u,
                                                    const Pending<T>& pending) {
    const auto& [zg, z] = pending;
    const auto g = f.template act<T>(zg);
    u.save(0, kernels::to_save<T>(f.activation, zg, g));
    // z h + (1 - z) g = g + z (h - g)
    simd::store<T>(u.h, simd::madd(z, simd::sub(simd::load<T>(u.h_prev), g), g));
  }

  template <int P, class T, class Activations>
  __attribute__((always_inline)) static simd::Packet<T> backward(const Activations& f,
                                                                 const BackwardUnit<T>& u) {
    const auto sg = u.kept(0), sz = u.kept(1), sr = u.kept(2), inner = u.kept(3);
    const auto g = kernels::from_saved<T>(f.activation, sg);
    const auto z = kernels::from_saved<T>(f.recurrent, sz);
    const auto r = kernels::from_saved<T>(f.recurrent, sr);
    const auto dg =
        f.template act_gradient<T>(simd::mul(u.dh, simd::sub(simd::set1<T>(T(1)), z)), sg);
    u.set(0, dg);
    u.set(1, f.template gate_gradient<T>(simd::mul(u.dh, simd::sub(u.h_prev, g)), sz));
    u.set(2, f.template gate_gradient<T>(simd::mul(dg, inner), sr));
    u.set(3, simd::mul(dg, r));
    return simd::mul(u.dh, z);
  }
};

/// reset_after=False: z, r = rec(x K + h_prev U + b) per gate,
///                    g = act(x Kh + bh + (r h_prev) Uh),  h = z h_prev + (1 - z) g
/// Shapes    kernel [F,3H], recurrent_kernel [H,3H], bias [3H]; gate order z | r | h
/// Source    Cho et al., arXiv 1406.1078v3; Keras GRUCell(reset_after=False)
struct Gru {
  static constexpr const char* kName = "gru";
  // Slots: z, r, candidate, and the inner operand r h_prev of the second product.
  static constexpr int kGates = 3, kStates = 1, kSlots = 4, kPhases = 2;
  static constexpr int kInner = 3;
  template <int P>
  using Phase = std::conditional_t<P == 0, PhaseOf<2, 2, 0>, PhaseOf<1, 1, 2>>;
  static constexpr std::array<int, 4> kXGate{0, 1, 2, -1}, kHGate{0, 1, 2, -1};
  static constexpr std::array<BiasOf, 4> kBias{BiasOf::both, BiasOf::both, BiasOf::both,
                                               BiasOf::both};
  static constexpr unsigned kWaits = 0, kWaitsBackward = 0;

  template <int P, class T, class Activations>
  __attribute__((always_inline)) static void forward(const Activations& f,
                                                     const ForwardUnit<T>& u) {
    if constexpr (P == 0) {
      const auto zz = u.sum(0), zr = u.sum(1);
      simd::Packet<T> gates[] = {zz, zr};
      activate_gates<T>(f, gates);
      const auto& [z, r] = gates;
      u.save(0, kernels::to_save<T>(f.recurrent, zz, z));
      u.save(1, kernels::to_save<T>(f.recurrent, zr, r));
      u.save(kInner, simd::mul(r, simd::load<T>(u.h_prev)));
    } else {
      const auto zg = u.sum(0);
      const auto g = f.template act<T>(zg);
      const auto z = kernels::from_saved<T>(f.recurrent, u.kept(0));
      u.save(2, kernels::to_save<T>(f.activation, zg, g));
      simd::store<T>(u.h, simd::madd(z, simd::sub(simd::load<T>(u.h_prev), g), g));
    }
  }

  template <int P, class T, class Activations>
  __attribute__((always_inline)) static simd::Packet<T> backward(const Activations& f,
                                                                 const BackwardUnit<T>& u) {
    if constexpr (P == 0) {
      const auto sz = u.kept(0), sg = u.kept(2);
      const auto z = kernels::from_saved<T>(f.recurrent, sz);
      const auto g = kernels::from_saved<T>(f.activation, sg);
      u.set(0, f.template gate_gradient<T>(simd::mul(u.dh, simd::sub(u.h_prev, g)), sz));
      u.set(2, f.template act_gradient<T>(simd::mul(u.dh, simd::sub(simd::set1<T>(T(1)), z)), sg));
      return simd::mul(u.dh, z);
    } else {  // u.dh is the gradient of r h_prev
      const auto sr = u.kept(1);
      const auto r = kernels::from_saved<T>(f.recurrent, sr);
      u.set(1, f.template gate_gradient<T>(simd::mul(u.dh, u.h_prev), sr));
      return simd::mul(u.dh, r);
    }
  }
};

}  // namespace elman
