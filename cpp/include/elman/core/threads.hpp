// SPDX-License-Identifier: Apache-2.0
// elman/core/threads.hpp: fork-join in a few microseconds for the parts of one kernel.
#pragma once

#include <algorithm>
#include <atomic>
#include <chrono>
#include <cstdlib>
#include <exception>
#include <memory>
#include <string>
#include <thread>
#include <type_traits>
#include <utility>
#include <vector>

#if defined(__unix__) || defined(__APPLE__)
#include <pthread.h>
#endif

#include "elman/core/aligned.hpp"
#include "elman/core/cpu_count.hpp"
#include "elman/core/errors.hpp"
#include "elman/core/placement.hpp"
#include "elman/core/shape.hpp"
#include "elman/core/waiting.hpp"

namespace elman {

/// The threads that the kernels share. Workers start with the first run() that needs them. After
/// their work they spin for 20 us, or for 500 us where runs follow each other so closely, as those
/// of a training step do; then they sleep. Where other processes need the processors, kernels that
/// would wait for them stay on the calling thread. A forked child starts again without any.
class ThreadPool {
 public:
  static constexpr int kMaxThreads = 256;

  /// The pool of this process, sized by ELMAN_NUM_THREADS or by the cores it may use.
  static ThreadPool& global() {
    static Owner owner;
    return *owner.pool;
  }

  /// Threads that one run may use, the calling thread included.
  [[nodiscard]] int size() const noexcept { return size_.load(std::memory_order_relaxed); }

  /// Waits for the present run, then changes the number of threads.
  /// Errors    std::invalid_argument unless 1 <= threads <= 256;
  ///           std::logic_error when called from inside of a part
  void resize(Index threads) {
    if (threads < 1 || threads > kMaxThreads) {
      fail("set_num_threads", "threads: expected 1 to " + std::to_string(kMaxThreads) + ", got " +
                                  std::to_string(threads));
    }
    if (inside_part()) fail_state("set_num_threads", "cannot be called from inside of a kernel");
    while (!try_acquire()) std::this_thread::yield();
    stop();
    size_.store(static_cast<int>(threads), std::memory_order_relaxed);
    alone_until_.store(0, std::memory_order_relaxed);
    alone_till_ = {};
    release();
  }

  /// Starts the workers of a run() with so many parts now, so that the run itself takes no memory.
  void prepare(int parts) {
    if (parts <= 1 || size() == 1 || inside_part() || !try_acquire()) return;
    const Taken taken(*this);
    start(std::min(parts, size()) - 1);
  }

  /// A kernel of so many operations is worth waking workers for, see worth_waking().
  static constexpr double kFlopsToWake = 4e6;

  /// Parts to run now of those that a kernel of `flops` operations is planned for: 1 where they are
  /// few and the workers sleep. Waking one takes 10 us, or 100 after a longer rest, which a kernel
  /// between much serial work would pay each time; where such kernels are dense, they wake it, the
  /// less often the sooner it slept again. 1 also where of_undisturbed() says so.
  [[nodiscard]] int worth_waking(int parts, double flops) noexcept {
    constexpr double kMostMissed = 16 * kMissedToWake;
    parts = of_undisturbed(parts, flops);
    if (parts <= 1 || flops >= kFlopsToWake || size() == 1) return parts;
    if (inside_part() || !try_acquire()) return 1;
    const Taken taken(*this);
    if (awake(parts)) {
      shared_ += flops;
      return parts;
    }
    const auto now = Clock::now();
    if (now - missed_at_ > std::chrono::microseconds(200)) missed_ = 0;
    if (now - missed_at_ > std::chrono::milliseconds(10)) missed_to_wake_ = kMissedToWake;
    missed_at_ = now;
    missed_ += flops;
    if (missed_ < missed_to_wake_) return 1;
    missed_to_wake_ =
        shared_ < kSharedToPay ? std::min(2 * missed_to_wake_, kMostMissed) : kMissedToWake;
    missed_ = 0;
    shared_ = flops;
    expected_ = true;
    return parts;
  }

  /// Parts to run now of so many, where waking workers for them does not pay: 1 while they sleep.
  [[nodiscard]] int of_awake(int parts) noexcept {
    if (parts <= 1 || size() == 1 || inside_part() || !try_acquire()) return 1;
    const Taken taken(*this);
    return awake(parts) ? parts : 1;
  }

