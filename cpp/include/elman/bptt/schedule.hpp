// SPDX-License-Identifier: Apache-2.0
// elman/bptt/schedule.hpp: which steps of which rows a run computes, and what it starts them from.
#pragma once

#include <algorithm>
#include <cstdint>
#include <numeric>
#include <vector>

#include "elman/bptt/problem.hpp"
#include "elman/core/threads.hpp"

namespace elman::bptt {

/// The steps in use of a run with a mask, lengths or resets, without the others. A skipped step
/// changes nothing, so every row is its own shorter sequence: pass k of the loop computes the k-th
/// used step of every row that has so many. The rows stand in the order of their number of used
/// steps, the longest first, so that those of a pass are the first ones.
class Schedule {
 public:
  // Values of Entry::before, where no step of the same row comes before: the initial state of the
  // call, or zeros.
  static constexpr std::int32_t kInitial = -1, kZeros = -2;
  // Of a row at its end: the state of its last used step, or one of the above.
  static constexpr std::int32_t kLast = 0;

  /// One step of one row. Steps are numbered as they are processed.
  struct Entry {
    std::int32_t sample, step;
    std::int32_t before;  // the used step that its state comes from, kInitial or kZeros
    std::int32_t idle;    // skipped steps after it which keep its state and repeat its output
  };

  template <class T>
  void build(const Inputs<T>& in) {
    const Index n = in.dims.batch;
    order_.resize(std::size_t(n));
    std::iota(order_.begin(), order_.end(), Index{0});
    counts_.resize(std::size_t(n));
    for (Index i = 0; i < n; ++i) counts_[std::size_t(i)] = count(in, i);
    std::sort(order_.begin(), order_.end(), [this](Index a, Index b) {  // stable_sort allocates
      const Index more = counts_[std::size_t(a)] - counts_[std::size_t(b)];
      return more != 0 ? more > 0 : a < b;
    });
    steps_ = n == 0 ? 0 : used(0);
    start_.assign(std::size_t(steps_) + 1, 0);
    Index rows = n;
    for (Index k = 0; k < steps_; ++k) {
      while (used(rows - 1) <= k) --rows;
      start_[std::size_t(k) + 1] = start_[std::size_t(k)] + rows;
    }
    entries_.resize(std::size_t(total()));
    lead_.resize(std::size_t(n));
    end_.resize(std::size_t(n));
    for (Index p = 0; p < n; ++p) fill(in, p);
    regular_ = total() == n * in.dims.time;
  }

  [[nodiscard]] Index rows() const { return Index(order_.size()); }
  [[nodiscard]] Index steps() const { return steps_; }
  [[nodiscard]] Index total() const { return start_.back(); }
  [[nodiscard]] Index active(Index k) const { return start(k + 1) - start(k); }
  [[nodiscard]] Index start(Index k) const { return start_[std::size_t(k)]; }
  /// Every step of every row: the rows stand as they are given.
  [[nodiscard]] bool regular() const { return regular_; }
  [[nodiscard]] Index sample(Index place) const { return order_[std::size_t(place)]; }
  [[nodiscard]] Index used(Index place) const { return counts_[std::size_t(sample(place))]; }
  /// Steps at the begin of a row which only carry the initial state of the call.
  [[nodiscard]] Index lead(Index place) const { return lead_[std::size_t(place)]; }
  [[nodiscard]] std::int32_t end(Index place) const { return end_[std::size_t(place)]; }
  [[nodiscard]] const Entry& at(Index place, Index k) const {
    return entries_[std::size_t(start(k) + place)];
  }
  [[nodiscard]] const Entry* entries() const { return entries_.data(); }

  /// The places of one of `parts` threads: about the same number of steps each.
  [[nodiscard]] Range share(int parts, int part) const {
    return {border(parts, part), border(parts, part + 1)};
  }

 private:
  template <class T>
  static Index count(const Inputs<T>& in, Index n) {
    if (in.mask == nullptr) return in.length(n);
    const std::uint8_t* mask = in.mask + n * in.dims.time;
    return Index(std::count_if(mask, mask + in.length(n), [](std::uint8_t m) { return m != 0; }));
  }

  template <class T>
  void fill(const Inputs<T>& in, Index place) {
    const Index n = sample(place), length = in.dims.time;
    const std::int32_t restart = in.resets_to_zeros ? kZeros : kInitial;
    std::int32_t fresh = kInitial, last = 0;
    Index k = 0, lead = 0;
    bool initial = true;
    for (Index s = 0; s < length; ++s) {
      if (in.resets(n, s)) {
        fresh = restart;
        initial = false;
      }
      if (in.used(n, s)) {
        const std::int32_t now = std::int32_t(s);
        entry(place, k++) = {std::int32_t(n), now, fresh < 0 ? fresh : last, 0};
        last = now;
        fresh = kLast;
        initial = false;
      } else if (fresh == kLast) {
        ++entry(place, k - 1).idle;
      } else if (initial) {
        ++lead;
      }
    }
    lead_[std::size_t(place)] = lead;
    end_[std::size_t(place)] = fresh;
  }

