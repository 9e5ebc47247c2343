// SPDX-License-Identifier: Apache-2.0
#include "elman/core/workspace.hpp"

#include <cstdint>
#include <utility>

#include "check.hpp"

using namespace elman;

namespace {
bool aligned(const void* pointer) {
  return reinterpret_cast<std::uintptr_t>(pointer) % kAlignment == 0;
}
}  // namespace

TEST(buffers_start_on_a_cache_line) {
  for (const Index count : {1, 3, 17, 1000}) {
    AlignedBuffer<float> buffer(count);
    CHECK(aligned(buffer.data()));
    CHECK_EQ(buffer.size(), count);
    buffer[count - 1] = 1.0F;
    AlignedBuffer<float> moved = std::move(buffer);
    CHECK_EQ(moved[count - 1], 1.0F);
  }
  CHECK(AlignedBuffer<double>(0).data() == nullptr);
  CHECK_THROWS(AlignedBuffer<double>(Index{1} << 61), std::bad_alloc, "");
}

TEST(ensure_grows_and_never_shrinks) {
  AlignedBuffer<int> buffer(4);
  const int* before = buffer.data();
  buffer.ensure(3);
  CHECK(buffer.data() == before);
  buffer.ensure(5);
  CHECK_EQ(buffer.size(), 5);
}

TEST(the_counted_size_is_exactly_enough) {
  const std::size_t bytes = WorkspaceSize().add<float>(17).add<double>(3).add<bool>(1).bytes();
  Workspace workspace(bytes);
  CHECK(aligned(workspace.take<float>(17)));
  CHECK(aligned(workspace.take<double>(3)));
  CHECK(aligned(workspace.take<bool>(1)));
  CHECK_EQ(workspace.used(), workspace.capacity());
  CHECK_THROWS(workspace.take<float>(1), std::out_of_range,
               "[Workspace.take] expected at most 0 bytes, got 64");
}

TEST(a_scope_gives_back_what_it_took) {
  Workspace workspace(256);
  float* outer = workspace.take<float>(16);
  float* inner = nullptr;
  {
    const Workspace::Scope scope(workspace);
    inner = workspace.take<float>(16);
    CHECK(inner != outer);
  }
  CHECK(workspace.take<float>(16) == inner);
  CHECK_THROWS(workspace.reserve(4096), std::logic_error, "cannot grow while pieces are in use");
  workspace.clear();
  workspace.reserve(4096);
  CHECK_EQ(workspace.capacity(), 4096U);
}
