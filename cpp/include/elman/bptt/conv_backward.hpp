// SPDX-License-Identifier: Apache-2.0
// elman/bptt/conv_backward.hpp: the time loop over images in reverse: gate gradients of every step.
#pragma once

#include <array>

#include "elman/bptt/arriving.hpp"
#include "elman/bptt/conv_tiles.hpp"
#include "elman/bptt/phase.hpp"
#include "elman/bptt/recurrent.hpp"
#include "elman/bptt/whole_rows.hpp"

namespace elman::bptt {

/// Turns saved.slots into the gradients of the sums, and adds the gradients of the initial states.
template <class T, class Activations>
class ConvBackward {
  using Cell = ConvLstm;
  using Plain = kernels::Gating<1, 1>;
  static constexpr Index kW = simd::kWidth<T>;

 public:
  ConvBackward(const ConvInputs<T>& in, const Schedule* schedule,
               const ConvBackwardWeights<T>& weights, const Activations& fn, const Saved<T>& saved,
               const OutputGradients<T>& gradients, const InputGradients<T>& out)
      : in_(in),
        w_(weights),
        fn_(fn),
        saved_(saved),
        d_(gradients),
        d_h0_(out.h0),
        d_c0_(out.c0),
        rows_(in, schedule, 0, in.dims.batch),
        arriving_(in, rows_, gradients),
        plain_(schedule == nullptr && !gradients.h_all && !gradients.c_all),
        by_rows_(fn.by_rows()),
        turned_(transposed_window(in.state, in.slots())),
        hp_(in.padded()),
        image_(in.dims.units),
        most_rows_(detail::rows_at_once<T>(turned_.depth())),
        dh_(in.rows() * hp_),
        dc_(in.rows() * hp_) {}

  void run() {
    start(d_.h_last, dh_, d_h0_);
    start(d_.c_last, dc_, d_c0_);
    for (Index k = rows_.steps() - 1; k >= 0; --k) {
      each_row(k + 1, rows_.active(k),
               [&](const detail::Place& at, Index block, const simd::Packet<T>& dh) {
                 step(k, at, block, dh);
               });
      if constexpr (!Activations::kKnown) {
        if (by_rows_) whole_rows(k, rows_.active(k) * in_.pixels());
      }
    }
    finish();
  }

 private:
  // The gradient of a last state belongs to the sample's last step, or to what it started from.
  void start(const T* from, AlignedBuffer<T>& to, T* d_initial) {
    std::fill(to.begin(), to.end(), T(0));
    for (Index r = 0; from != nullptr && r < rows_.count(); ++r) {
      const T* image = from + rows_.sample(r) * image_;
      if (rows_.end(r) == Schedule::kInitial) arriving_.add_to_initial(d_initial, r, image);
      if (rows_.end(r) != Schedule::kLast) continue;
      T* own = to.data() + r * in_.pixels() * hp_;
      for (Index p = 0; p < in_.pixels(); ++p, image += in_.filters, own += hp_) {
        std::copy_n(image, in_.filters, own);
      }
    }
  }

  void finish() {
    const Index first = rows_.steps() == 0 ? 0 : rows_.active(0);
    if (d_h0_ != nullptr) {
      each_row(0, first, [&](const detail::Place& at, Index block, simd::Packet<T> dh) {
        if (!from_initial(at.image, 0)) return;
        to_initial(d_h0_, at, block, simd::add(dh, simd::load<T>(own(dh_, at, block))));
      });
    }
    for (Index r = 0; d_c0_ != nullptr && r < first * in_.pixels(); ++r) {
      const detail::Place at{r / in_.pixels(), r % in_.pixels()};
      if (!from_initial(at.image, 0)) continue;
      for (Index block = 0; block < hp_ / kW; ++block) {
        to_initial(d_c0_, at, block, simd::load<T>(own(dc_, at, block)));
      }
    }
    for (Index r = 0; rows_.ragged() && r < rows_.count(); ++r) {
      arriving_.idle_initial(r, d_h0_, d_c0_);
    }
  }

