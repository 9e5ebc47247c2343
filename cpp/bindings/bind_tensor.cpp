// SPDX-License-Identifier: Apache-2.0
// bind_tensor.cpp: core.Tensor, an array that numpy and other libraries see without a copy.

#include <string>

#include "bindings.hpp"
#include "convert.hpp"
#include "elman/autograd/cast.hpp"
#include "elman/autograd/ops_join.hpp"
#include "elman/autograd/ops_shape.hpp"
#include "numpy_view.hpp"

namespace elman::bindings {
namespace {

nb::object array_protocol(const Tensor& self, nb::handle dtype, nb::handle copy) {
  const bool other_type = !dtype.is_none() && as_dtype(dtype, self.dtype()) != self.dtype();
  const bool must_copy = PyObject_IsTrue(copy.ptr()) == 1;
  if (!other_type) return to_numpy(must_copy ? self.copy() : self, must_copy);
  if (!copy.is_none() && !must_copy) {
    fail("Tensor.__array__", "copy: False was asked for, but another dtype needs a copy");
  }
  return to_numpy(self).attr("astype")(dtype);
}

/// numpy does the export. A consumer that knows DLPack 1 gets a view marked read-only; an older one
/// cannot be told, and gets the same memory without the mark.
nb::object dlpack(nb::handle self, const nb::kwargs& options) {
  const bool versioned = options.contains("max_version") && !options["max_version"].is_none();
  const nb::object view = to_numpy(tensor_of(self, "Tensor.__dlpack__"), !versioned);
  return view.attr("__dlpack__")(**options);
}

std::string describe(const char* head, const Tensor& self) {
  const nb::object text = numpy().attr("array2string")(to_numpy(self), nb::arg("separator") = ", ");
  return std::string(head) + "shape=" + self.shape().text() +
         ", dtype=" + dtype_name(self.dtype()) + ", numpy=" + (self.ndim() > 1 ? "\n" : "") +
         nb::cast<std::string>(text) + ")";
}

nb::object format(nb::handle self, nb::handle spec) {
  const Tensor& tensor = tensor_of(self, "Tensor.__format__");
  if (tensor.size() == 1 && nb::len(spec) > 0) {
    return nb::steal(PyObject_Format(to_number(tensor).ptr(), spec.ptr()));
  }
  return nb::steal(PyObject_Format(nb::str(self).ptr(), spec.ptr()));
}

bool truth(const Tensor& self) {
  if (self.size() != 1) {
    fail("Tensor.__bool__", "the truth of a tensor of shape " + self.shape().text() +
                                " is ambiguous; use elman.backend.any or all");
  }
  return PyObject_IsTrue(to_number(self).ptr()) == 1;
}

nb::object index_value(const Tensor& self) {
  if (self.size() != 1 || is_floating(self.dtype()) || self.dtype() == DType::bool_) {
    throw nb::type_error("[Tensor.__index__] expected one integer element");
  }
  return to_number(self);
}

nb::object reshape(const Tensor& self, const nb::args& dims) {
  const bool one = dims.size() == 1;
  const nb::object list = one ? nb::object(dims[0]) : nb::object(dims);
  return to_python(ops::reshape(self, as_integers(list, "reshape", "shape")));
}

nb::tuple reduced(nb::handle self) {
  const Tensor& tensor = tensor_of(self, "Tensor.__reduce__");
  return nb::make_tuple(self.type(), nb::make_tuple(to_numpy(tensor.copy(), true)));
}

void bind_values(nb::class_<Tensor>& tensor) {
  tensor.def_prop_ro("shape", [](const Tensor& t) { return shape_tuple(t.shape()); })
      .def_prop_ro("dtype", [](const Tensor& t) { return dtype_name(t.dtype()); })
      .def_prop_ro("ndim", &Tensor::ndim)
      .def_prop_ro("size", &Tensor::size)
      .def_prop_ro("nbytes", &Tensor::bytes)
      .def_prop_ro("T", [](const Tensor& t) { return ops::transpose(t); })
      .def(
          "numpy", [](const Tensor& t) { return to_numpy(t); },
          "A read-only numpy view of the values, without a copy.")
      .def("item", &to_number, "The value of a tensor with one element as a Python number.")
      .def("tolist", [](const Tensor& t) { return to_numpy(t).attr("tolist")(); })
      .def(
          "copy", [](const Tensor& t) { return t.copy(); }, "A copy that no tape knows.")
      .def("reshape", &reshape, "The same values under another shape; one dimension may be -1.")
      .def(
          "astype",
          [](const Tensor& t, nb::handle dtype) {
            return ops::cast(t, as_dtype(dtype, t.dtype()));
          },
          nb::arg("dtype"), "The values in another element type.");
}

void bind_protocols(nb::class_<Tensor>& tensor) {
  tensor
      .def("__array__", &array_protocol, nb::arg("dtype") = nb::none(),
           nb::arg("copy") = nb::none())
      .def("__dlpack__", &dlpack)
      .def("__dlpack_device__", [](const Tensor&) { return nb::make_tuple(1, 0); })
      .def("__len__",
           [](const Tensor& t) {
             if (t.ndim() == 0) throw nb::type_error("[Tensor.__len__] a scalar has no length");
             return t.shape()[0];
           })
      .def("__iter__",
           [](const Tensor& t) {
             if (t.ndim() == 0) throw nb::type_error("[Tensor.__iter__] a scalar has no elements");
             nb::list items;
             for (Tensor& item : ops::unstack(t)) items.append(to_python(std::move(item)));
             return nb::iter(items);
           })
      .def("__float__", [](const Tensor& t) { return nb::float_(to_number(t)); })
      .def("__int__", [](const Tensor& t) { return nb::int_(to_number(t)); })
      .def("__index__", &index_value)
      .def("__bool__", &truth)
      .def("__format__", &format)
      .def("__repr__", [](const Tensor& t) { return describe("elman.Tensor(", t); })
      .def("__reduce__", &reduced)
      .def("__copy__", [](nb::handle self) { return self; });
  // numpy arrays on the left of an operator leave the operation to the tensor.
  tensor.attr("__array_priority__") = 1000;
  // Comparisons are element by element, so tensors are told apart by identity.
  tensor.attr("__hash__") = nb::module_::import_("builtins").attr("object").attr("__hash__");
}

std::string describe_variable(const Variable& self) {
  return describe(("elman.Variable(name='" + self.name() + "', ").c_str(), self);
}

/// The value in the variable's type; the number of elements is checked by assign.
Tensor new_value(const Variable& self, nb::handle value) {
  const Tensor given = as_tensor(value, "Variable.assign", "value", self.dtype());
  const NoRecording off;
  Tensor cast = ops::cast(given, self.dtype());
  if (cast.ndim() == 0 && self.ndim() > 0) cast = ops::broadcast_to(cast, self.shape());
  return cast;
}

void make_variable(Variable* self, nb::handle value, bool trainable, nb::handle dtype,
                   nb::handle name) {
  const std::optional<DType> like =
      dtype.is_none() ? std::nullopt : std::optional<DType>(as_dtype(dtype, DType::float32));
  Tensor tensor = as_tensor(value, "Variable", "value", like);
  const NoRecording off;
  if (like) tensor = ops::cast(tensor, *like);
  const std::string label = name.is_none() ? "variable" : nb::cast<std::string>(name);
  new (self) Variable(tensor, label, trainable);
}

Variable& variable_of(nb::handle self, const char* where) {
  tensor_of(self, where);
  if (!nb::isinstance<Variable>(self)) {
    const std::string text = error_text(where, "self: expected a Variable, got a Tensor");
    throw nb::type_error(text.c_str());
  }
  return *nb::inst_ptr<Variable>(self);
}

nb::object assigned(nb::handle self, nb::handle value) {
  Variable& variable = variable_of(self, "Variable.assign");
  variable.assign(new_value(variable, value));
  return nb::borrow(self);
}

nb::object add_to(nb::handle self, nb::handle value, double sign) {
  Variable& variable = variable_of(self, "Variable.assign");
  const Tensor addend = new_value(variable, value);
  const NoRecording off;
  variable.assign(sign > 0 ? variable + addend : variable - addend);
  return nb::borrow(self);
}

nb::tuple reduced_variable(nb::handle self) {
  const Variable& variable = variable_of(self, "Variable.__reduce__");
  return nb::make_tuple(self.type(),
                        nb::make_tuple(to_numpy(variable.copy(), true), variable.trainable(),
                                       dtype_name(variable.dtype()), variable.name()),
                        self.attr("__dict__"));
}

/// A variable of its own, as copy.deepcopy makes it; one that shared the value would be no copy.
nb::object copied_variable(nb::handle self) {
  const nb::tuple parts = reduced_variable(self);
  nb::object copy = parts[0](*nb::borrow<nb::tuple>(parts[1]));
  copy.attr("__dict__").attr("update")(parts[2]);
  return copy;
}

void bind_variable(nb::module_& m) {
  nb::class_<Variable, Tensor>(m, "Variable", nb::dynamic_attr(),
                               "A tensor that keeps its place and takes new values: a weight.")
      .def("__init__", &make_variable, operand("value"), nb::arg("trainable") = true,
           nb::arg("dtype") = nb::none(), nb::arg("name") = nb::none(),
           "Copies value. Trainable variables are watched by gradient tapes without being asked.")
      .def("assign", &assigned, operand("value"),
           "Takes a new value of the same shape; numbers fill the variable.")
      .def(
          "assign_add", [](nb::handle self, nb::handle v) { return add_to(self, v, 1); },
          operand("value"))
      .def(
          "assign_sub", [](nb::handle self, nb::handle v) { return add_to(self, v, -1); },
          operand("value"))
      .def("value", &Variable::value,
           "The present value as a tensor that later assigns leave alone.")
      .def_prop_ro(
          "version", [](const Variable& v) { return v.version(); },
          "A number that changes with every new value.")
      .def_prop_rw("trainable", &Variable::trainable, &Variable::set_trainable)
      .def_prop_rw("name", &Variable::name, &Variable::set_name)
      .def_prop_rw(
          "path", [](nb::handle self) { return nb::getattr(self, "_path", self.attr("name")); },
          [](nb::handle self, nb::handle path) { self.attr("_path") = path; },
          "Layer and name, as 'lstm/kernel'; the name until a layer sets it.")
      .def("__copy__", &copied_variable)
      .def("__reduce__", &reduced_variable)
      .def("__repr__", &describe_variable);
}

}  // namespace

void bind_tensor(nb::module_& m) {
  nb::class_<Tensor> tensor(m, "Tensor", nb::dynamic_attr(), nb::is_weak_referenceable(),
                            "An n-dimensional array of float32, float64, int32, int64 or bool.");
  tensor.def(
      "__init__",
      [](Tensor* self, nb::handle array, nb::handle dtype) {
        const Tensor given = as_tensor(array, "Tensor", "array");
        new (self) Tensor(ops::cast(given, as_dtype(dtype, given.dtype())));
      },
      operand("array"), nb::arg("dtype") = nb::none(),
      "A C-contiguous array of a supported dtype is not copied: later changes to it show, "
      "unless a tape records.");
  bind_values(tensor);
  bind_protocols(tensor);
  bind_operators(tensor);
  bind_indexing(tensor);
  bind_matmul(m, tensor);
  bind_variable(m);
}

}  // namespace elman::bindings
