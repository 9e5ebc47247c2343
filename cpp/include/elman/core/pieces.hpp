// SPDX-License-Identifier: Apache-2.0
// elman/core/pieces.hpp: a range that threads work through piece by piece.
#pragma once

#include <cstdint>

#include "elman/core/part_words.hpp"
#include "elman/core/threads.hpp"

namespace elman {

/// [0, count) in shares, one for each part. A thread takes pieces of its own share from one end,
/// and when it is done those of the others from the other end, so that nobody waits for a processor
/// that is slower or late.
class Pieces {
 public:
  /// Whether so much can be shared out in this way.
  [[nodiscard]] static constexpr bool fit(Index count, int parts) noexcept {
    return parts <= PartWords::kMost && count <= Index(kMask);
  }

  Pieces(Index count, int parts) noexcept : parts_(parts) {
    for (int part = 0; part < parts; ++part) left_.set(part, pack(part_range(count, parts, part)));
  }

  /// For the thread of a part: the next width(how many are left of a share); an empty range: all
  /// are taken. It goes through its own share from the end if that is asked for.
  template <class Width>
  Range take(int part, bool from_end, const Width& width) noexcept {
    for (int turn = 0; turn < parts_; ++turn) {
      const Range taken = take_of(left_[(part + turn) % parts_], from_end != (turn > 0), width);
      if (taken.size() != 0) return taken;
    }
    return {};
  }

 private:
  static constexpr std::uint64_t kMask = 0xffffffffU;

  static std::uint64_t pack(Range r) noexcept {
    return std::uint64_t(r.begin) << 32 | std::uint64_t(r.end);
  }

  template <class Width>
  static Range take_of(PartWords::Word& word, bool from_end, const Width& width) noexcept {
    std::uint64_t before = word.load(std::memory_order_relaxed);
    for (;;) {
      const Range left{Index(before >> 32), Index(before & kMask)};
      if (left.size() == 0) return left;
      const Index count = width(left.size());
      const Index cut = from_end ? left.end - count : left.begin + count;
      const Range lower{left.begin, cut}, upper{cut, left.end};
      if (word.compare_exchange_weak(before, pack(from_end ? lower : upper),
                                     std::memory_order_relaxed)) {
        return from_end ? upper : lower;
      }
    }
  }

  int parts_;
  PartWords left_;
};

namespace detail {

// Apart from for_pieces(), so that a single thread has no stack frame of this size.
template <class Width, class F>
__attribute__((noinline)) void share_pieces(int parts, Index count, const Width& width, F&& f) {
  Pieces pieces(count, parts);
  ThreadPool::global().run(parts, [&](int part) {
    for (Range taken; (taken = pieces.take(part, false, width)).size() != 0;) f(taken);
  });
}

}  // namespace detail

/// Runs f(range) on pieces that make up [0, count), in `parts` threads; width(left) tells how long
/// a piece is where so much is left of a share, at least 1 and at most all.
template <class Width, class F>
void for_pieces(int parts, Index count, const Width& width, F&& f) {
  if (count <= 0) return;
  if (parts == 1) return f(Range{0, count});
  if (Pieces::fit(count, parts)) return detail::share_pieces(parts, count, width, f);
  ThreadPool::global().run(parts, [&](int part) {
    const Range range = part_range(count, parts, part);
    if (range.size() != 0) f(range);
  });
}

}  // namespace elman