  Entry& entry(Index place, Index k) { return entries_[std::size_t(start(k) + place)]; }

  [[nodiscard]] Index border(int parts, int part) const {
    if (part == parts) return rows();
    Index place = 0;
    for (Index sum = 0; place < rows() && sum * parts < total() * part; ++place) sum += used(place);
    return place;
  }

  Index steps_ = 0;
  bool regular_ = false;
  std::vector<Index> order_, counts_, start_{0}, lead_;
  std::vector<std::int32_t> end_;
  std::vector<Entry> entries_;
};

/// The rows of one of `parts` threads, out of all rows of a run.
inline Range share_of_rows(const Schedule* schedule, Index batch, int parts, int part) {
  return schedule == nullptr ? part_range(batch, parts, part) : schedule->share(parts, part);
}

/// Some rows of a run, in the order of its loop: what both time loops ask about step k of a row.
template <class T>
class LoopRows {
 public:
  LoopRows(const Inputs<T>& in, const Schedule* schedule, Index first, Index count)
      : in_(in), schedule_(schedule), first_(first), count_(count) {}

  [[nodiscard]] Index count() const { return count_; }
  [[nodiscard]] Index steps() const { return schedule_ ? schedule_->steps() : in_.dims.time; }
  /// How many of the rows, the first ones, have a step k.
  [[nodiscard]] __attribute__((always_inline)) Index active(Index k) const {
    if (schedule_ == nullptr) return count_;
    return std::clamp<Index>(schedule_->active(k) - first_, 0, count_);
  }
  [[nodiscard]] __attribute__((always_inline)) Index sample(Index row) const {
    return schedule_ ? schedule_->sample(first_ + row) : first_ + row;
  }
  [[nodiscard]] __attribute__((always_inline)) Index step(Index row, Index k) const {
    return schedule_ ? at(row, k).step : k;
  }
  [[nodiscard]] __attribute__((always_inline)) Index time(Index row, Index k) const {
    return in_.time(step(row, k));
  }
  /// The rows of one of `parts` threads. A loop that several go through has all rows of the run.
  [[nodiscard]] Range share(int parts, int part) const {
    return parts == 1 ? Range{0, count_} : share_of_rows(schedule_, count_, parts, part);
  }
  /// The step that the state comes from, or Schedule::kInitial or kZeros.
  [[nodiscard]] __attribute__((always_inline)) Index before(Index row, Index k) const {
    return schedule_ ? at(row, k).before : k - 1;
  }
  /// Whether pass k cannot take the state over from the pass before.
  [[nodiscard]] bool restarts(Index row, Index k) const {
    if (schedule_ == nullptr) return false;
    const std::int32_t from = at(row, k).before;
    return from == Schedule::kZeros || (from == Schedule::kInitial && k > 0);
  }
  [[nodiscard]] Index idle(Index row, Index k) const { return schedule_ ? at(row, k).idle : 0; }
  [[nodiscard]] Index used(Index row) const {
    return schedule_ ? schedule_->used(first_ + row) : in_.dims.time;
  }
  [[nodiscard]] Index lead(Index row) const {
    return schedule_ ? schedule_->lead(first_ + row) : 0;
  }
  [[nodiscard]] std::int32_t end(Index row) const {
    if (schedule_ != nullptr) return schedule_->end(first_ + row);
    return in_.dims.time == 0 ? Schedule::kInitial : Schedule::kLast;
  }
  /// Whether the last output is that of the row's last used step.
  [[nodiscard]] bool shows_last(Index row) const {
    if (end(row) != Schedule::kLast) return false;
    return !in_.zero_output_for_mask || idle(row, used(row) - 1) == 0;
  }
  /// Where training keeps step k: by input time [N,T], or pass by pass where there is a schedule.
  [[nodiscard]] __attribute__((always_inline)) Index kept(Index row, Index k) const {
    if (schedule_ != nullptr) return schedule_->start(k) + first_ + row;
    return (first_ + row) * in_.dims.time + in_.time(k);
  }
  [[nodiscard]] Index kept_stride() const { return schedule_ ? 1 : in_.dims.time; }
  /// Whether steps are skipped: the rows of a pass lie anywhere in x, and some outputs repeat.
  [[nodiscard]] bool ragged() const { return schedule_ != nullptr && !schedule_->regular(); }

 private:
  [[nodiscard]] __attribute__((always_inline)) const Schedule::Entry& at(Index row, Index k) const {
    return schedule_->at(first_ + row, k);
  }

  const Inputs<T>& in_;
  const Schedule* schedule_;
  Index first_, count_;
};

}  // namespace elman::bptt
