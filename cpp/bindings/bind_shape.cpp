// SPDX-License-Identifier: Apache-2.0
// bind_shape.cpp: new arrays, element types, and the same elements in another arrangement.
#include <vector>

#include "bindings.hpp"
#include "convert.hpp"
#include "elman/autograd/cast.hpp"
#include "elman/autograd/ops_join.hpp"
#include "elman/autograd/ops_shape.hpp"

namespace elman::bindings {
namespace {

Tensor filled(const Shape& shape, DType dtype, double value) {
  if (value == 0) return Tensor::zeros(shape, dtype);
  const NoRecording off;
  return ops::broadcast_to(detail::scalar_of(value, dtype), shape);
}

void bind_new(nb::module_& m) {
  m.def(
      "zeros",
      [](nb::handle shape, nb::handle dtype) {
        return filled(as_shape(shape, "zeros"), as_dtype(dtype, DType::float32), 0);
      },
      operand("shape"), nb::arg("dtype") = nb::none(), "An array of zeros.");
  m.def(
      "ones",
      [](nb::handle shape, nb::handle dtype) {
        return filled(as_shape(shape, "ones"), as_dtype(dtype, DType::float32), 1);
      },
      operand("shape"), nb::arg("dtype") = nb::none(), "An array of ones.");
  m.def(
      "full",
      [](nb::handle shape, nb::handle value, nb::handle dtype) {
        const NoRecording off;
        const Tensor fill = as_tensor(value, "full", "fill_value");
        const DType wanted = as_dtype(dtype, fill.dtype());
        return ops::broadcast_to(ops::cast(fill, wanted), as_shape(shape, "full"));
      },
      operand("shape"), operand("fill_value"), nb::arg("dtype") = nb::none(),
      "An array of one value.");
  m.def(
      "zeros_like",
      [](nb::handle object, nb::handle dtype) {
        const Tensor x = as_tensor(object, "zeros_like", "x");
        return filled(x.shape(), as_dtype(dtype, x.dtype()), 0);
      },
      operand("x"), nb::arg("dtype") = nb::none(), "Zeros in the shape of x.");
  m.def(
      "ones_like",
      [](nb::handle object, nb::handle dtype) {
        const Tensor x = as_tensor(object, "ones_like", "x");
        return filled(x.shape(), as_dtype(dtype, x.dtype()), 1);
      },
      operand("x"), nb::arg("dtype") = nb::none(), "Ones in the shape of x.");
  m.def(
      "cast",
      [](nb::handle object, nb::handle dtype) {
        const Tensor x = as_tensor(object, "cast", "x");
        return ops::cast(x, as_dtype(dtype, x.dtype()));
      },
      operand("x"), nb::arg("dtype"), "The values in another element type.");
}

void bind_arrangement(nb::module_& m) {
  m.def(
      "reshape",
      [](nb::handle x, nb::handle shape) {
        return ops::reshape(as_tensor(x, "reshape", "x"), as_integers(shape, "reshape", "shape"));
      },
      operand("x"), operand("shape"), "The same values under another shape, without a copy.");
  m.def(
      "transpose",
      [](nb::handle object, nb::handle perm) {
        const Tensor x = as_tensor(object, "transpose", "x");
        std::vector<Index> axes;
        if (!perm.is_none()) axes = as_integers(perm, "transpose", "perm");
        return unlocked(x.size(), [&] { return ops::transpose(x, axes); });
      },
      operand("x"), nb::arg("perm") = nb::none(),
      "Axis i of the result is axis perm[i] of x; None reverses the axes.");
  m.def(
      "expand_dims",
      [](nb::handle x, Index axis) {
        return ops::expand_dims(as_tensor(x, "expand_dims", "x"), axis);
      },
      operand("x"), nb::arg("axis") = -1, "A new axis of size 1.");
  m.def(
      "squeeze",
      [](nb::handle x, nb::handle axis) {
        const bool all = axis.is_none();
        return ops::squeeze(as_tensor(x, "squeeze", "x"),
                            all ? std::vector<Index>() : as_integers(axis, "squeeze", "axis"), all);
      },
      operand("x"), nb::arg("axis") = nb::none(), "Without axes of size 1.");
  m.def(
      "broadcast_to",
      [](nb::handle x, nb::handle shape) {
        return ops::broadcast_to(as_tensor(x, "broadcast_to", "x"),
                                 as_shape(shape, "broadcast_to"));
      },
      operand("x"), operand("shape"), "x repeated along new axes and axes of size 1.");
  m.def(
      "repeat",
      [](nb::handle x, Index repeats, Index axis) {
        return ops::repeat(as_tensor(x, "repeat", "x"), repeats, axis);
      },
      operand("x"), nb::arg("repeats"), nb::arg("axis"), "Every element several times.");
  m.def(
      "tile",
      [](nb::handle x, nb::handle repeats) {
        return ops::tile(as_tensor(x, "tile", "x"), as_integers(repeats, "tile", "repeats"));
      },
      operand("x"), nb::arg("repeats"), "The whole array several times along each axis.");
  m.def(
      "reverse",
      [](nb::handle x, nb::handle axes) {
        return ops::reverse(as_tensor(x, "reverse", "x"), as_integers(axes, "reverse", "axes"));
      },
      operand("x"), nb::arg("axes"), "The elements in reverse order along the axes.");
  m.def(
      "stop_gradient",
      [](nb::handle x) { return ops::stop_gradient(as_tensor(x, "stop_gradient", "x")); },
      operand("x"), "The same values; no gradient flows back through them.");
  m.def(
      "identity", [](nb::handle x) { return ops::identity(as_tensor(x, "identity", "x")); },
      operand("x"), "The same values as a new tensor.");
}

void bind_joining(nb::module_& m) {
  m.def(
      "concatenate",
      [](nb::handle list, Index axis) {
        return ops::concatenate(as_tensors(list, "concatenate", "tensors"), axis);
      },
      operand("tensors"), nb::arg("axis") = -1, "Joins tensors along an existing axis.");
  m.def(
      "stack",
      [](nb::handle list, Index axis) {
        return ops::stack(as_tensors(list, "stack", "tensors"), axis);
      },
      operand("tensors"), nb::arg("axis") = 0, "Joins tensors along a new axis.");
  m.def(
      "unstack",
      [](nb::handle x, Index axis) {
        nb::list out;
        for (Tensor& item : ops::unstack(as_tensor(x, "unstack", "x"), axis)) {
          out.append(to_python(std::move(item)));
        }
        return out;
      },
      operand("x"), nb::arg("axis") = 0, "The slices along an axis, as a list.");
}

}  // namespace

void bind_shape(nb::module_& m) {
  bind_new(m);
  bind_arrangement(m);
  bind_joining(m);
}

}  // namespace elman::bindings
