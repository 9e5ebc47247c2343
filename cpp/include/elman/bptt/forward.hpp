// SPDX-License-Identifier: Apache-2.0
// elman/bptt/forward.hpp: the time loop.
#pragma once

#include <algorithm>
#include <array>

#include "elman/bptt/partition.hpp"
#include "elman/bptt/phase.hpp"
#include "elman/bptt/weights.hpp"
#include "elman/core/threads.hpp"
#include "elman/core/workspace.hpp"

namespace elman::bptt {

// Bytes of projected steps kept ahead: half of the smallest L2 in use, or, where the kernel does
// not fit into it anyway, enough that reading the kernel for them is a small part of all reading.
inline constexpr Index kProjectionBytes = 128 * 1024, kMostProjectionBytes = 1024 * 1024;

/// The loop over the steps for the rows [first, first + rows) of a batch. It runs on the calling
/// thread; with `parts` > 1 each step's units are shared out.
template <class T, class Cell, class Activations>
class ForwardRows {
  static constexpr Index kW = simd::kWidth<T>;
  static constexpr Index kS = Cell::kSlots;

 public:
  ForwardRows(const Inputs<T>& in, const ForwardWeights<T, Cell>& weights, const Activations& fn,
              const Outputs<T>& out, Index first, Index rows, Workspace& workspace, int parts = 1)
      : in_(in),
        w_(weights),
        fn_(fn),
        out_(out),
        first_(first),
        rows_(rows),
        parts_(parts),
        hp_(simd::padded<T>(in.dims.units)),
        few_(use_projection(in, rows) || !weights.is_packed()) {
    const auto take = [&](Index count) {
      return count == 0 ? nullptr : workspace.template take<T>(count);
    };
    for (T*& h : h_) h = take(rows * hp_);
    if (Cell::kStates == 2) c_ = take(rows * hp_);
    x_operand_ = take(in.input_dropout.gates * rows * in.dims.features);
    h_operand_ = take(in.recurrent_dropout.gates * rows * hp_);
    if (Cell::kPhases > 1 && out.saved.slots == nullptr) scratch_slots_ = take(rows * kS * hp_);
    chunk_ = few_ ? chunk_steps(in, rows) : 0;
    if (few_ && out.saved.slots == nullptr) projected_ = take(rows * chunk_ * kS * hp_);
  }

  /// Bytes that the constructor takes for so many rows.
  static void count(const Inputs<T>& in, bool training, Index rows, WorkspaceSize& size) {
    const Index hp = simd::padded<T>(in.dims.units);
    size.template add<T>(rows * hp).template add<T>(rows * hp);
    if (Cell::kStates == 2) size.template add<T>(rows * hp);
    size.template add<T>(in.input_dropout.gates * rows * in.dims.features);
    size.template add<T>(in.recurrent_dropout.gates * rows * hp);
    if (Cell::kPhases > 1 && !training) size.template add<T>(rows * kS * hp);
    if ((use_projection(in, rows) || rows == 1) && !training) {
      size.template add<T>(rows * chunk_steps(in, rows) * kS * hp);
    }
  }

  void run() {
    start();
    for (Index s = 0; s < in_.dims.time; ++s) {
      if (few_ && s % chunk_ == 0) project(s);
      T* h_next = h_[(s + 1) % 2];
      const T* h_prev = h_[s % 2];
      if (!few_) load_input(s);
      load_state(h_prev);
      for_phases<Cell>([&]<int P>() { step<P>(s, h_prev, h_next); });
    }
    finish();
  }

 private:
  template <class F>
  void over_blocks(bool backwards, F&& f) {
    for_blocks(parts_, hp_ / kW, backwards, f);
  }

  static bool use_projection(const Inputs<T>& in, Index rows) {
    return rows <= kFewRows && in.dims.time > 1;
  }
  static Index chunk_steps(const Inputs<T>& in, Index rows) {
    const Index step = rows * kS * simd::padded<T>(in.dims.units) * Index(sizeof(T));
    const Index kernel = in.dims.features * Cell::kGates * in.dims.units * Index(sizeof(T));
    const Index bytes = std::clamp(kernel / 8, kProjectionBytes, kMostProjectionBytes);
    const Index steps = std::clamp<Index>(bytes / std::max<Index>(step, 1), 6, 1024);
    return std::min(steps, std::max<Index>(in.dims.time, 1));
  }

