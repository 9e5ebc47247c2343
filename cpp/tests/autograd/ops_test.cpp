// SPDX-License-Identifier: Apache-2.0
// ops_test.cpp: element by element operations, reductions and softmax against plain loops.
#include <limits>

#include "autograd/numeric.hpp"
#include "elman/autograd/ops_binary.hpp"
#include "elman/autograd/ops_index.hpp"
#include "elman/autograd/ops_reduce.hpp"
#include "elman/autograd/ops_softmax.hpp"
#include "elman/autograd/ops_unary.hpp"

namespace {

using namespace elman;
using namespace numeric;

/// f of each element, in a loop.
template <class F>
std::vector<double> each(const Tensor& x, const F& f) {
  std::vector<double> out;
  for (Index i = 0; i < x.size(); ++i) out.push_back(f(at(x, i)));
  return out;
}

TEST(functions_of_one_tensor) {
  struct Case {
    Unary op;
    double (*f)(double);
  };
  const Case cases[] = {{Unary::negative, [](double x) { return -x; }},
                        {Unary::abs, [](double x) { return std::abs(x); }},
                        {Unary::square, [](double x) { return x * x; }},
                        {Unary::sign, [](double x) { return x > 0 ? 1.0 : -1.0; }},
                        {Unary::floor, [](double x) { return std::floor(x); }},
                        {Unary::ceil, [](double x) { return std::ceil(x); }},
                        {Unary::round, [](double x) { return std::nearbyint(x); }},
                        {Unary::exp, [](double x) { return std::exp(x); }},
                        {Unary::expm1, [](double x) { return std::expm1(x); }},
                        {Unary::log, [](double x) { return std::log(x); }},
                        {Unary::log1p, [](double x) { return std::log1p(x); }},
                        {Unary::sqrt, [](double x) { return std::sqrt(x); }},
                        {Unary::rsqrt, [](double x) { return 1 / std::sqrt(x); }},
                        {Unary::reciprocal, [](double x) { return 1 / x; }},
                        {Unary::sin, [](double x) { return std::sin(x); }},
                        {Unary::cos, [](double x) { return std::cos(x); }}};
  const Tensor positive = draw({3, 7}, 1, 0.3, 2.7), none(Shape{0, 3}, DType::float64);
  const Tensor negative = draw({3, 7}, 2, -2.7, -0.3), nan = vec({kNan});
  for (const Case& c : cases) {
    const std::string name = detail::unary_name(c.op);
    const auto run = [&](const Inputs& in) { return ops::unary(c.op, in[0]); };
    expect(name, run({positive}), {3, 7}, each(positive, c.f));
    expect(name, run({negative}), {3, 7}, each(negative, c.f));
    expect(name + " of nothing", run({none}), {0, 3}, {});
    expect(name + " of NaN", run({nan}), {1}, {kNan});
    if (!detail::piecewise_constant(c.op)) gradients(name, run, {positive});
  }
  const std::int32_t whole[] = {-3, 0, 5};
  const Tensor abs = ops::abs(Tensor::from_values({3}, whole));
  CHECK(abs.dtype() == DType::int32 && abs.data<std::int32_t>()[0] == 3);
  CHECK(ops::exp(Tensor::from_values({3}, whole)).dtype() == DType::float32);
}

TEST(activations_and_clip) {
  const Tensor x = draw({5, 3}, 3, -2.4, 2.4);
  for (const auto& [name, kind] : detail::kActivationNames) {
    gradients(std::string(name), [k = kind](const Inputs& in) { return ops::activation(k, in[0]); },
              {x});
  }
  expect("tanh", ops::activation(Activation::tanh, x), {5, 3},
         each(x, [](double v) { return std::tanh(v); }));
  const Tensor y = vec({-2, -1, 0.5, 1, 7, kNan});
  expect("clip", ops::clip(y, -1, 1), {6}, {-1, -1, 0.5, 1, 1, kNan});
  gradients("clip", [](const Inputs& in) { return ops::clip(in[0], -1, 1); }, {x});
}

TEST(arithmetic_with_broadcasting) {
  struct Case {
    Binary op;
    double (*f)(double, double);
  };
  const Case cases[] = {
      {Binary::add, [](double a, double b) { return a + b; }},
      {Binary::subtract, [](double a, double b) { return a - b; }},
      {Binary::multiply, [](double a, double b) { return a * b; }},
      {Binary::divide, [](double a, double b) { return a / b; }},
      {Binary::power, [](double a, double b) { return std::pow(a, b); }},
      {Binary::maximum, [](double a, double b) { return a > b ? a : b; }},
      {Binary::minimum, [](double a, double b) { return a < b ? a : b; }},
      {Binary::mod, [](double a, double b) { return a - b * std::floor(a / b); }},
      {Binary::floor_divide, [](double a, double b) { return std::floor(a / b); }}};
  const Tensor a = draw({2, 1, 3}, 4, 0.4, 2.6), b = draw({5, 1}, 5, 0.4, 2.6);
  for (const Case& c : cases) {
    const std::string name = detail::binary_name(c.op);
    const auto run = [&](const Inputs& in) { return ops::binary(c.op, in[0], in[1]); };
    std::vector<double> want;
    for (Index n = 0; n < 2; ++n) {
      for (Index i = 0; i < 5; ++i) {
        for (Index j = 0; j < 3; ++j) want.push_back(c.f(at(a, n * 3 + j), at(b, i)));
      }
    }
    expect(name, run({a, b}), {2, 5, 3}, want);
    expect(name + " of nothing", run({a, Tensor(Shape{0, 1}, DType::float64)}), {2, 0, 3}, {});
    expect(name + " of NaN", run({vec({kNan, 1}), vec({2, kNan})}), {2},
           c.op == Binary::power ? std::vector<double>{kNan, 1} : std::vector<double>{kNan, kNan});
    if (c.op == Binary::floor_divide) continue;
    gradients(name, run, {a, b});
    gradients(name + " with a scalar", run, {a, Tensor::scalar(1.3)});
    gradients(name + " of equal shapes", run, {a, draw({2, 1, 3}, 6, 0.4, 2.6)});
  }
  CHECK_THROWS(a + vec({1, 2}), std::invalid_argument, "[add]");
  const Tensor tie = vec({1, 2});
  Tape tape;
  tape.watch(tie);
  tape.start();
  const Tensor top = ops::maximum(tie, tie);
  tape.stop();
  expect("a tie is shared", tape.gradient(top, tie), {2}, {1, 1});
}

TEST(comparisons_and_choices) {
  const Tensor a = vec({1, 2, kNan}), b = vec({2, 2, 2});
  const bool want[6][3] = {{false, true, false}, {true, false, true},   {true, false, false},
                           {true, true, false},  {false, false, false}, {false, true, false}};
  for (int op = 0; op < 6; ++op) {
    const Tensor got = ops::compare(static_cast<Compare>(op), a, b);
    CHECK(check::same_bits(got.data<bool>(), want[op], 3));
  }
  const Tensor pick = ops::compare(Compare::less, a, b);
  expect("where", ops::where(pick, a, vec({9})), {3}, {1, 9, 9});
  gradients("where", [&](const Inputs& in) { return ops::where(pick, in[0], in[1]); },
            {draw({2, 3}, 7), draw({2, 1}, 8)});
  CHECK(ops::classify(false, a).data<bool>()[2] && !ops::classify(true, a).data<bool>()[2]);
  CHECK(ops::any_all(false, pick).data<bool>()[0] && !ops::any_all(true, pick).data<bool>()[0]);
}

TEST(reductions) {
  const Tensor x = draw({3, 4, 5}, 9, 0.5, 1.5);
  const auto fold = [&](Reduce op, Index i, Index k) {  // over the middle axis
    double sum = 0, product = 1, most = -kInf, least = kInf;
    for (Index j = 0; j < 4; ++j) {
      const double v = at(x, (i * 4 + j) * 5 + k);
      sum += v, product *= v, most = std::max(most, v), least = std::min(least, v);
    }
    const double all[] = {sum, sum / 4, product, most, least};
    return all[static_cast<int>(op)];
  };
  for (const Reduce op : {Reduce::sum, Reduce::mean, Reduce::prod, Reduce::max, Reduce::min}) {
    const std::string name = detail::reduce_name(op);
    std::vector<double> want;
    for (Index i = 0; i < 3; ++i) {
      for (Index k = 0; k < 5; ++k) want.push_back(fold(op, i, k));
    }
    expect(name, ops::reduce(op, x, 1), {3, 5}, want);
    expect(name, ops::reduce(op, x, -2, true), {3, 1, 5}, want);
    expect(name + " of NaN", ops::reduce(op, vec({1, kNan, 2})), {}, {kNan});
    for (const Axes& axes : {Axes(), Axes(0), Axes(1), Axes(std::vector<Index>{0, 2})}) {
      gradients(name, [&](const Inputs& in) { return ops::reduce(op, in[0], axes); }, {x});
    }
    gradients(name + " with a zero", [&](const Inputs& in) { return ops::reduce(op, in[0], 0); },
              {array({3, 2}, {2, 0, 0, 3, 5, 7})});
  }
  const Tensor none(Shape{0, 2}, DType::float64);
  expect("sum of nothing", ops::sum(none, 0), {2}, {0, 0});
  expect("prod of nothing", ops::reduce(Reduce::prod, none, 0), {2}, {1, 1});
  expect("mean of nothing", ops::mean(none, 0), {2}, {kNan, kNan});
  CHECK_THROWS(ops::max(none, 0), std::invalid_argument, "no elements along the axis");
  CHECK_THROWS(ops::sum(x, 3), std::out_of_range, "[sum] axis: expected -3 <= axis < 3");
  const Tensor at_most = ops::arg_extreme(true, vec({1, 3, 3, 2}), 0);
  CHECK_EQ(at_most.data<std::int64_t>()[0], 1);
  expect("cumsum", ops::cumsum(array({2, 2}, {1, 2, 3, 4}), 0), {2, 2}, {1, 2, 4, 6});
  gradients("cumsum", [](const Inputs& in) { return ops::cumsum(in[0], 1); }, {x});
}

TEST(softmax_and_logsumexp) {
  const Tensor x = draw({3, 4}, 10, -2, 2);
  std::vector<double> share(12), log_share(12), sums;
  for (Index i = 0; i < 3; ++i) {
    double sum = 0;
    for (Index j = 0; j < 4; ++j) sum += std::exp(at(x, i * 4 + j));
    sums.push_back(std::log(sum));
    for (Index j = 0; j < 4; ++j) {
      const auto e = static_cast<std::size_t>(i * 4 + j);
      share[e] = std::exp(at(x, i * 4 + j)) / sum;
      log_share[e] = at(x, i * 4 + j) - std::log(sum);
    }
  }
  expect("softmax", ops::softmax(x), {3, 4}, share);
  expect("log_softmax", ops::log_softmax(x), {3, 4}, log_share);
  expect("logsumexp", ops::logsumexp(x, 1), {3}, sums);
  expect("large logits", ops::softmax(vec({1e4, 1e4})), {2}, {0.5, 0.5});
  expect("large logits", ops::logsumexp(vec({-1e4, -1e4})), {}, {std::log(2.0) - 1e4}, 1e-11);
  expect("NaN", ops::softmax(vec({1, kNan})), {2}, {kNan, kNan});
  for (const Index axis : {Index(0), Index(-1)}) {
    gradients("softmax", [=](const Inputs& in) { return ops::softmax(in[0], axis); }, {x});
    gradients("log_softmax", [=](const Inputs& in) { return ops::log_softmax(in[0], axis); }, {x});
    gradients("logsumexp", [=](const Inputs& in) { return ops::logsumexp(in[0], axis); }, {x});
  }
}

}  // namespace
