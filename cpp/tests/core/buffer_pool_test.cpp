// SPDX-License-Identifier: Apache-2.0
#include "elman/core/buffer_pool.hpp"

#include <cstdint>
#include <cstring>
#include <thread>
#include <vector>

#include "check.hpp"

using elman::detail::BufferPool;

namespace {
constexpr std::size_t kLine = 64;
constexpr std::size_t kSize = BufferPool::kSmallest;

bool aligned(const void* data) { return reinterpret_cast<std::uintptr_t>(data) % kLine == 0; }
}  // namespace

TEST(a_block_is_used_again_for_requests_of_about_its_size) {
  BufferPool pool;
  void* first = pool.take(10 * kSize, kLine);
  CHECK(aligned(first));
  std::memset(first, 1, 10 * kSize);
  pool.give(first, 10 * kSize, kLine);
  CHECK(pool.kept() >= 10 * kSize);
  CHECK(pool.kept() <= 10 * kSize + 10 * kSize / 8);
  void* again = pool.take(10 * kSize - 100, kLine);
  CHECK(again == first);
  CHECK_EQ(pool.kept(), std::size_t{0});
  void* other = pool.take(20 * kSize, kLine);
  CHECK(other != first);
  pool.give(again, 10 * kSize - 100, kLine);
  pool.give(other, 20 * kSize, kLine);
  pool.clear();
  CHECK_EQ(pool.kept(), std::size_t{0});
}

TEST(blocks_that_nobody_asks_for_go_back) {
  BufferPool pool;
  pool.give(pool.take(100 * kSize, kLine), 100 * kSize, kLine);
  CHECK(pool.kept() >= 100 * kSize);
  for (std::uint64_t i = 0; i < 2 * BufferPool::kPatience; ++i) {
    pool.give(pool.take(kSize, kLine), kSize, kLine);
  }
  CHECK_EQ(pool.kept(), kSize);
  pool.clear();
}

TEST(the_pool_keeps_no_more_than_its_limit) {
  BufferPool pool;
  constexpr std::size_t kLarge = BufferPool::kMostKept / 4;
  std::vector<void*> blocks;
  for (int i = 0; i < 8; ++i) blocks.push_back(pool.take(kLarge, kLine));  // never touched
  for (void* block : blocks) {
    pool.give(block, kLarge, kLine);
    CHECK(pool.kept() <= BufferPool::kMostKept);
  }
  pool.clear();
}

TEST(threads_never_share_a_block) {
  BufferPool pool;
  std::vector<std::thread> threads;
  for (int id = 1; id <= 4; ++id) {
    threads.emplace_back([&pool, id] {
      for (int i = 0; i < 200; ++i) {
        auto* block = static_cast<std::uint8_t*>(pool.take(kSize, kLine));
        std::memset(block, id, kSize);
        std::this_thread::yield();
        bool own = true;
        for (std::size_t j = 0; j < kSize; j += 997) own = own && block[j] == id;
        if (!own || i == 0) CHECK(own);
        pool.give(block, kSize, kLine);
      }
    });
  }
  for (std::thread& thread : threads) thread.join();
  pool.clear();
}
