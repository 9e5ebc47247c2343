// SPDX-License-Identifier: Apache-2.0
// numeric.hpp: small tensors, and gradients of the tape against central differences.
#pragma once

#include <algorithm>
#include <cmath>
#include <cstdint>
#include <functional>
#include <initializer_list>
#include <limits>
#include <string>
#include <vector>

#include "check.hpp"
#include "elman/autograd/tape.hpp"
#include "elman/core/random.hpp"

namespace numeric {

using elman::DType;
using elman::Index;
using elman::Shape;
using elman::Tensor;
using Inputs = std::vector<Tensor>;

inline Tensor array(const Shape& shape, std::initializer_list<double> values) {
  return Tensor::from_values(shape, values.begin());
}
inline Tensor vec(std::initializer_list<double> values) {
  return array({static_cast<Index>(values.size())}, values);
}

inline Tensor ids(const Shape& shape, std::initializer_list<std::int64_t> values) {
  return Tensor::from_values(shape, values.begin());
}

inline constexpr double kNan = std::numeric_limits<double>::quiet_NaN();
inline constexpr double kInf = std::numeric_limits<double>::infinity();

/// Runs f while the tape records.
template <class F>
Tensor recorded(elman::Tape& tape, const F& f) {
  const elman::Tape::Scope scope(tape);
  return f();
}

/// Uniform float64 in [low, high).
inline Tensor draw(const Shape& shape, std::uint64_t seed, double low = -1, double high = 1) {
  Tensor out(shape, DType::float64);
  elman::fill_uniform({seed, 0}, low, high, out.mutable_data<double>(), out.size());
  return out;
}

/// One element of a float64 tensor.
inline double at(const Tensor& t, Index i) { return t.data<double>()[i]; }

/// Shape and elements are as wanted; a NaN matches a NaN.
inline void expect(const std::string& name, const Tensor& got, const Shape& shape,
                   const std::vector<double>& want, double tolerance = 1e-13) {
  const bool same =
      got.defined() && got.shape() == shape && static_cast<std::size_t>(got.size()) == want.size();
  check::report(same, __FILE__, __LINE__,
                name + ": expected " + shape.text() + ", got " +
                    (got.defined() ? got.shape().text() : "nothing"));
  for (std::size_t i = 0; same && i < want.size(); ++i) {
    const double value = at(got, static_cast<Index>(i));
    const bool close = value == want[i] || std::abs(value - want[i]) <= tolerance ||
                       (std::isnan(value) && std::isnan(want[i]));
    check::report(close, __FILE__, __LINE__,
                  name + "[" + std::to_string(i) + "]: " + check::show(value) + ", expected " +
                      check::show(want[i]));
  }
}

using Function = std::function<Tensor(const std::vector<Tensor>&)>;

/// d sum(w f(inputs)) / d inputs with random weights w, from the tape and from central differences
/// in float64. The step 1e-5 leaves an error of about 1e-10 where f is smooth.
inline void gradients(const std::string& name, const Function& f, const std::vector<Tensor>& inputs,
                      double tolerance = 1e-8) {
  elman::Tape tape;
  Tensor y;
  {
    const elman::Tape::Scope scope(tape);
    for (const Tensor& x : inputs) tape.watch(x);
    y = f(inputs);
  }
  const Tensor w = draw(y.shape(), 77, 0.5, 1.5);
  const std::vector<Tensor> found = tape.gradient({y}, inputs, {w});
  const auto loss = [&](const std::vector<Tensor>& points) {
    const Tensor value = f(points);
    double total = 0;
    for (Index i = 0; i < value.size(); ++i) total += at(w, i) * at(value, i);
    return total;
  };
  constexpr double kStep = 1e-5;
  for (std::size_t k = 0; k < inputs.size(); ++k) {
    const bool shaped = found[k].defined() && found[k].shape() == inputs[k].shape();
    check::report(shaped, __FILE__, __LINE__, name + ": no gradient of the input's shape");
    for (Index i = 0; shaped && i < inputs[k].size(); ++i) {
      double ends[2];
      for (int side = 0; side < 2; ++side) {
        std::vector<Tensor> moved = inputs;
        moved[k] = inputs[k].copy();
        moved[k].mutable_data<double>()[i] += side == 0 ? -kStep : kStep;
        ends[side] = loss(moved);
      }
      const double want = (ends[1] - ends[0]) / (2 * kStep);
      const double error = std::abs(at(found[k], i) - want);
      check::report(error <= tolerance * std::max(1.0, std::abs(want)), __FILE__, __LINE__,
                    name + ": input " + std::to_string(k) + ", element " + std::to_string(i) +
                        ": " + check::show(at(found[k], i)) + ", central difference " +
                        check::show(want));
    }
  }
}

}  // namespace numeric
