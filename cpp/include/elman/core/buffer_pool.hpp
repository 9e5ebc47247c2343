// SPDX-License-Identifier: Apache-2.0
// elman/core/buffer_pool.hpp: large blocks of memory, kept for the next request of the same size.
#pragma once

#include <algorithm>
#include <bit>
#include <cstddef>
#include <cstdint>
#include <iterator>
#include <mutex>
#include <new>
#include <vector>

#if defined(__linux__)
#include <sys/mman.h>
#endif

namespace elman::detail {

// A training step asks for the same megabytes again and again; from the system each of them comes
// as pages that have to be mapped and cleared, which takes as long as a tenth of the step. Blocks
// that nobody asked for during the last 256 requests go back, and so does what exceeds 512 MiB.
class BufferPool {
 public:
  /// From here on blocks are pooled; smaller ones the allocator of the system recycles itself.
  static constexpr std::size_t kSmallest = 64 * 1024;
  static constexpr std::size_t kMostKept = std::size_t{512} << 20;
  static constexpr std::uint64_t kPatience = 256;

  /// Never destroyed, as tensors of static duration may outlive any destructor.
  static BufferPool& global() {
    static BufferPool* pool = new BufferPool;
    return *pool;
  }

  /// At least `bytes` >= kSmallest, aligned to `alignment`.
  /// Errors    std::bad_alloc
  void* take(std::size_t bytes, std::size_t alignment) {
    const std::size_t size = size_class(bytes);
    // Never waits: after a fork the lock may belong to a thread that the child does not have.
    if (const std::unique_lock lock(mutex_, std::try_to_lock); lock) {
      ++now_;
      const auto found = std::find_if(kept_.rbegin(), kept_.rend(),
                                      [=](const Block& block) { return block.size == size; });
      if (found != kept_.rend()) {
        void* data = found->data;
        kept_bytes_ -= size;
        kept_.erase(std::next(found).base());
        return data;
      }
    }
    return allocate(size, alignment);
  }

  void give(void* data, std::size_t bytes, std::size_t alignment) noexcept {
    const std::size_t size = size_class(bytes);
    if (const std::unique_lock lock(mutex_, std::try_to_lock); lock && size <= kMostKept) {
      try {
        kept_.push_back({data, size, alignment, now_});
      } catch (const std::bad_alloc&) {
        return release(data, size, alignment);
      }
      kept_bytes_ += size;
      return trim(kMostKept, kPatience);
    }
    release(data, size, alignment);
  }

  /// Gives every block that is not in use back to the system.
  void clear() noexcept {
    if (const std::unique_lock lock(mutex_, std::try_to_lock); lock) trim(0, 0);
  }

  /// Bytes that wait for a request.
  [[nodiscard]] std::size_t kept() const noexcept {
    const std::lock_guard lock(mutex_);
    return kept_bytes_;
  }

 private:
  struct Block {
    void* data;
    std::size_t size, alignment;
    std::uint64_t since;
  };

  /// The next of eight steps between two powers of two: similar requests share blocks, at a loss
  /// of at most an eighth.
  static std::size_t size_class(std::size_t bytes) noexcept {
    const std::size_t step = std::bit_floor(bytes) / 8;
    return (bytes + step - 1) / step * step;
  }

  static void* allocate(std::size_t size, std::size_t alignment) {
    void* data = ::operator new(size, std::align_val_t{alignment_of(size, alignment)});
#if defined(__linux__)
    // Fewer entries of the translation buffer for strided reads; best effort.
    if (size >= kHugePage) ::madvise(data, size / kHugePage * kHugePage, MADV_HUGEPAGE);
#endif
    return data;
  }
  static void release(void* data, std::size_t size, std::size_t alignment) noexcept {
    ::operator delete(data, std::align_val_t{alignment_of(size, alignment)});
  }
  static std::size_t alignment_of(std::size_t size, std::size_t alignment) noexcept {
    return size >= kHugePage ? kHugePage : alignment;
  }

  void trim(std::size_t bytes, std::uint64_t patience) noexcept {
    std::size_t drop = 0;
    while (drop < kept_.size() &&
           (kept_bytes_ > bytes || now_ - kept_[drop].since > patience || patience == 0)) {
      const Block& block = kept_[drop++];
      kept_bytes_ -= block.size;
      release(block.data, block.size, block.alignment);
    }
    kept_.erase(kept_.begin(), kept_.begin() + static_cast<std::ptrdiff_t>(drop));
  }

  static constexpr std::size_t kHugePage = std::size_t{2} << 20;

  mutable std::mutex mutex_;
  std::vector<Block> kept_;  // oldest first
  std::size_t kept_bytes_ = 0;
  std::uint64_t now_ = 0;
};

}  // namespace elman::detail
