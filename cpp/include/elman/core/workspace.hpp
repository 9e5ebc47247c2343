// SPDX-License-Identifier: Apache-2.0
// elman/core/workspace.hpp: the arena that kernels take their scratch memory from.
#pragma once

#include <cstddef>
#include <cstdint>
#include <string>

#include "elman/core/aligned.hpp"
#include "elman/core/errors.hpp"

namespace elman {

/// Counts the bytes that a run will take, in the same calls as it takes them later.
class WorkspaceSize {
 public:
  template <class T>
  WorkspaceSize& add(Index count) noexcept {
    bytes_ += round_up(static_cast<std::size_t>(count) * sizeof(T));
    return *this;
  }
  [[nodiscard]] std::size_t bytes() const noexcept { return bytes_; }

 private:
  std::size_t bytes_ = 0;
};

/// A stack of 64-byte aligned pieces in one block that is allocated before the run.
/// take() never allocates, so a step between reserve() and the next reserve() has no heap call.
class Workspace {
 public:
  Workspace() = default;
  explicit Workspace(std::size_t bytes) { reserve(bytes); }

  /// Makes room for bytes in total. Grows only; contents are lost when it grows.
  /// Errors    std::logic_error when it has to grow while pieces are taken
  void reserve(std::size_t bytes) {
    if (bytes <= capacity()) return;
    if (used_ != 0) fail_state("Workspace.reserve", "cannot grow while pieces are in use");
    block_ = AlignedBuffer<std::uint8_t>(static_cast<Index>(round_up(bytes)));
  }

  /// count elements of T, uninitialised.
  /// Errors    std::out_of_range when the reserved block is too small
  template <class T>
  [[nodiscard]] T* take(Index count) {
    const std::size_t bytes = round_up(static_cast<std::size_t>(count) * sizeof(T));
    if (bytes > capacity() - used_) {
      fail_range("Workspace.take", "expected at most " + std::to_string(capacity() - used_) +
                                       " bytes, got " + std::to_string(bytes) +
                                       "; reserve() the sum of all pieces first");
    }
    std::uint8_t* piece = block_.data() + used_;
    used_ += bytes;
    return reinterpret_cast<T*>(piece);
  }

  [[nodiscard]] std::size_t used() const noexcept { return used_; }
  [[nodiscard]] std::size_t capacity() const noexcept {
    return static_cast<std::size_t>(block_.size());
  }
  void clear() noexcept { used_ = 0; }

  /// Gives back, at the end of a C++ scope, what was taken within it.
  class Scope {
   public:
    explicit Scope(Workspace& workspace) noexcept : workspace_(workspace), mark_(workspace.used_) {}
    ~Scope() { workspace_.used_ = mark_; }
    Scope(const Scope&) = delete;
    Scope& operator=(const Scope&) = delete;

   private:
    Workspace& workspace_;
    std::size_t mark_;
  };

 private:
  AlignedBuffer<std::uint8_t> block_;
  std::size_t used_ = 0;
};

}  // namespace elman
