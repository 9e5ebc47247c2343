// SPDX-License-Identifier: Apache-2.0
// elman/autograd/tape_state.hpp: what a tape has recorded, and the pass back over it.
#pragma once

#include <algorithm>
#include <atomic>
#include <memory>
#include <mutex>
#include <string>
#include <utility>
#include <vector>

#include "elman/autograd/gradient_sink.hpp"
#include "elman/autograd/id_map.hpp"
#include "elman/autograd/tensor.hpp"

namespace elman::detail {

class TapeState;

// Plain integers first: an operation without tapes reads one thread-local word and goes on.
inline thread_local int t_active = 0;
inline thread_local int t_paused = 0;
inline std::vector<std::shared_ptr<TapeState>>& active_tapes() {
  static thread_local std::vector<std::shared_ptr<TapeState>> tapes;
  return tapes;
}

/// One recorded operation, shared by all tapes that saw it.
struct Node {
  Node(const char* label, BackwardInto run) : name(label), backward(std::move(run)) {}
  const char* name;
  BackwardInto backward;
};

/// A node as one tape sees it: slots of its inputs (-1 if untracked), then of its outputs.
struct Entry {
  std::shared_ptr<const Node> node;
  std::vector<int> slots;
  std::size_t inputs = 0;
};

/// Recording and the backward pass may run on different threads; the lock is never held while a
/// backward closure runs, because closures may wait for locks of the host language.
class TapeState {
 public:
  TapeState(bool persistent, bool watch_accessed)
      : persistent_(persistent), watch_accessed_(watch_accessed) {}

  [[nodiscard]] bool persistent() const noexcept { return persistent_; }
  [[nodiscard]] bool used() const noexcept { return used_; }
  [[nodiscard]] bool closed() const noexcept { return closed_; }
  void close() noexcept { closed_ = true; }
  void pause() noexcept { ++paused_; }
  void resume() noexcept { --paused_; }

  [[nodiscard]] bool tracks(const Tensor& tensor) {
    if (!tensor.defined() || paused_ > 0 || closed_) return false;
    if (tensor.is_trainable() && watch_accessed_) return true;
    const std::lock_guard lock(mutex_);
    return ids_.find(tensor.id()) >= 0;
  }

  void watch(const Tensor& tensor) {
    if (!is_floating(tensor.dtype())) {
      fail("GradientTape.watch", std::string("x: expected float32 or float64, got ") +
                                     dtype_name(tensor.dtype()) +
                                     "; only real numbers have gradients");
    }
    const std::lock_guard lock(mutex_);
    if (ids_.find(tensor.id()) < 0) add_slot(tensor);
  }

  void record(const std::shared_ptr<const Node>& node, const std::vector<Tensor>& inputs,
              const std::vector<Tensor>& outputs) {
    if (paused_ > 0 || closed_) return;
    const std::lock_guard lock(mutex_);
    Entry entry{node, {}, inputs.size()};
    entry.slots.reserve(inputs.size() + outputs.size());
    bool any = false;
    for (const Tensor& input : inputs) {
      entry.slots.push_back(find_slot(input));
      any |= entry.slots.back() >= 0;
    }
    if (!any) return;
    for (const Tensor& output : outputs) {
      const bool fresh =
          output.defined() && is_floating(output.dtype()) && ids_.find(output.id()) < 0;
      entry.slots.push_back(fresh ? add_slot(output) : -1);
    }
    entries_.push_back(std::move(entry));
  }

  void reset() {
    std::vector<Entry> gone;  // closures are freed after the lock is given back
    const std::lock_guard lock(mutex_);
    gone.swap(entries_);
    ids_.clear();
    slots_.clear();
    used_ = false;
  }

