// SPDX-License-Identifier: Apache-2.0
// elman/layers/tiles.hpp: 3 x 3 convolutions with unit strides, 2 x 2 outputs at a time (Winograd).
#pragma once

#include <algorithm>
#include <array>
#include <cmath>

#include "elman/kernels/product.hpp"
#include "elman/kernels/winograd.hpp"
#include "elman/layers/window.hpp"

namespace elman {

/// Whether a window is one that tiles can compute: 3 x 3 taps side by side, unit strides, on images
/// of two axes.
inline bool tiles_fit(const Window& window) noexcept {
  const auto& [depth, height, width] = window.axes;
  const auto three = [](const WindowAxis& axis) {
    return axis.taps == 3 && axis.stride == 1 && axis.dilation == 1;
  };
  return depth.in == 1 && depth.taps == 1 && depth.out == 1 && three(height) && three(width);
}

/// Whether tiles are faster than the nine taps one by one, for `columns` sums per output. Sizes
/// alone decide, so that neither threads nor the length of a batch change a bit.
template <class T>
inline bool tiles_pay(const Window& window, Index channels, Index columns) noexcept {
  constexpr double kW = simd::kWidth<T>;
  const double out_h = double(window.axes[1].out), out_w = double(window.axes[2].out);
  if (out_h < 1 || out_w < 1) return false;
  const double tiles = std::ceil(out_h / 2) * std::ceil(out_w / 2);
  const double k = double(channels), blocks = std::ceil(double(columns) / kW);
  // Multiply-adds of packets, and how many of them the transforms of a packet take as long as. The
  // margin is for channels so few that the products are all overhead.
  const double by_tiles = tiles * (16 * k * blocks + 70 * std::ceil(k / kW) + 100 * blocks);
  return 1.25 * by_tiles < out_h * out_w * 9 * k * blocks;
}

/// The first output of a tile.
struct TilePlace {
  Index image = 0, row = 0, column = 0;
};

/// Images of outputs cut into tiles, counted through all of them.
struct TileGrid {
  // A block of tiles is transformed, multiplied and finished together: with 64 channels of floats
  // its points are 192 KiB.
  static constexpr Index kTiles = 48;
  // They are shared out to the threads in whole heights of the product's tile.
  static constexpr Index kUnit = simd::kRegisters == 32 ? 12 : 6;

  Index height = 0, width = 0;  // outputs

  explicit TileGrid(const Window& window) : height(window.axes[1].out), width(window.axes[2].out) {}

  [[nodiscard]] Index across() const noexcept { return (width + 1) / 2; }
  [[nodiscard]] Index per_image() const noexcept { return (height + 1) / 2 * across(); }

  void locate(Index first, Index count, TilePlace* places) const noexcept {
    const Index in_image = first % per_image();
    TilePlace at{first / per_image(), in_image / across() * 2, in_image % across() * 2};
    for (Index i = 0; i < count; ++i) {
      places[i] = at;
      if ((at.column += 2) < width) continue;
      at.column = 0;
      if ((at.row += 2) < height) continue;
      at = {at.image + 1, 0, 0};
    }
  }

  /// f(q, pixel) for the outputs q = 0 .. 3 of a tile that exist.
  template <class F>
  void each_output(const TilePlace& at, F&& f) const {
    const Index rows = std::min<Index>(2, height - at.row);
    const Index columns = std::min<Index>(2, width - at.column);
    for (Index i = 0; i < rows; ++i) {
      const Index pixel = (at.row + i) * width + at.column;
      for (Index j = 0; j < columns; ++j) f(2 * i + j, pixel + j);
    }
  }
};

/// Images that a window with 3 x 3 taps reads, and what multiplies them.
template <class T>
struct TileSource {
  WindowAxis height, width;
  Index channels = 0;
  const T* data = nullptr;
  Index image = 0;            // from image to image
  Index pixel = 0;            // from pixel to pixel
  const T* factor = nullptr;  // images of pixels of `channels`, contiguous
  Index factor_image = 0;
  Index factor_gate = 0;  // from the factors of a gate to those of the next; 0: all have the same
  const T* const* images = nullptr;   // instead of data; nullptr among them: zeros
  const T* const* factors = nullptr;  // instead of factor

  static TileSource of(const Window& window, const T* data, Index image) {
    return {window.axes[1], window.axes[2], window.channels, data, image, window.channels};
  }
  [[nodiscard]] const T* at(Index i) const {
    return images != nullptr ? images[i] : data + i * image;
  }
  [[nodiscard]] bool scales() const { return factor != nullptr || factors != nullptr; }
  [[nodiscard]] const T* factor_at(Index i, Index gate) const {
    if (factors != nullptr) return factors[i] + gate * factor_gate;
    return factor == nullptr ? nullptr : factor + i * factor_image + gate * factor_gate;
  }
};

/// Channels [first, first + count) of a source, times the factors of one gate; their points start
/// at `column`.
template <class T>
struct TilePiece {
  const TileSource<T>* source = nullptr;
  Index first = 0, count = 0, column = 0, gate = 0;
  [[nodiscard]] Index lanes() const { return simd::padded<T>(count); }
};

/// Points of one block of tiles: v[point][tile][column].
template <class T>
struct TilePoints {
  // Channels of one pass.
  static constexpr Index kLanes = 64;
  T* v = nullptr;
  T* pixels = nullptr;  // [16][kLanes], then zeros [kLanes]
  Index row = 0;        // columns

