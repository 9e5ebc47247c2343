// SPDX-License-Identifier: Apache-2.0
// elman/bptt/recurrent.hpp: a whole recurrent layer, forward and backward, on plain pointers.
#pragma once

#include <type_traits>

#include "elman/bptt/backward.hpp"
#include "elman/bptt/forward.hpp"
#include "elman/bptt/gradients.hpp"

namespace elman::bptt {

namespace detail {

/// The calling thread's arena, reused between calls.
inline Workspace& thread_workspace() {
  static thread_local Workspace workspace;
  return workspace;
}

/// The calling thread's schedule of that run, or nullptr where every row takes every step.
template <class T>
inline const Schedule* make_schedule(const Inputs<T>& in) {
  if (!in.scheduled()) return nullptr;
  static thread_local Schedule schedule;
  schedule.build(in);
  return &schedule;
}

/// Whether threads that share the rows of a batch go through one loop, where they can take rows
/// over from each other. Few rows each have loops of their own, which may project their input
/// ahead.
inline bool share_as_one(const Dims& d, Partition share) {
  return (d.batch + share.row_parts() - 1) / share.row_parts() > kFewRows;
}

/// Runs f(rows, threads, workspace) for all rows at once or for the share of each thread;
/// size(rows, threads) tells the bytes that they take from the workspace.
template <class T, class Cell, class Size, class F>
inline void for_rows(const Dims& d, const Schedule* schedule, Size&& size, F&& f) {
  const Index steps = schedule ? schedule->total() : d.batch * d.time;
  Partition share = partition<T, Cell>(d, steps);
  share.parts = ThreadPool::global().worth_waking(share.parts, flops<Cell>(d, steps));
  const auto run = [&](Range rows, Partition threads) {
    Workspace& workspace = thread_workspace();
    const Workspace::Scope scope(workspace);
    workspace.reserve(size(rows.size(), threads));
    f(rows, threads, workspace);
  };
  if (share.row_parts() == 1 || share_as_one(d, share)) return run({0, d.batch}, share);
  ThreadPool::global().run(share.parts, [&](int part) {
    const Range rows = share_of_rows(schedule, d.batch, share.parts, part);
    if (rows.size() != 0) run(rows, {});
  });
}

}  // namespace detail

/// Runs the layer over all steps; partition() tells how the threads share them.
/// Shapes    as in problem.hpp; N, T may be 0
/// Aliasing  outputs alias no input
/// Errors    none (shapes are checked by the caller)
/// Cost      2 S G H (F + H) flop for S used steps, less where row_ids tell of equal rows; no
///           allocation after the first call on a thread
template <class T, class Cell>
inline void forward(const Inputs<T>& in, const ForwardWeights<T, Cell>& weights,
                    const AnyActivations& activations, const Outputs<T>& out) {
  const Dims& d = in.dims;
  if (d.batch == 0 || d.units == 0) return;
  const Schedule* schedule = detail::make_schedule(in);
  const KnownSums<T, Cell> known(in, weights, detail::find_distinct_rows<T, Cell>(in, schedule));
  with_activations<T, Cell>(activations, [&](const auto& fn) {
    using Rows = ForwardRows<T, Cell, std::decay_t<decltype(fn)>>;
    const auto size = [&](Index rows, Partition threads) {
      WorkspaceSize bytes;
      Rows::count(in, out.saved.slots != nullptr, bool(known), activations.by_rows(), rows, threads,
                  bytes);
      return bytes.bytes();
    };
    detail::for_rows<T, Cell>(
        d, schedule, size, [&](Range rows, Partition threads, Workspace& workspace) {
          Rows(in, schedule, weights, known, fn, out, rows, threads, workspace).run();
        });
  });
}

/// Back-propagation through time. Consumes saved.slots (they become the gate gradients).
/// Shapes    as in problem.hpp
/// Aliasing  gradients are added to what the targets hold; bit-equal at any thread count
/// Cost      about twice the forward run
template <class T, class Cell>
inline void backward(const Inputs<T>& in, const BackwardWeights<T, Cell>& weights,
                     const AnyActivations& activations, const Saved<T>& saved,
                     const OutputGradients<T>& gradients, const InputGradients<T>& out) {
  const Dims& d = in.dims;
  if (d.units == 0) return;
  const Schedule* schedule = detail::make_schedule(in);
  if (d.batch == 0) return WeightGradients<T, Cell>(in, schedule, nullptr, saved, out).run(weights);
  with_activations<T, Cell>(activations, [&](const auto& fn) {
    using Rows = BackwardRows<T, Cell, std::decay_t<decltype(fn)>>;
    const auto size = [&](Index rows, Partition threads) {
      WorkspaceSize bytes;
      Rows::count(in, activations.by_rows(), rows, threads, bytes);
      return bytes.bytes();
    };
    detail::for_rows<T, Cell>(
        d, schedule, size, [&](Range rows, Partition threads, Workspace& workspace) {
          Rows(in, schedule, weights, fn, saved, gradients, out, rows, threads, workspace).run();
        });
  });
  const bool sums = out.kernel != nullptr || (out.x != nullptr && out.x_by_id);
  const DistinctRows* distinct = sums ? detail::find_distinct_rows<T, Cell>(in, schedule) : nullptr;
  WeightGradients<T, Cell>(in, schedule, distinct, saved, out).run(weights);
}

}  // namespace elman::bptt