  /// Parts to run now of those that a kernel of `flops` operations is planned for: 1 for some time
  /// after workers held up a caller for longer than their work alone would have taken it, as they
  /// do on processors that are busy with something else, if it then takes less longer alone than
  /// was lost.
  [[nodiscard]] int of_undisturbed(int parts, double flops) noexcept {
    Clock::rep until = alone_until_.load(std::memory_order_relaxed);
    if (until == 0 || parts <= 1) return parts;
    if (Clock::now().time_since_epoch().count() >= until) {
      alone_until_.compare_exchange_strong(until, 0, std::memory_order_relaxed);
      return parts;
    }
    const double saved = flops / kFlopsPerSecond * (1 - 1.0 / parts);
    return saved < lost_.load(std::memory_order_relaxed) ? 1 : parts;
  }

  /// Whether of_undisturbed() is to leave parts as they are, as for tests of what threads share; at
  /// first where the environment has ELMAN_SHARE_ALWAYS. Returns what held before.
  bool share_always(bool always) noexcept { return share_always_.exchange(always); }

  /// Part 0 has waited so long for another one.
  void held_up(std::chrono::steady_clock::duration time) noexcept { held_up_ += time; }

  /// Wakes the workers of a run() with so many parts that begins in some 100 us, after serial work:
  /// the call takes a few microseconds, but as long as that may pass till they run.
  void rouse(int parts) noexcept {
    parts = of_undisturbed(parts, kFlopsToWake);
    if (parts <= 1 || size() == 1 || inside_part() || !try_acquire()) return;
    const Taken taken(*this);
    const int helpers = crew_ == nullptr ? 0 : std::min(parts - 1, crew_->started);
    expected_ = true;
    be_patient(true);
    notify(helpers, Clock::now(), [](Worker& worker) {  // one that spins does so anew
      int idle = kIdle;
      return worker.state.compare_exchange_strong(idle, kTaken);
    });
  }

  /// Calls f(part) for every part in [0, parts), part 0 on the calling thread; returns after all.
  /// Parts may run in any order and on any thread (a caller that is done takes over parts that no
  /// worker has begun), so they must not wait for one that may not have begun. A call from inside
  /// of a part, or while another user thread has the pool, runs all parts in order on the calling
  /// thread.
  /// Errors    the exception of the lowest part that threw, once no part runs any more
  template <class F>
  void run(int parts, F&& f) {
    // f is compiled once, whoever runs a part: kernels are most of the code.
    using Callable = std::remove_reference_t<F>;
    run_job({const_cast<void*>(static_cast<const void*>(std::addressof(f))),
             [](void* context, int part) { (*static_cast<Callable*>(context))(part); }},
            parts);
  }

 private:
  using Clock = std::chrono::steady_clock;
  static constexpr double kMissedToWake = 6e7, kSharedToPay = 2e7;
  static constexpr double kFlopsPerSecond = 4e10;  // of one core, as in plan_parts()
  static constexpr std::chrono::microseconds kPatience{500};
  static constexpr std::chrono::microseconds kLate{200};  // a worker that was only woken late

  // kTaken: there is nothing to do, as the caller did the part itself or roused the worker; woken
  // for it, it stays awake for a while.
  enum State : int { kIdle, kPosted, kTaken, kStop };

  struct Job {
    void* context = nullptr;
    void (*call)(void*, int) = nullptr;

    std::exception_ptr run(int part) const noexcept {
      bool& inside = inside_part();
      const bool before = inside;
      inside = true;
      std::exception_ptr error;
      try {
        call(context, part);
      } catch (...) {
        error = std::current_exception();
      }
      inside = before;
      return error;
    }
  };

  void run_job(const Job& job, int parts) {
    if (parts <= 1 || size() == 1 || inside_part() || !try_acquire()) {
      for (int part = 0; part < parts; ++part) job.call(job.context, part);
      return;
    }
    std::exception_ptr error;
    {
      const Taken taken(*this);
      error = dispatch(job, parts);
    }
    if (error) std::rethrow_exception(error);
  }

