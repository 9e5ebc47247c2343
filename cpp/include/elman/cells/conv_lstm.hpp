// SPDX-License-Identifier: Apache-2.0
// elman/cells/conv_lstm.hpp: the long short-term memory cell on images.
#pragma once

#include "elman/cells/lstm.hpp"

namespace elman {

/// The step of Lstm at every pixel; its sums are convolutions:
/// z = conv(x, K) + conv(h_prev, U) + b, the second one with unit strides and 'same' padding
/// Shapes    kernel [taps,C,4F], recurrent_kernel [taps,F,4F], bias [4F]; gate order i | f | g | o
/// Source    Shi et al. (2015) without peepholes; Keras ConvLSTM2DCell
struct ConvLstm : Lstm {
  static constexpr const char* kName = "conv_lstm";
};

}  // namespace elman
