// SPDX-License-Identifier: Apache-2.0
// elman/bptt/whole_rows.hpp: the step of a cell whose activations need all units of a row.
#pragma once

#include <algorithm>
#include <functional>

#include "elman/cells/cell.hpp"
#include "elman/core/threads.hpp"

namespace elman::bptt {

/// Activations for a cell's own equations over all units of one row, softmax among them.
///
/// The equations run over the blocks of the row in rounds. A round collects the arguments of
/// activations of whole rows whose results are not known yet, up to the first one that waits for
/// another, and ends with these results; the next round finds them and gets further. Whatever comes
/// behind in a round works on numbers without meaning, so a step that changes values in place is
/// given copies. Each activation is computed once; what a round repeats are sums and products.
template <class T>
class RowActivations {
  static constexpr Index kW = simd::kWidth<T>;

 public:
  static constexpr int kMostCalls = 8;  // of activations within one step

  // What the cells ask of the kinds: activations of rows save what they return, as linear does.
  Activation activation, recurrent;

  /// Elements of the scratch memory; `calls` of activations within one step.
  static Index size(Index units, int calls) { return 3 * calls * simd::padded<T>(units); }

  RowActivations(const AnyActivations& fn, Index units, int calls, T* scratch)
      : activation(fn.activation_rows == Softmax::none ? fn.activation : Activation::linear),
        recurrent(fn.recurrent_rows == Softmax::none ? fn.recurrent : Activation::linear),
        activation_rows_(fn.activation_rows),
        recurrent_rows_(fn.recurrent_rows),
        units_(units),
        hp_(simd::padded<T>(units)),
        arguments_(scratch),
        saved_(scratch + calls * hp_),
        results_(scratch + 2 * calls * hp_) {
    for (int i = 1; i <= calls; ++i) {  // the padding stays so
      simd::store<T>(results_ + i * hp_ - kW, simd::zero<T>());
    }
  }

  /// block(unit) for the first unit of every block, round after round; begin() ahead of each round.
  /// waits: the cell's, see cell.hpp
  template <class Begin, class Block>
  void rounds(unsigned waits, Begin&& begin, Block&& block) {
    waits_ = waits;
    known_ = 0;
    do {
      begin();
      end_ = kMostCalls;
      for (unit_ = 0; unit_ < hp_; unit_ += kW) {
        call_ = 0;
        block(unit_);
      }
    } while (finish());
  }

  template <class>
  simd::Packet<T> act(const simd::Packet<T>& z) const {
    return call(activation, activation_rows_, z, nullptr);
  }
  template <class>
  simd::Packet<T> gate(const simd::Packet<T>& z) const {
    return call(recurrent, recurrent_rows_, z, nullptr);
  }
  template <class>
  simd::Packet<T> act_gradient(const simd::Packet<T>& dy, const simd::Packet<T>& saved) const {
    return call(activation, activation_rows_, dy, &saved);
  }
  template <class>
  simd::Packet<T> act_gradient(const simd::Packet<T>& dy, const simd::Packet<T>& saved,
                               const simd::Packet<T>& more) const {
    return simd::add(call(activation, activation_rows_, dy, &saved), more);
  }
  template <class>
  simd::Packet<T> gate_gradient(const simd::Packet<T>& dy, const simd::Packet<T>& saved) const {
    return call(recurrent, recurrent_rows_, dy, &saved);
  }

 private:
  // One activation, or with `saved` its gradient. Not inline: each has all activations in it.
  __attribute__((noinline)) simd::Packet<T> call(Activation kind, Softmax rows,
                                                 const simd::Packet<T>& x,
                                                 const simd::Packet<T>* saved) const {
    const int index = call_++;
    const Index at = index * hp_ + unit_;
    if (index < known_) return simd::load<T>(results_ + at);
    if (index >= end_) return x;
    if (rows == Softmax::none) {
      const simd::Packet<T> y =
          saved == nullptr ? kernels::activate<T>(kind, x) : kernels::gradient<T>(kind, x, *saved);
      simd::store<T>(results_ + at, y);
      return y;
    }
    simd::store<T>(arguments_ + at, x);
    if (saved != nullptr) simd::store<T>(saved_ + at, *saved);
    if (unit_ == 0) collect(index, rows, saved != nullptr);
    return x;
  }

  // The first of a round ends it ahead of the next one that waits.
  void collect(int index, Softmax rows, bool reverse) const {
    if (collected_ == 0) {
      for (end_ = index + 1; end_ < kMostCalls && (waits_ >> end_ & 1u) == 0;) ++end_;
    }
    collected_ |= 1u << index;
    rows_[index] = rows;
    reverse_[index] = reverse;
  }

  // Whether there was an activation of whole rows to wait for. Shared by both directions.
  __attribute__((noinline)) bool finish() {
    if (collected_ == 0) return false;
    for (int i = known_; i < end_; ++i) {
      if ((collected_ >> i & 1u) == 0) continue;
      const T* x = arguments_ + i * hp_;
      T* y = results_ + i * hp_;
      if (reverse_[i]) {
        elman::detail::softmax_row_backward(rows_[i], saved_ + i * hp_, x, y, units_);
      } else {
        elman::detail::softmax_row(rows_[i], x, y, units_);
      }
    }
    known_ = end_;
    collected_ = 0;
    return true;
  }