  void start() {
    const Index units = in_.dims.units;
    const auto load = [&](const T* from, T* to) {
      std::fill_n(to, rows_ * hp_, T(0));
      for (Index r = 0; from != nullptr && r < rows_; ++r) {
        std::copy_n(from + (first_ + r) * units, units, to + r * hp_);
      }
    };
    load(in_.h0, h_[0]);
    if (Cell::kStates == 2) load(in_.c0, c_);
  }

  void finish() {
    const Index units = in_.dims.units;
    const auto unload = [&](const T* from, T* to) {
      for (Index r = 0; to != nullptr && r < rows_; ++r) {
        std::copy_n(from + r * hp_, units, to + (first_ + r) * units);
      }
    };
    unload(h_[in_.dims.time % 2], out_.h_last);
    if (Cell::kStates == 2) unload(c_, out_.c_last);
  }

  // x_t times its dropout factors, one copy per gate (in slot order) where the masks differ.
  void load_input(Index s) {
    const Factors<T>& factors = in_.input_dropout;
    T* to = x_operand_;
    for (int g = 0; g < factors.gates; ++g) {
      for (Index r = 0; r < rows_; ++r, to += in_.dims.features) {
        const T* x = in_.x.at(first_ + r, in_.time(s));
        const T* f = factors.row(Cell::kXGate[g], first_ + r);
        for (Index k = 0; k < in_.dims.features; ++k) to[k] = x[k] * f[k];
      }
    }
  }
  void load_state(const T* h) {
    const Factors<T>& factors = in_.recurrent_dropout;
    T* to = h_operand_;
    for (int g = 0; g < factors.gates; ++g) {
      const int gate = Cell::kHGate[Cell::template Phase<0>::kFirstRecurrent + g];
      for (Index r = 0; r < rows_; ++r, to += hp_) {
        const T* f = factors.row(gate, first_ + r);
        for (Index k = 0; k < in_.dims.units; ++k) to[k] = h[r * hp_ + k] * f[k];
      }
    }
  }

  T* slots(Index row, Index s) {
    if (out_.saved.slots == nullptr) {
      return scratch_slots_ == nullptr ? nullptr : scratch_slots_ + row * kS * hp_;
    }
    return out_.saved.slots + ((first_ + row) * in_.dims.time + in_.time(s)) * kS * hp_;
  }

  // Sums of the input side for the steps [s, s + chunk): training writes them where the gates of
  // the step will stand.
  T* projection(Index row, Index s) {
    if (out_.saved.slots != nullptr) return slots(row, s);
    return projected_ + (row * chunk_ + s % chunk_) * kS * hp_;
  }

  template <int P>
  Side<T> input_side(Index s) {
    using Phase = typename Cell::template Phase<P>;
    Side<T> side;
    side.w = w_.x[P].data();
    side.depth = in_.dims.features;
    const Factors<T>& factors = in_.input_dropout;
    if (factors.gates == 0) {
      side.a = in_.x.at(first_, in_.time(s));
      side.row = in_.x.row;
      return side;
    }
    side.a = x_operand_;
    side.row = in_.dims.features;
    if (factors.per_gate()) {
      side.gate = rows_ * in_.dims.features;
      if constexpr (Phase::kSlots == Phase::kGates) side.a += Phase::kFirst * side.gate;
    }
    return side;
  }

  void project(Index s) {
    const Index steps = std::min(chunk_, in_.dims.time - s);
    if (!w_.is_packed()) return sum_unpacked(s);
    if (in_.input_dropout.gates != 0) return project_dropped(s, steps);
    for (Index row = 0; row < rows_; ++row) {
      const Index direction = in_.go_backwards ? -1 : 1;
      for_phases<Cell>([&]<int P>() {
        using Phase = typename Cell::template Phase<P>;
        StepProduct<T> p;
        p.init = w_.bias.data() + Phase::kFirst * hp_;
        p.init_slot = hp_;
        p.x = input_side<P>(s);
        p.x.a += row * in_.x.row;
        p.x.row = in_.x.step * direction;
        over_blocks(false, [&](Blocks blocks) {
          run_phase<T, Phase>(p, steps, blocks, [&](Index i, Index block, const T* sums) {
            store_slots<Phase>(projection(row, s + i), block, sums);
          });
        });
      });
    }
  }

