// SPDX-License-Identifier: Apache-2.0
// stream.cpp: an LSTM over a whole sequence, and the same one step at a time.
//
// The state is a value: keep it, copy it, have one for each stream. The exit code is 1 if the two
// ways disagree.
#include <algorithm>
#include <cmath>
#include <cstdio>

#include <elman/elman.hpp>

namespace {

elman::Tensor normal(const elman::Shape& shape, std::uint64_t counter) {
  elman::Tensor out(shape, elman::DType::float32);
  elman::fill_normal(elman::RandomKey{7, counter}, 0.0F, 0.3F, out.mutable_data<float>(),
                     out.size());
  return out;
}

}  // namespace

int main() {
  constexpr elman::Index kTime = 100, kFeatures = 3, kUnits = 32;
  elman::FusedCellOf<elman::Lstm> lstm(kUnits, elman::AnyActivations{});
  const elman::Variable kernel(normal({kFeatures, 4 * kUnits}, 0));
  const elman::Variable recurrent_kernel(normal({kUnits, 4 * kUnits}, 1));

  elman::RecurrentInputs in;
  in.x = normal({1, kTime, kFeatures}, 2);  // [N, T, F]
  in.kernel = kernel;                       // gates i, f, c, o side by side, as in Keras
  in.recurrent_kernel = recurrent_kernel;
  in.return_sequences = true;
  const elman::Tensor whole = lstm.forward(in)[0];  // [N, T, H]

  elman::RecurrentInputs step = in;
  float difference = 0;
  for (elman::Index t = 0; t < kTime; ++t) {
    step.x = in.x.view({1, 1, kFeatures}, t * kFeatures);
    const auto outputs = lstm.forward(step);        // output, h, c
    step.initial_state = {outputs[1], outputs[2]};  // the next step starts here
    const float* now = outputs[0].data<float>();
    for (elman::Index j = 0; j < kUnits; ++j) {
      difference = std::max(difference, std::abs(now[j] - whole.data<float>()[t * kUnits + j]));
    }
  }
  std::printf("largest difference between the two: %g\n", static_cast<double>(difference));
  return difference < 1e-5F ? 0 : 1;
}
