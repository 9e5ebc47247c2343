// SPDX-License-Identifier: Apache-2.0
// elman/autograd/tape.hpp: records operations and runs them backwards.
#pragma once

#include <initializer_list>
#include <memory>
#include <utility>
#include <vector>

#include "elman/autograd/gradient_sink.hpp"
#include "elman/autograd/tape_state.hpp"
#include "elman/autograd/tensor.hpp"

namespace elman {

/// Keeps this thread from recording on any tape during its life.
class NoRecording {
 public:
  NoRecording() noexcept { ++detail::t_paused; }
  ~NoRecording() { --detail::t_paused; }
  NoRecording(const NoRecording&) = delete;
  NoRecording& operator=(const NoRecording&) = delete;
};

/// True if an active tape of this thread tracks any of the tensors (undefined ones are skipped).
[[nodiscard]] inline bool recording(std::initializer_list<const Tensor*> inputs) {
  if (detail::t_active == 0 || detail::t_paused > 0) return false;
  for (const auto& tape : detail::active_tapes()) {
    for (const Tensor* input : inputs) {
      if (tape->tracks(*input)) return true;
    }
  }
  return false;
}
[[nodiscard]] inline bool recording(const std::vector<Tensor>& inputs) {
  if (detail::t_active == 0 || detail::t_paused > 0) return false;
  for (const auto& tape : detail::active_tapes()) {
    for (const Tensor& input : inputs) {
      if (tape->tracks(input)) return true;
    }
  }
  return false;
}

/// Adds a node to every active tape of this thread that tracks one of the inputs. The tape keeps no
/// tensor of it: `backward` holds what it needs. `name` is a string literal.
inline void record_into(const char* name, const std::vector<Tensor>& inputs,
                        const std::vector<Tensor>& outputs, BackwardInto backward) {
  if (detail::t_active == 0 || detail::t_paused > 0) return;
  const auto node = std::make_shared<const detail::Node>(name, std::move(backward));
  for (const auto& tape : detail::active_tapes()) tape->record(node, inputs, outputs);
}

inline void record(const char* name, const std::vector<Tensor>& inputs,
                   const std::vector<Tensor>& outputs, Backward backward) {
  record_into(
      name, inputs, outputs,
      [run = std::move(backward)](const std::vector<Tensor>& d_outputs, GradientSink& sink) {
        sink.add_all(run(d_outputs, sink.needed()));
      });
}

/// Records operations between start() and stop() on the thread that called start().
/// Trainable variables are watched when they are used, other tensors after watch().
class Tape {
 public:
  explicit Tape(bool persistent = false, bool watch_accessed_variables = true)
      : state_(std::make_shared<detail::TapeState>(persistent, watch_accessed_variables)) {}
  Tape(Tape&&) noexcept = default;
  Tape& operator=(Tape&&) = delete;
  Tape(const Tape&) = delete;
  Tape& operator=(const Tape&) = delete;
  ~Tape() {
    if (state_) state_->close();
  }

  /// Errors    std::logic_error when it records already, or is used up
  void start() { detail::activate(state_); }
  /// Errors    std::logic_error on another thread than start()
  void stop() { detail::deactivate(state_); }

  /// Records for the life of the scope: { Tape::Scope scope(tape); ... }
  class Scope {
   public:
    explicit Scope(Tape& tape) : state_(tape.state_) { detail::activate(state_); }
    ~Scope() { detail::remove_active(state_.get()); }
    Scope(const Scope&) = delete;
    Scope& operator=(const Scope&) = delete;

   private:
    std::shared_ptr<detail::TapeState> state_;
  };

  /// Errors    std::invalid_argument for a tensor without real elements
  void watch(const Tensor& tensor) { state_->watch(tensor); }
  /// Stops recording on this tape only, until resume(); calls nest.
  void pause() noexcept { state_->pause(); }
  void resume() noexcept { state_->resume(); }
  /// Forgets everything recorded; watched tensors too.
  void reset() { state_->reset(); }
  [[nodiscard]] bool persistent() const noexcept { return state_->persistent(); }

  /// d (sum of all targets) / d source for each source; undefined where no path leads to a source.
  /// output_gradients, if given, weigh the elements of each target (undefined entry: all ones).
  /// Errors    std::logic_error on the second call unless persistent, or for a second derivative
  std::vector<Tensor> gradient(const std::vector<Tensor>& targets,
                               const std::vector<Tensor>& sources,
                               const std::vector<Tensor>& output_gradients = {}) {
    return detail::run_backward(state_, targets, sources, output_gradients);
  }
  /// The same for one source.
  Tensor gradient(const Tensor& target, const Tensor& source) {
    return gradient(std::vector<Tensor>{target}, std::vector<Tensor>{source}).front();
  }

 private:
  std::shared_ptr<detail::TapeState> state_;
};

}  // namespace elman
