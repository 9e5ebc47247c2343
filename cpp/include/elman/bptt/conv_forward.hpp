// SPDX-License-Identifier: Apache-2.0
// elman/bptt/conv_forward.hpp: the time loop over images.
#pragma once

#include <array>
#include <vector>

#include "elman/bptt/conv_tiles.hpp"
#include "elman/bptt/phase.hpp"
#include "elman/bptt/recurrent.hpp"
#include "elman/bptt/skipped.hpp"
#include "elman/bptt/whole_rows.hpp"

namespace elman::bptt {

/// All steps, one after the other; the threads share the rows of each. The convolutions of a step
/// are one product, of patches or of the points of tiles, and the cell's pointwise step its
/// epilogue; where an activation needs all filters of a pixel, it comes after the product.
template <class T, class Activations>
class ConvForward {
  using Cell = ConvLstm;
  using Phase = Cell::Phase<0>;
  static constexpr Index kW = simd::kWidth<T>;

 public:
  ConvForward(const ConvInputs<T>& in, const Schedule* schedule,
              const ConvForwardWeights<T>& weights, const Activations& fn, const Outputs<T>& out)
      : in_(in),
        w_(weights),
        fn_(fn),
        out_(out),
        rows_(in, schedule, 0, in.dims.batch),
        hp_(in.padded()),
        image_(in.dims.units) {
    if (out.saved.h) {
      h_ = out.saved.h;
    } else if (out.out.step != 0) {
      h_ = out.out;  // what a step returns is what the next one reads
    } else if (out.h_all) {
      h_ = out.h_all;
    } else {
      own_h_ = AlignedBuffer<T>(2 * in.dims.batch * image_);
    }
    if (out.saved.c == nullptr) own_c_ = AlignedBuffer<T>(in.rows() * hp_);
    if (fn.by_rows()) {
      step_sums_ = AlignedBuffer<T>(StepSums<T, Lstm>::size(in.rows(), in.filters));
      sums_ = {step_sums_.data(), in.filters};
    }
    if (schedule != nullptr) {
      listed_x_.resize(static_cast<std::size_t>(in.dims.batch));
      listed_h_.resize(listed_x_.size());
      list_factors(in.input_dropout, listed_input_);
      list_factors(in.recurrent_dropout, listed_recurrent_);
    } else if (in.h0 == nullptr && !weights.recurrent_finite) {
      zeros_ = AlignedBuffer<T>(image_);
      std::fill(zeros_.begin(), zeros_.end(), T(0));
    }
    deepest_ = std::max(in.input.depth(), in.state.depth());
    most_rows_ = detail::rows_at_once<T>(in.input.depth() + in.state.depth());
  }

