// SPDX-License-Identifier: Apache-2.0
// elman/bptt/conv_forward.hpp: the time loop over images.
#pragma once

#include <array>

#include "elman/bptt/conv_tiles.hpp"
#include "elman/bptt/phase.hpp"
#include "elman/bptt/recurrent.hpp"

namespace elman::bptt {

/// All steps, one after the other; the threads share the rows of each. The convolutions of a step
/// are one product, of patches or of the points of tiles, and the cell's pointwise step its
/// epilogue.
template <class T, class Activations>
class ConvForward {
  using Cell = ConvLstm;
  using Phase = Cell::Phase<0>;
  static constexpr Index kW = simd::kWidth<T>;

 public:
  ConvForward(const ConvInputs<T>& in, const ConvForwardWeights<T>& weights,
              const Activations& fn, const Outputs<T>& out)
      : in_(in), w_(weights), fn_(fn), out_(out), hp_(in.padded()), image_(in.dims.units) {
    if (out.saved.h) {
      h_ = out.saved.h;
    } else if (out.out.step != 0 && in.mask == nullptr) {
      h_ = out.out;  // what a step returns is what the next one reads
    } else {
      own_h_ = AlignedBuffer<T>(2 * in.dims.batch * image_);
    }
    if (out.saved.c == nullptr) own_c_ = AlignedBuffer<T>(in.rows() * hp_);
    const bool needs_zeros = in.h0 == nullptr && !weights.recurrent_finite;
    if (needs_zeros) {
      zeros_ = AlignedBuffer<T>(image_);
      std::fill(zeros_.begin(), zeros_.end(), T(0));
    }
    deepest_ = std::max(in.input.depth(), in.state.depth());
    most_rows_ = detail::rows_at_once<T>(in.input.depth() + in.state.depth());
  }

  void run() {
    for (Index s = 0; s < in_.dims.time; ++s) {
      if (w_.tiles) {
        detail::step_by_tiles(in_, w_, {in_.x.at(0, in_.time(s)), in_.x.row}, before(s),
                              [&](const detail::Place& at, Index block, const T* sums) {
                                unit(s, at, block, sums);
                              });
        continue;
      }
      detail::over_rows(in_.flops_of_step(), in_.rows(),
                        [&](Index first, Index last) { step(s, first, last); });
    }
    finish();
  }

 private:
  static Index copies(const Factors<T>& factors) { return factors.per_gate() ? Cell::kGates : 1; }

  /// Bytes that a thread takes for its patches.
  std::size_t workspace_bytes() const {
    WorkspaceSize size;
    size.add<T>(copies(in_.input_dropout) * most_rows_ * in_.input.depth());
    size.add<T>(copies(in_.recurrent_dropout) * most_rows_ * in_.state.depth());
    return size.add<T>(most_rows_ * deepest_).bytes();
  }

  void step(Index s, Index first, Index last) {
    Workspace& workspace = detail::thread_workspace();
    const Workspace::Scope scope(workspace);
    workspace.reserve(workspace_bytes());
    T* x = workspace.take<T>(copies(in_.input_dropout) * most_rows_ * in_.input.depth());
    T* h = workspace.take<T>(copies(in_.recurrent_dropout) * most_rows_ * in_.state.depth());
    T* scratch = workspace.take<T>(most_rows_ * deepest_);
    std::array<detail::Place, detail::kMostRows> places;
    for (Index row = first; row < last; row += most_rows_) {
      const Index end = std::min(last, row + most_rows_);
      detail::locate_rows(row, end, in_.pixels(), places.data());
      StepProduct<T> p;
      p.init = w_.bias.data();
      p.init_slot = hp_;
      p.x = side(in_.input, {in_.x.at(0, in_.time(s)), in_.x.row}, in_.input_dropout, row, end, x,
                 scratch, w_.x[0].data());
      const detail::Images<T> state = before(s);
      if (state.data != nullptr) {
        p.h = side(in_.state, state, in_.recurrent_dropout, row, end, h, scratch, w_.h[0].data());
      }
      // The walk over the weights turns back after each chunk.
      const Blocks blocks{0, hp_ / kW, row / most_rows_ % 2 != 0};
      run_phase<T, Phase>(p, end - row, blocks, [&](Index r, Index block, const T* sums) {
        unit(s, places[static_cast<std::size_t>(r)], block, sums);
      });
    }
  }

  Side<T> side(const Window& window, detail::Images<T> images, const Factors<T>& factors,
               Index first, Index last, T* patches, T* scratch, const T* weights) const {
    Side<T> out;
    out.a = patches;
    out.w = weights;
    out.row = out.depth = window.depth();
    const Index size = (last - first) * out.depth;
    for (int gate = 0; gate < copies(factors); ++gate) {
      if (factors.gates != 0) {
        images.factor = factors.row(gate, 0);
        images.factor_stride = factors.columns;
      }
      detail::load_patches(window, images, first, last, patches + gate * size, scratch);
    }
    if (factors.per_gate()) out.gate = size;
    return out;
  }

