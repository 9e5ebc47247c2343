// SPDX-License-Identifier: Apache-2.0
// elman/bptt/backward.hpp: the time loop in reverse: gate gradients of every step.
#pragma once

#include "elman/bptt/phase.hpp"
#include "elman/bptt/weights.hpp"
#include "elman/core/workspace.hpp"

namespace elman::bptt {

/// The reverse loop for the rows [first, first + rows) of a batch, on one thread. Turns saved.slots
/// into the gradients of the sums, and adds the gradients of the initial states.
template <class T, class Cell, class Activations>
class BackwardRows {
  static constexpr Index kW = simd::kWidth<T>;
  static constexpr Index kS = Cell::kSlots;

 public:
  BackwardRows(const Inputs<T>& in, const BackwardWeights<T, Cell>& weights, const Activations& fn,
               const Saved<T>& saved, const OutputGradients<T>& gradients, Index first, Index rows,
               Workspace& workspace, int parts = 1)
      : in_(in),
        w_(weights),
        fn_(fn),
        saved_(saved),
        d_(gradients),
        first_(first),
        rows_(rows),
        parts_(parts),
        hp_(simd::padded<T>(in.dims.units)) {
    dh_ = workspace.template take<T>(rows * hp_);
    if (Cell::kStates == 2) dc_ = workspace.template take<T>(rows * hp_);
    if (in.mask != nullptr) skipped_ = workspace.template take<T>(rows * hp_);
    if (in.recurrent_dropout.per_gate()) per_gate_ = workspace.template take<T>(rows * hp_);
  }

  static void count(const Inputs<T>& in, Index rows, WorkspaceSize& size) {
    const Index hp = simd::padded<T>(in.dims.units);
    size.template add<T>(rows * hp);
    if (Cell::kStates == 2) size.template add<T>(rows * hp);
    if (in.mask != nullptr) size.template add<T>(rows * hp);
    if (in.recurrent_dropout.per_gate()) size.template add<T>(rows * hp);
  }

  void run(T* d_h0, T* d_c0) {
    start(d_.h_last, dh_);
    if (Cell::kStates == 2) start(d_.c_last, dc_);
    if (skipped_ != nullptr) std::fill_n(skipped_, rows_ * hp_, T(0));
    for (Index s = in_.dims.time - 1; s >= 0; --s) {
      // Gradient of h from the step after this one; dh_ holds what came past its product.
      recurrent<0>(
          s + 1,
          [&](Index row, Index block, simd::Packet<T> dh) {
            step(s, row, block, simd::add(dh, simd::load<T>(dh_ + row * hp_ + block * kW)));
          },
          [&](Index row, Index block) { fetch_saved(s, row, block); });
      if constexpr (Cell::kPhases > 1) {
        recurrent<1>(s, [&](Index row, Index block, simd::Packet<T> d_inner) {
          inner_step(s, row, block, d_inner);
        });
      }
    }
    finish(d_h0, d_c0);
  }

 private:
  void start(const T* from, T* to) {
    const Index units = in_.dims.units;
    std::fill_n(to, rows_ * hp_, T(0));
    for (Index r = 0; from != nullptr && r < rows_; ++r) {
      std::copy_n(from + (first_ + r) * units, units, to + r * hp_);
    }
  }

  void finish(T* d_h0, T* d_c0) {
    const Index units = in_.dims.units;
    if (d_h0 != nullptr) {
      recurrent<0>(0, [&](Index row, Index block, simd::Packet<T> dh) {
        const Index j = block * kW, lanes = units - j;
        T* out = d_h0 + (first_ + row) * units + j;
        dh = simd::add(dh, simd::load<T>(dh_ + row * hp_ + j));
        simd::store_partial<T>(out, simd::add(dh, simd::load_partial<T>(out, lanes)), lanes);
      });
    }
    if (Cell::kStates == 2 && d_c0 != nullptr) {
      for (Index r = 0; r < rows_; ++r) {
        for (Index j = 0; j < units; ++j) d_c0[(first_ + r) * units + j] += dc_[r * hp_ + j];
      }
    }
  }

