// SPDX-License-Identifier: Apache-2.0
// elman/bptt/arriving.hpp: the gradients that reach a step from outside of the loop.
#pragma once

#include "elman/bptt/schedule.hpp"
#include "elman/kernels/simd.hpp"

namespace elman::bptt {

/// The reverse of SkippedSteps: what arrives at skipped steps belongs to the step that they repeat,
/// or to the initial states.
template <class T>
class ArrivingGradients {
 public:
  ArrivingGradients(const Inputs<T>& in, const LoopRows<T>& rows, const OutputGradients<T>& d)
      : in_(in), rows_(rows), d_(d) {}

  /// dh and what reaches h after step k of a row: `lanes` units from `unit` on.
  [[nodiscard]] simd::Packet<T> add_to_h(Index row, Index k, Index unit, Index lanes,
                                         simd::Packet<T> dh) const {
    const Index idle = rows_.idle(row, k);
    if (d_.out && d_.out.step != 0) {
      const Index repeats = in_.zero_output_for_mask ? 0 : idle;
      dh = simd::add(dh, sum_of(d_.out, row, k, repeats, unit, lanes));
    } else if (d_.out && k + 1 == rows_.used(row) && rows_.shows_last(row)) {
      dh = simd::add(dh, sum_of(d_.out, row, k, 0, unit, lanes));
    }
    if (d_.h_all) dh = simd::add(dh, sum_of(d_.h_all, row, k, idle, unit, lanes));
    return dh;
  }
  /// Of c after step k of a row.
  [[nodiscard]] simd::Packet<T> of_c(Index row, Index k, Index unit, Index lanes) const {
    if (!d_.c_all) return simd::zero<T>();
    return sum_of(d_.c_all, row, k, rows_.idle(row, k), unit, lanes);
  }

  /// What skipped steps that carry the initial states pass on to them.
  void idle_initial(Index row, T* d_h0, T* d_c0) const {
    idle_initial(d_.h_all, d_h0, row);
    idle_initial(d_.c_all, d_c0, row);
  }
  void add_to_initial(T* d_initial, Index row, const T* gradient) const {
    if (d_initial == nullptr) return;
    T* to = d_initial + rows_.sample(row) * in_.dims.units;
    for (Index j = 0; j < in_.dims.units; ++j) to[j] += gradient[j];
  }

 private:
  // The sum of what arrives at a step and at the `idle` steps after it that repeat it.
  simd::Packet<T> sum_of(const Sequence<const T>& from, Index row, Index k, Index idle, Index unit,
                         Index lanes) const {
    const T* at = from.at(rows_.sample(row), rows_.step(row, k)) + unit;
    simd::Packet<T> sum = simd::load_partial<T>(at, lanes);
    for (; idle > 0; --idle) sum = simd::add(sum, simd::load_partial<T>(at += from.step, lanes));
    return sum;
  }

  void idle_initial(const Sequence<const T>& gradients, T* d_initial, Index row) const {
    if (!gradients || d_initial == nullptr) return;
    const Index n = rows_.sample(row);
    Index s = 0;
    const auto add_until = [&](Index end) {
      for (; s < end; ++s) add_to_initial(d_initial, row, gradients.at(n, s));
    };
    add_until(rows_.lead(row));
    for (Index k = 0; k < rows_.used(row); ++k) {
      if (rows_.before(row, k) == Schedule::kInitial) add_until(rows_.step(row, k));
      s = rows_.step(row, k) + 1 + rows_.idle(row, k);
    }
    if (rows_.end(row) == Schedule::kInitial) add_until(in_.dims.time);
  }

  const Inputs<T>& in_;
  const LoopRows<T>& rows_;
  const OutputGradients<T>& d_;
};

}  // namespace elman::bptt