  /// The recording for one backward pass: a copy for a persistent tape, else the recording itself.
  struct Recording {
    std::vector<Entry> entries;
    std::vector<GradientSlot> slots;
    std::vector<int> targets, sources;
  };
  [[nodiscard]] Recording begin_backward(const std::vector<Tensor>& targets,
                                         const std::vector<Tensor>& sources) {
    const std::lock_guard lock(mutex_);
    if (used_ && !persistent_) {
      fail_state("GradientTape.gradient",
                 "a non-persistent tape gives one set of gradients; ask for all sources at once, "
                 "or use GradientTape(persistent=True)");
    }
    used_ = true;
    Recording out;
    for (const Tensor& t : targets) out.targets.push_back(find_slot(t));
    for (const Tensor& s : sources) out.sources.push_back(find_slot(s));
    if (persistent_) {
      out.entries = entries_;
      out.slots = slots_;
    } else {
      out.entries.swap(entries_);
      out.slots.swap(slots_);
      ids_.clear();
    }
    return out;
  }

 private:
  int find_slot(const Tensor& tensor) {
    if (!tensor.defined()) return -1;
    const int slot = ids_.find(tensor.id());
    if (slot >= 0 || !tensor.is_trainable() || !watch_accessed_) return slot;
    return add_slot(tensor);
  }
  int add_slot(const Tensor& tensor) {
    const int slot = static_cast<int>(slots_.size());
    slots_.push_back({tensor.shape(), tensor.dtype()});
    ids_.insert(tensor.id(), slot);
    return slot;
  }

