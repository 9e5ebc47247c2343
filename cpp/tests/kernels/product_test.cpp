// SPDX-License-Identifier: Apache-2.0
// product_test.cpp: products of all shapes and transpositions against a float64 loop.
#include "elman/kernels/product.hpp"

#include <array>
#include <cmath>
#include <limits>
#include <vector>

#include "check.hpp"
#include "elman/core/random.hpp"

namespace {

using namespace elman;

template <class T>
std::vector<T> random_values(Index count, std::uint64_t seed) {
  std::vector<T> out(static_cast<std::size_t>(count));
  fill_uniform({seed, 0}, T(-1), T(1), out.data(), count);
  return out;
}

struct Case {
  Index m, n, k;
  bool trans_a, trans_b, add;
};

template <class T>
std::vector<T> run(const Case& p, const std::vector<T>& a, const std::vector<T>& b,
                   std::vector<T> c) {
  product<T>(p.trans_a, p.trans_b, p.m, p.n, p.k, a.data(), p.trans_a ? p.m : p.k, b.data(),
             p.trans_b ? p.k : p.n, c.data(), p.n, p.add);
  return c;
}

template <class T>
void check_case(const Case& p) {
  const auto a = random_values<T>(p.m * p.k, 1), b = random_values<T>(p.k * p.n, 2);
  const auto start = random_values<T>(p.m * p.n, 3);
  const auto c = run(p, a, b, start);
  // Rounding of K products and sums of values below 1.
  const double allowed = double(p.k + 2) * double(std::numeric_limits<T>::epsilon());
  double worst = 0;
  for (Index i = 0; i < p.m; ++i) {
    for (Index j = 0; j < p.n; ++j) {
      double sum = p.add ? double(start[std::size_t(i * p.n + j)]) : 0.0;
      for (Index q = 0; q < p.k; ++q) {
        sum += double(a[std::size_t(p.trans_a ? q * p.m + i : i * p.k + q)]) *
               double(b[std::size_t(p.trans_b ? j * p.k + q : q * p.n + j)]);
      }
      worst = std::max(worst, std::abs(sum - double(c[std::size_t(i * p.n + j)])));
    }
  }
  CHECK(worst <= allowed);
}

template <class T>
void check_all() {
  // The last three: bands of rows, bands that are packed, packed parts of the depth.
  constexpr std::array<std::array<Index, 3>, 12> kSizes{{{1, 1, 1},
                                                         {7, 13, 5},
                                                         {6, 64, 600},
                                                         {33, 70, 1100},
                                                         {5, 3, 0},
                                                         {2, 200, 17},
                                                         {64, 17, 300},
                                                         {3, 129, 2},
                                                         {131, 1, 67},
                                                         {205, 37, 21},
                                                         {200, 515, 19},
                                                         {14, 513, 1100}}};
  for (const auto& [m, n, k] : kSizes) {
    for (int bits = 0; bits < 8; ++bits) {
      check_case<T>({m, n, k, (bits & 1) != 0, (bits & 2) != 0, (bits & 4) != 0});
    }
  }
}

template <class T>
void check_threads() {
  constexpr std::array<std::array<Index, 3>, 5> kSizes{
      {{193, 211, 337}, {701, 530, 30}, {4, 1500, 200}, {14, 515, 1100}, {12, 530, 600}}};
  for (int i = 0; i < 8 * int(kSizes.size()); ++i) {
    const auto& [m, n, k] = kSizes[std::size_t(i / 8)];
    const Case p{m, n, k, (i & 1) != 0, (i & 2) != 0, (i & 4) != 0};
    const auto a = random_values<T>(p.m * p.k, 4), b = random_values<T>(p.k * p.n, 5);
    const auto c = random_values<T>(p.m * p.n, 6);
    ThreadPool::global().resize(1);
    const auto one = run(p, a, b, c);
    for (const int threads : {2, 3, 5}) {
      ThreadPool::global().resize(threads);
      CHECK(run(p, a, b, c) == one);
    }
  }
  ThreadPool::global().resize(1);
}

TEST(float_products) { check_all<float>(); }
TEST(double_products) { check_all<double>(); }
TEST(float_threads_are_bit_equal) { check_threads<float>(); }
TEST(double_threads_are_bit_equal) { check_threads<double>(); }

TEST(rows_beside_do_not_change_a_row) {
  const Index k = 301, n = 47;
  const auto a = random_values<float>(13 * k, 7), b = random_values<float>(k * n, 8);
  const auto all = run<float>({13, n, k, false, false, false}, a, b, std::vector<float>(13 * n));
  for (Index m = 1; m <= 13; ++m) {
    const auto some = run<float>({m, n, k, false, false, false}, a, b,
                                 std::vector<float>(static_cast<std::size_t>(m * n)));
    CHECK(std::equal(some.begin(), some.end(), all.begin()));
  }
}

// A tile of any height and width: its sums against those of its rows and blocks one by one, which
// have to be the same bits, and those against double precision.
template <class T, int Slots, int Gates>
void check_tiles() {
  constexpr Index kW = simd::kWidth<T>, kBlocks = 11, kRows = 6, kX = 19, kH = 33;
  using G = kernels::Gating<Slots, Gates>;
  const auto x = random_values<T>(kRows * kX, 11), h = random_values<T>(kRows * kH, 12);
  const auto wx = random_values<T>(kBlocks * kX * Gates * kW, 13);
  const auto wh = random_values<T>(kBlocks * kH * Gates * kW, 14);
  const auto init = random_values<T>(kRows * Slots * kBlocks * kW, 15);
  const auto sums = [&](Index row, int rows, Index block, int blocks,
                        kernels::TileOrder order = {}) {
    std::vector<T> out(static_cast<std::size_t>(rows * blocks * Slots * kW));
    kernels::Tile<T> tile;
    tile.init = init.data() + (row * Slots * kBlocks + block) * kW;
    tile.init_row = Slots * kBlocks * kW;
    tile.init_block = kW;
    tile.init_slot = kBlocks * kW;
    tile.out = out.data();
    tile.out_row = blocks * Slots * kW;
    tile.out_block = Slots * kW;
    tile.out_slot = kW;
    const auto side = [&](const std::vector<T>& a, const std::vector<T>& w, Index depth) {
      constexpr Index kStep = Gates * kW;
      return kernels::Operand<T>{a.data() + row * depth,           depth,         1,  //
                                 w.data() + block * depth * kStep, depth * kStep, kStep, depth};
    };
    tile.x = side(x, wx, kX);
    tile.h = side(h, wh, kH);
    kernels::run_tile<T, G>(rows, blocks, tile, order);
    return out;
  };
  const auto from = [](const std::vector<T>& v, Index at) { return v.begin() + at; };
  for (Index row = 0; row < kRows; ++row) {
    for (Index block = 0; block < kBlocks; ++block) {
      const auto one = sums(row, 1, block, 1);
      for (Index i = 0; i < Slots * kW; ++i) {
        const Index slot = i / kW, lane = i % kW;
        double sum = init[std::size_t(((row * Slots + slot) * kBlocks + block) * kW + lane)];
        double size = std::abs(sum);
        const auto add = [&](double a, double w) {
          sum += a * w;
          size += std::abs(a * w);
        };
        for (Index k = 0; slot < Gates && k < kX; ++k) {
          add(x[std::size_t(row * kX + k)],
              wx[std::size_t(((block * kX + k) * Gates + slot) * kW + lane)]);
        }
        for (Index k = 0; slot >= Slots - Gates && k < kH; ++k) {
          add(h[std::size_t(row * kH + k)],
              wh[std::size_t(((block * kH + k) * Gates + slot - (Slots - Gates)) * kW + lane)]);
        }
        const double bound = (kX + kH + 1) * std::numeric_limits<T>::epsilon() * size;
        CHECK(std::abs(one[std::size_t(i)] - sum) <= bound);
      }
    }
  }
  for (int rows = 1; rows <= kRows; ++rows) {
    for (int blocks = 1; blocks <= kBlocks; ++blocks) {
      for (const kernels::TileOrder order :
           {kernels::TileOrder{false, false}, {true, false}, {false, true}}) {
        const auto all = sums(0, rows, 0, blocks, order);
        bool same = true;
        for (Index row = 0; row < rows; ++row) {
          for (Index block = 0; block < blocks; ++block) {
            const auto one = sums(row, 1, block, 1);
            same = same && std::equal(one.begin(), one.end(),
                                      from(all, (row * blocks + block) * Slots * kW));
          }
        }
        CHECK(same);
      }
    }
  }
}

TEST(float_tiles_of_any_height_and_width) {
  check_tiles<float, 1, 1>();
  check_tiles<float, 2, 2>();
  check_tiles<float, 3, 3>();
  check_tiles<float, 4, 3>();
  check_tiles<float, 4, 4>();
}
TEST(double_tiles_of_any_height_and_width) {
  check_tiles<double, 1, 1>();
  check_tiles<double, 4, 3>();
  check_tiles<double, 4, 4>();
}

// Of any tile, all of them or a part, whatever their addresses.
template <int Rows>
void check_fetches(Index depth) {
  constexpr Index kW = simd::kWidth<float>, kWide = 2 * kW;
  const auto a = random_values<float>(Rows * depth, 9), w = random_values<float>(depth * kWide, 10);
  kernels::Tile<float> tile;
  tile.x.a = a.data();
  tile.x.row_stride = tile.x.depth = depth;
  tile.x.w = w.data();
  tile.x.w_block = kW;
  tile.x.w_k = tile.out_row = kWide;
  tile.out_block = kW;
  const auto sums = [&](kernels::Fetches<float>* fetches) {
    std::vector<float> out(Rows * kWide);
    tile.out = out.data();
    tile.fetches = fetches;
    kernels::run_tile<float, kernels::Gating<1, 1>>(Rows, 2, tile);
    return out;
  };
  const auto plain = sums(nullptr);
  const std::vector<float> lines(10001);
  kernels::FetchList<float> list;
  for (const Index count : {Index(0), Index(1), Index(3), Index(100), Index(10000)}) {
    list.clear();
    list.add(lines.data() + 1, count);
    list.add_run(lines.data() + 3, count / 2);
    list.add_run(lines.data() + count / 2, count / 3);
    for (const Index steps : {Index(0), depth, 100 * depth}) {
      kernels::Fetches<float> fetches = list.spread(steps);
      CHECK(fetches.pace() > 0);
      CHECK(sums(&fetches) == plain);
      CHECK(sums(&fetches) == plain);  // what is left of them
    }
  }
}

TEST(fetching_ahead_changes_no_sum) {
  for (const Index depth : {1, 2, 17, 300}) {
    check_fetches<6>(depth);
    check_fetches<5>(depth);
    check_fetches<4>(depth);
    check_fetches<3>(depth);
    check_fetches<2>(depth);
    check_fetches<1>(depth);
  }
}

TEST(rows_by_index_start_elsewhere_or_count_as_zeros) {
  std::vector<double> a{1, 2, NAN, NAN, 3, 4}, start{5, 6}, b{1, 1, 10, 100}, c(2);
  // Row 0, a row before all others, row 2, a row of nothing.
  const std::int32_t outer[4] = {0, 0, 2, 1}, inner[4] = {0, -1, 0, -2};
  kernels::Rows<double> rows_a, rows_b;
  rows_a.base = a.data();
  rows_a.outer = 2;
  rows_a.outer_index = outer;
  rows_a.inner_index = inner;
  rows_a.start = start.data();
  rows_a.start_outer = 2;
  rows_b.base = b.data();
  rows_b.outer = 1;
  kernels::outer_product(rows_a, 2, rows_b, kernels::Strip<double>{0, c.data(), 1}, 1, 4);
  CHECK_EQ(c[0], 1.0 + 5.0 + 30.0);
  CHECK_EQ(c[1], 2.0 + 6.0 + 40.0);
}

}  // namespace
