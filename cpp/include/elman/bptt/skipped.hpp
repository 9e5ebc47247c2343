// SPDX-License-Identifier: Apache-2.0
// elman/bptt/skipped.hpp: outputs and states of the steps that a run does not compute.
#pragma once

#include <algorithm>

#include "elman/bptt/schedule.hpp"

namespace elman::bptt {

/// A skipped step keeps the states and repeats the output before it; the output is zeros until a
/// row's first used step, and until the first one after a reset.
template <class T>
class SkippedSteps {
 public:
  SkippedSteps(const Inputs<T>& in, const LoopRows<T>& rows, const Outputs<T>& out)
      : in_(in), rows_(rows), out_(out) {}

  /// A state at the end of a row: that after its last step, the initial one, or zeros.
  void last(Index row, const T* initial, const T* state, T* to) const {
    if (to == nullptr) return;
    const Index units = in_.dims.units, n = rows_.sample(row);
    const T* from = rows_.end(row) == Schedule::kLast ? state : begin(initial, n, rows_.end(row));
    put(from, to + n * units);
  }

  /// Everything that step after step is asked for; the used steps are there already.
  void fill(Index row) const {
    const Index used = rows_.used(row), n = rows_.sample(row);
    if (out_.out.step != 0) {
      outputs(row);
    } else if (!rows_.shows_last(row)) {
      put(nullptr, out_.out.at(n, 0));
    }
    if (out_.h_all) states(row, used, in_.h0, out_.h_all);
    if (out_.c_all) states(row, used, in_.c0, out_.c_all);
  }

 private:
  const T* begin(const T* initial, Index n, Index kind) const {
    if (initial == nullptr || kind == Schedule::kZeros) return nullptr;
    return initial + n * in_.dims.units;
  }
  void put(const T* from, T* to) const {
    if (from == nullptr) {
      std::fill_n(to, in_.dims.units, T(0));
    } else {
      std::copy_n(from, in_.dims.units, to);
    }
  }

  void outputs(Index row) const {
    const Index n = rows_.sample(row);
    Index s = 0;
    const auto zeros_until = [&](Index end) {
      for (; s < end; ++s) put(nullptr, out_.out.at(n, s));
    };
    for (Index k = 0; k < rows_.used(row); ++k) {
      zeros_until(rows_.step(row, k));
      const T* last = out_.out.at(n, s++);
      for (Index i = rows_.idle(row, k); i > 0; --i, ++s) {
        put(in_.zero_output_for_mask ? nullptr : last, out_.out.at(n, s));
      }
    }
    zeros_until(in_.dims.time);
  }

  void states(Index row, Index used, const T* initial, const Sequence<T>& to) const {
    const Index n = rows_.sample(row);
    Index s = 0;
    const auto carry = [&](const T* from, Index count) {
      for (; count > 0; --count, ++s) put(from, to.at(n, s));
    };
    carry(begin(initial, n, Schedule::kInitial), rows_.lead(row));
    for (Index k = 0; k < used; ++k) {
      const Index gap = rows_.step(row, k) - s;
      carry(begin(initial, n, rows_.before(row, k)), gap);
      const T* last = to.at(n, s++);
      carry(last, rows_.idle(row, k));
    }
    carry(begin(initial, n, rows_.end(row)), in_.dims.time - s);
  }

  const Inputs<T>& in_;
  const LoopRows<T>& rows_;
  const Outputs<T>& out_;
};

}  // namespace elman::bptt
