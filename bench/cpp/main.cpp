// SPDX-License-Identifier: Apache-2.0
// main.cpp: registers the benchmarks for one and two threads and runs those that are asked for.
#include <string>

#include "bench.hpp"

int main(int argc, char** argv) {
  benchmark::Initialize(&argc, argv);
  if (benchmark::ReportUnrecognizedArguments(argc, argv)) return 1;
  benchmark::AddCustomContext("elman", elman::kVersion);
  benchmark::AddCustomContext("float32 lanes", std::to_string(elman::simd::kWidth<float>));
  for (const int threads : {1, 2}) {
    bench::register_kernels(threads);
    bench::register_recurrent(threads);
  }
  benchmark::RunSpecifiedBenchmarks();
  benchmark::Shutdown();
  return 0;
}
