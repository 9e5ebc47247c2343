// SPDX-License-Identifier: Apache-2.0
// conv_test.cpp: convolution on pointers against plain loops.
#include "elman/layers/conv.hpp"

#include <limits>
#include <vector>

#include "check.hpp"
#include "reference.hpp"

namespace {

using namespace elman;
using test::draw;
using test::each_pair;

struct Setting {
  Index in[3], taps[3], stride[3], dilation[3];
  Padding padding;
  Index channels, filters, samples;
};
const Setting kSettings[] = {
    {{1, 1, 13}, {1, 1, 3}, {1, 1, 1}, {1, 1, 1}, Padding::causal, 1, 2, 5},
    {{1, 1, 11}, {1, 1, 3}, {1, 1, 1}, {1, 1, 4}, Padding::causal, 2, 7, 3},
    {{1, 1, 11}, {1, 1, 5}, {1, 1, 3}, {1, 1, 1}, Padding::causal, 3, 2, 2},
    {{1, 1, 431}, {1, 1, 5}, {1, 1, 1}, {1, 1, 1}, Padding::same, 3, 17, 2},  // cut lines
    {{1, 7, 11}, {1, 3, 5}, {1, 1, 1}, {1, 1, 1}, Padding::same, 3, 13, 2},
    {{1, 7, 11}, {1, 3, 2}, {1, 2, 3}, {1, 1, 1}, Padding::same, 13, 5, 3},
    {{1, 7, 11}, {1, 3, 2}, {1, 1, 1}, {1, 2, 3}, Padding::same, 5, 3, 2},
    {{1, 7, 11}, {1, 2, 3}, {1, 3, 2}, {1, 1, 1}, Padding::valid, 17, 19, 2},
    {{1, 7, 11}, {1, 1, 2}, {1, 2, 3}, {1, 1, 1}, Padding::valid, 2, 3, 5},  // inputs unseen
    {{3, 5, 2}, {2, 3, 7}, {1, 1, 1}, {1, 1, 1}, Padding::same, 2, 3, 5},    // wider than the image
    {{5, 3, 7}, {2, 2, 3}, {2, 1, 2}, {1, 1, 1}, Padding::valid, 3, 11, 2},
    {{1, 1, 8}, {1, 1, 2}, {1, 1, 3}, {1, 1, 1}, Padding::causal, 2, 5, 3},  // starts inside
    {{4, 3, 5}, {3, 2, 3}, {3, 3, 3}, {1, 1, 1}, Padding::same, 1, 6, 2},
    {{1, 5, 7}, {1, 1, 1}, {1, 1, 1}, {1, 1, 1}, Padding::same, 7, 3, 2},
    {{1, 5, 7}, {1, 1, 1}, {1, 2, 3}, {1, 1, 1}, Padding::same, 7, 3, 2},
    {{1, 23, 29}, {1, 3, 3}, {1, 1, 1}, {1, 1, 1}, Padding::same, 61, 37, 2},  // depth in pieces
    {{1, 7, 5}, {1, 3, 3}, {1, 1, 1}, {1, 1, 1}, Padding::same, 67, 71, 3},    // by rows
};

/// Operands and results of one layer.
template <class T>
struct Layer {
  Window window;
  Index n, c, f;
  std::vector<T> x, kernel, bias, dy, y, z, dz, dx, d_kernel, d_bias;

  explicit Layer(const Setting& s)
      : window(make_window(3, s.in, s.taps, s.stride, s.dilation, s.padding, s.channels)),
        n(s.samples),
        c(s.channels),
        f(s.filters) {
    const Index rows = n * window.outputs();
    x = draw<T>(n * window.inputs() * c, 1);
    kernel = draw<T>(window.depth() * f, 2);
    bias = draw<T>(f, 3);
    dy = draw<T>(rows * f, 4);
    y = z = dz = std::vector<T>(dy.size(), T(7));
    dx.assign(x.size(), T(2));
    d_kernel.assign(kernel.size(), T(2));
    d_bias.assign(bias.size(), T(2));
  }

