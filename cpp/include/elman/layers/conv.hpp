// SPDX-License-Identifier: Apache-2.0
// elman/layers/conv.hpp: convolution over one to three axes on plain pointers.
#pragma once

#include "elman/kernels/activation.hpp"
#include "elman/kernels/indirect.hpp"
#include "elman/layers/bands.hpp"
#include "elman/layers/tiles_gradient.hpp"

namespace elman {

namespace detail {

// Packing shared out to the threads where it pays, at about 2 ns a packet; it also wakes them for
// the pass.
inline constexpr double kPackingFlops = 80;

/// packed [depth, columns] = pack_gates of one gate.
template <class T>
void pack_kernel(const T* kernel, Index depth, Index columns, T* packed) {
  constexpr Index kW = simd::kWidth<T>;
  const Index blocks = simd::padded<T>(columns) / kW;
  parallel_for(kPackingFlops * double(depth * blocks), blocks, [&](Index begin, Index end) {
    const Index first = begin * kW, last = std::min(columns, end * kW);
    kernels::pack_gates(kernel, columns, depth, last - first, kernels::GateColumns{&first, 1},
                        packed + first * depth);
  });
}

/// One pass of a window over images: the sums of all its outputs.
template <class T>
struct ConvPass {
  Window window;
  Index samples = 0, columns = 0;
  const T* x = nullptr;
  const T* packed = nullptr;  // [window.depth(), columns] by pack_gates
  const T* bias = nullptr;    // [columns] or nullptr
  T* y = nullptr;
  Places out;
  bool add = false;
};

/// run_pass() in tiles of 2 x 2 outputs, each of which is a band.
template <class T, class Done>
void run_pass_by_tiles(const ConvPass<T>& pass, Done&& done) {
  constexpr Index kW = simd::kWidth<T>;
  const Index blocks = simd::padded<T>(pass.columns) / kW;
  TileWeights<T> weights;
  weights.pack(pass.packed, pass.window.channels, blocks, 1, TileWeights<T>::group_of(blocks));
  const TileGrid grid(pass.window);
  const TileSource<T> source =
      TileSource<T>::of(pass.window, pass.x, pass.window.inputs() * pass.window.channels);
  const auto& stride = pass.out.stride;
  const auto first_of = [&](const TilePlace& at) {
    return pass.y + pass.out.origin + at.image * stride[0] + at.row * stride[2] +
           at.column * stride[3];
  };
  const double flops = 2.0 * double(pass.samples * pass.window.outputs()) *
                       double(pass.window.depth() * pass.columns);
  over_tiles<T>(
      flops, grid, pass.samples, weights.group,
      [&](const TileMemory<T>& memory, const TilePlace* places, Index count) {
        const TileConvolution<T> convolution({&source, &weights}, {}, memory);
        convolution.run(places, count, [&](const TilePlace& at, Index block, const T* sums) {
          T* const first = first_of(at);
          const Index group = weights.group_size(block);
          grid.each_output(at, [&](Index q, Index) {
            T* to = first + q / 2 * stride[2] + q % 2 * stride[3];
            for (Index j = block * kW; j < (block + group) * kW; j += kW) {
              const Index lanes = pass.columns - j;
              simd::Packet<T> sum = simd::load<T>(sums + q * group * kW + j - block * kW);
              if (pass.bias != nullptr)
                sum = simd::add(sum, simd::load_partial(pass.bias + j, lanes));
              if (pass.add) sum = simd::add(sum, simd::load_partial<T>(to + j, lanes));
              simd::store_partial<T>(to + j, sum, lanes);
            }
          });
        });
        for (Index t = 0; t < count; ++t) {
          const TilePlace& at = places[t];
          done(Band{{at.image, 0, at.row, at.column},
                    {1, 1, std::min<Index>(2, grid.height - at.row),
                     std::min<Index>(2, grid.width - at.column)}},
               first_of(at) - pass.out.origin);
        }
      });
}

/// Runs a pass; done(band) is called for every band once its outputs are there.
template <class T, class Done>
void run_pass(const ConvPass<T>& pass, Done&& done) {
  const Index depth = pass.window.depth(), columns = pass.columns;
  if (pass.samples * pass.window.outputs() * columns == 0) return;
  if (tiles_fit(pass.window) && tiles_pay<T>(pass.window, pass.window.channels, columns)) {
    return run_pass_by_tiles(pass, done);
  }
  const Bands bands(pass.window, pass.samples, pass.window.inputs() * pass.window.channels);
  AlignedBuffer<Index> offsets(depth);
  bands.offsets(offsets.data());
  AlignedBuffer<T> start;
  if (pass.bias != nullptr) {
    start = AlignedBuffer<T>(simd::padded<T>(columns));
    std::fill(std::copy_n(pass.bias, columns, start.data()), start.end(), T(0));
  }
  const double flops = 2.0 * double(bands.rows()) * double(depth) * double(columns);
  parallel_for(flops, bands.count(), [&](Index begin, Index end) {
    T* copy = kernels::thread_scratch<T, 8>(bands.copy_size());
    const T* rows[Bands::kRows];
    T* out[Bands::kRows];
    for (Index index = begin; index < end; ++index) {
      const Band band = bands.band(index);
      bands.locate(band, pass.x, copy, rows);
      T* first = pass.y;
      for (std::size_t k = 0; k < 4; ++k) first += band.first[k] * pass.out.stride[k];
      T** to = out;
      Bands::each_row(band, pass.out, [&](Index at) { *to++ = first + at; });
      kernels::indirect_product(band.rows(), rows, offsets.data(), depth, pass.packed, columns,
                                static_cast<const T*>(start.data()), out, pass.add);
      done(band, first);
    }
  });
}

/// The inputs i with (i + before) mod stride = phase meet only the taps phase, phase + stride, ...:
/// over the gradients of the outputs these, reversed, are a window with unit strides.
struct Phase {
  WindowAxis axis;            // over the outputs; axis.out inputs
  Index first = 0, step = 1;  // of the inputs
  Index tap = 0;              // the first tap; every step-th follows
};

/// Phase 0 <= phase < min(stride, taps).
inline Phase phase_of(const WindowAxis& axis, Index phase) {
  Phase p;
  p.step = axis.stride;
  p.tap = phase;
  p.first = ((phase - axis.before) % axis.stride + axis.stride) % axis.stride;
  // Unit strides go with any dilation. With other strides each tap is a step of its own, and the
  // dilation has to be one.
  const Index taps = (axis.taps - phase - 1) / axis.stride + 1;
  const Index inputs = p.first < axis.in ? (axis.in - p.first - 1) / axis.stride + 1 : 0;
  const Index output = (p.first + axis.before - phase) / axis.stride;  // of tap `phase`
  p.axis = {axis.out, inputs, taps, 1, axis.dilation, (taps - 1) * axis.dilation - output};
  return p;
}

/// dst = the taps of three phases, reversed, each transposed to [filters, channels].
template <class T>
void pack_phase(const Window& window, const std::array<Phase, 3>& phase, const T* kernel,
                Index filters, T* dst) {
  const auto& [d, h, w] = phase;
  const Index c = window.channels;
  const Index taps = d.axis.taps * h.axis.taps * w.axis.taps, depth = taps * filters;
  const double packets = double(depth * simd::padded<T>(c) / simd::kWidth<T>);
  parallel_for(kPackingFlops * packets, taps, [&](Index begin, Index end) {
    for (Index at = begin; at < end; ++at) {
      const Index left = taps - 1 - at, k = left % w.axis.taps, line = left / w.axis.taps;
      const Index i = line / h.axis.taps, j = line % h.axis.taps;
      const Index tap =
          ((d.tap + i * d.step) * window.axes[1].taps + h.tap + j * h.step) * window.axes[2].taps +
          w.tap + k * w.step;
      kernels::pack_transposed(kernel + tap * c * filters, filters, filters, c,
                               dst + at * filters * simd::kWidth<T>, depth);
    }
  });
}

/// dx += the transposed convolution of dz, phase by phase.
template <class T>
void conv_input_gradient(const Window& window, Index samples, Index filters, const T* kernel,
                         const T* dz, T* dx) {
  const auto& [d, h, w] = window.axes;
  AlignedBuffer<T> packed(kernels::packed_size<T>(window.taps() * filters, window.channels, 1));
  // Inputs whose phase no tap has get nothing.
  const auto phases = [](const WindowAxis& axis) { return std::min(axis.stride, axis.taps); };
  for (Index i = 0; i < phases(d) * phases(h) * phases(w); ++i) {
    const std::array<Phase, 3> phase{phase_of(d, i / (phases(h) * phases(w))),
                                     phase_of(h, i / phases(w) % phases(h)),
                                     phase_of(w, i % phases(w))};
    ConvPass<T> pass;
    pass.window.channels = filters;
    for (std::size_t k = 0; k < 3; ++k) pass.window.axes[k] = phase[k].axis;
    pack_phase(window, phase, kernel, filters, packed.data());
    pass.samples = samples;
    pass.columns = window.channels;
    pass.x = dz;
    pass.packed = packed.data();
    pass.y = dx;
    pass.out = Places::of(d.in, h.in, w.in, window.channels);
    for (std::size_t k = 0; k < 3; ++k) {
      pass.out.origin += phase[k].first * pass.out.stride[k + 1];
      pass.out.stride[k + 1] *= phase[k].step;
    }
    pass.add = true;
    run_pass(pass, [](const Band&, T*) {});
  }
}

/// d_kernel [depth, filters] rows [m.begin, m.end) += the sums over the bands [bands_begin, end).
template <class T>
void conv_kernel_part(const Bands& bands, Range some, const Index* offsets, Range m, Index filters,
                      const Places& outputs, const T* x, const T* dz, T* d_kernel) {
  T* copy = kernels::thread_scratch<T, 8>(bands.copy_size());
  T* b = kernels::thread_scratch<T, 9>(Bands::kRows * simd::padded<T>(filters));
  const T *rows[Bands::kRows], *from[Bands::kRows];
  for (Index index = some.begin; index < some.end; ++index) {
    const Band band = bands.band(index);
    bands.locate(band, x, copy, rows);
    const T* first = dz;
    for (std::size_t k = 0; k < 4; ++k) first += band.first[k] * outputs.stride[k];
    const T** to = from;
    Bands::each_row(band, outputs, [&](Index at) { *to++ = first + at; });
    kernels::pack_rows(from, band.rows(), filters, b);
    kernels::indirect_outer_product(rows, band.rows(), offsets + m.begin, m.size(), b, filters,
                                    d_kernel + m.begin * filters, filters);
  }
}

/// d_kernel += the same by tiles; false where a sum is not finite.
template <class T>
bool conv_kernel_gradient_by_tiles(const Window& window, Index samples, Index filters, const T* x,
                                   const T* dz, T* d_kernel) {
  constexpr Index kW = simd::kWidth<T>;
  const TileSource<T> source = TileSource<T>::of(window, x, window.inputs() * window.channels);
  TileSource<T> outputs;
  outputs.channels = outputs.pixel = filters;
  outputs.data = dz;
  outputs.image = window.outputs() * filters;
  const TileKernelGradient<T> sum(TileGrid(window), {&source, nullptr}, outputs, samples);
  if (!sum.finite()) return false;
  sum.store(0, [&](Index tap, Index channel, Index block, const simd::Packet<T>& gradient) {
    T* to = d_kernel + (tap * window.channels + channel) * filters + block * kW;
    const Index lanes = filters - block * kW;
    simd::store_partial<T>(to, simd::add(simd::load_partial(to, lanes), gradient), lanes);
  });
  return true;
}

/// d_kernel += patches^T dz. The sum over the outputs is cut at places that the sizes alone decide,
/// so that any number of threads gives the same bits.
template <class T>
void conv_kernel_gradient(const Window& window, Index samples, Index filters, const T* x,
                          const T* dz, T* d_kernel) {
  const Index depth = window.depth(), size = depth * filters;
  if (samples * window.outputs() * size == 0) return;
  if (tiles_fit(window) && tiles_pay<T>(window, window.channels, filters) &&
      conv_kernel_gradient_by_tiles(window, samples, filters, x, dz, d_kernel)) {
    return;
  }
  const Bands bands(window, samples, window.inputs() * window.channels);
  AlignedBuffer<Index> offsets(depth);
  bands.offsets(offsets.data());
  const Places outputs =
      Places::of(window.axes[0].out, window.axes[1].out, window.axes[2].out, filters);
  const double flops = 2.0 * double(bands.rows()) * double(size);
  // Large kernels are shared out by their rows; for small ones each part sums over some bands.
  const bool by_rows = size >= 32 * 1024 && depth >= 96;
  const Index parts = by_rows ? 1
                              : std::clamp<Index>(static_cast<Index>(flops / 2e6), 1,
                                                  std::min<Index>(bands.count() / 2 + 1, 16));
  if (parts == 1) {
    return parallel_for(by_rows ? flops : 0, (depth + 5) / 6, [&](Index begin, Index end) {
      conv_kernel_part(bands, {0, bands.count()}, offsets.data(),
                       {begin * 6, std::min(depth, end * 6)}, filters, outputs, x, dz, d_kernel);
    });
  }
  AlignedBuffer<T> sums(parts * size);
  parallel_for(flops, parts, [&](Index begin, Index end) {
    for (Index part = begin; part < end; ++part) {
      T* sum = sums.data() + part * size;
      std::fill_n(sum, size, T(0));
      conv_kernel_part(bands, part_range(bands.count(), int(parts), int(part)), offsets.data(),
                       {0, depth}, filters, outputs, x, dz, sum);
    }
  });
  add_parts(sums.data(), parts, size, size, d_kernel);
}

}  // namespace detail

/// y = a(conv(x, K) + b), the cross-correlation of Keras: output o, filter f is the sum over taps
/// and channels of x[o stride - before + tap dilation, c] K[tap, c, f].
/// Shapes    x [N, inputs, C]  kernel [taps, C, F]  bias [F] or nullptr  ->  y [N, outputs, F];
///           z like y or nullptr; inputs, taps and outputs are the axes of `window`
/// Layout    row-major, contiguous, channels last; z receives conv + b where backward needs it
/// Aliasing  y and z alias no input
/// Accuracy  as product(); of 3 x 3 taps with many channels (tiles_pay) the bound of winograd.hpp,
///           where an infinity may come out as NaN
/// Cost      2 N outputs taps C F flop, in tiles 16/36 of that and the transforms; packs the kernel
///           once; bit-equal at any thread count
/// Source    Keras Conv1D, Conv2D, Conv3D
template <class T>
void conv_forward(const Window& window, Index n, Index filters, const T* x, const T* kernel,
                  const T* bias, Activation activation, T* y, T* z = nullptr) {
  AlignedBuffer<T> packed(kernels::packed_size<T>(window.depth(), filters, 1));
  detail::pack_kernel(kernel, window.depth(), filters, packed.data());
  detail::ConvPass<T> pass;
  pass.window = window;
  pass.samples = n;
  pass.columns = filters;
  pass.x = x;
  pass.packed = packed.data();
  pass.bias = bias;
  pass.y = y;
  pass.out =
      detail::Places::of(window.axes[0].out, window.axes[1].out, window.axes[2].out, filters);
  detail::run_pass(pass, [&](const detail::Band& band, T* outputs) {
    if (activation == Activation::linear && z == nullptr) return;
    detail::Band lines = band;
    lines.count[3] = 1;
    const Index width = band.count[3] * filters;
    detail::Bands::each_row(lines, pass.out, [&](Index at) {
      T* line = outputs + at;
      if (z != nullptr) std::copy_n(line, width, z + (line - y));
      if (activation != Activation::linear) activate(activation, line, line, width);
    });
  });
}

/// Gradients of conv_forward; each target may be nullptr.
/// Shapes    dy like y; y = output, z = conv + b (read only where the activation needs it);
///           dz like y is scratch, not needed for a linear activation;
///           dx, d_kernel, d_bias like x, kernel, bias are added to
/// Errors    std::invalid_argument for strides together with a dilation
/// Accuracy  as conv_forward(); bit-equal at any thread count
/// Cost      4 N outputs taps C F flop
template <class T>
void conv_backward(const Window& window, Index n, Index filters, const T* x, const T* kernel,
                   Activation activation, const T* y, const T* z, const T* dy, T* dz, T* dx,
                   T* d_kernel, T* d_bias) {
  for (const WindowAxis& axis : window.axes) {
    if (axis.stride > 1 && axis.dilation > 1) {
      fail("conv_backward",
           "strides: expected 1 along an axis with a dilation, got " + std::to_string(axis.stride));
    }
  }
  const Index rows = n * window.outputs();
  if (activation != Activation::linear) {
    parallel_for(8.0 * double(rows) * double(filters), rows, [=](Index begin, Index end) {
      activate_backward(activation, z == nullptr ? nullptr : z + begin * filters,
                        y + begin * filters, dy + begin * filters, dz + begin * filters,
                        (end - begin) * filters);
    });
    dy = dz;
  }
  if (dx != nullptr) detail::conv_input_gradient(window, n, filters, kernel, dy, dx);
  if (d_kernel != nullptr) detail::conv_kernel_gradient(window, n, filters, x, dy, d_kernel);
  if (d_bias != nullptr) kernels::add_column_sums(dy, filters, rows, filters, d_bias);
}

}  // namespace elman
