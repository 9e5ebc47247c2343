// SPDX-License-Identifier: Apache-2.0
// bind_random.cpp: random tensors, each a pure function of (seed, counter).
#include "bindings.hpp"
#include "convert.hpp"
#include "elman/autograd/dispatch.hpp"
#include "elman/core/random.hpp"

namespace elman::bindings {
namespace {

/// A tensor that fill(T*, n) has filled.
template <class F>
Tensor filled(nb::handle shape, nb::handle dtype, const char* where, F&& fill) {
  Tensor out(as_shape(shape, where), as_dtype(dtype, DType::float32));
  visit_float(where, out.dtype(), [&](auto zero) {
    using T = decltype(zero);
    T* data = out.mutable_data<T>();
    unlocked(out.size() * 8, [&] {
      fill(data, out.size());
      return 0;
    });
  });
  return out;
}

}  // namespace

void bind_random(nb::module_& m) {
  m.def(
      "random_uniform",
      [](nb::handle shape, double low, double high, nb::handle dtype, std::uint64_t seed,
         std::uint64_t counter) {
        return filled(shape, dtype, "random_uniform", [&]<class T>(T* data, Index n) {
          fill_uniform<T>({seed, counter}, T(low), T(high), data, n);
        });
      },
      operand("shape"), nb::arg("low"), nb::arg("high"), operand("dtype"), nb::arg("seed"),
      nb::arg("counter"), "Uniform numbers in [low, high).");
  m.def(
      "random_normal",
      [](nb::handle shape, double mean, double stddev, nb::handle dtype, std::uint64_t seed,
         std::uint64_t counter) {
        return filled(shape, dtype, "random_normal", [&]<class T>(T* data, Index n) {
          fill_normal<T>({seed, counter}, T(mean), T(stddev), data, n);
        });
      },
      operand("shape"), nb::arg("mean"), nb::arg("stddev"), operand("dtype"), nb::arg("seed"),
      nb::arg("counter"), "Normal numbers.");
  m.def(
      "truncated_normal",
      [](nb::handle shape, double mean, double stddev, nb::handle dtype, std::uint64_t seed,
         std::uint64_t counter) {
        return filled(shape, dtype, "truncated_normal", [&]<class T>(T* data, Index n) {
          fill_truncated_normal<T>({seed, counter}, T(mean), T(stddev), data, n);
        });
      },
      operand("shape"), nb::arg("mean"), nb::arg("stddev"), operand("dtype"), nb::arg("seed"),
      nb::arg("counter"), "Normal numbers, redrawn until they are within two stddev of the mean.");
  m.def(
      "dropout_mask",
      [](nb::handle shape, double rate, nb::handle dtype, std::uint64_t seed,
         std::uint64_t counter) {
        return filled(shape, dtype, "dropout_mask", [&]<class T>(T* data, Index n) {
          fill_dropout_mask<T>({seed, counter}, rate, data, n);
        });
      },
      operand("shape"), nb::arg("rate"), operand("dtype"), nb::arg("seed"), nb::arg("counter"),
      "0 with probability rate, else 1 / (1 - rate).");
  m.def(
      "permutation",
      [](Index n, std::uint64_t seed, std::uint64_t counter) {
        if (n < 0) fail("permutation", "n: expected >= 0, got " + std::to_string(n));
        Tensor out({n}, DType::int64);
        std::int64_t* data = out.mutable_data<std::int64_t>();
        unlocked(n * 8, [&] {
          fill_permutation({seed, counter}, data, n);
          return 0;
        });
        return out;
      },
      nb::arg("n"), nb::arg("seed"), nb::arg("counter"), "A random order of 0 ... n-1, int64.");
}

}  // namespace elman::bindings
