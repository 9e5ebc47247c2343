// SPDX-License-Identifier: Apache-2.0
// However the threads share the blocks of a step, each block is walked through once.
#include "elman/bptt/blocks.hpp"

#include <algorithm>
#include <atomic>
#include <chrono>
#include <thread>
#include <vector>

#include "check.hpp"

using namespace elman;

namespace {

// Groups of up to four, as tiles take them.
Index width(Index left) { return std::min<Index>(left, 4); }

std::vector<int> visits(int parts, Index blocks, bool backwards, bptt::Sharing sharing) {
  std::vector<std::atomic<int>> count(static_cast<std::size_t>(blocks));
  bptt::for_blocks(parts, blocks, backwards, sharing, 1e9, [&](const bptt::Blocks& share) {
    bptt::Walk walk(share);
    for (Range taken; (taken = walk.take(width)).size() != 0;) {
      for (Index b = taken.begin; b < taken.end; ++b) ++count[static_cast<std::size_t>(b)];
    }
  });
  return {count.begin(), count.end()};
}

TEST(every_block_is_taken_once) {
  for (const int threads : {1, 2, 3}) {
    ThreadPool::global().resize(threads);
    for (const int parts : {1, 2, 3, 64, 65}) {  // 65: more than share with each other
      for (const Index blocks : {1, 2, 5, 31, 64, 200}) {
        const std::vector<int> once(static_cast<std::size_t>(blocks), 1);
        for (const bool backwards : {false, true}) {
          CHECK(visits(parts, blocks, backwards, bptt::Sharing::kAll) == once);
          CHECK(visits(parts, blocks, backwards, bptt::Sharing::kOwn) == once);
        }
      }
    }
  }
  ThreadPool::global().resize(1);
}

TEST(an_own_share_is_walked_through_in_order) {
  for (const bool backwards : {false, true}) {
    const bptt::Blocks share{3, 12, backwards};
    bptt::Walk walk(share);
    std::vector<Index> begins, follow;
    for (Range taken; (taken = walk.take(width)).size() != 0;) {
      begins.push_back(taken.begin);
      follow.push_back(share.after(taken));
    }
    CHECK(begins == (backwards ? std::vector<Index>{8, 4, 3} : std::vector<Index>{3, 7, 11}));
    // Where fewer than as many follow, the blocks themselves.
    CHECK(follow == (backwards ? std::vector<Index>{4, 4, 3} : std::vector<Index>{7, 7, 11}));
  }
}

TEST(who_is_done_takes_over_what_others_have_not_begun) {
  ThreadPool::global().resize(2);
  std::atomic<int> late{0}, helped{0};
  bptt::for_blocks(2, 64, false, bptt::Sharing::kAll, 1e9, [&](const bptt::Blocks& share) {
    bptt::Walk walk(share);
    const bool sleeps = share.begin == 0;
    for (Range taken; (taken = walk.take(width)).size() != 0;) {
      const bool own = share.begin <= taken.begin && taken.begin < share.end;
      if (sleeps && own) ++late;
      if (!sleeps && !own) ++helped;
      if (sleeps) std::this_thread::sleep_for(std::chrono::milliseconds(20));
    }
  });
  CHECK_EQ(late + helped, 8);      // the share of the thread that sleeps, whoever took its blocks
  CHECK(late == 8 || helped > 0);  // 8: no worker came to help
  ThreadPool::global().resize(1);
}

}  // namespace
