// SPDX-License-Identifier: Apache-2.0
// Every cell and option forward against the scalar reference, every gradient against central
// differences of that reference, and bit-equality over thread counts.
#include "bptt/run.hpp"

namespace {

double loss(const Problem& p, const Loss& w, bool sequences) {
  const reference::Result r = reference::forward(p);
  double sum = 0;
  for (Index n = 0; n < p.n; ++n) {
    for (Index s = sequences ? 0 : p.t - 1; s < p.t; ++s) {
      for (Index j = 0; j < p.h; ++j) {
        const Index i = sequences ? (n * p.t + s) * p.h + j : n * p.h + j;
        sum += r.out[std::size_t((n * p.t + s) * p.h + j)] * w.out[std::size_t(i)];
      }
    }
  }
  const auto add = [&](const Array& values, const Array& weights) {
    for (std::size_t i = 0; i < values.size(); ++i) sum += values[i] * weights[i];
  };
  add(r.h, w.h);
  add(r.h_all, w.h_all);
  if (p.kind != "lstm") return sum;
  add(r.c, w.c);
  add(r.c_all, w.c_all);
  return sum;
}

template <class Value>
void compare(const std::vector<Value>& got, const Array& want, double allowed) {
  double worst = got.size() == want.size() ? 0 : std::numeric_limits<double>::infinity();
  for (std::size_t i = 0; i < std::min(got.size(), want.size()); ++i) {
    const double difference = std::abs(double(got[i]) - want[i]);
    worst = difference <= worst ? worst : difference;  // keeps NaN
  }
  CHECK(worst <= allowed);
}

template <class T, class Cell>
void check_forward(Index n, Index t, Index f, Index h, int bits) {
  const Problem p = make<Cell>(n, t, f, h, bits);
  const Run<T, Cell> run(p, Loss(p, true, 21), true);
  const reference::Result want = reference::forward(p);
  // K products per step; errors of earlier steps stay of the same size through the gates.
  const double allowed =
      4 * double(std::numeric_limits<T>::epsilon()) * double(f + h + 4) * std::log2(double(t) + 2);
  compare(run.out, want.out, allowed);
  compare(run.h, want.h, allowed);
  compare(run.h_all, want.h_all, allowed);
  if (Cell::kStates == 2) {
    compare(run.c, want.c, allowed);
    compare(run.c_all, want.c_all, allowed);
  }
}

/// The largest relative error of one array's gradient against central differences.
void check_gradient(Problem p, Array Problem::* member, const std::vector<double>& got,
                    const Loss& w, bool sequences) {
  const double step = 1e-5;
  Array want((p.*member).size());
  double scale = 1;
  for (std::size_t i = 0; i < want.size(); ++i) {
    const double value = (p.*member)[i];
    (p.*member)[i] = value + step;
    const double up = loss(p, w, sequences);
    (p.*member)[i] = value - step;
    want[i] = (up - loss(p, w, sequences)) / (2 * step);
    (p.*member)[i] = value;
    scale = std::max(scale, std::abs(want[i]));
  }
  if (!want.empty()) compare(got, want, 1e-7 * scale);
}

template <class Cell>
void check_gradients(int bits, bool sequences) {
  const Index n = 3, t = 5, f = 2, h = 11;
  const Problem p = make<Cell>(n, t, f, h, bits);
  const Loss w(p, sequences, 21);
  const Run<double, Cell> run(p, w, sequences);
  check_gradient(p, &Problem::x, run.dx, w, sequences);
  check_gradient(p, &Problem::kernel, run.dk, w, sequences);
  check_gradient(p, &Problem::recurrent, run.dr, w, sequences);
  check_gradient(p, &Problem::bias, run.db, w, sequences);
  check_gradient(p, &Problem::h0, run.dh0, w, sequences);
  check_gradient(p, &Problem::c0, run.dc0, w, sequences);
}

template <class Cell>
void check_cell() {
  for (int bits = 0; bits < 128; ++bits) {
    if ((bits & 24) == 24) continue;
    check_forward<double, Cell>(3, 7, 5, 19, bits);
    check_forward<float, Cell>(7, 3, 2, 19, bits);
    if (bits % 2 == 1 || bits < 32) check_gradients<Cell>(bits, bits % 3 != 0);
  }
  // Resets, resets to zeros, lengths: alone, with a mask, backwards, with dropout, few rows.
  for (const int kind : {128, 256, 512, 128 | 512, 256 | 512}) {
    for (const int bits : {2, 3, 6, 7, 10, 19, 34, 39, 0, 1}) {
      check_forward<double, Cell>(3, 7, 5, 19, kind | bits);
      check_forward<float, Cell>(7, 5, 2, 19, kind | bits);
      check_forward<double, Cell>(11, 4, 3, 9, kind | bits);
      check_gradients<Cell>(kind | bits, bits % 3 != 0);
    }
  }
  for (const Index h : {1, 4, 8, 16, 17, 33, 70}) {
    for (const Index n : {1, 2, 3, 4, 5, 6, 7, 13}) {
      check_forward<double, Cell>(n, 3, 3, h, 0);
      check_forward<float, Cell>(n, 2, 5, h, 18);
    }
  }
}

// Kernels for which one or two rows project their input ahead, and with AVX-512 three and four;
// with a dropout mask per gate LSTM takes six of the nine steps at a time.
template <class Cell>
void check_projected_ahead() {
  for (const int bits : {0, 3, 4, 8 | 2, 16, 16 | 1, 16 | 128, 8 | 512, 16 | 4 | 512}) {
    for (const Index n : {1, 2}) {
      CHECK((bptt::projects_ahead<float, Cell>({n, 9, 900, 19}, n)));
      check_forward<float, Cell>(n, 9, 900, 19, bits);
      check_forward<double, Cell>(n, 9, 900, 19, bits);
    }
    if (simd::kRegisters == 32 && bits % 8 == 0) {
      const Index f = 7000 / Cell::kGates;  // 532 KB
      CHECK((bptt::projects_ahead<float, Cell>({3, 9, f / 4, 19}, 3)));
      CHECK((bptt::projects_ahead<float, Cell>({4, 9, f, 19}, 4)));
      check_forward<float, Cell>(3, 9, f / 4, 19, bits);
      check_forward<float, Cell>(4, 9, f, 19, bits);
    }
  }
}

template <class T, class Cell>
void check_threads() {
  for (const int bits : {0, 3, 15, 22, 130, 514 + 16, 1 + 2 + 4 + 256 + 512}) {
    const Problem p = make<Cell>(29, 23, 31, 61, bits);
    const Loss w(p, true, 24);
    for (const AnyActivations& fn : {AnyActivations{}, AnyActivations::named("tanh", "softmax")}) {
      ThreadPool::global().resize(1);
      const Run<T, Cell> one(p, w, true, fn);
      // More threads than most machines have processors: they wait for their turn, and those that
      // run take their rows over.
      for (const int threads : {2, 3, 5, 5, 5, 5}) {
        ThreadPool::global().resize(threads);
        const Run<T, Cell> many(p, w, true, fn);
        check_equal(one, many);
      }
    }
  }
  ThreadPool::global().resize(1);
}

/// Sequences of few different rows, with their ids and without: outputs to the bit, gradients of
/// the kernel and the bias, whose sums have another order, within their rounding.
template <class T, class Cell>
void check_equal_rows(Index n, Index t, Index f, Index h, int bits, const AnyActivations& fn = {}) {
  constexpr Index kWords = 7;
  Problem p = make<Cell>(n, t, f, h, bits);
  Known known;
  std::vector<Index> word;
  const Array words = draw(kWords * f, 31);
  for (Index i = 0; i < n * t; ++i) {
    word.push_back((i * i + i / t) % kWords);
    known.row_ids.push_back((word.back() - 3) * 1000000007);
    std::copy_n(words.begin() + word.back() * f, f, p.x.begin() + i * f);
  }
  const Loss w(p, true, 21);
  ThreadPool::global().resize(1);
  const Run<T, Cell> plain(p, w, true, fn), told(p, w, true, fn, known);
  known.x_by_id = true;
  const Run<T, Cell> summed(p, w, true, fn, known);
  for (const Run<T, Cell>* run : {&told, &summed}) {
    CHECK(run->out == plain.out);
    CHECK(run->h == plain.h);
    CHECK(run->c == plain.c);
    CHECK(run->dr == plain.dr);
    CHECK(run->dh0 == plain.dh0);
    CHECK(run->dc0 == plain.dc0);
    const double allowed = double(std::numeric_limits<T>::epsilon()) * double(n * t);
    const auto near = [&](const std::vector<T>& got, const std::vector<T>& want) {
      double scale = 1;
      for (const T v : want) scale = std::max(scale, std::abs(double(v)));
      compare(got, Array(want.begin(), want.end()), allowed * scale);
    };
    near(run->dk, plain.dk);
    near(run->db, plain.db);
    if (run == &told) CHECK(run->dx == plain.dx);
    const auto by_word = [&](const std::vector<T>& dx) {
      std::vector<T> sums(std::size_t(kWords * f));
      for (Index i = 0; i < n * t * f; ++i) {
        sums[std::size_t(word[std::size_t(i / f)] * f + i % f)] += dx[std::size_t(i)];
      }
      return sums;
    };
    near(by_word(run->dx), by_word(plain.dx));
    Index rows = 0;  // that have gradients
    for (Index i = 0; i < n * t; ++i) {
      const auto row = run->dx.begin() + i * f;
      rows += std::any_of(row, row + f, [](T v) { return v != 0; }) ? 1 : 0;
    }
    const bool drops = (bits & 24) != 0;  // then rows of one id differ, and nothing is summed
    CHECK((rows > n * t / kWords) == (drops || run == &told));
  }
  for (const int threads : {2, 3}) {
    ThreadPool::global().resize(threads);
    check_equal(summed, Run<T, Cell>(p, w, true, fn, known));
  }
  ThreadPool::global().resize(1);
}

template <class Cell>
void check_equal_rows_of_cell() {
  for (const int bits : {0, 1, 2 | 4, 1 | 4 | 32, 2 | 128, 256 | 512, 64, 8, 16 | 1}) {
    check_equal_rows<double, Cell>(9, 23, 40, 19, bits);
    check_equal_rows<float, Cell>(9, 23, 40, 19, bits);
    check_equal_rows<float, Cell>(2, 90, 40, 19, bits);
  }
  check_equal_rows<float, Cell>(9, 23, 40, 19, 1, AnyActivations::named("softmax", "sigmoid"));
  // Threads share the rows, all of them or a loop each, and the units of each step.
  check_equal_rows<float, Cell>(70, 12, 40, 72, 0);
  check_equal_rows<float, Cell>(10, 40, 40, 136, 1);
  check_equal_rows<float, Cell>(64, 6, 40, 520, 1);
  check_equal_rows<float, Cell>(2, 80, 40, 520, 0);
}

TEST(equal_rows_simple_rnn) { check_equal_rows_of_cell<SimpleRnn>(); }
TEST(equal_rows_gru) { check_equal_rows_of_cell<Gru>(); }
TEST(equal_rows_gru_reset_after) { check_equal_rows_of_cell<GruResetAfter>(); }
TEST(equal_rows_lstm) { check_equal_rows_of_cell<Lstm>(); }

TEST(distinct_rows) {
  const std::vector<std::int64_t> ids{5, -1, 5, std::int64_t{1} << 62, -1, 0, 5};
  const auto same = [](Index i) { return i; };
  bptt::DistinctRows rows;
  CHECK(!rows.build(ids.data(), 7, 7, 3, same));
  CHECK(rows.build(ids.data(), 7, 7, 4, same));
  CHECK_EQ(rows.count(), 4);
  for (Index i = 0; i < 7; ++i) {
    const Index first = rows.first(rows.of(i));
    CHECK(first <= i && ids[std::size_t(first)] == ids[std::size_t(i)]);
  }
  CHECK(rows.build(ids.data(), 7, 3, 2, [](Index i) { return 2 * i; }));  // again, some of them
  CHECK_EQ(rows.count(), 2);
  CHECK_EQ(rows.of(4), 1);
  CHECK_EQ(rows.first(1), 4);
  const Index most = bptt::DistinctRows::kMostEqual;
  const std::vector<std::int64_t> zeros(std::size_t(2 * most + 1), 0);
  CHECK(rows.build(zeros.data(), 2 * most + 1, 2 * most + 1, 3, same));
  CHECK_EQ(rows.count(), 3);
  CHECK_EQ(rows.of(most - 1), 0);
  CHECK_EQ(rows.of(most), 1);
  CHECK_EQ(rows.of(2 * most), 2);
  // None where a copy of the sums takes as long as the products, or where they need a lot of
  // memory.
  CHECK_EQ(bptt::detail::most_distinct_rows(1000, 16, 1024), 0);
  CHECK_EQ(bptt::detail::most_distinct_rows(1000, 32, 1024), 500);
  CHECK_EQ(bptt::detail::most_distinct_rows(1000, 72, 2048), 500);
  CHECK_EQ(bptt::detail::most_distinct_rows(1000000, 1000, 1 << 20), 64);
}

TEST(simple_rnn) { check_cell<SimpleRnn>(); }
TEST(gru) { check_cell<Gru>(); }
TEST(gru_reset_after) { check_cell<GruResetAfter>(); }
TEST(lstm) { check_cell<Lstm>(); }
TEST(projected_ahead_simple_rnn) { check_projected_ahead<SimpleRnn>(); }
TEST(projected_ahead_gru) { check_projected_ahead<Gru>(); }
TEST(projected_ahead_gru_reset_after) { check_projected_ahead<GruResetAfter>(); }
TEST(projected_ahead_lstm) { check_projected_ahead<Lstm>(); }
TEST(projected_ahead_of_a_few_rows) {
  CHECK((bptt::projects_ahead<float, Lstm>({5, 7, 2100, 257}, 5)));
  check_forward<float, Lstm>(5, 7, 2100, 257, 0);
  check_forward<float, Lstm>(5, 7, 2100, 257, 16 | 512);
}
TEST(threads_simple_rnn) { check_threads<float, SimpleRnn>(); }
TEST(threads_gru) { check_threads<double, Gru>(); }
TEST(threads_gru_reset_after) { check_threads<float, GruResetAfter>(); }
TEST(threads_lstm) { check_threads<float, Lstm>(); }

TEST(empty_batches_and_sequences) {
  for (const auto& [n, t] : {std::pair<Index, Index>{0, 3}, {2, 0}}) {
    const Problem p = make<Lstm>(n, t, 2, 3, 2);
    const Run<double, Lstm> run(p, Loss(p, true, 21), true);
    CHECK(run.h == p.h0);
    CHECK(run.c == p.c0);
  }
}

}  // namespace
