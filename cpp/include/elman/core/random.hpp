// SPDX-License-Identifier: Apache-2.0
// elman/core/random.hpp: counter-based random numbers; element i is a function of its own.
#pragma once

#include <algorithm>
#include <array>
#include <cmath>
#include <cstddef>
#include <cstdint>
#include <numbers>
#include <string>
#include <type_traits>
#include <utility>

#include "elman/core/shape.hpp"
#include "elman/core/threads.hpp"

namespace elman {

/// Philox4x32-10: ten keyed rounds turn a 128 bit counter into 128 random bits.
/// Source    Salmon et al., "Parallel random numbers: as easy as 1, 2, 3", SC 2011
struct Philox {
  using Block = std::array<std::uint32_t, 4>;
  using Key = std::array<std::uint32_t, 2>;

  [[nodiscard]] static constexpr Block block(Block c, Key k) noexcept {
    for (int round = 0; round < 10; ++round) {
      const std::uint64_t p0 = std::uint64_t{0xD2511F53} * c[0];
      const std::uint64_t p1 = std::uint64_t{0xCD9E8D57} * c[2];
      c = {high(p1) ^ c[1] ^ k[0], low(p1), high(p0) ^ c[3] ^ k[1], low(p0)};
      k = {k[0] + 0x9E3779B9U, k[1] + 0xBB67AE85U};
    }
    return c;
  }

  static constexpr std::uint32_t low(std::uint64_t x) noexcept {
    return static_cast<std::uint32_t>(x);
  }
  static constexpr std::uint32_t high(std::uint64_t x) noexcept {
    return static_cast<std::uint32_t>(x >> 32);
  }
};

/// One draw: `seed` names the run and `counter` the draw within it. Block b holds the bits of a
/// few neighbouring elements, so every element depends on (seed, counter, index) alone and any
/// partition over threads gives the same bits.
struct RandomKey {
  std::uint64_t seed = 0;
  std::uint64_t counter = 0;

