// SPDX-License-Identifier: Apache-2.0
#include "elman/core/random.hpp"

#include <algorithm>
#include <vector>

#include "check.hpp"

using namespace elman;

namespace {

constexpr Index kCount = 200'003;  // no multiple of a block

struct Moments {
  double mean = 0;
  double variance = 0;
};

template <class T>
Moments moments(const std::vector<T>& values) {
  const auto n = static_cast<double>(values.size());
  Moments m;
  for (const T value : values) m.mean += static_cast<double>(value) / n;
  for (const T value : values) m.variance += std::pow(static_cast<double>(value) - m.mean, 2) / n;
  return m;
}

template <class T>
std::vector<T> array() {
  return std::vector<T>(static_cast<std::size_t>(kCount));
}

template <class T>
std::vector<T> normal(RandomKey key, Index n = kCount) {
  std::vector<T> values(static_cast<std::size_t>(n));
  fill_normal(key, T(0), T(1), values.data(), n);
  return values;
}

}  // namespace

// The known answers that ship with Random123 (kat_vectors).
TEST(philox_gives_the_published_vectors) {
  using Block = Philox::Block;
  constexpr std::uint32_t kOnes = 0xffffffffU;
  CHECK((Philox::block({0, 0, 0, 0}, {0, 0}) ==
         Block{0x6627e8d5U, 0xe169c58dU, 0xbc57ac4cU, 0x9b00dbd8U}));
  CHECK((Philox::block({kOnes, kOnes, kOnes, kOnes}, {kOnes, kOnes}) ==
         Block{0x408f276dU, 0x41c83b0eU, 0xa20bc7c6U, 0x6d5451fdU}));
  CHECK((Philox::block({0x243f6a88U, 0x85a308d3U, 0x13198a2eU, 0x03707344U},
                       {0xa4093822U, 0x299f31d0U}) ==
         Block{0xd16cfe09U, 0x94fdccebU, 0x5001e420U, 0x24126ea1U}));
}

TEST(an_element_depends_on_nothing_but_its_index) {
  const auto all = normal<float>({7, 3});
  for (const Index n : {1, 2, 3, 4, 5, 101}) {
    const auto start = normal<float>({7, 3}, n);
    CHECK(check::same_bits(start.data(), all.data(), start.size()));
  }
}

// The vectorised rounds against Philox::block, with carries into the upper words of key and
// counter.
TEST(elements_are_made_of_their_block) {
  const RandomKey key{0x0123456789abcdefU, 0xfedcba9876543210U};
  auto narrow = array<float>();
  auto wide = array<double>();
  fill_uniform(key, 0.0F, 1.0F, narrow.data(), kCount);
  fill_uniform(key, 0.0, 1.0, wide.data(), kCount);
  int wrong = 0;
  for (Index i = 0; i < kCount; ++i) {
    const Philox::Block b = key.block(i / 4);
    if (narrow[static_cast<std::size_t>(i)] !=
        static_cast<float>(b[static_cast<std::size_t>(i % 4)] >> 8) / 16777216.0F) {
      ++wrong;
    }
    const Philox::Block w = key.block(i / 2);
    const auto word = static_cast<std::size_t>(i % 2 * 2);
    const std::uint64_t bits = std::uint64_t{w[word] >> 5} << 26 | w[word + 1] >> 6;
    if (wide[static_cast<std::size_t>(i)] != static_cast<double>(bits) / 9007199254740992.0) {
      ++wrong;
    }
  }
  CHECK_EQ(wrong, 0);
}

TEST(any_number_of_threads_gives_the_same_bits) {
  ThreadPool& pool = ThreadPool::global();
  const int before = pool.size();
  std::vector<double> expected = array<double>();
  std::vector<double> got = array<double>();
  pool.resize(1);
  fill_truncated_normal(RandomKey{5, 9}, 0.0, 1.0, expected.data(), kCount);
  for (const int threads : {2, 3, 5}) {
    pool.resize(threads);
    fill_truncated_normal(RandomKey{5, 9}, 0.0, 1.0, got.data(), kCount);
    CHECK(check::same_bits(expected.data(), got.data(), got.size()));
  }
  pool.resize(before);
}

TEST(seeds_and_counters_give_different_draws) {
  const auto a = normal<float>({1, 0}, 64);
  CHECK(a != normal<float>({2, 0}, 64));
  CHECK(a != normal<float>({1, 1}, 64));
  CHECK(a != normal<float>({1, std::uint64_t{1} << 32}, 64));
  CHECK(a != normal<float>({std::uint64_t{1} << 32 | 1, 0}, 64));
}

