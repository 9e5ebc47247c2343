// SPDX-License-Identifier: Apache-2.0
// bind_stream.cpp: core.Stream, layers one time step at a time.
#include <nanobind/stl/string.h>

#include <string>

#include "bindings.hpp"
#include "collected.hpp"
#include "convert.hpp"
#include "stream.hpp"

namespace elman::bindings {

void bind_stream(nb::module_& m) {
  nb::class_<Stream>(m, "Stream", Collected<Stream>::slots(),
                     "A chain of layers, one time step per call, with the states inside; made by "
                     "layer.stream() and model.stream(). One stream serves one thread at a time.")
      .def(
          "__init__",
          [](Stream* self, Index batch_size, Index features, const std::string& dtype) {
            new (self) Stream(batch_size, features, parse_dtype(dtype));
          },
          nb::arg("batch_size"), nb::arg("features"), nb::arg("dtype") = "float32",
          "A chain without layers yet, for rows of that many features.")
      .def("add_recurrent", &Stream::add_recurrent, nb::arg("cell"), nb::arg("kernel"),
           nb::arg("recurrent_kernel"), nb::arg("bias") = nb::none(),
           "Appends a recurrent layer. Variables that change later are packed again.")
      .def("add_dense", &Stream::add_dense, nb::arg("kernel"), nb::arg("bias") = nb::none(),
           nb::arg("activation") = "linear", "Appends activation(x @ kernel + bias).")
      .def("add_activation", &Stream::add_activation, nb::arg("activation"),
           "Appends an elementwise activation, softmax or log_softmax.")
      .def("step", &Stream::step, nb::arg("x").none(), nb::arg("out") = nb::none(),
           "The outputs of one time step, a new array or `out`. Shapes: x (N, F) -> (N, H), and "
           "with N = 1 also (F,) -> (H,), where x may be a list of numbers.")
      .def("reset", &Stream::reset, nb::arg("rows") = nb::none(),
           "Back to zero states: all rows, or those where rows, bool (N,), is true.")
      .def_prop_rw("states", &Stream::states, &Stream::set_states,
                   "Copies of all states, layer after layer (an LSTM has h, c), each (N, H).")
      .def_prop_ro("batch_size", &Stream::rows)
      .def_prop_ro("features", &Stream::features)
      .def_prop_ro("units", &Stream::units)
      .def_prop_ro("dtype", [](const Stream& s) { return dtype_name(s.dtype()); });
}

}  // namespace elman::bindings
