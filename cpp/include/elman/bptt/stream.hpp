// SPDX-License-Identifier: Apache-2.0
// elman/bptt/stream.hpp: a recurrent layer one step at a time, with its state inside.
#pragma once

#include <algorithm>
#include <array>
#include <memory>
#include <string>
#include <type_traits>
#include <utility>

#include "elman/bptt/partition.hpp"
#include "elman/bptt/phase.hpp"
#include "elman/bptt/weights.hpp"
#include "elman/bptt/whole_rows.hpp"
#include "elman/core/errors.hpp"

namespace elman::bptt {

/// h, c = cell(x, h, c), one call per time step; the first starts from zeros.
/// Shapes    x [N,F] -> out [N,H]; weights as in KerasWeights, N = rows
/// Layout    row-major, contiguous, any alignment
/// Aliasing  out aliases neither x nor the state
/// Errors    std::invalid_argument for sizes below 1 and for weights that are not packed;
///           std::bad_alloc; both in the constructor alone
/// Accuracy  bit-equal to bptt::forward over the same steps
/// Cost      2 N G H (F + H) flop; step() allocates nothing. From 2 Mflop a step on, units are
///           shared among the threads that ThreadPool::global() had when the object was made;
///           with resize(1) before it, all work stays on the calling thread. One object serves
///           one thread at a time; packed weights may be shared by many
template <class T, class Cell>
class Stream {
  static constexpr Index kW = simd::kWidth<T>;
  static constexpr Index kS = Cell::kSlots;

 public:
  using Weights = ForwardWeights<T, Cell>;

  /// Packs a copy of the weights.
  Stream(Index features, Index units, const KerasWeights<T>& weights,
         const AnyActivations& activations = {}, Index rows = 1)
      : Stream(packed(features, units, weights), activations, rows) {}

  /// With weights that are packed already; who packs them anew between two steps continues with
  /// the same state.
  explicit Stream(std::shared_ptr<const Weights> weights, const AnyActivations& activations = {},
                  Index rows = 1)
      : weights_(std::move(weights)), fn_(activations), rows_(rows) {
    if (rows < 1) fail("Stream", "rows: expected >= 1, got " + std::to_string(rows));
    if (weights_ == nullptr || !weights_->is_packed() || weights_->units < 1) {
      fail("Stream", "weights: expected packed weights of at least one unit");
    }
    hp_ = simd::padded<T>(units());
    for (AlignedBuffer<T>& h : h_) h.ensure(rows * hp_);
    if (Cell::kStates == 2) c_.ensure(rows * hp_);
    if (Cell::kPhases > 1) slots_.ensure(rows * kS * hp_);
    group_ = most_rows();
    // A quarter of the work counts: between two steps the workers fall asleep, and to wake one
    // costs the caller a few microseconds.
    parts_ = unit_parts<T, Cell>(double(rows), units(), (features() + units()) / 4);
    if (parts_ > 1) ThreadPool::global().prepare(parts_);
    if (fn_.by_rows()) {
      sums_.ensure(StepSums<T, Cell>::size(group_, units()));
      row_scratch_.ensure(parts_ * WholeRows<T, Cell>::size(units()));
    }
    with_activations<T, Cell>(fn_, [this](const auto& fn) {
      using Activations = std::decay_t<decltype(fn)>;
      run_ = rows_ == 1 && parts_ == 1 ? &run_row<Activations> : &run<Activations>;
    });
    reset();
  }

  /// One time step.
  void step(const T* x, T* out) noexcept { run_(*this, x, out); }

  /// Back to zero states.
  void reset() noexcept {
    std::fill_n(h_[now_].data(), rows_ * hp_, T(0));
    if (Cell::kStates == 2) std::fill_n(c_.data(), rows_ * hp_, T(0));
    at_zero_ = true;
  }

  /// One row back to zero states, the others go on.
  void reset(Index row) noexcept {
    std::fill_n(h_[now_].data() + row * hp_, hp_, T(0));
    if (Cell::kStates == 2) std::fill_n(c_.data() + row * hp_, hp_, T(0));
  }

