// SPDX-License-Identifier: Apache-2.0
// elman/bptt/row_offsets.hpp: where the rows of a time loop keep their states.
#pragma once

#include <cstdint>

#include "elman/bptt/schedule.hpp"
#include "elman/core/workspace.hpp"

namespace elman::bptt {

/// Rows of Hp units in a piece of memory, one after the other, with a gap between the shares of
/// threads: where one thread reads its last row, hardware prefetchers fetch what follows it from a
/// thread that is about to write there.
template <class T>
class RowOffsets {
 public:
  RowOffsets(const LoopRows<T>& rows, int parts, Index units, Workspace& workspace)
      : hp_(simd::padded<T>(units)), size_(size(rows.count(), parts, units)) {
    if (parts == 1) return;
    gaps_ = workspace.template take<std::int32_t>(rows.count());
    for (int part = 0; part < parts; ++part) {
      const Range share = rows.share(parts, part);
      for (Index row = share.begin; row < share.end; ++row) gaps_[row] = std::int32_t(part * kGap);
    }
  }

  /// Bytes that the constructor takes.
  static void count(Index rows, int parts, WorkspaceSize& bytes) {
    if (parts > 1) bytes.template add<std::int32_t>(rows);
  }

  /// Elements of the whole piece, with the gap behind the last rows.
  static Index size(Index rows, int parts, Index units) {
    return rows * simd::padded<T>(units) + (parts == 1 ? 0 : parts * kGap);
  }
  [[nodiscard]] Index size() const { return size_; }

  /// Where a row begins. Rows of one share are Hp apart.
  [[nodiscard]] __attribute__((always_inline)) Index operator()(Index row) const {
    return row * hp_ + (gaps_ == nullptr ? 0 : gaps_[row]);
  }

 private:
  // Two pages, beyond what prefetchers do, and a line, so that rows of different shares do not fall
  // into the same sets of a cache.
  static constexpr Index kGap = (8192 + 64) / Index(sizeof(T));

  Index hp_, size_;
  std::int32_t* gaps_ = nullptr;
};

}  // namespace elman::bptt
