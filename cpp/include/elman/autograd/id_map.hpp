// SPDX-License-Identifier: Apache-2.0
// elman/autograd/id_map.hpp: which tensors a tape knows.
#pragma once

#include <cstdint>
#include <vector>

namespace elman::detail {

/// Tensor ids (never 0) to slots. Open addressing without removal: one probe and no allocation per
/// lookup, where a node-based map would cost more than a small operation itself.
class IdMap {
 public:
  /// The slot of id, or -1.
  [[nodiscard]] int find(std::uint64_t id) const noexcept {
    if (size_ == 0) return -1;
    for (std::size_t i = home(id);; i = (i + 1) & (cells_.size() - 1)) {
      if (cells_[i].id == id) return cells_[i].slot;
      if (cells_[i].id == 0) return -1;
    }
  }

  /// id must be new.
  void insert(std::uint64_t id, int slot) {
    if (2 * (size_ + 1) > cells_.size()) grow();
    place({id, slot});
    ++size_;
  }

  void clear() noexcept {
    cells_.clear();
    size_ = 0;
  }

 private:
  struct Cell {
    std::uint64_t id = 0;
    int slot = -1;
  };

  // Ids count up, so a multiplication by 2^64 / golden ratio spreads neighbours evenly.
  [[nodiscard]] std::size_t home(std::uint64_t id) const noexcept {
    return static_cast<std::size_t>((id * 0x9E3779B97F4A7C15ull) >> 32) & (cells_.size() - 1);
  }
  void place(Cell cell) noexcept {
    std::size_t i = home(cell.id);
    while (cells_[i].id != 0) i = (i + 1) & (cells_.size() - 1);
    cells_[i] = cell;
  }
  void grow() {
    std::vector<Cell> old(cells_.empty() ? 64 : 2 * cells_.size());
    old.swap(cells_);
    for (const Cell& cell : old) {
      if (cell.id != 0) place(cell);
    }
  }

  std::vector<Cell> cells_;
  std::size_t size_ = 0;
};

}  // namespace elman::detail
