// SPDX-License-Identifier: Apache-2.0
// bind_conv.cpp: convolution, pooling, larger images and padding with zeros.
#include <string>

#include "bindings.hpp"
#include "convert.hpp"
#include "elman/autograd/ops_pool.hpp"

namespace elman::bindings {
namespace {

Tensor conv(nb::handle x_in, nb::handle kernel_in, nb::handle bias_in, nb::handle strides,
            const std::string& padding, nb::handle dilation, const std::string& activation) {
  Tensor x = as_tensor(x_in, "conv", "x");
  const Tensor kernel = as_tensor(kernel_in, "conv", "kernel", x.dtype());
  if (!is_floating(x.dtype())) x = ops::cast(x, kernel.dtype());
  const Tensor bias = as_optional_tensor(bias_in, "conv", "bias");
  const Sliding sliding{as_integers(strides, "conv", "strides"),
                        as_integers(dilation, "conv", "dilation_rate"), parse_padding(padding)};
  const Activation kind = parse_activation(activation);
  return unlocked(x.size() * 8 + kernel.size(),
                  [&] { return ops::conv(x, kernel, bias, sliding, kind); });
}

void pooling(nb::module_& m, Pool kind, const char* name, const char* doc) {
  m.def(
      name,
      [kind, name](nb::handle x_in, nb::handle size, nb::handle strides,
                   const std::string& padding) {
        const Tensor x = as_tensor(x_in, name, "x");
        const std::vector<Index> taps = as_integers(size, name, "pool_size");
        const std::vector<Index> steps = as_integers(strides, name, "strides");
        const Padding kept = parse_padding(padding);
        return unlocked(x.size(), [&] { return ops::pool(kind, x, taps, steps, kept); });
      },
      operand("x"), operand("pool_size"), operand("strides"), nb::arg("padding") = "valid", doc);
}

}  // namespace

void bind_conv(nb::module_& m) {
  m.def("conv", &conv, operand("x"), operand("kernel"), operand("bias"), operand("strides"),
        nb::arg("padding"), operand("dilation_rate"), nb::arg("activation") = "linear",
        "activation(conv(x, kernel) + bias): x (N, spatial axes, C), kernel (taps, C, F).");
  pooling(m, Pool::max, "max_pool", "The largest value of each window: x (N, spatial axes, C).");
  pooling(m, Pool::average, "average_pool", "The mean of each window: x (N, spatial axes, C).");
  m.def(
      "up_sample",
      [](nb::handle x_in, nb::handle times) {
        const Tensor x = as_tensor(x_in, "up_sample", "x");
        const std::vector<Index> counts = as_integers(times, "up_sample", "times");
        return unlocked(x.size(), [&] { return ops::up_sample(x, counts); });
      },
      operand("x"), operand("times"),
      "Every position of the spatial axes of x (N, spatial axes, C) times[k] times.");
  m.def(
      "pad",
      [](nb::handle x_in, nb::handle before, nb::handle after) {
        const Tensor x = as_tensor(x_in, "pad", "x");
        return ops::pad(x, as_integers(before, "pad", "before"),
                        as_integers(after, "pad", "after"));
      },
      operand("x"), operand("before"), operand("after"),
      "x within zeros, before[k] ahead of axis k and after[k] behind it.");
}

}  // namespace elman::bindings
