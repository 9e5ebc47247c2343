// SPDX-License-Identifier: Apache-2.0
// elman/bptt/forward.hpp: the time loop.
#pragma once

#include <algorithm>

#include "elman/bptt/input_side.hpp"
#include "elman/bptt/row_offsets.hpp"
#include "elman/bptt/skipped.hpp"
#include "elman/bptt/weights.hpp"
#include "elman/bptt/whole_rows.hpp"
#include "elman/core/shares.hpp"
#include "elman/core/workspace.hpp"

namespace elman::bptt {

/// The loop over the steps for the rows of a range. Threads share the rows, or the units of each
/// step.
template <class T, class Cell, class Activations>
class ForwardRows {
  static constexpr Index kW = simd::kWidth<T>;
  static constexpr Index kS = Cell::kSlots;

 public:
  ForwardRows(const Inputs<T>& in, const Schedule* schedule, const ForwardWeights<T, Cell>& weights,
              const KnownSums<T, Cell>& known, const Activations& fn, const Outputs<T>& out,
              Range range, Partition threads, Workspace& workspace)
      : in_(in),
        w_(weights),
        fn_(fn),
        out_(out),
        rows_(in, schedule, range.begin, range.size()),
        threads_(threads),
        hp_(simd::padded<T>(in.dims.units)),
        offset_(rows_, threads.row_parts(), in.dims.units, workspace),
        input_(in, weights, known, rows_, out.saved.slots, rows_.ragged(), workspace) {
    const Index rows = rows_.count();
    const auto take = [&](Index count) {
      return count == 0 ? nullptr : workspace.template take<T>(count);
    };
    for (T*& h : h_) h = take(offset_.size());
    if (Cell::kStates == 2) c_ = take(offset_.size());
    h_operand_ = take(in.recurrent_dropout.gates * offset_.size());
    if (Cell::kPhases > 1 && out.saved.slots == nullptr) scratch_slots_ = take(kS * offset_.size());
    if (fn.by_rows()) {
      sums_ = {take(StepSums<T, Cell>::size(rows, in.dims.units)), in.dims.units};
    }
  }

  /// Bytes that the constructor takes for so many rows.
  static void count(const Inputs<T>& in, bool training, bool known, bool by_rows, Index rows,
                    Partition threads, WorkspaceSize& size) {
    RowOffsets<T>::count(rows, threads.row_parts(), size);
    InputSide<T, Cell>::count(in, rows, known, in.scheduled(), training, size);
    const Index states = RowOffsets<T>::size(rows, threads.row_parts(), in.dims.units);
    size.template add<T>(states).template add<T>(states);
    if (Cell::kStates == 2) size.template add<T>(states);
    size.template add<T>(in.recurrent_dropout.gates * states);
    if (Cell::kPhases > 1 && !training) size.template add<T>(kS * states);
    if (by_rows) size.template add<T>(StepSums<T, Cell>::size(rows, in.dims.units));
  }

  void run() { run_shares(threads_.row_parts(), rows_.steps(), *this); }

  // Work of run_shares().
  static constexpr Index kGrain = 4;
  [[nodiscard]] Range share(int parts, int part) const { return rows_.share(parts, part); }
  [[nodiscard]] Index busy(Index k) const { return rows_.active(k); }

  /// Step k of those rows that have it.
  __attribute__((noinline)) void step(Index k, Range rows) {
    rows.end = std::min(rows.end, rows_.active(k));
    if (rows.size() <= 0) return;
    T* h_prev = h_[k % 2];
    for (Index r = rows.begin; k == 0 && r < rows.end; ++r) {
      load(in_.h0, r, h_prev);
      if (Cell::kStates == 2) load(in_.c0, r, c_);
    }
    restart(k, rows, h_prev);
    load_state(rows, h_prev);
    input_.prepare(k, rows, h_prev, h_operand_, threads_.unit_parts());
    for_phases<Cell>([&]<int P>() { phase<P>(k, rows, h_prev, h_[(k + 1) % 2]); });
  }

