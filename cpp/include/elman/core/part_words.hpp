// SPDX-License-Identifier: Apache-2.0
// elman/core/part_words.hpp: a word per thread of a parallel region, which the others see.
#pragma once

#include <atomic>
#include <cstddef>
#include <cstdint>
#include <new>

#include "elman/core/aligned.hpp"

namespace elman {

/// One atomic word for each part of a parallel region, on a line of its own. They stand on the
/// stack of the calling thread, and nothing is written before set().
class PartWords {
 public:
  static constexpr int kMost = 64;
  using Word = std::atomic<std::uint64_t>;

  PartWords() noexcept {}  // NOLINT: nothing is written

  /// Before any thread begins, for each part that is used.
  void set(int part, std::uint64_t word) noexcept { new (at(part)) Word(word); }

  Word& operator[](int part) noexcept { return *std::launder(reinterpret_cast<Word*>(at(part))); }

 private:
  std::byte* at(int part) noexcept { return memory_ + std::size_t(part) * kAlignment; }

  alignas(kAlignment) std::byte memory_[kMost * kAlignment];
};

}  // namespace elman
