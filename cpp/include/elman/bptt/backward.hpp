// SPDX-License-Identifier: Apache-2.0
// elman/bptt/backward.hpp: the time loop in reverse: gate gradients of every step.
#pragma once

#include "elman/bptt/arriving.hpp"
#include "elman/bptt/partition.hpp"
#include "elman/bptt/phase.hpp"
#include "elman/bptt/row_offsets.hpp"
#include "elman/bptt/weights.hpp"
#include "elman/bptt/whole_rows.hpp"
#include "elman/core/shares.hpp"
#include "elman/core/workspace.hpp"

namespace elman::bptt {

/// The reverse loop for the rows of a range; threads share the rows, or the units of each step.
/// Turns saved.slots into the gradients of the sums, and adds the gradients of the initial states.
template <class T, class Cell, class Activations>
class BackwardRows {
  static constexpr Index kW = simd::kWidth<T>;
  static constexpr Index kS = Cell::kSlots;

 public:
  BackwardRows(const Inputs<T>& in, const Schedule* schedule,
               const BackwardWeights<T, Cell>& weights, const Activations& fn,
               const Saved<T>& saved, const OutputGradients<T>& gradients,
               const InputGradients<T>& out, Range range, Partition threads, Workspace& workspace)
      : in_(in),
        w_(weights),
        fn_(fn),
        saved_(saved),
        d_(gradients),
        d_h0_(out.h0),
        d_c0_(Cell::kStates == 2 ? out.c0 : nullptr),
        rows_(in, schedule, range.begin, range.size()),
        arriving_(in, rows_, gradients),
        plain_(schedule == nullptr && !gradients.h_all && !gradients.c_all),
        by_rows_(fn.by_rows()),
        threads_(threads),
        hp_(simd::padded<T>(in.dims.units)),
        offset_(rows_, threads.row_parts(), in.dims.units, workspace) {
    const auto take = [&] { return workspace.template take<T>(offset_.size()); };
    dh_ = take();
    if (Cell::kStates == 2) dc_ = take();
    if (in.recurrent_dropout.per_gate()) per_gate_ = take();
    if (by_rows_ && Cell::kPhases > 1) d_inner_ = take();
    if (threads.parts == 1 && out.kernel != nullptr) rouse_later(range.size());
  }

  static void count(const Inputs<T>& in, bool by_rows, Index rows, Partition threads,
                    WorkspaceSize& size) {
    RowOffsets<T>::count(rows, threads.row_parts(), size);
    const Index states = RowOffsets<T>::size(rows, threads.row_parts(), in.dims.units);
    size.template add<T>(states);
    if (Cell::kStates == 2) size.template add<T>(states);
    if (in.recurrent_dropout.per_gate()) size.template add<T>(states);
    if (by_rows && Cell::kPhases > 1) size.template add<T>(states);
  }

  void run() { run_shares(threads_.row_parts(), rows_.steps(), *this); }

  // Work of run_shares(), whose steps count from the last one on.
  static constexpr Index kGrain = 4;
  [[nodiscard]] Range share(int parts, int part) const { return rows_.share(parts, part); }
  [[nodiscard]] Index busy(Index passed) const { return rows_.active(rows_.steps() - 1 - passed); }

  /// The step before so many others, for those rows that have it.
  __attribute__((noinline)) void step(Index passed, Range rows) {
    if (passed == 0) start(rows);
    if (passed == rouse_at_) ThreadPool::global().rouse(roused_);
    const Index k = rows_.steps() - 1 - passed;
    rows.end = std::min(rows.end, rows_.active(k));
    if (rows.size() <= 0) return;
    // Gradient of h from the step after this one; dh_ holds what came past its product.
    recurrent<0>(
        k + 1, rows,
        [&](Index row, Index block, int count, const T* sums)
            __attribute__((always_inline)) { outer_step(k, row, block, count, sums); },
        [&](kernels::FetchList<T>& fetches, Index row, Index block, int blocks) {
          fetch_saved(fetches, k, row, block, blocks);
        });
    whole_rows<0>(k, rows);
    if constexpr (Cell::kPhases > 1) {
      recurrent<1>(k, rows,
                   [&](Index row, Index block, int count, const T* sums)
                       __attribute__((always_inline)) { inner_step(k, row, block, count, sums); });
      whole_rows<1>(k, rows);
    }
  }

