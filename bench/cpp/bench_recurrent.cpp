// SPDX-License-Identifier: Apache-2.0
// bench_recurrent.cpp: time of the recurrent layers, without Python.
//
// Inference and training step (forward, backward to all weights) of every cell, and the matrix
// product that bounds them. Prints a table; --json FILE writes the figures.
#include <cstdio>
#include <cstdlib>
#include <cstring>
#include <fstream>
#include <memory>
#include <string>
#include <vector>

#include <elman/elman.hpp>

#include "bench.hpp"

namespace {

using elman::DType;
using elman::Index;
using elman::Tensor;
using elman::Variable;

struct Options {
  int threads = 1;
  double seconds = 2;  // for one workload
  std::string cell, json;
  Index largest = 1024;  // units
};

Tensor normal(const elman::Shape& shape, std::uint64_t counter, double deviation) {
  Tensor out(shape, DType::float32);
  elman::fill_normal(elman::RandomKey{1, counter}, 0.0F, static_cast<float>(deviation),
                     out.mutable_data<float>(), out.size());
  return out;
}

/// One layer with its weights and an input.
class Layer {
 public:
  Layer(const std::string& kind, const elman::bptt::Dims& d)
      : cell_(elman::make_fused_cell(kind, d.units)) {
    const Index columns = cell_->gates() * d.units;
    const double scale = 1 / std::sqrt(double(d.features + d.units));
    weights_.emplace_back(normal({d.features, columns}, 0, scale));
    weights_.emplace_back(normal({d.units, columns}, 1, scale));
    weights_.emplace_back(normal({columns}, 2, 0.1));
    x_ = normal({d.batch, d.time, d.features}, 3, 1);
    d_output_ = normal({d.batch, d.time, d.units}, 4, 1);
    flops_ = 2.0 * double(d.batch * d.time * columns) * double(d.features + d.units);
  }

  [[nodiscard]] double flops() const { return flops_; }
  [[nodiscard]] Tensor infer() const {
    elman::RecurrentInputs in;
    in.x = x_;
    in.kernel = weights_[0];
    in.recurrent_kernel = weights_[1];
    in.bias = weights_[2];
    in.return_sequences = true;
    return cell_->forward(in)[0];
  }
  void train() {
    elman::Tape tape;
    Tensor y;
    {
      const elman::Tape::Scope recording(tape);
      y = infer();
    }
    const std::vector<Tensor> sources(weights_.begin(), weights_.end());
    const std::vector<Tensor> gradients = tape.gradient({y}, sources, {d_output_});
    for (std::size_t i = 0; i < weights_.size(); ++i) {
      elman::optimizers::sgd(weights_[i], gradients[i], nullptr, 1e-9, 0, false);
    }
  }

 private:
  std::unique_ptr<elman::FusedCell> cell_;
  std::vector<Variable> weights_;
  Tensor x_, d_output_;
  double flops_ = 0;
};

double product_rate(double seconds) {
  constexpr Index kSize = 1024;
  const Tensor a = normal({kSize, kSize}, 5, 1);
  Tensor c({kSize, kSize}, DType::float32);
  std::vector<bench::Candidate> one{
      {"product", [&] {
         elman::product<float>(false, false, kSize, kSize, kSize, a.data<float>(), kSize,
                               a.data<float>(), kSize, c.mutable_data<float>(), kSize, false);
       }}};
  bench::interleave(one, seconds);
  return 2.0 * double(kSize) * double(kSize) * double(kSize) / one[0].median();
}

void run_workload(const Options& options, const elman::bptt::Dims& d, double peak,
                  std::ofstream& json) {
  std::vector<std::unique_ptr<Layer>> layers;
  std::vector<bench::Candidate> candidates;
  for (const char* kind : {"simple_rnn", "gru", "gru_reset_after", "lstm"}) {
    if (!options.cell.empty() && options.cell != kind) continue;
    layers.push_back(std::make_unique<Layer>(kind, d));
    Layer* layer = layers.back().get();
    candidates.push_back({std::string(kind) + " inference",
                          [layer] { static_cast<void>(layer->infer()); }, layer->flops()});
    candidates.push_back(
        {std::string(kind) + " training", [layer] { layer->train(); }, 3 * layer->flops()});
  }
  bench::interleave(candidates, options.seconds);
  for (const bench::Candidate& one : candidates) {
    const double rate = one.flops / one.median();
    std::printf("%4td %4td %5td %5td  %-26s %12.1f us  +-%2.0f %%  %7.1f GFLOP/s  %3.0f %%\n",
                d.batch, d.time, d.features, d.units, one.name.c_str(), one.median() * 1e6,
                one.spread() * 100, rate / 1e9, 100 * rate / peak);
    std::fflush(stdout);
    if (json) {
      json << "{\"name\": \"" << one.name << "\", \"workload\": [" << d.batch << ", " << d.time
           << ", " << d.features << ", " << d.units << "], \"threads\": " << options.threads
           << ", \"seconds\": " << one.median() << ", \"spread\": " << one.spread()
           << ", \"gflops\": " << rate / 1e9 << ", \"product_gflops\": " << peak / 1e9 << "}\n";
    }
  }
}

Options parse(int argc, char** argv) {
  Options options;
  for (int i = 1; i < argc; i += 2) {
    const std::string name = argv[i];
    const char* value = i + 1 < argc ? argv[i + 1] : nullptr;
    if (value != nullptr && name == "--threads") {
      options.threads = std::atoi(value);
    } else if (value != nullptr && name == "--seconds") {
      options.seconds = std::atof(value);
    } else if (value != nullptr && name == "--cell") {
      options.cell = value;
    } else if (value != nullptr && name == "--largest") {
      options.largest = std::atoi(value);
    } else if (value != nullptr && name == "--json") {
      options.json = value;
    } else {
      std::printf(
          "usage: %s [--threads 1] [--seconds 2] [--cell lstm] [--largest UNITS] "
          "[--json FILE]\n--seconds is the time for one workload\n",
          argv[0]);
      std::exit(name == "--help" ? 0 : 2);
    }
  }
  return options;
}

}  // namespace

int main(int argc, char** argv) {
  const Options options = parse(argc, argv);
  elman::ThreadPool::global().resize(options.threads);
  std::ofstream json;
  if (!options.json.empty()) json.open(options.json);
  const double peak = product_rate(options.seconds);
  std::printf("elman %s, %d float32 lanes, threads: %d, product of 1024 x 1024: %.1f GFLOP/s\n",
              elman::kVersion, int(elman::simd::kWidth<float>), options.threads, peak / 1e9);
  std::printf("   N    T     F     H  \n");
  constexpr elman::bptt::Dims kWorkloads[] = {
      {1, 1, 32, 32},     {1, 1, 128, 128},    {1, 1, 512, 512},
      {1, 100, 128, 128}, {1, 100, 512, 512},  {32, 100, 64, 128},
      {64, 50, 256, 256}, {64, 100, 512, 512}, {128, 50, 1024, 1024},
  };
  for (const elman::bptt::Dims& d : kWorkloads) {
    if (d.units <= options.largest) run_workload(options, d, peak, json);
  }
  return 0;
}
