// SPDX-License-Identifier: Apache-2.0
// elman/layers/tiles.hpp: 3 x 3 convolutions with unit strides, 2 x 2 outputs at a time (Winograd).
#pragma once

#include <algorithm>
#include <array>

#include "elman/kernels/product.hpp"
#include "elman/layers/tile_points.hpp"

namespace elman {

/// The points of a kernel, packed: [groups of columns][16][blocks][depth][W]. Groups are `group`
/// blocks wide, the last one what is left.
template <class T>
struct TileWeights {
  AlignedBuffer<T> data;
  Index depth = 0, blocks = 0, group = 1;

  /// From taps packed as [blocks / gates][tap][depth][gate][W]; with `one` those of the first gate
  /// alone, [blocks][tap][depth][gate][W].
  void pack(const T* taps, Index channels, Index all_blocks, Index gates, Index in_group,
            bool one = false) {
    constexpr Index kW = simd::kWidth<T>;
    depth = channels;
    blocks = all_blocks;
    group = in_group;
    data.ensure(16 * depth * blocks * kW);
    const Index taken = one ? 1 : gates;
    // A packet of the nine taps takes 40 ns.
    parallel_for(1600.0 * double(depth * blocks), blocks, [&](Index begin, Index end) {
      for (Index block = begin; block < end; ++block) {
        const T* from = taps + (block / taken * 9 * depth * gates + block % taken) * kW;
        T* to = data.data() + at(0, block);
        const Index point = at(1, block) - at(0, block);
        for (Index k = 0; k < depth; ++k) {
          kernels::winograd_kernel<T>(from + k * gates * kW, depth * gates * kW, to + k * kW,
                                      point);
        }
      }
    });
  }
  /// The width of groups of at most 8 packets, all about as wide.
  static Index group_of(Index blocks) {
    const Index groups = (blocks + 7) / 8;
    return (blocks + groups - 1) / std::max<Index>(groups, 1);
  }
  [[nodiscard]] Index group_size(Index first) const { return std::min(group, blocks - first); }
  [[nodiscard]] const T* weights(Index point, Index block) const {
    return data.data() + at(point, block);
  }

 private:
  [[nodiscard]] Index at(Index point, Index block) const {
    const Index first = block / group * group;
    return (16 * first + point * group_size(first) + block - first) * depth * simd::kWidth<T>;
  }
};

/// One side of a convolution: images and the weights that meet them.
template <class T>
struct TileSide {
  const TileSource<T>* source = nullptr;  // nullptr: absent
  const TileWeights<T>* weights = nullptr;
  Index gate = 0;              // whose factors multiply the images
  Index first = 0, count = 0;  // some of the channels; 0: all

  [[nodiscard]] Index channels() const { return count > 0 ? count : weights->depth; }
};

/// Memory of one thread.
template <class T>
struct TileMemory {
  T *v, *pixels, *sums, *out;

  /// Of the calling thread; it stays there for the next call. Columns of a group: `group` packets.
  explicit TileMemory(Index group)
      : v(kernels::thread_scratch<T, 10>(TilePoints<T>::size())),
        pixels(kernels::thread_scratch<T, 11>(TilePoints<T>::pixels_size())),
        sums(kernels::thread_scratch<T, 12>(kernels::kWinogradPoints * TileGrid::kTiles * group *
                                            simd::kWidth<T>)),
        out(kernels::thread_scratch<T, 13>(4 * group * simd::kWidth<T>)) {
    std::fill_n(pixels, TilePoints<T>::pixels_size(), T(0));
  }
};

/// f(memory, places, count) for the tiles of some images, block by block, shared out to the
/// threads.
template <class T, class F>
inline void over_tiles(double flops, const TileGrid& grid, Index images, Index group, F&& f) {
  const Index tiles = images * grid.per_image(), unit = TileGrid::kUnit;
  parallel_for(flops, (tiles + unit - 1) / unit, [&](Index begin, Index end) {
    const TileMemory<T> memory(group);
    std::array<TilePlace, TileGrid::kTiles> places;
    const Index last = std::min(tiles, end * unit);
    for (Index first = begin * unit; first < last; first += TileGrid::kTiles) {
      const Index count = std::min(TileGrid::kTiles, last - first);
      grid.locate(first, count, places.data());
      f(memory, places.data(), count);
    }
  });
}

/// The sum of one or two convolutions with the same outputs, for some tiles:
/// done(place, block, y) gets the sums y[4][blocks of the group][W] of the columns from `block` on.
/// A tile's sums depend neither on the tiles beside it nor on the number of threads.
/// Shapes    at most TileGrid::kTiles places; both sides have as many columns
/// Cost      32 K columns flop and about 15 % of that in transforms a tile; serial, no allocation
template <class T>
class TileConvolution {
  static constexpr Index kW = simd::kWidth<T>, kLanes = TilePoints<T>::kLanes;

