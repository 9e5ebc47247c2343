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
    if (out_.kernel != nullptr) kernel();
    if (out_.recurrent_kernel != nullptr) recurrent_kernel();
    if (in_.dims.time == 0 || in_.dims.batch == 0) return;
    if (out_.bias != nullptr) bias();
    if (out_.x != nullptr) inputs(weights.input.x.data());
  }

 private:
  const T* dz(Index n, Index t) const {
    return saved_.slots + (n * in_.dims.time + t) * in_.pixels() * row_;
  }

  // The sum of one convolution's kernel by tiles, over the steps from `first` on; images(n, s) are
  // what its window reads. False if that is not possible or not worth it.
  template <class Images>
  bool by_tiles(const Window& window, const Factors<T>& factors, Index first, Images&& images,
                T* out) const {
    if (!tiles_fit(window) || factors.per_gate() ||
        !tiles_pay<T>(window, window.channels, in_.slots())) {
      return false;
    }
    std::vector<const T*> x, gradients, scales;
    for (Index n = 0; n < in_.dims.batch; ++n) {
      for (Index s = first; s < in_.dims.time; ++s) {
        if (!in_.used(n, s)) continue;  // its gradients are zeros, its input may be NaN
        x.push_back(images(n, s));
        gradients.push_back(dz(n, in_.time(s)));
        if (factors.gates != 0) scales.push_back(factors.row(0, n));
      }
    }
    TileSource<T> from = TileSource<T>::of(window, nullptr, 0), to;
    from.images = x.data();
    if (factors.gates != 0) from.factors = scales.data();
    to.channels = to.pixel = row_;
    to.images = gradients.data();
    const TileKernelGradient<T> sum(TileGrid(window), from, to, Index(x.size()));
    if (!sum.finite()) return false;
    constexpr Index kW = simd::kWidth<T>;
    const Index f = in_.filters;
    sum.store([&](Index tap, Index channel, Index block, const simd::Packet<T>& gradient) {
      const Index gate = block * kW / hp_, j = block * kW % hp_;
      T* target = out + ((tap * window.channels + channel) * kG + gate) * f + j;
      const simd::Packet<T> before =
          out_.overwrite ? simd::zero<T>() : simd::load_partial(target, f - j);
      simd::store_partial<T>(target, simd::add(before, gradient), f - j);
    });
    return true;
  }

  void kernel() {
    const auto images = [&](Index n, Index s) { return in_.x.at(n, in_.time(s)); };
    if (by_tiles(in_.input, in_.input_dropout, 0, images, out_.kernel)) return;
    Sum sum(*this, in_.input, in_.input_dropout);
    for (Index n = 0; n < in_.dims.batch; ++n) {
      sum.add({in_.x.at(n, 0), in_.x.step}, n, 0, in_.dims.time);
    }
    sum.store(out_.kernel, out_.overwrite);
  }

  // dz of step s meets h of the step before.
  void recurrent_kernel() {
    const auto images = [&](Index n, Index s) -> const T* {
      return s == 0 ? in_.h0 + n * in_.dims.units : saved_.h.at(n, s - 1);
    };
    const Index from = in_.h0 == nullptr ? 1 : 0;
    if (by_tiles(in_.state, in_.recurrent_dropout, from, images, out_.recurrent_kernel)) return;
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