  bool from_initial(Index row, Index k) const { return rows_.before(row, k) == Schedule::kInitial; }

  void to_initial(T* d_initial, const detail::Place& at, Index block,
                  const simd::Packet<T>& gradient) const {
    const Index lanes = in_.filters - block * kW;
    T* out = d_initial + rows_.sample(at.image) * image_ + unit(at, block);
    simd::store_partial<T>(out, simd::add(gradient, simd::load_partial<T>(out, lanes)), lanes);
  }

  // Where a block's filters lie in an image of the states.
  Index unit(const detail::Place& at, Index block) const {
    return at.pixel * in_.filters + block * kW;
  }
  T* own(AlignedBuffer<T>& rows, const detail::Place& at, Index block) const {
    return rows.data() + (at.image * in_.pixels() + at.pixel) * hp_ + block * kW;
  }
  __attribute__((always_inline)) T* slots(Index k, const detail::Place& at) const {
    return saved_.slots + (rows_.kept(at.image, k) * in_.pixels() + at.pixel) * in_.slots();
  }

  // The gate gradients of step k through the turned recurrent kernel, with the dropout factors of
  // h, for the first `images` samples: epilogue(place, block, packet). Zeros where there is no
  // step k.
  template <class Epilogue>
  void each_row(Index k, Index images, Epilogue&& epilogue) {
    const Index multiplied = k < rows_.steps() ? std::min(images, rows_.active(k)) : 0;
    if (multiplied != 0) product(k, multiplied, epilogue);
    const Index first = multiplied * in_.pixels(), rows = images * in_.pixels() - first;
    parallel_for(double(rows * in_.slots()), rows, [&](Index begin, Index end) {
      for (Index r = first + begin; r < first + end; ++r) {
        const detail::Place at{r / in_.pixels(), r % in_.pixels()};
        for (Index block = 0; block < hp_ / kW; ++block) epilogue(at, block, simd::zero<T>());
      }
    });
  }

  template <class Epilogue>
  void product(Index k, Index images, Epilogue&& epilogue) {
    const Index stride = rows_.kept_stride() * in_.pixels() * in_.slots();
    const double flops =
        2.0 * double(images * in_.pixels()) * double(turned_.depth() * in_.filters);
    if (w_.tiles) {
      const bool scales = in_.recurrent_dropout.gates != 0;
      const Index gates = in_.recurrent_dropout.per_gate() ? Cell::kGates : 1;
      return detail::gradient_by_tiles(
          turned_, w_.state_tiles, gates, flops, slots(k, {}), stride, images,
          [&](Index gate, const detail::Place& at, Index block, const simd::Packet<T>& dh) {
            return scales ? simd::mul(dh, factor(int(gate), at, block)) : dh;
          },
          epilogue);
    }
    detail::over_rows(flops, images * in_.pixels(), [&](Index first, Index last) {
      Workspace& workspace = detail::thread_workspace();
      const Workspace::Scope scope(workspace);
      const Index size = most_rows_ * turned_.depth();
      WorkspaceSize bytes;
      bytes.add<T>(size).template add<T>(size).template add<T>(most_rows_ * hp_);
      workspace.reserve(bytes.bytes());
      T* patches = workspace.take<T>(size);
      T* by_gate = workspace.take<T>(size);
      T* sums = workspace.take<T>(most_rows_ * hp_);
      std::array<detail::Place, detail::kMostRows> places;
      for (Index row = first; row < last; row += most_rows_) {
        const Index end = std::min(last, row + most_rows_);
        detail::locate_rows(row, end, in_.pixels(), places.data());
        gather_patches(turned_, slots(k, {}), stride, row, end, patches, turned_.depth());
        StepProduct<T> p;
        p.x.a = patches;
        p.x.w = w_.state.data();
        p.x.row = p.x.depth = turned_.depth();
        const auto finish = [&](Index r, Index block, const simd::Packet<T>& dh) {
          epilogue(places[static_cast<std::size_t>(r)], block, dh);
        };
        if (w_.per_gate) {
          gates_apart(patches, by_gate, end - row);
          p.x.a = by_gate;
          per_gate(p, end - row, places.data(), sums, finish);
        } else {
          shared(p, end - row, places.data(), row / most_rows_ % 2 != 0, finish);
        }
      }
    });
  }

