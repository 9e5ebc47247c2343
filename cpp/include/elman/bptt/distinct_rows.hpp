// SPDX-License-Identifier: Apache-2.0
// elman/bptt/distinct_rows.hpp: which rows of x are equal, and what they add to the sums.
#pragma once

#include <algorithm>
#include <bit>
#include <cstdint>
#include <vector>

#include "elman/bptt/phase.hpp"
#include "elman/bptt/problem.hpp"
#include "elman/bptt/schedule.hpp"
#include "elman/bptt/weights.hpp"

namespace elman::bptt {

/// The rows of x by their ids, as an embedding gives them: a batch of text has few different words.
/// Numbered in the order of their first positions; position n T + t is input time t of sample n.
/// A number stands for kMostEqual positions at most, and the next ones get another: sums over them,
/// one after the other, stay short.
class DistinctRows {
 public:
  static constexpr Index kMostEqual = 256;

  /// Of the positions position(i) for i < count, out of `all`; others have no number. False for
  /// more than `most` rows; then nothing else may be asked.
  template <class Position>
  bool build(const std::int64_t* ids, Index all, Index count, Index most,
             const Position& position) {
    const std::size_t size = std::bit_ceil(2 * std::size_t(std::min(count, most)) + 2);
    const int shift = 64 - std::countr_zero(size);
    table_.assign(size, -1);
    of_.resize(std::size_t(all));
    first_.clear();
    equal_.clear();
    for (Index i = 0; i < count; ++i) {
      const Index p = position(i);
      // Fibonacci hashing: consecutive ids, whose low bits alone differ, fall far apart.
      std::size_t at = std::size_t(std::uint64_t(ids[p]) * 0x9E3779B97F4A7C15U >> shift);
      while (table_[at] >= 0 && ids[first(table_[at])] != ids[p]) at = (at + 1) & (size - 1);
      Index& number = table_[at];
      if (number < 0 || equal_[std::size_t(number)] == kMostEqual) {
        if (this->count() == most) return false;
        number = this->count();
        first_.push_back(p);
        equal_.push_back(0);
      }
      ++equal_[std::size_t(number)];
      of_[std::size_t(p)] = number;
    }
    return true;
  }

  [[nodiscard]] Index count() const { return Index(first_.size()); }
  /// The number of the row at a position, and those of all positions.
  [[nodiscard]] Index of(Index position) const { return Index(of_[std::size_t(position)]); }
  [[nodiscard]] const std::int64_t* numbers() const { return of_.data(); }
  /// The first position of a row.
  [[nodiscard]] Index first(Index number) const { return first_[std::size_t(number)]; }
  /// The elements of some rows, one row after the other.
  template <class T>
  void copy(const Inputs<T>& in, Range rows, T* to) const {
    for (Index i = rows.begin; i < rows.end; ++i, to += in.dims.features) {
      std::copy_n(in.x.at(first(i) / in.dims.time, first(i) % in.dims.time), in.dims.features, to);
    }
  }

