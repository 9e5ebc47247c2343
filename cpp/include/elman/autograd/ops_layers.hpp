// SPDX-License-Identifier: Apache-2.0
// elman/autograd/ops_layers.hpp: dense, embedding, dropout and the cross-entropies as single nodes.
#pragma once

#include <string>
#include <vector>

#include "elman/autograd/ops_index.hpp"
#include "elman/autograd/parallel.hpp"
#include "elman/core/random.hpp"
#include "elman/layers/dense.hpp"
#include "elman/layers/losses.hpp"

namespace elman {

namespace detail {

inline void expect(const char* where, const char* what, const Tensor& t, const Shape& shape,
                   DType dtype, const char* hint) {
  if (t.shape() == shape && t.dtype() == dtype) return;
  fail(where, std::string(what) + ": expected " + shape.text() + " " + dtype_name(dtype) +
                  ", got " + t.shape().text() + " " + dtype_name(t.dtype()) + hint);
}

template <class T>
const T* pointer(const Tensor& t) {
  return t.defined() ? t.data<T>() : nullptr;
}
template <class T>
T* mutable_pointer(Tensor& t) {
  return t.defined() ? t.template mutable_data<T>() : nullptr;
}

/// What the backward run of such a node reads and writes; nullptr: not there, or not wanted.
template <class T>
struct ActivatedGradients {
  const T *y, *z, *dy;  // z: the sums, where the derivative needs them
  T* dz;                // nullptr where dz is dy
  T *dx, *d_kernel, *d_bias;
};

/// y = activation(sums of x, kernel and bias) as one node: forward(y, z) computes it,
/// backward(ActivatedGradients) the gradients.
template <class Forward, class Backward>
Tensor activated(const char* name, const Tensor& x, const Tensor& kernel, const Tensor& bias,
                 const Shape& shape, Activation activation, Forward&& forward,
                 const Backward& backward) {
  Tensor y(shape, x.dtype());
  const bool recorded = bias.defined() ? recording({&x, &kernel, &bias}) : recording({&x, &kernel});
  Tensor z;
  if (recorded && !kernels::derivative_from_output(activation)) z = Tensor(shape, x.dtype());
  visit_float(name, x.dtype(), [&](auto zero) {
    using T = decltype(zero);
    forward(y.template mutable_data<T>(), mutable_pointer<T>(z));
  });
  if (!recorded) return y;
  std::vector<Tensor> inputs{x, kernel};
  if (bias.defined()) inputs.push_back(bias);
  record_into(name, inputs, {y}, [=](const std::vector<Tensor>& d, GradientSink& sink) {
    visit_float(name, y.dtype(), [&](auto zero) {
      using T = decltype(zero);
      // Accumulates in place: a layer that is used at every time step keeps one buffer.
      const auto target = [&](std::size_t i) -> T* {
        return i < sink.size() && sink.needed(i) ? sink.buffer(i).template mutable_data<T>()
                                                 : nullptr;
      };
      Tensor dz;
      if (activation != Activation::linear) dz = Tensor(y.shape(), y.dtype());
      backward(ActivatedGradients<T>{y.data<T>(), pointer<T>(z), d[0].template data<T>(),
                                     mutable_pointer<T>(dz), target(0), target(1), target(2)});
    });
  });
  return y;
}

}  // namespace detail

namespace ops {

/// act(x K + b) over the last axis, for any rank >= 2; one node.
/// Shapes    x [..., F]  kernel [F,H]  bias [H] or undefined  ->  [..., H]
/// Errors    std::invalid_argument on a shape or type mismatch
inline Tensor dense(const Tensor& x, const Tensor& kernel, const Tensor& bias,
                    Activation activation) {
  if (x.ndim() < 2) fail("dense", "x: expected at least (N, F), got " + x.shape().text());
  if (kernel.ndim() != 2) fail("dense", "kernel: expected (F, H), got " + kernel.shape().text());
  const Index f = x.shape().back(), h = kernel.dim(1);
  detail::expect("dense", "kernel", kernel, {f, h}, x.dtype(), "; its rows are the features of x");
  if (bias.defined()) detail::expect("dense", "bias", bias, {h}, x.dtype(), "");
  Shape shape = x.shape();
  shape[shape.rank() - 1] = h;
  const Index n = shape.product(0, shape.rank() - 1);
  return detail::activated(
      "dense", x, kernel, bias, shape, activation,
      [&]<class T>(T* y, T* z) {
        dense_forward<T>(n, f, h, x.data<T>(), kernel.data<T>(), detail::pointer<T>(bias),
                         activation, y, z);
      },
      [=]<class T>(const detail::ActivatedGradients<T>& g) {
        dense_backward<T>(n, f, h, x.data<T>(), kernel.data<T>(), activation, g.y, g.z, g.dy, g.dz,
                          g.dx, g.d_kernel, g.d_bias);
      });
}

/// Rows of the table by number.
/// Shapes    ids [...] whole numbers  table [R, W]  ->  [..., W]
/// Errors    std::out_of_range for an id outside of the table, with its position
inline Tensor embedding(const Tensor& ids, const Tensor& table) {
  if (table.ndim() != 2) fail("embedding", "table: expected (R, W), got " + table.shape().text());
  const Tensor numbers = detail::as_ids("embedding", ids);
  Tensor out = gather(table, numbers, 0, "embedding");
  out.set_row_ids(numbers);
  return out;
}

/// x times a mask of zeros and 1 / (1 - rate), a pure function of (seed, counter): the tape keeps
/// those two numbers and draws the mask again.
inline Tensor dropout(const Tensor& input, double rate, const RandomKey& key) {
  const Tensor x = as_float(input);
  const auto masked = [rate, key](const Tensor& t) {
    Tensor out(t.shape(), t.dtype());
    visit_float("dropout", t.dtype(), [&](auto zero) {
      using T = decltype(zero);
      T* to = out.template mutable_data<T>();
      const T* from = t.template data<T>();
      fill_dropout_mask<T>(key, rate, to, t.size());
      detail::parallel(2.0 * static_cast<double>(t.size()), t.size(), [=](Index begin, Index end) {
        for (Index i = begin; i < end; ++i) to[i] *= from[i];
      });
    });
    return out;
  };
  Tensor y = masked(x);
  if (recording({&x})) {
    record_into("dropout", {x}, {y}, [masked](const std::vector<Tensor>& d, GradientSink& sink) {
      sink.add(0, masked(d[0]));
    });
  }
  return y;
}

/// Cross-entropy of each row, no mean. Differentiable in p alone.
/// Shapes    p [..., C]  targets: [..., C] of p's type, or ids [...] or [..., 1]  ->  [...]
/// Errors    std::invalid_argument on shapes; std::out_of_range for an id outside of [0, C)
inline Tensor cross_entropy(const Tensor& targets, const Tensor& p, bool logits, bool sparse) {
  const char* where = sparse ? "sparse_categorical_crossentropy" : "categorical_crossentropy";
  if (p.ndim() < 1 || p.shape().back() < 1) {
    fail(where, "y_pred: expected (..., C) with C >= 1, got " + p.shape().text());
  }
  Shape rows_shape = p.shape();
  rows_shape.erase(p.ndim() - 1);
  const Index classes = p.shape().back(), rows = rows_shape.size();
  Tensor y = targets;
  if (sparse) {
    y = detail::as_ids(where, targets);
    if (y.ndim() == p.ndim() && y.shape().back() == 1) y = y.view(rows_shape);
    if (!(y.shape() == rows_shape)) {
      fail(where, "y_true: expected ids of shape " + rows_shape.text() + ", got " +
                      targets.shape().text());
    }
    check_ids(where, y.data<std::int64_t>(), y.shape(), classes);
  } else {
    detail::expect(where, "y_true", y, p.shape(), p.dtype(), "; one-hot rows like y_pred");
  }
  const auto run = [=]<class T>(const T* d, T* losses, T* dp) {
    detail::parallel(20.0 * double(p.size()), rows, [&](Index begin, Index end) {
      T* scratch = kernels::thread_scratch<T, 6>(classes);
      for (Index i = begin; i < end; ++i) {
        const T* target = sparse ? nullptr : y.data<T>() + i * classes;
        const Index id = sparse ? Index(y.data<std::int64_t>()[i]) : 0;
        const T loss = cross_entropy_row<T>(p.data<T>() + i * classes, target, id, classes, logits,
                                            d == nullptr ? T(0) : d[i],
                                            dp == nullptr ? nullptr : dp + i * classes, scratch);
        if (losses != nullptr) losses[i] = loss;
      }
    });
  };
  Tensor out(rows_shape, p.dtype());
  visit_float(where, p.dtype(), [&](auto zero) {
    using T = decltype(zero);
    run(static_cast<const T*>(nullptr), out.template mutable_data<T>(), static_cast<T*>(nullptr));
  });
  if (recording({&p})) {
    record(
        "cross_entropy", {p}, {out}, [=](const std::vector<Tensor>& d, const std::vector<bool>&) {
          Tensor dp(p.shape(), p.dtype());
          visit_float("cross_entropy", p.dtype(), [&](auto zero) {
            using T = decltype(zero);
            run(d[0].template data<T>(), static_cast<T*>(nullptr), dp.template mutable_data<T>());
          });
          return std::vector<Tensor>{dp};
        });
  }
  return out;
}

/// Binary cross-entropy of each element, no mean. Differentiable in p alone.
/// Shapes    y, p [...]  ->  [...]
inline Tensor binary_cross_entropy(const Tensor& y, const Tensor& p, bool logits) {
  detail::expect("binary_crossentropy", "y_true", y, p.shape(), p.dtype(), "; like y_pred");
  Tensor out(p.shape(), p.dtype());
  visit_float("binary_crossentropy", p.dtype(), [&](auto zero) {
    using T = decltype(zero);
    const T *from = p.data<T>(), *target = y.data<T>();
    T* to = out.template mutable_data<T>();
    detail::parallel(40.0 * double(p.size()), p.size(), [&](Index begin, Index end) {
      for (Index i = begin; i < end; ++i) {
        to[i] = elman::binary_cross_entropy(from[i], target[i], logits);
      }
    });
  });
  if (!recording({&p})) return out;
  record("binary_crossentropy", {p}, {out},
         [=](const std::vector<Tensor>& d, const std::vector<bool>&) {
           Tensor dp(p.shape(), p.dtype());
           visit_float("binary_crossentropy", p.dtype(), [&](auto zero) {
             using T = decltype(zero);
             const T *from = p.data<T>(), *target = y.data<T>(), *dl = d[0].template data<T>();
             T* to = dp.template mutable_data<T>();
             for (Index i = 0; i < p.size(); ++i) {
               to[i] = dl[i] * binary_cross_entropy_gradient(from[i], target[i], logits);
             }
           });
           return std::vector<Tensor>{dp};
         });
  return out;
}

}  // namespace ops

}  // namespace elman
