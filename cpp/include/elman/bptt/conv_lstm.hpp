// SPDX-License-Identifier: Apache-2.0
// elman/bptt/conv_lstm.hpp: a whole convolutional recurrent layer, forward and backward.
#pragma once

#include <cstdio>
#include <string>
#include <type_traits>

#include "elman/bptt/conv_backward.hpp"
#include "elman/bptt/conv_forward.hpp"
#include "elman/bptt/conv_gradients.hpp"
#include "elman/bptt/plan.hpp"

namespace elman::bptt {

/// Runs the layer over all steps.
/// Shapes    as in conv_problem.hpp; N, T may be 0
/// Aliasing  outputs alias no input
/// Errors    none (shapes are checked by the caller)
/// Accuracy  as Lstm with taps (C + F) terms, or where it goes by tiles with the bound of
///           winograd.hpp for C + F channels, where an infinity may come out as NaN; bit-equal at
///           any thread count
/// Cost      8 S P F taps (C + F) flop for S used steps of all samples; no allocation between the
/// first step and the last after
///           the first call on a thread
template <class T>
inline void conv_forward(const ConvInputs<T>& in, const ConvForwardWeights<T>& weights,
                         const AnyActivations& activations, const Outputs<T>& out) {
  const Schedule* schedule = detail::make_schedule(in);
  with_activations<T, ConvLstm>(activations, [&](const auto& fn) {
    ConvForward<T, std::decay_t<decltype(fn)>>(in, schedule, weights, fn, out).run();
  });
}

/// Back-propagation through time. Consumes saved.slots (they become the gate gradients).
/// Shapes    as in conv_problem.hpp
/// Aliasing  gradients are added to what the targets hold; bit-equal at any thread count
/// Cost      about twice the forward run
template <class T>
inline void conv_backward(const ConvInputs<T>& in, const ConvBackwardWeights<T>& weights,
                          const AnyActivations& activations, const Saved<T>& saved,
                          const OutputGradients<T>& gradients, const InputGradients<T>& out) {
  const Schedule* schedule = detail::make_schedule(in);
  with_activations<T, ConvLstm>(activations, [&](const auto& fn) {
    using Loop = ConvBackward<T, std::decay_t<decltype(fn)>>;
    Loop(in, schedule, weights, fn, saved, gradients, out).run();
  });
  ConvGradients<T>(in, schedule, saved, out).run(weights);
}

/// What a run of those sizes does and needs, in words, one sentence a line.
template <class T>
inline std::string describe_conv(const ConvInputs<T>& in, const CallForm& form) {
  const Dims& d = in.dims;
  const Index pixels = in.pixels(), all = d.batch * d.time;
  const Index images = form.used_steps < 0 ? all : form.used_steps;
  const auto number = [](Index value) { return std::to_string(value); };
  char flops[48];
  std::snprintf(flops, sizeof(flops), "%.3g MFLOP", in.flops_of_step(images) / 1e6);
  const int threads = plan_parts(in.flops_of_step(d.batch), (in.rows() + 5) / 6);
  const Index depth = in.input.depth() + in.state.depth();
  std::string text = std::string("compiled kernel ") + ConvLstm::kName + ": " + number(d.batch) +
                     " samples, " + number(d.time) + " steps, " + number(pixels) + " pixels, " +
                     number(in.filters) + " filters; " + flops;
  if (form.scheduled) text += "\n" + detail::schedule_text(d, form);
  const bool tiles = in.steps_by_tiles();
  const Index channels = in.input.channels + in.filters;
  text += "\nboth convolutions of a step are ";
  if (tiles) {
    text += "Winograd F(2x2, 3x3): 16 products of depth " + number(channels) + ", " +
            number(TileGrid::kTiles) + " tiles of 2 x 2 pixels at a time, ";
    if (in.masks_per_gate()) text += "the masks of each gate on points of its own, ";
  } else {
    text += "one product of depth " + number(depth) + ", " +
            number(detail::rows_at_once<T>(depth)) + " patches at a time, ";
  }
  text += number(threads) +
          (threads == 1 ? " thread" : " threads, the pixels of each step split between them");
  if (form.by_rows) text += std::string("\n") + detail::kByRows + "pixel by pixel";
  const Index packed = depth + (tiles ? kernels::kWinogradPoints * channels : 0);
  text += "\npacked weights " + detail::bytes_text(std::size_t(packed * in.slots()) * sizeof(T));
  if (form.training) {
    const Index states = form.return_sequences ? 0 : all * d.units;
    const Index kept = images * pixels * (in.slots() + in.padded()) + states;
    text += "; kept for the backward pass: " + detail::bytes_text(std::size_t(kept) * sizeof(T)) +
            " of gates and states";
  }
  return text;
}

}  // namespace elman::bptt
