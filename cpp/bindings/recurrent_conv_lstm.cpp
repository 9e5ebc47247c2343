// SPDX-License-Identifier: Apache-2.0
// recurrent_conv_lstm.cpp: the kernels of the fused ConvLstm layer.
#include "elman/autograd/fused_conv_lstm.hpp"
#include "recurrent_cells.hpp"

namespace elman::bindings {

std::unique_ptr<FusedCell> conv_lstm(Index filters, const std::vector<Index>& kernel_size,
                                     const std::vector<Index>& strides, const std::string& padding,
                                     const std::vector<Index>& dilation_rate,
                                     const std::string& activation,
                                     const std::string& recurrent_activation) {
  const ConvOptions options{kernel_size, strides, dilation_rate, parse_padding(padding)};
  return make_conv_lstm(filters, options, activation, recurrent_activation);
}

}  // namespace elman::bindings