  /// The state of one row: H values.
  [[nodiscard]] const T* h(Index row = 0) const noexcept { return h_[now_].data() + row * hp_; }
  [[nodiscard]] const T* c(Index row = 0) const noexcept
    requires(Cell::kStates == 2)
  {
    return c_.data() + row * hp_;
  }
  /// Replaces the state of all rows. Shapes: h, c [N,H], contiguous.
  void set_h(const T* h) noexcept {
    load(h, h_[now_].data());
    at_zero_ = false;
  }
  void set_c(const T* c) noexcept
    requires(Cell::kStates == 2)
  {
    load(c, c_.data());
  }

  [[nodiscard]] Index features() const noexcept { return weights_->features; }
  [[nodiscard]] Index units() const noexcept { return weights_->units; }
  [[nodiscard]] Index rows() const noexcept { return rows_; }

 private:
  static std::shared_ptr<const Weights> packed(Index features, Index units,
                                               const KerasWeights<T>& weights) {
    if (features < 1 || units < 1) {
      fail("Stream", "sizes: expected features and units >= 1, got " + std::to_string(features) +
                         " and " + std::to_string(units));
    }
    auto out = std::make_shared<Weights>();
    out->pack(features, units, weights);
    return out;
  }

  // Rows that one product takes at most: steps take no memory.
  [[nodiscard]] Index most_rows() const {
    Index most = rows_;
    const Index depth = features() + units(), blocks = hp_ / kW;
    for_phases<Cell>([&]<int P>() {
      using Phase = typename Cell::template Phase<P>;
      using Shape = kernels::TileShape<Phase::kSlots>;
      const int width = Shape::blocks(Shape::kMaxRows);
      if (detail::passes<T, Phase>(rows_, depth, width) > 1 ||
          detail::packs_rows<T, Phase>(rows_, depth, blocks)) {
        most = std::min(most, detail::kMostPlainRows);
      }
    });
    return most;
  }

  void load(const T* from, T* to) noexcept {
    for (Index r = 0; r < rows_; ++r) std::copy_n(from + r * units(), units(), to + r * hp_);
  }

  template <class Activations>
  static void run(Stream& s, const T* x, T* out) noexcept {
    for (Index first = 0; first < s.rows_; first += s.group_) {
      const Index rows = std::min(s.group_, s.rows_ - first);
      for_phases<Cell>(
          [&]<int P>() { s.template phase<P, Activations, false>(x, out, first, rows); });
    }
    s.pass();
  }

  // One row on one thread.
  template <class Activations>
  static void run_row(Stream& s, const T* x, T* out) noexcept {
    for_phases<Cell>([&]<int P>() __attribute__((always_inline)) {
      s.template phase<P, Activations, true>(x, out, 0, 1);
    });
    s.pass();
  }

  void pass() noexcept {
    now_ ^= 1;
    at_zero_ = false;
  }

  template <class Activations>
  [[nodiscard]] Activations activations() const noexcept {
    if constexpr (std::is_same_v<Activations, AnyActivations>) {
      return fn_;
    } else {
      return {};
    }
  }

  T* slots(Index row) noexcept {
    return Cell::kPhases > 1 ? slots_.data() + row * kS * hp_ : nullptr;
  }

