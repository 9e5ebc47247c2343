// SPDX-License-Identifier: Apache-2.0
// elman/autograd/ops_matmul.hpp: products of matrices and of batches of matrices.
#pragma once

#include <algorithm>
#include <array>
#include <string>
#include <string_view>
#include <vector>

#include "elman/autograd/cast.hpp"
#include "elman/autograd/ops_shape.hpp"
#include "elman/autograd/tape.hpp"
#include "elman/kernels/product.hpp"

namespace elman {
namespace detail {

/// C[i] (+)= op(A[i]) op(B[i]) for `count` contiguous matrices; entry i of a broadcast operand lies
/// at offsets[i].
struct BatchProduct {
  Index m = 0, n = 0, k = 0;
  std::vector<Index> a, b, c;  // offsets in elements
  bool shared_target = false;  // several entries add to one target: keep them in order

  void run(bool trans_a, bool trans_b, const Tensor& left, const Tensor& right, Tensor& out,
           bool accumulate) const {
    const double flops =
        2.0 * static_cast<double>(m) * static_cast<double>(n) * static_cast<double>(k);
    const auto count = static_cast<Index>(c.size());
    visit_float("matmul", out.dtype(), [&](auto zero) {
      using T = decltype(zero);
      const T* pa = left.data<T>();
      const T* pb = right.data<T>();
      T* pc = out.mutable_data<T>();
      const auto step = [&](Index begin, Index end) {
        for (Index i = begin; i < end; ++i) {
          const auto e = static_cast<std::size_t>(i);
          product(trans_a, trans_b, m, n, k, pa + a[e], trans_a ? m : k, pb + b[e], trans_b ? k : n,
                  pc + c[e], n, accumulate);
        }
      };
      // Small products share out the batch, large ones their own rows and columns.
      constexpr double kLarge = 2e6;
      if (shared_target || flops > kLarge) return step(0, count);
      parallel(flops * static_cast<double>(count), count, step);
    });
  }
};

/// Offsets of the matrices of an operand when its leading axes are broadcast to `batch`.
inline std::vector<Index> batch_offsets(const Shape& leading, const Shape& batch, Index matrix) {
  const auto plan = broadcast_plan<1>(batch, {&leading});
  std::vector<Index> out;
  out.reserve(static_cast<std::size_t>(batch.size()));
  walk_runs(plan, 0, batch.size() == 0 ? 0 : plan.runs(),
            [&](Index, const std::array<Index, 1>& at) {
              for (Index i = 0; i < plan.run(); ++i) {
                out.push_back((at[0] + i * plan.run_stride(0)) * matrix);
              }
            });
  return out;
}

inline Shape leading_axes(const Shape& shape) { return Shape(shape.begin(), shape.end() - 2); }

/// Both operands have at least two axes.
struct MatmulPlan {
  Shape out_shape, a_shape, b_shape;
  Index m = 0, n = 0, k = 0;
  bool flat = false;  // B is one matrix: all rows of A in one product
  std::vector<Index> a, b, c;

  MatmulPlan(std::string_view where, const Shape& sa, const Shape& sb) : a_shape(sa), b_shape(sb) {
    m = sa.dim(-2);
    k = sa.dim(-1);
    n = sb.dim(-1);
    if (sb.dim(-2) != k) {
      fail(where, "y: expected " + std::to_string(k) + " rows to match the last axis of x " +
                      sa.text() + ", got " + sb.text());
    }
    const Shape batch = broadcast_shapes(where, leading_axes(sa), leading_axes(sb));
    out_shape = batch;
    out_shape.push_back(m);
    out_shape.push_back(n);
    flat = sb.rank() == 2;
    if (flat) {
      m *= batch.size();
      a = b = c = {0};
      return;
    }
    a = batch_offsets(leading_axes(sa), batch, m * k);
    b = batch_offsets(leading_axes(sb), batch, k * n);
    c = batch_offsets(batch, batch, m * n);
  }

