// SPDX-License-Identifier: Apache-2.0
// elman/autograd/ops_join.hpp: several tensors into one along an axis, and back.
#pragma once

#include <cstring>
#include <string>
#include <string_view>
#include <vector>

#include "elman/autograd/cast.hpp"
#include "elman/autograd/ops_shape.hpp"
#include "elman/autograd/strided.hpp"
#include "elman/autograd/tape.hpp"

namespace elman {
namespace detail {

/// The part [first, first + count) of an axis.
inline StridedView along(const Shape& shape, Index axis, Index first, Index count) {
  StridedView view = whole(shape);
  view.shape[axis] = count;
  view.offset = first * view.strides[static_cast<std::size_t>(axis)];
  return view;
}

/// Pieces of [outer, length_i, inner] side by side; shape[axis] is the sum of the lengths.
inline Tensor joined(const std::vector<Tensor>& pieces, const Shape& shape, Index axis) {
  Tensor out(shape, pieces.front().dtype());
  const std::size_t item = item_size(out.dtype());
  const Index outer = shape.product(0, axis);
  if (out.size() == 0) return out;
  const std::size_t row = out.bytes() / static_cast<std::size_t>(outer);
  auto* to = static_cast<char*>(out.mutable_raw());
  for (const Tensor& piece : pieces) {
    const std::size_t bytes =
        static_cast<std::size_t>(piece.size()) * item / static_cast<std::size_t>(outer);
    const auto* from = static_cast<const char*>(piece.raw());
    for (Index o = 0; bytes > 0 && o < outer; ++o) {
      std::memcpy(to + static_cast<std::size_t>(o) * row,
                  from + static_cast<std::size_t>(o) * bytes, bytes);
    }
    to += bytes;
  }
  return out;
}

/// All pieces in one element type.
inline std::vector<Tensor> promoted(const char* where, const std::vector<Tensor>& pieces) {
  if (pieces.empty()) fail(where, "tensors: expected at least one, got an empty list");
  DType dtype = pieces.front().dtype();
  for (const Tensor& piece : pieces) dtype = promote(dtype, piece.dtype());
  std::vector<Tensor> out;
  for (const Tensor& piece : pieces) out.push_back(ops::cast(piece, dtype));
  return out;
}

inline void record_join(const char* name, const std::vector<Tensor>& pieces, const Tensor& out,
                        Index axis, const std::vector<Index>& lengths) {
  if (!recording(pieces)) return;
  std::vector<Shape> shapes;
  for (const Tensor& piece : pieces) shapes.push_back(piece.shape());
  record_into(name, pieces, {out}, [shapes, lengths, axis](const auto& d, GradientSink& sink) {
    Index first = 0;
    for (std::size_t i = 0; i < shapes.size(); ++i) {
      if (sink.needed(i)) {
        const StridedView view = along(d[0].shape(), axis, first, lengths[i]);
        sink.add(i, copy_strided(d[0], view).view(shapes[i]));
      }
      first += lengths[i];
    }
  });
}

}  // namespace detail

namespace ops {

/// Joins along an existing axis. Shapes: equal except for that axis.
/// Errors    std::invalid_argument that names the first tensor that does not fit
inline Tensor concatenate(const std::vector<Tensor>& tensors, Index axis = -1) {
  const std::vector<Tensor> pieces = detail::promoted("concatenate", tensors);
  const Index k = pieces.front().shape().normal_axis(axis, "concatenate");
  Shape shape = pieces.front().shape();
  std::vector<Index> lengths;
  shape[k] = 0;
  for (std::size_t i = 0; i < pieces.size(); ++i) {
    Shape other = pieces[i].shape();
    if (other.rank() == shape.rank()) {
      lengths.push_back(other[k]);
      other[k] = shape[k];
    }
    if (!(other == shape)) {
      fail("concatenate", "tensors: expected " + pieces.front().shape().text() + " up to axis " +
                              std::to_string(axis) + ", got " + pieces[i].shape().text() +
                              " at position " + std::to_string(i));
    }
    shape[k] += lengths.back();
  }
  Tensor out = detail::joined(pieces, shape, k);
  detail::record_join("concatenate", pieces, out, k, lengths);
  return out;
}

/// Joins along a new axis. Shapes: all equal.
inline Tensor stack(const std::vector<Tensor>& tensors, Index axis = 0) {
  const std::vector<Tensor> pieces = detail::promoted("stack", tensors);
  Shape shape = pieces.front().shape();
  for (std::size_t i = 1; i < pieces.size(); ++i) {
    if (!(pieces[i].shape() == shape)) {
      fail("stack", "tensors: expected " + shape.text() + " as the first, got " +
                        pieces[i].shape().text() + " at position " + std::to_string(i));
    }
  }
  const Index rank = shape.rank() + 1;
  if (axis < -rank || axis >= rank) {
    fail_range("stack", "axis: expected -" + std::to_string(rank) + " <= axis < " +
                            std::to_string(rank) + ", got " + std::to_string(axis));
  }
  const Index k = axis < 0 ? axis + rank : axis;
  shape.insert(k, static_cast<Index>(pieces.size()));
  Tensor out = detail::joined(pieces, shape, k);
  detail::record_join("stack", pieces, out, k, std::vector<Index>(pieces.size(), 1));
  return out;
}

/// The slices along an axis, without it; one node for all of them.
inline std::vector<Tensor> unstack(const Tensor& x, Index axis = 0) {
  const Index k = x.shape().normal_axis(axis, "unstack");
  const Index count = x.shape()[k];
  Shape shape = x.shape();
  shape.erase(k);
  std::vector<Tensor> out;
  for (Index i = 0; i < count; ++i) {
    const detail::StridedView view = detail::along(x.shape(), k, i, 1);
    out.push_back(detail::is_contiguous(view.plan()) ? x.view(shape, view.offset)
                                                     : detail::copy_strided(x, view).view(shape));
  }
  if (recording({&x})) {
    record_into("unstack", {x}, out, [from = x.shape(), k](const auto& d, GradientSink& sink) {
      Tensor& dx = sink.buffer(0);
      for (std::size_t i = 0; i < d.size(); ++i) {
        if (!d[i].defined()) continue;
        detail::add_strided(dx, detail::along(from, k, static_cast<Index>(i), 1), d[i]);
      }
    });
  }
  return out;
}

}  // namespace ops
}  // namespace elman
