// SPDX-License-Identifier: Apache-2.0
// bindings.hpp: the parts of the extension module, in the order in which module.cpp binds them.
#pragma once

#include <nanobind/nanobind.h>

namespace elman {
class Tensor;
}

namespace elman::bindings {

namespace nb = nanobind;

void bind_config(nb::module_& m);

// Tensor and Variable, with the operators and methods that other files add to them.
void bind_tensor(nb::module_& m);
void bind_operators(nb::class_<Tensor>& tensor);
void bind_indexing(nb::class_<Tensor>& tensor);
void bind_tape(nb::module_& m);

// Operations as functions.
void bind_arithmetic(nb::module_& m);
void bind_unary(nb::module_& m);
void bind_reduce(nb::module_& m);
void bind_matmul(nb::module_& m, nb::class_<Tensor>& tensor);
void bind_shape(nb::module_& m);
void bind_index_functions(nb::module_& m);

void bind_layers(nb::module_& m);
void bind_conv(nb::module_& m);
void bind_random(nb::module_& m);
void bind_optimizers(nb::module_& m);

void bind_recurrent(nb::module_& m);
void bind_stream(nb::module_& m);

}  // namespace elman::bindings
