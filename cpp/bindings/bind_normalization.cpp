// SPDX-License-Identifier: Apache-2.0
// bind_normalization.cpp: layer and batch normalization.
#include "bindings.hpp"
#include "convert.hpp"
#include "elman/autograd/ops_normalization.hpp"

namespace elman::bindings {
namespace {

struct Operands {
  Tensor x, gamma, beta;

  Operands(nb::handle x_in, nb::handle gamma_in, nb::handle beta_in, const char* where)
      : x(as_tensor(x_in, where, "x")),
        gamma(as_optional_tensor(gamma_in, where, "gamma")),
        beta(as_optional_tensor(beta_in, where, "beta")) {}
};

}  // namespace

void bind_normalization(nb::module_& m) {
  m.def(
      "layer_norm",
      [](nb::handle x, nb::handle gamma, nb::handle beta, double epsilon) {
        const Operands o(x, gamma, beta, "layer_norm");
        return unlocked(o.x.size() * 4,
                        [&] { return ops::layer_norm(o.x, o.gamma, o.beta, epsilon); });
      },
      operand("x"), nb::arg("gamma").none(), nb::arg("beta").none(), nb::arg("epsilon"),
      "(x - mean) / sqrt(variance + epsilon) * gamma + beta over the last axis.");
  m.def(
      "batch_norm",
      [](nb::handle x, nb::handle gamma, nb::handle beta, nb::handle mask_in, double epsilon) {
        const Operands o(x, gamma, beta, "batch_norm");
        const Tensor mask = as_optional_tensor(mask_in, "batch_norm", "mask");
        ops::BatchNorm out = unlocked(
            o.x.size() * 4, [&] { return ops::batch_norm(o.x, o.gamma, o.beta, mask, epsilon); });
        return nb::make_tuple(to_python(std::move(out.y)), to_python(std::move(out.mean)),
                              to_python(std::move(out.variance)), out.used);
      },
      operand("x"), nb::arg("gamma").none(), nb::arg("beta").none(), nb::arg("mask").none(),
      nb::arg("epsilon"),
      "Returns (y, mean, variance, rows used) with x (..., C) normalized by the mean and variance "
      "of the rows that the bool mask (...) keeps; no gradient flows through the latter three.");
  m.def(
      "batch_norm_inference",
      [](nb::handle x, nb::handle gamma, nb::handle beta, nb::handle mean_in,
         nb::handle variance_in, double epsilon) {
        const Operands o(x, gamma, beta, "batch_norm");
        const Tensor mean = as_tensor(mean_in, "batch_norm", "mean");
        const Tensor variance = as_tensor(variance_in, "batch_norm", "variance");
        return unlocked(o.x.size() * 4, [&] {
          return ops::batch_norm_inference(o.x, o.gamma, o.beta, mean, variance, epsilon);
        });
      },
      operand("x"), nb::arg("gamma").none(), nb::arg("beta").none(), operand("mean"),
      operand("variance"), nb::arg("epsilon"),
      "x (..., C) normalized by a given mean and variance (C,), which are constants.");
}

}  // namespace elman::bindings
