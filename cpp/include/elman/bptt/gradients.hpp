// SPDX-License-Identifier: Apache-2.0
// elman/bptt/gradients.hpp: from the gate gradients of all steps to those of weights and inputs.
#pragma once

#include "elman/bptt/distinct_rows.hpp"
#include "elman/bptt/schedule.hpp"
#include "elman/bptt/weights.hpp"
#include "elman/kernels/product.hpp"
#include "elman/layers/embedding.hpp"

namespace elman::bptt {

/// The large products after the reverse loop, over the gate gradients dz = saved.slots.
template <class T, class Cell>
class WeightGradients {
  static constexpr int kG = Cell::kGates;

 public:
  /// distinct: nullptr, or the rows of x, each of which then gets the sum of its gate gradients.
  WeightGradients(const Inputs<T>& in, const Schedule* schedule, const DistinctRows* distinct,
                  const Saved<T>& saved, const InputGradients<T>& out)
      : in_(in),
        schedule_(schedule),
        distinct_(distinct),
        saved_(saved),
        out_(out),
        hp_(simd::padded<T>(in.dims.units)),
        step_(Cell::kSlots * hp_),
        rows_(schedule != nullptr ? schedule->total() : in.dims.batch * in.dims.time) {}

  void run(const BackwardWeights<T, Cell>& weights) {
    if (rows_ == 0) return clear();
    if (distinct_ != nullptr) sum_by_row();
    if (out_.kernel != nullptr) kernel();
    if (out_.recurrent_kernel != nullptr) {
      for_phases<Cell>([&]<int P>() { recurrent_kernel<P>(); });
    }
    if (out_.bias != nullptr) bias();
    if (out_.x != nullptr) inputs(weights);
  }

 private:
  void clear() {
    const Dims& d = in_.dims;
    const Index columns = kG * d.units;
    const auto zero = [&](T* target, Index count) {
      if (target != nullptr && out_.overwrite) set_zero(target, count);
    };
    zero(out_.kernel, d.features * columns);
    zero(out_.recurrent_kernel, d.units * columns);
    zero(out_.x, d.batch * d.time * d.features);
  }

  static void set_zero(T* p, Index count) {
    parallel_for(memory_flops(count, 4), count,
                 [=](Index begin, Index end) { std::fill(p + begin, p + end, T(0)); });
  }

  // What the gates of one weight matrix have in common: A^T dz, dz in the slots
  // [first, first + slots), goes to the columns of c that belong to their gates.
  struct Target {
    T* c;
    Index rows;
    const Factors<T>& factors;
    const int* gate_of_slot;
    int first, slots;
  };

  // c (+)= the sum over `count` rows of A^T dz.
  void add_product(kernels::Rows<T> a, const kernels::Rows<T>& b, const Target& to, Index count,
                   bool accumulate) const {
    const Index units = in_.dims.units, ldc = kG * units;
    if (to.slots > 1 && hp_ != units && !to.factors.per_gate()) {
      if (to.factors.gates != 0) set_factor(a, to.factors, to.gate_of_slot[to.first]);
      return add_padded(a, b, to, count, accumulate);
    }
    // Adjacent slots that belong to adjacent gates make one strip.
    for (int s = 0; s < to.slots;) {
      const int gate = to.gate_of_slot[to.first + s];
      int width = 1;
      while (!to.factors.per_gate() && hp_ == units && s + width < to.slots &&
             to.gate_of_slot[to.first + s + width] == gate + width) {
        ++width;
      }
      if (to.factors.gates != 0) set_factor(a, to.factors, gate);
      const kernels::Strip<T> strip{(to.first + s) * hp_, to.c + gate * units, width * units};
      kernels::outer_product(a, to.rows, b, strip, ldc, count, accumulate);
      s += width;
    }
  }

  // All gates at once with the padding between them, into memory of its own: a strip for each gate
  // would pack A anew for each, and leave most tiles a part of a packet.
  void add_padded(const kernels::Rows<T>& a, const kernels::Rows<T>& b, const Target& to,
                  Index count, bool accumulate) const {
    const Index units = in_.dims.units, width = to.slots * hp_;
    AlignedBuffer<T> padded(to.rows * width);
    const kernels::Strip<T> strip{to.first * hp_, padded.data(), width};
    kernels::outer_product(a, to.rows, b, strip, width, count, false);
    parallel_for(double(to.rows * width), to.rows, [&](Index begin, Index end) {
      for (Index i = begin; i < end; ++i) {
        for (int s = 0; s < to.slots; ++s) {
          const T* from = padded.data() + i * width + s * hp_;
          T* c = to.c + (i * kG + to.gate_of_slot[to.first + s]) * units;
          for (Index j = 0; j < units; ++j) c[j] = accumulate ? c[j] + from[j] : from[j];
        }
      }
    });
  }

  // All dz; with a schedule they stand pass after pass.
  kernels::Rows<T> gate_gradients() const {
    kernels::Rows<T> b;
    b.base = saved_.slots;
    b.outer = in_.dims.time * step_;
    b.inner = step_;
    b.inner_count = schedule_ == nullptr ? in_.dims.time : rows_;
    return b;
  }

