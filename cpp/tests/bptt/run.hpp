// SPDX-License-Identifier: Apache-2.0
// run.hpp: random problems of a recurrent layer, and the library's run of one.
#pragma once

#include "elman/bptt/recurrent.hpp"

#include <algorithm>
#include <cmath>
#include <limits>
#include <string>
#include <type_traits>
#include <vector>

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

/// Every output and gradient, bit by bit. NaN does not occur in gradients, not even where the input
/// is padding.
template <class T, class Cell>
void check_equal(const Run<T, Cell>& a, const Run<T, Cell>& b) {
  CHECK(a.out == b.out);
  CHECK(a.dx == b.dx);
  CHECK(a.dk == b.dk);
  CHECK(a.dr == b.dr);
  CHECK(a.db == b.db);
  CHECK(a.dh0 == b.dh0);
  CHECK(a.dc0 == b.dc0);
}

}  // namespace
