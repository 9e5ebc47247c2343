// SPDX-License-Identifier: Apache-2.0
// bench_kernels.cpp: the matrix product, the packing of weights and the activations.
#include "bench.hpp"

namespace bench {

namespace {

void add_product(Index m, Index n, Index k, int threads) {
  const std::string name = "product/" + std::to_string(m) + "x" + std::to_string(n) + "x" +
                           std::to_string(k) + "/threads:" + std::to_string(threads);
  settle(benchmark::RegisterBenchmark(name.c_str(), [=](benchmark::State& state) {
    const Buffer a = normal(m * k, 0, 1), b = normal(k * n, 1, 1);
    Buffer c(m * n);
    repeat(state, threads, [&] {
      elman::product<float>(false, false, m, n, k, a.data(), k, b.data(), n, c.data(), n, false);
    });
    rate(state, "GFLOP/s", 2e-9 * double(m) * double(n) * double(k));
  }));
}

void add_packing(Index rows, Index units, bool transposed) {
  constexpr int kGates = 4;
  const std::string name = std::string(transposed ? "pack_transposed/" : "pack_gates/") +
                           std::to_string(rows) + "x" + std::to_string(kGates * units);
  settle(benchmark::RegisterBenchmark(name.c_str(), [=](benchmark::State& state) {
    const Index columns = kGates * units;
    const Buffer weights = normal(rows * columns, 2, 1);
    Buffer packed(std::max(elman::kernels::packed_size<float>(rows, units, kGates),
                           elman::kernels::packed_size<float>(columns, rows, 1)));
    const Index first[kGates] = {0, units, 2 * units, 3 * units};
    repeat(state, 1, [&] {
      if (transposed) {
        elman::kernels::pack_transposed(weights.data(), columns, columns, rows, packed.data(),
                                        columns);
      } else {
        elman::kernels::pack_gates(weights.data(), columns, rows, units, {first, kGates},
                                   packed.data());
      }
    });
    rate(state, "GB/s", 1e-9 * double(sizeof(float)) * double(rows * columns));
  }));
}

// 4096 floats stay in the first cache, so that the arithmetic is what is timed.
void add_activation(const char* kind) {
  constexpr Index kCount = 4096;
  const elman::Activation activation = elman::parse_activation(kind);
  const std::string tail = std::string(kind) + "/" + std::to_string(kCount);
  settle(benchmark::RegisterBenchmark(("activate/" + tail).c_str(), [=](benchmark::State& state) {
    const Buffer x = normal(kCount, 3, 2);
    Buffer y(kCount);
    repeat(state, 1, [&] { elman::activate<float>(activation, x.data(), y.data(), kCount); });
    rate(state, "Gvalues/s", 1e-9 * double(kCount));
  }));
  const std::string name = "activate_backward/" + tail;
  settle(benchmark::RegisterBenchmark(name.c_str(), [=](benchmark::State& state) {
    const Buffer x = normal(kCount, 3, 2), dy = normal(kCount, 4, 1);
    Buffer y(kCount), dx(kCount);
    elman::activate<float>(activation, x.data(), y.data(), kCount);
    repeat(state, 1, [&] {
      elman::activate_backward<float>(activation, x.data(), y.data(), dy.data(), dx.data(), kCount);
    });
    rate(state, "Gvalues/s", 1e-9 * double(kCount));
  }));
}

}  // namespace

void register_kernels(int threads) {
  for (const Index size : {128, 512, 1024, 2048}) add_product(size, size, size, threads);
  add_product(64, 2048, 512, threads);   // one step of a batch: recurrent product of LSTM(512)
  add_product(3200, 512, 128, threads);  // all inputs of a layer at once
  if (threads > 1) return;               // the others run on the calling thread
  for (const Index units : {128, 512, 1024}) {
    add_packing(units, units, false);
    add_packing(units, units, true);
  }
  for (const char* kind :
       {"tanh", "sigmoid", "hard_sigmoid", "relu", "elu", "softplus", "gelu", "silu", "mish"}) {
    add_activation(kind);
  }
}

}  // namespace bench