  static Index size() { return 16 * distance(kLanes); }
  static Index pixels_size() { return 17 * kLanes; }
  [[nodiscard]] Index point() const { return distance(row); }
  /// From point to point, with `lanes` of each tile: an odd number of cache lines, as the 16 points
  /// of a tile are written together and would else fall into few sets of the cache.
  static constexpr Index distance(Index lanes) {
    return TileGrid::kTiles * lanes + 64 / Index(sizeof(T));
  }

  void load(const TilePiece<T>& piece, const TilePlace* places, Index tiles) const {
    const TileSource<T>& s = *piece.source;
    const bool copies = piece.count % simd::kWidth<T> != 0;
    const bool few = 4 * piece.count <= simd::kWidth<T>;
    const Index lanes = piece.lanes();
    for (Index t = 0; t < tiles; ++t) {
      const Index h = places[t].row - s.height.before, w = places[t].column - s.width.before;
      const bool whole = h >= 0 && h + 4 <= s.height.in && w >= 0 && w + 4 <= s.width.in;
      T* const to = v + t * row + piece.column;
      if (s.at(places[t].image) == nullptr) {
        for (Index i = 0; i < kernels::kWinogradPoints; ++i) {
          std::fill_n(to + i * point(), lanes, T(0));
        }
      } else if (few) {
        load_singly(piece, places[t].image, h, w, to);
      } else if (whole && !copies) {
        const Index at = h * s.width.in + w;
        const T* first = s.at(places[t].image) + at * s.pixel + piece.first;
        const T* factor = s.factor_at(places[t].image, piece.gate);
        if (factor == nullptr) {
          kernels::winograd_input<T>(first, s.width.in * s.pixel, s.pixel, lanes, to, point());
        } else {
          kernels::winograd_input_scaled<T>(
              first, s.width.in * s.pixel, s.pixel, factor + at * s.channels + piece.first,
              s.width.in * s.channels, s.channels, lanes, to, point());
        }
      } else {
        copy_pixels(piece, places[t].image, h, w);
        kernels::winograd_input<T>(pixels, 4 * kLanes, kLanes, lanes, to, point());
      }
    }
  }

  // A channel or two one by one; the other lanes of their packet are not written.
  void load_singly(const TilePiece<T>& piece, Index image, Index h, Index w, T* to) const {
    const TileSource<T>& s = *piece.source;
    const T* const factor = s.factor_at(image, piece.gate);
    for (Index c = 0; c < piece.count; ++c) {
      T d[16];
      for (Index i = 0; i < 4; ++i) {
        const bool there = h + i >= 0 && h + i < s.height.in;
        for (Index j = 0; j < 4; ++j) {
          T& value = d[4 * i + j];
          value = 0;
          if (!there || w + j < 0 || w + j >= s.width.in) continue;
          const Index at = (h + i) * s.width.in + w + j;
          value = s.at(image)[at * s.pixel + piece.first + c];
          if (factor != nullptr) value *= factor[at * s.channels + piece.first + c];
        }
      }
      kernels::winograd_input_single<T>(d, to + c, point());
    }
  }

  // The 4 x 4 pixels from (h, w) on: zeros beyond the edges, the channels in whole packets.
  void copy_pixels(const TilePiece<T>& piece, Index image, Index h, Index w) const {
    const TileSource<T>& s = *piece.source;
    const T* const data = s.at(image) + piece.first;
    const T* factor = s.factor_at(image, piece.gate);
    if (factor != nullptr) factor += piece.first;
    for (Index i = 0; i < 4; ++i) {
      const bool there = h + i >= 0 && h + i < s.height.in;
      for (Index j = 0; j < 4; ++j) {
        T* to = pixels + (4 * i + j) * kLanes;
        if (!there || w + j < 0 || w + j >= s.width.in) {
          std::fill_n(to, piece.lanes(), T(0));
          continue;
        }
        const Index at = (h + i) * s.width.in + w + j;
        copy(data + at * s.pixel, factor == nullptr ? nullptr : factor + at * s.channels,
             piece.count, to);
      }
    }
  }

  /// The first `count` elements at `from`, times the factors if there are any, in whole packets.
  static const T* copy(const T* from, const T* factor, Index count, T* to) {
    constexpr Index kW = simd::kWidth<T>;
    for (Index c = 0; c < count; c += kW) {
      simd::Packet<T> x = simd::load_partial(from + c, count - c);
      if (factor != nullptr) x = simd::mul(x, simd::load_partial(factor + c, count - c));
      simd::store<T>(to + c, x);
    }
    return to;
  }
};

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