  /// What is left after the first step goes to the initial states.
  void done(Range rows) {
    if (rows_.steps() == 0) start(rows);
    Range first = rows;
    first.end = rows_.steps() == 0 ? 0 : std::min(rows.end, rows_.active(0));
    if (d_h0_ != nullptr && first.size() > 0) {
      recurrent<0>(0, first, [&](Index row, Index block, int count, const T* sums) {
        if (!from_initial(row, 0)) return;
        for (const Index end = block + count; block < end; ++block, sums += kW) {
          const simd::Packet<T> rest = simd::load<T>(dh_ + offset_(row) + block * kW);
          to_initial(d_h0_, row, block, simd::add(simd::load<T>(sums), rest));
        }
      });
    }
    for (Index r = first.begin; d_c0_ != nullptr && r < first.end; ++r) {
      if (from_initial(r, 0)) arriving_.add_to_initial(d_c0_, r, dc_ + offset_(r));
    }
    for (Index r = rows.begin; rows_.ragged() && r < rows.end; ++r) {
      arriving_.idle_initial(r, d_h0_, d_c0_);
    }
  }

 private:
  void start(Range rows) {
    start(d_.h_last, rows, dh_, d_h0_);
    if (Cell::kStates == 2) start(d_.c_last, rows, dc_, d_c0_);
  }

  // The gradient of a last state belongs to the row's last step, or to what it started from.
  void start(const T* from, Range rows, T* to, T* d_initial) {
    const Index units = in_.dims.units;
    for (Index r = rows.begin; r < rows.end; ++r) {
      std::fill_n(to + offset_(r), hp_, T(0));
      if (from == nullptr) continue;
      const T* row = from + rows_.sample(r) * units;
      if (rows_.end(r) == Schedule::kLast) {
        std::copy_n(row, units, to + offset_(r));
      } else if (rows_.end(r) == Schedule::kInitial) {
        arriving_.add_to_initial(d_initial, r, row);
      }
    }
  }

  // The threads that will share the weight gradients sleep while one runs the loop. To wake one may
  // take as long as these flops of the last steps.
  void rouse_later(Index rows) {
    constexpr double kAhead = 5e6;
    const Dims& d = in_.dims;
    const double product = flops<Cell>(d, rows * rows_.steps()) / 2;
    if (product < ThreadPool::kFlopsToWake) return;
    const double step = flops<Cell>({d.batch, d.time, 0, d.units}, rows);
    roused_ = plan_parts(product, kernels::detail::units_of(d.units, kernels::detail::kRowUnit));
    rouse_at_ = std::clamp<Index>(rows_.steps() - Index(kAhead / step), 0, rows_.steps() - 1);
  }

  bool from_initial(Index row, Index k) const { return rows_.before(row, k) == Schedule::kInitial; }

  void to_initial(T* d_initial, Index row, Index block, simd::Packet<T> gradient) const {
    const Index j = block * kW, lanes = in_.dims.units - j;
    T* out = d_initial + rows_.sample(row) * in_.dims.units + j;
    simd::store_partial<T>(out, simd::add(gradient, simd::load_partial<T>(out, lanes)), lanes);
  }

  __attribute__((always_inline)) T* slots(Index row, Index k) const {
    return saved_.slots + rows_.kept(row, k) * kS * hp_;
  }