  [[nodiscard]] Tensor forward(const Tensor& x, const Tensor& y) const {
    Tensor out(out_shape, x.dtype());
    BatchProduct{m, n, k, a, b, c, false}.run(false, false, x, y, out, false);
    return out;
  }
  /// dA = dC B^T and dB = A^T dC, added up over the entries that share an operand.
  void backward(const Tensor& x, const Tensor& y, const Tensor& d, GradientSink& sink) const {
    if (sink.needed(0)) {
      const BatchProduct rule{m, k, n, c, b, a, !unique(a)};
      add(rule, false, true, d, y, 0, sink);
    }
    if (sink.needed(1)) {
      const BatchProduct rule{k, n, m, a, c, b, !unique(b)};
      add(rule, true, false, x, d, 1, sink);
    }
  }

 private:
  static bool unique(std::vector<Index> offsets) {
    std::sort(offsets.begin(), offsets.end());
    return std::adjacent_find(offsets.begin(), offsets.end()) == offsets.end();
  }
  static void add(const BatchProduct& rule, bool trans_a, bool trans_b, const Tensor& left,
                  const Tensor& right, std::size_t input, GradientSink& sink) {
    if (rule.c.size() != 1) {
      return rule.run(trans_a, trans_b, left, right, sink.buffer(input), true);
    }
    bool fresh = false;
    Tensor& target = sink.accumulator(input, fresh);
    rule.run(trans_a, trans_b, left, right, target, !fresh);
  }
};

/// x y for operands of at least two axes and one real element type.
inline Tensor matrix_product(const char* name, const Tensor& x, const Tensor& y) {
  const MatmulPlan plan(name, x.shape(), y.shape());
  Tensor out = plan.forward(x, y);
  if (recording({&x, &y})) {
    record_into(name, {x, y}, {out}, [plan, x, y](const auto& d, GradientSink& sink) {
      plan.backward(x, y, d[0], sink);
    });
  }
  return out;
}

/// Both operands in their common real type.
inline std::pair<Tensor, Tensor> real_pair(const Tensor& x, const Tensor& y) {
  DType dtype = promote(x.dtype(), y.dtype());
  if (!is_floating(dtype)) dtype = DType::float32;
  return {ops::cast(x, dtype), ops::cast(y, dtype)};
}

inline std::vector<Index> to_list(const Shape& shape) { return {shape.begin(), shape.end()}; }

}  // namespace detail

namespace ops {

/// numpy.matmul: the last two axes are matrices, the others are broadcast; a vector is a row on the
/// left and a column on the right.
/// Errors    std::invalid_argument for scalars and for shapes that do not fit
inline Tensor matmul(const Tensor& a, const Tensor& b) {
  auto [x, y] = detail::real_pair(a, b);
  if (x.ndim() == 0 || y.ndim() == 0) {
    fail("matmul",
         "expected arrays of rank >= 1, got x " + x.shape().text() + " and y " + y.shape().text());
  }
  const bool row = x.ndim() == 1, column = y.ndim() == 1;
  if (row) x = expand_dims(x, 0);
  if (column) y = expand_dims(y, 1);
  const Tensor out = detail::matrix_product("matmul", x, y);
  if (!row && !column) return out;
  std::vector<Index> dims = detail::to_list(out.shape());
  if (column) dims.pop_back();
  if (row) dims.erase(dims.end() - (column ? 1 : 2));
  return reshape(out, dims);
}

/// Keras K.dot: the last axis of x against the second last of y.
/// Shapes    x [A.., K]  y [B.., K, N] or [K]  ->  [A.., B.., N]
inline Tensor dot(const Tensor& a, const Tensor& b) {
  auto [x, y] = detail::real_pair(a, b);
  if (x.ndim() == 0 || y.ndim() == 0) return multiply(x, y);
  if (y.ndim() == 1 && x.ndim() == 1) return matmul(x, y);
  Shape shape(x.shape().begin(), x.shape().end() - 1);
  const Index k = y.shape().dim(y.ndim() == 1 ? 0 : -2);
  if (x.shape().dim(-1) != k) {
    fail("dot", "y: expected " + std::to_string(x.shape().dim(-1)) +
                    " elements along its second last axis to match the last axis of x " +
                    x.shape().text() + ", got " + y.shape().text());
  }
  if (y.ndim() > 2) {
    std::vector<Index> perm{y.ndim() - 2};
    for (Index axis = 0; axis < y.ndim(); ++axis) {
      if (axis == y.ndim() - 2) continue;
      perm.push_back(axis);
      shape.push_back(y.shape()[axis]);
    }
    y = transpose(y, perm);
    y = reshape(y, {k, y.shape().product(1, y.ndim())});
  } else if (y.ndim() == 2) {
    shape.push_back(y.shape()[1]);
  } else {
    y = expand_dims(y, 1);
  }
  if (x.ndim() == 2 && shape.rank() == 2) return detail::matrix_product("dot", x, y);
  x = reshape(x, {x.shape().product(0, x.ndim() - 1), k});
  return reshape(detail::matrix_product("dot", x, y), detail::to_list(shape));
}

}  // namespace ops

namespace detail {

/// The axis of the sum: never the batch axis.
inline Index contraction_axis(const Shape& shape, Index axis) {
  const Index k = shape.normal_axis(axis, "batch_dot");
  if (k == 0) {
    fail("batch_dot", "axes: axis 0 is the batch; use expand_dims(x, 0) for arrays without one");
  }
  return k;
}

/// x with one axis moved to the place `to`, the others in order.
inline Tensor moved_axis(const Tensor& x, Index from, Index to) {
  if (from == to) return x;
  std::vector<Index> perm;
  for (Index axis = 0; axis < x.ndim(); ++axis) {
    if (axis != from) perm.push_back(axis);
  }
  perm.insert(perm.begin() + to, from);
  return ops::transpose(x, perm);
}

}  // namespace detail

namespace ops {

/// Keras K.batch_dot: for each entry of the batch, axis axes[0] of x against axes[1] of y.
/// Shapes    x [N, A.., K, ..]  y [N, B.., K, ..]  ->  [N, A.., B..], at least rank 2
inline Tensor batch_dot(const Tensor& a, const Tensor& b, std::vector<Index> axes = {}) {
  auto [x, y] = detail::real_pair(a, b);
  if (x.ndim() < 2 || y.ndim() < 2 || x.shape()[0] != y.shape()[0]) {
    fail("batch_dot", "expected two batches of equal length and rank >= 2, got x " +
                          x.shape().text() + " and y " + y.shape().text());
  }
  if (axes.empty()) axes = {x.ndim() - 1, y.ndim() == 2 ? 1 : y.ndim() - 2};
  if (axes.size() == 1) axes.push_back(axes[0]);
  const Index ax = detail::contraction_axis(x.shape(), axes[0]);
  const Index ay = detail::contraction_axis(y.shape(), axes[1]);
  const Index k = x.shape()[ax], batch = x.shape()[0];
  if (y.shape()[ay] != k) {
    fail("batch_dot", "axes: axis " + std::to_string(ax) + " of x " + x.shape().text() +
                          " and axis " + std::to_string(ay) + " of y " + y.shape().text() +
                          " differ in size");
  }
  Shape shape{batch};
  for (Index axis = 1; axis < x.ndim(); ++axis) {
    if (axis != ax) shape.push_back(x.shape()[axis]);
  }
  for (Index axis = 1; axis < y.ndim(); ++axis) {
    if (axis != ay) shape.push_back(y.shape()[axis]);
  }
  if (shape.rank() == 1) shape.push_back(1);
  x = detail::moved_axis(x, ax, x.ndim() - 1);
  y = detail::moved_axis(y, ay, 1);
  x = reshape(x, {batch, x.shape().product(1, x.ndim() - 1), k});
  y = reshape(y, {batch, k, y.shape().product(2, y.ndim())});
  return reshape(detail::matrix_product("batch_dot", x, y), detail::to_list(shape));
}

/// x + bias along the last axis.
/// Errors    std::invalid_argument unless bias is a vector as long as the last axis of x
inline Tensor bias_add(const Tensor& x, const Tensor& bias) {
  if (x.ndim() == 0 || bias.ndim() != 1 || bias.shape()[0] != x.shape().dim(-1)) {
    fail("bias_add", "bias: expected one value for each element of the last axis of x " +
                         x.shape().text() + ", got " + bias.shape().text());
  }
  return add(x, bias);
}

}  // namespace ops
}  // namespace elman
