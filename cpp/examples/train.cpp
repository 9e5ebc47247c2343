// SPDX-License-Identifier: Apache-2.0
// train.cpp: trains an LSTM from C++, without Python.
//
// The adding problem: of a sequence of random numbers two are marked, and the answer is their sum.
// Always answering 1 has a mean squared error of 1/6; a network that gets below 0.01 has learned to
// carry numbers through time. The exit code is 1 if it has not.
//
// Source  Hochreiter and Schmidhuber, "Long short-term memory", 1997, experiment 4
#include <chrono>
#include <cmath>
#include <cstdint>
#include <cstdio>
#include <vector>

#include <elman/elman.hpp>

namespace {

using elman::Index;
using elman::Tensor;
using elman::Variable;

constexpr Index kBatch = 64, kTime = 24, kFeatures = 2, kUnits = 32, kSteps = 600;
constexpr double kPromise = 0.01;

struct Batch {
  Tensor x;  // [N, T, 2]: a number in [0, 1), and whether it is marked
  Tensor y;  // [N, 1]: the sum of the two marked numbers
};

/// Batch number `step`: the same on every machine.
Batch make_batch(Index step) {
  const auto draw = static_cast<std::uint64_t>(step);
  std::vector<float> numbers(kBatch * kTime), places(kBatch * 2);
  elman::fill_uniform(elman::RandomKey{1, draw}, 0.0F, 1.0F, numbers.data(), kBatch * kTime);
  elman::fill_uniform(elman::RandomKey{2, draw}, 0.0F, 1.0F, places.data(), kBatch * 2);
  Batch batch{Tensor::zeros({kBatch, kTime, kFeatures}, elman::DType::float32),
              Tensor::zeros({kBatch, 1}, elman::DType::float32)};
  auto* x = batch.x.mutable_data<float>();
  auto* y = batch.y.mutable_data<float>();
  for (Index n = 0; n < kBatch; ++n) {
    for (Index t = 0; t < kTime; ++t) x[(n * kTime + t) * kFeatures] = numbers[n * kTime + t];
    for (Index half = 0; half < 2; ++half) {  // one mark in each half
      const auto within = static_cast<Index>(places[2 * n + half] * (kTime / 2));
      const Index t = half * (kTime / 2) + within;
      x[(n * kTime + t) * kFeatures + 1] = 1;
      y[n] += numbers[n * kTime + t];
    }
  }
  return batch;
}

Variable normal(const elman::Shape& shape, std::uint64_t counter, const char* name) {
  Tensor start(shape, elman::DType::float32);
  const auto deviation = static_cast<float>(1 / std::sqrt(static_cast<double>(shape.dim(0))));
  elman::fill_normal(elman::RandomKey{3, counter}, 0.0F, deviation, start.mutable_data<float>(),
                     start.size());
  return Variable(start, name);
}

Variable zeros(const elman::Shape& shape, const char* name) {
  return Variable(Tensor::zeros(shape, elman::DType::float32), name);
}

/// LSTM -> Dense, and Adam's two moments for each of the five weights.
class Network {
 public:
  Network() {
    weights_.push_back(normal({kFeatures, 4 * kUnits}, 0, "kernel"));
    weights_.push_back(normal({kUnits, 4 * kUnits}, 1, "recurrent_kernel"));
    weights_.push_back(zeros({4 * kUnits}, "bias"));
    weights_.push_back(normal({kUnits, 1}, 2, "dense_kernel"));
    weights_.push_back(zeros({1}, "dense_bias"));
    auto* bias = weights_[2].update<float>();
    for (Index j = kUnits; j < 2 * kUnits; ++j) bias[j] = 1;  // the forget gate starts open
    for (const Variable& weight : weights_) {
      mean_.push_back(zeros(weight.shape(), "mean"));
      squares_.push_back(zeros(weight.shape(), "squares"));
    }
  }

  [[nodiscard]] Tensor operator()(const Tensor& x) {
    elman::RecurrentInputs in;
    in.x = x;
    in.kernel = weights_[0];
    in.recurrent_kernel = weights_[1];
    in.bias = weights_[2];
    const Tensor h = lstm_.forward(in)[0];
    return elman::ops::dense(h, weights_[3], weights_[4], elman::Activation::linear);
  }

  /// One step of Adam on a batch; returns the loss before it.
  double train(const Batch& batch, Index step) {
    elman::Tape tape;
    Tensor loss;
    {
      const elman::Tape::Scope recording(tape);
      const Tensor error = (*this)(batch.x) - batch.y;
      loss = elman::ops::mean(error * error);
    }
    const std::vector<Tensor> sources(weights_.begin(), weights_.end());
    const std::vector<Tensor> gradients = tape.gradient({loss}, sources);
    elman::optimizers::Adam adam;
    adam.lr = 0.01 * 0.5 * (1 + std::cos(3.14159265 * double(step) / double(kSteps)));
    adam.step = step + 1;
    for (std::size_t i = 0; i < weights_.size(); ++i) {
      elman::optimizers::adam(weights_[i], gradients[i], mean_[i], squares_[i], nullptr, adam);
    }
    return static_cast<double>(*loss.data<float>());
  }

 private:
  elman::FusedCellOf<elman::Lstm> lstm_{kUnits, elman::AnyActivations{}};  // tanh and sigmoid
  std::vector<Variable> weights_, mean_, squares_;
};

double error_on_new_data(Network& network) {
  const Batch batch = make_batch(kSteps + 1);
  const Tensor error = network(batch.x) - batch.y;
  return static_cast<double>(*elman::ops::mean(error * error).data<float>());
}

}  // namespace

int main() {
  Network network;
  const auto begin = std::chrono::steady_clock::now();
  for (Index step = 0; step < kSteps; ++step) {
    const double loss = network.train(make_batch(step), step);
    if (step % 50 == 0) std::printf("step %4td  mean squared error %.4f\n", step, loss);
  }
  const std::chrono::duration<double> seconds = std::chrono::steady_clock::now() - begin;
  const double error = error_on_new_data(network);
  std::printf("new data   mean squared error %.4f (promised: %.2f) after %.2f s, %d threads\n",
              error, kPromise, seconds.count(), elman::ThreadPool::global().size());
  return error <= kPromise ? 0 : 1;
}
