// SPDX-License-Identifier: Apache-2.0
// elman/cells/cell.hpp: what a cell is: gates, slots, phases, one step forward and backward.
#pragma once

#include <array>
#include <type_traits>

#include "elman/kernels/activation.hpp"
#include "elman/kernels/tile.hpp"

namespace elman {

// A cell is a struct of static members. The time loop in bptt/ and the product in kernels/ know
// nothing else of it; a new cell is one header like lstm.hpp.
//
//   kGates           gates in the Keras kernel, side by side along its last axis
//   kStates          1 (h) or 2 (h, c)
//   kSlots           values that training keeps per unit and step; slots [0, kGates) receive the
//                    gradients of x K, a phase's last gates those of h U
//   kPhases          1, or 2 where the second product needs the result of the first (GRU with
//                    reset_after=False: the candidate reads r * h)
//   Phase<p>         Gating<slots, gates> of the product, and kFirst, its first slot
//   kXGate, kHGate   the Keras gate whose columns feed slot s from x, and from h (-1: none)
//   kBias            which bias a slot starts from: input row, recurrent row, or their sum
//   forward<p>       one row, one packet of units: sums z -> saved slots, states
//   backward<p>      the reverse; returns what flows to h_prev besides the product
enum class BiasOf { input, recurrent, both };

template <int Slots, int Gates, int First>
struct PhaseOf : kernels::Gating<Slots, Gates> {
  static constexpr int kFirst = First;
  // First slot whose gradient multiplies the recurrent kernel.
  static constexpr int kFirstRecurrent = First + Slots - Gates;
};

/// The two activations of a cell, free at run time.
struct AnyActivations {
  Activation activation = Activation::tanh;
  Activation recurrent = Activation::sigmoid;

  template <class T>
  simd::Packet<T> act(const simd::Packet<T>& z) const {
    return kernels::activate<T>(activation, z);
  }
  template <class T>
  simd::Packet<T> gate(const simd::Packet<T>& z) const {
    return kernels::activate<T>(recurrent, z);
  }
};

/// tanh and sigmoid, known to the compiler: no dispatch in the step.
struct StandardActivations {
  static constexpr Activation activation = Activation::tanh;
  static constexpr Activation recurrent = Activation::sigmoid;

  template <class T>
  simd::Packet<T> act(const simd::Packet<T>& z) const {
    return math::tanh<T>(z);
  }
  template <class T>
  simd::Packet<T> gate(const simd::Packet<T>& z) const {
    return math::sigmoid<T>(z);
  }
};

/// Calls f with the activations of a cell. tanh and sigmoid in float are compiled into its loop;
/// others, and float64, which checks numbers rather than races, choose at every packet: half of the
/// code to compile. A cell without gates has no recurrent activation.
template <class T, class Cell, class F>
inline void with_activations(const AnyActivations& fn, F&& f) {
  if constexpr (std::is_same_v<T, float>) {
    const bool gates_fit = Cell::kGates == 1 || fn.recurrent == StandardActivations::recurrent;
    if (gates_fit && fn.activation == StandardActivations::activation) {
      return f(StandardActivations{});
    }
  }
  f(fn);
}

/// One row and one packet of units of a forward step. Every pointer is packet-aligned.
template <class T>
struct ForwardUnit {
  const T* z = nullptr;  // sums of this phase, slot s at z + s * W
  const T* h_prev = nullptr;
  T* h = nullptr;
  T* c = nullptr;      // in: c_prev, out: c
  T* saved = nullptr;  // slot s at saved + s * slot_stride; nullptr: nothing is kept
  Index slot_stride = 0;

  simd::Packet<T> sum(int slot) const { return simd::load<T>(z + slot * simd::kWidth<T>); }
  void save(int slot, const simd::Packet<T>& x) const {
    if (saved != nullptr) simd::store<T>(saved + slot * slot_stride, x);
  }
  simd::Packet<T> kept(int slot) const { return simd::load<T>(saved + slot * slot_stride); }
};

/// One row and one packet of units of a backward step: the saved slots become their gradients.
template <class T>
struct BackwardUnit {
  simd::Packet<T> dh;  // gradient of h (phase 0) or of the inner operand (phase 1)
  simd::Packet<T> h_prev;
  simd::Packet<T> c_prev;
  const T* c = nullptr;
  T* dc = nullptr;  // in: gradient of c, out: gradient of c_prev
  T* saved = nullptr;
  Index slot_stride = 0;
  Index lanes = 0;  // units that exist; the padding gets zero gradients

  simd::Packet<T> kept(int slot) const { return simd::load<T>(saved + slot * slot_stride); }
  void set(int slot, const simd::Packet<T>& gradient) const {
    simd::store<T>(saved + slot * slot_stride, simd::keep_first<T>(gradient, lanes));
  }
};

}  // namespace elman
