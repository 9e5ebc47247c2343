// SPDX-License-Identifier: Apache-2.0
// elman/layers/pool.hpp: the largest or the mean value within a window, on plain pointers.
#pragma once

#include "elman/kernels/simd.hpp"
#include "elman/layers/window.hpp"

namespace elman {

enum class Pool : int { max, average };

namespace detail {

/// The inputs that the outputs of a window see, axis by axis: padding is left out, not compared.
class PoolBoxes {
 public:
  explicit PoolBoxes(const Window& window) : window_(window) {
    for (std::size_t k = 0; k < 3; ++k) {
      const WindowAxis& axis = window.axes[k];
      ranges_[k] = AlignedBuffer<Range>(axis.out);
      for (Index o = 0; o < axis.out; ++o) {
        const Range taps = axis.inside(o);
        ranges_[k][o] = {axis.start(o) + taps.begin, axis.start(o) + taps.end};
      }
    }
  }

  /// Calls f(box) for the outputs of one image in order.
  template <class F>
  void each(F&& f) const {
    for (const Range& d : ranges_[0]) {
      for (const Range& h : ranges_[1]) {
        for (const Range& w : ranges_[2]) f(std::array<Range, 3>{d, h, w});
      }
    }
  }

  /// Calls f(offset of a pixel) for the inputs of a box in order.
  template <class F>
  void each_pixel(const std::array<Range, 3>& box, F&& f) const {
    const Index c = window_.channels;
    for (Index d = box[0].begin; d < box[0].end; ++d) {
      for (Index h = box[1].begin; h < box[1].end; ++h) {
        const Index line = (d * window_.axes[1].in + h) * window_.axes[2].in;
        for (Index w = box[2].begin; w < box[2].end; ++w) f((line + w) * c);
      }
    }
  }

  [[nodiscard]] Index first_pixel(const std::array<Range, 3>& box) const noexcept {
    const Index line = box[0].begin * window_.axes[1].in + box[1].begin;
    return (line * window_.axes[2].in + box[2].begin) * window_.channels;
  }

  static Index pixels(const std::array<Range, 3>& box) noexcept {
    return box[0].size() * box[1].size() * box[2].size();
  }

