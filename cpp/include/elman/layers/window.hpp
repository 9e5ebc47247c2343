// SPDX-License-Identifier: Apache-2.0
// elman/layers/window.hpp: a window that slides over images: sizes, padding, patches as rows.
#pragma once

#include <algorithm>
#include <array>
#include <string>
#include <string_view>

#include "elman/core/errors.hpp"
#include "elman/core/threads.hpp"
#include "elman/kernels/simd.hpp"

namespace elman {

enum class Padding : int { valid, same, causal };

/// The padding of that Keras name. Errors: std::invalid_argument that lists the known names.
inline Padding parse_padding(std::string_view name) {
  if (name == "valid") return Padding::valid;
  if (name == "same") return Padding::same;
  if (name == "causal") return Padding::causal;
  fail("padding", "unknown name '" + std::string(name) + "'; known: valid, same, causal");
}

/// One axis: tap k of output o reads input  o stride - before + k dilation,  zero outside [0, in).
struct WindowAxis {
  Index in = 1, out = 1;
  Index taps = 1, stride = 1, dilation = 1;
  Index before = 0;  // padding ahead of the first input; behind the last as much as `out` needs

  [[nodiscard]] Index span() const noexcept { return (taps - 1) * dilation + 1; }
  [[nodiscard]] Index start(Index o) const noexcept { return o * stride - before; }

  /// The taps of output o that lie within the input; may be empty.
  [[nodiscard]] Range inside(Index o) const noexcept {
    const Index first = start(o);
    const Index begin = first >= 0 ? 0 : (-first + dilation - 1) / dilation;
    const Index end = first >= in ? 0 : (in - first + dilation - 1) / dilation;
    return {std::min(begin, taps), std::max(std::min(begin, taps), std::min(end, taps))};
  }

  /// The outputs all of whose taps lie within the input.
  [[nodiscard]] Range whole() const noexcept {
    const Index begin = std::min(out, (before + stride - 1) / stride);
    const Index room = in + before - span();
    const Index end = room < 0 ? 0 : std::min(out, room / stride + 1);
    return {begin, std::max(begin, end)};
  }
};

/// The axis of a convolution or pooling.
///   valid         out = floor((in - span) / stride) + 1
///   same, causal  out = ceil(in / stride); 'same' pads max((out-1) stride + span - in, 0), half of
///                 it (rounded down) ahead; causal pads span - 1 ahead
/// out is 0 where the window does not fit.
/// Errors    std::invalid_argument for a span of more than 2^40
/// Source    Keras `compute_conv_output_shape`; TensorFlow's SAME
inline WindowAxis window_axis(Index in, Index taps, Index stride, Index dilation, Padding padding) {
  constexpr Index kMost = Index{1} << 40;
  if (taps < 1 || stride < 1 || dilation < 1 || (taps > 1 && dilation > kMost / (taps - 1))) {
    fail("window", "size: expected a window of 1 to 2^40 inputs, got " + std::to_string(taps) +
                       " taps, strides " + std::to_string(stride) + ", dilation " +
                       std::to_string(dilation));
  }
  WindowAxis axis{in, 0, taps, stride, dilation, 0};
  if (padding == Padding::valid) {
    axis.out = in < axis.span() ? 0 : (in - axis.span()) / stride + 1;
    return axis;
  }
  axis.out = in / stride + (in % stride != 0 ? 1 : 0);
  if (padding == Padding::causal) {
    axis.before = axis.span() - 1;
  } else if (axis.out > 0) {
    axis.before = std::max<Index>((axis.out - 1) * stride + axis.span() - in, 0) / 2;
  }
  return axis;
}

/// Three axes (depth, height, width), the last one running fastest; fewer axes are three with
/// leading ones of size 1. The channels are the innermost axis of the images.
struct Window {
  std::array<WindowAxis, 3> axes;
  Index channels = 1;

