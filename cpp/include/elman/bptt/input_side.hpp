// SPDX-License-Identifier: Apache-2.0
// elman/bptt/input_side.hpp: x K of the time loop, step by step or many steps ahead.
#pragma once

#include <algorithm>
#include <array>
#include <functional>

#include "elman/bptt/distinct_rows.hpp"
#include "elman/bptt/partition.hpp"
#include "elman/bptt/phase.hpp"
#include "elman/bptt/schedule.hpp"
#include "elman/bptt/weights.hpp"
#include "elman/bptt/whole_rows.hpp"
#include "elman/core/workspace.hpp"

namespace elman::bptt {

// Bytes of projected steps kept ahead: half of the smallest L2 in use, or, where the kernel does
// not fit into it anyway, enough that reading the kernel for them is a small part of all reading.
inline constexpr Index kProjectionBytes = 128 * 1024, kMostProjectionBytes = 1024 * 1024;

/// What x adds to the sums of a step, for some rows. With many rows it is an operand of the step's
/// product; where projects_ahead() says so it is multiplied ahead of the loop, `chunk` steps at a
/// time; where many rows are equal the sums of each are known.
template <class T, class Cell>
class InputSide {
  static constexpr Index kW = simd::kWidth<T>;
  static constexpr Index kS = Cell::kSlots;

 public:
  /// slots: where training keeps the sums, or nullptr.
  InputSide(const Inputs<T>& in, const ForwardWeights<T, Cell>& weights,
            const KnownSums<T, Cell>& known, const LoopRows<T>& rows, T* slots, bool ragged,
            Workspace& workspace)
      : in_(in),
        w_(weights),
        known_(known),
        rows_(rows),
        slots_(slots),
        hp_(simd::padded<T>(in.dims.units)) {
    few_ = !known && (projects_ahead<T, Cell>(in.dims, rows.count()) || !weights.is_packed());
    const Sizes sizes(in, rows.count(), few_, bool(known), ragged, slots != nullptr);
    chunk_ = sizes.chunk;
    copies_ = sizes.copies;
    copied_rows_ = rows.count();
    const auto take = [&](Index count) {
      return count == 0 ? nullptr : workspace.template take<T>(count);
    };
    copied_ = take(sizes.copied);
    projected_ = take(sizes.projected);
    if (sizes.targets != 0) targets_ = workspace.template take<T*>(sizes.targets);
  }

  /// Bytes that the constructor takes for so many rows.
  static void count(const Inputs<T>& in, Index rows, bool known, bool ragged, bool training,
                    WorkspaceSize& size) {
    // A single step of a row may read weights that are not packed.
    const bool few =
        !known && (projects_ahead<T, Cell>(in.dims, rows) || (rows == 1 && in.dims.time <= 1));
    const Sizes sizes(in, rows, few, known, ragged, training);
    size.template add<T>(sizes.copied).template add<T>(sizes.projected);
    size.template add<T*>(sizes.targets);
  }

  /// Before the products of step k for some rows, all of them where they are few; h_prev is read
  /// where the weights are not packed.
  void prepare(Index k, Range rows, const T* h_prev, const T* h_copy, int parts) {
    if (known_) {
      copy_known(k, rows, parts);
    } else if (!few_) {
      if (copies_ != 0) load(k, k + 1, rows);
    } else if (!w_.is_packed()) {
      if constexpr (Cell::kPhases == 1) sum_unpacked(k, h_copy != nullptr ? h_copy : h_prev);
    } else if (k % chunk_ == 0) {
      const Index end = std::min(k + chunk_, rows_.steps());
      project(k, end, parts > 1 ? parts : project_parts(end - k));
    }
  }

  /// Sets what phase P of step k starts from, from some row on: x as an operand, or its sums.
  template <int P>
  void apply(Index k, Index row, StepProduct<T>& p) {
    using Phase = typename Cell::template Phase<P>;
    p.init = w_.bias.data() + Phase::kFirst * hp_;
    p.init_slot = hp_;
    if (few_ || known_) {
      p.init = sums(row, k) + Phase::kFirst * hp_;
      p.init_row = sums(1, k) - sums(0, k);
    } else {
      p.x = side<P>(k, row);
    }
  }