  // The gate gradients of step k times the transposed recurrent kernel of phase P, with the
  // dropout factors of the operand: epilogue(row, block, count, sums). Rows without a step k get
  // zeros.
  template <int P, class Epilogue, class Ahead = detail::NothingAhead>
  void recurrent(Index k, Range rows, Epilogue&& epilogue, Ahead&& ahead = {}) {
    using Phase = typename Cell::template Phase<P>;
    const Factors<T>& factors = in_.recurrent_dropout;
    Range multiplied{rows.begin, rows.begin};
    if (k < rows_.steps()) multiplied.end = std::clamp(rows_.active(k), rows.begin, rows.end);
    const Range others{multiplied.end, rows.end};
    StepProduct<T> p;
    p.x.w = w_.h[P].data();
    if (multiplied.size() != 0) {
      p.x.a = slots(rows.begin, k) + Phase::kFirstRecurrent * hp_;
      p.x.row = rows_.kept_stride() * kS * hp_;
      p.x.depth = Phase::kGates * hp_;
    }
    const bool once = multiplied.size() == 0 || (others.size() == 0 && !factors.per_gate());
    const Sharing sharing = once ? Sharing::kAll : Sharing::kOwn;
    const double work = flops(double(multiplied.size()), 1, hp_, p.x.depth);
    for_blocks(threads_.unit_parts(), hp_ / kW, k % 2 != 0, sharing, work,
               [&](const Blocks& blocks) {
                 if (multiplied.size() != 0 && factors.per_gate()) {
                   recurrent_per_gate<P>(p, multiplied, blocks, epilogue);
                 } else if (multiplied.size() != 0) {
                   plain_rows(p, multiplied, blocks, factors.gates != 0, epilogue, ahead);
                 }
                 if (others.size() != 0) plain_rows({}, others, blocks, false, epilogue, ahead);
               });
  }

  // Not inline: compiled once for rows with a product and for those without.
  template <class Epilogue, class Ahead>
  __attribute__((noinline)) void plain_rows(const StepProduct<T>& p, Range rows,
                                            const Blocks& blocks, bool scales, Epilogue& epilogue,
                                            Ahead& ahead) {
    const Index first = rows.begin;
    run_phase<T, kernels::Gating<1, 1>>(
        p, rows.size(), blocks,
        [&](Index row, Index block, int count, T* sums) __attribute__((always_inline)) {
          row += first;
          for (int u = 0; scales && u < count; ++u) {
            T* dh = sums + u * kW;
            simd::store<T>(dh, simd::mul(simd::load<T>(dh), factor(0, row, block + u)));
          }
          epilogue(row, block, count, sums);
        },
        detail::NothingToFinish{},
        [&](kernels::FetchList<T>& fetches, Index row, Index block, int count) {
          ahead(fetches, first + row, block, count);
        });
  }

  // sum over gates of m_g (dZ_g U_g^T): one product per gate over its part of the packed rows.
  template <int P, class Epilogue>
  void recurrent_per_gate(const StepProduct<T>& all, Range rows, const Blocks& blocks,
                          Epilogue&& epilogue) {
    using Phase = typename Cell::template Phase<P>;
    for (int g = 0; g < Phase::kGates; ++g) {
      StepProduct<T> p = all;
      p.x.a += g * hp_;
      p.x.w += g * hp_ * kW;
      p.x.depth = hp_;
      p.x.w_block = all.x.depth * kW;
      const int gate = Cell::kHGate[Phase::kFirstRecurrent + g];
      const auto add = [&](Index r, Index block, int count, const T* sums) {
        const Index row = rows.begin + r;
        T* total = per_gate_ + offset_(row) + block * kW;
        for (int u = 0; u < count; ++u) {
          const simd::Packet<T> before = g == 0 ? simd::zero<T>() : simd::load<T>(total + u * kW);
          simd::store<T>(total + u * kW, simd::madd(simd::load<T>(sums + u * kW),
                                                    factor(gate, row, block + u), before));
        }
        if (g + 1 == Phase::kGates) epilogue(row, block, count, total);
      };
      run_phase<T, kernels::Gating<1, 1>>(p, rows.size(), blocks, add);
    }
  }

  // What the epilogue of step k will read and write: rows apart, out of sight of the hardware
  // prefetchers.
  void fetch_saved(kernels::FetchList<T>& fetches, Index k, Index row, Index block,
                   int blocks) const {
    const Index n = rows_.sample(row), j = block * kW, count = blocks * kW;
    const T* kept = slots(row, k) + j;
    for (Index slot = 0; slot < kS; ++slot) fetches.add(kept + slot * hp_, count);
    if (d_.out && d_.out.step != 0) fetches.add(d_.out.at(n, rows_.step(row, k)) + j, count);
    const Index before = rows_.before(row, k);
    if (before < 0) return;
    if (Cell::kStates == 2) {
      fetches.add(saved_.c + rows_.kept(row, k - 1) * hp_ + j, count);
    } else if (Cell::kGates > 1) {
      fetches.add(saved_.h.at(n, before) + j, count);
    }
  }

