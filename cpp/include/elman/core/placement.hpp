// SPDX-License-Identifier: Apache-2.0
// elman/core/placement.hpp: keeps a worker off the processor of the thread that waits for it.
#pragma once

#include <algorithm>
#include <cstddef>
#include <thread>

#if defined(__linux__)
#include <pthread.h>
#include <sched.h>
#endif

namespace elman::detail {

#if defined(__linux__)

/// The processor that the calling thread runs on, -1 if unknown.
inline int current_processor() noexcept { return sched_getcpu(); }

/// Moves a thread away from one processor, for the life of this object. A thread that is woken
/// starts where it ran last, and on virtual machines the scheduler may leave it there, behind the
/// thread that woke it, for milliseconds while other processors idle: two threads then take the
/// time of one.
class Displaced {
 public:
  Displaced() = default;
  Displaced(const Displaced&) = delete;
  Displaced& operator=(const Displaced&) = delete;
  /// It may run everywhere again, and stays where it is.
  ~Displaced() {
    if (moved_) pthread_setaffinity_np(handle_, sizeof allowed_, &allowed_);
  }

  /// Does nothing unless the thread may run on `threads` processors, and for a second thread.
  void move(std::thread& thread, int processor, int threads) noexcept {
    if (moved_) return;
    handle_ = thread.native_handle();
    if (pthread_getaffinity_np(handle_, sizeof allowed_, &allowed_) != 0) return;
    if (CPU_COUNT(&allowed_) < std::max(threads, 2)) return;
    cpu_set_t others = allowed_;
    CPU_CLR(static_cast<std::size_t>(processor), &others);
    moved_ = pthread_setaffinity_np(handle_, sizeof others, &others) == 0;
  }

 private:
  pthread_t handle_{};
  cpu_set_t allowed_{};
  bool moved_ = false;
};

#else

inline int current_processor() noexcept { return -1; }

class Displaced {
 public:
  void move(std::thread&, int, int) noexcept {}
};

#endif

}  // namespace elman::detail