  /// `attempt` (below 2^16) numbers the redraws of a rejected block; blocks stay below 2^48.
  [[nodiscard]] constexpr Philox::Block block(Index b, std::uint32_t attempt = 0) const noexcept {
    const auto wide = static_cast<std::uint64_t>(b);
    return Philox::block({Philox::low(wide), Philox::high(wide) | attempt << 16,
                          Philox::low(counter), Philox::high(counter)},
                         {Philox::low(seed), Philox::high(seed)});
  }
};

namespace detail {

/// 24 bits in [0, 1).
[[nodiscard]] constexpr float unit_float(std::uint32_t bits) noexcept {
  return static_cast<float>(bits >> 8) * 0x1p-24F;
}

/// 53 bits in [0, 1), as numpy makes them of two words.
[[nodiscard]] constexpr double unit_double(std::uint32_t a, std::uint32_t b) noexcept {
  return (static_cast<double>(a >> 5) * 0x1p26 + static_cast<double>(b >> 6)) * 0x1p-53;
}

/// Elements of T that one block serves.
template <class T>
inline constexpr Index kPerBlock = std::is_same_v<T, float> ? 4 : 2;

template <class T>
using Draws = std::array<T, static_cast<std::size_t>(kPerBlock<T>)>;

template <class T>
[[nodiscard]] constexpr Draws<T> unit_draws(const Philox::Block& r) noexcept {
  if constexpr (std::is_same_v<T, float>) {
    return {unit_float(r[0]), unit_float(r[1]), unit_float(r[2]), unit_float(r[3])};
  } else {
    return {unit_double(r[0], r[1]), unit_double(r[2], r[3])};
  }
}

/// Two standard normal numbers of u in (0, 1] and v in [0, 1).
/// Source    Box, Muller: "A note on the generation of random normal deviates", 1958
[[nodiscard]] inline std::array<double, 2> box_muller(double u, double v) noexcept {
  const double radius = std::sqrt(-2.0 * std::log(u));
  const double angle = 2.0 * std::numbers::pi * v;
  return {radius * std::cos(angle), radius * std::sin(angle)};
}

/// The standard normal numbers of one block: float64 has 53 random bits behind each uniform,
/// float32 has 32 (so its tail ends at 6.7 standard deviations).
template <class T>
[[nodiscard]] Draws<T> normal_draws(const Philox::Block& r) noexcept {
  if constexpr (std::is_same_v<T, float>) {
    const auto unit = [](std::uint32_t bits) { return static_cast<double>(bits) * 0x1p-32; };
    const auto a = box_muller(unit(r[0]) + 0x1p-32, unit(r[1]));
    const auto b = box_muller(unit(r[2]) + 0x1p-32, unit(r[3]));
    return {static_cast<float>(a[0]), static_cast<float>(a[1]), static_cast<float>(b[0]),
            static_cast<float>(b[1])};
  } else {
    return box_muller(unit_double(r[0], r[1]) + 0x1p-53, unit_double(r[2], r[3]));
  }
}

/// The first standard normal number within 2 standard deviations among the redraws of element i.
/// 4.6 % are rejected, so 2^16 redraws never run out.
[[nodiscard]] inline double truncated_draw(const RandomKey& key, Index i) noexcept {
  for (std::uint32_t attempt = 0;; ++attempt) {
    for (const double z : normal_draws<double>(key.block(i, attempt))) {
      if (std::abs(z) <= 2.0) return z;
    }
  }
}

/// out[i] = the number that draw(block index) gives element i, blocks spread over the threads.
template <class T, class Draw>
void fill_blocks(T* out, Index n, Draw&& draw) {
  constexpr Index kPer = kPerBlock<T>;
  const Index blocks = (n + kPer - 1) / kPer;
  constexpr double kFlopsPerBlock = 100;  // ten rounds and what follows them
  parallel_for(kFlopsPerBlock * static_cast<double>(blocks), blocks, [&](Index begin, Index end) {
    for (Index b = begin; b < end; ++b) {
      const Draws<T> values = draw(b);
      const Index count = std::min(kPer, n - b * kPer);
      for (Index i = 0; i < count; ++i) out[b * kPer + i] = values[static_cast<std::size_t>(i)];
    }
  });
}

}  // namespace detail

/// out[i] uniform in [low, high), 24 random bits for float and 53 for double.
/// Shapes    out [n]            Aliasing  none            Errors  does not throw
template <class T>
void fill_uniform(const RandomKey& key, T low, T high, T* out, Index n) {
  const T width = high - low;
  detail::fill_blocks(out, n, [&](Index b) {
    auto values = detail::unit_draws<T>(key.block(b));
    for (T& value : values) {
      value = low + width * value;
      // The rounded sum may reach `high`, which is not part of the interval.
      if (value >= high && width > T(0)) value = std::nextafter(high, low);
    }
    return values;
  });
}

/// out[i] normal with the given mean and standard deviation; float64 arithmetic inside.
template <class T>
void fill_normal(const RandomKey& key, T mean, T stddev, T* out, Index n) {
  detail::fill_blocks(out, n, [&](Index b) {
    auto values = detail::normal_draws<T>(key.block(b));
    for (T& value : values) value = mean + stddev * value;
    return values;
  });
}

/// out[i] normal, redrawn until it lies within two standard deviations of the mean.
template <class T>
void fill_truncated_normal(const RandomKey& key, T mean, T stddev, T* out, Index n) {
  constexpr double kFlopsPerDraw = 150;
  parallel_for(kFlopsPerDraw * static_cast<double>(n), n, [&](Index begin, Index end) {
    for (Index i = begin; i < end; ++i) {
      out[i] = mean + stddev * static_cast<T>(detail::truncated_draw(key, i));
    }
  });
}

/// out[i] = 0 with probability rate, else 1 / (1 - rate).
/// Errors    std::invalid_argument unless 0 <= rate < 1
template <class T>
void fill_dropout_mask(const RandomKey& key, double rate, T* out, Index n) {
  if (!(rate >= 0 && rate < 1)) {
    fail("dropout", "rate: expected 0 <= rate < 1, got " + std::to_string(rate));
  }
  const T limit = static_cast<T>(rate);
  const T keep = static_cast<T>(1.0 / (1.0 - rate));
  detail::fill_blocks(out, n, [&](Index b) {
    auto values = detail::unit_draws<T>(key.block(b));
    for (T& value : values) value = value < limit ? T(0) : keep;
    return values;
  });
}

/// A random order of 0 ... n-1 (Fisher-Yates; sequential by nature).
inline void fill_permutation(const RandomKey& key, std::int64_t* out, Index n) noexcept {
  for (Index i = 0; i < n; ++i) out[i] = i;
  for (Index i = n - 1; i > 0; --i) {
    const Philox::Block r = key.block(i);
    const double u = detail::unit_double(r[0], r[1]);
    std::swap(out[i], out[static_cast<Index>(u * static_cast<double>(i + 1))]);
  }
}

}  // namespace elman
