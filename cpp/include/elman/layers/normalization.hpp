// SPDX-License-Identifier: Apache-2.0
// elman/layers/normalization.hpp: layer and batch normalization on plain pointers.
#pragma once

#include <algorithm>
#include <cmath>
#include <cstdint>

#include "elman/core/aligned.hpp"
#include "elman/core/threads.hpp"
#include "elman/kernels/simd.hpp"

namespace elman {

namespace detail {

/// Sum over i < n of the lanes that term(i, lanes) returns; lanes beyond the row have to be zero.
/// Four chains of additions, so that a long row waits for loads and not for additions.
template <class T, class Term>
T sum_of_row(Index n, const Term& term) {
  constexpr Index kLanes = simd::kWidth<T>;
  simd::Packet<T> sums[4] = {simd::zero<T>(), simd::zero<T>(), simd::zero<T>(), simd::zero<T>()};
  Index i = 0;
  for (; i + 4 * kLanes <= n; i += 4 * kLanes) {
    for (Index k = 0; k < 4; ++k) sums[k] = simd::add(sums[k], term(i + k * kLanes, kLanes));
  }
  for (; i < n; i += kLanes) sums[0] = simd::add(sums[0], term(i, std::min(kLanes, n - i)));
  return simd::reduce_add<T>(simd::add(simd::add(sums[0], sums[1]), simd::add(sums[2], sums[3])));
}

inline constexpr Index kLeafRows = 256;  // rows summed in order; a longer float sum loses digits
// Columns summed together: two sums of 512 doubles are 8 KiB of L1, and a row is read in pieces
// long enough to be fetched ahead (64 columns: 1.5 times as long for 512 columns out of memory).
inline constexpr Index kLeafColumns = 512;

/// out[k * columns + j] = sum over rows i of what add(i, j0, width, sums) adds to
/// sums[k * kLeafColumns + j - j0], for k < K. The leaves depend on the sizes alone and are added
/// in order, so the sums are bit-equal at any thread count, few columns and many rows included.
template <class T, int K, class Add>
void sums_of_columns(Index rows, Index columns, T* out, const Add& add) {
  const Index leaves = std::max<Index>(1, (rows + kLeafRows - 1) / kLeafRows);
  const Index blocks = (columns + kLeafColumns - 1) / kLeafColumns;
  AlignedBuffer<T> partial(leaves > 1 ? leaves * K * columns : 0);
  T* const leaf_sums = leaves > 1 ? partial.data() : out;
  const double flops = 4.0 * K * double(rows) * double(columns);
  parallel_for(flops, leaves * blocks, [&](Index first, Index last) {
    alignas(64) T sums[K * kLeafColumns];
    for (Index unit = first; unit < last; ++unit) {
      const Index leaf = unit / blocks, j0 = unit % blocks * kLeafColumns;
      const Index width = std::min(kLeafColumns, columns - j0);
      std::fill_n(sums, K * kLeafColumns, T(0));
      const Index end = std::min(rows, (leaf + 1) * kLeafRows);
      for (Index i = leaf * kLeafRows; i < end; ++i) add(i, j0, width, sums);
      for (int k = 0; k < K; ++k) {
        std::copy_n(sums + k * kLeafColumns, width, leaf_sums + (leaf * K + k) * columns + j0);
      }
    }
  });
  if (leaves == 1) return;
  std::copy_n(leaf_sums, K * columns, out);
  for (Index leaf = 1; leaf < leaves; ++leaf) {
    const T* row = leaf_sums + leaf * K * columns;
    for (Index j = 0; j < K * columns; ++j) out[j] += row[j];
  }
}

/// dx += slope (d - pull_mean - pull_scale (x - mean)) along a row; the pulls are left out where
/// pull_mean is nullptr.
template <class T>
void add_batch_norm_row(Index c, const T* x, const T* mean, const T* slope, const T* pull_mean,
                        const T* pull_scale, const T* d, T* __restrict dx) {
  if (pull_mean == nullptr) {
    for (Index j = 0; j < c; ++j) dx[j] += slope[j] * d[j];
    return;
  }
  for (Index j = 0; j < c; ++j) {
    dx[j] += slope[j] * (d[j] - pull_mean[j] - pull_scale[j] * (x[j] - mean[j]));
  }
}

/// A vector of `value`s in place of an operand that is left out.
template <class T>
class Filled {
 public:
  Filled(const T* given, Index n, T value) : own_(given == nullptr ? n : 0), data_(given) {
    if (given != nullptr) return;
    std::fill_n(own_.data(), n, value);
    data_ = own_.data();
  }
  [[nodiscard]] const T* data() const noexcept { return data_; }

