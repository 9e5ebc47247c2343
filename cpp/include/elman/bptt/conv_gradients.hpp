// SPDX-License-Identifier: Apache-2.0
// elman/bptt/conv_gradients.hpp: from the gate gradients of all images to those of weights and x.
#pragma once

#include <vector>

#include "elman/bptt/conv_problem.hpp"
#include "elman/kernels/product.hpp"
#include "elman/layers/tiles_gradient.hpp"

namespace elman::bptt {

/// The large products after the reverse loop. dz = saved.slots, [N,T,P,4,Fp] by input time.
template <class T>
class ConvGradients {
  static constexpr Index kG = ConvLstm::kGates;
  // Patches of that many bytes are made, multiplied and forgotten.
  static constexpr Index kBlockBytes = 1024 * 1024;

 public:
  ConvGradients(const ConvInputs<T>& in, const Saved<T>& saved, const InputGradients<T>& out)
      : in_(in), saved_(saved), out_(out), hp_(in.padded()), row_(in.slots()) {}

  void run(const ConvBackwardWeights<T>& weights) {
    const bool wanted = out_.kernel != nullptr || out_.recurrent_kernel != nullptr;
    if (!wanted || !in_.steps_by_tiles() || !by_tiles()) tap_by_tap();
    if (in_.dims.time == 0 || in_.dims.batch == 0) return;
    if (out_.x != nullptr) inputs(weights.input.x.data());
  }

 private:
  const T* dz(Index n, Index t) const {
    return saved_.slots + (n * in_.dims.time + t) * in_.pixels() * row_;
  }

  // Both kernels and the bias in one sum over the tiles; false where a sum is not finite.
  bool by_tiles() const {
    std::vector<const T*> x, h, gradients, x_factors, h_factors;
    const auto add = [&](Index n, Index s, const T* state) {
      if (!in_.used(n, s)) return;  // its gradients are zeros, its input may be NaN
      x.push_back(in_.x.at(n, in_.time(s)));
      h.push_back(state);
      gradients.push_back(dz(n, in_.time(s)));
      if (in_.input_dropout.gates != 0) x_factors.push_back(in_.input_dropout.row(0, n));
      if (in_.recurrent_dropout.gates != 0) h_factors.push_back(in_.recurrent_dropout.row(0, n));
    };
    for (Index n = 0; n < in_.dims.batch; ++n) {
      for (Index s = 1; s < in_.dims.time; ++s) add(n, s, saved_.h.at(n, s - 1));
    }
    for (Index n = 0; in_.dims.time > 0 && n < in_.dims.batch; ++n) {  // zeros come last
      add(n, 0, in_.h0 == nullptr ? nullptr : in_.h0 + n * in_.dims.units);
    }
    const auto source = [](const Window& window, const auto& images, const auto& factors) {
      TileSource<T> out = TileSource<T>::of(window, nullptr, 0);
      out.images = images.data();
      if (!factors.empty()) out.factors = factors.data();
      return out;
    };
    const TileSource<T> xs = source(in_.input, x, x_factors), hs = source(in_.state, h, h_factors);
    TileSource<T> dy;
    dy.channels = dy.pixel = row_;
    dy.images = gradients.data();
    const TileKernelGradient<T> sum(TileGrid(in_.state), {&hs, &xs}, dy, Index(x.size()));
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
    if (out_.bias != nullptr && in_.rows() * in_.dims.time > 0) bias();
  }

  void kernel() {
    Sum sum(*this, in_.input, in_.input_dropout);
    for (Index n = 0; n < in_.dims.batch; ++n) {
      sum.add({in_.x.at(n, 0), in_.x.step}, n, 0, in_.dims.time);
    }
    sum.store(out_.kernel, out_.overwrite);
  }

  // dz of step s meets h of the step before.
  void recurrent_kernel() {
    Sum sum(*this, in_.state, in_.recurrent_dropout);
    const Index steps = in_.dims.time;
    for (Index n = 0; steps > 0 && n < in_.dims.batch; ++n) {
      if (in_.h0 != nullptr) sum.add({in_.h0 + n * in_.dims.units, 0}, n, in_.time(0), 1);
      if (steps == 1) continue;
      const T* h = saved_.h.at(n, in_.go_backwards ? steps - 2 : 0);
      const Index stride = in_.go_backwards ? -saved_.h.step : saved_.h.step;
      sum.add({h, stride}, n, in_.go_backwards ? 0 : 1, steps - 1);
    }
    sum.store(out_.recurrent_kernel, out_.overwrite);
  }

  /// sum over images of patches^T dz, [depth, 4 Fp].
  class Sum {
   public:
    Sum(const ConvGradients& of, const Window& window, const Factors<T>& factors)
        : of_(of),
          window_(window),
          factors_(factors),
          depth_(window.depth()),
          most_rows_(std::max<Index>(kBlockBytes / (depth_ * Index(sizeof(T))), 6)),
          patches_(most_rows_ * depth_),
          total_(depth_ * of.row_) {
      if (factors.gates != 0) scratch_ = AlignedBuffer<T>(most_rows_ * depth_);
      std::fill(total_.begin(), total_.end(), T(0));
    }

