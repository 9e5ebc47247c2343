// SPDX-License-Identifier: Apache-2.0
// elman/bptt/conv_gradients.hpp: from the gate gradients of all images to those of weights and x.
#pragma once

#include <algorithm>
#include <numeric>
#include <vector>

#include "elman/bptt/conv_tiles.hpp"
#include "elman/bptt/schedule.hpp"
#include "elman/kernels/product.hpp"
#include "elman/layers/tiles_gradient.hpp"

namespace elman::bptt {

/// The large products after the reverse loop. dz = saved.slots, an image [P,4,Fp] for every used
/// step of every sample; the lists have one entry for each, in that order.
template <class T>
class ConvGradients {
  static constexpr Index kG = ConvLstm::kGates;
  // Patches of that many bytes are made, multiplied and forgotten.
  static constexpr Index kBlockBytes = 1024 * 1024;
  using List = std::vector<const T*>;

 public:
  ConvGradients(const ConvInputs<T>& in, const Schedule* schedule, const Saved<T>& saved,
                const InputGradients<T>& out)
      : in_(in),
        saved_(saved),
        out_(out),
        rows_(in, schedule, 0, in.dims.batch),
        images_(schedule == nullptr ? in.dims.batch * in.dims.time : schedule->total()),
        hp_(in.padded()),
        row_(in.slots()) {}

  void run(const ConvBackwardWeights<T>& weights) {
    const bool wanted = out_.kernel != nullptr || out_.recurrent_kernel != nullptr;
    if (images_ == 0 || !wanted || !in_.steps_by_tiles() || !by_tiles()) tap_by_tap();
    if (images_ == 0) return;
    if (out_.x != nullptr) input_gradient(weights);
  }

 private:
  /// find(row, k) for every image of dz.
  template <class Find>
  auto list(Find&& find) const {
    std::vector<decltype(find(Index{}, Index{}))> found(static_cast<std::size_t>(images_));
    for (Index k = 0; k < rows_.steps(); ++k) {
      for (Index r = 0; r < rows_.active(k); ++r) {
        found[static_cast<std::size_t>(rows_.kept(r, k))] = find(r, k);
      }
    }
    return found;
  }
  List factors(const Factors<T>& factors) const {
    if (factors.gates == 0) return {};
    return list([&](Index r, Index) { return factors.row(0, rows_.sample(r)); });
  }
  const T* dz(Index image) const { return saved_.slots + image * in_.pixels() * row_; }

  List inputs() const {
    return list([&](Index r, Index k) { return in_.x.at(rows_.sample(r), rows_.time(r, k)); });
  }
  // dz of a step meets h of the one before, or the initial state.
  List states() const {
    return list([&](Index r, Index k) -> const T* {
      const Index n = rows_.sample(r), before = rows_.before(r, k);
      if (before >= 0) return saved_.h.at(n, before);
      const bool zeros = in_.h0 == nullptr || before == Schedule::kZeros;
      return zeros ? nullptr : in_.h0 + n * in_.dims.units;
    });
  }

  // Both kernels and the bias in one sum over the tiles; false where a sum is not finite.
  bool by_tiles() const {
    const List h = states();
    std::vector<std::size_t> order(h.size());
    std::iota(order.begin(), order.end(), std::size_t{0});
    std::stable_partition(order.begin(), order.end(),  // zeros come last
                          [&](std::size_t i) { return h[i] != nullptr; });
    const auto ordered = [&](const List& given) {
      List out;
      for (std::size_t i = 0; i < given.size(); ++i) out.push_back(given[order[i]]);
      return out;
    };
    const List x_list = ordered(inputs()), x_factors = ordered(factors(in_.input_dropout));
    const List h_list = ordered(h), h_factors = ordered(factors(in_.recurrent_dropout));
    const List gradients =
        ordered(list([&](Index r, Index k) -> const T* { return dz(rows_.kept(r, k)); }));
    const auto source = [](const Window& window, const List& images, const List& factors,
                           Index factor_gate) {
      TileSource<T> out = TileSource<T>::of(window, nullptr, 0);
      out.images = images.data();
      if (!factors.empty()) out.factors = factors.data();
      out.factor_gate = factor_gate;
      return out;
    };
    const TileSource<T> xs = source(in_.input, x_list, x_factors, in_.input_dropout.gate_stride());
    const TileSource<T> hs =
        source(in_.state, h_list, h_factors, in_.recurrent_dropout.gate_stride());
    TileSource<T> dy;
    dy.channels = dy.pixel = row_;
    dy.images = gradients.data();
    const TileKernelGradient<T> sum(TileGrid(in_.state), {&hs, &xs}, dy, images_,
                                    in_.masks_per_gate() ? kG : 1);
    if (!sum.finite()) return false;
    if (out_.recurrent_kernel != nullptr) {
      sum.store(0, Target{*this, in_.filters, out_.recurrent_kernel});
    }
    if (out_.kernel != nullptr) sum.store(1, Target{*this, in_.input.channels, out_.kernel});
    if (out_.bias != nullptr) add_bias(sum.output_sums());
    return true;
  }

