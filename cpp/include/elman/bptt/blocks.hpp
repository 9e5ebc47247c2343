// SPDX-License-Identifier: Apache-2.0
// elman/bptt/blocks.hpp: how the threads share the units of one step.
#pragma once

#include <atomic>
#include <cstddef>
#include <cstdint>
#include <new>
#include <utility>

#include "elman/core/aligned.hpp"
#include "elman/core/threads.hpp"

namespace elman::bptt {

/// The blocks of one thread's share that are left. Its thread takes them from the end where its
/// walk begins, threads that are done with their own from the other one.
class alignas(kAlignment) BlocksLeft {
 public:
  explicit BlocksLeft(Range share) : ends_(pack(share)) {}

  /// Takes width(count of those that are left) blocks; an empty range: none are left.
  template <class Width>
  Range take(bool from_end, const Width& width) noexcept {
    std::uint64_t before = ends_.load(std::memory_order_relaxed);
    for (;;) {
      const Range left{Index(before >> 32), Index(before & 0xffffffffU)};
      if (left.size() == 0) return left;
      const Index count = width(left.size());
      const Index cut = from_end ? left.end - count : left.begin + count;
      const Range lower{left.begin, cut}, upper{cut, left.end};
      if (ends_.compare_exchange_weak(before, pack(from_end ? lower : upper),
                                      std::memory_order_relaxed)) {
        return from_end ? upper : lower;
      }
    }
  }

 private:
  static std::uint64_t pack(Range r) { return std::uint64_t(r.begin) << 32 | std::uint64_t(r.end); }

  std::atomic<std::uint64_t> ends_;
};

/// A range of blocks of W units, walked through in either direction: weights that exceed a cache
/// are found there again where the walk turns back at the end of a step.
struct Blocks {
  Index begin = 0, end = 0;
  bool backwards = false;
  BlocksLeft* shares = nullptr;  // those of all threads, where one helps the others out
  int parts = 1, part = 0;

  [[nodiscard]] Index size() const { return end - begin; }

  /// The first of as many blocks as `taken`, those that follow it in this share; its own where the
  /// walk ends.
  [[nodiscard]] Index after(Range taken) const {
    const Index next = backwards ? taken.begin - taken.size() : taken.end;
    return next >= begin && next + taken.size() <= end ? next : taken.begin;
  }

  /// Takes width(count of those that are left) blocks of any share, this one first.
  template <class Width>
  __attribute__((noinline)) Range take_shared(const Width& width) const noexcept {
    for (int turn = 0; turn < parts; ++turn) {
      BlocksLeft& share = shares[(part + turn) % parts];
      const Range taken = share.take(backwards != (turn > 0), width);
      if (taken.size() != 0) return taken;
    }
    return {};
  }
};

/// A walk through some blocks, which have to outlive it.
class Walk {
 public:
  explicit Walk(const Blocks& blocks) : blocks_(blocks), begin_(blocks.begin), end_(blocks.end) {}

  /// The next width(count of those that are left) blocks; an empty range: the walk is over.
  template <class Width>
  Range take(const Width& width) noexcept {
    if (blocks_.shares != nullptr) return blocks_.take_shared(width);
    if (begin_ == end_) return {};
    const Index count = width(end_ - begin_);
    if (!blocks_.backwards) return {std::exchange(begin_, begin_ + count), begin_};
    const Index last = std::exchange(end_, end_ - count);
    return {end_, last};
  }

 private:
  const Blocks& blocks_;
  Index begin_, end_;
};

/// Whether the walk of one thread goes on through the blocks that others have not begun, so that a
/// step does not wait for a processor that is slower or late.
enum class Sharing {
  kOwn,  // for an f that walks through its blocks more than once
  kAll,
};

namespace detail {

// Apart from for_blocks(), so that a single thread has no stack frame of this size.
template <class F>
__attribute__((noinline)) void for_shares(int parts, Index blocks, bool backwards, Sharing sharing,
                                          F&& f) {
  constexpr int kMostParts = 64;
  alignas(BlocksLeft) std::byte memory[kMostParts * sizeof(BlocksLeft)];
  BlocksLeft* shares = nullptr;
  if (sharing == Sharing::kAll && parts <= kMostParts) {
    shares = reinterpret_cast<BlocksLeft*>(memory);
    for (int part = 0; part < parts; ++part) {
      new (shares + part) BlocksLeft(part_range(blocks, parts, part));
    }
  }
  ThreadPool::global().run(parts, [&](int part) {
    const Range share = part_range(blocks, parts, part);
    f(Blocks{share.begin, share.end, backwards, shares, parts, part});
  });
}

}  // namespace detail

/// Runs f(blocks) over all blocks of units, in `parts` shares side by side.
template <class F>
__attribute__((always_inline)) inline void for_blocks(int parts, Index blocks, bool backwards,
                                                      Sharing sharing, F&& f) {
  if (parts == 1) return f(Blocks{0, blocks, backwards});
  detail::for_shares(parts, blocks, backwards, sharing, f);
}

}  // namespace elman::bptt
