// SPDX-License-Identifier: Apache-2.0
// elman/layers/tiles_gradient.hpp: the gradient of 3 x 3 kernels from 2 x 2 outputs at a time.
#pragma once

#include <vector>

#include "elman/layers/tiles.hpp"

namespace elman {

/// Sums over all tiles of (B^T x B) (A dy A^T), a product over the tiles for each of 16 points, and
/// in the end G^T . G. The work is cut into parts of the images, chunks of the channels and groups
/// of columns: each has sums of its own that stay in L2, and transforms what it reads again.
/// Shapes    x: one or two images for every image of outputs, a pointer nullptr: zeros (cheapest
///           where such images come last); dy: images [outputs, columns], the columns of `gates`
///           gates of whole packets, each with factors of its own on x
/// Cost      32 C columns flop and about 20 % of that in transforms a tile; bit-equal at any thread
///           count, as the sizes alone decide on the cuts
template <class T>
class TileKernelGradient {
  static constexpr Index kW = simd::kWidth<T>, kPoints = kernels::kWinogradPoints;
  static constexpr Index kLanes = TilePoints<T>::kLanes, kTiles = TileGrid::kTiles;
  static constexpr Index kMostBlocks = std::min<Index>(6, kLanes / kW);  // of a group
  // The point (1, 1) of A dy A^T is the sum of the outputs of a tile: the gradient of a bias.
  static constexpr Index kSumPoint = 5;

