// SPDX-License-Identifier: Apache-2.0
// bench_recurrent.cpp: the recurrent kernels on plain pointers: no tensors, no tape.
//
//   forward    inference over whole sequences, weights packed before
//   training   packing, forward with everything kept, backward to all weights
//   step       one step of one row, the state carried on
//   pack       both sides of the weights
#include "bench.hpp"

namespace bench {

namespace {

using elman::bptt::Dims;

constexpr Dims kWorkloads[] = {
    {1, 1, 32, 32},     {1, 1, 128, 128},    {1, 1, 512, 512},
    {1, 100, 128, 128}, {1, 100, 512, 512},  {32, 100, 64, 128},
    {64, 50, 256, 256}, {64, 100, 512, 512}, {128, 50, 1024, 1024},
};
constexpr Index kStepUnits[] = {32, 64, 128, 256, 512, 1024};

/// A layer with Keras weights, an input and the memory of a training step.
template <class Cell>
class Layer {
  static constexpr Index kG = Cell::kGates;

 public:
  explicit Layer(const Dims& d)
      : dims_(d),
        kernel_(normal(d.features * kG * d.units, 0, 1 / std::sqrt(double(d.features)))),
        recurrent_kernel_(normal(d.units * kG * d.units, 1, 0.5 / std::sqrt(double(d.units)))),
        bias_(normal(kG * d.units, 2, 0.1)),
        x_(normal(d.batch * d.time * d.features, 3, 1)),
        d_output_(normal(d.batch * d.time * d.units, 4, 1)),
        output_(d.batch * d.time * d.units) {
    pack_forward();
  }

  [[nodiscard]] double step_flops(double wide) const {
    return 2.0 * double(dims_.batch * dims_.time) * double(kG * dims_.units) * wide;
  }
  [[nodiscard]] double forward_flops() const {
    return step_flops(double(dims_.features + dims_.units));
  }
  // The gradient of x is not computed.
  [[nodiscard]] double training_flops() const {
    return step_flops(double(2 * dims_.features + 3 * dims_.units));
  }
  [[nodiscard]] double weight_bytes() const {
    return double(sizeof(float)) * double((dims_.features + dims_.units) * kG * dims_.units);
  }

  void pack_forward() { forward_weights_.pack(dims_.features, dims_.units, weights()); }
  void pack_backward(bool with_h = true) {
    backward_weights_.pack(dims_.features, dims_.units, weights(), false, with_h);
  }

  void forward() {
    elman::bptt::Outputs<float> out;
    out.out = sequence(output_.data());
    elman::bptt::forward<float, Cell>(inputs(), forward_weights_, {}, out);
  }

  /// The states of the step before are the input of this one.
  void step() {
    auto in = inputs();
    in.h0 = h_[now_].data();
    if (Cell::kStates == 2) in.c0 = c_[now_].data();
    now_ = 1 - now_;
    elman::bptt::Outputs<float> out;
    out.out = sequence(output_.data());
    out.h_last = h_[now_].data();
    if (Cell::kStates == 2) out.c_last = c_[now_].data();
    elman::bptt::forward<float, Cell>(in, forward_weights_, {}, out);
  }

  // Weights have changed since the last step. They are packed as far as a layer does it, see
  // autograd/fused_cell.hpp.
  void train() {
    const bool once = dims_.time == 1 && Cell::kPhases == 1;
    if (once && dims_.batch == 1) {
      forward_weights_.refer(dims_.features, dims_.units, weights());
    } else {
      pack_forward();
    }
    pack_backward(!once);
    elman::bptt::Outputs<float> out;
    out.out = sequence(output_.data());
    out.saved.slots = slots_.data();
    if (Cell::kStates == 2) out.saved.c = cells_.data();
    out.saved.h = out.out;
    elman::bptt::forward<float, Cell>(inputs(), forward_weights_, {}, out);
    elman::bptt::OutputGradients<float> arriving;
    arriving.out = {d_output_.data(), dims_.time * dims_.units, dims_.units};
    elman::bptt::InputGradients<float> leaving;
    leaving.kernel = d_kernel_.data();
    leaving.recurrent_kernel = d_recurrent_kernel_.data();
    leaving.bias = d_bias_.data();
    leaving.overwrite = true;
    std::fill_n(d_bias_.data(), kG * dims_.units, 0.0F);
    elman::bptt::backward<float, Cell>(inputs(), backward_weights_, {}, out.saved, arriving,
                                       leaving);
  }

