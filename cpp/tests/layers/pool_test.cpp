// SPDX-License-Identifier: Apache-2.0
// pool_test.cpp: pooling on pointers against plain loops.
#include "elman/layers/pool.hpp"

#include <limits>
#include <vector>

#include "check.hpp"
#include "elman/core/random.hpp"

namespace {

using namespace elman;

struct Setting {
  Index in[3], taps[3], stride[3];
  Padding padding;
  Index channels, samples;
};
const Setting kSettings[] = {
    {{1, 1, 13}, {1, 1, 3}, {1, 1, 2}, Padding::same, 1, 5},
    {{1, 1, 11}, {1, 1, 2}, {1, 1, 2}, Padding::valid, 37, 2},
    {{1, 1, 5}, {1, 1, 3}, {1, 1, 1}, Padding::same, 13, 3},
    {{1, 7, 11}, {1, 2, 2}, {1, 2, 2}, Padding::same, 3, 2},
    {{1, 7, 11}, {1, 3, 2}, {1, 1, 3}, Padding::valid, 71, 2},
    {{1, 7, 11}, {1, 2, 3}, {1, 5, 1}, Padding::same, 16, 2},  // rows that no window sees
    {{3, 5, 7}, {2, 3, 2}, {2, 1, 2}, Padding::same, 5, 2},
    {{3, 5, 2}, {3, 5, 2}, {1, 1, 1}, Padding::valid, 17, 3},
};

template <class T>
struct Layer {
  Window window;
  Index n;
  std::vector<T> x, y, dy, dx;

  explicit Layer(const Setting& s) : n(s.samples) {
    const Index ones[] = {1, 1, 1};
    window = make_window(3, s.in, s.taps, s.stride, ones, s.padding, s.channels);
    x.resize(std::size_t(n * window.inputs() * s.channels));
    dx.assign(x.size(), T(2));
    y.resize(std::size_t(n * window.outputs() * s.channels));
    dy = y;
    fill_uniform<T>({1, 0}, T(-1), T(1), x.data(), Index(x.size()));
    // Five values only, so that most windows hold their maximum several times.
    for (std::size_t e = 0; e < x.size(); e += 2) x[e] = std::round(T(2) * x[e]) / T(2);
    fill_uniform<T>({2, 0}, T(-1), T(1), dy.data(), Index(dy.size()));
  }

  void run(Pool kind) {
    pool_forward(kind, window, n, x.data(), y.data());
    pool_backward(kind, window, n, x.data(), y.data(), dy.data(), dx.data());
  }

