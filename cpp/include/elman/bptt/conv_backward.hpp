// SPDX-License-Identifier: Apache-2.0
// elman/bptt/conv_backward.hpp: the time loop over images in reverse: gate gradients of every step.
#pragma once

#include <array>

#include "elman/bptt/conv_tiles.hpp"
#include "elman/bptt/phase.hpp"
#include "elman/bptt/recurrent.hpp"

namespace elman::bptt {

/// Turns saved.slots into the gradients of the sums, and adds the gradients of the initial states.
template <class T, class Activations>
class ConvBackward {
  using Cell = ConvLstm;
  using Plain = kernels::Gating<1, 1>;
  static constexpr Index kW = simd::kWidth<T>;

 public:
  ConvBackward(const ConvInputs<T>& in, const ConvBackwardWeights<T>& weights,
               const Activations& fn, const Saved<T>& saved, const OutputGradients<T>& gradients)
      : in_(in),
        w_(weights),
        fn_(fn),
        saved_(saved),
        d_(gradients),
        turned_(transposed_window(in.state, in.slots())),
        hp_(in.padded()),
        image_(in.dims.units),
        most_rows_(detail::rows_at_once<T>(turned_.depth())),
        dh_(in.rows() * hp_),
        dc_(in.rows() * hp_) {
    if (in.mask != nullptr) skipped_ = AlignedBuffer<T>(in.rows() * hp_);
  }

  void run(T* d_h0, T* d_c0) {
    start(d_.h_last, dh_);
    start(d_.c_last, dc_);
    std::fill(skipped_.begin(), skipped_.end(), T(0));
    for (Index s = in_.dims.time - 1; s >= 0; --s) {
      each_row(s + 1, [&](const detail::Place& at, Index block, const simd::Packet<T>& dh) {
        step(s, at, block, dh);
      });
    }
    if (d_h0 != nullptr) {
      each_row(0, [&](const detail::Place& at, Index block, simd::Packet<T> dh) {
        const Index lanes = in_.filters - block * kW;
        T* out = d_h0 + at.n * image_ + at.pixel * in_.filters + block * kW;
        dh = simd::add(dh, simd::load<T>(own(dh_, at, block)));
        simd::store_partial<T>(out, simd::add(dh, simd::load_partial<T>(out, lanes)), lanes);
      });
    }
    for (Index r = 0; d_c0 != nullptr && r < in_.rows(); ++r) {
      for (Index j = 0; j < in_.filters; ++j) d_c0[r * in_.filters + j] += dc_[r * hp_ + j];
    }
  }

 private:
  void start(const T* from, AlignedBuffer<T>& to) {
    std::fill(to.begin(), to.end(), T(0));
    for (Index r = 0; from != nullptr && r < in_.rows(); ++r) {
      std::copy_n(from + r * in_.filters, in_.filters, to.data() + r * hp_);
    }
  }

  T* own(AlignedBuffer<T>& rows, const detail::Place& at, Index block) const {
    return rows.data() + (at.n * in_.pixels() + at.pixel) * hp_ + block * kW;
  }
  T* slots(Index s, const detail::Place& at) const {
    const Index image = at.n * in_.dims.time + in_.time(s);
    return saved_.slots + (image * in_.pixels() + at.pixel) * in_.slots();
  }

