// SPDX-License-Identifier: Apache-2.0
// elman/core/cpu_count.hpp: how many threads this process should start.
#pragma once

#include <algorithm>
#include <charconv>
#include <cmath>
#include <cstdlib>
#include <fstream>
#include <set>
#include <string>
#include <string_view>
#include <thread>

#if defined(__linux__)
#include <sched.h>
#endif

#include "elman/core/errors.hpp"

namespace elman::detail {

#if defined(__linux__)
/// Distinct physical cores among the processors this process may run on; 0 if unknown.
/// The second hardware thread of a core adds nothing to a kernel that fills its vector units.
inline int allowed_cores() {
  cpu_set_t allowed;
  if (sched_getaffinity(0, sizeof allowed, &allowed) != 0) return 0;
  std::set<std::string> cores;
  for (int cpu = 0; cpu < CPU_SETSIZE; ++cpu) {
    if (!CPU_ISSET(cpu, &allowed)) continue;
    std::ifstream file("/sys/devices/system/cpu/cpu" + std::to_string(cpu) +
                       "/topology/thread_siblings_list");
    std::string siblings;
    if (!std::getline(file, siblings)) siblings = std::to_string(cpu);
    cores.insert(siblings);
  }
  return static_cast<int>(cores.size());
}

/// The processor quota of a container (cgroup v2), rounded up; 0 if there is none.
inline int quota_cores() {
  std::ifstream file("/sys/fs/cgroup/cpu.max");
  double quota = 0;
  double period = 0;
  if (!(file >> quota >> period) || quota <= 0 || period <= 0) return 0;
  return static_cast<int>(std::ceil(quota / period));
}
#else
inline int allowed_cores() { return 0; }
inline int quota_cores() { return 0; }
#endif

/// Cores that this process can keep busy: affinity, hyper-threads and container quota considered.
inline int available_cores() {
  int cores = allowed_cores();
  if (cores <= 0) cores = static_cast<int>(std::thread::hardware_concurrency());
  if (const int quota = quota_cores(); quota > 0) cores = std::min(cores, quota);
  return std::max(cores, 1);
}

/// ELMAN_NUM_THREADS, or the number of available cores.
/// Errors    std::invalid_argument when the variable is not a positive integer
inline int default_threads() {
  const char* variable = std::getenv("ELMAN_NUM_THREADS");
  if (variable == nullptr || *variable == '\0') return available_cores();
  const std::string_view text(variable);
  int threads = 0;
  const auto [end, code] = std::from_chars(text.data(), text.data() + text.size(), threads);
  if (code != std::errc() || end != text.data() + text.size() || threads < 1) {
    fail("ThreadPool",
         "ELMAN_NUM_THREADS: expected a positive integer, got '" + std::string(text) + "'");
  }
  return threads;
}

}  // namespace elman::detail
