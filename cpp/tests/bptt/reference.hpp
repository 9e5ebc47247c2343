// SPDX-License-Identifier: Apache-2.0
// reference.hpp: the cells' equations as scalar double loops, independent of the library's layout.
#pragma once

#include <cmath>
#include <string>
#include <vector>

#include "elman/core/random.hpp"
#include "elman/core/shape.hpp"

namespace reference {

using elman::Index;
using Array = std::vector<double>;

/// One layer call. Empty arrays are absent. Shapes as in elman/bptt/problem.hpp.
struct Problem {
  std::string kind;
  Index n = 0, t = 0, f = 0, h = 0;
  Array x, kernel, recurrent, bias, h0, c0;
  std::vector<std::uint8_t> mask, reset;
  std::vector<std::int64_t> lengths;
  bool resets_to_zeros = false;
  Array input_dropout, recurrent_dropout;  // [gates or 1, N, F], [gates or 1, N, H]
  bool go_backwards = false, zero_output = false;

  Index gates() const { return kind == "lstm" ? 4 : kind == "simple_rnn" ? 1 : 3; }
};

struct Result {
  Array out, h, c;     // [N,T,H], [N,H], [N,H]
  Array h_all, c_all;  // [N,T,H]
};

inline double sigmoid(double x) { return 1 / (1 + std::exp(-x)); }

namespace detail {

struct Step {
  const Problem& p;
  Index n, time;
  const Array& h;

  double factor(const Array& m, Index gate, Index width, Index k) const {
    if (m.empty()) return 1;
    const bool shared = Index(m.size()) == p.n * width;
    return m[std::size_t(((shared ? 0 : gate) * p.n + n) * width + k)];
  }
  double input(Index gate, Index j) const {
    double sum = 0;
    for (Index k = 0; k < p.f; ++k) {
      sum += p.x[std::size_t((n * p.t + time) * p.f + k)] * factor(p.input_dropout, gate, p.f, k) *
             p.kernel[std::size_t((k * p.gates() + gate) * p.h + j)];
    }
    return sum + bias(0, gate, j);
  }
  double bias(Index row, Index gate, Index j) const {
    const std::size_t i = std::size_t((row * p.gates() + gate) * p.h + j);
    return i < p.bias.size() ? p.bias[i] : 0.0;
  }
  double recurrent(Index gate, Index j, const Array& reset = {}) const {
    double sum = 0;
    for (Index k = 0; k < p.h; ++k) {
      const double r = reset.empty() ? 1 : reset[std::size_t(k)];
      sum += r * h[std::size_t(k)] * factor(p.recurrent_dropout, gate, p.h, k) *
             p.recurrent[std::size_t((k * p.gates() + gate) * p.h + j)];
    }
    return sum + (p.kind == "gru_reset_after" ? bias(1, gate, j) : 0.0);
  }
};

inline void step(const Step& s, Array& h, Array& c) {
  const Problem& p = s.p;
  const std::size_t units = std::size_t(p.h);
  Array next(units), reset(units);
  for (std::size_t j = 0; j < units && p.kind == "gru"; ++j) {
    reset[j] = sigmoid(s.input(1, Index(j)) + s.recurrent(1, Index(j)));
  }
  for (std::size_t j = 0; j < units; ++j) {
    const Index u = Index(j);
    if (p.kind == "simple_rnn") {
      next[j] = std::tanh(s.input(0, u) + s.recurrent(0, u));
    } else if (p.kind == "lstm") {
      const double i = sigmoid(s.input(0, u) + s.recurrent(0, u));
      const double f = sigmoid(s.input(1, u) + s.recurrent(1, u));
      const double g = std::tanh(s.input(2, u) + s.recurrent(2, u));
      const double o = sigmoid(s.input(3, u) + s.recurrent(3, u));
      c[j] = f * c[j] + i * g;
      next[j] = o * std::tanh(c[j]);
    } else {
      const double z = sigmoid(s.input(0, u) + s.recurrent(0, u));
      double inner = 0;
      if (p.kind == "gru") {
        inner = s.recurrent(2, u, reset);
      } else {
        inner = sigmoid(s.input(1, u) + s.recurrent(1, u)) * s.recurrent(2, u);
      }
      next[j] = z * h[j] + (1 - z) * std::tanh(s.input(2, u) + inner);
    }
  }
  h = next;
}

}  // namespace detail

inline Result forward(const Problem& p) {
  const Array whole(std::size_t(p.n * p.t * p.h)), one(std::size_t(p.n * p.h));
  Result out{whole, one, one, whole, whole};
  for (Index n = 0; n < p.n; ++n) {
    Array h(std::size_t(p.h)), c(h), last(h);
    const Array zeros = h;
    const auto start = [&](const Array& from, Array& to) {
      if (!from.empty()) to.assign(from.begin() + n * p.h, from.begin() + (n + 1) * p.h);
    };
    start(p.h0, h);
    start(p.c0, c);
    for (Index s = 0; s < p.t; ++s) {
      const Index time = p.go_backwards ? p.t - 1 - s : s;
      const bool used = (p.mask.empty() || p.mask[std::size_t(n * p.t + time)] != 0) &&
                        (p.lengths.empty() || time < p.lengths[std::size_t(n)]);
      if (!p.reset.empty() && p.reset[std::size_t(n * p.t + time)] != 0) {
        last = h = c = zeros;
        if (!p.resets_to_zeros) {
          start(p.h0, h);
          start(p.c0, c);
        }
      }
      if (used) {
        detail::step({p, n, time, h}, h, c);
        last = h;
      }
      for (Index j = 0; j < p.h; ++j) {
        out.out[std::size_t((n * p.t + s) * p.h + j)] =
            used || !p.zero_output ? last[std::size_t(j)] : 0.0;
        out.h_all[std::size_t((n * p.t + s) * p.h + j)] = h[std::size_t(j)];
        out.c_all[std::size_t((n * p.t + s) * p.h + j)] = c[std::size_t(j)];
      }
    }
    for (Index j = 0; j < p.h; ++j) {
      out.h[std::size_t(n * p.h + j)] = h[std::size_t(j)];
      out.c[std::size_t(n * p.h + j)] = c[std::size_t(j)];
    }
  }
  return out;
}

}  // namespace reference
