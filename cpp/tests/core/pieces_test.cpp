// SPDX-License-Identifier: Apache-2.0
// However threads share a range, each of its elements is in one piece.
#include "elman/core/pieces.hpp"

#include <algorithm>
#include <atomic>
#include <stdexcept>
#include <vector>

#include "check.hpp"

using namespace elman;

namespace {

Index three(Index left) { return std::min<Index>(left, 3); }

TEST(every_piece_is_taken_once) {
  for (const int threads : {1, 2, 3}) {
    ThreadPool::global().resize(threads);
    for (const int parts : {1, 2, 5, 64, 65}) {  // 65: more than share with each other
      for (const Index count : {0, 1, 2, 7, 300}) {
        std::vector<std::atomic<int>> seen(static_cast<std::size_t>(count));
        for_pieces(parts, count, three, [&](Range piece) {
          CHECK(piece.size() > 0);
          for (Index i = piece.begin; i < piece.end; ++i) ++seen[static_cast<std::size_t>(i)];
        });
        CHECK(std::vector<int>(seen.begin(), seen.end()) ==
              std::vector<int>(static_cast<std::size_t>(count), 1));
      }
    }
  }
  ThreadPool::global().resize(1);
}

TEST(who_is_done_takes_pieces_of_the_others_from_their_end) {
  Pieces pieces(20, 2);
  std::vector<Index> begins;
  for (Range taken; (taken = pieces.take(0, false, three)).size() != 0;) {
    begins.push_back(taken.begin);
  }
  CHECK(begins == std::vector<Index>({0, 3, 6, 9, 17, 14, 11, 10}));
  CHECK_EQ(pieces.take(1, false, three).size(), 0);
  Pieces backwards(20, 2);
  CHECK_EQ(backwards.take(1, true, three).begin, 17);
}

TEST(an_exception_does_not_stop_the_other_pieces) {
  ThreadPool::global().resize(2);
  std::atomic<Index> sum{0};
  bool thrown = false;
  try {
    for_pieces(2, 100, three, [&](Range piece) {
      sum += piece.size();
      if (piece.begin == 0) throw std::runtime_error("first");
    });
  } catch (const std::runtime_error&) {
    thrown = true;
  }
  CHECK(thrown);
  CHECK_EQ(sum.load(), 100);  // the other thread takes what the first one left
  ThreadPool::global().resize(1);
}

}  // namespace