  // One cache line each: posting work to one worker does not disturb the others.
  struct alignas(kAlignment) Worker {
    std::atomic<int> state{kIdle};
    std::atomic<int> processor{-1};  // where it ran last
    std::atomic<bool> sleeps{false};
    std::exception_ptr error;
    std::thread thread;
  };

  struct Crew {
    explicit Crew(int count) : workers(static_cast<std::size_t>(count)) {}
    std::vector<Worker> workers;
    int started = 0;
    Crew* older = nullptr;
  };

  // The pool itself is never destroyed: threads that outlive main() may still call run(), which
  // then finds the pool taken and works alone. Only the workers end with the process or library.
  struct Owner {
    ThreadPool* pool = new ThreadPool(detail::default_threads());
    Owner() {
      forked_pool() = pool;
#if defined(__unix__) || defined(__APPLE__)
      pthread_atfork(nullptr, nullptr, [] { forked_pool()->after_fork(); });
#endif
    }
    ~Owner() { pool->retire(); }
    Owner(const Owner&) = delete;
    Owner& operator=(const Owner&) = delete;
  };

  explicit ThreadPool(int threads) : size_(std::min(threads, kMaxThreads)) {}

  static ThreadPool*& forked_pool() noexcept {
    static ThreadPool* pool = nullptr;
    return pool;
  }
  static bool& inside_part() noexcept {
    static thread_local bool inside = false;
    return inside;
  }

  bool try_acquire() noexcept {
    return !busy_.load(std::memory_order_relaxed) &&
           !busy_.exchange(true, std::memory_order_acquire);
  }
  void release() noexcept { busy_.store(false, std::memory_order_release); }

  // Gives the acquired pool back, also when memory for the workers runs out.
  struct Taken {
    explicit Taken(ThreadPool& owner) noexcept : pool(owner) {}
    ~Taken() { pool.release(); }
    Taken(const Taken&) = delete;
    Taken& operator=(const Taken&) = delete;
    ThreadPool& pool;
  };

  std::exception_ptr dispatch(const Job& job, int parts) {
    const int helpers = start(std::min(parts, size()) - 1);
    const Clock::time_point begin = Clock::now();
    held_up_ = {};
    job_ = job;
    pending_.store(helpers, std::memory_order_relaxed);
    if (helpers > 0 && worker_at(helpers - 1).sleeps.load(std::memory_order_relaxed)) {
      // With patience it would have met this run, or will meet others.
      be_patient(expected_ || begin - finished_ < kPatience);
    }
    expected_ = false;
    // Sequentially consistent, as the notify must not overlook a worker going to sleep.
    notify(helpers, begin, [](Worker& worker) {
      worker.state.store(kPosted);
      return true;
    });
    std::exception_ptr first = job.run(0);
    std::exception_ptr last;  // of the parts that have no worker
    for (int part = helpers + 1; part < parts; ++part) keep_first(last, job.run(part));
    take_over(job, helpers);
    finished_ = Clock::now();
    const Clock::duration own = finished_ - begin - held_up_;
    await_workers();
    for (int i = 0; i < helpers; ++i) {
      keep_first(first, std::exchange(worker_at(i).error, nullptr));
    }
    keep_first(first, last);
    const Clock::duration lost = finished_ - begin - own;
    if (!first && lost > helpers * own + kLate) be_alone(lost);
    return first;
  }

  // Notifies each of the first workers whose state post(worker) has changed.
  template <class Post>
  void notify(int helpers, Clock::time_point now, Post&& post) noexcept {
    const int here = detail::current_processor();
    const bool wary = misplaces(now);
    detail::Displaced displaced;
    for (int i = 0; i < helpers; ++i) {
      Worker& worker = worker_at(i);
      const int last = worker.processor.load(std::memory_order_relaxed);
      const bool doubtful = last < 0 || (wary && worker.sleeps.load(std::memory_order_relaxed));
      if (here >= 0 && (last == here || doubtful)) displaced.move(worker.thread, here, size());
      if (post(worker)) worker.state.notify_one();
    }
  }

  // More threads than cores would spin where others have work.
  void be_patient(bool patient) noexcept {
    patient_.store(patient && !crowded_, std::memory_order_relaxed);
  }

  // Whether the last of the workers for so many parts is; the caller holds the pool.
  bool awake(int parts) noexcept {
    const int last = std::min(parts, size()) - 2;
    return crew_ != nullptr && last < crew_->started && !worker_at(last).sleeps.load();
  }

