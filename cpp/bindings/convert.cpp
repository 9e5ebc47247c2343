// SPDX-License-Identifier: Apache-2.0
// convert.cpp: between Python objects and tensors.
#include "convert.hpp"

#include <cstring>
#include <limits>
#include <memory>

#include "elman/autograd/cast.hpp"
#include "elman/autograd/ops_join.hpp"
#include "numpy_view.hpp"

namespace elman::bindings {
namespace {

std::string name_of_type(nb::handle object) {
  return nb::cast<std::string>(object.type().attr("__name__"));
}

[[noreturn]] void fail_type(const char* where, const char* name, const std::string& got) {
  const std::string text = error_text(
      where, std::string(name) + ": expected an array of numbers or booleans, got " + got);
  throw nb::type_error(text.c_str());
}

bool is_text(nb::handle object) {
  return PyUnicode_Check(object.ptr()) || PyBytes_Check(object.ptr()) ||
         PyByteArray_Check(object.ptr());
}

bool has(nb::handle object, const char* attribute) { return nb::hasattr(object, attribute); }

/// A Tensor that a subclass has not initialised, or that came from Tensor.__new__.
[[noreturn]] void fail_unfinished(nb::handle object, const char* where, const char* name) {
  const std::string text =
      error_text(where, std::string(name) + ": expected a tensor, got a " + name_of_type(object) +
                            " whose __init__ has not run; call super().__init__(value)");
  throw nb::type_error(text.c_str());
}

/// The pending OverflowError of a Python integer, in our words.
[[noreturn]] void fail_large(nb::handle integer, const char* where, const char* name) {
  PyErr_Clear();
  const std::string bits = nb::cast<std::string>(nb::str(integer.attr("bit_length")()));
  fail(where, std::string(name) + ": expected a number within int64, got one of " + bits + " bits");
}

/// A number in the type `like`, widened where it would not fit: 0.5 beside integers is float32.
Tensor number_tensor(nb::handle object, std::optional<DType> like, const char* where,
                     const char* name) {
  PyObject* o = object.ptr();
  if (PyBool_Check(o)) {
    const bool value = o == Py_True;
    return like ? detail::scalar_of(value, *like) : Tensor::scalar(value);
  }
  if (PyFloat_Check(o)) {
    const DType dtype = like && is_floating(*like) ? *like : DType::float32;
    return detail::scalar_of(PyFloat_AS_DOUBLE(o), dtype);
  }
  if (PyLong_Check(o)) {
    if (like && is_floating(*like)) {
      const double value = PyLong_AsDouble(o);
      if (value == -1.0 && PyErr_Occurred()) fail_large(object, where, name);
      return detail::scalar_of(value, *like);
    }
    const long long value = PyLong_AsLongLong(o);
    if (value == -1 && PyErr_Occurred()) fail_large(object, where, name);
    const bool small = value >= std::numeric_limits<std::int32_t>::lowest() &&
                       value <= std::numeric_limits<std::int32_t>::max();
    if (like == DType::int32 && small) return Tensor::scalar(static_cast<std::int32_t>(value));
    return Tensor::scalar(static_cast<std::int64_t>(value));
  }
  // A numpy scalar: through the Python number of its kind. The item() of a longdouble is itself,
  // and that of dates is an integer.
  const auto kind = nb::cast<std::string>(object.attr("dtype").attr("kind"));
  if (kind == "f") return number_tensor(nb::float_(object), like, where, name);
  if (kind == "i" || kind == "u" || kind == "b") {
    return number_tensor(object.attr("item")(), like, where, name);
  }
  fail_type(where, name, name_of_type(object));
}

/// Elements of another width or order: numpy converts them.
Tensor converted_by_numpy(nb::handle given, DType dtype, const char* where, const char* name) {
  const nb::object array = numpy().attr("asarray")(given);
  if (dtype == DType::int64 && nb::cast<std::string>(array.attr("dtype").attr("kind")) == "u" &&
      nb::cast<std::size_t>(array.attr("size")) > 0) {
    const nb::object largest = array.attr("max")().attr("item")();
    PyLong_AsLongLong(largest.ptr());
    if (PyErr_Occurred() != nullptr) fail_large(largest, where, name);
  }
  const nb::object copy =
      numpy().attr("array")(array, nb::arg("dtype") = dtype_name(dtype), nb::arg("order") = "C");
  return *numpy_tensor(copy).tensor;
}

/// A numpy.ma array that hides some of its elements; their values are arbitrary.
bool is_masked(nb::handle array) {
  if (reinterpret_cast<PyObject*>(Py_TYPE(array.ptr())) == numpy_ndarray().ptr()) return false;
  return has(array, "filled") && nb::cast<bool>(numpy().attr("ma").attr("is_masked")(array));
}

Tensor array_tensor(nb::handle array, const char* where, const char* name, bool shared = false) {
  if (is_masked(array)) fail_type(where, name, "a masked array; use its .filled(value)");
  BufferResult result = numpy_tensor(array, shared);
  if (result.tensor) return std::move(*result.tensor);
  if (result.convert_to) return converted_by_numpy(array, *result.convert_to, where, name);
  fail_type(where, name, result.problem);
}

bool all_tensors(nb::handle list) {
  bool any = false;
  for (const nb::handle item : list) {
    if (peek_tensor(item) == nullptr) return false;
    any = true;
  }
  return any;
}

Tensor list_tensor(nb::handle list, const char* where, const char* name,
                   std::optional<DType> like) {
  if (all_tensors(list)) return ops::stack(as_tensors(list, where, name));
  const nb::object array = numpy().attr("asarray")(list);
  Tensor out = array_tensor(array, where, name);
  // Python floats carry no type: they become the type of the model, not numpy's float64.
  if (out.dtype() == DType::float64) {
    return ops::cast(out, like && is_floating(*like) ? *like : DType::float32);
  }
  return out;
}

}  // namespace

const Tensor& tensor_of(nb::handle self, const char* where) {
  if (const Tensor* tensor = peek_tensor(self)) return *tensor;
  if (is_tensor(self)) fail_unfinished(self, where, "self");
  fail_type(where, "self", name_of_type(self));
}

bool is_number(nb::handle object) {
  PyObject* o = object.ptr();
  if (PyFloat_Check(o) || PyLong_Check(o)) return true;
  return nb::isinstance(object, numpy_generic()) && !is_text(object);
}

bool is_operand(nb::handle object) {
  return peek_tensor(object) != nullptr || is_number(object) ||
         (!is_text(object) && !PyType_Check(object.ptr()) &&
          (PyObject_CheckBuffer(object.ptr()) || PyList_Check(object.ptr()) ||
           PyTuple_Check(object.ptr()) || has(object, "__array__")));
}

Tensor as_tensor(nb::handle object, const char* where, const char* name,
                 std::optional<DType> like) {
  if (const Tensor* tensor = peek_tensor(object)) return *tensor;
  if (is_number(object)) return number_tensor(object, like, where, name);
  if (is_tensor(object)) fail_unfinished(object, where, name);
  if (object.is_none() || is_text(object) || PyType_Check(object.ptr())) {
    fail_type(where, name, object.is_none() ? "None" : name_of_type(object));
  }
  if (PyObject_CheckBuffer(object.ptr())) return array_tensor(object, where, name);
  if (PyList_Check(object.ptr()) || PyTuple_Check(object.ptr())) {
    return list_tensor(object, where, name, like);
  }
  if (has(object, "__dlpack__") && has(object, "__dlpack_device__")) {
    return array_tensor(numpy().attr("from_dlpack")(object), where, name, true);
  }
  if (has(object, "__array__")) {
    return array_tensor(numpy().attr("asarray")(object), where, name);
  }
  fail_type(where, name, name_of_type(object));
}

Tensor as_optional_tensor(nb::handle object, const char* where, const char* name) {
  return object.is_none() ? Tensor() : as_tensor(object, where, name);
}

std::vector<Tensor> as_tensors(nb::handle object, const char* where, const char* name) {
  std::vector<Tensor> out;
  if (PyList_Check(object.ptr()) || PyTuple_Check(object.ptr())) {
    for (const nb::handle item : object) out.push_back(as_tensor(item, where, name));
  } else {
    out.push_back(as_tensor(object, where, name));
  }
  return out;
}

std::pair<Tensor, Tensor> as_pair(nb::handle a, nb::handle b, const char* where) {
  const bool weak_a = is_number(a) || PyList_Check(a.ptr()) || PyTuple_Check(a.ptr());
  if (!weak_a) {
    Tensor x = as_tensor(a, where, "x");
    Tensor y = as_tensor(b, where, "y", x.dtype());
    return {std::move(x), std::move(y)};
  }
  Tensor y = as_tensor(b, where, "y");
  const bool weak_b = is_number(b) || PyList_Check(b.ptr()) || PyTuple_Check(b.ptr());
  Tensor x = as_tensor(a, where, "x", weak_b ? std::nullopt : std::optional<DType>(y.dtype()));
  return {std::move(x), std::move(y)};
}

DType as_dtype(nb::handle object, DType absent) {
  if (object.is_none()) return absent;
  if (PyUnicode_Check(object.ptr())) {
    Py_ssize_t size = 0;
    const char* text = PyUnicode_AsUTF8AndSize(object.ptr(), &size);
    if (text == nullptr) throw nb::python_error();
    return parse_dtype(std::string_view(text, static_cast<std::size_t>(size)));
  }
  const nb::object dtype = numpy().attr("dtype")(object);
  return parse_dtype(nb::cast<std::string>(dtype.attr("name")));
}

Index as_integer(nb::handle object, const char* where, const char* name, const char* expected) {
  const Py_ssize_t value = PyNumber_AsSsize_t(object.ptr(), PyExc_OverflowError);
  if (value == -1 && PyErr_Occurred()) {
    PyErr_Clear();
    const std::string text =
        error_text(where, std::string(name) + ": expected " + expected + ", got " +
                              nb::cast<std::string>(nb::repr(object)));
    throw nb::type_error(text.c_str());
  }
  return value;
}

std::vector<Index> as_integers(nb::handle object, const char* where, const char* name) {
  std::vector<Index> out;
  const auto push = [&](nb::handle item) {
    out.push_back(as_integer(item, where, name, "integers"));
  };
  if (PyIndex_Check(object.ptr()) && !PySequence_Check(object.ptr())) {
    push(object);
    return out;
  }
  const Tensor* tensor = peek_tensor(object);
  if (tensor != nullptr && tensor->ndim() == 0) {
    push(object);
    return out;
  }
  if (is_text(object) || !PySequence_Check(object.ptr())) {
    push(object);  // words the error
    return out;
  }
  for (const nb::handle item : object) push(item);
  return out;
}

Shape as_shape(nb::handle object, const char* where) {
  Shape out;
  for (const Index dim : as_integers(object, where, "shape")) {
    if (dim < 0) fail(where, "shape: expected dimensions >= 0, got " + std::to_string(dim));
    out.push_back(dim);
  }
  return out;
}

Axes as_axes(nb::handle object) {
  return object.is_none() ? Axes() : Axes(as_integers(object, "reduce", "axis"));
}

nb::tuple shape_tuple(const Shape& shape) {
  nb::object out = nb::steal(PyTuple_New(shape.rank()));
  if (!out.is_valid()) throw nb::python_error();
  for (Index axis = 0; axis < shape.rank(); ++axis) {
    PyTuple_SET_ITEM(out.ptr(), axis, PyLong_FromSsize_t(shape[axis]));
  }
  return nb::borrow<nb::tuple>(out);
}

nb::object to_number(const Tensor& tensor) {
  if (tensor.size() != 1) {
    fail("Tensor.item", "expected a tensor with one element, got shape " + tensor.shape().text());
  }
  return visit_any(tensor.dtype(), [&](auto zero) -> nb::object {
    return nb::cast(*tensor.data<decltype(zero)>());
  });
}

nb::object to_python(Tensor&& tensor) { return nb::cast(std::move(tensor)); }

}  // namespace elman::bindings
