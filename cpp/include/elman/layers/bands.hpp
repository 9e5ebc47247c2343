// SPDX-License-Identifier: Apache-2.0
// elman/layers/bands.hpp: boxes of neighbouring outputs whose input stays in the cache.
#pragma once

#include <algorithm>
#include <array>

#include "elman/kernels/product.hpp"
#include "elman/layers/window.hpp"

namespace elman::detail {

/// Outputs [first, first + count) of image, depth, height and width.
struct Band {
  std::array<Index, 4> first, count;
  [[nodiscard]] Index rows() const noexcept { return count[0] * count[1] * count[2] * count[3]; }
};

/// Places of an array [N, D, H, W, channels] or of a part of it that has holes.
struct Places {
  Index origin = 0;
  std::array<Index, 4> stride{};

  /// Contiguous.
  static Places of(Index depth, Index height, Index width, Index channels) {
    return {
        0,
        {depth * height * width * channels, height * width * channels, width * channels, channels}};
  }
};

/// The outputs of a window over N images, cut into bands. A band's input is read in place, or where
/// there is padding from a copy with the zeros written out, so that no tap has to be tested.
class Bands {
 public:
  // 192 rows of patches are 32 tiles; 48 K elements of input are a part of L2.
  static constexpr Index kRows = 192, kElements = 48 * 1024;

  Bands(const Window& window, Index samples, Index sample_stride)
      : window_(window), sample_stride_(sample_stride) {
    for (std::size_t k = 0; k < 3; ++k) outputs_[k + 1] = window.axes[k].out;
    outputs_[0] = samples;
    padded_ = std::any_of(window.axes.begin(), window.axes.end(), [](const WindowAxis& axis) {
      return axis.before > 0 || axis.start(axis.out - 1) + axis.span() > axis.in;
    });
    cut();
    const auto& [d, h, w] = window.axes;
    input_ = padded_ ? Places::of(extent(1), extent(2), extent(3), window.channels)
                     : Places::of(d.in, h.in, w.in, window.channels);
    if (!padded_) input_.stride[0] = sample_stride;
  }

  [[nodiscard]] Index count() const noexcept {
    return bands_[0] * bands_[1] * bands_[2] * bands_[3];
  }
  [[nodiscard]] Index rows() const noexcept {
    return outputs_[0] * outputs_[1] * outputs_[2] * outputs_[3];
  }

  /// Elements of the copy of one band; 0 where none is made.
  [[nodiscard]] Index copy_size() const noexcept {
    return padded_ ? size_[0] * input_.stride[0] : 0;
  }

  [[nodiscard]] Band band(Index index) const noexcept {
    Band band;
    for (std::size_t k = 4; k-- > 0; index /= bands_[k]) {
      band.first[k] = index % bands_[k] * size_[k];
      band.count[k] = std::min(size_[k], outputs_[k] - band.first[k]);
    }
    return band;
  }

  /// offsets[k] of the elements of a patch from its first one, k = tap * channels + channel.
  void offsets(Index* out) const noexcept {
    const auto& [d, h, w] = window_.axes;
    for (Index kd = 0; kd < d.taps; ++kd) {
      for (Index kh = 0; kh < h.taps; ++kh) {
        for (Index kw = 0; kw < w.taps; ++kw) {
          const Index tap = kd * d.dilation * input_.stride[1] +
                            kh * h.dilation * input_.stride[2] + kw * w.dilation * input_.stride[3];
          for (Index c = 0; c < window_.channels; ++c) *out++ = tap + c;
        }
      }
    }
  }

  /// Pointers to the first element of each patch of the band; `copy` is [copy_size].
  template <class T>
  void locate(const Band& band, const T* x, T* copy, const T** rows) const noexcept {
    std::array<Index, 4> stride = input_.stride;
    const T* origin = x + band.first[0] * stride[0];
    if (padded_) {
      fill(band, x, copy);
      origin = copy;
    }
    for (std::size_t k = 1; k < 4; ++k) {
      if (!padded_) origin += window_.axes[k - 1].start(band.first[k]) * stride[k];
      stride[k] *= window_.axes[k - 1].stride;
    }
    each_row(band, {0, stride}, [&](Index at) { *rows++ = origin + at; });
  }