  void run(Activation activation, bool biased = true) {
    conv_forward(window, n, f, x.data(), kernel.data(), biased ? bias.data() : nullptr, activation,
                 y.data(), z.data());
    conv_backward(window, n, f, x.data(), kernel.data(), activation, y.data(), z.data(), dy.data(),
                  dz.data(), dx.data(), d_kernel.data(), d_bias.data());
  }
};

/// The same by the definition, in double, with tanh or linear.
template <class T>
void check_layer(Layer<T>& p, bool curved, bool biased) {
  const Index c = p.c, f = p.f;
  std::vector<double> z(p.dy.size()), y(z.size()), dz(z.size());
  std::vector<double> dx(p.x.size(), 2), d_kernel(p.kernel.size(), 2), d_bias(p.bias.size(), 2);
  const auto at = [](const auto& v, Index i) { return double(v[std::size_t(i)]); };
  for (std::size_t e = 0; e < z.size(); ++e) z[e] = biased ? at(p.bias, Index(e) % f) : 0;
  each_pair(p.window, p.n, [&](Index row, Index tap, Index in) {
    for (Index i = 0; i < c; ++i) {
      for (Index j = 0; j < f; ++j) {
        z[std::size_t(row * f + j)] += at(p.x, in * c + i) * at(p.kernel, (tap * c + i) * f + j);
      }
    }
  });
  for (std::size_t e = 0; e < z.size(); ++e) {
    y[e] = curved ? std::tanh(z[e]) : z[e];
    dz[e] = at(p.dy, Index(e)) * (curved ? 1 - y[e] * y[e] : 1);
    d_bias[e % std::size_t(f)] += dz[e];
  }
  each_pair(p.window, p.n, [&](Index row, Index tap, Index in) {
    for (Index i = 0; i < c; ++i) {
      for (Index j = 0; j < f; ++j) {
        const double d = dz[std::size_t(row * f + j)];
        dx[std::size_t(in * c + i)] += d * at(p.kernel, (tap * c + i) * f + j);
        d_kernel[std::size_t((tap * c + i) * f + j)] += d * at(p.x, in * c + i);
      }
    }
  });
  p.run(curved ? Activation::tanh : Activation::linear, biased);
  const auto close = [](const std::vector<T>& got, const std::vector<double>& want, Index terms) {
    const double allowed = 8 * double(std::numeric_limits<T>::epsilon()) *
                           std::log2(2.0 + double(terms)) * (1 + std::sqrt(double(terms)));
    for (std::size_t e = 0; e < want.size(); ++e) CHECK_NEAR(got[e], want[e], allowed);
  };
  const Index depth = p.window.depth(), rows = p.n * p.window.outputs();
  close(p.z, z, depth);
  close(p.y, y, depth);
  close(p.dx, dx, p.window.taps() * f + depth);
  close(p.d_kernel, d_kernel, rows + depth);
  close(p.d_bias, d_bias, rows + depth);
}

template <class T>
void check_layers() {
  for (const Setting& s : kSettings) {
    for (const bool curved : {false, true}) {
      Layer<T> layer(s);
      check_layer(layer, curved, !curved || s.channels > 2);
    }
  }
}
TEST(conv_in_float32) { check_layers<float>(); }
TEST(conv_in_float64) { check_layers<double>(); }

TEST(unwanted_gradients_are_left_out) {
  for (const Setting& s : kSettings) {
    Layer<float> all(s), one(s);
    all.run(Activation::silu);
    one.run(Activation::silu);
    std::vector<float> again(one.d_kernel.size(), 2.0f);
    conv_backward<float>(one.window, one.n, one.f, one.x.data(), one.kernel.data(),
                         Activation::silu, one.y.data(), one.z.data(), one.dy.data(), one.dz.data(),
                         nullptr, again.data(), nullptr);
    CHECK(check::same_bits(all.d_kernel.data(), again.data(), again.size()));
    CHECK(check::same_bits(all.dx.data(), one.dx.data(), one.dx.size()));
  }
}

TEST(conv_is_bit_equal_at_any_thread_count) {
  const Setting large[] = {
      {{1, 17, 19}, {1, 3, 3}, {1, 1, 1}, {1, 1, 1}, Padding::same, 13, 37, 7},
      {{1, 17, 19}, {1, 3, 3}, {1, 2, 2}, {1, 1, 1}, Padding::same, 61, 67, 7},
      {{1, 1, 997}, {1, 1, 5}, {1, 1, 1}, {1, 1, 2}, Padding::causal, 11, 29, 3},
      {{7, 11, 13}, {3, 2, 3}, {1, 1, 1}, {1, 1, 1}, Padding::valid, 7, 19, 3},
  };
  const int before = ThreadPool::global().size();
  for (const Setting& s : large) {
    ThreadPool::global().resize(1);
    Layer<float> one(s);
    one.run(Activation::gelu);
    for (const int threads : {2, 3, 5}) {
      ThreadPool::global().resize(threads);
      Layer<float> many(s);
      many.run(Activation::gelu);
      CHECK(check::same_bits(one.y.data(), many.y.data(), one.y.size()));
      CHECK(check::same_bits(one.dx.data(), many.dx.data(), one.dx.size()));
      CHECK(check::same_bits(one.d_kernel.data(), many.d_kernel.data(), one.d_kernel.size()));
      CHECK(check::same_bits(one.d_bias.data(), many.d_bias.data(), one.d_bias.size()));
    }
  }
  ThreadPool::global().resize(before);
}

TEST(a_nan_stays_within_reach_of_its_taps) {
  const Setting s{{1, 1, 13}, {1, 1, 3}, {1, 1, 1}, {1, 1, 1}, Padding::causal, 2, 5, 2};
  Layer<float> p(s);
  p.x[2 * 7] = std::numeric_limits<float>::quiet_NaN();  // step 7 of the first sample
  p.run(Activation::relu);
  for (Index e = 0; e < Index(p.y.size()); ++e) {
    CHECK_EQ(std::isnan(p.y[std::size_t(e)]), e / 5 >= 7 && e / 5 <= 9);
  }
}

TEST(nothing_to_do) {
  for (const Index samples : {0, 2}) {
    Layer<float> p({{1, 1, 5}, {1, 1, 3}, {1, 1, 1}, {1, 1, 1}, Padding::same, 0, 3, samples});
    p.run(Activation::linear);
    for (std::size_t e = 0; e < p.y.size(); ++e) CHECK_EQ(p.y[e], p.bias[e % 3]);
    CHECK_EQ(p.y.size(), std::size_t(samples) * 15);
  }
  Layer<float> strided({{1, 1, 9}, {1, 1, 3}, {1, 1, 2}, {1, 1, 2}, Padding::same, 1, 1, 1});
  CHECK_THROWS(strided.run(Activation::linear), std::invalid_argument,
               "[conv_backward] strides: expected 1 along an axis with a dilation, got 2");
}

}  // namespace