 private:
  std::vector<Index> table_, first_, equal_;
  std::vector<std::int64_t> of_;
};

namespace detail {

/// How many different rows x may have so that they pay, where each takes so many bytes. What is
/// saved of the products with the kernel has to be worth a copy of the sums of each row, which
/// takes as long as so many features.
inline Index most_distinct_rows(Index rows, Index features, Index bytes) {
  constexpr Index kMostBytes = Index{64} << 20, kNearBytes = Index{512} << 10;
  constexpr Index kFeaturesNear = 16, kFeaturesFar = 36;  // of sums in L2, and of more
  const auto paying = [&](Index copied) {
    return features <= copied ? 0 : rows - rows * copied / features;
  };
  const Index near = std::min(paying(kFeaturesNear), kNearBytes / bytes);
  const Index far = std::min(paying(kFeaturesFar), kMostBytes / bytes);
  return std::max(near, far);
}

/// Those of the steps that are computed, in memory of the calling thread; nullptr where nothing is
/// known of x or too many rows are different.
template <class T, class Cell>
inline const DistinctRows* find_distinct_rows(const Inputs<T>& in, const Schedule* schedule) {
  constexpr Index kLeastRows = 64;
  const Dims& d = in.dims;
  const Index all = d.batch * d.time, rows = schedule == nullptr ? all : schedule->total();
  if (in.row_ids == nullptr || in.input_dropout.gates != 0 || rows < kLeastRows) return nullptr;
  const Index elements = Cell::kSlots * simd::padded<T>(d.units) + d.features;
  const Index most = most_distinct_rows(rows, d.features, elements * Index(sizeof(T)));
  if (most <= 0) return nullptr;
  static thread_local DistinctRows distinct;
  const bool pays = schedule == nullptr
                        ? distinct.build(in.row_ids, all, rows, most, [](Index i) { return i; })
                        : distinct.build(in.row_ids, all, rows, most, [&](Index i) {
                            const Schedule::Entry& entry = schedule->entries()[i];
                            return entry.sample * d.time + in.time(entry.step);
                          });
  return pays ? &distinct : nullptr;
}

/// The product of `count` rows of x with the kernel of phase P for some blocks, from the bias on:
/// slot s of the sums of row i at target(i) + s Hp.
template <class T, class Cell, int P, class Target>
inline void project_rows(const ForwardWeights<T, Cell>& weights, const Side<T>& x, Index count,
                         const Blocks& blocks, const Target& target) {
  using Phase = typename Cell::template Phase<P>;
  constexpr Index kW = simd::kWidth<T>;
  const Index hp = simd::padded<T>(weights.units);
  StepProduct<T> p;
  p.init = weights.bias.data() + Phase::kFirst * hp;
  p.init_slot = hp;
  p.x = x;
  const auto store = [&](Index i, Index block, const T* z) {
    T* to = target(i) + Phase::kFirst * hp + block * kW;
    for (Index slot = 0; slot < Phase::kSlots; ++slot) {
      simd::store<T>(to + slot * hp, simd::load<T>(z + slot * kW));
    }
  };
  run_phase<T, Phase>(p, count, blocks, each_block<T, Phase>(store));
}

}  // namespace detail

/// x K + b of every distinct row, [count][slots Hp], in memory of the calling thread; to the bit
/// what the time loop sums. Empty where `distinct` is nullptr.
template <class T, class Cell>
class KnownSums {
 public:
  KnownSums(const Inputs<T>& in, const ForwardWeights<T, Cell>& weights,
            const DistinctRows* distinct)
      : distinct_(weights.is_packed() ? distinct : nullptr),
        time_(in.dims.time),
        size_(Cell::kSlots * simd::padded<T>(in.dims.units)) {
    if (distinct_ == nullptr) return;
    const Index features = in.dims.features, count = distinct_->count();
    T* rows = kernels::thread_scratch<T, 16>(count * features);
    sums_ = kernels::thread_scratch<T, 17>(count * size_);
    const double flops = 2.0 * double(count) * double(features) * double(size_);
    parallel_for(flops, count, [&](Index begin, Index end) {
      distinct_->copy(in, {begin, end}, rows + begin * features);
      for_phases<Cell>([&]<int P>() {
        Side<T> x;
        x.a = rows + begin * features;
        x.row = x.depth = features;
        x.w = weights.x[P].data();
        const Blocks blocks{0, simd::padded<T>(in.dims.units) / simd::kWidth<T>};
        detail::project_rows<T, Cell, P>(weights, x, end - begin, blocks,
                                         [&](Index i) { return sums_ + (begin + i) * size_; });
      });
    });
  }

  explicit operator bool() const { return distinct_ != nullptr; }
  /// Elements of the sums of one row.
  [[nodiscard]] Index size() const { return size_; }
  /// Those of sample n at input time t.
  [[nodiscard]] const T* at(Index n, Index t) const {
    return sums_ + distinct_->of(n * time_ + t) * size_;
  }

 private:
  const DistinctRows* distinct_;
  Index time_, size_;
  T* sums_ = nullptr;
};

}  // namespace elman::bptt
