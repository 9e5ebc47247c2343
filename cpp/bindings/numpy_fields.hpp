// SPDX-License-Identifier: Apache-2.0
// numpy_fields.hpp: what numpy arrays say of themselves, read without a call.
#pragma once

#include <nanobind/nanobind.h>

namespace elman::bindings {

namespace nb = nanobind;

/// The head of an array object. numpy's binary interface fixes this layout (PyArrayObject_fields):
/// the accessors of its C headers, compiled into other extensions, read it as well. Against the
/// buffer protocol, which describes an array anew at each request, it saves 0.2 us.
struct NumpyArray {
  PyObject_HEAD char* data;
  int rank;
  Py_ssize_t* shape;
  Py_ssize_t* strides;
  PyObject* base;
  PyObject* dtype;
  int flags;

  static constexpr int kContiguous = 0x1, kAligned = 0x100, kWriteable = 0x400;
  [[nodiscard]] bool has(int wanted) const { return (flags & wanted) == wanted; }
};

/// The array in a Python object that is exactly a numpy.ndarray, else nullptr; borrowed. Always
/// nullptr if a known array does not look as expected.
const NumpyArray* peek_array(nb::handle object);

}  // namespace elman::bindings