  // A kernel of `channels` whose gradient comes in packets.
  struct Target {
    const ConvGradients& of;
    Index channels;
    T* out;

    void operator()(Index tap, Index channel, Index block, const simd::Packet<T>& gradient) const {
      constexpr Index kW = simd::kWidth<T>;
      const Index f = of.in_.filters, gate = block * kW / of.hp_, j = block * kW % of.hp_;
      T* to = out + ((tap * channels + channel) * kG + gate) * f + j;
      const auto before = of.out_.overwrite ? simd::zero<T>() : simd::load_partial(to, f - j);
      simd::store_partial<T>(to, simd::add(before, gradient), f - j);
    }
  };

  void tap_by_tap() {
    if (out_.kernel != nullptr) kernel();
    if (out_.recurrent_kernel != nullptr) recurrent_kernel();
    if (out_.bias != nullptr && images_ > 0) bias();
  }

  void kernel() {
    Sum sum(*this, in_.input, in_.input_dropout);
    sum.add(inputs());
    sum.store(out_.kernel, out_.overwrite);
  }

  void recurrent_kernel() {
    Sum sum(*this, in_.state, in_.recurrent_dropout);
    sum.add(states());
    sum.store(out_.recurrent_kernel, out_.overwrite);
  }

  /// sum over images of patches^T dz, [depth, 4 Fp].
  class Sum {
   public:
    Sum(const ConvGradients& of, const Window& window, const Factors<T>& factors)
        : of_(of),
          window_(window),
          factors_(factors),
          listed_(of.factors(factors)),
          depth_(window.depth()),
          most_rows_(std::max<Index>(kBlockBytes / (depth_ * Index(sizeof(T))), 6)),
          patches_(most_rows_ * depth_),
          total_(depth_ * of.row_) {
      if (factors.gates != 0) scratch_ = AlignedBuffer<T>(most_rows_ * depth_);
      std::fill(total_.begin(), total_.end(), T(0));
    }

    /// What each image of dz meets; nullptr: zeros.
    void add(const List& images) {
      for (Index first = 0; first < of_.images_; ++first) {
        if (images[static_cast<std::size_t>(first)] == nullptr) continue;
        Index last = first + 1;
        while (last < of_.images_ && images[static_cast<std::size_t>(last)] != nullptr) ++last;
        add_rows(images, first * of_.in_.pixels(), last * of_.in_.pixels());
        first = last;
      }
    }

    void store(T* out, bool overwrite) const {
      const Index f = of_.in_.filters;
      for (Index i = 0; i < depth_ * kG; ++i, out += f) {
        const T* from = total_.data() + i * of_.hp_;
        for (Index j = 0; j < f; ++j) out[j] = overwrite ? from[j] : out[j] + from[j];
      }
    }

   private:
    void add_rows(const List& list, Index first_row, Index last_row) {
      detail::Images<T> images;
      images.list = list.data();
      if (!listed_.empty()) images.factors = listed_.data();
      for (Index first = first_row; first < last_row; first += most_rows_) {
        const Index last = std::min(last_row, first + most_rows_);
        const Index gates = factors_.per_gate() ? kG : 1;
        for (Index g = 0; g < gates; ++g) {
          images.factor_offset = g * factors_.batch * factors_.columns;
          load(images, first, last);
          kernels::Rows<T> a, b;
          a.base = patches_.data();
          a.outer = depth_;
          b.base = of_.saved_.slots + first * of_.row_;
          b.outer = of_.row_;
          const Index width = of_.row_ / gates;
          const kernels::Strip<T> strip{g * width, total_.data() + g * width, width};
          kernels::outer_product(a, depth_, b, strip, of_.row_, last - first);
        }
      }
    }

    void load(const detail::Images<T>& images, Index first, Index last) {
      parallel_for(double((last - first) * depth_), last - first, [&](Index begin, Index end) {
        detail::load_patches(window_, images, first + begin, first + end,
                             patches_.data() + begin * depth_,
                             scratch_.data() + (factors_.gates != 0 ? begin * depth_ : 0));
      });
    }

    const ConvGradients& of_;
    const Window& window_;
    const Factors<T>& factors_;
    List listed_;
    Index depth_, most_rows_;
    AlignedBuffer<T> patches_, scratch_, total_;
  };