  /// A row's last state stands where its last step put it: later steps touch fewer rows.
  void done(Range rows) {
    const SkippedSteps<T> skipped(in_, rows_, out_);
    for (Index r = rows.begin; r < rows.end; ++r) {
      const Index used = rows_.used(r);
      skipped.last(r, in_.h0, h_[used % 2] + offset_(r), out_.h_last);
      if (Cell::kStates == 2) skipped.last(r, in_.c0, c_ + offset_(r), out_.c_last);
      if (rows_.ragged()) skipped.fill(r);
    }
  }

 private:
  // The row's part of a state [N,H], or zeros.
  void load(const T* from, Index row, T* to) {
    const Index units = in_.dims.units;
    to += offset_(row);
    std::fill_n(to, hp_, T(0));
    if (from != nullptr) std::copy_n(from + rows_.sample(row) * units, units, to);
  }

  void restart(Index k, Range rows, T* h) {
    for (Index r = rows.begin; in_.reset != nullptr && r < rows.end; ++r) {
      if (!rows_.restarts(r, k)) continue;
      const bool zeros = rows_.before(r, k) == Schedule::kZeros;
      load(zeros ? nullptr : in_.h0, r, h);
      if (Cell::kStates == 2) load(zeros ? nullptr : in_.c0, r, c_);
    }
  }

  // The operand of a gate that has one of its own.
  T* h_operand(int gate, Index row) const {
    return h_operand_ == nullptr ? nullptr : h_operand_ + gate * offset_.size() + offset_(row);
  }

  void load_state(Range rows, const T* h) {
    const Factors<T>& factors = in_.recurrent_dropout;
    for (int g = 0; g < factors.gates; ++g) {
      const int gate = Cell::kHGate[Cell::template Phase<0>::kFirstRecurrent + g];
      for (Index r = rows.begin; r < rows.end; ++r) {
        const T* f = factors.row(gate, rows_.sample(r));
        const T* from = h + offset_(r);
        T* to = h_operand(g, r);
        for (Index j = 0; j < in_.dims.units; ++j) to[j] = from[j] * f[j];
      }
    }
  }

  __attribute__((always_inline)) T* slots(Index row, Index k) {
    if (out_.saved.slots == nullptr) {
      return scratch_slots_ == nullptr ? nullptr : scratch_slots_ + kS * offset_(row);
    }
    return out_.saved.slots + rows_.kept(row, k) * kS * hp_;
  }

  // What the recurrent kernel of phase P multiplies: h, or the inner operand of phase 1.
  template <int P>
  Side<T> recurrent_side(Index k, Range rows, const T* h_prev) {
    using Phase = typename Cell::template Phase<P>;
    Side<T> side;
    const bool zeros = k == 0 && in_.h0 == nullptr && w_.recurrent_finite;
    if (zeros || !w_.is_packed()) return side;  // nothing to add, or added already
    side.w = w_.h[P].data();
    side.depth = in_.dims.units;
    side.a = h_prev + offset_(rows.begin);
    side.row = hp_;
    const Factors<T>& factors = in_.recurrent_dropout;
    if constexpr (P == 1) {
      side.a = slots(rows.begin, k) + Cell::kInner * hp_;
      side.row = out_.saved.slots == nullptr ? kS * hp_ : rows_.kept_stride() * kS * hp_;
      if (factors.gates != 0) scale_inner(k, rows, Cell::kHGate[Phase::kFirst]);
    }
    if (factors.gates != 0) {
      side.a = h_operand(0, rows.begin);
      side.row = hp_;
      if (factors.per_gate() && P == 0) side.gate = offset_.size();
    }
    return side;
  }