 private:
  // Elements of the arrays below.
  struct Sizes {
    Sizes(const Inputs<T>& in, Index rows, bool few, bool known, bool ragged, bool training) {
      const Index features = in.dims.features;
      const Index step = rows * kS * simd::padded<T>(in.dims.units);
      if (known) {
        chunk = 1;
        projected = step;
        return;
      }
      copies = std::max<Index>(in.input_dropout.gates, ragged ? 1 : 0);
      if (few) {
        const Index kernel = features * Cell::kGates * in.dims.units * Index(sizeof(T));
        const Index bytes = std::clamp(kernel / 8, kProjectionBytes, kMostProjectionBytes);
        const Index width = std::max(step, rows * copies * features) * Index(sizeof(T));
        const Index steps = std::clamp<Index>(bytes / std::max<Index>(width, 1), 6, 1024);
        chunk = std::min(steps, std::max<Index>(in.dims.time, 1));
        if (!training) projected = chunk * step;
      }
      copied = copies * rows * features * std::max<Index>(chunk, 1);
      if (few && copies != 0) targets = rows * chunk;
    }
    Index copies = 0, chunk = 0, copied = 0, projected = 0, targets = 0;
  };

  // x of the steps [k0, k1) times its dropout factors, one copy per gate (in slot order) where the
  // factors differ; row after row within a step, all rows where there are several steps. The copies
  // are copied_rows_ apart.
  void load(Index k0, Index k1, Range rows) {
    const Factors<T>& factors = in_.input_dropout;
    const Index features = in_.dims.features;
    for (Index g = 0; g < copies_; ++g) {
      T* to = copied_ + (g * copied_rows_ + rows.begin) * features;
      for (Index k = k0; k < k1; ++k) {
        const Index end = std::min(rows.end, rows_.active(k));
        for (Index r = rows.begin; r < end; ++r, to += features) {
          const Index n = rows_.sample(r);
          const T* x = in_.x.at(n, rows_.time(r, k));
          if (factors.gates == 0) {
            std::copy_n(x, features, to);
            continue;
          }
          const T* f = factors.row(Cell::kXGate[std::size_t(g)], n);
          for (Index j = 0; j < features; ++j) to[j] = x[j] * f[j];
        }
      }
    }
  }

  template <int P>
  Side<T> side(Index k, Index row) {
    using Phase = typename Cell::template Phase<P>;
    Side<T> side;
    side.w = w_.x[P].data();
    side.depth = in_.dims.features;
    if (copies_ == 0) {
      side.a = in_.x.at(rows_.sample(row), rows_.time(row, k));
      side.row = in_.x.row;
      return side;
    }
    side.a = copied_ + row * in_.dims.features;
    side.row = in_.dims.features;
    if (in_.input_dropout.per_gate()) {
      side.gate = copied_rows_ * in_.dims.features;
      if constexpr (Phase::kSlots == Phase::kGates) side.a += Phase::kFirst * side.gate;
    }
    return side;
  }

  // Sums of the input side: training writes them where the gates of the step will stand.
  T* sums(Index row, Index k) {
    if (slots_ != nullptr && !known_) return slots_ + rows_.kept(row, k) * kS * hp_;
    return projected_ + ((k % chunk_) * rows_.count() + row) * kS * hp_;
  }

