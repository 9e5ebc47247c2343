// SPDX-License-Identifier: Apache-2.0
// elman/bptt/conv_tiles.hpp: the convolutions of a step over images in tiles of 2 x 2 pixels.
#pragma once

#include <array>

#include "elman/bptt/conv_problem.hpp"
#include "elman/bptt/recurrent.hpp"
#include "elman/layers/tiles.hpp"

namespace elman::bptt {

/// ForwardWeights, and their points where the step goes by tiles: columns [F blocks][gates].
template <class T>
struct ConvForwardWeights : ForwardWeights<T, ConvLstm> {
  static constexpr Index kUnitBlocks = 2;  // of a group: 8 packets of sums a tile

  TileWeights<T> x_tiles, h_tiles;
  bool tiles = false;

  void pack(const ConvInputs<T>& in, const KerasWeights<T>& w) {
    constexpr Index kG = ConvLstm::kGates;
    ForwardWeights<T, ConvLstm>::pack(in.input.depth(), in.filters, w, in.state.depth());
    tiles = in.steps_by_tiles();
    if (!tiles) return;
    const Index blocks = in.padded() / simd::kWidth<T> * kG, group = kUnitBlocks * kG;
    x_tiles.pack(this->x[0].data(), in.input.channels, blocks, kG, group);
    h_tiles.pack(this->h[0].data(), in.filters, blocks, kG, group);
  }
};

namespace detail {

/// One step of the forward loop for the first `images` samples: unit(place, block, sums) with the
/// sums of all gates. `state` is absent where it is zero and adds nothing.
template <class T, class Unit>
inline void step_by_tiles(const ConvInputs<T>& in, const ConvForwardWeights<T>& w,
                          const Images<T>& x, const Images<T>& state, Index images, Unit&& unit) {
  constexpr Index kW = simd::kWidth<T>, kG = ConvLstm::kGates;
  const TileGrid grid(in.state);
  const auto source = [](const Window& window, const Images<T>& from, const Factors<T>& factors) {
    TileSource<T> out = TileSource<T>::of(window, from.data, from.stride);
    out.images = from.list;
    out.factors = from.factors;
    if (factors.gates != 0 && from.factors == nullptr) out.factor = factors.row(0, 0);
    out.factor_image = factors.columns;
    return out;
  };
  const TileSource<T> xs = source(in.input, x, in.input_dropout);
  const TileSource<T> hs = source(in.state, state, in.recurrent_dropout);
  const TileSide<T> x_side{&xs, &w.x_tiles};
  const TileSide<T> h_side{state ? &hs : nullptr, &w.h_tiles};
  const Index bias = in.padded();
  over_tiles<T>(in.flops_of_step(images), grid, images, w.h_tiles.group,
                [&](const TileMemory<T>& memory, const TilePlace* places, Index count) {
                  const TileConvolution<T> convolution(h_side, x_side, memory);
                  convolution.run(places, count, [&](const TilePlace& at, Index block, const T* y) {
                    const Index group = w.h_tiles.group_size(block);
                    grid.each_output(at, [&](Index q, Index pixel) {
                      alignas(64) T sums[kG * kW];
                      for (Index u = 0; u < group; u += kG) {
                        const Index filters = (block + u) / kG;
                        for (Index g = 0; g < kG; ++g) {
                          simd::store<T>(
                              sums + g * kW,
                              simd::add(simd::load<T>(y + (q * group + u + g) * kW),
                                        simd::load<T>(w.bias.data() + g * bias + filters * kW)));
                        }
                        unit(Place{at.image, pixel}, filters, static_cast<const T*>(sums));
                      }
                    });
                  });
                });
}

/// The gradient of what a window read, from the gate gradients of some images and without dropout
/// factors: epilogue(place, block, packet).
/// Shapes    turned: transposed_window() of that window; dz: images of [P, 4, Fp], `stride` apart
template <class T, class Epilogue>
inline void gradient_by_tiles(const Window& turned, const TileWeights<T>& w, double flops,
                              const T* dz, Index stride, Index images, Epilogue&& epilogue) {
  constexpr Index kW = simd::kWidth<T>;
  const TileGrid grid(turned);
  const TileSource<T> source = TileSource<T>::of(turned, dz, stride);
  over_tiles<T>(flops, grid, images, w.group,
                [&](const TileMemory<T>& memory, const TilePlace* places, Index count) {
                  const TileConvolution<T> convolution({&source, &w}, {}, memory);
                  convolution.run(places, count, [&](const TilePlace& at, Index block, const T* y) {
                    const Index group = w.group_size(block);
                    grid.each_output(at, [&](Index q, Index pixel) {
                      for (Index b = 0; b < group; ++b) {
                        epilogue(Place{at.image, pixel}, block + b,
                                 simd::load<T>(y + (q * group + b) * kW));
                      }
                    });
                  });
                });
}

}  // namespace detail

}  // namespace elman::bptt
