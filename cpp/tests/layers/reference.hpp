// SPDX-License-Identifier: Apache-2.0
// reference.hpp: random operands, and what a window reads, as plain loops.
#pragma once

#include <vector>

#include "elman/core/random.hpp"
#include "elman/layers/window.hpp"

namespace elman::test {

template <class T>
std::vector<T> draw(Index n, std::uint64_t seed, T low = T(-0.9), T high = T(0.9)) {
  std::vector<T> out(static_cast<std::size_t>(n));
  fill_uniform<T>({seed, 0}, low, high, out.data(), n);
  return out;
}

/// Calls f(output element without filter, tap, input element without channel) for all pairs.
template <class F>
void each_pair(const Window& w, Index samples, F&& f) {
  const auto& [depth, height, width] = w.axes;
  for (Index row = 0; row < samples * w.outputs(); ++row) {
    const Index n = row / w.outputs(), p = row % w.outputs();
    const Index od = p / (height.out * width.out), oh = p / width.out % height.out;
    for (Index tap = 0; tap < w.taps(); ++tap) {
      const Index d = depth.start(od) + tap / (height.taps * width.taps) * depth.dilation;
      const Index h = height.start(oh) + tap / width.taps % height.taps * height.dilation;
      const Index v = width.start(p % width.out) + tap % width.taps * width.dilation;
      if (d < 0 || d >= depth.in || h < 0 || h >= height.in || v < 0 || v >= width.in) continue;
      f(row, tap, ((n * depth.in + d) * height.in + h) * width.in + v);
    }
  }
}

}  // namespace elman::test
