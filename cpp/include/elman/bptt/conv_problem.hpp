// SPDX-License-Identifier: Apache-2.0
// elman/bptt/conv_problem.hpp: what one run of a convolutional recurrent layer reads and writes.
#pragma once

#include "elman/bptt/problem.hpp"
#include "elman/bptt/weights.hpp"
#include "elman/cells/conv_lstm.hpp"
#include "elman/core/threads.hpp"
#include "elman/core/workspace.hpp"
#include "elman/layers/tiles.hpp"

namespace elman::bptt {

/// The structures of problem.hpp with images for features and units: dims.features is inputs() C of
/// the input's window, dims.units is P F with P pixels of the state. Each pixel of a step has the
/// sums of F filters, padded to Fp.
/// Shapes    x [N,T,inputs,C]  h0, c0, h_last, c_last [N,P,F]  out, saved.h, h_all, c_all [N,T,P,F]
///           saved.slots [N,T,P,4,Fp] by input time  saved.c [N,T,P,Fp] likewise; of a scheduled
///           run only the used steps, in the order of its loop
///           input_dropout [1 or 4, N, inputs C]  recurrent_dropout [1 or 4, N, P F]
template <class T>
struct ConvInputs : Inputs<T> {
  Window input;  // over x
  Window state;  // over h: 'same', unit strides
  Index filters = 0;

  Index pixels() const { return state.outputs(); }
  Index rows() const { return this->dims.batch * pixels(); }
  /// Images that a training run keeps gates and cell states of.
  Index kept_images() const {
    return this->scheduled() ? this->used_steps() : this->dims.batch * this->dims.time;
  }
  Index padded() const { return simd::padded<T>(filters); }
  Index slots() const { return ConvLstm::kSlots * padded(); }
  /// Whether gates have masks of their own: then the points of x and h are made once for each.
  bool masks_per_gate() const {
    return this->input_dropout.per_gate() || this->recurrent_dropout.per_gate();
  }
  /// Whether the sums of a step and the gradients of the weights, and the gradients of h and of x,
  /// are computed in tiles of 2 x 2 pixels. With masks per gate it is the sums of one gate.
  bool steps_by_tiles() const {
    return tiles_fit(input) && tiles_fit(state) &&
           tiles_pay<T>(state, input.channels + filters, masks_per_gate() ? padded() : slots());
  }
  bool state_gradient_by_tiles() const {
    const Index channels = this->recurrent_dropout.per_gate() ? padded() : slots();
    return tiles_fit(state) && tiles_pay<T>(state, channels, filters);
  }
  bool input_gradient_by_tiles() const {
    const Index channels = this->input_dropout.per_gate() ? padded() : slots();
    return tiles_fit(input) &&
           tiles_pay<T>(transposed_window(input, slots()), channels, input.channels);
  }
  /// Of one step of so many samples.
  double flops_of_step(Index images) const {
    return 2.0 * double(images * pixels()) * 4.0 * double(filters) *
           double(input.depth() + state.depth());
  }
};

/// The window of the recurrent convolution over the outputs of `input`.
inline Window state_window(const Window& input, Index filters) {
  Window state;
  state.channels = filters;
  for (std::size_t k = 0; k < 3; ++k) {
    state.axes[k] = window_axis(input.axes[k].out, input.axes[k].taps, 1, 1, Padding::same);
  }
  return state;
}

/// The weights of the reverse loop: input images from dz, and dh from the dz of the step after.
template <class T>
struct ConvBackwardWeights {
  BackwardWeights<T, ConvLstm> input;
  // [F blocks][taps reversed, gates, Fp][W]; tap by tap with a mask per gate
  // [F blocks][gates, taps, Fp][W]
  AlignedBuffer<T> state;
  // The points of `state`, and of the same of the kernel, where gradients go by tiles.
  TileWeights<T> state_tiles, input_tiles;
  bool per_gate = false, tiles = false, x_tiles = false;

  void pack(const ConvInputs<T>& in, const KerasWeights<T>& w, bool with_x) {
    tiles = in.state_gradient_by_tiles();
    per_gate = !tiles && in.recurrent_dropout.per_gate();
    x_tiles = with_x && in.input_gradient_by_tiles();
    if (with_x && !x_tiles) input.pack(in.input.depth(), in.filters, w, true, false);
    if (x_tiles) {
      pack_turned(in, in.input, w.kernel, false);
      pack_points(in, in.input.channels, input_tiles);
    }
    pack_turned(in, in.state, w.recurrent_kernel, per_gate);
    if (tiles) pack_points(in, in.filters, state_tiles);
  }

