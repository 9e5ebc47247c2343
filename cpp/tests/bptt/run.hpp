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
// 64 no bias, 128 resets, 256 resets to zeros, 512 lengths.
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
  if ((bits & (128 | 256)) != 0) {
    for (const double v : draw(n * t, 20, 1.0)) p.reset.push_back(v < -0.3);
  }
  p.resets_to_zeros = (bits & 256) != 0;
  if ((bits & 512) != 0) {
    for (const double v : draw(n, 26, 1.0)) p.lengths.push_back(Index((v + 1) / 2 * double(t + 1)));
    p.lengths[0] = t;
    p.lengths[std::size_t(n - 1)] = 0;
  }
  return p;
}

/// Weights of the outputs in a scalar loss: the output, last states, states of every step.
struct Loss {
  Array out, h, c, h_all, c_all;

  Loss(const Problem& p, bool sequences, std::uint64_t seed)
      : out(draw(p.n * (sequences ? p.t : 1) * p.h, seed, 1.0)),
        h(draw(p.n * p.h, seed + 1, 1.0)),
        c(draw(p.n * p.h, seed + 2, 1.0)),
        h_all(draw(p.n * p.t * p.h, seed + 3, 1.0)),
        c_all(draw(p.n * p.t * p.h, seed + 4, 1.0)) {}
};

/// What a caller knows of x besides its values.
struct Known {
  std::vector<std::int64_t> row_ids;
  bool x_by_id = false;  // the gradient of x is only summed by them
};

/// The library's run of a problem, with the gradients of sum(w . outputs).
template <class T, class Cell>
struct Run {
  using Values = std::vector<T>;
  Values out, h, c, h_all, c_all, dx, dk, dr, db, dh0, dc0;

  static Values cast(const Array& a) { return Values(a.begin(), a.end()); }

  Run(const Problem& p, const Loss& loss, bool sequences, const AnyActivations& fn = {},
      const Known& known = {}) {
    Values x = cast(p.x);
    const Values k = cast(p.kernel), r = cast(p.recurrent), b = cast(p.bias), h0 = cast(p.h0),
                 c0 = cast(p.c0), mi = cast(p.input_dropout), mr = cast(p.recurrent_dropout);
    for (Index i = 0; i < p.n * p.t; ++i) {  // padding holds NaN
      const bool masked = !p.mask.empty() && p.mask[std::size_t(i)] == 0;
      if (!masked && (p.lengths.empty() || i % p.t < p.lengths[std::size_t(i / p.t)])) continue;
      for (Index j = 0; j < p.f; ++j) x[std::size_t(i * p.f + j)] = T(NAN);
    }
    bptt::Inputs<T> in;
    in.dims = {p.n, p.t, p.f, p.h};
    in.x = {x.data(), p.t * p.f, p.f};
    in.h0 = h0.empty() ? nullptr : h0.data();
    in.c0 = c0.empty() ? nullptr : c0.data();
    in.mask = p.mask.empty() ? nullptr : p.mask.data();
    in.reset = p.reset.empty() ? nullptr : p.reset.data();
    in.lengths = p.lengths.empty() ? nullptr : p.lengths.data();
    in.resets_to_zeros = p.resets_to_zeros;
    const auto factors = [&](const Values& m, Index width) {
      return bptt::Factors<T>{m.data(), int(Index(m.size()) / std::max<Index>(1, p.n * width)), p.n,
                              width};
    };
    in.input_dropout = factors(mi, p.f);
    in.recurrent_dropout = factors(mr, p.h);
    if (!known.row_ids.empty()) in.row_ids = known.row_ids.data();
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
    h_all.assign(std::size_t(p.n * p.t * p.h), T(NAN));
    c_all = h_all;
    h.assign(std::size_t(p.n * p.h), T(0));
    c = h;
    AlignedBuffer<T> slots(bptt::slots_size<T, Cell>(in));
    AlignedBuffer<T> cells(p.n * p.t * simd::padded<T>(p.h));
    Values states(std::size_t(p.n * p.t * p.h));
    bptt::Outputs<T> outputs;
    outputs.out = {out.data(), row, step};
    outputs.h_last = h.data();
    outputs.c_last = c.data();
    outputs.h_all = {h_all.data(), p.t * p.h, p.h};
    if (Cell::kStates == 2) outputs.c_all = {c_all.data(), p.t * p.h, p.h};
    bptt::forward<T, Cell>(in, fw, fn, outputs);
    const Values inference = out;
    outputs.saved = {
        slots.data(), Cell::kStates == 2 ? cells.data() : nullptr, {states.data(), p.t * p.h, p.h}};
    if (sequences) outputs.saved.h = outputs.out;
    bptt::forward<T, Cell>(in, fw, fn, outputs);
    CHECK(inference == out);

    const Values wo = cast(loss.out), wh = cast(loss.h), wc = cast(loss.c), wha = cast(loss.h_all),
                 wca = cast(loss.c_all);
    bptt::OutputGradients<T> arriving;
    arriving.out = {wo.data(), row, step};
    arriving.h_last = wh.data();
    arriving.c_last = wc.data();
    arriving.h_all = {wha.data(), p.t * p.h, p.h};
    arriving.c_all = {wca.data(), p.t * p.h, p.h};
    dx.assign(x.size(), T(0));
    dk.assign(k.size(), T(0));
    dr.assign(r.size(), T(0));
    db.assign(b.size(), T(0));
    dh0.assign(h.size(), T(0));
    dc0 = dh0;
    bptt::InputGradients<T> leaving{dx.data(), dh0.data(), dc0.data(),
                                    dk.data(), dr.data(),  b.empty() ? nullptr : db.data(),
                                    rows};
    leaving.x_by_id = known.x_by_id;
    bptt::backward<T, Cell>(in, bw, fn, outputs.saved, arriving, leaving);
  }
};

/// Every output and gradient, bit by bit. NaN does not occur in gradients, not even where the input
/// is padding.
template <class T, class Cell>
void check_equal(const Run<T, Cell>& a, const Run<T, Cell>& b) {
  CHECK(a.out == b.out);
  CHECK(a.h_all == b.h_all);
  CHECK(a.dx == b.dx);
  CHECK(a.dk == b.dk);
  CHECK(a.dr == b.dr);
  CHECK(a.db == b.db);
  CHECK(a.dh0 == b.dh0);
  CHECK(a.dc0 == b.dc0);
}

}  // namespace
