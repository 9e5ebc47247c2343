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

TEST(simple_rnn) { check_cell<SimpleRnn>(); }
TEST(gru) { check_cell<Gru>(); }
TEST(gru_reset_after) { check_cell<GruResetAfter>(); }
TEST(lstm) { check_cell<Lstm>(); }
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