  template <class Finish>
  void shared(const StepProduct<T>& p, Index rows, const detail::Place* places, bool backwards,
              Finish&& finish) const {
    const bool scales = in_.recurrent_dropout.gates != 0;
    const auto scaled = [&](Index r, Index block, const T* sums) {
      const simd::Packet<T> dh = simd::load<T>(sums);
      finish(r, block, scales ? simd::mul(dh, factor(0, places[r], block)) : dh);
    };
    run_phase<T, Plain>(p, rows, Blocks{0, hp_ / kW, backwards}, each_block<T, Plain>(scaled));
  }

  // [row, tap, gate, Fp] -> [row, gate, tap, Fp]: each gate's part has a mask of its own.
  void gates_apart(const T* from, T* to, Index rows) const {
    constexpr Index kG = Cell::kGates;
    const Index taps = turned_.taps();
    for (Index r = 0; r < rows; ++r, to += taps * kG * hp_) {
      for (Index tap = 0; tap < taps; ++tap) {
        for (Index g = 0; g < kG; ++g, from += hp_) {
          std::copy_n(from, hp_, to + (g * taps + tap) * hp_);
        }
      }
    }
  }

  // sum over gates of m_g (dZ_g turned U_g)
  template <class Finish>
  void per_gate(const StepProduct<T>& all, Index rows, const detail::Place* places, T* totals,
                Finish&& finish) const {
    const Index depth = turned_.taps() * hp_;
    for (int g = 0; g < Cell::kGates; ++g) {
      StepProduct<T> p = all;
      p.x.a += g * depth;
      p.x.w += g * depth * kW;
      p.x.depth = depth;
      p.x.w_block = all.x.depth * kW;
      const auto add = [&](Index r, Index block, const T* sums) {
        T* total = totals + r * hp_ + block * kW;
        const simd::Packet<T> before = g == 0 ? simd::zero<T>() : simd::load<T>(total);
        const simd::Packet<T> now =
            simd::madd(simd::load<T>(sums), factor(g, places[r], block), before);
        if (g + 1 == Cell::kGates) return finish(r, block, now);
        simd::store<T>(total, now);
      };
      run_phase<T, Plain>(p, rows, Blocks{0, hp_ / kW, false}, each_block<T, Plain>(add));
    }
  }

  simd::Packet<T> factor(int gate, const detail::Place& at, Index block) const {
    const T* factors = in_.recurrent_dropout.row(gate, rows_.sample(at.image));
    return simd::load_partial<T>(factors + unit(at, block), in_.filters - block * kW);
  }

  __attribute__((always_inline)) simd::Packet<T> c_prev(Index k, const detail::Place& at,
                                                        Index block) const {
    if (rows_.before(at.image, k) >= 0) return simd::load<T>(cell_state(k - 1, at) + block * kW);
    if (in_.c0 == nullptr || !from_initial(at.image, k)) return simd::zero<T>();
    const T* image = in_.c0 + rows_.sample(at.image) * image_;
    return simd::load_partial<T>(image + unit(at, block), in_.filters - block * kW);
  }
  __attribute__((always_inline)) const T* cell_state(Index k, const detail::Place& at) const {
    return saved_.c + (rows_.kept(at.image, k) * in_.pixels() + at.pixel) * hp_;
  }

  // What arrives at a step from outside, without a schedule and without states of every step.
  simd::Packet<T> output_gradient(Index k, const detail::Place& at, Index block) const {
    if (!d_.out || (d_.out.step == 0 && k + 1 != in_.dims.time)) return simd::zero<T>();
    return simd::load_partial<T>(d_.out.at(at.image, k) + unit(at, block),
                                 in_.filters - block * kW);
  }