    /// `steps` images of sample n that meet the gate gradients of the input times from t on.
    void add(detail::Images<T> images, Index n, Index t, Index steps) {
      const Index rows = steps * of_.in_.pixels();
      for (Index first = 0; first < rows; first += most_rows_) {
        const Index last = std::min(rows, first + most_rows_);
        const Index gates = factors_.per_gate() ? kG : 1;
        for (Index g = 0; g < gates; ++g) {
          if (factors_.gates != 0) images.factor = factors_.row(static_cast<int>(g), n);
          load(images, n, t, first, last);
          kernels::Rows<T> a, b;
          a.base = patches_.data();
          a.outer = depth_;
          b.base = of_.dz(n, t) + first * of_.row_;
          b.outer = of_.row_;
          const Index width = of_.row_ / gates;
          const kernels::Strip<T> strip{g * width, total_.data() + g * width, width};
          kernels::outer_product(a, depth_, b, strip, of_.row_, last - first);
        }
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
    // Patches of a masked step are zeros: it may hold NaN.
    void load(const detail::Images<T>& images, Index n, Index t, Index first, Index last) {
      const ConvInputs<T>& in = of_.in_;
      parallel_for(double((last - first) * depth_), last - first, [&](Index begin, Index end) {
        for (Index r = begin; r < end;) {  // image by image: they may follow backwards
          const Index image = (first + r) / in.pixels(), from = image * in.pixels();
          const Index stop = std::min(end, from + in.pixels() - first);
          detail::Images<T> one = images;
          one.data += image * images.stride;
          detail::load_patches(window_, one, first + r - from, first + stop - from,
                               patches_.data() + r * depth_,
                               scratch_.data() + (factors_.gates != 0 ? r * depth_ : 0));
          r = stop;
        }
        for (Index r = begin; in.mask != nullptr && r < end; ++r) {
          const Index time = t + (first + r) / in.pixels();
          if (in.mask[n * in.dims.time + time] != 0) continue;
          std::fill_n(patches_.data() + r * depth_, depth_, T(0));
        }
      });
    }

    const ConvGradients& of_;
    const Window& window_;
    const Factors<T>& factors_;
    Index depth_, most_rows_;
    AlignedBuffer<T> patches_, scratch_, total_;
  };

  void bias() {
    AlignedBuffer<T> sums(row_);
    std::fill(sums.begin(), sums.end(), T(0));
    const Index rows = in_.rows() * in_.dims.time;
    kernels::add_column_sums(saved_.slots, row_, rows, row_, sums.data());
    add_bias(sums.data());
  }
  void add_bias(const T* sums) const {
    for (Index g = 0; g < kG; ++g) {
      T* out = out_.bias + g * in_.filters;
      for (Index j = 0; j < in_.filters; ++j) out[j] += sums[g * hp_ + j];
    }
  }

  // Image by image: their patches overlap within an image alone.
  void inputs(const T* packed) const {
    const Index images = in_.dims.batch * in_.dims.time;
    const double flops =
        2.0 * double(images * in_.pixels()) * double(row_) * double(in_.input.depth());
    parallel_for(flops, images, [&](Index begin, Index end) {
      const Index depth = in_.input.depth(), rows = detail::rows_at_once<T>(depth);
      AlignedBuffer<T> patches(rows * depth), image;
      if (in_.input_dropout.gates != 0) image = AlignedBuffer<T>(in_.dims.features);
      for (Index i = begin; i < end; ++i) {
        input_image(i, packed, patches.data(), rows, image.data());
      }
    });
  }

  void input_image(Index i, const T* packed, T* patches, Index rows, T* image) const {
    const Index n = i / in_.dims.time, size = in_.dims.features;
    const Factors<T>& factors = in_.input_dropout;
    T* out = out_.x + i * size;
    if (factors.gates == 0) return scatter(i, packed, 0, row_, patches, rows, out);
    const Index gates = factors.per_gate() ? kG : 1;
    for (Index g = 0; g < gates; ++g) {
      std::fill_n(image, size, T(0));
      scatter(i, packed, g * hp_, gates == 1 ? row_ : hp_, patches, rows, image);
      const T* factor = factors.row(static_cast<int>(g), n);
      for (Index k = 0; k < size; ++k) out[k] += image[k] * factor[k];
    }
  }

  // image += the transposed convolution of the slots [slot, slot + width) of image i.
  void scatter(Index i, const T* packed, Index slot, Index width, T* patches, Index most_rows,
               T* image) const {
    constexpr Index kW = simd::kWidth<T>;
    const Index depth = in_.input.depth();
    const T* from = saved_.slots + i * in_.pixels() * row_ + slot;
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
  Index hp_, row_;
};

}  // namespace elman::bptt
