// SPDX-License-Identifier: Apache-2.0
// bind_reduce.cpp: sums and extremes over axes, and products of matrices.
#include "bindings.hpp"
#include "convert.hpp"
#include "elman/autograd/ops_matmul.hpp"
#include "elman/autograd/ops_reduce.hpp"

namespace elman::bindings {
namespace {

void function(nb::module_& m, Reduce op, const char* doc) {
  m.def(
      detail::reduce_name(op),
      [op](nb::handle object, nb::handle axis, bool keepdims) {
        const Tensor x = as_tensor(object, detail::reduce_name(op), "x");
        const Axes axes = as_axes(axis);
        return unlocked(x.size(), [&] { return ops::reduce(op, x, axes, keepdims); });
      },
      operand("x"), nb::arg("axis") = nb::none(), nb::arg("keepdims") = false, doc);
}

Tensor any_all(bool all, nb::handle object, nb::handle axis, bool keepdims) {
  return ops::any_all(all, as_tensor(object, all ? "all" : "any", "x"), as_axes(axis), keepdims);
}

Tensor arg_extreme(bool largest, nb::handle object, nb::handle axis, bool keepdims) {
  const char* where = largest ? "argmax" : "argmin";
  Tensor x = as_tensor(object, where, "x");
  if (axis.is_none()) {
    x = x.view(Shape{x.size()});
    return ops::arg_extreme(largest, x, 0, false);
  }
  const Index k = as_integer(axis, where, "axis", "an integer or None");
  return unlocked(x.size(), [&] { return ops::arg_extreme(largest, x, k, keepdims); });
}

/// Long enough to give the lock back: two flops for each element of the product.
Index product_work(const Tensor& x, const Tensor& y) {
  return x.size() * (y.ndim() == 0 ? 1 : y.shape().dim(-1)) / 8 + y.size();
}

}  // namespace

void bind_reduce(nb::module_& m) {
  function(m, Reduce::sum, "The sum over the axes, all by default; the same at any thread count.");
  function(m, Reduce::mean, "The mean over the axes; of integers float32.");
  function(m, Reduce::prod, "The product over the axes.");
  function(m, Reduce::max, "The largest element; equal ones share a gradient, NaN wins.");
  function(m, Reduce::min, "The smallest element; equal ones share a gradient, NaN wins.");
  m.def(
      "any", [](nb::handle x, nb::handle axis, bool k) { return any_all(false, x, axis, k); },
      operand("x"), nb::arg("axis") = nb::none(), nb::arg("keepdims") = false,
      "True where one element is not zero.");
  m.def(
      "all", [](nb::handle x, nb::handle axis, bool k) { return any_all(true, x, axis, k); },
      operand("x"), nb::arg("axis") = nb::none(), nb::arg("keepdims") = false,
      "True where no element is zero.");
  m.def(
      "argmax", [](nb::handle x, nb::handle axis, bool k) { return arg_extreme(true, x, axis, k); },
      operand("x"), nb::arg("axis").none() = -1, nb::arg("keepdims") = false,
      "The position of the first largest element, int64; None counts over all elements.");
  m.def(
      "argmin",
      [](nb::handle x, nb::handle axis, bool k) { return arg_extreme(false, x, axis, k); },
      operand("x"), nb::arg("axis").none() = -1, nb::arg("keepdims") = false,
      "The position of the first smallest element, int64; None counts over all elements.");
  m.def(
      "cumsum",
      [](nb::handle x, Index axis) { return ops::cumsum(as_tensor(x, "cumsum", "x"), axis); },
      operand("x"), nb::arg("axis") = 0, "The running sum along an axis.");
}

void bind_matmul(nb::module_& m, nb::class_<Tensor>& tensor) {
  const auto matmul = [](nb::handle a, nb::handle b) {
    const auto [x, y] = as_pair(a, b, "matmul");
    return unlocked(product_work(x, y), [&] { return ops::matmul(x, y); });
  };
  m.def("matmul", matmul, operand("x"), operand("y"), "x @ y as numpy defines it.");
  tensor.def(
      "__matmul__",
      [matmul](nb::handle a, nb::handle b) {
        return is_operand(b) ? to_python(matmul(a, b)) : nb::borrow(Py_NotImplemented);
      },
      operand("other"));
  tensor.def(
      "__rmatmul__",
      [matmul](nb::handle a, nb::handle b) {
        return is_operand(b) ? to_python(matmul(b, a)) : nb::borrow(Py_NotImplemented);
      },
      operand("other"));
  m.def(
      "dot",
      [](nb::handle a, nb::handle b) {
        const auto [x, y] = as_pair(a, b, "dot");
        return unlocked(product_work(x, y), [&] { return ops::dot(x, y); });
      },
      operand("x"), operand("y"),
      "The last axis of x against the second last of y (the only one of a vector).");
  m.def(
      "batch_dot",
      [](nb::handle a, nb::handle b, nb::handle axes) {
        const auto [x, y] = as_pair(a, b, "batch_dot");
        const std::vector<Index> list =
            axes.is_none() ? std::vector<Index>() : as_integers(axes, "batch_dot", "axes");
        return unlocked(product_work(x, y), [&] { return ops::batch_dot(x, y, list); });
      },
      operand("x"), operand("y"), nb::arg("axes") = nb::none(),
      "For each entry of the batch, one axis of x against one of y.");
  m.def(
      "bias_add",
      [](nb::handle a, nb::handle b) {
        const auto [x, y] = as_pair(a, b, "bias_add");
        return ops::bias_add(x, y);
      },
      operand("x"), operand("bias"), "x + bias along the last axis.");
}

}  // namespace elman::bindings
