// SPDX-License-Identifier: Apache-2.0
// elman/bptt/partition.hpp: how the threads share one run of a recurrent layer.
#pragma once

#include <algorithm>

#include "elman/bptt/problem.hpp"
#include "elman/core/threads.hpp"

namespace elman::bptt {

// Up to this many rows a step reads all weights for little work: threads that share its units read
// a part of them each.
inline constexpr Index kFewRows = 4;

/// Whether the input projections of many steps are one product, ahead of the loop over them, of so
/// many rows that go through the loop together. That takes half of the reading of weights out of
/// the loop, but the sums go through memory. For one or two rows it pays if the kernel is more than
/// what stays in L1, for a few more if it comes from memory; with AVX-512 three rows are done
/// before their weights are there, and four where the weights exceed L2.
template <class T, class Cell>
inline bool projects_ahead(const Dims& d, Index rows) {
  constexpr bool kWide = simd::kRegisters == 32;
  constexpr Index kOfRow = 32 * 1024, kOfFew = 8 * 1024 * 1024;
  constexpr Index kOfFour = kWide ? 512 * 1024 : kOfFew;
  const Index kernel = d.features * Cell::kGates * d.units * Index(sizeof(T));
  const Index least = rows <= (kWide ? 3 : 2) ? rows * kOfRow : rows <= 4 ? kOfFour : kOfFew;
  return d.time > 1 && rows <= 6 && kernel > least;
}

// Weights that fit into one core's L2 twice over are read from there, whoever reads them. With many
// rows a thread, larger ones come from the last-level cache while the rows are summed; threads that
// share units would pass each other their states every step, which takes longer where processors
// are far apart.
inline constexpr Index kSharedBytes = 512 * 1024, kManySharedBytes = 2048 * 1024;
inline constexpr Index kManyRows = 32;

/// Rows of the batch are independent, so that threads which split them meet only where one takes
/// rows over (core/shares.hpp), but each of them reads all weights. Where there are few rows, or
/// more weights than a core keeps in its L2, the units of each step are split, with a barrier per
/// step and phase. No choice changes a bit, as each element is summed by one thread in one order.
struct Partition {
  int parts = 1;
  bool by_units = false;

  [[nodiscard]] int unit_parts() const { return by_units ? parts : 1; }
  [[nodiscard]] int row_parts() const { return by_units ? 1 : parts; }
};

/// Of a product of some rows with the weights of so many gates.
inline double flops(double rows, int gates, Index units, Index depth) {
  return 2.0 * rows * gates * double(units) * double(depth);
}

/// Of so many steps of one row.
template <class Cell>
inline double flops(const Dims& d, Index steps) {
  return flops(double(steps), Cell::kGates, d.units, d.features + d.units);
}

/// Threads that share the units of each step of `rows` rows on average: two blocks a part at least,
/// and what a step of `depth` sums per gate does between two barriers has to outweigh them.
template <class T, class Cell>
inline int unit_parts(double rows, Index units, Index depth) {
  const double step = flops(rows, Cell::kGates, units, depth);
  const Index blocks = simd::padded<T>(units) / simd::kWidth<T>;
  return plan_parts(step / Cell::kPhases, blocks / 2);
}

/// steps: those of all rows together that are computed.
template <class T, class Cell>
inline Partition partition(const Dims& d, Index steps) {
  const Partition rows{plan_parts(flops<Cell>(d, steps), d.batch), false};
  const Index weights = Cell::kGates * d.units * (d.features + d.units) * Index(sizeof(T));
  if (d.batch > kFewRows && weights < kSharedBytes) return rows;
  if (d.batch >= kManyRows * rows.parts && weights <= kManySharedBytes) return rows;
  // Where rows can be shared instead, and without barriers, units have to outweigh them twice over.
  const double active = double(steps) / double(std::max<Index>(d.time, 1));
  const double weight = d.batch == 1 ? 2 : 1;
  const Partition units{unit_parts<T, Cell>(weight * active, d.units, d.units), true};
  return units.parts >= rows.parts && units.parts > 1 ? units : rows;
}

}  // namespace elman::bptt
