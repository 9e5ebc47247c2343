// SPDX-License-Identifier: Apache-2.0
// recurrent_test.cpp: every cell and option forward against the scalar reference, every gradient
// against central differences of that reference, and bit-equality over thread counts.
#include "elman/bptt/recurrent.hpp"

#include <algorithm>
#include <cmath>
#include <limits>
#include <string>
#include <type_traits>

#include "bptt/reference.hpp"
#include "check.hpp"
#include "elman/cells/gru.hpp"
#include "elman/cells/lstm.hpp"
#include "elman/cells/simple_rnn.hpp"

namespace {

using namespace elman;
using reference::Array;
using reference::Problem;

Array draw(Index count, std::uint64_t seed, double scale = 0.7) {
  Array out(std::size_t(count), 0.0);
  fill_uniform({seed, 1}, -scale, scale, out.data(), count);
  return out;
}
Array draw_factors(Index count, std::uint64_t seed) {
  Array out = draw(count, seed, 1.0);
  for (double& v : out) v = v < -0.4 ? 0.0 : 1.25;
  return out;
}

// bits: 1 mask, 2 initial state, 4 go_backwards, 8 shared and 16 per-gate dropout, 32 zero output,
// 64 no bias.
template <class Cell>
Problem make(Index n, Index t, Index f, Index h, int bits) {
  Problem p;
  p.kind = Cell::kName;
  p.n = n, p.t = t, p.f = f, p.h = h;
  const Index gh = p.gates() * h;
  p.x = draw(n * t * f, 11);
  p.kernel = draw(f * gh, 12);
  p.recurrent = draw(h * gh, 13);
  if ((bits & 64) == 0) p.bias = draw(p.kind == "gru_reset_after" ? 2 * gh : gh, 14);
  if ((bits & 1) != 0) {
    const Array coin = draw(n * t, 15, 1.0);
    for (const double v : coin) p.mask.push_back(v < 0.2);
    for (Index s = 0; s < t; ++s) p.mask[std::size_t(s)] = 0;  // a row without any step
  }
  if ((bits & 2) != 0) {
    p.h0 = draw(n * h, 16);
    if (Cell::kStates == 2) p.c0 = draw(n * h, 17);
  }
  p.go_backwards = (bits & 4) != 0;
  const Index copies = (bits & 16) != 0 ? p.gates() : (bits & 8) != 0 ? 1 : 0;
  p.input_dropout = draw_factors(copies * n * f, 18);
  p.recurrent_dropout = draw_factors(copies * n * h, 19);
  p.zero_output = (bits & 32) != 0;
  return p;
}

/// The library's run of a problem, with the gradients of sum(w . outputs).
template <class T, class Cell>
struct Run {
  using Values = std::vector<T>;
  Values out, h, c, dx, dk, dr, db, dh0, dc0;

  static Values cast(const Array& a) { return Values(a.begin(), a.end()); }