  Softmax activation_rows_, recurrent_rows_;
  Index units_, hp_;
  T* arguments_;  // [calls][Hp] each
  T* saved_;
  T* results_;
  unsigned waits_ = 0;
  int known_ = 0;  // calls whose results are known
  Index unit_ = 0;
  // Of the present round, set by the activations that the cell calls.
  mutable int call_ = 0, end_ = 0;
  mutable unsigned collected_ = 0;
  mutable Softmax rows_[kMostCalls];
  mutable bool reverse_[kMostCalls];
};

/// A row in reverse, every pointer that of unit 0.
template <class T>
struct BackwardRow {
  T* saved;    // [slots][Hp]
  const T* c;  // nullptr where a cell has none
  T* dc;
  T* dh;  // what arrives, then what flows to h_prev besides the product
};

/// The steps of single rows of a cell, for one thread. Cold, here and in the loops that call it:
/// compiled for size, and out of the way of what the other activations run.
template <class T, class Cell>
class WholeRows {
  static constexpr Index kW = simd::kWidth<T>;
  static constexpr Index kS = Cell::kSlots;
  // Activations of a step, forward or backward: one for a gate, and those of c and its gradient.
  static constexpr int kCalls = Cell::kGates + (Cell::kStates == 2 ? 2 : 0);
  static_assert(kCalls <= RowActivations<T>::kMostCalls);

 public:
  /// Elements of the scratch memory of one thread.
  static Index size(Index units) {
    return RowActivations<T>::size(units, kCalls) + (4 + kS) * simd::padded<T>(units);
  }

  WholeRows(const AnyActivations& fn, Index units, T* scratch)
      : fn_(fn, units, kCalls, scratch + (4 + kS) * simd::padded<T>(units)),
        units_(units),
        hp_(simd::padded<T>(units)),
        copy_(scratch),
        h_prev_(scratch + 2 * hp_),
        c_prev_(scratch + 3 * hp_),
        slots_(scratch + 4 * hp_) {}

  /// Memory for the states before the step, [Hp], which backward() reads as far as the cell does.
  T* h_prev() const { return h_prev_; }
  T* c_prev() const { return c_prev_; }

  /// Phase P of one row. Every pointer of `row` is that of unit 0; z [blocks][slots of P][W].
  template <int P>
  __attribute__((noinline, cold)) void forward(const ForwardUnit<T>& row) {
    fn_.rounds(
        Cell::kWaits,
        [&] {
          if (Cell::kStates == 2) std::copy_n(row.c, hp_, copy_);
        },
        [&](Index j) {
          ForwardUnit<T> u = row;
          u.z += j * Cell::template Phase<P>::kSlots;
          u.h_prev += j;
          u.h += j;
          u.c = copy_ + j;
          if (u.saved != nullptr) u.saved += j;
          elman::detail::whole_forward<Cell, P, T>(fn_, u);
        });
    if (Cell::kStates == 2) std::copy_n(copy_, hp_, row.c);
  }

  /// The reverse of phase P.
  template <int P>
  __attribute__((noinline, cold)) void backward(const BackwardRow<T>& row) {
    T* const d_prev = copy_ + hp_;
    fn_.rounds(
        Cell::kWaitsBackward,
        [&] {
          if (Cell::kStates == 2) std::copy_n(row.dc, hp_, copy_);
          std::copy_n(row.saved, kS * hp_, slots_);
        },
        [&](Index j) {
          BackwardUnit<T> u;
          u.dh = simd::load<T>(row.dh + j);
          u.h_prev = simd::load<T>(h_prev_ + j);
          u.c_prev = simd::load<T>(c_prev_ + j);
          if (Cell::kStates == 2) u.c = row.c + j;
          u.dc = copy_ + j;
          u.saved = slots_ + j;
          u.slot_stride = hp_;
          u.lanes = units_ - j;
          simd::store<T>(d_prev + j, Cell::template backward<P, T>(fn_, u));
        });
    if (Cell::kStates == 2) std::copy_n(copy_, hp_, row.dc);
    std::copy_n(slots_, kS * hp_, row.saved);
    std::copy_n(d_prev, hp_, row.dh);
  }

 private:
  RowActivations<T> fn_;
  Index units_, hp_;
  T* copy_;  // dc or c, and what flows to h_prev
  T* h_prev_;
  T* c_prev_;
  T* slots_;  // [kS][Hp]
};

/// The sums of a step until the last product of a phase is done: [blocks][slots of the phase][W]
/// for each row. Refers to memory of size() elements, or to none where no activation needs whole
/// rows.
template <class T, class Cell>
class StepSums {
 public:
  static Index size(Index rows, Index units) {
    return rows * Cell::kSlots * simd::padded<T>(units);
  }

  StepSums() = default;
  StepSums(T* memory, Index units) : memory_(memory), stride_(size(1, units)) {}

  explicit operator bool() const { return memory_ != nullptr; }
  const T* row(Index r) const { return memory_ + r * stride_; }

  /// The sums of some blocks of a row in phase P.
  template <int P>
  void keep(Index r, Index block, Index count, const T* from) const {
    constexpr Index kSize = Cell::template Phase<P>::kSlots * simd::kWidth<T>;
    std::copy_n(from, count * kSize, memory_ + r * stride_ + block * kSize);
  }

 private:
  T* memory_ = nullptr;
  Index stride_ = 0;
};

/// Runs f(part, rows) for all rows, in `parts` shares side by side. No template, so that all cells
/// share its code; std::ref(f) of a local function makes an argument without allocation.
inline void for_whole_rows(int parts, Range rows, const std::function<void(int, Range)>& f) {
  if (parts == 1) return f(0, rows);
  ThreadPool::global().run(parts, [&](int part) {
    const Range share = part_range(rows.size(), parts, part);
    f(part, {rows.begin + share.begin, rows.begin + share.end});
  });
}

}  // namespace elman::bptt
