// SPDX-License-Identifier: Apache-2.0
#include "elman/core/threads.hpp"

#include <atomic>
#include <chrono>
#include <numeric>
#include <stdexcept>
#include <thread>
#include <vector>

#if defined(__unix__) || defined(__APPLE__)
#include <sys/wait.h>
#include <unistd.h>
#endif

#include "check.hpp"

// ThreadSanitizer does not support threads in the child of a fork.
#if defined(__SANITIZE_THREAD__)
#define ELMAN_TEST_FORK 0
#elif defined(__has_feature)
#if __has_feature(thread_sanitizer)
#define ELMAN_TEST_FORK 0
#endif
#endif
#if !defined(ELMAN_TEST_FORK) && (defined(__unix__) || defined(__APPLE__))
#define ELMAN_TEST_FORK 1
#endif

using namespace elman;

namespace {

/// Sets the size of the pool for one test.
struct PoolSize {
  explicit PoolSize(int threads) : before(ThreadPool::global().size()) {
    ThreadPool::global().resize(threads);
  }
  ~PoolSize() { ThreadPool::global().resize(before); }
  int before;
};

/// Runs `parts` parts and returns how often each was called.
std::vector<int> calls_of(int parts) {
  std::vector<std::atomic<int>> calls(static_cast<std::size_t>(parts));
  ThreadPool::global().run(parts, [&](int part) { ++calls[static_cast<std::size_t>(part)]; });
  return {calls.begin(), calls.end()};
}

}  // namespace

TEST(every_part_is_called_once) {
  for (const int threads : {1, 2, 3, 5, 16}) {
    const PoolSize size(threads);
    CHECK_EQ(ThreadPool::global().size(), threads);
    for (int repeat = 0; repeat < 200; ++repeat) {
      for (const int parts : {0, 1, 2, 3, 5, 16, 40}) {
        CHECK(calls_of(parts) == std::vector<int>(static_cast<std::size_t>(parts), 1));
      }
    }
  }
}

TEST(part_zero_runs_on_the_calling_thread) {
  const PoolSize size(3);
  std::thread::id first;
  ThreadPool::global().run(3, [&](int part) {
    if (part == 0) first = std::this_thread::get_id();
  });
  CHECK(first == std::this_thread::get_id());
}

TEST(parts_do_run_at_the_same_time) {
  const PoolSize size(2);
  std::atomic<int> inside{0};
  std::atomic<bool> met{false};
  // Part 0 stays until part 1 has begun: only another thread can bring that about.
  ThreadPool::global().run(2, [&](int part) {
    ++inside;
    const auto end = std::chrono::steady_clock::now() + std::chrono::seconds(60);
    while (part == 0 && inside < 2 && std::chrono::steady_clock::now() < end) {
      std::this_thread::yield();
    }
    if (inside == 2) met = true;
  });
  CHECK(met.load());
}

TEST(writes_of_all_parts_are_visible_afterwards) {
  const PoolSize size(4);
  std::vector<int> values(4096);
  for (int round = 1; round < 300; ++round) {
    ThreadPool::global().run(4, [&](int part) {
      const Range range = part_range(4096, 4, part);
      for (Index i = range.begin; i < range.end; ++i) values[static_cast<std::size_t>(i)] += round;
    });
    CHECK_EQ(std::accumulate(values.begin(), values.end(), 0L), 4096L * round * (round + 1) / 2);
  }
}

TEST(a_sleeping_pool_wakes_up) {
  const PoolSize size(3);
  for (int repeat = 0; repeat < 20; ++repeat) {
    std::this_thread::sleep_for(std::chrono::milliseconds(1));  // longer than they spin
    CHECK(calls_of(3) == std::vector<int>(3, 1));
  }
}

TEST(nested_runs_are_serial) {
  const PoolSize size(3);
  std::atomic<int> calls{0};
  std::atomic<bool> moved{false};
  ThreadPool::global().run(3, [&](int) {
    const auto outer = std::this_thread::get_id();
    ThreadPool::global().run(3, [&](int) {
      ++calls;
      if (std::this_thread::get_id() != outer) moved = true;
    });
  });
  CHECK_EQ(calls.load(), 9);
  CHECK(!moved.load());
}

