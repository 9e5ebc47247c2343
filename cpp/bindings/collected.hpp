// SPDX-License-Identifier: Apache-2.0
// collected.hpp: bound objects that hold Python objects, as Python's cycle collector sees them.
#pragma once

#include <nanobind/nanobind.h>

#include <utility>

namespace elman::bindings {

namespace nb = nanobind;

/// Type slots of a class T that holds Python objects: a weight can lead back to the layer that
/// holds T (by a constraint, or an attribute), and a cycle through T would never be freed without
/// them. T has `held()`, a range of the objects, and `release()`, which drops them and whatever
/// points into them; both run with the interpreter's lock.
template <typename T>
class Collected {
 public:
  static nb::type_slots slots() { return nb::type_slots(kSlots); }

 private:
  static int traverse(PyObject* self, visitproc visit, void* arg) {
    Py_VISIT(Py_TYPE(self));
    if (!nb::inst_ready(self)) return 0;
    for (const nb::object& object : std::as_const(*nb::inst_ptr<T>(self)).held()) {
      Py_VISIT(object.ptr());
    }
    return 0;
  }

  static int clear(PyObject* self) {
    if (nb::inst_ready(self)) nb::inst_ptr<T>(self)->release();
    return 0;
  }

  static inline const PyType_Slot kSlots[] = {{Py_tp_traverse, reinterpret_cast<void*>(&traverse)},
                                              {Py_tp_clear, reinterpret_cast<void*>(&clear)},
                                              {0, nullptr}};
};

}  // namespace elman::bindings
