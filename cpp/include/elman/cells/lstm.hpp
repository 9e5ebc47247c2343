// SPDX-License-Identifier: Apache-2.0
// elman/cells/lstm.hpp: one step of the long short-term memory cell.
#pragma once

#include "elman/cells/cell.hpp"

namespace elman {

/// i, f, o = rec(x K + h_prev U + b), g = act(x K + h_prev U + b) per gate;
/// c = f c_prev + i g,  h = o act(c)
/// Shapes    kernel [F,4H], recurrent_kernel [H,4H], bias [4H]; gate order i | f | g | o
/// Source    Hochreiter and Schmidhuber (1997), Gers et al. (2000); Keras LSTMCell
struct Lstm {
  static constexpr const char* kName = "lstm";
  static constexpr int kGates = 4, kStates = 2, kSlots = 4, kPhases = 1;
  template <int P>
  using Phase = PhaseOf<4, 4, 0>;
  static constexpr std::array<int, 4> kXGate{0, 1, 2, 3}, kHGate{0, 1, 2, 3};
  static constexpr std::array<BiasOf, 4> kBias{BiasOf::both, BiasOf::both, BiasOf::both,
                                               BiasOf::both};
  // That of c waits for the gates; in reverse its gradient for it, and theirs for both.
  static constexpr unsigned kWaits = 0b10000, kWaitsBackward = 0b110;

  template <int P, class T, class Activations>
  __attribute__((always_inline)) static Pending<T> forward(const Activations& fn,
                                                           const ForwardUnit<T>& u) {
    const auto zi = u.sum(0), zf = u.sum(1), zg = u.sum(2), zo = u.sum(3);
    simd::Packet<T> gates[] = {zi, zf, zo}, g = zg;
    activate_gates<T>(fn, gates, &g);
    const auto& [i, f, o] = gates;
    const auto c = simd::madd(f, simd::load<T>(u.c), simd::mul(i, g));
    u.save(0, kernels::to_save<T>(fn.recurrent, zi, i));
    u.save(1, kernels::to_save<T>(fn.recurrent, zf, f));
    u.save(2, kernels::to_save<T>(fn.activation, zg, g));
    u.save(3, kernels::to_save<T>(fn.recurrent, zo, o));
    simd::store<T>(u.c, c);
    return {c, o};
  }

  template <int P, class T, class Activations>
  __attribute__((always_inline)) static void finish(const Activations& fn, const ForwardUnit<T>& u,
                                                    const Pending<T>& pending) {
    const auto& [c, o] = pending;
    simd::store<T>(u.h, simd::mul(o, fn.template act<T>(c)));
  }

  template <int P, class T, class Activations>
  __attribute__((always_inline)) static simd::Packet<T> backward(const Activations& fn,
                                                                 const BackwardUnit<T>& u) {
    const auto si = u.kept(0), sf = u.kept(1), sg = u.kept(2), so = u.kept(3);
    const auto i = kernels::from_saved<T>(fn.recurrent, si);
    const auto f = kernels::from_saved<T>(fn.recurrent, sf);
    const auto g = kernels::from_saved<T>(fn.activation, sg);
    const auto o = kernels::from_saved<T>(fn.recurrent, so);
    // act(c) is computed again: one activation against H values per step of memory.
    const auto c = simd::load<T>(u.c);
    const auto a = fn.template act<T>(c);
    const auto dc = fn.template act_gradient<T>(
        simd::mul(u.dh, o), kernels::to_save<T>(fn.activation, c, a), simd::load<T>(u.dc));
    u.set(0, fn.template gate_gradient<T>(simd::mul(dc, g), si));
    u.set(1, fn.template gate_gradient<T>(simd::mul(dc, u.c_prev), sf));
    u.set(2, fn.template act_gradient<T>(simd::mul(dc, i), sg));
    u.set(3, fn.template gate_gradient<T>(simd::mul(u.dh, a), so));
    simd::store<T>(u.dc, simd::mul(dc, f));
    return simd::zero<T>();
  }
};

}  // namespace elman
