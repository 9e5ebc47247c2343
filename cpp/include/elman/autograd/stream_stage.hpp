// SPDX-License-Identifier: Apache-2.0
// elman/autograd/stream_stage.hpp: layers of one chain that runs step by step, types erased.
#pragma once

#include <algorithm>
#include <array>
#include <cstdint>
#include <memory>
#include <string>

#include "elman/autograd/fused_cell.hpp"
#include "elman/autograd/ops_layers.hpp"
#include "elman/autograd/softmax.hpp"
#include "elman/bptt/stream.hpp"

namespace elman {

/// One layer of the chain, for a batch of fixed size.
/// Shapes    step: x [N, inputs] -> out [N, outputs]; a state [N, outputs]; all contiguous
/// Aliasing  out is not x
class StreamStage {
 public:
  StreamStage(Index inputs, Index outputs) : inputs_(inputs), outputs_(outputs) {}
  virtual ~StreamStage() = default;
  StreamStage(const StreamStage&) = delete;
  StreamStage& operator=(const StreamStage&) = delete;

  virtual void step(const void* x, void* out) noexcept = 0;
  /// Takes over weights that have changed since the last step. Errors: std::bad_alloc
  virtual void refresh() {}
  virtual void reset() noexcept {}
  virtual void reset(Index) noexcept {}  // one row
  [[nodiscard]] virtual int states() const { return 0; }
  virtual void read_state(int /*index*/, void* /*to*/) const {}
  virtual void write_state(int /*index*/, const void* /*from*/) {}

  [[nodiscard]] Index inputs() const { return inputs_; }
  [[nodiscard]] Index outputs() const { return outputs_; }

 private:
  Index inputs_, outputs_;
};

/// The weights of a stage where they live: the tensors outlive it, and variables among them take
/// new values. Their values are not held, as that would make every assign copy them.
struct StreamWeights {
  const Tensor* kernel = nullptr;
  const Tensor* recurrent_kernel = nullptr;
  const Tensor* bias = nullptr;

  using Versions = std::array<std::uint64_t, 3>;
  [[nodiscard]] Versions versions() const {
    const auto of = [](const Tensor* t) { return t == nullptr ? 0 : t->version(); };
    return {of(kernel), of(recurrent_kernel), of(bias)};
  }
  template <class T>
  [[nodiscard]] static const T* data(const Tensor* t) {
    return t == nullptr ? nullptr : t->data<T>();
  }
};

namespace detail {

template <class T, class Cell>
class RecurrentStage final : public StreamStage {
 public:
  RecurrentStage(const StreamWeights& weights, const AnyActivations& activations, Index rows)
      : StreamStage(weights.kernel->dim(0), weights.recurrent_kernel->dim(0)),
        weights_(weights),
        packed_(std::make_shared<bptt::ForwardWeights<T, Cell>>()),
        stream_(pack(), activations, rows) {}

  void step(const void* x, void* out) noexcept override {
    stream_.step(static_cast<const T*>(x), static_cast<T*>(out));
  }
  void refresh() override {
    if (weights_.versions() != versions_) pack();
  }
  void reset() noexcept override { stream_.reset(); }
  void reset(Index row) noexcept override { stream_.reset(row); }
  [[nodiscard]] int states() const override { return Cell::kStates; }
  void read_state(int index, void* to) const override {
    for (Index r = 0; r < stream_.rows(); ++r) {
      const T* from = stream_.h(r);
      if constexpr (Cell::kStates == 2) from = index == 0 ? from : stream_.c(r);
      std::copy_n(from, outputs(), static_cast<T*>(to) + r * outputs());
    }
  }
  void write_state(int index, const void* from) override {
    if (index == 0) return stream_.set_h(static_cast<const T*>(from));
    if constexpr (Cell::kStates == 2) stream_.set_c(static_cast<const T*>(from));
  }