  // h of the step before s; without data where it is zero and adds nothing.
  detail::Images<T> before(Index s) const {
    if (s > 0) return {target(s - 1), h_ ? h_.row : image_};
    if (in_.h0 != nullptr) return {in_.h0, image_};
    return {zeros_.data(), 0};
  }
  T* target(Index s) const {
    if (h_) return h_.data + s * h_.step;
    return const_cast<T*>(own_h_.data()) + s % 2 * in_.dims.batch * image_;
  }
  T* cell_state(Index s, const detail::Place& at) {
    if (out_.saved.c == nullptr) return own_c_.data() + (at.n * in_.pixels() + at.pixel) * hp_;
    return out_.saved.c + ((at.n * in_.dims.time + s) * in_.pixels() + at.pixel) * hp_;
  }

  // One row and block: the sums become states and output.
  void unit(Index s, const detail::Place& at, Index block, const T* sums) {
    const Index j = block * kW, lanes = in_.filters - j;
    const Index pixel = at.pixel * in_.filters + j;
    alignas(64) T h[kW], c[kW];
    simd::store<T>(c, s > 0 ? simd::load<T>(cell_state(s - 1, at) + j)
                      : in_.c0 != nullptr
                          ? simd::load_partial<T>(in_.c0 + at.n * image_ + pixel, lanes)
                          : simd::zero<T>());
    const bool used = in_.used(at.n, s);
    if (used) {
      ForwardUnit<T> u;
      u.z = sums;
      u.h = h;
      u.c = c;
      u.slot_stride = hp_;
      if (out_.saved.slots != nullptr) {
        const Index image = at.n * in_.dims.time + in_.time(s);
        u.saved = out_.saved.slots + (image * in_.pixels() + at.pixel) * in_.slots() + j;
      }
      Cell::forward<0, T>(fn_, u);
    } else {
      const detail::Images<T> state = before(s);
      simd::store<T>(h,
                     state.data == nullptr
                         ? simd::zero<T>()
                         : simd::load_partial<T>(state.data + at.n * state.stride + pixel, lanes));
    }
    simd::store<T>(cell_state(s, at) + j, simd::load<T>(c));
    T* state = target(s) + at.n * (h_ ? h_.row : image_) + pixel;
    simd::store_partial<T>(state, simd::load<T>(h), lanes);
    write(s, at, pixel, lanes, used, simd::load<T>(h));
  }

  // A skipped step repeats the output before it, zeros at first.
  void write(Index s, const detail::Place& at, Index pixel, Index lanes, bool used,
             const simd::Packet<T>& h) {
    if (out_.out.data == h_.data) return;
    T* out = out_.out.at(at.n, s) + pixel;
    if (used) {
      simd::store_partial<T>(out, h, lanes);
    } else if (in_.zero_output_for_mask || s == 0) {
      simd::store_partial<T>(out, simd::zero<T>(), lanes);
    } else if (out_.out.step != 0) {
      simd::store_partial<T>(out, simd::load_partial<T>(out - out_.out.step, lanes), lanes);
    }
  }

  void finish() {
    const Index last = in_.dims.time - 1, n = in_.dims.batch, f = in_.filters;
    if (last < 0) {
      copy_or_clear(in_.h0, out_.h_last);
      return copy_or_clear(in_.c0, out_.c_last);
    }
    for (Index i = 0; out_.h_last != nullptr && i < n; ++i) {
      std::copy_n(target(last) + i * (h_ ? h_.row : image_), image_, out_.h_last + i * image_);
    }
    for (Index i = 0; out_.c_last != nullptr && i < in_.rows(); ++i) {
      const detail::Place at{i / in_.pixels(), i % in_.pixels()};
      std::copy_n(cell_state(last, at), f, out_.c_last + i * f);
    }
  }
  void copy_or_clear(const T* from, T* to) const {
    if (to == nullptr) return;
    const Index count = in_.dims.batch * image_;
    if (from != nullptr) std::copy_n(from, count, to);
    if (from == nullptr) std::fill_n(to, count, T(0));
  }

  const ConvInputs<T>& in_;
  const ConvForwardWeights<T>& w_;
  const Activations& fn_;
  const Outputs<T>& out_;
  Index hp_, image_;
  Index deepest_ = 0, most_rows_ = 0;
  Sequence<T> h_;  // where h of every step stays; else two images take turns
  AlignedBuffer<T> own_h_, own_c_, zeros_;
};

}  // namespace elman::bptt
