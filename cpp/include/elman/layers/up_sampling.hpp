// SPDX-License-Identifier: Apache-2.0
// elman/layers/up_sampling.hpp: every pixel several times, on plain pointers.
#pragma once

#include <array>
#include <cstring>

#include "elman/core/aligned.hpp"
#include "elman/layers/window.hpp"

namespace elman {

/// y[n, d, h, w] = x[n, d / times[0], h / times[1], w / times[2]] for all channels.
/// Shapes    x [images, in[0], in[1], in[2], channels]; y likewise with in[k] times[k]
struct UpSampling {
  Index images = 0;
  std::array<Index, 3> in{1, 1, 1}, times{1, 1, 1};
  Index channels = 1;

  [[nodiscard]] Index lines() const noexcept { return images * in[0] * in[1]; }
  [[nodiscard]] Index line() const noexcept { return in[2] * channels; }
  [[nodiscard]] Index large_line() const noexcept { return line() * times[2]; }
  [[nodiscard]] double cost() const noexcept {
    return double(lines() * times[0] * times[1]) * double(large_line());
  }
  /// f(offset) for the lines of y that line number i of x becomes.
  template <class F>
  void each_copy(Index i, F&& f) const {
    const Index plane = i / in[1], row = i % in[1];
    for (Index a = 0; a < times[0]; ++a) {
      for (Index b = 0; b < times[1]; ++b) {
        f((((plane * times[0] + a) * in[1] + row) * times[1] + b) * large_line());
      }
    }
  }
};

/// Errors    none
/// Cost      one pass over y, shared out to the threads by lines; no allocation
template <class T>
void up_sampling_forward(const UpSampling& s, const T* x, T* y) {
  parallel_for(s.cost(), s.lines(), [&](Index begin, Index end) {
    const auto bytes = static_cast<std::size_t>(s.large_line()) * sizeof(T);
    for (Index i = begin; i < end; ++i) {
      const T* from = x + i * s.line();
      T* first = nullptr;
      s.each_copy(i, [&](Index offset) {
        T* to = y + offset;
        if (first != nullptr) return static_cast<void>(std::memcpy(to, first, bytes));
        first = to;
        for (Index w = 0; w < s.in[2]; ++w, from += s.channels) {
          for (Index k = 0; k < s.times[2]; ++k, to += s.channels) {
            detail::copy_piece(from, to, s.channels);
          }
        }
      });
    }
  });
}

/// d_x += the sum of d_y over the copies of each pixel.
/// Aliasing  d_x accumulates; bit-equal at any thread count
/// Cost      one pass over d_y; one line of it is allocated by each thread
template <class T>
void up_sampling_backward(const UpSampling& s, const T* d_y, T* d_x) {
  parallel_for(s.cost(), s.lines(), [&](Index begin, Index end) {
    AlignedBuffer<T> sum(s.large_line());
    for (Index i = begin; i < end; ++i) {
      std::fill(sum.begin(), sum.end(), T(0));
      s.each_copy(
          i, [&](Index offset) { detail::add_piece(d_y + offset, sum.data(), s.large_line()); });
      T* to = d_x + i * s.line();
      const T* from = sum.data();
      for (Index w = 0; w < s.in[2]; ++w, to += s.channels) {
        for (Index k = 0; k < s.times[2]; ++k, from += s.channels) {
          detail::add_piece(from, to, s.channels);
        }
      }
    }
  });
}

}  // namespace elman
