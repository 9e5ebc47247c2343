// SPDX-License-Identifier: Apache-2.0
// conv_lstm_test.cpp: the layer on images against loops over its equations, from C++.
#include <algorithm>
#include <array>
#include <cmath>
#include <string>
#include <string_view>
#include <vector>

#include "autograd/numeric.hpp"
#include "elman/autograd/fused_conv_lstm.hpp"

namespace {

using namespace elman;
using numeric::at;
using numeric::draw;

constexpr Index kN = 2, kT = 3, kRows = 4, kColumns = 5, kC = 2, kF = 3, kTaps = 2;

struct Layer {
  const char* activation = "tanh";
  const char* recurrent_activation = "sigmoid";
  std::unique_ptr<FusedCell> cell = make_conv_lstm(
      kF, {{kTaps, kTaps}, {1, 1}, {1, 1}, Padding::same}, activation, recurrent_activation);
  Tensor x = draw({kN, kT, kRows, kColumns, kC}, 1);
  Variable kernel{draw({kTaps, kTaps, kC, 4 * kF}, 2)};
  Variable recurrent{draw({kTaps, kTaps, kF, 4 * kF}, 3)};
  Variable bias{draw({4 * kF}, 4)};

  RecurrentInputs inputs() const {
    RecurrentInputs in;
    in.x = x;
    in.kernel = kernel.value();
    in.recurrent_kernel = recurrent.value();
    in.bias = bias.value();
    in.return_sequences = true;
    return in;
  }
};

// One gate's sum at a pixel; an even window of 'same' padding has its extra tap behind.
double convolve(const Tensor& images, Index first, Index channels, const Tensor& kernel, Index row,
                Index column, Index output) {
  double sum = 0;
  for (Index i = 0; i < kTaps && row + i < kRows; ++i) {
    for (Index j = 0; j < kTaps && column + j < kColumns; ++j) {
      for (Index c = 0; c < channels; ++c) {
        const Index pixel = (row + i) * kColumns + column + j;
        sum += at(images, first + pixel * channels + c) *
               at(kernel, ((i * kTaps + j) * channels + c) * 4 * kF + output);
      }
    }
  }
  return sum;
}

using Pixel = std::array<double, kF>;

// An activation of one pixel; those of single values run over it.
Pixel activated(std::string_view name, Pixel z) {
  double sum = 0;
  for (double& v : z) {
    if (name == "tanh") v = std::tanh(v);
    if (name == "sigmoid") v = 1 / (1 + std::exp(-v));
    sum += std::exp(v);
  }
  for (double& v : z) {
    if (name == "softmax") v = std::exp(v) / sum;
    if (name == "log_softmax") v -= std::log(sum);
  }
  return z;
}

// Gate g of a pixel of sample n: its sums through its activation.
Pixel gate(const Layer& layer, const Tensor& h, Index image, Index pixel, Index g) {
  const Index row = pixel / kColumns, column = pixel % kColumns;
  Pixel z;
  for (Index f = 0; f < kF; ++f) {
    const Index output = g * kF + f;
    z[static_cast<std::size_t>(f)] =
        at(layer.bias, output) + convolve(layer.x, image, kC, layer.kernel, row, column, output) +
        convolve(h, 0, kF, layer.recurrent, row, column, output);
  }
  return activated(g == 2 ? layer.activation : layer.recurrent_activation, z);
}

std::vector<double> by_loops(const Layer& layer) {
  constexpr Index kPixels = kRows * kColumns, kImage = kPixels * kF;
  std::vector<double> out;
  for (Index n = 0; n < kN; ++n) {
    Tensor h = Tensor::zeros({kImage}, DType::float64);
    std::vector<Pixel> c(kPixels, Pixel{});
    for (Index t = 0; t < kT; ++t) {
      Tensor next({kImage}, DType::float64);
      for (Index pixel = 0; pixel < kPixels; ++pixel) {
        const Index image = (n * kT + t) * kPixels * kC;
        std::array<Pixel, 4> z;
        for (Index g = 0; g < 4; ++g) {
          z[static_cast<std::size_t>(g)] = gate(layer, h, image, pixel, g);
        }
        Pixel& cell = c[static_cast<std::size_t>(pixel)];
        for (std::size_t f = 0; f < kF; ++f) cell[f] = z[1][f] * cell[f] + z[0][f] * z[2][f];
        const Pixel a = activated(layer.activation, cell);
        for (std::size_t f = 0; f < kF; ++f) {
          next.mutable_data<double>()[pixel * kF + static_cast<Index>(f)] = z[3][f] * a[f];
        }
      }
      h = next;
      for (Index i = 0; i < kImage; ++i) out.push_back(at(h, i));
    }
  }
  return out;
}

// The second and third need all filters of a pixel.
const std::array<std::array<const char*, 2>, 3> kActivations{
    {{"tanh", "sigmoid"}, {"softmax", "sigmoid"}, {"log_softmax", "softmax"}}};

// Logarithms are not bounded: third derivatives of about 1000 make the differences 2e-8 wrong.
double tolerance(std::string_view activation) { return activation == "log_softmax" ? 1e-7 : 1e-8; }

TEST(outputs_are_those_of_the_equations) {
  for (const auto& [activation, gates] : kActivations) {
    const Layer layer{activation, gates};
    const Tensor output = layer.cell->forward(layer.inputs())[0];
    numeric::expect(activation, output, {kN, kT, kRows, kColumns, kF}, by_loops(layer));
  }
}

TEST(gradients_are_central_differences) {
  const Shape state{kN, kRows, kColumns, kF};
  for (const auto& [activation, gates] : kActivations) {
    const Layer layer{activation, gates};
    const auto run = [&](const std::vector<Tensor>& given) {
      RecurrentInputs in = layer.inputs();
      in.x = given[0];
      in.kernel = given[1];
      in.recurrent_kernel = given[2];
      in.bias = given[3];
      in.initial_state = {given[4], given[5]};
      return layer.cell->forward(in)[0];
    };
    numeric::gradients(activation, run,
                       {layer.x, layer.kernel.copy(), layer.recurrent.copy(), layer.bias.copy(),
                        draw(state, 5), draw(state, 6)},
                       tolerance(activation));
  }
}

// The second sample starts anew before its last step and skips the one before that.
Tensor marks(std::initializer_list<bool> values) {
  Tensor out({kN, kT}, DType::bool_);
  std::copy(values.begin(), values.end(), out.mutable_data<bool>());
  return out;
}

TEST(a_reset_starts_from_the_initial_state) {
  const Layer layer;
  const Shape state{kN, kRows, kColumns, kF};
  RecurrentInputs in = layer.inputs();
  in.initial_state = {draw(state, 5), draw(state, 6)};
  in.reset_mask = marks({false, false, false, false, false, true});
  in.mask = marks({true, true, true, true, false, true});
  in.return_state_sequences = true;
  const std::vector<Tensor> got = layer.cell->forward(in);
  CHECK_EQ(got.size(), std::size_t{5});
  RecurrentInputs last = layer.inputs();  // the last image alone
  const Index image = kRows * kColumns * kC, kept = kRows * kColumns * kF;
  last.x = Tensor({kN, 1, kRows, kColumns, kC}, DType::float64);
  for (Index n = 0; n < kN; ++n) {
    std::copy_n(layer.x.data<double>() + (n * kT + kT - 1) * image, image,
                last.x.mutable_data<double>() + n * image);
  }
  last.initial_state = in.initial_state;
  const std::vector<Tensor> alone = layer.cell->forward(last);
  for (Index i = 0; i < kept; ++i) {
    CHECK_EQ(at(got[0], (2 * kT - 1) * kept + i), at(alone[0], kept + i));
    CHECK_EQ(at(got[2], kept + i), at(alone[2], kept + i));                 // c at the end
    CHECK_EQ(at(got[4], (2 * kT - 1) * kept + i), at(alone[2], kept + i));  // c of every step
    CHECK_EQ(at(got[3], (kT + 1) * kept + i), at(got[3], kT * kept + i));   // h, skipped
  }
}

TEST(gradients_with_resets_and_lengths_are_central_differences) {
  const Shape state{kN, kRows, kColumns, kF};
  for (const auto& [activation, gates] : kActivations) {
    const Layer layer{activation, gates};
    const auto run = [&](const std::vector<Tensor>& given) {
      RecurrentInputs in = layer.inputs();
      in.x = given[0];
      in.recurrent_kernel = given[1];
      in.initial_state = {given[2], given[3]};
      in.reset_mask = marks({false, true, false, false, false, true});
      in.lengths = Tensor({kN}, DType::int64);
      in.lengths.mutable_data<std::int64_t>()[0] = 2;
      in.lengths.mutable_data<std::int64_t>()[1] = 3;
      in.return_state_sequences = true;
      return layer.cell->forward(in)[4];
    };
    numeric::gradients(activation, run,
                       {layer.x, layer.recurrent.copy(), draw(state, 5), draw(state, 6)},
                       tolerance(activation));
  }
}

TEST(explain_says_that_pixels_come_after_the_sums) {
  const Layer layer{"softmax", "sigmoid"};
  const std::string text =
      layer.cell->explain({kN, kT, kRows, kColumns, kC}, DType::float64, {.training = true});
  CHECK(text.find("then its activations pixel by pixel") != std::string::npos);
}

TEST(a_window_that_does_not_fit_is_refused) {
  const auto cell = make_conv_lstm(kF, {{6, 6}, {1, 1}, {1, 1}, Padding::valid}, "tanh", "sigmoid");
  CHECK_THROWS(cell->explain({2, 3, 4, 5, 1}, DType::float32, {.training = false}),
               std::invalid_argument, "does not fit");
  CHECK_THROWS(make_conv_lstm(kF, {{3}, {1, 1}, {1}, Padding::same}, "tanh", "sigmoid"),
               std::invalid_argument, "equally many");
}

}  // namespace
