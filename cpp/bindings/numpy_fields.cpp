// SPDX-License-Identifier: Apache-2.0
// numpy_fields.cpp: the array type, and a check of its layout on first use.
#include "numpy_fields.hpp"

#include "numpy_view.hpp"

namespace elman::bindings {
namespace {

bool looks_as_expected(nb::handle type) {
  const auto* head = reinterpret_cast<PyTypeObject*>(type.ptr());
  if (head->tp_basicsize < static_cast<Py_ssize_t>(sizeof(NumpyArray))) return false;
  const nb::object array = numpy().attr("zeros")(nb::make_tuple(2, 3), "float32");
  const nb::object dtype = numpy().attr("dtype")("float32");
  const auto data = nb::cast<std::uintptr_t>(array.attr("__array_interface__")["data"][0]);
  const auto& fields = *reinterpret_cast<const NumpyArray*>(array.ptr());
  return reinterpret_cast<std::uintptr_t>(fields.data) == data && fields.rank == 2 &&
         fields.shape[0] == 2 && fields.shape[1] == 3 && fields.strides[0] == 12 &&
         fields.base == nullptr && fields.dtype == dtype.ptr() &&
         fields.has(NumpyArray::kContiguous | NumpyArray::kAligned | NumpyArray::kWriteable);
}

// numpy.ndarray, or an invalid handle where its arrays must not be read directly.
nb::handle array_type() {
  return looks_as_expected(numpy_ndarray()) ? numpy_ndarray() : nb::handle();
}

}  // namespace

const NumpyArray* peek_array(nb::handle object) {
  static const nb::handle type = array_type();
  const bool known = reinterpret_cast<PyObject*>(Py_TYPE(object.ptr())) == type.ptr();
  return known ? reinterpret_cast<const NumpyArray*>(object.ptr()) : nullptr;
}

}  // namespace elman::bindings