 private:
  std::shared_ptr<const bptt::ForwardWeights<T, Cell>> pack() {
    const Tensor* bias = weights_.bias;
    const int bias_rows = bias != nullptr && bias->ndim() == 2 ? 2 : 1;
    packed_->pack(inputs(), outputs(),
                  {weights_.kernel->data<T>(), weights_.recurrent_kernel->data<T>(),
                   StreamWeights::data<T>(bias), bias_rows});
    versions_ = weights_.versions();
    return packed_;
  }

  StreamWeights weights_;
  StreamWeights::Versions versions_{};
  std::shared_ptr<bptt::ForwardWeights<T, Cell>> packed_;
  bptt::Stream<T, Cell> stream_;
};

template <class T>
class DenseStage final : public StreamStage {
 public:
  DenseStage(const StreamWeights& weights, Activation activation, Index rows)
      : StreamStage(weights.kernel->dim(0), weights.kernel->dim(1)),
        weights_(weights),
        activation_(activation),
        rows_(rows) {
    pack();
  }

  // The sums and their order are those of dense_forward(), so the bits are as well. So few rows at
  // a time take no memory.
  void step(const void* x, void* out) noexcept override {
    const Index f = inputs(), h = outputs();
    T* y = static_cast<T*>(out);
    for (Index r = 0; r < rows_; r += kernels::kMostUnpackedRows) {
      kernels::multiply_packed(std::min(kernels::kMostUnpackedRows, rows_ - r), h, f,
                               static_cast<const T*>(x) + r * f, f, kernel_.data(), y + r * h, h,
                               false);
    }
    for (Index r = 0; r < rows_ && bias_.size() != 0; ++r) {
      for (Index j = 0; j < h; ++j) y[r * h + j] += bias_[j];
    }
    if (activation_ != Activation::linear) activate(activation_, y, y, rows_ * h);
  }
  void refresh() override {
    if (weights_.versions() != versions_) pack();
  }

 private:
  void pack() {
    const Index f = inputs(), h = outputs(), first = 0;
    kernel_.ensure(kernels::packed_size<T>(f, h, 1));
    kernels::pack_gates(weights_.kernel->data<T>(), h, f, h, {&first, 1}, kernel_.data());
    if (weights_.bias != nullptr) {
      bias_.ensure(h);
      std::copy_n(weights_.bias->data<T>(), h, bias_.data());
    }
    versions_ = weights_.versions();
  }

  StreamWeights weights_;
  StreamWeights::Versions versions_{};
  Activation activation_;
  Index rows_;
  AlignedBuffer<T> kernel_, bias_;
};

template <class T>
class ActivationStage final : public StreamStage {
 public:
  ActivationStage(Activation activation, Index width, Index rows)
      : StreamStage(width, width), activation_(activation), rows_(rows) {}

  void step(const void* x, void* out) noexcept override {
    activate(activation_, static_cast<const T*>(x), static_cast<T*>(out), rows_ * inputs());
  }

 private:
  Activation activation_;
  Index rows_;
};

template <class T>
class SoftmaxStage final : public StreamStage {
 public:
  SoftmaxStage(Softmax kind, Index width, Index rows)
      : StreamStage(width, width), kind_(kind), rows_(rows) {}

  void step(const void* x, void* out) noexcept override {
    for (Index r = 0, at = 0; r < rows_; ++r, at += inputs()) {
      softmax_row(kind_, static_cast<const T*>(x) + at, static_cast<T*>(out) + at, inputs());
    }
  }

 private:
  Softmax kind_;
  Index rows_;
};

}  // namespace detail

/// The stage of a cell, dtype float32 or float64. Not inline: its kernels are compiled where the
/// cell's are.
template <class Cell>
std::unique_ptr<StreamStage> recurrent_stage(DType dtype, const StreamWeights& weights,
                                             const AnyActivations& activations, Index rows) {
  if (dtype == DType::float32) {
    return std::make_unique<detail::RecurrentStage<float, Cell>>(weights, activations, rows);
  }
  return std::make_unique<detail::RecurrentStage<double, Cell>>(weights, activations, rows);
}

}  // namespace elman
