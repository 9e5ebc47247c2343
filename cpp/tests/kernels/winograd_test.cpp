// SPDX-License-Identifier: Apache-2.0
// winograd_test.cpp: convolutions by tiles of 2 x 2 outputs against plain loops.
#include "elman/layers/tiles.hpp"

#include <cmath>
#include <limits>
#include <vector>

#include "check.hpp"
#include "elman/layers/tiles_gradient.hpp"
#include "layers/reference.hpp"

namespace {

using namespace elman;
using test::draw;
using test::each_pair;

Window window_of(Index rows, Index columns, Padding padding, Index channels) {
  const Index in[] = {rows, columns}, three[] = {3, 3}, one[] = {1, 1};
  return make_window(2, in, three, one, one, padding, channels);
}

/// One side of a convolution: images, optionally factors, and a kernel [9, channels, columns].
template <class T>
struct Side {
  Window window;
  Index images, columns;
  std::vector<T> x, factors, kernel;

  Side(const Window& w, Index n, Index f, bool scaled, std::uint64_t seed)
      : window(w),
        images(n),
        columns(f),
        x(draw<T>(n * w.inputs() * w.channels, seed)),
        kernel(draw<T>(w.depth() * f, seed + 2)) {
    if (scaled) factors = draw<T>(Index(x.size()), seed + 1);
  }

  TileSource<T> source() const {
    const Index image = window.inputs() * window.channels;
    TileSource<T> out = TileSource<T>::of(window, x.data(), image);
    if (!factors.empty()) out.factor = factors.data();
    out.factor_image = image;
    return out;
  }
  TileWeights<T> weights(Index group) const {
    AlignedBuffer<T> packed(kernels::packed_size<T>(window.depth(), columns, 1));
    const Index first = 0;
    kernels::pack_gates(kernel.data(), columns, window.depth(), columns,
                        kernels::GateColumns{&first, 1}, packed.data());
    TileWeights<T> out;
    const Index blocks = simd::padded<T>(columns) / simd::kWidth<T>;
    out.pack(packed.data(), window.channels, blocks, 1, group);
    return out;
  }

  /// f(output element, kernel element, value it is multiplied by) for every product.
  template <class F>
  void each_product(F&& f) const {
    each_pair(window, images, [&](Index row, Index tap, Index pixel) {
      for (Index c = 0; c < window.channels; ++c) {
        const Index at = pixel * window.channels + c;
        double value = double(x[std::size_t(at)]);
        if (!factors.empty()) value *= double(factors[std::size_t(at)]);
        for (Index k = 0; k < columns; ++k) {
          f(row * columns + k, (tap * window.channels + c) * columns + k, value);
        }
      }
    });
  }
};

struct Setting {
  Index rows, columns;  // outputs
  Index first, second;  // channels of the sides; the second reads without padding, 0: absent
  Index filters, group, images;
  bool scaled;
};
const Setting kSettings[] = {
    {1, 1, 1, 0, 2, 1, 3, false},     {2, 3, 2, 1, 5, 2, 1, false},
    {5, 7, 3, 0, 13, 3, 2, true},     {7, 5, 11, 2, 19, 5, 3, false},
    {6, 11, 16, 0, 40, 5, 2, false},  {9, 8, 13, 3, 37, 8, 2, true},
    {13, 11, 40, 1, 17, 4, 3, false}, {5, 4, 61, 5, 23, 3, 2, false},
    {4, 7, 67, 0, 29, 2, 2, true},    {3, 5, 150, 71, 11, 6, 1, false},  // in several passes
};

template <class T>
struct Problem {
  Side<T> a, b;
  bool two;

  explicit Problem(const Setting& s)
      : a(window_of(s.rows, s.columns, Padding::same, s.first), s.images, s.filters, s.scaled, 1),
        b(window_of(s.rows + 2, s.columns + 2, Padding::valid, std::max<Index>(s.second, 1)),
          s.images, s.filters, false, 5),
        two(s.second > 0) {}

