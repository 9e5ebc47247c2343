// SPDX-License-Identifier: Apache-2.0
// bind_recurrent.cpp: core.FusedCell, the recurrent layers without their weights.
#include <nanobind/stl/optional.h>
#include <nanobind/stl/string.h>
#include <nanobind/stl/unique_ptr.h>
#include <nanobind/stl/vector.h>

#include <algorithm>
#include <array>
#include <optional>
#include <string>
#include <utility>
#include <vector>

#include "bindings.hpp"
#include "collected.hpp"
#include "convert.hpp"
#include "numpy_view.hpp"
#include "recurrent_cells.hpp"

namespace elman::bindings {
namespace {

Tensor or_absent(std::optional<Tensor>& tensor) { return tensor ? std::move(*tensor) : Tensor(); }

// Long runs let other Python threads work; handing the lock over takes as long as a short one.
std::vector<Tensor> run(FusedCell& cell, RecurrentInputs&& in) {
  const Index rank = in.x.ndim();  // more than 3: images, the kernel works at every pixel
  const Index steps = rank >= 3 ? in.x.size() / std::max<Index>(in.x.dim(rank - 1), 1) : 0;
  const Index work = steps * in.kernel.size();
  return unlocked(work / 8, [&] { return cell.forward(std::move(in)); });
}

nb::tuple call(FusedCell& cell, const Tensor& x, const Tensor& kernel,
               const Tensor& recurrent_kernel, std::optional<Tensor> bias,
               std::optional<std::vector<Tensor>> initial_state, std::optional<Tensor> mask,
               std::optional<Tensor> input_dropout, std::optional<Tensor> recurrent_dropout,
               bool return_sequences, bool go_backwards, bool zero_output_for_mask,
               bool return_state_sequences, std::optional<Tensor> reset_mask,
               std::optional<Tensor> lengths, bool reset_to_zeros) {
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
  in.return_state_sequences = return_state_sequences;
  in.reset_mask = or_absent(reset_mask);
  in.lengths = or_absent(lengths);
  in.reset_to_zeros = reset_to_zeros;
  std::vector<Tensor> outputs = run(cell, std::move(in));
  nb::list states;
  for (std::size_t i = 1; i < outputs.size(); ++i) states.append(std::move(outputs[i]));
  return nb::make_tuple(std::move(outputs[0]), states);
}

/// A fused cell with its weights and flags: the whole call of a layer that needs nothing else.
class BoundCell {
 public:
  BoundCell(nb::object cell, nb::object kernel, nb::object recurrent_kernel, nb::object bias,
            bool return_sequences, bool return_state, bool go_backwards)
      : cell_(nb::cast<FusedCell*>(cell)),
        kernel_(nb::cast<Variable*>(kernel)),
        recurrent_kernel_(nb::cast<Variable*>(recurrent_kernel)),
        bias_(bias.is_none() ? nullptr : nb::cast<Variable*>(bias)),
        held_{std::move(cell), std::move(kernel), std::move(recurrent_kernel), std::move(bias)},
        return_sequences_(return_sequences),
        return_state_(return_state),
        go_backwards_(go_backwards) {}

  /// None where the layer's own checks and conversions have to look at x first.
  nb::object operator()(nb::handle object) const {
    RecurrentInputs in;
    in.x = plain(object);
    if (cell_ == nullptr || !in.x.defined() || in.x.ndim() != 3 ||
        in.x.dtype() != kernel_->dtype() || in.x.dim(2) != kernel_->dim(0)) {
      return nb::none();
    }
    in.kernel = *kernel_;
    in.recurrent_kernel = *recurrent_kernel_;
    if (bias_ != nullptr) in.bias = *bias_;
    in.return_sequences = return_sequences_;
    in.return_state = return_state_;
    in.go_backwards = go_backwards_;
    std::vector<Tensor> outputs = run(*cell_, std::move(in));
    if (!return_state_) return to_python(std::move(outputs[0]));
    nb::list all;
    for (Tensor& tensor : outputs) all.append(to_python(std::move(tensor)));
    return all;
  }

  [[nodiscard]] const std::array<nb::object, 4>& held() const { return held_; }
  void release() {
    cell_ = nullptr;
    for (nb::object& object : held_) object.reset();
  }

