// SPDX-License-Identifier: Apache-2.0
// elman/layers/tile_points.hpp: images cut into 4 x 4 pixels, and their points (Winograd).
#pragma once

#include <algorithm>
#include <cmath>

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

}  // namespace elman
