// SPDX-License-Identifier: Apache-2.0
// elman/layers/tiles_gradient.hpp: the gradient of a 3 x 3 kernel from 2 x 2 outputs at a time.
#pragma once

#include <vector>

#include "elman/layers/tiles.hpp"

namespace elman {

/// Sums over all tiles of (B^T x B) (A dy A^T), a product over the tiles for each of 16 points, and
/// in the end G^T . G. The work is cut into parts of the images, chunks of the channels and groups
/// of columns: each has sums of its own that stay in L2, and transforms what it reads again.
/// Shapes    x: images of the window; dy: images [outputs, columns]; both with lists of images
/// Cost      32 C columns flop and about 20 % of that in transforms a tile; bit-equal at any thread
///           count, as the sizes alone decide on the cuts
template <class T>
class TileKernelGradient {
  static constexpr Index kW = simd::kWidth<T>, kPoints = kernels::kWinogradPoints;
  static constexpr Index kLanes = TilePoints<T>::kLanes, kTiles = TileGrid::kTiles;
  static constexpr Index kMostBlocks = std::min<Index>(6, kLanes / kW);  // of a group

 public:
  TileKernelGradient(const TileGrid& grid, const TileSource<T>& x, const TileSource<T>& dy,
                     Index images)
      : grid_(grid), x_(x), dy_(dy), images_(images), channels_(x.channels) {
    blocks_ = simd::padded<T>(dy.channels) / kW;
    groups_ = (blocks_ + kMostBlocks - 1) / kMostBlocks;
    chunks_ = (channels_ + kLanes - 1) / kLanes;
    // Enough pieces to share out, of some thousand tiles each.
    const Index fit = images * grid.per_image() / 2048;
    parts_ = std::clamp<Index>(fit, 1, std::max<Index>(16 / (groups_ * chunks_), 1));
    part_size_ = kPoints * channels_ * blocks_ * kW;
    sums_ = AlignedBuffer<T>(parts_ * part_size_);
    const double tiles = double(images * grid.per_image());
    flops_ = 2.0 * double(kPoints * channels_ * blocks_ * kW) * tiles;
    add_up();
  }

  /// Whether every sum is finite. Else a value that is not may have come to taps that do not read
  /// it, and the sum has to be made tap by tap.
  [[nodiscard]] bool finite() const {
    simd::Packet<T> total = simd::zero<T>();
    for (Index i = 0; i < part_size_; i += kW) {
      total = simd::madd(simd::load<T>(sums_.data() + i), simd::zero<T>(), total);
    }
    return simd::reduce_add<T>(total) == T(0);
  }

  /// f(tap, channel, block, packet) for every packet of the gradient.
  template <class F>
  void store(F&& f) const {
    for (Index item = 0; item < groups_ * chunks_; ++item) {
      const Piece p = piece(item);
      for (Index c = 0; c < p.channels; ++c) {
        for (Index b = 0; b < p.blocks; ++b) {
          simd::Packet<T> taps[9];
          kernels::winograd_kernel_gradient<T>(sums_.data() + p.at + (c * p.blocks + b) * kW,
                                               p.channels * p.blocks * kW, taps);
          for (Index tap = 0; tap < 9; ++tap) {
            f(tap, p.first_channel + c, p.first_block + b, taps[tap]);
          }
        }
      }
    }
  }

 private:
  // A chunk of channels times a group of columns; its sums, [16][channels][blocks][W], begin at
  // `at` of the sums of each part.
  struct Piece {
    Index first_channel, channels, first_block, blocks, at;
  };
  Piece piece(Index item) const {
    const Range group = part_range(blocks_, int(groups_), int(item % groups_));
    const Range chunk = part_range(channels_, int(chunks_), int(item / groups_));
    return {chunk.begin, chunk.size(), group.begin, group.size(),
            kPoints * kW * (chunk.begin * blocks_ + chunk.size() * group.begin)};
  }

  void add_up() {
    const Index items = groups_ * chunks_;
    parallel_for(flops_, parts_ * items, [&](Index begin, Index end) {
      for (Index i = begin; i < end; ++i) {
        const Range images = part_range(images_, int(parts_), int(i / items));
        const Piece p = piece(i % items);
        T* sums = sums_.data() + i / items * part_size_ + p.at;
        std::fill_n(sums, kPoints * p.channels * p.blocks * kW, T(0));
        run(p, images, sums);
      }
    });
    for (Index part = 1; part < parts_; ++part) {
      detail::add_piece<T>(sums_.data() + part * part_size_, sums_.data(), part_size_);
    }
  }

  void run(const Piece& p, Range images, T* sums) const {
    T* v = kernels::thread_scratch<T, 10>(TilePoints<T>::size());
    T* e = kernels::thread_scratch<T, 11>(kPoints * TilePoints<T>::distance(p.blocks * kW));
    T* pixels = kernels::thread_scratch<T, 12>(TilePoints<T>::pixels_size());
    std::fill_n(pixels, TilePoints<T>::pixels_size(), T(0));
    const TilePiece<T> channels{&x_, p.first_channel, p.channels, 0};
    const TilePoints<T> points{v, pixels, channels.lanes()};
    std::array<TilePlace, kTiles> places;
    const Index last = images.end * grid_.per_image();
    for (Index first = images.begin * grid_.per_image(); first < last; first += kTiles) {
      const Index tiles = std::min(kTiles, last - first);
      grid_.locate(first, tiles, places.data());
      points.load(channels, places.data(), tiles);
      spread(p, places.data(), tiles, pixels, e);
      for (Index point = 0; point < kPoints; ++point) {
        const kernels::detail::OuterTile<T> all{
            v + point * points.point(), points.row, e + point * TilePoints<T>::distance(p.blocks * kW),
            p.blocks * kW,              tiles,      sums + point * p.channels * p.blocks * kW,
            p.blocks * kW};
        kernels::winograd_outer_product<T>(p.channels, p.blocks, all);
      }
    }
  }

  // e[point][tile][columns]; outputs beyond the edge count as zeros.
  void spread(const Piece& p, const TilePlace* places, Index tiles, T* pixels, T* e) const {
    const Index first = p.first_block * kW, lanes = p.blocks * kW;
    const Index count = std::min(lanes, dy_.channels - first);
    const T* const zeros = pixels + 16 * kLanes;
    for (Index t = 0; t < tiles; ++t) {
      const T* d[4] = {zeros, zeros, zeros, zeros};
      const T* const image = dy_.at(places[t].image) + first;
      grid_.each_output(places[t], [&](Index q, Index pixel) {
        d[q] = image + pixel * dy_.pixel;
        if (count != lanes) {
          d[q] = TilePoints<T>::copy(d[q], nullptr, count, pixels + q * kLanes);
        }
      });
      kernels::winograd_output_gradient<T>(d, lanes, e + t * lanes,
                                           TilePoints<T>::distance(lanes));
    }
  }

  TileGrid grid_;
  const TileSource<T>&x_, &dy_;
  Index images_, channels_, blocks_ = 0, groups_ = 1, chunks_ = 1, parts_ = 1, part_size_ = 0;
  double flops_ = 0;
  AlignedBuffer<T> sums_;
};

}  // namespace elman
