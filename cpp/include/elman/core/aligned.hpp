// SPDX-License-Identifier: Apache-2.0
// elman/core/aligned.hpp: memory that starts on a cache line, for aligned vector loads.
#pragma once

#include <cstddef>
#include <cstdint>
#include <cstring>
#include <limits>
#include <new>
#include <type_traits>
#include <utility>

#include "elman/core/buffer_pool.hpp"
#include "elman/core/shape.hpp"

#if defined(__SANITIZE_ADDRESS__)
#define ELMAN_ADDRESS_SANITIZER
#elif defined(__has_feature)
#if __has_feature(address_sanitizer)
#define ELMAN_ADDRESS_SANITIZER
#endif
#endif

namespace elman {

/// One cache line, and one AVX-512 register.
inline constexpr std::size_t kAlignment = 64;

[[nodiscard]] constexpr std::size_t round_up(std::size_t bytes,
                                             std::size_t unit = kAlignment) noexcept {
  return (bytes + unit - 1) / unit * unit;
}

/// count elements of T, uninitialised, owned, move-only; data() is nullptr only for count 0.
/// Errors    std::bad_alloc
template <class T>
class AlignedBuffer {
  static_assert(std::is_trivially_copyable_v<T> && std::is_trivially_destructible_v<T>);

 public:
  AlignedBuffer() = default;
  explicit AlignedBuffer(Index count) : data_(allocate(count)), size_(count) {}
  AlignedBuffer(AlignedBuffer&& other) noexcept
      : data_(std::exchange(other.data_, nullptr)), size_(std::exchange(other.size_, 0)) {}
  AlignedBuffer& operator=(AlignedBuffer&& other) noexcept {
    std::swap(data_, other.data_);
    std::swap(size_, other.size_);
    return *this;
  }
  AlignedBuffer(const AlignedBuffer&) = delete;
  AlignedBuffer& operator=(const AlignedBuffer&) = delete;
  ~AlignedBuffer() { release(); }

  [[nodiscard]] T* data() noexcept { return data_; }
  [[nodiscard]] const T* data() const noexcept { return data_; }
  [[nodiscard]] Index size() const noexcept { return size_; }
  [[nodiscard]] T& operator[](Index i) noexcept { return data_[i]; }
  [[nodiscard]] const T& operator[](Index i) const noexcept { return data_[i]; }
  [[nodiscard]] T* begin() noexcept { return data_; }
  [[nodiscard]] T* end() noexcept { return data_ + size_; }
  [[nodiscard]] const T* begin() const noexcept { return data_; }
  [[nodiscard]] const T* end() const noexcept { return data_ + size_; }

  /// Holds at least count elements afterwards; the old contents are lost when it grows.
  void ensure(Index count) {
    if (count > size_) *this = AlignedBuffer(count);
  }

 private:
  static T* allocate(Index count) {
    if (count <= 0) return nullptr;
    const auto items = static_cast<std::size_t>(count);
    if (items > std::numeric_limits<std::size_t>::max() / 2 / sizeof(T)) throw std::bad_alloc();
    // Whole cache lines, so that a kernel may load the last vector in full.
    const std::size_t bytes = round_up(items * sizeof(T));
    if (pooled(bytes)) return static_cast<T*>(detail::BufferPool::global().take(bytes, kAlignment));
    if (small(bytes)) return static_cast<T*>(allocate_small(bytes));
    return static_cast<T*>(::operator new(bytes, std::align_val_t{kAlignment}));
  }
  // What an aligned request costs more than a plain one is a tenth of a call for a few units. The
  // block begins at a line within a plain one, whose address stands before it.
  static void* allocate_small(std::size_t bytes) {
    static_assert(sizeof(void*) <= __STDCPP_DEFAULT_NEW_ALIGNMENT__, "no room for it otherwise");
    void* const block = ::operator new(bytes + kAlignment);
    char* const data = static_cast<char*>(block) + kAlignment -
                       reinterpret_cast<std::uintptr_t>(block) % kAlignment;
    std::memcpy(data - sizeof block, &block, sizeof block);
    return data;
  }
  static void release_small(void* data) noexcept {
    void* block;
    std::memcpy(&block, static_cast<char*>(data) - sizeof block, sizeof block);
    ::operator delete(block);
  }
  void release() noexcept {
    if (data_ == nullptr) return;
    const std::size_t bytes = round_up(static_cast<std::size_t>(size_) * sizeof(T));
    if (pooled(bytes)) return detail::BufferPool::global().give(data_, bytes, kAlignment);
    if (small(bytes)) return release_small(data_);
    ::operator delete(data_, std::align_val_t{kAlignment});
  }
#if defined(ELMAN_ADDRESS_SANITIZER)
  static constexpr bool kEveryBlockApart = true;  // it has to see the end of each
#else
  static constexpr bool kEveryBlockApart = false;
#endif
  static constexpr bool pooled(std::size_t bytes) noexcept {
    return !kEveryBlockApart && bytes >= detail::BufferPool::kSmallest;
  }
  static constexpr bool small(std::size_t bytes) noexcept {
    return !kEveryBlockApart && bytes <= 4096;
  }

  T* data_ = nullptr;
  Index size_ = 0;
};

}  // namespace elman
