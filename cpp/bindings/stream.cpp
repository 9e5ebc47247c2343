// SPDX-License-Identifier: Apache-2.0
// stream.cpp: from a Python argument to the kernels and back in as few instructions as possible.
#include "stream.hpp"

#include <cstring>

#include "convert.hpp"
#include "elman/autograd/dispatch.hpp"
#include "elman/autograd/tape.hpp"
#include "numpy_fields.hpp"
#include "numpy_view.hpp"
#include "recurrent_cells.hpp"

namespace elman::bindings {
namespace {

constexpr const char* kStep = "Stream.step";

/// numpy.empty, called without looking it up.
nb::object empty(const nb::object& shape, const nb::object& dtype) {
  static const nb::handle function = nb::object(numpy().attr("empty")).release();
  PyObject* arguments[] = {shape.ptr(), dtype.ptr()};
  PyObject* made = PyObject_Vectorcall(function.ptr(), arguments, 2, nullptr);
  if (made == nullptr) throw nb::python_error();
  return nb::steal(made);
}

std::string found_text(const Shape& shape, const std::string& dtype) {
  return "got " + shape.text() + " " + dtype;
}

/// "ndarray (1, 4) float64", or the type alone where there is no shape.
std::string described(nb::handle object) {
  std::string text = nb::cast<std::string>(object.type().attr("__name__"));
  for (const char* name : {"shape", "dtype"}) {
    if (!nb::hasattr(object, name)) continue;
    const nb::object value = object.attr(name);
    text += " " + nb::cast<std::string>(nb::str(value));
  }
  return text;
}

bool overlap(const void* a, std::size_t a_bytes, const void* b, std::size_t b_bytes) {
  const auto* first = static_cast<const char*>(a);
  const auto* second = static_cast<const char*>(b);
  return first < second + b_bytes && second < first + a_bytes;
}

template <class... Cells>
std::unique_ptr<StreamStage> stage_of(const FusedCell& cell, DType dtype,
                                      const StreamWeights& weights, Index rows) {
  std::unique_ptr<StreamStage> stage;
  const auto consider = [&]<class Cell>() {
    if (cell.name() != Cell::kName) return;
    stage = recurrent_stage<Cell>(dtype, weights, cell.activations(), rows);
  };
  (consider.template operator()<Cells>(), ...);
  return stage;
}

}  // namespace

Stream::Stream(Index rows, Index features, DType dtype)
    : rows_(rows), features_(features), width_(features), dtype_(dtype) {
  if (rows < 1) fail("Stream", "batch_size: expected >= 1, got " + std::to_string(rows));
  if (features < 1) fail("Stream", "features: expected >= 1, got " + std::to_string(features));
  if (!is_floating(dtype)) {
    fail("Stream", std::string("dtype: expected float32 or float64, got ") + dtype_name(dtype));
  }
  numpy_dtype_ = numpy().attr("dtype")(dtype_name(dtype));
  input_.ensure(static_cast<Index>(bytes(features)));
}

// -- layers ---------------------------------------------------------------------------------------

const Tensor* Stream::weight(nb::handle object, const char* name, const Shape* shape) {
  if (object.is_none()) return nullptr;
  const Tensor* tensor = peek_tensor(object);
  if (tensor == nullptr) {
    const std::string text = error_text("Stream", std::string(name) + ": expected a Tensor, got " +
                                                      nb::cast<std::string>(nb::repr(object)));
    throw nb::type_error(text.c_str());
  }
  const bool matrix = shape != nullptr || tensor->ndim() == 2;
  if (tensor->dtype() != dtype_ || !matrix || (shape != nullptr && tensor->shape() != *shape)) {
    fail("Stream", std::string(name) + ": expected " + (shape ? shape->text() : "(F, H)") + " " +
                       dtype_name(dtype_) + ", " +
                       found_text(tensor->shape(), dtype_name(tensor->dtype())));
  }
  weights_.push_back(nb::borrow(object));
  return tensor;
}

void Stream::append(std::unique_ptr<StreamStage> stage) {
  width_ = stage->outputs();
  for (auto& buffer : between_) buffer.ensure(static_cast<Index>(bytes(width_)));
  whole_shape_ = nb::make_tuple(rows_, width_);
  flat_shape_ = nb::make_tuple(width_);
  stages_.push_back(std::move(stage));
}

void Stream::add_recurrent(const FusedCell& cell, nb::handle kernel, nb::handle recurrent_kernel,
                           nb::handle bias) {
  const Index units = cell.units(), columns = cell.gates() * units;
  const Shape kernel_shape{width_, columns}, recurrent_shape{units, columns};
  Shape bias_shape{columns};
  if (cell.name() == GruResetAfter::kName) {
    const Tensor* given = peek_tensor(bias);
    if (given != nullptr && given->ndim() == 2) bias_shape = {2, columns};
  }
  StreamWeights weights;
  weights.kernel = weight(kernel, "kernel", &kernel_shape);
  weights.recurrent_kernel = weight(recurrent_kernel, "recurrent_kernel", &recurrent_shape);
  weights.bias = weight(bias, "bias", &bias_shape);
  if (weights.kernel == nullptr || weights.recurrent_kernel == nullptr) {
    fail("Stream", "kernel and recurrent_kernel: expected tensors, got None");
  }
  append(stage_of<SimpleRnn, Gru, GruResetAfter, Lstm>(cell, dtype_, weights, rows_));
}

void Stream::add_dense(nb::handle kernel, nb::handle bias, const std::string& activation) {
  StreamWeights weights;
  weights.kernel = weight(kernel, "kernel", nullptr);
  if (weights.kernel == nullptr || weights.kernel->dim(0) != width_) {
    fail("Stream", "kernel: expected (" + std::to_string(width_) + ", H), got " +
                       (weights.kernel == nullptr ? "None" : weights.kernel->shape().text()));
  }
  const Shape bias_shape{weights.kernel->dim(1)};
  weights.bias = weight(bias, "bias", &bias_shape);
  const Activation kind = parse_activation(activation);
  visit_float("Stream", dtype_, [&](auto zero) {
    append(std::make_unique<detail::DenseStage<decltype(zero)>>(weights, kind, rows_));
  });
}

void Stream::add_activation(const std::string& activation) {
  const bool logarithms = activation == "log_softmax";
  visit_float("Stream", dtype_, [&](auto zero) {
    using T = decltype(zero);
    if (logarithms || activation == "softmax") {
      const Softmax kind = logarithms ? Softmax::logarithms : Softmax::probabilities;
      return append(std::make_unique<detail::SoftmaxStage<T>>(kind, width_, rows_));
    }
    const Activation kind = parse_activation(activation);
    append(std::make_unique<detail::ActivationStage<T>>(kind, width_, rows_));
  });
}

// -- one step -------------------------------------------------------------------------------------

bool Stream::fits(Index rank, const Index* shape, Index width) const {
  if (rank == 2) return shape[0] == rows_ && shape[1] == width;
  return rank == 1 && rows_ == 1 && shape[0] == width;
}

std::string Stream::expected(Index width) const {
  std::string text = "expected " + Shape{rows_, width}.text();
  if (rows_ == 1) text += " or " + Shape{width}.text();
  return text + " " + dtype_name(dtype_);
}

// A few numbers in a list, without an array in between.
bool Stream::read_numbers(nb::handle list) {
  PyObject* const o = list.ptr();
  if (rows_ != 1 || !(PyList_CheckExact(o) || PyTuple_CheckExact(o))) return false;
  if (PySequence_Fast_GET_SIZE(o) != features_) return false;
  PyObject** const items = PySequence_Fast_ITEMS(o);
  for (Index i = 0; i < features_; ++i) {
    if (!PyFloat_CheckExact(items[i])) return false;
    const double value = PyFloat_AS_DOUBLE(items[i]);
    if (dtype_ == DType::float32) {
      reinterpret_cast<float*>(input_.data())[i] = static_cast<float>(value);
    } else {
      reinterpret_cast<double*>(input_.data())[i] = value;
    }
  }
  return true;
}

Stream::Found Stream::find(nb::handle x) {
  Found found;
  if (const NumpyArray* array = peek_array(x)) {
    if (array->dtype == numpy_dtype_.ptr() && fits(array->rank, array->shape, features_) &&
        array->has(NumpyArray::kContiguous | NumpyArray::kAligned)) {
      found.data = array->data;
      found.flat = array->rank == 1;
      return found;
    }
  } else if (read_numbers(x)) {
    found.data = input_.data();
    found.flat = true;
    return found;
  }
  found.held = as_tensor(x, kStep, "x", dtype_);
  const Tensor& t = found.held;
  if (t.dtype() != dtype_ && (PyList_Check(x.ptr()) || PyTuple_Check(x.ptr()))) {
    found.held = ops::cast(t, dtype_);  // Python numbers have no type of their own
  }
  if (t.dtype() != dtype_ || !fits(t.ndim(), t.shape().begin(), features_)) {
    const bool type = t.dtype() != dtype_;
    fail(kStep, "x: " + expected(features_) + ", " + found_text(t.shape(), dtype_name(t.dtype())) +
                    (type ? "; convert it with astype" : "; one time step, the features last"));
  }
  found.data = t.raw();
  found.flat = t.ndim() == 1;
  return found;
}

void* Stream::target(nb::handle out, bool flat) const {
  const NumpyArray* array = peek_array(out);
  if (array != nullptr && array->dtype == numpy_dtype_.ptr() && array->rank == (flat ? 1 : 2) &&
      fits(array->rank, array->shape, width_) &&
      array->has(NumpyArray::kContiguous | NumpyArray::kAligned | NumpyArray::kWriteable)) {
    return array->data;
  }
  if (array == nullptr && nb::isinstance(out, numpy_ndarray()) &&  // a subclass
      nb::cast<bool>(out.attr("flags").attr("carray"))) {
    const NoRecording off;  // a tape would have the memory copied; `out` keeps it
    const BufferResult view = numpy_tensor(out);
    if (view.tensor && view.tensor->dtype() == dtype_ && view.tensor->ndim() == (flat ? 1 : 2) &&
        fits(view.tensor->ndim(), view.tensor->shape().begin(), width_)) {
      return const_cast<void*>(view.tensor->raw());
    }
  }
  const std::string shape = (flat ? Shape{width_} : Shape{rows_, width_}).text();
  fail(kStep, "out: expected a writeable, C-contiguous numpy.ndarray of shape " + shape + " " +
                  dtype_name(dtype_) + ", got " + described(out));
}

void Stream::run(const void* x, void* out) {
  for (const auto& stage : stages_) stage->refresh();
  if (overlap(x, bytes(features_), out, bytes(width_)) && x != input_.data()) {
    std::memcpy(input_.data(), x, bytes(features_));
    x = input_.data();
  }
  const std::size_t last = stages_.size() - 1;
  for (std::size_t i = 0; i < last; ++i) {
    void* const to = between_[i % 2].data();
    stages_[i]->step(x, to);
    x = to;
  }
  stages_[last]->step(x, out);
}

nb::object Stream::step(nb::handle x, nb::handle out) {
  if (stages_.empty()) fail_state(kStep, "the stream has no layers");
  const Found found = find(x);
  nb::object result = out.is_none() ? empty(found.flat ? flat_shape_ : whole_shape_, numpy_dtype_)
                                    : nb::borrow(out);
  run(found.data, target(result, found.flat));
  return result;
}

// -- states ---------------------------------------------------------------------------------------

void Stream::reset(nb::handle rows) {
  if (rows.is_none()) {
    for (const auto& stage : stages_) stage->reset();
    return;
  }
  const Tensor chosen = as_tensor(rows, "Stream.reset", "rows");
  if (chosen.dtype() != DType::bool_ || !(chosen.shape() == Shape{rows_})) {
    fail("Stream.reset", "rows: expected " + Shape{rows_}.text() + " bool, " +
                             found_text(chosen.shape(), dtype_name(chosen.dtype())) +
                             "; true for the rows that start anew");
  }
  const bool* values = chosen.data<bool>();
  for (const auto& stage : stages_) {
    for (Index r = 0; r < rows_; ++r) {
      if (values[r]) stage->reset(r);
    }
  }
}

nb::list Stream::states() const {
  nb::list out;
  for (const auto& stage : stages_) {
    for (int i = 0; i < stage->states(); ++i) {
      Tensor state({rows_, stage->outputs()}, dtype_);
      stage->read_state(i, state.mutable_raw());
      out.append(to_numpy(state, true));
    }
  }
  return out;
}

void Stream::set_states(nb::handle states) {
  constexpr const char* kWhere = "Stream.states";
  const std::vector<Tensor> given = as_tensors(states, kWhere, "states");
  std::size_t count = 0;
  for (const auto& stage : stages_) count += static_cast<std::size_t>(stage->states());
  if (given.size() != count) {
    fail(kWhere, "states: expected " + std::to_string(count) + " arrays, got " +
                     std::to_string(given.size()));
  }
  // All are checked before the first is taken.
  for (const bool write : {false, true}) {
    std::size_t next = 0;
    for (const auto& stage : stages_) {
      for (int i = 0; i < stage->states(); ++i, ++next) {
        const Tensor& state = given[next];
        const Shape shape{rows_, stage->outputs()};
        if (state.dtype() != dtype_ || !(state.shape() == shape)) {
          fail(kWhere, "states[" + std::to_string(next) + "]: expected " + shape.text() + " " +
                           dtype_name(dtype_) + ", " +
                           found_text(state.shape(), dtype_name(state.dtype())));
        }
        if (write) stage->write_state(i, state.raw());
      }
    }
  }
}

}  // namespace elman::bindings