  void run() {
    for (Index k = 0; k < rows_.steps(); ++k) {
      const Index active = rows_.active(k);
      const detail::Images<T> x = images(k, active), h = before(k, active);
      if (w_.tiles) {
        detail::step_by_tiles(in_, w_, x, h, active,
                              [&](const detail::Place& at, Index block, const T* sums)
                                  __attribute__((always_inline)) { unit(k, at, block, sums); });
      } else {
        detail::over_rows(in_.flops_of_step(active), active * in_.pixels(),
                          [&](Index first, Index last) { step(k, x, h, first, last); });
      }
      if constexpr (!Activations::kKnown) {
        if (sums_) whole_rows(k, active * in_.pixels());
      }
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

  void step(Index k, const detail::Images<T>& x_images, const detail::Images<T>& h_images,
            Index first, Index last) {
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
      p.x = side(in_.input, x_images, in_.input_dropout, row, end, x, scratch, w_.x[0].data());
      if (h_images) {
        p.h =
            side(in_.state, h_images, in_.recurrent_dropout, row, end, h, scratch, w_.h[0].data());
      }
      // The walk over the weights turns back after each chunk.
      const Blocks blocks{0, hp_ / kW, row / most_rows_ % 2 != 0};
      const auto to_states = [&](Index r, Index block, const T* sums) {
        unit(k, places[static_cast<std::size_t>(r)], block, sums);
      };
      run_phase<T, Phase>(p, end - row, blocks, each_block<T, Phase>(to_states));
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
      if (images.factors != nullptr) {
        images.factor_offset = gate * factors.batch * factors.columns;
      } else if (factors.gates != 0) {
        images.factor = factors.row(gate, 0);
        images.factor_stride = factors.columns;
      }
      detail::load_patches(window, images, first, last, patches + gate * size, scratch);
    }
    if (factors.per_gate()) out.gate = size;
    return out;
  }

  // The factors of each row, where the rows do not stand as they are given.
  void list_factors(const Factors<T>& factors, std::vector<const T*>& list) const {
    if (factors.gates == 0) return;
    for (Index r = 0; r < in_.dims.batch; ++r) list.push_back(factors.row(0, rows_.sample(r)));
  }

  detail::Images<T> images(Index k, Index active) {
    detail::Images<T> out;
    if (listed_x_.empty()) {
      out.data = in_.x.at(0, in_.time(k));
      out.stride = in_.x.row;
      return out;
    }
    for (Index r = 0; r < active; ++r) {
      listed_x_[static_cast<std::size_t>(r)] = in_.x.at(rows_.sample(r), rows_.time(r, k));
    }
    out.list = listed_x_.data();
    if (!listed_input_.empty()) out.factors = listed_input_.data();
    return out;
  }

  // h of the step before; nothing where it is zero and adds nothing.
  detail::Images<T> before(Index k, Index active) {
    detail::Images<T> out;
    if (k == 0 && in_.h0 == nullptr && w_.recurrent_finite) return out;
    if (listed_h_.empty()) {
      const bool starts = k == 0 && in_.h0 == nullptr;  // from the same zeros for all
      out.data = starts ? zeros_.data() : k == 0 ? in_.h0 : target(0, k - 1);
      out.stride = starts ? 0 : k > 0 && h_ ? h_.row : image_;
      return out;
    }
    for (Index r = 0; r < active; ++r) {
      listed_h_[static_cast<std::size_t>(r)] =
          rows_.before(r, k) >= 0 ? target(r, k - 1) : initial(in_.h0, r, k);
    }
    out.list = listed_h_.data();
    if (!listed_recurrent_.empty()) out.factors = listed_recurrent_.data();
    return out;
  }
  const T* initial(const T* state, Index row, Index k) const {
    if (state == nullptr || rows_.before(row, k) == Schedule::kZeros) return nullptr;
    return state + rows_.sample(row) * image_;
  }
  T* target(Index row, Index k) {
    if (h_) return h_.at(rows_.sample(row), rows_.step(row, k));
    return own_h_.data() + (k % 2 * in_.dims.batch + row) * image_;
  }
  __attribute__((always_inline)) T* cell_state(Index row, Index k, Index pixel) {
    const bool kept = out_.saved.c != nullptr;
    T* from = kept ? out_.saved.c : own_c_.data();
    return from + ((kept ? rows_.kept(row, k) : row) * in_.pixels() + pixel) * hp_;
  }

  // One row and block: the sums become states and output.
  __attribute__((always_inline)) void unit(Index k, const detail::Place& at, Index block,
                                           const T* sums) {
    if constexpr (!Activations::kKnown) {
      if (sums_) {
        return sums_.template keep<0>(at.image * in_.pixels() + at.pixel, block, 1, sums);
      }
    }
    alignas(64) T h[kW], c[kW];
    simd::store<T>(c, c_prev(k, at, block));
    ForwardUnit<T> u;
    u.z = sums;
    u.h = h;
    u.c = c;
    u.slot_stride = hp_;
    u.saved = slots(k, at, block);
    forward_unit<Cell, 0, T>(fn_, u);
    simd::store<T>(cell_state(at.image, k, at.pixel) + block * kW, simd::load<T>(c));
    write(k, at, block, simd::load<T>(h), simd::load<T>(c));
  }

  __attribute__((always_inline)) simd::Packet<T> c_prev(Index k, const detail::Place& at,
                                                        Index block) {
    const Index row = at.image, j = block * kW;
    if (rows_.before(row, k) >= 0) return simd::load<T>(cell_state(row, k - 1, at.pixel) + j);
    const T* c0 = initial(in_.c0, row, k);
    if (c0 == nullptr) return simd::zero<T>();
    return simd::load_partial<T>(c0 + at.pixel * in_.filters + j, in_.filters - j);
  }

  // What training keeps; nullptr: nothing.
  __attribute__((always_inline)) T* slots(Index k, const detail::Place& at, Index block) const {
    if (out_.saved.slots == nullptr) return nullptr;
    const Index image = rows_.kept(at.image, k);
    return out_.saved.slots + (image * in_.pixels() + at.pixel) * in_.slots() + block * kW;
  }

  // The step itself, where an activation needs all filters of a pixel.
  __attribute__((noinline, cold)) void whole_rows(Index k, Index rows) {
    const auto run = [&](int, Range share) __attribute__((cold)) {
      const Index filters = in_.filters, size = WholeRows<T, Lstm>::size(filters);
      T* const h = kernels::thread_scratch<T, 14>(size + 2 * hp_);
      T* const c = h + hp_;
      WholeRows<T, Lstm> cell(fn_, filters, c + hp_);
      for (Index row = share.begin; row < share.end; ++row) {
        const detail::Place at{row / in_.pixels(), row % in_.pixels()};
        for (Index j = 0; j < hp_; j += kW) simd::store<T>(c + j, c_prev(k, at, j / kW));
        ForwardUnit<T> u;
        u.z = sums_.row(row);
        u.h_prev = u.h = h;
        u.c = c;
        u.slot_stride = hp_;
        u.saved = slots(k, at, 0);
        cell.template forward<0>(u);
        std::copy_n(c, hp_, cell_state(at.image, k, at.pixel));
        for (Index j = 0; j < hp_; j += kW) {
          write(k, at, j / kW, simd::load<T>(h + j), simd::load<T>(c + j));
        }
      }
    };
    for_whole_rows(detail::whole_row_parts(in_, rows), {0, rows}, std::ref(run));
  }

  // Where the next step reads h, the output, and states that are asked for.
  __attribute__((always_inline)) void write(Index k, const detail::Place& at, Index block,
                                            const simd::Packet<T>& h, const simd::Packet<T>& c) {
    const Index j = block * kW, lanes = in_.filters - j, unit = at.pixel * in_.filters + j;
    T* state = target(at.image, k);
    simd::store_partial<T>(state + unit, h, lanes);
    const auto also = [&](const Sequence<T>& to, const simd::Packet<T>& value)
                          __attribute__((always_inline)) {
                            if (!to) return;
                            T* image = to.at(rows_.sample(at.image), rows_.step(at.image, k));
                            if (image != state) simd::store_partial<T>(image + unit, value, lanes);
                          };
    also(out_.out, h);
    also(out_.h_all, h);
    also(out_.c_all, c);
  }

  // The last states, and all that skipped steps are asked for.
  void finish() {
    const SkippedSteps<T> skipped(in_, rows_, out_);
    const double copied = double(in_.rows() * in_.filters) * double(1 + in_.dims.time);
    parallel_for(rows_.ragged() ? copied : 0, in_.dims.batch, [&](Index begin, Index end) {
      for (Index r = begin; r < end; ++r) {
        const Index used = rows_.used(r);
        skipped.last(r, in_.h0, used == 0 ? nullptr : target(r, used - 1), out_.h_last);
        last_cell_state(skipped, r);
        if (rows_.ragged()) skipped.fill(r);
      }
    });
  }
  void last_cell_state(const SkippedSteps<T>& skipped, Index row) {
    if (out_.c_last == nullptr) return;
    if (rows_.end(row) != Schedule::kLast) return skipped.last(row, in_.c0, nullptr, out_.c_last);
    T* to = out_.c_last + rows_.sample(row) * image_;
    const T* from = cell_state(row, rows_.used(row) - 1, 0);
    for (Index p = 0; p < in_.pixels(); ++p, from += hp_, to += in_.filters) {
      std::copy_n(from, in_.filters, to);
    }
  }

  const ConvInputs<T>& in_;
  const ConvForwardWeights<T>& w_;
  const Activations& fn_;
  const Outputs<T>& out_;
  LoopRows<T> rows_;
  Index hp_, image_;
  Index deepest_ = 0, most_rows_ = 0;
  Sequence<T> h_;  // where h of every step stays; else two images take turns
  AlignedBuffer<T> own_h_, own_c_, zeros_, step_sums_;
  StepSums<T, Lstm> sums_;  // where activations need whole rows; else they stay in their tile
  // Of a scheduled run: the images of the present step, and the factors of every row.
  std::vector<const T*> listed_x_, listed_h_, listed_input_, listed_recurrent_;
};

}  // namespace elman::bptt