  void scale_inner(Index k, Range rows, int gate) {
    if constexpr (Cell::kPhases > 1) {
      for (Index r = rows.begin; r < rows.end; ++r) {
        const T* inner = slots(r, k) + Cell::kInner * hp_;
        const T* f = in_.recurrent_dropout.row(gate, rows_.sample(r));
        T* to = h_operand(0, r);
        for (Index j = 0; j < in_.dims.units; ++j) to[j] = inner[j] * f[j];
      }
    }
  }

  template <int P>
  void phase(Index k, Range rows, const T* h_prev, T* h_next) {
    using Phase = typename Cell::template Phase<P>;
    const Index first = rows.begin;
    StepProduct<T> p;
    input_.template apply<P>(k, first, p);
    p.h = recurrent_side<P>(k, rows, h_prev);
    constexpr bool kApart = kFinishesApart<Cell, P, T, Activations>;
    const auto begin = [&](Index r, Index block, int count,
                           T* sums) __attribute__((always_inline)) {
      const Index row = first + r;
      if constexpr (!Activations::kKnown) {
        if (sums_) return sums_.template keep<P>(row, block, count, sums);
      }
      ForwardUnit<T> u = unit(k, row, block, sums, h_prev, h_next);
      Targets to = kApart ? Targets{} : targets<P>(k, row, block);
      for (; count > 0; --count, u.advance(Phase::kSlots), sums += Phase::kSlots * kW) {
        begin_unit<Cell, P, T>(fn_, u, sums);
        if constexpr (!kApart) write<P>(u, to);
      }
    };
    const auto finish = [&](Index r, Index block, int count,
                            const T* sums) __attribute__((always_inline)) {
      if constexpr (kApart) {
        const Index row = first + r;
        if (!Activations::kKnown && sums_) return;
        ForwardUnit<T> u = unit(k, row, block, sums, h_prev, h_next);
        Targets to = targets<P>(k, row, block);
        for (; count > 0; --count, u.advance(Phase::kSlots), sums += Phase::kSlots * kW) {
          finish_unit<Cell, P, T>(fn_, u, sums);
          write<P>(u, to);
        }
      }
    };
    const auto ahead = [&](kernels::FetchList<T>& fetches, Index r, Index block, int count) {
      fetch_targets(fetches, k, first + r, block, count);
    };
    for_blocks(threads_.unit_parts(), hp_ / kW, k % 2 != 0, Sharing::kAll,
               flops(double(rows.size()), Phase::kGates, hp_, p.x.depth + p.h.depth),
               [&](const Blocks& blocks) {
                 run_phase<T, Phase>(p, rows.size(), blocks, begin, finish, ahead);
               });
    if constexpr (!Activations::kKnown) {
      if (sums_) whole_rows<P>(k, rows, h_prev, h_next);
    }
  }

  // One row and block: where the sums come from, and where states and slots go.
  __attribute__((always_inline)) ForwardUnit<T> unit(Index k, Index row, Index block, const T* sums,
                                                     const T* h_prev, T* h_next) {
    ForwardUnit<T> u;
    const Index j = offset_(row) + block * kW;
    u.z = sums;
    u.h_prev = h_prev + j;
    u.h = h_next + j;
    if (Cell::kStates == 2) u.c = c_ + j;
    T* saved = slots(row, k);
    u.saved = saved == nullptr ? nullptr : saved + block * kW;
    u.slot_stride = hp_;
    return u;
  }

  // The step itself, where an activation needs all units of a row.
  template <int P>
  __attribute__((noinline, cold)) void whole_rows(Index k, Range rows, const T* h_prev, T* h_next) {
    const auto run = [&](int, Range share) __attribute__((cold)) {
      const Index units = in_.dims.units;
      T* scratch = kernels::thread_scratch<T, 14>(WholeRows<T, Cell>::size(units));
      WholeRows<T, Cell> cell(fn_, units, scratch);
      for (Index row = share.begin; row < share.end; ++row) {
        cell.template forward<P>(unit(k, row, 0, sums_.row(row), h_prev, h_next));
        ForwardUnit<T> u = unit(k, row, 0, nullptr, h_prev, h_next);
        Targets to = targets<P>(k, row, 0);
        for (Index block = 0; block < hp_ / kW; ++block, u.advance(0)) write<P>(u, to);
      }
    };
    for_whole_rows(threads_.unit_parts(), rows, std::ref(run));
  }