  [[nodiscard]] Index inputs() const noexcept { return axes[0].in * axes[1].in * axes[2].in; }
  [[nodiscard]] Index outputs() const noexcept { return axes[0].out * axes[1].out * axes[2].out; }
  [[nodiscard]] Index taps() const noexcept { return axes[0].taps * axes[1].taps * axes[2].taps; }
  /// Elements of one patch: the rows of a convolution's kernel as a matrix.
  [[nodiscard]] Index depth() const noexcept { return taps() * channels; }
  /// Whether a patch is one pixel and each pixel a patch: then the images are the patches.
  [[nodiscard]] bool pointwise() const noexcept {
    return std::all_of(axes.begin(), axes.end(),
                       [](const WindowAxis& axis) { return axis.taps == 1 && axis.stride == 1; });
  }
  [[nodiscard]] bool unit_strides() const noexcept {
    return std::all_of(axes.begin(), axes.end(),
                       [](const WindowAxis& axis) { return axis.stride == 1; });
  }
};

/// The window of `rank` spatial axes, 1 to 3.
/// Shapes    in, taps, stride, dilation [rank]
inline Window make_window(Index rank, const Index* in, const Index* taps, const Index* stride,
                          const Index* dilation, Padding padding, Index channels) {
  Window window;
  window.channels = channels;
  for (Index k = 0; k < rank; ++k) {
    window.axes[static_cast<std::size_t>(3 - rank + k)] =
        window_axis(in[k], taps[k], stride[k], dilation[k], padding);
  }
  return window;
}

/// The window whose patches of d_y make d_x: input i collects, over the taps in reverse order, what
/// the outputs got from it. For unit strides only; with `filters` channels.
inline Window transposed_window(const Window& window, Index filters) {
  Window turned;
  turned.channels = filters;
  for (std::size_t k = 0; k < 3; ++k) {
    const WindowAxis& axis = window.axes[k];
    turned.axes[k] = {axis.out, axis.in,       axis.taps,
                      1,        axis.dilation, axis.span() - 1 - axis.before};
  }
  return turned;
}

namespace detail {

/// A stretch [begin, end) of one line of outputs: positions (n, depth, height, .) of the images.
struct WindowLine {
  Index n, depth, height;
  Index begin, end;
  Index row;  // number of the first one, from the beginning of the range
};

/// Calls f for the lines of the outputs [first, last), counted over all images.
template <class F>
void each_line(const Window& window, Index first, Index last, F&& f) {
  const Index height = window.axes[1].out, width = window.axes[2].out;
  for (Index at = first; at < last;) {
    const Index line = at / width, begin = at % width;
    const Index end = std::min(width, begin + last - at);
    const Index plane = line / height;
    const Index images = window.axes[0].out;
    f(WindowLine{plane / images, plane % images, line % height, begin, end, at - first});
    at += end - begin;
  }
}

/// Calls f(row, column, offset, count) for the pieces of the patches [first, last): `count`
/// elements of patch `row` from `column` on are the input at `offset`, or padding where it is -1.
/// Neighbouring taps of a line are one piece where they lie side by side.
template <class F>
void each_piece(const Window& window, Index sample_stride, Index first, Index last, F&& f) {
  const auto& [depth, height, width] = window.axes;
  const Index c = window.channels, run = width.taps * c;
  const Range whole = width.dilation == 1 ? width.whole() : Range{};
  const auto edge = [&](Index row, Index column, Index line, Index o) {
    const Range taps = width.inside(o);
    if (taps.begin > 0) f(row, column, Index{-1}, taps.begin * c);
    const Index at = line + (width.start(o) + taps.begin * width.dilation) * c;
    if (width.dilation == 1 && taps.size() > 0) {
      f(row, column + taps.begin * c, at, taps.size() * c);
    } else {
      for (Index k = 0; k < taps.size(); ++k) {
        f(row, column + (taps.begin + k) * c, at + k * width.dilation * c, c);
      }
    }
    if (taps.end < width.taps) f(row, column + taps.end * c, Index{-1}, run - taps.end * c);
  };
  each_line(window, first, last, [&](const WindowLine& line) {
    Index column = 0;
    for (Index kd = 0; kd < depth.taps; ++kd) {
      const Index d = depth.start(line.depth) + kd * depth.dilation;
      for (Index kh = 0; kh < height.taps; ++kh, column += run) {
        const Index h = height.start(line.height) + kh * height.dilation;
        Index o = line.begin, row = line.row;
        if (d < 0 || d >= depth.in || h < 0 || h >= height.in) {
          for (; o < line.end; ++o, ++row) f(row, column, Index{-1}, run);
          continue;
        }
        const Index base = line.n * sample_stride + (d * height.in + h) * width.in * c;
        for (; o < std::min(line.end, whole.begin); ++o, ++row) edge(row, column, base, o);
        for (; o < std::min(line.end, whole.end); ++o, ++row) {
          f(row, column, base + width.start(o) * c, run);
        }
        for (; o < line.end; ++o, ++row) edge(row, column, base, o);
      }
    }
  });
}

// memcpy of a few floats costs more in its dispatch than in its bytes.
template <class T>
inline void copy_piece(const T* from, T* to, Index count) {
  constexpr Index kW = simd::kWidth<T>;
  if (count < kW) {
    for (Index i = 0; i < count; ++i) to[i] = from[i];
    return;
  }
  for (Index i = 0; i + kW < count; i += kW) simd::storeu<T>(to + i, simd::loadu(from + i));
  simd::storeu<T>(to + count - kW, simd::loadu(from + count - kW));  // overlaps what is there
}

template <class T>
inline void add_piece(const T* from, T* to, Index count) {
  constexpr Index kW = simd::kWidth<T>;
  Index i = 0;
  for (; i + kW <= count; i += kW) {
    simd::storeu<T>(to + i, simd::add(simd::loadu(to + i), simd::loadu(from + i)));
  }
  for (; i < count; ++i) to[i] += from[i];
}

/// to[i] += the sums i of `parts` parts that lie `stride` apart, one after the other.
template <class T>
inline void add_parts(const T* sums, Index parts, Index stride, Index count, T* to) {
  constexpr Index kPiece = 512;
  const Index pieces = (count + kPiece - 1) / kPiece;
  parallel_for(4.0 * double(parts * count), pieces, [=](Index begin, Index end) {
    const Index first = begin * kPiece, size = std::min(count, end * kPiece) - first;
    for (Index part = 0; part < parts; ++part) {
      add_piece<T>(sums + part * stride + first, to + first, size);
    }
  });
}

}  // namespace detail

/// patches[r] = what output first + r sees, taps in the order depth, height, width, channel.
/// Shapes    x [N, D, H, W, C] with `sample_stride` elements from image to image; outputs are
///           counted over all images, row n out + (d oh + h) ow + w;
///           patches [last - first, taps C] with row stride ld >= taps C
/// Layout    row-major; the product with a kernel [taps C, filters] is the convolution. Take some
///           dozen rows at a time, so that a patch is still in the cache when it is multiplied
/// Errors    none; padding gives zeros, whatever the images hold
/// Cost      one pass over the patches, serial, no allocation
template <class T>
void gather_patches(const Window& window, const T* x, Index sample_stride, Index first, Index last,
                    T* patches, Index ld) {
  detail::each_piece(window, sample_stride, first, last,
                     [=](Index row, Index column, Index offset, Index count) {
                       T* to = patches + row * ld + column;
                       if (offset < 0) {
                         std::fill_n(to, count, T(0));
                       } else {
                         detail::copy_piece(x + offset, to, count);
                       }
                     });
}

/// The transpose: d_x += each element of d_patches at the place that gather_patches took it from.
/// Shapes    as in gather_patches
/// Errors    none. Patches of one image overlap: only the images may be shared between threads
template <class T>
void scatter_patches(const Window& window, const T* d_patches, Index ld, Index first, Index last,
                     T* d_x, Index sample_stride) {
  detail::each_piece(window, sample_stride, first, last,
                     [=](Index row, Index column, Index offset, Index count) {
                       const T* from = d_patches + row * ld + column;
                       if (offset >= 0) detail::add_piece(from, d_x + offset, count);
                     });
}

}  // namespace elman
