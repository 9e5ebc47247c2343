// SPDX-License-Identifier: Apache-2.0
// stream.cpp: an LSTM over a whole sequence, and the same one step at a time.
//
// The states of a stream can be read and set: keep them, go back to them, have one stream for each
// source. The exit code is 1 if the two ways disagree in one bit.
#include <algorithm>
#include <cmath>
#include <cstdio>
#include <vector>

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

  // Packs the weights once; a step then takes no memory.
  elman::bptt::Stream<float, elman::Lstm> stream(
      kFeatures, kUnits, {kernel.data<float>(), recurrent_kernel.data<float>()});
  std::vector<float> now(kUnits), h(kUnits), c(kUnits);
  float difference = 0;
  const auto run = [&](elman::Index first, elman::Index last) {
    for (elman::Index t = first; t < last; ++t) {
      stream.step(in.x.data<float>() + t * kFeatures, now.data());
      for (std::size_t j = 0; j < now.size(); ++j) {
        const float expected = whole.data<float>()[t * kUnits + elman::Index(j)];
        difference = std::max(difference, std::abs(now[j] - expected));
      }
    }
  };
  run(0, kTime / 2);
  std::copy_n(stream.h(), kUnits, h.begin());
  std::copy_n(stream.c(), kUnits, c.begin());
  run(kTime / 2, kTime);
  stream.set_h(h.data());  // back to the middle
  stream.set_c(c.data());
  run(kTime / 2, kTime);
  std::printf("largest difference between the two: %g\n", static_cast<double>(difference));
  return difference == 0.0F ? 0 : 1;
}
