// SPDX-License-Identifier: Apache-2.0
// bind_optimizers.cpp: one step of SGD, RMSprop or Adam on one variable, in place.
#include "bindings.hpp"
#include "convert.hpp"
#include "elman/autograd/optimizers.hpp"

namespace elman::bindings {

// These keep the interpreter's lock: they write in place, and another thread that assigned to the
// same variable meanwhile would pull the memory away.
void bind_optimizers(nb::module_& m) {
  m.def(
      "sgd_update",
      [](Variable& var, const Tensor& gradient, Variable* velocity, double lr, double momentum,
         bool nesterov) { optimizers::sgd(var, gradient, velocity, lr, momentum, nesterov); },
      nb::arg("var"), nb::arg("gradient"), nb::arg("velocity").none(), nb::arg("learning_rate"),
      nb::arg("momentum"), nb::arg("nesterov"),
      "One step of SGD; without momentum, velocity is None.");
  m.def(
      "rmsprop_update",
      [](Variable& var, const Tensor& gradient, Variable& squares, Variable* mean, Variable* last,
         double lr, double rho, double momentum, double epsilon, bool centered) {
        if (centered != (mean != nullptr)) {
          fail("RMSprop", "mean: expected a variable if and only if centered");
        }
        optimizers::rmsprop(var, gradient, squares, mean, last, lr, rho, momentum, epsilon);
      },
      nb::arg("var"), nb::arg("gradient"), nb::arg("squares"), nb::arg("mean").none(),
      nb::arg("last").none(), nb::arg("learning_rate"), nb::arg("rho"), nb::arg("momentum"),
      nb::arg("epsilon"), nb::arg("centered"), "One step of RMSprop.");
  m.def(
      "adam_update",
      [](Variable& var, const Tensor& gradient, Variable& mean, Variable& squares,
         Variable* largest, double lr, double beta_1, double beta_2, double epsilon, Index step,
         double weight_decay) {
        const optimizers::Adam options{lr, beta_1, beta_2, epsilon, weight_decay, step};
        optimizers::adam(var, gradient, mean, squares, largest, options);
      },
      nb::arg("var"), nb::arg("gradient"), nb::arg("mean"), nb::arg("squares"),
      nb::arg("largest").none(), nb::arg("learning_rate"), nb::arg("beta_1"), nb::arg("beta_2"),
      nb::arg("epsilon"), nb::arg("step"), nb::arg("weight_decay") = 0.0,
      "One step of Adam or AdamW; step counts from 1, largest is the amsgrad slot or None.");
  m.def(
      "squared_norm",
      [](nb::handle tensors) {
        const std::vector<Tensor> all = as_tensors(tensors, "squared_norm", "tensors");
        return optimizers::squared_norm(all);
      },
      operand("tensors"), "The sum of the squares of all elements, in float64.");
}

}  // namespace elman::bindings
