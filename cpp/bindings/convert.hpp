// SPDX-License-Identifier: Apache-2.0
// convert.hpp: between Python objects and tensors.
#pragma once

#include <nanobind/nanobind.h>
#include <nanobind/stl/string.h>

#include <optional>
#include <string>
#include <vector>

#include "elman/autograd/ops_reduce.hpp"
#include "elman/autograd/tensor.hpp"

namespace elman::bindings {

namespace nb = nanobind;

/// An argument that may be any object: None too, so that it gets an error of our own.
inline auto operand(const char* name) { return nb::arg(name).none(); }

/// Whether the object is of the type Tensor or a subclass, whatever state it is in.
inline bool is_tensor(nb::handle object) {
  static PyTypeObject* const type = reinterpret_cast<PyTypeObject*>(nb::type<Tensor>().ptr());
  return PyObject_TypeCheck(object.ptr(), type) != 0;
}

/// The tensor inside of a Python object, or nullptr; borrowed. A subclass may leave out
/// super().__init__(): then there is none.
inline const Tensor* peek_tensor(nb::handle object) {
  if (!is_tensor(object) || !nb::inst_ready(object)) return nullptr;
  const Tensor* tensor = nb::inst_ptr<Tensor>(object);
  return tensor->defined() ? tensor : nullptr;
}

/// The tensor that a method is called on.
/// Errors    TypeError when it is none, or when its __init__ has not run
const Tensor& tensor_of(nb::handle self, const char* where);

/// Any array-like object as a tensor: without a copy when it is C-contiguous and of a type that
/// tensors have, otherwise converted. Numbers take the type `like` if one is given, else float32,
/// int64 or bool; so do lists. While a tape records, writable memory is copied.
/// Errors    TypeError for strings, objects, byte-swapped and masked arrays, ValueError for
///           integers beyond int64, worded "[where] name: ..."
Tensor as_tensor(nb::handle object, const char* where, const char* name,
                 std::optional<DType> like = std::nullopt);

/// The same, or an undefined tensor for None.
Tensor as_optional_tensor(nb::handle object, const char* where, const char* name);

/// Every element of a list or tuple of array-likes; one array-like is a list of one.
std::vector<Tensor> as_tensors(nb::handle object, const char* where, const char* name);

/// Whether an operator should try the object: otherwise it returns NotImplemented.
bool is_operand(nb::handle object);
/// A Python or numpy number: it takes the type of the array that it meets.
bool is_number(nb::handle object);

/// Two operands in which numbers have taken the type of the other side.
std::pair<Tensor, Tensor> as_pair(nb::handle a, nb::handle b, const char* where);

/// A dtype by name, as numpy type or as numpy.dtype; `absent` for None.
DType as_dtype(nb::handle object, DType absent);
/// A tuple, list or integer as a shape.
Shape as_shape(nb::handle object, const char* where);
/// None, an integer, or a list of integers.
Axes as_axes(nb::handle object);
/// One integer. Errors: TypeError for anything else
Index as_integer(nb::handle object, const char* where, const char* name,
                 const char* expected = "an integer");
/// A list of integers or one integer.
std::vector<Index> as_integers(nb::handle object, const char* where, const char* name);

/// A numpy array of the tensor's memory, which it keeps alive; read-only unless asked otherwise.
nb::object to_numpy(const Tensor& tensor, bool writable = false);
nb::tuple shape_tuple(const Shape& shape);
/// The value of a tensor with one element as a Python number.
nb::object to_number(const Tensor& tensor);
nb::object to_python(Tensor&& tensor);

/// The lock of the interpreter is given back for long work only: handing it over costs more than
/// most small operations.
inline constexpr Index kLongWork = 1 << 15;
template <class F>
auto unlocked(Index work, F&& f) {
  if (work < kLongWork) return f();
  const nb::gil_scoped_release release;
  return f();
}

}  // namespace elman::bindings