  const bool persistent_, watch_accessed_;
  std::atomic<bool> used_{false}, closed_{false};
  std::atomic<int> paused_{0};
  std::mutex mutex_;
  std::vector<Entry> entries_;
  std::vector<GradientSlot> slots_;
  IdMap ids_;
};

/// Takes the tape off this thread's list; false if it was not there.
inline bool remove_active(const TapeState* state) noexcept {
  auto& tapes = active_tapes();
  const auto found = std::find_if(tapes.begin(), tapes.end(),
                                  [=](const auto& tape) { return tape.get() == state; });
  if (found == tapes.end()) return false;
  tapes.erase(found);
  t_active = static_cast<int>(tapes.size());
  return true;
}

inline void activate(const std::shared_ptr<TapeState>& state) {
  auto& tapes = active_tapes();
  // Tapes that were dropped while recording can only be taken off by their own thread.
  std::erase_if(tapes, [](const auto& tape) { return tape->closed(); });
  for (const auto& tape : tapes) {
    if (tape == state) fail_state("GradientTape", "this tape is recording already");
  }
  if (state->used() && !state->persistent()) {
    fail_state("GradientTape", "this tape has given its gradients; make a new one");
  }
  tapes.push_back(state);
  t_active = static_cast<int>(tapes.size());
}

inline void deactivate(const std::shared_ptr<TapeState>& state) {
  if (remove_active(state.get()) || (state->used() && !state->persistent())) return;
  fail_state("GradientTape", "stopped on another thread than the one it was started on");
}

/// A value of 1 for every element.
inline Tensor ones_of(const GradientSlot& slot) {
  Tensor out(slot.shape, slot.dtype);
  visit_float("GradientTape.gradient", slot.dtype, [&](auto zero) {
    using T = decltype(zero);
    std::fill_n(out.mutable_data<T>(), out.size(), T(1));
  });
  return out;
}

/// Marks what depends on a source: nothing else needs a gradient.
inline void mark_relevant(TapeState::Recording& recording) {
  auto& slots = recording.slots;
  for (const int source : recording.sources) {
    if (source < 0) continue;
    slots[static_cast<std::size_t>(source)].relevant = true;
    slots[static_cast<std::size_t>(source)].source = true;
  }
  for (const Entry& entry : recording.entries) {
    const auto outputs = entry.slots.begin() + static_cast<std::ptrdiff_t>(entry.inputs);
    const auto relevant = [&](int s) {
      return s >= 0 && slots[static_cast<std::size_t>(s)].relevant;
    };
    if (std::none_of(entry.slots.begin(), outputs, relevant)) continue;
    for (auto s = outputs; s != entry.slots.end(); ++s) {
      if (*s >= 0) slots[static_cast<std::size_t>(*s)].relevant = true;
    }
  }
}

inline void seed_targets(TapeState::Recording& recording, const std::vector<Tensor>& targets,
                         const std::vector<Tensor>& output_gradients) {
  for (std::size_t i = 0; i < targets.size(); ++i) {
    if (recording.targets[i] < 0) continue;
    GradientSlot& slot = recording.slots[static_cast<std::size_t>(recording.targets[i])];
    if (!slot.relevant) continue;
    GradientSink sink("target", recording.slots, &recording.targets[i], 1);
    if (i >= output_gradients.size() || !output_gradients[i].defined()) {
      sink.add(0, ones_of(slot));
      continue;
    }
    const Tensor& given = output_gradients[i];
    if (!(given.shape() == slot.shape) || given.dtype() != slot.dtype) {
      fail("GradientTape.gradient", "output_gradients: expected " + slot.shape.text() + " " +
                                        dtype_name(slot.dtype) + " as the target, got " +
                                        given.shape().text() + " " + dtype_name(given.dtype()));
    }
    sink.add(0, given);
  }
}

/// Runs the closures from the last node to the first and frees each gradient after its use.
inline void propagate(TapeState::Recording& recording, bool free_nodes) {
  std::vector<char> keep(recording.slots.size(), 0);
  for (const int source : recording.sources) {
    if (source >= 0) keep[static_cast<std::size_t>(source)] = 1;
  }
  std::vector<Tensor> d_outputs;
  for (auto entry = recording.entries.rbegin(); entry != recording.entries.rend(); ++entry) {
    bool any = false;
    d_outputs.clear();
    for (std::size_t i = entry->inputs; i < entry->slots.size(); ++i) {
      d_outputs.emplace_back();
      if (entry->slots[i] < 0) continue;
      const auto s = static_cast<std::size_t>(entry->slots[i]);
      Tensor& gradient = recording.slots[s].gradient;
      if (!gradient.defined()) continue;
      any = true;
      d_outputs.back() = keep[s] ? gradient : std::move(gradient);
      if (!keep[s]) gradient = Tensor();
    }
    GradientSink sink(entry->node->name, recording.slots, entry->slots.data(), entry->inputs);
    if (any && sink.any_needed()) entry->node->backward(d_outputs, sink);
    if (free_nodes) entry->node.reset();
  }
}

/// Gradients are not recorded themselves; a tape that is asked to differentiate one must say so
/// instead of answering "not connected".
inline void forbid_second_order(const std::vector<Tensor>& targets,
                                const std::vector<Tensor>& sources,
                                const std::vector<Tensor>& gradients) {
  if (t_active == 0 || t_paused > 0) return;
  std::vector<Tensor> inputs = targets;
  inputs.insert(inputs.end(), sources.begin(), sources.end());
  const auto node =
      std::make_shared<const Node>("gradient", [](const std::vector<Tensor>&, GradientSink&) {
        fail_state("GradientTape.gradient",
                   "second derivatives are not supported: the target depends on a gradient; "
                   "take gradients outside of the block of the outer tape, or pass them through "
                   "stop_gradient");
      });
  for (const auto& tape : active_tapes()) tape->record(node, inputs, gradients);
}

inline std::vector<Tensor> run_backward(const std::shared_ptr<TapeState>& state,
                                        const std::vector<Tensor>& targets,
                                        const std::vector<Tensor>& sources,
                                        const std::vector<Tensor>& output_gradients) {
  for (const Tensor& target : targets) {
    if (!is_floating(target.dtype())) {
      fail("GradientTape.gradient",
           std::string("target: expected float32 or float64, got ") + dtype_name(target.dtype()));
    }
  }
  TapeState::Recording recording = state->begin_backward(targets, sources);
  if (!state->persistent()) remove_active(state.get());
  mark_relevant(recording);
  seed_targets(recording, targets, output_gradients);
  ++t_paused;
  struct Resume {
    ~Resume() { --t_paused; }
  };
  {
    const Resume resume;
    propagate(recording, !state->persistent());
  }
  std::vector<Tensor> gradients;
  for (const int source : recording.sources) {
    gradients.push_back(source < 0 ? Tensor()
                                   : recording.slots[static_cast<std::size_t>(source)].gradient);
  }
  forbid_second_order(targets, sources, gradients);
  return gradients;
}

}  // namespace elman::detail