TEST(user_threads_share_the_pool) {
  const PoolSize size(3);
  std::atomic<int> calls{0};
  std::vector<std::thread> users;
  for (int user = 0; user < 4; ++user) {
    users.emplace_back([&] {
      for (int repeat = 0; repeat < 500; ++repeat) {
        ThreadPool::global().run(3, [&](int) { ++calls; });
      }
    });
  }
  for (std::thread& user : users) user.join();
  CHECK_EQ(calls.load(), 4 * 500 * 3);
}

TEST(the_exception_of_the_lowest_part_arrives) {
  const PoolSize size(4);
  for (int repeat = 0; repeat < 50; ++repeat) {
    std::atomic<int> calls{0};
    CHECK_THROWS(ThreadPool::global().run(6,
                                          [&](int part) {
                                            ++calls;
                                            if (part >= 2) {
                                              throw std::runtime_error(std::to_string(part));
                                            }
                                          }),
                 std::runtime_error, "2");
    CHECK_EQ(calls.load(), 6);
    CHECK(calls_of(4) == std::vector<int>(4, 1));
  }
}

TEST(bad_sizes_are_refused) {
  CHECK_THROWS(ThreadPool::global().resize(0), std::invalid_argument,
               "[set_num_threads] threads: expected 1 to 256, got 0");
  CHECK_THROWS(ThreadPool::global().resize(1000), std::invalid_argument, "got 1000");
  const PoolSize size(2);
  CHECK_THROWS(ThreadPool::global().run(2, [](int) { ThreadPool::global().resize(3); }),
               std::logic_error, "cannot be called from inside of a kernel");
}

TEST(small_work_stays_on_one_thread) {
  const PoolSize size(4);
  CHECK_EQ(plan_parts(1e5, 100), 1);
  CHECK_EQ(plan_parts(4.1e5, 100), 2);
  CHECK_EQ(plan_parts(1e9, 100), 4);
  CHECK_EQ(plan_parts(1e9, 3), 3);
  CHECK_EQ(plan_parts(1e9, 1), 1);
  CHECK_EQ(plan_parts(1e9, 0), 1);
}

TEST(part_ranges_cover_everything_evenly) {
  for (const Index units : {0, 1, 7, 64, 1001}) {
    for (const int parts : {1, 2, 3, 7}) {
      Index next = 0;
      for (int part = 0; part < parts; ++part) {
        const Range range = part_range(units, parts, part);
        CHECK_EQ(range.begin, next);
        CHECK(range.size() == units / parts || range.size() == units / parts + 1);
        next = range.end;
      }
      CHECK_EQ(next, units);
    }
  }
}

TEST(parallel_for_visits_every_unit_once) {
  const PoolSize size(3);
  std::vector<int> visits(1000);
  for (const double flops : {1.0, 1e9}) {
    parallel_for(flops, 1000, [&](Index begin, Index end) {
      for (Index i = begin; i < end; ++i) ++visits[static_cast<std::size_t>(i)];
    });
  }
  CHECK(visits == std::vector<int>(1000, 2));
}

#if ELMAN_TEST_FORK
TEST(a_forked_child_has_a_pool_of_its_own) {
  const PoolSize size(3);
  CHECK(calls_of(3) == std::vector<int>(3, 1));
  for (int repeat = 0; repeat < 5; ++repeat) {
    const pid_t child = fork();
    if (child == 0) {
      bool right = true;
      for (int i = 0; i < 20; ++i) right = right && calls_of(3) == std::vector<int>(3, 1);
      ThreadPool::global().resize(2);
      right = right && calls_of(2) == std::vector<int>(2, 1);
      _exit(right ? 0 : 1);
    }
    int status = -1;
    CHECK_EQ(waitpid(child, &status, 0), child);
    CHECK(WIFEXITED(status) && WEXITSTATUS(status) == 0);
    CHECK(calls_of(3) == std::vector<int>(3, 1));
  }
}

