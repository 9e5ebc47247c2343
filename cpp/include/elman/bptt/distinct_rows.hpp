// SPDX-License-Identifier: Apache-2.0
// elman/bptt/distinct_rows.hpp: which rows of x are equal, and what they add to the sums.
#pragma once

#include <algorithm>
#include <bit>
#include <cstdint>
#include <vector>

#include "elman/bptt/phase.hpp"
#include "elman/bptt/problem.hpp"
#include "elman/bptt/weights.hpp"

namespace elman::bptt {

/// The rows of x by their ids, as an embedding gives them: a batch of text has few different words.
/// Numbered in the order of their first positions; position n T + t is input time t of sample n.
class DistinctRows {
 public:
  /// False for more than `most` of them; then nothing else may be asked.
  bool build(const std::int64_t* ids, Index positions, Index most) {
    const std::size_t size = std::bit_ceil(2 * std::size_t(std::min(positions, most)) + 2);
    const int shift = 64 - std::countr_zero(size);
    table_.assign(size, -1);
    of_.resize(std::size_t(positions));
    first_.clear();
    for (Index i = 0; i < positions; ++i) {
      // Fibonacci hashing: consecutive ids, whose low bits alone differ, fall far apart.
      std::size_t at = std::size_t(std::uint64_t(ids[i]) * 0x9E3779B97F4A7C15U >> shift);
      while (table_[at] >= 0 && ids[first(table_[at])] != ids[i]) at = (at + 1) & (size - 1);
      if (table_[at] < 0) {
        if (count() == most) return false;
        table_[at] = count();
        first_.push_back(i);
      }
      of_[std::size_t(i)] = table_[at];
    }
    return true;
  }

  [[nodiscard]] Index count() const { return Index(first_.size()); }
  /// The number of the row at a position, and those of all positions.
  [[nodiscard]] Index of(Index position) const { return Index(of_[std::size_t(position)]); }
  [[nodiscard]] const std::int64_t* numbers() const { return of_.data(); }
  /// The first position of a row.
  [[nodiscard]] Index first(Index number) const { return first_[std::size_t(number)]; }
  /// Its elements.
  template <class T>
  [[nodiscard]] const T* row(const Inputs<T>& in, Index number) const {
    return in.x.at(first(number) / in.dims.time, first(number) % in.dims.time);
  }

 private:
  std::vector<Index> table_, first_;
  std::vector<std::int64_t> of_;
};

namespace detail {

/// How many different rows x may have so that they pay. What is saved of the products with the
/// kernel has to be worth a copy of the sums of each row, which takes as long as so many features.
inline Index most_distinct_rows(Index rows, Index features, Index bytes_of_sums) {
  constexpr Index kMostBytes = Index{64} << 20, kNearBytes = Index{512} << 10;
  constexpr Index kFeaturesNear = 16, kFeaturesFar = 36;  // of sums in L2, and of more
  const auto paying = [&](Index copied) {
    return features <= copied ? 0 : rows - rows * copied / features;
  };
  const Index near = std::min(paying(kFeaturesNear), kNearBytes / bytes_of_sums);
  const Index far = std::min(paying(kFeaturesFar), kMostBytes / bytes_of_sums);
  return std::max(near, far);
}

/// The calling thread's, or nullptr where nothing is known of x or too many rows are different.
template <class T, class Cell>
inline const DistinctRows* find_distinct_rows(const Inputs<T>& in) {
  constexpr Index kLeastRows = 64;
  const Dims& d = in.dims;
  const Index rows = d.batch * d.time;
  if (in.row_ids == nullptr || in.input_dropout.gates != 0 || rows < kLeastRows) return nullptr;
  const Index bytes = Cell::kSlots * simd::padded<T>(d.units) * Index(sizeof(T));
  const Index most = most_distinct_rows(rows, d.features, bytes);
  static thread_local DistinctRows distinct;
  return most > 0 && distinct.build(in.row_ids, rows, most) ? &distinct : nullptr;
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
      for (Index i = begin; i < end; ++i) {
        std::copy_n(distinct_->row(in, i), features, rows + i * features);
      }
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