  simd::Packet<T> factor(int gate, Index row, Index block) const {
    const Index j = block * kW;
    return simd::load_partial<T>(in_.recurrent_dropout.row(gate, rows_.sample(row)) + j,
                                 in_.dims.units - j);
  }

  // A state before step k, of whole units; nullptr: zeros.
  const T* initial(const T* state, Index row, Index k) const {
    if (state == nullptr || !from_initial(row, k)) return nullptr;
    return state + rows_.sample(row) * in_.dims.units;
  }
  __attribute__((always_inline)) const T* h_before(Index k, Index row) const {
    const Index before = rows_.before(row, k);
    return before < 0 ? initial(in_.h0, row, k) : saved_.h.at(rows_.sample(row), before);
  }
  __attribute__((always_inline)) const T* c_before(Index k, Index row) const {
    if (rows_.before(row, k) < 0) return initial(in_.c0, row, k);
    return saved_.c + rows_.kept(row, k - 1) * hp_;
  }
  __attribute__((always_inline)) static simd::Packet<T> units_of(const T* row, Index j,
                                                                 Index lanes) {
    return row == nullptr ? simd::zero<T>() : simd::load_partial<T>(row + j, lanes);
  }

  // What arrives at a step from outside, without a schedule and without states of every step;
  // nullptr: nothing.
  __attribute__((always_inline)) const T* output_gradient(Index k, Index row) const {
    if (!d_.out || (d_.out.step == 0 && k + 1 != in_.dims.time)) return nullptr;
    return d_.out.at(rows_.sample(row), k);
  }

  // The same with everything that there may be. It stands apart from the epilogue: within it the
  // plain backward run took 10 % longer.
  __attribute__((noinline)) simd::Packet<T> all_gradients(Index k, Index row, Index block,
                                                          simd::Packet<T> dh) const {
    T* dc = Cell::kStates == 2 ? dc_ + offset_(row) + block * kW : nullptr;
    if (k + 1 < rows_.used(row) && rows_.restarts(row, k + 1)) {
      // The next step started anew: its gradients go to the initial state, none come here.
      const bool initial = from_initial(row, k + 1);
      if (initial && d_h0_ != nullptr) to_initial(d_h0_, row, block, dh);
      if (initial && d_c0_ != nullptr) to_initial(d_c0_, row, block, simd::load<T>(dc));
      dh = simd::zero<T>();
      if (dc != nullptr) simd::store<T>(dc, dh);
    }
    const Index j = block * kW, lanes = in_.dims.units - j;
    if (dc != nullptr && d_.c_all) {
      simd::store<T>(dc, simd::add(simd::load<T>(dc), arriving_.of_c(row, k, j, lanes)));
    }
    return arriving_.add_to_h(row, k, j, lanes, dh);
  }

  // Some blocks of a row: from the gradients of h to those of its sums. `later` is what comes from
  // the step after this one.
  __attribute__((always_inline)) void outer_step(Index k, Index row, Index block, int count,
                                                 const T* later) {
    T* dh = dh_ + offset_(row) + block * kW;
    if constexpr (!Activations::kKnown) {
      if (by_rows_) return add_blocks(later, count, dh);
    }
    const T* arriving = plain_ ? output_gradient(k, row) : nullptr;
    for_units(k, row, block, count,
              [&](BackwardUnit<T>& u, Index j) __attribute__((always_inline)) {
                u.dh = simd::add(simd::load<T>(later), simd::load<T>(dh));
                u.dh = plain_ ? simd::add(u.dh, units_of(arriving, j, u.lanes))
                              : all_gradients(k, row, j / kW, u.dh);
                simd::store<T>(dh, backward_unit<Cell, 0, T>(fn_, u));
                later += kW;
                dh += kW;
              });
  }

  __attribute__((always_inline)) void inner_step(Index k, Index row, Index block, int count,
                                                 const T* d_inner) {
    if constexpr (!Activations::kKnown) {
      if (by_rows_) {
        std::copy_n(d_inner, count * kW, d_inner_ + offset_(row) + block * kW);
        return;
      }
    }
    T* dh = dh_ + offset_(row) + block * kW;
    for_units(k, row, block, count, [&](BackwardUnit<T>& u, Index) __attribute__((always_inline)) {
      u.dh = simd::load<T>(d_inner);
      if constexpr (Cell::kPhases > 1) {
        simd::store<T>(dh, simd::add(simd::load<T>(dh), backward_unit<Cell, 1, T>(fn_, u)));
      }
      d_inner += kW;
      dh += kW;
    });
  }

