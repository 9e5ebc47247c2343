// SPDX-License-Identifier: Apache-2.0
// ops_normalization_test.cpp: layer and batch normalization as nodes of a tape.
#include "elman/autograd/ops_normalization.hpp"

#include "autograd/numeric.hpp"

namespace {

using namespace elman;
using namespace numeric;

TEST(layer_norm) {
  const Tensor x = array({2, 2}, {1, 3, -2, 4});
  const Tensor gamma = vec({2, 0.5}), beta = vec({0.25, -1});
  const double a = 1 / std::sqrt(1 + 1e-3), b = 3 / std::sqrt(9 + 1e-3);
  expect("layer_norm", ops::layer_norm(x, gamma, beta, 1e-3), {2, 2},
         {0.25 - 2 * a, -1 + 0.5 * a, 0.25 - 2 * b, -1 + 0.5 * b});
  expect("without weights", ops::layer_norm(x, Tensor(), Tensor(), 1e-3), {2, 2}, {-a, a, -b, b});
  const auto run = [](const Inputs& in) {
    return ops::layer_norm(in[0], in.size() > 1 ? in[1] : Tensor(),
                           in.size() > 2 ? in[2] : Tensor(), 1e-3);
  };
  const Tensor deep = draw({2, 3, 5}, 1);
  gradients("all", run, {deep, draw({5}, 2), draw({5}, 3)});
  gradients("gamma", run, {deep, draw({5}, 2)});
  gradients("x", run, {deep});
  CHECK_THROWS(ops::layer_norm(x, vec({1}), beta, 1e-3), std::invalid_argument,
               "[layer_norm] gamma: expected (2,) float64, got (1,) float64");
}

TEST(batch_norm) {
  const Tensor x = array({2, 2}, {1, -2, 3, 4});
  const double a = 1 / std::sqrt(1 + 1e-3), b = 3 / std::sqrt(9 + 1e-3);
  const ops::BatchNorm out = ops::batch_norm(x, Tensor(), Tensor(), Tensor(), 1e-3);
  expect("batch_norm", out.y, {2, 2}, {-a, -b, a, b});
  expect("mean", out.mean, {2}, {2, 1});
  expect("variance", out.variance, {2}, {1, 9});
  CHECK_EQ(out.used, Index(2));
  Tensor mask({2, 3}, DType::bool_);
  for (Index i = 0; i < 6; ++i) mask.mutable_data<bool>()[i] = i % 3 != 1;
  for (const Tensor& rows : {Tensor(), mask}) {
    gradients("training",
              [&](const Inputs& in) { return ops::batch_norm(in[0], in[1], in[2], rows, 1e-3).y; },
              {draw({2, 3, 5}, 1), draw({5}, 2), draw({5}, 3)});
  }
  const Tensor mean = draw({5}, 4), variance = draw({5}, 5, 0.5, 1.5);
  gradients("inference",
            [&](const Inputs& in) {
              return ops::batch_norm_inference(in[0], in[1], in[2], mean, variance, 1e-3);
            },
            {draw({2, 3, 5}, 1), draw({5}, 2), draw({5}, 3)});
  CHECK_THROWS(ops::batch_norm(x, Tensor(), Tensor(), mask, 1e-3), std::invalid_argument,
               "[batch_norm] mask: expected (2,) bool, got (2, 3) bool");
  CHECK_THROWS(ops::batch_norm_inference(x, Tensor(), Tensor(), mean, variance, 1e-3),
               std::invalid_argument, "[batch_norm] mean: expected (2,) float64");
}

}  // namespace
