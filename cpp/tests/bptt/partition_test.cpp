// SPDX-License-Identifier: Apache-2.0
// However a run is cut - rows or units to threads, the depth of a product into passes, packed
// weights or not - the bits stay the same.
#include "elman/bptt/partition.hpp"

#include "bptt/run.hpp"

namespace {

template <class T, class Cell>
void expect_same_at_any_thread_count(Index n, Index t, Index f, Index h, int bits) {
  const Problem p = make<Cell>(n, t, f, h, bits);
  const Loss w(p, true, 24);
  const bptt::Dims dims{n, t, f, h};
  ThreadPool::global().resize(2);
  const bptt::Partition two = bptt::partition<T, Cell>(dims, n * t);
  CHECK(two.by_units);
  CHECK_EQ(two.parts, 2);
  ThreadPool::global().resize(1);
  const Run<T, Cell> one(p, w, true);
  for (const int threads : {2, 3}) {
    ThreadPool::global().resize(threads);
    const Run<T, Cell> many(p, w, true);
    check_equal(one, many);
  }
  ThreadPool::global().resize(1);
}

template <class Cell>
std::vector<float> outputs(const Problem& p, bool packed) {
  const std::vector<float> x(p.x.begin(), p.x.end()), k(p.kernel.begin(), p.kernel.end()),
      r(p.recurrent.begin(), p.recurrent.end()), b(p.bias.begin(), p.bias.end()),
      h0(p.h0.begin(), p.h0.end());
  const int rows = p.kind == "gru_reset_after" ? 2 : 1;
  const bptt::KerasWeights<float> weights{k.data(), r.data(), b.data(), rows};
  bptt::ForwardWeights<float, Cell> fw;
  packed ? fw.pack(p.f, p.h, weights) : fw.refer(p.f, p.h, weights);
  std::vector<float> out(std::size_t(p.n * p.t * p.h));
  bptt::Inputs<float> in;
  in.dims = {p.n, p.t, p.f, p.h};
  in.x = {x.data(), p.t * p.f, p.f};
  in.h0 = h0.empty() ? nullptr : h0.data();
  bptt::Outputs<float> to;
  to.out = {out.data(), p.t * p.h, p.h};
  bptt::forward<float, Cell>(in, fw, {}, to);
  return out;
}

// Row n of a problem as a problem of its own.
Problem row_of(const Problem& p, Index n) {
  Problem one = p;
  one.n = 1;
  const auto cut = [n](Array& a, Index width) {
    if (!a.empty()) a = Array(a.begin() + n * width, a.begin() + (n + 1) * width);
  };
  cut(one.x, p.t * p.f);
  cut(one.h0, p.h);
  cut(one.c0, p.h);
  return one;
}

constexpr int kState = 2;  // bit of make(): an initial state

}  // namespace

TEST(units_of_a_few_rows_simple_rnn) {
  expect_same_at_any_thread_count<float, SimpleRnn>(1, 6, 7, 500, 3);
}
TEST(units_of_a_few_rows_gru) { expect_same_at_any_thread_count<double, Gru>(2, 4, 7, 420, 15); }
TEST(units_of_a_few_rows_gru_reset_after) {
  expect_same_at_any_thread_count<float, GruResetAfter>(3, 5, 9, 205, 22);
}
TEST(units_of_a_few_rows_lstm) { expect_same_at_any_thread_count<float, Lstm>(1, 9, 31, 261, 3); }
TEST(units_of_a_few_rows_of_their_own_lengths_lstm) {
  expect_same_at_any_thread_count<float, Lstm>(3, 9, 31, 261, 2 + 128 + 512);
}
TEST(units_of_many_rows_lstm) { expect_same_at_any_thread_count<float, Lstm>(13, 3, 40, 170, 7); }

TEST(a_depth_in_several_passes_changes_no_bit) {
  const Problem p = make<Lstm>(13, 2, 40, 1290, kState);
  const std::vector<float> whole = outputs<Lstm>(p, true);
  const std::size_t row = std::size_t(p.t * p.h);
  for (const Index n : {0, 5, 12}) {
    const std::vector<float> alone = outputs<Lstm>(row_of(p, n), true);
    CHECK(std::equal(alone.begin(), alone.end(), whole.begin() + std::ptrdiff_t(row) * n));
  }
}

// Rows of a batch and each of them alone, whose input is projected ahead of the loop.
template <class T, class Cell>
void expect_same_row_alone(int bits) {
  const Problem p = make<Cell>(7, 9, 900, 19, bits);
  const Loss w(p, true, 24);
  CHECK((!bptt::projects_ahead<T, Cell>({p.n, p.t, p.f, p.h}, p.n)));
  CHECK((bptt::projects_ahead<T, Cell>({1, p.t, p.f, p.h}, 1)));
  const Run<T, Cell> all(p, w, true);
  for (const Index n : {0, 3, 6}) {
    Loss one = w;
    const auto cut = [&](Array& a, Index width) {
      a = Array(a.begin() + n * width, a.begin() + (n + 1) * width);
    };
    cut(one.out, p.t * p.h);
    cut(one.h, p.h);
    cut(one.c, p.h);
    cut(one.h_all, p.t * p.h);
    cut(one.c_all, p.t * p.h);
    const Run<T, Cell> alone(row_of(p, n), one, true);
    const auto same = [&](const std::vector<T>& row, const std::vector<T>& rows) {
      CHECK(std::equal(row.begin(), row.end(), rows.begin() + n * Index(row.size())));
    };
    same(alone.out, all.out);
    same(alone.dx, all.dx);
    same(alone.dh0, all.dh0);
    same(alone.dc0, all.dc0);
  }
}

TEST(a_row_alone_whose_input_is_projected_ahead) {
  for (const int bits : {0, kState, kState | 4}) {
    expect_same_row_alone<float, SimpleRnn>(bits);
    expect_same_row_alone<double, Gru>(bits);
    expect_same_row_alone<float, GruResetAfter>(bits);
    expect_same_row_alone<float, Lstm>(bits);
  }
}

template <class Cell>
void expect_unpacked_equal() {
  for (const Index h : {1, 16, 37}) {
    for (const int bits : {0, kState}) {
      const Problem p = make<Cell>(1, 1, 11, h, bits);
      CHECK(outputs<Cell>(p, true) == outputs<Cell>(p, false));
    }
  }
}

TEST(weights_that_are_not_packed_give_the_same_bits) {
  expect_unpacked_equal<SimpleRnn>();
  expect_unpacked_equal<GruResetAfter>();
  expect_unpacked_equal<Lstm>();
}

TEST(a_recurrent_kernel_with_nan_is_not_skipped_at_the_first_step) {
  Problem p = make<Lstm>(2, 1, 3, 5, 0);
  p.recurrent[7] = NAN;
  const std::vector<float> out = outputs<Lstm>(p, true);
  CHECK(std::any_of(out.begin(), out.end(), [](float v) { return std::isnan(v); }));
}