  static void keep_first(std::exception_ptr& kept, const std::exception_ptr& next) noexcept {
    if (!kept) kept = next;
  }

  // A worker whose core is busy with something else must not hold up the caller.
  void take_over(const Job& job, int helpers) noexcept {
    for (int i = helpers - 1; i >= 0; --i) {
      Worker& worker = worker_at(i);
      int expected = kPosted;
      if (worker.state.compare_exchange_strong(expected, kTaken)) {
        // It may stand behind this thread, woken but not run.
        worker.processor.store(-1, std::memory_order_relaxed);
        dispatched_ = {};
        worker.error = job.run(i + 1);
        pending_.fetch_sub(1);
      }
    }
  }

  void await_workers() noexcept {
    const auto done = [this] { return pending_.load(std::memory_order_acquire) == 0; };
    if (done()) return;
    detail::spin_until(done);
    for (int left = pending_.load(); left != 0; left = pending_.load()) pending_.wait(left);
    finished_ = Clock::now();
  }

  // Four times as long as that was lost, and four times as long as before where it happens again.
  void be_alone(Clock::duration lost) noexcept {
    if (share_always_.load(std::memory_order_relaxed)) return;
    constexpr Clock::duration kMost = std::chrono::seconds(1);
    const bool again = finished_ - alone_till_ < 16 * lost;
    alone_for_ = std::min(4 * (again ? std::max(alone_for_, lost) : lost), kMost);
    alone_till_ = finished_ + alone_for_;
    lost_.store(std::chrono::duration<double>(lost).count(), std::memory_order_relaxed);
    alone_until_.store(alone_till_.time_since_epoch().count(), std::memory_order_relaxed);
  }

  // Whether a sleeping worker is likely to be woken on the caller's processor, wherever it ran
  // last: a virtual one that rested does not count as idle. For 10 ms after a rest of 1 ms, or
  // after a part that no worker began; to move a worker always would cost 5 us each time.
  bool misplaces(Clock::time_point now) noexcept {
    if (now - dispatched_ > std::chrono::milliseconds(1)) {
      wary_until_ = now + std::chrono::milliseconds(10);
    }
    dispatched_ = now;
    return now < wary_until_;
  }

  // Returns how many of the first `wanted` workers exist. Fewer than wanted (a limit of the
  // process, no memory) is no error: the caller does their parts.
  int start(int wanted) noexcept {
    const int started = crew_ == nullptr ? 0 : crew_->started;
    if (started < wanted && !at_limit_) {
      const detail::SignalShield shield;
      try {
        start_workers(wanted);
      } catch (const std::exception&) {
        at_limit_ = true;  // not tried again before the next resize
      }
    }
    return crew_ == nullptr ? 0 : std::min(wanted, crew_->started);
  }

  void start_workers(int wanted) {
    if (crew_ == nullptr) {
      crew_ = new Crew(size() - 1);
      crew_->older = forgotten_;
      crowded_ = size() > detail::available_cores();
    }
    for (; crew_->started < wanted; ++crew_->started) {
      const int i = crew_->started;
      worker_at(i).thread = std::thread([this, i] { work(i); });
    }
  }

  void work(int i) noexcept {
    Worker& worker = worker_at(i);
    const auto called = [&worker] { return worker.state.load(std::memory_order_acquire) != kIdle; };
    for (;;) {
      detail::spin_until(called,
                         patient_.load(std::memory_order_relaxed) ? kPatience : detail::kWakeUp);
      worker.sleeps.store(true, std::memory_order_relaxed);
      worker.state.wait(kIdle);
      worker.sleeps.store(false, std::memory_order_relaxed);
      worker.processor.store(detail::current_processor(), std::memory_order_relaxed);
      int expected = kPosted;
      if (worker.state.compare_exchange_strong(expected, kIdle)) {
        worker.error = job_.run(i + 1);
        if (pending_.fetch_sub(1) == 1) pending_.notify_one();
      } else if (expected == kStop) {
        return;
      } else if (expected == kTaken) {
        worker.state.compare_exchange_strong(expected, kIdle);
      }
    }
  }

