// SPDX-License-Identifier: Apache-2.0
// elman/autograd/gradient_sink.hpp: where the backward pass of a node leaves its gradients.
#pragma once

#include <cstddef>
#include <functional>
#include <string>
#include <utility>
#include <vector>

#include "elman/autograd/dispatch.hpp"
#include "elman/autograd/parallel.hpp"
#include "elman/autograd/tensor.hpp"

namespace elman {

namespace detail {

/// target += addend, both of one shape and type; target is exclusive.
inline void add_into(Tensor& target, const Tensor& addend) {
  visit_float("GradientTape.gradient", target.dtype(), [&](auto zero) {
    using T = decltype(zero);
    T* to = target.mutable_data<T>();
    const T* from = addend.data<T>();
    parallel(4.0 * static_cast<double>(target.size()), target.size(), [=](Index begin, Index end) {
      for (Index i = begin; i < end; ++i) to[i] += from[i];
    });
  });
}

/// What a tape knows of one tensor during a backward pass.
struct GradientSlot {
  Shape shape;
  DType dtype = DType::float32;
  bool relevant = false;  // lies on a path from a source
  bool source = false;
  Tensor gradient = {};  // undefined means zero
};

}  // namespace detail

/// Collects the gradients of the inputs of one node.
class GradientSink {
 public:
  GradientSink(const char* name, std::vector<detail::GradientSlot>& slots, const int* inputs,
               std::size_t count)
      : name_(name), slots_(slots), inputs_(inputs), count_(count) {}

  [[nodiscard]] std::size_t size() const noexcept { return count_; }
  [[nodiscard]] bool needed(std::size_t input) const noexcept {
    return inputs_[input] >= 0 && slot(input).relevant;
  }
  /// Whether somebody asked for the gradient of the input itself, beside the node that made it.
  [[nodiscard]] bool is_source(std::size_t input) const noexcept {
    return inputs_[input] >= 0 && slot(input).source;
  }
  [[nodiscard]] std::vector<bool> needed() const {
    std::vector<bool> out(count_);
    for (std::size_t i = 0; i < count_; ++i) out[i] = needed(i);
    return out;
  }
  [[nodiscard]] bool any_needed() const noexcept {
    for (std::size_t i = 0; i < count_; ++i) {
      if (needed(i)) return true;
    }
    return false;
  }

  /// gradient of input += addend. An undefined addend is zero.
  void add(std::size_t input, Tensor addend) {
    if (!addend.defined() || !needed(input)) return;
    check(input, addend);
    Tensor& sum = slot(input).gradient;
    if (!sum.defined()) {
      sum = std::move(addend);
    } else if (sum.exclusive()) {
      detail::add_into(sum, addend);
    } else if (addend.exclusive()) {
      detail::add_into(addend, sum);
      sum = std::move(addend);
    } else {
      sum = sum.copy();
      detail::add_into(sum, addend);
    }
  }

  /// The gradients of the first inputs, in their order.
  void add_all(std::vector<Tensor> gradients) {
    for (std::size_t i = 0; i < gradients.size() && i < count_; ++i) {
      add(i, std::move(gradients[i]));
    }
  }

  /// The gradient of a needed input as a buffer to accumulate into. For nodes that touch a part of
  /// their input (a time step of a sequence, some rows of a table), so that T such nodes cost one
  /// buffer and not T.
  [[nodiscard]] Tensor& buffer(std::size_t input) {
    detail::GradientSlot& s = slot(input);
    if (!s.gradient.defined()) {
      s.gradient = Tensor::zeros(s.shape, s.dtype);
    } else if (!s.gradient.exclusive()) {
      s.gradient = s.gradient.copy();
    }
    return s.gradient;
  }

  /// Like buffer(), but a new one is left uninitialised and `fresh` says so: for kernels that can
  /// overwrite as well as accumulate.
  [[nodiscard]] Tensor& accumulator(std::size_t input, bool& fresh) {
    detail::GradientSlot& s = slot(input);
    fresh = !s.gradient.defined();
    if (!fresh) return buffer(input);
    s.gradient = Tensor(s.shape, s.dtype);
    return s.gradient;
  }

 private:
  [[nodiscard]] detail::GradientSlot& slot(std::size_t input) const noexcept {
    return slots_[static_cast<std::size_t>(inputs_[input])];
  }
  void check(std::size_t input, const Tensor& addend) const {
    const detail::GradientSlot& s = slot(input);
    if (s.shape == addend.shape() && s.dtype == addend.dtype()) return;
    fail_state("GradientTape.gradient", std::string(name_) + ": the backward pass returned " +
                                            addend.shape().text() + " " +
                                            dtype_name(addend.dtype()) + " for an input of " +
                                            s.shape.text() + " " + dtype_name(s.dtype));
  }

  const char* name_;
  std::vector<detail::GradientSlot>& slots_;
  const int* inputs_;
  std::size_t count_;
};

/// d_outputs (undefined means zero) and which inputs need a gradient -> one gradient per input,
/// undefined for zero or not needed.
using Backward = std::function<std::vector<Tensor>(const std::vector<Tensor>& d_outputs,
                                                   const std::vector<bool>& needed)>;

/// The same for nodes that accumulate by themselves.
using BackwardInto = std::function<void(const std::vector<Tensor>& d_outputs, GradientSink& sink)>;

}  // namespace elman
