// SPDX-License-Identifier: Apache-2.0
// numpy_view.cpp: the memory of numpy arrays as tensors and back.
#include "numpy_view.hpp"

#include <nanobind/ndarray.h>

#include <bit>
#include <memory>

#include "convert.hpp"
#include "elman/autograd/tape.hpp"
#include "numpy_fields.hpp"

namespace elman::bindings {
namespace {

// Imported modules live as long as the interpreter; a reference of our own is never given back,
// because static objects would be destroyed after it.
nb::handle imported(const char* module, const char* attribute) {
  nb::object out = nb::module_::import_(module);
  if (attribute != nullptr) out = out.attr(attribute);
  return out.release();
}

/// Gives a buffer back to its owner, from whatever thread drops the last view of it.
struct BufferRelease {
  void operator()(Py_buffer* buffer) const noexcept {
    if (nb::is_alive()) {
      const nb::gil_scoped_acquire lock;
      PyBuffer_Release(buffer);
      delete buffer;
    }  // else the interpreter is gone, and the memory with it
  }
};

bool foreign_order(char code) {
  return std::endian::native == std::endian::little ? code == '>' || code == '!' : code == '<';
}

struct ElementType {
  std::optional<DType> own, nearest;
};

/// The type of a buffer by its struct code and size.
ElementType element_type(char code, Py_ssize_t size) {
  const std::string_view signed_codes = "bhilqn", unsigned_codes = "BHILQN";
  if (code == '?') return {DType::bool_, {}};
  if (code == 'f') return {DType::float32, {}};
  if (code == 'd') return {DType::float64, {}};
  if (code == 'e') return {{}, DType::float32};
  if (code == 'g') return {{}, DType::float64};
  if (signed_codes.find(code) != std::string_view::npos) {
    if (size == 8) return {DType::int64, {}};
    if (size == 4) return {DType::int32, {}};
    return {{}, DType::int32};
  }
  if (unsigned_codes.find(code) != std::string_view::npos) {
    return {{}, size < 4 ? DType::int32 : DType::int64};
  }
  return {};
}

/// "dtype >f4" of numpy arrays, "format 'w'" of other buffers.
std::string describe_type(nb::handle array, const char* format) {
  if (nb::hasattr(array, "dtype")) {
    return "dtype " + nb::cast<std::string>(nb::str(nb::object(array.attr("dtype"))));
  }
  return std::string("elements of format '") + format + "'";
}

}  // namespace

nb::handle numpy() {
  static const nb::handle module = imported("numpy", nullptr);
  return module;
}
nb::handle numpy_generic() {
  static const nb::handle type = imported("numpy", "generic");
  return type;
}

nb::handle numpy_ndarray() {
  static const nb::handle type = imported("numpy", "ndarray");
  return type;
}

BufferResult numpy_tensor(nb::handle array, bool shared) {
  BufferResult out;
  auto* raw = new Py_buffer();
  if (PyObject_GetBuffer(array.ptr(), raw, PyBUF_FORMAT | PyBUF_STRIDES) != 0) {
    delete raw;
    PyErr_Clear();  // datetime64 and other types that no buffer can describe
    out.problem = describe_type(array, "unknown");
    return out;
  }
  std::shared_ptr<Py_buffer> buffer(raw, BufferRelease{});
  const char* format = raw->format == nullptr ? "B" : raw->format;
  const bool prefixed = std::string_view("@=<>!").find(format[0]) != std::string_view::npos;
  const char* code = prefixed ? format + 1 : format;
  if (code[0] == '\0' || code[1] != '\0') {
    out.problem = describe_type(array, format);
    return out;
  }
  if (prefixed && foreign_order(format[0]) && raw->itemsize > 1) {
    out.problem = describe_type(array, format) +
                  ", whose bytes are swapped; use array.astype(array.dtype.newbyteorder('='))";
    return out;
  }
  const ElementType type = element_type(code[0], raw->itemsize);
  if (!type.own) {
    out.convert_to = type.nearest;
    if (!type.nearest) out.problem = describe_type(array, format);
    return out;
  }
  const bool aligned =
      reinterpret_cast<std::uintptr_t>(raw->buf) % static_cast<std::uintptr_t>(raw->itemsize) == 0;
  if (PyBuffer_IsContiguous(raw, 'C') == 0 || !aligned) {
    out.convert_to = type.own;
    // A contiguous array that is only misaligned is copied here.
    if (PyBuffer_IsContiguous(raw, 'C') == 0) return out;
  }
  Shape shape;
  for (int axis = 0; axis < raw->ndim; ++axis) shape.push_back(raw->shape[axis]);
  void* data = raw->buf;
  const bool recording = detail::t_active > 0 && detail::t_paused == 0;
  const bool may_change = recording && (shared || raw->readonly == 0);
  Tensor view = Tensor::from_external(data, shape, *type.own, std::move(buffer));
  out.tensor = aligned && !may_change ? std::move(view) : view.copy();
  return out;
}

Tensor borrowed_floats(nb::handle object) {
  static const nb::handle float32 = numpy().attr("dtype")("float32").release();
  static const nb::handle float64 = numpy().attr("dtype")("float64").release();
  const NumpyArray* array = peek_array(object);
  if (array == nullptr || detail::t_active > 0) return {};
  const bool single = array->dtype == float32.ptr();
  if (!(single || array->dtype == float64.ptr()) || array->rank > int(Shape::kMaxRank) ||
      !array->has(NumpyArray::kContiguous | NumpyArray::kAligned)) {
    return {};
  }
  Shape shape;
  for (int axis = 0; axis < array->rank; ++axis) shape.push_back(array->shape[axis]);
  // Owned by nobody, but foreign all the same.
  const std::shared_ptr<void> owner(std::shared_ptr<void>(), array->data);
  return Tensor::from_external(array->data, shape, single ? DType::float32 : DType::float64, owner);
}

nb::object to_numpy(const Tensor& tensor, bool writable) {
  std::size_t shape[Shape::kMaxRank];
  for (Index axis = 0; axis < tensor.ndim(); ++axis) {
    shape[axis] = static_cast<std::size_t>(tensor.shape()[axis]);
  }
  // The capsule holds the storage, so the view outlives the tensor and a Variable never changes it.
  auto* held = new std::shared_ptr<void>(tensor.keep_alive());
  const nb::capsule owner(held,
                          [](void* p) noexcept { delete static_cast<std::shared_ptr<void>*>(p); });
  const auto rank = static_cast<std::size_t>(tensor.ndim());
  const nb::dlpack::dtype dtype =
      visit_any(tensor.dtype(), [](auto zero) { return nb::dtype<decltype(zero)>(); });
  if (writable) {
    const nb::ndarray<nb::numpy> view(const_cast<void*>(tensor.raw()), rank, shape, owner, nullptr,
                                      dtype);
    return nb::cast(view, nb::rv_policy::reference);
  }
  const nb::ndarray<nb::numpy, nb::ro> view(tensor.raw(), rank, shape, owner, nullptr, dtype);
  return nb::cast(view, nb::rv_policy::reference);
}

}  // namespace elman::bindings
