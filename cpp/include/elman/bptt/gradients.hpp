// SPDX-License-Identifier: Apache-2.0
// elman/bptt/gradients.hpp: from the gate gradients of all steps to those of weights and inputs.
#pragma once

#include "elman/bptt/problem.hpp"
#include "elman/bptt/weights.hpp"
#include "elman/kernels/product.hpp"

namespace elman::bptt {

/// The large products after the reverse loop. dz = saved.slots, by input time.
template <class T, class Cell>
class WeightGradients {
  static constexpr int kG = Cell::kGates;

 public:
  WeightGradients(const Inputs<T>& in, const Saved<T>& saved, const InputGradients<T>& out)
      : in_(in),
        saved_(saved),
        out_(out),
        hp_(simd::padded<T>(in.dims.units)),
        step_(Cell::kSlots * hp_) {}

  void run(const BackwardWeights<T, Cell>& weights) {
    if (in_.dims.time == 0 || in_.dims.batch == 0) return clear();
    if (out_.kernel != nullptr) kernel();
    if (out_.recurrent_kernel != nullptr) {
      for_phases<Cell>([&]<int P>() { recurrent_kernel<P>(); });
    }
    if (out_.bias != nullptr) bias();
    if (out_.x != nullptr) inputs(weights);
  }

 private:
  void clear() {
    const Index columns = kG * in_.dims.units;
    const auto zero = [&](T* target, Index rows) {
      if (target != nullptr && out_.overwrite) std::fill_n(target, rows * columns, T(0));
    };
    zero(out_.kernel, in_.dims.features);
    zero(out_.recurrent_kernel, in_.dims.units);
  }

  // Adjacent slots that belong to adjacent gates make one strip when no padding lies between.
  template <class F>
  void strips(int first_slot, int slots, const int* gate_of_slot, bool per_gate, F&& f) const {
    const Index units = in_.dims.units;
    for (int s = 0; s < slots;) {
      int count = 1;
      while (!per_gate && hp_ == units && s + count < slots &&
             gate_of_slot[first_slot + s + count] == gate_of_slot[first_slot + s] + count) {
        ++count;
      }
      f(gate_of_slot[first_slot + s], (first_slot + s) * hp_, count * units);
      s += count;
    }
  }

  void kernel() {
    const Dims& d = in_.dims;
    kernels::Rows<T> a, b;
    a.base = in_.x.data;
    a.outer = in_.x.row;
    a.inner = in_.x.step;
    b.base = saved_.slots;
    b.outer = d.time * step_;
    b.inner = step_;
    a.inner_count = b.inner_count = d.time;
    a.keep = in_.mask;
    a.keep_outer = d.time;
    a.keep_inner = 1;
    const Factors<T>& factors = in_.input_dropout;
    strips(0, kG, Cell::kXGate.data(), factors.per_gate(), [&](int gate, Index first, Index width) {
      if (factors.gates != 0) set_factor(a, factors, gate);
      const kernels::Strip<T> strip{first, out_.kernel + gate * d.units, width};
      kernels::outer_product(a, d.features, b, strip, kG * d.units, d.batch * d.time,
                             !out_.overwrite);
    });
  }

  // Phase 0 multiplies h of the step before, phase 1 the inner operand of the step itself.
  template <int P>
  void recurrent_kernel() {
    using Phase = typename Cell::template Phase<P>;
    const Dims& d = in_.dims;
    const Factors<T>& factors = in_.recurrent_dropout;
    const Index direction = in_.go_backwards ? -1 : 1;
    bool accumulate = !out_.overwrite;
    const auto add = [&](kernels::Rows<T> a, const kernels::Rows<T>& b, Index count) {
      strips(Phase::kFirstRecurrent, Phase::kGates, Cell::kHGate.data(), factors.per_gate(),
             [&](int gate, Index first, Index width) {
               if (factors.gates != 0) set_factor(a, factors, gate);
               const kernels::Strip<T> strip{first, out_.recurrent_kernel + gate * d.units, width};
               kernels::outer_product(a, d.units, b, strip, kG * d.units, count, accumulate);
             });
      accumulate = true;
    };
    kernels::Rows<T> a, b;
    b.outer = d.time * step_;
    b.inner = direction * step_;
    if constexpr (P == 1) {
      a.base = b.base = saved_.slots;
      a.base += Cell::kInner * hp_;
      a.outer = b.outer;
      a.inner = b.inner = step_;
      a.inner_count = b.inner_count = d.time;
      add(a, b, d.batch * d.time);
    } else {
      b.base = saved_.slots + in_.time(0) * step_;
      if (in_.h0 != nullptr) {
        a.base = in_.h0;
        a.outer = d.units;
        add(a, b, d.batch);
      }
      if (d.time > 1) {
        a.base = saved_.h.data;
        a.outer = saved_.h.row;
        a.inner = saved_.h.step;
        b.base += b.inner;
        a.inner_count = b.inner_count = d.time - 1;
        add(a, b, d.batch * (d.time - 1));
      }
      if (!accumulate) std::fill_n(out_.recurrent_kernel, d.units * kG * d.units, T(0));
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
    kernels::add_column_sums(saved_.slots, step_, d.batch * d.time, step_, sums);
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
    const Dims& d = in_.dims;
    const Index rows = d.batch * d.time;
    const Factors<T>& factors = in_.input_dropout;
    if (factors.gates == 0) {
      kernels::product_packed(rows, d.features, kG * hp_, saved_.slots, step_, weights.x.data(),
                              out_.x, d.features, true);
      return;
    }
    // With dropout: per sample, because the factors belong to samples, and per gate if they differ.
    T* sums = kernels::thread_scratch<T, 5>(d.time * d.features);
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
      for (Index n = 0; n < d.batch; ++n) {
        kernels::product_packed(d.time, d.features, depth,
                                saved_.slots + n * d.time * step_ + g * hp_, step_, packed, sums,
                                d.features, false);
        const T* factor = factors.row(Cell::kXGate[g], n);
        T* dx = out_.x + n * d.time * d.features;
        for (Index t = 0; t < d.time; ++t) {
          for (Index k = 0; k < d.features; ++k) {
            dx[t * d.features + k] += sums[t * d.features + k] * factor[k];
          }
        }
      }
    }
  }

  // The rows of one gate out of the packed [block][gates Hp][W].
  void extract_gate(const T* packed, int gate, T* out) const {
    const Index blocks = simd::padded<T>(in_.dims.features) / simd::kWidth<T>;
    const Index size = hp_ * simd::kWidth<T>;
    for (Index block = 0; block < blocks; ++block) {
      std::copy_n(packed + (block * kG + gate) * size, size, out + block * size);
    }
  }

  const Inputs<T>& in_;
  const Saved<T>& saved_;
  const InputGradients<T>& out_;
  Index hp_, step_;
};

}  // namespace elman::bptt
