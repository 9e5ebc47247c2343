# SPDX-License-Identifier: Apache-2.0
# Google Benchmark, for bench/cpp alone: where it is missing the benchmarks are left out.
find_package(benchmark QUIET)
if(benchmark_FOUND)
  message(STATUS "Google Benchmark ${benchmark_VERSION}: ${benchmark_DIR}")
else()
  message(STATUS "Google Benchmark not found (Debian: libbenchmark-dev): no C++ benchmarks")
endif()