  T* slots(Index row, Index s) const {
    return saved_.slots + ((first_ + row) * in_.dims.time + in_.time(s)) * kS * hp_;
  }

  // The gate gradients of step s times the transposed recurrent kernel of phase P, with the
  // dropout factors of the operand: epilogue(row, block, packet).
  template <int P, class Epilogue, class Ahead = detail::NothingAhead>
  void recurrent(Index s, Epilogue&& epilogue, Ahead&& ahead = {}) {
    using Phase = typename Cell::template Phase<P>;
    using Plain = kernels::Gating<1, 1>;
    const Factors<T>& factors = in_.recurrent_dropout;
    StepProduct<T> p;
    p.x.w = w_.h[P].data();
    if (s < in_.dims.time) {
      p.x.a = slots(0, s) + Phase::kFirstRecurrent * hp_;
      p.x.row = in_.dims.time * kS * hp_;
      p.x.depth = Phase::kGates * hp_;
    }
    for_blocks(parts_, hp_ / kW, s % 2 != 0, [&](Blocks blocks) {
      if (p.x.depth == 0 || !factors.per_gate()) {
        const bool scales = p.x.depth != 0 && factors.gates != 0;
        const auto finish = [&](Index row, Index block, const T* sums) {
          const simd::Packet<T> dh = simd::load<T>(sums);
          epilogue(row, block, scales ? simd::mul(dh, factor(0, row, block)) : dh);
        };
        run_phase<T, Plain>(p, rows_, blocks, finish, ahead);
      } else {
        recurrent_per_gate<P>(p, blocks, epilogue);
      }
    });
  }

  // sum over gates of m_g (dZ_g U_g^T): one product per gate over its part of the packed rows.
  template <int P, class Epilogue>
  void recurrent_per_gate(const StepProduct<T>& all, Blocks blocks, Epilogue&& epilogue) {
    using Phase = typename Cell::template Phase<P>;
    for (int g = 0; g < Phase::kGates; ++g) {
      StepProduct<T> p = all;
      p.x.a += g * hp_;
      p.x.w += g * hp_ * kW;
      p.x.depth = hp_;
      p.x.w_block = all.x.depth * kW;
      const int gate = Cell::kHGate[Phase::kFirstRecurrent + g];
      run_phase<T, kernels::Gating<1, 1>>(
          p, rows_, blocks, [&](Index row, Index block, const T* sums) {
            T* total = per_gate_ + row * hp_ + block * kW;
            const simd::Packet<T> before = g == 0 ? simd::zero<T>() : simd::load<T>(total);
            const simd::Packet<T> now =
                simd::madd(simd::load<T>(sums), factor(gate, row, block), before);
            if (g + 1 == Phase::kGates) return epilogue(row, block, now);
            simd::store<T>(total, now);
          });
    }
  }

  // What the epilogue of step s will read and write: rows apart, out of sight of the hardware
  // prefetchers.
  void fetch_saved(Index s, Index row, Index block) const {
    const Index n = first_ + row, j = block * kW;
    const T* kept = slots(row, s) + j;
    for (Index slot = 0; slot < kS; ++slot) simd::prefetch(kept + slot * hp_);
    if (d_.out && d_.out.step != 0) simd::prefetch(d_.out.at(n, s) + j);
    if (Cell::kStates == 2 && s > 0) {
      simd::prefetch(saved_.c + (n * in_.dims.time + in_.time(s - 1)) * hp_ + j);
    } else if (Cell::kStates == 1 && s > 0) {
      simd::prefetch(saved_.h.at(n, s - 1) + j);
    }
  }

  simd::Packet<T> factor(int gate, Index row, Index block) const {
    const Index j = block * kW;
    return simd::load_partial<T>(in_.recurrent_dropout.row(gate, first_ + row) + j,
                                 in_.dims.units - j);
  }