  // Alone: one row on one thread.
  template <int P, class Activations, bool Alone>
  __attribute__((always_inline)) void phase(const T* x, T* out, Index first, Index rows) noexcept {
    using Phase = typename Cell::template Phase<P>;
    const Weights& w = *weights_;
    const Activations fn = activations<Activations>();
    const T* h_prev = h_[now_].data();
    StepProduct<T> p{w.bias.data() + Phase::kFirst * hp_,
                     0,
                     hp_,
                     {x + first * w.features, w.features, 0, w.x[P].data(), w.features},
                     {}};
    // As over a sequence, zeros are not multiplied unless infinite weights make NaN of them.
    if (!at_zero_ || !w.recurrent_finite) {
      p.h = {h_prev + first * hp_, hp_, 0, w.h[P].data(), w.units};
      if constexpr (P == 1) {
        p.h.a = slots(first) + Cell::kInner * hp_;
        p.h.row = kS * hp_;
      }
    }
    const StepSums<T, Cell> sums(sums_.data(), units());
    constexpr bool kApart = kFinishesApart<Cell, P, T, Activations>;
    const auto write = [&](const ForwardUnit<T>& u, Index row,
                           Index j) __attribute__((always_inline)) {
      if constexpr (P + 1 == Cell::kPhases) {
        simd::store_partial<T>(out + row * units() + j, simd::load<T>(u.h), units() - j);
      }
    };
    const auto begin = [&](Index r, Index block, int count, T* z) __attribute__((always_inline)) {
      if constexpr (!Activations::kKnown) {
        if (sums) return sums.template keep<P>(r, block, count, z);
      }
      const Index row = first + r;
      ForwardUnit<T> u = unit(row, block, z);
      for (Index j = block * kW; count > 0; --count, j += kW, z += Phase::kSlots * kW) {
        begin_unit<Cell, P, T>(fn, u, z);
        if constexpr (!kApart) write(u, row, j);
        u.advance(Phase::kSlots);
      }
    };
    const auto finish = [&](Index r, Index block, int count,
                            const T* z) __attribute__((always_inline)) {
      if constexpr (kApart) {
        if (!Activations::kKnown && sums) return;
        const Index row = first + r;
        ForwardUnit<T> u = unit(row, block, z);
        for (Index j = block * kW; count > 0; --count, j += kW, z += Phase::kSlots * kW) {
          finish_unit<Cell, P, T>(fn, u, z);
          write(u, row, j);
          u.advance(Phase::kSlots);
        }
      }
    };
    // Every other step walks back over the blocks, so that it starts with weights in the cache.
    const bool backwards = now_ != 0;
    if constexpr (Alone) {
      bptt::run_row<T, Phase>(p, hp_ / kW, backwards, begin, finish);
    } else {
      for_blocks(
          parts_, hp_ / kW, backwards, Sharing::kAll,
          flops(double(rows), Phase::kGates, hp_, p.x.depth + p.h.depth),
          [&](const Blocks& blocks) { run_phase<T, Phase>(p, rows, blocks, begin, finish); });
    }
    if constexpr (!Activations::kKnown) {
      if (sums) whole_rows<P>(sums, out, first, rows);
    }
  }

  // One row and block: where the sums come from, and where the states go.
  __attribute__((always_inline)) ForwardUnit<T> unit(Index row, Index block, const T* z) noexcept {
    const Index j = block * kW;
    ForwardUnit<T> u;
    u.z = z;
    u.h_prev = h_[now_].data() + row * hp_ + j;
    u.h = h_[now_ ^ 1].data() + row * hp_ + j;
    if constexpr (Cell::kStates == 2) u.c = c_.data() + row * hp_ + j;
    if constexpr (Cell::kPhases > 1) u.saved = slots(row) + j;
    u.slot_stride = hp_;
    return u;
  }

  // The step itself, where an activation needs all units of a row.
  template <int P>
  __attribute__((noinline, cold)) void whole_rows(const StepSums<T, Cell>& sums, T* out,
                                                  Index first, Index rows) noexcept {
    const auto run = [&](int part, Range share) __attribute__((cold)) {
      T* scratch = row_scratch_.data() + part * WholeRows<T, Cell>::size(units());
      WholeRows<T, Cell> cell(fn_, units(), scratch);
      for (Index r = share.begin; r < share.end; ++r) {
        const ForwardUnit<T> row = unit(first + r, 0, sums.row(r));
        cell.template forward<P>(row);
        if (P + 1 == Cell::kPhases) std::copy_n(row.h, units(), out + (first + r) * units());
      }
    };
    for_whole_rows(parts_, {0, rows}, std::ref(run));
  }

  std::shared_ptr<const Weights> weights_;
  AnyActivations fn_;
  Index rows_, hp_ = 0, group_ = 1;
  int parts_ = 1;
  void (*run_)(Stream&, const T*, T*) noexcept = nullptr;
  std::array<AlignedBuffer<T>, 2> h_;  // before and after a step, in turn
  AlignedBuffer<T> c_, slots_;
  AlignedBuffer<T> sums_, row_scratch_;  // where activations need whole rows
  unsigned now_ = 0;
  bool at_zero_ = true;
};

}  // namespace elman::bptt
