// SPDX-License-Identifier: Apache-2.0
// cpu_level.cpp: elman._cpu, compiled for the oldest processor, tells which core module to load.
// Written against the C API alone: it is loaded by every import and has a single function.
#include <Python.h>

#include "elman/core/cpu_level.hpp"

namespace {

PyObject* level(PyObject* /*self*/, PyObject* /*unused*/) {
  return PyLong_FromLong(elman::x86_64_level());
}

PyMethodDef methods[] = {
    {"x86_64_level", level, METH_NOARGS, "1 to 4 for x86-64-v1 ... v4, 0 on other processors."},
    {nullptr, nullptr, 0, nullptr},
};

PyModuleDef definition = {
    PyModuleDef_HEAD_INIT, "_cpu", nullptr, 0, methods, nullptr, nullptr, nullptr, nullptr};

}  // namespace

PyMODINIT_FUNC PyInit__cpu() { return PyModule_Create(&definition); }
