// SPDX-License-Identifier: Apache-2.0
// elman/bptt/weights.hpp: the weights of one layer, packed for the forward and the backward loop.
#pragma once

#include <algorithm>
#include <array>
#include <utility>

#include "elman/bptt/problem.hpp"
#include "elman/kernels/packed.hpp"

namespace elman::bptt {

/// Runs f<0>, f<1>, ... for every phase of a cell.
template <class Cell, class F>
inline void for_phases(F&& f) {
  [&]<std::size_t... P>(std::index_sequence<P...>) {
    (f.template operator()<static_cast<int>(P)>(), ...);
  }(std::make_index_sequence<Cell::kPhases>{});
}

/// Keras weights of one layer. Shapes: kernel [F, G H], recurrent_kernel [H, G H], bias nullptr,
/// [G H] or, with bias_rows = 2, [2, G H] (input row, recurrent row).
template <class T>
struct KerasWeights {
  const T* kernel = nullptr;
  const T* recurrent_kernel = nullptr;
  const T* bias = nullptr;
  int bias_rows = 1;
};

/// The forward side: per phase the packed kernel and recurrent kernel; the bias by slot.
template <class T, class Cell>
struct ForwardWeights {
  Index features = 0, units = 0;
  std::array<AlignedBuffer<T>, Cell::kPhases> x, h;
  AlignedBuffer<T> bias;  // [slots, Hp]
  // Zeros times the recurrent kernel are zeros: then a first step without a state skips them.
  bool recurrent_finite = false;
  KerasWeights<T> unpacked;  // set by refer() alone

  /// Instead of pack(), for one step of one row of a cell with one phase: packing would cost more
  /// than reading the weights where they are.
  void refer(Index f, Index u, const KerasWeights<T>& w) {
    features = f;
    units = u;
    unpacked = w;
    pack_bias(w);
  }
  [[nodiscard]] bool is_packed() const { return unpacked.kernel == nullptr; }

  /// Shapes    as KerasWeights; `state` rows of the recurrent kernel, u unless told (a convolution
  ///           reads u filters at every tap)
  void pack(Index f, Index u, const KerasWeights<T>& w, Index state = 0) {
    features = f;
    units = u;
    if (state == 0) state = u;
    const Index ld = Cell::kGates * u;
    for_phases<Cell>([&]<int P>() {
      using Phase = typename Cell::template Phase<P>;
      constexpr int kG = Phase::kGates;
      std::array<Index, kG> x_columns, h_columns;
      for (int g = 0; g < kG; ++g) {
        x_columns[g] = Cell::kXGate[Phase::kFirst + g] * u;
        h_columns[g] = Cell::kHGate[Phase::kFirstRecurrent + g] * u;
      }
      x[P].ensure(kernels::packed_size<T>(f, u, kG));
      h[P].ensure(kernels::packed_size<T>(state, u, kG));
      kernels::pack_gates(w.kernel, ld, f, u, {x_columns.data(), kG}, x[P].data());
      kernels::pack_gates(w.recurrent_kernel, ld, state, u, {h_columns.data(), kG}, h[P].data());
    });
    unpacked = {};
    recurrent_finite = all_finite(w.recurrent_kernel, state * ld);
    pack_bias(w);
  }

 private:
  // x * 0 is NaN for NaN and the infinities alone.
  static bool all_finite(const T* w, Index count) {
    constexpr Index kW = simd::kWidth<T>;
    simd::Packet<T> sum = simd::zero<T>();
    for (Index i = 0; i < count; i += kW) {
      sum = simd::madd(simd::load_partial(w + i, count - i), simd::zero<T>(), sum);
    }
    return simd::reduce_add<T>(sum) == T(0);
  }

  void pack_bias(const KerasWeights<T>& w) {
    const Index hp = simd::padded<T>(units);
    bias.ensure(Cell::kSlots * hp);
    std::fill_n(bias.data(), Cell::kSlots * hp, T(0));
    if (w.bias == nullptr) return;
    const T* recurrent = w.bias_rows == 2 ? w.bias + Cell::kGates * units : nullptr;
    for (int s = 0; s < Cell::kSlots; ++s) {
      const BiasOf kind = Cell::kBias[s];
      T* out = bias.data() + s * hp;
      if (kind != BiasOf::recurrent && Cell::kXGate[s] >= 0) {
        std::copy_n(w.bias + Cell::kXGate[s] * units, units, out);
      }
      if (kind != BiasOf::input && Cell::kHGate[s] >= 0 && recurrent != nullptr) {
        const T* in = recurrent + Cell::kHGate[s] * units;
        for (Index j = 0; j < units; ++j) out[j] += in[j];
      }
    }
  }
};

/// The backward side: the transposed weights, rows in slot order and padded like the slots.
template <class T, class Cell>
struct BackwardWeights {
  AlignedBuffer<T> x;                             // [F blocks][kGates Hp][W]
  std::array<AlignedBuffer<T>, Cell::kPhases> h;  // [H blocks][gates Hp][W]

  /// with_x, with_h: whether the gradient of x, and of any h, is wanted.
  void pack(Index f, Index u, const KerasWeights<T>& w, bool with_x, bool with_h = true) {
    const Index hp = simd::padded<T>(u);
    const Index ld = Cell::kGates * u;
    if (with_x) {
      pack_side(f, u, Cell::kGates, 0, Cell::kXGate, w.kernel, ld, hp, x);
    }
    if (!with_h) return;
    for_phases<Cell>([&]<int P>() {
      using Phase = typename Cell::template Phase<P>;
      pack_side(u, u, Phase::kGates, Phase::kFirstRecurrent, Cell::kHGate, w.recurrent_kernel, ld,
                hp, h[P]);
    });
  }

 private:
  template <std::size_t S>
  static void pack_side(Index columns, Index u, int gates, int first,
                        const std::array<int, S>& gate_of_slot, const T* src, Index ld, Index hp,
                        AlignedBuffer<T>& dst) {
    constexpr Index kW = simd::kWidth<T>;
    const Index depth = gates * hp;
    const Index size = kernels::packed_size<T>(depth, columns, 1);
    dst.ensure(size);
    if (hp != u) std::fill_n(dst.data(), size, T(0));
    for (int g = 0; g < gates; ++g) {
      const int gate = gate_of_slot[static_cast<std::size_t>(first + g)];
      kernels::pack_transposed(src + gate * u, ld, u, columns, dst.data() + g * hp * kW, depth);
    }
  }
};

}  // namespace elman::bptt
