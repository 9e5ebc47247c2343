// SPDX-License-Identifier: Apache-2.0
// elman/core/waiting.hpp: how a thread waits for another, and what it starts without signals.
#pragma once

#include <chrono>

#if defined(__unix__) || defined(__APPLE__)
#include <pthread.h>
#include <signal.h>
#endif
#if defined(__x86_64__) || defined(_M_X64)
#include <immintrin.h>
#endif

namespace elman::detail {

inline void cpu_pause() noexcept {
#if defined(__x86_64__) || defined(_M_X64)
  _mm_pause();
#elif defined(__aarch64__)
  __asm__ __volatile__("yield");
#endif
}

/// About one wake-up of a parked thread: a time loop that forks every few microseconds never
/// sleeps, and an idle pool stops burning cores at once.
inline constexpr std::chrono::microseconds kWakeUp{20};

/// Spins until ready() or for at most that long.
template <class Ready>
void spin_until(Ready&& ready, std::chrono::microseconds most = kWakeUp) {
  const auto end = std::chrono::steady_clock::now() + most;
  do {
    for (int i = 0; i < 32; ++i) {
      if (ready()) return;
      cpu_pause();
    }
  } while (std::chrono::steady_clock::now() < end);
}

/// Holds signals back from the threads that are started during its life, so that Ctrl-C reaches
/// the thread that handles it.
class SignalShield {
#if defined(__unix__) || defined(__APPLE__)
 public:
  SignalShield() noexcept {
    sigset_t all;
    sigfillset(&all);
    pthread_sigmask(SIG_SETMASK, &all, &saved_);
  }
  ~SignalShield() { pthread_sigmask(SIG_SETMASK, &saved_, nullptr); }
  SignalShield(const SignalShield&) = delete;
  SignalShield& operator=(const SignalShield&) = delete;

 private:
  sigset_t saved_;
#endif
};

}  // namespace elman::detail
