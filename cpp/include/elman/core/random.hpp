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
    rounds(c[0], c[1], c[2], c[3], k[0], k[1]);
    return c;
  }

  // Written out, without a loop or an array: that is what compilers vectorise across blocks.
  static constexpr void rounds(std::uint32_t& a, std::uint32_t& b, std::uint32_t& c,
                               std::uint32_t& d, std::uint32_t k0, std::uint32_t k1) noexcept {
    for_ten([&] {
      const std::uint64_t p0 = std::uint64_t{0xD2511F53} * a;
      const std::uint64_t p1 = std::uint64_t{0xCD9E8D57} * c;
      a = high(p1) ^ b ^ k0;
      b = low(p1);
      c = high(p0) ^ d ^ k1;
      d = low(p0);
      k0 += 0x9E3779B9U;
      k1 += 0xBB67AE85U;
    });
  }

  static constexpr std::uint32_t low(std::uint64_t x) noexcept {
    return static_cast<std::uint32_t>(x);
  }
  static constexpr std::uint32_t high(std::uint64_t x) noexcept {
    return static_cast<std::uint32_t>(x >> 32);
  }

 private:
  template <class F>
  static constexpr void for_ten(F&& f) noexcept {
    f(), f(), f(), f(), f(), f(), f(), f(), f(), f();
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

/// Blocks that are made together, in the lanes of vectors.
inline constexpr Index kPhiloxLanes = 64;

/// The 4 * kPhiloxLanes words of the blocks first, first + 1, ... in their order.
inline void philox_words(const RandomKey& key, Index first, std::uint32_t* words) noexcept {
  alignas(kAlignment) std::array<std::uint32_t, 4 * kPhiloxLanes> planes;
  std::uint32_t* plane = planes.data();
  for (Index i = 0; i < kPhiloxLanes; ++i) {
    const auto block = static_cast<std::uint64_t>(first + i);
    std::uint32_t a = Philox::low(block);
    std::uint32_t b = Philox::high(block);
    std::uint32_t c = Philox::low(key.counter);
    std::uint32_t d = Philox::high(key.counter);
    Philox::rounds(a, b, c, d, Philox::low(key.seed), Philox::high(key.seed));
    plane[i] = a;
    plane[kPhiloxLanes + i] = b;
    plane[2 * kPhiloxLanes + i] = c;
    plane[3 * kPhiloxLanes + i] = d;
  }
  for (Index i = 0; i < kPhiloxLanes; ++i) {
    for (Index word = 0; word < 4; ++word) words[4 * i + word] = plane[word * kPhiloxLanes + i];
  }
}

// The casts to signed integers are what SSE and AVX2 can convert.
/// 24 bits in [0, 1).
[[nodiscard]] constexpr float unit_float(std::uint32_t bits) noexcept {
  return static_cast<float>(static_cast<std::int32_t>(bits >> 8)) * 0x1p-24F;
}

/// 53 bits in [0, 1), as numpy makes them of two words.
[[nodiscard]] constexpr double unit_double(std::uint32_t a, std::uint32_t b) noexcept {
  return (static_cast<double>(static_cast<std::int32_t>(a >> 5)) * 0x1p26 +
          static_cast<double>(static_cast<std::int32_t>(b >> 6))) *
         0x1p-53;
}

/// Words behind one element of T.
template <class T>
inline constexpr Index kWords = std::is_same_v<T, float> ? 1 : 2;

/// Element i in [0, 1) of a group of words.
template <class T>
[[nodiscard]] constexpr T unit_of(const std::uint32_t* words, Index i) noexcept {
  if constexpr (std::is_same_v<T, float>) {
    return unit_float(words[i]);
  } else {
    return unit_double(words[2 * i], words[2 * i + 1]);
  }
}

/// Two standard normal numbers of u in (0, 1] and v in [0, 1).
/// Source    Box, Muller: "A note on the generation of random normal deviates", 1958
[[nodiscard]] inline std::array<double, 2> box_muller(double u, double v) noexcept {
  const double radius = std::sqrt(-2.0 * std::log(u));
  const double angle = 2.0 * std::numbers::pi * v;
  return {radius * std::cos(angle), radius * std::sin(angle)};
}

/// Elements i and i + 1 (i even) of a group of words, standard normal. float64 has 53 random bits
/// behind each uniform number, float32 has 32 (so its tail ends at 6.7 standard deviations).
template <class T>
[[nodiscard]] std::array<double, 2> normal_pair(const std::uint32_t* words, Index i) noexcept {
  if constexpr (std::is_same_v<T, float>) {
    return box_muller((static_cast<double>(words[i]) + 1) * 0x1p-32,
                      static_cast<double>(words[i + 1]) * 0x1p-32);
  } else {
    return box_muller(unit_of<double>(words, i) + 0x1p-53, unit_of<double>(words, i + 1));
  }
}

/// The first standard normal number within 2 standard deviations among the redraws of element i.
/// 4.6 % are rejected, so 2^16 redraws never run out.
[[nodiscard]] inline double truncated_draw(const RandomKey& key, Index i) noexcept {
  for (std::uint32_t attempt = 0;; ++attempt) {
    for (const double z : normal_pair<double>(key.block(i, attempt).data(), 0)) {
      if (std::abs(z) <= 2.0) return z;
    }
  }
}

/// Lets convert(words, values, count) turn the words of each group into values; the groups are
/// spread over the threads.
template <class T, class Convert>
void fill_groups(const RandomKey& key, T* out, Index n, Convert&& convert) {
  constexpr Index kGroup = 4 * kPhiloxLanes / kWords<T>;
  const Index groups = (n + kGroup - 1) / kGroup;
  constexpr double kFlopsPerGroup = 4000;
  parallel_for(kFlopsPerGroup * static_cast<double>(groups), groups, [&](Index begin, Index end) {
    alignas(kAlignment) std::array<std::uint32_t, 4 * kPhiloxLanes> words;
    alignas(kAlignment) std::array<T, kGroup> values;
    for (Index g = begin; g < end; ++g) {
      philox_words(key, g * kPhiloxLanes, words.data());
      convert(words.data(), values.data(), kGroup);
      std::copy_n(values.data(), std::min(kGroup, n - g * kGroup), out + g * kGroup);
    }
  });
}

}  // namespace detail

