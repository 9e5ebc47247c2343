// SPDX-License-Identifier: Apache-2.0
// elman/core/shares.hpp: threads that are done take over what others have left.
#pragma once

#include <algorithm>
#include <chrono>
#include <cstdint>
#include <thread>

#include "elman/core/part_words.hpp"
#include "elman/core/threads.hpp"
#include "elman/core/waiting.hpp"

namespace elman {

/// Units times steps, where a step of a unit follows the step before of the same unit, and units do
/// not depend on each other: the rows of a batch in a time loop, or the columns of a sum over many
/// rows. Each thread has a share of the units and goes through the steps; one that is done takes
/// the last units of another share from the step on that their thread would begin next. A kernel
/// then does not wait for a processor that is slower, late or busy with something else.
class Shares {
 public:
  /// Whether so much can be shared out in this way.
  [[nodiscard]] static bool fit(int parts, Index units, Index steps) noexcept {
    return parts <= PartWords::kMost && units < kMostUnits && steps < kEnded;
  }

  Shares(int parts, Index steps) noexcept : parts_(parts), steps_(steps) {}

  /// Gives a share its units, before any thread begins.
  void set(int part, Range units) noexcept { share_.set(part, pack({0, units})); }
  /// Begins the next step of a share, and tells its units.
  Range begin(int part) noexcept {
    return unpack(share_[part].fetch_add(kOneStep, std::memory_order_acq_rel)).units;
  }
  /// After the last step, or instead of those that are left.
  void end(int part) noexcept {
    share_[part].fetch_or(std::uint64_t(kEnded) << 40, std::memory_order_acq_rel);
  }

  /// Gives this share, which has ended, the last units of the share that has most left, and returns
  /// their next step; the number of steps: there is nothing to take. busy(step): only the first so
  /// many units have that step. At least `grain` units are taken, and a multiple of it stays.
  template <class Busy>
  Index take(int part, Index grain, const Busy& busy) noexcept {
    for (;;) {
      int victim = -1;
      Left best;
      Index mid = 0, most = 0;
      for (int other = 0; other < parts_; ++other) {
        const Left left = unpack(share_[other].load(std::memory_order_relaxed));
        if (left.step >= steps_) continue;
        const Index at_work = std::max(busy(left.step), busy(steps_ - 1));
        const Index units = std::min(left.units.end, at_work) - left.units.begin;
        // A share that nobody has begun is taken as a whole: its thread takes some back. One that
        // has begun keeps a unit at least, or await() could wait for ever.
        const bool begun = left.step > 0;
        const Index stays = begun ? ((units + 1) / 2 + grain - 1) / grain * grain : 0;
        const Index work = (units - stays) * (steps_ - left.step);
        if (units - stays < (begun ? grain : 1) || work <= most) continue;
        victim = other;
        best = left;
        mid = left.units.begin + stays;
        most = work;
      }
      if (victim < 0) return steps_;
      std::uint64_t before = pack(best);
      const std::uint64_t after = pack({best.step, {best.units.begin, mid}});
      const bool taken =
          share_[victim].compare_exchange_strong(before, after, std::memory_order_acq_rel);
      if (!taken) continue;
      share_[part].store(pack({best.step, {mid, best.units.end}}), std::memory_order_release);
      if (best.step > 0) await(victim, best, part);
      return best.step;
    }
  }

 private:
  // 24 bits of steps, 20 of the first unit, 20 of the end of the units.
  static constexpr Index kEnded = (1 << 24) - 1, kMostUnits = 1 << 20;
  static constexpr std::uint64_t kOneStep = std::uint64_t{1} << 40;

  struct Left {
    Index step = 0;
    Range units;
  };
  static std::uint64_t pack(const Left& left) noexcept {
    return std::uint64_t(left.step) << 40 | std::uint64_t(left.units.begin) << 20 |
           std::uint64_t(left.units.end);
  }
  static Left unpack(std::uint64_t word) noexcept {
    constexpr std::uint64_t kMask = kMostUnits - 1;
    return {Index(word >> 40), {Index(word >> 20 & kMask), Index(word & kMask)}};
  }

  // Until the thread of a share is done with the step before. It has then begun the next one, or
  // other units: those that were the first ones here stay with it to their last step. It is within
  // that step now, or waits like this for units that were taken earlier, so there is no circle.
  void await(int victim, const Left& left, int part) noexcept {
    const auto done = [&] {
      const Left now = unpack(share_[victim].load(std::memory_order_acquire));
      return now.step > left.step || now.units.begin != left.units.begin;
    };
    detail::spin_until(done);
    if (done()) return;
    const auto begin = std::chrono::steady_clock::now();
    while (!done()) std::this_thread::yield();
    if (part == 0) ThreadPool::global().held_up(std::chrono::steady_clock::now() - begin);
  }

  int parts_;
  Index steps_;
  PartWords share_;
};

namespace detail {

// Apart from run_shares(), so that a single thread has no stack frame of this size.
template <class Work>
__attribute__((noinline)) void run_shared(int parts, Index steps, Work& work) {
  Shares shares(parts, steps);
  for (int part = 0; part < parts; ++part) shares.set(part, work.share(parts, part));
  struct End {  // also after an exception: others may wait for this share
    Shares& shares;
    int part;
    ~End() { shares.end(part); }
  };
  ThreadPool::global().run(parts, [&](int part) {
    Index step = 0;
    do {
      Range units;
      {
        const End end{shares, part};
        for (; step < steps && (units = shares.begin(part)).size() != 0; ++step) {
          work.step(step, units);
        }
      }
      if (units.size() != 0) work.done(units);
      step = shares.take(part, Work::kGrain, [&](Index next) { return work.busy(next); });
    } while (step < steps);
  });
}

}  // namespace detail

/// Runs work.step(step, units) for every step of all units, and work.done(units) once for all units
/// after their last step, in `parts` shares side by side.
/// Work    share(parts, part): the units of a share, together all of them; busy(step): how many,
///         the first ones, have that step, more or fewer from step to step; kGrain: no fewer are
///         taken
/// Errors  the exception of the lowest part that threw; others may then have run steps of units
///         whose step before it was left out
template <class Work>
inline void run_shares(int parts, Index steps, Work& work) {
  const auto alone = [&](Range units) {
    for (Index step = 0; step < steps; ++step) work.step(step, units);
    work.done(units);
  };
  if (parts == 1 || steps == 0) return alone(work.share(1, 0));
  if (Shares::fit(parts, work.share(1, 0).end, steps)) {
    return detail::run_shared(parts, steps, work);
  }
  ThreadPool::global().run(parts, [&](int part) { alone(work.share(parts, part)); });
}

}  // namespace elman