  Run(const Problem& p, const Array& w_out, const Array& w_h, const Array& w_c, bool sequences) {
    Values x = cast(p.x);
    const Values k = cast(p.kernel), r = cast(p.recurrent), b = cast(p.bias), h0 = cast(p.h0),
                 c0 = cast(p.c0), mi = cast(p.input_dropout), mr = cast(p.recurrent_dropout);
    for (std::size_t i = 0; i < p.mask.size(); ++i) {  // padding holds NaN
      for (Index j = 0; j < p.f && p.mask[i] == 0; ++j)
        x[i * std::size_t(p.f) + std::size_t(j)] = T(NAN);
    }
    bptt::Inputs<T> in;
    in.dims = {p.n, p.t, p.f, p.h};
    in.x = {x.data(), p.t * p.f, p.f};
    in.h0 = h0.empty() ? nullptr : h0.data();
    in.c0 = c0.empty() ? nullptr : c0.data();
    in.mask = p.mask.empty() ? nullptr : p.mask.data();
    const auto factors = [&](const Values& m, Index width) {
      return bptt::Factors<T>{m.data(), int(Index(m.size()) / std::max<Index>(1, p.n * width)), p.n,
                              width};
    };
    in.input_dropout = factors(mi, p.f);
    in.recurrent_dropout = factors(mr, p.h);
    in.go_backwards = p.go_backwards;
    in.zero_output_for_mask = p.zero_output;
    const int rows = p.kind == "gru_reset_after" ? 2 : 1;
    const bptt::KerasWeights<T> weights{k.data(), r.data(), b.empty() ? nullptr : b.data(), rows};
    bptt::ForwardWeights<T, Cell> fw;
    fw.pack(p.f, p.h, weights);
    bptt::BackwardWeights<T, Cell> bw;
    bw.pack(p.f, p.h, weights, true);

    const Index step = sequences ? p.h : 0, row = sequences ? p.t * p.h : p.h;
    out.assign(std::size_t(p.n * row), T(0));
    h.assign(std::size_t(p.n * p.h), T(0));
    c = h;
    AlignedBuffer<T> slots(bptt::slots_size<T, Cell>(in.dims));
    AlignedBuffer<T> cells(p.n * p.t * simd::padded<T>(p.h));
    Values states(std::size_t(p.n * p.t * p.h));
    bptt::Outputs<T> outputs;
    outputs.out = {out.data(), row, step};
    outputs.h_last = h.data();
    outputs.c_last = c.data();
    bptt::forward<T, Cell>(in, fw, {}, outputs);
    const Values inference = out;
    outputs.saved = {
        slots.data(), Cell::kStates == 2 ? cells.data() : nullptr, {states.data(), p.t * p.h, p.h}};
    if (sequences && p.mask.empty()) outputs.saved.h = outputs.out;
    bptt::forward<T, Cell>(in, fw, {}, outputs);
    CHECK(inference == out);

    const Values wo = cast(w_out), wh = cast(w_h), wc = cast(w_c);
    bptt::OutputGradients<T> arriving{{wo.data(), row, step}, wh.data(), wc.data()};
    dx.assign(x.size(), T(0));
    dk.assign(k.size(), T(0));
    dr.assign(r.size(), T(0));
    db.assign(b.size(), T(0));
    dh0.assign(h.size(), T(0));
    dc0 = dh0;
    bptt::InputGradients<T> leaving{dx.data(), dh0.data(), dc0.data(),
                                    dk.data(), dr.data(),  b.empty() ? nullptr : db.data(),
                                    rows};
    bptt::backward<T, Cell>(in, bw, {}, outputs.saved, arriving, leaving);
  }
};

double loss(const Problem& p, const Array& w_out, const Array& w_h, const Array& w_c,
            bool sequences) {
  const reference::Result r = reference::forward(p);
  double sum = 0;
  for (Index n = 0; n < p.n; ++n) {
    for (Index s = sequences ? 0 : p.t - 1; s < p.t; ++s) {
      for (Index j = 0; j < p.h; ++j) {
        const Index w = sequences ? (n * p.t + s) * p.h + j : n * p.h + j;
        sum += r.out[std::size_t((n * p.t + s) * p.h + j)] * w_out[std::size_t(w)];
      }
    }
  }
  for (std::size_t i = 0; i < w_h.size(); ++i) sum += r.h[i] * w_h[i];
  for (std::size_t i = 0; i < w_c.size() && p.kind == "lstm"; ++i) sum += r.c[i] * w_c[i];
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
  const Array w(std::size_t(n * t * h), 1.0), state(std::size_t(n * h), 1.0);
  const Run<T, Cell> run(p, w, state, state, true);
  const reference::Result want = reference::forward(p);
  // K products per step; errors of earlier steps stay of the same size through the gates.
  const double allowed =
      4 * double(std::numeric_limits<T>::epsilon()) * double(f + h + 4) * std::log2(double(t) + 2);
  compare(run.out, want.out, allowed);
  compare(run.h, want.h, allowed);
  if (Cell::kStates == 2) compare(run.c, want.c, allowed);
}

/// The largest relative error of one array's gradient against central differences.
void check_gradient(Problem p, Array Problem::* member, const std::vector<double>& got,
                    const Array& wo, const Array& wh, const Array& wc, bool sequences) {
  const double step = 1e-5;
  Array want((p.*member).size());
  double scale = 1;
  for (std::size_t i = 0; i < want.size(); ++i) {
    const double value = (p.*member)[i];
    (p.*member)[i] = value + step;
    const double up = loss(p, wo, wh, wc, sequences);
    (p.*member)[i] = value - step;
    want[i] = (up - loss(p, wo, wh, wc, sequences)) / (2 * step);
    (p.*member)[i] = value;
    scale = std::max(scale, std::abs(want[i]));
  }
  if (!want.empty()) compare(got, want, 1e-7 * scale);
}

template <class Cell>
void check_gradients(int bits, bool sequences) {
  const Index n = 3, t = 5, f = 2, h = 11;
  const Problem p = make<Cell>(n, t, f, h, bits);
  const Array wo = draw(n * (sequences ? t : 1) * h, 21, 1.0), wh = draw(n * h, 22, 1.0),
              wc = draw(n * h, 23, 1.0);
  const Run<double, Cell> run(p, wo, wh, wc, sequences);
  check_gradient(p, &Problem::x, run.dx, wo, wh, wc, sequences);
  check_gradient(p, &Problem::kernel, run.dk, wo, wh, wc, sequences);
  check_gradient(p, &Problem::recurrent, run.dr, wo, wh, wc, sequences);
  check_gradient(p, &Problem::bias, run.db, wo, wh, wc, sequences);
  check_gradient(p, &Problem::h0, run.dh0, wo, wh, wc, sequences);
  check_gradient(p, &Problem::c0, run.dc0, wo, wh, wc, sequences);
}

template <class Cell>
void check_cell() {
  for (int bits = 0; bits < 128; ++bits) {
    if ((bits & 24) == 24) continue;
    check_forward<double, Cell>(3, 7, 5, 19, bits);
    check_forward<float, Cell>(7, 3, 2, 19, bits);
    if (bits % 2 == 1 || bits < 32) check_gradients<Cell>(bits, bits % 3 != 0);
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
  for (const int bits : {0, 3, 15, 22}) {
    const Problem p = make<Cell>(29, 23, 31, 61, bits);
    const Array w = draw(p.n * p.t * p.h, 24, 1.0), state = draw(p.n * p.h, 25, 1.0);
    ThreadPool::global().resize(1);
    const Run<T, Cell> one(p, w, state, state, true);
    for (const int threads : {2, 3, 5}) {
      ThreadPool::global().resize(threads);
      const Run<T, Cell> many(p, w, state, state, true);
      CHECK(one.out == many.out);
      // NaN does not occur in gradients, not even where the input is padding.
      CHECK(one.dx == many.dx);
      CHECK(one.dk == many.dk);
      CHECK(one.dr == many.dr);
      CHECK(one.db == many.db);
      CHECK(one.dh0 == many.dh0);
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
    const Array w(std::size_t(n * t * 3)), state(std::size_t(n * 3));
    const Run<double, Lstm> run(p, w, state, state, true);
    CHECK(run.h == p.h0);
    CHECK(run.c == p.c0);
  }
}

}  // namespace
