// SPDX-License-Identifier: Apache-2.0
// bind_ops.cpp: functions of one tensor, element by element.

#include <limits>
#include <string>

#include "bindings.hpp"
#include "convert.hpp"
#include "elman/autograd/ops_softmax.hpp"
#include "elman/autograd/ops_unary.hpp"

namespace elman::bindings {
namespace {

void function(nb::module_& m, Unary op, const char* doc) {
  m.def(
      detail::unary_name(op),
      [op](nb::handle object) {
        const Tensor x = as_tensor(object, detail::unary_name(op), "x");
        return unlocked(x.size(), [&] { return ops::unary(op, x); });
      },
      operand("x"), doc);
}

double bound(nb::handle value, const char* name, double absent) {
  if (value.is_none()) return absent;
  if (PyFloat_Check(value.ptr())) return PyFloat_AS_DOUBLE(value.ptr());
  const Tensor number = as_tensor(value, "clip", name, DType::float64);
  return nb::cast<double>(nb::float_(to_number(number)));
}

Tensor activation(nb::handle object, const std::string& name, Index axis) {
  const Tensor x = as_tensor(object, "activation", "x");
  return unlocked(x.size() * 4, [&] {
    if (name == "softmax") return ops::softmax(x, axis);
    if (name == "log_softmax") return ops::log_softmax(x, axis);
    return ops::activation(parse_activation(name), x);
  });
}

}  // namespace

void bind_unary(nb::module_& m) {
  function(m, Unary::negative, "-x");
  function(m, Unary::abs, "|x|");
  function(m, Unary::square, "x * x");
  function(m, Unary::sign, "-1, 0 or 1");
  function(m, Unary::floor, "The largest whole number <= x.");
  function(m, Unary::ceil, "The smallest whole number >= x.");
  function(m, Unary::round, "The nearest whole number, halves to even.");
  function(m, Unary::exp, "e ** x");
  function(m, Unary::expm1, "e ** x - 1, exact near 0.");
  function(m, Unary::log, "The natural logarithm; of 0 -inf, of negative numbers NaN.");
  function(m, Unary::log1p, "log(1 + x), exact near 0.");
  function(m, Unary::sqrt, "The square root; of negative numbers NaN.");
  function(m, Unary::rsqrt, "1 / sqrt(x)");
  function(m, Unary::reciprocal, "1 / x");
  function(m, Unary::sin, "The sine of x radians.");
  function(m, Unary::cos, "The cosine of x radians.");
  m.def(
      "clip",
      [](nb::handle object, nb::handle low, nb::handle high) {
        constexpr double kNone = std::numeric_limits<double>::infinity();
        const Tensor x = as_tensor(object, "clip", "x");
        return ops::clip(x, bound(low, "x_min", -kNone), bound(high, "x_max", kNone));
      },
      operand("x"), operand("x_min"), operand("x_max"),
      "min(max(x, x_min), x_max); None is no bound.");
  m.def("activation", &activation, operand("x"), nb::arg("name"), nb::arg("axis") = -1,
        "The activation of that Keras name, softmax and log_softmax (along axis) included.");
  m.def(
      "softmax", [](nb::handle x, Index axis) { return activation(x, "softmax", axis); },
      operand("x"), nb::arg("axis") = -1, "e ** x over its sum along an axis.");
  m.def(
      "log_softmax", [](nb::handle x, Index axis) { return activation(x, "log_softmax", axis); },
      operand("x"), nb::arg("axis") = -1, "x minus the log of the sum of e ** x along an axis.");
  m.def(
      "logsumexp",
      [](nb::handle object, nb::handle axis, bool keepdims) {
        const Tensor x = as_tensor(object, "logsumexp", "x");
        const Axes axes = as_axes(axis);
        return unlocked(x.size() * 4, [&] { return ops::logsumexp(x, axes, keepdims); });
      },
      operand("x"), nb::arg("axis") = nb::none(), nb::arg("keepdims") = false,
      "The log of the sum of e ** x over the axes, without overflow.");
  m.def(
      "isnan", [](nb::handle x) { return ops::classify(false, as_tensor(x, "isnan", "x")); },
      operand("x"), "True where x is NaN.");
  m.def(
      "isfinite", [](nb::handle x) { return ops::classify(true, as_tensor(x, "isfinite", "x")); },
      operand("x"), "True where x is neither infinite nor NaN.");
}

}  // namespace elman::bindings
