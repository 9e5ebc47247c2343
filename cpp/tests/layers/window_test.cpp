// SPDX-License-Identifier: Apache-2.0
// window_test.cpp: sizes, padding and patches against the definition, one element at a time.
#include "elman/layers/window.hpp"

#include <limits>
#include <vector>

#include "check.hpp"
#include "elman/core/random.hpp"

namespace {

using namespace elman;

TEST(sizes_and_padding) {
  // in, taps, stride, dilation, padding -> out, before: worked out by hand
  const struct {
    Index in, taps, stride, dilation;
    Padding padding;
    Index out, before;
  } cases[] = {
      {5, 3, 1, 1, Padding::valid, 3, 0},  {5, 3, 1, 1, Padding::same, 5, 1},
      {5, 3, 1, 1, Padding::causal, 5, 2}, {5, 2, 1, 1, Padding::same, 5, 0},
      {5, 3, 2, 1, Padding::valid, 2, 0},  {5, 3, 2, 1, Padding::same, 3, 1},
      {6, 3, 2, 1, Padding::same, 3, 0},   {5, 3, 1, 2, Padding::causal, 5, 4},
      {7, 3, 1, 2, Padding::valid, 3, 0},  {2, 3, 1, 1, Padding::valid, 0, 0},
      {7, 1, 3, 1, Padding::same, 3, 0},   {5, 3, 3, 1, Padding::causal, 2, 2},
      {0, 3, 1, 1, Padding::same, 0, 0},
  };
  for (const auto& c : cases) {
    const WindowAxis axis = window_axis(c.in, c.taps, c.stride, c.dilation, c.padding);
    CHECK_EQ(axis.out, c.out);
    CHECK_EQ(axis.before, c.before);
    for (Index o = 0; o < axis.out; ++o) {
      Index inside = 0, first = -1;
      for (Index k = 0; k < c.taps; ++k) {
        const Index i = axis.start(o) + k * c.dilation;
        if (i < 0 || i >= c.in) continue;
        if (first < 0) first = k;
        ++inside;
      }
      CHECK_EQ(axis.inside(o).size(), inside);
      if (inside > 0) CHECK_EQ(axis.inside(o).begin, first);
      const Range whole = axis.whole();
      CHECK_EQ(inside == c.taps, o >= whole.begin && o < whole.end);
    }
  }
  CHECK_THROWS(window_axis(5, 3, 1, Index{1} << 62, Padding::same), std::invalid_argument,
               "expected a window of 1 to 2^40 inputs");
  CHECK(parse_padding("causal") == Padding::causal);
  CHECK_THROWS(parse_padding("full"), std::invalid_argument, "known: valid, same, causal");
}

struct Setting {
  Index in[3], taps[3], stride[3], dilation[3];
  Padding padding;
  Index channels;
};
const Setting kSettings[] = {
    {{1, 1, 13}, {1, 1, 3}, {1, 1, 1}, {1, 1, 1}, Padding::causal, 1},
    {{1, 1, 11}, {1, 1, 3}, {1, 1, 1}, {1, 1, 4}, Padding::causal, 2},
    {{1, 7, 11}, {1, 3, 5}, {1, 1, 1}, {1, 1, 1}, Padding::same, 3},
    {{1, 7, 11}, {1, 3, 2}, {1, 2, 3}, {1, 1, 1}, Padding::same, 13},
    {{1, 7, 11}, {1, 3, 2}, {1, 1, 1}, {1, 2, 3}, Padding::same, 5},
    {{1, 7, 11}, {1, 2, 3}, {1, 3, 2}, {1, 1, 1}, Padding::valid, 17},
    {{3, 5, 2}, {2, 3, 7}, {1, 1, 1}, {1, 1, 1}, Padding::same, 2},  // wider than the image
    {{5, 3, 7}, {2, 2, 3}, {2, 1, 2}, {1, 1, 1}, Padding::valid, 3},
    {{1, 5, 7}, {1, 1, 1}, {1, 1, 1}, {1, 1, 1}, Padding::same, 7},
};

/// Calls f(row, column, offset or -1): the definition of the patches.
template <class F>
void each_element(const Window& w, Index samples, Index sample_stride, F&& f) {
  const auto& [depth, height, width] = w.axes;
  for (Index row = 0; row < samples * w.outputs(); ++row) {
    const Index n = row / w.outputs(), p = row % w.outputs();
    const Index od = p / (height.out * width.out), oh = p / width.out % height.out;
    for (Index column = 0; column < w.depth(); ++column) {
      const Index c = column % w.channels, tap = column / w.channels;
      const Index d = depth.start(od) + tap / (height.taps * width.taps) * depth.dilation;
      const Index h = height.start(oh) + tap / width.taps % height.taps * height.dilation;
      const Index v = width.start(p % width.out) + tap % width.taps * width.dilation;
      const bool inside =
          d >= 0 && d < depth.in && h >= 0 && h < height.in && v >= 0 && v < width.in;
      f(row, column,
        inside ? n * sample_stride + ((d * height.in + h) * width.in + v) * w.channels + c : -1);
    }
  }
}

TEST(patches_and_their_transpose) {
  for (const Setting& s : kSettings) {
    const Window w = make_window(3, s.in, s.taps, s.stride, s.dilation, s.padding, s.channels);
    const Index samples = 3, stride = w.inputs() * w.channels + 5, rows = samples * w.outputs();
    const Index ld = w.depth() + 2, size = samples * stride;
    CHECK(w.outputs() > 0);
    std::vector<double> x(std::size_t(size), 0.0), want(std::size_t(rows * ld), 7.0), got = want;
    fill_uniform<double>({1, 0}, -1, 1, x.data(), size);
    each_element(w, samples, stride, [&](Index row, Index column, Index offset) {
      want[std::size_t(row * ld + column)] = offset < 0 ? 0.0 : x[std::size_t(offset)];
    });
    for (Index first = 0; first < rows; first += 13) {
      const Index last = std::min(rows, first + 13);
      gather_patches(w, x.data(), stride, first, last, got.data() + first * ld, ld);
    }
    CHECK(got == want);
    std::vector<double> dx(x.size(), 0.5), dx_want = dx;
    each_element(w, samples, stride, [&](Index row, Index column, Index offset) {
      if (offset >= 0) dx_want[std::size_t(offset)] += want[std::size_t(row * ld + column)];
    });
    for (Index first = 0; first < rows; first += 13) {
      const Index last = std::min(rows, first + 13);
      scatter_patches(w, want.data() + first * ld, ld, first, last, dx.data(), stride);
    }
    for (std::size_t e = 0; e < dx.size(); ++e) CHECK_NEAR(dx[e], dx_want[e], 1e-14);
  }
}

TEST(the_transposed_window_turns_the_arrows) {
  for (const Setting& s : kSettings) {
    const Window w = make_window(3, s.in, s.taps, s.stride, s.dilation, s.padding, 1);
    if (!w.unit_strides()) continue;
    const Window turned = transposed_window(w, 1);
    CHECK_EQ(turned.outputs(), w.inputs());
    std::vector<Index> there(std::size_t(w.inputs() * w.taps()), -1), back = there;
    each_element(w, 1, 0, [&](Index row, Index tap, Index offset) {
      if (offset >= 0) there[std::size_t(offset * w.taps() + tap)] = row;
    });
    each_element(turned, 1, 0, [&](Index row, Index tap, Index offset) {
      back[std::size_t(row * w.taps() + w.taps() - 1 - tap)] = offset;
    });
    CHECK(there == back);
  }
}

}  // namespace