 private:
  Window window_;
  std::array<AlignedBuffer<Range>, 3> ranges_;
};

// Packets of channels that one pass over a window holds in registers.
inline constexpr int kPoolPackets = 4;

/// Packets of a pass: only one that stands alone may be partial.
template <int P, class T>
inline simd::Packet<T> load_channels(const T* from, Index lanes) {
  return P > 1 ? simd::loadu(from) : simd::load_partial(from, lanes);
}
template <int P, class T>
inline void store_channels(T* to, const simd::Packet<T>& value, Index lanes) {
  if constexpr (P > 1) return simd::storeu<T>(to, value);
  simd::store_partial<T>(to, value, lanes);
}

/// Calls f<packets>(first channel, lanes) so that each pass has whole packets or is the last,
/// partial one.
template <class T, class F>
inline void each_channels(Range channels, F&& f) {
  constexpr Index kW = simd::kWidth<T>;
  Index c = channels.begin;
  for (; c + kPoolPackets * kW <= channels.end; c += kPoolPackets * kW) {
    f.template operator()<kPoolPackets>(c, kW);
  }
  for (; c < channels.end; c += kW) f.template operator()<1>(c, std::min(kW, channels.end - c));
}

/// One image, some of its channels.
template <Pool kKind, class T>
void pool_image(const PoolBoxes& boxes, Index all, Range channels, const T* x, T* y) {
  constexpr Index kW = simd::kWidth<T>;
  boxes.each([&](const std::array<Range, 3>& box) {
    const simd::Packet<T> share = simd::set1<T>(T(1) / static_cast<T>(PoolBoxes::pixels(box)));
    each_channels<T>(channels, [&]<int P>(Index c, Index lanes) {
      simd::Packet<T> sum[P];
      const T* from = x + c;
      const Index first = boxes.first_pixel(box);
      for (int p = 0; p < P; ++p) {
        // The first pixel is the largest so far; a sum starts at zero.
        sum[p] =
            kKind == Pool::max ? load_channels<P>(from + first + p * kW, lanes) : simd::zero<T>();
      }
      boxes.each_pixel(box, [&](Index at) {
#pragma GCC unroll 4
        for (int p = 0; p < P; ++p) {
          const simd::Packet<T> v = load_channels<P>(from + at + p * kW, lanes);
          sum[p] = kKind == Pool::max ? simd::max_or_nan<T>(sum[p], v) : simd::add(sum[p], v);
        }
      });
      for (int p = 0; p < P; ++p) {
        const simd::Packet<T> out = kKind == Pool::max ? sum[p] : simd::mul(sum[p], share);
        store_channels<P, T>(y + c + p * kW, out, lanes);
      }
    });
    y += all;
  });
}

/// The first of the largest gets the gradient: it is the first that is not less than y.
template <Pool kKind, class T>
void pool_image_backward(const PoolBoxes& boxes, Index all, Range channels, const T* x, const T* y,
                         const T* dy, T* dx) {
  constexpr Index kW = simd::kWidth<T>;
  const simd::Packet<T> zero = simd::zero<T>();
  boxes.each([&](const std::array<Range, 3>& box) {
    const simd::Packet<T> share = simd::set1<T>(T(1) / static_cast<T>(PoolBoxes::pixels(box)));
    each_channels<T>(channels, [&]<int P>(Index c, Index lanes) {
      simd::Packet<T> best[P], left[P];
      for (int p = 0; p < P; ++p) {
        left[p] = load_channels<P>(dy + c + p * kW, lanes);
        if constexpr (kKind == Pool::max) {
          best[p] = load_channels<P>(y + c + p * kW, lanes);
        } else {
          left[p] = simd::mul(left[p], share);
        }
      }
      boxes.each_pixel(box, [&](Index at) {
#pragma GCC unroll 4
        for (int p = 0; p < P; ++p) {
          T* to = dx + at + c + p * kW;
          simd::Packet<T> d = left[p];
          if constexpr (kKind == Pool::max) {
            const simd::Packet<T> v = load_channels<P>(x + at + c + p * kW, lanes);
            d = simd::select_less<simd::Packet<T>>(v, best[p], zero, left[p]);
            left[p] = simd::select_less<simd::Packet<T>>(v, best[p], left[p], zero);
          }
          store_channels<P, T>(to, simd::add(load_channels<P>(to, lanes), d), lanes);
        }
      });
    });
    y += all;
    dy += all;
  });
}

/// Shares images, and channels where images are few, between the threads: no output is split.
template <class T, class F>
void each_image(const Window& window, Index n, F&& f) {
  constexpr Index kGroup = kPoolPackets * simd::kWidth<T>;
  const Index groups = (window.channels + kGroup - 1) / kGroup;
  double cost = 4.0 * double(n) * double(window.outputs()) * double(window.channels);
  for (const WindowAxis& axis : window.axes) cost *= double(std::min(axis.taps, axis.in));
  const auto run = [&](Index image, Index begin, Index end) {
    f(image, Range{begin * kGroup, std::min(window.channels, end * kGroup)});
  };
  if (n >= 2 * ThreadPool::global().size()) {
    return parallel_for(cost, n, [&](Index begin, Index end) {
      for (Index image = begin; image < end; ++image) run(image, 0, groups);
    });
  }
  for (Index image = 0; image < n; ++image) {
    parallel_for(cost / double(n), groups, [&](Index begin, Index end) { run(image, begin, end); });
  }
}

}  // namespace detail

/// y[n, o, c] = max or mean of x[n, i, c] over the inputs i that the window at o sees.
/// Shapes    x [N, inputs, C]  ->  y [N, outputs, C]; inputs and outputs are the axes of `window`
/// Layout    row-major, contiguous, channels last
/// Errors    none; padding takes no part: not in the maximum, and a mean is divided by the number
///           of inputs. A NaN within the window gives NaN
/// Cost      N outputs taps C operations; bit-equal at any thread count
/// Source    Keras MaxPooling and AveragePooling
template <class T>
void pool_forward(Pool kind, const Window& window, Index n, const T* x, T* y) {
  if (window.outputs() == 0 || window.channels == 0) return;
  const detail::PoolBoxes boxes(window);
  const Index in = window.inputs() * window.channels, out = window.outputs() * window.channels;
  detail::each_image<T>(window, n, [&](Index image, Range channels) {
    const auto run =
        kind == Pool::max ? detail::pool_image<Pool::max, T> : detail::pool_image<Pool::average, T>;
    run(boxes, window.channels, channels, x + image * in, y + image * out);
  });
}

/// dx += the gradient of pool_forward: shared evenly by a mean, taken whole by the first of the
/// largest inputs (depth, height, width in order).
/// Shapes    x, dx [N, inputs, C]; y = output, dy [N, outputs, C]
template <class T>
void pool_backward(Pool kind, const Window& window, Index n, const T* x, const T* y, const T* dy,
                   T* dx) {
  if (window.outputs() == 0 || window.channels == 0) return;
  const detail::PoolBoxes boxes(window);
  const Index in = window.inputs() * window.channels, out = window.outputs() * window.channels;
  detail::each_image<T>(window, n, [&](Index image, Range channels) {
    const auto run = kind == Pool::max ? detail::pool_image_backward<Pool::max, T>
                                       : detail::pool_image_backward<Pool::average, T>;
    run(boxes, window.channels, channels, x + image * in, y + image * out, dy + image * out,
        dx + image * in);
  });
}

}  // namespace elman
