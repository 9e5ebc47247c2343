// SPDX-License-Identifier: Apache-2.0
// normalization_test.cpp: layer and batch normalization on pointers against plain loops.
#include "elman/layers/normalization.hpp"

#include <limits>
#include <vector>

#include "check.hpp"
#include "reference.hpp"

namespace {

using namespace elman;
using test::draw;

template <class T>
double at(const std::vector<T>& v, Index i) {
  return double(v[std::size_t(i)]);
}

constexpr double kEpsilon = 1e-3;

/// n eps log2(terms), times what 1 / sqrt(variance + epsilon) <= 32 can make of an error in x.
template <class T>
double tolerance(Index terms) {
  return 64 * double(std::numeric_limits<T>::epsilon()) * std::log2(4.0 + double(terms));
}

/// Rows of x and their gradient, by the equations.
template <class T>
void check_layer_norm(Index n, Index f) {
  const auto x = draw<T>(n * f, 1), gamma = draw<T>(f, 2), beta = draw<T>(f, 3);
  const auto dy = draw<T>(n * f, 4);
  std::vector<T> y(x.size()), mean(std::size_t(n), T(0)), scale(std::size_t(n), T(0));
  layer_norm_forward<T>(n, f, x.data(), gamma.data(), beta.data(), T(kEpsilon), y.data(),
                        mean.data(), scale.data());
  std::vector<T> dx(x.size(), T(2)), d_gamma(gamma.size(), T(2)), d_beta(beta.size(), T(2));
  layer_norm_backward<T>(n, f, x.data(), gamma.data(), mean.data(), scale.data(), dy.data(),
                         dx.data(), d_gamma.data(), d_beta.data());
  std::vector<double> dg(gamma.size(), 2), db(beta.size(), 2);
  for (Index i = 0; i < n; ++i) {
    double m = 0, v = 0, a = 0, b = 0;
    for (Index j = 0; j < f; ++j) m += at(x, i * f + j) / double(f);
    for (Index j = 0; j < f; ++j) v += std::pow(at(x, i * f + j) - m, 2) / double(f);
    const double s = 1 / std::sqrt(v + kEpsilon);
    for (Index j = 0; j < f; ++j) {
      const double slope = at(dy, i * f + j) * at(gamma, j), h = (at(x, i * f + j) - m) * s;
      a += slope / double(f);
      b += slope * h / double(f);
      dg[std::size_t(j)] += at(dy, i * f + j) * h;
      db[std::size_t(j)] += at(dy, i * f + j);
    }
    for (Index j = 0; j < f; ++j) {
      const double h = (at(x, i * f + j) - m) * s;
      CHECK_NEAR(at(y, i * f + j), h * at(gamma, j) + at(beta, j), tolerance<T>(f));
      const double want = 2 + s * (at(dy, i * f + j) * at(gamma, j) - a - h * b);
      CHECK_NEAR(at(dx, i * f + j), want, tolerance<T>(f) * std::max(1.0, s));
    }
  }
  for (Index j = 0; j < f; ++j) {
    CHECK_NEAR(at(d_gamma, j), dg[std::size_t(j)], tolerance<T>(n) * double(1 + n));
    CHECK_NEAR(at(d_beta, j), db[std::size_t(j)], tolerance<T>(n) * double(1 + n));
  }
}

TEST(layer_norm) {
  // Below, at and above a packet, four packets, 512 columns and 256 rows.
  for (const auto& [n, f] : {std::pair<Index, Index>{3, 1},
                             {2, 7},
                             {5, 8},
                             {3, 32},
                             {2, 67},
                             {3, 131},
                             {521, 5},
                             {1, 1009},
                             {0, 3}}) {
    check_layer_norm<float>(n, f);
    check_layer_norm<double>(n, f);
  }
}

template <class T>
void check_batch_norm(Index n, Index c, bool masked) {
  const auto gamma = draw<T>(c, 2), beta = draw<T>(c, 3), dy = draw<T>(n * c, 4);
  auto x = draw<T>(n * c, 1);
  std::vector<char> used(std::size_t(n), 1);
  for (Index i = 0; masked && i < n; ++i) used[std::size_t(i)] = i % 3 != 1;
  const bool* mask = masked ? reinterpret_cast<const bool*>(used.data()) : nullptr;
  std::vector<T> mean(gamma.size()), variance(gamma.size()), scale(gamma.size()), y(x.size());
  const Index count = batch_moments<T>(n, c, x.data(), mask, mean.data(), variance.data());
  batch_norm_forward<T>(n, c, x.data(), gamma.data(), beta.data(), mean.data(), variance.data(),
                        T(kEpsilon), y.data(), scale.data());
  std::vector<T> dx(x.size(), T(2)), d_gamma(gamma.size(), T(2)), d_beta(beta.size(), T(2));
  batch_norm_backward<T>(n, c, x.data(), mask, gamma.data(), mean.data(), scale.data(), count,
                         dy.data(), dx.data(), d_gamma.data(), d_beta.data());
  const double allowed = tolerance<T>(n);
  for (Index j = 0; j < c; ++j) {
    double m = 0, v = 0, rows = 0, by_scale = 0, by_mean = 0;
    for (Index i = 0; i < n; ++i) rows += used[std::size_t(i)];
    CHECK_EQ(double(count), rows);
    for (Index i = 0; i < n; ++i) m += used[std::size_t(i)] ? at(x, i * c + j) / rows : 0;
    for (Index i = 0; i < n; ++i) {
      v += used[std::size_t(i)] ? std::pow(at(x, i * c + j) - m, 2) / rows : 0;
    }
    const double s = 1 / std::sqrt(v + kEpsilon);
    CHECK_NEAR(at(mean, j), m, allowed);
    CHECK_NEAR(at(variance, j), v, allowed);
    for (Index i = 0; i < n; ++i) {
      by_scale += at(dy, i * c + j) * (at(x, i * c + j) - m) * s;
      by_mean += at(dy, i * c + j);
    }
    CHECK_NEAR(at(d_gamma, j), 2 + by_scale, allowed * double(1 + n));
    CHECK_NEAR(at(d_beta, j), 2 + by_mean, allowed * double(1 + n));
    for (Index i = 0; i < n; ++i) {
      const double h = (at(x, i * c + j) - m) * s;
      CHECK_NEAR(at(y, i * c + j), h * at(gamma, j) + at(beta, j), allowed * std::max(1.0, s));
      const double pull = used[std::size_t(i)] ? (by_mean + h * by_scale) / rows : 0;
      const double want = 2 + at(gamma, j) * s * (at(dy, i * c + j) - pull);
      CHECK_NEAR(at(dx, i * c + j), want, allowed * std::max(1.0, s));
    }
  }
}

TEST(batch_norm) {
  for (const auto& [n, c] :
       {std::pair<Index, Index>{3, 1}, {7, 5}, {2, 67}, {521, 3}, {5, 131}, {3, 521}}) {
    for (const bool masked : {false, true}) {
      check_batch_norm<float>(n, c, masked);
      check_batch_norm<double>(n, c, masked);
    }
  }
}

TEST(no_rows_and_no_mask) {
  const bool none[2] = {false, false};
  const double x[4] = {1, std::numeric_limits<double>::quiet_NaN(), 3, 4};
  double mean[2], variance[2];
  CHECK_EQ(batch_moments<double>(2, 2, x, none, mean, variance), Index(0));
  CHECK_EQ(mean[1] + variance[1], 0.0);
  CHECK_EQ(batch_moments<double>(0, 2, x, nullptr, mean, variance), Index(0));
  CHECK_EQ(mean[0] + variance[0], 0.0);
}

TEST(a_large_mean_does_not_cancel) {
  auto x = draw<float>(4096, 5);
  for (float& v : x) v += 4096;  // eps of 4096 is 5e-4, the variance 0.27
  double m = 0, v = 0;
  for (const float value : x) m += double(value) / 4096;
  for (const float value : x) v += std::pow(double(value) - m, 2) / 4096;
  float mean, variance;
  batch_moments<float>(4096, 1, x.data(), nullptr, &mean, &variance);
  CHECK_NEAR(double(mean), m, 1e-3);
  CHECK_NEAR(double(variance), v, 1e-4);
}

TEST(the_same_bits_with_any_number_of_threads) {
  constexpr Index n = 2053, c = 67;
  const auto x = draw<float>(n * c, 1), gamma = draw<float>(c, 2), dy = draw<float>(n * c, 3);
  std::vector<std::vector<float>> results;
  for (const int threads : {1, 2, 3, 5}) {
    ThreadPool::global().resize(threads);
    std::vector<float> out(std::size_t(2 * n * c + 6 * c + 2 * n), 0.0f);
    float *y = out.data(), *dx = y + n * c, *mean = dx + n * c, *variance = mean + c;
    float *scale = variance + c, *d_gamma = scale + c, *d_beta = d_gamma + c;
    float *row_mean = d_beta + 2 * c, *row_scale = row_mean + n;
    const Index used = batch_moments<float>(n, c, x.data(), nullptr, mean, variance);
    batch_norm_forward<float>(n, c, x.data(), gamma.data(), nullptr, mean, variance, 1e-3f, y,
                              scale);
    batch_norm_backward<float>(n, c, x.data(), nullptr, gamma.data(), mean, scale, used, dy.data(),
                               dx, d_gamma, d_beta);
    layer_norm_forward<float>(n, c, x.data(), gamma.data(), nullptr, 1e-3f, y, row_mean, row_scale);
    layer_norm_backward<float>(n, c, x.data(), gamma.data(), row_mean, row_scale, dy.data(), dx,
                               d_gamma, d_beta);
    results.push_back(out);
  }
  ThreadPool::global().resize(1);
  for (const auto& result : results) {
    CHECK(check::same_bits(result.data(), results[0].data(), result.size()));
  }
}

}  // namespace
