// SPDX-License-Identifier: Apache-2.0
// bind_indexing.cpp: x[...] with numbers, slices, None, ... and arrays of ids or booleans.
#include <cstdint>
#include <string>
#include <vector>

#include "bindings.hpp"
#include "convert.hpp"
#include "elman/autograd/ops_index.hpp"

namespace elman::bindings {
namespace {

[[noreturn]] void fail_index(const std::string& what) {
  fail_range("Tensor.__getitem__", "index: " + what);
}

/// Basic indices, one axis after the other; new axes are kept apart because x has none for them.
struct BasicIndex {
  std::vector<AxisPick> picks;
  std::vector<bool> new_axis_before;  // result dimensions in order: true for a new axis
};

bool is_array_index(nb::handle item) {
  if (const Tensor* tensor = peek_tensor(item)) {
    return tensor->ndim() > 0 || tensor->dtype() == DType::bool_;
  }
  return PyList_Check(item.ptr()) ||
         (PyObject_CheckBuffer(item.ptr()) && !PyIndex_Check(item.ptr())) ||
         (nb::hasattr(item, "__array__") && nb::cast<Index>(item.attr("ndim")) > 0);
}

AxisPick number_pick(nb::handle item, const Shape& shape, Index axis) {
  const Py_ssize_t value = PyNumber_AsSsize_t(item.ptr(), PyExc_IndexError);
  if (value == -1 && PyErr_Occurred()) throw nb::python_error();
  const Index size = shape[axis];
  if (value < -size || value >= size) {
    fail_index(std::to_string(value) + " is outside of axis " + std::to_string(axis) + " of x " +
               shape.text());
  }
  return {value < 0 ? value + size : value, 1, 1, true};
}

AxisPick slice_pick(nb::handle item, Index size) {
  Py_ssize_t start = 0, stop = 0, step = 0;
  if (PySlice_Unpack(item.ptr(), &start, &stop, &step) < 0) throw nb::python_error();
  const Py_ssize_t count = PySlice_AdjustIndices(size, &start, &stop, step);
  return {start, step, count, false};
}

std::vector<nb::object> index_items(nb::handle index) {
  std::vector<nb::object> items;
  if (PyTuple_Check(index.ptr())) {
    for (const nb::handle item : index) items.push_back(nb::borrow(item));
  } else {
    items.push_back(nb::borrow(index));
  }
  return items;
}

/// Replaces ... by as many full slices as x has axes left, and adds them at the end.
void expand_ellipsis(std::vector<nb::object>& items, const Shape& shape) {
  Index used = 0;
  std::size_t ellipsis = items.size();
  for (std::size_t i = 0; i < items.size(); ++i) {
    if (items[i].is(nb::handle(Py_Ellipsis))) {
      if (ellipsis < items.size()) fail_index("expected at most one ellipsis ('...')");
      ellipsis = i;
      continue;
    }
    if (items[i].is_none()) continue;
    const Tensor* mask = peek_tensor(items[i]);
    used += mask != nullptr && mask->dtype() == DType::bool_ ? mask->ndim() : 1;
  }
  if (used > shape.rank()) {
    fail_index("expected at most " + std::to_string(shape.rank()) + " indices for x " +
               shape.text() + ", got " + std::to_string(used));
  }
  const nb::object full = nb::steal(PySlice_New(nullptr, nullptr, nullptr));
  if (ellipsis < items.size()) {
    items.erase(items.begin() + static_cast<std::ptrdiff_t>(ellipsis));
  }
  items.insert(items.begin() + static_cast<std::ptrdiff_t>(ellipsis),
               static_cast<std::size_t>(shape.rank() - used), full);
}

Tensor basic(const Tensor& x, const std::vector<nb::object>& items) {
  std::vector<AxisPick> picks;
  Shape shape;
  Index axis = 0;
  for (const nb::object& item : items) {
    if (item.is_none()) {
      shape.push_back(1);
      continue;
    }
    if (PySlice_Check(item.ptr())) {
      picks.push_back(slice_pick(item, x.shape()[axis]));
      shape.push_back(picks.back().count);
    } else if (PyIndex_Check(item.ptr()) && !PyBool_Check(item.ptr())) {
      picks.push_back(number_pick(item, x.shape(), axis));
    } else {
      const std::string text = error_text(
          "Tensor.__getitem__", "index: expected integers, slices, None, '...' or arrays, got " +
                                    nb::cast<std::string>(item.type().attr("__name__")));
      throw nb::type_error(text.c_str());
    }
    ++axis;
  }
  return unlocked(shape.size(), [&] { return ops::pick(x, picks, shape); });
}

/// Positions where a mask is true, as numbers of the flattened axes that it covers.
Tensor positions(const Tensor& mask) {
  const bool* test = mask.data<bool>();
  std::vector<std::int64_t> found;
  for (Index i = 0; i < mask.size(); ++i) {
    if (test[i]) found.push_back(i);
  }
  return Tensor::from_values(Shape{static_cast<Index>(found.size())}, found.data());
}

/// Ids counted from the end are allowed, as in numpy.
Tensor wrapped_ids(const Tensor& given, Index size) {
  Tensor ids = detail::as_ids("Tensor.__getitem__", given).copy();
  std::int64_t* values = ids.mutable_data<std::int64_t>();
  for (Index i = 0; i < ids.size(); ++i) {
    if (values[i] < 0) values[i] += size;
  }
  return ids;
}

/// x[mask] for a mask over the leading axes.
Tensor by_mask(const Tensor& x, const Tensor& mask) {
  const Index rank = mask.ndim();
  const bool fits = rank >= 1 && rank <= x.ndim() &&
                    std::equal(mask.shape().begin(), mask.shape().end(), x.shape().begin());
  if (!fits) {
    fail_index("the mask " + mask.shape().text() + " does not cover the first axes of x " +
               x.shape().text());
  }
  std::vector<Index> dims{mask.size()};
  for (Index axis = rank; axis < x.ndim(); ++axis) dims.push_back(x.shape()[axis]);
  return ops::gather(ops::reshape(x, dims), positions(mask), 0, "Tensor.__getitem__");
}

/// x[ids_0, ids_1, ...]: one element of the leading axes for each place of the broadcast ids.
Tensor by_many(const Tensor& x, const std::vector<nb::object>& items, std::size_t count) {
  Tensor flat;
  Index rows = 1;
  const NoRecording off;
  for (std::size_t i = 0; i < count; ++i) {
    const Index size = x.shape()[static_cast<Index>(i)];
    const Tensor given = as_tensor(items[i], "Tensor.__getitem__", "index");
    if (given.dtype() == DType::bool_) fail_index("a mask beside other arrays is not supported");
    const Tensor ids = wrapped_ids(given, size);
    check_ids("Tensor.__getitem__", ids.data<std::int64_t>(), ids.shape(), size);
    flat = i == 0 ? ids
                  : ops::add(ops::multiply(
                                 flat, detail::scalar_of(static_cast<double>(size), DType::int64)),
                             ids);
    rows *= size;
  }
  return flat;
}

Tensor advanced(const Tensor& x, std::vector<nb::object> items) {
  std::vector<std::size_t> arrays;
  for (std::size_t i = 0; i < items.size(); ++i) {
    if (is_array_index(items[i])) arrays.push_back(i);
  }
  if (arrays.size() == 1) {
    const Tensor index = as_tensor(items[arrays[0]], "Tensor.__getitem__", "index");
    if (index.dtype() == DType::bool_) {
      if (items.size() != 1) fail_index("a mask beside other indices is not supported");
      return by_mask(x, index);
    }
    // The other indices first, with the array's axis kept; then the rows along that axis.
    Index axis = 0;
    for (std::size_t i = 0; i < arrays[0]; ++i) {
      const bool dropped = !items[i].is_none() && !PySlice_Check(items[i].ptr()) &&
                           !items[i].is(nb::handle(Py_Ellipsis));
      if (!dropped && !items[i].is(nb::handle(Py_Ellipsis))) ++axis;
    }
    items[arrays[0]] = nb::steal(PySlice_New(nullptr, nullptr, nullptr));
    const Tensor rest = basic(x, items);
    return ops::gather(rest, wrapped_ids(index, rest.shape()[axis]), axis, "Tensor.__getitem__");
  }
  // Several arrays: numbers among them count as arrays, and all of them must come first.
  std::size_t count = 0;
  while (count < items.size() && !PySlice_Check(items[count].ptr()) && !items[count].is_none()) {
    ++count;
  }
  for (std::size_t i = count; i < items.size(); ++i) {
    Py_ssize_t start = 0, stop = 0, step = 0;
    const bool full = PySlice_Check(items[i].ptr()) &&
                      PySlice_Unpack(items[i].ptr(), &start, &stop, &step) == 0 && start == 0 &&
                      stop == PY_SSIZE_T_MAX && step == 1;
    if (!full) fail_index("several arrays are supported on the first axes only, without slices");
  }
  const Tensor ids = by_many(x, items, count);
  std::vector<Index> dims{x.shape().product(0, static_cast<Index>(count))};
  for (Index axis = static_cast<Index>(count); axis < x.ndim(); ++axis) {
    dims.push_back(x.shape()[axis]);
  }
  return ops::gather(ops::reshape(x, dims), ids, 0, "Tensor.__getitem__");
}

Tensor getitem(const Tensor& x, nb::handle index) {
  std::vector<nb::object> items = index_items(index);
  bool arrays = false;
  for (nb::object& item : items) {
    if (item.is_none() || PySlice_Check(item.ptr()) || item.is(nb::handle(Py_Ellipsis)) ||
        PyLong_Check(item.ptr())) {
      continue;
    }
    if (!is_array_index(item)) continue;
    item = to_python(as_tensor(item, "Tensor.__getitem__", "index"));
    arrays = true;
  }
  expand_ellipsis(items, x.shape());
  if (!arrays) return basic(x, items);
  // Full slices that only fill up do not matter to a mask.
  while (items.size() > 1 && PySlice_Check(items.back().ptr()) && is_array_index(items.front()) &&
         items.size() > 1 && peek_tensor(items.front())->dtype() == DType::bool_) {
    items.pop_back();
  }
  return advanced(x, std::move(items));
}

}  // namespace

void bind_indexing(nb::class_<Tensor>& tensor) {
  tensor.def(
      "__getitem__",
      [](nb::handle self, nb::handle index) {
        const Tensor x = tensor_of(self, "Tensor.__getitem__");
        return getitem(x, index);
      },
      operand("index"));
}

void bind_index_functions(nb::module_& m) {
  m.def(
      "getitem",
      [](nb::handle x, nb::handle index) { return getitem(as_tensor(x, "getitem", "x"), index); },
      operand("x"), operand("index"), "x[index]");
  m.def(
      "slice",
      [](nb::handle object, nb::handle begin, nb::handle size) {
        const Tensor x = as_tensor(object, "slice", "x");
        const std::vector<Index> first = as_integers(begin, "slice", "start_indices");
        const std::vector<Index> count = as_integers(size, "slice", "shape");
        if (first.size() != count.size() || static_cast<Index>(first.size()) != x.ndim()) {
          fail("slice", "expected one start and one size for each axis of x " + x.shape().text());
        }
        std::vector<AxisPick> picks;
        Shape shape;
        for (std::size_t i = 0; i < first.size(); ++i) {
          const Index dim = x.shape()[static_cast<Index>(i)];
          const Index n = count[i] == -1 ? dim - first[i] : count[i];
          if (first[i] < 0 || n < 0 || first[i] > dim || n > dim - first[i]) {
            fail_range("slice", "axis " + std::to_string(i) + " of x " + x.shape().text() +
                                    ": start " + std::to_string(first[i]) + ", size " +
                                    std::to_string(count[i]));
          }
          picks.push_back({first[i], 1, n, false});
          shape.push_back(n);
        }
        return ops::pick(x, picks, shape);
      },
      operand("x"), nb::arg("start_indices"), operand("shape"),
      "The block of the given size that starts at start_indices; size -1 means to the end.");
  m.def(
      "gather",
      [](nb::handle object, nb::handle ids, Index axis) {
        const Tensor x = as_tensor(object, "gather", "x");
        const Tensor i = as_tensor(ids, "gather", "ids", DType::int64);
        return unlocked(i.size() * 16, [&] { return ops::gather(x, i, axis); });
      },
      operand("x"), operand("indices"), nb::arg("axis") = 0,
      "The slices of x with the given numbers along an axis.");
  m.def(
      "one_hot",
      [](nb::handle ids, Index classes, nb::handle dtype) {
        return ops::one_hot(as_tensor(ids, "one_hot", "ids"), classes,
                            as_dtype(dtype, DType::float32));
      },
      operand("indices"), nb::arg("num_classes"), nb::arg("dtype") = nb::none(),
      "A 1 at the id and zeros elsewhere, along a new last axis.");
  m.def(
      "where",
      [](nb::handle condition, nb::handle a, nb::handle b) {
        const auto [x, y] = as_pair(a, b, "where");
        return ops::where(as_tensor(condition, "where", "condition"), x, y);
      },
      operand("condition"), operand("x"), operand("y"),
      "x where the condition holds, else y; all three broadcast.");
}

}  // namespace elman::bindings
