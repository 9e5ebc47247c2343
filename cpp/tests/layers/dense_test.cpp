// SPDX-License-Identifier: Apache-2.0
// dense_test.cpp: the fully connected layer and the embedding on pointers against plain loops.
#include "elman/layers/dense.hpp"

#include <limits>
#include <tuple>

#include "check.hpp"
#include "elman/layers/embedding.hpp"
#include "reference.hpp"

namespace {

using namespace elman;
using test::draw;

double sigmoid(double x) { return 1 / (1 + std::exp(-x)); }

struct Curve {
  Activation kind;
  double (*a)(double);
  double (*slope)(double);
};
const Curve kCurves[] = {
    {Activation::linear, [](double z) { return z; }, [](double) { return 1.0; }},
    {Activation::relu, [](double z) { return z > 0 ? z : 0; },
     [](double z) { return z > 0 ? 1.0 : 0.0; }},
    {Activation::sigmoid, sigmoid, [](double z) { return sigmoid(z) * (1 - sigmoid(z)); }},
    {Activation::tanh, [](double z) { return std::tanh(z); },
     [](double z) { return 1 - std::tanh(z) * std::tanh(z); }},
    {Activation::softplus, [](double z) { return std::log1p(std::exp(z)); }, sigmoid},
    {Activation::exponential, [](double z) { return std::exp(z); },
     [](double z) { return std::exp(z); }},
    {Activation::silu, [](double z) { return z * sigmoid(z); },
     [](double z) { return sigmoid(z) * (1 + z * (1 - sigmoid(z))); }}};

/// Operands of a layer, and its results by the equations.
template <class T>
struct Layer {
  Index n, f, h;
  std::vector<T> x = draw<T>(n * f, 1), kernel = draw<T>(f * h, 2), bias = draw<T>(h, 3);
  std::vector<T> dy = draw<T>(n * h, 4);

