// SPDX-License-Identifier: Apache-2.0
// elman/bptt/problem.hpp: what one run of a recurrent layer reads and writes.
#pragma once

#include <algorithm>
#include <cstdint>

#include "elman/cells/cell.hpp"

namespace elman::bptt {

/// N sequences of T steps with F features; H units.
struct Dims {
  Index batch = 0, time = 0, features = 0, units = 0;
};

/// [N, T, columns], or [N, columns] with step = 0: element (n, s, j) at data[n row + s step + j].
template <class T>
struct Sequence {
  T* data = nullptr;
  Index row = 0, step = 0;

  T* at(Index n, Index s) const { return data + n * row + s * step; }
  explicit operator bool() const { return data != nullptr; }
};

/// Dropout factors [gates, N, columns] (0 or 1/(1-p)); gates = 1: shared, 0: none.
template <class T>
struct Factors {
  const T* data = nullptr;
  int gates = 0;
  Index batch = 0, columns = 0;

  const T* row(int gate, Index n) const {
    return data + ((gates == 1 ? 0 : gate) * batch + n) * columns;
  }
  bool shared() const { return gates == 1; }
  bool per_gate() const { return gates > 1; }
  /// From the factors of a gate to those of the next; 0 where all have the same.
  Index gate_stride() const { return per_gate() ? batch * columns : 0; }
};

/// What forward and backward both need. Steps s run 0 .. T-1 in processing order; the input step
/// of s is time(s), so go_backwards costs nothing.
template <class T>
struct Inputs {
  Dims dims;
  Sequence<const T> x;    // [N,T,F], by input time
  const T* h0 = nullptr;  // [N,H] or nullptr: zeros
  const T* c0 = nullptr;
  const std::uint8_t* mask = nullptr;     // [N,T] by input time, 0: the step is skipped
  const std::int64_t* lengths = nullptr;  // [N]: times from there on are skipped
  // [N,T] by input time, not 0: the row starts anew before that step, from h0 and c0.
  const std::uint8_t* reset = nullptr;
  bool resets_to_zeros = false;           // from zeros instead
  const std::int64_t* row_ids = nullptr;  // [N,T] by input time: rows of x with one id are equal
  Factors<T> input_dropout;               // [., N, F]
  Factors<T> recurrent_dropout;           // [., N, H]
  bool go_backwards = false;
  bool zero_output_for_mask = false;

  Index time(Index s) const { return go_backwards ? dims.time - 1 - s : s; }
  Index length(Index n) const { return lengths == nullptr ? dims.time : Index(lengths[n]); }
  bool used(Index n, Index s) const {
    const Index t = time(s);
    return t < length(n) && (mask == nullptr || mask[n * dims.time + t] != 0);
  }
  bool resets(Index n, Index s) const {
    return reset != nullptr && reset[n * dims.time + time(s)] != 0;
  }
  /// Whether the rows differ in what they do: then a Schedule says which steps are computed.
  bool scheduled() const { return mask != nullptr || lengths != nullptr || reset != nullptr; }
  /// Steps of all rows that are computed.
  Index used_steps() const {
    Index sum = 0;
    for (Index n = 0; n < dims.batch; ++n) {
      const std::uint8_t* from = mask == nullptr ? nullptr : mask + n * dims.time;
      sum += from == nullptr ? length(n) : length(n) - Index(std::count(from, from + length(n), 0));
    }
    return sum;
  }
};

/// What training keeps from the forward run: [N,T,slots,Hp] by input time, with Hp = H padded to
/// whole packets, and c [N,T,Hp] for cells with two states; of a scheduled run only the used steps,
/// in the order of its loop. And h of the used steps by processing step, [N,T,H]: the output
/// sequence itself where there is one.
template <class T>
struct Saved {
  T* slots = nullptr;
  T* c = nullptr;
  Sequence<T> h;
};

template <class T>
struct Outputs {
  Sequence<T> out;      // [N,T,H], or step = 0 and the last one stays
  T* h_last = nullptr;  // [N,H], may be nullptr
  T* c_last = nullptr;
  // States after every step by processing step, [N,T,H], if wanted. h_all may be `out`.
  Sequence<T> h_all, c_all;
  Saved<T> saved;
};

/// Gradients that arrive; nullptr: zero.
template <class T>
struct OutputGradients {
  Sequence<const T> out;  // step = 0: of the last output only
  const T* h_last = nullptr;
  const T* c_last = nullptr;
  Sequence<const T> h_all, c_all;
};

/// Gradients that leave, added to what is there (the caller zeroes); nullptr: not wanted.
template <class T>
struct InputGradients {
  T* x = nullptr;  // [N,T,F], contiguous
  T* h0 = nullptr;
  T* c0 = nullptr;
  T* kernel = nullptr;
  T* recurrent_kernel = nullptr;
  T* bias = nullptr;  // [G H], or [2, G H] where bias_rows is 2
  int bias_rows = 1;
  bool overwrite = false;  // x and the kernels: set, not added to; need not be zeroed
  // The gradients of rows of x with one id may stand summed at the first of them, with zeros at the
  // others: for whoever sums them anyway.
  bool x_by_id = false;
};

/// Elements of Saved::slots; Saved::c has a kSlots-th of it.
template <class T, class Cell>
inline Index slots_size(const Inputs<T>& in) {
  const Index steps = in.scheduled() ? in.used_steps() : in.dims.batch * in.dims.time;
  return steps * Cell::kSlots * simd::padded<T>(in.dims.units);
}

}  // namespace elman::bptt