  // The lines that a tile's epilogue will write lie rows apart, where no hardware prefetcher sees
  // them coming.
  void fetch_targets(kernels::FetchList<T>& fetches, Index k, Index row, Index block, int blocks) {
    const Index j = block * kW, count = blocks * kW;
    fetches.add(out_.out.at(rows_.sample(row), rows_.step(row, k)) + j, count);
    if (out_.saved.slots == nullptr) return;
    const T* saved = slots(row, k) + j;
    for (Index slot = 0; slot < kS; ++slot) fetches.add(saved + slot * hp_, count);
    if (Cell::kStates == 2) fetches.add(out_.saved.c + rows_.kept(row, k) * hp_ + j, count);
  }

  // Where the units of a row go from some block on: output, states that are asked for, and what
  // training keeps. nullptr: nowhere.
  struct Targets {
    T* out = nullptr;
    T* h = nullptr;
    T* h_all = nullptr;
    T* c = nullptr;
    T* c_all = nullptr;
    Index lanes = 0;  // units from there on
  };
  template <int P>
  __attribute__((always_inline)) Targets targets(Index k, Index row, Index block) const {
    Targets to;
    if constexpr (P + 1 == Cell::kPhases) {
      const Index n = rows_.sample(row), s = rows_.step(row, k), j = block * kW;
      to.lanes = in_.dims.units - j;
      to.out = out_.out.at(n, s) + j;
      const Sequence<T>&h = out_.saved.h, &h_all = out_.h_all;
      if (h && h.data != out_.out.data) to.h = h.at(n, s) + j;
      if (h_all && h_all.data != out_.out.data && h_all.data != h.data) {
        to.h_all = h_all.at(n, s) + j;
      }
      if constexpr (Cell::kStates == 2) {
        if (out_.saved.c != nullptr) to.c = out_.saved.c + rows_.kept(row, k) * hp_ + j;
        if (out_.c_all) to.c_all = out_.c_all.at(n, s) + j;
      }
    }
    return to;
  }

  // The states of a unit after the last phase, and on to the next one.
  template <int P>
  __attribute__((always_inline)) static void write(const ForwardUnit<T>& u, Targets& to) {
    if constexpr (P + 1 == Cell::kPhases) {
      const auto put = [&](T*& target, const simd::Packet<T>& x) __attribute__((always_inline)) {
        if (target == nullptr) return;
        simd::store_partial<T>(target, x, to.lanes);
        target += kW;
      };
      const simd::Packet<T> h = simd::load<T>(u.h);
      simd::store_partial<T>(to.out, h, to.lanes);
      to.out += kW;
      put(to.h, h);
      put(to.h_all, h);
      if constexpr (Cell::kStates == 2) {
        const simd::Packet<T> c = simd::load<T>(u.c);
        if (to.c != nullptr) {
          simd::store<T>(to.c, c);
          to.c += kW;
        }
        put(to.c_all, c);
      }
      to.lanes -= kW;
    }
  }

  const Inputs<T>& in_;
  const ForwardWeights<T, Cell>& w_;
  const Activations& fn_;
  const Outputs<T>& out_;
  LoopRows<T> rows_;
  Partition threads_;
  Index hp_;
  RowOffsets<T> offset_;
  InputSide<T, Cell> input_;
  T* h_[2] = {nullptr, nullptr};
  T* c_ = nullptr;
  T* h_operand_ = nullptr;
  T* scratch_slots_ = nullptr;
  StepSums<T, Cell> sums_;  // where activations need whole rows; else they stay in their tile
};

}  // namespace elman::bptt
