// SPDX-License-Identifier: Apache-2.0
// elman/core/cpu_level.hpp: the x86-64 level of the processor at run time.
#pragma once

#if defined(__x86_64__) && (defined(__GNUC__) || defined(__clang__))
#include <cpuid.h>
#define ELMAN_HAS_CPUID 1
#endif

namespace elman {

/// 1 to 4 for x86-64-v1 ... v4, 0 on other processors. A level counts only if the operating
/// system saves its registers, too.
/// Source    x86-64 psABI, section "Micro-architecture levels"
#if defined(ELMAN_HAS_CPUID)
inline int x86_64_level() noexcept {
  __builtin_cpu_init();
  unsigned eax = 0;
  unsigned ebx = 0;
  unsigned ecx1 = 0;  // leaf 1: what __builtin_cpu_supports has no name for in older compilers
  unsigned ecx8 = 0;  // leaf 0x80000001
  unsigned edx = 0;
  __get_cpuid(1, &eax, &ebx, &ecx1, &edx);
  __get_cpuid(0x80000001U, &eax, &ebx, &ecx8, &edx);
  constexpr unsigned kCmpxchg16b = 1U << 13;
  constexpr unsigned kMovbe = 1U << 22;
  constexpr unsigned kF16c = 1U << 29;
  constexpr unsigned kLahf = 1U << 0;
  constexpr unsigned kLzcnt = 1U << 5;

  const bool v2 = __builtin_cpu_supports("ssse3") && __builtin_cpu_supports("sse4.1") &&
                  __builtin_cpu_supports("sse4.2") && __builtin_cpu_supports("popcnt") &&
                  (ecx1 & kCmpxchg16b) != 0 && (ecx8 & kLahf) != 0;
  if (!v2) return 1;
  const bool v3 = __builtin_cpu_supports("avx2") && __builtin_cpu_supports("fma") &&
                  __builtin_cpu_supports("bmi") && __builtin_cpu_supports("bmi2") &&
                  (ecx1 & kMovbe) != 0 && (ecx1 & kF16c) != 0 && (ecx8 & kLzcnt) != 0;
  if (!v3) return 2;
  const bool v4 = __builtin_cpu_supports("avx512f") && __builtin_cpu_supports("avx512bw") &&
                  __builtin_cpu_supports("avx512cd") && __builtin_cpu_supports("avx512dq") &&
                  __builtin_cpu_supports("avx512vl");
  return v4 ? 4 : 3;
}
#undef ELMAN_HAS_CPUID
#else
inline int x86_64_level() noexcept { return 0; }
#endif

}  // namespace elman
