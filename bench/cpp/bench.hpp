// SPDX-License-Identifier: Apache-2.0
// bench.hpp: interleaved timing of functions, median and spread.
#pragma once

#include <algorithm>
#include <chrono>
#include <cstddef>
#include <functional>
#include <string>
#include <vector>

namespace bench {

struct Candidate {
  std::string name;
  std::function<void()> run;
  double flops = 0;  // of one call
  std::vector<double> samples = {};

  [[nodiscard]] double quantile(double q) const {
    std::vector<double> sorted = samples;
    std::sort(sorted.begin(), sorted.end());
    return sorted[static_cast<std::size_t>(q * double(sorted.size() - 1) + 0.5)];
  }
  [[nodiscard]] double median() const { return quantile(0.5); }
  /// Half of the middle half, as a share of the median.
  [[nodiscard]] double spread() const { return (quantile(0.75) - quantile(0.25)) / 2 / median(); }
};

inline double seconds_of(const std::function<void()>& run, int count) {
  const auto begin = std::chrono::steady_clock::now();
  for (int i = 0; i < count; ++i) run();
  const std::chrono::duration<double> taken = std::chrono::steady_clock::now() - begin;
  return taken.count();
}

/// Times all candidates in turns for about `seconds` together, so that a drift of the machine hits
/// them alike. A sample is the mean over calls of about 20 ms, so that the clock's grain is small.
inline void interleave(std::vector<Candidate>& candidates, double seconds) {
  std::vector<int> counts;
  double round = 0;
  for (const Candidate& candidate : candidates) {
    candidate.run();  // packs weights, fills caches
    const double once = std::max(seconds_of(candidate.run, 1), 1e-8);
    counts.push_back(std::max(1, static_cast<int>(0.02 / once)));
    round += once * counts.back();
  }
  const int rounds = std::clamp(static_cast<int>(seconds / round), 5, 101);
  for (int i = 0; i < rounds; ++i) {
    for (std::size_t c = 0; c < candidates.size(); ++c) {
      Candidate& candidate = candidates[(c + std::size_t(i)) % candidates.size()];
      const int count = counts[(c + std::size_t(i)) % candidates.size()];
      if (count > 1) candidate.run();  // not timed: the one before has emptied the caches
      candidate.samples.push_back(seconds_of(candidate.run, count) / count);
    }
  }
}

}  // namespace bench
