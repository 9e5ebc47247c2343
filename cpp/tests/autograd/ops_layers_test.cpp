// SPDX-License-Identifier: Apache-2.0
// ops_layers_test.cpp: dense, embedding, dropout and the cross-entropies as nodes of a tape.
#include "elman/autograd/ops_layers.hpp"

#include <limits>

#include "autograd/numeric.hpp"

namespace {

using namespace elman;
using namespace numeric;

TEST(dense_layers) {
  const Tensor x = draw({2, 3, 5}, 1), kernel = draw({5, 7}, 2), bias = draw({7}, 3);
  std::vector<double> want;
  for (Index i = 0; i < 6; ++i) {
    for (Index j = 0; j < 7; ++j) {
      double sum = at(bias, j);
      for (Index k = 0; k < 5; ++k) sum += at(x, i * 5 + k) * at(kernel, k * 7 + j);
      want.push_back(std::tanh(sum));
    }
  }
  expect("dense", ops::dense(x, kernel, bias, Activation::tanh), {2, 3, 7}, want);
  for (const auto& [name, kind] : detail::kActivationNames) {
    const auto run = [k = kind](const Inputs& in) {
      return ops::dense(in[0], in[1], in.size() > 2 ? in[2] : Tensor(), k);
    };
    gradients(std::string(name), run, {x, kernel, bias});
    gradients(std::string(name) + " without bias", run, {x, kernel});
  }
  gradients("one kernel, two uses",
            [](const Inputs& in) {
              const Tensor h = ops::dense(in[0], in[1], Tensor(), Activation::tanh);
              return ops::dense(h, in[1], Tensor(), Activation::silu);
            },
            {draw({2, 3}, 4), draw({3, 3}, 5)});
  const Tensor none = ops::dense(draw({0, 5}, 6), kernel, bias, Activation::relu);
  expect("no rows", none, {0, 7}, {});
  CHECK_THROWS(ops::dense(bias, kernel, bias, Activation::relu), std::invalid_argument,
               "[dense] x: expected at least (N, F), got (7,)");
  CHECK_THROWS(ops::dense(x, x, bias, Activation::relu), std::invalid_argument,
               "kernel: expected (F, H), got (2, 3, 5)");
  CHECK_THROWS(ops::dense(x, draw({7, 5}, 2), bias, Activation::relu), std::invalid_argument,
               "kernel: expected (5, 5) float64, got (7, 5) float64; its rows are the features");
  CHECK_THROWS(ops::dense(x, kernel, vec({1}), Activation::relu), std::invalid_argument,
               "bias: expected (7,) float64, got (1,) float64");
}

TEST(embeddings) {
  const Tensor table = array({3, 2}, {1, 2, 3, 4, 5, 6});
  expect("rows", ops::embedding(ids({1, 2}, {2, 0}), table), {1, 2, 2}, {5, 6, 1, 2});
  expect("real ids", ops::embedding(vec({1}), table), {1, 2}, {3, 4});
  expect("no ids", ops::embedding(ids({2, 0}, {}), table), {2, 0, 2}, {});
  gradients("embedding",
            [](const Inputs& in) { return ops::embedding(ids({2, 3}, {2, 0, 2, 2, 1, 0}), in[0]); },
            {draw({4, 3}, 7)});
  CHECK_THROWS(ops::embedding(ids({1}, {3}), table), std::out_of_range,
               "[embedding] ids: id 3 at position (0,) is outside of the table");
  CHECK_THROWS(ops::embedding(ids({1}, {0}), vec({1})), std::invalid_argument, "expected (R, W)");
}

TEST(dropout_keeps_and_scales) {
  const Tensor ones = draw({4001}, 8, 1, 1 + 1e-15);
  const Tensor y = ops::dropout(ones, 0.25, {3, 4});
  Index kept = 0;
  for (Index i = 0; i < y.size(); ++i) {
    kept += at(y, i) != 0;
    CHECK(at(y, i) == 0 || std::abs(at(y, i) - 4.0 / 3) < 1e-12);
  }
  CHECK_NEAR(static_cast<double>(kept) / 4001, 0.75, 5 * std::sqrt(0.25 * 0.75 / 4001));
  const Tensor again = ops::dropout(ones, 0.25, {3, 4}), other = ops::dropout(ones, 0.25, {3, 5});
  CHECK(check::same_bits(y.data<double>(), again.data<double>(), 4001));
  CHECK(!check::same_bits(y.data<double>(), other.data<double>(), 4001));
  gradients("dropout", [](const Inputs& in) { return ops::dropout(in[0], 0.4, {1, 2}); },
            {draw({5, 7}, 9)});
}

TEST(cross_entropies_of_rows) {
  const Tensor p = draw({2, 3, 4}, 10, 0.1, 1), y = draw({2, 3, 4}, 11, 0, 1);
  const Tensor classes = ids({2, 3}, {0, 3, 1, 2, 2, 0});
  for (const bool logits : {false, true}) {
    std::vector<double> dense, sparse;
    for (Index i = 0; i < 6; ++i) {
      double sum = 0, loss = 0;
      for (Index j = 0; j < 4; ++j) sum += logits ? std::exp(at(p, i * 4 + j)) : at(p, i * 4 + j);
      const auto minus_log = [&](Index j) {
        const double v = at(p, i * 4 + j);
        return std::log(sum) - (logits ? v : std::log(v));
      };
      for (Index j = 0; j < 4; ++j) loss += at(y, i * 4 + j) * minus_log(j);
      dense.push_back(loss);
      sparse.push_back(minus_log(classes.data<std::int64_t>()[i]));
    }
    expect("dense", ops::cross_entropy(y, p, logits, false), {2, 3}, dense);
    expect("sparse", ops::cross_entropy(classes, p, logits, true), {2, 3}, sparse);
    expect("sparse", ops::cross_entropy(classes.view({2, 3, 1}), p, logits, true), {2, 3}, sparse);
    gradients("dense",
              [&](const Inputs& in) { return ops::cross_entropy(y, in[0], logits, false); }, {p});
    gradients("sparse",
              [&](const Inputs& in) { return ops::cross_entropy(classes, in[0], logits, true); },
              {p});
    const Tensor bad = array({1, 2}, {kNan, 1});
    expect("NaN", ops::cross_entropy(ids({1}, {1}), bad, logits, true), {1}, {kNan});
    expect("no rows", ops::cross_entropy(ids({0}, {}), draw({0, 4}, 1), logits, true), {0}, {});
  }
  CHECK_THROWS(ops::cross_entropy(ids({2, 3}, {0, 0, 0, 0, 0, 4}), p, false, true),
               std::out_of_range, "[sparse_categorical_crossentropy] ids: id 4 at position (1, 2)");
  CHECK_THROWS(ops::cross_entropy(ids({6}, {0, 0, 0, 0, 0, 0}), p, false, true),
               std::invalid_argument, "y_true: expected ids of shape (2, 3), got (6,)");
  CHECK_THROWS(ops::cross_entropy(vec({1}), p, false, false), std::invalid_argument,
               "[categorical_crossentropy] y_true: expected (2, 3, 4) float64");
  CHECK_THROWS(ops::cross_entropy(y, Tensor::scalar(1.0), false, false), std::invalid_argument,
               "y_pred: expected (..., C) with C >= 1, got ()");
}

TEST(binary_cross_entropies) {
  const Tensor y = vec({0, 1, 0.25, 1}), p = vec({0.3, 0.6, 0.5, 0.999});
  std::vector<double> plain, logits;
  for (Index i = 0; i < 4; ++i) {
    const double t = at(y, i), q = at(p, i), s = 1 / (1 + std::exp(-q));
    plain.push_back(-(t * std::log(q) + (1 - t) * std::log(1 - q)));
    logits.push_back(-(t * std::log(s) + (1 - t) * std::log(1 - s)));
  }
  expect("probabilities", ops::binary_cross_entropy(y, p, false), {4}, plain);
  expect("logits", ops::binary_cross_entropy(y, p, true), {4}, logits);
  for (const bool from : {false, true}) {
    gradients("binary", [&](const Inputs& in) { return ops::binary_cross_entropy(y, in[0], from); },
              {vec({0.3, 0.6, 0.5, 0.9})});
    expect("NaN", ops::binary_cross_entropy(vec({1}), vec({kNan}), from), {1}, {kNan});
  }
  expect("certain and wrong", ops::binary_cross_entropy(vec({1}), vec({0}), false), {1},
         {-std::log(1e-7)});
  expect("a large logit", ops::binary_cross_entropy(vec({0}), vec({1000}), true), {1}, {1000});
  CHECK_THROWS(ops::binary_cross_entropy(vec({1}), p, false), std::invalid_argument,
               "[binary_crossentropy] y_true: expected (4,) float64");
}

}  // namespace