/// out[i] uniform in [low, high), 24 random bits for float and 53 for double.
/// Shapes    out [n]            Aliasing  none            Errors  does not throw
template <class T>
void fill_uniform(const RandomKey& key, T low, T high, T* out, Index n) {
  const T width = high - low;
  // The rounded sum may reach `high`, which is not part of the interval.
  const T last = width > T(0) ? std::nextafter(high, low) : low;
  detail::fill_groups(key, out, n, [=](const std::uint32_t* words, T* values, Index count) {
    for (Index i = 0; i < count; ++i) {
      values[i] = std::min(low + width * detail::unit_of<T>(words, i), last);
    }
  });
}

/// out[i] normal with the given mean and standard deviation; float64 arithmetic inside.
template <class T>
void fill_normal(const RandomKey& key, T mean, T stddev, T* out, Index n) {
  detail::fill_groups(key, out, n, [=](const std::uint32_t* words, T* values, Index count) {
    for (Index i = 0; i < count; i += 2) {
      const auto pair = detail::normal_pair<T>(words, i);
      values[i] = mean + stddev * static_cast<T>(pair[0]);
      values[i + 1] = mean + stddev * static_cast<T>(pair[1]);
    }
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
  detail::fill_groups(key, out, n, [=](const std::uint32_t* words, T* values, Index count) {
    // Copies on the stack: reading the captures would keep the choice from being vectorised.
    const T value = keep;
    const T bound = limit;
    for (Index i = 0; i < count; ++i) {
      values[i] = detail::unit_of<T>(words, i) < bound ? T(0) : value;
    }
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