  // All sums of a single step, in the order of the packed products.
  void sum_unpacked(Index s) {
    T* sums = projection(0, s);
    std::copy_n(w_.bias.data(), kS * hp_, sums);
    std::array<T*, Cell::kGates> x_sums{}, h_sums{};
    for (int slot = 0; slot < kS; ++slot) {
      constexpr int kFirstH = Cell::template Phase<0>::kFirstRecurrent;
      if (Cell::kXGate[slot] >= 0) x_sums[Cell::kXGate[slot]] = sums + slot * hp_;
      if (slot >= kFirstH) h_sums[Cell::kHGate[slot]] = sums + slot * hp_;
    }
    load_input(s);
    load_state(h_[s % 2]);
    const Index units = in_.dims.units, ld = Cell::kGates * units;
    const T* x = x_operand_ != nullptr ? x_operand_ : in_.x.at(first_, in_.time(s));
    const T* h = h_operand_ != nullptr ? h_operand_ : h_[s % 2];
    kernels::add_unpacked(x, in_.dims.features, w_.unpacked.kernel, ld, units, x_sums);
    kernels::add_unpacked(h, units, w_.unpacked.recurrent_kernel, ld, units, h_sums);
  }

  // With input dropout each step has operands of its own (few rows: the loss is small).
  void project_dropped(Index s, Index steps) {
    for (Index i = 0; i < steps; ++i) {
      load_input(s + i);
      for_phases<Cell>([&]<int P>() {
        using Phase = typename Cell::template Phase<P>;
        StepProduct<T> p;
        p.init = w_.bias.data() + Phase::kFirst * hp_;
        p.init_slot = hp_;
        p.x = input_side<P>(s + i);
        over_blocks(false, [&](Blocks blocks) {
          run_phase<T, Phase>(p, rows_, blocks, [&](Index row, Index block, const T* sums) {
            store_slots<Phase>(projection(row, s + i), block, sums);
          });
        });
      });
    }
  }

  template <class Phase>
  void store_slots(T* row, Index block, const T* sums) {
    for (int slot = 0; slot < Phase::kSlots; ++slot) {
      simd::store<T>(row + (Phase::kFirst + slot) * hp_ + block * kW,
                     simd::load<T>(sums + slot * kW));
    }
  }

  // What the recurrent kernel of phase P multiplies: h, or the inner operand of phase 1.
  template <int P>
  Side<T> recurrent_side(Index s, const T* h_prev) {
    using Phase = typename Cell::template Phase<P>;
    Side<T> side;
    const bool zeros = s == 0 && in_.h0 == nullptr && w_.recurrent_finite;
    if (zeros || !w_.is_packed()) return side;  // nothing to add, or added already
    side.w = w_.h[P].data();
    side.depth = in_.dims.units;
    side.a = h_prev;
    side.row = hp_;
    const Factors<T>& factors = in_.recurrent_dropout;
    if constexpr (P == 1) {
      side.a = slots(0, s) + Cell::kInner * hp_;
      side.row = slots(1, s) - slots(0, s);
      if (factors.gates != 0) scale_inner(s, Cell::kHGate[Phase::kFirst]);
    }
    if (factors.gates != 0) {
      side.a = h_operand_;
      side.row = hp_;
      if (factors.per_gate() && P == 0) side.gate = rows_ * hp_;
    }
    return side;
  }

  void scale_inner(Index s, int gate) {
    if constexpr (Cell::kPhases > 1) {
      for (Index r = 0; r < rows_; ++r) {
        const T* inner = slots(r, s) + Cell::kInner * hp_;
        const T* f = in_.recurrent_dropout.row(gate, first_ + r);
        for (Index k = 0; k < in_.dims.units; ++k) h_operand_[r * hp_ + k] = inner[k] * f[k];
      }
    }
  }