  /// The elements of x that output element e sees, in order.
  std::vector<std::size_t> seen(Index e) const {
    const auto& [depth, height, width] = window.axes;
    const Index c = e % window.channels, row = e / window.channels;
    const Index image = row / window.outputs(), p = row % window.outputs();
    const Index od = p / (height.out * width.out), oh = p / width.out % height.out;
    std::vector<std::size_t> found;
    for (Index tap = 0; tap < window.taps(); ++tap) {
      const Index d = depth.start(od) + tap / (height.taps * width.taps);
      const Index h = height.start(oh) + tap / width.taps % height.taps;
      const Index v = width.start(p % width.out) + tap % width.taps;
      if (d < 0 || d >= depth.in || h < 0 || h >= height.in || v < 0 || v >= width.in) continue;
      const Index at = ((image * depth.in + d) * height.in + h) * width.in + v;
      found.push_back(std::size_t(at * window.channels + c));
    }
    return found;
  }
};

template <class T>
void check_layers() {
  for (const Setting& s : kSettings) {
    for (const Pool kind : {Pool::max, Pool::average}) {
      Layer<T> p(s);
      p.run(kind);
      std::vector<double> dx(p.x.size(), 2);
      // At most taps terms of size 1, rounded once each; dx starts at 2.
      const double allowed = double(p.window.taps() + 2) * std::numeric_limits<T>::epsilon();
      for (std::size_t e = 0; e < p.y.size(); ++e) {
        const std::vector<std::size_t> seen = p.seen(Index(e));
        std::size_t first = seen[0];
        double sum = 0;
        for (const std::size_t i : seen) {
          sum += double(p.x[i]);
          if (p.x[i] > p.x[first]) first = i;
        }
        const double count = double(seen.size()), d = double(p.dy[e]);
        if (kind == Pool::max) {
          CHECK_EQ(p.y[e], p.x[first]);
          dx[first] += d;
        } else {
          CHECK_NEAR(p.y[e], sum / count, allowed);
          for (const std::size_t i : seen) dx[i] += d / count;
        }
      }
      for (std::size_t e = 0; e < dx.size(); ++e) CHECK_NEAR(p.dx[e], dx[e], 3 * allowed);
    }
  }
}
TEST(pooling_in_float32) { check_layers<float>(); }
TEST(pooling_in_float64) { check_layers<double>(); }

TEST(pooling_is_bit_equal_at_any_thread_count) {
  const Setting large[] = {{{1, 31, 29}, {1, 3, 2}, {1, 2, 1}, Padding::same, 37, 13},
                           {{7, 13, 11}, {2, 2, 3}, {1, 1, 1}, Padding::valid, 131, 1}};
  const int before = ThreadPool::global().size();
  for (const Setting& s : large) {
    for (const Pool kind : {Pool::max, Pool::average}) {
      ThreadPool::global().resize(1);
      Layer<float> one(s);
      one.run(kind);
      for (const int threads : {2, 3, 5}) {
        ThreadPool::global().resize(threads);
        Layer<float> many(s);
        many.run(kind);
        CHECK(check::same_bits(one.y.data(), many.y.data(), one.y.size()));
        CHECK(check::same_bits(one.dx.data(), many.dx.data(), one.dx.size()));
      }
    }
  }
  ThreadPool::global().resize(before);
}

TEST(a_nan_comes_through_where_it_is_seen) {
  for (const Index channels : {1, 40}) {
    for (const Pool kind : {Pool::max, Pool::average}) {
      Layer<float> p({{1, 1, 9}, {1, 1, 3}, {1, 1, 1}, Padding::same, channels, 1});
      p.x[std::size_t(4 * channels)] = std::numeric_limits<float>::quiet_NaN();
      p.run(kind);
      for (Index e = 0; e < Index(p.y.size()); ++e) {
        const Index step = e / channels;
        CHECK_EQ(std::isnan(p.y[std::size_t(e)]), e % channels == 0 && step >= 3 && step <= 5);
      }
    }
  }
}

TEST(minus_infinity_is_a_maximum_too) {
  Layer<double> p({{1, 1, 4}, {1, 1, 2}, {1, 1, 2}, Padding::same, 3, 2});
  p.x.assign(p.x.size(), -std::numeric_limits<double>::infinity());
  p.run(Pool::max);
  for (const double y : p.y) CHECK_EQ(y, -std::numeric_limits<double>::infinity());
  for (std::size_t e = 0; e < p.dx.size(); ++e) {
    const std::size_t step = e / 3;
    CHECK_EQ(p.dx[e], step % 2 == 0 ? 2 + p.dy[step / 2 * 3 + e % 3] : 2.0);
  }
}

TEST(nothing_to_do) {
  for (const Setting& s : {Setting{{1, 1, 5}, {1, 1, 2}, {1, 1, 2}, Padding::same, 3, 0},
                           Setting{{1, 1, 5}, {1, 1, 2}, {1, 1, 2}, Padding::same, 0, 2},
                           Setting{{1, 1, 1}, {1, 1, 2}, {1, 1, 2}, Padding::valid, 3, 2}}) {
    Layer<float> p(s);
    p.run(Pool::max);
    CHECK_EQ(p.y.size(), 0u);
  }
}

}  // namespace
