// SPDX-License-Identifier: Apache-2.0
// elman/bptt/blocks.hpp: how the threads share the units of one step.
#pragma once

#include <utility>

#include "elman/core/pieces.hpp"
#include "elman/core/threads.hpp"

namespace elman::bptt {

/// A range of blocks of W units, walked through in either direction: weights that exceed a cache
/// are found there again where the walk turns back at the end of a step.
struct Blocks {
  Index begin = 0, end = 0;
  bool backwards = false;
  Pieces* shared = nullptr;  // those of all threads, where one helps the others out
  int part = 0;

  [[nodiscard]] Index size() const { return end - begin; }

  /// The first of as many blocks as `taken`, those that follow it in this share; its own where the
  /// walk ends.
  [[nodiscard]] Index after(Range taken) const {
    const Index next = backwards ? taken.begin - taken.size() : taken.end;
    return next >= begin && next + taken.size() <= end ? next : taken.begin;
  }
};

/// A walk through some blocks, which have to outlive it.
class Walk {
 public:
  explicit Walk(const Blocks& blocks) : blocks_(blocks), begin_(blocks.begin), end_(blocks.end) {}

  /// The next width(count of those that are left) blocks; an empty range: the walk is over.
  template <class Width>
  Range take(const Width& width) noexcept {
    if (blocks_.shared != nullptr) return take_shared(width);
    if (begin_ == end_) return {};
    const Index count = width(end_ - begin_);
    if (!blocks_.backwards) return {std::exchange(begin_, begin_ + count), begin_};
    const Index last = std::exchange(end_, end_ - count);
    return {end_, last};
  }

 private:
  template <class Width>
  __attribute__((noinline)) Range take_shared(const Width& width) noexcept {
    return blocks_.shared->take(blocks_.part, blocks_.backwards, width);
  }

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
                                          double flops, F&& f) {
  parts = ThreadPool::global().of_undisturbed(parts, flops);
  const bool shared = parts > 1 && sharing == Sharing::kAll && Pieces::fit(blocks, parts);
  Pieces pieces(blocks, shared ? parts : 0);
  ThreadPool::global().run(parts, [&](int part) {
    const Range share = part_range(blocks, parts, part);
    f(Blocks{share.begin, share.end, backwards, shared ? &pieces : nullptr, part});
  });
}

}  // namespace detail

/// Runs f(blocks), `flops` operations, over all blocks of units, in `parts` shares side by side.
template <class F>
__attribute__((always_inline)) inline void for_blocks(int parts, Index blocks, bool backwards,
                                                      Sharing sharing, double flops, F&& f) {
  if (parts == 1) return f(Blocks{0, blocks, backwards});
  detail::for_shares(parts, blocks, backwards, sharing, flops, f);
}

}  // namespace elman::bptt