  /// [images, outputs, filters]
  std::vector<T> forward(Index group) const {
    constexpr Index kW = simd::kWidth<T>;
    const TileGrid grid(a.window);
    const TileSource<T> a_source = a.source(), b_source = b.source();
    const TileWeights<T> a_weights = a.weights(group), b_weights = b.weights(group);
    const TileMemory<T> memory(group);
    const TileConvolution<T> convolution({&a_source, &a_weights},
                                         {two ? &b_source : nullptr, &b_weights}, memory);
    const Index outputs = a.window.outputs(), total = a.images * grid.per_image();
    std::vector<T> y(std::size_t(a.images * outputs * a.columns), T(77));
    std::array<TilePlace, TileGrid::kTiles> places;
    for (Index first = 0; first < total; first += TileGrid::kTiles) {
      const Index count = std::min(TileGrid::kTiles, total - first);
      grid.locate(first, count, places.data());
      convolution.run(places.data(), count, [&](const TilePlace& at, Index block, const T* sums) {
        const Index width = a_weights.group_size(block) * kW;
        grid.each_output(at, [&](Index q, Index pixel) {
          for (Index j = 0; j < width && block * kW + j < a.columns; ++j) {
            y[std::size_t((at.image * outputs + pixel) * a.columns + block * kW + j)] =
                sums[q * width + j];
          }
        });
      });
    }
    return y;
  }
};

// The bound of winograd.hpp: (K + 12) eps / 2 times 81 K max|d| max|g|.
template <class T>
double allowed(Index channels, double largest) {
  const double k = double(channels);
  return (k + 12) * 0.5 * double(std::numeric_limits<T>::epsilon()) * 81 * k * largest;
}

template <class T>
void check_forward() {
  for (const Setting& s : kSettings) {
    const Problem<T> p(s);
    const std::vector<T> y = p.forward(s.group);
    std::vector<double> want(y.size());
    for (const Side<T>* side : {&p.a, &p.b}) {
      if (side == &p.b && !p.two) continue;
      side->each_product([&](Index output, Index k, double value) {
        want[std::size_t(output)] += value * double(side->kernel[std::size_t(k)]);
      });
    }
    // Typical errors are far below the bound: a hundredth of it holds as well.
    const double most = 0.01 * allowed<T>(s.first + s.second, 0.81);
    for (std::size_t e = 0; e < y.size(); ++e) CHECK_NEAR(y[e], want[e], most);
  }
}
TEST(sums_in_float32) { check_forward<float>(); }
TEST(sums_in_float64) { check_forward<double>(); }

/// Gradients of the kernels and the sums of dy, one vector after the other.
template <class T>
std::vector<std::vector<double>> gradients(const Problem<T>& p, const std::vector<T>& dy,
                                           const std::vector<const T*>& a_images, bool* finite) {
  TileSource<T> a = p.a.source(), b = p.b.source(), outputs;
  a.images = a_images.data();
  std::vector<const T*> a_factors;
  for (Index i = 0; a.factor != nullptr && i < p.a.images; ++i) {
    a_factors.push_back(a.factor + i * a.factor_image);
  }
  if (a.factor != nullptr) a.factors = a_factors.data();
  outputs.channels = outputs.pixel = p.a.columns;
  outputs.data = dy.data();
  outputs.image = p.a.window.outputs() * p.a.columns;
  const TileKernelGradient<T> sum(TileGrid(p.a.window), {&a, p.two ? &b : nullptr}, outputs,
                                  p.a.images);
  *finite = sum.finite();
  std::vector<std::vector<double>> found;
  for (const Side<T>* side : {&p.a, &p.b}) {
    if (side == &p.b && !p.two) continue;
    found.emplace_back(side->kernel.size(), 77.0);
    sum.store(side == &p.a ? 0 : 1,
              [&](Index tap, Index channel, Index block, const simd::Packet<T>& packet) {
                alignas(64) T values[simd::kWidth<T>];
                simd::store<T>(values, packet);
                for (Index lane = 0; lane < simd::kWidth<T>; ++lane) {
                  const Index column = block * simd::kWidth<T> + lane;
                  if (column >= side->columns) continue;
                  const Index at = (tap * side->window.channels + channel) * side->columns + column;
                  found.back()[std::size_t(at)] = double(values[lane]);
                }
              });
  }
  found.emplace_back(sum.output_sums(), sum.output_sums() + p.a.columns);
  return found;
}

template <class T>
std::vector<const T*> images_of(const Problem<T>& p) {
  std::vector<const T*> list;
  const Index image = p.a.window.inputs() * p.a.window.channels;
  for (Index i = 0; i < p.a.images; ++i) list.push_back(p.a.x.data() + i * image);
  return list;
}

template <class T>
void check_gradients(bool without_one) {
  for (const Setting& s : kSettings) {
    Problem<T> p(s);
    const Index outputs = p.a.window.outputs();
    const std::vector<T> dy = draw<T>(s.images * outputs * s.filters, 9);
    std::vector<const T*> list = images_of(p);
    if (without_one) {  // its image counts as zeros
      list.back() = nullptr;
      const Index image = Index(p.a.x.size()) / s.images;
      std::fill(p.a.x.end() - image, p.a.x.end(), T(0));
    }
    bool finite = false;
    const auto found = gradients(p, dy, list, &finite);
    CHECK(finite);
    const Index terms = s.images * outputs;
    for (std::size_t i = 0; i + 1 < found.size(); ++i) {
      const Side<T>& side = i == 0 ? p.a : p.b;
      std::vector<double> want(side.kernel.size());
      side.each_product([&](Index output, Index k, double value) {
        want[std::size_t(k)] += value * double(dy[std::size_t(output)]);
      });
      const double most = 0.02 * allowed<T>((terms + 3) / 4, 0.81);
      for (std::size_t e = 0; e < want.size(); ++e) CHECK_NEAR(found[i][e], want[e], most);
    }
    std::vector<double> sums(std::size_t(s.filters));
    for (std::size_t e = 0; e < dy.size(); ++e) sums[e % sums.size()] += double(dy[e]);
    for (std::size_t e = 0; e < sums.size(); ++e) {
      CHECK_NEAR(found.back()[e], sums[e], allowed<T>(terms, 0.1));
    }
  }
}
TEST(kernel_gradients_in_float32) { check_gradients<float>(false); }
TEST(kernel_gradients_in_float64) { check_gradients<double>(true); }

TEST(gradients_have_the_same_bits_with_all_threads) {
  const Setting large{41, 39, 40, 3, 77, 5, 7, false};
  const Problem<float> p(large);
  const std::vector<float> dy = draw<float>(7 * 41 * 39 * 77, 9);
  const auto list = images_of(p);
  const int before = ThreadPool::global().size();
  bool finite = false;
  ThreadPool::global().resize(1);
  const auto one = gradients(p, dy, list, &finite);
  for (const int threads : {2, 3, 5}) {
    ThreadPool::global().resize(threads);
    CHECK(gradients(p, dy, list, &finite) == one);
  }
  ThreadPool::global().resize(before);
}

// A tile reads pixels that one of its outputs does not: they must not reach it.
TEST(a_nan_reaches_the_outputs_that_read_it_and_no_others) {
  for (const double value :
       {std::numeric_limits<double>::quiet_NaN(), std::numeric_limits<double>::infinity()}) {
    for (Index pixel = 0; pixel < 7 * 6; ++pixel) {
      Problem<float> p({7, 6, 3, 0, 5, 2, 2, false});
      p.a.x[std::size_t((7 * 6 + pixel) * 3 + 1)] = float(value);  // of the second image
      const std::vector<float> y = p.forward(2);
      for (Index e = 0; e < Index(y.size()); ++e) {
        const Index image = e / 5 / 42, i = e / 5 % 42 / 6, j = e / 5 % 6;
        const bool reads =
            image == 1 && std::abs(i - pixel / 6) <= 1 && std::abs(j - pixel % 6) <= 1;
        CHECK_EQ(std::isfinite(y[std::size_t(e)]), !reads);
      }
    }
  }
}

TEST(a_sum_that_is_not_finite_is_reported) {
  Problem<float> p({7, 6, 3, 0, 5, 2, 2, false});
  const std::vector<float> dy = draw<float>(2 * 42 * 5, 9);
  bool finite = true;
  p.a.x[17] = std::numeric_limits<float>::infinity();
  gradients(p, dy, images_of(p), &finite);
  CHECK(!finite);
}

TEST(windows_that_tiles_can_compute) {
  Window window = window_of(7, 5, Padding::same, 3);
  CHECK(tiles_fit(window));
  window.axes[2].dilation = 2;
  CHECK(!tiles_fit(window));
  const Index in[] = {4, 7, 5}, taps[] = {1, 3, 3}, one[] = {1, 1, 1}, two[] = {1, 1, 2};
  CHECK(!tiles_fit(make_window(3, in, taps, one, one, Padding::same, 3)));
  CHECK(!tiles_fit(make_window(2, in, taps, one, one, Padding::same, 3)));
  CHECK(!tiles_fit(make_window(2, in + 1, taps + 1, two + 1, one, Padding::same, 3)));
  CHECK(tiles_pay<float>(window_of(40, 40, Padding::same, 40), 41, 160));
  CHECK(!tiles_pay<float>(window_of(40, 40, Padding::same, 1), 1, 160));
  CHECK(!tiles_pay<float>(window_of(1, 40, Padding::same, 40), 41, 160));  // half of each tile
}

}  // namespace