  template <int P>
  void step(Index s, const T* h_prev, T* h_next) {
    using Phase = typename Cell::template Phase<P>;
    StepProduct<T> p;
    p.init = w_.bias.data() + Phase::kFirst * hp_;
    p.init_slot = hp_;
    if (few_) {
      p.init = projection(0, s) + Phase::kFirst * hp_;
      p.init_row = projection(1, s) - projection(0, s);
    } else {
      p.x = input_side<P>(s);
    }
    p.h = recurrent_side<P>(s, h_prev);
    over_blocks(s % 2 != 0, [&](Blocks blocks) {
      run_phase<T, Phase>(
          p, rows_, blocks,
          [&](Index row, Index block, const T* sums) {
            unit<P>(s, row, block, sums, h_prev, h_next);
          },
          [&](Index row, Index block) { fetch_targets(s, row, block); });
    });
  }

  // One row and block: the sums become states and output.
  template <int P>
  void unit(Index s, Index row, Index block, const T* sums, const T* h_prev, T* h_next) {
    ForwardUnit<T> u;
    const Index j = row * hp_ + block * kW;
    u.z = sums;
    u.h_prev = h_prev + j;
    u.h = h_next + j;
    if (Cell::kStates == 2) u.c = c_ + j;
    T* saved = slots(row, s);
    u.saved = saved == nullptr ? nullptr : saved + block * kW;
    u.slot_stride = hp_;
    const bool used = in_.used(first_ + row, s);
    if (used) {
      Cell::template forward<P, T>(fn_, u);
    } else if (P + 1 < Cell::kPhases) {
      // A skipped row's inner operand must not bring NaN into the recurrent gradient.
      simd::store<T>(u.saved + (kS - 1) * hp_, simd::zero<T>());
    }
    if constexpr (P + 1 == Cell::kPhases) {
      if (!used) simd::store<T>(u.h, simd::load<T>(u.h_prev));
      write(s, row, block, used, u);
    }
  }

  // The lines that a tile's epilogue will write lie rows apart, where no hardware prefetcher sees
  // them coming.
  void fetch_targets(Index s, Index row, Index block) {
    const Index n = first_ + row, j = block * kW;
    simd::prefetch(out_.out.at(n, s) + j);
    if (out_.saved.slots == nullptr) return;
    const T* saved = slots(row, s) + j;
    for (Index slot = 0; slot < kS; ++slot) simd::prefetch(saved + slot * hp_);
    if (Cell::kStates == 2) {
      simd::prefetch(out_.saved.c + (n * in_.dims.time + in_.time(s)) * hp_ + j);
    }
  }

  // Output and what training keeps. A skipped step repeats the output before it, zeros at first.
  void write(Index s, Index row, Index block, bool used, const ForwardUnit<T>& u) {
    const Index n = first_ + row, j = block * kW, lanes = in_.dims.units - j;
    T* out = out_.out.at(n, s) + j;
    if (used) {
      simd::store_partial<T>(out, simd::load<T>(u.h), lanes);
    } else if (in_.zero_output_for_mask || s == 0) {
      simd::store_partial<T>(out, simd::zero<T>(), lanes);
    } else if (out_.out.step != 0) {
      simd::store_partial<T>(out, simd::load_partial<T>(out - out_.out.step, lanes), lanes);
    }
    if (out_.saved.c != nullptr) {
      T* c = out_.saved.c + (n * in_.dims.time + in_.time(s)) * hp_ + j;
      simd::store<T>(c, simd::load<T>(u.c));
    }
    if (out_.saved.h && out_.saved.h.data != out_.out.data) {
      simd::store_partial<T>(out_.saved.h.at(n, s) + j, simd::load<T>(u.h), lanes);
    }
  }

  const Inputs<T>& in_;
  const ForwardWeights<T, Cell>& w_;
  const Activations& fn_;
  const Outputs<T>& out_;
  Index first_, rows_;
  int parts_;  // threads that share the units of each step
  Index hp_;
  bool few_;
  Index chunk_ = 0;
  T* h_[2] = {nullptr, nullptr};
  T* c_ = nullptr;
  T* x_operand_ = nullptr;
  T* h_operand_ = nullptr;
  T* scratch_slots_ = nullptr;
  T* projected_ = nullptr;
};

}  // namespace elman::bptt
