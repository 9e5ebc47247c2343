// SPDX-License-Identifier: Apache-2.0
// elman/bptt/plan.hpp: what a run will do and need, known before it starts.
#pragma once

#include <algorithm>
#include <chrono>
#include <cstdio>
#include <string>

#include "elman/bptt/recurrent.hpp"

namespace elman::bptt {

/// What a call is besides its sizes.
struct CallForm {
  bool training = false;
  bool return_sequences = false;
  bool scheduled = false;       // mask, lengths or resets: rows of their own steps
  Index used_steps = -1;        // of all rows together; -1: all of them
  bool masks_per_gate = false;  // dropout
  bool by_rows = false;         // activations of all units of a row
  Index distinct_rows = 0;      // of x, where each of them is multiplied once; 0: not known
};

/// Figures of one forward run (and, with training, of what it keeps for the backward run).
struct Plan {
  int threads = 1;
  bool by_units = false;        // the threads share the units of each step, not the batch
  bool projects_input = false;  // the input side of many steps is one product: projects_ahead()
  int tile_rows = 1, tile_blocks = 1, lanes = 1;
  double flops = 0;
  std::size_t weight_bytes = 0;     // packed forward weights
  std::size_t workspace_bytes = 0;  // of all threads together
  std::size_t saved_bytes = 0;      // gates and states of every step
  double gflops = 0;                // expected, from what this machine reached in a short trial
};

namespace detail {

template <class F>
inline double best_seconds(F&& f) {
  double best = 1e30;
  for (int i = 0; i < 5; ++i) {
    const auto begin = std::chrono::steady_clock::now();
    f();
    best = std::min(
        best, std::chrono::duration<double>(std::chrono::steady_clock::now() - begin).count());
  }
  return best;
}

/// Flop per second of one thread in a product that fits into L2; tried once, in a few ms.
template <class T>
inline double product_rate() {
  static const double rate = [] {
    constexpr Index kSize = 192;
    AlignedBuffer<T> a(kSize * kSize), b(kSize * kSize), c(kSize * kSize);
    for (AlignedBuffer<T>* m : {&a, &b, &c}) std::fill_n(m->data(), m->size(), T(1));
    const auto run = [&] {
      kernels::multiply_packed(kSize, kSize, kSize, a.data(), kSize, b.data(), c.data(), kSize,
                               false);
    };
    return 2.0 * double(kSize * kSize * kSize) / best_seconds(run);
  }();
  return rate;
}

/// Bytes per second at which one thread reads so many bytes again and again.
template <class T>
inline double reading_rate(std::size_t bytes) {
  const Index count = std::max<Index>(Index(bytes / sizeof(T)), 1024);
  const AlignedBuffer<T> data = [&] {
    AlignedBuffer<T> filled(simd::round_up(count, 4 * simd::kWidth<T>));
    std::fill_n(filled.data(), filled.size(), T(0));
    return filled;
  }();
  constexpr Index kW = simd::kWidth<T>;
  alignas(64) volatile T sink[kW];
  const double seconds = best_seconds([&] {
    simd::Packet<T> sum[4] = {simd::zero<T>(), simd::zero<T>(), simd::zero<T>(), simd::zero<T>()};
    for (Index i = 0; i < data.size(); i += 4 * kW) {
      for (Index j = 0; j < 4; ++j) {
        sum[j] = simd::add(sum[j], simd::load<T>(data.data() + i + j * kW));
      }
    }
    sink[0] = simd::reduce_add<T>(simd::add(simd::add(sum[0], sum[1]), simd::add(sum[2], sum[3])));
  });
  return double(data.size()) * double(sizeof(T)) / seconds;
}

}  // namespace detail

/// What is projected ahead runs at the machine's rate of products; the loop, which has `recurrent`
/// flops of its own, at that or as fast as each step reads its weights.
template <class T>
inline double expected_gflops(const Plan& plan, const Dims& d, double recurrent) {
  if (plan.flops == 0) return 0;
  const double threads = double(plan.threads), rate = detail::product_rate<T>();
  const double ahead = plan.projects_input ? plan.flops - recurrent : 0;
  const double of_loop = plan.projects_input ? double(d.units) / double(d.features + d.units) : 1;
  const double read =
      double(plan.weight_bytes) * of_loop * double(d.time) * (plan.by_units ? 1.0 : threads);
  const double loop =
      std::max((plan.flops - ahead) / rate, read / detail::reading_rate<T>(plan.weight_bytes));
  return plan.flops / (ahead / rate + loop) * threads / 1e9;
}

template <class T, class Cell>
inline Plan make_plan(const Dims& d, const CallForm& form) {
  constexpr int kS = Cell::template Phase<0>::kSlots;
  const Index all = d.batch * d.time, steps = form.used_steps < 0 ? all : form.used_steps;
  Plan plan;
  plan.flops = flops<Cell>(d, steps);
  const bool known = form.distinct_rows > 0;
  if (known) {
    plan.flops -= 2.0 * double(steps - form.distinct_rows) * Cell::kGates * double(d.units) *
                  double(d.features);
  }
  const Partition share = partition<T, Cell>(d, steps);
  plan.threads = share.parts;
  plan.by_units = share.by_units;
  const Index rows = (d.batch + share.row_parts() - 1) / share.row_parts();
  const bool as_one = detail::share_as_one(d, share);
  plan.projects_input = known || projects_ahead<T, Cell>(d, as_one ? d.batch : rows);
  plan.tile_rows = kernels::TileShape<kS>::rows(rows);
  plan.tile_blocks = kernels::TileShape<kS>::blocks(plan.tile_rows);
  plan.lanes = simd::kWidth<T>;
  const Index hp = simd::padded<T>(d.units);
  plan.weight_bytes = std::size_t((d.features + d.units) * Cell::kGates * hp) * sizeof(T);
  Inputs<T> in;
  in.dims = d;
  const std::uint8_t marks_a_schedule = 0;
  if (form.scheduled) in.reset = &marks_a_schedule;
  WorkspaceSize size;
  ForwardRows<T, Cell, AnyActivations>::count(in, form.training, known, form.by_rows,
                                              as_one ? d.batch : rows, as_one ? share : Partition{},
                                              size);
  plan.workspace_bytes = size.bytes() * std::size_t(as_one ? 1 : share.row_parts());
  if (form.scheduled) plan.workspace_bytes += std::size_t(steps) * sizeof(Schedule::Entry);
  plan.workspace_bytes +=
      std::size_t(form.distinct_rows * (d.features + Cell::kSlots * hp)) * sizeof(T);
  if (form.training) {
    const Index per_step = (Cell::kSlots + (Cell::kStates == 2 ? 1 : 0)) * hp;
    const Index states = form.return_sequences ? 0 : all * d.units;
    plan.saved_bytes = std::size_t(steps * per_step + states) * sizeof(T);
  }
  plan.gflops = expected_gflops<T>(plan, d, flops<Cell>({d.batch, d.time, 0, d.units}, steps));
  return plan;
}

namespace detail {

inline std::string bytes_text(std::size_t bytes) {
  char text[32];
  if (bytes < 10 * 1024) {
    std::snprintf(text, sizeof(text), "%zu bytes", bytes);
  } else if (bytes < 10 * 1024 * 1024) {
    std::snprintf(text, sizeof(text), "%.0f KiB", double(bytes) / 1024);
  } else {
    std::snprintf(text, sizeof(text), "%.0f MiB", double(bytes) / (1024 * 1024));
  }
  return text;
}

inline constexpr const char* kByRows = "softmax: the sums of a step first, then its activations ";

inline std::string schedule_text(const Dims& d, const CallForm& form) {
  std::string text =
      "mask, lengths and resets in the kernel: rows in the order of their used steps";
  if (form.used_steps >= 0) {
    text += ", " + std::to_string(form.used_steps) + " of " + std::to_string(d.batch * d.time) +
            " steps are computed";
  }
  return text;
}

}  // namespace detail

/// The plan in words, one sentence a line.
inline std::string describe(const Plan& plan, const std::string& cell, const Dims& d,
                            const CallForm& form) {
  char flops[48];
  std::snprintf(flops, sizeof(flops), "%.3g MFLOP", plan.flops / 1e6);
  std::string text = "compiled kernel " + cell + ": " + std::to_string(d.batch) + " rows, " +
                     std::to_string(d.time) + " steps, " + std::to_string(d.features) +
                     " features, " + std::to_string(d.units) + " units; " + flops + "\n";
  text += "tiles of " + std::to_string(plan.tile_rows) + " rows x " +
          std::to_string(plan.tile_blocks * plan.lanes) + " units (" + std::to_string(plan.lanes) +
          " lanes), " + std::to_string(plan.threads) +
          (plan.threads == 1 ? " thread\n"
           : plan.by_units   ? " threads, the units of each step split between them\n"
                             : " threads, the batch split between them\n");
  if (form.scheduled) text += detail::schedule_text(d, form) + "\n";
  text += form.distinct_rows > 0
              ? std::to_string(form.distinct_rows) + " of " + std::to_string(d.batch * d.time) +
                    " rows of x are different, as an embedding says: their input projection is one "
                    "product, ahead of the loop\n"
          : plan.projects_input
              ? "few rows: the input projection of many steps is one product, ahead of the loop\n"
              : "input and recurrent product of a step are one accumulation\n";
  if (form.by_rows) text += std::string(detail::kByRows) + "row by row\n";
  char rate[64];
  std::snprintf(rate, sizeof(rate), "about %.0f GFLOP/s to expect here\n", plan.gflops);
  text += rate;
  text += "packed weights " + detail::bytes_text(plan.weight_bytes) + ", workspace " +
          detail::bytes_text(plan.workspace_bytes);
  if (form.training) {
    text += "; kept for the backward pass: " + detail::bytes_text(plan.saved_bytes) +
            " of gates and states";
  }
  return text;
}

}  // namespace elman::bptt
