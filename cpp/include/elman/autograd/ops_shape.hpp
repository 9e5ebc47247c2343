// SPDX-License-Identifier: Apache-2.0
// elman/autograd/ops_shape.hpp: the same elements in another shape, order or number.
#pragma once

#include <algorithm>
#include <string>
#include <string_view>
#include <vector>

#include "elman/autograd/cast.hpp"
#include "elman/autograd/ops_binary.hpp"
#include "elman/autograd/strided.hpp"
#include "elman/autograd/tape.hpp"

namespace elman {
namespace detail {

/// A view under another shape as a recorded operation: no element moves.
inline Tensor reshaped(const char* name, const Tensor& x, const Shape& shape) {
  Tensor out = x.view(shape);
  if (recording({&x})) {
    record_into(name, {x}, {out}, [from = x.shape()](const auto& d, GradientSink& sink) {
      sink.add(0, d[0].view(from));
    });
  }
  return out;
}

/// The elements of a view as a recorded operation; contiguous parts are not copied.
inline Tensor viewed(const char* name, const Tensor& x, const StridedView& view,
                     const Shape& shape) {
  Tensor out =
      is_contiguous(view.plan()) ? x.view(shape, view.offset) : copy_strided(x, view).view(shape);
  if (recording({&x})) {
    // Accumulates into one buffer per x: T steps x[:, t] of a sequence cost one array, not T.
    record_into(name, {x}, {out}, [view](const auto& d, GradientSink& sink) {
      add_strided(sink.buffer(0), view, d[0]);
    });
  }
  return out;
}

}  // namespace detail

namespace ops {

/// x under another shape of as many elements; one dimension may be -1. No copy.
/// Errors    std::invalid_argument when the number of elements differs
inline Tensor reshape(const Tensor& x, const std::vector<Index>& dims) {
  Shape shape;
  Index unknown = -1, known = 1;
  std::string asked;
  for (std::size_t i = 0; i < dims.size(); ++i) {
    asked += (i == 0 ? "" : ", ") + std::to_string(dims[i]);
    if (dims[i] == -1 && unknown < 0) {
      unknown = static_cast<Index>(i);
      shape.push_back(0);
    } else {
      if (dims[i] < 0) {
        fail("reshape", "shape: expected dimensions >= 0 and at most one -1, got (" + asked + ")");
      }
      shape.push_back(dims[i]);
      if (dims[i] > 0 && known > x.size()) known = x.size() + 1;  // too many, and no overflow
      known *= dims[i];
    }
  }
  if (unknown >= 0 && known > 0 && x.size() % known == 0) shape[unknown] = x.size() / known;
  const bool fits = unknown >= 0 ? known > 0 && x.size() % known == 0 : known == x.size();
  if (!fits) {
    fail("reshape", "shape: cannot make (" + asked + ") of the " + std::to_string(x.size()) +
                        " elements of x " + x.shape().text());
  }
  return detail::reshaped("reshape", x, shape);
}

inline Tensor expand_dims(const Tensor& x, Index axis) {
  Shape shape = x.shape();
  const Index rank = shape.rank() + 1;
  if (axis < -rank || axis >= rank) {
    fail_range("expand_dims", "axis: expected -" + std::to_string(rank) + " <= axis < " +
                                  std::to_string(rank) + ", got " + std::to_string(axis));
  }
  shape.insert(axis < 0 ? axis + rank : axis, 1);
  return detail::reshaped("expand_dims", x, shape);
}

/// Without one axis of size 1, or without all of them.
inline Tensor squeeze(const Tensor& x, const std::vector<Index>& axes, bool all) {
  std::vector<bool> drop(static_cast<std::size_t>(x.ndim()), false);
  for (Index axis = 0; all && axis < x.ndim(); ++axis) {
    drop[static_cast<std::size_t>(axis)] = x.shape()[axis] == 1;
  }
  for (const Index axis : axes) {
    const Index k = x.shape().normal_axis(axis, "squeeze");
    if (x.shape()[k] != 1) {
      fail("squeeze", "axis: expected an axis of size 1, got axis " + std::to_string(axis) +
                          " of x " + x.shape().text());
    }
    drop[static_cast<std::size_t>(k)] = true;
  }
  Shape shape;
  for (Index axis = 0; axis < x.ndim(); ++axis) {
    if (!drop[static_cast<std::size_t>(axis)]) shape.push_back(x.shape()[axis]);
  }
  return detail::reshaped("squeeze", x, shape);
}

/// Axis i of the result is axis perm[i] of x; an empty perm reverses all axes.
inline Tensor transpose(const Tensor& x, std::vector<Index> perm = {}) {
  const Index rank = x.ndim();
  if (perm.empty()) {
    for (Index axis = rank; axis-- > 0;) perm.push_back(axis);
  }
  const detail::StridedView source = detail::whole(x.shape());
  detail::StridedView view;
  std::vector<bool> seen(static_cast<std::size_t>(rank), false);
  for (std::size_t i = 0; i < perm.size(); ++i) {
    perm[i] = x.shape().normal_axis(perm[i], "transpose");
    const auto k = static_cast<std::size_t>(perm[i]);
    if (seen[k] || static_cast<Index>(perm.size()) != rank) {
      fail("transpose", "perm: expected each axis of x " + x.shape().text() + " once");
    }
    seen[k] = true;
    view.shape.push_back(x.shape()[perm[i]]);
    view.strides[i] = source.strides[k];
  }
  if (static_cast<Index>(perm.size()) != rank) {
    fail("transpose", "perm: expected each axis of x " + x.shape().text() + " once");
  }
  Tensor out =
      detail::is_contiguous(view.plan()) ? x.view(view.shape) : detail::copy_strided(x, view);
  if (recording({&x})) {
    record_into("transpose", {x}, {out}, [perm](const auto& d, GradientSink& sink) {
      std::vector<Index> back(perm.size());
      for (std::size_t i = 0; i < perm.size(); ++i) {
        back[static_cast<std::size_t>(perm[i])] = static_cast<Index>(i);
      }
      if (!perm.empty()) return sink.add(0, transpose(d[0], back));
      sink.add(0, d[0]);
    });
  }
  return out;
}

inline Tensor broadcast_to(const Tensor& x, const Shape& shape) {
  if (!(detail::broadcast_shapes("broadcast_to", x.shape(), shape) == shape)) {
    fail("broadcast_to", "shape: x " + x.shape().text() + " does not broadcast to " + shape.text());
  }
  const detail::StridedView view{shape, detail::broadcast_strides(x.shape(), shape), 0};
  Tensor out = detail::copy_strided(x, view);
  if (recording({&x})) {
    record_into("broadcast_to", {x}, {out}, [from = x.shape()](const auto& d, GradientSink& sink) {
      sink.add(0, detail::sum_to(d[0], from));
    });
  }
  return out;
}

/// x with the order of the elements reversed along some axes.
inline Tensor reverse(const Tensor& x, const std::vector<Index>& axes) {
  detail::StridedView view = detail::whole(x.shape());
  for (const Index axis : axes) {
    const Index k = x.shape().normal_axis(axis, "reverse");
    Index& stride = view.strides[static_cast<std::size_t>(k)];
    if (x.shape()[k] == 0 || stride < 0) continue;
    view.offset += (x.shape()[k] - 1) * stride;
    stride = -stride;
  }
  Tensor out = detail::copy_strided(x, view);
  if (recording({&x})) {
    record_into("reverse", {x}, {out}, [view](const auto& d, GradientSink& sink) {
      sink.add(0, detail::copy_strided(d[0], view));  // its own inverse
    });
  }
  return out;
}

}  // namespace ops

namespace detail {

/// x [outer, inner] -> [outer, times, inner] under a given shape.
inline Tensor repeated(const char* name, const Tensor& x, Index outer, Index times,
                       const Shape& shape) {
  if (times < 0) fail(name, "repeats: expected >= 0, got " + std::to_string(times));
  const Index inner = outer == 0 ? 0 : x.size() / outer;
  StridedView view;
  view.shape = Shape{outer, times, inner};
  view.strides = {inner, 0, 1};
  Tensor out = copy_strided(x, view).view(shape);
  if (is_floating(x.dtype()) && recording({&x})) {
    record_into(name, {x}, {out},
                [from = x.shape(), outer, times, inner](const auto& d, GradientSink& sink) {
                  Tensor dx(from, d[0].dtype());
                  visit_float("repeat", dx.dtype(), [&](auto zero) {
                    using T = decltype(zero);
                    reduce_axis<SumOp>(d[0].template data<T>(), dx.mutable_data<T>(), outer, times,
                                       inner);
                  });
                  sink.add(0, std::move(dx));
                });
  }
  return out;
}

}  // namespace detail

namespace ops {

/// Every element along an axis `repeats` times: a, b -> a, a, b, b.
inline Tensor repeat(const Tensor& x, Index repeats, Index axis) {
  const Index k = x.shape().normal_axis(axis, "repeat");
  Shape shape = x.shape();
  shape[k] *= std::max<Index>(repeats, 0);
  return detail::repeated("repeat", x, x.shape().product(0, k + 1), repeats, shape);
}

/// The whole array multiples[i] times along axis i: a, b -> a, b, a, b.
inline Tensor tile(const Tensor& input, const std::vector<Index>& multiples) {
  Tensor x = input;
  while (x.ndim() < static_cast<Index>(multiples.size())) x = expand_dims(x, 0);
  const Index first = x.ndim() - static_cast<Index>(multiples.size());
  for (std::size_t i = 0; i < multiples.size(); ++i) {
    if (multiples[i] == 1) continue;
    const Index k = first + static_cast<Index>(i);
    Shape shape = x.shape();
    shape[k] *= std::max<Index>(multiples[i], 0);
    x = detail::repeated("tile", x, x.shape().product(0, k), multiples[i], shape);
  }
  return x;
}

/// The same values; no gradient flows through.
inline Tensor stop_gradient(const Tensor& x) { return x.view(x.shape()); }
inline Tensor identity(const Tensor& x) { return detail::reshaped("identity", x, x.shape()); }

}  // namespace ops
}  // namespace elman
