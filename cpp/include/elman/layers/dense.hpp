// SPDX-License-Identifier: Apache-2.0
// elman/layers/dense.hpp: the fully connected layer on plain pointers.
#pragma once

#include "elman/kernels/activation.hpp"
#include "elman/kernels/product.hpp"

namespace elman {

/// y = a(x K + b)
/// Shapes    x [N,F]  kernel [F,H]  bias [H] or nullptr  ->  y [N,H]; z [N,H] or nullptr
/// Layout    row-major, contiguous; z receives x K + b where the backward pass needs it
/// Aliasing  y and z alias no input
/// Cost      2NFH flop and one pass over y
/// Source    Keras Dense
template <class T>
void dense_forward(Index n, Index f, Index h, const T* x, const T* kernel, const T* bias,
                   Activation activation, T* y, T* z = nullptr) {
  product(false, false, n, h, f, x, f, kernel, h, y, h, false);
  parallel_for(8.0 * double(n) * double(h), n, [=](Index begin, Index end) {
    for (Index i = begin; i < end; ++i) {
      T* row = y + i * h;
      for (Index j = 0; bias != nullptr && j < h; ++j) row[j] += bias[j];
      if (z != nullptr) std::copy_n(row, h, z + i * h);
      if (activation != Activation::linear) activate(activation, row, row, h);
    }
  });
}

/// Gradients of dense_forward; each target may be nullptr.
/// Shapes    dy [N,H]  y = output, z = x K + b (read only where the activation needs it);
///           dz [N,H] is scratch, not needed for a linear activation;
///           dx [N,F], d_kernel [F,H], d_bias [H] are added to
/// Accuracy  as product(); bit-equal at any thread count        Cost  4NFH flop
template <class T>
void dense_backward(Index n, Index f, Index h, const T* x, const T* kernel, Activation activation,
                    const T* y, const T* z, const T* dy, T* dz, T* dx, T* d_kernel, T* d_bias) {
  if (activation != Activation::linear) {
    parallel_for(8.0 * double(n) * double(h), n, [=](Index begin, Index end) {
      activate_backward(activation, z == nullptr ? nullptr : z + begin * h, y + begin * h,
                        dy + begin * h, dz + begin * h, (end - begin) * h);
    });
    dy = dz;
  }
  if (dx != nullptr) product(false, true, n, f, h, dy, h, kernel, h, dx, f, true);
  if (d_kernel != nullptr) product(true, false, f, h, n, x, f, dy, h, d_kernel, h, true);
  if (d_bias != nullptr) kernels::add_column_sums(dy, h, n, h, d_bias);
}

}  // namespace elman