  void bias() {
    AlignedBuffer<T> sums(row_);
    std::fill(sums.begin(), sums.end(), T(0));
    kernels::add_column_sums(saved_.slots, row_, images_ * in_.pixels(), row_, sums.data());
    add_bias(sums.data());
  }
  void add_bias(const T* sums) const {
    for (Index g = 0; g < kG; ++g) {
      T* out = out_.bias + g * in_.filters;
      for (Index j = 0; j < in_.filters; ++j) out[j] += sums[g * hp_ + j];
    }
  }

  void input_gradient(const ConvBackwardWeights<T>& weights) const {
    constexpr Index kW = simd::kWidth<T>;
    const double flops =
        2.0 * double(images_ * in_.pixels()) * double(row_) * double(in_.input.depth());
    const Index size = in_.dims.features;
    const std::vector<T*> targets = list([&](Index r, Index k) {
      return out_.x + (rows_.sample(r) * in_.dims.time + rows_.time(r, k)) * size;
    });
    const List listed = factors(in_.input_dropout);
    if (weights.x_tiles) {
      const Index c = in_.input.channels, gate_stride = in_.input_dropout.gate_stride();
      return detail::gradient_by_tiles(
          transposed_window(in_.input, row_), weights.input_tiles, gate_stride != 0 ? kG : 1, flops,
          saved_.slots, in_.pixels() * row_, images_,
          [&](Index gate, const detail::Place& at, Index block, simd::Packet<T> gradient) {
            if (listed.empty()) return gradient;
            const T* factor = listed[static_cast<std::size_t>(at.image)] + gate * gate_stride +
                              at.pixel * c + block * kW;
            return simd::mul(gradient, simd::load_partial<T>(factor, c - block * kW));
          },
          [&](const detail::Place& at, Index block, simd::Packet<T> gradient) {
            const Index first = at.pixel * c + block * kW, lanes = c - block * kW;
            T* to = targets[static_cast<std::size_t>(at.image)] + first;
            simd::store_partial<T>(to, simd::add(simd::load_partial<T>(to, lanes), gradient),
                                   lanes);
          });
    }
    const T* packed = weights.input.x.data();
    // Image by image: their patches overlap within an image alone.
    parallel_for(flops, images_, [&](Index begin, Index end) {
      const Index depth = in_.input.depth(), rows = detail::rows_at_once<T>(depth);
      AlignedBuffer<T> patches(rows * depth), image;
      if (in_.input_dropout.gates != 0) image = AlignedBuffer<T>(size);
      for (Index i = begin; i < end; ++i) {
        const auto at = static_cast<std::size_t>(i);
        T* target = targets[at];
        if (listed.empty()) {
          scatter(i, packed, 0, row_, patches.data(), rows, target);
        } else {
          scatter_dropped(i, packed, patches.data(), rows, listed[at], image.data(), target);
        }
      }
    });
  }

  void scatter_dropped(Index i, const T* packed, T* patches, Index rows, const T* factor, T* image,
                       T* out) const {
    const Factors<T>& factors = in_.input_dropout;
    const Index gates = factors.per_gate() ? kG : 1, size = in_.dims.features;
    for (Index g = 0; g < gates; ++g, factor += factors.batch * factors.columns) {
      std::fill_n(image, size, T(0));
      scatter(i, packed, g * hp_, gates == 1 ? row_ : hp_, patches, rows, image);
      for (Index k = 0; k < size; ++k) out[k] += image[k] * factor[k];
    }
  }

  // image += the transposed convolution of the slots [slot, slot + width) of image i.
  void scatter(Index i, const T* packed, Index slot, Index width, T* patches, Index most_rows,
               T* image) const {
    constexpr Index kW = simd::kWidth<T>;
    const Index depth = in_.input.depth();
    const T* from = dz(i) + slot;
    for (Index first = 0; first < in_.pixels(); first += most_rows) {
      const Index rows = std::min(in_.pixels() - first, most_rows);
      if (width == row_) {
        kernels::multiply_packed(rows, depth, row_, from + first * row_, row_, packed, patches,
                                 depth, false);
      } else {  // one gate: its rows out of each block of the packed kernel
        for (Index j = 0; j < depth; j += kW) {
          kernels::multiply_packed(rows, std::min(kW, depth - j), width, from + first * row_, row_,
                                   packed + j * row_ + slot * kW, patches + j, depth, false);
        }
      }
      scatter_patches(in_.input, patches, depth, first, first + rows, image, Index{0});
    }
  }

  const ConvInputs<T>& in_;
  const Saved<T>& saved_;
  const InputGradients<T>& out_;
  LoopRows<T> rows_;
  Index images_, hp_, row_;
};

}  // namespace elman::bptt