 public:
  TileKernelGradient(const TileGrid& grid, std::array<const TileSource<T>*, 2> x,
                     const TileSource<T>& dy, Index images, Index gates = 1)
      : grid_(grid), x_(x), dy_(dy), images_(images), gates_(gates) {
    blocks_ = simd::padded<T>(dy.channels) / kW;
    groups_ = (blocks_ / gates + kMostBlocks - 1) / kMostBlocks * gates;
    cut();
    // Enough pieces to share out, of some hundred tiles each.
    const Index tiles = images * grid.per_image(), pieces = groups_ * Index(chunks_.size());
    parts_ = std::clamp<Index>(tiles / 384, 1, std::max<Index>(16 / pieces, 1));
    part_size_ = (kPoints * channels_ + 1) * blocks_ * kW;
    sums_ = AlignedBuffer<T>(parts_ * part_size_);
    add_up(2.0 * double(part_size_) * double(tiles));
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

  /// f(tap, channel, block, packet) for every packet of the gradient of kernel `which`, from any
  /// thread.
  template <class F>
  void store(std::size_t which, F&& f) const {
    parallel_for(1600.0 * double(channels_ * blocks_), items(), [&](Index begin, Index end) {
      for (Index item = begin; item < end; ++item) {
        const Piece p = piece(item);
        for (Index c = 0; c < p.channels; ++c) {
          const TilePiece<T>& side = p.chunk->sides[c < p.chunk->sides[0].count ? 0 : 1];
          if (side.source != x_[which]) continue;
          const Index channel = side.first + (&side == p.chunk->sides.data() ? c : c - before(p));
          store_channel(p, c, channel, f);
        }
      }
    });
  }

  /// The sum of all outputs, [columns].
  [[nodiscard]] const T* output_sums() const {
    return sums_.data() + kPoints * channels_ * blocks_ * kW;
  }

 private:
  // Channels that are transformed together; `first` counts through those of both sides.
  struct Chunk {
    std::array<TilePiece<T>, 2> sides;
    Index first = 0;
    Index channels() const { return sides[0].count + sides[1].count; }
    Index lanes() const { return sides[0].lanes() + sides[1].lanes(); }
  };
  // A chunk times a group of columns; its sums, [16][channels][blocks][W], begin at `at` of the
  // sums of each part.
  struct Piece {
    const Chunk* chunk;
    Index channels, first_block, blocks, at, gate;
  };
  static Index before(const Piece& p) { return p.chunk->sides[0].count; }

  template <class F>
  void store_channel(const Piece& p, Index c, Index channel, F& f) const {
    for (Index b = 0; b < p.blocks; ++b) {
      simd::Packet<T> taps[9];
      kernels::winograd_kernel_gradient<T>(sums_.data() + p.at + (c * p.blocks + b) * kW,
                                           p.channels * p.blocks * kW, taps);
      for (Index tap = 0; tap < 9; ++tap) f(tap, channel, p.first_block + b, taps[tap]);
    }
  }

  void cut() {
    Index lanes = 0;
    for (const TileSource<T>* source : x_) {
      if (source == nullptr) continue;
      channels_ += source->channels;
      lanes += simd::padded<T>(source->channels);
    }
    if (lanes <= kLanes) {
      Chunk all;
      all.sides[0] = {x_[0], 0, x_[0]->channels, 0};
      if (x_[1] != nullptr) all.sides[1] = {x_[1], 0, x_[1]->channels, all.sides[0].lanes()};
      return chunks_.push_back(all);
    }
    Index first = 0;
    for (const TileSource<T>* source : x_) {
      for (Index at = 0; source != nullptr && at < source->channels; at += kLanes) {
        Chunk chunk;
        chunk.sides[0] = {source, at, std::min(kLanes, source->channels - at), 0};
        chunk.first = first;
        first += chunk.sides[0].count;
        chunks_.push_back(chunk);
      }
    }
  }

  [[nodiscard]] Index items() const { return groups_ * Index(chunks_.size()); }
  [[nodiscard]] Piece piece(Index item) const {
    const Index of_gate = blocks_ / gates_, groups = groups_ / gates_;
    const Index gate = item % groups_ / groups;
    const Range group = part_range(of_gate, int(groups), int(item % groups));
    const Index first = gate * of_gate + group.begin;
    const Chunk& chunk = chunks_[std::size_t(item / groups_)];
    return {&chunk,
            chunk.channels(),
            first,
            group.size(),
            kPoints * kW * (chunk.first * blocks_ + chunk.channels() * first),
            gate};
  }

  void add_up(double flops) {
    parallel_for(flops, parts_ * items(), [&](Index begin, Index end) {
      for (Index i = begin; i < end; ++i) {
        // Parts run fastest: they differ in their images that are zeros.
        T* const part = sums_.data() + i % parts_ * part_size_;
        const Piece p = piece(i / parts_);
        std::fill_n(part + p.at, kPoints * p.channels * p.blocks * kW, T(0));
        T* outputs = nullptr;  // summed once, with the first chunk
        if (p.chunk == chunks_.data()) {
          outputs = part + (kPoints * channels_ * blocks_ + p.first_block) * kW;
          std::fill_n(outputs, p.blocks * kW, T(0));
        }
        run(p, part_range(images_, int(parts_), int(i % parts_)), part + p.at, outputs);
      }
    });
    detail::add_parts<T>(sums_.data() + part_size_, parts_ - 1, part_size_, part_size_,
                         sums_.data());
  }

  void run(const Piece& p, Range images, T* sums, T* outputs) const {
    const Index lanes = p.blocks * kW, distance = TilePoints<T>::distance(lanes);
    T* e = kernels::thread_scratch<T, 12>(kPoints * distance);
    T* pixels = kernels::thread_scratch<T, 11>(TilePoints<T>::pixels_size());
    const TilePoints<T> points{kernels::thread_scratch<T, 10>(TilePoints<T>::size()), pixels,
                               p.chunk->lanes()};
    std::fill_n(pixels, TilePoints<T>::pixels_size(), T(0));
    std::array<TilePlace, kTiles> places;
    const Index last = images.end * grid_.per_image();
    for (Index first = images.begin * grid_.per_image(); first < last; first += kTiles) {
      const Index tiles = std::min(kTiles, last - first);
      grid_.locate(first, tiles, places.data());
      spread(p, places.data(), tiles, pixels, e);
      if (outputs != nullptr) add_rows(e + kSumPoint * distance, tiles, lanes, outputs);
      std::array<bool, 2> used{};
      for (std::size_t i = 0; i < 2; ++i) {
        TilePiece<T> side = p.chunk->sides[i];
        side.gate = p.gate;
        used[i] = side.count > 0 && any(*side.source, places[0].image, places[tiles - 1].image);
        if (used[i]) points.load(side, places.data(), tiles);
      }
      for (Index point = 0; point < kPoints; ++point) {
        T* c = sums + point * p.channels * lanes;
        for (std::size_t i = 0; i < 2; ++i) {
          const TilePiece<T>& side = p.chunk->sides[i];
          kernels::point_outer_product<T>(
              used[i] ? side.count : 0, p.blocks,
              {points.v + point * points.point() + side.column, points.row, e + point * distance,
               lanes, tiles, c, lanes});
          c += side.count * lanes;
        }
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
      kernels::winograd_output_gradient<T>(d, lanes, e + t * lanes, TilePoints<T>::distance(lanes));
    }
  }

  static bool any(const TileSource<T>& source, Index first, Index last) {
    while (first <= last && source.at(first) == nullptr) ++first;
    return first <= last;
  }

  static void add_rows(const T* rows, Index count, Index lanes, T* sums) {
    for (Index j = 0; j < lanes; j += kW) {
      simd::Packet<T> sum = simd::zero<T>();
      for (Index r = 0; r < count; ++r) sum = simd::add(sum, simd::load<T>(rows + r * lanes + j));
      simd::store<T>(sums + j, simd::add(simd::load<T>(sums + j), sum));
    }
  }

  TileGrid grid_;
  std::array<const TileSource<T>*, 2> x_;
  const TileSource<T>& dy_;
  Index images_, gates_, channels_ = 0, blocks_ = 0, groups_ = 1, parts_ = 1, part_size_ = 0;
  std::vector<Chunk> chunks_;
  AlignedBuffer<T> sums_;
};

}  // namespace elman
