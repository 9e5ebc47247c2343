// SPDX-License-Identifier: Apache-2.0
// bind_operators.cpp: arithmetic, comparisons and logic, as operators and as functions.
#include "bindings.hpp"
#include "convert.hpp"
#include "elman/autograd/ops_binary.hpp"
#include "elman/autograd/ops_index.hpp"
#include "elman/autograd/ops_unary.hpp"

namespace elman::bindings {
namespace {

Tensor binary(Binary op, nb::handle a, nb::handle b) {
  const auto [x, y] = as_pair(a, b, detail::binary_name(op));
  return unlocked(std::max(x.size(), y.size()), [&] { return ops::binary(op, x, y); });
}

/// x ** n for the exponents that models use, without the general power.
Tensor power(nb::handle a, nb::handle b) {
  if (PyLong_Check(b.ptr()) || PyFloat_Check(b.ptr())) {
    const double exponent = PyFloat_AsDouble(b.ptr());
    if (exponent == 2.0) return ops::square(as_tensor(a, "power", "x"));
    if (exponent == 0.5) return ops::sqrt(as_tensor(a, "power", "x"));
    PyErr_Clear();
  }
  return binary(Binary::power, a, b);
}

Tensor compare(Compare op, nb::handle a, nb::handle b) {
  const auto [x, y] = as_pair(a, b, detail::compare_name(op));
  return unlocked(std::max(x.size(), y.size()), [&] { return ops::compare(op, x, y); });
}

Tensor logical(ops::Logical op, nb::handle a, nb::handle b) {
  const auto [x, y] = as_pair(a, b, "logical");
  return ops::logical(op, x, y);
}

nb::object not_implemented() { return nb::borrow(Py_NotImplemented); }

/// f(self, other), or NotImplemented so that Python asks the other side.
template <auto F, auto Op>
nb::object forward(nb::handle self, nb::handle other) {
  return is_operand(other) ? to_python(F(Op, self, other)) : not_implemented();
}
template <auto F, auto Op>
nb::object reflected(nb::handle self, nb::handle other) {
  return is_operand(other) ? to_python(F(Op, other, self)) : not_implemented();
}

template <Binary Op>
void arithmetic(nb::class_<Tensor>& tensor, const char* name, const char* reflected_name) {
  tensor.def(name, &forward<binary, Op>, operand("other"));
  tensor.def(reflected_name, &reflected<binary, Op>, operand("other"));
}

void function(nb::module_& m, Binary op, const char* doc) {
  m.def(
      detail::binary_name(op), [op](nb::handle x, nb::handle y) { return binary(op, x, y); },
      operand("x"), operand("y"), doc);
}
void function(nb::module_& m, Compare op) {
  m.def(
      detail::compare_name(op), [op](nb::handle x, nb::handle y) { return compare(op, x, y); },
      operand("x"), operand("y"), "Elementwise comparison; a bool tensor.");
}

template <ops::Logical Op>
void logic(nb::class_<Tensor>& tensor, const char* name, const char* reflected_name) {
  tensor.def(name, &forward<logical, Op>, operand("other"));
  tensor.def(reflected_name, &reflected<logical, Op>, operand("other"));
}

}  // namespace

void bind_operators(nb::class_<Tensor>& tensor) {
  arithmetic<Binary::add>(tensor, "__add__", "__radd__");
  arithmetic<Binary::subtract>(tensor, "__sub__", "__rsub__");
  arithmetic<Binary::multiply>(tensor, "__mul__", "__rmul__");
  arithmetic<Binary::divide>(tensor, "__truediv__", "__rtruediv__");
  arithmetic<Binary::floor_divide>(tensor, "__floordiv__", "__rfloordiv__");
  arithmetic<Binary::mod>(tensor, "__mod__", "__rmod__");
  tensor.def(
      "__pow__",
      [](nb::handle a, nb::handle b) {
        return is_operand(b) ? to_python(power(a, b)) : not_implemented();
      },
      operand("other"));
  tensor.def("__rpow__", &reflected<binary, Binary::power>, operand("other"));
  tensor.def("__eq__", &forward<compare, Compare::equal>, operand("other"));
  tensor.def("__ne__", &forward<compare, Compare::not_equal>, operand("other"));
  tensor.def("__lt__", &forward<compare, Compare::less>, operand("other"));
  tensor.def("__le__", &forward<compare, Compare::less_equal>, operand("other"));
  tensor.def("__gt__", &forward<compare, Compare::greater>, operand("other"));
  tensor.def("__ge__", &forward<compare, Compare::greater_equal>, operand("other"));
  logic<ops::Logical::and_>(tensor, "__and__", "__rand__");
  logic<ops::Logical::or_>(tensor, "__or__", "__ror__");
  logic<ops::Logical::xor_>(tensor, "__xor__", "__rxor__");
  tensor.def("__invert__", [](const Tensor& x) { return ops::logical_not(x); });
  tensor.def("__neg__", [](const Tensor& x) { return ops::negative(x); });
  tensor.def("__pos__", [](nb::handle x) { return x; });
  tensor.def("__abs__", [](const Tensor& x) { return ops::abs(x); });
}

void bind_arithmetic(nb::module_& m) {
  function(m, Binary::add, "x + y with broadcasting.");
  function(m, Binary::subtract, "x - y with broadcasting.");
  function(m, Binary::multiply, "x * y with broadcasting.");
  function(m, Binary::divide, "x / y with broadcasting; of integers float32.");
  function(m, Binary::floor_divide, "x // y, rounded down; an integer divided by 0 gives 0.");
  function(m, Binary::mod, "x % y with the sign of y.");
  function(m, Binary::maximum, "The larger element; equal ones share a gradient.");
  function(m, Binary::minimum, "The smaller element; equal ones share a gradient.");
  m.def("power", &power, operand("x"), operand("y"), "x ** y with broadcasting.");
  for (const Compare op : {Compare::equal, Compare::not_equal, Compare::less, Compare::less_equal,
                           Compare::greater, Compare::greater_equal}) {
    function(m, op);
  }
  using ops::Logical;
  m.def(
      "logical_and", [](nb::handle x, nb::handle y) { return logical(Logical::and_, x, y); },
      operand("x"), operand("y"), "True where both are not zero.");
  m.def(
      "logical_or", [](nb::handle x, nb::handle y) { return logical(Logical::or_, x, y); },
      operand("x"), operand("y"), "True where one is not zero.");
  m.def(
      "logical_xor", [](nb::handle x, nb::handle y) { return logical(Logical::xor_, x, y); },
      operand("x"), operand("y"), "True where exactly one is not zero.");
  m.def(
      "logical_not",
      [](nb::handle x) { return ops::logical_not(as_tensor(x, "logical_not", "x")); }, operand("x"),
      "True where x is zero.");
}

}  // namespace elman::bindings