  // Rows by the steps of a schedule: those themselves, or the ones before them.
  void set_index(kernels::Rows<T>& a, bool before) const {
    const Schedule::Entry* entries = schedule_->entries();
    a.outer_index = &entries->sample;
    a.inner_index = before ? &entries->before : &entries->step;
    a.index_step = sizeof(Schedule::Entry) / sizeof(std::int32_t);
  }

  // The sums of dz over the positions of each distinct row of x.
  void sum_by_row() {
    const std::int64_t* numbers = distinct_->numbers();
    if (schedule_ != nullptr) {
      auto* listed = kernels::thread_scratch<std::int64_t, 18>(rows_);
      for (Index i = 0; i < rows_; ++i) {
        const auto [n, t] = place(i);
        listed[i] = numbers[n * in_.dims.time + t];
      }
      numbers = listed;
    }
    by_row_ = kernels::thread_scratch<T, 17>(distinct_->count() * step_);
    set_zero(by_row_, distinct_->count() * step_);
    scatter_add_rows(saved_.slots, step_, numbers, rows_, by_row_);
  }

  // What the positions of a distinct row get together, at the first of them.
  void inputs_by_row(const BackwardWeights<T, Cell>& weights) {
    const Dims& d = in_.dims;
    const Index count = distinct_->count();
    T* sums = kernels::thread_scratch<T, 5>(count * d.features);
    kernels::product_packed(count, d.features, kG * hp_, by_row_, step_, weights.x.data(), sums,
                            d.features, false);
    if (out_.overwrite) set_zero(out_.x, d.batch * d.time * d.features);
    for (Index i = 0; i < count; ++i) {
      const T* sum = sums + i * d.features;
      T* dx = out_.x + distinct_->first(i) * d.features;
      for (Index j = 0; j < d.features; ++j) dx[j] += sum[j];
    }
  }

  void kernel() {
    const Dims& d = in_.dims;
    const Target to{out_.kernel, d.features, in_.input_dropout, Cell::kXGate.data(), 0, kG};
    kernels::Rows<T> a, b;
    if (by_row_ != nullptr) {  // the distinct rows of x times their sums
      const Index count = distinct_->count();
      T* rows = kernels::thread_scratch<T, 16>(count * d.features);
      distinct_->copy(in_, {0, count}, rows);
      a.base = rows;
      a.inner = d.features;
      b.base = by_row_;
      b.inner = step_;
      a.inner_count = b.inner_count = count;
      return add_product(a, b, to, count, !out_.overwrite);
    }
    b = gate_gradients();
    a.base = in_.x.data;
    a.outer = in_.x.row;
    a.inner = in_.x.step;
    a.inner_count = d.time;
    if (schedule_ != nullptr) {
      set_index(a, false);
      if (in_.go_backwards) {
        a.base += (d.time - 1) * a.inner;
        a.inner = -a.inner;
      }
    }
    add_product(a, b, to, rows_, !out_.overwrite);
  }

  // Phase 0 multiplies h of the step before, phase 1 the inner operand of the step itself.
  template <int P>
  void recurrent_kernel() {
    using Phase = typename Cell::template Phase<P>;
    const Dims& d = in_.dims;
    const Target to{out_.recurrent_kernel,  d.units,
                    in_.recurrent_dropout,  Cell::kHGate.data(),
                    Phase::kFirstRecurrent, Phase::kGates};
    bool accumulate = !out_.overwrite;
    const auto add = [&](const kernels::Rows<T>& a, const kernels::Rows<T>& b, Index count) {
      add_product(a, b, to, count, accumulate);
      accumulate = true;
    };
    kernels::Rows<T> a, b = gate_gradients();
    if constexpr (P == 1) {
      a = b;
      a.base += Cell::kInner * hp_;
      if (schedule_ != nullptr) {
        set_index(a, false);
        a.inner_index = nullptr;  // they stand like b; the samples are those of the factors
        a.outer = 0;
      }
      add(a, b, rows_);
    } else {
      a.base = saved_.h.data;
      a.outer = saved_.h.row;
      a.inner = saved_.h.step;
      if (schedule_ != nullptr) {
        set_index(a, true);
        a.start = in_.h0;
        a.start_outer = d.units;
        return add(a, b, rows_);
      }
      const Index direction = in_.go_backwards ? -1 : 1;
      b.base += in_.time(0) * step_;
      b.inner = direction * step_;
      if (in_.h0 != nullptr) {
        kernels::Rows<T> first;
        first.base = in_.h0;
        first.outer = d.units;
        b.inner_count = 1;
        add(first, b, d.batch);
      }
      if (d.time > 1) {
        b.base += b.inner;
        a.inner_count = b.inner_count = d.time - 1;
        add(a, b, d.batch * (d.time - 1));
      }
      if (!accumulate) set_zero(out_.recurrent_kernel, d.units * kG * d.units);
    }
  }

