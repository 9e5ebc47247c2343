// SPDX-License-Identifier: Apache-2.0
// However threads take units over from each other, each unit has each of its steps once, in order.
#include "elman/core/shares.hpp"

#include <atomic>
#include <chrono>
#include <stdexcept>
#include <thread>
#include <vector>

#include "check.hpp"

using namespace elman;

namespace {

using Pause = void (*)(Index step, Range units);

// Unit u has the first `steps` steps, or fewer the later it stands (`ragged`, as sorted rows have).
// No atomics: what orders the steps of a unit must order what they write, for the thread sanitizer.
template <Index Grain>
struct Work {
  Index units, steps;
  bool ragged;
  Pause pause;
  std::vector<Index> next = std::vector<Index>(std::size_t(units), 0);
  std::vector<int> dones = std::vector<int>(std::size_t(units), 0);
  std::atomic<int> errors{0}, pieces{0};

  static constexpr Index kGrain = Grain;
  Range share(int parts, int part) const { return part_range(units, parts, part); }
  Index busy(Index step) const { return ragged ? units - units * step / (2 * steps) : units; }

  void step(Index step, Range some) {
    for (Index u = some.begin; u < some.end; ++u) errors += next[std::size_t(u)]++ != step;
    pause(step, some);
  }
  void done(Range some) {
    ++pieces;
    for (Index u = some.begin; u < some.end; ++u) {
      errors += next[std::size_t(u)] != steps;
      ++dones[std::size_t(u)];
    }
  }

  bool right() const {
    for (const int done : dones) {
      if (done != 1) return false;
    }
    return errors == 0;
  }
};

template <Index Grain>
bool runs_in(int parts, Index units, Index steps, bool ragged, Pause pause) {
  Work<Grain> work{units, steps, ragged, pause};
  run_shares(parts, work.steps, work);
  return work.right();
}
bool runs(int parts, Index units, Index steps, bool ragged, Pause pause = [](Index, Range) {}) {
  return runs_in<1>(parts, units, steps, ragged, pause) &&
         runs_in<2>(parts, units, steps, ragged, pause) &&
         runs_in<4>(parts, units, steps, ragged, pause);
}

TEST(every_step_runs_once_and_in_order) {
  for (const int threads : {1, 2, 3, 5}) {
    ThreadPool::global().resize(threads);
    for (const int parts : {1, 2, 3, 64, 65}) {  // 65: more than take from each other
      for (const Index units : {1, 2, 7, 32, 500}) {
        for (const Index steps : {0, 1, 2, 9, 100}) {
          for (const bool ragged : {false, true}) CHECK(runs(parts, units, steps, ragged));
        }
      }
    }
  }
  ThreadPool::global().resize(1);
}

TEST(many_short_steps_are_taken_back_and_forth) {
  ThreadPool::global().resize(5);
  const auto uneven = [](Index step, Range some) {
    const Index turns = (step * 37 + some.begin * 101) % 97;
    for (Index i = 0; i < turns; ++i) detail::cpu_pause();
  };
  for (int turn = 0; turn < 2000; ++turn) {
    CHECK(runs(2 + turn % 4, 1 + turn % 70, 1 + turn % 23, turn % 2 == 0, uneven));
  }
  ThreadPool::global().resize(1);
}

TEST(a_slow_share_is_shared_out) {
  ThreadPool::global().resize(2);
  Work<2> work{64, 50, false, [](Index, Range some) {
                 if (some.begin < 32) {
                   std::this_thread::sleep_for(std::chrono::microseconds(100 * some.size()));
                 }
               }};
  run_shares(2, work.steps, work);
  CHECK(work.right());
  if (ThreadPool::global().size() == 2) CHECK(work.pieces > 2);
  ThreadPool::global().resize(1);
}

TEST(more_than_fits_into_a_word_is_not_taken) {
  ThreadPool::global().resize(2);
  CHECK(runs(2, (1 << 20) + 3, 2, false));
  ThreadPool::global().resize(1);
}

TEST(an_exception_ends_the_run) {
  ThreadPool::global().resize(3);
  for (int turn = 0; turn < 200; ++turn) {
    Work<2> work{30, 20, false, [](Index step, Range some) {
                   if (step == 7 && some.begin < 10) throw std::runtime_error("step 7");
                 }};
    CHECK_THROWS(run_shares(3, work.steps, work), std::runtime_error, "step 7");
  }
  ThreadPool::global().resize(1);
}

}  // namespace