  simd::Packet<T> h_prev(Index s, Index row, Index block) const {
    const Index n = first_ + row, j = block * kW, lanes = in_.dims.units - j;
    if (s > 0) return simd::load_partial<T>(saved_.h.at(n, s - 1) + j, lanes);
    if (in_.h0 == nullptr) return simd::zero<T>();
    return simd::load_partial<T>(in_.h0 + n * in_.dims.units + j, lanes);
  }
  simd::Packet<T> c_prev(Index s, Index row, Index block) const {
    const Index n = first_ + row, j = block * kW;
    if (s > 0) return simd::load<T>(saved_.c + (n * in_.dims.time + in_.time(s - 1)) * hp_ + j);
    if (in_.c0 == nullptr) return simd::zero<T>();
    return simd::load_partial<T>(in_.c0 + n * in_.dims.units + j, in_.dims.units - j);
  }

  simd::Packet<T> output_gradient(Index s, Index row, Index block) const {
    if (!d_.out || (d_.out.step == 0 && s + 1 != in_.dims.time)) return simd::zero<T>();
    const Index j = block * kW;
    return simd::load_partial<T>(d_.out.at(first_ + row, s) + j, in_.dims.units - j);
  }

  void step(Index s, Index row, Index block, simd::Packet<T> dh) {
    const Index j = row * hp_ + block * kW;
    T* gradients = slots(row, s) + block * kW;
    const simd::Packet<T> d_out = output_gradient(s, row, block);
    if (!in_.used(first_ + row, s)) return skip(gradients, dh, d_out, j);
    dh = simd::add(dh, d_out);
    if (skipped_ != nullptr) {
      dh = simd::add(dh, simd::load<T>(skipped_ + j));
      simd::store<T>(skipped_ + j, simd::zero<T>());
    }
    BackwardUnit<T> u = unit(s, row, block, gradients);
    u.dh = dh;
    if (Cell::kStates == 2) {
      u.c = saved_.c + ((first_ + row) * in_.dims.time + in_.time(s)) * hp_ + block * kW;
      u.c_prev = c_prev(s, row, block);
      u.dc = dc_ + j;
    }
    simd::store<T>(dh_ + j, Cell::template backward<0, T>(fn_, u));
  }

  // A skipped step hands the state's gradient on; its output repeated the output before it.
  void skip(T* gradients, simd::Packet<T> dh, simd::Packet<T> d_out, Index j) {
    for (Index slot = 0; slot < kS; ++slot) {
      if (slot < Cell::kGates || Cell::kPhases == 1) {
        simd::store<T>(gradients + slot * hp_, simd::zero<T>());
      }
    }
    simd::store<T>(dh_ + j, dh);
    if (!in_.zero_output_for_mask) {
      simd::store<T>(skipped_ + j, simd::add(simd::load<T>(skipped_ + j), d_out));
    }
  }

  void inner_step(Index s, Index row, Index block, simd::Packet<T> d_inner) {
    if (!in_.used(first_ + row, s)) return;
    BackwardUnit<T> u = unit(s, row, block, slots(row, s) + block * kW);
    u.dh = d_inner;
    T* dh = dh_ + row * hp_ + block * kW;
    if constexpr (Cell::kPhases > 1) {
      simd::store<T>(dh, simd::add(simd::load<T>(dh), Cell::template backward<1, T>(fn_, u)));
    }
  }

  BackwardUnit<T> unit(Index s, Index row, Index block, T* gradients) const {
    BackwardUnit<T> u;
    u.h_prev = h_prev(s, row, block);
    u.saved = gradients;
    u.slot_stride = hp_;
    u.lanes = in_.dims.units - block * kW;
    return u;
  }

  const Inputs<T>& in_;
  const BackwardWeights<T, Cell>& w_;
  const Activations& fn_;
  const Saved<T>& saved_;
  const OutputGradients<T>& d_;
  Index first_, rows_;
  int parts_;  // threads that share the units of each step
  Index hp_;
  T* dh_ = nullptr;
  T* dc_ = nullptr;
  T* skipped_ = nullptr;
  T* per_gate_ = nullptr;
};

}  // namespace elman::bptt
