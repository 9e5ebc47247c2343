// SPDX-License-Identifier: Apache-2.0
// elman/cells/cell.hpp: what a cell is: gates, slots, phases, one step forward and backward.
#pragma once

#include <array>
#include <type_traits>
#include <utility>

#include "elman/kernels/softmax.hpp"
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
//   finish<p>        the end of forward, where an activation waits for those before it: it gets the
//                    two packets that forward then returns. The loop runs it when forward is done
//                    for a tile, so that no unit waits for the chain of another
//   backward<p>      the reverse; returns what flows to h_prev besides the product
//
//   kWaits, kWaitsBackward
//                    bit a: the a-th activation that forward or backward calls, in any phase, or
//                    one after it needs the result of one before it
//
// forward and backward reach their activations through the policy that they are given, and do it in
// the same order for every packet: then they also run with activations of all units of a row, see
// bptt/whole_rows.hpp.
enum class BiasOf { input, recurrent, both };

template <int Slots, int Gates, int First>
struct PhaseOf : kernels::Gating<Slots, Gates> {
  static constexpr int kFirst = First;
  // First slot whose gradient multiplies the recurrent kernel.
  static constexpr int kFirstRecurrent = First + Slots - Gates;
};

/// The two activations of a cell, free at run time.
struct AnyActivations {
  static constexpr bool kKnown = false;  // to the compiler
  Activation activation = Activation::tanh;
  Activation recurrent = Activation::sigmoid;
  // Functions of all units of a row; where there is one, it is taken in place of the one above.
  Softmax activation_rows = Softmax::none;
  Softmax recurrent_rows = Softmax::none;

  /// Those of the Keras names. Errors: std::invalid_argument for an unknown name.
  static AnyActivations named(std::string_view activation, std::string_view recurrent) {
    AnyActivations out;
    out.activation_rows = parse_softmax(activation);
    out.recurrent_rows = parse_softmax(recurrent);
    if (out.activation_rows == Softmax::none) out.activation = parse_activation(activation);
    if (out.recurrent_rows == Softmax::none) out.recurrent = parse_activation(recurrent);
    return out;
  }
  [[nodiscard]] bool by_rows() const {
    return activation_rows != Softmax::none || recurrent_rows != Softmax::none;
  }

  template <class T>
  __attribute__((always_inline)) simd::Packet<T> act(const simd::Packet<T>& z) const {
    return kernels::activate<T>(activation, z);
  }
  template <class T>
  __attribute__((always_inline)) simd::Packet<T> gate(const simd::Packet<T>& z) const {
    return kernels::activate<T>(recurrent, z);
  }

  // dy times the derivative, from what training saved of z; + more.
  template <class T>
  __attribute__((always_inline)) simd::Packet<T> act_gradient(const simd::Packet<T>& dy,
                                                              const simd::Packet<T>& saved) const {
    return kernels::gradient<T>(activation, dy, saved);
  }
  template <class T>
  __attribute__((always_inline)) simd::Packet<T> act_gradient(const simd::Packet<T>& dy,
                                                              const simd::Packet<T>& saved,
                                                              const simd::Packet<T>& more) const {
    return simd::madd(dy, kernels::derivative<T>(activation, saved), more);
  }
  template <class T>
  __attribute__((always_inline)) simd::Packet<T> gate_gradient(const simd::Packet<T>& dy,
                                                               const simd::Packet<T>& saved) const {
    return kernels::gradient<T>(recurrent, dy, saved);
  }
};

/// tanh and sigmoid, known to the compiler: no dispatch in the step.
struct StandardActivations {
  static constexpr bool kKnown = true;
  static constexpr Activation activation = Activation::tanh;
  static constexpr Activation recurrent = Activation::sigmoid;
  [[nodiscard]] static constexpr bool by_rows() { return false; }

  template <class T>
  __attribute__((always_inline)) simd::Packet<T> act(const simd::Packet<T>& z) const {
    return math::tanh<T>(z);
  }
  template <class T>
  __attribute__((always_inline)) simd::Packet<T> gate(const simd::Packet<T>& z) const {
    return math::sigmoid<T>(z);
  }

  template <class T>
  __attribute__((always_inline)) simd::Packet<T> act_gradient(const simd::Packet<T>& dy,
                                                              const simd::Packet<T>& saved) const {
    return kernels::gradient<T>(activation, dy, saved);
  }
  template <class T>
  __attribute__((always_inline)) simd::Packet<T> act_gradient(const simd::Packet<T>& dy,
                                                              const simd::Packet<T>& saved,
                                                              const simd::Packet<T>& more) const {
    return simd::madd(dy, kernels::derivative<T>(activation, saved), more);
  }
  template <class T>
  __attribute__((always_inline)) simd::Packet<T> gate_gradient(const simd::Packet<T>& dy,
                                                               const simd::Packet<T>& saved) const {
    return kernels::gradient<T>(recurrent, dy, saved);
  }
};

/// Calls f with the activations of a cell. tanh and sigmoid in float are compiled into its loop;
/// others, and float64, which checks numbers rather than races, choose at every packet: half of the
/// code to compile. A cell without gates has no recurrent activation.
template <class T, class Cell, class F>
inline void with_activations(const AnyActivations& fn, F&& f) {
  if constexpr (std::is_same_v<T, float>) {
    const bool gates_fit = Cell::kGates == 1 || fn.recurrent == StandardActivations::recurrent;
    if (gates_fit && fn.activation == StandardActivations::activation && !fn.by_rows()) {
      return f(StandardActivations{});
    }
  }
  f(fn);
}

