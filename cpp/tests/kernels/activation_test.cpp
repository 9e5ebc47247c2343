// SPDX-License-Identifier: Apache-2.0
// activation_test.cpp: every activation against long double, in units of the last place.
#include "elman/kernels/activation.hpp"

#include <cmath>
#include <cstring>
#include <limits>
#include <vector>

#include "check.hpp"

namespace {

using namespace elman;
using Real = long double;

Real sigmoid(Real x) { return 1 / (1 + std::exp(-x)); }
Real softplus(Real x) { return std::max(x, Real(0)) + std::log1p(std::exp(-std::abs(x))); }
Real elu(Real x, Real alpha) { return x < 0 ? alpha * std::expm1(x) : x; }

Real reference(Activation kind, Real x) {
  switch (kind) {
    case Activation::linear:
      return x;
    case Activation::relu:
      return std::max(x, Real(0));
    case Activation::sigmoid:
      return sigmoid(x);
    case Activation::tanh:
      return std::tanh(x);
    case Activation::hard_sigmoid:
      return std::clamp(Real(0.2) * x + Real(0.5), Real(0), Real(1));
    case Activation::hard_sigmoid_v3:
      return std::clamp(x / 6 + Real(0.5), Real(0), Real(1));
    case Activation::softplus:
      return softplus(x);
    case Activation::softsign:
      return x / (1 + std::abs(x));
    case Activation::elu:
      return elu(x, 1);
    case Activation::exponential:
      return std::exp(x);
    case Activation::selu:
      return Real(1.0507009873554804934193349852946L) *
             elu(x, Real(1.6732632423543772848170429916717L));
    case Activation::silu:
      return x * sigmoid(x);
    case Activation::gelu:
      return x * Real(0.5) * std::erfc(-x * Real(0.70710678118654752440L));
    case Activation::mish:
      return x * std::tanh(softplus(x));
    case Activation::relu6:
      return std::clamp(x, Real(0), Real(6));
    case Activation::leaky_relu:
      return x < 0 ? Real(0.2) * x : x;
  }
  return 0;
}

Real reference_derivative(Activation kind, Real x) {
  const Real h = Real(1e-6);
  return (reference(kind, x + h) - reference(kind, x - h)) / (2 * h);
}

template <class T>
std::vector<T> samples() {
  std::vector<T> out;
  for (double e = -30; e < 7.3; e += 0.0037) {
    for (const double sign : {-1.0, 1.0}) out.push_back(T(sign * std::exp2(e) * 1.2345));
  }
  return out;
}

constexpr Activation kAll[] = {
    Activation::linear,      Activation::relu,         Activation::sigmoid,
    Activation::tanh,        Activation::hard_sigmoid, Activation::hard_sigmoid_v3,
    Activation::softplus,    Activation::softsign,     Activation::elu,
    Activation::exponential, Activation::selu,         Activation::silu,
    Activation::gelu,        Activation::mish,         Activation::relu6,
    Activation::leaky_relu};

/// Largest error in ulp of T. e^x below 2^-126 counts as 0, which costs x e^x up to 90 x 1.2e-38:
/// 8 ulp of a result of 2e-30, so smaller results are measured in those.
template <class T>
double worst_ulp(Activation kind) {
  const std::vector<T> x = samples<T>();
  std::vector<T> y(x.size());
  activate<T>(kind, x.data(), y.data(), Index(x.size()));
  double worst = 0;
  for (std::size_t i = 0; i < x.size(); ++i) {
    const Real want = reference(kind, x[i]);
    if (std::abs(want) > Real(std::numeric_limits<T>::max())) {
      CHECK(std::isinf(y[i]));
      continue;
    }
    const T magnitude = std::max(T(std::abs(want)), T(2e-30));
    const Real ulp = std::nextafter(magnitude, std::numeric_limits<T>::infinity()) - magnitude;
    worst = std::max(worst, double(std::abs(Real(y[i]) - want) / ulp));
  }
  return worst;
}

template <class T>
void check_bounds() {
  for (const Activation kind : kAll) {
    const bool tight = kind == Activation::tanh || kind == Activation::sigmoid;
    // x / 6 + 0.5 and x Phi(x) cancel near their zeros: their error is one of the scale.
    if (kind == Activation::gelu || kind == Activation::hard_sigmoid ||
        kind == Activation::hard_sigmoid_v3) {
      continue;
    }
    const double worst = worst_ulp<T>(kind);
    CHECK_NEAR(worst, 0.0, tight ? 4.0 : 8.0);
  }
}

template <class T>
void check_scaled(Activation kind) {
  const std::vector<T> x = samples<T>();
  std::vector<T> y(x.size());
  activate<T>(kind, x.data(), y.data(), Index(x.size()));
  for (std::size_t i = 0; i < x.size(); ++i) {
    const double scale = std::max(1.0, std::abs(double(x[i])));
    CHECK(std::abs(double(reference(kind, x[i]) - y[i])) <=
          4 * double(std::numeric_limits<T>::epsilon()) * scale);
  }
}

template <class T>
void check_special() {
  const T inf = std::numeric_limits<T>::infinity(), nan = std::numeric_limits<T>::quiet_NaN();
  for (const Activation kind : kAll) {
    const T x[3] = {nan, inf, T(0)};
    T y[3];
    activate<T>(kind, x, y, 3);
    CHECK(std::isnan(y[0]));
    if (kind != Activation::softsign) {
      CHECK_EQ(y[1], T(reference(kind, Real(inf))));
    }
    CHECK_EQ(y[2], T(reference(kind, 0)));
  }
  const T x[3] = {-inf, -inf, T(-0.0)};
  T y[3];
  activate<T>(Activation::sigmoid, x, y, 1);
  activate<T>(Activation::tanh, x + 1, y + 1, 2);
  CHECK_EQ(y[0], T(0));
  CHECK_EQ(y[1], T(-1));
  CHECK(std::signbit(y[2]));
}

/// Where e^-x leaves the range of T, and far beyond.
template <class T>
void check_ends_of_sigmoid() {
  const T smallest = std::numeric_limits<T>::min(), largest = std::numeric_limits<T>::max();
  const T end = std::log(largest);
  std::vector<T> x{-largest};
  for (T v = -end - 2; v < 2 - end; v += T(0.0007)) x.push_back(v);
  std::vector<T> y(x.size());
  activate<T>(Activation::sigmoid, x.data(), y.data(), Index(x.size()));
  CHECK_EQ(y[0], T(0));
  for (std::size_t i = 1; i < x.size(); ++i) {
    const double want = double(sigmoid(x[i])), eps = double(std::numeric_limits<T>::epsilon());
    CHECK_NEAR(double(y[i]), want, std::max(double(smallest), 4 * eps * want));
  }
  for (T& v : x) v = -v;
  activate<T>(Activation::sigmoid, x.data(), y.data(), Index(x.size()));
  for (const T v : y) CHECK_EQ(v, T(1));
}

/// Partial packets: n elements at any offset, nothing outside is touched.
template <class T>
void check_edges() {
  for (Index n = 0; n <= 2 * simd::kWidth<T> + 1; ++n) {
    std::vector<T> x(std::size_t(n) + 2, T(0.25)), y(std::size_t(n) + 2, T(-7));
    activate<T>(Activation::tanh, x.data() + 1, y.data() + 1, n);
    CHECK_EQ(y.front(), T(-7));
    CHECK_EQ(y.back(), T(-7));
    for (Index i = 1; i <= n; ++i) CHECK_NEAR(y[std::size_t(i)], std::tanh(0.25), 1e-6);
  }
}

template <class T>
void check_derivatives() {
  const double tolerance = sizeof(T) == 4 ? 3e-6 : 1e-9;
  for (const Activation kind : kAll) {
    std::vector<T> x;
    for (double v = -7.03; v < 7; v += 0.11) x.push_back(T(v));
    std::vector<T> y(x.size()), dx(x.size()), dy(x.size(), T(1.5));
    activate<T>(kind, x.data(), y.data(), Index(x.size()));
    activate_backward<T>(kind, x.data(), y.data(), dy.data(), dx.data(), Index(x.size()));
    for (std::size_t i = 0; i < x.size(); ++i) {
      const double want = 1.5 * double(reference_derivative(kind, x[i]));
      CHECK_NEAR(double(dx[i]), want, tolerance * std::max(1.0, std::abs(want)));
    }
  }
}

// The gates of a cell are computed side by side; bits, as NaN does not equal itself.
template <class T>
void check_side_by_side() {
  constexpr int kW = simd::kWidth<T>;
  std::vector<T> x = samples<T>();
  const T inf = std::numeric_limits<T>::infinity();
  for (const T special : {T(0), -T(0), inf, -inf, std::numeric_limits<T>::quiet_NaN()}) {
    x.insert(x.begin() + Index(x.size() / 3), special);
  }
  const auto same = [](const simd::Packet<T>& a, const simd::Packet<T>& b) {
    return std::memcmp(&a, &b, sizeof(a)) == 0;
  };
  for (std::size_t i = 0; i + 4 * kW <= x.size(); i += kW) {
    simd::Packet<T> z[4], all[4], two[2];
    for (int k = 0; k < 4; ++k) all[k] = z[k] = simd::loadu<T>(x.data() + i + std::size_t(k * kW));
    for (int k = 0; k < 2; ++k) two[k] = z[k];
    math::squash<T, 3, 1>(all, all + 3);
    math::squash<T, 2, 0>(two, nullptr);
    for (int k = 0; k < 3; ++k) CHECK(same(all[k], math::sigmoid<T>(z[k])));
    for (int k = 0; k < 2; ++k) CHECK(same(two[k], math::sigmoid<T>(z[k])));
    CHECK(same(all[3], math::tanh<T>(z[3])));
  }
}

TEST(side_by_side_as_one_by_one) {
  check_side_by_side<float>();
  check_side_by_side<double>();
}
TEST(float_errors_in_ulp) { check_bounds<float>(); }
TEST(double_errors_in_ulp) { check_bounds<double>(); }
TEST(cancelling_activations_float) {
  check_scaled<float>(Activation::gelu);
  check_scaled<float>(Activation::hard_sigmoid);
  check_scaled<float>(Activation::hard_sigmoid_v3);
}
TEST(cancelling_activations_double) {
  check_scaled<double>(Activation::gelu);
  check_scaled<double>(Activation::hard_sigmoid);
  check_scaled<double>(Activation::hard_sigmoid_v3);
}
TEST(infinities_and_nan) {
  check_special<float>();
  check_special<double>();
}
TEST(ends_of_sigmoid) {
  check_ends_of_sigmoid<float>();
  check_ends_of_sigmoid<double>();
}
TEST(partial_packets) {
  check_edges<float>();
  check_edges<double>();
}
TEST(derivatives_float) { check_derivatives<float>(); }
TEST(derivatives_double) { check_derivatives<double>(); }
TEST(names) {
  CHECK(parse_activation("swish") == Activation::silu);
  CHECK(activation_name(Activation::hard_sigmoid_v3) == "hard_sigmoid_v3");
  CHECK_THROWS(parse_activation("nope"), std::invalid_argument, "unknown name 'nope'");
}

}  // namespace