  // Rows are copied, not read where they are: a tile takes rows that are equally far apart.
  void copy_known(Index k, Range rows, int parts) {
    rows.end = std::min(rows.end, rows_.active(k));
    const auto from = [&](Index row) { return known_.at(rows_.sample(row), rows_.time(row, k)); };
    const auto copy = [&](int, Range share) {
      for (Index row = share.begin; row < share.end; ++row) {
        const T* const next = from(std::min(row + 1, share.end - 1));
        const T* const now = from(row);
        T* const to = sums(row, k);
        for (Index j = 0; j < known_.size(); j += kW) {
          simd::prefetch(next + j);
          simd::store<T>(to + j, simd::load<T>(now + j));
        }
      }
    };
    constexpr Index kShared = 32 * 1024;  // elements that are worth a second thread
    for_whole_rows(rows.size() * known_.size() < kShared ? 1 : parts, rows, std::ref(copy));
  }

  // Threads that share a projection of so many steps where one runs the loop: those that are awake.
  // Rows that are not copied are projected one after the other.
  [[nodiscard]] int project_parts(Index steps) const {
    const double rows = double(copies_ != 0 ? rows_.count() * steps : steps);
    return ThreadPool::global().of_awake(
        unit_parts<T, Cell>(rows, in_.dims.units, in_.dims.features));
  }

  void project(Index k0, Index k1, int parts) {
    if (copies_ != 0) {
      Index count = 0;
      for (Index k = k0; k < k1; ++k) {
        for (Index r = 0; r < rows_.active(k); ++r) targets_[count++] = sums(r, k);
      }
      copied_rows_ = count;
      load(k0, k1, {0, rows_.count()});
      return multiply(k0, 0, 0, count, parts, [&](Index row) { return targets_[row]; });
    }
    for (Index row = 0; row < rows_.count(); ++row) {
      const Index stride = in_.go_backwards ? -in_.x.step : in_.x.step;
      multiply(k0, row * in_.x.row, stride, k1 - k0, parts,
               [&](Index i) { return sums(row, k0 + i); });
    }
  }

  // The product of `count` rows of x from step k on, with their sums at target(i).
  template <class Target>
  void multiply(Index k, Index offset, Index stride, Index count, int parts, Target&& target) {
    for_phases<Cell>([&]<int P>() {
      Side<T> x = side<P>(k, 0);
      x.a += offset;
      if (stride != 0) x.row = stride;
      const double work =
          flops(double(count), Cell::template Phase<P>::kGates, hp_, in_.dims.features);
      for_blocks(parts, hp_ / kW, false, Sharing::kAll, work, [&](const Blocks& blocks) {
        detail::project_rows<T, Cell, P>(w_, x, count, blocks, target);
      });
    });
  }

  // All sums of a single step, in the order of the packed products.
  void sum_unpacked(Index k, const T* h) {
    T* z = sums(0, k);
    std::copy_n(w_.bias.data(), kS * hp_, z);
    std::array<T*, Cell::kGates> x_sums{}, h_sums{};
    for (int slot = 0; slot < kS; ++slot) {
      constexpr int kFirstH = Cell::template Phase<0>::kFirstRecurrent;
      if (Cell::kXGate[slot] >= 0) x_sums[Cell::kXGate[slot]] = z + slot * hp_;
      if (slot >= kFirstH) h_sums[Cell::kHGate[slot]] = z + slot * hp_;
    }
    const T* x = in_.x.at(rows_.sample(0), rows_.time(0, k));
    if (copies_ != 0) {
      load(k, k + 1, {0, 1});
      x = copied_;
    }
    const Index units = in_.dims.units, ld = Cell::kGates * units;
    kernels::add_unpacked(x, in_.dims.features, w_.unpacked.kernel, ld, units, x_sums);
    kernels::add_unpacked(h, units, w_.unpacked.recurrent_kernel, ld, units, h_sums);
  }

  const Inputs<T>& in_;
  const ForwardWeights<T, Cell>& w_;
  const KnownSums<T, Cell>& known_;
  const LoopRows<T>& rows_;
  T* slots_;
  Index hp_;
  bool few_ = false;
  Index chunk_ = 0, copies_ = 0, copied_rows_ = 0;
  T* copied_ = nullptr;
  T* projected_ = nullptr;
  T** targets_ = nullptr;
};

}  // namespace elman::bptt