 private:
  AlignedBuffer<T> own_;
  const T* data_;
};

}  // namespace detail

/// y = (x - mean) / sqrt(variance + epsilon) gamma + beta, mean and variance of each row
/// Shapes    x [N,F]  gamma, beta [F] or nullptr (one, zero)  ->  y [N,F]  mean, scale [N]
/// Layout    row-major, contiguous; scale receives 1 / sqrt(variance + epsilon)
/// Aliasing  y aliases no input
/// Accuracy  two passes: the variance is the sum of (x - mean)^2; no cancellation
/// Cost      8NF flop; a row is read from L1 after the first pass, no allocation with gamma, beta
/// Source    Ba, Kiros, Hinton 2016; Keras LayerNormalization
template <class T>
void layer_norm_forward(Index n, Index f, const T* x, const T* gamma, const T* beta, T epsilon,
                        T* y, T* mean, T* scale) {
  const detail::Filled<T> ones(gamma, f, T(1)), zeros(beta, f, T(0));
  const T *factor = ones.data(), *shift = zeros.data();
  parallel_for(8.0 * double(n) * double(f), n, [=](Index begin, Index end) {
    for (Index i = begin; i < end; ++i) {
      const T* row = x + i * f;
      const T m =
          detail::sum_of_row<T>(
              f, [=](Index j, Index lanes) { return simd::load_partial<T>(row + j, lanes); }) /
          T(f);
      const auto centre = simd::set1<T>(m);
      const T squares = detail::sum_of_row<T>(f, [=](Index j, Index lanes) {
        const auto d = simd::sub(simd::load_partial<T>(row + j, lanes), centre);
        return simd::keep_first<T>(simd::mul(d, d), lanes);
      });
      const T s = T(1) / std::sqrt(squares / T(f) + epsilon);
      T* out = y + i * f;
      for (Index j = 0; j < f; ++j) out[j] = (row[j] - m) * s * factor[j] + shift[j];
      mean[i] = m;
      scale[i] = s;
    }
  });
}

/// Gradients of layer_norm_forward; each target may be nullptr and is added to.
/// Shapes    dy [N,F]; x, gamma, mean, scale as in the forward pass; dx [N,F]  d_gamma, d_beta [F]
/// Accuracy  sums of a row in float lanes, sums over the rows in leaves of 256; bit-equal at any
///           thread count        Cost  18NF flop
template <class T>
void layer_norm_backward(Index n, Index f, const T* x, const T* gamma, const T* mean,
                         const T* scale, const T* dy, T* dx, T* d_gamma, T* d_beta) {
  if (dx != nullptr) {
    const detail::Filled<T> ones(gamma, f, T(1));
    const T* factor = ones.data();
    parallel_for(14.0 * double(n) * double(f), n, [=](Index begin, Index end) {
      for (Index i = begin; i < end; ++i) {
        const T *row = x + i * f, *d = dy + i * f;
        const T m = mean[i], s = scale[i];
        const auto centre = simd::set1<T>(m);
        const auto slope = [=](Index j, Index lanes) {  // d loss / d normalized x
          return simd::mul(simd::load_partial<T>(d + j, lanes),
                           simd::load_partial<T>(factor + j, lanes));
        };
        const T a = detail::sum_of_row<T>(f, slope) / T(f);
        const T b = detail::sum_of_row<T>(
                        f,
                        [=](Index j, Index lanes) {
                          const auto centred =
                              simd::sub(simd::load_partial<T>(row + j, lanes), centre);
                          return simd::mul(slope(j, lanes), simd::keep_first<T>(centred, lanes));
                        }) *
                    s / T(f);
        T* to = dx + i * f;
        for (Index j = 0; j < f; ++j) {
          to[j] += s * (d[j] * factor[j] - a - (row[j] - m) * s * b);
        }
      }
    });
  }
  if (d_gamma == nullptr && d_beta == nullptr) return;
  AlignedBuffer<T> sums(2 * f);
  detail::sums_of_columns<T, 2>(n, f, sums.data(), [=](Index i, Index j0, Index width, T* to) {
    const T *row = x + i * f + j0, *d = dy + i * f + j0;
    const T m = mean[i], s = scale[i];
    for (Index j = 0; j < width; ++j) {
      to[j] += d[j] * ((row[j] - m) * s);
      to[detail::kLeafColumns + j] += d[j];
    }
  });
  for (Index j = 0; d_gamma != nullptr && j < f; ++j) d_gamma[j] += sums[j];
  for (Index j = 0; d_beta != nullptr && j < f; ++j) d_beta[j] += sums[f + j];
}

/// Mean and variance of each column over the rows whose mask is set; returns their number. Without
/// such a row both are zero.
/// Shapes    x [N,C]  mask [N] or nullptr (all rows)  ->  mean, variance [C]
/// Accuracy  two passes; masked rows may hold NaN; bit-equal at any thread count
/// Source    Ioffe, Szegedy 2015; Keras BatchNormalization (the variance is divided by the number)
template <class T>
Index batch_moments(Index n, Index c, const T* x, const bool* mask, T* mean, T* variance) {
  Index used = n;
  if (mask != nullptr) used = Index(std::count(mask, mask + n, true));
  const T count = T(std::max<Index>(1, used));
  detail::sums_of_columns<T, 1>(n, c, mean, [=](Index i, Index j0, Index width, T* to) {
    if (mask != nullptr && !mask[i]) return;
    const T* row = x + i * c + j0;
    for (Index j = 0; j < width; ++j) to[j] += row[j];
  });
  for (Index j = 0; j < c; ++j) mean[j] /= count;
  detail::sums_of_columns<T, 1>(n, c, variance, [=](Index i, Index j0, Index width, T* to) {
    if (mask != nullptr && !mask[i]) return;
    const T *row = x + i * c + j0, *m = mean + j0;
    for (Index j = 0; j < width; ++j) {
      const T d = row[j] - m[j];
      to[j] += d * d;
    }
  });
  for (Index j = 0; j < c; ++j) variance[j] /= count;
  return used;
}

/// y = (x - mean) / sqrt(variance + epsilon) gamma + beta with one mean and variance per column
/// Shapes    x [N,C]  gamma, beta [C] or nullptr  mean, variance [C]  ->  y [N,C]  scale [C]
/// Layout    scale receives 1 / sqrt(variance + epsilon)        Cost  3NC flop
template <class T>
void batch_norm_forward(Index n, Index c, const T* x, const T* gamma, const T* beta, const T* mean,
                        const T* variance, T epsilon, T* y, T* scale) {
  const detail::Filled<T> ones(gamma, c, T(1)), zeros(beta, c, T(0));
  const T *factor = ones.data(), *shift = zeros.data();
  for (Index j = 0; j < c; ++j) scale[j] = T(1) / std::sqrt(variance[j] + epsilon);
  parallel_for(4.0 * double(n) * double(c), n, [=](Index begin, Index end) {
    for (Index i = begin; i < end; ++i) {
      const T* row = x + i * c;
      T* out = y + i * c;
      for (Index j = 0; j < c; ++j) out[j] = (row[j] - mean[j]) * scale[j] * factor[j] + shift[j];
    }
  });
}

/// Gradients of batch_norm_forward; each target may be nullptr and is added to. `used` is the
/// number of rows that mean and variance come from, or -1 where both are constants.
/// Shapes    dy [N,C]; x, mask, gamma, mean, scale as in the forward passes;
///           dx [N,C]  d_gamma, d_beta [C]
/// Accuracy  bit-equal at any thread count; NaN in a masked row reaches a gradient only where dy is
///           not zero        Cost  11NC flop
template <class T>
void batch_norm_backward(Index n, Index c, const T* x, const bool* mask, const T* gamma,
                         const T* mean, const T* scale, Index used, const T* dy, T* dx, T* d_gamma,
                         T* d_beta) {
  AlignedBuffer<T> sums(2 * c);  // of dy (x - mean) scale, then of dy
  detail::sums_of_columns<T, 2>(n, c, sums.data(), [=](Index i, Index j0, Index width, T* to) {
    const T *row = x + i * c + j0, *d = dy + i * c + j0, *m = mean + j0, *s = scale + j0;
    if (mask != nullptr && !mask[i]) {
      for (Index j = 0; j < width; ++j) {
        if (d[j] != T(0)) to[j] += d[j] * ((row[j] - m[j]) * s[j]);
        to[detail::kLeafColumns + j] += d[j];
      }
      return;
    }
    for (Index j = 0; j < width; ++j) {
      to[j] += d[j] * ((row[j] - m[j]) * s[j]);
      to[detail::kLeafColumns + j] += d[j];
    }
  });
  const T *by_scale = sums.data(), *by_mean = sums.data() + c;
  for (Index j = 0; d_gamma != nullptr && j < c; ++j) d_gamma[j] += by_scale[j];
  for (Index j = 0; d_beta != nullptr && j < c; ++j) d_beta[j] += by_mean[j];
  if (dx == nullptr) return;
  // dx = slope (dy - pull_mean - pull_scale (x - mean)), the latter two for used rows only.
  AlignedBuffer<T> factors(3 * c);
  T *slope = factors.data(), *pull_mean = slope + c, *pull_scale = pull_mean + c;
  const T share = used > 0 ? T(1) / T(used) : T(0);
  for (Index j = 0; j < c; ++j) {
    slope[j] = gamma == nullptr ? scale[j] : gamma[j] * scale[j];
    pull_mean[j] = share * by_mean[j];
    pull_scale[j] = share * scale[j] * by_scale[j];
  }
  parallel_for(8.0 * double(n) * double(c), n, [=](Index begin, Index end) {
    for (Index i = begin; i < end; ++i) {
      const bool pulled = used > 0 && (mask == nullptr || mask[i]);
      detail::add_batch_norm_row(c, x + i * c, mean, slope, pulled ? pull_mean : nullptr,
                                 pull_scale, dy + i * c, dx + i * c);
    }
  });
}

}  // namespace elman