  /// Calls f(place) for each output of the band, as offsets from its first one.
  template <class F>
  static void each_row(const Band& band, const Places& places, F&& f) {
    for (Index n = 0; n < band.count[0]; ++n) {
      for (Index d = 0; d < band.count[1]; ++d) {
        for (Index h = 0; h < band.count[2]; ++h) {
          Index at =
              places.origin + n * places.stride[0] + d * places.stride[1] + h * places.stride[2];
          for (Index w = 0; w < band.count[3]; ++w, at += places.stride[3]) f(at);
        }
      }
    }
  }

 private:
  // Whole lines, planes and images as long as the band stays small.
  void cut() noexcept {
    Index rows = 1, elements = window_.channels;
    bool whole = true;
    for (std::size_t k = 4; k-- > 0;) {
      const WindowAxis axis = k > 0 ? window_.axes[k - 1] : WindowAxis{};
      Index most = 1;
      if (whole) {
        most = std::max<Index>(kRows / rows, 1);
        const Index room = std::max<Index>(kElements / std::max<Index>(elements, 1), 1);
        most = std::min(most, room < axis.span() ? 1 : (room - axis.span()) / axis.stride + 1);
      }
      const Index parts = std::max<Index>((outputs_[k] + most - 1) / most, 1);
      size_[k] = (outputs_[k] + parts - 1) / parts;
      // Tiles are six rows high: a line is not cut in the middle of one.
      if (k == 3 && parts > 1 && size_[k] > 6) size_[k] = std::min(most, (size_[k] + 5) / 6 * 6);
      size_[k] = std::max<Index>(size_[k], 1);
      bands_[k] = (outputs_[k] + size_[k] - 1) / size_[k];
      whole = whole && bands_[k] == 1;
      rows *= size_[k];
      elements *= (size_[k] - 1) * axis.stride + axis.span();
    }
  }

  // Inputs along one axis that the outputs of a band read.
  [[nodiscard]] Index extent(std::size_t k) const noexcept {
    const WindowAxis& axis = window_.axes[k - 1];
    return (size_[k] - 1) * axis.stride + axis.span();
  }

  template <class T>
  void fill(const Band& band, const T* x, T* copy) const noexcept {
    const auto& [depth, height, width] = window_.axes;
    const Index c = window_.channels;
    const auto first = [&](std::size_t k) { return window_.axes[k - 1].start(band.first[k]); };
    const auto used = [&](std::size_t k) {
      return (band.count[k] - 1) * window_.axes[k - 1].stride + window_.axes[k - 1].span();
    };
    const Index w0 = first(3), wide = used(3);
    const Index left = std::clamp<Index>(-w0, 0, wide);
    const Index right = std::clamp<Index>(width.in - w0, left, wide);
    for (Index n = 0; n < band.count[0]; ++n) {
      const T* image = x + (band.first[0] + n) * sample_stride_;
      for (Index i = 0; i < used(1); ++i) {
        const Index d = first(1) + i;
        for (Index j = 0; j < used(2); ++j) {
          const Index h = first(2) + j;
          T* to = copy + n * input_.stride[0] + i * input_.stride[1] + j * input_.stride[2];
          if (d < 0 || d >= depth.in || h < 0 || h >= height.in) {
            std::fill_n(to, wide * c, T(0));
            continue;
          }
          const T* from = image + ((d * height.in + h) * width.in + w0) * c;
          std::fill_n(to, left * c, T(0));
          std::copy_n(from + left * c, (right - left) * c, to + left * c);
          std::fill_n(to + right * c, (wide - right) * c, T(0));
        }
      }
    }
  }

  Window window_;
  Index sample_stride_;
  bool padded_ = false;
  std::array<Index, 4> outputs_{}, size_{}, bands_{};
  Places input_;
};

}  // namespace elman::detail