  // The caller holds the pool.
  void stop() noexcept {
    if (crew_ == nullptr) return;
    for (int i = 0; i < crew_->started; ++i) {
      Worker& worker = worker_at(i);
      worker.state.store(kStop);
      worker.state.notify_one();
    }
    for (int i = 0; i < crew_->started; ++i) worker_at(i).thread.join();
    delete crew_;
    crew_ = nullptr;
    at_limit_ = false;
  }

  // At the end of the process: a user thread that is inside of a kernel gets 100 ms to leave it.
  // The pool stays taken afterwards.
  void retire() noexcept {
    for (int i = 0; i < 100; ++i) {
      if (try_acquire()) return stop();
      std::this_thread::sleep_for(std::chrono::milliseconds(1));
    }
  }

  // The child of a fork has none of the threads. Their handles can neither be joined nor
  // destroyed, so they stay in a list that nobody reads.
  void after_fork() noexcept {
    if (crew_ != nullptr) {
      forgotten_ = crew_;
      crew_ = nullptr;
    }
    at_limit_ = false;
    pending_.store(0);
    release();
  }

  Worker& worker_at(int i) noexcept { return crew_->workers[static_cast<std::size_t>(i)]; }

  std::atomic<int> size_;
  std::atomic<bool> busy_{false};
  bool at_limit_ = false, crowded_ = false;
  bool expected_ = false;  // the next run wakes workers for those behind it as well
  // Flops of small kernels that sleeping workers could have shared, after how many of them one is
  // woken, and how many it has shared since it was woken last.
  double missed_ = 0, missed_to_wake_ = kMissedToWake, shared_ = kSharedToPay;
  Clock::time_point missed_at_, dispatched_, finished_, wary_until_;
  Clock::duration held_up_{};  // in the present run
  // Till when, and how long the last time, callers are alone, and what was lost, in seconds.
  Clock::time_point alone_till_;
  Clock::duration alone_for_{};
  std::atomic<Clock::rep> alone_until_{0};  // alone_till_, 0 once it has passed
  std::atomic<double> lost_{0};
  std::atomic<bool> share_always_{std::getenv("ELMAN_SHARE_ALWAYS") != nullptr};
  std::atomic<bool> patient_{false};  // workers spin for kPatience
  Job job_;
  Crew* crew_ = nullptr;
  Crew* forgotten_ = nullptr;
  alignas(kAlignment) std::atomic<int> pending_{0};
};

/// Parts worth starting for a kernel of `flops` operations on `units` independent units.
/// Below 2e5 flop (about 5 us on one core) a part costs more to start than it saves.
[[nodiscard]] inline int plan_parts(double flops, Index units) {
  constexpr double kFlopsPerPart = 2e5;
  const double by_work = flops / kFlopsPerPart;
  if (by_work < 2 || units < 2) return 1;
  const double most = std::min(by_work, static_cast<double>(units));
  const int threads = ThreadPool::global().size();
  return most < threads ? static_cast<int>(most) : threads;
}

/// What the loads and stores of so many elements count for, in flops, `each` an element. Nothing
/// where one core's L2 holds most of them: threads that share them save less than it takes to pass
/// them from core to core, to and fro.
[[nodiscard]] constexpr double memory_flops(Index elements, double each) noexcept {
  constexpr Index kOfOneCore = 128 * 1024;
  return elements < kOfOneCore ? 0 : each * static_cast<double>(elements);
}

struct Range {
  Index begin = 0;
  Index end = 0;
  [[nodiscard]] Index size() const noexcept { return end - begin; }
};

/// The share of one part of [0, units): contiguous, sizes differ by at most one.
[[nodiscard]] constexpr Range part_range(Index units, int parts, int part) noexcept {
  const Index share = units / parts;
  const Index rest = units % parts;
  const Index begin = part * share + std::min<Index>(part, rest);
  return {begin, begin + share + (part < rest ? 1 : 0)};
}

/// Calls f(begin, end) on contiguous shares of [0, units), in parallel when the work pays for it.
template <class F>
void parallel_for(double flops, Index units, F&& f) {
  if (units <= 0) return;
  ThreadPool& pool = ThreadPool::global();
  const int parts = pool.worth_waking(plan_parts(flops, units), flops);
  pool.run(parts, [&](int part) {
    const Range range = part_range(units, parts, part);
    f(range.begin, range.end);
  });
}

}  // namespace elman
