// SPDX-License-Identifier: Apache-2.0
// bind_recurrent.cpp: core.FusedCell, the recurrent layers without their weights.
#include <nanobind/stl/optional.h>
#include <nanobind/stl/string.h>
#include <nanobind/stl/unique_ptr.h>
#include <nanobind/stl/vector.h>

#include <optional>
#include <string>

#include "bindings.hpp"
#include "recurrent_cells.hpp"

namespace elman::bindings {
namespace {

Tensor or_absent(std::optional<Tensor>& tensor) { return tensor ? std::move(*tensor) : Tensor(); }

nb::tuple call(FusedCell& cell, const Tensor& x, const Tensor& kernel,
               const Tensor& recurrent_kernel, std::optional<Tensor> bias,
               std::optional<std::vector<Tensor>> initial_state, std::optional<Tensor> mask,
               std::optional<Tensor> input_dropout, std::optional<Tensor> recurrent_dropout,
               bool return_sequences, bool go_backwards, bool zero_output_for_mask) {
  RecurrentInputs in;
  in.x = x;
  in.kernel = kernel;
  in.recurrent_kernel = recurrent_kernel;
  in.bias = or_absent(bias);
  if (initial_state) in.initial_state = std::move(*initial_state);
  in.mask = or_absent(mask);
  in.input_dropout = or_absent(input_dropout);
  in.recurrent_dropout = or_absent(recurrent_dropout);
  in.return_sequences = return_sequences;
  in.go_backwards = go_backwards;
  in.zero_output_for_mask = zero_output_for_mask;
  std::vector<Tensor> outputs;
  {
    const nb::gil_scoped_release release;
    outputs = cell.forward(in);
    in = {};
  }
  nb::list states;
  for (std::size_t i = 1; i < outputs.size(); ++i) states.append(outputs[i]);
  return nb::make_tuple(outputs[0], states);
}

}  // namespace

void bind_recurrent(nb::module_& m) {
  nb::class_<FusedCell>(m, "FusedCell",
                        "A recurrent layer without its weights: the whole time loop, any mask, "
                        "dropout and activation in one compiled kernel and one tape node.")
      .def(nb::new_([](const std::string& kind, Index units, const std::string& activation,
                       const std::string& recurrent_activation) {
             return make_fused_cell(kind, units, activation, recurrent_activation);
           }),
           nb::arg("kind"), nb::arg("units"), nb::arg("activation") = "tanh",
           nb::arg("recurrent_activation") = "sigmoid")
      .def("forward", &call, nb::arg("x"), nb::arg("kernel"), nb::arg("recurrent_kernel"),
           nb::arg("bias") = nb::none(), nb::arg("initial_state") = nb::none(),
           nb::arg("mask") = nb::none(), nb::arg("input_dropout") = nb::none(),
           nb::arg("recurrent_dropout") = nb::none(), nb::arg("return_sequences") = false,
           nb::arg("go_backwards") = false, nb::arg("zero_output_for_mask") = false,
           "Returns (output, [states]). Shapes: x (N, T, F), kernel (F, G*H), recurrent_kernel "
           "(H, G*H), bias (G*H,) or (2, G*H), initial_state one (N, H) per state, mask bool "
           "(N, T), input_dropout (1 or G, N, F), recurrent_dropout (1 or G, N, H).")
      .def(
          "explain",
          [](const FusedCell& cell, const std::vector<Index>& x_shape, bool training,
             const std::string& dtype) {
            return cell.explain(Shape(x_shape.begin(), x_shape.end()), parse_dtype(dtype),
                                training);
          },
          nb::arg("x_shape"), nb::arg("training") = false, nb::arg("dtype") = "float32",
          "What a call with x of that shape runs: kernel, tiles, threads, bytes; in words.")
      .def_prop_ro("kind", &FusedCell::name)
      .def_prop_ro("units", &FusedCell::units)
      .def_prop_ro("gates", &FusedCell::gates);
}

}  // namespace elman::bindings
