// SPDX-License-Identifier: Apache-2.0
// bind_layers.cpp: dense, embedding, dropout and the cross-entropies.
#include <string>

#include "bindings.hpp"
#include "convert.hpp"
#include "elman/autograd/ops_layers.hpp"

namespace elman::bindings {
namespace {

Tensor dense(nb::handle x_in, nb::handle kernel_in, nb::handle bias_in,
             const std::string& activation) {
  Tensor x = as_tensor(x_in, "dense", "x");
  const Tensor kernel = as_tensor(kernel_in, "dense", "kernel", x.dtype());
  if (!is_floating(x.dtype())) x = ops::cast(x, kernel.dtype());
  const Tensor bias = as_optional_tensor(bias_in, "dense", "bias");
  const Activation kind = parse_activation(activation);
  return unlocked(x.size() + kernel.size(), [&] { return ops::dense(x, kernel, bias, kind); });
}

Tensor cross_entropy(nb::handle target, nb::handle output, bool logits, bool sparse) {
  const char* where = sparse ? "sparse_categorical_crossentropy" : "categorical_crossentropy";
  const Tensor p = as_tensor(output, where, "y_pred");
  const Tensor y = as_tensor(target, where, "y_true", p.dtype());
  return unlocked(p.size() * 8, [&] { return ops::cross_entropy(y, p, logits, sparse); });
}

}  // namespace

void bind_layers(nb::module_& m) {
  m.def("dense", &dense, operand("x"), operand("kernel"), nb::arg("bias") = nb::none(),
        nb::arg("activation") = "linear",
        "activation(x @ kernel + bias) over the last axis, as one operation.");
  m.def(
      "embedding",
      [](nb::handle ids_in, nb::handle table_in) {
        const Tensor ids = as_tensor(ids_in, "embedding", "ids");
        const Tensor table = as_tensor(table_in, "embedding", "table");
        return unlocked(ids.size() * 16, [&] { return ops::embedding(ids, table); });
      },
      operand("ids"), operand("table"), "table[ids]: ids (...) and table (R, W) give (..., W).");
  m.def(
      "dropout",
      [](nb::handle x_in, double rate, std::uint64_t seed, std::uint64_t counter) {
        const Tensor x = as_tensor(x_in, "dropout", "x");
        return unlocked(x.size() * 4, [&] { return ops::dropout(x, rate, {seed, counter}); });
      },
      operand("x"), nb::arg("rate"), nb::arg("seed"), nb::arg("counter"),
      "x with a share `rate` of its elements set to 0 and the others divided by 1 - rate.");
  m.def(
      "categorical_crossentropy",
      [](nb::handle y, nb::handle p, bool from_logits) {
        return cross_entropy(y, p, from_logits, false);
      },
      operand("y_true"), operand("y_pred"), nb::arg("from_logits") = false,
      "The cross-entropy of each row: y_true and y_pred (..., C) give (...).");
  m.def(
      "sparse_categorical_crossentropy",
      [](nb::handle y, nb::handle p, bool from_logits) {
        return cross_entropy(y, p, from_logits, true);
      },
      operand("y_true"), operand("y_pred"), nb::arg("from_logits") = false,
      "The same for class numbers y_true (...).");
  m.def(
      "binary_crossentropy",
      [](nb::handle target, nb::handle output, bool from_logits) {
        const Tensor p = as_tensor(output, "binary_crossentropy", "y_pred");
        const Tensor y = as_tensor(target, "binary_crossentropy", "y_true", p.dtype());
        return unlocked(p.size() * 8, [&] { return ops::binary_cross_entropy(y, p, from_logits); });
      },
      operand("y_true"), operand("y_pred"), nb::arg("from_logits") = false,
      "The binary cross-entropy of each element.");
}

}  // namespace elman::bindings