  double z(Index i, Index j, bool biased) const {
    double sum = biased ? double(bias[std::size_t(j)]) : 0;
    for (Index k = 0; k < f; ++k) {
      sum += double(x[std::size_t(i * f + k)]) * double(kernel[std::size_t(k * h + j)]);
    }
    return sum;
  }
};

template <class T>
double tolerance(Index terms) {
  return 8 * double(std::numeric_limits<T>::epsilon()) * std::log2(2.0 + double(terms)) *
         (1 + std::sqrt(double(terms)));
}

template <class T>
void check_layer(const Layer<T>& p, const Curve& curve, bool biased) {
  const auto [n, f, h] = std::tuple(p.n, p.f, p.h);
  const std::size_t size = std::size_t(n * h);
  std::vector<T> y(size), z(size), dz(size);
  const T* bias = biased ? p.bias.data() : nullptr;
  dense_forward(n, f, h, p.x.data(), p.kernel.data(), bias, curve.kind, y.data(), z.data());
  for (Index i = 0; i < n; ++i) {
    for (Index j = 0; j < h; ++j) {
      const std::size_t e = std::size_t(i * h + j);
      CHECK_NEAR(z[e], p.z(i, j, biased), tolerance<T>(f));
      const double want = curve.a(p.z(i, j, biased));  // the slopes are below 1 + |want|
      CHECK_NEAR(y[e], want, 2 * tolerance<T>(f) * (1 + std::abs(want)));
    }
  }
  // The targets start at 2: gradients are added to what is there.
  std::vector<T> dx(p.x.size(), T(2)), d_kernel(p.kernel.size(), T(2)), d_bias(p.bias.size(), T(2));
  dense_backward(n, f, h, p.x.data(), p.kernel.data(), curve.kind, y.data(), z.data(), p.dy.data(),
                 dz.data(), dx.data(), d_kernel.data(), d_bias.data());
  std::vector<double> dx_want(p.x.size(), 2), dk_want(p.kernel.size(), 2);
  std::vector<double> db_want(p.bias.size(), 2);
  for (Index i = 0; i < n; ++i) {
    for (Index j = 0; j < h; ++j) {
      const double d = double(p.dy[std::size_t(i * h + j)]) * curve.slope(p.z(i, j, biased));
      db_want[std::size_t(j)] += d;
      for (Index k = 0; k < f; ++k) {
        dx_want[std::size_t(i * f + k)] += d * double(p.kernel[std::size_t(k * h + j)]);
        dk_want[std::size_t(k * h + j)] += d * double(p.x[std::size_t(i * f + k)]);
      }
    }
  }
  const double allowed = 4 * tolerance<T>(n + f + h);
  for (std::size_t e = 0; e < dx.size(); ++e) CHECK_NEAR(dx[e], dx_want[e], allowed);
  for (std::size_t e = 0; e < d_kernel.size(); ++e) CHECK_NEAR(d_kernel[e], dk_want[e], allowed);
  for (std::size_t e = 0; e < d_bias.size(); ++e) CHECK_NEAR(d_bias[e], db_want[e], allowed);
}

template <class T>
void check_layers() {
  for (const Curve& curve : kCurves) {
    for (const bool biased : {false, true}) {
      check_layer(Layer<T>{3, 5, 2}, curve, biased);
      check_layer(Layer<T>{17, 31, 29}, curve, biased);
      check_layer(Layer<T>{1, 7, 11}, curve, biased);
      check_layer(Layer<T>{0, 7, 5}, curve, biased);  // no rows
      check_layer(Layer<T>{3, 0, 5}, curve, biased);  // no features
    }
  }
}
TEST(dense_in_float32) { check_layers<float>(); }
TEST(dense_in_float64) { check_layers<double>(); }

TEST(unwanted_gradients_are_left_out) {
  const Layer<double> p{3, 5, 2};
  std::vector<double> y(6), all(10), one(10);
  dense_forward<double>(3, 5, 2, p.x.data(), p.kernel.data(), nullptr, Activation::linear,
                        y.data());
  std::vector<double> dx(15), d_bias(2);
  dense_backward<double>(3, 5, 2, p.x.data(), p.kernel.data(), Activation::linear, y.data(),
                         nullptr, p.dy.data(), nullptr, dx.data(), all.data(), d_bias.data());
  dense_backward<double>(3, 5, 2, p.x.data(), p.kernel.data(), Activation::linear, y.data(),
                         nullptr, p.dy.data(), nullptr, nullptr, one.data(), nullptr);
  CHECK(check::same_bits(all.data(), one.data(), all.size()));
}

TEST(a_nan_spoils_its_own_row_only) {
  Layer<float> p{3, 5, 2};
  p.x[7] = std::numeric_limits<float>::quiet_NaN();  // row 1
  for (const Curve& curve : kCurves) {
    std::vector<float> y(6);
    dense_forward(Index(3), Index(5), Index(2), p.x.data(), p.kernel.data(), p.bias.data(),
                  curve.kind, y.data());
    for (std::size_t e = 0; e < 6; ++e) CHECK_EQ(std::isnan(y[e]), e / 2 == 1);
  }
}

TEST(dense_is_bit_equal_at_any_thread_count) {
  const Layer<float> p{257, 129, 65};
  const auto results = [&](int threads) {
    ThreadPool::global().resize(threads);
    const std::size_t size = std::size_t(p.n * p.h);
    std::vector<float> y(size), z(size), dz(size);
    std::vector<float> out(p.x.size() + p.kernel.size() + p.bias.size());
    dense_forward(p.n, p.f, p.h, p.x.data(), p.kernel.data(), p.bias.data(), Activation::gelu,
                  y.data(), z.data());
    dense_backward(p.n, p.f, p.h, p.x.data(), p.kernel.data(), Activation::gelu, y.data(), z.data(),
                   p.dy.data(), dz.data(), out.data(), out.data() + p.x.size(),
                   out.data() + p.x.size() + p.kernel.size());
    out.insert(out.end(), y.begin(), y.end());
    return out;
  };
  const int before = ThreadPool::global().size();
  const std::vector<float> one = results(1);
  for (const int threads : {2, 3}) {
    const std::vector<float> many = results(threads);
    CHECK(check::same_bits(one.data(), many.data(), one.size()));
  }
  ThreadPool::global().resize(before);
}

TEST(rows_of_a_table) {
  constexpr Index kRows = 7, kWidth = 37, kCount = 4001;
  const std::vector<float> table = draw<float>(kRows * kWidth, 5);
  const std::vector<float> d_out = draw<float>(kCount * kWidth, 6);
  std::vector<std::int64_t> ids;
  for (Index i = 0; i < kCount; ++i) ids.push_back(i * i % (kRows - 1));  // the last is not used
  std::vector<float> want(std::size_t(kRows * kWidth), 2.0f), out(d_out.size());
  for (std::size_t e = 0; e < d_out.size(); ++e) {  // in the order of the ids
    want[std::size_t(ids[e / kWidth]) * kWidth + e % kWidth] += d_out[e];
  }
  const int before = ThreadPool::global().size();
  for (const int threads : {1, 2, 3}) {
    ThreadPool::global().resize(threads);
    gather_rows(table.data(), kWidth, ids.data(), kCount, out.data());
    bool same = true;
    for (std::size_t e = 0; e < out.size(); ++e) {
      same &= out[e] == table[std::size_t(ids[e / kWidth]) * kWidth + e % kWidth];
    }
    CHECK(same);
    std::vector<float> d_table(want.size(), 2.0f);
    scatter_add_rows(d_out.data(), kWidth, ids.data(), kCount, d_table.data());
    CHECK(check::same_bits(d_table.data(), want.data(), want.size()));
  }
  ThreadPool::global().resize(before);
}

TEST(ids_are_checked) {
  const std::int64_t ids[] = {0, 4, 2, 5, -1, 3};
  check_ids("embedding", ids, {3}, 5);
  check_ids("embedding", ids, {0, 3}, 0);
  CHECK_THROWS(check_ids("embedding", ids, {3}, 4), std::out_of_range,
               "[embedding] ids: id 4 at position (1,) is outside of the table; expected 0 <= id "
               "< 4");
  CHECK_THROWS(check_ids("embedding", ids, {2, 3}, 6), std::out_of_range, "-1 at position (1, 1)");
  CHECK_EQ(position_text({2, 3, 5}, 28), "(1, 2, 3)");
  CHECK_EQ(position_text({}, 0), "()");
}

}  // namespace
