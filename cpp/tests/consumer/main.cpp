// SPDX-License-Identifier: Apache-2.0
// main.cpp: a program of a user who found elman through CMake.
#include <array>
#include <cstdio>

#include <elman/elman.hpp>

int main() {
  std::array<float, 4> values{};
  elman::fill_uniform(elman::RandomKey{1, 0}, 0.0F, 1.0F, values.data(), 4);
  std::printf("elman %s: %g\n", elman::kVersion, static_cast<double>(values[0]));
  return values[0] >= 0.0F && values[0] < 1.0F ? 0 : 1;
}