  void make_states() {
    for (int i = 0; i < 2; ++i) {
      h_[i] = normal(dims_.units, 5, 0);
      c_[i] = normal(dims_.units, 5, 0);
    }
  }
  void make_training_memory() {
    const Dims& d = dims_;
    slots_ = Buffer(elman::bptt::slots_size<float, Cell>(inputs()));
    cells_ = Buffer(d.batch * d.time * elman::simd::padded<float>(d.units));
    d_kernel_ = Buffer(d.features * kG * d.units);
    d_recurrent_kernel_ = Buffer(d.units * kG * d.units);
    d_bias_ = Buffer(kG * d.units);
  }

 private:
  [[nodiscard]] elman::bptt::Inputs<float> inputs() const {
    elman::bptt::Inputs<float> in;
    in.dims = dims_;
    in.x = {x_.data(), dims_.time * dims_.features, dims_.features};
    return in;
  }
  [[nodiscard]] elman::bptt::KerasWeights<float> weights() const {
    return {kernel_.data(), recurrent_kernel_.data(), bias_.data(), 1};
  }
  [[nodiscard]] elman::bptt::Sequence<float> sequence(float* data) const {
    return {data, dims_.time * dims_.units, dims_.units};
  }

  Dims dims_;
  Buffer kernel_, recurrent_kernel_, bias_, x_, d_output_, output_;
  Buffer h_[2], c_[2];
  Buffer slots_, cells_, d_kernel_, d_recurrent_kernel_, d_bias_;
  int now_ = 0;
  elman::bptt::ForwardWeights<float, Cell> forward_weights_;
  elman::bptt::BackwardWeights<float, Cell> backward_weights_;
};

std::string title(const char* what, const char* cell, const Dims& d, int threads) {
  return std::string(what) + "/" + cell + "/N:" + std::to_string(d.batch) +
         "/T:" + std::to_string(d.time) + "/F:" + std::to_string(d.features) +
         "/H:" + std::to_string(d.units) + "/threads:" + std::to_string(threads);
}

template <class Cell, class Body>
void add(const char* what, const Dims& d, int threads, Body body) {
  const std::string name = title(what, Cell::kName, d, threads);
  settle(benchmark::RegisterBenchmark(name.c_str(), [=](benchmark::State& state) {
    Layer<Cell> layer(d);
    body(state, layer, threads);
  }));
}

template <class Cell>
void register_cell(int threads) {
  for (const Dims& d : kWorkloads) {
    add<Cell>("forward", d, threads, [](auto& state, auto& layer, int count) {
      repeat(state, count, [&] { layer.forward(); });
      rate(state, "GFLOP/s", 1e-9 * layer.forward_flops());
    });
    add<Cell>("training", d, threads, [](auto& state, auto& layer, int count) {
      layer.make_training_memory();
      repeat(state, count, [&] { layer.train(); });
      rate(state, "GFLOP/s", 1e-9 * layer.training_flops());
    });
  }
  for (const Index units : kStepUnits) {
    const Dims d{1, 1, units, units};
    add<Cell>("step", d, threads, [](auto& state, auto& layer, int count) {
      layer.make_states();
      repeat(state, count, [&] { layer.step(); });
      rate(state, "GFLOP/s", 1e-9 * layer.forward_flops());
    });
    if (threads > 1) continue;  // packing has one thread
    add<Cell>("pack", d, threads, [](auto& state, auto& layer, int count) {
      repeat(state, count, [&] {
        layer.pack_forward();
        layer.pack_backward();
      });
      rate(state, "GB/s", 1e-9 * layer.weight_bytes());
    });
  }
}

}  // namespace

void register_recurrent(int threads) {
  register_cell<elman::SimpleRnn>(threads);
  register_cell<elman::GruResetAfter>(threads);
  register_cell<elman::Gru>(threads);
  register_cell<elman::Lstm>(threads);
}

}  // namespace bench