TEST(a_process_that_exits_during_a_run_ends) {
  const pid_t child = fork();
  if (child == 0) {
    ThreadPool::global().resize(3);
    std::thread([] {
      for (;;) ThreadPool::global().run(3, [](int) {});
    }).detach();
    std::this_thread::sleep_for(std::chrono::milliseconds(20));
    std::exit(0);  // runs the destructors of static objects while the thread goes on
  }
  int status = -1;
  CHECK_EQ(waitpid(child, &status, 0), child);
  CHECK(WIFEXITED(status) && WEXITSTATUS(status) == 0);
}
#endif

TEST(roused_workers_do_nothing_and_stay_awake_for_the_next_run) {
  for (const int threads : {1, 2, 5}) {
    const PoolSize size(threads);
    ThreadPool& pool = ThreadPool::global();
    pool.rouse(threads);  // none has started
    CHECK_EQ(pool.of_awake(threads), 1);
    for (int repeat = 0; repeat < 200; ++repeat) {
      CHECK(calls_of(threads) == std::vector<int>(static_cast<std::size_t>(threads), 1));
      if (repeat % 20 == 0) std::this_thread::sleep_for(std::chrono::milliseconds(2));
      pool.rouse(threads + 3);
      if (repeat % 3 == 0) std::this_thread::sleep_for(std::chrono::microseconds(repeat));
      const int awake = pool.of_awake(threads);
      CHECK(awake == 1 || awake == threads);
      if (repeat % 50 == 0) pool.resize(threads);  // stops workers that have just been roused
    }
    bool asleep = false;
    for (int i = 0; i < 1000 && !asleep; ++i) {
      std::this_thread::sleep_for(std::chrono::milliseconds(5));
      asleep = pool.of_awake(threads) == 1;
    }
    CHECK(asleep);
  }
}

TEST(who_was_held_up_by_a_worker_is_alone_for_a_while) {
  const PoolSize size(2);
  ThreadPool& pool = ThreadPool::global();
  const auto hold_up = [&pool] {
    std::atomic<bool> begun{false};
    pool.run(2, [&](int part) {
      if (part == 1) {
        begun = true;
        std::this_thread::sleep_for(std::chrono::milliseconds(100));
      }
      while (!begun) std::this_thread::yield();  // the caller is not to take part 1 over
    });
  };
  const bool before = pool.share_always(true);
  hold_up();
  CHECK_EQ(pool.of_undisturbed(2, 1e6), 2);
  pool.share_always(false);
  hold_up();
  CHECK_EQ(pool.of_undisturbed(2, 1e6), 1);
  CHECK_EQ(pool.worth_waking(2, ThreadPool::kFlopsToWake), 1);
  CHECK_EQ(pool.worth_waking(2, 1e12), 2);  // alone it would take longer than was lost
  const auto end = std::chrono::steady_clock::now() + std::chrono::seconds(10);
  while (pool.of_undisturbed(2, 1e6) == 1 && std::chrono::steady_clock::now() < end) {
    std::this_thread::sleep_for(std::chrono::milliseconds(10));
  }
  CHECK_EQ(pool.of_undisturbed(2, 1e6), 2);
  hold_up();
  pool.resize(2);
  CHECK_EQ(pool.of_undisturbed(2, 1e6), 2);
  pool.share_always(before);
}

TEST(workers_are_not_asked_for_from_inside_of_a_part) {
  const PoolSize size(3);
  std::atomic<int> asked{0};
  ThreadPool::global().run(3, [&](int) {
    ThreadPool::global().rouse(3);
    if (ThreadPool::global().of_awake(3) != 1) ++asked;
  });
  CHECK_EQ(asked.load(), 0);
}

TEST(available_cores_are_at_least_one) {
  CHECK(detail::available_cores() >= 1);
  CHECK(detail::default_threads() >= 1);
}

#if defined(__unix__) || defined(__APPLE__)
TEST(the_environment_sets_the_default) {
  setenv("ELMAN_NUM_THREADS", "7", 1);
  CHECK_EQ(detail::default_threads(), 7);
  for (const char* bad : {"0", "-2", "two", "3x"}) {
    setenv("ELMAN_NUM_THREADS", bad, 1);
    CHECK_THROWS(detail::default_threads(), std::invalid_argument,
                 "[ThreadPool] ELMAN_NUM_THREADS: expected a positive integer, got '");
  }
  unsetenv("ELMAN_NUM_THREADS");
}
#endif