/// All gates of a unit, in place; with `act` its activation too. Together they cost less than one
/// by one. Functions of all units of a row get them in this order.
template <class T, int N, class Activations>
__attribute__((always_inline)) inline void activate_gates(const Activations& fn,
                                                          simd::Packet<T> (&gates)[N],
                                                          simd::Packet<T>* act = nullptr) {
  if constexpr (std::is_same_v<Activations, StandardActivations>) {
    if (act != nullptr) return math::squash<T, N, 1>(gates, act);
    math::squash<T, N, 0>(gates, nullptr);
  } else {
    for (auto& gate : gates) gate = fn.template gate<T>(gate);
    if (act != nullptr) *act = fn.template act<T>(*act);
  }
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

  /// To the next packet of units; `slots` sums of this one lie before those of the next.
  __attribute__((always_inline)) void advance(int slots) {
    constexpr Index kW = simd::kWidth<T>;
    z += slots * kW;
    h_prev += kW;
    h += kW;
    if (c != nullptr) c += kW;
    if (saved != nullptr) saved += kW;
  }

  simd::Packet<T> sum(int slot) const { return simd::load<T>(z + slot * simd::kWidth<T>); }
  __attribute__((always_inline)) void save(int slot, const simd::Packet<T>& x) const {
    if (saved != nullptr) simd::store<T>(saved + slot * slot_stride, x);
  }
  simd::Packet<T> kept(int slot) const { return simd::load<T>(saved + slot * slot_stride); }
};

/// What a forward step leaves to its end.
template <class T>
struct Pending {
  simd::Packet<T> first, second;
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
  __attribute__((always_inline)) void set(int slot, const simd::Packet<T>& gradient) const {
    simd::store<T>(saved + slot * slot_stride, simd::keep_first<T>(gradient, lanes));
  }
};

/// Whether a cell has an end apart from its forward step, and whether the loop runs it apart: in
/// float64 a whole step is one function.
template <class Cell, int P, class T, class Activations>
inline constexpr bool kHasFinish = !std::is_void_v<decltype(Cell::template forward<P, T>(
    std::declval<const Activations&>(), std::declval<const ForwardUnit<T>&>()))>;
template <class Cell, int P, class T, class Activations>
inline constexpr bool kFinishesApart =
    std::is_same_v<T, float> && kHasFinish<Cell, P, T, Activations>;

namespace detail {

/// A cell's phase P for one unit, from its sums to its states.
template <class Cell, int P, class T, class Activations>
__attribute__((always_inline)) inline void whole_forward(const Activations& fn,
                                                         const ForwardUnit<T>& u) {
  if constexpr (kHasFinish<Cell, P, T, Activations>) {
    Cell::template finish<P, T>(fn, u, Cell::template forward<P, T>(fn, u));
  } else {
    Cell::template forward<P, T>(fn, u);
  }
}

template <class Cell, int P, class T, class Activations>
__attribute__((noinline)) void forward_apart(const Activations& fn, const ForwardUnit<T>& u) {
  whole_forward<Cell, P, T>(fn, u);
}
template <class Cell, int P, class T, class Activations>
__attribute__((noinline)) simd::Packet<T> backward_apart(const Activations& fn,
                                                         const BackwardUnit<T>& u) {
  return Cell::template backward<P, T>(fn, u);
}

}  // namespace detail

/// A cell's phase P for one unit. Part of the loop in float32; in float64, where there are all
/// activations to choose from, one function for every loop.
template <class Cell, int P, class T, class Activations>
__attribute__((always_inline)) inline void forward_unit(const Activations& fn,
                                                        const ForwardUnit<T>& u) {
  if constexpr (std::is_same_v<T, float>) {
    detail::whole_forward<Cell, P, T>(fn, u);
  } else {
    detail::forward_apart<Cell, P, T>(fn, u);
  }
}

/// The same up to what finish_unit() is left to do where there is an end apart, with what is
/// pending in `sums`, which u.z refers to.
template <class Cell, int P, class T, class Activations>
__attribute__((always_inline)) inline void begin_unit(const Activations& fn,
                                                      const ForwardUnit<T>& u, T* sums) {
  if constexpr (kFinishesApart<Cell, P, T, Activations>) {
    const Pending<T> pending = Cell::template forward<P, T>(fn, u);
    simd::store<T>(sums, pending.first);
    simd::store<T>(sums + simd::kWidth<T>, pending.second);
  } else {
    forward_unit<Cell, P, T>(fn, u);
  }
}
template <class Cell, int P, class T, class Activations>
__attribute__((always_inline)) inline void finish_unit(const Activations& fn,
                                                       const ForwardUnit<T>& u, const T* sums) {
  Cell::template finish<P, T>(
      fn, u, Pending<T>{simd::load<T>(sums), simd::load<T>(sums + simd::kWidth<T>)});
}
template <class Cell, int P, class T, class Activations>
__attribute__((always_inline)) inline simd::Packet<T> backward_unit(const Activations& fn,
                                                                    const BackwardUnit<T>& u) {
  if constexpr (std::is_same_v<T, float>) {
    return Cell::template backward<P, T>(fn, u);
  } else {
    return detail::backward_apart<Cell, P, T>(fn, u);
  }
}

}  // namespace elman