  // The gate gradients of step s through the turned recurrent kernel, with the dropout factors of
  // h: epilogue(place, block, packet). Zeros for the step after the last one.
  template <class Epilogue>
  void each_row(Index s, Epilogue&& epilogue) {
    const double flops = 2.0 * double(in_.rows()) * double(turned_.depth() * in_.filters);
    if (w_.tiles && s < in_.dims.time) {
      const bool scales = in_.recurrent_dropout.gates != 0;
      return detail::state_gradient_by_tiles(
          in_, w_.state_tiles, flops, slots(s, {}), in_.dims.time * in_.pixels() * in_.slots(),
          [&](const detail::Place& at, Index block, const simd::Packet<T>& dh) {
            epilogue(at, block, scales ? simd::mul(dh, factor(0, at, block)) : dh);
          });
    }
    detail::over_rows(flops, in_.rows(), [&](Index first, Index last) {
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
        StepProduct<T> p;
        p.x.a = patches;
        p.x.w = w_.state.data();
        p.x.row = turned_.depth();
        if (s < in_.dims.time) {
          p.x.depth = turned_.depth();
          gather_patches(turned_, slots(s, {}), in_.dims.time * in_.pixels() * in_.slots(), row,
                         end, patches, turned_.depth());
        }
        const auto finish = [&](Index r, Index block, const simd::Packet<T>& dh) {
          epilogue(places[static_cast<std::size_t>(r)], block, dh);
        };
        if (p.x.depth != 0 && w_.per_gate) {
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
    const bool scales = p.x.depth != 0 && in_.recurrent_dropout.gates != 0;
    run_phase<T, Plain>(
        p, rows, Blocks{0, hp_ / kW, backwards}, [&](Index r, Index block, const T* sums) {
          const simd::Packet<T> dh = simd::load<T>(sums);
          finish(r, block, scales ? simd::mul(dh, factor(0, places[r], block)) : dh);
        });
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
      run_phase<T, Plain>(
          p, rows, Blocks{0, hp_ / kW, false}, [&](Index r, Index block, const T* sums) {
            T* total = totals + r * hp_ + block * kW;
            const simd::Packet<T> before = g == 0 ? simd::zero<T>() : simd::load<T>(total);
            const simd::Packet<T> now =
                simd::madd(simd::load<T>(sums), factor(g, places[r], block), before);
            if (g + 1 == Cell::kGates) return finish(r, block, now);
            simd::store<T>(total, now);
          });
    }
  }

  simd::Packet<T> factor(int gate, const detail::Place& at, Index block) const {
    const Index j = block * kW;
    return simd::load_partial<T>(in_.recurrent_dropout.row(gate, at.n) + at.pixel * in_.filters + j,
                                 in_.filters - j);
  }

  simd::Packet<T> c_prev(Index s, const detail::Place& at, Index block) const {
    const Index j = block * kW;
    if (s > 0) return simd::load<T>(cell_state(s - 1, at) + j);
    if (in_.c0 == nullptr) return simd::zero<T>();
    return simd::load_partial<T>(in_.c0 + at.n * image_ + at.pixel * in_.filters + j,
                                 in_.filters - j);
  }
  const T* cell_state(Index s, const detail::Place& at) const {
    return saved_.c + ((at.n * in_.dims.time + s) * in_.pixels() + at.pixel) * hp_;
  }

  simd::Packet<T> output_gradient(Index s, const detail::Place& at, Index block) const {
    if (!d_.out || (d_.out.step == 0 && s + 1 != in_.dims.time)) return simd::zero<T>();
    const Index j = block * kW;
    return simd::load_partial<T>(d_.out.at(at.n, s) + at.pixel * in_.filters + j, in_.filters - j);
  }

  void step(Index s, const detail::Place& at, Index block, simd::Packet<T> dh) {
    T* gradients = slots(s, at) + block * kW;
    T* rest = own(dh_, at, block);
    dh = simd::add(dh, simd::load<T>(rest));
    const simd::Packet<T> d_out = output_gradient(s, at, block);
    if (!in_.used(at.n, s)) return skip(gradients, rest, dh, d_out, own(skipped_, at, block));
    dh = simd::add(dh, d_out);
    if (in_.mask != nullptr) {
      T* skipped = own(skipped_, at, block);
      dh = simd::add(dh, simd::load<T>(skipped));
      simd::store<T>(skipped, simd::zero<T>());
    }
    BackwardUnit<T> u;
    u.dh = dh;
    u.c = cell_state(s, at) + block * kW;
    u.c_prev = c_prev(s, at, block);
    u.dc = own(dc_, at, block);
    u.saved = gradients;
    u.slot_stride = hp_;
    u.lanes = in_.filters - block * kW;
    simd::store<T>(rest, Cell::backward<0, T>(fn_, u));
  }

  // A skipped step hands the state's gradient on; its output repeated the output before it.
  void skip(T* gradients, T* rest, simd::Packet<T> dh, simd::Packet<T> d_out, T* skipped) const {
    for (Index slot = 0; slot < Cell::kSlots; ++slot) {
      simd::store<T>(gradients + slot * hp_, simd::zero<T>());
    }
    simd::store<T>(rest, dh);
    if (!in_.zero_output_for_mask) {
      simd::store<T>(skipped, simd::add(simd::load<T>(skipped), d_out));
    }
  }

  const ConvInputs<T>& in_;
  const ConvBackwardWeights<T>& w_;
  const Activations& fn_;
  const Saved<T>& saved_;
  const OutputGradients<T>& d_;
  Window turned_;  // over the gate gradients
  Index hp_, image_, most_rows_;
  AlignedBuffer<T> dh_, dc_, skipped_;
};

}  // namespace elman::bptt
