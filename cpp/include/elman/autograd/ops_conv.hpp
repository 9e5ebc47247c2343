// SPDX-License-Identifier: Apache-2.0
// elman/autograd/ops_conv.hpp: convolution as a single node.
#pragma once

#include <string>
#include <vector>

#include "elman/autograd/ops_layers.hpp"
#include "elman/layers/conv.hpp"

namespace elman {

/// How a window slides, per spatial axis, before the sizes of the images are known.
struct Sliding {
  std::vector<Index> strides, dilation;
  Padding padding = Padding::valid;
};

namespace detail {

/// The window of `taps` over x [N, spatial axes, C], and the shape of its outputs.
/// Errors    std::invalid_argument, worded for `where`, on a rank that does not fit or where the
///           window is larger than the image
inline Window window_over(const char* where, const Tensor& x, const std::vector<Index>& taps,
                          const Sliding& sliding, Shape& out) {
  const Index rank = static_cast<Index>(taps.size());
  if (rank < 1 || rank > 3 || sliding.strides.size() != taps.size() ||
      sliding.dilation.size() != taps.size()) {
    fail(where,
         "sizes: expected one to three spatial axes with a stride and a dilation each, got " +
             std::to_string(rank) + ", " + std::to_string(sliding.strides.size()) + " and " +
             std::to_string(sliding.dilation.size()));
  }
  if (x.ndim() != rank + 2) {
    fail(where, "x: expected " + std::to_string(rank + 2) + " axes (N, spatial axes, C), got " +
                    x.shape().text());
  }
  const Window window = make_window(rank, x.shape().data() + 1, taps.data(), sliding.strides.data(),
                                    sliding.dilation.data(), sliding.padding, x.shape().back());
  out = x.shape();
  for (Index k = 0; k < rank; ++k) {
    const WindowAxis& axis = window.axes[static_cast<std::size_t>(3 - rank + k)];
    if (axis.out < 1) {
      fail(where, "x: expected at least " + std::to_string(axis.span()) + " along axis " +
                      std::to_string(k + 1) + ", got " + x.shape().text() +
                      "; the window does not fit");
    }
    out[k + 1] = axis.out;
  }
  return window;
}

}  // namespace detail

namespace ops {

/// a(conv(x, kernel) + bias) over one to three axes; one node.
/// Shapes    x [N, spatial, C]  kernel [taps, C, F]  bias [F] or undefined  ->  [N, outputs, F]
/// Errors    std::invalid_argument on a shape or type mismatch, or where the kernel does not fit
inline Tensor conv(const Tensor& x, const Tensor& kernel, const Tensor& bias,
                   const Sliding& sliding, Activation activation) {
  if (kernel.ndim() < 3 || kernel.ndim() > 5) {
    fail("conv", "kernel: expected (taps, C, F) with one to three axes of taps, got " +
                     kernel.shape().text());
  }
  const std::vector<Index> taps(kernel.shape().begin(), kernel.shape().end() - 2);
  const Index filters = kernel.shape().back();
  Shape shape;
  const Window window = detail::window_over("conv", x, taps, sliding, shape);
  shape[shape.rank() - 1] = filters;
  double span = double(window.channels);
  for (const WindowAxis& axis : window.axes) span *= double(axis.span());
  if (span > 2147483648.0) {
    fail("conv", "dilation_rate: expected a kernel that reaches over at most 2^31 inputs");
  }
  Shape expected = kernel.shape();
  expected[expected.rank() - 2] = window.channels;
  detail::expect("conv", "kernel", kernel, expected, x.dtype(), "; it has the channels of x");
  if (bias.defined()) detail::expect("conv", "bias", bias, {filters}, x.dtype(), "");
  const Index n = x.dim(0);
  return detail::activated(
      "conv", x, kernel, bias, shape, activation,
      [&]<class T>(T* y, T* z) {
        conv_forward<T>(window, n, filters, x.data<T>(), kernel.data<T>(), detail::pointer<T>(bias),
                        activation, y, z);
      },
      [=]<class T>(const detail::ActivatedGradients<T>& g) {
        conv_backward<T>(window, n, filters, x.data<T>(), kernel.data<T>(), activation, g.y, g.z,
                         g.dy, g.dz, g.dx, g.d_kernel, g.d_bias);
      });
}

}  // namespace ops

}  // namespace elman