  // The same with everything that there may be.
  __attribute__((noinline)) simd::Packet<T> all_gradients(Index k, const detail::Place& at,
                                                          Index block, T* dc,
                                                          simd::Packet<T> dh) const {
    if (k + 1 < rows_.used(at.image) && rows_.restarts(at.image, k + 1)) {
      // The next step started anew: its gradients go to the initial state, none come here.
      const bool initial = from_initial(at.image, k + 1);
      if (initial && d_h0_ != nullptr) to_initial(d_h0_, at, block, dh);
      if (initial && d_c0_ != nullptr) to_initial(d_c0_, at, block, simd::load<T>(dc));
      dh = simd::zero<T>();
      simd::store<T>(dc, dh);
    }
    const Index lanes = in_.filters - block * kW;
    const simd::Packet<T> d_c = arriving_.of_c(at.image, k, unit(at, block), lanes);
    simd::store<T>(dc, simd::add(simd::load<T>(dc), d_c));
    return arriving_.add_to_h(at.image, k, unit(at, block), lanes, dh);
  }

  void step(Index k, const detail::Place& at, Index block, simd::Packet<T> dh) {
    T* rest = own(dh_, at, block);
    dh = simd::add(dh, simd::load<T>(rest));
    if constexpr (!Activations::kKnown) {
      if (by_rows_) return simd::store<T>(rest, dh);
    }
    BackwardUnit<T> u;
    u.dc = own(dc_, at, block);
    u.dh = arrived(k, at, block, u.dc, dh);
    u.c = cell_state(k, at) + block * kW;
    u.c_prev = c_prev(k, at, block);
    u.saved = slots(k, at) + block * kW;
    u.slot_stride = hp_;
    u.lanes = in_.filters - block * kW;
    simd::store<T>(rest, backward_unit<Cell, 0, T>(fn_, u));
  }

  // dh with what arrives from outside; that happens once, as it may reach the initial states.
  simd::Packet<T> arrived(Index k, const detail::Place& at, Index block, T* dc,
                          simd::Packet<T> dh) const {
    return plain_ ? simd::add(dh, output_gradient(k, at, block))
                  : all_gradients(k, at, block, dc, dh);
  }

  // The step itself, where an activation needs all filters of a pixel.
  __attribute__((noinline, cold)) void whole_rows(Index k, Index rows) {
    const auto run = [&](int, Range share) __attribute__((cold)) {
      const Index filters = in_.filters;
      T* scratch = kernels::thread_scratch<T, 14>(WholeRows<T, Lstm>::size(filters));
      WholeRows<T, Lstm> cell(fn_, filters, scratch);
      for (Index row = share.begin; row < share.end; ++row) {
        const detail::Place at{row / in_.pixels(), row % in_.pixels()};
        T* const dh = own(dh_, at, 0);
        T* const dc = own(dc_, at, 0);
        for (Index j = 0; j < hp_; j += kW) {
          const simd::Packet<T> later = simd::load<T>(dh + j);
          simd::store<T>(dh + j, arrived(k, at, j / kW, dc + j, later));
          simd::store<T>(cell.c_prev() + j, c_prev(k, at, j / kW));
        }
        cell.template backward<0>({slots(k, at), cell_state(k, at), dc, dh});
      }
    };
    for_whole_rows(detail::whole_row_parts(in_, rows), {0, rows}, std::ref(run));
  }

  const ConvInputs<T>& in_;
  const ConvBackwardWeights<T>& w_;
  const Activations& fn_;
  const Saved<T>& saved_;
  const OutputGradients<T>& d_;
  T* d_h0_;
  T* d_c0_;
  LoopRows<T> rows_;
  ArrivingGradients<T> arriving_;
  bool plain_;
  bool by_rows_;   // activations need all filters of a pixel: a step comes after its product
  Window turned_;  // over the gate gradients
  Index hp_, image_, most_rows_;
  AlignedBuffer<T> dh_, dc_;
};

}  // namespace elman::bptt