// Tolerances are five standard errors of the mean and of the variance.
TEST(uniform_fills_its_half_open_interval) {
  auto values = array<double>();
  fill_uniform(RandomKey{3, 1}, -2.0, 4.0, values.data(), kCount);
  const auto [low, high] = std::minmax_element(values.begin(), values.end());
  CHECK(*low >= -2.0 && *low < -1.999 && *high < 4.0 && *high > 3.999);
  const Moments m = moments(values);
  CHECK_NEAR(m.mean, 1.0, 5 * std::sqrt(3.0 / kCount));
  CHECK_NEAR(m.variance, 3.0, 5 * 3.0 * std::sqrt(0.8 / kCount));

  // Rounding of low + width * u would reach `high` here without care.
  auto narrow = array<float>();
  fill_uniform(RandomKey{3, 2}, 1.0F, std::nextafter(1.0F, 2.0F), narrow.data(), kCount);
  CHECK(std::all_of(narrow.begin(), narrow.end(), [](float x) { return x == 1.0F; }));
}

TEST(normal_has_its_moments_in_both_precisions) {
  const auto check_moments = [](const Moments& m) {
    CHECK_NEAR(m.mean, 0.0, 5 * std::sqrt(1.0 / kCount));
    CHECK_NEAR(m.variance, 1.0, 5 * std::sqrt(2.0 / kCount));
  };
  check_moments(moments(normal<float>({11, 0})));
  check_moments(moments(normal<double>({11, 0})));
  const auto values = normal<double>({11, 0});
  const auto beyond_two =
      std::count_if(values.begin(), values.end(), [](double x) { return std::abs(x) > 2.0; });
  constexpr double kTail = 0.0455002638963584;
  CHECK_NEAR(static_cast<double>(beyond_two) / kCount, kTail,
             5 * std::sqrt(kTail * (1 - kTail) / kCount));
}

TEST(truncated_normal_stays_within_two_deviations) {
  auto values = array<float>();
  fill_truncated_normal(RandomKey{13, 0}, 1.0F, 0.5F, values.data(), kCount);
  const auto [low, high] = std::minmax_element(values.begin(), values.end());
  CHECK(*low >= 0.0F && *low < 0.01F && *high <= 2.0F && *high > 1.99F);
  const Moments m = moments(values);
  constexpr double kVariance = 0.7737413035499232;  // of the standard normal cut at 2
  CHECK_NEAR(m.mean, 1.0, 5 * std::sqrt(0.25 * kVariance / kCount));
  CHECK_NEAR(m.variance, 0.25 * kVariance, 0.25 * 5 * std::sqrt(1.0 / kCount));
}

TEST(dropout_keeps_the_expectation) {
  auto values = array<float>();
  fill_dropout_mask(RandomKey{17, 0}, 0.2, values.data(), kCount);
  const auto dropped = std::count(values.begin(), values.end(), 0.0F);
  const auto kept = std::count(values.begin(), values.end(), 1.25F);
  CHECK_EQ(dropped + kept, kCount);
  CHECK_NEAR(static_cast<double>(dropped) / kCount, 0.2, 5 * std::sqrt(0.16 / kCount));
  fill_dropout_mask(RandomKey{17, 0}, 0.0, values.data(), kCount);
  CHECK_EQ(std::count(values.begin(), values.end(), 1.0F), kCount);
  for (const double rate : {-0.1, 1.0, std::nan("")}) {
    CHECK_THROWS(fill_dropout_mask(RandomKey{}, rate, values.data(), 4), std::invalid_argument,
                 "[dropout] rate: expected 0 <= rate < 1");
  }
}

TEST(a_permutation_holds_every_index_once) {
  std::vector<std::int64_t> order(1009);
  fill_permutation(RandomKey{19, 4}, order.data(), 1009);
  CHECK(!std::is_sorted(order.begin(), order.end()));
  std::vector<std::int64_t> sorted = order;
  std::sort(sorted.begin(), sorted.end());
  for (std::size_t i = 0; i < sorted.size(); ++i) {
    CHECK_EQ(sorted[i], static_cast<std::int64_t>(i));
  }
  fill_permutation(RandomKey{19, 4}, order.data(), 0);
  fill_permutation(RandomKey{19, 4}, order.data(), 1);
  CHECK_EQ(order[0], 0);
}

// Each of the six orders of three elements comes up a sixth of the time.
TEST(permutations_are_fair) {
  std::array<int, 27> seen{};
  constexpr int kDraws = 60'000;
  for (int draw = 0; draw < kDraws; ++draw) {
    std::array<std::int64_t, 3> p{};
    fill_permutation(RandomKey{23, static_cast<std::uint64_t>(draw)}, p.data(), 3);
    ++seen[static_cast<std::size_t>(p[0] * 9 + p[1] * 3 + p[2])];
  }
  int orders = 0;
  for (const int count : seen) {
    if (count == 0) continue;
    ++orders;
    CHECK_NEAR(static_cast<double>(count) / kDraws, 1.0 / 6, 5 * std::sqrt(5.0 / 36 / kDraws));
  }
  CHECK_EQ(orders, 6);
}