  static void set_factor(kernels::Rows<T>& rows, const Factors<T>& factors, int gate) {
    rows.factor = factors.row(gate, 0);
    rows.factor_outer = factors.columns;
  }

  void bias() {
    const Dims& d = in_.dims;
    T* sums = kernels::thread_scratch<T, 4>(step_);
    std::fill_n(sums, step_, T(0));
    if (by_row_ != nullptr) {
      kernels::add_column_sums(by_row_, step_, distinct_->count(), step_, sums);
    } else {
      kernels::add_column_sums(saved_.slots, step_, rows_, step_, sums);
    }
    const auto add = [&](int slot, int gate, T* row) {
      for (Index j = 0; j < d.units; ++j) row[gate * d.units + j] += sums[slot * hp_ + j];
    };
    for (int s = 0; s < kG; ++s) add(s, Cell::kXGate[s], out_.bias);
    if (out_.bias_rows != 2) return;
    for_phases<Cell>([&]<int P>() {
      using Phase = typename Cell::template Phase<P>;
      for (int g = 0; g < Phase::kGates; ++g) {
        const int slot = Phase::kFirstRecurrent + g;
        add(slot, Cell::kHGate[slot], out_.bias + kG * d.units);
      }
    });
  }

  void inputs(const BackwardWeights<T, Cell>& weights) {
    if (by_row_ != nullptr && out_.x_by_id) return inputs_by_row(weights);
    const Dims& d = in_.dims;
    const Factors<T>& factors = in_.input_dropout;
    if (factors.gates == 0 && schedule_ == nullptr) {
      kernels::product_packed(rows_, d.features, kG * hp_, saved_.slots, step_, weights.x.data(),
                              out_.x, d.features, !out_.overwrite);
      return;
    }
    if (out_.overwrite) set_zero(out_.x, d.batch * d.time * d.features);
    // With dropout per gate if the factors differ; then row by row to where x stands.
    const int products = factors.per_gate() ? kG : 1;
    const Index depth = (factors.per_gate() ? 1 : kG) * hp_;
    AlignedBuffer<T> one_gate;
    if (factors.per_gate()) one_gate = AlignedBuffer<T>(depth * simd::padded<T>(d.features));
    for (int g = 0; g < products; ++g) {
      const T* packed = weights.x.data();
      if (factors.per_gate()) {
        extract_gate(packed, g, one_gate.data());
        packed = one_gate.data();
      }
      scatter(g, depth, packed);
    }
  }

  // dx += (dz W^T) times the factors of the row's sample, some rows at a time.
  void scatter(int gate, Index depth, const T* packed) {
    const Dims& d = in_.dims;
    const Factors<T>& factors = in_.input_dropout;
    const Index most =
        std::clamp<Index>(kScatteredBytes / (std::max<Index>(d.features, 1) * Index(sizeof(T))), 96,
                          std::max<Index>(rows_, 96));
    T* sums = kernels::thread_scratch<T, 5>(most * d.features);
    for (Index first = 0; first < rows_; first += most) {
      const Index rows = std::min(most, rows_ - first);
      kernels::product_packed(rows, d.features, depth, saved_.slots + first * step_ + gate * hp_,
                              step_, packed, sums, d.features, false);
      parallel_for(double(rows * d.features), rows, [&](Index begin, Index end) {
        for (Index i = begin; i < end; ++i) {
          const auto [n, t] = place(first + i);
          const T* sum = sums + i * d.features;
          T* dx = out_.x + (n * d.time + t) * d.features;
          if (factors.gates == 0) {
            for (Index j = 0; j < d.features; ++j) dx[j] += sum[j];
          } else {
            const T* factor = factors.row(Cell::kXGate[std::size_t(gate)], n);
            for (Index j = 0; j < d.features; ++j) dx[j] += sum[j] * factor[j];
          }
        }
      });
    }
  }

  // Sample and input time of a row of dz.
  std::pair<Index, Index> place(Index row) const {
    if (schedule_ == nullptr) return {row / in_.dims.time, row % in_.dims.time};
    const Schedule::Entry& entry = schedule_->entries()[row];
    return {entry.sample, in_.time(entry.step)};
  }

  // The rows of one gate out of the packed [block][gates Hp][W].
  void extract_gate(const T* packed, int gate, T* out) const {
    const Index blocks = simd::padded<T>(in_.dims.features) / simd::kWidth<T>;
    const Index size = hp_ * simd::kWidth<T>;
    for (Index block = 0; block < blocks; ++block) {
      std::copy_n(packed + (block * kG + gate) * size, size, out + block * size);
    }
  }

  // Rows of dx that are summed before they are put in place: they stay in L2.
  static constexpr Index kScatteredBytes = 256 * 1024;

  const Inputs<T>& in_;
  const Schedule* schedule_;
  const DistinctRows* distinct_;
  const Saved<T>& saved_;
  const InputGradients<T>& out_;
  Index hp_, step_, rows_;
  T* by_row_ = nullptr;  // [distinct rows][slots Hp]
};

}  // namespace elman::bptt