 private:
  // A tensor without attributes (a mask is one), or an array that needs no conversion.
  static Tensor plain(nb::handle object) {
    if (const Tensor* tensor = peek_tensor(object)) {
      PyObject** attributes = _PyObject_GetDictPtr(object.ptr());
      const bool bare =
          attributes != nullptr && (*attributes == nullptr || PyDict_GET_SIZE(*attributes) == 0);
      return bare ? Tensor(*tensor) : Tensor();
    }
    if (Tensor floats = borrowed_floats(object); floats.defined()) return floats;
    if (!object.type().is(numpy_ndarray())) return {};
    std::optional<Tensor> tensor = numpy_tensor(object).tensor;
    return tensor ? std::move(*tensor) : Tensor();
  }

  FusedCell* cell_;  // null once released
  const Variable* kernel_;
  const Variable* recurrent_kernel_;
  const Variable* bias_;
  std::array<nb::object, 4> held_;
  bool return_sequences_, return_state_, go_backwards_;
};

}  // namespace

void bind_recurrent(nb::module_& m) {
  nb::class_<BoundCell>(m, "BoundCell", Collected<BoundCell>::slots(),
                        "A FusedCell with its weights and flags. Called with a tensor or array "
                        "(N, T, F) of their type it returns what the layer returns; None for "
                        "anything that the layer has to convert or refuse.")
      .def(nb::init<nb::object, nb::object, nb::object, nb::object, bool, bool, bool>(),
           nb::arg("cell"), nb::arg("kernel"), nb::arg("recurrent_kernel"), nb::arg("bias").none(),
           nb::arg("return_sequences"), nb::arg("return_state"), nb::arg("go_backwards"))
      .def("__call__", &BoundCell::operator(), nb::arg("x").none());
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
           nb::arg("return_state_sequences") = false, nb::arg("reset_mask") = nb::none(),
           nb::arg("lengths") = nb::none(), nb::arg("reset_to_zeros") = false,
           "Returns (output, [states]); with return_state_sequences the states after every step, "
           "(N, T, H), follow the last ones. Shapes: x (N, T, F), kernel (F, G*H), "
           "recurrent_kernel (H, G*H), bias (G*H,) or (2, G*H), initial_state one (N, H) per "
           "state, mask bool (N, T), input_dropout (1 or G, N, F), recurrent_dropout (1 or G, N, "
           "H), reset_mask bool (N, T), lengths int64 (N,). Where reset_mask is true a row starts "
           "anew from initial_state, or from zeros.")
      .def(
          "explain",
          [](const FusedCell& cell, const std::vector<Index>& x_shape, bool training,
             const std::string& dtype, bool return_sequences, bool scheduled, Index used_steps,
             bool masks_per_gate, std::optional<Tensor> x) {
            bptt::CallForm form{training, return_sequences, scheduled, used_steps, masks_per_gate};
            if (x) form.distinct_rows = cell.distinct_rows(*x);
            return cell.explain(Shape(x_shape.begin(), x_shape.end()), parse_dtype(dtype), form);
          },
          nb::arg("x_shape"), nb::arg("training") = false, nb::arg("dtype") = "float32",
          nb::arg("return_sequences") = false, nb::arg("scheduled") = false,
          nb::arg("used_steps") = -1, nb::arg("masks_per_gate") = false, nb::arg("x") = nb::none(),
          "What a call with x of that shape runs: kernel, tiles, threads, bytes; in words. "
          "scheduled: with a mask, lengths or resets, used_steps of which are computed (-1: not "
          "known). masks_per_gate: with dropout that differs by gate. x: itself, where it may come "
          "from an embedding.")
      .def_prop_ro("kind", &FusedCell::name)
      .def_prop_ro("units", &FusedCell::units)
      .def_prop_ro("gates", &FusedCell::gates);
  m.def("conv_lstm", &conv_lstm, nb::arg("filters"), nb::arg("kernel_size"), nb::arg("strides"),
        nb::arg("padding"), nb::arg("dilation_rate"), nb::arg("activation") = "tanh",
        nb::arg("recurrent_activation") = "hard_sigmoid",
        "A FusedCell on images (N, T, sizes..., C) of one to three axes: kernel (taps..., C, 4F), "
        "recurrent_kernel (taps..., F, 4F), bias (4F,), states (N, outputs..., F).");
}

}  // namespace elman::bindings
