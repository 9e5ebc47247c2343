// SPDX-License-Identifier: Apache-2.0
// bench.hpp: what the benchmarks share: random arrays, counters, the list of benchmarks.
#pragma once

#include <benchmark/benchmark.h>

#include <string>

#include <elman/elman.hpp>

namespace bench {

using elman::Index;
using Buffer = elman::AlignedBuffer<float>;

inline Buffer normal(Index count, std::uint64_t counter, double deviation) {
  Buffer out(count);
  elman::fill_normal(elman::RandomKey{1, counter}, 0.0F, static_cast<float>(deviation), out.data(),
                     count);
  return out;
}

/// Runs `call` until the clock has seen enough of it.
template <class Call>
inline void repeat(benchmark::State& state, int threads, Call&& call) {
  elman::ThreadPool::global().resize(threads);
  call();  // grows the arenas
  for ([[maybe_unused]] auto _ : state) {
    call();
    benchmark::ClobberMemory();
  }
}

/// Shows `count` per call as a rate, e.g. GFLOP/s for a count of 1e-9 flop.
inline void rate(benchmark::State& state, const std::string& unit, double count) {
  state.counters[unit] = benchmark::Counter(count, benchmark::Counter::kIsIterationInvariantRate);
}

/// Wall time, as the library's threads are not the benchmark's own.
inline void settle(benchmark::internal::Benchmark* one) {
  one->UseRealTime()->Unit(benchmark::kMicrosecond);
}

void register_recurrent(int threads);
void register_kernels(int threads);

}  // namespace bench