 private:
  static constexpr Index kG = ConvLstm::kGates, kW = simd::kWidth<T>;

  void pack_turned(const ConvInputs<T>& in, const Window& window, const T* kernel,
                   bool gates_first) {
    const Index f = in.filters, hp = in.padded(), taps = window.taps(), depth = taps * kG * hp;
    const Index size = kernels::packed_size<T>(depth, window.channels, 1);
    state.ensure(size);
    if (hp != f) std::fill_n(state.data(), size, T(0));
    for (Index tap = 0; tap < taps; ++tap) {
      const T* from = kernel + (taps - 1 - tap) * window.channels * kG * f;
      for (Index g = 0; g < kG; ++g) {
        const Index at = gates_first ? g * taps + tap : tap * kG + g;
        kernels::pack_transposed(from + g * f, kG * f, f, window.channels,
                                 state.data() + at * hp * kW, depth);
      }
    }
  }
  void pack_points(const ConvInputs<T>& in, Index channels, TileWeights<T>& points) const {
    const Index blocks = simd::padded<T>(channels) / kW;
    points.pack(state.data(), kG * in.padded(), blocks, 1, TileWeights<T>::group_of(blocks));
  }
};

namespace detail {

// Rows whose patches are made and multiplied together: 160 KiB of them stay in L2 beside the
// weights of a block, and 96 rows are enough to read these once for many tiles.
inline constexpr Index kMostRows = 96, kPatchBytes = 160 * 1024;

template <class T>
inline Index rows_at_once(Index depth) {
  const Index fit = kPatchBytes / std::max<Index>(depth * Index(sizeof(T)), 1);
  return std::clamp<Index>(fit / 6 * 6, 6, kMostRows);
}

/// f(first, last) over the rows of one step, shared out to the threads in whole tiles.
template <class F>
inline void over_rows(double flops, Index rows, F&& f) {
  parallel_for(flops, (rows + 5) / 6,
               [&](Index begin, Index end) { f(begin * 6, std::min(rows, end * 6)); });
}

/// Threads for the steps of so many whole rows, see whole_rows.hpp: 20 ns for a filter of a row.
template <class T>
inline int whole_row_parts(const ConvInputs<T>& in, Index rows) {
  return plan_parts(800.0 * double(rows * in.filters), rows);
}

/// Images and, optionally, what multiplies them, each with the distance from one to the next; or
/// lists of both.
template <class T>
struct Images {
  const T* data = nullptr;
  Index stride = 0;
  const T* factor = nullptr;
  Index factor_stride = 0;
  const T* const* list = nullptr;  // instead of data; nullptr in it: an image of zeros
  const T* const* factors = nullptr;
  Index factor_offset = 0;  // from the factors in the list on: those of another gate

  explicit operator bool() const { return data != nullptr || list != nullptr; }
  Images at(Index i) const {
    Images one;
    one.data = list != nullptr ? list[i] : data + i * stride;
    if (factors != nullptr) one.factor = factors[i] + factor_offset;
    if (factor != nullptr) one.factor = factor + i * factor_stride;
    return one;
  }
};

/// Patches of the rows [first, last), [last - first, depth]; `scratch` is as large.
template <class T>
inline void load_patches(const Window& window, const Images<T>& images, Index first, Index last,
                         T* patches, T* scratch) {
  const Index depth = window.depth();
  if (images.list != nullptr) {
    for (Index r = first; r < last;) {  // image by image
      const Index pixels = window.outputs(), image = r / pixels, begin = r % pixels;
      const Index end = std::min(pixels, begin + last - r);
      T* to = patches + (r - first) * depth;
      if (images.list[image] == nullptr) {
        std::fill_n(to, (end - begin) * depth, T(0));
      } else {
        load_patches(window, images.at(image), begin, end, to, scratch);
      }
      r += end - begin;
    }
    return;
  }
  gather_patches(window, images.data, images.stride, first, last, patches, depth);
  if (images.factor == nullptr) return;
  gather_patches(window, images.factor, images.factor_stride, first, last, scratch, depth);
  for (Index i = 0; i < (last - first) * depth; ++i) patches[i] *= scratch[i];
}

/// Image and pixel of consecutive rows; a division per row and block would show.
struct Place {
  Index image = 0, pixel = 0;
};
inline void locate_rows(Index first, Index last, Index pixels, Place* places) {
  Place at{first / pixels, first % pixels};
  for (Index r = first; r < last; ++r, ++places) {
    *places = at;
    if (++at.pixel == pixels) at = {at.image + 1, 0};
  }
}

}  // namespace detail

}  // namespace elman::bptt