  static void add_blocks(const T* from, int count, T* to) {
    for (Index j = 0; j < count * kW; ++j) to[j] += from[j];
  }

  // f(unit, its first unit's index) for some blocks of a row, with all but dh set.
  template <class F>
  __attribute__((always_inline)) void for_units(Index k, Index row, Index block, int count,
                                                F&& f) const {
    const T* h = h_before(k, row);
    const T* c = Cell::kStates == 2 ? c_before(k, row) : nullptr;
    Index j = block * kW;
    BackwardUnit<T> u;
    if (Cell::kStates == 2) {
      u.c = saved_.c + rows_.kept(row, k) * hp_ + j;
      u.dc = dc_ + offset_(row) + j;
    }
    u.saved = slots(row, k) + j;
    u.slot_stride = hp_;
    u.lanes = in_.dims.units - j;
    for (; count > 0; --count, j += kW) {
      u.h_prev = units_of(h, j, u.lanes);
      if (Cell::kStates == 2) u.c_prev = units_of(c, j, u.lanes);
      f(u, j);
      if (Cell::kStates == 2) {
        u.c += kW;
        u.dc += kW;
      }
      u.saved += kW;
      u.lanes -= kW;
    }
  }

  // Phase P of the step, where an activation needs all units of a row.
  template <int P>
  void whole_rows(Index k, Range rows) {
    if constexpr (!Activations::kKnown) {
      if (by_rows_) rows_of_phase<P>(k, rows);
    }
  }

  template <int P>
  __attribute__((noinline, cold)) void rows_of_phase(Index k, Range rows) {
    const auto run = [&](int, Range share) __attribute__((cold)) {
      const Index units = in_.dims.units;
      T* scratch = kernels::thread_scratch<T, 14>(WholeRows<T, Cell>::size(units));
      WholeRows<T, Cell> cell(fn_, units, scratch);
      for (Index row = share.begin; row < share.end; ++row) {
        T* const rest = dh_ + offset_(row);
        T* const dh = P == 0 ? rest : d_inner_ + offset_(row);
        for (Index block = 0; P == 0 && block < hp_ / kW; ++block) {
          const simd::Packet<T> later = simd::load<T>(dh + block * kW);
          simd::store<T>(dh + block * kW, all_gradients(k, row, block, later));
        }
        BackwardRow<T> whole{slots(row, k), nullptr, nullptr, dh};
        const T* h = h_before(k, row);
        const T* c = Cell::kStates == 2 ? c_before(k, row) : nullptr;
        for (Index j = 0; j < hp_; j += kW) {
          simd::store<T>(cell.h_prev() + j, units_of(h, j, in_.dims.units - j));
          if (Cell::kStates == 1) continue;
          simd::store<T>(cell.c_prev() + j, units_of(c, j, in_.dims.units - j));
        }
        if (Cell::kStates == 2) {
          whole.c = saved_.c + rows_.kept(row, k) * hp_;
          whole.dc = dc_ + offset_(row);
        }
        cell.template backward<P>(whole);
        for (Index j = 0; P == 1 && j < hp_; ++j) rest[j] += dh[j];
      }
    };
    for_whole_rows(threads_.unit_parts(), rows, std::ref(run));
  }

  const Inputs<T>& in_;
  const BackwardWeights<T, Cell>& w_;
  const Activations& fn_;
  const Saved<T>& saved_;
  const OutputGradients<T>& d_;
  T* d_h0_;
  T* d_c0_;
  LoopRows<T> rows_;
  ArrivingGradients<T> arriving_;
  bool plain_;
  bool by_rows_;  // activations need whole rows: a step comes after all of its products
  Partition threads_;
  int roused_ = 1;  // threads of the products behind this loop, and the step that wakes them
  Index rouse_at_ = -1;
  Index hp_;
  RowOffsets<T> offset_;
  T* dh_ = nullptr;
  T* dc_ = nullptr;
  T* per_gate_ = nullptr;
  T* d_inner_ = nullptr;
};

}  // namespace elman::bptt
