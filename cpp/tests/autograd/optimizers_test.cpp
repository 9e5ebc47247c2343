// SPDX-License-Identifier: Apache-2.0
// optimizers_test.cpp: three steps of every optimizer against its formula, one element at a time.
#include "elman/autograd/optimizers.hpp"

#include <limits>

#include "autograd/numeric.hpp"
#include "elman/core/threads.hpp"

namespace {

using namespace elman;
using namespace elman::optimizers;
using numeric::at;
using numeric::draw;
using numeric::vec;

constexpr double kLr = 0.1, kMomentum = 0.7, kRho = 0.8, kEpsilon = 1e-3;

/// The variable and the slots of an optimizer, and the state of one element of it.
struct Run {
  Variable w{draw({7, 5}, 1)};
  Variable slots[3] = {zero(), zero(), zero()};

  static Variable zero() { return Variable(Tensor::zeros({7, 5}, DType::float64)); }
};
struct Element {
  double w, a = 0, b = 0, c = 0;
};

/// Three steps with other gradients each: step(run, g, t) and formula(element, g_i, t) agree.
template <class Step, class Formula>
void follow(const char* name, const Step& step, const Formula& formula) {
  Run run;
  std::vector<Element> elements;
  for (Index i = 0; i < run.w.size(); ++i) elements.push_back({at(run.w, i)});
  for (int t = 1; t <= 3; ++t) {
    const Tensor g = draw({7, 5}, static_cast<std::uint64_t>(10 + t));
    step(run, g, t);
    std::vector<double> want;
    for (Index i = 0; i < g.size(); ++i) {
      formula(elements[static_cast<std::size_t>(i)], at(g, i), t);
      want.push_back(elements[static_cast<std::size_t>(i)].w);
    }
    numeric::expect(name, run.w, {7, 5}, want, 1e-14);
  }
}

TEST(sgd_steps) {
  follow(
      "plain", [](Run& r, const Tensor& g, int) { sgd(r.w, g, nullptr, kLr, 0, false); },
      [](Element& e, double g, int) { e.w -= kLr * g; });
  follow(
      "momentum",
      [](Run& r, const Tensor& g, int) { sgd(r.w, g, &r.slots[0], kLr, kMomentum, false); },
      [](Element& e, double g, int) {
        e.a = kMomentum * e.a - kLr * g;
        e.w += e.a;
      });
  follow(
      "nesterov",
      [](Run& r, const Tensor& g, int) { sgd(r.w, g, &r.slots[0], kLr, kMomentum, true); },
      [](Element& e, double g, int) {
        e.a = kMomentum * e.a - kLr * g;
        e.w += kMomentum * e.a - kLr * g;
      });
}

TEST(rmsprop_steps) {
  for (const bool centered : {false, true}) {
    for (const double momentum : {0.0, kMomentum}) {
      follow(
          "rmsprop",
          [=](Run& r, const Tensor& g, int) {
            rmsprop(r.w, g, r.slots[0], centered ? &r.slots[1] : nullptr,
                    momentum > 0 ? &r.slots[2] : nullptr, kLr, kRho, momentum, kEpsilon);
          },
          [=](Element& e, double g, int) {
            e.a = kRho * e.a + (1 - kRho) * g * g;
            e.b = kRho * e.b + (1 - kRho) * g;
            const double under = e.a - (centered ? e.b * e.b : 0) + kEpsilon;
            e.c = momentum * e.c + kLr * g / std::sqrt(under);
            e.w -= e.c;
          });
    }
  }
}

TEST(adam_steps) {
  for (const bool amsgrad : {false, true}) {
    for (const double decay : {0.0, 0.01}) {
      follow(
          "adam",
          [=](Run& r, const Tensor& g, int t) {
            adam(r.w, g, r.slots[0], r.slots[1], amsgrad ? &r.slots[2] : nullptr,
                 {kLr, 0.8, 0.6, kEpsilon, decay, t});
          },
          [=](Element& e, double g, int t) {
            e.a = 0.8 * e.a + (1 - 0.8) * g;
            e.b = 0.6 * e.b + (1 - 0.6) * g * g;
            e.c = std::max(e.c, e.b);
            const double alpha = kLr * std::sqrt(1 - std::pow(0.6, t)) / (1 - std::pow(0.8, t));
            const double under = amsgrad ? e.c : e.b;
            e.w = e.w - kLr * decay * e.w - alpha * e.a / (std::sqrt(under) + kEpsilon);
          });
    }
  }
}

TEST(a_view_of_the_old_value_keeps_it) {
  Variable w(vec({1, 2}));
  const Tensor before = w.value();
  const std::uint64_t version = w.version();
  sgd(w, vec({1, 1}), nullptr, 0.5, 0, false);
  numeric::expect("before", before, {2}, {1, 2});
  numeric::expect("after", w, {2}, {0.5, 1.5});
  CHECK(w.version() != version);
}

TEST(bad_operands) {
  Variable w(vec({1, 2})), a(vec({0, 0})), b(vec({0, 0})), wrong(vec({0}));
  Variable single(Tensor::zeros({2}, DType::float32));
  const Tensor g = vec({1, 1});
  CHECK_THROWS(sgd(w, vec({1}), nullptr, 1, 0, false), std::invalid_argument,
               "[SGD] gradient: expected (2,) float64 like the variable, got (1,) float64");
  CHECK_THROWS(sgd(w, g, &single, 1, 0, false), std::invalid_argument, "got (2,) float32");
  CHECK_THROWS(sgd(w, g, &w, 1, 0, false), std::invalid_argument, "got one twice");
  CHECK_THROWS(rmsprop(w, g, a, &wrong, nullptr, 1, 1, 0, 1), std::invalid_argument,
               "[RMSprop] slot: expected (2,) float64");
  CHECK_THROWS(rmsprop(w, g, a, &b, &a, 1, 1, 0, 1), std::invalid_argument, "got one twice");
  CHECK_THROWS(adam(w, g, a, a, nullptr, {}), std::invalid_argument, "got one twice");
  CHECK_THROWS(adam(w, g, a, b, &w, {}), std::invalid_argument, "[Adam] slot: expected a variable");
  Variable whole(Tensor::zeros({2}, DType::int32), "ids");
  CHECK_THROWS(sgd(whole, whole.value(), nullptr, 1, 0, false), std::invalid_argument,
               "[SGD] x: expected float32 or float64, got int32");
  numeric::expect("nothing has changed", w, {2}, {1, 2});
  Variable none(Tensor::zeros({0, 3}, DType::float64));
  sgd(none, none.value(), nullptr, 1, 0, false);  // no elements, no step
}

TEST(a_gradient_may_share_memory_with_the_operands) {
  Variable w(vec({1, 2})), v(vec({4, 8}));
  sgd(w, w, nullptr, 0.5, 0, false);
  numeric::expect("w -= w / 2", w, {2}, {0.5, 1});
  sgd(w, v, &v, 0.5, 0.25, true);  // v = 0.25 v - 0.5 v;  w += 0.25 v - 0.5 (old v)
  numeric::expect("v", v, {2}, {-1, -2});
  numeric::expect("w", w, {2}, {-1.75, -3.5});
}

template <class T>
std::vector<T> all_steps(Index n) {
  Variable vars[4];
  Tensor g(Shape{n}, dtype_of<T>());
  fill_uniform<T>({5, 0}, T(-1), T(1), g.template mutable_data<T>(), n);
  for (Variable& v : vars) v = Variable(Tensor::zeros(g.shape(), g.dtype()));
  sgd(vars[0], g, &vars[1], 0.1, 0.9, true);
  rmsprop(vars[0], g, vars[1], &vars[2], &vars[3], 0.1, 0.9, 0.5, 1e-3);
  for (Index step = 1; step <= 2; ++step) {
    adam(vars[0], g, vars[1], vars[2], &vars[3], {0.1, 0.9, 0.99, 1e-3, 0.01, step});
  }
  std::vector<T> out(vars[0].template data<T>(), vars[0].template data<T>() + n);
  out.push_back(static_cast<T>(squared_norm({vars[1], g})));
  return out;
}

TEST(bit_equal_at_any_thread_count) {
  const int before = ThreadPool::global().size();
  ThreadPool::global().resize(1);
  const auto single = all_steps<float>(200003);
  const auto twice = all_steps<double>(200003);
  for (const int threads : {2, 3}) {
    ThreadPool::global().resize(threads);
    const auto a = all_steps<float>(200003);
    const auto b = all_steps<double>(200003);
    CHECK(check::same_bits(a.data(), single.data(), a.size()));
    CHECK(check::same_bits(b.data(), twice.data(), b.size()));
  }
  ThreadPool::global().resize(before);
}

TEST(squared_norms) {
  const Tensor x = draw({9001}, 6), y = draw({3, 5}, 7);
  double want = 0;
  for (Index i = 0; i < x.size(); ++i) want += at(x, i) * at(x, i);
  for (Index i = 0; i < y.size(); ++i) want += at(y, i) * at(y, i);
  CHECK_NEAR(squared_norm({x, y}), want, 1e-15 * 9001 * want);
  CHECK_EQ(squared_norm({}), 0.0);
  CHECK_EQ(squared_norm({Tensor(Shape{0}, DType::float32)}), 0.0);
  CHECK(std::isnan(squared_norm({vec({1, std::numeric_limits<double>::quiet_NaN()})})));
  // float32 elements whose square overflows float32 do not overflow the sum
  const float large[] = {1e30f, 1e30f};
  CHECK_NEAR(squared_norm({Tensor::from_values({2}, large)}) / 2e60, 1, 1e-6);
  CHECK_THROWS(squared_norm({Tensor::zeros({1}, DType::int32)}), std::invalid_argument,
               "[squared_norm]");
}

}  // namespace