 public:
  TileConvolution(const TileSide<T>& a, const TileSide<T>& b, const TileMemory<T>& memory)
      : sides_{a, b}, memory_(memory), points_{memory.v, memory.pixels, 0} {
    Index lanes = 0;
    for (const TileSide<T>& side : sides_) {
      if (side.source == nullptr) continue;
      shape_ = side.weights;
      lanes += simd::padded<T>(side.channels());
    }
    together_ = lanes <= kLanes;
    points_.row = std::min(lanes, kLanes);
  }

  template <class Done>
  void run(const TilePlace* places, Index tiles, Done&& done) const {
    if (shape_ == nullptr) return;
    if (together_) load_all(places, tiles);
    for (Index block = 0; block < shape_->blocks; block += shape_->group) {
      const Index group = shape_->group_size(block);
      if (together_) {
        multiply(pieces_of_all(), block, group, tiles, false);
      } else {
        piece_by_piece(places, tiles, block, group);
      }
      for (Index t = 0; t < tiles; ++t) {
        const T* m = memory_.sums + t * kernels::kWinogradPoints * group * kW;
        for (Index b = 0; b < group; ++b) {
          simd::Packet<T> y[4];
          kernels::winograd_output<T>(m + b * kW, group * kW, y);
          for (Index q = 0; q < 4; ++q) simd::store<T>(memory_.out + (q * group + b) * kW, y[q]);
        }
        done(places[t], block, static_cast<const T*>(memory_.out));
      }
    }
  }

 private:
  using Pieces = std::array<TilePiece<T>, 2>;

  // Both sides next to each other.
  Pieces pieces_of_all() const {
    Pieces pieces;
    Index column = 0;
    for (std::size_t i = 0; i < 2; ++i) {
      if (sides_[i].source == nullptr) continue;
      const TileSide<T>& side = sides_[i];
      pieces[i] = {side.source, side.first, side.channels(), column, side.gate};
      column += pieces[i].lanes();
    }
    return pieces;
  }
  void load_all(const TilePlace* places, Index tiles) const {
    for (const TilePiece<T>& piece : pieces_of_all()) {
      if (piece.source != nullptr) points_.load(piece, places, tiles);
    }
  }

  // More channels than a pass has: the sums grow from pass to pass.
  void piece_by_piece(const TilePlace* places, Index tiles, Index block, Index group) const {
    bool add = false;
    for (std::size_t i = 0; i < 2; ++i) {
      const TileSide<T>& side = sides_[i];
      const Index depth = side.source == nullptr ? 0 : side.channels();
      for (Index first = 0; first < depth; first += kLanes) {
        Pieces pieces;
        pieces[i] = {side.source, side.first + first, std::min(kLanes, depth - first), 0,
                     side.gate};
        points_.load(pieces[i], places, tiles);
        multiply(pieces, block, group, tiles, add);
        add = true;
      }
    }
  }

  void multiply(const Pieces& pieces, Index block, Index group, Index tiles, bool add) const {
    for (Index point = 0; point < kernels::kWinogradPoints; ++point) {
      kernels::PointProduct<T> product;
      product.row = points_.row;
      product.out = memory_.sums + point * group * kW;
      product.out_row = kernels::kWinogradPoints * group * kW;
      product.add = add;
      for (std::size_t i = 0; i < 2; ++i) {
        if (pieces[i].source == nullptr) continue;
        const TileWeights<T>& weights = *sides_[i].weights;
        product.sides[i] = {points_.v + point * points_.point() + pieces[i].column,
                            weights.weights(point, block) + pieces[i].first * kW,
                            weights.depth * kW, pieces[i].count};
      }
      kernels::point_product<T>(product, tiles, group);
    }
  }

  std::array<TileSide<T>, 2> sides_;
  TileMemory<T> memory_;
  TilePoints<T> points_;
  const TileWeights<T>* shape_ = nullptr;
  bool together_ = true;
};

}  // namespace elman
