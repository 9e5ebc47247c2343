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

/// A view for no longer than somebody holds the array, 0.3 us sooner. Undefined unless it is
/// exactly a numpy.ndarray, contiguous and of native float32 or float64, and while a tape is
/// active.
Tensor borrowed_floats(nb::handle array);

}  // namespace elman::bindings
