// SPDX-License-Identifier: Apache-2.0
// numpy_view.hpp: the memory of numpy arrays as tensors and back.
#pragma once

#include <nanobind/nanobind.h>

#include <optional>
#include <string>

#include "elman/autograd/tensor.hpp"

namespace elman::bindings {

namespace nb = nanobind;

nb::handle numpy();
nb::handle numpy_generic();
nb::handle numpy_ndarray();

/// What became of an array: a view of it, or a type that numpy should convert it to, or neither.
struct BufferResult {
  std::optional<Tensor> tensor;
  std::optional<DType> convert_to;
  std::string problem;
};
/// While a tape records on this thread, memory that its owner may write to is copied: the tape
/// keeps operands until the gradient is asked for. `shared`: others may write, though not through
/// this array.
BufferResult numpy_tensor(nb::handle array, bool shared = false);

}  // namespace elman::bindings
