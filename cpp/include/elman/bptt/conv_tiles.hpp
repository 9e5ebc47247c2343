// SPDX-License-Identifier: Apache-2.0
// elman/bptt/conv_tiles.hpp: the convolutions of a step over images in tiles of 2 x 2 pixels.
#pragma once

#include <array>

#include "elman/bptt/conv_problem.hpp"
#include "elman/bptt/recurrent.hpp"
#include "elman/layers/tiles.hpp"

namespace elman::bptt {

/// ForwardWeights, and their points where the step goes by tiles: columns [F blocks][gates], or
/// where gates have masks of their own, columns [F blocks] of each gate.
template <class T>
struct ConvForwardWeights : ForwardWeights<T, ConvLstm> {
  static constexpr Index kUnitBlocks = 2;  // of a group: 8 packets of sums a tile

  std::array<TileWeights<T>, ConvLstm::kGates> x_tiles, h_tiles;
  bool tiles = false, per_gate = false;

  void pack(const ConvInputs<T>& in, const KerasWeights<T>& w) {
    constexpr Index kG = ConvLstm::kGates;
    ForwardWeights<T, ConvLstm>::pack(in.input.depth(), in.filters, w, in.state.depth());
    tiles = in.steps_by_tiles();
    per_gate = in.masks_per_gate();
    if (!tiles) return;
    constexpr Index kW = simd::kWidth<T>;
    const Index blocks = in.padded() / kW;
    const Index group = per_gate ? TileWeights<T>::group_of(blocks) : kUnitBlocks * kG;
    for (Index g = 0; g < (per_gate ? kG : 1); ++g) {
      const auto i = static_cast<std::size_t>(g);
      const Index columns = per_gate ? blocks : blocks * kG;
      x_tiles[i].pack(this->x[0].data() + g * kW, in.input.channels, columns, kG, group, per_gate);
      h_tiles[i].pack(this->h[0].data() + g * kW, in.filters, columns, kG, group, per_gate);
    }
  }
};

namespace detail {

/// Images with dropout factors on them.
template <class T>
inline TileSource<T> tile_source(const Window& window, const Images<T>& from,
                                 const Factors<T>& factors) {
  TileSource<T> out = TileSource<T>::of(window, from.data, from.stride);
  out.images = from.list;
  out.factors = from.factors;
  if (factors.gates != 0 && from.factors == nullptr) out.factor = factors.row(0, 0);
  out.factor_image = factors.columns;
  out.factor_gate = factors.gate_stride();
  return out;
}

/// One step of the forward loop for the first `images` samples: unit(place, block, sums) with the
/// sums of all gates. `state` is absent where it is zero and adds nothing.
template <class T, class Unit>
inline void step_by_tiles(const ConvInputs<T>& in, const ConvForwardWeights<T>& w,
                          const Images<T>& x, const Images<T>& state, Index images, Unit&& unit) {
  constexpr Index kW = simd::kWidth<T>, kG = ConvLstm::kGates;
  const TileGrid grid(in.state);
  const TileSource<T> xs = tile_source(in.input, x, in.input_dropout);
  const TileSource<T> hs = tile_source(in.state, state, in.recurrent_dropout);
  const Index hp = in.padded();
  // y[gate][block][W] of one pixel, without the bias.
  const auto finish = [&](const Place& at, Index block, const T* y,
                          Index gate) __attribute__((always_inline)) {
    alignas(64) T sums[kG * kW];
    for (Index g = 0; g < kG; ++g) {
      simd::store<T>(sums + g * kW, simd::add(simd::load<T>(y + g * gate),
                                              simd::load<T>(w.bias.data() + g * hp + block * kW)));
    }
    unit(at, block, static_cast<const T*>(sums));
  };
  const auto convolve = [&](const TileMemory<T>& memory, const TilePlace* places, Index count,
                            Index gate, auto&& done) {
    const auto i = static_cast<std::size_t>(gate);
    const TileSide<T> x_side{&xs, &w.x_tiles[i], gate};
    const TileSide<T> h_side{state ? &hs : nullptr, &w.h_tiles[i], gate};
    TileConvolution<T>(h_side, x_side, memory).run(places, count, done);
  };
  const double flops = in.flops_of_step(images);
  if (!w.per_gate) {
    return over_tiles<T>(
        flops, grid, images, w.h_tiles[0].group,
        [&](const TileMemory<T>& memory, const TilePlace* places, Index count) {
          convolve(memory, places, count, 0, [&](const TilePlace& at, Index block, const T* y) {
            const Index group = w.h_tiles[0].group_size(block);
            grid.each_output(at, [&](Index q, Index pixel) {
              for (Index u = 0; u < group; u += kG) {
                finish({at.image, pixel}, (block + u) / kG, y + (q * group + u) * kW, kW);
              }
            });
          });
        });
  }
  // Gate by gate, each with the points of images of its own; the sums [tile][4][gate][Fp] of a
  // block of tiles wait in L2 for the last one.
  over_tiles<T>(flops, grid, images, w.h_tiles[0].group,
                [&](const TileMemory<T>& memory, const TilePlace* places, Index count) {
                  T* sums = kernels::thread_scratch<T, 15>(4 * kG * TileGrid::kTiles * hp);
                  for (Index g = 0; g < kG; ++g) {
                    const TileWeights<T>& weights = w.h_tiles[static_cast<std::size_t>(g)];
                    convolve(memory, places, count, g,
                             [&](const TilePlace& at, Index block, const T* y) {
                               const Index width = weights.group_size(block) * kW;
                               T* to = sums + ((&at - places) * 4 * kG + g) * hp + block * kW;
                               for (Index q = 0; q < 4; ++q) {
                                 std::copy_n(y + q * width, width, to + q * kG * hp);
                               }
                             });
                  }
                  for (Index t = 0; t < count; ++t) {
                    const TilePlace& at = places[t];
                    grid.each_output(at, [&](Index q, Index pixel) {
                      for (Index block = 0; block < hp / kW; ++block) {
                        const T* y = sums + (t * 4 + q) * kG * hp + block * kW;
                        finish({at.image, pixel}, block, y, hp);
                      }
                    });
                  }
                });
}

/// The gradient of what a window read, from the gate gradients of some images: for each of `gates`
/// equal shares of their channels scale(gate, place, block, packet), the sum of which goes to
/// epilogue(place, block, packet).
/// Shapes    turned: transposed_window() of that window; dz: images of [P, 4, Fp], `stride` apart
template <class T, class Scale, class Epilogue>
inline void gradient_by_tiles(const Window& turned, const TileWeights<T>& w, Index gates,
                              double flops, const T* dz, Index stride, Index images, Scale&& scale,
                              Epilogue&& epilogue) {
  constexpr Index kW = simd::kWidth<T>;
  const TileGrid grid(turned);
  const TileSource<T> source = TileSource<T>::of(turned, dz, stride);
  const Index width = w.blocks * kW, depth = w.depth / gates;
  over_tiles<T>(
      flops, grid, images, w.group,
      [&](const TileMemory<T>& memory, const TilePlace* places, Index count) {
        T* sums =
            gates == 1 ? nullptr : kernels::thread_scratch<T, 15>(4 * TileGrid::kTiles * width);
        for (Index g = 0; g < gates; ++g) {
          const TileSide<T> side{&source, &w, 0, g * depth, depth};
          const TileConvolution<T> convolution(side, {}, memory);
          convolution.run(places, count, [&](const TilePlace& at, Index block, const T* y) {
            const Index group = w.group_size(block), tile = &at - places;
            grid.each_output(at, [&](Index q, Index pixel) {
              const Place place{at.image, pixel};
              for (Index b = 0; b < group; ++b) {
                const auto sum =
                    scale(g, place, block + b, simd::load<T>(y + (q * group + b) * kW));
                if (gates == 1) {
                  epilogue(place, block + b, sum);
                  continue;
                }
                T* total = sums + (tile * 4 + q) * width + (block + b) * kW;
                const auto all = g == 0 ? sum : simd::add(simd::load<T>(total), sum);
                if (g + 1 == gates) {
                  epilogue(place, block + b, all);
                } else {
                  simd::store<T>(total, all);
                }
              }
            });
          });
        }
      });
}

}  // namespace detail

}  // namespace elman::bptt
