// SPDX-License-Identifier: Apache-2.0
// elman/cells/simple_rnn.hpp: one step of the Elman cell.
#pragma once

#include "elman/cells/cell.hpp"

namespace elman {

/// h = act(x K + h_prev U + b)
/// Shapes    x [N,F]  h_prev [N,H]  kernel [F,H]  recurrent_kernel [H,H]  bias [H] or none
/// Source    Elman, Finding Structure in Time (1990); Keras SimpleRNNCell
struct SimpleRnn {
  static constexpr const char* kName = "simple_rnn";
  static constexpr int kGates = 1, kStates = 1, kSlots = 1, kPhases = 1;
  template <int P>
  using Phase = PhaseOf<1, 1, 0>;
  static constexpr std::array<int, 1> kXGate{0}, kHGate{0};
  static constexpr std::array<BiasOf, 1> kBias{BiasOf::both};
  static constexpr unsigned kWaits = 0, kWaitsBackward = 0;

  template <int P, class T, class Activations>
  __attribute__((always_inline)) static void forward(const Activations& f,
                                                     const ForwardUnit<T>& u) {
    const auto z = u.sum(0);
    const auto h = f.template act<T>(z);
    u.save(0, kernels::to_save<T>(f.activation, z, h));
    simd::store<T>(u.h, h);
  }

  template <int P, class T, class Activations>
  __attribute__((always_inline)) static simd::Packet<T> backward(const Activations& f,
                                                                 const BackwardUnit<T>& u) {
    u.set(0, f.template act_gradient<T>(u.dh, u.kept(0)));
    return simd::zero<T>();
  }
};

}  // namespace elman
